"""Stand-ins for the other end's objects: real classes, functions, exceptions, enumerations, generators, made from descriptions.

A stand-in forwards what its original defines, and nothing else: special methods come from a closed list. A class made here can
be subclassed; the subclass is mirrored at the other end, so that each end's methods override the other's. Values of the
language's own kinds (members of enumerations, named tuples) hold their data here. Standard library only.
"""

import abc
import collections
import collections.abc
import enum
import types
from collections import deque as deque
from collections.abc import Callable
from typing import Any

from rewards.code.codec import CodecError
from rewards.code.inside import descriptions, stdlib
from rewards.code.inside.descriptions import COMPARISONS, SPECIAL

_MISSING = object()
_ASKED = ("__dict__", "__wrapped__", "__annotations__", "__defaults__", "__kwdefaults__", "__abstractmethods__", "__args__")
_NOT_MIRRORED = ("__module__", "__qualname__", "__classcell__", "__dict__", "__weakref__", "__slots__", "__firstlineno__")


class Reference:
    """What a stand-in for an instance knows: its end, its number there, where it came from, and what it said (`trust`)."""

    __slots__ = ("facts", "number", "origin", "peer")

    def __init__(self, peer: Any, number: int):
        self.peer, self.number, self.origin = peer, number, ""
        self.facts: dict[str, Any] = {}


def reference(stand_in: Any) -> Reference:
    """Return the reference of an instance's stand-in."""
    found: Reference = object.__getattribute__(stand_in, "_reference")
    return found


class Meta(abc.ABCMeta):
    """The class of stand-ins for classes."""

    def __new__(mcs, name: str, bases: Any, space: Any, **named: Any) -> Any:
        made = super().__new__(mcs, name, bases, space)
        if "_described" not in space:
            _mirror(made, bases, space, named)
        return made

    def __init__(cls, name: str, bases: Any, space: Any, **_: Any):
        super().__init__(name, bases, space)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        peer = _peer_of(cls)
        if peer is None:
            return type.__call__(cls, *args, **kwargs)
        return peer.call(cls, args, kwargs)

    def __getattr__(cls, name: str) -> Any:
        peer = _peer_of(cls)
        if peer is None or (name.startswith("__") and name not in _ASKED) or name.startswith("_abc_"):
            raise AttributeError(f"type object {cls.__name__!r} has no attribute {name!r}")
        return peer.get(cls, name)

    def __setattr__(cls, name: str, value: Any) -> None:
        peer = None if name.startswith("_") and (name.startswith(("_abc", "__"))) else _peer_of(cls)
        if peer is None:
            super().__setattr__(name, value)
        else:
            peer.ask("set", peer.homes[id(cls)], name, [value])

    def __getitem__(cls, _: Any) -> Any:
        return cls  # Stack[int]


def _peer_of(cls: Any) -> Any:
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
    for name, value in space.items():
        if name in _NOT_MIRRORED or name.startswith("_abc_") or (name.startswith("__") and name not in SPECIAL):
            continue
        if isinstance(value, staticmethod | classmethod):
            members.append([name, type(value).__name__, value.__func__])
        elif isinstance(value, property):
            members.append([name, "property", [value.fget, value.fset]])
        else:
            abstract = getattr(value, "__isabstractmethod__", False) is True
            members.append([name, "abstract" if abstract else "plain", value])
    number = peer.ask("subclass", None, made.__name__, [over_there, members], named)
    peer.remote[number] = made
    peer.homes[id(made)] = number


# -- instances -------------------------------------------------------------------------------------------------------------


