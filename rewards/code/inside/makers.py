"""Makes stand-ins from what the other end says: one function for each kind of node. Start here. Standard library only."""

from collections.abc import Callable
from typing import Any

from rewards.code.codec import CodecError
from rewards.code.inside import awaitables, callables, descriptions, kinships, standins, valuekinds
from rewards.code.inside.descriptions import SPECIAL
from rewards.code.inside.standins import Meta, Standin, checked_name, forwarded_property, forwarder, instance, reference


def _class(peer: Any, body: Any) -> Any:
    number, said = body
    if number in peer.remote:
        raise CodecError("not a new number")
    name = checked_name(said["name"])
    bases = [base for base in (peer.values.decode(node) for node in said["bases"]) if isinstance(base, type)]
    space: dict[str, Any] = {
        "_described": True,
        "_peer": peer,
        "__doc__": said["doc"] if isinstance(said["doc"], str) else None,
        "__module__": "solution",
        "__qualname__": checked_name(said["qualname"]),
        "_traits": frozenset(map(checked_name, said["traits"])),
    }
    kind = said["kind"]
    if kind in ("enum", "namedtuple"):
        make = valuekinds.enum_class if kind == "enum" else valuekinds.record_class
        made: Any = make(peer, number, said, name, space)
        return peer.adopt(number, made)
    _add_members(peer, number, said, space)
    library = descriptions.library_class(said.get("library")) if peer.makes_real_functions else None
    if library is not None:  # for the program, an `io.StringIO` of the tests' is one; the tests believe no such thing
        space["__class__"] = property(lambda self: library)
    if kind == "exception":
        return peer.adopt(number, valuekinds.exception_class(peer, name, bases, space))
    return peer.adopt(number, _plain_class(peer, said, name, bases, space))


def _add_members(peer: Any, number: int, said: Any, space: dict[str, Any]) -> None:
    """Add what the class defines: special methods of the closed list, methods, properties."""
    method = callables.Method if peer.inspects else forwarder
    for name in said["methods"]:
        if not name.startswith("__") and (said["kind"] != "exception" or peer.may_answer(number, name)):
            space[checked_name(name)] = method(peer, number, name)
    shown = [n for n in said["properties"] if n[:2] != "__"]  # no `__class__`, which `isinstance` would believe
    for name in [n for n in shown if said["kind"] != "exception" or peer.may_answer(number, n)]:
        space.setdefault(checked_name(name), forwarded_property(peer, number, name))
    for name in said["special"]:
        if name in SPECIAL:
            space[name] = _awaiter(peer) if name == "__await__" else method(peer, number, name)
    if peer.tells_shapes and "__contains__" not in space and not space.keys().isdisjoint(("__iter__", "__getitem__")):
        space["__contains__"] = standins.membership(peer, number)
    if peer.makes_real_functions and "__init__" in space:
        notes = said.get("notes", {})
        space["__init__"].__annotations__ = {name: peer.values.decode(note) for name, note in notes.items()}
    if said["unhashable"] is True:
        space["__hash__"] = None
    elif "__eq__" in space:
        space.setdefault("__hash__", object.__hash__)


def _plain_class(peer: Any, said: Any, name: str, bases: list[type], space: dict[str, Any]) -> Any:
    kinds = tuple(base for base in bases if issubclass(base, Standin)) or (Standin,)
    data = said["data"]
    plain = next((kind for kind in descriptions.DATA_TYPES if kind.__name__ == data), None)
    if plain is list and peer.tells_shapes:
        space.setdefault("__radd__", lambda self, other: other + peer.trust.data(self))  # `[0] + bag`
    if plain in descriptions.NATIVE:
        kinds, space["_holds_data"] = (*kinds, plain), True  # type: ignore[arg-type]
    elif plain is not None:  # `isinstance(x, dict)` is true by this alone: the stand-in holds no data that C code could read
        twin = type(name, (plain,), {"__qualname__": space["__qualname__"]})
        space["__class__"] = property(lambda self: twin)
        space["_holds_data"] = True
    if isinstance(said.get("dataclass"), list):
        fields = [[checked_name(name), *default] for name, *default in said["dataclass"]]
        space.update(kinships.dataclass_of(name, fields, said["frozen"] is True, peer.values.decode))
    try:
        made = Meta(name, kinds, space)
    except TypeError:  # bases whose order cannot be kept
        made = Meta(name, (Standin,), space)
    for abstract in said["abcs"]:
        descriptions.ABCS[abstract].register(made)
    return made


_PROTOCOLS: dict[str, Any] = {
    **callables.ITERATORS,
    "iterator": callables.Iterator,
    "generator": callables.Generator,
    "coroutine": awaitables.Coroutine,
    "future": awaitables.Future,
    "async generator": awaitables.AsyncGenerator,
}


def _protocol(peer: Any, body: Any) -> Any:
    """Return a stand-in for an iterator, a generator or a coroutine."""
    number, name = body
    return peer.adopt(number, _PROTOCOLS[name](peer, number))


def _awaiter(peer: Any) -> Any:
    def wait(self: Any) -> Any:
        return awaitables.Coroutine(peer, reference(self).number).__await__()

    return wait


MAKERS: dict[str, Callable[[Any, Any], Any]] = {
    "k": _class,
    "p": instance,
    "F": callables.function,
    "I": _protocol,
    "S": valuekinds.filled,
    "e": valuekinds.member,
    "n": valuekinds.record,
    "x": valuekinds.exception,
    "y": valuekinds.exception_back,
    "X": valuekinds.standard_exception,
}
