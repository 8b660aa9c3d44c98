"""Definitions by cases: rows of a value and a condition, in any order; one row alone is a value under a condition.

Such a condition may be left out where it only says what the names stand for: the sign of a constant, the arguments of a
function or a sequence, the values for which a formula has one.
"""

import re
from fractions import Fraction

from rewards.math.equality.exact import UndefinedError
from rewards.math.equality.integers import same_integer_conditions
from rewards.math.equality.intervals import points_outside
from rewards.math.equality.numeric import Complex
from rewards.math.equality.parts import Equal, strictly
from rewards.math.equality.points import Point
from rewards.math.equality.realsets import real_set, same_real_sets
from rewards.math.equality.rules import Rule, Trail
from rewards.math.tree import OTHERWISE, REALS, ZERO, Node, contains, substituted, symbols

MAX_ROWS = 20
DIGITS = 30


def same_cases(gold: Node, answer: Node, trail: Trail, equal: Equal) -> bool:
    """Tell whether two definitions by cases have the same rows in any order."""
    trail.decide(Rule.CASES)
    if len(gold.args) > MAX_ROWS or len(answer.args) > MAX_ROWS:
        return False
    rest = _rows(_with_parameter_of(gold, answer))
    for value, condition in _rows(gold):
        for index, (other, other_condition) in enumerate(rest):
            if _same_condition(condition, other_condition, equal) and equal(value, other, trail.apart()):
                del rest[index]
                break
        else:
            return False
    return not rest


def _with_parameter_of(gold: Node, answer: Node) -> Node:
    """Return the one row `k t^2, k > 0` with its parameter named as in the gold: `c t^2, c > 0`."""
    if not _is_row(gold) or not _is_row(answer):
        return answer
    wanted, written = symbols(gold.args[0].args[1]), symbols(answer.args[0].args[1])
    if len(wanted) != 1 or len(written) != 1 or wanted <= symbols(answer) or written <= symbols(gold):
        return answer
    return substituted(answer, next(iter(written)), Node("sym", (), next(iter(wanted))))


def _rows(node: Node) -> list[tuple[Node, Node]]:
    """Return (value, condition) of each row; "otherwise" is the reals without the other conditions."""
    otherwise = REALS
    for row in node.args:
        if row.args[1] != OTHERWISE:
            otherwise = Node("minus", (otherwise, row.args[1]))
    return [(value, otherwise if condition == OTHERWISE else condition) for value, condition in (row.args for row in node.args)]


def _same_condition(one: Node, other: Node, equal: Equal) -> bool:
    left, right = real_set(one, True), real_set(other, True)
    if left is not None and right is not None:
        return same_real_sets(left, right, as_answer=False)
    if (contains(one, "is") or contains(other, "is")) and same_integer_conditions(one, other):
        return True
    return strictly(equal, one, other)


# -- a value under one condition


def without_harmless_condition(gold: Node, answer: Node) -> tuple[Node, Node]:
    """Return both sides, the one that alone has a condition without it where that may be left out."""
    if _is_row(gold) and answer.op != "cases":
        return _unconditioned(gold, as_written=True), answer
    if _is_row(answer) and gold.op != "cases":
        return gold, _unconditioned(answer, as_written=False)
    return gold, answer


def _is_row(node: Node) -> bool:
    return node.op == "cases" and len(node.args) == 1


def _unconditioned(node: Node, as_written: bool) -> Node:
    value, condition = node.args[0].args
    parts = condition.args if condition.op == "list" and condition.value != "or" else (condition,)
    return value if all(_is_harmless(value, part, as_written) for part in parts) else node


def _is_harmless(value: Node, condition: Node, as_written: bool) -> bool:
    """Tell whether a condition only says what a name in `value` stands for.

    A gold is written with the domain of the question (`as_written`); an answer may have cut it down.
    """
    names = symbols(condition)
    if condition.op != "rel" or len(names) != 1 or not names <= symbols(value):
        return False
    if condition.value == ("in",):
        return True
    if not set(condition.value) <= {"<", ">", "<=", ">=", "!="}:
        return False
    (name,) = names
    head = value.args[0] if value.op == "rel" and value.value == ("=",) else None
    if as_written and head is not None and head.op == "call" and Node("sym", (), name) in head.args:  # f(x) = ... for x > 0
        return True
    if (
        as_written and head is not None and head.op == "sym" and _SEQUENCE.fullmatch(head.value) and name in head.value
    ):  # a_n for n >= 1
        return True
    if _says_the_domain(value.args[1] if head is not None else value, name, condition):
        return True
    return ZERO in condition.args and head is None


_SEQUENCE = re.compile(r"[A-Za-z]_\{?[a-z]\}?")


def _says_the_domain(formula: Node, name: str, condition: Node) -> bool:
    """Tell whether a formula in one name has no real value wherever the condition fails."""
    allowed = real_set(condition, True)
    if symbols(formula) != {name} or allowed is None:
        return False
    outside = points_outside(allowed.pieces)
    return bool(outside) and not any(_has_value(formula, name, value) for value in outside)


def _has_value(formula: Node, name: str, value: Fraction) -> bool:
    """Tell whether a formula is a real number where its name is `value`."""
    evaluator = Point({name: value}, DIGITS).evaluator()
    try:
        result = evaluator.value(formula)
    except (UndefinedError, ZeroDivisionError):
        return False
    except (ArithmeticError, ValueError):  # refused, so nothing is known
        return True
    return not isinstance(result, Complex) and not evaluator.complex_seen
