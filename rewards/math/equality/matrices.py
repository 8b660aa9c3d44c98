"""Arithmetic with small matrices, whose entries are expressions."""

from collections.abc import Iterable
from functools import lru_cache

from rewards.math.equality.exact import rational
from rewards.math.tree import OBJECTS, Node, contains, number

MAX_ENTRIES = 100
MAX_EXPONENT = 32
MAX_SQUARE = 16  # entries of a matrix that is raised to a power
MAX_EXPONENT_WITH_NAMES = 4
MAX_NODES_OF_POWER = 4000


def matrix_value(node: Node) -> Node:
    """Carry out sums, multiples and products of small matrices; any other node stays as it is."""
    if node.op not in ("add", "neg", "mul", "div", "pow") or not any(contains(part, "mat") for part in node.args):
        return node
    args = [matrix_value(part) for part in node.args]
    if any((part.op in OBJECTS and part.op != "mat") or len(part.args) > MAX_ENTRIES for part in args):
        return node
    return _carried_out(node, args) or node


def _carried_out(node: Node, args: list[Node]) -> Node | None:
    """Return what the operator of `node` makes of `args`, or None where it is no matrix."""
    first = args[0]
    if node.op == "add":
        return _sum(args)
    if node.op == "neg":
        return _with_entries(first, (Node("neg", (cell,)) for cell in first.args)) if first.op == "mat" else None
    other = args[1]
    if node.op == "pow":
        return _power(first, other)
    if node.op == "mul" and first.op == other.op == "mat":
        return _product(first, other)
    if first.op == "mat":
        return _with_entries(first, (Node(node.op, (cell, other)) for cell in first.args))
    if node.op == "mul":
        return _with_entries(other, (Node("mul", (first, cell)) for cell in other.args))
    return None


def _with_entries(matrix: Node, entries: Iterable[Node]) -> Node:
    return matrix._replace(args=tuple(entries))


def _sum(matrices: list[Node]) -> Node | None:
    first = matrices[0]
    shape = (first.value, len(first.args))
    if any(part.op != "mat" or (part.value, len(part.args)) != shape for part in matrices):
        return None
    cells = zip(*(part.args for part in matrices), strict=True)
    return _with_entries(first, (Node("add", cell) for cell in cells))


def _product(one: Node, other: Node) -> Node | None:
    inner, width = one.value, other.value
    if len(other.args) != inner * width:
        return None
    cells = []
    for row in range(len(one.args) // inner):
        for column in range(width):
            terms = [Node("mul", (one.args[row * inner + k], other.args[k * width + column])) for k in range(inner)]
            cells.append(terms[0] if inner == 1 else Node("add", tuple(terms)))
    return Node("mat", tuple(cells), width)


@lru_cache(maxsize=256)
def _power(matrix: Node, exponent: Node) -> Node | None:
    """Return a small positive power of a small square matrix of rationals."""
    if matrix.op != "mat" or not matrix.value**2 == len(matrix.args) <= MAX_SQUARE:
        return None
    if exponent.value not in range(1, MAX_EXPONENT + 1):
        return None
    power = matrix
    try:
        for _ in range(int(exponent.value) - 1):
            product = _product(power, matrix)
            if product is None:
                return None
            power = _with_entries(product, (number(rational(cell)) for cell in product.args))
    except ArithmeticError:
        return _power_with_names(matrix, int(exponent.value))
    return power


def _power_with_names(matrix: Node, exponent: int) -> Node | None:
    """Return a power of a matrix whose entries are no rationals, as sums of products that nobody simplifies."""
    length = matrix.value
    if exponent > MAX_EXPONENT_WITH_NAMES or _nodes(matrix) * length ** (exponent - 1) * exponent > MAX_NODES_OF_POWER:
        return None
    power: Node | None = matrix
    for _ in range(exponent - 1):
        power = _product(power, matrix) if power is not None else None
    return power


def _nodes(node: Node) -> int:
    return 1 + sum(map(_nodes, node.args))


def as_matrix(node: Node) -> Node:
    """Read [[1, 2], [3, 4]] as a matrix."""
    rows = node.args if node.op == "seq" and node.value == "[]" else ()
    if len(rows) < 2 or any(row.op != "seq" or row.value != "[]" for row in rows):
        return node
    if len({len(row.args) for row in rows}) != 1:
        return node
    return Node("mat", tuple(cell for row in rows for cell in row.args), len(rows[0].args))


def rows_as_matrix(node: Node) -> Node:
    """Read 1, 2; 3, 4 as a matrix, next to one; any other node stays as it is."""
    if node.op != "list" or node.value != ";":
        return node
    return Node("mat", tuple(cell for row in node.args for cell in row.args), len(node.args[0].args))
