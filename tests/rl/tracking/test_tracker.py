"""Metrics always reach the files; Weights & Biases mirrors them under names of its own, offline too."""

import json
import sys
from pathlib import Path

import pytest
from support import rows, run_command

from rl.settings.schema import TrackingSettings
from rl.tracking.lineage import identify
from rl.tracking.run_directory import RunDirectory
from rl.tracking.tracker import Tracker
from rl.tracking.wandb_mirror import wandb_mode


def offline_records(run: RunDirectory) -> list[dict]:
    """Return what the run's only offline W&B directory holds, record by record."""
    (directory,) = (run.path / "wandb").glob("offline-run-*")
    return records_of(directory)


def records_of(directory: Path) -> list[dict]:
    """Return the records of a run that has ended; waits for W&B's service, which writes on for a moment after that."""
    waiting = ["--follow", "--idle-timeout", "120s"]  # for the record of its end
    shown = run_command(["wandb", "leet", "inspect", "--json", *waiting, str(directory)], directory)
    assert shown.returncode == 0, shown.stderr
    return [json.loads(line) for line in shown.stdout.splitlines() if line.startswith("{")]


def histories(records: list[dict]) -> list[dict]:
    return [record["history"]["item"] for record in records if record["type"] == "history"]


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
def test_an_offline_run_holds_what_its_users_expect(tmp_path: Path) -> None:
    parent = RunDirectory.create(tmp_path / "sft", "a: 1\n")
    identify(parent.path, project="p", group="one experiment", name="sft")
    (parent.path / "model").mkdir()
    run = RunDirectory.create(tmp_path / "name-of-run", "a: 1\n")
    checkpoint = run.path / "checkpoints" / "step-000001"
    checkpoint.mkdir(parents=True)
    (checkpoint / "weights").write_bytes(bytes(10_000))
    config = {"train": {"steps": 2}, "model": {"path": str(parent.path / "model")}}
    tracker = Tracker(run, TrackingSettings(wandb="offline"), job_type="rl", config=config, wandb_id="kept1234")
    assert tracker.wandb_id == "kept1234"  # a resumed run goes on under the id of its checkpoint
    tracker.log(0, {"eval/accuracy": 0.25, "eval/chain/terms=5/accuracy": 0.5})
    timing = {"step_time": 2.0, "perf/peak_memory_gb": 1.5}
    tracker.log(1, {"reward": 0.5, "eval/accuracy": 0.75}, timing, {"train/distribution/reward": [0.0, 1.0, 1.0]})
    tracker.table(1, "completions", [{"text": "\\boxed{2}"}, {"text": "\\boxed{3}"}])
    tracker.table(2, "completions", [{"text": "\\boxed{4}"}])
    tracker.model(checkpoint, "best")
    tracker.alert("entropy_collapsed", "nothing is tried any more")
    tracker.summarise({"best_accuracy": 0.75})
    tracker.finish()

    records = offline_records(run)
    (begun,) = [record["run"] for record in records if record["type"] == "run"]
    assert {"run_id": "kept1234", "display_name": "name-of-run", "job_type": "rl"}.items() <= begun.items()
    assert begun["run_group"] == "one experiment"  # of the run that made its model
    told = begun["config"]["update"]
    assert (told["train"], told["lineage"]["name"], told["lineage"]["model"]) == ({"steps": 2}, "sft", "model")
    assert told["provenance"]["argv"] == sys.argv
    assert {"git", "packages"} <= set(told["provenance"])

    baseline, step, *tables = histories(records)
    assert {"train/global_step": 0, "eval/accuracy": 0.25, "eval/chain/terms_5/accuracy": 0.5}.items() <= baseline.items()
    numbers = {"train/global_step": 1, "train/reward": 0.5, "eval/accuracy": 0.75}
    assert {**numbers, "time/step_time": 2.0, "train/step_time": 2.0, "perf/peak_memory_gb": 1.5}.items() <= step.items()
    counts = step["train/distribution/reward.values"]
    assert (counts[0], counts[-1], sum(counts)) == (1, 2, 3)
    # step, then what the records have; the second time three rows are in the table, and its file holds the new one alone
    assert [(table["completions.ncols"], table["completions.nrows"]) for table in tables] == [(2, 2), (2, 3)]
    (media,) = (run.path / "wandb").glob("offline-run-*/files")
    written = [json.loads((media / table["completions.path"]).read_text())["data"] for table in tables]
    assert written == [[[1, "\\boxed{2}"], [1, "\\boxed{3}"]], [[2, "\\boxed{4}"]]]

    (model,) = [
        record["artifact"] for record in records if record["type"] == "artifact" and record["artifact"]["type"] == "model"
    ]
    assert (model["name"], set(model["aliases"])) == ("one_experiment-name-of-run", {"latest", "step-000001", "best"})
    (content,) = model["manifest"]["contents"]
    assert content["ref"] == f"file://{checkpoint}/weights"  # nothing was copied
    assert [record["alert"]["title"] for record in records if record["type"] == "alert"] == ["entropy_collapsed"]
    assert [record for record in records if record["type"] == "exit"]
    # the files are the truth and hold the same without W&B's names
    assert rows(run.path / "metrics.jsonl")[1] == {"step": 1, "reward": 0.5, "eval/accuracy": 0.75}


