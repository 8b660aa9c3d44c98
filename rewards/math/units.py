"""Units of measure: what a unit phrase means as (dimensions, factor), and when two of them conflict.

A phrase such as `km/h`, `square inches` or `m s^{-1}` becomes a product of known units: `km/h` is length 1 and time -1 with
the factor 5/18 to the base units, meter and second. Words that are no units of measure (`dogs`, `ways`) count things; two
different ones conflict, unless one only says more than the other.
"""

import re
from fractions import Fraction
from functools import lru_cache

_F = Fraction
_INCH, _POUND = _F("0.0254"), _F("0.45359237")
_BASE: dict[str, tuple[str, Fraction]] = {}  # name -> (dimension, size in its base unit)


def _define(dimension: str, factor: Fraction | int, names: str) -> None:
    """Enter the names, space between them, of one unit."""
    for name in names.split():
        _BASE[name] = (dimension, Fraction(factor))


for _prefix, _long, _power in (("k", "kilo", 3), ("", "", 0), ("d", "deci", -1), ("c", "centi", -2), ("m", "milli", -3),
                               ("μ", "micro", -6), ("n", "nano", -9)):  # fmt: skip
    _ten = _F(10) ** _power
    _define("length", _ten, f"{_prefix}m {_long}meter {_long}meters {_long}metre {_long}metres")
    _define("mass", _ten / 1000, f"{_prefix}g {_long}gram {_long}grams {_long}gramme {_long}grammes")
    _define("volume", _ten / 1000, f"{_prefix}l {_prefix}L {_long}liter {_long}liters {_long}litre {_long}litres")
    _define("energy", _ten, f"{_prefix}J {_long}joule {_long}joules")
    _define("power", _ten, f"{_prefix}W {_long}watt {_long}watts")
    _define("force", _ten, f"{_prefix}N {_long}newton {_long}newtons")
    _define("voltage", _ten, f"{_prefix}V {_long}volt {_long}volts")
    _define("current", _ten, f"{_prefix}A {_long}ampere {_long}amperes {_long}amps")
    _define("frequency", _ten, f"{_prefix}Hz {_long}hertz")
    _define("pressure", _ten, f"{_prefix}Pa {_long}pascal {_long}pascals")
    _define("amount", _ten, f"{_prefix}mol {_prefix}mols {_long}mole {_long}moles")
    _define("resistance", _ten, f"{_prefix}Ω {_prefix}ohm {_prefix}ohms {_long}ohm {_long}ohms")
    if _power <= 0:
        _define("time", _ten, f"{_prefix}s {_long}second {_long}seconds")
_define("time", 1, "sec secs")
_define("time", 60, "min mins minute minutes")
_define("time", 3600, "h hr hrs hour hours")
_define("time", 86400, "day days")
_define("time", 604800, "week weeks wk wks")
_define("month", 1, "month months")
_define("month", 12, "year years yr yrs")
_define("length", _INCH, "in inch inches")
_define("length", _INCH * 12, "ft foot feet")
_define("length", _INCH * 36, "yd yds yard yards")
_define("length", _INCH * 63360, "mi mile miles")
_define("mass", _POUND, "lb lbs pound pounds")
_define("mass", _POUND / 16, "oz ounce ounces")
_define("mass", 1000, "tonne tonnes")
_define("mass", _POUND * 2000, "ton tons")
_define("volume", _F("0.003785411784"), "gal gals gallon gallons")
_define("volume", _F("0.000946352946"), "qt quart quarts")
_define("volume", _F("0.000473176473"), "pt pint pints")
_define("volume", _F("0.0002365882365"), "cup cups")
_define("area", _F("4046.8564224"), "acre acres")
_define("area", 10000, "ha hectare hectares")
_define("dollar", 1, "dollar dollars USD usd $ buck bucks")
_define("dollar", _F(1, 100), "cent cents ¢ penny pennies")
_define("euro", 1, "euro euros EUR €")
_define("pound sterling", 1, "£ GBP")
_define("yen", 1, "¥ yen JPY")
_define("rupee", 1, "rupee rupees Rs INR ₹")
_define("celsius", 1, "Celsius celsius degC")
_define("fahrenheit", 1, "Fahrenheit fahrenheit degF")
_define("kelvin", 1, "K kelvin Kelvin kelvins")
_define("speed", _INCH * 63360 / 3600, "mph")
_define("speed", _F(1000, 3600), "kph kmh kmph")
_define("pressure", 101325, "atm")
_define("pressure", 100000, "bar bars")
_define("resistance", 10**6, "MΩ Mohm Mohms megaohm megaohms megohm megohms")
_define("energy", _F("1.602176634e-19"), "eV")
_define("energy", _F("4.184"), "cal calorie calories")
_define("energy", _F("4184"), "kcal")
_define("charge", 1, "coulomb coulombs")
_define("", 1, "unit units rad rads radian radians")
_define("", 12, "dozen")
_DERIVED = {
    "area": {"length": 2}, "volume": {"length": 3}, "speed": {"length": 1, "time": -1},
    "force": {"mass": 1, "length": 1, "time": -2}, "energy": {"mass": 1, "length": 2, "time": -2},
    "power": {"mass": 1, "length": 2, "time": -3}, "frequency": {"time": -1},
    "pressure": {"mass": 1, "length": -1, "time": -2},
}  # fmt: skip
SHORT = frozenset(name for name in _BASE if len(name) == 1) | {"\\Omega", "M", "C"}
WORDS = frozenset(name for name in _BASE if len(name) > 1) | {
    "mod", "percent", "percentage", "pct", "degree", "degrees", "sq", "deg",
}  # fmt: skip
_POWERS_IN_FRONT = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}
_POWERS_BEHIND = {"squared": 2, "cubed": 3}
_OHMS = re.compile(r"(?:\b([kMm])\s*)?\\Omega(?![A-Za-z])")
_PIECE = re.compile(r"([A-Za-zμΩ$€£¥¢₹]+)(?:\s*\^?\s*\{?\s*([-+]?\d)\s*\}?)?|(/)|(\()|(\))", re.ASCII)
_FILLER = frozenset(
    ["of", "the", "a", "an", "in", "about", "exactly", "total", "distinct", "different", "possible", "such", "all"]
)
NO_UNIT = re.compile(
    r"\b(?:is|are|was|were|be|because|since|so|then|thus|hence|not|maybe|perhaps|possibly|if|when|where|which|that|this|while|but|or|"
    r"either|than|less|more|least|most|approximately|return|print|import|else|for|with|given|unless|except|other|plus|minus|times|"
    r"divided|equals?|no|never|wrong|incorrect|undefined|unknown|between|up|down|true|false|none)\b",
    re.IGNORECASE,
)

