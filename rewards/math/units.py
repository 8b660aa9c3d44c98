"""Phrases of units: what they measure or count, as (dimensions, factor, things), and when two of them conflict.

`km/h` is length 1 and time -1 with the factor 5/18 to the base units, meter and second; `pages per hour` is time -1 and the
thing "page". Words that are no units of measure (`dogs`, `ways`, a substance behind a unit) name things; two different ones
conflict, unless one only says more than the other. `unit_table.py` has the units.
"""

import re
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from rewards.math.unit_table import KELVIN, OTHERWISE, UNITS, Unit

MAX_PHRASE_CHARACTERS = 120
LETTERS = frozenset(name for name in UNITS if len(name) == 1) | {"\\Omega"}  # units where the other side has one too
SHORT = LETTERS - frozenset("tBSFHT")  # and those that are units beside a bare number
# Two letters that are rather a product of names, and words of English: units only behind a number, with nothing behind.
_NAMES_FIRST = frozenset((
    "as", "am", "au", "cd", "cc", "kn", "fm", "fs", "fg", "pm", "ps", "pg", "hm", "hl", "hL", "dg", "cg", "cl", "dl",
    "nl", "nL", "pt", "qt", "ly", "pc", "lm", "lx", "Gy", "Wb", "Ah", "AU", "Sv", "Bq", "ML", "Ml", "Mg", "Mm", "Gm",
    "kB", "MB", "GB", "TB", "PJ", "EJ", "GJ", "TJ", "MJ", "mJ", "nJ", "pJ", "fJ", "GN", "MN", "mN", "nN", "pN", "MW",
    "GW", "TW", "PW", "nW", "pW", "fW", "GV", "MV", "nV", "pV", "MA", "nA", "pA", "fA", "kC", "mC", "nC", "pC", "fC",
    "mF", "nF", "pF", "fF", "mH", "nH", "pH", "kT", "mT", "nT", "pT", "kK", "MK", "mK", "nK", "kS", "mS", "nS", "mM",
    "nM", "pM",
))  # fmt: skip
WORDS = frozenset(name for name in UNITS if len(name) > 1 and name not in _NAMES_FIRST) | {
    "mod", "percent", "percentage", "pct", "degree", "degrees", "sq", "deg",
}  # fmt: skip
_POWERS_IN_FRONT = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}
_POWERS_BEHIND = {"squared": 2, "cubed": 3, "sq": 2}
_PER_WHAT = "second|minute|hour|day|week|month|year|piece|person|pound|head|dozen|share|gallon"
_SEVERAL_WORDS = (
    (re.compile(r"\bfl(?:uid)?\.?\s*(?:oz|ounces?)\b\.?", re.IGNORECASE), "floz"),
    (re.compile(r"\b(light|kilowatt|watt|ampere|amp|megawatt)[- ]?(year|hour)(s?)\b", re.IGNORECASE), r"\1\2\3"),
    (re.compile(r"\bmetric tons?\b", re.IGNORECASE), "tonne"),
    (re.compile(r"\bnautical miles?\b", re.IGNORECASE), "nmi"),
    (re.compile(r"\bastronomical units?\b", re.IGNORECASE), "AU"),
    (re.compile(r"\bdeg(?:rees?)?\.? (?:celsius|C)\b"), "celsius"),
    (re.compile(r"\bdeg(?:rees?)?\.? (?:fahrenheit|F)\b"), "fahrenheit"),
    (re.compile(r"\b(?:degrees? )?(celsius|fahrenheit)\b", re.IGNORECASE), r"\1"),
    (re.compile(r"\bpounds? sterling\b", re.IGNORECASE), "GBP"),
    (re.compile(r"\bpercentage points?\b", re.IGNORECASE), "percentagepoint"),
    (re.compile(r"\bto\s*the\s*power\s*of\b"), "^"),
    (re.compile(r"^\s*in (?=(?:total|all|the|each|every|this|that|any)\b)"), ""),
    (re.compile(rf"(?<=\w) an? (?=(?:{_PER_WHAT})\b)"), " per "),
    (re.compile(rf"^an? (?=(?:{_PER_WHAT})$)"), "per "),
)  # fmt: skip
_PIECE = re.compile(
    r"([A-Za-zμΩÅ$€£¥¢₹₽₦₱₩₺₫Ååö]+\d?\d?[A-Za-z0-9]*)(?:\s*\^\s*\{?\s*([-+]?\d)\s*\}?)?|(/)|(\()|(\))|[-\s.*,]", re.ASCII
)
_WORD_AND_POWER = re.compile(r"([A-Za-zμ]+)([23])", re.ASCII)
_FILLER = frozenset((
    "of", "the", "a", "an", "in", "about", "exactly", "total", "distinct", "different", "possible", "such", "all", "altogether",
    "more", "overall", "each", "altogether", "just", "whole", "full", "unique", "separate",
))  # fmt: skip
_IRREGULAR = {"children": "child", "people": "person", "men": "man", "women": "woman", "mice": "mouse", "geese": "goose",
              "teeth": "tooth", "dice": "die", "vertices": "vertex", "matrices": "matrix", "indices": "index"}  # fmt: skip
