"""Style stdin: the program is a script that runs once for every test, text in and text out, compared here."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rewards.code.judging.channel import Closed, Deadline, TimeLimit
from rewards.code.judging.checker import ask_checker
from rewards.code.judging.compare import same_text
from rewards.code.judging.outcome import (
    GRACE_SECONDS,
    BadTests,
    Outcome,
    add_up,
    last_words,
    over_limit,
    status_text,
    tests_of,
    tolerance_of,
)
from rewards.code.judging.sandbox import Children, Sandbox
from rewards.code.judging.source import Candidate
from rewards.code.settings import Limits
from rewards.code.wire import ScriptSetup

_MAX_UNREAD_BYTES = 1 << 16  # on the channel: a script has a word or two to say there


def judge_stdin(sandbox: Sandbox, checks: Mapping[str, Any], prompt: str, candidate: Candidate, limits: Limits) -> Outcome:
    """Run the program once for every test; raises BadTests, HostDied."""
    tests = tests_of(checks)
    for test in tests:
        if not isinstance(test.get("stdin"), str) or not isinstance(test.get("stdout"), str):
            raise BadTests("a test of style stdin has texts `stdin` and `stdout`")
    checker, spent = checks.get("checker"), 0.0

    def accepts(test: Mapping[str, Any], output: bytes) -> bool:
        if checker:
            given = [test["stdin"], output.decode("utf-8", "replace"), test["stdout"]]
            return ask_checker(sandbox, checker, given, limits)
        return same_text(test["stdout"].encode("utf-8", "replace"), output, tolerance_of(checks))

    def run(number: int) -> Outcome:
        nonlocal spent
        if spent >= limits.program_seconds:
            return Outcome(kind="time limit", detail=f"more than {limits.program_seconds:g} s for all tests")
        test = tests[number]
        ran = _run_script(sandbox, candidate.source, test["stdin"].encode("utf-8", "replace"), limits)
        spent += ran.cpu_seconds
        if ran.failure is not None:
            return ran.failure
        if accepts(test, ran.output):
            return Outcome(kind="correct")
        return Outcome(kind="wrong answer", detail=f"printed {ran.output[:60]!r}")

    return add_up(checks, tests, run)


@dataclass(frozen=True, kw_only=True)
class _Ran:
    """What a script did: what went wrong, if anything, what it printed, and the CPU time it took."""

    failure: Outcome | None
    output: bytes
    cpu_seconds: float


def _run_script(sandbox: Sandbox, source: str, stdin: bytes, limits: Limits) -> _Ran:
    with Children(sandbox, limits) as children:
        channel = children.channel()
        reader, writer = children.pipe()
        deadline = Deadline(children, limits.test_seconds)
        children.spawn({"script": (children.input(stdin), writer, -1, channel.inner.fileno())})
        output, failure = bytearray(), None
        try:
            channel.send(ScriptSetup(source=source), deadline)
            open_ends: list[int | socket.socket] = [reader, channel.socket]
            while open_ends:
                for number in deadline.wait_any(open_ends):
                    if number == reader:
                        piece = os.read(reader, 1 << 18)
                        output += piece
                        if not piece:
                            open_ends.remove(reader)
                    else:
                        channel.read()
                        if channel.ended or len(channel.buffer) > _MAX_UNREAD_BYTES:
                            open_ends.remove(channel.socket)
                if len(output) > limits.output_bytes:
                    failure = Outcome(kind="output limit", detail=f"more than {limits.output_bytes >> 20} MB")
                    break
        except TimeLimit:
            failure = Outcome(kind="time limit", detail=f"{limits.test_seconds:g} s")
        except Closed:
            pass  # how it ended tells why
        (ended,) = children.reap(0.0 if failure else GRACE_SECONDS)
        failure = failure or over_limit(ended, limits)
        if failure is None and (ended.status != 0 or ended.killed):
            failure = last_words(channel) or Outcome(kind="exception", detail=status_text(ended))
        return _Ran(failure=failure, output=bytes(output), cpu_seconds=ended.cpu_seconds)
