"""Objects with names that mean nothing by themselves: bound parameters and arbitrary constants.

Accepted: other names for what is bound ("k in Z"), progressions a + bk with the same values, other names for the arbitrary
constants of the reference, and antiderivatives that differ by a constant. Where a reference leaves out that its index is an
integer, the answer may say it. Only C, c, K, C_1, c_1 and their like in the reference are arbitrary constants, only where they
are coefficients or terms and something else varies, and never beside A, B (there C may be an angle or a point). All other
names keep their meaning.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import permutations

from rewards.math.equality.compare import equal
from rewards.math.equality.cosets import same_cosets
from rewards.math.equality.definitions import assignment
from rewards.math.equality.derivatives import in_one_notation
from rewards.math.equality.expressions import equal_expressions
from rewards.math.equality.integers import same_integer_sets
from rewards.math.equality.labels import labels_agree
from rewards.math.equality.linear import difference
from rewards.math.equality.rules import Rule, Trail
from rewards.math.tree import Node, contains, substituted, symbols

MAX_NAMES = 3  # compared in every order
INTEGERS = Node("sym", (), "\\integers")
HIDDEN = "\\k"  # the index that a congruence does not name
_INDICES = frozenset(("k", "n", "m", "l", "j", "N", HIDDEN))


def same_up_to_names(gold: Node, answer: Node, trail: Trail) -> bool:
    """Tell whether `answer` is the object `gold`, up to the names of what is bound or arbitrary in it."""
    if same_integer_sets(gold, answer):
        trail.decide(Rule.INTEGERS)
        return True
    gold, answer = _as_class(gold, answer), _as_class(answer, gold)
    if trail.integral:
        gold, answer = _with_usual_constant(gold), _with_usual_constant(answer)
    gold, answer = _indexed_alike(_family(gold), _family(answer))
    if gold.op == "bound" or answer.op == "bound":
        return _same_bound(gold, answer, trail)
    return _same_unbound(gold, answer, trail)


def _as_class(node: Node, other: Node) -> Node:
    r"""Return `2 \bmod 5` as the class of 2 where the other side is such a class, `2 \pmod 5`."""
    is_remainder = node.op == "fn" and node.value == "mod" and not symbols(node)
    if not is_remainder or other.op != "bound" or other.value[0] != (HIDDEN,):
        return node
    multiple = Node("mul", (node.args[1], Node("sym", (), HIDDEN)))
    return Node("bound", (Node("add", (node.args[0], multiple)),), other.value)


def _same_unbound(gold: Node, answer: Node, trail: Trail) -> bool:
    gold, answer = in_one_notation(gold, answer)
    return equal(gold, answer, trail) or _same_up_to_constants(gold, answer, trail)


def _right_side(node: Node) -> Node:
    return node.args[-1] if node.op == "rel" and set(node.value) == {"="} else node


def _restricts(gold: Node, answer: Node) -> bool:
    """Tell whether an answer has only the naturals for the index of angles, which are all integers."""
    return answer.value[1] != "integer" and "natural" in answer.value[1] and _is_family_of_angles(gold)


def _renamings(node: Node, names: Iterable[str], targets: tuple[str, ...]) -> Iterator[Node]:
    """Yield `node` with `names` renamed to `targets`, in every order."""
    for order in permutations(sorted(names)):
        renamed = node
        for index, name in enumerate(order):
            renamed = substituted(renamed, name, Node("sym", (), f"\\bound {index}"))
        for index, target in enumerate(targets):
            renamed = substituted(renamed, f"\\bound {index}", Node("sym", (), target))
        yield renamed


# -- families written in other ways


def _family(node: Node) -> Node:
    r"""Return {2k\pi | k in Z} and 2\pi Z as 2k\pi with its k bound; any other node as it is."""
    if node.op == "build" and node.value is None:
        return _built_family(node) or node
    if node.op in ("add", "mul") and contains(node, "const") and INTEGERS.value in symbols(node):
        return Node("bound", (substituted(node, INTEGERS.value, Node("sym", (), "\\k")),), (("\\k",), "integer"))
    if node.op == "build" and node.value == INTEGERS.value and node.args[0].op != "sym":
        return _built_family(node._replace(value=None)) or node
    return node


def _built_family(node: Node) -> Node | None:
    head, condition = node.args
    parts = condition.args if condition.op == "list" and condition.value != "or" else (condition,)
    memberships = [part for part in parts if part.op == "rel" and part.value == ("in",) and part.args[1] == INTEGERS]
    if len(memberships) != 1 or memberships[0].args[0].op != "sym" or len(parts) > 2:
        return None
    name = memberships[0].args[0].value
    others = [part for part in parts if part is not memberships[0]]
    body = others[0] if others and head.op == "sym" and head.value != name else head
    is_told = body is not head or not others
    return Node("bound", (body,), ((name,), "integer")) if is_told and name in symbols(body) else None


def _indexed_alike(gold: Node, answer: Node) -> tuple[Node, Node]:
    """Bind the index of a family whose side leaves out that it is an integer, where the other side or its form says so."""
    if gold.op == "bound" and answer.op != "bound":  # an answer has to keep the name, or say that it is an integer
        return gold, _bound_like(gold, answer, same_name=gold.value[0] != (HIDDEN,))
    if answer.op == "bound" and gold.op != "bound":
        is_expression = gold.op != "rel" and not contains(gold, "const", "deg")
        return gold if is_expression else _bound_like(answer, gold, same_name=False), answer
    if gold.op != "bound" and gold != answer and _is_family_of_angles(gold) and _is_family_of_angles(answer):
        return _with_index(gold), _with_index(answer)
    return gold, answer


def _bound_like(family: Node, other: Node, same_name: bool) -> Node:
    """Return the side without a quantifier with its one index bound as in the family of the other side."""
    names, domain = family.value
    free = symbols(other) - (symbols(family.args[0]) - set(names))
    heads: frozenset[str] = frozenset().union(*(symbols(part.args[0]) for part in (other, *other.args) if part.op == "rel"))
    indices = free - heads
    if any("_" in head for head in heads):  # a_n = 2n - 1 is a sequence and no set of values
        return other
    if domain == "integer" and len(indices) == 1 and indices <= (set(names) if same_name else _INDICES):
        return Node("bound", (other,), (tuple(indices), "integer"))
    head = family.args[0].args[0] if family.args[0].op == "rel" else family
    is_argument = head.op == "call" and symbols(head).intersection(names)  # f(x) = x for all x is no other name
    if (
        domain in ("real", "")
        and not is_argument
        and all(map(str.isalpha, indices))
        and len(indices) == len(names)
        and indices.isdisjoint(symbols(family.args[0]) - set(names))
    ):
        return Node("bound", (other,), (tuple(sorted(indices)), domain))
    return other


def _is_family_of_angles(node: Node) -> bool:
    r"""Tell whether it is `x = \pi/4 + k\pi` or several of the kind, without a word on k."""
    items = node.args if node.op == "list" else (node,)
    first = items[0]
    if first.op != "rel" or first.value != ("=",) or first.args[0].op != "sym" or not contains(node, "const", "deg"):
        return False
    indices = _indices(node)
    return len(indices) == 1 and len(symbols(node) - {first.args[0].value}) == 1


def _indices(node: Node) -> set[str]:
    return set(symbols(node) & _INDICES)


def _with_index(node: Node) -> Node:
    return Node("bound", (node,), (tuple(_indices(node)), "integer"))


# -- bound names


def _same_bound(gold: Node, answer: Node, trail: Trail) -> bool:
    """Compare bodies after renaming; where only one side says what its names range over, they must be the same names."""
    trail.decide(Rule.BOUND_NAMES)
    if answer.op != "bound":
        return _same_unbound(gold.args[0], answer, trail)
    if gold.op != "bound":
        if not symbols(_right_side(gold)) and symbols(_right_side(answer.args[0])).intersection(answer.value[0]):
            return False  # (3, 4) is no family (3s, 4s)
        return not _restricts(gold, answer) and _same_unbound(gold, answer.args[0], trail)
    (left,), (names, domain) = gold.args, gold.value
    (right,), (others, other_domain) = answer.args, answer.value
    if domain and other_domain and domain != other_domain:
        trail.decide(Rule.BOUND_RANGES, domain, other_domain)
        return False
    if len(names) > MAX_NAMES or len(others) > MAX_NAMES:
        return False
    if len(names) == len(others):
        free = symbols(right) - set(others)
        if free.intersection(names):  # the renaming would bind a name that is free in the answer
            return False
        if any(equal(left, renamed, trail) for renamed in _renamings(right, others, names)):
            return True
    if "integer" not in (domain, other_domain):
        return False
    trail.decide(Rule.PROGRESSIONS)
    return same_cosets(gold, answer)


# -- arbitrary constants

_OF_INTEGRALS = frozenset(("C", "c", "K", "k", "D", "A", "C_1", "c_1", "C_0", "c_0"))
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
    if constants == {"C"} and rest & _VARIABLES and differ_by_a_constant(gold, answer, "C", min(others), rest):
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


def differ_by_a_constant(gold: Node, answer: Node, constant: str, other: str, variables: frozenset[str]) -> bool:
    """Tell whether both are a function plus a bare constant, and the functions differ by what depends on no variable."""
    left, right = assignment(gold, False, equal), assignment(answer, True, equal)
    if left and right and not labels_agree(left[0], right[0]):
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


def _with_usual_constant(node: Node) -> Node:
    """Return an antiderivative with its constant, a term that occurs once and depends on nothing, called C."""
    if node.op == "rel" and node.value == ("=",):
        return node._replace(args=(node.args[0], _with_usual_constant(node.args[1])))
    if node.op != "add" or "C" in symbols(node):
        return node
    terms = [part for part in node.args if part.op == "sym" and part.value in _OF_INTEGRALS]
    if len(terms) != 1:
        return node
    rest = tuple(part for part in node.args if part is not terms[0])
    if terms[0].value in symbols(Node("add", rest)):
        return node
    return node._replace(args=(*rest, Node("sym", (), "C")))
