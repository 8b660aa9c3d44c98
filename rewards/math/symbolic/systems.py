"""Systems of polynomial equations against the points that solve them."""

from typing import Any

import sympy

from rewards.math.symbolic import proofs, sampling
from rewards.math.symbolic.convert import Converter, UnknownError
from rewards.math.symbolic.evaluate import tried
from rewards.math.tree import Node

Expression = Any
MAX_POINTS = 30
Points = list[tuple[Expression, ...]]


def same_systems(gold: Node, answer: Node, names: frozenset[str]) -> bool | None:
    """Compare two sides as sets of points; None where one is no system and no set of points."""
    order = _order(gold) or _order(answer) or sorted(names)
    if set(order) != names:
        return None
    ours, theirs = _points(gold, order), _points(answer, order)
    if ours is None or theirs is None:
        return None
    return len(ours) == len(theirs) and all(any(map(lambda other, one=one: _same(one, other), theirs)) for one in ours)  # type: ignore[misc]


def _order(node: Node) -> list[str] | None:
    head = node.args[0] if node.op == "build" else node.args[0] if node.op == "rel" else node
    names = [part.value for part in head.args if part.op == "sym"] if head.op == "seq" else []
    return names if names and len(names) == len(head.args) else None


def _points(node: Node, names: list[str]) -> Points | None:
    if node.op == "seq" and node.value == "()" and len(node.args) == len(names):
        return [_constants(node)]
    if (
        node.op in ("set", "list")
        and node.args
        and all(part.op == "seq" and len(part.args) == len(names) for part in node.args)
    ):
        return _distinct([_constants(part) for part in node.args])
    if node.op == "rel" and node.value == ("=",) and (own := _order(node)):
        return _points(node.args[1], names) if own == names else None
    if node.op == "build" and node.args[0].op == "seq" and node.value is None:
        node = node.args[1]
    if (
        node.op == "list"
        and node.value in (",", "and")
        and all(part.op == "rel" and part.value == ("=",) for part in node.args)
    ):
        return _solved(node, names)
    return None


def _constants(node: Node) -> tuple[Expression, ...]:
    values = tuple(Converter({}).of(part) for part in node.args)
    if any(value.free_symbols for value in values):
        raise UnknownError("points with names")
    return values


def _solved(node: Node, names: list[str]) -> Points:
    """Return the real solutions of a system that has finitely many."""
    convert = Converter({name: {"complex": True} for name in names})
    symbols = [convert.symbol(name) for name in names]
    equations = [sympy.numer(sympy.together(convert.of(part.args[0]) - convert.of(part.args[1]))) for part in node.args]
    if any(equation.free_symbols - set(symbols) or not equation.is_polynomial(*symbols) for equation in equations):
        raise UnknownError("no system of polynomials")
    if any(sympy.denom(sympy.together(convert.of(side))).free_symbols for part in node.args for side in part.args):
        raise UnknownError("denominators")
    found = tried(lambda: sympy.solve_poly_system(equations, *symbols))
    if found is None:
        found = [] if tried(lambda: sympy.groebner(equations, *symbols).exprs) == [1] else None
    if found is None or len(found) > MAX_POINTS:
        raise UnknownError("a system that is not solved")
    return _distinct([point for point in found if all(map(_is_real, point))])


def _is_real(value: Expression) -> bool:
    number = sampling.value(value, {}, 50)
    if number is None:
        raise UnknownError("a solution without a value")
    return sampling.is_real(number, 50)


def _distinct(points: Points) -> Points:
    kept: Points = []
    for point in points:
        if not any(_same(point, other) for other in kept):
            kept.append(point)
    return kept


def _same(one: tuple[Expression, ...], other: tuple[Expression, ...]) -> bool:
    for a, b in zip(one, other, strict=True):
        first, second = sampling.value(a, {}, 50), sampling.value(b, {}, 50)
        if first is None or second is None or not sampling.close(first, second, 50) or not proofs.is_zero(a - b):
            return False
    return True
