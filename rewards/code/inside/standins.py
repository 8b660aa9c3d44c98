"""Stand-ins for the other end's objects: real classes, functions, exceptions, enumerations, generators, made from descriptions.

A stand-in forwards what its original defines, and nothing else: special methods come from a closed list. A class made here can
be subclassed; the subclass is mirrored at the other end, so that each end's methods override the other's. Values of the
language's own kinds (members of enumerations, named tuples) hold their data here. Standard library only.
"""

import abc
import sys
import types
from collections.abc import Collection, Container, MutableMapping
from typing import Any

from rewards.code.codec import CodecError
from rewards.code.inside import descriptions, kinships, stdlib, typenotes
from rewards.code.inside.descriptions import SPECIAL

_MISSING = object()
_DATA = frozenset((*stdlib.ENCODERS, *stdlib.DATA_TYPES, bool, type(None)))  # a class may be hooked to count some of it its own
_ON_INSTANCES = ("__dict__", "__name__", "__qualname__", "__wrapped__", "__doc__", "__annotations__")
ASKED = (
    *("__dict__", "__wrapped__", "__defaults__", "__kwdefaults__", "__abstractmethods__", "__args__", "__slots__"),
    *("__match_args__", "__closure__"),
)
_NOT_MIRRORED = ("__module__", "__qualname__", "__classcell__", "__dict__", "__weakref__", "__slots__", "__firstlineno__")


class Reference:
    """What a stand-in for an instance knows: its end, its number there, where it came from, and what it said (`trust`)."""

    __slots__ = ("arguments", "face", "facts", "is_kin", "made_of", "number", "origin", "peer", "shadows")

    def __init__(self, peer: Any, number: int):
        self.peer, self.number, self.origin = peer, number, ""
        self.is_kin = False  # an object that a class made of itself in another way than by a call
        self.made_of = ""  # the arguments that the tests made it of, in writing, where they are data
        self.arguments: Any = ()
        self.face: Any = None
        self.shadows: set[str] = set()  # attributes that the tests have set, which may hide methods
        self.facts: dict[str, Any] = {}


def reference(stand_in: Any) -> Reference:
    """Return the reference of an instance's stand-in."""
    found: Reference = object.__getattribute__(stand_in, "_reference")
    return found


