r"""Chemical formulas behind a unit: `5 g NaCl`, `2.0 mol of \mathrm{CO_2}`."""

import re

MAX_CHARACTERS = 80
_FORMULA = re.compile(
    r"(?:[\s~{}]|\\[,; ])*(?:of\s+)?(?:\\(?:mathrm|text|ce)\s*)?\{?"
    r"((?:[A-Z][a-z]?(?:_?\{?\d{1,2}\}?)?|\([A-Z][A-Za-z0-9_{}]{0,8}\)_?\{?\d\}?){1,12})"
    r"(?:\\?[}\s.]|\((?:aq|s|l|g)\))*$"
)
_ELEMENTS = frozenset((
    "H", "He", "Li", "Be", "B", "C", "N", "O", "F", "Ne", "Na", "Mg", "Al", "Si", "P", "S", "Cl", "Ar", "K", "Ca", "Sc",
    "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge", "As", "Se", "Br", "Kr", "Rb", "Sr", "Y", "Zr", "Mo",
    "Ag", "Cd", "In", "Sn", "Sb", "Te", "I", "Xe", "Cs", "Ba", "W", "Pt", "Au", "Hg", "Tl", "Pb", "Bi", "Rn", "Ra", "Th",
    "U",
))  # fmt: skip


def substance_behind(text: str, place: int) -> str | None:
    """Return the formula that is all of `text` from `place` on, as letters and digits; None where there is none."""
    if len(text) - place > MAX_CHARACTERS:
        return None
    match = _FORMULA.match(text, place)
    return _letters_and_digits(match[1]) if match and _is_chemical(match[1]) else None


def _is_chemical(formula: str) -> bool:
    """Tell whether letters are a chemical formula of more than one letter: NaCl, CO_2."""
    symbols = re.findall(r"[A-Z][a-z]?", formula)
    return all(symbol in _ELEMENTS for symbol in symbols) and len(_letters_and_digits(formula)) > 1


def _letters_and_digits(formula: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "", formula)
