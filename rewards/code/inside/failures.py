"""Failures that the candidate caused, and those of the tests that it swallowed: by an `__exit__` that returns True, or by
catching what a callback raised.

An assertion that failed stays failed. So does one that was not reached, because something that the tests asked of the program
raised in it or before it. Not so where the tests raise by themselves (`raise ValueError`): they want to see what becomes of it.
Assumed: line numbers are those of `judging/guards.py`. Standard library only.
"""

import bisect
import functools
import importlib
import opcode
import sys
import threading
import types
from collections.abc import Callable, Sequence
from typing import Any

_RAISE = opcode.opmap["RAISE_VARARGS"]
_Item = tuple[types.FrameType, int, int]  # a frame of the tests that an error passed, its line, its instruction


class CandidateFailed(Exception):
    """The candidate exited, or broke the protocol; or its value may not cross (`memory`: for want of memory)."""

    def __init__(self, text: str, memory: bool = False):
        super().__init__(text)
        self.memory = memory


class Refused(Exception):
    """The other end said that its value cannot cross (`memory`: for want of it)."""

    def __init__(self, text: str, memory: bool):
        super().__init__(text)
        self.memory = memory


class CandidateGone(BaseException):
    """The candidate's process ended. No `except Exception` of the tests catches it."""


class CandidateExit(SystemExit):
    """SystemExit of the candidate's: the tests may catch it, and do not end well by it."""


def failed_assertion(error: Any, depth: int = 0) -> BaseException | None:
    """Return the assertion that failed: the error itself, or one in a group."""
    if isinstance(error, AssertionError):
        return error
    if isinstance(error, BaseExceptionGroup) and depth < 20:
        return next((found for one in error.exceptions[:100] if (found := failed_assertion(one, depth + 1))), None)
    return None


class Watch:
    """Where the tests assert."""

    def __init__(self, guards: Sequence[Sequence[int]], blocks: Sequence[Sequence[int]]):
        self.guards = [tuple(guard) for guard in guards]
        self.blocks = [tuple(block) for block in blocks]
        self.failed: set[int] = set()  # lines of assertions of unittest's that failed

    def failure(self, error: BaseException) -> str | None:
        """Return what fails if nobody hears of `error`, in words; None where it may be swallowed."""
        assertion = failed_assertion(error)
        if assertion is not None:
            return f"assertion failed: {str(assertion)[:100]}"
        items = _passed(error)
        if not self.guards or not items or (_raised_by_tests(items[-1]) and not isinstance(error, SystemExit)):
            return None
        running = _running()
        for frame, line, _ in items:
            if frame.f_code.co_name.startswith("<") and frame.f_code.co_name != "<module>":
                continue  # a lambda or a comprehension holds no assertion, though it may stand in the line of one
            following = self._following(line)
            if following and (frame not in running or following <= self._end_of_block(frame.f_lineno)):
                return f"the program swallowed {type(error).__name__} before an assertion (tests, line {following})"
        return None

    def _following(self, line: int) -> int:
        """Return the line of the assertion at or after a line, or 0."""
        place = bisect.bisect_right(self.guards, (line, sys.maxsize)) - 1
        while place >= 0:
            first, last, following = self.guards[place]
            if first <= line <= last:
                return following
            place -= 1
        return 0

    def _end_of_block(self, line: int) -> int:
        """Return the last line of the innermost `with` whose head is at `line`."""
        return max(((head, last) for head, body, last in self.blocks if head <= line < max(body, head + 1)), default=(0, 0))[1]


class Leaving:
    """An error of the tests that the program is told of, by `__exit__` or `throw`: it may hide no failure."""

    def __init__(self, watch: Watch, fail: Callable[[str], None], error: BaseException | None):
        self.fail, self.error = fail, error
        self.failure = watch.failure(error) if error is not None else None
        if self.failure and failed_assertion(error):
            fail(self.failure)  # an assertion that failed stays failed in any case

    def told(self, tell: Callable[[], Any], is_later: bool = False) -> Any:
        """Return what the program answers: no true value, and no other error, where that would hide a failure."""
        if not self.failure:
            return tell()
        try:
            value = tell()
        except BaseException as other:
            if other is not self.error:
                self.fail(self.failure)
            raise
        if is_later:
            return self._told_later(value)
        if value is not None and (not isinstance(value, bool | int | str) or value):
            self.fail(self.failure)
        return value

    async def _told_later(self, value: Any) -> Any:
        answer = await value
        return self.told(lambda: answer)


