r"""Units as people write them, folded into one text each: `9.8\mathrm{~m}\mathrm{~s}^{-2}` becomes `9.8\text{m s^-2}`.

A run of upright letters, powers, slashes, dots and spaces behind a value is a unit where `units.measure` knows all of it;
anything else stays as it was. Letters that are not upright are names first: `5 T` is left to the comparison, and `5 mT` is a
unit only where nothing follows that could be a factor. The macros of siunitx are spelled out before.
"""

import re
from typing import NamedTuple

from rewards.math.unit_table import UNITS
from rewards.math.units import WORDS, measure

MAX_ELEMENTS = 60  # of one run
_BASES = (
    "meter metre gram second ampere kelvin mole candela newton pascal joule watt volt ohm siemens coulomb farad henry tesla weber "
    "hertz becquerel gray sievert liter litre minute hour day bar electronvolt radian lumen lux gauss degreeCelsius celsius angstrom "
    "astronomicalunit tonne hectare degree percent"
).split()
_PREFIXES = "kilo mega giga tera peta hecto deca deci centi milli micro nano pico femto".split()
_ALIASES = {"degreeCelsius": "celsius", "gray": "grays"}
_SI_MACRO = re.compile(r"\\(" + "|".join(sorted((*_BASES, *_PREFIXES, "per", "squared", "cubed", "square", "cubic"), key=len, reverse=True))
                       + r")(?![A-Za-z])")  # fmt: skip
_SI_NUMBER = re.compile(
    r"\\(?:SI|qty)\s*(?:\[[^\[\]]{0,80}\]\s*)?\{([^{}]{0,80})\}\s*(?:\[[^\[\]]{0,20}\]\s*)?\{((?:[^{}]|\{[^{}]{0,20}\}){0,200})\}"
)
_SI_UNIT = re.compile(r"\\(?:si|unit)\s*(?:\[[^\[\]]{0,80}\]\s*)?\{((?:[^{}]|\{[^{}]{0,20}\}){0,200})\}")
_ELEMENT = re.compile(
    r"(?P<space>[\s~]|\\[,;:! ]|\\(?:quad|thinspace|cdot|times)(?![A-Za-z])|\*|\.(?=[\s})]|$))"
    r"|(?P<upright>\\(?:mathrm|mathsf|mathit|operatorname|mbox|hbox|rm|text(?:rm|up|normal|sf|it|bf)?)(?![A-Za-z])\*?)"
    r"|(?P<degree>\^\s*(?:\\circ(?![A-Za-z])|\{\s*\\circ\s*\})|\\degree(?![A-Za-z]))"
    r"|(?P<power>\^\s*(?:\{\s*[-+]?\d\s*\}|[-+]?\d(?!\d))|\*\*\s*\d)"
    r"|(?P<fraction>\\[dt]?frac(?![A-Za-z]))"
    r"|(?P<sign>\\(?:mu|Omega|AA|ohm|micro|angstrom)(?![A-Za-z]))"
    r"|(?P<other>[{}()/])"
    r"|(?P<word>[A-Za-zμÅ]+(?:-?[1-4](?![\d.]))?)"
)
_START = re.compile(r"(?<=[\d}).i])(?=\s*[A-Za-zμÅ\\~{^])")
_FIRST_WORD = re.compile(r"(?:[\s~{}]|\\[,;:! ])*(?:\\([A-Za-z]+)|\^|([A-Za-zμÅ]+))")
_OPENERS = frozenset(
    "mathrm mathsf mathit operatorname mbox hbox rm text textrm textup textnormal textsf textit textbf frac dfrac tfrac mu Omega AA ohm "
    "micro angstrom degree quad thinspace cdot".split()
)
_SIGNS = {"mu": "μ", "micro": "μ", "Omega": "Ω", "ohm": "Ω", "AA": "Å", "angstrom": "Å"}
_SCALES = {"C": "celsius", "F": "fahrenheit", "K": "kelvin", "Celsius": "celsius", "Fahrenheit": "fahrenheit"}
_NO_VALUE = re.compile(r"(?:\\(?:mathrm|mathbf|mathbb|mathcal|text[a-z]*|operatorname|overline|vec|hat|begin|end|[dt]?frac)\s*|_)$")
_SUBSCRIPT = re.compile(r"_\s*\d$")
_HOUR = re.compile(r"(?:^|[^\d.])\d{1,2}$")  # in front of pm
_FOLLOWS_AS_FACTOR = re.compile(r"\s*(?:[A-Za-z0-9(\[{^_]|\\(?!(?:approx|le|ge|ne|pm|text|quad|cup|cap|in)(?![A-Za-z])|[,;: )\]}]))")
_FORMULA = re.compile(
    r"(?:[\s~{}]|\\[,; ])*(?:of\s+)?(?:\\(?:mathrm|text|ce)\s*)?\{?((?:[A-Z][a-z]?(?:_?\{?\d{1,2}\}?)?|\([A-Z][A-Za-z0-9_{}]{0,8}\)_?\{?\d\}?){1,12})"
    r"(?:\\?[}\s.]|\((?:aq|s|l|g)\))*$"
)
_ELEMENTS = frozenset(
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr Mo Ag Cd In Sn Sb Te "
    "I Xe Cs Ba W Pt Au Hg Tl Pb Bi Rn Ra Th U".split()
)
_RATE = re.compile(
    r"(?:\b(?:US|AU?|CA?|HK|NZ)\s?)?\\?([$€£¥])\s*(\d[\d,]{0,20}(?:\.\d{1,10})?)\s*(?:/|\bper\b|\ban?\b)\s*(?:\\text\s*\{\s*)?([A-Za-z]{1,20})\b\s*\}?"
)
_NATIONAL_DOLLAR = re.compile(r"\b(?:US|AU?|CA?|HK|NZ)\s?\\?\$(?=\s*\d)")
_RUPEES = re.compile(r"₹\s*(?=\d)")
_CENTS = re.compile(r"(?<=\d)\s*¢")
_SI_PAIR = re.compile(rf"(?<=[\d\s}}])\\({'|'.join(_PREFIXES)})\s*\\({'|'.join(_BASES)})(?![A-Za-z])")
_SEVERAL_WORDS = re.compile(
    r"(?<=\d)\s*((?:fl\.?|fluid|metric|nautical|light|astronomical|newton|kilowatt|watt|foot|pound|man|person)[-\s]"
    r"(?:oz\.?|ounces?|tons?|miles?|years?|units?|met(?:er|re)s?|hours?|pounds?))(?![A-Za-z])",
    re.IGNORECASE,
)
_CURRENCY_TEXT = re.compile(r"\\text\s*\{\s*(Rs\.?|USD|EUR|GBP|INR)\s*\}\s*(?=\d)")
_COMPOUND = re.compile(r"\d{1,6}(?:\.\d{1,6})?\s*[A-Za-z]{1,7}\.?(?:\s*(?:,|and)?\s*\d{1,6}(?:\.\d{1,6})?\s*[A-Za-z]{1,7}\.?){1,3}")
_NUMBER_AND_LETTERS = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)\s*([A-Za-z]{1,7})")