class Meta(abc.ABCMeta):
    """The class of stand-ins for classes."""

    def __new__(mcs, name: str, bases: Any, space: Any, /, **named: Any) -> Any:
        """Return a stand-in's class, or a subclass of one that the tests make."""
        made = super().__new__(mcs, name, bases, space)
        if "_described" not in space:
            _mirror(made, bases, space, named)
        return made

    def __init__(cls, name: str, bases: Any, space: Any, /, **_: Any):
        super().__init__(name, bases, space)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        """Have the other end make an instance."""
        peer = peer_of(cls)
        if peer is None:
            return type.__call__(cls, *args, **kwargs)
        return peer.call(cls, args, kwargs)

    def __getattr__(cls, name: str) -> Any:
        peer = peer_of(cls)
        if name == "__signature__" and peer is not None:
            return typenotes.signature_of(peer.ask("signature", peer.homes[id(cls)]))
        if peer is None or (name.startswith("__") and name not in ASKED) or name.startswith("_abc_"):
            raise AttributeError(f"type object {cls.__name__!r} has no attribute {name!r}")
        return peer.get(cls, name)

    def __setattr__(cls, name: str, value: Any) -> None:
        peer = peer_of(cls) if kinships.is_told(cls, name) else None
        if peer is None or "_described" not in cls.__dict__:
            super().__setattr__(name, value)
        elif forwards(value, peer) == (peer.homes[id(cls)], name):
            type.__setattr__(cls, name, value)  # it is put back
        elif name in cls.__dict__:
            type.__delattr__(cls, name)  # a method that is replaced: ask the other end from now on
        if peer is not None:
            peer.ask("set", peer.homes[id(cls)], name, [kinships.told(name, value)])

    def __delattr__(cls, name: str) -> None:
        peer = None if name.startswith("__") or kinships.is_field(vars(cls).get(name)) else peer_of(cls)
        if peer is None or name in cls.__dict__:
            super().__delattr__(name)
        if peer is not None:
            peer.ask("del", peer.homes[id(cls)], name)

    def __instancecheck__(cls, instance: Any) -> bool:
        """What is an instance by registration, by a hook, or by a protocol, the other end knows."""
        kind = type(instance)
        if cls is Standin:
            return type.__subclasscheck__(cls, kind)  # a mock says that it is one
        is_theirs = isinstance(kind, Meta) or isinstance(instance, Meta)  # a class is an instance of its metaclass
        return type.__instancecheck__(cls, instance) or _holds(cls, "isinstance", instance, is_theirs, kind)

    def __subclasscheck__(cls, kind: Any) -> bool:
        if type.__subclasscheck__(cls, kind):
            return True
        # An abstract class of the language asks all that are registered with it, those of exams long past too.
        return sys._getframe(1).f_globals.get("__name__") != "abc" and _holds(cls, "issubclass", kind, False, kind)

    def __dir__(cls) -> Any:
        peer = peer_of(cls)
        return super().__dir__() if peer is None else peer.ask("dir", peer.homes[id(cls)])

    def mro(cls) -> Any:
        """Return the order of the bases; the language asks here too, when it makes the class."""
        found = type.mro(cls)
        return found if type.__dict__["__mro__"].__get__(cls) is None else kinships.shown(found)

    @property
    def __mro__(cls) -> Any:
        """The bases in their order, as the tests see it."""
        return tuple(kinships.shown(type.__dict__["__mro__"].__get__(cls)))

    @property
    def __bases__(cls) -> Any:  # type: ignore[override]
        """The bases, as the tests see them."""
        return tuple(object if kinships.is_root(kind) else kind for kind in type.__dict__["__bases__"].__get__(cls))

    def register(cls, kind: Any) -> Any:
        """Have the other end register a class."""
        peer = peer_of(cls)
        return super().register(kind) if peer is None else peer.get(cls, "register")(kind)

    @property
    def __annotations__(cls) -> Any:  # type: ignore[override]
        peer = peer_of(cls) if "_described" in cls.__dict__ else None
        if peer is None:
            return vars(cls).get("__annotations__", {})
        return typenotes.notes_of(peer.ask("annotations", peer.homes[id(cls)]))


def _holds(cls: Any, op: str, value: Any, is_theirs: bool, kind: type) -> bool:
    """Ask the other end for what its class says beyond inheritance: of its own instances, of classes made here, of data."""
    is_known = "hooks" in cls._traits and (descriptions.is_own(kind) or kind in _DATA)
    peer = peer_of(cls) if is_theirs or is_known else None
    # An abstract class of the language may still ask a class that was registered for a program which is gone.
    return peer is not None and peer.link.socket.fileno() != -1 and peer.holds(cls, op, value)


def peer_of(cls: Any) -> Any:
    """Return the end that holds what a class stands for; None while it is being made."""
    for kind in type.mro(cls):
        peer = kind.__dict__.get("_peer")
        if peer is not None:
            return peer if id(cls) in peer.homes else None
    return None


