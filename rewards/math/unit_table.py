"""The units of measure: what each name means as (dimensions, size), with every prefix that is in use.

`kJ` is {"mass": 1, "length": 2, "time": -2} with the size 1000: all sizes are in kilograms, meters, seconds, amperes, kelvins,
moles. Conversions are exact; the electronvolt and the other measured ones have the digits of CODATA 2022 and of the SI
brochure. Months and years are no number of days, and currencies have no common measure. `units.py` reads phrases of them.
"""

from fractions import Fraction

Dimensions = dict[str, int]
Unit = tuple[Dimensions, Fraction]

_F = Fraction
_INCH, _POUND, _GALLON = _F("0.0254"), _F("0.45359237"), _F("0.003785411784")
_POUND_FORCE = _POUND * _F("9.80665")
_ENERGY: Dimensions = {"mass": 1, "length": 2, "time": -2}
_PRESSURE: Dimensions = {"mass": 1, "length": -1, "time": -2}
_CHARGE: Dimensions = {"current": 1, "time": 1}
_CYCLES: Dimensions = {"turn": 1, "time": -1}

_PREFIXES = (
    ("k", "kilo", 3), ("M", "mega", 6), ("G", "giga", 9), ("T", "tera", 12), ("P", "peta", 15), ("h", "hecto", 2),
    ("d", "deci", -1), ("c", "centi", -2), ("m", "milli", -3), ("μ", "micro", -6), ("n", "nano", -9), ("p", "pico", -12),
    ("f", "femto", -15), ("E", "exa", 18), ("a", "atto", -18),
)  # fmt: skip
_USUAL = "kMGTmμnpf"
# Symbols, long names, dimensions, size, the prefixes in use with the symbol. Each long name has all of them.
_PREFIXED: tuple[tuple[str, str, Dimensions, Fraction | int | str, str], ...] = (
    ("m", "meter metre", {"length": 1}, 1, "kMGhdcmμnpf"),
    ("g", "gram gramme", {"mass": 1}, "0.001", "kMdcmμnpf"),
    ("s", "second", {"time": 1}, 1, "mμnpf"),
    ("A", "ampere amp", {"current": 1}, 1, "kMmμnpf"),
    ("K", "kelvin", {"temperature": 1}, 1, "kMmμn"),
    ("mol", "mole", {"amount": 1}, 1, "kmμnp"),
    ("l L", "liter litre", {"length": 3}, "0.001", "kMhdcmμn"),
    ("J", "joule", _ENERGY, 1, _USUAL + "PE"),
    ("eV", "electronvolt", _ENERGY, "1.602176634e-19", _USUAL + "PE"),
    ("Wh", "watthour", _ENERGY, 3600, "kMGT"),
    ("cal", "calorie", _ENERGY, "4.184", "k"),
    ("W", "watt", {"mass": 1, "length": 2, "time": -3}, 1, _USUAL + "P"),
    ("N", "newton", {"mass": 1, "length": 1, "time": -2}, 1, "kMGmμnp"),
    ("Pa", "pascal", _PRESSURE, 1, _USUAL + "h"),
    ("bar", "bar", _PRESSURE, 100_000, "kmμ"),
    ("V", "volt", {"mass": 1, "length": 2, "time": -3, "current": -1}, 1, "kMGmμnp"),
    ("Ω ohm", "ohm", {"mass": 1, "length": 2, "time": -3, "current": -2}, 1, "kMGTmμn"),
    ("S", "siemens", {"mass": -1, "length": -2, "time": 3, "current": 2}, 1, "kmμn"),
    ("C", "coulomb", _CHARGE, 1, "kmμnpf"),
    ("Ah", "amperehour amphour", _CHARGE, 3600, "m"),
    ("F", "farad", {"mass": -1, "length": -2, "time": 4, "current": 2}, 1, "mμnpf"),
    ("H", "henry", {"mass": 1, "length": 2, "time": -2, "current": -2}, 1, "mμnp"),
    ("T", "tesla", {"mass": 1, "time": -2, "current": -1}, 1, "kmμnp"),
    ("Wb", "weber", {"mass": 1, "length": 2, "time": -2, "current": -1}, 1, "mμn"),
    ("Hz", "hertz", _CYCLES, 1, "kMGTPmμn"),
    ("Bq", "becquerel", {"time": -1}, 1, "kMGT"),
    ("Gy", "grays", {"length": 2, "time": -2}, 1, "mμk"),
    ("Sv", "sievert", {"length": 2, "time": -2}, 1, "mμn"),
    ("M", "molar", {"amount": 1, "length": -3}, 1000, "mμnp"),
    ("rad", "radian", {"radian": 1}, 1, "mμ"),
    ("pc", "parsec", {"length": 1}, "3.0856775814913673e16", "kMG"),
    ("lm", "lumen", {"lumen": 1}, 1, "k"),
    ("lx", "lux", {"lumen": 1, "length": -2}, 1, "k"),
    ("cd", "candela", {"candela": 1}, 1, "m"),
    ("bit", "bit", {"bit": 1}, 1, "kMGT"),
    ("B", "byte", {"bit": 1}, 8, "kMGT"),
)  # fmt: skip
_PLAIN: tuple[tuple[str, Dimensions, Fraction | int | str], ...] = (
    ("sec", {"time": 1}, 1),
    ("min minute", {"time": 1}, 60),
    ("h hr hour", {"time": 1}, 3600),
    ("day", {"time": 1}, 86400),
    ("week wk", {"time": 1}, 604800),
    ("fortnight", {"time": 1}, 1209600),
    ("month", {"month": 1}, 1),
    ("year yr", {"month": 1}, 12),
    ("decade", {"month": 1}, 120),
    ("century centuries", {"month": 1}, 1200),
    ("in inch inches", {"length": 1}, _INCH),
    ("ft foot feet", {"length": 1}, _INCH * 12),
    ("yd yard", {"length": 1}, _INCH * 36),
    ("mi mile", {"length": 1}, _INCH * 63360),
    ("Km Kms kms KM", {"length": 1}, 1000),
    ("nmi nauticalmile", {"length": 1}, 1852),
    ("furlong", {"length": 1}, _INCH * 7920),
    ("micron", {"length": 1}, "1e-6"),
    ("Å angstrom ångström ångstrom", {"length": 1}, "1e-10"),
    ("ly lightyear", {"length": 1}, 9_460_730_472_580_800),
    ("au AU astronomicalunit", {"length": 1}, 149_597_870_700),
    ("lb lbs pound", {"mass": 1}, _POUND),
    ("oz ounce", {"mass": 1}, _POUND / 16),
    ("stone", {"mass": 1}, _POUND * 14),
    ("kilo kgs Kg KG", {"mass": 1}, 1),
    ("t tonne metricton", {"mass": 1}, 1000),
    ("ton", {"mass": 1}, _POUND * 2000),
    ("amu", {"mass": 1}, "1.66053906892e-27"),
    ("gal gallon", {"length": 3}, _GALLON),
    ("qt quart", {"length": 3}, _GALLON / 4),
    ("pt pint", {"length": 3}, _GALLON / 8),
    ("cup", {"length": 3}, _GALLON / 16),
    ("floz fluidounce", {"length": 3}, _GALLON / 128),
    ("tbsp tablespoon", {"length": 3}, _GALLON / 256),
    ("tsp teaspoon", {"length": 3}, _GALLON / 768),
    ("cc", {"length": 3}, "1e-6"),
    ("sqft", {"length": 2}, (_INCH * 12) ** 2),
    ("sqm", {"length": 2}, 1),
    ("sqcm", {"length": 2}, "1e-4"),
    ("sqkm", {"length": 2}, 10**6),
    ("sqin", {"length": 2}, _INCH**2),
    ("cuft", {"length": 3}, (_INCH * 12) ** 3),
    ("acre", {"length": 2}, _F("4046.8564224")),
    ("ha hectare", {"length": 2}, 10_000),
    ("mph", {"length": 1, "time": -1}, _INCH * 63360 / 3600),
    ("mpg", {"length": -2}, _INCH * 63360 / _GALLON),
    ("kph kmh kmph", {"length": 1, "time": -1}, _F(5, 18)),
    ("knot kn", {"length": 1, "time": -1}, _F(1852, 3600)),
    ("atm atmosphere", _PRESSURE, 101_325),
    ("torr Torr mmHg", _PRESSURE, _F(101_325, 760)),
    ("psi", _PRESSURE, _POUND_FORCE / _INCH**2),
    ("lbf poundforce", {"mass": 1, "length": 1, "time": -2}, _POUND_FORCE),
    ("dyn dyne", {"mass": 1, "length": 1, "time": -2}, "1e-5"),
    ("erg", _ENERGY, "1e-7"),
    ("Cal Calorie", _ENERGY, 4184),
    ("BTU Btu", _ENERGY, "1055.05585262"),
    ("hp horsepower", {"mass": 1, "length": 2, "time": -3}, _POUND_FORCE * _INCH * 12 * 550),
    ("gauss", {"mass": 1, "time": -2, "current": -1}, "1e-4"),
    ("rpm", _CYCLES, _F(1, 60)),
    ("rev revolution turn rotation cycle", {"turn": 1}, 1),
    ("kbps", {"bit": 1, "time": -1}, 1000),
    ("Mbps", {"bit": 1, "time": -1}, 10**6),
    ("Gbps", {"bit": 1, "time": -1}, 10**9),
    ("celsius degC", {"celsius": 1}, 1),
    ("fahrenheit degF", {"fahrenheit": 1}, 1),
    ("dollar USD $ buck", {"dollar": 1}, 1),
    ("cent ¢ penny pennies", {"dollar": 1}, _F(1, 100)),
    ("nickel", {"dollar": 1}, _F(1, 20)),
    ("dime", {"dollar": 1}, _F(1, 10)),
    ("euro EUR €", {"euro": 1}, 1),
    ("£ GBP sterling", {"pound sterling": 1}, 1),
    ("pence", {"pound sterling": 1}, _F(1, 100)),
    ("yen JPY ¥", {"yen": 1}, 1),
    ("yuan CNY RMB rmb", {"yuan": 1}, 1),
    ("rupee Rs Rs. INR ₹", {"rupee": 1}, 1),
    ("paise paisa", {"rupee": 1}, _F(1, 100)),
    ("ruble rouble ₽ RUB", {"ruble": 1}, 1),
    ("peso ₱", {"peso": 1}, 1),
    ("won ₩ KRW", {"won": 1}, 1),
    ("naira ₦ NGN", {"naira": 1}, 1),
    ("franc CHF", {"franc": 1}, 1),
    ("lira ₺ TRY", {"lira": 1}, 1),
    ("dong ₫ VND", {"dong": 1}, 1),
    ("baht THB", {"baht": 1}, 1),
    ("ringgit RM MYR", {"ringgit": 1}, 1),
    ("rupiah IDR", {"rupiah": 1}, 1),
    ("shilling KES", {"shilling": 1}, 1),
    ("dirham AED", {"dirham": 1}, 1),
    ("riyal SAR", {"riyal": 1}, 1),
    ("unit", {"unit": 1}, 1),
    ("dozen", {}, 12),
)  # fmt: skip
# Symbols that may have been meant for another unit than their own: 25 C is a temperature, £5 are 5 pounds.
OTHERWISE: dict[str, tuple[Dimensions, Fraction]] = {
    "C": ({"celsius": 1}, _F(1)),
    "F": ({"fahrenheit": 1}, _F(1)),
    "pound": ({"pound sterling": 1}, _F(1)),
    "pounds": ({"pound sterling": 1}, _F(1)),
    "oz": ({"length": 3}, _GALLON / 128),
    "ounce": ({"length": 3}, _GALLON / 128),
    "ounces": ({"length": 3}, _GALLON / 128),
    "¥": ({"yuan": 1}, _F(1)),
    "tons": ({"mass": 1}, _F(1000)),
    "ton": ({"mass": 1}, _F(1000)),
    "rad": ({}, _F(1)),
}
KELVIN: dict[str, tuple[Fraction, Fraction]] = {  # of a scale: (factor, offset)
    "temperature": (_F(1), _F(0)),
    "celsius": (_F(1), _F("273.15")),
    "fahrenheit": (_F(5, 9), _F("459.67") * _F(5, 9)),
}
_NO_PLURAL = frozenset(("feet", "inches", "pence", "pennies", "centuries", "paise", "torr"))
_SHORT_PLURAL = frozenset(("sec", "min", "hr", "day", "wk", "yr", "yd", "ton", "gal", "qt", "cup", "rev", "cc"))


def _define() -> dict[str, Unit]:
    """Return every name with its meaning."""
    table: dict[str, Unit] = {}
    for symbols, names, dimensions, written, prefixes in _PREFIXED:
        size = _F(written)
        for short, long, power in (("", "", 0), *_PREFIXES):
            unit = dimensions, size * _F(10) ** power
            if not short or short in prefixes:
                table.update(dict.fromkeys((short + symbol for symbol in symbols.split()), unit))
            for name in names.split():
                table[long + name] = table[f"{long}{name}s"] = unit
    for spellings, dimensions, written in _PLAIN:
        unit = dimensions, _F(written)
        for name in spellings.split():
            table[name] = unit
            if name in _SHORT_PLURAL or (len(name) > 3 and name.islower() and name not in _NO_PLURAL):
                table[f"{name}s"] = unit
    for name in ("mol", "mmol", "kohm", "Mohm"):
        table[f"{name}s"] = table[name]
    for long, short in (("kil", "k"), ("meg", "M")):  # the vowel is left out before "ohm"
        table[f"{long}ohm"] = table[f"{long}ohms"] = table[f"{short}ohm"]
    return table


UNITS = _define()
