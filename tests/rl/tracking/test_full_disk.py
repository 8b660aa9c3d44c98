"""A disk that takes no more: the run ends in words, what was saved before is whole, and with room it goes on.

The disks are file systems in memory of some hundred kilobytes, which only a child of the test sees.
"""

import errno
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from crashes import SmallDisk, on_small_disk
from made_runs import Words, made_group
from safetensors.torch import save_file

from problems.errors import LabError
from rl.evaluation.samples import Scored, append_samples, by_problem, cut_to_whole, read_samples
from rl.settings.disk import AtOnce
from rl.tracking import checkpoint
from rl.tracking.checkpoint import CheckpointError, Kept, check_room, find_fault, latest
from rl.tracking.disk import DiskError, FailingDiskError, free_bytes, naming_disk
from rl.tracking.rollouts import write_rollouts
from rl.tracking.run_directory import RunDirectory, RunDirectoryError, read_records, write_atomic
from rl.types import Drawn

PAGE = 4  # KiB; a tmpfs gives room by pages


def save(root: Path, step: int, *, newest: int, kibibytes: int) -> Path:
    """Write a checkpoint of about this size, in several files."""

    def on_all(directory: Path) -> None:
        (directory / "engine").mkdir()
        for number in range(kibibytes // PAGE):
            (directory / "engine" / f"shard-{number}").write_bytes(bytes([number]) * PAGE * 1024)

    def on_first(directory: Path) -> None:
        write_atomic(directory / "state.json", json.dumps({"step": step}))

    return checkpoint.write(root, step, Kept(newest=newest), on_all, on_first)


def names(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


def status_of(run: RunDirectory) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run.path / "status.json").read_text())
    return found


def ended(run: RunDirectory, action: Any) -> str:
    """Return in what words a run ends that does this, as `process_group` and `naming_disk` around a run have it."""
    with pytest.raises(LabError) as found, naming_disk(run.path):
        action()
    run.set_failure(found.value)
    return str(found.value)


def test_a_checkpoint_that_the_disk_cannot_take_is_removed_at_whatever_byte_it_ends(tmp_path: Path) -> None:
    def fill(disk: SmallDisk) -> None:
        run = RunDirectory.create(disk.place / "run", "a: 1\n")
        root = run.path / "checkpoints"
        first = save(root, 2, newest=1, kibibytes=2 * PAGE)
        for room in range(0, 14 * PAGE, PAGE):  # with state and manifest it takes 14 pages
            run.set_status("running")
            disk.fill(leave_kibibytes=room)
            # larger than the one before: that it does not fit shows itself in the middle only
            words = ended(run, lambda: save(root, 4, newest=1, kibibytes=12 * PAGE))
            assert "--resume" in words
            assert "free" in words
            assert status_of(run)["status"] == "failed", room
            assert names(root) == ["step-000002"]
            assert find_fault(first) is None
            (disk.place / "filling").unlink()
        save(root, 4, newest=1, kibibytes=12 * PAGE)
        assert names(root) == ["step-000004"]

    on_small_disk(tmp_path / "disk", 40 * PAGE, fill)


def test_metrics_that_the_disk_cannot_take_are_said_and_a_resumed_run_writes_each_once(tmp_path: Path) -> None:
    def fill(disk: SmallDisk) -> None:
        run = RunDirectory.create(disk.place / "run", "a: 1\n")
        disk.fill(leave_kibibytes=2 * PAGE)
        written = 0

        def log() -> None:
            nonlocal written
            while True:
                run.append("metrics.jsonl", {"step": written + 1, "text": "x" * 700})
                written += 1

        words = ended(run, log)
        assert "no room is left on the disk of" in words
        assert "make room there" in words
        assert (status_of(run)["status"], status_of(run)["error"]) == ("failed", f"DiskError: {words}")
        assert written >= 5
        steps = [record["step"] for record in read_records(run.path / "metrics.jsonl")]
        assert steps == list(range(1, written + 1))  # the line that was torn is none
        with pytest.raises(RunDirectoryError, match="make room there, or choose another"):
            RunDirectory.create(run.path, "a: 1\n", resume=True)
        (disk.place / "filling").unlink()
        again = RunDirectory.create(run.path, "a: 1\n", resume=True)
        again.cut_after(3)
        again.append("metrics.jsonl", {"step": 4})
        assert [record["step"] for record in read_records(run.path / "metrics.jsonl")] == [1, 2, 3, 4]
        assert [name for name in names(run.path) if name.startswith(".")] == []

    on_small_disk(tmp_path / "disk", 20 * PAGE, fill)


