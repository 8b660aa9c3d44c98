"""Conditions against their solutions: equations, inequalities, set builders, families over the integers, curves, systems."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sympy

from rewards.math.equality.normal import without_plus_minus
from rewards.math.symbolic import complexroots, curves, progressions, realline, relations
from rewards.math.symbolic.convert import Converter, UnknownError
from rewards.math.symbolic.realline import EVERYTHING, NOTHING, RealLine
from rewards.math.symbolic.solving import is_family
from rewards.math.symbolic.systems import same_systems
from rewards.math.symbolic.wire import Reply
from rewards.math.tree import EMPTY, REALS, Node, contains, symbols

if TYPE_CHECKING:
    from rewards.math.symbolic.compare import Comparison

Expression = Any
_PERIODIC = ("sin", "cos", "tan", "cot", "sec", "csc")
_COMPLEXES = "\\complexes"
_INTEGERS = ("\\integers", "\\naturals")
MAX_WHOLE = 50


def same_solutions(gold: Node, answer: Node, comparison: "Comparison") -> Reply:
    """Compare two sides as sets of solutions; raises UnknownError where they are not found."""
    gold, answer = without_plus_minus(gold), without_plus_minus(answer)
    names = _free(gold) | _free(answer)
    if len(names) > 1:
        found = same_systems(gold, answer, names)
        if found is not None:
            return Reply(found, "SYMPY_SOLUTIONS" if found else "SYMPY_OTHER_SOLUTIONS")
        return _same_curves(gold, answer, sorted(names), comparison)
    name = next(iter(names), "x")
    if any(node.op == "build" and node.value == _COMPLEXES for node in (gold, answer)):
        same = complexroots.same_roots(_complex_condition(gold), _complex_condition(answer))
        return Reply(same, "SYMPY_SOLUTIONS" if same else "SYMPY_OTHER_SOLUTIONS")
    if is_family(gold) or is_family(answer) or (_is_periodic(gold, name) or _is_periodic(answer, name)):
        ours, theirs = _family(gold, name), _family(answer, name)
        if not ours or not theirs:
            return Reply(ours == theirs, "SYMPY_FAMILIES")
        same = progressions.same_progressions(ours, theirs)
        return Reply(same, "SYMPY_FAMILIES")
    same = _same_sets(gold, answer, name)
    return Reply(same, "SYMPY_SOLUTIONS" if same else "SYMPY_OTHER_SOLUTIONS")


def _complex_condition(node: Node) -> complexroots.Roots:
    """Return the complex numbers of a set builder with a polynomial equation, or of a finite set."""
    if node.op in ("set", "list"):
        return complexroots.of_values([_constant(part) for part in node.args])
    if node.op != "build":
        return complexroots.of_values([_constant(node)])
    head, condition = node.args
    if head.op != "sym" or node.value != _COMPLEXES or condition.op != "rel" or condition.value != ("=",):
        raise UnknownError("a set of complex numbers")
    convert = Converter({head.value: {"complex": True}})
    return complexroots.of_equation(convert.of(condition.args[0]) - convert.of(condition.args[1]), convert.symbol(head.value))


def _free(node: Node) -> frozenset[str]:
    """Return the names that a side says something about; of a set builder those of its head."""
    if node.op == "bound":
        return _free(node.args[0]) - frozenset(node.value[0])
    if node.op == "build":
        head = node.args[0]
        if head.op == "seq":
            return symbols(head)
        return symbols(head) if head.op == "sym" else frozenset()
    if node.op == "sym":
        return frozenset() if node.value.startswith("\\") and node.value.endswith("s") else frozenset((node.value,))
    return frozenset().union(*map(_free, node.args)) if node.args else frozenset()


# -- sets of reals, or of whole numbers


def _same_sets(gold: Node, answer: Node, name: str) -> bool:
    domains = {node.value for node in (gold, answer) if node.op == "build" and node.value in _INTEGERS}
    ours, theirs = _line(gold, name), _line(answer, name)
    if not domains:
        return realline.same_line(ours, theirs)
    if len(domains) > 1:
        return False
    first = {"\\integers": (None,), "\\naturals": (0, 1)}[domains.pop()]
    points = [realline.size(point) for line in (ours, theirs) for point in line.points]
    low, high = (int(min(points)) - 2, int(max(points)) + 2) if points else (0, 0)
    return any(_whole(gold, ours, low, high, least) == _whole(answer, theirs, low, high, least) for least in first)


def _whole(node: Node, line: RealLine, low: int, high: int, least: int | None) -> tuple[Any, ...]:
    """Return the whole numbers of a set: those between its points, and whether all below and all above belong to it."""
    builds = node.op == "build" and node.value in _INTEGERS
    if not builds and any(line.between):
        raise UnknownError("reals against whole numbers")
    if least is not None:
        low = min(low, least)
    wanted = realline.ordered([sympy.Integer(number) for number in range(low, high + 1)]) if high - low <= MAX_WHOLE else []
    if not wanted:
        raise UnknownError("too many whole numbers")
    members = realline.combined(line, realline.of_points(wanted), lambda inside, whole: inside and whole)
    found = {int(point) for point, is_in in zip(members.points, members.at, strict=True) if is_in and point.is_Integer}
    if not builds and any(is_in and not point.is_Integer for point, is_in in zip(line.points, line.at, strict=True)):
        return ("no whole number",)
    if least is None:
        return (frozenset(found), line.between[0], line.between[-1])
    return (frozenset(number for number in found if number >= least), False, line.between[-1])


def _line(node: Node, name: str) -> RealLine:
    """Return the set of reals that a side says."""
    if node == REALS:
        return EVERYTHING
    if node == EMPTY:
        return NOTHING
    if node.op == "seq":
        low, high = (_constant(part) for part in node.args)
        return realline.interval(low, high, node.value[0] == "[", node.value[1] == "]")
    if node.op in ("union", "or"):
        return _joined(node, name, lambda one, other: one or other)
    if node.op in ("inter", "and"):
        return _joined(node, name, lambda one, other: one and other)
    if node.op == "minus":
        return _joined(node, name, lambda one, other: one and not other)
    if node.op == "set":
        return realline.of_points([_constant(part) for part in node.args])
    if node.op == "list":
        return _listed(node, name)
    if node.op == "build":
        head = node.args[0].args[0] if node.args[0].op == "rel" else node.args[0]
        if head.op != "sym" or node.value not in (None, *_INTEGERS):
            raise UnknownError("a set builder")
        return _line(_as_conditions(node.args[1]), head.value)
    if node.op == "rel":
        return _relation(node, name)
    return realline.of_points([_constant(node)])


def _as_conditions(node: Node) -> Node:
    """Return the conditions of a set builder, which must all hold."""
    return node._replace(value="and") if node.op == "list" and node.value == "," else node


def _joined(node: Node, name: str, keep: Any) -> RealLine:
    lines = [_line(part, name) for part in node.args]
    joined = lines[0]
    for other in lines[1:]:
        joined = realline.combined(joined, other, keep)
    return joined


def _listed(node: Node, name: str) -> RealLine:
    """Return values side by side, or conditions joined by a word."""
    equations = [part.op == "rel" and set(part.value) == {"="} for part in node.args]
    conditions = [part.op == "rel" for part in node.args]
    if node.value == "or" or not any(conditions) or (all(equations) and node.value == ","):
        return _joined(node, name, lambda one, other: one or other)
    if node.value == "and" and all(conditions):
        return _joined(node, name, lambda one, other: one and other)
    if equations[0] and not any(conditions[1:]):  # x = 1, 2
        return _joined(node, name, lambda one, other: one or other)
    raise UnknownError("conditions side by side")


def _relation(node: Node, name: str) -> RealLine:
    """Return for which values of the name a chain of relations holds."""
    if node.value == ("in",) and node.args[0] == Node("sym", (), name):
        return _line(node.args[1], name)
    whole = EVERYTHING
    for left, operator, right in zip(node.args, node.value, node.args[1:], strict=False):
        if operator not in ("=", "<", ">", "<=", ">=", "!="):
            raise UnknownError(operator)
        step = _step(left, operator, right, name)
        whole = realline.combined(whole, step, lambda one, other: one and other)
    return whole


def _step(left: Node, operator: str, right: Node, name: str) -> RealLine:
    if right.op in ("list", "set") and operator == "=":
        return realline.of_points([_constant(part) for part in right.args])
    convert = Converter({name: {"real": True}})
    symbol = convert.symbol(name)
    difference = convert.of(left) - convert.of(right)
    if difference.free_symbols - {symbol} or convert.calls:
        raise UnknownError("other names")
    return relations.holds(difference, operator, symbol)


def _constant(node: Node) -> Expression:
    value = Converter({}).of(node)
    if value.free_symbols or not (value.is_number or value.is_infinite):
        raise UnknownError("an end with names")
    return value


# -- families over the integers


def _is_periodic(node: Node, name: str) -> bool:
    here = node.op == "fn" and node.value in _PERIODIC and name in symbols(node)
    return here or any(_is_periodic(part, name) for part in node.args)


def _family(node: Node, name: str) -> list[progressions.Progression]:
    """Return the progressions of a family, or of the solutions of a periodic equation, none for nothing."""
    if node == EMPTY:
        return []
    if node.op == "build" and node.args[0].op == "sym" and node.value is None:
        return _family(node.args[1], node.args[0].value)
    if node.op in ("or", "union") or (node.op == "list" and node.value != "and"):
        return [term for part in node.args for term in _family(part, name)]
    if node.op == "bound" and node.value[1] == "integer" and len(node.value[0]) == 1:
        return _terms(node.args[0], node.value[0][0], name)
    if node.op == "build" and is_family(node):
        (head, condition), index = node.args, symbols(node.args[0])
        member = condition.op == "rel" and condition.value == ("in",) and condition.args[1].value == "\\integers"
        if (
            len(index) == 1
            and (member or node.value == "\\integers")
            and condition.args[0] == Node("sym", (), next(iter(index)))
        ):
            return _terms(head, next(iter(index)), name)
    if node.op == "rel" and node.value == ("=",):
        convert = Converter({name: {"real": True}})
        difference = convert.of(node.args[0]) - convert.of(node.args[1])
        return progressions.solutions_of(difference, convert.symbol(name))
    raise UnknownError("no family")


def _terms(node: Node, index: str, name: str) -> list[progressions.Progression]:
    if node.op in ("list", "or", "set", "union"):
        if node.op == "list" and node.value == "and":
            raise UnknownError("conditions")
        return [term for part in node.args for term in _terms(part, index, name)]
    if node.op == "rel":
        if node.value not in (("=",), ("in",)) or node.args[0] != Node("sym", (), name):
            raise UnknownError("a family of something else")
        return _terms(node.args[1], index, name)
    convert = Converter({index: {"integer": True}})
    term = convert.of(node)
    symbol = convert.symbol(index)
    if term.free_symbols - {symbol}:
        raise UnknownError("other names")
    return progressions.progressions_of(term, symbol)


# -- curves


def _same_curves(gold: Node, answer: Node, names: list[str], comparison: "Comparison") -> Reply:
    equations = [node for node in (gold, answer) if node.op == "rel" and node.value == ("=",)]
    if len(equations) != 2 or contains(gold, "list", "set") or contains(answer, "list", "set"):
        raise UnknownError("several names")
    assumptions: Mapping[str, Mapping[str, bool]] = {name: {"real": True} for name in names}
    convert = Converter({**assumptions, **comparison.assumptions})
    one, other = (convert.of(node.args[0]) - convert.of(node.args[1]) for node in equations)
    if len(one.free_symbols) < 2 or one.free_symbols != other.free_symbols:
        return Reply(False, "SYMPY_OTHER_CURVES")
    same = curves.same_points(one, other, sorted(one.free_symbols, key=str))
    if same is not None:
        return Reply(same, "SYMPY_CURVES" if same else "SYMPY_OTHER_CURVES")
    for symbol in sorted(one.free_symbols, key=str):
        ours, theirs = curves.isolated(one, symbol), curves.isolated(other, symbol)
        if ours is not None and theirs is not None:
            reply = comparison.decide(ours, theirs, convert)
            return Reply(reply.same, "SYMPY_CURVES" if reply.same else "SYMPY_OTHER_CURVES")
    raise UnknownError("curves")
