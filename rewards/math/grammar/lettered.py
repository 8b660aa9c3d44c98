r"""Letters that happen to spell a word inside of a formula: in `e^{-bt}`, `ax+by=c` and `\cosh(is)` they are products.

Two letters such as "at", "by", "is" are names side by side where signs of a formula stand around them, and words everywhere
else: "5 at 3", "x is 2", "3 in". Units (in, ft, ms) are letters only where no unit can be: in exponents, roots and arguments.
"""

from rewards.math.grammar.tokens import Token
from rewards.math.grammar.vocabulary import NO_PRODUCT, is_function
from rewards.math.units import WORDS as UNIT_WORDS

_WORDS = frozenset(word for word in NO_PRODUCT if len(word) == 2)
_ALSO_UNITS = frozenset(word for word in UNIT_WORDS if len(word) == 2 and word.islower()) | {"or"}
_OPENING, _CLOSING = frozenset(("(", "[", "{", "\\{")), frozenset((")", "]", "}", "\\}"))
_ARITHMETIC = frozenset(
    ("+", "-", "*", "/", "^", "_", "=", "<", ">", "<=", ">=", "|", "\\cdot", "\\times", "\\pm", "\\le", "\\ge")
)
_AROUND = _ARITHMETIC | _OPENING | _CLOSING | {","}
_CALCULATES = frozenset(("exponent", "argument", "root"))


def with_letters(tokens: list[Token]) -> list[Token]:
    """Return `tokens` with the words that are products inside of a formula as single letters."""
    if not any(token.kind == "name" and (token.text in _WORDS or token.text in _ALSO_UNITS) for token in tokens):
        return tokens
    cut: list[Token] = []
    groups: list[str] = []
    for index, token in enumerate(tokens):
        before = tokens[index - 1] if index else None
        if token.sign in _OPENING:
            groups.append(_group(before, token))
        elif token.sign in _CLOSING and groups:
            groups.pop()
        if token.kind == "name" and _is_product(before, token, tokens[index + 1], groups[-1] if groups else ""):
            cut += [
                Token("name", letter, token.place + place, place == 0 and token.spaced)
                for place, letter in enumerate(token.text)
            ]
        else:
            cut.append(token)
    return cut


def _group(before: Token | None, opening: Token) -> str:
    """Return what a bracket holds: an exponent, an argument, a root, a group of LaTeX, a factor, or anything."""
    if before is not None and before.sign == "^":
        return "exponent"
    if before is not None and before.sign == "\\sqrt":
        return "root"
    if before is not None and before.kind in ("name", "cmd") and is_function(before.text):
        return "argument"
    if opening.text == "{":
        return "group"
    is_factor = before is not None and (before.sign in _ARITHMETIC or (before.kind == "name" and not opening.spaced))
    return "factor" if is_factor else "brackets"


def _is_product(before: Token | None, token: Token, after: Token, group: str) -> bool:
    """Tell whether a word is a product of its letters because of what stands around it."""
    also_unit = token.text in _ALSO_UNITS
    if token.text not in _WORDS and not also_unit:
        return False
    if also_unit and group not in _CALCULATES:
        return False
    joined = before is not None and (before.kind == "num" or before.sign in _CLOSING) and not token.spaced
    behind_bracket = before is not None and before.sign in _CLOSING and token.spaced
    before_fits = before is None or before.sign in _AROUND or before.kind == "cmd" or joined
    after_fits = after.kind in ("end", "cmd") or after.sign in _AROUND
    if not before_fits or not after_fits or behind_bracket:
        return False
    if group in _CALCULATES or group in ("group", "factor"):
        return True
    is_part = (before is not None and before.sign in _ARITHMETIC) or after.sign in _ARITHMETIC
    in_point = group == "brackets" and before is not None and {before.sign, after.sign} in ({"(", ","}, {",", ")"}, {","})
    return joined or is_part or in_point