def test_rollouts_that_the_disk_cannot_take_leave_no_half_a_file(tmp_path: Path) -> None:
    groups = tuple(made_group(number, 1, 0.5, 4, 60) for number in range(16))
    drawn = Drawn(groups=groups, rounds=1, cursor=16, sample_seconds=0.0, score_seconds=0.0)

    def fill(disk: SmallDisk) -> None:
        run = RunDirectory.create(disk.place / "run", "a: 1\n")
        done = 0

        def practise() -> None:
            nonlocal done
            while True:
                write_rollouts(run.path / "rollouts", done + 1, drawn, Words(), 2)  # type: ignore[arg-type]  # see made_runs
                done += 1

        assert "no room is left" in ended(run, practise)
        assert status_of(run)["status"] == "failed"
        assert done > 0
        for file in (run.path / "rollouts").iterdir():
            assert shutil.which("gzip") is None or file.suffix == ".gz", file
        RunDirectory(run.path).cut_after(done - 1)
        practised = [name for name in names(run.path / "rollouts") if name.startswith("step")]
        assert practised == [f"step-{step:06d}.jsonl.gz" for step in range(1, done)]

    on_small_disk(tmp_path / "disk", 30 * PAGE, fill)


def test_the_last_words_of_a_run_find_a_place_on_a_full_disk(tmp_path: Path) -> None:
    def fill(disk: SmallDisk) -> None:
        run = RunDirectory.create(disk.place / "run", "a: 1\n")
        disk.fill()
        with pytest.raises(OSError, match="No space left"):
            write_atomic(run.path / "other", "x")
        run.set_status("failed", error="a long story " * 100)
        assert status_of(run)["error"] == "a long story " * 100
        run.set_status("failed", error="short")
        assert status_of(run)["error"] == "short"
        with pytest.raises(OSError, match="No space left"):  # more than a page: the old words stay
            run.set_status("failed", error="a long story " * 1000)
        assert status_of(run)["error"] == "short"
        assert names(run.path) == ["config.yaml", "provenance.json", "status.json"]

    on_small_disk(tmp_path / "disk", 20 * PAGE, fill)


def test_what_torch_and_safetensors_say_of_a_full_disk_is_understood(tmp_path: Path) -> None:
    weights = {"weights": torch.zeros(2**17)}

    def fill(disk: SmallDisk) -> None:
        for write in (torch.save, save_file):
            for room in (0, PAGE, 10 * PAGE):
                disk.fill(leave_kibibytes=room)
                with pytest.raises(DiskError, match="no room is left on the disk"), naming_disk(disk.place):
                    write(weights, disk.place / "weights")
                (disk.place / "filling").unlink()
                (disk.place / "weights").unlink(missing_ok=True)

    on_small_disk(tmp_path / "disk", 30 * PAGE, fill)


def test_a_disk_that_becomes_read_only_ends_the_run_in_words(tmp_path: Path) -> None:
    def close(disk: SmallDisk) -> None:
        run = RunDirectory.create(disk.place / "run", "a: 1\n")
        root = run.path / "checkpoints"
        saved = save(root, 2, newest=1, kibibytes=PAGE)
        run.append("metrics.jsonl", {"step": 2})
        disk.make_read_only()
        for action in (
            lambda: run.append("metrics.jsonl", {"step": 3}),
            lambda: write_atomic(run.path / "rollouts", "x"),
            lambda: save(root, 4, newest=1, kibibytes=PAGE),
        ):
            words = r"cannot be written any more .*Read-only.*make it writable"
            with pytest.raises(DiskError, match=words), naming_disk(run.path):
                action()
        with pytest.raises(RunDirectoryError, match=r"cannot write the run directory .*Read-only"):
            RunDirectory.create(run.path, "a: 1\n", resume=True)
        assert latest(root, lambda said: None) == saved
        assert [record["step"] for record in read_records(run.path / "metrics.jsonl")] == [2]

    on_small_disk(tmp_path / "disk", 20 * PAGE, close)


