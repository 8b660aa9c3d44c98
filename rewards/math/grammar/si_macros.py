r"""The macros of siunitx, spelled out: `\SI{9.8}{\meter\per\second\squared}` becomes `9.8\text{meter second^-2}`."""

import re

_BASES = (
    "kilogram", "meter", "metre", "gram", "second", "ampere", "kelvin", "mole", "candela", "newton", "pascal", "joule", "watt",
    "volt", "ohm", "siemens", "coulomb", "farad", "henry", "tesla", "weber", "hertz", "becquerel", "gray", "sievert",
    "liter", "litre", "minute", "hour", "day", "bar", "electronvolt", "radian", "lumen", "lux", "gauss", "degreeCelsius",
    "celsius", "angstrom", "astronomicalunit", "tonne", "hectare", "degree", "percent",
)  # fmt: skip
_PREFIXES = (
    "kilo", "mega", "giga", "tera", "peta", "hecto", "deca", "deci", "centi", "milli", "micro", "nano", "pico", "femto",
)  # fmt: skip
_ALIASES = {"degreeCelsius": "celsius", "gray": "grays"}
_LONGEST_FIRST = sorted((*_BASES, *_PREFIXES, "per", "squared", "cubed", "square", "cubic"), key=len, reverse=True)
_SI_MACRO = re.compile(rf"\\({'|'.join(_LONGEST_FIRST)})(?![A-Za-z])")
_SI_NUMBER = re.compile(
    r"\\(?:SI|qty)\s*(?:\[[^\[\]]{0,80}\]\s*)?\{([^{}]{0,80})\}\s*(?:\[[^\[\]]{0,20}\]\s*)?\{((?:[^{}]|\{[^{}]{0,20}\}){0,200})\}"
)
_SI_PLAIN_NUMBER = re.compile(r"\\num\s*(?:\[[^\[\]]{0,80}\]\s*)?\{([^{}]{0,80})\}")
_SI_ANGLE = re.compile(r"\\ang\s*(?:\[[^\[\]]{0,80}\]\s*)?\{([\d.+-]{1,40})(?:;([\d.]{0,20}))?(?:;([\d.]{0,20}))?\}")
_SI_UNIT = re.compile(r"\\(?:si|unit)\s*(?:\[[^\[\]]{0,80}\]\s*)?\{((?:[^{}]|\{[^{}]{0,20}\}){0,200})\}")
_USUAL_PREFIXES = ("\\kilo", "\\milli", "\\micro", "\\centi", "\\mega", "\\nano")
_SI_PAIR = re.compile(rf"(?<=[\d\s}}])\\({'|'.join(_PREFIXES)})\s*\\({'|'.join(_BASES)})(?![A-Za-z])")


def spelled_out(text: str) -> str:
    r"""Return `text` with the units that macros say as words in \text{...}."""
    if "\\SI" in text or "\\qty" in text:
        text = _SI_NUMBER.sub(lambda match: rf"{match[1]}\text{{{_spelled(match[2])}}}", text)
    if "\\num" in text:
        text = _SI_PLAIN_NUMBER.sub(r"\1", text)
    if "\\ang" in text:
        text = _SI_ANGLE.sub(_angle, text)
    if "\\si" in text or "\\unit" in text:
        text = _SI_UNIT.sub(lambda match: rf"\text{{{_spelled(match[1])}}}", text)
    return _SI_PAIR.sub(r"\\text{\1\2}", text) if any(prefix in text for prefix in _USUAL_PREFIXES) else text


def _angle(match: re.Match[str]) -> str:
    """Return an angle in degrees, minutes and seconds of arc with their signs."""
    degrees, minutes, seconds = match.groups()
    return rf"{degrees}^\circ" + (f" {minutes}'" if minutes else "") + (f" {seconds}''" if seconds else "")


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
