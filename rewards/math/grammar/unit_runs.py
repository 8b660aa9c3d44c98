r"""Units as people write them, folded into one text each: `9.8\mathrm{~m}\mathrm{~s}^{-2}` becomes `9.8\text{m s^-2}`.

A run of upright letters, powers, slashes, dots and spaces behind a value is a unit where `units.measure` knows all of it;
anything else stays as it was. Letters that are not upright are names first: `5 T` is left to the comparison, and `5 mT` is a
unit only where nothing follows that could be a factor. The macros of siunitx are spelled out before.
"""

import re
from itertools import pairwise
from typing import NamedTuple

from rewards.math.grammar.si_macros import spelled_out
from rewards.math.grammar.substances import substance_behind
from rewards.math.units import UNSURE, WORDS, measure

MAX_ELEMENTS = 60  # of one run
MAX_RUNS = 200  # in one text
MAX_COMPOUND_CHARACTERS = 80
_ELEMENT = re.compile(
    r"(?P<joint>[-.](?=[A-Za-z]{2}|[A-Za-z](?![A-Za-z])[\s^/.{-]))"
    r"|(?P<space>[\s~]|\\[,;:! ]|\\(?:quad|thinspace|cdot|times)(?![A-Za-z])|\*|\.(?=[\s})]|$))"
    r"|(?P<upright>\\(?:mathrm|mathsf|mathit|operatorname|mbox|hbox|rm|text(?:rm|up|normal|sf|it|bf)?)(?![A-Za-z])\*?)"
    r"|(?P<degree>\^\s*(?:\\circ(?![A-Za-z])|\{\s*\\circ\s*\})|\\degree(?![A-Za-z]))"
    r"|(?P<power>\^\s*(?:\{\s*[-+]?\d\s*\}|[-+]?\d(?!\d))|\*\*\s*\d)"
    r"|(?P<fraction>\\[dt]?frac(?![A-Za-z]))"
    r"|(?P<sign>\\(?:mu|Omega|AA|ohm|micro|angstrom)(?![A-Za-z]))"
    r"|(?P<other>[{}()/])"
    r"|(?P<word>[A-Za-zμÅ]+(?:-?[1-4](?![\d.]))?)"
)
# No unit is worth folding without this: two letters, upright type, a sign of a unit or of money.
_HINT = re.compile(
    r"(?<![\\A-Za-z])[A-Za-z]{2}|\\(?:math|text|[mh]box|oper|rm|SI|si|qty|unit|AA|circ|deg|mu|mi[cl]|kilo|centi|nano|Om|ohm|ang|num)"
    r"|[$\x7f-\uffff]|m[23]|\d\s?h|\[[A-Za-z]|\d,\d|/-|[a-z]\.[a-z]|[a-z] [a-z]-\d"
)
_DECIMAL_COMMA = re.compile(r"([-+]?0|[-+]?\d{1,3}(?=,\d{1,2}\\text)),(\d{1,9})(\s?[A-Za-z]|\\text\{(?!th|and|or)[^{}]*\})")
_START = re.compile(r"(?<=[\d}).i])(?=\s*[A-Za-zμÅ\\~{^(\[])")
_OPENING = re.compile(r"(?:[\s~]|\\[,;: ]){0,8}(?:\\left\s*)?[(\[]")
_CLOSING = re.compile(r"\s*(?:\\right\s*)?[)\]](?=\s*(?:$|[,;.=}]|and\b|or\b))")
_FIRST_WORD = re.compile(r"(?:[\s~{}(\[]|\\left|\\[,;:! ]){0,8}(?:\\([A-Za-z]+)|\^|([A-Za-zμÅ]+))")
_OPENERS = frozenset((
    "mathrm", "mathsf", "mathit", "operatorname", "mbox", "hbox", "rm", "text", "textrm", "textup", "textnormal",
    "textsf", "textit", "textbf", "frac", "dfrac", "tfrac", "mu", "Omega", "AA", "ohm", "micro", "angstrom", "degree",
    "quad", "thinspace", "cdot",
))  # fmt: skip
_SIGNS = {"mu": "μ", "micro": "μ", "Omega": "Ω", "ohm": "Ω", "AA": "Å", "angstrom": "Å"}
_SCALES = {"C": "celsius", "F": "fahrenheit", "K": "kelvin", "Celsius": "celsius", "Fahrenheit": "fahrenheit"}
_NO_VALUE = re.compile(
    r"(?:\\(?:mathrm|mathbf|mathbb|mathcal|text[a-z]*|operatorname|overline|vec|hat|begin|end|[dt]?frac)\s*|_)$"
)
_SUBSCRIPT = re.compile(r"_\s*\d$")
_POWERS_IN_FRONT = frozenset(("per", "square", "sq", "cubic", "cu"))
_SPACED_POWERS = re.compile(r"[A-Za-z^0-9 ]+ [A-Za-z]+\^-\d")
_RATHER_NAMES = frozenset(("mg", "nm", "ms", "ns", "mA", "mV", "nV"))  # with no space in front, or behind a fraction
_HOUR = re.compile(r"(?:^|[^\d.])\d{1,2}(?:\.[0-5]\d)?$")  # in front of pm
_FOLLOWS_AS_FACTOR = re.compile(
    r"\s*(?:[A-Za-z0-9(\[{^_]|\\(?!(?:approx|le|ge|ne|pm|text|quad|cup|cap|in)(?![A-Za-z])|[,;: )\]}]))"
)
_RATE = re.compile(
    r"(?:\b(?:US|AU?|CA?|HK|NZ)\s?)?\\?([$€£¥])\s*(\d[\d,]{0,20}(?:\.\d{1,10})?)\s*(?:/|\bper\b|\ban?\b)\s*(?:\\text\s*\{\s*)?([A-Za-z]{1,20})\b\s*\}?"
)
_SCALED_MONEY = re.compile(r"([$€£¥])\s*(\d[\d,]{0,20}(?:\.\d{1,10})?)\s?(k|K|[mM]n?|bn?|Bn?|tn)(?![A-Za-z\d^_])")
_SCALES_OF_MONEY = {"k": "thousand", "m": "million", "b": "billion", "t": "trillion"}
_SHOP_PRICE = re.compile(r"(\d)\s?/-(?=\s*(?:$|[.,;)}]))")
_RUPEES_DOT = re.compile(r"\b(Rs|rs|INR)\.\s?(?=\d)")
_NATIONAL_DOLLAR = re.compile(r"\b(?:US|AU?|CA?|HK|NZ)\s?\\?\$(?=\s*\d)")
_RUPEES = re.compile(r"₹\s*(?=\d)")
_SIGN_IN_FRONT = re.compile(r"([₦₱₩₽₺₫])\s*(\d[\d,]{0,20}(?:\.\d{1,10})?)")
_DIRECTION = re.compile(r"\bto(?:wards?)? (?:the|its) (right|left|north|south|east|west)\b")
_CENTS = re.compile(r"(?<=\d)\s*¢")
_SEVERAL_WORDS = re.compile(
    r"(\d)\s*((?:fl\.?|fluid|metric|nautical|light|astronomical|newton|kilowatt|watt|foot|pound|man|person)[-\s]"
    r"(?:oz\.?|ounces?|tons?|miles?|years?|units?|met(?:er|re)s?|hours?|pounds?))(?![A-Za-z])",
    re.IGNORECASE,
)
_DOLLAR_BEHIND = re.compile(r"(\d)\s?\\\$(?!\s*[\d.])")
_CURRENCY_TEXT = re.compile(r"\\text\s*\{\s*(Rs\.?|USD|EUR|GBP|INR)\s*\}\s*(?=\d)")
_COMPOUND = re.compile(
    r"\d{1,6}(?:\.\d{1,6})?\s*[A-Za-z]{1,7}\.?(?:\s*,?\s*(?:and)?\s*\d{1,6}(?:\.\d{1,6})?\s*[A-Za-z]{1,7}\.?){1,3}"
)
_NUMBER_AND_LETTERS = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)\s*([A-Za-z]{1,7})")


