"""TensorBoard and trackio show what W&B does, each once however often a run is resumed; without their packages it is said."""

from pathlib import Path

import pytest

from problems.errors import LabError
from rl.settings.schema import TrackingSettings
from rl.tracking.lineage import Identity, identify, origin_of, write_lineage
from rl.tracking.mirrors import check_installed, plain_name, shown_values
from rl.tracking.run_directory import RunDirectory
from rl.tracking.tracker import Tracker


def tracked_twice(run: RunDirectory, mirror: str) -> Tracker:
    """Log steps 0 to 3, and after a resume from step 1 steps 2 to 5, as a killed run does."""
    settings = TrackingSettings.model_validate({"wandb": "disabled", "mirrors": [mirror], "project": "p", "group": "g"})
    for first, last in ((0, 3), (2, 5)):
        tracker = Tracker(run, settings, job_type="rl", config={"a": 1}, first_step=first)
        assert tracker._mirrors
        for step in range(first, last + 1):
            values = {"reward": step / 10, "eval/chain/terms=5/accuracy": None}
            tracker.log(step, values, {"step_time": 2.0}, {"train/distribution/reward": [0.0, 1.0, 1.0]})
            if step % 3 == 0:
                tracker.table(step, "completions", [{"text": f"**{step}**"}])
        tracker.alert("entropy_collapsed", "nothing is tried any more")
        tracker.finish()
    return tracker


@pytest.mark.slow
def test_tensorboard_holds_scalars_histograms_and_texts(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="pip install 'reasonlab[tracking]'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = RunDirectory.create(tmp_path / "run", "a: 1\n")
    tracked_twice(run, "tensorboard")
    shown = EventAccumulator(str(run.path / "tensorboard"), size_guidance={"scalars": 0, "histograms": 0})
    shown.Reload()
    rewards = [(event.step, round(event.value, 6)) for event in shown.Scalars("train/reward")]
    assert rewards == [(0, 0.0), (1, 0.1), (2, 0.2), (3, 0.3), (4, 0.4), (5, 0.5)]  # purged where it was logged again
    assert {"train/step_time", "time/step_time"} <= set(shown.Tags()["scalars"])
    assert "eval/chain/terms_5/accuracy" not in shown.Tags()["scalars"]  # nothing was measured
    assert [event.histogram_value.num for event in shown.Histograms("train/distribution/reward")] == [3.0] * 6
    texts = shown.Tensors("completions/text_summary")
    assert {event.step for event in texts} == {0, 3}  # texts it does not purge: the same stands there twice
    assert texts[0].tensor_proto.string_val[0].decode().startswith("    {")  # set in by four: code, no markup


@pytest.mark.slow
def test_trackio_holds_each_step_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "database"))
    trackio = pytest.importorskip("trackio", reason="pip install 'reasonlab[tracking]'")
    run = RunDirectory.create(tmp_path / "run", "a: 1\n")
    identity = tracked_twice(run, "trackio").identity
    from trackio.sqlite_storage import SQLiteStorage

    (shown,) = trackio.Api().runs("p")
    assert shown.name == f"g/run-{identity.id}"
    logged = SQLiteStorage.get_logs("p", shown.name)
    assert [(row["step"], row["train/reward"]) for row in logged if "train/reward" in row] == [
        (0, 0.0), (1, 0.1), (2, 0.2), (3, 0.3), (4, 0.4), (5, 0.5),
    ]  # fmt: skip
    assert [row["step"] for row in logged if "completions" in row] == [0, 3]
    assert {alert["title"] for alert in shown.alerts()} == {"entropy_collapsed"}


def test_a_mirror_without_its_package_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(LabError, match=r"trackio is not installed: pip install trackio"):
        check_installed(TrackingSettings(mirrors=("trackio",)))
    check_installed(TrackingSettings())


def test_a_mirror_that_fails_is_left_alone_and_the_files_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = RunDirectory.create(tmp_path / "run", "a: 1\n")
    (run.path / "tensorboard").write_text("no directory: nothing can be written below it")
    settings = TrackingSettings(wandb="disabled", mirrors=("tensorboard",))
    tracker = Tracker(run, settings, job_type="rl", config={})
    tracker.log(1, {"reward": 0.5})
    tracker.finish()
    assert capsys.readouterr().err.startswith("TensorBoard could not start (")
    assert (run.path / "metrics.jsonl").read_text() == '{"step": 1, "reward": 0.5}\n'


def test_names_are_those_of_trl() -> None:
    shown = shown_values({"reward": 1, "eval/chain/terms=5/accuracy": 0.5}, {"train": 2.0, "step_time": 3.0, "perf/mfu": 0.4})
    assert shown == {
        "train/reward": 1,
        "eval/chain/terms_5/accuracy": 0.5,
        "time/train": 2.0,
        "time/step_time": 3.0,
        "train/step_time": 3.0,
        "perf/mfu": 0.4,
    }
    assert plain_name("eval/größe=3 (a)/pass@4") == "eval/größe_3__a_/pass_4"


def test_a_model_is_traced_to_the_run_that_made_it(tmp_path: Path) -> None:
    run = tmp_path / "group" / "rl"
    policy = run / "checkpoints" / "step-000050" / "policy"
    policy.mkdir(parents=True)
    identity = identify(run, project="p", group="group", name="rl")
    assert identify(run, project="p", group="group", name="rl") == identity  # a resumed run is the same
    assert identity.artifact == "group-rl"
    found = origin_of(str(policy))
    assert (found.directory, found.model, found.run) == (run, "step-000050", identity)
    exported = tmp_path / "my-model"
    exported.mkdir()
    assert origin_of(str(exported)) is None
    write_lineage(exported, policy)
    assert origin_of(str(exported)) == found
    (tmp_path / "again").mkdir()
    write_lineage(tmp_path / "again", exported)
    assert origin_of(str(tmp_path / "again")) == found
    (exported / "lineage.json").write_text("[]")
    assert origin_of(str(exported)) is None
    assert origin_of("Qwen/Qwen2.5-0.5B") is None
    assert origin_of(None) is None


def test_an_artifact_has_a_name_that_wandb_takes() -> None:
    assert Identity(id="i", project="p", group="a b/c", name="ü:1").artifact == "a_b_c-__1"
    assert len(Identity(id="i", project="p", group="g" * 200, name="n").artifact) == 128


def test_an_evaluation_stands_in_the_group_of_the_run_that_made_its_model(tmp_path: Path) -> None:
    (tmp_path / "rl" / "model").mkdir(parents=True)
    identify(tmp_path / "rl", project="p", group="one", name="rl")
    run = RunDirectory.create(tmp_path / "eval", "a: 1\n")
    config = {"model": {"path": str(tmp_path / "rl" / "model")}}
    silent = TrackingSettings(wandb="disabled")
    assert Tracker(run, silent, job_type="eval", config=config).identity.group == "one"
    asked = TrackingSettings(wandb="disabled", group="mine")
    assert Tracker(run, asked, job_type="eval", config=config).identity.group == "mine"
    alone = RunDirectory.create(tmp_path / "other", "a: 1\n")
    assert Tracker(alone, silent, job_type="eval", config={}).identity.group == "other"