def _mirror(made: Any, bases: Any, space: Any, named: dict[str, Any]) -> None:
    """Have the other end make a class like this subclass of a stand-in, whose methods are ours."""
    peer = next((k.__dict__["_peer"] for k in made.__mro__ if "_peer" in k.__dict__), None)
    if peer is None or issubclass(made, BaseException):
        return
    over_there = [base for base in bases if isinstance(base, Meta)]
    members = []
    mixed: dict[str, Any] = {}
    for base in reversed([k for k in made.__mro__[1:-1] if not isinstance(k, Meta) and descriptions.is_own(k)]):
        mixed.update(base.__dict__)
    for name, value in {**mixed, **space}.items():
        if (
            name in _NOT_MIRRORED
            or kinships.is_field(value)
            or name.startswith("_abc_")
            or (name.startswith("__") and name not in SPECIAL)
        ):
            continue
        if isinstance(value, staticmethod | classmethod):
            members.append([name, type(value).__name__, value.__func__])
        elif isinstance(value, property):
            members.append([name, "property", [value.fget, value.fset]])
        else:
            abstract = getattr(value, "__isabstractmethod__", False) is True
            members.append([name, "abstract" if abstract else "plain", value])
    outer, peer.unborn = peer.unborn, made
    try:
        number = peer.ask("subclass", None, made.__name__, [over_there, members], named)
    finally:
        peer.unborn = outer
    if peer.remote.get(number) is not made:
        peer.adopt(number, made)


def membership(peer: Any, number: int) -> Any:
    """Return what `in` asks a class that defines no membership: the language would iterate, here somebody counts the items."""

    def contains(self: Any, item: Any) -> bool:
        return peer.contains(number, self, item) is True

    contains.__dict__["_is_lent"] = True
    return contains


def _hide_membership(abstract: Any) -> None:
    """Have an abstract class of the language not see a membership that is lent to a stand-in's class."""
    original = abstract.__subclasshook__.__func__

    def hook(cls: Any, kind: Any) -> Any:
        found = next((vars(k)["__contains__"] for k in type.mro(kind) if "__contains__" in vars(k)), None)
        is_lent = isinstance(kind, Meta) and "_is_lent" in getattr(found, "__dict__", {})
        return NotImplemented if is_lent else original(cls, kind)

    abstract.__subclasshook__ = classmethod(hook)


for _abstract in (Container, Collection):
    _hide_membership(_abstract)


# -- instances -------------------------------------------------------------------------------------------------------------


class Standin(metaclass=Meta):
    """Base of the stand-ins for instances."""

    _described = True
    _traits: frozenset[str] = frozenset()

    def __class_getitem__(cls, item: Any) -> Any:
        if "generic" in cls._traits:
            return types.GenericAlias(cls, item)  # Stack[int]
        peer = peer_of(cls) if "subscript" in cls._traits else None
        if peer is None:
            raise TypeError(f"type {cls.__name__!r} is not subscriptable")
        return peer.ask("item", peer.homes[id(cls)], "", [item])

    def __getattribute__(self, name: str) -> Any:
        if name[:2] == "__" and name[-2:] == "__":
            if name in _ON_INSTANCES:
                value = _get(self, name)
                return Attributes(self, value) if name == "__dict__" else value
            if name == "__class__" and "veiled" in type(self)._traits:
                return kinships.said_class(self, reference(self), _get)
            return object.__getattribute__(self, name)
        if name in reference(self).shadows:
            return _get(self, name)
        for kind in type(self).__mro__:
            found = kind.__dict__.get(name, _MISSING)
            if found is _MISSING:
                continue
            is_theirs = "_described" in kind.__dict__
            if not isinstance(found, types.FunctionType) and (is_theirs or not hasattr(type(found), "__get__")):
                break  # data: the other end has it too, and may have set it on the instance
            peer = reference(self).peer
            peer.touched(self, name, found)
            return object.__getattribute__(self, name)
        return _get(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "__orig_class__":
            raise AttributeError(name)  # Stack[int]() would leave it here
        own = next(
            (k.__dict__[name] for k in type(self).__mro__ if name in k.__dict__ and "_described" not in k.__dict__), None
        )
        if isinstance(own, property):
            object.__setattr__(self, name, value)
            return
        held = reference(self)
        held.peer.wrote(self, name)
        held.shadows.add(name)
        held.peer.ask("set", held.number, name, [value])

    def __delattr__(self, name: str) -> None:
        held = reference(self)
        held.shadows.discard(name)
        held.peer.ask("del", held.number, name)

    def __copy__(self) -> Any:
        held = reference(self)
        return held.peer.ask("copy", held.number)

    def __deepcopy__(self, _: Any) -> Any:
        held = reference(self)
        return held.peer.ask("copy", held.number, "deep")

    def __reduce_ex__(self, protocol: Any) -> Any:
        held = reference(self)
        _PICKLING[:] = [held.peer]
        return restore, (held.peer.ask("pickle", held.number),)

    def __dir__(self) -> Any:
        held = reference(self)
        return held.peer.ask("dir", held.number)


class Attributes(dict[str, Any]):
    """The attributes of an instance of the other end's by name: what is put here is put there."""

    def __init__(self, home: Any, held: dict[str, Any]):
        super().__init__(held)
        self._home = home

    def __setitem__(self, name: str, value: Any) -> None:
        held = reference(self._home)
        held.peer.wrote(self._home, name)
        held.shadows.add(name)
        held.peer.ask("put", held.number, name, [value])
        super().__setitem__(name, value)

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)
        held = reference(self._home)
        held.shadows.discard(name)
        held.peer.ask("drop", held.number, name)

    update, setdefault, clear = MutableMapping.update, MutableMapping.setdefault, MutableMapping.clear  # type: ignore
    pop, popitem = MutableMapping.pop, MutableMapping.popitem  # type: ignore[assignment]


