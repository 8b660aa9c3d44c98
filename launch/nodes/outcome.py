"""How an attempt ended, in one exit status that means what it says.

    0    finished: the processes ended well and status.json says so
    75   start me again (EX_TEMPFAIL of sysexits.h): told to stop by SIGTERM, SIGUSR1 or a file STOP, or a machine was lost
    2    an error that the user can act on, or arguments that make no sense
    130  stopped by Ctrl-C
    1    failed otherwise

An exit status of the launcher alone proves nothing: DeepSpeed's ends with 0 when it is killed, and a rank that is ended because
another was killed writes "preempted".
"""

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rl.tracking.standing import standing_of

FINISHED, FAILED, TO_MEND, AGAIN, STOPPED = 0, 1, 2, 75, 130
_CONNECTION_LOST = 255  # of ssh (ssh(1), EXIT STATUS)
_NOT_FOUND = (126, 127)  # of a shell and of env: the program cannot be run, or is not there
_PREEMPTED = 128 + signal.SIGTERM


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The end of an attempt: its exit status and why, in words."""

    code: int
    words: str


def judged(codes: Mapping[str, int], first: str | None, told: int | None, status: dict[str, Any] | None) -> Outcome:
    """Return the outcome of an attempt.

    codes: exit status of each host's agent. first: the host that ended first with another than 0. told: the signal that the
    front process got, if any. status: status.json, where this attempt has written one and it can be seen from here.
    """
    standing = None if status is None else status.get("status")
    why = "" if status is None or "error" not in status else f" ({status['error']})"
    if first is None:
        if standing in (None, "finished"):
            seen = "" if standing else "; its status.json cannot be seen from here"
            return Outcome(code=FINISHED, words=f"finished{seen}")
        said = standing_of(status, None)
        return Outcome(code=FAILED, words=f"all processes ended with 0, but status.json says: {said}{why}")
    if told is not None:
        words = f"told to stop ({signal.Signals(told).name}); to go on: the same command with --resume"
        return Outcome(code=code_when_told(told), words=words)
    # a rank that loses its peer may well end before ssh has noticed that the peer's machine is gone
    if lost := [host for host, code in codes.items() if code == _CONNECTION_LOST]:
        return Outcome(code=AGAIN, words=f"no connection to {', '.join(lost)} (any more); ssh's words are above")
    code = codes[first]
    if code in (AGAIN, _PREEMPTED):
        return Outcome(code=AGAIN, words=f"the ranks on {first} were told to stop{why}")
    if code == TO_MEND:
        return Outcome(code=TO_MEND, words=f"an error to be mended first, see above{why}")
    if code in _NOT_FOUND:
        words = f"{first} has no Python, or none of the lab, at the path that this machine has it at (see above)"
        return Outcome(code=TO_MEND, words=words)
    if number := _signal_of(code):
        hint = ": is the machine out of memory? (dmesg)" if number == signal.SIGKILL else ""
        return Outcome(code=FAILED, words=f"a process on {first} was ended by {signal.Signals(number).name}{hint}")
    return Outcome(code=FAILED, words=f"failed on {first} with exit status {code}{why}")


def code_when_told(number: int) -> int:
    """Return the exit status of a run that a signal to the front process has ended."""
    return STOPPED if number == signal.SIGINT else AGAIN


def _signal_of(code: int) -> int | None:
    """Return the signal behind an exit status: 128 + N of a shell or the agent, 256 - N of DeepSpeed's launcher for a rank."""
    for number in (code - 128, 256 - code):
        if number in set(signal.Signals):
            return number
    return None