NO_UNIT = re.compile(
    r"\b(?:is|are|was|were|be|because|since|so|then|thus|hence|not|maybe|perhaps|possibly|if|when|where|which|that|this|while|but|or|"
    r"either|than|less|more|least|most|approximately|return|print|import|else|for|with|given|unless|except|other|plus|minus|times|"
    r"divided|equals?|no|never|wrong|incorrect|undefined|unknown|between|up|down|true|false|none)\b",
    re.IGNORECASE,
)
UNSURE = "'"  # behind a unit whose letters may be names: kT, pV
ORDINAL = "th"  # the thing that an ordinal counts: the 7th floor is 7 "th floor"


class Amount(NamedTuple):
    """What a phrase says of a number: sorted dimensions, the factor to the base units, and what is counted.

    `things` stand above and `per` below the slash: 3 cookies per person.
    """

    dimensions: tuple[tuple[str, int], ...]
    factor: Fraction
    things: frozenset[str] = frozenset()
    per: frozenset[str] = frozenset()


Measure = tuple[tuple[tuple[str, int], ...], Fraction]
_SAME_SIZE = Fraction(1)


# -- from a phrase to what it means


def _pieces(phrase: str) -> list[tuple[str, ...]] | None:
    """Return the pieces of a phrase as (word, power, slash, opening, closing), or None where other signs are in it."""
    for sign, plain in (
        ("\u03bc", "μ"),
        ("\u00b5", "μ"),
        ("\\mu", "μ"),
        ("\\Omega", "Ω"),
        ("\\cdot", " "),
        ("·", " "),
        ("\u212b", "Å"),
    ):
        phrase = phrase.replace(sign, plain)
    phrase = phrase.removesuffix(UNSURE)
    phrase = re.sub(r"\b([kMm]|μ)\s+Ω", r"\1Ω", phrase)
    for pattern, words in _SEVERAL_WORDS:
        phrase = pattern.sub(words, phrase)
    phrase = re.sub(r"(?<![A-Za-z])per(?![A-Za-z])", "/", phrase)
    return None if _PIECE.sub("", phrase).strip() else [piece for piece in _PIECE.findall(phrase) if any(piece)]


def _known(word: str) -> Unit | None:
    """Return (dimensions, size) of a unit; long names may have capitals, short ones differ by them: mg and Mg."""
    return UNITS.get(word) or UNITS.get(word.lower() if len(word) > 3 else "")


# Symbols that are written side by side: Nm, Jkg^{-1}, and ms^{-1}, which is hardly ever "per millisecond".
_COMPACT = (
    "mol", "rad", "kJ", "kW", "kN", "kg", "km", "cm", "dm", "mg", "mL", "eV", "Pa", "Hz", "N", "J", "W", "V", "A", "K", "C",
    "T", "L", "m", "s", "g", "h",
)  # fmt: skip
_CAPITALS_BELOW = frozenset(("JK", "NC", "JC", "WK", "VA", "JT"))  # JK^{-1}
COMPACT_WORDS = frozenset(("Nm", "Ns", "Js", "Vs", "As", "Ws", "Jkg"))  # without a power: others may be products of names


