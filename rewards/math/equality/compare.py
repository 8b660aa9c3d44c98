"""The comparison of two trees by kind: quantities, relations, sets of reals, collections, points, matrices, expressions.

Every function returns whether the two are the same object and leaves in the trail which rule decided. Symmetric, except
where the type of the gold decides: a one-valued gold is never met by a list, an interval or a plus-minus.
"""

import re
from fractions import Fraction

from rewards.math.equality.evaluate import PRIMES, Complex, Exact, NotRationalError, Numeric, UndefinedError, points
from rewards.math.equality.expressions import Trail, equal_expressions
from rewards.math.equality.matrices import as_matrix, matrix_value
from rewards.math.equality.quantities import same_quantities
from rewards.math.equality.realsets import listed, real_set, same_sets, solve_linear
from rewards.math.tree import (
    OBJECTS,
    ONE,
    OTHERWISE,
    REALS,
    SETS,
    ZERO,
    Node,
    TooBigError,
    binds,
    contains,
    substituted,
    symbols,
)
from rewards.math.vectors import as_vectors

MAX_ITEMS = 200
MAX_ROWS = 20
MAX_DENOMINATORS = 4
_MANY = ("set", "list", "rel", "or", "and", "not")  # compared part by part
_ROOT = re.compile(r"[xztr]_\d")  # x_1 and x_2 are the roots of one equation, in no order
_WORD = re.compile(r"[a-z]{2,}")
_LEIBNIZ = re.compile(r"d(?:\^(\d))?\w/d\w(?:\^\d)?")  # dy/dx agrees with y' and with a word
_SWAPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}


def spread(node: Node) -> Node:
    """Return `node` with every plus-minus written as the two values it stands for."""
    if node.op in ("set", "list") and any(contains(part, "pm", "mp") for part in node.args):
        items: list[Node] = []
        for part in node.args:
            both = spread(part)
            items += both.args if both.op == "list" else (both,)
        return node._replace(args=tuple(items))
    if node.op == "seq" and sum(contains(part, "pm", "mp") for part in node.args) == 1:
        return Node("list", (_signed(node, False), _signed(node, True)), ",")
    if node.op in ("seq", "mat") or not contains(node, "pm", "mp"):
        return node
    if node.op == "rel":
        return node._replace(args=tuple(spread(part) for part in node.args))
    return Node("list", (_signed(node, False), _signed(node, True)), ",")


def _signed(node: Node, minus: bool) -> Node:
    args = tuple(_signed(part, minus) for part in node.args)
    if node.op in ("pm", "mp"):
        last = Node("neg", (args[-1],)) if minus == (node.op == "pm") else args[-1]
        return last if len(args) == 1 else Node("add", (args[0], last))
    return node._replace(args=args)


# -- assignments


def _is_name(node: Node) -> bool:
    if node.op == "call":
        return True
    if node.op == "ratio":
        return all(part.op == "sym" for part in node.args)
    if node.op == "mul":  # p(x), read as a product of two names
        return all(part.op == "sym" for part in node.args)
    return node.op == "sym" and node != REALS


def _label(node: Node) -> str:
    return str(node.value) if node.op == "sym" else "call"


