"""Equations, inequalities and definitions: what two relations may differ in and still say the same.

A definition is its value; an inequality is the interval of its solutions; an equation is any multiple of itself, and the one
without its denominators where no solution is gained.
"""

import re

from rewards.math.equality.definitions import assignment, is_tautology, same_definitions
from rewards.math.equality.expressions import equal_expressions
from rewards.math.equality.labels import NAMELESS
from rewards.math.equality.linear import FLIPPED, difference, solve_linear
from rewards.math.equality.parts import Equal, strictly
from rewards.math.equality.proportional import proportional
from rewards.math.equality.realsets import real_set, same_real_sets
from rewards.math.equality.rules import Rule, Trail
from rewards.math.tree import OBJECTS, ZERO, Node, substituted, symbols

MAX_DENOMINATORS = 4
_WORD = re.compile(r"[a-z]{3,}")


def same_relations(gold: Node, answer: Node, trail: Trail, equal: Equal) -> bool:
    """Compare two sides, one of which at least is a relation."""
    if gold.op == answer.op and is_tautology(answer) and not is_tautology(gold):  # 5 = 5 says nothing of x = 5
        trail.decide(Rule.MEMBER_BY_MEMBER)
        return False
    left, right = assignment(gold, False, equal), assignment(answer, True, equal)
    if left and right and same_definitions(left, right, trail, equal):
        return True
    if left and answer.op == "rel" and left[1].op in ("seq", "union") and _WORD.fullmatch(str(left[0].value)):
        return equal(left[1], answer, trail)  # Domain: (-\infty, 3]
    if left and answer.op == "rel" and _is_solved(left):
        trail.decide(Rule.STILL_TO_BE_SOLVED)
        return False
    if left and right:
        return _same_statements(gold, answer, trail, equal)
    if left and answer.op != "rel":
        return equal(left[1], answer, trail)
    if right and gold.op != "rel":
        return equal(gold, right[1], trail)
    left_set, right_set = real_set(gold, answer.op != "seq"), real_set(answer, True)
    if left_set is not None and right_set is not None and not (_is_equation(gold) or _is_equation(answer)):
        trail.decide(Rule.REAL_SETS)
        return same_real_sets(left_set, right_set)
    if _is_membership(gold) and answer.op != "rel":
        return equal(gold.args[1], answer, trail)
    if _is_membership(answer) and gold.op != "rel":
        return equal(gold, answer.args[1], trail)
    if gold.op != answer.op:
        trail.decide(Rule.RELATION_AGAINST_OTHER)
        return False
    if gold.value == answer.value == ("in",) and gold.args[0] == answer.args[0]:
        return equal(gold.args[1], answer.args[1], trail)
    return _same_statements(gold, answer, trail, equal)


def _is_solved(definition: tuple[Node, Node]) -> bool:
    """Tell whether it is a name with a constant value: `z = 4`, which `3z - 2 = 10` is not yet, but not a curve y = f(x)."""
    name, value = definition
    return name != NAMELESS and name.op in ("sym", "call") and not symbols(value)


def _is_equation(node: Node) -> bool:
    return node.op == "rel" and set(node.value) == {"="}


def _is_membership(node: Node) -> bool:
    """Tell whether it is `x in S`, which may be written as S alone."""
    return node.op == "rel" and node.value == ("in",) and node.args[0].op in ("sym", "seq")


def _same_statements(gold: Node, answer: Node, trail: Trail, equal: Equal) -> bool:
    """Two equations or inequalities: same members, or one a multiple of the other."""
    (left, left_ops), (right, right_ops) = _smaller_first(gold), _smaller_first(answer)
    trail.decide(Rule.MEMBER_BY_MEMBER)
    if left_ops != right_ops:
        return False
    if left_ops in (("perp",), ("parallel",)):
        return _same_lines(left, right, equal)
    if all(strictly(equal, one, other) for one, other in zip(left, right, strict=True)):
        return True
    if left_ops in (("=",), ("!=",)) and strictly(equal, left[0], right[1]) and strictly(equal, left[1], right[0]):
        return True  # crosswise
    if len(left) != 2 or left_ops[0] not in ("=", "<", "<=", "!="):
        return False
    if any(part.op in OBJECTS for part in (*left, *right)):
        return False
    trail.decide(Rule.MULTIPLE)
    one, other = difference(*left), difference(*right)
    if proportional(one, other, positive=left_ops[0] in ("<", "<=")):
        return True
    return left_ops[0] == "=" and (_cleared(one, other, trail) or _cleared(other, one, trail))


def _same_lines(left: tuple[Node, ...], right: tuple[Node, ...], equal: Equal) -> bool:
    """Tell whether two pairs of lines are the same in any order, each named by its points: AB or BA."""
    wanted, written = (tuple(map(_in_order_of_points, lines)) for lines in (left, right))
    return any(
        all(strictly(equal, one, other) for one, other in zip(wanted, turned, strict=True))
        for turned in (written, written[::-1])
    )


def _in_order_of_points(line: Node) -> Node:
    is_of_points = line.op == "sym" and len(line.value) == 2 and line.value.isupper()
    return line._replace(value="".join(sorted(line.value))) if is_of_points else line


def _smaller_first(node: Node) -> tuple[tuple[Node, ...], tuple[str, ...]]:
    """Return members and operators with the smaller side first."""
    operators = set(node.value)
    if operators <= {">", ">=", "="} and operators != {"="}:
        return node.args[::-1], tuple(FLIPPED.get(operator, operator) for operator in node.value[::-1])
    return node.args, node.value


# -- denominators


def _cleared(plain: Node, quotient: Node, trail: Trail) -> bool:
    """Tell whether `plain = 0` is `quotient = 0` multiplied by its denominators, with the same solutions.

    So that no solution is gained, every denominator must be linear in one name and `plain` a constant other than zero at
    its root: `xy = 1` is `y = 1/x`, but `y^2 = xy` is not `y^2/x = y`, which has no point (0, 0).
    """
    denominators = _denominators(quotient)
    if not denominators or len(denominators) > MAX_DENOMINATORS or _denominators(plain):
        return False
    product = quotient
    for denominator in denominators:
        if not _gains_nothing(plain, denominator):
            return False
        product = Node("mul", (product, denominator))
    if not proportional(plain, product, positive=False):
        return False
    trail.decide(Rule.WITHOUT_DENOMINATORS)
    return True


def _gains_nothing(plain: Node, denominator: Node) -> bool:
    """Tell whether `denominator` is linear in one name and `plain` a constant other than zero at its root."""
    base = denominator.args[0] if denominator.op == "pow" else denominator
    name, *others = symbols(base)
    root = None if others else solve_linear(base, name)
    if root is None:
        return False
    there = substituted(plain, name, root[0])
    moved = there
    for other in symbols(there):
        moved = substituted(moved, other, Node("sym", (), other + "'"))
    is_constant = equal_expressions(there, moved, Trail())
    return is_constant and not equal_expressions(there, ZERO, Trail())


def _denominators(node: Node) -> set[Node]:
    """Return the denominators with names in them."""
    denominators = {denominator for part in node.args for denominator in _denominators(part)}
    if node.op == "div" and symbols(node.args[1]):
        denominators.add(node.args[1])
    if node.op == "pow" and node.args[1].op == "neg" and symbols(node.args[0]):
        denominators.add(Node("pow", (node.args[0], node.args[1].args[0])))
    return denominators