def _side_by_side(word: str, power: str) -> tuple[str, ...]:
    """Return the symbols of `Nm` or of `kgms` with a negative power; () where the word is a unit itself or none at all."""
    below = power.startswith("-")
    if below and word in _CAPITALS_BELOW:
        return word[0], word[1]
    if (word in UNITS and not (below and word in ("ms", "kms"))) or len(word) > 8 or word.isupper() or not word.isascii():
        return ()
    if not below and (word.islower() or (word not in COMPACT_WORDS and len(word) < 3)):
        return ()
    return _symbols(word, 3)


def _symbols(word: str, most: int) -> tuple[str, ...]:
    if not word:
        return ()
    for symbol in _COMPACT if most else ():
        rest = word[len(symbol) :]
        if word.startswith(symbol) and (not rest or _symbols(rest, most - 1)):
            return symbol, *_symbols(rest, most - 1)
    return ()


class _Reader:
    """Adds up the pieces of a phrase; all that follows a slash is below it, up to the bracket that closes around."""

    def __init__(self) -> None:
        self.dimensions: dict[str, int] = {}
        self.factor = Fraction(1)
        self.things: set[str] = set()
        self.per: set[str] = set()
        self.sides = [1]  # of each open bracket: 1 above and -1 below the slash
        self.power_in_front = 1
        self.last: Unit | None = None

    def read(self, pieces: list[tuple[str, ...]]) -> bool:
        """Take all pieces; return whether the brackets are in order."""
        for word, power, slash, opening, closing in pieces:
            if slash:
                self.sides[-1] = -abs(self.sides[-1]) if len(self.sides) == 1 else -self._outer()
            elif opening:
                self.sides.append(self.sides[-1])
            elif closing:
                if len(self.sides) == 1:
                    return False
                self.sides.pop()
            else:
                self._take(word, power)
        return len(self.sides) == 1 and self.power_in_front == 1

    def _outer(self) -> int:
        return self.sides[-2]

    def _take(self, word: str, written_power: str) -> None:
        if word in _POWERS_IN_FRONT and not (word == "sq" and self.last is not None):
            self.power_in_front = _POWERS_IN_FRONT[word]
            return
        if word in _POWERS_BEHIND and self.last is not None:
            self._count(self.last, _POWERS_BEHIND[word] - 1)  # the unit itself has been counted once
            return
        if parts := _side_by_side(word, written_power):
            for part in parts[:-1]:
                self._count(UNITS[part], 1)
            word = parts[-1]
        known = _known(word)
        if known is None and (match := _WORD_AND_POWER.fullmatch(word)) and not written_power:  # cm2, but not H2
            base = _known(match[1])
            if base and base[0] == {"length": 1}:
                known, written_power = base, match[2]
        if word == "Mg" and self.last is not None and {"mass", "amount"} & self.last[0].keys():  # 5 g of magnesium
            known = None
        if known is None:
            (self.things if self.sides[-1] > 0 else self.per).add(_singular(word))
        else:
            self._count(known, int(written_power or 1) * self.power_in_front)
        self.power_in_front, self.last = 1, known

    def _count(self, unit: Unit, power: int) -> None:
        dimensions, size = unit
        power *= self.sides[-1]
        for base, inner in dimensions.items():
            self.dimensions[base] = self.dimensions.get(base, 0) + power * inner
        self.factor *= size**power

    def amount(self) -> Amount:
        """Return what has been read; a temperature inside of a product is a difference of temperatures."""
        present = {name: power for name, power in self.dimensions.items() if power}
        for scale in ("celsius", "fahrenheit"):
            if scale in present and present != {scale: 1}:
                power = present.pop(scale)
                self.factor *= KELVIN[scale][0] ** power
                present["temperature"] = present.get("temperature", 0) + power
        dimensions = tuple(sorted(pair for pair in present.items() if pair[1]))
        return Amount(dimensions, self.factor, frozenset(self.things - _FILLER), frozenset(self.per - _FILLER))


