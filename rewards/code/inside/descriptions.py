"""What one end says of its classes, functions and iterators, so that the other can make stand-ins of them (`standins`).

Standard library only.
"""

import abc
import builtins
import collections
import collections.abc
import contextlib
import dataclasses
import dis
import enum
import functools
import numbers
import sys
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any

from rewards.code.inside import stdlib

Encode = Callable[[Any], Any]
OWN_MODULES = ("solution", "__main__", "tests")  # whose classes belong to the program, or to the tests
_OPERATORS = "add sub mul matmul truediv floordiv mod divmod pow lshift rshift and or xor"
ARITHMETIC = frozenset(f"__{side}{name}__" for name in _OPERATORS.split() for side in ("", "r", "i"))
COMPARISONS = frozenset(f"__{name}__" for name in ["eq", "ne", "lt", "le", "gt", "ge"])
_OTHERS = (
    "hash bool len iter next reversed contains getitem setitem delitem missing neg pos abs invert round trunc floor ceil int "
    "float complex index str repr format bytes call enter exit aenter aexit aiter anext await get set delete set_name fspath "
    "length_hint init"
)
# What a stand-in forwards: no `__array_interface__`, which would have numpy read memory, and no `__reduce__`.
SPECIAL = ARITHMETIC | COMPARISONS | {f"__{name}__" for name in _OTHERS.split()}
DATA_TYPES: tuple[type, ...] = (str, dict, list, tuple, set, frozenset, bytes, bytearray, complex, float, int)
NATIVE = (str, bytes, tuple, frozenset, float, int)  # whose subclasses' stand-ins hold the data, which never changes
_FUNCTION_TYPES: tuple[type, ...] = (
    types.FunctionType,
    types.MethodType,
    types.BuiltinFunctionType,
    functools.partial,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.MethodWrapperType,
)
ABCS: dict[str, Any] = {
    f"{kind.__module__}.{kind.__name__}": kind
    for module in (collections, collections.abc, numbers, contextlib)
    for kind in vars(module).values()
    if isinstance(kind, abc.ABCMeta)
}
_SHOWN = (bool, float, str, types.FunctionType)  # defaults that a function of the tests shows
_CACHED = type(functools.lru_cache(abs))


ITERATORS = (map, filter, zip, enumerate, reversed)  # iterators that tests know by name


def is_function(value: Any) -> bool:
    """Return whether `value` is a function, and no instance that can be called."""
    return isinstance(value, _FUNCTION_TYPES) or type(value) is _CACHED


def is_own(kind: type) -> bool:
    """Return whether a class is the program's, or the tests', and not the standard library's."""
    return kind.__module__ in OWN_MODULES


def iterator_kind(value: Any) -> str | None:
    """Return the protocol of a generator, coroutine or iterator of the language; None for instances of own classes."""
    kind = type(value)
    if kind is types.GeneratorType:
        return "generator"
    if is_own(kind):
        return None
    if kind is types.CoroutineType or kind.__name__ in ("async_generator_asend", "async_generator_athrow", "anext_awaitable"):
        return "coroutine"
    if kind is types.AsyncGeneratorType:
        return "async generator"
    if kind.__module__ in ("_asyncio", "asyncio.futures", "asyncio.tasks") and hasattr(kind, "__await__"):
        return "future"
    if not isinstance(value, Iterator) or not hasattr(kind, "__next__") or not _is_plain_iterator(kind):
        return None
    return kind.__name__ if kind in ITERATORS else "iterator"


def _is_plain_iterator(kind: type) -> bool:
    return kind.__module__ in ("builtins", "itertools") or kind.__name__.endswith("iterator")


def method(kind: Any, name: str, args: list[Any]) -> Any:
    """Return the function `name` of a class; of operators, what the language would take, which a mock keeps unbound."""
    if name in SPECIAL and isinstance(kind, type):
        found: Any = next((vars(k)[name] for k in type.mro(kind) if name in vars(k)), None)
        if type(found).__module__ == "unittest.mock":
            bound = found.__get__(args[0], type(args[0])) if hasattr(type(found), "__get__") else found
            return lambda _, *rest, **named: bound(*rest, **named)
    return getattr(kind, name)


