"""One event loop out of two: coroutines of either end run as tasks, and the end whose loop runs drives the other's.

The end that awaits a coroutine of the other end asks it to begin a task (`start`), then waits for a future of its own loop.
While such tasks are open, the loop that really runs has the other one take single turns (`step`), at once or when its next
timer is due; each turn tells which tasks have ended, either way. So coroutines of both ends take turns, and cancellation, time
limits, locks and queues mean what they mean in one process. A coroutine's first turn is taken when it is awaited, as in one
process, but by a task of its own. Standard library only.
"""

import asyncio
from typing import Any


class Bridge:
    """The event loop of one end, and what it knows of the other's tasks."""

    def __init__(self, peer: Any):
        self.peer = peer
        self.loop: Any = None  # takes turns, where no loop of this end runs
        self.tasks: dict[int, Any] = {}  # our tasks that the other end waits for, by the number of the coroutine
        self.ended: list[int] = []  # those that have ended since we last said so
        self.waiting: dict[int, Any] = {}  # number of a coroutine of the other end -> a future of our loop
        self.handle: Any = None  # of the next turn of the other end
        self.is_stepping = False
        self.is_driven = False  # the other end's loop runs
        self.is_told = False  # that loop knows that there is work for ours
        self.has_cancelled = False  # the outcome that is asked for is that of a task that we cancelled

    # -- this end waits ----------------------------------------------------------------------------------------------------

    async def wait(self, number: int) -> Any:
        """Wait for a coroutine of the other end."""
        ask, loop = self.peer.ask, asyncio.get_running_loop()
        is_done, value = ask("start", number)
        if is_done:
            return value
        self.turn_soon(0)
        has_cancelled = False
        while True:
            future = self.waiting[number] = loop.create_future()
            try:
                await future
                break
            except asyncio.CancelledError:
                if self.waiting.pop(number, None) is None:
                    raise  # it has ended
                has_cancelled = True
                ask("cancel", number)
                self.turn_soon(0)
        self.has_cancelled = has_cancelled
        try:
            return ask("outcome", number)
        finally:
            self.has_cancelled = False

    def turn_soon(self, delay: float) -> None:
        """Have the other end's loop take a turn, if a loop of ours runs."""
        loop: Any = asyncio._get_running_loop()
        if loop is None or loop is self.loop:
            return
        if self.handle is not None and self.handle[0] is loop and not self.handle[1].cancelled():
            if self.handle[1].when() <= loop.time() + delay:
                return
            self.handle[1].cancel()
        self.handle = loop, loop.call_later(delay, self._turn)

    def _turn(self) -> None:
        self.handle = None
        ended, self.ended = self.ended, []
        theirs, delay = self.peer.ask("step", None, "", [tuple(ended)])  # no list: it would be watched
        self.awake(theirs)
        if delay is not None:
            self.turn_soon(max(float(delay), 0.0))

    def awake(self, numbers: Any) -> None:
        """Hear which tasks of the other end have ended."""
        for number in numbers:
            future = self.waiting.pop(number, None)
            if future is not None and not future.done():
                future.set_result(None)

    # -- this end works ----------------------------------------------------------------------------------------------------

    def own_loop(self) -> Any:
        """Return the loop that takes turns."""
        if self.loop is None:
            self.loop = asyncio.new_event_loop()
        return self.loop

    def start(self, number: int, awaitable: Any) -> Any:
        """Begin a task; return whether it has ended at once, and its value."""

        async def wait() -> Any:
            return await awaitable

        running: Any = asyncio._get_running_loop()
        if self.is_stepping or (running is not None and running is not self.loop):
            task = (running or self.own_loop()).create_task(wait())
        else:
            task = self._first_turn(wait())
            if task.done():
                return True, task.result()
        self.tasks[number], self.is_told = task, True
        task.add_done_callback(lambda _: self._note(number))
        return False, None

    def _note(self, number: int) -> None:
        self.ended.append(number)
        if not self.is_stepping:
            self.turn_soon(0)

    def _first_turn(self, coroutine: Any) -> Any:
        """Run a coroutine to where it first waits, before anything else that is ready."""
        loop = self.own_loop()
        ready, timers = list(loop._ready), loop._scheduled
        loop._ready.clear()
        loop._scheduled = []
        task = loop.create_task(coroutine)
        try:
            self._one_turn()
        finally:
            loop._ready.extendleft(reversed(ready))
            for timer in loop._scheduled:
                timers.append(timer)
            timers.sort()
            loop._scheduled = timers
        return task

    def _one_turn(self) -> None:
        loop, running = self.own_loop(), asyncio._get_running_loop()
        asyncio._set_running_loop(None)
        self.is_stepping = True
        try:
            loop.call_soon(loop.stop)
            loop.run_forever()
        finally:
            self.is_stepping = False
            asyncio._set_running_loop(running)

    def step(self, ended: Any) -> Any:
        """Take a turn; return which of our tasks have ended, and in how many seconds there is more to do."""
        self.awake(ended)
        if not self.is_stepping:
            self._one_turn()
        ours, self.ended = tuple(self.ended), []
        delay = self.delay()
        self.is_told = delay is not None
        return ours, delay

    def has_news(self) -> bool:
        """Return whether the other end's loop should hear that there is work for ours."""
        return self.is_driven and not self.is_told and not self.is_stepping and self.delay() is not None

    def delay(self) -> float | None:
        """Return in how many seconds the loop that takes turns has something to do; None for nothing."""
        if self.loop is None:
            return None
        if self.loop._ready:
            return 0.0
        return max(self.loop._scheduled[0].when() - self.loop.time(), 0.0) if self.loop._scheduled else None

    def outcome(self, number: int) -> Any:
        """Return what a task that has ended returned, or raise what it raised."""
        return self.tasks.pop(number).result()

    def cancel(self, number: int) -> None:
        """Cancel a task."""
        if number in self.tasks:
            self.tasks[number].cancel()

    def to_end(self, awaitable: Any) -> Any:
        """Run a coroutine to its end, where no loop runs at the other end: nothing else can go on meanwhile."""

        async def wait() -> Any:
            return await awaitable

        running, loop = asyncio._get_running_loop(), self.own_loop()
        loop = asyncio.new_event_loop() if loop.is_running() else loop
        asyncio._set_running_loop(None)
        try:
            return loop.run_until_complete(wait())
        finally:
            asyncio._set_running_loop(running)
