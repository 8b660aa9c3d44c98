"""The expression tree every answer is read into, and the limits that keep it small.

A node is an operator, its arguments and a value. Expressions: `num` (Fraction), `dec` (Fraction, significant digits),
`sym`, `const` (pi, e, i, inf), `add`, `mul`, `div`, `neg`, `pow`, `root` (base, index), `fn`, `call`, `fact`, `sum`,
`prod`, `pm`/`mp` (one or two arguments), `deg`, `pct`, `unit` (value: the unit as written). Objects: `seq` (value: its two
brackets), `set`, `list` (value: ",", "and", "or"), `build` (set builder; value: its domain), `rel` (value: its operators),
`union`, `inter`, `minus`, `not`, `mat` (value: columns), `cases` (rows of a value and a condition), `is` (a name;
value: the words said of it), `ratio`, `bound` (a formula; value: the names bound in it and what they range over).
"""

from fractions import Fraction
from typing import Any, NamedTuple

SETS = ("union", "inter", "minus", "build")
OBJECTS = (*SETS, "seq", "set", "list", "mat", "rel", "time", "ratio", "or", "and", "not", "cases")  # what is no expression
MAX_CHARACTERS = 4000
MAX_TOKENS = 1500
MAX_DEPTH = 60
MAX_DIGITS = 1000


class Node(NamedTuple):
    """One operator with its arguments; equal nodes are the same structure."""

    op: str
    args: tuple["Node", ...] = ()
    value: Any = None


class UnreadableError(ValueError):
    """The text is no mathematical object we know; the message has the place and the reason."""


class TooBigError(ArithmeticError):
    """A value that is refused before it is computed: too many digits, too many terms, too large an exponent."""


def number(value: int | Fraction) -> Node:
    """Return an exact rational."""
    return Node("num", (), Fraction(value))


ZERO, ONE, TWO = number(0), number(1), number(2)
PI, EULER, IMAGINARY, INFINITY = (Node("const", (), name) for name in ("pi", "e", "i", "inf"))
REALS = Node("sym", (), "\\reals")
EMPTY = Node("set")
OTHERWISE = Node("sym", (), "otherwise")


def symbols(node: Node) -> frozenset[str]:
    """Return the names of the free symbols of `node`."""
    if node.op == "sym":
        return frozenset((node.value,))
    names: frozenset[str] = frozenset().union(*(symbols(part) for part in node.args)) if node.args else frozenset()
    return names - binds(node)


def binds(node: Node) -> frozenset[str]:
    """Return the names that `node` binds: the index of a sum, the variables of a set builder."""
    if node.op in ("sum", "prod"):
        return frozenset((node.args[0].value,))
    return symbols(node.args[0]) if node.op == "build" else frozenset()


def substituted(node: Node, name: str, value: Node) -> Node:
    """Return `node` with every free symbol `name` replaced by `value`."""
    if name in binds(node):
        return node
    if node.op == "sym":
        return value if node.value == name else node
    return node._replace(args=tuple(substituted(part, name, value) for part in node.args))


def contains(node: Node, *ops: str) -> bool:
    """Tell whether an operator of `ops` occurs anywhere in `node`."""
    return node.op in ops or any(contains(part, *ops) for part in node.args)


def replaced(node: Node, op: str, keep_inside: tuple[str, ...] = ()) -> Node:
    """Return `node` with every one-argument `op` replaced by its argument, except inside the operators `keep_inside`."""
    if node.op in keep_inside or not node.args:
        return node
    args = tuple(replaced(part, op, keep_inside) for part in node.args)
    return args[0] if node.op == op else node._replace(args=args)
