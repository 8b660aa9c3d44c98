"""What annotations are made of, as data: generic aliases, unions, type variables, names that are not resolved yet.

A text among them may be evaluated by the tests' `typing.get_type_hints`, in the tests' process: only names, dots, brackets and
bars pass (`checked_text`). Standard library only.
"""

import ast
import collections.abc
import functools
import numbers
import operator
import types
import typing
from collections.abc import Callable
from typing import Any

from rewards.code.codec import CodecError

_ALLOWED = (
    *(ast.Expression, ast.Name, ast.Load, ast.Attribute, ast.Subscript, ast.Tuple, ast.List, ast.Constant, ast.BinOp),
    *(ast.BitOr, ast.UnaryOp, ast.USub),
)
_MAX_TEXT = 2000
_ALIAS: Any = typing._GenericAlias  # type: ignore[attr-defined]
_UNION: Any = typing._UnionGenericAlias  # type: ignore[attr-defined]
_LITERAL: Any = typing._LiteralGenericAlias  # type: ignore[attr-defined]
_ANNOTATED: Any = typing._AnnotatedAlias  # type: ignore[attr-defined]
_CALLABLE: Any = typing._CallableGenericAlias  # type: ignore[attr-defined]
_ABC_CALLABLE: Any = type(collections.abc.Callable[[int], int])


def named() -> dict[str, Any]:
    """Return what annotations name: the special forms of typing, and the abstract classes of the language."""
    table = {f"typing.{name}": getattr(typing, name) for name in typing.__all__}
    table = {name: value for name, value in table.items() if not isinstance(value, types.FunctionType)}
    for module in (collections.abc, numbers):
        table.update({f"{module.__name__}.{name}": getattr(module, name) for name in module.__all__})
    return table


def checked_text(text: str) -> str:
    """Return an annotation that is a text, if evaluating it calls nothing; raises CodecError."""
    try:
        nodes = list(ast.walk(ast.parse(text[:_MAX_TEXT], mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "object"  # no annotation that anyone could resolve
    if not all(isinstance(node, _ALLOWED) for node in nodes):
        raise CodecError("an annotation that is more than a name")
    for node in nodes:
        name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
        if name.startswith("_") or (isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value != text):
            checked_text(str(node.value)) if isinstance(node, ast.Constant) else _refuse()
    return text


def _refuse() -> None:
    raise CodecError("an annotation that names what is private")


def _alias(value: Any, take: Callable[[Any], Any]) -> list[Any]:
    args = value.__args__
    if type(value) in (_CALLABLE, _ABC_CALLABLE):
        args = (list(args[:-1]) if args[:-1] != (...,) else ..., args[-1])
    title = f"typing.{value._name}" if isinstance(value, _ALIAS) and value._name in typing.__all__ else ""
    return ["alias", title or take(value.__origin__), take(tuple(args))]


ENCODERS: dict[type, Callable[[Any, Callable[[Any], Any]], list[Any]]] = {
    types.GenericAlias: _alias,
    _ALIAS: _alias,
    _CALLABLE: _alias,
    _ABC_CALLABLE: _alias,
    _UNION: lambda x, t: ["alias", "typing.Union", t(x.__args__)],
    _LITERAL: lambda x, t: ["alias", "typing.Literal", t(x.__args__)],
    _ANNOTATED: lambda x, t: ["alias", "typing.Annotated", t((x.__origin__, *x.__metadata__))],
    types.UnionType: lambda x, t: ["union", t(x.__args__)],
    typing.TypeVar: lambda x, t: ["typevar", x.__name__, t(x.__constraints__), t(x.__bound__)],
    typing.NewType: lambda x, t: ["newtype", x.__name__, t(x.__supertype__)],
    typing.ForwardRef: lambda x, t: ["forward", x.__forward_arg__],
}


def _alias_back(parts: list[Any], take: Callable[[Any], Any]) -> Any:
    origin: Any = NAMED.get(parts[0]) if isinstance(parts[0], str) else take(parts[0])
    args = tuple(checked_text(arg) if type(arg) is str and origin is not typing.Literal else arg for arg in take(parts[1]))
    if isinstance(origin, type) and origin is not typing.Generic:
        generic: Any = origin
        return generic[args] if origin.__module__ == "collections.abc" else types.GenericAlias(generic, args)
    if origin is None:
        raise CodecError("no generic")
    return origin[args if len(args) > 1 else args[0]]


@functools.lru_cache(maxsize=256)
def _typevar(name: str) -> Any:
    return typing.TypeVar(name)  # type: ignore[misc]


def _typevar_back(parts: list[Any], take: Callable[[Any], Any]) -> Any:
    name, constraints, bound = str(parts[0])[:100], take(parts[1]), take(parts[2])
    if not constraints and bound is None:
        return _typevar(name)  # the same one whenever it crosses
    return typing.TypeVar(name, *constraints, bound=bound)  # type: ignore[misc]


DECODERS: dict[str, Callable[[list[Any], Callable[[Any], Any]], Any]] = {
    "alias": _alias_back,
    "union": lambda p, t: functools.reduce(operator.or_, t(p[0])),
    "typevar": _typevar_back,
    "newtype": lambda p, t: typing.NewType(str(p[0])[:100], t(p[1])),
    "forward": lambda p, t: typing.ForwardRef(checked_text(str(p[0]))),
}
NAMED = named()


def signature_of(said: Any) -> Any:
    """Return a signature from what `introspection.signature` says."""
    import inspect

    if said is None:
        raise ValueError("no signature found")
    if type(said[2]) is types.FunctionType:  # the tests' own, which the program has decorated
        return inspect.signature(said[2])
    parameters = []
    for name, kind, default, note in said[0]:
        held = {"default": default[0]} if default else {}
        if note:
            held["annotation"] = _checked(note[0])
        parameters.append(inspect.Parameter(name, inspect._ParameterKind(kind), **held))
    returned = {"return_annotation": _checked(said[1][0])} if said[1] else {}
    return inspect.Signature(parameters, **returned)


def _checked(note: Any) -> Any:
    return checked_text(note) if isinstance(note, str) else note


def notes_of(said: Any) -> dict[str, Any]:
    """Return annotations; `typing.get_type_hints` may evaluate those that are texts, in this process."""
    return {str(name): _checked(note) for name, note in said.items()}