def fold_units(text: str) -> str:
    r"""Return `text` with every unit behind a value as one \text{...}."""
    if "\\SI" in text or "\\qty" in text:
        text = _SI_NUMBER.sub(lambda match: rf"{match[1]}\text{{{_spelled(match[2])}}}", text)
    if "\\si" in text or "\\unit" in text:
        text = _SI_UNIT.sub(lambda match: rf"\text{{{_spelled(match[1])}}}", text)
    if "$" in text or "€" in text or "£" in text or "¥" in text:
        text = _RATE.sub(r"\2\\text{\1 / \3}", text)
        text = _NATIONAL_DOLLAR.sub(r"\\$", text)
    if not text.isascii():
        text = _CENTS.sub(r"\\text{¢}", _RUPEES.sub("Rs ", text))
    if "\\" in text:
        text = _SI_PAIR.sub(r"\\text{\1\2}", text)
    text = _SEVERAL_WORDS.sub(r"\\text{\1}", text)
    if "\\text" in text:
        text = _CURRENCY_TEXT.sub(r"\1 ", text)
    if folded := _folded_compound(text):
        return folded
    return _with_runs_folded(text)


def _spelled(macros: str) -> str:
    r"""Return the unit that macros of siunitx say, in words: \kilo\meter\per\second is `kilometer second^-1`."""
    words: list[str] = []
    below = in_front = ""
    rest = macros.replace("~", " ")
    for match in _SI_MACRO.finditer(rest):
        name = match[1]
        if name == "per":
            below = "-"
        elif name in ("square", "cubic"):
            in_front = "2" if name == "square" else "3"
        elif name in ("squared", "cubed"):
            power = "2" if name == "squared" else "3"
            if words:
                words[-1] = words[-1].removesuffix("^-1") + ("^-" if words[-1].endswith("^-1") else "^") + power
        elif words and words[-1] in _PREFIXES:
            words[-1] += _ALIASES.get(name, name) + _written_power(below, in_front)
            below = in_front = ""
        elif name in _PREFIXES:
            words.append(name)
        else:
            words.append(_ALIASES.get(name, name) + _written_power(below, in_front))
            below = in_front = ""
    if words:
        return " ".join(words)
    return rest.replace("{", "").replace("}", "").replace(".", " ")