def describe_function(value: Any, encode: Encode | None) -> dict[str, Any]:
    """Return what a stand-in for a function shows without asking; with `encode`, its parameters too."""
    code = getattr(value, "__code__", None)
    flags = code.co_flags if isinstance(code, types.CodeType) else 0
    return {
        "name": _text(getattr(value, "__name__", None)) or type(value).__name__,  # a mock plays a function without a name
        "qualname": _text(getattr(value, "__qualname__", "")),
        "doc": _text(getattr(value, "__doc__", None)),
        "binds": isinstance(value, types.FunctionType) or type(value) is _CACHED,
        "async": bool(flags & 0x80),  # CO_COROUTINE
        "generator": bool(flags & 0x20),
        "type": type(value).__name__,
        **({"shape": _shape(value, encode)} if encode else {}),
    }


def _shape(value: Any, encode: Encode) -> dict[str, Any] | None:
    """Return the parameters of a function of the language; None where a default is more than a plain value or a function."""
    function, skip = (value.__func__, 1) if isinstance(value, types.MethodType) else (value, 0)
    if type(function) is not types.FunctionType:
        return None
    code, defaults, named = function.__code__, function.__defaults__ or (), function.__kwdefaults__ or {}
    if not all(item is None or type(item) in _SHOWN or _is_small(item) for item in (*defaults, *named.values())):
        return None
    if _compares(code) and any(item not in (None, True, False, "") for item in (*defaults, *named.values())):
        return None  # `lambda x, e=expected: x == e`
    count, only_named = code.co_argcount, code.co_kwonlyargcount
    if not all(map(str.isidentifier, code.co_varnames[: count + only_named])):
        return None
    rest = iter(code.co_varnames[count + only_named :])
    notes = {n: k.__name__ if k else "None" for n, k in function.__annotations__.items() if k is None or id(k) in stdlib.NAMES}
    return {
        "positional": list(code.co_varnames[skip:count]),
        "unnamed": max(code.co_posonlyargcount - skip, 0),
        "star": next(rest) if code.co_flags & 0x4 else "",
        "named": list(code.co_varnames[count : count + only_named]),
        "stars": next(rest) if code.co_flags & 0x8 else "",
        "defaults": [encode(item) for item in defaults],
        "named_defaults": {name: encode(item) for name, item in named.items()},
        "notes": {name: kind for name, kind in notes.items() if kind == "None" or isinstance(vars(builtins).get(kind), type)},
    }


def _compares(code: types.CodeType) -> bool:
    return any(step.opname in ("COMPARE_OP", "CONTAINS_OP", "LOAD_ASSERTION_ERROR") for step in dis.get_instructions(code))


def parameters(kind: type) -> list[str]:
    """Return the names of the arguments of which a class makes an instance."""
    made = kind.__dict__.get("__init__") or kind.__dict__.get("__new__")
    code = getattr(made, "__code__", None)
    return list(code.co_varnames[1 : code.co_argcount]) if isinstance(code, types.CodeType) else []


def _is_small(value: Any) -> bool:
    return type(value) is int and abs(value) < 2**63


def describe_class(kind: Any, encode: Encode) -> dict[str, Any]:
    """Return what a stand-in for a class is made of."""
    mro = type.mro(kind)
    members = _members(mro)
    described: dict[str, Any] = {
        "kind": _class_kind(kind),
        "name": _text(kind.__name__),
        "qualname": _text(kind.__qualname__),
        "doc": _text(kind.__dict__.get("__doc__")),
        "bases": [encode(base) for base in kind.__bases__ if _crosses(base)],
        "special": [n for n in SPECIAL if n in members and members[n] is not None],
        "unhashable": getattr(kind, "__hash__", None) is None,
        "methods": [n for n, v in members.items() if n not in SPECIAL and isinstance(v, types.FunctionType)],
        "statics": [n for n, v in members.items() if isinstance(v, staticmethod | classmethod) and n[:2] != "__"],
        "properties": [n for n, v in members.items() if isinstance(v, property | functools.cached_property)],
        "data": next((base.__name__ for base in DATA_TYPES if base in mro), None),
        "abcs": [f"{k.__module__}.{k.__name__}" for k in mro if f"{k.__module__}.{k.__name__}" in ABCS],
        "library": next(([k.__module__, k.__qualname__] for k in mro if _is_library(k)), None),
        "traits": [trait for trait, holds in _traits(kind, mro).items() if holds],
    }
    if described["kind"] == "plain" and "__init__" in vars(kind):
        described["notes"] = _notes(kind, encode)
    if described["kind"] == "enum":
        described["members"] = [[n, encode(_plain(m._value_))] for n, m in kind.__members__.items()]
        described["flavour"] = next(k.__name__ for k in mro if k.__module__ == "enum")
    elif described["kind"] == "namedtuple":
        described["fields"], described["open"] = list(kind._fields), bool(kind.__dictoffset__)
        described["defaults"] = encode(dict(getattr(kind, "_field_defaults", {})))
    if dataclasses.is_dataclass(kind):
        described["dataclass"] = [[field.name, *_default(field, encode)] for field in dataclasses.fields(kind)]
        described["frozen"] = kind.__dataclass_params__.frozen  # type: ignore[union-attr]
    return described


