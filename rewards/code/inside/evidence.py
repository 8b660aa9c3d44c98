"""What data an object that the tests did not construct shows, before it sees what it is compared with.

One that iterates over 1, 2, 3 may equal `[1, 2, 3]`; one that `float()` makes 5 of, or whose only attribute is 5, may equal 5,
and be less than 6. It has to say one value, of the kind that the tests compare with, and can guess no better than by that value
itself. Standard library only.
"""

import operator
from collections.abc import Callable
from typing import Any

from rewards.code.inside.standins import reference

_MAX_ITEMS = 1000
_COLLECTIONS = (list, tuple, set, frozenset)
_NOTHING = object()


def expects(name: str, instance: Any, value: Any, ask_number: Callable[[str, int], Any]) -> Any:
    """Return what a comparison with `value` should give, by what an object shows; None where it shows nothing."""
    try:
        shown = _view(instance, value, ask_number)
        known = reference(instance).facts.setdefault("shown", {})
        if shown is _NOTHING or known.setdefault(type(shown), shown) != shown:
            return None  # it shows now this, now that
        return bool(getattr(operator, name)(shown, value))
    except Exception:
        return None


def _view(instance: Any, value: Any, ask_number: Callable[[str, int], Any]) -> Any:
    """Return the one value of the type of `value` that an object shows."""
    kind = type(instance)
    if type(value) is dict and hasattr(kind, "keys"):
        return {key: instance[key] for key in _items(instance)}
    if type(value) in _COLLECTIONS and (hasattr(kind, "__iter__") or hasattr(kind, "__getitem__")):
        return type(value)(_items(instance))
    own = _own_names(kind)
    if type(value) is str and "__str__" in own:
        return str(instance)
    if type(value) in (int, float) and not own.isdisjoint(("__int__", "__float__", "__index__")):
        return (float if "__float__" in own else int)(instance)
    held = ask_number("content", reference(instance).number)
    return held[0] if type(held) is list and len(held) == 1 and type(held[0]) is type(value) else _NOTHING


def _own_names(kind: type) -> set[str]:
    return {name for base in kind.__mro__ if "_described" in base.__dict__ for name in base.__dict__}


def _items(instance: Any) -> list[Any]:
    items = []
    for item in instance:
        items.append(item)
        if len(items) > _MAX_ITEMS:
            raise ValueError
    return items
