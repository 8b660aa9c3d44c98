r"""Linear combinations of the unit vectors i, j, k as vectors: `3\mathbf{i} - 2\mathbf{j}` is `\langle 3, -2 \rangle`.

A unit vector is marked by bold type, a hat or an arrow (the names `\hat i`, `\hat j`, `\hat k` in the tree). Marks on one
side are enough; where neither side has one, i is the imaginary unit and `3 + 2i` a number.
"""

from rewards.math.tree import IMAGINARY, ONE, ZERO, Node

AXES = ("i", "j", "k")
MARKED = tuple(Node("sym", (), f"\\hat {axis}") for axis in AXES)
PLAIN = (IMAGINARY, Node("sym", (), "j"), Node("sym", (), "k"))
_MARKS = dict(zip(PLAIN, MARKED, strict=True))
_NO_MARKS = dict(zip(MARKED, PLAIN, strict=True))


def marked(node: Node) -> Node:
    """Return the unit vector that a marked letter stands for; any other node as it is."""
    return _MARKS.get(node, node)


def _mentions(node: Node) -> bool:
    return node in MARKED or any(_mentions(part) for part in node.args)


def _exchanged(node: Node, table: dict[Node, Node]) -> Node:
    return node._replace(args=tuple(_exchanged(part, table) for part in node.args)) if node.args else table.get(node, node)


def _coefficients(node: Node) -> dict[Node, Node] | None:
    """Return the coefficients of the marked unit vectors, none for a scalar, or None where the node is not linear in them."""
    if node in MARKED:
        return {node: ONE}
    parts = [_coefficients(part) for part in node.args]
    found = [part for part in parts if part]
    if None in parts or not found:
        return None if None in parts else {}
    if node.op == "neg":
        return {axis: Node("neg", (value,)) for axis, value in found[0].items()}
    if node.op == "add" and len(found) == len(parts):
        terms = {axis: tuple(part[axis] for part in found if axis in part) for axis in MARKED}
        return {axis: Node("add", values) for axis, values in terms.items() if values}
    if (node.op == "mul" and len(found) == 1) or (node.op == "div" and parts[1] == {}):
        scalar = node.args[parts[0] == found[0]]
        return {axis: Node(node.op, (value, scalar)) for axis, value in found[0].items()}
    return None


def _components(node: Node) -> tuple[Node, ...] | None:
    """Return the components of a written vector or of a linear combination of unit vectors, marked or not."""
    if (node.op == "seq" and node.value in ("()", "<>")) or (node.op == "mat" and node.value in (1, len(node.args))):
        return node.args
    found = _coefficients(node) or _coefficients(_exchanged(node, _MARKS))
    return tuple(found.get(axis, ZERO) for axis in MARKED) if found else None


def as_vectors(gold: Node, answer: Node) -> tuple[Node, Node]:
    """Return both sides by components where one of them has marked unit vectors; without the marks where one is no vector."""
    if not (_mentions(gold) or _mentions(answer)):
        return gold, answer
    left, right = _components(gold), _components(answer)
    if left and right:
        size = min(len(left), len(right))
        if all(part == ZERO for part in (*left[size:], *right[size:])):
            return Node("seq", left[:size], "<>"), Node("seq", right[:size], "<>")
    return _exchanged(gold, _NO_MARKS), _exchanged(answer, _NO_MARKS)
