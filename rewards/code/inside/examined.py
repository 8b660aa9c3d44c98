"""The candidate's process in style assert: loads the untrusted program, tells the examiner what it defines, answers requests.

As everywhere in the candidate's process, nothing said from here is believed. Standard library only.
"""

import ast
import asyncio
import builtins
import contextlib
import functools
import importlib
import io
import itertools
import os
import pickle
import re
import sys
import types
from collections.abc import Sequence
from typing import Any

from rewards.code import codec, wire
from rewards.code.codec import CodecError
from rewards.code.inside import descriptions, kinships, lifetimes, lineup
from rewards.code.inside.candidate import FILE_NAME, load, prepare, site_names
from rewards.code.inside.descriptions import DATA_TYPES
from rewards.code.inside.peer import Peer
from rewards.code.inside.surroundings import Surroundings
from rewards.code.inside.values import SHORT
from rewards.code.wire import Link

_MAX_PRINTED = 2**20  # characters between two messages; more are dropped
_MISSING = object()
_import_module = importlib.import_module  # tests patch it
_IMMUTABLE = (int, float, str, bool, type(None), tuple, frozenset, bytes, complex)


def serve_examiner() -> None:
    """Load the program, tell the examiner what it defines, then answer its requests."""
    link, examiner = Link(3), Link(4, wire.MAX_LINK_BYTES)
    setup: wire.ExaminedSetup = link.receive()
    names = setup["names"]
    # Said before the program runs, so this much is true: where the program's imported names come from.
    origins = _imports(setup["source"]) if len(names) > 1 else {}
    imports = {name: origin for name, origin in origins.items() if name.partition(".")[0] in names}
    examiner.send(("imports", imports, [name for name in setup["gives"] if re.search(rf"\b{name}\b", setup["source"])]))
    module = prepare("solution")
    site_names(setup["source"], module)
    served = Examined(module, examiner)
    served.shares = setup["shares"]
    if not load(setup["source"], setup["context"], link, module):
        os._exit(1)
    _lend(module, setup["source"], setup["lent"])
    served.listen()
    examiner.send(("defined", served.definitions(names)))
    served.values.settle()
    served.serve_all()


def _lend(module: types.ModuleType, source: str, lent: Sequence[tuple[str, str, str | None]]) -> None:
    """Give the program what the tests import and it uses without an import: in one file it would have it too."""
    for name, origin, attribute in lent:
        if name in source and name not in module.__dict__ and not hasattr(builtins, name):
            with contextlib.suppress(ImportError, AttributeError):
                found = importlib.import_module(origin)
                module.__dict__[name] = found if attribute is None else getattr(found, attribute)


def _imports(source: str) -> dict[str, tuple[str, str | None]]:
    """Return the names that `source` imports at its top level: name -> (module, attribute); another's name is not taken."""
    origins: dict[str, tuple[str, str | None]] = {}
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return origins
    for node in body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.asname or alias.name
                if "." in name:
                    origins[name] = (name, None)  # `import http.server`: what `http` stands for has it
                elif name == alias.name or name not in sys.stdlib_module_names:
                    origins[name] = (alias.name, None)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                if alias.asname in (None, alias.name):
                    origins[alias.name] = (node.module, alias.name)
    return origins