def assignment(node: Node, answer: bool) -> tuple[Node, Node] | None:
    """Return (name, value) of `x = 5`, `x = 3 + 2 = 5`, `f(x) = ...` or `(x, y) = ...`; None where it is no assignment.

    An answer may also name what it computes: `m + n = 5`, `|z| = 2`; a gold of that form is an equation.
    """
    if node.op != "rel" or any(operator not in ("=", "~") for operator in node.value):
        return None
    name, *values = node.args
    if values[0].op == "rel":
        return None
    if name.op == "mat":
        name = Node("seq", name.args, "()")
    if len(values) == 1 and _is_name(values[0]) and not symbols(name) and name.op not in ("seq", "set", "list"):
        name, values = values[0], [name]  # 2 = x
    named = _is_name(name) or (
        name.op == "seq" and all(_is_name(part) for part in name.args) and values[0].op in ("seq", "mat")
    )
    if not named and answer and not symbols(values[0]) and symbols(name) and not _has_coefficients(name):
        named = True
    if not named and not symbols(node) and not contains(node, "seq", "list", "set"):
        values = [name, *values]  # 0.56 = 56 %
        named, name = True, Node("sym", (), "")
        operators = ("=", *node.value)
    else:
        operators = node.value
    if not named or (name.op == "sym" and name.value in symbols(values[0]) and len(name.value) == 1):
        return None
    exact = [values[0]]
    for operator, value in zip(operators[1:], values[1:], strict=True):
        if operator == "~":
            break
        exact.append(value)
    if operators[0] == "~" and len(exact) == 1:
        return name, exact[0]
    for value in exact[1:]:
        if not equal(exact[0], value, Trail(), strict=True):
            return None  # 17 = 18 asserts nothing
    return name, exact[-1]


def _has_coefficients(node: Node) -> bool:
    """Tell whether numbers other than exponents occur: then it is an equation to solve, not a name."""
    if node.op in ("num", "dec"):
        return True
    if node.op in ("pow", "root"):
        return _has_coefficients(node.args[0])
    return any(_has_coefficients(part) for part in node.args)


def named_values(node: Node) -> dict[str, Node] | None:
    """Return the values by name of `x = 1, y = 2` or `(x, y) = (1, 2)`; None where it is something else."""
    if node.op == "list" or (node.op == "seq" and node.value == "()"):
        pairs = [assignment(part, False) for part in node.args]
        if any(pair is None or pair[0].op != "sym" for pair in pairs):
            return None
        found = {pair[0].value: pair[1] for pair in pairs if pair}
        return found if len(found) == len(pairs) else None
    if node.op == "rel" and node.value == ("=",) and node.args[0].op == "seq" and node.args[1].op == "seq":
        names, values = node.args[0].args, node.args[1].args
        if len(names) == len(values) and all(name.op == "sym" for name in names):
            return {name.value: value for name, value in zip(names, values, strict=True)}
    return None


def stripped(node: Node) -> Node:
    """Return a list without its names: `x = 1, 2` and `x = 1 or x = 2` are 1, 2."""
    if node.op != "list":
        return node
    pairs = [assignment(part, False) if part.op == "rel" else None for part in node.args]
    first = pairs[0]
    if first is None:
        return node
    if all(pair is not None for pair in pairs):
        if len({pair[0] for pair in pairs if pair}) == 1:
            return _flat([pair[1] for pair in pairs if pair], node.value)
        return node
    if all(part.op != "rel" for part in node.args[1:]):
        return _flat([first[1], *node.args[1:]], node.value)
    return node


def _flat(items: list[Node], kind: str) -> Node:
    flat: list[Node] = []
    for item in items:
        flat += item.args if item.op == "list" else (item,)
    return Node("list", tuple(flat), kind)


# -- the cascade


def equal(gold: Node, answer: Node, trail: Trail, strict: bool = False) -> bool:
    """Tell whether `answer` is the object `gold`; `strict` switches off what is forgiven (units, degrees, percent)."""
    if gold == answer:
        trail.rule = "same structure"
        return True
    if gold.op == answer.op == "num":
        trail.rule = "exact rationals"
        return False
    gold, answer = stripped(spread(gold)), stripped(spread(answer))
    gold, answer = _point(matrix_value(gold)), _point(matrix_value(answer))
    if gold.op not in _MANY and answer.op not in _MANY:
        gold, answer = as_vectors(gold, answer)
    if gold == answer:
        trail.rule = "same structure"
        return True
    if gold.op == "time" or answer.op == "time":
        return _times(gold, answer, trail)
    by_name = _by_name(gold, answer, trail)
    if by_name is not None:
        return by_name
    if gold.op == "rel" or answer.op == "rel":
        return _relations(gold, answer, trail)
    if _set_like(gold) or _set_like(answer):
        return _real_sets(gold, answer, trail)
    if gold.op in OBJECTS or answer.op in OBJECTS:
        return _objects(gold, answer, trail)
    return same_quantities(gold, answer, trail, strict)