def restore(data: bytes) -> Any:
    """Have the other end make an instance again of what it was pickled to."""
    return _PICKLING[0].ask("unpickle", None, "", [data])


restore.__module__, restore.__qualname__ = "solution", "_restore"  # where pickle finds it again
_PICKLING: list[Any] = []  # the end that last pickled


def _get(self: Any, name: str) -> Any:
    return reference(self).peer.get(self, name)


def forwarder(peer: Any, number: int, name: str) -> Any:
    """Return a function that calls the other end's function `name` of a class."""

    def method(*args: Any, **kwargs: Any) -> Any:
        return peer.invoke(number, name, args, kwargs)

    method.__name__ = method.__qualname__ = name
    method.__dict__["_forwards"] = peer, number, name
    return method


class _Property(property):
    """A property of the other end's class; has room to say of which."""

    @property
    def __doc__(self) -> Any:  # type: ignore[override]
        peer, number, name = vars(self)["_forwards"]
        return peer.ask("raw", number, name).__doc__

    @__doc__.setter
    def __doc__(self, text: Any) -> None:
        """Made without one."""


FORWARDERS: list[type] = [types.FunctionType, _Property]


def forwarded_property(peer: Any, number: int, name: str) -> Any:
    """Return a property that asks the other end."""
    made = _Property(lambda self: peer.ask("property", number, name, [self]))
    made.__dict__["_forwards"] = peer, number, name
    return made


def forwards(value: Any, peer: Any) -> tuple[int, str] | None:
    """Return which member of which class of the other end's a function or property stands for; None for any other."""
    if type(value) not in FORWARDERS:
        return None
    of, number, name = vars(value).get("_forwards", (None, 0, ""))
    return (number, name) if of is peer else None


def instance(peer: Any, body: Any) -> Any:
    """Return a new stand-in for an instance."""
    number, node, *data = body
    kind = peer.values.decode(node)
    if not (isinstance(kind, type) and issubclass(kind, Standin)):
        raise CodecError("no class of an instance")
    native: Any = next((base for base in descriptions.NATIVE if issubclass(kind, base)), None)
    made: Any = object.__new__(kind) if native is None else native.__new__(kind, peer.values.decode(data[0]))
    object.__setattr__(made, "_reference", Reference(peer, number))
    peer.adopt(number, made)
    peer.born(made)
    return made


def checked_name(name: Any) -> str:
    """Return a name that the other end gave, or refuse it."""
    if type(name) is not str or "\0" in name:
        raise CodecError("not a name")
    return name[:200] or "_"
