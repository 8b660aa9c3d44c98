r"""Values as programs print them: `Rational(1, 2)`, `Interval.open(0, 1)`, `FiniteSet(1, 2)`, `Eq(x, 3)`, `S.Half`.

These are words of our own tables: what is not listed here is no constructor, and nothing of the text is evaluated.
"""

from collections.abc import Callable, Mapping

from rewards.math.grammar.cursor import Cursor
from rewards.math.tree import EMPTY, INFINITY, ONE, REALS, TWO, Node, Op, number

_MAX_ARGUMENTS = 200
_RELATIONS = {"Eq": "=", "Ne": "!=", "Lt": "<", "Le": "<=", "Gt": ">", "Ge": ">="}
_JOINING: dict[str, Op] = {"Union": "union", "Intersection": "inter", "Mul": "mul", "And": "and", "Or": "or"}
_INTERVALS = {"": "[]", "open": "()", "Lopen": "(]", "Ropen": "[)"}
_SINGLETONS = {
    "Half": Node("div", (ONE, TWO)), "Reals": REALS, "EmptySet": EMPTY, "Infinity": INFINITY, "One": ONE, "Zero": number(0),
    "NegativeInfinity": Node("neg", (INFINITY,)), "NegativeOne": Node("neg", (ONE,)),
}  # fmt: skip
_TRUTH = {"True": ONE, "False": number(0), "true": ONE, "false": number(0)}


def read_constructor(cursor: Cursor) -> Node | None:
    """Read a constructor with its arguments; None, with the cursor where it was, for any other word."""
    name = cursor.now.text
    start = cursor.index
    if name == "S":
        return _read_singleton(cursor)
    variant = cursor.ahead(2).text if name == "Interval" and cursor.ahead().sign == "." else ""
    opening = 3 if variant else 1
    build = _BUILDERS.get(name)
    if build is None or variant not in _INTERVALS or cursor.ahead(opening).sign != "(" or cursor.ahead(opening).spaced:
        return None
    cursor.index += opening + 1
    node = build(name, variant, _read_arguments(cursor))
    if node is None:
        cursor.index = start
    return node


def _read_singleton(cursor: Cursor) -> Node | None:
    """Read S.Half, or S(1) in front of a division."""
    if cursor.ahead().sign == "." and cursor.ahead(2).text in _SINGLETONS:
        cursor.index += 3
        return _SINGLETONS[cursor.tokens[cursor.index - 1].text]
    literal = cursor.ahead(2).node
    if cursor.ahead().sign == "(" and literal is not None and cursor.ahead(3).sign == ")" and cursor.ahead(4).sign == "/":
        cursor.index += 4
        return literal
    return None


def _read_arguments(cursor: Cursor) -> tuple[Node, ...]:
    """Read the arguments and the closing bracket."""
    outer = cursor.enter()
    cursor.deeper()
    args: list[Node] = []
    while not cursor.take(")"):
        if len(args) == _MAX_ARGUMENTS:
            raise cursor.unreadable("too many arguments")
        truth = _TRUTH.get(cursor.now.text)
        if truth is not None:
            cursor.advance()
        args.append(truth or cursor.rules.statement(cursor))
        if not cursor.at(")"):
            cursor.expect(",")
    cursor.depth -= 1
    cursor.leave(outer)
    return tuple(args)


_Build = Callable[[str, str, tuple[Node, ...]], Node | None]


def _quotient(_: str, __: str, args: tuple[Node, ...]) -> Node | None:
    if len(args) == 1:
        return args[0]
    return Node("div", args) if len(args) == 2 else None


def _itself(_: str, __: str, args: tuple[Node, ...]) -> Node | None:
    return args[0] if len(args) == 1 else None


def _power(_: str, __: str, args: tuple[Node, ...]) -> Node | None:
    return Node("pow", args) if len(args) == 2 else None


def _root(_: str, __: str, args: tuple[Node, ...]) -> Node | None:
    return Node("root", args) if len(args) == 2 else None


def _sum(_: str, __: str, args: tuple[Node, ...]) -> Node | None:
    return Node("add", args) if args else None


def _joined(name: str, _: str, args: tuple[Node, ...]) -> Node | None:
    if not args:
        return None
    node = args[0]
    for part in args[1:]:
        node = Node(_JOINING[name], (node, part))
    return node


def _complement(_: str, __: str, args: tuple[Node, ...]) -> Node | None:
    return Node("minus", args) if len(args) == 2 else None


def _interval(_: str, variant: str, args: tuple[Node, ...]) -> Node | None:
    """Return an interval; a third and a fourth argument say that an end is open."""
    if not 2 <= len(args) <= 4:
        return None
    low, high = args[:2]
    brackets = _INTERVALS[variant]
    opened = [flag == ONE for flag in args[2:]] + [False, False]
    left = "(" if opened[0] or low == Node("neg", (INFINITY,)) else brackets[0]
    right = ")" if opened[1] or high == INFINITY else brackets[1]
    return Node("seq", (low, high), left + right)


def _finite_set(_: str, __: str, args: tuple[Node, ...]) -> Node:
    return Node("set", args)


def _tuple(_: str, __: str, args: tuple[Node, ...]) -> Node | None:
    return Node("seq", args, "()") if len(args) > 1 else None


def _relation(name: str, _: str, args: tuple[Node, ...]) -> Node | None:
    return Node("rel", args, (_RELATIONS[name],)) if len(args) == 2 else None


def _matrix(_: str, __: str, args: tuple[Node, ...]) -> Node | None:
    """Return a matrix of a list of rows, or the column of a list of numbers."""
    rows = args[0].args if len(args) == 1 and args[0].op == "seq" and args[0].value == "[]" else ()
    if args and args[0].op == "mat":
        return args[0]
    if not rows:
        return None
    if all(row.op != "seq" for row in rows):
        return Node("mat", rows, 1)
    cells = tuple(cell for row in rows for cell in row.args)
    return Node("mat", cells, len(rows[0].args)) if len({(row.op, len(row.args)) for row in rows}) == 1 else None


_BUILDERS: Mapping[str, _Build] = {
    **dict.fromkeys(("Rational", "Fraction"), _quotient),
    **dict.fromkeys(("Integer", "Float"), _itself),
    **dict.fromkeys(("Pow", "pow"), _power),
    **dict.fromkeys(("root", "real_root"), _root),
    "Add": _sum,
    **dict.fromkeys(_JOINING, _joined),
    "Complement": _complement,
    "Interval": _interval,
    "FiniteSet": _finite_set,
    **dict.fromkeys(("Tuple", "Point", "Point2D", "Point3D"), _tuple),
    **dict.fromkeys(_RELATIONS, _relation),
    "Matrix": _matrix,
}


def is_constructor(name: str) -> bool:
    """Tell whether a word is a constructor where arguments follow."""
    return name in _BUILDERS