def _written_power(below: str, in_front: str) -> str:
    return f"^{below}{in_front or '1'}" if below or in_front else ""


def _folded_compound(text: str) -> str | None:
    """Return `3 h 20 min` or `6ft2in` with each unit as a text, where it is all there is and the units get smaller."""
    if not _COMPOUND.fullmatch(text):
        return None
    pieces = [(number, measure(word)) for number, word in _NUMBER_AND_LETTERS.findall(text) if word != "and"]
    words = [word for _, word in _NUMBER_AND_LETTERS.findall(text)]
    if len(words) == 2 and words == ["h", "m"]:
        words[1] = "min"
    elif words == ["h", "m", "s"]:
        words[1] = "min"
    elif words == ["m", "s"]:
        words[0] = "min"
    meanings = [measure(word) for word in words]
    known = [meaning for meaning in meanings if meaning is not None]
    if len(known) < 2 or len(known) != len(pieces) or len({dimensions for dimensions, _ in known}) != 1:
        return None
    if any(one[1] <= other[1] for one, other in zip(known, known[1:], strict=False)):
        return None
    return " ".join(rf"{number}\text{{{word}}}" for (number, _), word in zip(pieces, words, strict=True))


# -- runs


class _Run(NamedTuple):
    """A unit that was found: its phrase, where it ends, whether its letters are surely no names, and whether the grammar
    needs help with it."""

    phrase: str
    end: int
    sure: bool
    is_worth: bool


def _with_runs_folded(text: str) -> str:
    parts: list[str] = []
    done = 0
    for start in _START.finditer(text):
        place = start.start()
        if place < done or not _may_be_unit(text, place) or not _is_value_end(text, place):
            continue
        run = _read_run(text, place)
        if run is None:
            continue
        substance = _FORMULA.match(text, run.end, run.end + 80) if len(text) - run.end < 80 else None
        if substance and _is_chemical(substance[1]):
            parts += [text[done:place], rf"\text{{{run.phrase} {_letters_and_digits(substance[1])}}}"]
            done = len(text)
            break
        if not run.is_worth:
            continue
        if not run.sure and (text.count("{", 0, place) != text.count("}", 0, place) or _FOLLOWS_AS_FACTOR.match(text, run.end)):
            continue
        parts += [text[done:place], rf"\text{{{run.phrase}}}"]
        done = run.end
    return "".join((*parts, text[done:])) if parts else text


def _may_be_unit(text: str, place: int) -> bool:
    """Tell at a glance whether a unit may begin here."""
    match = _FIRST_WORD.match(text, place)
    if match is None:
        return False
    if match[1]:
        return match[1] in _OPENERS
    word = match[2]
    if word == "pm" and _HOUR.search(text[max(0, place - 4) : place]):
        return False
    return word is None or word in UNITS or word in ("per", "square", "sq", "cubic", "cu") or word[-1:] == "μ" or word.lower() in UNITS


def _is_value_end(text: str, place: int) -> bool:
    r"""Tell whether a value ends here: no subscript, and no group of a font such as \mathrm{A}."""
    before = text[max(0, place - 60) : place]
    if before.endswith("i"):
        return before.endswith("\\pi")
    if not before.endswith("}"):
        return not _SUBSCRIPT.search(before[-4:])
    depth = 0
    for index in range(len(before) - 1, -1, -1):
        depth += (before[index] == "}") - (before[index] == "{")
        if not depth:
            return not _NO_VALUE.search(before[:index])
    return False


def _read_run(text: str, place: int) -> _Run | None:
    """Return the longest unit that begins at `place`, or None."""
    writer = _Writer()
    best: _Run | None = None
    for _ in range(MAX_ELEMENTS):
        match = _ELEMENT.match(text, place)
        if match is None or not writer.take(match):
            break
        place = match.end()
        if writer.complete and (phrase := writer.phrase()) and measure(phrase) is not None:
            if text.startswith(("_", "^"), place) and not _ELEMENT.match(text, place):
                return best
            best = _Run(phrase, place, writer.sure, writer.worth_folding)
    return best


