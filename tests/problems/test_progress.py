"""Progress: the time left, a bar on a terminal, now and then a line elsewhere."""

import os
import pty
import subprocess
import sys

import pytest
from support_pure import ROOT, all_from

from problems.progress import Pace, Progress, clock, followed
from problems.telling import manner


def test_a_duration_in_words() -> None:
    assert [clock(seconds) for seconds in (0.4, 59.6, 3661)] == ["0:00:00", "0:01:00", "1:01:01"]


def test_the_time_left_goes_by_the_last_steps_and_counts_down() -> None:
    pace = Pace(10, 0, now=100.0)
    assert pace.left(101.0) is None  # nothing is done: nobody can know
    pace.mark(1, 130.0)  # the first step made what all others use
    assert pace.left(130.0) == 9 * 30
    pace.mark(2, 134.0)
    assert pace.left(134.0) == 8 * 4  # it counts no more
    assert pace.left(136.0) == 8 * 4 - 2
    assert pace.left(999.0) == 0
    pace.mark(3, 140.0)
    assert pace.left(140.0) == 7 * 5  # two steps in ten seconds


def test_steps_that_take_minutes_have_a_time_left_too() -> None:
    pace = Pace(100, 40, now=0.0)  # a resumed run
    for step in range(41, 45):
        pace.mark(step, (step - 40) * 300.0)
    assert pace.left(1200.0) == 56 * 300


def test_many_steps_a_second_are_told_by_seconds() -> None:
    pace = Pace(10_000, 0, now=0.0)
    for step in range(1, 5001):
        pace.mark(step, step / 100)  # 100 a second, for 50 seconds
    assert pace.left(50.0) == pytest.approx(50.0)
    assert len(pace._marks) <= 30


def test_where_there_is_no_end_nobody_knows_the_time_left() -> None:
    pace = Pace(None, 0, now=0.0)
    pace.mark(5, 10.0)
    assert pace.left(10.0) is None


@pytest.fixture
def clock_of_ours(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A list that holds the time."""
    now = [0.0]
    monkeypatch.setattr("problems.progress.time.monotonic", lambda: now[0])
    return now


def test_without_a_terminal_there_is_a_line_every_half_minute_or_tenth(
    clock_of_ours: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress("grading", 1000, unit="rows") as progress:
        for second in range(1, 101):  # a tenth is done every ten seconds
            clock_of_ours[0] = float(second)
            progress.update(10 * second)
    out, err = capsys.readouterr()
    assert out == ""
    assert "\r" not in err
    assert err.splitlines()[0] == "grading 100/1000 rows  0:01:30 left"
    assert err.splitlines()[-1] == "grading 1000/1000 rows"
    assert len(err.splitlines()) == 10
    with Progress("grading", 1000) as progress:
        for minute in range(1, 4):  # slow work
            clock_of_ours[0] += 60.0
            progress.update(minute)
    assert len(capsys.readouterr().err.splitlines()) == 3


def test_what_is_done_at_once_says_nothing(clock_of_ours: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    assert list(followed(range(50), "checking")) == list(range(50))
    assert list(followed(iter("ab"), "checking")) == ["a", "b"]
    assert capsys.readouterr().err == ""


def test_quiet_work_says_what_must_not_be_missed_and_nothing_else(
    clock_of_ours: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with manner(["--quiet"]), Progress("practice", 5) as progress:
        clock_of_ours[0] = 99.0
        progress.update(5, "reward 0.5", urgent=True)
        progress.say("an alert")
    assert capsys.readouterr().err == "an alert\n"


SCRIPT = """
import sys, time
from problems.progress import Progress
from problems.telling import manner, remark
with manner(sys.argv[1:]), Progress("grading", 4, unit="rows") as progress:
    for row in range(4):
        progress.advance()
    remark("a remark")
    print("a result")
"""


def on_a_terminal(*words: str, **variables: str) -> tuple[str, str]:
    """Return what the script writes to a pipe, its stdout, and to a terminal, its stderr."""
    ours, theirs = pty.openpty()
    environment = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "COLUMNS": "100", **variables}
    command = [sys.executable, "-c", SCRIPT, *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, cwd=ROOT, env=environment, text=True)
    os.close(theirs)
    written = all_from(ours)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return out, written.decode()


COLOUR = "\x1b[3"  # how a foreground colour begins, alone; the bar's are 38;5;N


def test_on_a_terminal_there_is_a_bar_and_results_go_their_own_way() -> None:
    out, written = on_a_terminal()
    assert out == "a result\n"
    assert "4/4 rows" in written
    assert "a remark" in written
    assert COLOUR in written
    hide, show = "\x1b[?25l", "\x1b[?25h"
    assert written.index(hide) < written.rindex(show)
    assert written.count(hide) == written.count(show)


def test_no_colour_where_none_is_wanted() -> None:
    _, written = on_a_terminal(NO_COLOR="1")
    assert "4/4 rows" in written
    assert COLOUR not in written


@pytest.mark.parametrize(("words", "term"), [((), "dumb"), (("--quiet",), "xterm")], ids=["dumb", "quiet"])
def test_a_terminal_without_a_cursor_and_a_quiet_one_see_no_control_signs(words: tuple[str, ...], term: str) -> None:
    out, written = on_a_terminal(*words, TERM=term)
    assert out == "a result\n"
    assert written == ("" if words else "a remark\r\n")
