r"""What a side is worth where it says more than its value: two forms of one value, and a set behind its name.

`\frac{1}{2\cos^2 x} = \frac12\sec^2 x + C` is its last form, and `D = (0, 1)` beside `0 < x < 1` is the interval.
"""

from rewards.math.equality.parts import Equal, strictly
from rewards.math.tree import OBJECTS, Node, symbols

MAX_FORMS = 4  # of one value
_NOT_A_FORM = (*OBJECTS, "sym", "call")
_NAMES_OF_SETS = frozenset(("D", "I", "S"))
_CONSTANT = Node("sym", (), "C")


def as_values(gold: Node, answer: Node, equal: Equal) -> tuple[Node, Node]:
    """Return both sides, where one says more than the other, by what they are worth; as they are where that is not so."""
    if gold.op == answer.op:
        return (gold.args[1], answer) if _is_named_interval(gold) and not _is_equation(answer) else (gold, answer)
    return _last_form(gold, equal), _last_form(answer, equal)


def _is_equation(node: Node) -> bool:
    return node.op == "rel" and set(node.value) == {"="}


def _is_named_interval(node: Node) -> bool:
    """Tell whether it is `D = (0, 1)`, which may be a point only beside another point."""
    return (
        node.value == ("=",)
        and node.args[0].value in _NAMES_OF_SETS
        and node.args[1].op in ("seq", "union")
        and len(node.args[1].args) == 2
    )


def _last_form(node: Node, equal: Equal) -> Node:
    """Return the last of several forms of one value, which may be said up to a constant C."""
    if not _is_equation(node) or len(node.args) > MAX_FORMS or any(part.op in _NOT_A_FORM for part in node.args):
        return node
    *others, last = node.args
    bare = _without_constant(last)
    if not symbols(bare) or any(part == last or not strictly(equal, _without_constant(part), bare) for part in others):
        return node
    return last


def _without_constant(node: Node) -> Node:
    rest = tuple(part for part in node.args if part != _CONSTANT) if node.op == "add" else ()
    return (rest[0] if len(rest) == 1 else Node("add", rest)) if rest else node
