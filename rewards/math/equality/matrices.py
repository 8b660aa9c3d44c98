"""Arithmetic with small matrices, whose entries are expressions."""

from functools import lru_cache

from rewards.math.equality.exact import rational
from rewards.math.tree import OBJECTS, Node, contains

MAX_ENTRIES = 100


def matrix_value(node: Node) -> Node:
    """Carry out sums, multiples and products of small matrices."""
    if node.op not in ("add", "neg", "mul", "div", "pow") or not any(contains(part, "mat") for part in node.args):
        return node
    args = [matrix_value(part) for part in node.args]
    if any((part.op in OBJECTS and part.op != "mat") or len(part.args) > MAX_ENTRIES for part in args):
        return node
    first = args[0]
    if node.op == "neg":
        return first._replace(args=tuple(Node("neg", (cell,)) for cell in first.args)) if first.op == "mat" else node
    if node.op == "add":
        if any(part.op != "mat" or (part.value, len(part.args)) != (first.value, len(first.args)) for part in args):
            return node
        cells = zip(*(part.args for part in args), strict=True)
        return first._replace(args=tuple(Node("add", cell) for cell in cells))
    other = args[1]
    if node.op == "pow":
        return _power(first, other) or node
    if first.op == "mat" and other.op == "mat" and node.op == "mul":
        return _product(first, other) or node
    if first.op == "mat":
        return first._replace(args=tuple(Node(node.op, (cell, other)) for cell in first.args))
    return other._replace(args=tuple(Node("mul", (first, cell)) for cell in other.args)) if node.op == "mul" else node


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
    if matrix.op != "mat" or not matrix.value**2 == len(matrix.args) <= 16 or exponent.value not in range(1, 33):
        return None
    power = matrix
    try:
        for _ in range(int(exponent.value) - 1):
            product = _product(power, matrix)
            if product is None:
                return None
            power = product._replace(args=tuple(Node("num", (), rational(cell)) for cell in product.args))
    except ArithmeticError:
        return None
    return power


def as_matrix(node: Node) -> Node:
    """Read [[1, 2], [3, 4]] as a matrix, and brackets around an array as its own."""
    if node.op == "seq" and len(node.args) == 1 and node.args[0].op == "mat":
        return node.args[0]
    rows = node.args if node.op == "seq" and node.value == "[]" else ()
    if (
        len(rows) > 1
        and all(row.op == "seq" and row.value == "[]" for row in rows)
        and len({len(row.args) for row in rows}) == 1
    ):
        return Node("mat", tuple(cell for row in rows for cell in row.args), len(rows[0].args))
    return node