Measure = tuple[tuple[tuple[str, int], ...], Fraction]
_SAME_SIZE = Fraction(1)


def _pieces(phrase: str) -> list[tuple[str, str, str, str, str]] | None:
    """Return the pieces of a phrase as (word, power, slash, opening, closing), or None where other signs are in it."""
    phrase = phrase.replace("\u03bc", "μ").replace("\\mu", "μ").replace("\\cdot", " ").replace("*", " ").replace(".", " ")
    phrase = _OHMS.sub(lambda match: f"{match[1] or ''}Ω", phrase).replace(" per ", " / ")
    return None if _PIECE.sub("", phrase).strip() else _PIECE.findall(phrase)


def _known(word: str) -> tuple[str, Fraction] | None:
    """Return (dimension, size) of a unit; long names may have capitals, short ones differ by them: mg and Mg."""
    return _BASE.get(word) or _BASE.get(word.lower() if len(word) > 3 else "")


@lru_cache(maxsize=2048)
def measure(phrase: str) -> Measure | None:
    """Return (sorted dimensions with exponents, factor to the base unit), or None for a phrase that is no unit."""
    pieces = _pieces(phrase)
    if not pieces:
        return None
    dimensions: dict[str, int] = {}
    factor = Fraction(1)
    side = 1  # 1 above and -1 below the slash; all that follows a slash is below it
    power_in_front = 1
    last: tuple[str, Fraction] | None = None
    for word, written_power, slash, _opening, _closing in pieces:
        if slash:
            side = -1
        if not word:
            continue
        if word in _POWERS_IN_FRONT:
            power_in_front = _POWERS_IN_FRONT[word]
            continue
        if word in _POWERS_BEHIND and last is not None:
            unit = last
            power = _POWERS_BEHIND[word] - 1  # the unit itself has been counted once
        else:
            known = _known(word)
            if known is None:
                return None
            unit = known
            power = int(written_power or 1) * power_in_front
        power_in_front, last = 1, unit
        dimension, size = unit
        for base, inner_power in _DERIVED.get(dimension, {dimension: 1}).items():
            dimensions[base] = dimensions.get(base, 0) + side * power * inner_power
        factor *= size ** (side * power)
    present = tuple(sorted((name, power) for name, power in dimensions.items() if name and power))
    return present, factor


def _counted(phrase: str) -> frozenset[str]:
    """Return the words of a phrase that counts things, in the singular."""
    words = re.findall(r"[a-z]+", phrase.lower())
    return frozenset(word[:-1] if word.endswith("s") and len(word) > 3 else word for word in words if word not in _FILLER)


def ratio(gold: str, answer: str) -> Fraction | None:
    """Return by what to multiply a value in `answer` units to have `gold` units, or None where the two conflict."""
    left, right = measure(gold), measure(answer)
    if left is not None and right is not None:
        if left[0] == right[0]:
            return right[1] / left[1]
        return _SAME_SIZE if _only_names_dimension(gold, right) or _only_names_dimension(answer, left) else None
    if (left is not None and not left[0]) or (right is not None and not right[0]):
        return _SAME_SIZE  # "units" beside what is counted
    if left is not None or right is not None:
        return None
    gold_things, answer_things = _counted(gold), _counted(answer)
    return _SAME_SIZE if gold_things <= answer_things or answer_things <= gold_things else None


def _only_names_dimension(phrase: str, other: Measure) -> bool:
    """Tell whether `phrase` only names the dimension of `other`, as "square units" does."""
    words = phrase.split(maxsplit=1)
    power = _POWERS_IN_FRONT.get(words[0], 1) if words else 1
    return "unit" in phrase and other[0] == (("length", power),)


_KELVIN: dict[str, tuple[Fraction, Fraction]] = {  # (factor, offset)
    "celsius": (Fraction(1), Fraction("273.15")),
    "kelvin": (Fraction(1), Fraction(0)),
    "fahrenheit": (Fraction(5, 9), Fraction("459.67") * Fraction(5, 9)),
}


def temperature(phrase: str) -> tuple[Fraction, Fraction] | None:
    """Return (factor, offset) to kelvin of a temperature scale, or None."""
    meaning = measure(phrase)
    if meaning is None or len(meaning[0]) != 1:
        return None
    dimension, power = meaning[0][0]
    return _KELVIN.get(dimension) if power == 1 else None