def test_an_evaluation_on_a_full_disk_goes_on_where_it_was(tmp_path: Path) -> None:
    def scored(problem: int, sample: int) -> Scored:
        return Scored(
            problem_id=f"p{problem}", sample=sample, prompt="x" * 300, reference="1", cluster="", completion="y" * 300,
            finish_reason="stop", num_tokens=1, reasoning_tokens=0, status="wrong", extracted=None, detail="",
            mean_logprob=None, verifier_seconds=0.0,
        )  # fmt: skip

    problems: Any = [type("Problem", (), {"id": f"p{number}"}) for number in range(100)]

    def fill(disk: SmallDisk) -> None:
        run = RunDirectory.create(disk.place / "run", "a: 1\n")

        def draw() -> None:
            for problem in range(len(read_samples(run.path)) // 2, 100):
                append_samples(run.path, [scored(problem, 0), scored(problem, 1)])

        assert "no room is left" in ended(run, draw)
        disk.resize(200 * PAGE)
        kept = cut_to_whole(run.path, problems, 2)
        assert 0 < len(kept) < 100
        draw()
        asked = [(one.problem_id, one.sample) for one in read_samples(run.path)]
        assert asked == [(f"p{number}", sample) for number in range(100) for sample in (0, 1)]
        assert len(by_problem(read_samples(run.path))) == 100

    on_small_disk(tmp_path / "disk", 20 * PAGE, fill)


def test_an_old_checkpoint_that_has_to_go_anyway_goes_early_where_there_is_no_room_beside_it(tmp_path: Path) -> None:
    def fill(disk: SmallDisk) -> None:
        root = disk.place / "checkpoints"
        for step in (2, 4):
            save(root, step, newest=2, kibibytes=10 * PAGE)
        disk.fill(leave_kibibytes=8 * PAGE)
        save(root, 6, newest=2, kibibytes=10 * PAGE)
        assert names(root) == ["step-000004", "step-000006"]

    on_small_disk(tmp_path / "disk", 60 * PAGE, fill)


@pytest.mark.parametrize("newest", [1, 3])
def test_a_save_without_room_is_not_begun_and_the_only_whole_checkpoint_stays(newest: int, tmp_path: Path) -> None:
    def fill(disk: SmallDisk) -> None:
        root = disk.place / "checkpoints"
        whole = save(root, 2, newest=newest, kibibytes=10 * PAGE)
        disk.fill(leave_kibibytes=8 * PAGE)
        with pytest.raises(CheckpointError, match=r"of step 4 is not begun: it needs .* KiB free\. step-000002 is whole"):
            save(root, 4, newest=newest, kibibytes=10 * PAGE)
        assert names(root) == ["step-000002"]
        assert find_fault(whole) is None

    on_small_disk(tmp_path / "disk", 40 * PAGE, fill)


def test_of_surplus_the_last_whole_one_stays_even_if_that_means_to_stop(tmp_path: Path) -> None:
    def fill(disk: SmallDisk) -> None:
        root = disk.place / "checkpoints"
        for step, pages in ((2, 1), (4, 10), (6, 1)):
            save(root, step, newest=3, kibibytes=pages * PAGE)
        (root / "step-000006" / "state.json").unlink()  # broken: 4 is the last whole one
        disk.fill(leave_kibibytes=0)
        with pytest.raises(CheckpointError, match="step-000004 is whole"):
            save(root, 8, newest=1, kibibytes=10 * PAGE)
        assert names(root) == ["step-000004"]

    on_small_disk(tmp_path / "disk", 80 * PAGE, fill)


def test_a_checkpoint_that_cannot_be_removed_does_not_end_the_run(tmp_path: Path) -> None:
    def busy(disk: SmallDisk) -> list[str]:
        root = disk.place / "checkpoints"
        old = save(root, 2, newest=1, kibibytes=PAGE)
        (old / "held").mkdir()
        SmallDisk(old / "held", PAGE)  # whose directory nobody can remove
        save(root, 4, newest=1, kibibytes=PAGE)
        return names(root)

    assert on_small_disk(tmp_path / "disk", 40 * PAGE, busy) == ["step-000002", "step-000004"]


def test_before_the_first_step_it_is_said_whether_the_checkpoints_will_fit(tmp_path: Path, capfd: Any) -> None:
    def look(disk: SmallDisk) -> None:
        root = disk.place / "run" / "checkpoints"
        kibibytes = (free_bytes(root) or 0) / 1024 / 1.06  # of which a checkpoint may be 5 % larger than expected
        each = int(kibibytes / 2.5) * 1024  # two fit
        check_room(root, each, AtOnce(most=2, least=2))
        with pytest.raises(CheckpointError, match=r"has room for 2 checkpoints .* needs it for 3: make room, choose another"):
            check_room(root, each, AtOnce(most=4, least=3))
        check_room(root, each, AtOnce(most=4, least=3), is_certain=False)  # only told
        check_room(root, each, AtOnce(most=3, least=2))  # told, too
        check_room(root, 3 * each, AtOnce(most=0, least=0))  # a run that saves none
        save(root, 2, newest=2, kibibytes=each // 1024)
        check_room(root, each, AtOnce(most=2, least=2))  # one is there, and room for another

    on_small_disk(tmp_path / "disk", 100 * PAGE, look)
    said = capfd.readouterr().err
    assert said.count("has room for 2 checkpoints") == 2
    assert "The size is an estimate, so the run goes on" in said
    assert "up to 3 are there at one time, so old ones go before new ones are whole" in said


def test_what_has_nothing_to_do_with_the_disk_passes_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), naming_disk(tmp_path):
        raise PermissionError(13, "Permission denied", "/etc/elsewhere")
    with pytest.raises(DiskError, match="cannot be written any more"), naming_disk(tmp_path):
        raise PermissionError(13, "Permission denied", str(tmp_path / "metrics.jsonl"))
    with pytest.raises(ValueError, match="wrong"), naming_disk(tmp_path):
        raise ValueError("wrong")
    for number in (errno.EIO, errno.ESTALE):  # a file server may be back by the next start
        with pytest.raises(FailingDiskError, match="fails"), naming_disk(tmp_path):
            raise OSError(number, "Input/output error")
    assert np.isfinite(free_bytes(tmp_path / "not" / "there") or 0)