class Standin(metaclass=Meta):
    """Base of the stand-ins for instances."""

    _described = True

    def __getattribute__(self, name: str) -> Any:
        if name[:2] == "__" and name[-2:] == "__":
            if name == "__dict__":
                return _get(self, name)
            return object.__getattribute__(self, name)
        for kind in type(self).__mro__:
            found = kind.__dict__.get(name, _MISSING)
            if found is _MISSING:
                continue
            if "_described" in kind.__dict__ and not isinstance(found, types.FunctionType):
                break
            peer = reference(self).peer
            peer.touched(self, name, found)
            return object.__getattribute__(self, name)
        return _get(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        own = next(
            (k.__dict__[name] for k in type(self).__mro__ if name in k.__dict__ and "_described" not in k.__dict__), None
        )
        if isinstance(own, property):
            object.__setattr__(self, name, value)
            return
        held = reference(self)
        held.peer.wrote(self, name)
        held.peer.ask("set", held.number, name, [value])

    def __delattr__(self, name: str) -> None:
        held = reference(self)
        held.peer.ask("del", held.number, name)

    def __copy__(self) -> Any:
        held = reference(self)
        return held.peer.ask("copy", held.number)

    def __deepcopy__(self, _: Any) -> Any:
        held = reference(self)
        return held.peer.ask("copy", held.number, "deep")

    def __dir__(self) -> Any:
        held = reference(self)
        return held.peer.ask("dir", held.number)


def _get(self: Any, name: str) -> Any:
    return reference(self).peer.get(self, name)


def _forwarder(peer: Any, number: int, name: str, doc: Any = None) -> Any:
    def method(*args: Any, **kwargs: Any) -> Any:
        return peer.invoke(number, name, args, kwargs)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = doc
    return method


def _awaiter(peer: Any) -> Any:
    def wait(self: Any) -> Any:
        return Coroutine(peer, reference(self).number).__await__()

    return wait


def _property(peer: Any, number: int, name: str) -> property:
    return property(lambda self: peer.ask("property", number, name, [self]))


def _instance(peer: Any, body: Any) -> Any:
    number, node = body
    kind = peer.values.decode(node)
    if not (isinstance(kind, type) and issubclass(kind, Standin)):
        raise CodecError("no class of an instance")
    made = object.__new__(kind)
    object.__setattr__(made, "_reference", Reference(peer, number))
    peer.adopt(number, made)
    peer.born(made)
    return made


# -- classes ---------------------------------------------------------------------------------------------------------------


def _class(peer: Any, body: Any) -> Any:
    number, said = body
    if number in peer.remote:
        raise CodecError("not a new number")
    name = _checked_name(said["name"])
    bases = [base for base in (peer.values.decode(node) for node in said["bases"]) if isinstance(base, type)]
    space: dict[str, Any] = {
        "_described": True,
        "_peer": peer,
        "__doc__": said["doc"] if isinstance(said["doc"], str) else None,
        "__module__": "solution",
        "__qualname__": _checked_name(said["qualname"]),
    }
    kind = said["kind"]
    if kind in ("enum", "namedtuple"):
        made: Any = _VALUE_CLASSES[kind](peer, number, said, name, space)
        return peer.adopt(number, made)
    _add_members(peer, number, said, space)
    if kind == "exception":
        return peer.adopt(number, _exception_class(peer, name, bases, space))
    return peer.adopt(number, _plain_class(said, name, bases, space))


def _checked_name(name: Any) -> str:
    if type(name) is not str or "\0" in name:
        raise CodecError("not a name")
    return name[:200] or "_"


def _add_members(peer: Any, number: int, said: Any, space: dict[str, Any]) -> None:
    """Add what the class defines: special methods of the closed list, methods, properties."""
    for name in said["methods"]:
        if not name.startswith("__") and (said["kind"] != "exception" or peer.may_answer(number, name)):
            space[_checked_name(name)] = _forwarder(peer, number, name)
    for name in said["properties"]:
        space.setdefault(_checked_name(name), _property(peer, number, name))
    for name in said["special"]:
        if name in SPECIAL:
            space[name] = _awaiter(peer) if name == "__await__" else _forwarder(peer, number, name)
    if said["unhashable"] is True:
        space["__hash__"] = None
    elif "__eq__" in space:
        space.setdefault("__hash__", object.__hash__)


def _plain_class(said: Any, name: str, bases: list[type], space: dict[str, Any]) -> Any:
    kinds = tuple(base for base in bases if issubclass(base, Standin)) or (Standin,)
    data = said["data"]
    plain = next((kind for kind in descriptions.DATA_TYPES if kind.__name__ == data), None)
    if plain is not None:  # `isinstance(x, dict)` is true by this alone: the stand-in holds no data that C code could read
        twin = type(name, (plain,), {"__qualname__": space["__qualname__"]})
        space["__class__"] = property(lambda self: twin)
    if isinstance(said.get("dataclass"), list):
        import dataclasses

        fields = [_checked_name(field) for field in said["dataclass"]]
        shape: Any = dataclasses.make_dataclass(name, fields)
        space.update(__dataclass_fields__=shape.__dataclass_fields__, __match_args__=tuple(fields))
    try:
        made = Meta(name, kinds, space)
    except TypeError:  # bases whose order cannot be kept
        made = Meta(name, (Standin,), space)
    for abstract in said["abcs"]:
        known = getattr(collections.abc, abstract, None) if type(abstract) is str else None
        if isinstance(known, abc.ABCMeta):
            known.register(made)
    return made


# -- exceptions ------------------------------------------------------------------------------------------------------------


def _exception_class(peer: Any, name: str, bases: list[type], space: dict[str, Any]) -> Any:
    for special in [n for n in space if n in SPECIAL]:
        del space[special]  # an exception is a value: no operator of the candidate's answers for it
    space["__str__"] = lambda self: self.__dict__.get("_text") or BaseException.__str__(self)
    space["__getattr__"] = _exception_attribute
    space["_is_named"] = peer.is_named(name)
    kinds = tuple(base for base in bases if issubclass(base, Exception)) or (Exception,)
    return Meta(name, kinds, space)


def _exception_attribute(self: Any, name: str) -> Any:
    peer = _peer_of(type(self))
    if name.startswith("__") or peer is None or id(self) not in peer.homes:
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
    value = peer.get(self, name)
    if callable(value) and not type(self)._is_named and not peer.may_answer(-1, name):
        raise AttributeError(name)
    return value


def _standard_exception(peer: Any, body: Any) -> Any:
    kind = stdlib.exception_class(*body)
    if kind is None:
        raise CodecError("no exception of the standard library")
    return kind


def _exception(peer: Any, body: Any) -> Any:
    node, args, text, attributes, cause, number = body
    kind = peer.values.decode(node)
    if not (isinstance(kind, type) and issubclass(kind, BaseException)):
        raise CodecError("no class of exceptions")
    given = tuple(peer.values.list_of(args))
    error = _new_exception(kind, given)
    for name, item in attributes.items():
        error.__dict__[_checked_name(name)] = peer.values.decode(item)
    if isinstance(text, str):
        error.__dict__["_text"] = text
    if cause is not None:
        error.__cause__ = peer.values.decode(cause)
    return error if number == -1 else peer.adopt(number, error)


def _new_exception(kind: type[BaseException], args: tuple[Any, ...]) -> BaseException:
    """Return an exception with these arguments; nothing of the other end's runs."""
    if not isinstance(kind, Meta):
        try:
            made = kind(*args)
            if made.args == args or isinstance(made, OSError):
                return made
        except Exception:  # noqa: S110  one that wants other arguments than it keeps
            pass
    made = kind.__new__(kind)
    made.args = args
    return made


# -- enumerations and named tuples: values, with the other end's methods ---------------------------------------------------


def _enum_class(peer: Any, number: int, said: Any, name: str, space: dict[str, Any]) -> Any:
    flavour = getattr(enum, str(said["flavour"]), None)
    if not (isinstance(flavour, type) and issubclass(flavour, enum.Enum)):
        raise CodecError("no enumeration")
    data = next((k for k in (str, int, float) if k.__name__ == said["data"] and not issubclass(flavour, k)), None)
    bases = (data, flavour) if data else (flavour,)
    body: Any = enum.EnumType.__prepare__(name, bases)  # type: ignore[arg-type]
    body["__qualname__"], body["__module__"], body["__doc__"] = space["__qualname__"], "solution", space["__doc__"]
    for key, node in said["members"]:
        body[_checked_name(key)] = peer.values.decode(node)
    for method in said["methods"]:
        if not method.startswith("_") and peer.may_answer(number, method):
            body[_checked_name(method)] = _forwarder(peer, number, method)
    body.update(_statics(peer, number, said))
    for item in said["properties"]:
        body[_checked_name(item)] = types.DynamicClassAttribute(lambda self, n=item: peer.ask("property", number, n, [self]))
    if peer.is_named(name):
        for special in said["special"]:
            if special in ("__str__", "__repr__", "__call__", "__format__", "__int__", "__float__"):
                body[special] = _forwarder(peer, number, special)
            elif special in COMPARISONS - {"__eq__", "__ne__"} and data is None and flavour is enum.Enum:
                body[special] = _among_members(peer, number, special)
    body["__getattr__"] = _member_attribute(peer, number, peer.is_named(name))
    return enum.EnumType(name, bases, body)


def _statics(peer: Any, number: int, said: Any) -> dict[str, Any]:
    """Return the class methods and static methods of a class of values."""
    names = [_checked_name(name) for name in said["statics"] if not name.startswith("_") and peer.may_answer(number, name)]
    return {name: staticmethod(_forwarder(peer, number, name)) for name in names}


def _among_members(peer: Any, number: int, name: str) -> Any:
    def compare(self: Any, other: Any) -> Any:
        return peer.invoke(number, name, (self, other)) if isinstance(other, type(self)) else NotImplemented

    return compare


def _member_attribute(peer: Any, number: int, named: bool) -> Any:
    def attribute(self: Any, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        value = peer.ask("attribute", number, name, [self])
        if callable(value) and not named and not peer.may_answer(number, name):
            raise AttributeError(name)
        return value

    return attribute


def _member(peer: Any, body: Any) -> Any:
    kind, name = peer.values.decode(body[0]), body[1]
    if not (isinstance(kind, type) and issubclass(kind, enum.Enum)) or type(name) is not str:
        raise CodecError("no member")
    return kind.__members__[name]


def _record_class(peer: Any, number: int, said: Any, name: str, space: dict[str, Any]) -> Any:
    fields = [_checked_name(field) for field in said["fields"]]
    known = peer.values.decode(said["defaults"])
    defaults = [known[field] for field in fields if field in known]
    base = collections.namedtuple(name, fields, defaults=defaults, module="solution")  # type: ignore[misc]  # noqa: PYI024
    mixed: dict[str, Any] = {"__slots__": (), "__module__": "solution", "__doc__": space["__doc__"] or base.__doc__}
    mixed["__qualname__"] = space["__qualname__"]
    for method in said["methods"]:
        if not method.startswith("_") and method not in fields and peer.may_answer(number, method):
            mixed[_checked_name(method)] = _forwarder(peer, number, method)
    mixed.update(_statics(peer, number, said))
    for item in said["properties"]:
        if item not in fields:
            mixed[_checked_name(item)] = _property(peer, number, item)
    own = set(said["special"]) - set(dir(tuple)) | (set(said["special"]) & {"__str__", "__add__", "__mul__"})
    if peer.is_named(name):
        mixed.update({special: _forwarder(peer, number, special) for special in own & SPECIAL if special != "__init__"})
        if "__repr__" in said["special"] and said.get("repr"):
            mixed["__repr__"] = _forwarder(peer, number, "__repr__")
    return type(name, (base,), mixed) if len(mixed) > 4 else base


def _record(peer: Any, body: Any) -> Any:
    kind, items = peer.values.decode(body[0]), peer.values.list_of(body[1])
    if not (isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, "_fields")) or len(items) != len(kind._fields):
        raise CodecError("no named tuple")
    return tuple.__new__(kind, items)


_VALUE_CLASSES: dict[str, Callable[..., Any]] = {"enum": _enum_class, "namedtuple": _record_class}


# -- functions -------------------------------------------------------------------------------------------------------------


class Function:
    """Stands for a function."""

    def __init__(self, peer: Any, said: Any):
        name = _checked_name(said["name"])
        state: dict[str, Any] = {"_peer": peer, "_binds": said["binds"] is True, "__name__": name, "__module__": "solution"}
        state["__qualname__"] = _checked_name(said["qualname"]) if said["qualname"] else name
        state["__doc__"] = said["doc"] if isinstance(said["doc"], str) else None
        self.__dict__.update(state)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._peer.call(self, args, kwargs)

    def __get__(self, instance: Any, _: Any = None) -> Any:
        return types.MethodType(self, instance) if instance is not None and self._binds else self

    def __getattr__(self, name: str) -> Any:
        if name == "__signature__":
            return _signature(self._peer.ask("signature", self._peer.homes[id(self)]))
        if name.startswith("__") and name not in _ASKED:
            raise AttributeError(f"'function' object has no attribute {name!r}")
        return self._peer.get(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            self.__dict__[name] = value
        else:
            self._peer.ask("set", self._peer.homes[id(self)], name, [value])

    def __repr__(self) -> str:
        return f"<function {self.__qualname__}>"


def _signature(said: Any) -> Any:
    import inspect

    if said is None:
        raise ValueError("no signature found")
    parameters = []
    for name, kind, default, note in said:
        held = {"default": default[0]} if default else {}
        if note:
            held["annotation"] = note[0]
        parameters.append(inspect.Parameter(name, inspect._ParameterKind(kind), **held))
    return inspect.Signature(parameters)


def _function(peer: Any, body: Any) -> Any:
    number, said = body
    proxy = peer.adopt(number, Function(peer, said))
    if said["async"] is not True and not (said["generator"] is True and peer.makes_real_functions):
        return proxy if not peer.makes_real_functions else _real_function(peer, number, proxy, said)
    return _real_function(peer, number, proxy, said)


def _real_function(peer: Any, number: int, proxy: Any, said: Any) -> Any:
    """Return a function of the language in the proxy's place: where it must be one to be seen as a coroutine function."""
    if said["async"] is True:

        async def function(*args: Any, **kwargs: Any) -> Any:
            return await proxy(*args, **kwargs)

    else:

        def function(*args: Any, **kwargs: Any) -> Any:  # type: ignore[misc]
            return proxy(*args, **kwargs)

    function.__name__, function.__doc__ = proxy.__name__, proxy.__doc__
    function.__qualname__ = proxy.__qualname__
    peer.remote[number] = function
    peer.homes[id(function)] = number
    peer.keep_alive.append(proxy)
    return function


# -- iterators and coroutines ----------------------------------------------------------------------------------------------


class Iterator:
    """Stands for an iterator."""

    def __init__(self, peer: Any, number: int):
        self._peer, self._number = peer, number

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        return self._peer.ask("next", self._number)

    def __contains__(self, item: Any) -> bool:
        return self._peer.drawn(self).__contains__(item)  # all of them first: an endless one would have everything


class Generator(Iterator):
    """Stands for a generator."""

    __class__ = property(lambda self: types.GeneratorType)  # type: ignore[assignment]

    def send(self, value: Any) -> Any:
        """Go on with a value."""
        return self._peer.ask("send", self._number, "", [value])

    def throw(self, error: Any, *_: Any) -> Any:
        """Go on with an exception."""
        return self._peer.ask("throw", self._number, "", [error])

    def close(self) -> None:
        """End it."""
        self._peer.ask("close", self._number)


class Coroutine(collections.abc.Coroutine):  # type: ignore[type-arg]
    """Stands for a coroutine: the other end's loop runs it to its end when it is first awaited here."""

    def __init__(self, peer: Any, number: int):
        self._peer, self._number, self._begun = peer, number, False

    def send(self, _: Any) -> Any:
        """Run it."""
        if self._begun:
            raise RuntimeError("cannot reuse already awaited coroutine")
        self._begun = True
        raise StopIteration(self._peer.ask("await", self._number))

    def throw(self, *error: Any) -> Any:
        """Raise the exception where it is awaited."""
        raise error[0]

    def close(self) -> None:
        """Forget it."""
        if not self._begun:
            self._begun = True
            self._peer.ask("close", self._number)

    def __await__(self) -> Any:
        return self

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        return self.send(None)


class AsyncGenerator:
    """Stands for an asynchronous generator."""

    def __init__(self, peer: Any, number: int):
        self._peer, self._number = peer, number

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        return self._peer.ask("anext", self._number)

    async def aclose(self) -> None:
        """End it."""
        self._peer.ask("aclose", self._number)


Iterator.__name__, Generator.__name__, Coroutine.__name__ = "iterator", "generator", "coroutine"
_PROTOCOLS: dict[str, Any] = {
    "iterator": Iterator,
    "generator": Generator,
    "coroutine": Coroutine,
    "async generator": AsyncGenerator,
}


def _protocol(peer: Any, body: Any) -> Any:
    number, name = body
    return peer.adopt(number, _PROTOCOLS[name](peer, number))


MAKERS: dict[str, Callable[[Any, Any], Any]] = {
    "k": _class,
    "p": _instance,
    "F": _function,
    "I": _protocol,
    "e": _member,
    "n": _record,
    "x": _exception,
    "X": _standard_exception,
}