def _point(node: Node) -> Node:
    """Return `A(2, 3)` as `A = (2, 3)`: a capital letter in front of coordinates names the point."""
    if node.op in ("list", "set"):
        return node._replace(args=tuple(_point(part) for part in node.args))
    if node.op == "call":
        name, place = Node("sym", (), node.value), Node("seq", node.args, "()")
    elif node.op == "mul" and node.args[0].op == "sym":
        name, place = node.args
    else:
        return node
    named = re.fullmatch(r"[A-Z](?:'+|_\w+)?", name.value) and place.op == "seq" and place.value == "()" and len(place.args) > 1
    return Node("rel", (name, place), ("=",)) if named else node


def _set_like(node: Node) -> bool:
    return node.op in SETS or node == REALS or (node.op == "seq" and node.value in ("(]", "[)") and len(node.args) == 2)


def _by_name(gold: Node, answer: Node, trail: Trail) -> bool | None:
    left, right = named_values(gold), named_values(answer)
    if left is None and right is None:
        return None
    trail.rule = "values by name"
    if left is not None and right is not None:
        if set(left) != set(right):
            return False
        return all(equal(left[name], right[name], trail) for name in left)
    found, named, other = (left, gold, answer) if left is not None else (right, answer, gold)
    assert found is not None
    if len(found) < 2:
        return None
    pair = assignment(other, True)
    other = pair[1] if pair else other
    if other.op == "mat" and other.value == 1:
        other = Node("seq", other.args, "()")
    roots = named.op == "list" and all(_ROOT.fullmatch(name) for name in found) and len({name[0] for name in found}) == 1
    if roots and (other.op == "set" or (other.op == "list" and len(found) == 2)):
        return _matched(list(found.values()), list(other.args), trail)
    if other.op in ("seq", "list", "set") and len(other.args) == len(found):
        orders = [sorted(found), list(found)]
        return any(
            all(equal(found[name], item, trail) for name, item in zip(order, other.args, strict=True)) for order in orders[:1]
        ) or (other.op == "list" and list(found) == orders[0] and False)
    return False if not (gold.op == "list" and answer.op == "list") else None


def _times(gold: Node, answer: Node, trail: Trail) -> bool:
    trail.rule = "time of day"
    if gold.op != answer.op:
        one, other = (gold, answer) if gold.op == "time" else (answer, gold)
        hour, minute, second, half = one.value
        if half is None and not second and other.op != "rel":
            return _objects(Node("ratio", (Node("num", (), Fraction(hour)), Node("num", (), Fraction(minute)))), other, trail)
        return False
    (h1, m1, s1, half1), (h2, m2, s2, half2) = gold.value, answer.value
    if (m1, s1) != (m2, s2):
        return False
    if half1 and half2 and half1 != half2:
        return False
    if (half1 and half2) or (not half1 and not half2):
        return bool(h1 % 12 == h2 % 12 if half1 else h1 == h2)
    (hour, half), plain = ((h1, half1), h2) if half1 else ((h2, half2), h1)
    return bool(plain == hour or plain == hour % 12 + (12 if half == "p" else 0))


# -- relations


