"""Trees as JSON, for the pipe to the sympy process.

encode(Node("div", (ONE, TWO), "frac"))   # ["div", [["num", [], {"q": [1, 1]}], ["num", [], {"q": [2, 1]}]], "frac"]
"""

from fractions import Fraction
from typing import Any, NamedTuple

from rewards.math.tree import Node

MAX_NODES = 600  # of both sides together
MAX_DEPTH = 50


class Reply(NamedTuple):
    """What the process found: `same` is None where it cannot tell; `rule` names what decided, `facts` fill its text in."""

    same: bool | None
    rule: str = ""
    facts: tuple[str, ...] = ()


def encode(node: Node) -> list[Any]:
    """Return a tree as lists, strings and numbers."""
    return [node.op, [encode(part) for part in node.args], _encoded(node.value)]


def decode(data: list[Any]) -> Node:
    """Return the tree that `encode` wrote."""
    op, args, value = data
    return Node(op, tuple(decode(part) for part in args), _decoded(value))


def _encoded(value: Any) -> Any:
    if isinstance(value, Fraction):
        return {"q": [value.numerator, value.denominator]}
    return [_encoded(part) for part in value] if isinstance(value, tuple) else value


def _decoded(value: Any) -> Any:
    if isinstance(value, dict):
        return Fraction(*value["q"])
    return tuple(_decoded(part) for part in value) if isinstance(value, list) else value


def fits(*nodes: Node) -> bool:
    """Tell whether trees are small enough to be asked about."""
    left = MAX_NODES
    waiting = [(node, 1) for node in nodes]
    while waiting:
        node, depth = waiting.pop()
        left -= 1
        if left < 0 or depth > MAX_DEPTH:
            return False
        waiting += [(part, depth + 1) for part in node.args]
    return True
