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
    parts: list[dict[Node, Node]] = []
    for arg in node.args:
        part = _coefficients(arg)
        if part is None:
            return None
        parts.append(part)
    vectors = [part for part in parts if part]
    if not vectors:
        return {}
    if node.op == "neg":
        return {axis: Node("neg", (value,)) for axis, value in vectors[0].items()}
    if node.op == "add" and len(vectors) == len(parts):
        terms = {axis: tuple(part[axis] for part in vectors if axis in part) for axis in MARKED}
        return {axis: Node("add", values) for axis, values in terms.items() if values}
    times_scalar = node.op == "mul" and len(vectors) == 1
    by_scalar = node.op == "div" and not parts[1]
    if times_scalar or by_scalar:
        scalar = node.args[1] if parts[0] else node.args[0]
        return {axis: Node(node.op, (value, scalar)) for axis, value in vectors[0].items()}
    return None


def _components(node: Node) -> tuple[Node, ...] | None:
    """Return the components of a written vector or of a linear combination of unit vectors, marked or not."""
    written = node.op == "seq" and node.value in ("()", "<>")
    one_row_or_column = node.op == "mat" and node.value in (1, len(node.args))
    if written or one_row_or_column:
        return node.args
    coefficients = _coefficients(node) or _coefficients(_exchanged(node, _MARKS))
    return tuple(coefficients.get(axis, ZERO) for axis in MARKED) if coefficients else None


def as_vectors(gold: Node, answer: Node) -> tuple[Node, Node]:
    """Return both sides by components where one of them has marked unit vectors; without the marks where one is no vector."""
    if not (_mentions(gold) or _mentions(answer)):
        return gold, answer
    left, right = _components(gold), _components(answer)
    if left and right:
        size = min(len(left), len(right))
        if all(part == ZERO for part in (*left[size:], *right[size:])):  # i + j is a vector of the plane too
            return Node("seq", left[:size], "<>"), Node("seq", right[:size], "<>")
    return _exchanged(gold, _NO_MARKS), _exchanged(answer, _NO_MARKS)