def fold_units(text: str) -> str:
    r"""Return `text` with every unit behind a value as one \text{...}."""
    if not _HINT.search(text):
        return text
    text = spelled_out(text) if "\\" in text else text
    if "$" in text or "€" in text or "£" in text or "¥" in text:
        text = _SCALED_MONEY.sub(lambda match: f"{match[1]}{match[2]} {_SCALES_OF_MONEY[match[3][0].lower()]}", text)
        text = _RATE.sub(r"\2\\text{\1 / \3}", text)
        text = _NATIONAL_DOLLAR.sub(r"\\$", text)
        text = _DOLLAR_BEHIND.sub(r"\1\\text{$}", text)
    if not text.isascii():
        text = _CENTS.sub(r"\\text{¢}", _RUPEES.sub("Rs ", text))
        text = _SIGN_IN_FRONT.sub(r"\2\\text{\1}", text)
    if "/-" in text:
        text = _SHOP_PRICE.sub(r"\1", text)
    if "s." in text or "R." in text:
        text = _RUPEES_DOT.sub("Rs ", text)
    text = _DIRECTION.sub(r"\\text{\1}", text) if " to" in text else text
    text = _SEVERAL_WORDS.sub(r"\1\\text{\2}", text)
    if "\\text" in text:
        text = _CURRENCY_TEXT.sub(r"\1 ", text)
    if folded := _folded_compound(text):
        return folded
    text = _with_runs_folded(text)
    if (comma := _DECIMAL_COMMA.match(text)) and comma.end() == len(text):  # 0,5 m
        return f"{comma[1]}.{comma[2]}{comma[3]}"
    return text


