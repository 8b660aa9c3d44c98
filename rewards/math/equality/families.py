"""Objects with names that mean nothing by themselves: bound parameters and arbitrary constants.

Accepted: other names for what is bound ("k in Z"), progressions a + bk with the same values, other names for the arbitrary
constants of the reference, and antiderivatives that differ by a constant. Only C, c, K, C_1, c_1 and their like in the
reference are arbitrary constants, only where they are coefficients or terms and something else varies, and never beside
A, B (there C may be an angle or a point). All other names keep their meaning.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import permutations

from rewards.math.equality.compare import equal
from rewards.math.equality.definitions import assignment, names_agree, without_names
from rewards.math.equality.derivatives import in_one_notation
from rewards.math.equality.expressions import equal_expressions
from rewards.math.equality.linear import difference
from rewards.math.equality.normal import without_plus_minus
from rewards.math.equality.numeric import numeric_value
from rewards.math.equality.rules import Rule, Trail
from rewards.math.tree import ZERO, Node, contains, number, substituted, symbols

MAX_NAMES = 3  # compared in every order
MAX_PROGRESSIONS = 20
MAX_SHIFT = 10**9


def same_up_to_names(gold: Node, answer: Node, trail: Trail) -> bool:
    """Tell whether `answer` is the object `gold`, up to the names of what is bound or arbitrary in it."""
    if gold.op == "bound" or answer.op == "bound":
        return _same_bound(gold, answer, trail)
    gold, answer = in_one_notation(gold, answer)
    return equal(gold, answer, trail) or _same_up_to_constants(gold, answer, trail)


def _renamings(node: Node, names: Iterable[str], targets: tuple[str, ...]) -> Iterator[Node]:
    """Yield `node` with `names` renamed to `targets`, in every order."""
    for order in permutations(sorted(names)):
        renamed = node
        for index, name in enumerate(order):
            renamed = substituted(renamed, name, Node("sym", (), f"\\bound {index}"))
        for index, target in enumerate(targets):
            renamed = substituted(renamed, f"\\bound {index}", Node("sym", (), target))
        yield renamed


# -- bound names


def _same_bound(gold: Node, answer: Node, trail: Trail) -> bool:
    """Compare bodies after renaming; where only one side says what its names range over, they must be the same names."""
    trail.decide(Rule.BOUND_NAMES)
    if answer.op != "bound":
        return same_up_to_names(gold.args[0], answer, trail)
    if gold.op != "bound":
        return same_up_to_names(gold, answer.args[0], trail)
    (left,), (names, domain) = gold.args, gold.value
    (right,), (others, other_domain) = answer.args, answer.value
    if domain and other_domain and domain != other_domain:
        trail.decide(Rule.BOUND_RANGES, domain, other_domain)
        return False
    if len(names) != len(others) or len(names) > MAX_NAMES:
        return False
    free = symbols(right) - set(others)
    if free.intersection(names):  # the renaming would bind a name that is free in the answer
        return False
    if any(equal(left, renamed, trail) for renamed in _renamings(right, others, names)):
        return True
    return len(names) == 1 and "integer" in (domain, other_domain) and _same_progressions(gold, answer, trail)


def _same_progressions(gold: Node, answer: Node, trail: Trail) -> bool:
    """Tell whether both are the same progressions a + bk over all integers k, or the same collection of them."""
    trail.decide(Rule.PROGRESSIONS)
    (left, values), (right, others) = _named_items(gold.args[0], False), _named_items(answer.args[0], True)
    if len(values) != len(others) or len(values) > MAX_PROGRESSIONS or (left and right and not names_agree(left, right)):
        return False
    ours = [_progression(value, gold.value[0][0]) for value in values]
    theirs = [_progression(value, answer.value[0][0]) for value in others]
    for one in ours:
        match = next((other for other in theirs if one and other and _same_progression(one, other)), None)
        if match is None:
            return False
        theirs.remove(match)
    return True


def _named_items(node: Node, answer: bool) -> tuple[Node | None, tuple[Node, ...]]:
    node = without_names(without_plus_minus(node), equal)
    name, value = assignment(node, answer, equal) or (None, node)
    return name, value.args if value.op in ("list", "set") else (value,)


def _progression(node: Node, name: str) -> tuple[Node, Node] | None:
    """Return (start, step) of an expression that is linear in `name`, or None."""
    if contains(node, "rel", "list", "seq", "set", "mat", "unit"):
        return None
    start = substituted(node, name, ZERO)
    step = difference(substituted(node, name, number(1)), start)
    line = Node("add", (start, Node("mul", (step, Node("sym", (), name)))))
    return (start, step) if equal_expressions(node, line, Trail()) else None


def _same_progression(one: tuple[Node, Node], other: tuple[Node, Node]) -> bool:
    (start, step), (other_start, other_step) = one, other
    backwards = Node("neg", (other_step,))
    if not any(equal_expressions(step, either, Trail()) for either in (other_step, backwards)):
        return False
    gap = difference(start, other_start)
    steps = numeric_value(Node("div", (gap, step)))
    count = round(steps) if steps is not None and abs(steps) < MAX_SHIFT else 0
    return equal_expressions(gap, Node("mul", (number(count), step)), Trail())


# -- arbitrary constants

_CONSTANT = re.compile(r"[CcK]|[CcK]_\d")
_OTHER_NAMES = {"c": re.compile(r"[Cc]"), "C": re.compile(r"[ABCKck](?:_\d)?"), "K": re.compile(r"[ABCKck](?:_\d)?")}
_OTHER_NUMBERED = re.compile(r"[A-DKa-ck](?:_\d)?")
_VARIABLES = frozenset(("r", "s", "t", "u", "v", "w", "x", "y", "z", "\\theta", "\\phi"))


def _same_up_to_constants(gold: Node, answer: Node, trail: Trail) -> bool:
    names = symbols(gold)
    constants = {name for name in names if _CONSTANT.fullmatch(name)}
    rest = names - constants
    if not rest or not _are_arbitrary(constants, rest):
        return False
    others = symbols(answer) - rest
    spelling = _OTHER_NUMBERED if len(constants) > 1 else _OTHER_NAMES[min(constants)[0]]
    if not rest <= symbols(answer) or len(others) != len(constants) or not all(map(spelling.fullmatch, others)):
        return False
    if _is_linear_in(gold, constants) and _is_linear_in(answer, others):
        inner = Trail()
        if any(equal(gold, renamed, inner) for renamed in _renamings(answer, others, tuple(sorted(constants)))):
            trail.decide(Rule.ARBITRARY_CONSTANTS, str(inner.decision))
            return True
    if constants == {"C"} and rest & _VARIABLES and _differ_by_a_constant(gold, answer, "C", min(others), rest):
        trail.decide(Rule.ANTIDERIVATIVES)
        return True
    return False


def _are_arbitrary(constants: set[str], rest: frozenset[str]) -> bool:
    """Tell whether C, c, K or their like can only be arbitrary constants beside the names `rest`."""
    if not constants or len(constants) > MAX_NAMES or len({name[0] for name in constants}) > 1:
        return False
    if any(name[0].isupper() for name in rest):  # beside A and B, C may be an angle or a point
        return False
    return "c" not in constants or rest <= _VARIABLES


def _is_linear_in(node: Node, names: Iterable[str]) -> bool:
    """Tell whether `names` occur only in terms and as factors of terms."""
    inside = [part for part in node.args if symbols(part).intersection(names)]
    if not inside or node.op in ("add", "neg", "rel", "list"):
        return all(_is_linear_in(part, names) for part in inside)
    is_factor = node.op == "mul" and len(inside) == 1
    is_numerator = node.op == "div" and inside == [node.args[0]]
    return (is_factor or is_numerator) and _is_linear_in(inside[0], names)


def _differ_by_a_constant(gold: Node, answer: Node, constant: str, other: str, variables: frozenset[str]) -> bool:
    """Tell whether both are a function plus a bare constant, and the functions differ by what depends on no variable."""
    left, right = assignment(gold, False, equal), assignment(answer, True, equal)
    if left and right and not names_agree(left[0], right[0]):
        return False
    function = _without_term(left[1] if left else gold, constant)
    candidate = _without_term(right[1] if right else answer, other)
    if function is None or candidate is None:
        return False
    here = difference(function, candidate)
    there = here
    for name in variables:
        there = substituted(there, name, Node("sym", (), name + "'"))
    return equal_expressions(here, there, Trail())


def _without_term(node: Node, name: str) -> Node | None:
    """Return a sum without its term `name`, or None where that is no term or occurs elsewhere too."""
    term = Node("sym", (), name)
    if node.op != "add" or contains(node, "pm", "mp"):
        return None
    rest = tuple(part for part in node.args if part not in (term, Node("neg", (term,))))
    if len(rest) != len(node.args) - 1 or name in symbols(Node("add", rest)):
        return None
    return Node("add", rest)
