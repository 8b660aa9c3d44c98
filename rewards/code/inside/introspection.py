"""What a function, a class or a generator says of itself when the tests look at it: the candidate's side of `callables`.

Data only, and believed only as what a program says of itself. Standard library only.
"""

import functools
import types
import typing
from collections.abc import Callable
from typing import Any

from rewards.code.codec import CodecError
from rewards.code.inside import stdlib
from rewards.code.inside.descriptions import is_own

_FACTS = (
    "filename",
    "firstlineno",
    "argcount",
    "posonlyargcount",
    "kwonlyargcount",
    "varnames",
    "name",
    "flags",
    "nlocals",
    "names",
    "freevars",
    "cellvars",
)


def raw(kind: Any, name: str) -> Any:
    """Return the function behind a method, a static or class method, or a property of a class."""
    found = next((vars(k)[name] for k in type.mro(kind) if name in vars(k)), None)
    for inner in ("__func__", "fget", "func"):
        if isinstance(found, staticmethod | classmethod | property | functools.cached_property) and hasattr(found, inner):
            return getattr(found, inner)
    return found


def signature(function: Any, _: str = "") -> Any:
    """Return the parameters as [name, kind, [default], [annotation]], [annotation] of what is returned, and what was wrapped.

    A function of the tests has all its defaults at their side only.
    """
    import inspect

    try:
        found = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    empty = inspect.Parameter.empty
    parameters = [
        (p.name, int(p.kind), [] if p.default is empty else [p.default], [] if p.annotation is empty else [_note(p.annotation)])
        for p in found.parameters.values()
    ]
    wrapped = inspect.unwrap(function, stop=lambda f: "__signature__" in getattr(f, "__dict__", ()))
    inner = wrapped if wrapped is not function and type(wrapped) is types.FunctionType else None
    return parameters, [] if found.return_annotation is empty else [_note(found.return_annotation)], inner


def _note(note: Any) -> Any:
    return note if _crosses(note) else str(note)


def _crosses(note: Any) -> bool:
    """Return whether an annotation crosses as what it is."""
    if type(note) is list:
        return all(map(_crosses, note))
    if note is None or note is ... or type(note) in (str, int, bool) or id(note) in stdlib.NAMES:
        return True
    if isinstance(note, type) and not hasattr(note, "__origin__"):
        return is_own(note) or issubclass(note, BaseException)
    if type(note) not in stdlib.ENCODERS:
        return False
    return all(map(_crosses, getattr(note, "__args__", ())))


def hints(value: Any, _: str = "") -> Any:
    """Return what `typing.get_type_hints` finds, with texts resolved where the program runs."""
    found = typing.get_type_hints(value, include_extras=True)
    return {name: _note(note) for name, note in found.items()}


def annotations(value: Any, _: str = "") -> Any:
    """Return the annotations as they stand."""
    return {name: _note(note) for name, note in getattr(value, "__annotations__", {}).items()}


def code(value: Any, _: str = "") -> Any:
    """Return the facts of a function's code object."""
    found = value if isinstance(value, types.CodeType) else getattr(value, "__code__", None)
    return None if found is None else {f"co_{fact}": getattr(found, f"co_{fact}") for fact in _FACTS}


def state(value: Any, what: str) -> Any:
    """Return one of the attributes of a generator or coroutine, by its name after `gi_`, `cr_` or `ag_`."""
    prefix = next((p for p in ("gi", "cr", "ag") if hasattr(value, f"{p}_frame")), "")
    found = getattr(value, f"{prefix}_{what}", None)
    if what == "code":
        return code(found)
    if what == "frame":
        return None if found is None else found.f_lineno
    return found if isinstance(found, bool) else None


def metaclass(value: Any, _: str = "") -> Any:
    """Return the class of a class, where it is the program's own, or one that the language names."""
    kind = type(value)
    return kind if is_own(kind) or id(kind) in stdlib.NAMES else None


ANSWERS: dict[str, Callable[[Any, str], Any]] = {
    "raw": raw,
    "signature": signature,
    "hints": hints,
    "annotations": annotations,
    "code": code,
    "state": state,
    "metaclass": metaclass,
}


def answer(op: str, value: Any, name: str) -> Any:
    """Answer one of the questions above; raises CodecError where it is none."""
    if op not in ANSWERS:
        raise CodecError(f"an unknown request {op!r}")
    return ANSWERS[op](value, name)
