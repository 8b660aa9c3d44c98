"""assert style, the tests' side: runs the test text in a process of its own, where the program is a set of proxies.

Calls cross as plain data, so a test compares data with data, in this process, by Python's own operators: the program cannot
reach the test text, patch what it calls, or lie with an `__eq__`. Success is a nonce that the judge gave to this process only,
written after the last line of the tests. Rules, each against a way to be paid without solving the problem:

- a handle (function, iterator, instance) is equal only to itself, always true, and knows no arithmetic;
- an exception comes back by name, as a built-in one; exits, StopIteration and the like come back as a plain failure;
- a name of the program never shadows a built-in of the tests, unless it is the entry point;
- names that the program imported are imported afresh here; helper functions of the problem come from the problem's text.

Standard library only.
"""

import builtins
import collections
import importlib
import marshal
import socket
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

from rewards.code import codec
from rewards.code.inside.guest import MAX_DETAIL, describe
from rewards.code.wire import FrameError, Link

_CONTAINERS = (list, dict, set, bytearray, collections.deque)


class CandidateFailed(Exception):
    """The program exited, or broke the protocol; or its value may not cross."""


class _Gone(BaseException):
    """The program's process ended."""


class Program:
    """The other end: the process that holds the program."""

    def __init__(self, link: Link):
        self.link = link
        self.calls = 0
        self.failure: str | None = None  # what no test may forgive
        self.unsupported: str | None = None  # what the tests passed and we cannot carry: our fault, not the program's
        self.handles: dict[int, Any] = {}
        self.numbers: dict[int, int | str] = {}  # id of a handle of ours -> its number, or its name, over there
        self.kept: list[Any] = []  # so that their ids stay their own
        self.callbacks: list[Any] = []
        self.exceptions: dict[str, type[Exception]] = {}

    def request(self, message: list[Any], given: tuple[Any, ...] = ()) -> Any:
        """Send a request, serve callbacks until it is answered, and return the value or raise what was raised."""
        self.calls += 1
        try:
            self.link.send(message)
            reply = self.link.receive()
            while reply[0] == "callback":
                self._serve(reply)
                reply = self.link.receive()
            return self._value(reply, given)
        except (EOFError, OSError):
            self.failure = "the program ended while it was being tested"
            raise _Gone from None
        except (FrameError, codec.CodecError, KeyError, IndexError, TypeError, ValueError, RecursionError) as error:
            self.failure = f"an answer that is not data: {describe(error)}"
            raise CandidateFailed(self.failure) from None

    def _value(self, reply: list[Any], given: tuple[Any, ...]) -> Any:
        kind = reply[0]
        if kind in {"ok", "same"}:
            for position, now in reply[2]:
                _assign(given[position], self.decode(now))
            return given[reply[1]] if kind == "same" else self.decode(reply[1])
        if kind == "end":
            return _END
        if kind == "raise":
            raise _Raised(self._exception(reply[1], str(reply[2])))
        if kind == "unfit":
            raise _Raised(CandidateFailed(f"the program returned {str(reply[1])[:MAX_DETAIL]}"))
        raise FrameError("an unknown reply")

    def _exception(self, names: list[Any], text: str) -> Exception:
        """Return the exception that stands for one of the classes `names`, most derived first."""
        for name in names:
            own = self.exceptions.get(name)
            if own is not None:
                return own(text)
            kind = getattr(builtins, name, None)
            if not (isinstance(kind, type) and issubclass(kind, BaseException)):
                continue
            if not issubclass(kind, Exception):
                self.failure = f"the program raised {name}"
                return CandidateFailed(self.failure)
            if issubclass(kind, StopIteration | StopAsyncIteration):
                return RuntimeError(f"the program raised {name}")
            try:
                return kind(text)
            except TypeError:  # UnicodeDecodeError and its like want more than a text
                continue
        return CandidateFailed(text)

    def _serve(self, call: list[Any]) -> None:
        """Answer a call of one of the tests' own functions."""
        _, number, args, kwargs = call
        function = self.callbacks[number]
        try:
            value = function(*map(self.decode, args), **{key: self.decode(item) for key, item in kwargs.items()})
        except Exception as error:
            name = next(k.__name__ for k in type(error).__mro__ if getattr(builtins, k.__name__, None) is k)
            self.link.send(["raised", name, describe(error)])
            return
        self.link.send(["returned", self.encode(value)])

    def call(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a function of the program."""
        named = {key: self.encode(value) for key, value in kwargs.items()}
        return self.ask(["call", target, [self.encode(arg) for arg in args], named], args)

    def ask(self, message: list[Any], given: tuple[Any, ...] = ()) -> Any:
        """Send a request; an exception of the program is raised as if it came from here."""
        try:
            return self.request(message, given)
        except _Raised as raised:
            raise raised.exception from None

    def encode(self, value: Any) -> Any:
        """Return a value of the tests as data; functions become callbacks."""
        try:
            return codec.encode(value, export=self._export)
        except codec.CodecError as error:
            if "plain data" in str(error):  # not its depth or size: those can come from an answer that is passed on
                self.unsupported = f"the tests pass {error}"
            raise CandidateFailed(f"the tests pass {error}") from None

    def _export(self, value: Any) -> list[Any] | None:
        if id(value) in self.numbers:
            return [self.numbers[id(value)], "own", ""]
        if isinstance(value, Iterator):
            self.callbacks.append(_pull(value))
            return [len(self.callbacks) - 1, "source", ""]
        if callable(value):
            self.callbacks.append(value)
            return [len(self.callbacks) - 1, "callback", ""]
        return None

    def decode(self, node: Any) -> Any:
        """Return a value of the program."""
        return codec.decode(node, self._resolve)

    def _resolve(self, handle: list[Any]) -> Any:
        number, kind, _ = handle
        if type(number) is not int:
            raise codec.CodecError("not a handle")
        if kind == "callback":
            return self.callbacks[number]  # a function of ours that comes back
        if number not in self.handles:
            make = _HANDLES[kind]
            self.handles[number] = made = make(self, number)
            self.numbers[id(made)] = number
        return self.handles[number]


def _pull(values: Iterator[Any]) -> Callable[[], list[Any]]:
    """Return a function that returns the next value in a list, and an empty list at the end."""

    def pull() -> list[Any]:
        for value in values:
            return [value]
        return []

    return pull


class _Raised(Exception):
    """Carries an exception of the program through `request`, which catches errors of its own."""

    def __init__(self, exception: Exception):
        super().__init__()
        self.exception = exception


_END = object()


class _Function:
    """A function of the program."""

    def __init__(self, program: Program, target: Any):
        self._program, self._target = program, target

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._program.call(self._target, args, kwargs)


class _Iterator:
    """An iterator of the program."""

    def __init__(self, program: Program, number: int):
        self._program, self._number = program, number

    def __iter__(self) -> "_Iterator":
        return self

    def __next__(self) -> Any:
        value = self._program.ask(["next", self._number])
        if value is _END:
            raise StopIteration
        return value


class _Instance:
    """An instance of a class of the program: attributes and methods, never a comparison, a truth value or arithmetic.

    No name with two underscores either: an `__array_interface__` would have numpy read this process's memory.
    """

    def __init__(self, program: Program, number: int):
        object.__setattr__(self, "_program", program)
        object.__setattr__(self, "_number", number)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._program.ask(["get", self._number, name])

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("__"):
            raise AttributeError(name)
        self._program.ask(["set", self._number, name, self._program.encode(value)])

    def __getitem__(self, key: Any) -> Any:
        return self._program.ask(["item", self._number, self._program.encode(key)])

    def __iter__(self) -> Any:
        return self._program.ask(["iter", self._number])

    def __len__(self) -> int:
        return int(self._program.ask(["len", self._number]))

    def __str__(self) -> str:
        return str(self._program.ask(["text", self._number]))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._program.call(self._number, args, kwargs)

    def __bool__(self) -> bool:
        return True


_HANDLES: dict[str, Callable[..., Any]] = {
    "function": _Function,
    "iterator": _Iterator,
    "instance": _Instance,
    "class": _Function,
}


def _assign(old: Any, new: Any) -> None:
    """Make the tests' own container `old` hold what the program left in its copy of it."""
    if isinstance(old, list) and isinstance(new, list):
        for position, (a, b) in enumerate(zip(old, new, strict=False)):
            old[position] = _merged(a, b)
        old[len(new) :] = new[len(old) :]
    elif isinstance(old, dict) and isinstance(new, dict):
        merged = {key: _merged(old[key], value) if key in old else value for key, value in new.items()}
        old.clear()
        old.update(merged)
    elif isinstance(old, set | collections.deque) and isinstance(new, set | collections.deque):
        old.clear()
        (old.update if isinstance(old, set) else old.extend)(new)
    elif isinstance(old, bytearray) and isinstance(new, bytearray):
        old[:] = new


def _merged(old: Any, new: Any) -> Any:
    if isinstance(old, _CONTAINERS) and type(old) is type(new):
        _assign(old, new)
        return old
    return new


def run_once() -> None:
    """Run one set of tests: for those that might leave something behind in this process."""
    link = Link(3)
    link.send(_run(link.receive(), Program(Link(4))))


def run_many() -> None:
    """Run one set of tests after another, each against a new program whose link arrives with the tests."""
    link = Link(3)
    while True:
        head, descriptors, _, _ = socket.recv_fds(link.socket, 4, 1)
        if not head or not descriptors:
            return
        link.buffer = head
        program = Program(Link(descriptors[0]))
        outcome = _run(link.receive(), program)
        program.link.socket.close()
        link.send(outcome)


def _run(setup: dict[str, Any], program: Program) -> dict[str, Any]:
    """Run the tests; the outcome holds the nonce if their last line was reached."""
    outcome: dict[str, Any]
    passed, total = 0, 0
    try:
        module = types.ModuleType("tests")
        sys.modules["tests"] = sys.modules["__main__"] = module
        names = module.__dict__
        names.update(__builtins__=builtins, __name__="__main__")
        sys.argv = ["tests.py"]
        sys.set_int_max_str_digits(100_000)  # long integers in tests; bounded, since what the program sends is read here
        if setup["context"]:
            exec(marshal.loads(bytes.fromhex(setup["context"])), names)
        _bind(program, names, setup)
        for text, counted in setup["pieces"]:
            total += counted
            try:
                exec(marshal.loads(bytes.fromhex(text)), names)
                passed += counted
            except SystemExit as stop:  # only the tests' own, unittest.main() for one: the program's never crosses
                if stop.code:
                    raise
                passed += counted
            except Exception:
                if not counted or not setup["fraction"] or program.failure:
                    raise
        outcome = {"nonce": setup["nonce"]}
    except _Gone:
        outcome = {"failed": program.failure}
    except AssertionError as error:
        outcome = {"failed": f"assertion failed {_place(error)}{': ' + str(error)[:100] if str(error) else ''}", "wrong": True}
    except BaseException as error:
        outcome = {"failed": f"{describe(error)} {_place(error)}", "memory": isinstance(error, MemoryError)}
    if program.failure:
        outcome = {"failed": program.failure}
    if program.unsupported:
        outcome = {"unsupported": program.unsupported}
    return {**outcome, "passed": passed, "total": total, "calls": program.calls}


def _place(error: BaseException) -> str:
    """Return where in the tests `error` came up."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "tests.py":
            line = trace.tb_lineno
        trace = trace.tb_next
    return f"(tests, line {line})" if line else ""


def _bind(program: Program, names: dict[str, Any], setup: dict[str, Any]) -> None:
    """Put the entry point and the other free names of the tests into their name space."""
    entry: str = setup["entry_point"]
    try:
        (said, imports), (_, described) = program.link.receive(), program.link.receive()
        if said != "imports":
            raise FrameError("not the imports")
    except (EOFError, OSError):
        program.failure = "the program did not load"
        raise _Gone from None
    except (FrameError, ValueError, TypeError) as error:
        program.failure = f"an answer that is not data: {describe(error)}"
        raise _Gone from None
    if entry in described:
        names[entry] = _function(program, entry)  # whatever the program says it is: every use of it is a call over there
    for name in setup["names"]:
        if name not in names:
            _bind_one(program, names, name, imports.get(name), described.get(name))
    if entry in names and "candidate" in setup["names"]:
        names.setdefault("candidate", names[entry])  # what HumanEval's tests call it, outside of a `check` too
    if entry and entry not in described:
        program.failure = f"the program defines no {entry}"
        raise _Gone


def _bind_one(program: Program, names: dict[str, Any], name: str, origin: Any, kind: Any) -> None:
    if origin is not None:
        top = str(origin[0]).partition(".")[0]
        if top in sys.stdlib_module_names or top == "numpy":
            try:
                module = importlib.import_module(origin[0])
                names[name] = module if origin[1] is None else getattr(module, origin[1])
            except (ImportError, AttributeError):
                return
        return
    if kind is None:
        if name in sys.stdlib_module_names:  # tests that rely on the program's imports can only mean the module
            names[name] = importlib.import_module(name)
        return
    if kind[0] == "data":
        names[name] = program.decode(kind[1])
    elif kind[0] == "class" and "BaseException" in kind[1]:
        bases = [getattr(builtins, base) for base in kind[1][1:] if isinstance(getattr(builtins, base, None), type)]
        base = bases[0] if bases and issubclass(bases[0], Exception) else Exception
        names[name] = program.exceptions[name] = type(name, (base,), {})
    else:
        names[name] = _function(program, name)


def _function(program: Program, name: str) -> Any:
    """Return a real function that calls the program's `name`."""

    def proxy(*args: Any, **kwargs: Any) -> Any:
        return program.call(name, args, kwargs)

    proxy.__name__ = proxy.__qualname__ = name
    program.numbers[id(proxy)] = name
    program.kept.append(proxy)
    return proxy
