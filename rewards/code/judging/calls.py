"""Style function: the program defines a function, which is called with each test's arguments; values are compared here."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from rewards.code import codec
from rewards.code.judging.channel import Channel, Closed, Deadline, Received, TimeLimit
from rewards.code.judging.checker import ask_checker
from rewards.code.judging.compare import same_value
from rewards.code.judging.outcome import (
    GRACE_SECONDS,
    MAX_DETAIL,
    BadTests,
    Kind,
    Outcome,
    add_up,
    last_words,
    over_limit,
    reported_failure,
    status_text,
    tests_of,
    tolerance_of,
)
from rewards.code.judging.sandbox import Children, Sandbox
from rewards.code.judging.source import Candidate, context_of
from rewards.code.settings import Limits
from rewards.code.wire import Call, Data, FrameError, FunctionSetup


def judge_function(sandbox: Sandbox, checks: Mapping[str, Any], prompt: str, candidate: Candidate, limits: Limits) -> Outcome:
    """Call the entry point with each test's arguments, one call at a time; raises BadTests, HostDied."""
    tests, name = tests_of(checks), checks.get("entry_point")
    if not isinstance(name, str) or not name:
        raise BadTests("style function needs checks.entry_point")
    try:
        calls = [_call_of(test) for test in tests]
        expected = [from_json(test["expected"]) for test in tests]
    except (KeyError, codec.CodecError) as error:
        raise BadTests(f"a test of style function has `args` and `expected`: {error}") from None
    setup = FunctionSetup(source=candidate.source, context=context_of(checks, prompt, name), entry_point=name.replace("()", ""))
    process = _CandidateProcess(sandbox, setup, limits)
    checker = checks.get("checker")

    def run(number: int) -> Outcome:
        failure, data = process.call(calls[number])
        if failure is not None:
            return failure
        if checker:
            try:
                value = codec.decode(data)
            except codec.CodecError as error:
                return Outcome(kind="no answer", detail=str(error))
            given = [from_json(tests[number].get("args", [])), value, expected[number]]
            accepted = ask_checker(sandbox, checker, given, limits, before=process.end)
        else:
            try:
                accepted = same_value(expected[number], data, tolerance_of(checks), checks.get("unordered", False))
            except TypeError as error:
                raise BadTests(str(error)) from None
        return Outcome(kind="correct") if accepted else Outcome(kind="wrong answer", detail=f"returned {_short(data)}")

    try:
        return add_up(checks, tests, run)
    finally:
        process.end()


def _call_of(test: Mapping[str, Any]) -> Call:
    args, kwargs = test.get("args", []), test.get("kwargs") or {}
    return Call(args=codec.encode(from_json(args)), kwargs=codec.encode(from_json(kwargs)))


def _short(data: Data) -> str:
    text = json.dumps(data)
    return text if len(text) <= 60 else text[:57] + "..."


class _CandidateProcess:
    """A process that holds the program and answers calls; begun anew after a call that ended it."""

    def __init__(self, sandbox: Sandbox, setup: FunctionSetup, limits: Limits):
        self.sandbox, self.setup, self.limits = sandbox, setup, limits
        self.running: tuple[Children, Channel] | None = None
        self.spent = 0.0  # CPU seconds of the processes that have ended

    def call(self, request: Call) -> tuple[Outcome | None, Data]:
        """Return what went wrong, or None and the value as JSON data."""
        if self.spent >= self.limits.program_seconds:
            return Outcome(kind="time limit", detail=f"more than {self.limits.program_seconds:g} s for all tests"), None
        try:
            children, channel = self.running or self._begin()
            deadline = Deadline(children, min(self.limits.test_seconds, self.limits.program_seconds - self.spent))
            channel.send(request, deadline)
            answer = channel.answer(deadline)
        except TimeLimit:
            self.end()
            return Outcome(kind="time limit", detail=f"{self.limits.test_seconds:g} s"), None
        except FrameError as error:
            self.end()
            return Outcome(kind="no answer", detail=str(error)), None
        except Closed:
            return self._fallen(), None
        return self._understand(answer)

    def _understand(self, answer: Received) -> tuple[Outcome | None, Data]:
        if "value" in answer:
            return None, answer["value"]
        if (failure := reported_failure(answer)) is not None:
            self.end()
            return failure, None
        if "raised" in answer:
            kind: Kind = "memory limit" if answer.get("memory") is True else "exception"
            return Outcome(kind=kind, detail=str(answer["raised"])[:MAX_DETAIL]), None
        if "large" in answer:
            return Outcome(kind="output limit", detail=str(answer["large"])[:MAX_DETAIL]), None
        return Outcome(kind="no answer", detail=f"returned {str(answer.get('unfit'))[:200]}"), None

    def _begin(self) -> tuple[Children, Channel]:
        children = Children(self.sandbox, self.limits)
        channel = children.channel()
        self.running = children, channel
        children.spawn({"function": (-1, -1, -1, channel.inner.fileno())})
        channel.send(self.setup, Deadline(children, self.limits.test_seconds))
        return children, channel

    def _fallen(self) -> Outcome:
        """Return why the process is gone."""
        assert self.running is not None
        children, channel = self.running
        (ended,) = children.reap(GRACE_SECONDS)
        channel.read()  # its last words may have come after it was last listened to
        outcome = over_limit(ended, self.limits) or last_words(channel)
        self.end()
        return outcome or Outcome(kind="no answer", detail=status_text(ended))

    def end(self) -> None:
        """End the process."""
        running, self.running = self.running, None
        if running is None:
            return
        children, _ = running
        try:
            (ended,) = children.reap()
            self.spent += ended.cpu_seconds
        finally:
            children.__exit__()


def from_json(value: Any) -> Any:
    """Return a value of a problem file, where {"$set": [..]}, {"$tuple": [..]}, {"$bytes": base64}, {"$dict": [[k, v]..]},
    {"$frozenset": [..]} and {"$float": "nan"} stand for what JSON lacks. Other values pass as they are."""
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if isinstance(value, tuple):
        return tuple(from_json(item) for item in value)
    if not isinstance(value, Mapping):
        return value
    if len(value) == 1:
        ((tag, body),) = value.items()
        match tag:
            case "$set":
                return {from_json(item) for item in body}
            case "$frozenset":
                return frozenset(from_json(item) for item in body)
            case "$tuple":
                return tuple(from_json(item) for item in body)
            case "$bytes":
                return base64.b64decode(body)
            case "$float":
                return float(body)
            case "$dict":
                return {from_json(key): from_json(item) for key, item in body}
    return {key: from_json(item) for key, item in value.items()}
