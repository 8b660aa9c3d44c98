"""The candidate's process in style assert: loads the untrusted program, tells the examiner what it defines, answers requests.

Values cross as data; what is no data crosses as a number, under which the object stays here. As everywhere in the candidate's
process, nothing said from here is believed. Standard library only.
"""

import ast
import builtins
import collections
import contextlib
import os
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rewards.code import codec, wire
from rewards.code.inside.candidate import MAX_DETAIL, describe, load, prepare
from rewards.code.wire import FrameError, Link

_CONTAINERS = (list, dict, set, bytearray, collections.deque)
_MISSING = object()


def serve_examiner() -> None:
    """Load the program, tell the examiner what it defines, then answer its requests."""
    link, examiner = Link(3), Link(4)
    setup: wire.ExaminedSetup = link.receive()
    names = setup["names"]
    # Said before the program runs, so this much is true: where the program's imported names come from.
    imports = {name: origin for name, origin in _imports(setup["source"]).items() if name in names} if len(names) > 1 else {}
    examiner.send(("imports", imports))
    module = prepare("solution")
    if not load(setup["source"], setup["context"], link, module):
        os._exit(1)
    served = _Examined(module, examiner)
    examiner.send(("defined", served.definitions(names)))
    served.serve()


def _imports(source: str) -> dict[str, tuple[str, str | None]]:
    """Return the names that `source` imports at its top level under their own names: name -> (module, attribute)."""
    origins: dict[str, tuple[str, str | None]] = {}
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return origins
    for node in body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname or "." not in alias.name:
                    origins[alias.asname or alias.name] = (alias.name, None)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                if alias.asname in (None, alias.name):
                    origins[alias.name] = (node.module, alias.name)
    return origins