@pytest.mark.slow
def test_a_resumed_run_shows_no_point_twice(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "run", "a: 1\n")
    settings = TrackingSettings(wandb="offline")
    ids, shown = [], []
    for first, last in ((0, 3), (2, 5)):  # killed behind step 3 with a checkpoint of step 1: 2 and 3 come again
        tracker = Tracker(run, settings, job_type="rl", config={}, first_step=first)
        for step in range(first, last + 1):
            tracker.log(step, {"reward": step / 10}, None, {"train/distribution/reward": [0.0, 1.0]})
            if step % 3 == 0:
                tracker.table(step, "completions", [{"text": str(step)}])
        tracker.finish()
        ids.append(tracker.identity.id)
        assert tracker.wandb_id == tracker.identity.id
        shown += histories(records_of(max((run.path / "wandb").glob("offline-run-*"))))  # of this start
    assert ids[0] == ids[1]
    rewards = [(item["train/global_step"], item["train/reward"]) for item in shown if "train/reward" in item]
    assert rewards == [(0, 0.0), (1, 0.1), (2, 0.2), (3, 0.3), (4, 0.4), (5, 0.5)]
    assert [item["train/global_step"] for item in shown if "completions._type" in item] == [0, 3]


@pytest.mark.slow
def test_a_resumed_run_gives_wandb_what_it_lost(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "run", "a: 1\n")
    before = Tracker(run, TrackingSettings(wandb="disabled"), job_type="rl", config={})
    before.log(0, {"reward": 0.0})
    before.log(1, {"reward": 0.1}, {"step_time": 2.0})
    before.log(2, {"reward": 0.2})  # comes again
    tracker = Tracker(run, TrackingSettings(wandb="offline"), job_type="rl", config={}, first_step=2)
    tracker.log(2, {"reward": 0.2})
    tracker.finish()
    shown = histories(offline_records(run))
    assert [(item["train/global_step"], item["train/reward"]) for item in shown] == [(0, 0.0), (1, 0.1), (2, 0.2)]
    assert shown[1]["time/step_time"] == 2.0


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


@pytest.mark.slow
def test_a_service_that_is_killed_costs_one_line_and_no_record(tmp_path: Path) -> None:
    program = (
        "import os, signal\nfrom pathlib import Path\nfrom rl.settings.schema import TrackingSettings\n"
        "os.environ.pop('WANDB_SERVICE', None)\n"  # that of the process which runs the tests, where it has one
        "from rl.tracking.run_directory import RunDirectory\nfrom rl.tracking.tracker import Tracker\n"
        "run = RunDirectory.create(Path('run'), 'a: 1')\n"
        "tracker = Tracker(run, TrackingSettings(wandb='offline'), job_type='rl', config={})\n"
        "tracker.log(1, {'reward': 0.5})\n"
        "children = ' '.join(of.read_text() for of in Path('/proc/self/task').glob('*/children')).split()\n"  # of any thread
        "(service,) = [child for child in children if 'wandb-core' in Path(f'/proc/{child}/cmdline').read_text()]\n"
        "os.kill(int(service), signal.SIGKILL)\n"
        "for step in (2, 3, 4):\n"
        "    tracker.log(step, {'reward': 0.5}, {'step_time': 1.0}, {'train/distribution/reward': [0.0, 1.0]})\n"
        "    tracker.table(step, 'completions', [{'text': 'x'}])\n"
        "tracker.summarise({'step': 4})\ntracker.finish()\n"
    )
    done = run_command([sys.executable, "-c", program], tmp_path, WANDB_MODE="offline")
    assert done.returncode == 0, done.stderr
    assert [row["step"] for row in rows(tmp_path / "run" / "metrics.jsonl")] == [1, 2, 3, 4]
    assert done.stderr.count("going on with metrics.jsonl only") == 1
    assert "Traceback" not in done.stderr
