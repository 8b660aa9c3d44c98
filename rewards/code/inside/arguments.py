"""What the program wrote into its arguments: seen, and in an exam that is held once more, kept from the tests.

Only calls count that return something else than None: a function that returns nothing works in place, and says so.
What merely changes the order of items does not count, nor one item more or less: `n = push(heap, x)`, `x = pop(heap)`.
Standard library only.
"""

from collections import Counter
from typing import Any

from rewards.code.inside import stdlib
from rewards.code.inside.values import _fill, _mark

_GIVES = ("call", "method", "next", "send", "await", "start", "outcome", "property", "get")
_SIMPLE = (bool, int, float, str, bytes, type(None))


class Arguments:
    """Of one exam: the containers that the tests gave, and what a reply says of them. `protects`: it is kept from the tests."""

    def __init__(self, values: Any, protects: bool = False):
        self.values, self.protects = values, protects
        self.lent: set[int] = set()  # numbers of containers that came from the tests
        self.waiting: list[tuple[int, Any]] = []  # a reply's changes of them, and what they hold now
        self.changed = False

    def lend(self, first: int) -> None:
        """Note that the containers from number `first` on were given by the tests."""
        self.lent.update(range(first, len(self.values.shared)))

    def hear(self, change: Any) -> bool:
        """Take a change for later, if it is one of an argument; the containers in it have their numbers now."""
        number, body = change
        if number not in self.lent:
            return False
        is_array = stdlib.is_array(self.values.shared[number])
        self.waiting.append((number, body if is_array else self.values._content(self.values.shared[number], body, 1)))
        return True

    def settle(self, value: Any, op: str, came_well: bool) -> None:
        """The reply's value is known: let the changes arrive, or not."""
        waiting, self.waiting = self.waiting, []
        is_in_place = not came_well or op not in _GIVES or value is None
        is_new = not is_in_place and any(not _nearly_same(self.values.shared[number], held) for number, held in waiting)
        self.changed = self.changed or is_new
        for number, held in waiting:
            if not (self.protects and is_new):
                self._put(number, held)

    def _put(self, number: int, held: Any) -> None:
        value = self.values.shared[number]
        stdlib.fill_array(value, held) if stdlib.is_array(value) else _fill(value, held)
        if number in self.values.marks:
            self.values.marks[number] = _mark(value)


def _nearly_same(before: Any, after: Any) -> bool:
    """Return whether only the order of items differs, or one item came or went."""
    items, held = (Counter(_written(item) for item in _items(value)) for value in (before, after))
    came, went = (held - items).total(), (items - held).total()
    return came + went <= 1


def _items(value: Any) -> Any:
    return dict.items(value) if isinstance(value, dict) else () if stdlib.is_array(value) else value


def _written(item: Any) -> Any:
    """Return what tells an item from others: its value, or the very object."""
    if isinstance(item, tuple | list) and len(item) < 10 and all(type(part) in _SIMPLE for part in item):
        return repr(tuple(item))
    return repr(item) if type(item) in _SIMPLE else id(item)
