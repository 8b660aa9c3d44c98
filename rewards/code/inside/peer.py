"""One of the two ends between tests and candidate: asks the other for what its objects do, and answers for its own.

A message is [mark, changes, printed text, ...]. Requests "?" nest: before it answers, an end may ask back. The two ends differ
in what they allow (`RemoteCandidate` on the tests' side, `Examined` on the candidate's); nothing here is a wall by itself.
Standard library only.
"""

import copy
import enum
import sys
import threading
import types
from collections import deque
from collections.abc import Callable
from typing import Any

from rewards.code import codec
from rewards.code.codec import CodecError
from rewards.code.inside import descriptions, introspection, makers, standins, stdlib, valuekinds
from rewards.code.inside.candidate import MAX_DETAIL, describe
from rewards.code.inside.failures import Refused
from rewards.code.inside.loops import Bridge
from rewards.code.inside.values import Node, Values
from rewards.code.wire import FrameError, Link

_DOES_NOT_FIT = (FrameError, ValueError, TypeError, RecursionError, MemoryError)
_FRAMES, _MAX_NESTED = 40, 100  # of one request inside of another
_SAME = (tuple, frozenset, str, bytes, int, float, complex)  # values whose identity tests may ask for


class Peer:
    """One end. `objects` are ours that the other end knows by number; `remote` are stand-ins for the other end's."""

    def __init__(self, link: Link):
        self.link = link
        self.values = Values(self.export, self.resolve)
        self.objects: list[Any] = []
        self.numbers: dict[int, int] = {}  # id of one of ours -> its number
        self.remote: dict[int, Any] = {}
        self.homes: dict[int, int] = {}  # id of a stand-in -> the number of what it stands for
        self.keep_alive: list[Any] = []
        self.makes_real_functions = self.tells_shapes = False  # of functions; the shapes to an end that makes real ones
        self.inspects = self.is_asked = False  # this end looks at what functions are; the last message was a request
        self.unborn: Any = None  # a subclass of ours that the other end is about to mirror
        self.originals: dict[tuple[int, str], Any] = {}  # (class, name) -> what stood there before it was set from there
        self.bridge = Bridge(self)
        self.lock = threading.RLock()  # either end may have threads; one asks at a time, and answers what it is asked meanwhile
        self.depth = self.exceptions = 0  # of requests that we are answering; how many of the language's own have a number

    # -- asking ------------------------------------------------------------------------------------------------------------

    def ask(self, op: str, target: Any, name: str = "", args: Any = (), kwargs: Any = None) -> Any:
        """Send a request, answer what is asked meanwhile, and return the value or raise the exception that comes back."""
        with self.lock:
            self.request(op, target, name, args, kwargs)
            came_well, value = self.await_reply(args)
        if came_well:
            return value
        raise value

    def request(self, op: str, target: Any, name: str, args: Any, kwargs: Any) -> None:
        """Send a request; raises CodecError where an argument cannot cross."""
        if not self.depth:
            self.values.forget_old()
        changes, mark = self.changes(), self.position()
        try:
            nodes = self.values.all(args)
            named = {key: self.values.encode(value) for key, value in (kwargs or {}).items()}
            self.link.send(["?", changes, self.printed(), op, target, name, nodes, named])
        except (CodecError, FrameError, RecursionError) as error:
            self.rewind(mark)
            raise CodecError(str(error)) from None
        self.values.settle()

    def await_reply(self, args: Any) -> tuple[bool, Any]:
        """Answer requests until the reply comes; return whether it is a value, and it, or the exception."""
        while True:
            message = self.receive()
            if message[0] != "?":
                return self.result(message, args)
            self.serve(message)

    def position(self) -> tuple[int, int]:
        """Return how much is known to the other end."""
        return len(self.objects), len(self.values.shared)

    def rewind(self, mark: tuple[int, int]) -> None:
        """Forget what was numbered for a message that was not sent."""
        for value in self.objects[mark[0] :]:
            self.numbers.pop(id(value), None)
        del self.objects[mark[0] :]
        self.values.rewind(mark[1])

    def receive(self) -> Any:
        """Read a message, and take over what it says of shared containers and of printed text."""
        message = self.link.receive()
        self.is_asked = message[0] == "?"
        self.take_changes(message[1])
        self.show(message[2])
        return message

    def result(self, message: Any, args: Any) -> tuple[bool, Any]:
        """Return whether a reply is a value, and it, or the exception that is to be raised."""
        mark, body = message[0], message[3]
        if mark == "~":
            return False, Refused(str(body)[:MAX_DETAIL], message[4] is True)
        if mark == "a":
            return True, args[range(len(args))[body]]
        if mark not in ("=", "!"):
            raise FrameError("an unknown reply")
        value = self.values.decode(body)
        self.values.settle()
        if mark == "=":
            return True, value
        return False, self.raised(value)

    def changes(self) -> Any:
        """Return what changed here since the last message."""
        return self.values.changes()

    def take_changes(self, changes: Any) -> None:
        """Take over what changed there."""
        if changes:
            self.values.apply(changes)

    def printed(self) -> Any:
        """Return what was printed here since the last message."""
        return ""

    def show(self, text: Any) -> None:
        """Take what was printed at the other end."""

    def raised(self, error: Any) -> BaseException:
        """Return what is raised here for an exception of the other end."""
        if not isinstance(error, BaseException):
            raise CodecError("no exception")
        return error

    # -- answering ---------------------------------------------------------------------------------------------------------

    def serve(self, message: Any) -> None:
        """Answer one request."""
        if not self.depth:
            self.values.forget_old()
        self.depth += 1
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(limit + (_FRAMES if self.depth < _MAX_NESTED else 0))  # ours are no recursion of theirs
        try:
            _, _, _, op, target, name, nodes, named = message
            try:
                args = self.values.list_of(nodes)
                kwargs = {key: self.values.decode(node) for key, node in named.items()}
                self.values.settle()
                value = self.carry_out(op, target, name, args, kwargs)
            except CodecError as error:
                self.link.send(["~", [], "", str(error)[:MAX_DETAIL], False])
            except BaseException as error:
                self.forward(error)
            else:
                self.answer(value, args)
        finally:
            self.depth -= 1
            sys.setrecursionlimit(limit)

    def answer(self, value: Any, args: list[Any]) -> None:
        """Send a value, or why it cannot be sent; of an argument handed back, which it is."""
        if type(value) in _SAME:
            place = next((place for place, arg in enumerate(args) if arg is value), None)
            if place is not None:
                self.link.send(["a", self.changes(), self.printed(), place])
                self.values.settle()
                return
        self._send("=", lambda: self.values.encode(value))

    def forward(self, error: BaseException) -> None:
        """Send an exception."""
        self._send("!", lambda: valuekinds.exception_node(self, error, 0))

    def _send(self, mark: str, make: Callable[[], Node]) -> None:
        changes, position = self.changes(), self.position()
        try:
            self.link.send([mark, changes, self.printed(), make()])
        except (CodecError, *_DOES_NOT_FIT) as error:
            self.rewind(position)
            text = str(error)[:MAX_DETAIL] if isinstance(error, CodecError) else describe(error)
            self.link.send(["~", changes if len(str(changes)) < 1_000_000 else [], "", text, isinstance(error, MemoryError)])
        self.values.settle()

    def carry_out(self, op: str, target: Any, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Do what a request asks of one of our objects."""
        value: Any = self.objects[target] if type(target) is int and target >= 0 else None
        match op:
            case "call":
                return (self.named(target) if type(target) is str else value)(*args, **kwargs)
            case "method":
                return descriptions.method(value, name, args)(*args, **kwargs)
            case "property":
                return next(vars(k)[name] for k in type.mro(value) if name in vars(k)).__get__(args[0], value)
            case "get":
                return dict(value.__dict__) if name == "__dict__" else getattr(value, name)
            case "isinstance" | "issubclass":
                return (isinstance if op == "isinstance" else issubclass)(args[0], value)
            case "item":
                return value[args[0]]
            case "copy":
                return (copy.deepcopy if name == "deep" else copy.copy)(value)
            case "dir":
                return dir(value)
            case "set":
                return setattr(value, name, args[0])
            case "del":
                return delattr(value, name)
            case "put":
                return value.__dict__.__setitem__(name, args[0])
            case "drop":
                return value.__dict__.__delitem__(name)
            case "lacks":  # once, where it is the tests'
                return dict.__getitem__(value, *args), dict.__contains__(value, *args)
            case "missing":  # twice as the language asks: what is stored by the first is found by the second
                return [dict.__getitem__(value, *args), dict.__getitem__(value, *args), dict.__contains__(value, *args)]
            case "says":
                return getattr(type(value), name)(value, *args)
            case "next":
                return next(value)
            case "send":
                return value.send(args[0])
            case "throw":
                return value.throw(*args)
            case "close":
                return value.close()
            case "await":
                return self.bridge.to_end(value)
            case "awaitable" if name in ("__anext__", "asend", "athrow", "aclose"):
                return getattr(value, name)(*args)
            case "start":
                return self.bridge.start(target, value)
            case "drive":
                return self.bridge.turn_soon(0)
            case "step":
                return self.bridge.step(*args)
            case "outcome" | "cancel":
                return (self.bridge.outcome if op == "outcome" else self.bridge.cancel)(target)
        return introspection.answer(op, value, name)

    # -- values that are objects -------------------------------------------------------------------------------------------

    def named(self, name: str) -> Any:
        """Return one of ours by name."""
        raise CodecError("nothing is named here")

    def keeps(self, kind: type) -> bool:
        """Return whether instances of this subclass of a plain type cross as objects; else they count as their base."""
        return False

    def export(self, value: Any) -> Node:
        """Return the node of an object; None for a subclass of a plain type."""
        kind = type(value)
        if issubclass(kind, BaseException):
            return valuekinds.exception_node(self, value, 0)
        home = self.homes.get(id(value))
        if home is not None:
            return {"o": home}
        number = self.numbers.get(id(value))
        if number is not None:
            again = (
                valuekinds.filled_node(self, value, kind)
                if isinstance(value, list | dict | set | deque) and not self.keeps(kind)
                else None
            )
            return again or {"h": number}  # what holds data that may have changed is told anew
        if isinstance(value, type):
            return self.export_class(value)
        if issubclass(kind, enum.Enum):
            if value._name_ in kind.__members__:
                return {"e": [self.values.encode(kind), value._name_]}
            return {"e": [self.values.encode(kind), int(value._value_)]} if issubclass(kind, enum.Flag) else None
        if issubclass(kind, tuple) and hasattr(kind, "_fields"):
            return {"n": valuekinds.record_node(self, value)}
        if issubclass(kind, (*descriptions.DATA_TYPES, deque)) and not self.keeps(kind):
            return valuekinds.filled_node(self, value, kind)
        if isinstance(value, types.ModuleType):
            raise CodecError("a module")
        known = standins.forwards(value, self)
        if known is not None:
            return {"m": known}
        if descriptions.is_function(value):
            encode = self.values.encode if self.tells_shapes else None
            return {"F": [self.number(value), descriptions.describe_function(value, encode)]}
        protocol = descriptions.iterator_kind(value)
        if protocol is not None:
            return {"I": [self.number(value), protocol]}
        base = next((k for k in type.mro(kind) if k in stdlib.ENCODERS), None)
        if base is not None and descriptions.is_own(kind) and not self.keeps(kind):
            return {"v": stdlib.encode(value, self.values.encode, base)}
        data = [self.values.encode(codec._as_base(value, k)) for k in descriptions.NATIVE if issubclass(kind, k)]
        return {"p": [self.number(value), self.export_class(kind), *data[:1]]}

    def export_class(self, kind: type) -> Node:
        """Return the node of a class."""
        for table in (self.homes, self.numbers):
            if id(kind) in table:
                return {"o" if table is self.homes else "h": table[id(kind)]}
        name = descriptions.exception_name(kind)
        if name is not None:
            return {"X": name}
        number = self.number(kind)
        return {"k": [number, descriptions.describe_class(kind, self.values.encode)]}

    def number(self, value: Any) -> int:
        """Return the number under which the other end knows one of ours."""
        known = self.numbers.get(id(value))
        if known is None:
            self.objects.append(value)
            known = self.numbers[id(value)] = len(self.objects) - 1
        return known

    def or_text(self, value: Any) -> Node:
        """Return the node of a value; none where it cannot cross."""
        position = self.position()
        try:
            return self.values.encode(value)
        except CodecError:
            self.rewind(position)
            return None

    def resolve(self, tag: str, body: Any) -> Any:
        """Return what a node that is no data stands for; raises CodecError."""
        if tag == "o" and type(body) is int and body >= 0:
            return self.objects[body]
        if tag == "h" and type(body) is int:
            if body not in self.remote and self.unborn is not None:  # a registry tells of it before its number comes
                self.adopt(body, self.unborn)
            return self.remote[body]
        if tag == "m":
            return self.member(*body)
        make = makers.MAKERS.get(tag)
        if make is None:
            raise CodecError(f"an unknown tag {tag!r}")
        return make(self, body)

    def member(self, number: Any, name: Any) -> Any:
        """Return a method or property of one of our classes, as it was before anyone replaced it."""
        kind = self.objects[number] if type(number) is int and number >= 0 else None
        if not isinstance(kind, type) or type(name) is not str:
            raise CodecError("no member of a class")
        return self.originals.get((number, name)) or next(vars(k)[name] for k in type.mro(kind) if name in vars(k))

    def adopt(self, number: Any, stand_in: Any) -> Any:
        """Remember a stand-in for the other end's object `number`."""
        if type(number) is not int or number < 0 or number in self.remote:
            raise CodecError("not a new number")
        self.remote[number] = stand_in
        self.homes[id(stand_in)] = number
        return stand_in

    # -- what stand-ins ask ------------------------------------------------------------------------------------------------

    def invoke(self, kind: int, name: str, args: Any, kwargs: Any = None) -> Any:
        """Call the function `name` of the other end's class `kind`; the first argument is the instance."""
        return self.ask("method", kind, name, args, kwargs)

    def get(self, stand_in: Any, name: str) -> Any:
        """Return an attribute of the other end's object."""
        return self.ask("get", self.homes[id(stand_in)], name)

    def call(self, stand_in: Any, args: Any, kwargs: Any) -> Any:
        """Call the other end's function, class or object."""
        return self.ask("call", self.homes[id(stand_in)], "", args, kwargs)

    def born(self, instance: Any) -> None:
        """Hear of a new stand-in for an instance."""

    def holds(self, cls: Any, op: str, value: Any) -> bool:
        """Return what a class at the other end says of an instance or a subclass, beyond inheritance."""
        return self.ask(op, self.homes[id(cls)], "", [value]) is True

    def suspect(self, number: int, named: Any) -> None:
        """Hear of an own subclass of data that defines these operators anew."""

    def touched(self, instance: Any, name: str, found: Any) -> None:
        """Hear that a method was looked up."""

    def wrote(self, instance: Any, name: str) -> None:
        """Hear that an attribute is set."""

    def is_named(self, name: str) -> bool:
        """Return whether this side names the class that is being made."""
        return True

    def may_answer(self, kind: int, name: str) -> bool:
        """Return whether a value of a class that is being made may have this method."""
        return True

    def throw(self, iterator: Any, error: Any) -> Any:
        """Raise an error in the other end's generator."""
        return self.ask("throw", self.homes[id(iterator)], "", [error])

    def drawn(self, iterator: Any) -> list[Any]:
        """Return all items of an iterator."""
        return list(iterator)