def _relations(gold: Node, answer: Node, trail: Trail) -> bool:
    left, right = assignment(gold, False), assignment(answer, True)
    if left and right:
        if names_agree(left[0], right[0]) and _renamed_equal(left, right, trail):
            return True
        return _same_relation(gold, answer, trail)
    if left and answer.op != "rel":
        return equal(left[1], answer, trail)
    if right and gold.op != "rel":
        return equal(gold, right[1], trail)
    left_set, right_set = real_set(gold, answer.op != "seq"), real_set(answer, True)
    if left_set is not None and right_set is not None and not (_plain_equation(gold) or _plain_equation(answer)):
        trail.rule = "sets of reals"
        return same_sets(left_set, right_set)
    for one, other in ((gold, answer), (answer, gold)):
        if one.op == "rel" and one.value == ("in",) and other.op != "rel" and one.args[0].op in ("sym", "seq"):
            return equal(one.args[1], other, trail) if one is gold else equal(other, one.args[1], trail)
    if gold.op == answer.op == "rel":
        if gold.value == answer.value == ("in",) and gold.args[0] == answer.args[0]:
            return equal(gold.args[1], answer.args[1], trail)
        return _same_relation(gold, answer, trail)
    trail.rule = "a relation against another kind"
    return False


def _plain_equation(node: Node) -> bool:
    return node.op == "rel" and set(node.value) == {"="}


def names_agree(left: Node, right: Node) -> bool:
    """Tell whether two assignments may name the same: `y` is f(x), a word is any name, x is not y."""
    if left == right or left.value == "" or right.value == "":
        return True
    for one, other in ((left, right), (right, left)):
        if one.op == "ratio":
            return other.op == "sym" and _WORD.fullmatch(other.value) is not None
        if one.op == "sym" and (leibniz := _LEIBNIZ.fullmatch(one.value)) and other.op in ("sym", "call"):
            return other.value.count("'") == int(leibniz[1] or 1) or _WORD.fullmatch(other.value) is not None
    if left.op == "seq" or right.op == "seq":
        return left.op != right.op or len(left.args) == len(right.args)
    if left.op == "sym" and right.op == "sym":
        return (len(left.value) > 1 and left.value.isalpha() and left.value.islower()) or (
            len(right.value) > 1 and right.value.isalpha() and right.value.islower()
        )
    if left.op == "call" and right.op == "call":
        return bool(left.value == right.value)
    called = left if left.op == "call" else right
    other = right if called is left else left
    return other.op != "sym" or other.value == "y"


def _renamed_equal(left: tuple[Node, Node], right: tuple[Node, Node], trail: Trail) -> bool:
    """Compare two definitions; the variable of f(x) is bound, so f(z) = z is f(x) = x."""
    value = right[1]
    if left[0].op == right[0].op == "call" and len(left[0].args) == len(right[0].args):
        for one, other in zip(left[0].args, right[0].args, strict=True):
            if one.op == other.op == "sym" and one.value != other.value:
                if one.value in symbols(value):
                    return False
                value = substituted(value, other.value, one)
    if left[0].op == right[0].op == "seq" and left[0] != right[0]:
        return False
    return equal(left[1], value, trail)


def _oriented(node: Node) -> tuple[tuple[Node, ...], tuple[str, ...]]:
    """Return members and operators with the smaller side first."""
    if all(operator in (">", ">=", "=") for operator in node.value) and any(operator in (">", ">=") for operator in node.value):
        return node.args[::-1], tuple(_SWAPPED.get(operator, operator) for operator in node.value[::-1])
    return node.args, node.value


