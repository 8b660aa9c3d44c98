"""Imitation against practice: what the further phases ask for, and the comparison of the seeds that are done."""

import json
from pathlib import Path
from typing import Any

import pytest

from launch.demo import TINY, demo_command
from launch.imitation import ARMS, compare_arms, further_phases
from launch.story import CONFIGS, Phase
from rl.settings.base import Settings
from rl.settings.evaluation import EvalConfig
from rl.settings.loading import load_config
from rl.settings.schema import RunConfig, SftConfig
from rl.tracking.run_directory import json_lines

BUDGET = 9_300_000


def write_run(run: Path, steps: dict[int, dict[str, float]]) -> None:
    run.mkdir(parents=True)
    (run / "metrics.jsonl").write_text(json_lines([{"step": step, **found} for step, found in steps.items()]))
    (run / "timing.jsonl").write_text(json_lines([{"step": step, "step_time": 0.5} for step in steps if step]))


def accuracy(value: float) -> dict[str, float]:
    return {"eval/accuracy": value, "eval/accuracy_low": value - 0.05, "eval/accuracy_high": value + 0.05}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a seed whose imitator and practice are finished, as far as the rest asks of them."""
    top = tmp_path_factory.mktemp("arms")
    seed = top / "demo-seed4"
    write_run(seed / "sft", {1000: {"num_tokens": 3_000_000}})
    write_run(seed / "rl", {0: accuracy(0.4), 170: accuracy(0.95) | {"compute_tokens": BUDGET}})
    return seed


def settings(phase: Phase, model: type[Settings]) -> Any:
    """Return the settings that the command of a phase will read."""
    _, *words = phase.arguments
    files = [Path(words[n + 1]) for n, word in enumerate(words) if word == "--config"]
    return load_config(model, files, [word for word in words if "=" in word]).config


def test_every_arm_gets_the_compute_of_practice_and_is_asked_the_same(home: Path) -> None:
    phases = {phase.name: phase for phase in further_phases(TINY, home, 4, 1)}
    more = settings(phases["imitation"], SftConfig)
    # 9 tokens of compute for a thousandth of three million: 9,000 a step, 9.3 million / 9,000 = 1033.3 steps
    assert more.sft.steps == 1033
    assert (more.model.tiny, more.model.path) == (None, str(home / "sft" / "model"))
    star = settings(phases["star"], RunConfig)
    assert star.train.compute_tokens == BUDGET
    assert star.algorithm.advantage == "rft"
    assert star.model.path == more.model.path
    practice = load_config(RunConfig, [CONFIGS / TINY.rl], []).config
    for config in (more, star):
        assert config.run.seed == 4
        assert config.sampling == practice.sampling
        assert (config.evaluation.problems or config.problems) == practice.problems
        assert config.evaluation.num_problems == practice.evaluation.num_problems
    judged = [settings(phases[name], EvalConfig) for name in ("eval_imitation", "eval_star")]
    assert judged[0].model_copy(update={"run": None, "model": None}) == judged[1].model_copy(
        update={"run": None, "model": None}
    )
    assert all(phases[name].resumable for name in ("imitation", "star"))


def test_the_comparison_is_about_the_seeds_that_are_done(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ends = {"eval-sft": 0.4, "eval-rl": 0.95, "eval-imitation": 0.6, "eval-star": 0.94}
    for name, value in ends.items():
        sizes = {
            f"terms={n}": {"value": value, "low": value - 0.02, "high": value + 0.02, "problems": 100} for n in range(3, 11)
        }
        (home / name).mkdir()
        found = {"by_difficulty": {size: {**one, "reasoning_tokens": 9.0} for size, one in sizes.items()}}
        (home / name / "results.json").write_text(json.dumps(found))
    for run in ("imitation", "star"):
        write_run(home / run, {0: accuracy(0.4), 9: accuracy(ends[f"eval-{run}"]) | {"compute_tokens": BUDGET + 1}})
    compare_arms(TINY, home.parent, {4: home})
    summary = json.loads((home.parent / "summary.json").read_text())
    assert summary["seeds"] == [4]
    assert summary["practised_terms"] == [4, 10]
    assert summary["imitator"]["accuracy"]["value"] == pytest.approx(0.4)
    assert list(summary["arms"]) == [arm.name for arm in ARMS] == ["practice", "imitation", "star"]
    assert summary["arms"]["star"]["compute_tokens"] == [BUDGET + 1]
    assert summary["apart"] == {"imitation": "above", "star": "neither"}
    assert "NOT shown to end above" in capsys.readouterr().out
    assert (home.parent / "report.html").is_file()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--real"], "has not been tried with --real"),
        (["--seed", "1"], "say --seeds"),
        (["--seeds", "1", "2", "1"], "each seed once"),
    ],
)
def test_seeds_that_are_not_clear_are_refused(flags: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo_command(["--with-imitation", *flags]) == 2
    assert words in capsys.readouterr().err


def test_several_seeds_without_imitation_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert demo_command(["--seeds", "1", "2"]) == 2
    assert "belongs to --with-imitation" in capsys.readouterr().err