def is_plain(value: Any) -> bool:
    """Return whether a value is a number, a text or None, or a tuple of these."""
    return all(item is None or type(item) in (bool, int, float, str) for item in (value if type(value) is tuple else [value]))


def _default(field: Any, encode: Encode) -> list[Any]:
    """Return the default of a dataclass's field, or the language's class that makes it: its subclasses take them over."""
    default, factory = field.default, field.default_factory
    if is_plain(default):
        return ["default", encode(default)]
    return ["default_factory", encode(factory)] if isinstance(factory, type) and id(factory) in stdlib.NAMES else []


def _notes(kind: type, encode: Encode) -> dict[str, Any]:
    """Return of which classes and types the arguments of a constructor are said to be."""
    notes = getattr(vars(kind)["__init__"], "__annotations__", {})
    return {
        n: encode(note) for n, note in notes.items() if isinstance(note, type) and (is_own(note) or id(note) in stdlib.NAMES)
    }


def _is_library(kind: type) -> bool:
    top = kind.__module__.partition(".")[0]
    return top in sys.stdlib_module_names and top not in ("builtins", "abc", "typing", "unittest", "enum", "__main__")


def library_class(said: Any) -> type | None:
    """Return the class of the standard library that a class is, or is derived from."""
    found: Any = sys.modules.get(said[0]) if said else None
    for name in said[1].split(".") if found is not None else ():
        found = getattr(found, name, None)
    return found if isinstance(found, type) else None


def _traits(kind: Any, mro: list[type]) -> dict[str, bool]:
    """Return what a class does when it is asked about others, and in brackets."""
    meta = type(kind)
    return {
        "hooks": meta is not type,  # registration, a hook, a protocol
        "generic": typing.Generic in mro,
        "veiled": any(not {"__getattribute__", "__class__"}.isdisjoint(k.__dict__) for k in mro if is_own(k)),
        "subscript": any("__class_getitem__" in k.__dict__ for k in mro if is_own(k))
        or (is_own(meta) and hasattr(meta, "__getitem__")),
    }


def redefined(kind: type) -> list[str]:
    """Return which of the operators that give a liar away, and `__missing__`, a subclass of data defines."""
    names = ("__missing__", "__eq__", "__contains__")
    return [name for name in names if any(name in base.__dict__ for base in type.mro(kind) if is_own(base))]


def _members(mro: list[type]) -> dict[str, Any]:
    """Return the attributes of a class by name, without what every object, exception or value of the language has."""
    members: dict[str, Any] = {}
    for kind in reversed(mro):
        if kind is not object and kind.__module__ != "enum" and not (issubclass(kind, BaseException) and not is_own(kind)):
            members.update(kind.__dict__)
    return members


def _plain(value: Any) -> Any:
    return None if type(value) is object else value


def _text(value: Any) -> str | None:
    return str.__str__(value)[:10_000] if isinstance(value, str) else None


def _class_kind(kind: type) -> str:
    if issubclass(kind, enum.Enum):
        return "enum"
    if issubclass(kind, BaseException):
        return "exception"
    return "namedtuple" if issubclass(kind, tuple) and hasattr(kind, "_fields") else "plain"


def _crosses(base: type) -> bool:
    """Return whether a base class is told: own ones, and the language's exceptions."""
    if base is object or base in (abc.ABC, enum.Enum):
        return False
    return is_own(base) or exception_name(base) is not None


def exception_name(kind: type) -> list[str] | None:
    """Return [module, name] of an exception class of the standard library."""
    found = issubclass(kind, BaseException) and kind.__module__ in sys.modules
    if found and stdlib.exception_class(kind.__module__, kind.__name__) is kind:
        return [kind.__module__, kind.__name__]
    return None