def _same_relation(gold: Node, answer: Node, trail: Trail) -> bool:
    """Two equations or inequalities: same members, or one a multiple of the other."""
    (left, left_ops), (right, right_ops) = _oriented(gold), _oriented(answer)
    trail.rule = "relations member by member"
    if left_ops == right_ops and all(equal(a, b, Trail(), strict=True) for a, b in zip(left, right, strict=True)):
        return True
    crosswise = left_ops == right_ops and left_ops in (("=",), ("!=",))
    if crosswise and equal(left[0], right[1], Trail(), strict=True) and equal(left[1], right[0], Trail(), strict=True):
        return True
    if left_ops != right_ops or len(left) != 2 or left_ops[0] not in ("=", "<", "<=", "!="):
        return False
    if any(part.op in OBJECTS for part in (*left, *right)):
        return False
    trail.rule = "one relation is a multiple of the other"
    one = Node("add", (left[0], Node("neg", (left[1],))))
    other = Node("add", (right[0], Node("neg", (right[1],))))
    if _proportional(one, other, positive=left_ops[0] in ("<", "<=")):
        return True
    return left_ops[0] == "=" and (_cleared(one, other, trail) or _cleared(other, one, trail))


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
        product = Node("mul", (product, denominator))
        base = denominator.args[0] if denominator.op == "pow" else denominator
        name, *others = symbols(base)
        root = None if others else solve_linear(base, name)
        if root is None:
            return False
        there = substituted(plain, name, root[0])
        moved = there
        for other in symbols(there):
            moved = substituted(moved, other, Node("sym", (), other + "'"))
        if not equal_expressions(there, moved, Trail()) or equal_expressions(there, ZERO, Trail()):
            return False
    if not _proportional(plain, product, positive=False):
        return False
    trail.rule = "one equation is the other without its denominators"
    return True


def _denominators(node: Node) -> set[Node]:
    """Return the denominators with names in them."""
    found = {part for child in node.args for part in _denominators(child)}
    if node.op == "div" and symbols(node.args[1]):
        found.add(node.args[1])
    if node.op == "pow" and node.args[1].op == "neg" and symbols(node.args[0]):
        found.add(Node("pow", (node.args[0], node.args[1].args[0])))
    return found


def _proportional(one: Node, other: Node, positive: bool) -> bool:
    """Tell whether two expressions differ by a constant factor (a positive one where `positive`)."""
    names = symbols(one) | symbols(other)
    if not names or symbols(one) != symbols(other):
        return False
    try:
        if not positive:
            return _proportional_residues(one, other)
    except (NotRationalError, TooBigError):
        pass
    ratio = None
    agreed = 0
    for point in points(names, frozenset(), 12):
        try:
            number = Numeric(60, {})
            env = {name: number.ctx.mpf(value.numerator) / value.denominator for name, value in point.items()}
            number.env = dict(env)
            a, b = number.value(one), Numeric(60, env).value(other)
        except UndefinedError:
            continue
        except (ArithmeticError, ValueError):
            return False
        if isinstance(a, Complex) or isinstance(b, Complex):
            continue
        if abs(a) < 1e-40 or abs(b) < 1e-40:
            if abs(a) > 1e-30 or abs(b) > 1e-30:
                return False
            continue
        here = a / b
        if ratio is not None and abs(here - ratio) > abs(ratio) * 1e-35:
            return False
        if positive and here < 0:
            return False
        ratio, agreed = here, agreed + 1
    return agreed >= 4


def _proportional_residues(one: Node, other: Node) -> bool:
    for prime, root in PRIMES:
        values = []
        for salt in range(4):
            try:
                values.append((Exact(prime, root, salt=salt).value(one), Exact(prime, root, salt=salt).value(other)))
            except UndefinedError:
                continue
            except ValueError:
                raise NotRationalError("no inverse") from None
        if len(values) < 3 or not all(a and b for a, b in values):
            return False
        a, b = values[0]
        if any(a * d % prime != b * c % prime for c, d in values[1:]):
            return False
    return True


# -- sets, collections, points


def _real_sets(gold: Node, answer: Node, trail: Trail) -> bool:
    gold, answer = listed(gold), _named_as(listed(answer), gold)
    if gold.op == answer.op == "set":
        return _objects(gold, answer, trail)
    trail.rule = "sets of reals"
    left, right = real_set(gold, _set_like(answer) or answer.op == "rel"), real_set(answer, True)
    if left is not None and right is not None:
        return same_sets(left, right)
    if gold.op == answer.op and gold.op in ("union", "inter"):
        return _matched(_parts(gold, gold.op), _parts(answer, gold.op), trail)
    if gold.op == answer.op and len(gold.args) == len(answer.args) and gold.value == answer.value:
        return all(equal(a, b, trail) for a, b in zip(gold.args, answer.args, strict=True))
    return False


