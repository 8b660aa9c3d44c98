"""The text view shows completions as text: no escape sequence of theirs reaches the terminal, and no markup of rich."""

import io
from pathlib import Path

import pytest
from made_runs import made_group, write_made_run, write_step
from rich.console import Console

from rl.tracking.run_directory import RunDirectory
from rl.viewing.answers import Answers
from rl.viewing.index import Query
from rl.viewing.runs import runs_at
from rl.viewing.terminal import show, sparkline


def printed(run: Path, query: Query, groups: int = 1, *, whole: bool = False, colour: bool = False) -> str:
    answers = Answers(runs_at([run]))
    answers.read()
    out = io.StringIO()
    show(Console(file=out, width=100, force_terminal=colour, highlight=False), answers, query, groups, whole=whole)
    return out.getvalue()


def test_curves_difficulty_and_a_whole_group_are_shown(tmp_path: Path) -> None:
    text = printed(write_made_run(tmp_path / "rl", 3, problems=2, size=3, tokens=4), Query(step=2))
    assert "Truncated, unparsed" not in text  # not measured
    assert "Reward and held-out accuracy" in text
    assert "Entropy" in text
    assert "accuracy by terms" in text
    assert "step 2, problem problem-0004" in text  # the first of step 2: 2 * 2
    assert text.count("advantage") == 3
    assert "\x1b" not in text


def test_what_a_completion_commands_is_shown_and_not_obeyed(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "rl", "run:\n  name: hostile\n")
    hostile = "\x1b[2J\x1b]0;title\x07 [red]markup[/red] \u202e reversed"
    write_step(run, 1, [made_group(0, 1, 0.5, 2, 4, [hostile, "y" * 5000])], 1, 0)
    text = printed(run.path, Query(), colour=True)
    assert "⟦U+001B⟧[2J⟦U+001B⟧]0;title⟦U+0007⟧ [red]markup[/red] ⟦U+202E⟧ reversed" in text
    assert "\x1b[2J" not in text
    assert "(5000 characters; --whole)" in text
    assert printed(run.path, Query(), whole=True).count("y") > 5000


@pytest.mark.parametrize(
    ("values", "columns", "line"),
    [([0, 1, 2, 3, 4, 5, 6, 7], 8, "▁▂▃▄▅▆▇█"), ([1, 1, 5, 5], 2, "▁█"), ([3.0], 8, "▁"), ([2, 2], 8, "▁▁")],
)
def test_a_curve_is_a_line_of_bars(values: list[float], columns: int, line: str) -> None:
    assert sparkline(values, columns) == line
