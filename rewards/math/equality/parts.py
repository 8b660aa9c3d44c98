"""An object compared by its parts: one by one in order, or paired off where order says nothing."""

from typing import Protocol

from rewards.math.equality.rules import Trail
from rewards.math.tree import Node

MAX_ITEMS = 200


class Equal(Protocol):
    """The comparison of any two trees, `compare.equal`, handed down to the files that compare an object by its parts.

    It comes as an argument because `compare.py` imports those files.
    """

    def __call__(self, gold: Node, answer: Node, trail: Trail, strict: bool = False) -> bool:
        """Tell whether `answer` is the object `gold`; `strict` forgives no missing unit, degree sign or percent."""
        ...


def strictly(equal: Equal, one: Node, other: Node) -> bool:
    """Tell whether two trees are the same with nothing forgiven, leaving no trail."""
    return equal(one, other, Trail(), strict=True)


def in_order(gold: Node, answer: Node, trail: Trail, equal: Equal) -> bool:
    """Tell whether two objects have as many parts, and each part is the one at its place."""
    if len(gold.args) != len(answer.args):
        return False
    return all(equal(one, other, trail) for one, other in zip(gold.args, answer.args, strict=True))


def same_in_any_order(gold: list[Node], answer: list[Node], trail: Trail, equal: Equal) -> bool:
    """Tell whether the two lists hold the same items in any order, each as often."""
    if len(gold) != len(answer) or len(gold) > MAX_ITEMS:
        return False
    rest = list(answer)
    return all(_taken(item, rest, trail, equal) is not None for item in gold)


def same_members(gold: tuple[Node, ...], answer: tuple[Node, ...], trail: Trail, equal: Equal) -> bool:
    """Tell whether each of the gold items is in the answer, and the rest of the answer only repeats them.

    A long answer is never compared with itself.
    """
    rest = list(answer)
    members: list[Node] = []
    for item in _distinct(gold, equal):
        member = _taken(item, rest, trail, equal)
        if member is None:
            return False
        members.append(member)
    return all(any(item == member or strictly(equal, member, item) for member in members) for item in rest)


def _taken(item: Node, rest: list[Node], trail: Trail, equal: Equal) -> Node | None:
    """Take the first of `rest` that equals `item` out of it, and return it."""
    for index, other in enumerate(rest):
        if item == other or equal(item, other, trail.apart()):
            return rest.pop(index)
    return None


def _distinct(items: tuple[Node, ...], equal: Equal) -> list[Node]:
    distinct: list[Node] = []
    for item in items[:MAX_ITEMS]:
        if not any(item == other or strictly(equal, item, other) for other in distinct):
            distinct.append(item)
    return distinct


def joined_by(node: Node, op: str) -> list[Node]:
    """Return what `node` joins by `op`, however it is nested."""
    return [piece for part in node.args for piece in joined_by(part, op)] if node.op == op else [node]