def _named_as(node: Node, gold: Node) -> Node:
    """Return a set builder with its variable named as in `gold`."""
    names, wanted = binds(node), binds(gold)
    if not node.op == gold.op == "build" or not len(names) == len(wanted) == 1 or wanted <= symbols(node):
        return node
    name, to = next(iter(names)), Node("sym", (), next(iter(wanted)))
    return node._replace(args=tuple(substituted(part, name, to) for part in node.args))


def _parts(node: Node, op: str) -> list[Node]:
    return [piece for part in node.args for piece in _parts(part, op)] if node.op == op else [node]


def _matched(gold: list[Node], answer: list[Node], trail: Trail) -> bool:
    """Tell whether the two lists hold the same items in any order."""
    if len(gold) != len(answer) or len(gold) > MAX_ITEMS:
        return False
    rest = list(answer)
    for item in gold:
        for index, other in enumerate(rest):
            if item == other or equal(item, other, Trail(percent=trail.percent)):
                del rest[index]
                break
        else:
            return False
    return True


def _same_members(gold: list[Node], answer: list[Node], trail: Trail) -> bool:
    """Tell whether each of the distinct gold items is in the answer, and the rest of the answer only repeats them.

    A long answer is never compared with itself.
    """
    kept: list[Node] = []
    for item in gold:
        for index, other in enumerate(answer):
            if item == other or equal(item, other, Trail(percent=trail.percent)):
                kept.append(answer.pop(index))
                break
        else:
            return False
    return all(any(item == other or equal(other, item, Trail(), strict=True) for other in kept) for item in answer)


def _distinct(items: tuple[Node, ...]) -> list[Node]:
    kept: list[Node] = []
    for item in items[:MAX_ITEMS]:
        if not any(item == other or equal(item, other, Trail(), strict=True) for other in kept):
            kept.append(item)
    return kept


def _objects(gold: Node, answer: Node, trail: Trail) -> bool:
    gold, answer = as_matrix(gold), as_matrix(answer)
    kinds = (gold.op, answer.op)
    trail.rule = f"{gold.op} against {answer.op}"
    if len(gold.args) > MAX_ITEMS or len(answer.args) > MAX_ITEMS:
        return False
    if "ratio" in kinds:
        return _ratios(gold, answer, trail)
    if kinds == ("set", "set"):
        trail.rule = "sets without order"
        if all(item.op == "num" for item in (*gold.args, *answer.args)):
            return frozenset(gold.args) == frozenset(answer.args)
        return _same_members(_distinct(gold.args), list(answer.args), trail)
    if set(kinds) <= {"set", "list"}:
        trail.rule = "collections without order"
        if {gold.value, answer.value} == {"and", "or"}:
            return False
        if len(gold.args) == 1 or len(answer.args) == 1:
            return len(gold.args) == len(answer.args) and equal(gold.args[0], answer.args[0], trail)
        return _matched(list(gold.args), list(answer.args), trail)
    if set(kinds) == {"seq", "list"}:
        left, right = real_set(gold, True), real_set(answer, True)
        if left is not None and right is not None:
            trail.rule = "sets of reals"
            return same_sets(left, right)
        trail.rule = "items in order"
        sequence = gold if gold.op == "seq" else answer
        return sequence.value in ("()", "<>", "[]") and sequence.value != "[]" and _in_order(gold, answer, trail)
    if kinds == ("seq", "seq"):
        return _sequences(gold, answer, trail)
    if kinds == ("cases", "cases"):
        return _cases(gold, answer, trail)
    if "mat" in kinds:
        return _matrices(gold, answer, trail)
    for one, other, first in ((gold, answer, True), (answer, gold, False)):
        plain = other.op not in OBJECTS or (one.op == "set" and other.op == "seq" and other.value in ("()", "<>"))
        if one.op in ("set", "seq") and len(one.args) == 1 and plain and one.value in (None, "[]"):
            return equal(one.args[0], other, trail) if first else equal(other, one.args[0], trail)
    if answer.op == "list" and answer.value == "or" and gold.op not in OBJECTS:  # one value in several forms
        trail.rule = "alternatives"
        return all(item.op not in OBJECTS and equal(gold, item, Trail(), strict=True) for item in answer.args)
    left, right = real_set(gold, True), real_set(answer, True)
    if left is not None and right is not None and kinds not in (("seq", "set"), ("set", "seq")):
        return same_sets(left, right)
    if kinds[0] == kinds[1] and kinds[0] in ("or", "and"):
        return _matched(_parts(gold, gold.op), _parts(answer, gold.op), trail)
    return False


