"""The cost and scale sheet: rates out of runs, seconds by hand, and that nothing is said where nothing was measured."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from launch.train import train_command
from problems.errors import LabError
from rl.settings.model_files import ModelShape
from rl.settings.rates import line, seen
from rl.settings.schema import RunConfig
from rl.settings.sheet import Asked, Seconds, make_sheet
from rl.settings.sheet_words import as_record, lines

SMALL = ModelShape(layers=2, hidden=8, intermediate=16, vocabulary=32, heads=2, kv_heads=1, head_dim=4, tied=True)
DATA: dict[str, Any] = {
    "run": {"name": "a"},
    "model": {"path": "m"},
    "problems": [{"domain": "chain"}],
    "algorithm": {"num_problems": 8, "group_size": 4},
    "sampling": {"max_completion_tokens": 30},
    "train": {"steps": 36},
}
METRICS = {
    "completions/mean_length": 20.0,
    "groups/sampled": 10,
    "batch/rows": 32,
}
# of all steps but the first and the one with an evaluation
TIMING = {"sample": 4.0, "score": 0.5, "train": 3.0, "step_time": 8.0}


def config(**sections: Any) -> RunConfig:
    return RunConfig.model_validate({**DATA, **sections})


def made_run(
    place: Path, *, ranks: int = 1, scale: float = 1.0, seconds: float = 1.0, settings: dict[str, Any] | None = None
) -> Path:
    """Write the directory of a run whose steps are `scale` times the usual size and take `seconds` times as long."""
    place.mkdir()
    algorithm = {"num_problems": int(8 * scale), "group_size": 4}
    (place / "config.yaml").write_text(json.dumps({**DATA, "algorithm": algorithm, **(settings or {})}))
    (place / "provenance.json").write_text(json.dumps({"world_size": ranks}))
    size = {name: value if name.startswith("completions") else value * scale for name, value in METRICS.items()}
    usual = {name: value * seconds for name, value in TIMING.items()}
    # 40 rollouts, each of a prompt of 10 and a completion of 20
    metrics = [{"step": step, "num_tokens": 40 * 30 * scale * step, **size} for step in range(1, 5)]
    metrics[2]["eval/accuracy"] = 0.2
    timing = [{"step": step, **usual} for step in range(1, 5)]
    timing[0] = {"step": 1, **{name: 100 * value for name, value in usual.items()}}
    timing[2]["step_time"] = 1000
    baseline = {"step": 0, "eval/accuracy": 0.1}
    (place / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in [baseline, *metrics]))
    (place / "timing.jsonl").write_text("".join(json.dumps(record) + "\n" for record in timing) + '{"step": 5, "sam')
    return place


def test_a_run_tells_its_rates_without_its_first_step_and_evaluations(tmp_path: Path) -> None:
    found = seen(made_run(tmp_path / "run"))
    assert (found.ranks, found.steps) == (1, 2)
    assert (found.sampling, found.rewards, found.update, found.rest) == (4.0, 0.5, 3.0, 0.5)
    work = found.work
    assert (work.groups, work.trained_groups, work.prompt_tokens, work.completion_tokens) == (10, 8, 10, 20)


def test_what_is_no_run_or_has_no_rates_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError):
        seen(tmp_path)
    short = made_run(tmp_path / "short")
    (short / "timing.jsonl").write_text(json.dumps({"step": 1, **TIMING}) + "\n")
    with pytest.raises(LabError, match=r"no step to take rates from.*train\.steps=6"):
        seen(short)
    unknown = made_run(tmp_path / "unknown")
    (unknown / "provenance.json").write_text("{}")
    with pytest.raises(LabError, match="does not tell how many ranks"):
        seen(unknown)
    beside = made_run(tmp_path / "beside", settings={"train": {"steps": 9, "one_step_off": True}})
    with pytest.raises(LabError, match="one_step_off"):
        seen(beside)
    (resumed := made_run(tmp_path / "resumed")).joinpath("resumes.jsonl").write_text("{}\n")
    with pytest.raises(LabError, match="was resumed, maybe on other ranks"):
        seen(resumed)


@pytest.mark.parametrize(
    ("amounts", "seconds", "fixed", "each"),
    [
        ([10, 20], [3.0, 5.0], 1.0, 0.2),
        ([10], [3.0], 0, 0.3),  # one size: all of it goes with the size
        ([100, 101], [3.0, 6.0], 0, 4.5 / 100.5),  # the same, measured twice: a slope through them would be noise
        ([10, 20], [5.0, 4.0], 4.5, 0),  # less work took longer: the same at any size
        ([10, 20], [1.0, 4.0], 0, 0.18),  # not less than none at no size: (10 x 1 + 20 x 4) / (100 + 400)
    ],
)
def test_a_line_through_what_was_measured(amounts: list[float], seconds: list[float], fixed: float, each: float) -> None:
    found = line(amounts, seconds)
    assert (found.fixed, found.each) == pytest.approx((fixed, each))


def seconds_on(ranks: int, **asked: Any) -> Seconds:
    sheet = make_sheet(config(), SMALL, ranks, Asked(**asked))
    [column] = [column for column in sheet.columns if column.ranks == ranks]
    assert column.seconds is not None
    return column.seconds


def test_seconds_by_hand(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run")
    assert seconds_on(1, rates=(run,)) == Seconds(sampling=4.0, rewards=0.5, update=3.0, sending=0.0, rest=0.5)
    # on four ranks a quarter each; what every rank does with all rollouts stays
    alone = seconds_on(4, rates=(run,))
    assert alone == Seconds(sampling=1.0, rewards=0.125, update=0.75, sending=None, rest=0.5)
    assert alone.step == 2.375  # of what is known
    # an all-reduce of 1,408 float32: 8,448 bytes; rollouts: 10 groups x (600 + 80 + 4 x (450 + 320)) x 3 / 4 = 28,200
    sending = seconds_on(4, rates=(run,), bandwidth=36_648.0).sending
    assert sending == pytest.approx(1.0)
    assert seconds_on(4, rates=(run,), bandwidth=3_664.8).bound_by == "sending"
    assert alone.bound_by == "sampling"


def test_a_second_size_tells_what_a_step_takes_whatever_its_size(tmp_path: Path) -> None:
    # half the work in three quarters of the time: half of it does not go with the size
    runs = (made_run(tmp_path / "run"), made_run(tmp_path / "half", scale=0.5, seconds=0.75))
    found = seconds_on(4, rates=runs, bandwidth=1e12)
    assert found.sampling == pytest.approx(2.0 + 2.0 / 4)
    assert found.update == pytest.approx(1.5 + 1.5 / 4)
    assert found.rest == pytest.approx(0.5)  # of all rollouts, as many as before
    words = "\n".join(lines(make_sheet(config(), SMALL, 4, Asked(rates=runs))))
    assert "of one size only" not in words


def test_ranks_on_the_cores_of_one_machine_share_them(tmp_path: Path) -> None:
    one_thread = {"train": {"threads": 1}}
    run = made_run(tmp_path / "run", settings=one_thread)
    asked = Asked(rates=(run,), cores=2, bandwidth=1e12)
    sheet = make_sheet(config(**one_thread), SMALL, 4, asked)
    by_ranks = {column.ranks: column.seconds for column in sheet.columns}
    assert by_ranks[1] is not None
    assert by_ranks[4] is not None
    assert by_ranks[1].sampling == 4.0
    assert by_ranks[4].sampling == pytest.approx(4.0 / 4 * 2)  # half a core each
    assert by_ranks[4].rest == pytest.approx(0.5 * 2)
    # without train.threads one rank had both cores, and four have a quarter of that each
    both = make_sheet(config(), SMALL, 4, replace(asked, rates=(made_run(tmp_path / "both"),)))
    assert [column.seconds.sampling for column in both.columns if column.ranks == 4 and column.seconds] == [4.0]


def test_rates_of_several_ranks_need_the_bandwidth_to_leave_out_what_they_sent(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run", ranks=2)
    with pytest.raises(LabError, match=r"made by 2 ranks.*takes --bandwidth"):
        make_sheet(config(), SMALL, 2, Asked(rates=(run,)))
    # they sent 2 x 1/2 x 1,408 x 4 = 5,632 bytes: a second of the three at that bandwidth
    found = seconds_on(2, rates=(run,), bandwidth=5_632.0)
    assert found.update == pytest.approx(2.0)
    assert found.sampling == pytest.approx(4.0)


def test_rates_of_another_model_are_refused(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run", settings={"model": {"path": "other"}})
    with pytest.raises(LabError, match=r"model\.path other and this run m"):
        make_sheet(config(), SMALL, 1, Asked(rates=(run,)))


def test_rates_that_were_made_with_other_settings_say_so(tmp_path: Path) -> None:
    run = made_run(
        tmp_path / "run", settings={"train": {"steps": 6, "micro_batch_tokens": 512}, "optimizer": {"warmup_steps": 1}}
    )
    text = "\n".join(lines(make_sheet(config(), SMALL, 1, Asked(rates=(run,)))))
    assert f"{run} had other settings: train.micro_batch_tokens 512 there, 16384 here\n" in text
    same = made_run(tmp_path / "same", settings={"train": {"steps": 6}})
    assert "other settings" not in "\n".join(lines(make_sheet(config(), SMALL, 1, Asked(rates=(same,)))))


def test_sampling_beside_the_update_takes_the_longer_of_both() -> None:
    assert Seconds(sampling=4, rewards=1, update=3, sending=1, rest=0.5, beside=True).step == 5.5
    assert Seconds(sampling=1, rewards=1, update=3, sending=1, rest=0.5, beside=True).step == 4.5


def test_without_rates_only_bytes_and_tokens_are_told() -> None:
    sheet = make_sheet(config(), SMALL, 2, Asked())
    text = "\n".join(lines(sheet))
    assert "32 completions of 30 tokens (the limit) = 960; prompts come on top" in text
    assert "each rank sends in a step at least, for prompts make it more micro-batches, (ZeRO" in text
    assert "at least" not in "\n".join(lines(make_sheet(config(), SMALL, 2, Asked(prompt_tokens=10))))
    assert "times: not known; they are taken from a run" in text
    assert "64  cannot: algorithm.num_problems = 8 groups" in text
    record = as_record(sheet)
    assert [column["ranks"] for column in record["ranks"]] == [1, 2, 8, 64]
    assert [column["seconds"] for column in record["ranks"]] == [None] * 4
    assert [column["sent"] is None for column in record["ranks"]] == [False, False, False, True]
    unknown = make_sheet(config(), None, 2, Asked())
    assert all(column["sent"] is None for column in as_record(unknown)["ranks"])
    json.dumps(record, allow_nan=False)


def test_the_command_prints_the_sheet_and_its_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "model"
    model.mkdir()
    about = {"num_hidden_layers": 2, "hidden_size": 8, "intermediate_size": 16, "vocab_size": 32, "num_attention_heads": 2}
    (model / "config.json").write_text(json.dumps(about))
    run = made_run(tmp_path / "run", settings={"model": {"path": str(model)}})
    chosen = ["run.name=a", f"model.path={model}", "problems=[{domain: chain}]", "algorithm={num_problems: 8, group_size: 4}"]
    assert train_command([*chosen, "--dry-run", "--rates", str(run), "--bandwidth", "0.001", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)["sheet"]
    assert record["completion_tokens_a_step"] == 800  # 10 groups of 4, of 20 tokens each
    eight = next(column for column in record["ranks"] if column["ranks"] == 8)
    assert eight["seconds"]["bound_by"] == "sampling"
    assert eight["seconds"]["steps_a_day"] == pytest.approx(86_400 / eight["seconds"]["step"])
    assert train_command([*chosen, "--rates", str(run)]) == 2
    assert "are of --dry-run" in capsys.readouterr().err