def _folded_compound(text: str) -> str | None:
    """Return `3 h 20 min` or `6ft2in` with each unit as a text, where it is all there is and the units get smaller."""
    if len(text) > MAX_COMPOUND_CHARACTERS or not _COMPOUND.fullmatch(text):
        return None
    pieces = [(number, measure(word)) for number, word in _NUMBER_AND_LETTERS.findall(text) if word != "and"]
    words = [word for _, word in _NUMBER_AND_LETTERS.findall(text)]
    if (len(words) == 2 and words == ["h", "m"]) or words == ["h", "m", "s"]:
        words[1] = "min"
    elif words == ["m", "s"]:
        words[0] = "min"
    meanings = [measure(word) for word in words]
    known = [meaning for meaning in meanings if meaning is not None]
    if len(known) < 2 or len(known) != len(pieces) or len({dimensions for dimensions, _ in known}) != 1:
        return None
    if any(one[1] <= other[1] for one, other in pairwise(known)):
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
    done = runs = 0
    for start in _START.finditer(text):
        place = start.start()
        if place < done or not _may_be_unit(text, place) or not _is_value_end(text, place):
            continue
        runs += 1
        run = (_read_bracketed(text, place) or _read_run(text, place)) if runs <= MAX_RUNS else None
        if run is None:
            continue
        before = text[max(0, place - 8) : place]
        is_quotient = before.endswith("}") or "/" in before or "frac" in before
        if run.phrase in _RATHER_NAMES and not run.is_worth and (text[place].isalpha() or is_quotient):  # 2mg may be a weight
            run = run._replace(sure=False, is_worth=True)
        if run.end == len(text) and _SPACED_POWERS.fullmatch(run.phrase) and " " in text[place : run.end].strip():
            run = run._replace(sure=True, is_worth=True)  # m s-1
        if formula := substance_behind(text, run.end):
            parts += [text[done:place], rf"\text{{{run.phrase} {formula}}}"]
            done = len(text)
            break
        if not run.is_worth:
            continue
        if not run.sure and (text.count("{", 0, place) != text.count("}", 0, place) or _FOLLOWS_AS_FACTOR.match(text, run.end)):
            continue
        parts += [text[done:place], rf"\text{{{run.phrase}{'' if run.sure else UNSURE}}}"]
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
    if word is None:
        return True
    if word == "pm" and _HOUR.search(text[max(0, place - 6) : place]):
        return False
    return word in _POWERS_IN_FRONT or word[-1] == "μ" or measure(word) is not None or measure(f"{word}^-1") is not None


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
            is_worth = writer.worth_folding
            best = _Run(phrase, place, writer.sure, is_worth)
    return best


def _read_bracketed(text: str, place: int) -> _Run | None:
    """Return a unit in brackets of its own, as in `5 (cm)` and `5 [m/s]`, or None."""
    opening = _OPENING.match(text, place)
    run = _read_run(text, opening.end()) if opening else None
    if opening is None or run is None or not (run.sure or (opening[0].endswith("[") and "/" in run.phrase)):
        return None
    closing = _CLOSING.match(text, run.end)
    return run._replace(end=closing.end(), is_worth=True) if closing else None


class _Writer:
    """Writes the elements of a run as a phrase; `complete` where it may end, `sure` where no letters can be names."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.open: list[str] = []  # what closes each open group
        self.sure = False
        self.complete = False
        self.degree = False
        self.needs_help = False  # a digit behind a letter or a dot between two: m2, N.m
        self.argument_awaited = ""  # "first" or "second", of a fraction
        self.marked = False

    def take(self, match: re.Match[str]) -> bool:
        """Take one element; return False where a unit cannot go on with it."""
        kind, text = match.lastgroup, match[0]
        self.complete = False
        if kind == "joint":  # N.m, square-feet
            self.pieces.append(" ")
            self.sure |= text == "."
            self.needs_help |= text == "."
            return bool(self.words())
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
            self.needs_help = True
        previous = "".join(self.pieces).rstrip(" ")
        joined = previous.endswith("μ") or (word == "Ω" and re.search(r"(?:^|[\s(/])[kMGm]$", previous) is not None)
        self.pieces = [previous, word] if joined else [*self.pieces, word]
        self.complete = word not in _POWERS_IN_FRONT and word not in ("a", "an", "of", "the")
        self.sure |= "^-" in word and measure(word) is not None
        is_greek_name = previous.endswith("μ") and len(word) == 1  # \mu N may be friction
        self.sure |= (word in WORDS or len(word.partition("^")[0]) > 2) and not is_greek_name
        return True

    def _take_power(self, text: str) -> bool:
        if not self.pieces or not re.search(r"[A-Za-zμÅΩ]\s*\)?$", "".join(self.pieces)):
            return False
        self.pieces = ["".join(self.pieces).rstrip(" "), "^" + re.sub(r"[\s{}^*]", "", text)]
        self.complete = True
        self.sure |= text.count("-") > 0 and len(self.words()[-1]) > 1
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
        return (phrase not in WORDS or not phrase.isascii()) and (
            self.needs_help or any(len(word) > 1 or word == "Å" for word in words)
        )
