"""Whether an object that the tests did not construct shows, before it sees what it is compared with, that it is that.

One that iterates over 1, 2, 3 may equal `[1, 2, 3]`; one that `int()` makes 5 of, or whose only attribute is 5, may equal 5. It
has to say one value, of the kind that the tests compare with, and cannot guess better than by that value itself. Standard
library only.
"""

from collections.abc import Callable
from typing import Any

from rewards.code.inside.standins import reference

_MAX_ITEMS = 1000


def shows(instance: Any, value: Any, ask_number: Callable[[str, int], Any]) -> bool:
    """Return whether an object shows the data that it is said to equal."""
    try:
        return _shows(instance, value, ask_number)
    except Exception:
        return False


def _shows(instance: Any, value: Any, ask_number: Callable[[str, int], Any]) -> bool:
    kind = type(instance)
    if type(value) in (list, tuple, set, frozenset, dict) and not value:
        return False  # an iteration that is empty tells nothing
    if type(value) is dict and hasattr(kind, "keys"):
        return {key: instance[key] for key in _items(instance)} == value
    if type(value) in (list, tuple, set, frozenset) and (hasattr(kind, "__iter__") or hasattr(kind, "__getitem__")):
        return bool(type(value)(_items(instance)) == value)
    if type(value) is str and "__str__" in _own_names(kind):
        return str(instance) == value
    if type(value) in (int, float) and not {"__int__", "__float__", "__index__"}.isdisjoint(_own_names(kind)):
        return bool((float if type(value) is float and hasattr(kind, "__float__") else int)(instance) == value)
    return _only_attribute(instance, value, ask_number)


def _own_names(kind: type) -> set[str]:
    return {name for base in kind.__mro__ if "_described" in base.__dict__ for name in base.__dict__}


def _items(instance: Any) -> list[Any]:
    items = []
    for item in instance:
        items.append(item)
        if len(items) > _MAX_ITEMS:
            raise ValueError
    return items


def _only_attribute(instance: Any, value: Any, ask_number: Callable[[str, int], Any]) -> bool:
    held = ask_number("content", reference(instance).number)
    return type(held) is list and len(held) == 1 and type(held[0]) is type(value) and held[0] == value
