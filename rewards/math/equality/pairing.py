"""Pairing off: whether two lists hold the same items when order says nothing."""

from rewards.math.equality.rules import Equal, Trail, strictly
from rewards.math.tree import Node

MAX_ITEMS = 200


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
