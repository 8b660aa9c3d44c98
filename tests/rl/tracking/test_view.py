"""Progress: a bar on a terminal, few plain lines elsewhere."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from support import environment
from support_pure import all_from

from rl.tracking.view import StepView

METRICS = {"reward": 0.5, "completions/mean_length": 12.4}
TIMING = {"sample": 1.0, "score": 0.25, "train": 2.0}
ON_A_TERMINAL = """
from rl.tracking.view import StepView
view = StepView("practice", 4, done=1)
view.show(2, {"reward": 0.5, "completions/mean_length": 12.4}, {"sample": 1.0})
view.show(3, {"reward": 0.75, "completions/mean_length": 11.0, "eval/accuracy": 0.875}, {"sample": 1.0})
view.close()
"""


def test_without_a_terminal_a_step_is_one_plain_line(capsys: pytest.CaptureFixture[str]) -> None:
    view = StepView("practice", 5)
    view.show(1, METRICS, TIMING)
    view.close()
    out, err = capsys.readouterr()
    assert out == ""  # standard output is for results
    assert err == "practice 1/5  0:00:00 left  reward 0.50  tokens 12  sample/score/train 1.0/0.2/2.0 s\n"


def test_without_a_terminal_steps_in_a_row_are_left_out_but_not_evaluations_and_the_last(
    capsys: pytest.CaptureFixture[str],
) -> None:
    view = StepView("practice", 5)
    for step in range(1, 6):
        accuracy = {"eval/accuracy": 0.75} if step == 3 else {}
        view.show(step, METRICS | accuracy, TIMING)
    view.close()
    lines = capsys.readouterr().err.splitlines()
    # 2 and 4 come at once after the line before them
    assert [line.split()[1] for line in lines] == ["1/5", "3/5", "5/5"]
    assert "held-out 0.75" in lines[1]


def test_what_was_not_measured_is_a_dash(capsys: pytest.CaptureFixture[str]) -> None:
    StepView("practice", 5).show(5, {"reward": None, "eval/accuracy": None}, {})
    assert capsys.readouterr().err == "practice 5/5  reward -  tokens -  sample/score/train 0.0/0.0/0.0 s\n"


def on_a_terminal(script: str, home: Path) -> str:
    """Run a script whose standard error is a terminal 120 columns wide; return what it wrote there."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", script]
    process = subprocess.Popen(command, stderr=theirs, cwd=home, env=environment(TERM="xterm", COLUMNS="120"))
    os.close(theirs)
    written = all_from(ours)
    assert process.wait(60) == 0
    return written.decode()


def test_on_a_terminal_there_is_a_bar_and_the_cursor_comes_back(tmp_path: Path) -> None:
    written = on_a_terminal(ON_A_TERMINAL, tmp_path)
    assert "practice" in written
    assert "3/4" in written
    assert "reward 0.75  tokens 11  held-out 0.88" in written
    hide, show = "\x1b[?25l", "\x1b[?25h"
    assert written.index(hide) < written.rindex(show)
    assert written.count(hide) == written.count(show)
