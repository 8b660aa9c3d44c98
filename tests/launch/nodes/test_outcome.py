"""One exit status that means what it says, whatever the processes of an attempt left behind."""

import signal
from typing import Any

import pytest

from launch.nodes.outcome import judged

FINISHED = {"status": "finished"}
PREEMPTED = {"status": "preempted", "error": "SystemExit: 143"}


@pytest.mark.parametrize(
    ("codes", "first", "told", "status", "expected"),
    [
        ({"a": 0, "b": 0}, None, None, FINISHED, 0),
        ({"a": 0}, None, signal.SIGTERM, FINISHED, 0),  # the signal came when all was done
        ({"a": 0}, None, None, None, 0),  # a run directory on a disk that this machine does not see
        ({"a": 0}, None, None, {"status": "running"}, 1),  # the launcher was killed, which it calls 0
        ({"a": 143}, "a", signal.SIGTERM, PREEMPTED, 75),
        ({"a": 1}, "a", signal.SIGINT, PREEMPTED, 130),
        ({"a": 143, "b": 143}, "b", None, PREEMPTED, 75),  # a machine that shuts down tells its own ranks
        ({"a": 75}, "a", None, PREEMPTED, 75),
        ({"a": 247}, "a", None, PREEMPTED, 1),  # 256 - 9: one rank was killed, the other was ended and wrote "preempted"
        ({"a": 137}, "a", None, None, 1),  # 128 + 9: the launcher itself
        ({"a": 2, "b": 143}, "a", None, {"status": "failed", "error": "ConfigError: no"}, 2),
        ({"a": 1, "b": 255}, "a", None, {"status": "failed", "error": "RuntimeError: peer"}, 75),  # its peer's machine is lost
        ({"a": 1}, "a", None, {"status": "failed", "error": "RuntimeError: bug"}, 1),
        ({"a": 127}, "a", None, None, 2),  # no such Python there: another start would find none either
    ],
)
def test_the_exit_status_means_what_it_says(
    codes: dict[str, int], first: str | None, told: int | None, status: dict[str, Any] | None, expected: int
) -> None:
    assert judged(codes, first, told, status).code == expected


def test_the_words_name_host_signal_and_cause() -> None:
    assert (
        judged({"a": 247}, "a", None, None).words
        == "a process on a was ended by SIGKILL: is the machine out of memory? (dmesg)"
    )
    status = {"status": "failed", "error": "ValueError: x"}
    assert judged({"b": 1}, "b", None, status).words == "failed on b with exit status 1 (ValueError: x)"
