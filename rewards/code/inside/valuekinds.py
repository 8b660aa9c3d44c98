"""Stand-ins for classes whose instances are values and hold their data here: enumerations, named tuples, exceptions.

What the tests do with such a value is their own; its class's other methods are the candidate's. Standard library only.
"""

import collections
import enum
import types
from collections import Counter, OrderedDict, deque
from typing import Any

from rewards.code import codec
from rewards.code.codec import CodecError
from rewards.code.inside import faces, stdlib
from rewards.code.inside.candidate import describe
from rewards.code.inside.descriptions import COMPARISONS, SPECIAL, is_own, redefined
from rewards.code.inside.standins import Meta, checked_name, forwarded_property, forwarder, peer_of

_MAX_CAUSES = 5
_MAX_EXCEPTIONS = 64  # of the language's own classes
_PLAIN: dict[str, type] = {
    kind.__name__: kind for kind in (str, Counter, OrderedDict, deque, dict, list, tuple, set, int, float)
}


def filled_node(peer: Any, value: Any, kind: type) -> Any:
    """Return the node of an own subclass of data: what it holds, and a number under which its methods can be asked for."""
    among = [base.__name__ for base in type.mro(kind) if base.__module__ in ("builtins", "collections")]
    base = next((name for name in _PLAIN if name in among), None)
    if base is None or not is_own(kind) or len(kind.__dict__) == 2:
        return None
    number = peer.number(value)
    if base in ("dict", "Counter", "OrderedDict"):
        content = peer.values.pairs(value, 0)
    elif base in ("str", "int", "float"):
        content = peer.values.encode(codec._as_base(value, _PLAIN[base]))
    else:
        content = peer.values.encode(tuple(value if base == "deque" else codec._as_base(value, _PLAIN[base])))
    return {"S": [number, base, kind.__name__, content, redefined(kind)]}


def filled(peer: Any, body: Any) -> Any:
    """Return an instance of a subclass of data: the data is ours, and what no data has is asked for at the other end."""
    number, base, name, content, named = body
    known = peer.remote.get(number)
    if known is not None:
        _refill(known, content if base in ("dict", "Counter", "OrderedDict") else peer.values.decode(content), peer)
        return known
    space: dict[str, Any] = {"__module__": "solution", "__getattr__": _unlike_data(peer, number)}
    if "__missing__" in named and base in ("dict", "Counter"):
        space["__missing__"] = _missing(peer, number)
    kind: Any = type(checked_name(name), (_PLAIN[base],), space)
    if issubclass(kind, dict):
        made: Any = (
            kind()
            if base == "Counter"
            else kind((peer.values.decode(key), peer.values.decode(value)) for key, value in content)
        )
        if base == "Counter":
            made.update({peer.values.decode(key): peer.values.decode(value) for key, value in content})
    else:
        made = kind(peer.values.decode(content))
    peer.suspect(number, named)
    return peer.adopt(number, made)


def _missing(peer: Any, number: int) -> Any:
    def missing(self: Any, key: Any) -> Any:
        if peer.makes_real_functions:
            value, is_stored = peer.ask("lacks", number, "", [key])
            again = value
        else:
            value, again, is_stored = peer.ask("missing", number, "", [key])
        if faces.differ(value, again):
            raise peer.contradicted("two values of one key")
        if is_stored is True:
            dict.__setitem__(self, key, value)
        return value

    return missing


def _refill(known: Any, content: Any, peer: Any) -> None:
    """Put other data into what crosses again."""
    if not isinstance(known, list | set | dict | deque):
        raise CodecError("not a container")
    known.clear()
    if isinstance(known, dict):
        for key, value in content:
            known[peer.values.decode(key)] = peer.values.decode(value)
    elif isinstance(known, set):
        known.update(content)
    else:
        known.extend(content)


def _unlike_data(peer: Any, number: int) -> Any:
    def attribute(self: Any, name: str) -> Any:
        if name.startswith("__") or not peer.may_answer(-1, name):
            raise AttributeError(name)
        return peer.ask("get", number, name)

    return attribute


