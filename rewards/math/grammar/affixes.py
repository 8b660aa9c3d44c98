r"""What stands around a value: signs in front; factorials, percents, degrees and primes behind.

`5!\%` is Node("pct", (Node("fact", (5,)),)), and `30^\circ` is Node("deg", (30,)).
"""

from rewards.math.grammar.cursor import Cursor
from rewards.math.grammar.subscripts import read_subscripts
from rewards.math.tree import Node, UnreadableError, number

_SUFFIX_SIGNS = frozenset(("!", "%", "^", "'", "\\circ", "\\prime"))
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
        if cursor.at("!") and following.text != "=":  # x != 5 is a relation
            cursor.advance()
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
        elif cursor.take("'", "\\prime"):
            node = _primed(node)
        else:
            break
    return node


def _with_degrees(cursor: Cursor, node: Node) -> Node:
    """Return `node` degrees, with the minutes that may follow, or a temperature."""
    token = cursor.now
    if token.kind in ("name", "text") and token.text.strip() in _TEMPERATURES:
        cursor.advance()
        return Node("unit", (node,), _TEMPERATURES[token.text.strip()])
    if token.kind == "num" and cursor.ahead().text == "'":  # 30 degrees 15 minutes
        cursor.index += 2
        if token.node is not None:
            node = Node("add", (node, Node("div", (token.node, number(60)))))
    return Node("deg", (node,))


def _primed(node: Node) -> Node:
    if node.op != "sym":
        raise UnreadableError("a prime on what is no name")
    return node._replace(value=node.value + "'")
