"""The candidate as the examiner sees it: a link, and proxies of what lies at its other end.

Covered here, each against a way to be paid without solving the problem:

- values are compared in the examiner, as data, by Python's own operators: an `__eq__` of the candidate is never called;
- a proxy (function, iterator, instance) is equal only to itself, always true, and knows no arithmetic;
- an exception comes back by name, as a built-in one; exits, StopIteration and the like come back as a plain failure;
- a failure that no test may forgive (an exit, a broken message) is remembered, whatever the tests catch.

Not covered: what a candidate says of its own objects (attributes, items, lengths, texts) is taken as the value that it is, and
a weak test may be satisfied by it. Standard library only.
"""

import builtins
import collections
from collections.abc import Callable, Iterator
from typing import Any

from rewards.code import codec, wire
from rewards.code.inside.candidate import MAX_DETAIL, describe
from rewards.code.wire import FrameError, Link

_CONTAINERS = (list, dict, set, bytearray, collections.deque)


class CandidateFailed(Exception):
    """The candidate exited, or broke the protocol; or its value may not cross (`memory`: for want of memory)."""

    def __init__(self, text: str, memory: bool = False):
        super().__init__(text)
        self.memory = memory


class CandidateGone(BaseException):
    """The candidate's process ended. No `except Exception` of the tests catches it."""