def enum_class(peer: Any, number: int, said: Any, name: str, space: dict[str, Any]) -> Any:
    """Return an enumeration of our own with the same members."""
    flavour = getattr(enum, str(said["flavour"]), None)
    if not (isinstance(flavour, type) and issubclass(flavour, enum.Enum)):
        raise CodecError("no enumeration")
    data = next((k for k in (str, int, float) if k.__name__ == said["data"] and not issubclass(flavour, k)), None)
    bases = (data, flavour) if data else (flavour,)
    body: Any = enum.EnumType.__prepare__(name, bases)  # type: ignore[arg-type]
    body["__qualname__"], body["__module__"], body["__doc__"] = space["__qualname__"], "solution", space["__doc__"]
    for key, node in said["members"]:
        if key.startswith("_"):
            raise CodecError("no member's name")
        body[checked_name(key)] = enum.member(peer.values.decode(node))  # as a member, were it a function
    for method in said["methods"]:
        if not method.startswith("_") and peer.may_answer(number, method):
            body[checked_name(method)] = forwarder(peer, number, method)
    body.update(_statics(peer, number, said))
    for item in [name for name in said["properties"] if peer.may_answer(number, name)]:
        body[checked_name(item)] = _member_property(peer, number, item)
    if peer.is_named(name):
        if "_missing_" in said["statics"]:  # what it gives has to be a member
            body["_missing_"] = classmethod(lambda _, value: peer.invoke(number, "_missing_", (value,)))
        for special in said["special"]:
            if special in ("__str__", "__repr__", "__call__", "__format__", "__int__", "__float__"):
                body[special] = forwarder(peer, number, special)
            elif special in COMPARISONS - {"__eq__", "__ne__"} and data is None and flavour is enum.Enum:
                body[special] = _among_members(peer, number, special)
    body["__getattr__"] = _member_attribute(peer, number, peer.is_named(name))
    return enum.EnumType(name, bases, body)


def _member_property(peer: Any, number: int, name: str) -> Any:
    return types.DynamicClassAttribute(lambda self: peer.ask("property", number, name, [self]))


def _statics(peer: Any, number: int, said: Any) -> dict[str, Any]:
    """Return the class methods and static methods of a class of values."""
    names = [checked_name(name) for name in said["statics"] if not name.startswith("_") and peer.may_answer(number, name)]
    return {name: staticmethod(forwarder(peer, number, name)) for name in names}


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


def member(peer: Any, body: Any) -> Any:
    """Return a member, or what several flags make together."""
    kind, name = peer.values.decode(body[0]), body[1]
    if not (isinstance(kind, type) and issubclass(kind, enum.Enum)) or type(name) not in (str, int):
        raise CodecError("no member")
    if type(name) is int:
        if not issubclass(kind, enum.Flag):
            raise CodecError("no flags")
        return kind(name)
    return kind.__members__[name]


def record_class(peer: Any, number: int, said: Any, name: str, space: dict[str, Any]) -> Any:
    """Return a named tuple's class of our own with the same fields."""
    fields = [checked_name(field) for field in said["fields"]]
    known = peer.values.decode(said["defaults"])
    defaults = [known[field] for field in fields if field in known]
    base = collections.namedtuple(name, fields, defaults=defaults, module="solution")  # type: ignore[misc]
    mixed: dict[str, Any] = {"__module__": "solution", "__doc__": space["__doc__"] or base.__doc__}
    mixed["__qualname__"] = space["__qualname__"]
    if said["open"] is not True:
        mixed["__slots__"] = ()
    for method in said["methods"]:
        if not method.startswith("_") and method not in fields and peer.may_answer(number, method):
            mixed[checked_name(method)] = forwarder(peer, number, method)
    mixed.update(_statics(peer, number, said))
    for item in said["properties"]:
        if item not in fields and peer.may_answer(number, item):
            mixed[checked_name(item)] = forwarded_property(peer, number, item)
    own = set(said["special"]) - set(dir(tuple)) | (set(said["special"]) & {"__str__", "__add__", "__mul__"})
    if peer.is_named(name):
        mixed.update({special: forwarder(peer, number, special) for special in own & SPECIAL if special != "__init__"})
        if "__repr__" in said["special"] and said.get("repr"):
            mixed["__repr__"] = forwarder(peer, number, "__repr__")
    return type(name, (base,), mixed) if len(mixed) > 4 or said["open"] is True else base


def record_node(peer: Any, value: Any) -> list[Any]:
    """Return a named tuple as [class, items], and the attributes that it has beside them."""
    node = [peer.values.encode(type(value)), peer.values.all(tuple.__iter__(value))]
    held = getattr(value, "__dict__", None)
    return [*node, peer.values.encode(dict(held))] if type(held) is dict and held else node


def record(peer: Any, body: Any) -> Any:
    """Return a named tuple."""
    kind, items = peer.values.decode(body[0]), peer.values.list_of(body[1])
    if not (isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, "_fields")) or len(items) != len(kind._fields):
        raise CodecError("no named tuple")
    made: Any = tuple.__new__(kind, items)
    for name, value in (peer.values.decode(body[2]) if len(body) > 2 else {}).items():
        if name.startswith("_") or name in stdlib.names_of_data() or name in kind._fields:
            raise CodecError("an attribute under a name of data's")
        object.__setattr__(made, checked_name(name), value)
    return made


def exception_class(peer: Any, name: str, bases: list[type], space: dict[str, Any]) -> Any:
    """Return a class of exceptions of our own, under the same bases."""
    for special in [n for n in space if n in SPECIAL]:
        del space[special]  # an exception is a value: no operator of the candidate's answers for it
    space["__str__"] = lambda self: self.__dict__.get("_text") or BaseException.__str__(self)
    space["__getattr__"] = _exception_attribute
    space["_is_named"] = peer.is_named(name)
    kinds = tuple(base for base in bases if issubclass(base, Exception)) or (Exception,)
    return Meta(name, kinds, space)


