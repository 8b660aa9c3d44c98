r"""Square brackets and braces that only group: `[x-1]y` is (x-1)y, and `2\{3x+4[x-1]\}` is 2(3x+4(x-1)).

Alone they stay what they are, a sequence or a set of one. What is no sum is only taken out where a power or a function asks for
a value: [n/2] may be a floor. Braces group sums in products and powers only: x - {x+y} has a fractional part. A name in square
brackets is a name of its own, as a concentration or an area is.
"""

from rewards.math.tree import Node, Op

_ARITHMETIC: tuple[Op, ...] = ("add", "mul", "div", "neg", "pow", "root", "fact", "pm", "mp", "fn")
_TAKES_ANY_VALUE: tuple[Op, ...] = ("pow", "root", "fn")
_HOLDS_BRACES: tuple[Op, ...] = ("mul", "div", "pow", "root", "fn")
_SUMS: tuple[Op, ...] = ("add", "pm", "mp")


def ungrouped(node: Node) -> Node:
    """Return `node` without the brackets that only group."""
    if not node.args:
        return node
    args = tuple(map(ungrouped, node.args))
    if node.op in _ARITHMETIC:
        takes_any = node.op in _TAKES_ANY_VALUE
        args = tuple(part if part.op == "set" and node.op not in _HOLDS_BRACES else _inside(part, takes_any) for part in args)
    return node._replace(args=args)


def _inside(node: Node, takes_any: bool) -> Node:
    """Return what is in the brackets `node` where it is a part of a calculation."""
    brackets = node.value if node.op == "seq" else "{}" if node.op == "set" else ""
    if brackets not in ("[]", "{}") or len(node.args) != 1:
        return node
    inner = node.args[0]
    if inner.op in _SUMS:
        return inner
    if inner.op == "sym":
        return Node("sym", (), f"[{inner.value}]") if brackets == "[]" else node
    return inner if takes_any else node
