r"""A residue against a number, and the constant of an integral under another name.

`7 \bmod 3` is read as the class 7 + 3k; against the plain number 1 it is the remainder, 1. Only whole numbers are divided, so
that `3^{100} \bmod 7`, which may be the question itself, is no answer.
"""

from rewards.math.tree import Node, symbols

_INDEX = "\\k"  # of a residue class (grammar/quantifiers.py)
_CONSTANTS = frozenset(("C", "c", "K", "k", "D", "A", "C_1", "c_1", "C_0", "c_0"))
MAX_DIVIDED = 10**30


def same_remainders(gold: Node, answer: Node) -> bool | None:
    """Compare a class of whole numbers with a whole number as remainders; None where the sides are anything else."""
    for one, other in ((gold, answer), (answer, gold)):
        if (remainder := _remainder(one)) is not None and (value := _whole(other)) is not None:
            return remainder == value
    return None


def _remainder(node: Node) -> int | None:
    r"""Return the remainder 1 of `7 \bmod 3`; None for the class `7 \pmod 3`."""
    if node.op != "bound" or node.value[0] != (_INDEX,) or node.args[0].value != "remainder" or len(node.args[0].args) != 2:
        return None
    value, step = node.args[0].args
    divided, modulus = _whole(value), _whole(step.args[0]) if step.op == "mul" else None
    return divided % modulus if divided is not None and modulus else None


def _whole(node: Node) -> int | None:
    if node.op == "neg":
        value = _whole(node.args[0])
        return None if value is None else -value
    is_whole = node.op == "num" and node.value.denominator == 1 and abs(node.value) < MAX_DIVIDED
    return int(node.value) if is_whole else None


def with_usual_constant(node: Node) -> Node:
    """Return an antiderivative with its constant, a term that occurs once and depends on nothing, called C."""
    if node.op == "rel" and node.value == ("=",):
        return node._replace(args=(node.args[0], with_usual_constant(node.args[1])))
    if node.op != "add" or "C" in symbols(node):
        return node
    terms = [part for part in node.args if part.op == "sym" and part.value in _CONSTANTS]
    if len(terms) != 1:
        return node
    rest = tuple(part for part in node.args if part is not terms[0])
    if terms[0].value in symbols(Node("add", rest)):
        return node
    return node._replace(args=(*rest, Node("sym", (), "C")))