@lru_cache(maxsize=2048)
def amount(phrase: str) -> Amount | None:
    """Return what a phrase says of the number in front of it, or None where it has signs that no unit has."""
    if len(phrase) > MAX_PHRASE_CHARACTERS:
        return None
    pieces, reader = _pieces(phrase), _Reader()
    if not pieces or not reader.read(pieces):
        return None
    return reader.amount()


def measure(phrase: str) -> Measure | None:
    """Return (sorted dimensions with exponents, factor to the base unit), or None for a phrase that is no unit alone."""
    meaning = amount(phrase)
    if meaning is None or meaning.things or meaning.per:
        return None
    return meaning.dimensions, meaning.factor


def _singular(word: str) -> str:
    """Return a word of English without its plural, in small letters."""
    word = word.lower()
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) < 4 or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith("ves"):
        return word[:-3] + "f"
    if word.endswith(("xes", "ches", "shes", "sses", "zes")):
        return word[:-2]
    if word.endswith("fe"):
        return word[:-1]
    return word[:-1] if word.endswith("s") else word


# -- two phrases


def ratio(gold: str, answer: str) -> Fraction | None:
    """Return by what to multiply a value in `answer` units to have `gold` units, or None where the two conflict."""
    for left in _meanings(gold):
        for right in _meanings(answer):
            if (factor := _ratio(left, right)) is not None:
                return factor
    return None


def _meanings(phrase: str) -> list[Amount]:
    """Return what a phrase may mean; only a symbol that stands alone has two meanings."""
    first = amount(phrase)
    if first is None:
        return []
    other = OTHERWISE.get(phrase.strip())
    return [first] if other is None else [first, Amount(tuple(other[0].items()), other[1])]


def _ratio(left: Amount, right: Amount) -> Fraction | None:
    if not _same_things(left, right):
        return None
    if _dimensions_agree(left, right):
        return right.factor / left.factor
    return _SAME_SIZE if _only_counts(left, right) or _only_counts(right, left) else None


def _same_things(left: Amount, right: Amount) -> bool:
    """Tell whether one side only says more of what is counted; an ordinal is no number of things."""
    for one, other in ((left.things, right.things), (left.per, right.per)):
        if not (one <= other or other <= one):
            return False
    ordinals = (ORDINAL in left.things) - (ORDINAL in right.things)
    return not ordinals


def _dimensions_agree(left: Amount, right: Amount) -> bool:
    """Tell whether both measure the same; a turn or a radian per second may be written as 1/s."""
    if left.dimensions == right.dimensions:
        return True
    one, other = dict(left.dimensions), dict(right.dimensions)
    for angle in ("turn", "radian"):
        if (
            (angle in one) != (angle in other)
            and len(one) != len(other)
            and {"turn", "radian"} & one.keys() & other.keys() == set()
        ):
            longer, shorter = (one, other) if angle in one else (other, one)
            if (
                not {"turn", "radian"} & shorter.keys()
                and {n: p for n, p in longer.items() if n != angle} == shorter
                and shorter
            ):
                return True
    return False


def _only_counts(plain: Amount, full: Amount) -> bool:
    """Tell whether `plain` says less than the unit of `full`: `units`, `square units`, or an amount without "per day"."""
    units = dict(plain.dimensions).get("unit")
    if units and len(plain.dimensions) == 1:
        return (units == 1 and "unit" not in dict(full.dimensions)) or full.dimensions == (("length", units),)
    above = {name: power for name, power in full.dimensions if power > 0}
    is_price_or_count = not above.keys() - {"dollar", "euro", "rupee"}
    below = {name for name, power in full.dimensions if power < 0}
    is_rate = bool(below or full.per) and (bool(above) or below <= {"time", "month"})
    return is_rate and is_price_or_count and not plain.per and dict(plain.dimensions) == above and plain.factor == _SAME_SIZE


def temperature(phrase: str) -> tuple[Fraction, Fraction] | None:
    """Return (factor, offset) to kelvin of a temperature scale, or None."""
    meaning = measure(phrase)
    if meaning is None or len(meaning[0]) != 1:
        return None
    dimension, power = meaning[0][0]
    if power != 1 or dimension not in KELVIN:
        return None
    factor, offset = KELVIN[dimension]
    return factor * meaning[1], offset