class _Examined:
    """The loaded program, as the examiner may use it."""

    def __init__(self, module: types.ModuleType, examiner: Link):
        self.module = module
        self.examiner = examiner
        self.objects: list[Any] = []  # by number; kept alive, so that their ids stay their own
        self.numbers: dict[int, int] = {}  # id -> number

    def definitions(self, names: Sequence[str]) -> dict[str, wire.Definition]:
        """Return what the program defines among `names`."""
        defined: dict[str, wire.Definition] = {}
        for name in names:
            value = self._look_up(name)
            if value is _MISSING:
                continue
            if isinstance(value, type):
                defined[name] = ("class", [kind.__name__ for kind in type.mro(value)])
            elif callable(value):
                defined[name] = ("function",)
            elif not isinstance(value, types.ModuleType):
                with contextlib.suppress(codec.CodecError):
                    defined[name] = ("data", self._encode(value))
        return defined

    def _look_up(self, name: str) -> Any:
        """Return what `name` stands for; a method of `class Solution` becomes a function of the module."""
        value = self.module.__dict__.get(name, _MISSING)
        if value is not _MISSING:
            return value
        solution = self.module.__dict__.get("Solution")
        if not (isinstance(solution, type) and hasattr(solution, name)):
            return _MISSING
        value = self.module.__dict__[name] = getattr(solution(), name)
        return value

    # -- requests ----------------------------------------------------------------------------------------------------------

    def serve(self) -> None:
        """Answer requests until the examiner is gone."""
        while True:
            try:
                request: wire.Request = self.examiner.receive()
            except EOFError:
                os._exit(0)
            self._answer(request)

    def _answer(self, request: wire.Request) -> None:
        """Carry out one request and send the reply."""
        reply: wire.Reply
        try:
            reply = self._carry_out(request)
        except codec.CodecError as error:
            reply = ("unfit", str(error)[:MAX_DETAIL], False)
        except BaseException as error:
            names = [kind.__name__ for kind in type.mro(type(error))]
            reply = ("raise", names, describe(error))
        try:
            self.examiner.send(reply)
        except (FrameError, ValueError, TypeError, RecursionError, MemoryError) as error:
            self.examiner.send(("unfit", describe(error), isinstance(error, MemoryError)))

    def _carry_out(self, request: wire.Request) -> wire.Reply:
        match request:
            case ["call", target, args, kwargs]:
                return self._call(target, args, kwargs)
            case ["get", number, name]:
                return ("ok", self._encode(getattr(self.objects[number], name)), [])
            case ["set", number, name, value]:
                setattr(self.objects[number], name, self._decode(value))
                return ("ok", None, [])
            case ["item", number, key]:
                return ("ok", self._encode(self.objects[number][self._decode(key)]), [])
            case [action, number]:
                return self._inspect(action, self.objects[number])

    def _inspect(self, action: str, value: Any) -> wire.Reply:
        if action == "iter":
            return ("ok", {"h": [self._number(iter(value)), "iterator", ""]}, [])
        if action == "len":
            return ("ok", len(value), [])
        if action == "text":
            return ("ok", self._encode(str(value)), [])
        try:
            return ("ok", self._encode(next(value)), [])
        except StopIteration:
            return ("end",)

    def _call(self, target: str | int, args: list[wire.Data], kwargs: dict[str, wire.Data]) -> wire.Reply:
        function = self._own(target)
        given = [self._decode(arg) for arg in args]
        named = {key: self._decode(value) for key, value in kwargs.items()}
        value = function(*given, **named)
        changes: wire.Changes = []
        for position, (before, after) in enumerate(zip(args, given, strict=True)):
            if isinstance(after, _CONTAINERS):
                now = self._encode(after)
                if now != before:
                    changes.append((position, now))
        for position, arg in enumerate(given):
            if arg is value and isinstance(arg, _CONTAINERS):
                return ("same", position, changes)
        return ("ok", self._encode(value), changes)

    def _own(self, target: str | int) -> Any:
        return self.module.__dict__[target] if isinstance(target, str) else self.objects[target]

    # -- values ------------------------------------------------------------------------------------------------------------

    def _encode(self, value: Any) -> wire.Data:
        data: wire.Data = codec.encode(value, export=self._export)
        return data

    def _decode(self, data: wire.Data) -> Any:
        return codec.decode(data, self._resolve)

    def _export(self, value: Any) -> wire.Handle:
        if hasattr(type(value), "__next__"):
            return [self._number(value), "iterator", ""]
        if isinstance(value, type):
            return [self._number(value), "class", value.__name__]
        if isinstance(value, codec.ITERATORS):
            views: Any = value
            return [self._number(iter(views)), "iterator", ""]
        if isinstance(value, types.FunctionType | types.MethodType | types.BuiltinFunctionType):
            return [self._number(value), "function", ""]
        return [self._number(value), "instance", type(value).__name__]

    def _number(self, value: Any) -> int:
        """Return the number under which the examiner knows `value`; the same object keeps its number."""
        known = self.numbers.get(id(value))
        if known is None:
            self.objects.append(value)
            known = self.numbers[id(value)] = len(self.objects) - 1
        return known

    def _resolve(self, handle: wire.Handle) -> Any:
        number, kind, _ = handle
        if kind == "own":
            return self._own(number)
        call = self._callback(number)
        return call if kind == "callback" else _drawn(call)

    def _callback(self, number: int) -> Callable[..., Any]:
        """Return a function that calls a function of the tests."""

        def call(*args: Any, **kwargs: Any) -> Any:
            given = [self._encode(arg) for arg in args]
            named = {key: self._encode(value) for key, value in kwargs.items()}
            self.examiner.send(("callback", number, given, named))
            while True:
                reply: wire.CallbackReply | wire.Request = self.examiner.receive()
                if reply[0] == "returned":
                    return self._decode(reply[1])
                if reply[0] == "raised":
                    raise getattr(builtins, reply[1], Exception)(reply[2])
                self._answer(reply)  # the callback called the program in its turn

        return call


def _drawn(pull: Callable[[], list[Any]]) -> Iterator[Any]:
    """Yield what the tests' iterator gives; `pull` returns it in a list that is empty at the end."""
    while item := pull():
        yield item[0]
