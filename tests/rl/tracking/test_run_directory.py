"""The run directory: files whole or not at all, records that survive a kill, and clear refusals."""

import json
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from crashes import in_child

from problems.errors import LabError
from problems.telling import plain
from rl.tracking.run_directory import RunDirectory, RunDirectoryError, provenance, read_records, write_atomic


def test_a_file_is_replaced_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_atomic(path, "old")
    write_atomic(path, "n\u00e9w")
    assert path.read_text(encoding="utf-8") == "n\u00e9w"
    write_atomic(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_a_write_that_fails_leaves_no_partial_file(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    (taken / "inside").mkdir(parents=True)  # a name that cannot be replaced by a file
    with pytest.raises(OSError, match="taken"):
        write_atomic(taken, "data")
    assert [file.name for file in tmp_path.iterdir()] == ["taken"]


def test_nan_and_infinity_become_null_at_any_depth() -> None:
    row = {"a": float("nan"), "b": [1.5, float("inf"), {"c": -float("inf")}], "d": (1, "x", None), "e": True}
    assert plain(row) == {"a": None, "b": [1.5, None, {"c": None}], "d": [1, "x", None], "e": True}


def test_records_are_read_back_as_strict_json(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "run", "a: 1\n")
    run.append("metrics.jsonl", {"step": 1, "loss": float("nan")})
    run.append("metrics.jsonl", {"step": 2, "text": "\u2028\n"})
    assert list(read_records(run.path / "metrics.jsonl")) == [{"step": 1, "loss": None}, {"step": 2, "text": "\u2028\n"}]
    assert "NaN" not in (run.path / "metrics.jsonl").read_text()


@pytest.mark.parametrize("torn", ['{"step": 3, "lo', '{"step": 3, "lo\n', "{", "\n", ""])
def test_a_torn_last_line_is_left_out(tmp_path: Path, torn: str) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n' + torn)
    assert [row["step"] for row in read_records(path)] == [1, 2]


def test_a_broken_line_further_up_is_damage_and_not_a_torn_end(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2, "lo\n{"step": 3}\n')
    with pytest.raises(RunDirectoryError, match=r"metrics\.jsonl line 2 is not JSON"):
        list(read_records(path))


def test_no_file_has_no_records(tmp_path: Path) -> None:
    assert list(read_records(tmp_path / "none.jsonl")) == []


def test_a_resumed_run_cuts_what_came_after_its_checkpoint(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "run", "a: 1\n")
    (run.path / "rollouts").mkdir()
    for step in range(1, 6):
        run.append("metrics.jsonl", {"step": step, "loss": float("nan")})
        run.append("timing.jsonl", {"step": step})
        (run.path / "rollouts" / f"step-{step:06d}.jsonl.gz").write_bytes(b"x")
    with open(run.path / "metrics.jsonl", "a") as file:
        file.write('{"step": 6, "lo')  # killed here
    before = (run.path / "metrics.jsonl").read_bytes().split(b"\n")
    run.cut_after(3)
    run.append("metrics.jsonl", {"step": 4})
    assert [row["step"] for row in read_records(run.path / "metrics.jsonl")] == [1, 2, 3, 4]
    assert (run.path / "metrics.jsonl").read_bytes().split(b"\n")[:3] == before[:3]  # byte for byte
    assert [row["step"] for row in read_records(run.path / "timing.jsonl")] == [1, 2, 3]
    assert sorted(file.name for file in (run.path / "rollouts").iterdir()) == [f"step-{n:06d}.jsonl.gz" for n in (1, 2, 3)]


def test_a_run_is_not_written_over_unless_it_is_resumed(tmp_path: Path) -> None:
    RunDirectory.create(tmp_path / "run", "a: 1\n")
    with pytest.raises(RunDirectoryError, match=r"already holds a run; continue it with --resume, choose another run\.name"):
        RunDirectory.create(tmp_path / "run", "a: 2\n")
    assert (tmp_path / "run" / "config.yaml").read_text() == "a: 1\n"
    RunDirectory.create(tmp_path / "run", "a: 2\n", resume=True)
    assert (tmp_path / "run" / "config.yaml").read_text() == "a: 2\n"


def test_a_place_that_cannot_be_written_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunDirectoryError, match=r"cannot write the run directory .*; choose another run\.dir"):
        RunDirectory.create(tmp_path / "file" / "run", "a: 1\n")


def test_the_status_says_how_the_run_stands(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "deep" / "run", "a: 1\n")
    assert json.loads((run.path / "status.json").read_text())["status"] == "running"
    run.set_status("failed", step=3, accuracy=float("nan"))
    status = json.loads((run.path / "status.json").read_text())
    assert (status["status"], status["step"], status["accuracy"], status["pid"]) == ("failed", 3, None, os.getpid())


def test_the_first_rank_that_fails_is_believed_and_told_so(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "run", "")
    assert run.set_failure(LabError("the cause"))
    assert not run.set_failure(LabError("what follows from it"))
    assert "the cause" in (tmp_path / "run/status.json").read_text()


def test_provenance_names_versions_and_the_command() -> None:
    found = provenance()
    assert found["packages"]["numpy"]
    assert found["argv"]
    assert json.dumps(found)


def test_what_write_atomic_of_a_killed_process_left_goes_when_the_run_is_resumed(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "run", "a: 1\n")
    (run.path / "rollouts").mkdir()
    ended = in_child(lambda: killed_before_renaming(run.path / "rollouts" / "step-000001.jsonl.gz"))
    assert ended.status == -signal.SIGKILL
    assert [file.name.startswith(".step-000001.jsonl.gz.tmp") for file in (run.path / "rollouts").iterdir()] == [True]
    (run.path / ".metrics.jsonl.tmp17-17").write_text("half")
    RunDirectory.create(tmp_path / "run", "a: 1\n", resume=True)
    assert sorted(file.name for file in run.path.rglob("*")) == ["config.yaml", "provenance.json", "rollouts", "status.json"]


def killed_before_renaming(path: Path) -> None:
    def kill(event: str, arguments: object) -> None:
        if event == "os.rename":
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(kill)
    write_atomic(path, "data")


def test_a_process_that_is_killed_loses_no_record_that_was_appended(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "run", "a: 1\n")

    def log() -> None:
        for step in range(1, 101):
            run.append("metrics.jsonl", {"step": step})
        os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(log).status == -signal.SIGKILL
    assert [record["step"] for record in read_records(run.path / "metrics.jsonl")] == list(range(1, 101))


def test_records_are_on_disk_once_a_second_and_all_of_them_before_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunDirectory.create(tmp_path / "run", "a: 1\n")
    synced: list[str] = []
    now = 100.0
    monkeypatch.setattr("os.fsync", lambda handle: synced.append(Path(os.readlink(f"/proc/self/fd/{handle}")).name))
    monkeypatch.setattr("time.monotonic", lambda: now)
    for now in (100.0, 100.5, 100.9):  # the clock above
        run.append("metrics.jsonl", {"step": now})
    assert synced == ["metrics.jsonl"]
    now = 101.0
    run.append("metrics.jsonl", {"step": now})
    run.append("timing.jsonl", {"step": now})
    assert synced == ["metrics.jsonl", "metrics.jsonl", "timing.jsonl"]
    run.sync()
    assert synced[3:] == ["metrics.jsonl", "timing.jsonl"]


def test_two_threads_that_write_one_file_leave_one_of_the_two_whole(tmp_path: Path) -> None:
    contents = [str(number) * 100_000 for number in range(2)]

    def write(content: str) -> None:
        for _ in range(20):
            write_atomic(tmp_path / "status.json", content)

    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(write, content) for content in contents]:
            done.result()
    assert (tmp_path / "status.json").read_text() in contents
    assert [file.name for file in tmp_path.iterdir()] == ["status.json"]