class _Writer:
    """Writes the elements of a run as a phrase; `complete` where it may end, `sure` where no letters can be names."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.open: list[str] = []  # what closes each open group
        self.sure = False
        self.complete = False
        self.degree = False
        self.has_digit = False  # behind a letter: m2
        self.argument_awaited = ""  # "first" or "second", of a fraction
        self.marked = False

    def take(self, match: re.Match[str]) -> bool:
        """Take one element; return False where a unit cannot go on with it."""
        kind, text = match.lastgroup, match[0]
        self.complete = False
        if kind in ("space", "upright"):
            self.marked |= kind == "upright"
            if kind == "space":
                self.pieces.append(" ")
            return True
        if kind == "degree":
            self.degree = self.marked = True
            return True
        if kind == "fraction":
            self.marked, self.argument_awaited = True, "first"
            return True
        if kind == "power":
            return self._take_power(text)
        if kind == "other":
            return self._take_bracket(text)
        return self._take_word(_SIGNS[text[1:]] if kind == "sign" else text)

    def _take_word(self, word: str) -> bool:
        if self.degree:
            if word not in _SCALES:
                return False
            word, self.degree = _SCALES[word], False
        if match := re.fullmatch(r"([A-Za-zμÅ]+)(-?)(\d)", word):
            if match[2] and not self.words():
                return False
            word = f"{match[1]}^{match[2]}{match[3]}"
            self.has_digit = True
        previous = "".join(self.pieces).rstrip(" ")
        joined = previous.endswith("μ") or (word == "Ω" and re.search(r"(?:^|[\s(/])[kMGm]$", previous) is not None)
        self.pieces = [previous, word] if joined else [*self.pieces, word]
        self.complete = word not in ("per", "square", "sq", "cubic", "cu", "a", "an", "of", "the")
        is_greek_name = previous.endswith("μ") and len(word) == 1  # \mu N may be friction
        self.sure |= (word in WORDS or len(word.partition("^")[0]) > 2) and not is_greek_name
        return True

    def _take_power(self, text: str) -> bool:
        if not self.pieces or not re.search(r"[A-Za-zμÅΩ]\s*\)?$", "".join(self.pieces)):
            return False
        self.pieces = ["".join(self.pieces).rstrip(" "), "^" + re.sub(r"[\s{}^*]", "", text)]
        self.complete = True
        return not self.pieces[0].endswith(")")

    def _take_bracket(self, sign: str) -> bool:
        if sign == "/":
            self.pieces.append(" / ")
        elif sign == "{":
            self.open.append(self.argument_awaited or "}")
            self.pieces.append("(" if self.argument_awaited else "")
            self.argument_awaited = ""
        elif sign == "(":
            if not "".join(self.pieces).rstrip(" ").endswith("/"):
                return False
            self.open.append(")")
            self.pieces.append("(")
        elif not self.open:
            return False
        else:
            return self._close(sign)
        return True

    def _close(self, sign: str) -> bool:
        kind = self.open.pop()
        if (kind == ")") != (sign == ")"):
            return False
        if kind == "first":
            self.argument_awaited = "second"
        self.pieces.append(") / " if kind == "first" else ")" if kind in (")", "second") else "")
        self.complete = kind != "first"
        return True

    def words(self) -> list[str]:
        """Return the words so far."""
        return re.findall(r"[A-Za-zμÅΩ]+", "".join(self.pieces))

    def phrase(self) -> str:
        """Return the phrase so far, "" inside of a group."""
        return "" if self.open else " ".join("".join(self.pieces).split())

    @property
    def worth_folding(self) -> bool:
        """Tell whether the grammar needs help: not with one plain word that it knows, nor with single letters."""
        self.sure |= self.marked
        if self.marked:
            return True
        phrase, words = self.phrase(), self.words()
        if not self.sure and len(words) > 1:
            return False
        return (phrase not in WORDS or not phrase.isascii()) and (self.has_digit or any(len(word) > 1 or word == "Å" for word in words))


def _is_chemical(formula: str) -> bool:
    """Tell whether letters are a chemical formula of more than one letter: NaCl, CO_2."""
    symbols = re.findall(r"[A-Z][a-z]?", formula)
    return all(symbol in _ELEMENTS for symbol in symbols) and len(_letters_and_digits(formula)) > 1


def _letters_and_digits(formula: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "", formula)