def _exception_attribute(self: Any, name: str) -> Any:
    peer = peer_of(type(self))
    if name.startswith("__") or peer is None or id(self) not in peer.homes:
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
    value = peer.get(self, name)
    if callable(value) and not type(self)._is_named and not peer.may_answer(-1, name):
        raise AttributeError(name)
    return value


def standard_exception(peer: Any, body: Any) -> Any:
    """Return a class of exceptions of the standard library."""
    kind = stdlib.exception_class(*body)
    if kind is None:
        raise CodecError("no exception of the standard library")
    return kind


def exception_node(peer: Any, error: BaseException, depth: int) -> Any:
    """Return an exception as [class, args, text, attributes, [cause, context], number]; told anew where it is known."""
    kind, is_theirs = type(error), id(error) in peer.homes
    kind_node = None if is_theirs else peer.export_class(kind)  # first, as it is read: the cause may be of the same class
    text = describe(error, bare=True) if is_own(kind) and kind.__str__ is not BaseException.__str__ else None
    named = (error.filename,) if isinstance(error, OSError) and error.filename is not None and len(error.args) == 2 else ()
    args = [peer.or_text(arg) for arg in (*error.args, *named)]
    attributes = {name: peer.or_text(value) for name, value in vars(error).items()}
    if isinstance(error, AttributeError | NameError | ImportError) and isinstance(error.name, str):
        attributes["name"] = error.name
    before = [
        exception_node(peer, other, depth + 1) if other is not None and depth < _MAX_CAUSES else None
        for other in (error.__cause__, error.__context__ if error.__context__ is not error.__cause__ else None)
    ]
    if is_theirs:
        return {"y": [peer.homes[id(error)], attributes, before[0]]}
    number = _exception_number(peer, error, kind)
    return {"x": [kind_node, args, text, attributes, [*before, error.__suppress_context__], number]}


def _exception_number(peer: Any, error: BaseException, kind: type) -> int:
    """Return a number, so that it stays the same object; not for many, since an exception keeps its frames alive."""
    if id(error) not in peer.numbers and not is_own(kind):
        if peer.exceptions >= _MAX_EXCEPTIONS:
            return -1
        peer.exceptions += 1
    number: int = peer.number(error)
    return number


def exception(peer: Any, body: Any) -> Any:
    """Return an exception with its arguments, text, attributes, cause and context: a new one, or the one that it was."""
    node, args, text, attributes, before, number = body
    kind = peer.values.decode(node)
    if not (isinstance(kind, type) and issubclass(kind, BaseException)):
        raise CodecError("no class of exceptions")
    given = tuple(peer.values.list_of(args))
    error = peer.remote.get(number)
    if error is None:
        error = _new_exception(kind, given)
        if number != -1:
            peer.adopt(number, error)
    elif type(error) is not kind:
        raise CodecError("another exception")
    elif not isinstance(error, OSError):
        error.args = given
    for name, item in attributes.items():
        _put(error, checked_name(name), peer.values.decode(item))
    if isinstance(text, str):
        error.__dict__["_text"] = text
    cause, context = (None if item is None else peer.values.decode(item) for item in before[:2])
    error.__cause__, error.__context__, error.__suppress_context__ = cause, context or cause, before[2] is True
    return error


def _put(error: BaseException, name: str, value: Any) -> None:
    """Give an exception an attribute: in its own place, where the language's classes have one."""
    found = next((vars(kind)[name] for kind in type(error).__mro__ if name in vars(kind)), None)
    if isinstance(found, types.MemberDescriptorType):
        found.__set__(error, value)
    else:
        error.__dict__[name] = value


def exception_back(peer: Any, body: Any) -> Any:
    """Return one of our exceptions, with what the other end has put on it: notes, attributes, a cause; no function."""
    number, attributes, cause = body
    error = peer.objects[number] if type(number) is int and number >= 0 else None
    if not isinstance(error, BaseException):
        raise CodecError("no exception")
    for name, item in attributes.items():
        value = peer.values.decode(item)
        if (name == "__notes__" or not name.startswith("_")) and not callable(getattr(error, name, None)):
            error.__dict__[checked_name(name)] = value
    if cause is not None:
        error.__cause__ = peer.values.decode(cause)
    return error


def _new_exception(kind: type[BaseException], args: tuple[Any, ...]) -> BaseException:
    """Return an exception with these arguments; nothing of the other end's runs."""
    if not isinstance(kind, Meta):
        try:
            made = kind(*args)
            if made.args == args or isinstance(made, OSError):
                return made
        except Exception:
            pass
    made = kind.__new__(kind)
    made.args = args
    return made
