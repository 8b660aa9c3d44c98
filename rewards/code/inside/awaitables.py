"""Stand-ins for coroutines, futures and asynchronous generators of the other end (`loops`). Standard library only."""

import asyncio
import collections.abc
import types
from typing import Any

from rewards.code.inside.callables import framed


class Coroutine(collections.abc.Coroutine):  # type: ignore[type-arg]
    """Stands for a coroutine: where a loop runs here, it takes turns with it; else it runs to its end when it is sent to."""

    _prefix = "cr"

    def __init__(self, peer: Any, number: int):
        self._peer, self._number = peer, number
        self.may_end = False  # an asynchronous iteration
        self._inner: Any = None  # what waits here for the other end's
        self._made_by = getattr(peer, "_origin", "")  # what made it is where its value comes from

    __class__ = property(lambda self: types.CoroutineType)  # type: ignore[assignment]

    def _begin(self) -> Any:
        if self._inner is not None:
            raise RuntimeError("cannot reuse already awaited coroutine")
        self._inner = self._wait()
        return self._inner

    async def _wait(self) -> Any:
        try:
            if asyncio._get_running_loop() is None:
                return self._peer.ask("await", self._number)
            return await self._peer.bridge.wait(self._number)
        except StopAsyncIteration:
            if self.may_end or self._peer.makes_real_functions:
                raise
            raise RuntimeError("the program raised StopAsyncIteration") from None

    def send(self, value: Any) -> Any:
        """Go on."""
        return (self._begin() if self._inner is None else self._inner).send(value)

    def throw(self, *error: Any) -> Any:
        """Raise an exception where it waits."""
        if self._inner is None:
            self.close()
            raise error[0]
        return self._inner.throw(*error)

    def close(self) -> None:
        """End it."""
        if self._inner is None:
            self._inner = self._wait()
            self._peer.ask("close", self._number)
        self._inner.close()

    def __await__(self) -> Any:
        return self._begin().__await__()

    def __getattr__(self, name: str) -> Any:
        return framed(self, name)


class Future(Coroutine):
    """Stands for a future or a task, which can be awaited more than once, and asked how it is."""

    __class__ = property(lambda self: Future)  # type: ignore[assignment]

    def _begin(self) -> Any:
        self._inner = self._wait()
        return self._inner

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._peer.ask("get", self._number, name)


class AsyncGenerator:
    """Stands for an asynchronous generator."""

    _prefix = "ag"
    __class__ = property(lambda self: types.AsyncGeneratorType)  # type: ignore[assignment]

    def __init__(self, peer: Any, number: int):
        self._peer, self._number = peer, number

    def __aiter__(self) -> Any:
        return self

    def __anext__(self) -> Any:
        return self._peer.ask("awaitable", self._number, "__anext__")

    def asend(self, value: Any) -> Any:
        """Go on with a value."""
        return self._peer.ask("awaitable", self._number, "asend", [value])

    def athrow(self, *error: Any) -> Any:
        """Go on with an exception."""
        return self._peer.ask("awaitable", self._number, "athrow", error)

    def aclose(self) -> Any:
        """End it."""
        return self._peer.ask("awaitable", self._number, "aclose")

    def __getattr__(self, name: str) -> Any:
        return framed(self, name)


Coroutine.__name__, Future.__name__ = "coroutine", "future"
