"""A run has one home for its state, and may go on cut otherwise."""

from dataclasses import fields
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from problems.errors import LabError
from rl.settings.loading import describe, load_config
from rl.settings.schema import RunConfig, SftConfig
from rl.sft import check_rows
from rl.start import WITH_STATE, WITHOUT_STATE, Parts, check_same_run
from rl.tracking import checkpoint
from rl.tracking.run_directory import RunDirectoryError
from rl.types import RungState, TrainState


def test_every_part_of_a_run_is_saved_or_says_why_it_needs_not_be() -> None:
    assert sorted([*WITH_STATE, *WITHOUT_STATE]) == sorted(field.name for field in fields(Parts))


def test_what_can_be_saved_into_a_checkpoint_is() -> None:
    for name, hint in get_type_hints(Parts).items():
        kinds = get_args(hint) or (hint,)  # of `Reference | None` both
        has_state = any(hasattr(kind, "save") and hasattr(kind, "load") for kind in kinds)
        assert has_state == (name in WITH_STATE), name


class Counter:
    """A part that joins."""

    def __init__(self, count: int) -> None:
        self.count = count

    def save(self, directory: Path) -> None:
        (directory / "count").write_text(str(self.count))

    def load(self, directory: Path) -> None:
        self.count = int((directory / "count").read_text())


def test_parts_and_state_come_back_and_another_cut_is_said(tmp_path: Path) -> None:
    state = TrainState(step=3, cursor=24, rungs=(RungState(name="terms=2", stand="open", taken=5),), wandb_id="abc")
    path = checkpoint.save(tmp_path, [Counter(7)], state, 1, lambda directory: None, zero_stage=2)
    said: list[str] = []
    part = Counter(0)
    assert checkpoint.load(path, [part], said.append, zero_stage=2) == state
    assert part.count == 7
    assert said == []
    checkpoint.load(path, [part], said.append, zero_stage=3)
    assert len(said) == 1
    assert "zero_stage 2 then, 3 now" in said[0]


def text(*settings: str) -> str:
    chosen = ["run.name=x", "model.path=x", "problems=[{domain: chain}]", *settings]
    return describe(load_config(RunConfig, [], chosen))


@pytest.mark.parametrize(
    "setting",
    ["deepspeed.stage=3", "train.micro_batch_tokens=99", "train.layout=padded", "model.gradient_checkpointing=true"],
)
def test_how_the_work_is_cut_may_change_and_is_said(setting: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.yaml").write_text(text())
    check_same_run(tmp_path, text(setting))
    assert f"{setting.partition('=')[0]} was " in capsys.readouterr().err
    with pytest.raises(RunDirectoryError, match=r"optimizer\.learning_rate"):
        check_same_run(tmp_path, text(setting, "optimizer.learning_rate=1e-4"))


def test_a_cold_start_goes_on_with_as_many_rows_a_step_as_before(tmp_path: Path) -> None:
    def config(rows: int) -> SftConfig:
        chosen = [f"run.dir={tmp_path}", "run.name=x", "model.path=x", "problems=[{domain: chain}]", f"sft.rows={rows}"]
        return load_config(SftConfig, [], chosen).config

    # two ranks of 4 rows, and now there is one
    check_rows(config(8), {"world_size": 2, "rows_a_step": 8})
    with pytest.raises(LabError, match=r"begun with 8 rows a step.*would make it 4: set sft\.rows=8"):
        check_rows(config(4), {"world_size": 2, "rows_a_step": 8})
    older = {"world_size": 2}
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "config.yaml").write_text("sft: {rows: 4}\n")
    check_rows(config(8), older)
    with pytest.raises(LabError, match=r"set sft\.rows=8"):
        check_rows(config(4), older)