class Examined(Peer):
    """The loaded program, as the examiner may use it."""

    def __init__(self, module: types.ModuleType, examiner: Link):
        super().__init__(examiner)
        self.module = module
        self.makes_real_functions = True
        self.named_classes: tuple[type, ...] = ()
        self.bound: dict[str, Any] = {}  # data that the tests read by name, as it last crossed
        self.patched: dict[tuple[str, str], Any] = {}
        self.surroundings, self.shares = Surroundings(), False
        self.sink = _Sink()
        sys.stdout = sys.__stdout__ = _text(self.sink)  # type: ignore[misc]
        sys.stderr = sys.__stderr__ = _text(_Sink(2, self.sink))  # type: ignore[misc]
        builtins.input = self._input
        self.print_is_patched = False
        builtins.print = self._print_for(builtins.print)
        sys.stdin = _Input(self)

    def definitions(self, names: Sequence[str]) -> list[tuple[str, Any]]:
        """Return what the program defines among `names`."""
        found = [(name, value) for name in names if (value := self._look_up(name)) is not _MISSING]
        self.named_classes = tuple(value for _, value in found if isinstance(value, type))
        defined = []
        for value in list(self.module.__dict__.values()):
            if type(value) is str and len(value) <= SHORT:
                sys.intern(value)  # so that an equal text that crosses is the program's constant: `value is MISSING`
        for name, value in found:
            position = self.position()
            try:
                defined.append((name, self.values.encode(value)))
            except CodecError:
                self.rewind(position)
                continue
            if isinstance(value, _IMMUTABLE):
                self.bound[name] = value
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

    def serve_all(self) -> None:
        """Answer requests until the examiner is gone."""
        while True:
            try:
                message = self.receive()
            except EOFError:
                os._exit(0)
            self.serve(message)

    def serve(self, message: Any) -> None:
        """Answer one request; where the tests' loop runs, a loop runs here too."""
        if not self.bridge.is_driven or asyncio._get_running_loop() is not None:
            return super().serve(message)
        asyncio._set_running_loop(self.bridge.own_loop())
        try:
            super().serve(message)
        finally:
            asyncio._set_running_loop(None)

    def answer(self, value: Any, args: list[Any]) -> None:
        """Send a value; first tell the tests' loop of new work for the one here."""
        if self.bridge.has_news():
            self.bridge.is_told = True
            self.ask("drive", None)
        super().answer(value, args)

    def carry_out(self, op: str, target: Any, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Carry out one request."""
        match op:
            case "bind":
                return self._bind(name, *args)
            case "subclass":
                return self._subclass(name, args[0], args[1], kwargs)
            case "attribute":
                return getattr(args[0], name)
            case "set" if isinstance(self.objects[target], type):
                return self._set_on_class(self.objects[target], target, name, args[0])
            case "unneeded":
                return lifetimes.unneeded(self)
            case "release":
                return lifetimes.release(self, *args)
            case "forget":
                return lifetimes.forget(self, *args)
            case "pickle":
                return pickle.dumps(self.objects[target])
            case "unpickle":
                return pickle.loads(args[0])
            case "patch":
                return self._patch(*args)
            case "data":
                base = next(kind for kind in DATA_TYPES if isinstance(self.objects[target], kind))
                return codec._as_base(self.objects[target], base)
            case "content":
                return lineup.content(self.objects[target])
            case "likenesses":
                return lineup.likenesses(self.objects[target])
        return super().carry_out(op, target, name, args, kwargs)

    def named(self, name: str) -> Any:
        """Return what a name stands for now."""
        return self.module.__dict__[name]

    def keeps(self, kind: type) -> bool:
        """Return whether instances cross as objects though their base is data: the tests name the class."""
        return issubclass(kind, self.named_classes)

    # -- what is printed, read, and bound to names -------------------------------------------------------------------------

    def printed(self) -> Any:
        """Return what was printed since the last message: text, or [descriptor, text] of each piece."""
        return self.sink.drain() if self.sink.pieces else ""

    def changes(self) -> Any:
        """Return what changed in shared containers, and the names that stand for other data now."""
        changed = self.values.changes()
        for name, known in self.bound.items():
            value = self.module.__dict__.get(name)
            if value is not known and isinstance(value, _IMMUTABLE):
                self.bound[name] = value
                changed.append([name, self.values.encode(value)])
        for kind, said in self.surroundings.news().items() if self.shares else ():
            texts = [said] if isinstance(said, str) else itertools.chain(*said.items()) if isinstance(said, dict) else said
            changed.append([kind, self.values.encode(tuple(texts))])
        return changed

    def show(self, text: Any) -> None:
        """Hear whether the tests have put something else in the place of `print`, and what changed around them."""
        if text:
            self.print_is_patched, self.bridge.is_driven = text["print"], text["loop"]
            self.surroundings.follow(text)

    def _print_for(self, original: Any) -> Any:
        @functools.wraps(original)
        def print(*args: Any, **named: Any) -> None:
            file = named.get("file")
            if self.print_is_patched and self.depth and file in (None, sys.stdout, sys.stderr):
                streams = {} if file is None else {"file": 2 if file is sys.stderr else 1}
                self.ask("print", None, "", args, {**named, **streams})
            else:
                original(*args, **named)

        return print

    def listen(self) -> None:
        """From now on, warnings and records of the log go to the tests, who may look for them."""
        import warnings

        def show(message: Any, category: Any, *_: Any) -> None:
            if self.depth:
                self.ask("warn", None, "", [str(message), category])

        warnings.simplefilter("always")
        warnings.showwarning = show  # type: ignore[assignment]
        logging = sys.modules.get("logging")
        if logging is not None:
            handler = logging.Handler()
            handler.emit = lambda r: self.depth and self.ask("log", None, "", _record(r))
            root = logging.getLogger()
            root.addHandler(handler)
            if root.level == logging.WARNING:
                root.setLevel(1)

    def _patch(self, module: str, attribute: str, value: Any, is_undone: bool) -> None:
        """Put a mock of the tests in the place of a function of the standard library, or the function back in its own."""
        holder: Any = sys.modules.get(module) or _import_module(module)
        key = module, attribute
        *classes, name = attribute.split(".")
        for kind in classes:
            holder = getattr(holder, kind)
        if is_undone and key in self.patched:
            known = self.patched.pop(key)
            delattr(holder, name) if known is _MISSING else setattr(holder, name, known)
        elif not is_undone:
            self.patched.setdefault(key, vars(holder).get(name, _MISSING) if classes else getattr(holder, name))
            setattr(holder, name, value)

    def _bind(self, name: str, kind: Any, parameters: Any) -> None:
        """Take a class of the tests for what the program means by its name: nothing of its own, or one of the same shape."""
        own = self.module.__dict__.get(name)
        code = getattr(getattr(own, "__init__", None), "__code__", None)
        is_given = isinstance(code, types.CodeType) and code.co_filename != FILE_NAME  # by the site, or the problem
        if own is None or (isinstance(own, type) and (is_given or descriptions.parameters(own) == parameters)):
            self.module.__dict__[name] = kind

    def _set_on_class(self, kind: type, number: int, name: str, value: Any) -> None:
        """Set an attribute of a class; what is put back is the very function, static method or property that stood there."""
        known: Any = self.originals.setdefault((number, name), vars(kind).get(name))
        if getattr(known, "__func__", None) is value or (
            isinstance(value, types.MethodType) and hasattr(known, "__get__") and known.__get__(None, kind) == value
        ):
            value = known
        setattr(kind, name, kinships.heard(kind, name, value))

    def _input(self, prompt: object = "") -> Any:
        if not self.depth:
            raise EOFError("EOF when reading a line")
        return self.ask("input", None, "", [str(prompt)] if prompt != "" else [])

    # -- subclasses that the tests make ------------------------------------------------------------------------------------

    def _subclass(self, name: str, bases: list[type], members: list[Any], named: dict[str, Any]) -> int:
        """Make a class with the tests' methods and return its number."""

        def fill(space: dict[str, Any]) -> None:
            space["__module__"] = "solution"
            for key, kind, value in members:
                space[key] = _member(kind, value)

        kind = types.new_class(name, tuple(bases), named, fill)
        return self.number(kind)


def _member(kind: str, value: Any) -> Any:
    if kind == "property":
        return property(*value)
    if kind in ("staticmethod", "classmethod"):
        return (staticmethod if kind == "staticmethod" else classmethod)(value)
    if kind == "abstract":
        value.__isabstractmethod__ = True
    return value


def _record(record: Any) -> list[Any]:
    """Return what the tests hear of a record of the log: its logger, level, text, and the exception."""
    error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    return [record.name, record.levelno, record.getMessage(), error]


class _Sink(io.RawIOBase):
    """Keeps what is printed until the next message; that for the error stream among it, in order."""

    def __init__(self, descriptor: int = 1, other: "_Sink | None" = None) -> None:
        super().__init__()
        self.descriptor = descriptor
        self.home = other or self
        self.pieces: list[tuple[int, bytes]] = []
        self.size = 0

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.descriptor

    def write(self, data: Any) -> int:
        piece, home = bytes(data), self.home
        home.size += len(piece)
        if home.size <= _MAX_PRINTED:
            home.pieces.append((self.descriptor, piece))
        return len(piece)

    def drain(self) -> Any:
        """Return what was written since the last call."""
        runs = [
            [descriptor, b"".join(piece for _, piece in run).decode("utf-8", "replace")]
            for descriptor, run in itertools.groupby(self.pieces, key=lambda piece: piece[0])
        ]
        self.pieces.clear()
        self.size = 0
        return runs[0][1] if len(runs) == 1 and runs[0][0] == 1 else runs


def _text(sink: _Sink) -> io.TextIOWrapper:
    return io.TextIOWrapper(sink, "utf-8", "surrogateescape", write_through=True)  # type: ignore[arg-type]


class _Input(io.TextIOBase):
    """Standard input: the tests', where they patch it."""

    def __init__(self, served: Examined):
        super().__init__()
        self.served = served

    @property
    def buffer(self) -> Any:
        """The same as bytes."""
        return io.BytesIO(self.read().encode())

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return 0

    def readline(self, size: int | None = -1, /) -> str:  # type: ignore[override]
        return str(self.served.ask("readline", None)) if self.served.depth else ""

    def read(self, size: int | None = -1, /) -> str:
        return "".join(iter(self.readline, ""))
