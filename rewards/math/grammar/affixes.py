r"""What stands around a value: signs in front; factorials, percents, degrees and primes behind.

`5!\%` is Node("pct", (Node("fact", (5,)),)), and `30^\circ` is Node("deg", (30,)).
"""

from rewards.math.grammar.cursor import Cursor
from rewards.math.grammar.subscripts import read_subscripts
from rewards.math.tree import ONE, Node, UnreadableError, number, symbols

_SUFFIX_SIGNS = frozenset(("!", "%", "^", "'", '"', "\\circ", "\\prime"))
_TEMPERATURES = {
    "C": "celsius", "Celsius": "celsius", "F": "fahrenheit", "Fahrenheit": "fahrenheit", "K": "kelvin",
}  # fmt: skip


def read_sign(cursor: Cursor) -> int:
    """Take signs, if any, and return their product: 1 or -1."""
    sign = 1
    while cursor.at("-", "+"):
        if cursor.advance().text == "-":
            sign = -sign
    return sign


def signed(sign: int, node: Node) -> Node:
    """Return `node` with a sign in front."""
    return Node("neg", (node,)) if sign < 0 else node


def read_suffixes(cursor: Cursor, node: Node) -> Node:
    """Return `node` with what follows it: !, %, degrees, primes."""
    while cursor.now.sign in _SUFFIX_SIGNS:
        following = cursor.ahead()
        if cursor.take("!"):
            node = Node("fact2", (node,)) if cursor.take("!") else Node("fact", (node,))
        elif cursor.take("%"):
            node = Node("pct", (node,))
        elif cursor.at("^") and following.text == "circ":
            cursor.index += 2
            node = _with_degrees(cursor, node)
        elif cursor.at("^") and following.text == "{" and cursor.ahead(2).text == "circ":
            cursor.index += 3
            cursor.expect("}")
            node = _with_degrees(cursor, node)
        elif cursor.take("\\circ"):
            node = _with_degrees(cursor, node)
        elif cursor.at("^") and following.kind == "cmd" and following.text == "prime":
            cursor.index += 2
            node = _primed(node)
        elif cursor.at("'", '"') and node.op in ("num", "dec"):
            node = _with_marks(cursor, node)
        elif cursor.take("'", "\\prime"):
            node = read_subscripts(cursor, _primed(node))
        elif cursor.at("^") and node.op == "sym" and (star := _star_length(cursor)):
            cursor.index += star
            node = read_subscripts(cursor, node._replace(value=node.value + "*"))
        else:
            break
    return node


def _with_degrees(cursor: Cursor, node: Node) -> Node:
    """Return `node` degrees, with the minutes and seconds that may follow, or a temperature."""
    token = cursor.now
    if token.kind in ("name", "text") and token.text.strip() in _TEMPERATURES:
        cursor.advance()
        return Node("unit", (node,), _TEMPERATURES[token.text.strip()])
    parts = [node]
    for marks, share in (("'",), 60), (("''", '"'), 3600):
        amount = cursor.now.node
        if amount is not None and _marks_behind(cursor, 1) in marks:
            cursor.index += 1 + len(_marks_behind(cursor, 1))
            parts.append(Node("div", (amount, number(share))))
    return Node("deg", (Node("add", tuple(parts)) if len(parts) > 1 else node,))


def _marks_behind(cursor: Cursor, offset: int) -> str:
    """Return the marks of minutes or seconds `offset` tokens ahead: one or two primes, or a double quote."""
    first = cursor.ahead(offset)
    if first.sign == '"':
        return '"'
    if first.sign != "'":
        return ""
    return "''" if cursor.ahead(offset + 1).sign == "'" else "'"


def _with_marks(cursor: Cursor, node: Node) -> Node:
    """Return a number with marks behind it as inches, or feet and inches: 5' 11". Only behind degrees they are an angle.

    One prime alone is no unit: 2' is more often a name that lost its letter than two feet.
    """
    marks = _marks_behind(cursor, 0)
    cursor.index += len(marks)
    if cursor.now.kind == "name" and not cursor.now.spaced:  # the 70's
        raise cursor.unreadable("letters behind a mark")
    if marks != "'":
        return Node("unit", (node,), "in")
    inches = cursor.now.node
    if inches is None or _marks_behind(cursor, 1) not in ("''", '"'):
        raise cursor.unreadable("a prime on what is no name")
    cursor.index += 1 + len(_marks_behind(cursor, 1))
    return Node("add", (Node("unit", (node,), "ft"), Node("unit", (inches,), "in")))


def _star_length(cursor: Cursor) -> int:
    """Return how many tokens a raised star takes, as in x^* or x^{*}; 0 where there is none."""
    texts = cursor.texts_ahead(3)
    return 2 if texts[:1] == ["*"] else 4 if texts == ["{", "*", "}"] else 0


def _primed(node: Node) -> Node:
    if node.op != "sym":
        names = symbols(node)
        if len(names) != 1 or node.op not in ("add", "mul", "div", "pow", "fn"):
            raise UnreadableError("a prime on what is no name")
        return Node("diff", (Node("sym", (), next(iter(names))), ONE, node))  # (x^2 + 1)'
    return node._replace(value=node.value + "'")
