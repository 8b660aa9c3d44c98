r"""Capitals side by side: `GM` names one thing, as the side AB does, but is a product where the other side has G and M apart.

In `GM^{2/3}` the power belongs to M then, as TeX sets it.
"""

from rewards.math.tree import Node, symbols

MAX_LETTERS = 4


def with_capitals_apart(node: Node, other: Node) -> Node:
    """Return `node` with names of several capitals as products, where `other` has all of their letters and not the name."""
    theirs = symbols(other)
    names = {name for name in symbols(node) if 1 < len(name) <= MAX_LETTERS and name.isalpha() and name.isupper()}
    split = frozenset(name for name in names - theirs if theirs.issuperset(name))
    return _apart(node, split) if split else node


def _apart(node: Node, names: frozenset[str]) -> Node:
    if node.op == "sym" and node.value in names:
        return _product([Node("sym", (), letter) for letter in node.value])
    if node.op == "pow" and node.args[0].op == "sym" and node.args[0].value in names:
        *front, last = (Node("sym", (), letter) for letter in node.args[0].value)
        return _product([*front, Node("pow", (last, _apart(node.args[1], names)))])
    return node._replace(args=tuple(_apart(part, names) for part in node.args))


def _product(factors: list[Node]) -> Node:
    product = factors[0]
    for factor in factors[1:]:
        product = Node("mul", (product, factor))
    return product
