"""What became of a program: the kinds of outcome, how tests add up to one, and how an end is told apart from another.

Whatever the candidate's side says of its failure may be a lie; it gains another word for a failure by it, and nothing else.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from rewards.code.judging.channel import Channel, Received
from rewards.code.judging.compare import TOLERANCE
from rewards.code.judging.sandbox import Ended
from rewards.code.settings import Limits
from rewards.code.wire import FrameError

Kind = Literal[
    "correct",  # It passed all tests.
    "wrong answer",  # It ran, and gave something else than what was expected.
    "compile error",  # Python cannot compile it, or it is longer than any program may be.
    "exception",  # It raised, did not load, or ended with an exit status that says so.
    "time limit",  # It used up its time, by the wall or on the CPU.
    "memory limit",  # It asked for more memory than it may have, or for more threads.
    "output limit",  # It printed or returned more than is carried.
    "disk limit",  # It filled its scratch folder.
    "no answer",  # It went away, or answered with what is no data.
    "no program",  # The completion holds no program.
    "bad tests",  # The problem's tests cannot be used: nobody's answer is to blame.
    "sandbox fault",  # The sandbox failed, or this machine has none: nobody's answer is to blame.
]
KINDS: tuple[Kind, ...] = get_args(Kind)
GRACE_SECONDS = 2.0  # between the last word of a program and its end, which a busy machine delays
MAX_DETAIL = 300
_MEMORY_SLACK_MEGABYTES = 96  # the interpreter and preloaded modules, which the host shares with its children


class BadTests(Exception):
    """The problem's tests cannot be used; the program is not to blame."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one program (or of one test): `score` is the share of the tests that passed, by weight."""

    kind: Kind
    detail: str = ""
    score: float = 0.0


# -- from tests to an outcome ----------------------------------------------------------------------------------------------


def add_up(checks: Mapping[str, Any], tests: Sequence[Mapping[str, Any]], run: Callable[[int], Outcome]) -> Outcome:
    """Run the tests in order and add up; stop at the first failure unless parts are paid."""
    mode = checks.get("reward", "all")
    if mode not in ("all", "fraction", "weighted"):
        raise BadTests(f"checks.reward is {mode!r}; expected all, fraction or weighted")
    weights = [float(test.get("weight", 1.0)) if mode == "weighted" else 1.0 for test in tests]
    earned = 0.0
    failure: Outcome | None = None  # the first
    for number, weight in enumerate(weights):
        outcome = run(number)
        if outcome.kind == "correct":
            earned += weight
            continue
        if failure is None:
            detail = f"test {number + 1} of {len(tests)}" + (f": {outcome.detail}" if outcome.detail else "")
            failure = Outcome(kind=outcome.kind, detail=detail)
        if mode == "all" or outcome.kind in ("compile error", "sandbox fault"):
            break
    if failure is None:
        return Outcome(kind="correct", detail=f"{len(tests)} tests", score=1.0)
    return Outcome(kind=failure.kind, detail=failure.detail, score=0.0 if mode == "all" else earned / sum(weights))


def tests_of(checks: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the tests of styles stdin and function; raises BadTests."""
    tests = checks.get("tests")
    if not isinstance(tests, list | tuple) or not tests or not all(isinstance(test, Mapping) for test in tests):
        raise BadTests("checks.tests must be a list of at least one test")
    return tests


def tolerance_of(checks: Mapping[str, Any]) -> float:
    """Return how far a number may be off."""
    return float(checks.get("tolerance", TOLERANCE))


# -- how a process ended ---------------------------------------------------------------------------------------------------


def over_limit(ended: Ended, limits: Limits) -> Outcome | None:
    """Return the limit that a process ran into, if its end tells of one."""
    if ended.overrun is not None:
        return Outcome(kind="disk limit" if ended.overrun == "disk limit" else "memory limit", detail=ended.overrun)
    if ended.peak_megabytes > limits.memory_megabytes + _MEMORY_SLACK_MEGABYTES:
        return Outcome(kind="memory limit", detail=f"{ended.peak_megabytes:.0f} MB, {limits.memory_megabytes} allowed")
    # -9 and -24: SIGKILL and SIGXCPU, by which the kernel ends what passed its CPU limit
    if ended.status in (-9, -24) and not ended.killed and ended.cpu_seconds >= limits.cpu_seconds - 1:
        return Outcome(kind="time limit", detail=f"{ended.cpu_seconds:.1f} s of CPU time")
    return None


def status_text(ended: Ended) -> str:
    """Return in words how a process ended."""
    if ended.killed:
        return "went on after closing its output"
    return f"exit status {ended.status}" if ended.status >= 0 else f"ended by signal {-ended.status}"


def reported_failure(message: Received) -> Outcome | None:
    """Return the failure that the candidate reports (`wire.Failed`), or None where the message is another."""
    if "failed" not in message:
        return None
    detail = str(message.get("detail", ""))[:MAX_DETAIL]
    if message.get("memory") is True:
        return Outcome(kind="memory limit", detail=detail)
    return Outcome(kind="compile error" if message["failed"] == "compile" else "exception", detail=detail)


def last_words(channel: Channel) -> Outcome | None:
    """Return the first failure among the messages that have arrived and were not read yet."""
    try:
        while (message := channel.take()) is not None:
            if (failure := reported_failure(message)) is not None:
                return failure
    except FrameError:
        pass  # noise: it told of no failure
    return None
