"""Metrics always reach the files; Weights & Biases mirrors them under names of its own, offline too."""

import json
import sys
from pathlib import Path

import pytest
from support import rows, run_command

from rl.settings.schema import TrackingSettings
from rl.tracking.run_directory import RunDirectory
from rl.tracking.tracker import Tracker, wandb_mode


def offline_records(run: RunDirectory) -> list[dict]:
    """Return what the run's only offline W&B directory holds, record by record."""
    (directory,) = (run.path / "wandb").glob("offline-run-*")
    shown = run_command(["wandb", "leet", "inspect", "--json", str(directory)], run.path)
    assert shown.returncode == 0, shown.stderr
    return [json.loads(line) for line in shown.stdout.splitlines() if line.startswith("{")]


def test_without_a_mirror_every_row_is_in_the_files(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "run", "a: 1\n")
    tracker = Tracker(run, TrackingSettings(wandb="disabled"), job_type="rl", config={})
    assert tracker.wandb_id is None
    tracker.log(0, {"eval/accuracy": 0.25})
    tracker.log(1, {"reward": 0.5, "loss": float("nan")}, {"step_time": 2.0})
    tracker.table(1, "completions", [{"text": "\\boxed{2}"}])
    tracker.summarise({"step": 1})
    tracker.finish()
    assert rows(run.path / "metrics.jsonl") == [{"step": 0, "eval/accuracy": 0.25}, {"step": 1, "reward": 0.5, "loss": None}]
    assert rows(run.path / "timing.jsonl") == [{"step": 1, "step_time": 2.0}]  # the baseline has no times
    assert not (run.path / "wandb").exists()


@pytest.mark.parametrize(
    ("setting", "variables", "mode"),
    [
        ("online", {"WANDB_MODE": "disabled"}, "online"),  # what is configured counts first
        ("auto", {"WANDB_MODE": "disabled", "WANDB_API_KEY": "k"}, "disabled"),  # then the environment
        ("auto", {"WANDB_DISABLED": "true", "WANDB_API_KEY": "k"}, "disabled"),
        ("auto", {"WANDB_API_KEY": "k"}, "online"),  # then whether there is a key
        ("auto", {}, "offline"),
    ],
)
def test_the_mode_comes_from_settings_then_environment_then_the_key(
    setting: str, variables: dict[str, str], mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("WANDB_MODE", "WANDB_DISABLED", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert wandb_mode(TrackingSettings.model_validate({"wandb": setting})) == mode


def test_a_key_in_netrc_is_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("WANDB_MODE", "WANDB_DISABLED", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".netrc").write_text("machine api.wandb.ai login user password k\n")
    assert wandb_mode(TrackingSettings()) == "online"
    (tmp_path / ".netrc").write_text("machine other.example login user password k\n")
    assert wandb_mode(TrackingSettings()) == "offline"
    (tmp_path / ".netrc").write_text("not a netrc file\n")
    assert wandb_mode(TrackingSettings()) == "offline"


@pytest.mark.slow
def test_an_offline_run_holds_the_same_rows(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "name-of-run", "a: 1\n")
    settings = TrackingSettings(wandb="offline", group="one experiment")
    tracker = Tracker(run, settings, job_type="rl", config={"train": {"steps": 2}}, wandb_id="kept1234")
    assert tracker.wandb_id == "kept1234"  # a resumed run goes on under the id of its checkpoint
    tracker.log(0, {"eval/accuracy": 0.25})
    tracker.log(1, {"reward": 0.5, "eval/accuracy": 0.75}, {"step_time": 2.0, "perf/peak_memory_gb": 1.5})
    tracker.table(1, "completions", [{"text": "\\boxed{2}"}])
    tracker.summarise({"best_accuracy": 0.75})
    tracker.finish()

    records = offline_records(run)
    (begun,) = [record["run"] for record in records if record["type"] == "run"]
    assert (begun["run_id"], begun["display_name"], begun["run_group"], begun["job_type"]) == (
        "kept1234",
        "name-of-run",
        "one experiment",
        "rl",
    )
    baseline, step, table = [record["history"]["item"] for record in records if record["type"] == "history"]
    assert {"train/global_step": 0, "eval/accuracy": 0.25}.items() <= baseline.items()
    expected = {
        "train/global_step": 1,
        "train/reward": 0.5,
        "eval/accuracy": 0.75,
        "time/step_time": 2.0,
        "perf/peak_memory_gb": 1.5,
    }
    assert expected.items() <= step.items()
    assert {"completions.ncols": 1, "completions.nrows": 1, "train/global_step": 1}.items() <= table.items()
    assert [record for record in records if record["type"] == "exit"]
    # the files are the truth and hold the same without W&B's names
    assert rows(run.path / "metrics.jsonl")[1] == {"step": 1, "reward": 0.5, "eval/accuracy": 0.75}


@pytest.mark.slow
def test_a_service_that_stands_in_another_directory_writes_to_the_right_one(tmp_path: Path) -> None:
    """A process that has used W&B hands its service down to all that it starts, wherever these stand."""
    below = tmp_path / "below"
    below.mkdir()
    start = (
        "from pathlib import Path\nfrom rl.settings.schema import TrackingSettings\n"
        "from rl.tracking.run_directory import RunDirectory\nfrom rl.tracking.tracker import Tracker\n"
        "def track(name):\n"
        "    run = RunDirectory.create(Path(name), 'a: 1')\n"
        "    tracker = Tracker(run, TrackingSettings(wandb='offline'), job_type='rl', config={})\n"
        "    tracker.log(1, {'reward': 0.5})\n"
        "    return tracker\n"
    )
    child = f"{start}track('run').finish()"
    parent = f"{start}import subprocess, sys\nfirst = track('first')\n"
    parent += f"subprocess.run([sys.executable, '-c', {child!r}], cwd={str(below)!r}, check=True)\nfirst.finish()"
    done = run_command([sys.executable, "-c", parent], tmp_path, WANDB_MODE="offline")
    assert done.returncode == 0, done.stderr
    assert [record for record in offline_records(RunDirectory(below / "run")) if record["type"] == "exit"]