class RemoteCandidate:
    """The other end: the process that holds the program."""

    def __init__(self, link: Link):
        self.link = link
        self.calls = 0
        self.failure: str | None = None  # what no test may forgive
        self.unsupported: str | None = None  # what the tests passed and we cannot carry: our fault, not the candidate's
        self.exceptions: dict[str, type[Exception]] = {}  # the candidate's own, by name
        self._proxies: dict[int, Any] = {}  # by the number of the object over there
        self._numbers: dict[int, int | str] = {}  # id of a proxy -> its number, or its name, over there
        self._functions: list[Any] = []  # proxies by name, kept alive so that their ids stay their own
        self._callbacks: list[Callable[..., Any]] = []

    # -- requests ----------------------------------------------------------------------------------------------------------

    def call(self, target: str | int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a function of the candidate."""
        named = {key: self.encode(value) for key, value in kwargs.items()}
        return self.ask(("call", target, [self.encode(arg) for arg in args], named), args)

    def ask(self, request: wire.Request, given: tuple[Any, ...] = ()) -> Any:
        """Send a request; an exception of the candidate is raised as if it came from here."""
        try:
            return self._request(request, given)
        except _Raised as raised:
            raise raised.exception from None

    def _request(self, request: wire.Request, given: tuple[Any, ...]) -> Any:
        """Send a request, serve callbacks until it is answered, and return the value or raise what was raised."""
        self.calls += 1
        try:
            self.link.send(request)
            reply: wire.Reply | wire.Callback = self.link.receive()
            while reply[0] == "callback":
                self._serve(reply)
                reply = self.link.receive()
            return self._value(reply, given)
        except (EOFError, OSError):
            self.failure = "the program ended while it was being tested"
            raise CandidateGone from None
        except (FrameError, codec.CodecError, KeyError, IndexError, TypeError, ValueError, RecursionError) as error:
            self.failure = f"an answer that is not data: {describe(error)}"
            raise CandidateFailed(self.failure) from None

    def _value(self, reply: wire.Reply, given: tuple[Any, ...]) -> Any:
        """Return the value of a reply. It may be anything: what fails here fails as the candidate's answer."""
        if reply[0] == "ok" or reply[0] == "same":
            for position, now in reply[2]:
                _assign(given[position], self.decode(now))
            return given[reply[1]] if reply[0] == "same" else self.decode(reply[1])
        if reply[0] == "end":
            return _END
        if reply[0] == "raise":
            raise _Raised(self._exception(reply[1], str(reply[2])))
        if reply[0] == "unfit":
            raise _Raised(CandidateFailed(f"the program returned {str(reply[1])[:MAX_DETAIL]}", memory=reply[2] is True))
        raise FrameError("an unknown reply")

    def _exception(self, names: list[str], text: str) -> Exception:
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

    def _serve(self, callback: wire.Callback) -> None:
        """Answer a call of one of the tests' own functions."""
        _, number, args, kwargs = callback
        function = self._callbacks[number]
        try:
            value = function(*map(self.decode, args), **{key: self.decode(item) for key, item in kwargs.items()})
        except Exception as error:
            name = next(kind.__name__ for kind in type(error).__mro__ if getattr(builtins, kind.__name__, None) is kind)
            self.link.send(("raised", name, describe(error)))
            return
        self.link.send(("returned", self.encode(value)))

    # -- values ------------------------------------------------------------------------------------------------------------

    def encode(self, value: Any) -> wire.Data:
        """Return a value of the tests as data; functions become callbacks."""
        try:
            data: wire.Data = codec.encode(value, export=self._export)
            return data
        except codec.CodecError as error:
            if isinstance(error, codec.NotPlainData):  # depth and size can come from an answer that is passed on
                self.unsupported = f"the tests pass {error}"
            raise CandidateFailed(f"the tests pass {error}") from None

    def _export(self, value: Any) -> wire.Handle | None:
        if id(value) in self._numbers:
            return [self._numbers[id(value)], "own", ""]
        if isinstance(value, Iterator):
            self._callbacks.append(_pull(value))
            return [len(self._callbacks) - 1, "source", ""]
        if callable(value):
            self._callbacks.append(value)
            return [len(self._callbacks) - 1, "callback", ""]
        return None

    def decode(self, data: wire.Data) -> Any:
        """Return a value of the candidate."""
        return codec.decode(data, self._resolve)

    def _resolve(self, handle: wire.Handle) -> Any:
        number, kind, _ = handle
        if type(number) is not int:
            raise codec.CodecError("not a handle")
        if kind == "callback":
            return self._callbacks[number]  # a function of ours that comes back
        if number not in self._proxies:
            proxy = _PROXIES[kind](self, number)
            self._proxies[number] = proxy
            self._numbers[id(proxy)] = number
        return self._proxies[number]

    def function(self, name: str) -> Callable[..., Any]:
        """Return a real function that calls the candidate's `name`."""

        def proxy(*args: Any, **kwargs: Any) -> Any:
            return self.call(name, args, kwargs)

        proxy.__name__ = proxy.__qualname__ = name
        self._numbers[id(proxy)] = name
        self._functions.append(proxy)
        return proxy


def _pull(values: Iterator[Any]) -> Callable[[], list[Any]]:
    """Return a function that returns the next value in a list, and an empty list at the end."""

    def pull() -> list[Any]:
        for value in values:
            return [value]
        return []

    return pull


class _Raised(Exception):
    """Carries an exception of the candidate through `_request`, which catches errors of its own."""

    def __init__(self, exception: Exception):
        super().__init__()
        self.exception = exception


_END = object()


# -- proxies ---------------------------------------------------------------------------------------------------------------


class _Function:
    """A function or a class of the candidate."""

    def __init__(self, candidate: RemoteCandidate, number: int):
        self._candidate, self._number = candidate, number

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._candidate.call(self._number, args, kwargs)


class _Iterator:
    """An iterator of the candidate."""

    def __init__(self, candidate: RemoteCandidate, number: int):
        self._candidate, self._number = candidate, number

    def __iter__(self) -> "_Iterator":
        return self

    def __next__(self) -> Any:
        value = self._candidate.ask(("next", self._number))
        if value is _END:
            raise StopIteration
        return value


class _Instance:
    """An instance of a class of the candidate: attributes and methods, never a comparison, a truth value or arithmetic.

    No name with two underscores either: an `__array_interface__` would have numpy read this process's memory.
    """

    def __init__(self, candidate: RemoteCandidate, number: int):
        object.__setattr__(self, "_candidate", candidate)
        object.__setattr__(self, "_number", number)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._candidate.ask(("get", self._number, name))

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("__"):
            raise AttributeError(name)
        self._candidate.ask(("set", self._number, name, self._candidate.encode(value)))

    def __getitem__(self, key: Any) -> Any:
        return self._candidate.ask(("item", self._number, self._candidate.encode(key)))

    def __iter__(self) -> Any:
        return self._candidate.ask(("iter", self._number))

    def __len__(self) -> int:
        return int(self._candidate.ask(("len", self._number)))

    def __str__(self) -> str:
        return str(self._candidate.ask(("text", self._number)))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._candidate.call(self._number, args, kwargs)

    def __bool__(self) -> bool:
        return True


_PROXIES: dict[str, Callable[[RemoteCandidate, int], Any]] = {
    "function": _Function,
    "iterator": _Iterator,
    "instance": _Instance,
    "class": _Function,
}


# -- arguments changed in place --------------------------------------------------------------------------------------------


def _assign(old: Any, new: Any) -> None:
    """Make the tests' own container `old` hold what the candidate left in its copy of it."""
    if isinstance(old, list) and isinstance(new, list):
        for position, (before, after) in enumerate(zip(old, new, strict=False)):
            old[position] = _merged(before, after)
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
    """Return what takes the place of `old`: itself where it can hold `new`, so that other names for it see the change."""
    if isinstance(old, _CONTAINERS) and type(old) is type(new):
        _assign(old, new)
        return old
    return new
