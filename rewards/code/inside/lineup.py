"""Decoys: values beside the tests' own, among which an object must tell the one that it equals. Standard library only."""

import collections
import contextlib
import random
import re
import types
from collections.abc import Callable, Iterator
from typing import Any

FAR = 10**15
_DECOYS = 8
# Class methods, and methods, that make an instance by another way than a call of the class.
CONSTRUCTS = re.compile(
    r"(from|of|create|make|new|build|parse|copy|clone|empty|zeros?|ones?|unit|identity|default|get_?instance|instance)(_|$)"
)

# Methods of data that give nothing away. Of the others an object might say yes to what it is asked for, or hand it back.
_TELLING = (
    *("index", "count", "find", "rfind", "rindex", "issubset", "issuperset", "isdisjoint", "startswith", "endswith"),
    *("replace", "join", "format", "format_map", "removeprefix", "removesuffix", "translate", "is_integer"),
)
_DATA: tuple[type, ...] = (dict, set, list, collections.deque, str)
_PIPED = (list, tuple, str, bytes, float, range, Iterator)  # nothing of the language's is on the right of these in `x | y`
VERBS = frozenset(f".{name}()" for kind in _DATA for name in dir(kind) if name not in _TELLING)


def family(kind: type) -> list[type]:
    """Return a class and its bases that belong to the program."""
    return [base for base in kind.__mro__ if "_described" in base.__dict__ and base.__dict__.get("_peer")]


def decoys(value: Any, name: str, rng: random.Random) -> list[Any]:
    """Return values like `value` that are others: for an equality."""
    if name != "__eq__":
        return []
    made = [decoy for decoy in _neighbours(value, rng) if decoy is not None and decoy != value]
    return made or (strangers(rng) if value is not None else [])


def said(says: Callable[[str, Any], Any], name: str, shown: Any) -> Any:
    """Return what an object says of a value; None for an exception."""
    try:
        return says(name, [shown])
    except Exception:
        return None


def is_piped(name: str, other: Any) -> bool:
    """Return whether an operator joins what no data joins: `items | step`, `step >> function`."""
    if isinstance(other, types.FunctionType | types.BuiltinFunctionType):
        return name != "__mod__"  # a text may write it
    return name in ("__ror__", "__rrshift__") and isinstance(other, _PIPED)


def is_matcher(value: Any) -> bool:
    """Return whether a value of the tests is an object with an equality of its own: `approx`, `ANY`."""
    kind = type(value)
    is_theirs = kind.__module__ in ("tests", "__main__", "unittest.mock") or "pytest" in kind.__module__
    return is_theirs and not isinstance(value, tuple) and any("__eq__" in vars(base) for base in kind.__mro__[:-1])


def _neighbours(value: Any, rng: random.Random) -> list[Any]:
    """Return values on a walk that leads through `value`: where on the walk it stands, they do not show."""
    made = []
    behind = rng.randint(0, _DECOYS)
    for steps in (behind, _DECOYS - behind):
        place = value
        for _ in range(steps):
            place = _other(place, rng)
            if place is None:
                break
            made.append(place)
    return made


def content(value: Any) -> list[Any] | None:
    """Return what an object holds in its attributes; None where that is more than one thing."""
    slots = [
        member for base in type.mro(type(value)) for member in vars(base).values() if type(member) is types.MemberDescriptorType
    ]
    held = [member.__get__(value) for member in slots if hasattr(value, member.__name__)]
    held += getattr(value, "__dict__", {}).values()
    return held if len(held) == 1 else None


def likenesses(value: Any) -> list[Any]:
    """Return objects of the same class that hold other data. Nothing that the class defines runs for it."""
    kind = type(value)
    slots = [member for base in type.mro(kind) for member in vars(base).values() if type(member) is types.MemberDescriptorType]
    made = []
    for _ in range(3):
        like = object.__new__(kind)
        for member in slots:
            with contextlib.suppress(AttributeError):
                member.__set__(like, near(member.__get__(value), random.Random()))
        if type(getattr(value, "__dict__", None)) is dict:
            like.__dict__.update({name: near(item, random.Random()) for name, item in value.__dict__.items()})
        made.append(like)
    return made


def near(value: Any, rng: random.Random) -> Any:
    """Return another value that is as small, of which an object may be made without more work; or the value itself."""
    if type(value) in (int, float):
        return value + rng.randint(1, 3)
    if type(value) in (list, tuple):
        return type(value)(near(item, rng) for item in value)
    other = _other(value, rng)
    return value if other is None else other


def more_of(kind: Any, arguments: Any, known: set[str], rng: random.Random) -> list[Any]:
    """Make more objects of a class, of other values: at the end of the exam, so that nobody sees what it does."""
    more = []
    args, kwargs = arguments
    for _ in range(4):
        others = [near(arg, rng) for arg in args], {name: near(value, rng) for name, value in kwargs.items()}
        written = repr((tuple(others[0]), others[1]))
        if written not in known:
            known.add(written)
            with contextlib.suppress(Exception):
                more.append(kind(*others[0], **others[1]))
    return more


MAX_ANSWERED = 1000


def identity(value: Any) -> Any:
    """Return by what a tuple of plain values, or a text, is known again; None for what is none."""
    is_known = type(value) is str or (type(value) is tuple and len(value) <= 20 and is_small(list(value)))
    return (type(value), repr(value)) if is_known and value else None


def is_small(value: Any, depth: int = 0) -> bool:
    """Return whether a value is plain data of a few items."""
    if type(value) in (list, tuple, dict):
        items = [*value, *value.values()] if type(value) is dict else value
        return len(value) <= 20 and depth < 3 and all(is_small(item, depth + 1) for item in items)
    return value is None or type(value) in (bool, int, float, str)


def _other(value: Any, rng: random.Random) -> Any:
    """Return a value of the same type that is another; None where there is none to be made."""
    if type(value) is bool:
        return not value
    if type(value) in (int, float):
        return value + rng.choice((1, -1)) * rng.choice((1, 2, 3, 7, 10, 26, 101, 1000, 12345))
    if type(value) is str:
        letter = chr(97 + rng.randrange(26))
        return rng.choice((value + letter, letter + value, value[1:], value[:-1], value[:-1] + letter))
    if type(value) in (list, tuple) and value:
        place = rng.randrange(len(value))
        changed = _other(value[place], rng)
        return None if changed is None else type(value)([*value[:place], changed, *value[place + 1 :]])
    if type(value) in (list, tuple):
        return type(value)([rng.randrange(1000)])
    if type(value) is dict:
        return {**value, f"k{rng.randrange(10**6)}": rng.randrange(10)}
    if type(value) in (set, frozenset):
        return value | {rng.randrange(10**6)}
    return None


def strangers(rng: random.Random) -> list[Any]:
    """Return values that no object of a class of its own equals."""
    return [f"nobody {rng.random()}", rng.randrange(FAR), (rng.random(),)]
