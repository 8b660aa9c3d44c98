r"""The expression tree every answer is read into, and the limits that keep it small.

A node is an operator, its arguments and a value. `x = \frac{1}{2}` is read as

    half = Node("div", (Node("num", (), Fraction(1)), Node("num", (), Fraction(2))), "frac")
    Node("rel", (Node("sym", (), "x"), half), ("=",))

An operator is always one of our own words, never a word of the text: evaluators look methods up by it.
"""

from fractions import Fraction
from typing import Any, Literal, NamedTuple

# Arguments are named in brackets; "value" is what stands in Node.value, None where nothing is said of it.
Op = Literal[
    # numbers and names
    "num",  # An exact rational; value: Fraction.
    "dec",  # A decimal as written; value: (Fraction, number of significant digits).
    "sym",  # A name, also of a set such as \reals; value: the name.
    "const",  # A constant; value: "pi", "e", "i" or "inf".
    # arithmetic
    "add",  # The sum of one or more (terms).
    "mul",  # The product of (left, right).
    "div",  # The quotient (top, bottom); value: "frac" where it was written as a fraction.
    "neg",  # The negative of (term).
    "pow",  # The power (base, exponent).
    "root",  # The root (base, index).
    "fact",  # The factorial of (n).
    "fact2",  # The double factorial of (n).
    "sum",  # A sum over an index: (index, low, high, term).
    "prod",  # A product over an index: (index, low, high, factor).
    "int",  # A definite integral: (variable, low, high, integrand).
    "anti",  # An indefinite integral: (variable, integrand).
    "lim",  # A limit: (variable, point, expression); value: "+" or "-" for the side it comes from, None for both.
    "diff",  # A derivative: (variable, order, expression).
    "pm",  # Plus or minus: (term) alone or (left, right).
    "mp",  # Minus or plus, signs taken together with those of "pm": (term) or (left, right).
    # functions
    "fn",  # A function we know, of (arguments); value: its name.
    "call",  # A function we do not know, of (arguments); value: its name as written.
    # quantities
    "deg",  # (amount) in degrees of an angle.
    "pct",  # (amount) in hundredths.
    "unit",  # (amount) of something; value: the unit or what is counted, as written.
    "time",  # A time of day; value: (hour, minute, second, "a" or "p" or None).
    # collections
    "seq",  # (items) in order, a point or an interval; value: its two brackets.
    "set",  # (items) in braces.
    "list",  # (items) side by side without brackets; value: ",", "and" or "or".
    "mat",  # (entries) of a matrix, row by row; value: the number of columns.
    "cases",  # A definition by cases: one seq (value, condition) a row; one row is a value under a condition.
    "ratio",  # (parts) of a proportion such as 1:2:3.
    # sets and conditions
    "build",  # All (head) with (condition); value: the domain, None for the reals.
    "union",  # The union of (left, right).
    "inter",  # The intersection of (left, right).
    "minus",  # What is in (left) and not in (right).
    "rel",  # A chain of relations between (members); value: the operators between them.
    "or",  # (left) or (right).
    "and",  # (left) and (right).
    "not",  # The opposite of (statement).
    "is",  # What words say of (name) or of (name, numbers); value: the words, "odd" or "divisible".
    "bound",  # (formula) with a quantifier; value: its names and what they range over, or () and how often roots count.
]
SETS: tuple[Op, ...] = ("union", "inter", "minus", "build")
# What is no expression and has no value as a number.
OBJECTS: tuple[Op, ...] = (*SETS, "seq", "set", "list", "mat", "rel", "time", "ratio", "or", "and", "not", "cases")
MAX_CHARACTERS = 4000
MAX_TOKENS = 1500
MAX_DEPTH = 60
MAX_DIGITS = 1000


class Node(NamedTuple):
    """One operator with its arguments; equal nodes are the same structure."""

    op: Op
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
    """Return the names that `node` binds: the index of a sum, the variable of an integral or limit, those of a set builder."""
    if node.op in ("sum", "prod", "int", "lim"):
        return frozenset((node.args[0].value,))
    return symbols(node.args[0]) if node.op == "build" else frozenset()


def substituted(node: Node, name: str, value: Node) -> Node:
    """Return `node` with every free symbol `name` replaced by `value`."""
    if name in binds(node):
        return node
    if node.op == "sym":
        return value if node.value == name else node
    return node._replace(args=tuple(substituted(part, name, value) for part in node.args))


def contains(node: Node, *ops: Op) -> bool:
    """Tell whether an operator of `ops` occurs anywhere in `node`."""
    return node.op in ops or any(contains(part, *ops) for part in node.args)


def replaced(node: Node, op: Op, keep_inside: tuple[Op, ...] = ()) -> Node:
    """Return `node` with every one-argument `op` replaced by its argument, except inside the operators `keep_inside`."""
    if node.op in keep_inside or not node.args:
        return node
    args = tuple(replaced(part, op, keep_inside) for part in node.args)
    return args[0] if node.op == op else node._replace(args=args)
