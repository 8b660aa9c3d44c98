"""What a run has spent, from the files it leaves: by hand, for practice and for imitation."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from problems.errors import LabError
from rl.tracking.checkpoint import read_state
from rl.tracking.compute import Point, compute_tokens, points
from rl.tracking.run_directory import json_lines
from rl.types import TrainState

Records = list[dict[str, float]]


def accuracy(value: float) -> dict[str, float]:
    return {"eval/accuracy": value, "eval/accuracy_low": value - 0.1, "eval/accuracy_high": value + 0.1}


def write(run: Path, metrics: Records, timing: Records) -> Path:
    run.mkdir()
    (run / "metrics.jsonl").write_text(json_lines(metrics))
    (run / "timing.jsonl").write_text(json_lines(timing))
    return run


def test_a_token_that_is_learned_from_costs_three() -> None:
    assert compute_tokens(100, 40) == 100 + 3 * 40


def test_practice_by_hand(tmp_path: Path) -> None:
    metrics: Records = [{"step": 0, **accuracy(0.25)}, {"step": 1, "compute_tokens": 400}]
    metrics.append({"step": 2, "compute_tokens": 900, **accuracy(0.5)})
    # seconds of sampling, scoring and learning; an evaluation makes the second step longer, and is left out
    timing: Records = [{"step": 1, "sample": 1.0, "score": 0.5, "train": 2.0, "step_time": 3.6}]
    timing.append({"step": 2, "sample": 0.5, "score": 0.25, "train": 2.0, "waited_ahead": 0.5, "step_time": 9.0})
    found = points(write(tmp_path / "rl", metrics, timing))
    assert found[0] == Point(step=0, compute_tokens=0, seconds=0.0, accuracy=0.25, low=0.15, high=0.35)
    assert found[1:] == [Point(step=2, compute_tokens=900, seconds=6.75, accuracy=0.5, low=0.4, high=0.6)]


def test_imitation_by_hand(tmp_path: Path) -> None:
    metrics: Records = [{"step": 0, **accuracy(0.25)}, {"step": 10, "compute_tokens": 30}]
    metrics.append({"step": 15, "compute_tokens": 45, **accuracy(0.5)})
    timing: Records = [{"step": 10, "step_time": 0.5}, {"step": 15, "step_time": 0.2}]  # a mean over their steps
    found = points(write(tmp_path / "sft", metrics, timing))
    assert [(point.step, point.compute_tokens) for point in found] == [(0, 0), (15, 45)]
    assert found[1].seconds == pytest.approx(10 * 0.5 + 5 * 0.2)


def test_a_run_without_evaluations_or_from_before_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"holds no evaluation: set evaluation\.every_steps"):
        points(write(tmp_path / "none", [{"step": 1, "compute_tokens": 3}], []))
    with pytest.raises(LabError, match="made by an older version"):
        points(write(tmp_path / "old", [{"step": 1, **accuracy(0.5)}], []))


def test_a_checkpoint_from_before_compute_was_counted_says_where_the_count_begins(tmp_path: Path) -> None:
    state = TrainState(step=12, cursor=96, num_tokens=34567, compute_tokens=90000)
    said: list[str] = []
    (tmp_path / "state.json").write_text(json.dumps(asdict(state)))
    assert read_state(tmp_path, said.append) == state
    assert said == []
    (tmp_path / "state.json").write_text(json.dumps({k: v for k, v in asdict(state).items() if k != "compute_tokens"}))
    assert read_state(tmp_path, said.append).compute_tokens == 0
    (line,) = said
    assert "begins here, at 0, without what the first 12 steps spent (they sampled 34,567 tokens)" in line
    assert line.endswith("train.compute_tokens limits what is spent from here on")
