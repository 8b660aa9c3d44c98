"""A checkpoint is whole or not there, whenever the process that writes it is killed, and whatever stands beside it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from crashes import killed_before_each_change

from rl.tracking import checkpoint
from rl.tracking.checkpoint import CheckpointError, Kept, find_fault, latest, list_checkpoints
from rl.tracking.run_directory import write_atomic


def save(root: Path, step: int, *, newest: int = 1, best: int | None = None, text: str = "") -> Path:
    """Write a checkpoint of three small files, one of them on all ranks."""

    def on_all(directory: Path) -> None:
        (directory / "engine").mkdir()
        (directory / "engine" / "shard").write_text(f"{text} weights of {step}")

    def on_first(directory: Path) -> None:
        (directory / "model").write_text(f"{text} model of {step}")
        write_atomic(directory / "state.json", json.dumps({"step": step}))

    return checkpoint.write(root, step, Kept(newest=newest, best_step=best), on_all, on_first)


def tree(root: Path) -> dict[str, bytes]:
    """Return all files by their names, hidden ones too."""
    return {str(file.relative_to(root)): file.read_bytes() for file in sorted(root.rglob("*")) if file.is_file()}


def names(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


SCENES: dict[str, tuple[list[int], int, int]] = {
    # steps that are there, the one that is saved, how many are kept
    "the first": ([], 2, 1),
    "the second, and only one is kept": ([2], 4, 1),
    "the third, and two are kept": ([2, 4], 6, 2),
    "one of a step that is there already, the only one": ([4], 4, 1),
}


@pytest.mark.slow
@pytest.mark.parametrize("scene", SCENES)
def test_a_save_that_is_killed_before_any_of_its_changes_costs_nothing(scene: str, tmp_path: Path) -> None:
    before, step, newest = SCENES[scene]
    root, undisturbed = tmp_path / "root", tmp_path / "undisturbed"
    for one in before:
        save(undisturbed, one, newest=newest, text="old")
    untouched = shutil.copytree(undisturbed, tmp_path / "untouched") if before else None
    save(undisturbed, step, newest=newest, text="new")

    def made_ready() -> Path:
        shutil.rmtree(root, ignore_errors=True)
        if untouched is not None:
            shutil.copytree(untouched, root)
        return root

    kills = 0
    for kills in killed_before_each_change(lambda: save(root, step, newest=newest, text="new"), made_ready):
        said: list[str] = []
        found = latest(root, said.append)
        if untouched is not None:
            assert found is not None, f"killed before change {kills}: no checkpoint is left, {names(root)}"
            content = {str(file.relative_to(found)): file.read_bytes() for file in found.rglob("*") if file.is_file()}
            wholes = [undisturbed / f"step-{step:06d}", untouched / f"step-{before[-1]:06d}"]
            assert content in [tree(whole) for whole in wholes]
        save(root, step, newest=newest, text="new")  # what a resumed run does
        assert tree(root) == tree(undisturbed), f"killed before change {kills}"
        assert names(root) == names(undisturbed)
    assert kills > 6, "the changes of a save are counted"


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda file: file.write_bytes(file.read_bytes()[:-1]), "bytes, expected"),
        (lambda file: file.write_bytes(bytes([file.read_bytes()[0] ^ 1]) + file.read_bytes()[1:]), "its sha256 differs"),
        (lambda file: file.unlink(), "is missing"),
    ],
    ids=["cut short", "one bit flipped", "gone"],
)
@pytest.mark.parametrize("name", ["engine/shard", "model", "state.json"])
def test_a_damaged_file_is_found_and_the_one_before_is_used(name: str, damage: Any, fault: str, tmp_path: Path) -> None:
    first, second = save(tmp_path, 2, newest=2), save(tmp_path, 4, newest=2)
    damage(second / name)
    assert fault in (find_fault(second) or "")
    said: list[str] = []
    assert latest(tmp_path, said.append) == first
    assert len(said) == 1
    assert f"{second} is not whole: {name}" in said[0]


ABSURD = {
    "empty": "",
    "no JSON": "{",
    "a list": "[]",
    "a number": "7",
    "no files": '{"step": 4}',
    "files that are a list": '{"files": ["model"]}',
    "files that are none": '{"files": {"state.json": 3}}',
    "a size that is a text": '{"files": {"state.json": {"bytes": "many", "sha256": ""}}}',
    "a size without end": '{"files": {"state.json": {"bytes": Infinity, "sha256": ""}}}',
    "nothing in it": '{"files": {}}',
    "nesting without end": "[" * 100_000,
    "no UTF-8": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("content", ABSURD.values(), ids=ABSURD)
def test_a_manifest_that_says_something_absurd_is_a_fault_and_no_error(content: str | bytes, tmp_path: Path) -> None:
    first, second = save(tmp_path, 2, newest=2), save(tmp_path, 4, newest=2)
    (second / "manifest.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert "manifest.json" in (find_fault(second) or "")
    assert latest(tmp_path, lambda said: None) == first


def test_a_manifest_of_names_that_no_file_can_have_is_a_fault(tmp_path: Path) -> None:
    saved = save(tmp_path, 2)
    manifest = json.loads((saved / "manifest.json").read_text())
    for name in ("a" * 5000, "nul\0", ".."):
        files = {**manifest["files"], name: {"bytes": 0, "sha256": ""}}
        (saved / "manifest.json").write_text(json.dumps({"files": files}))
        assert find_fault(saved) is not None


def test_what_is_named_otherwise_is_no_checkpoint_and_stays(tmp_path: Path) -> None:
    strangers = [
        "step-000003.bak",
        "step-abc",
        "step-",
        "step-4",
        "step-000001 (copy)",
        "step-\u0661\u0661\u0661\u0661\u0661\u0661",
        "notes",
    ]
    for name in strangers:
        (tmp_path / name).mkdir()
    (tmp_path / "step-000009").write_text("a file")
    kept = [save(tmp_path, step, newest=2) for step in (2, 4, 6)][1:]
    assert list_checkpoints(tmp_path) == kept
    assert latest(tmp_path, lambda said: None) == kept[-1]
    assert all((tmp_path / name).is_dir() for name in strangers)


def test_a_broken_checkpoint_of_a_later_step_does_not_push_out_the_new_one(tmp_path: Path) -> None:
    save(tmp_path, 6, newest=2)
    broken = save(tmp_path, 8, newest=2)
    (broken / "model").unlink()
    # resumed from step 6, with another checkpoint.every_steps
    assert latest(tmp_path, lambda said: None) == tmp_path / "step-000006"
    new = save(tmp_path, 7, newest=1)
    assert find_fault(new) is None
    assert latest(tmp_path, lambda said: None) == new
    save(tmp_path, 8, newest=1)
    assert names(tmp_path) == ["step-000008"]


def test_the_newest_and_the_best_stay(tmp_path: Path) -> None:
    for step in range(1, 7):
        save(tmp_path, step, newest=2, best=min(step, 2))
    assert names(tmp_path) == ["step-000002", "step-000005", "step-000006"]


def test_what_killed_saves_left_is_removed_by_the_next_one_whatever_its_step(tmp_path: Path) -> None:
    (tmp_path / ".step-000003.tmp" / "engine").mkdir(parents=True)
    (tmp_path / ".step-000003.tmp" / "engine" / "shard").write_bytes(bytes(100))
    save(tmp_path, 4)
    assert names(tmp_path) == ["step-000004"]


def test_a_save_that_fails_leaves_nothing_half_done(tmp_path: Path) -> None:
    save(tmp_path, 2)

    def fails(directory: Path) -> None:
        (directory / "shard").write_bytes(bytes(100))
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        checkpoint.write(tmp_path, 4, Kept(newest=1), fails, lambda directory: None)
    assert names(tmp_path) == ["step-000002"]


def test_a_run_whose_checkpoints_are_all_damaged_does_not_begin_anew(tmp_path: Path) -> None:
    assert latest(tmp_path, lambda said: None) is None
    for step in (2, 4):
        (save(tmp_path, step, newest=2) / "state.json").write_text("{}")
    said: list[str] = []
    with pytest.raises(CheckpointError, match=r"holds 2 checkpoints and none is whole.* or move .* away and begin anew"):
        latest(tmp_path, said.append)
    assert len(said) == 2
