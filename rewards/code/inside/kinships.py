"""What classes show of their kin, and what the other end hears of a class of the tests' after it is made.

Standard library only.
"""

import abc
import dataclasses
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any

from rewards.code.codec import CodecError
from rewards.code.inside.descriptions import SPECIAL, is_plain

_FIELDS = "__dataclass_fields__"
_ADDED = (_FIELDS, "__match_args__")  # by `dataclass`, beside special methods
_BUILTINS = "__dataclass_builtins_object__"  # by which name a frozen dataclass's constructor knows `object`
_OURS = "rewards.code."


def is_root(kind: type) -> bool:
    """Return whether this is the class of all stand-ins, which the program does not have."""
    return "_described" in vars(kind) and "_peer" not in vars(kind)


def shown(order: Sequence[type]) -> list[type]:
    """Return the order of a class's bases as it is where the class is from."""
    return [kind for kind in order if not is_root(kind)]


def is_field(value: Any) -> bool:
    """Return whether a member of a class is what `dataclass` will take away, or put a default in the place of."""
    return isinstance(value, dataclasses.Field)


def is_told(cls: type, name: str) -> bool:
    """Return whether the other end hears of an attribute that is set on a class: of one of ours, what a decorator adds too."""
    if name.startswith("_abc"):
        return False
    return not name.startswith("__") or ("_described" not in cls.__dict__ and (name in SPECIAL or name in _ADDED))


def told(name: str, value: Any) -> Any:
    """Return what crosses of such an attribute: of a dataclass's fields their names."""
    fill_frozen(name, value)
    return list(value) if name == _FIELDS else value


def heard(kind: type, name: str, value: Any) -> Any:
    """Return what such an attribute is where it is heard: fields of a dataclass, by their names."""
    return getattr(dataclasses.make_dataclass(kind.__name__, value), _FIELDS) if name == _FIELDS else value


def said_class(stand_in: Any, held: Any, get: Callable[[Any, str], Any]) -> Any:
    """Return the class that a proxy says it is of, if the tests constructed the proxy; else its own.

    This end's own looks at it learn nothing of that: `isinstance` asks every value, in the middle of a message too.
    """
    own, trust = object.__getattribute__(stand_in, "__class__"), getattr(held.peer, "trust", None)
    is_ours = sys._getframe(2).f_globals.get("__name__", "").startswith(_OURS)
    if is_ours or trust is None or held.origin != "":
        return own
    said = get(stand_in, "__class__")
    return said if isinstance(said, type) else own


def dataclass_of(name: str, fields: Any, frozen: bool, decode: Callable[[Any], Any]) -> dict[str, Any]:
    """Return what makes a class a dataclass: fields [name, "default" or "default_factory", what]; nothing of it runs here."""
    listed = [
        (field, "typing.Any", dataclasses.field(kw_only=True, **_kept(default, decode)) if default else dataclasses.field())
        for field, *default in fields
    ]
    shape: Any = dataclasses.make_dataclass(name, listed, frozen=frozen)
    for held in shape.__dataclass_fields__.values():
        held.kw_only = False
    names = tuple(field for field, *_ in fields)
    return {_FIELDS: shape.__dataclass_fields__, "__dataclass_params__": shape.__dataclass_params__, "__match_args__": names}


def _kept(default: Any, decode: Callable[[Any], Any]) -> dict[str, Any]:
    kind, node = default
    value = decode(node)
    if kind == "default_factory" and isinstance(value, type):
        return {kind: value}
    if kind != "default" or not is_plain(value):
        raise CodecError("no default of a field")
    return {kind: value}


def _set_field(instance: Any, name: str, value: Any) -> None:
    held = object.__getattribute__(instance, "_reference")
    held.peer.wrote(instance, name)
    held.peer.ask("put", held.number, name, [value])


# What the constructor of a frozen dataclass takes for `object`: it sets fields that nobody else may.
_SETS = types.SimpleNamespace(__setattr__=_set_field)


def fill_frozen(name: str, value: Any) -> None:
    """Have the constructor of a frozen dataclass of the tests set the fields of a stand-in at the other end."""
    code = getattr(value, "__code__", None)
    if name == "__init__" and isinstance(code, types.CodeType) and _BUILTINS in code.co_freevars:
        value.__closure__[code.co_freevars.index(_BUILTINS)].cell_contents = _SETS


def kind_of(peer: Any, value: Any) -> Any:
    """Return the class of a value; of a class of the program's, its metaclass, where it has one of its own."""
    number = peer.homes.get(id(value)) if isinstance(value, type) else None
    kind = type(value) if number is None else peer.ask("metaclass", number)
    if isinstance(kind, type):
        return kind
    return abc.ABCMeta if issubclass(type(value), abc.ABCMeta) else type(value)
