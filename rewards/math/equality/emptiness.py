r"""Sets of reals whose condition can plainly never hold: `\{x \in \reals : x^2 < 0\}`.

An even power, an absolute value and a sum of such are never negative, so neither is below a number that is negative or zero.
Anything that takes more than that to see is none of this file's.
"""

from fractions import Fraction

from rewards.math.tree import MAX_DEPTH, Node

_FLIPPED = {">": "<", ">=": "<="}


def is_plainly_empty(node: Node, of_equations: bool) -> bool:
    """Tell whether it is a set of reals with a condition that never holds; one that is an equation only where `of_equations`.

    As an answer `x^2 + 1 = 0` would repeat a question that is still to be solved.
    """
    if node.op != "build" or node.value is not None:
        return False
    condition = node.args[1]
    parts = condition.args if condition.op == "list" and condition.value != "or" else (condition,)
    return any(_never_holds(part, of_equations) for part in parts)


def _never_holds(node: Node, of_equations: bool) -> bool:
    if node.op != "rel" or len(node.value) != 1:
        return False
    (left, right), sign = node.args, node.value[0]
    if sign in _FLIPPED:
        left, right, sign = right, left, _FLIPPED[sign]
    lowest, bound = _lowest(left, 0), _number(right)
    if lowest is None or bound is None:
        return False
    if sign == "<":
        return lowest >= bound
    return (sign == "<=" or (sign == "=" and of_equations)) and lowest > bound


def _number(node: Node) -> Fraction | None:
    if node.op == "neg":
        inner = _number(node.args[0])
        return None if inner is None else -inner
    return node.value if node.op == "num" else None


def _lowest(node: Node, depth: int) -> Fraction | None:
    """Return a number that an expression of reals is never below; None where nothing is seen at once."""
    if (number := _number(node)) is not None or depth > MAX_DEPTH:
        return number
    if node.op == "fn" and node.value == "abs":
        return Fraction(0)
    if node.op == "pow":
        exponent = _number(node.args[1])
        return Fraction(0) if exponent is not None and exponent.denominator == 1 and exponent % 2 == 0 else None
    if node.op == "add":
        lowest = [_lowest(part, depth + 1) for part in node.args]
        known = [one for one in lowest if one is not None]
        return sum(known, Fraction(0)) if len(known) == len(lowest) else None
    if node.op == "mul":
        factor, rest = _number(node.args[0]), _lowest(node.args[1], depth + 1)
        return factor * rest if factor is not None and factor > 0 and rest is not None else None
    return None