def _in_order(gold: Node, answer: Node, trail: Trail) -> bool:
    return len(gold.args) == len(answer.args) and all(equal(a, b, trail) for a, b in zip(gold.args, answer.args, strict=True))


def _sequences(gold: Node, answer: Node, trail: Trail) -> bool:
    trail.rule = "items in order"
    left, right = ("()" if node.value == "<>" else node.value for node in (gold, answer))
    if left != right and (len(gold.args) == 2 or {left, right} != {"()", "[]"}):
        return False
    if _in_order(gold, answer, trail):
        trail.rule = "items in order"
        return True
    return False


def _cases(gold: Node, answer: Node, trail: Trail) -> bool:
    """Tell whether two definitions by cases have the same rows in any order; "otherwise" is what the other rows leave."""
    trail.rule = "case by case"
    if len(gold.args) > MAX_ROWS or len(answer.args) > MAX_ROWS:
        return False
    rest = _rows(answer)
    for value, condition in _rows(gold):
        for index, (other, other_condition) in enumerate(rest):
            if _same_condition(condition, other_condition) and equal(value, other, Trail(percent=trail.percent)):
                del rest[index]
                break
        else:
            return False
    return not rest


def _rows(node: Node) -> list[tuple[Node, Node]]:
    left = REALS
    for row in node.args:
        if row.args[1] != OTHERWISE:
            left = Node("minus", (left, row.args[1]))
    return [(row.args[0], left if row.args[1] == OTHERWISE else row.args[1]) for row in node.args]


def _same_condition(one: Node, other: Node) -> bool:
    left, right = real_set(one, True), real_set(other, True)
    return same_sets(left, right) if left and right else equal(one, other, Trail(), strict=True)


def _matrices(gold: Node, answer: Node, trail: Trail) -> bool:
    trail.rule = "matrices entry by entry"
    if gold.op == answer.op == "mat":
        return gold.value == answer.value and _in_order(gold, answer, trail)
    matrix, other = (gold, answer) if gold.op == "mat" else (answer, gold)
    if other.op == "seq" and (matrix.value == 1 or matrix.value == len(matrix.args)) and other.value in ("()", "<>", "[]"):
        return _in_order(gold, answer, trail)
    if len(matrix.args) == 1 and other.op not in OBJECTS:
        return equal(gold.args[0], answer, trail) if gold is matrix else equal(gold, answer.args[0], trail)
    return False


def _ratios(gold: Node, answer: Node, trail: Trail) -> bool:
    trail.rule = "ratios"
    left = gold.args if gold.op == "ratio" else (gold, ONE)
    right = answer.args if answer.op == "ratio" else (answer, ONE)
    if len(left) != len(right) or any(part.op in OBJECTS for part in (*left, *right)):
        return False
    return all(
        equal_expressions(Node("mul", (left[0], b)), Node("mul", (right[0], a)), trail)
        for a, b in zip(left[1:], right[1:], strict=True)
    )