def leaving(watch: Watch, fail: Callable[[str], None], args: Sequence[Any]) -> Leaving:
    """Return a guard for a function that is called with these arguments: those of `__exit__`, or others."""
    is_exit = len(args) == 3 and isinstance(args[1], BaseException) and args[0] is type(args[1])
    return Leaving(watch, fail, args[1] if is_exit else None)


def line_of(error: BaseException) -> int:
    """Return where in the tests an error came up, or 0."""
    items = _passed(error)
    return items[-1][1] if items else 0


def _passed(error: BaseException) -> list[_Item]:
    items: list[_Item] = []
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "tests.py":
            items.append((trace.tb_frame, trace.tb_lineno, trace.tb_lasti))
        trace = trace.tb_next
    return items


def _raised_by_tests(item: _Item) -> bool:
    frame, _, place = item
    return place >= 0 and frame.f_code.co_code[place] == _RAISE


def _running() -> set[types.FrameType]:
    frames: set[types.FrameType] = set()
    frame: types.FrameType | None = sys._getframe()
    while frame is not None:
        frames.add(frame)
        frame = frame.f_back
    return frames


def hear(fail: Callable[[str], None], watch: Watch, is_unittest: bool) -> None:
    """Have failures count that nobody asks for: in threads, and of unittest's cases that run by `main(exit=False)`."""

    def ended(happened: Any) -> None:
        failure = watch.failure(happened.exc_value) if happened.exc_value is not None else None
        if failure:
            fail(failure)

    threading.excepthook = ended
    sys.unraisablehook = ended
    if not is_unittest:
        return
    result: Any = importlib.import_module("unittest").TestResult
    for name in ("addFailure", "addError", "addSubTest", "addUnexpectedSuccess"):
        setattr(result, name, _told(fail, watch, getattr(result, name)))


def _told(fail: Callable[[str], None], watch: Watch, note: Any) -> Any:
    @functools.wraps(note)
    def told(result: Any, case: Any, *error: Any) -> None:
        if error[-1:] != (None,):  # a subtest that passed
            watch.failed |= {line_of(error[-1][1])} if error else set()
            fail(f"{case}: {error[-1][1] if error else 'unexpected success'}"[:200])
        note(result, case, *error)

    return told


class Aliases:
    """What the program calls its exceptions, where that would catch a failed assertion: `class Error` is meant by it."""

    def __init__(self) -> None:
        self.made: dict[type, type[Exception]] = {}
        self.is_everywhere = False  # the tests catch what calls gave them: `except errors():`

    def of(self, value: Any) -> Any:
        """Return a class of exceptions that catches less in the place of one that catches assertions; else `value` itself."""
        if isinstance(value, type) and value in (BaseException, Exception, AssertionError):
            base = value if issubclass(value, Exception) else Exception
            return self.made.setdefault(value, type(value.__name__, (base,), {"__module__": "builtins"}))
        return tuple(map(self.of, value)) if type(value) is tuple and any(isinstance(one, type) for one in value) else value

    def in_result(self, value: Any) -> Any:
        """Return what a call gave, with such classes replaced."""
        if not self.is_everywhere:
            return value
        if type(value) in (list, dict):
            for place, one in list(value.items() if isinstance(value, dict) else enumerate(value)):
                value[place] = self.of(tuple(one) if type(one) is list and any(isinstance(k, type) for k in one) else one)
        return self.of(value)

    def raised(self, error: BaseException) -> BaseException:
        """Return an exception of the program's as one of the class that stands for its own."""
        alias = self.made.get(type(error))
        return error if alias is None else alias(*error.args)
