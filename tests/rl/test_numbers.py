"""A number that is not finite, planted in a weight, a gradient, a reward or a log-probability, is named and does no harm."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from planted_numbers import PLANTS, ROW, TOKEN, WEIGHT, open_skipping, same, sound_batch, whole_state
from support import forked, forked_ranks, random_groups, rows

from rl.groups import with_kl
from rl.replay import Replayer, in_lines
from rl.runtime import process_group
from rl.skipping import Skipping, StoppedNotFinite
from rl.tracking.dumps import DumpError, list_dumps, pack_rows, read_dump, unpack_rows, write_dump
from rl.types import Row
from rl.update.fingerprint import Fingerprints, WeightsDisagree, apart, check_fingerprints, fingerprints, odd_one

PLAIN = ("deepspeed.stage=0", "model.dtype=fp32")
SHARDED = ("deepspeed.stage=2", "model.dtype=bf16")


@pytest.fixture(autouse=True, scope="module")
def alone() -> Iterator[None]:
    torch.set_num_threads(1)
    with process_group():
        yield


def spoilt(tmp_path: Path, model: Path, plant: str, *settings: str) -> tuple[Skipping, list[str], dict[str, object]]:
    """Do an update with a planted number, as step 5."""
    skipping, said = open_skipping(tmp_path / "run", model, *settings)
    batch = PLANTS[plant](skipping, sound_batch(skipping))
    metrics = skipping.update(batch, 4)
    skipping.engine.finish()
    return skipping, said, metrics


@pytest.mark.parametrize("settings", [PLAIN, SHARDED], ids=["fp32", "bf16 ZeRO 2"])
def test_updates_that_are_left_out_leave_no_trace(tmp_path, random_model, settings):
    states = []
    for name, plants in (("spoilt", [None, "sampling", "gradient", None]), ("sound", [None, None])):
        skipping, said = open_skipping(tmp_path / name, random_model, *settings)
        batch = sound_batch(skipping)
        counts = [skipping.update(PLANTS[one](skipping, batch) if one else batch, 4)["skipped_updates"] for one in plants]
        assert counts == [int(one is not None) for one in plants]
        assert (len(said), skipping.in_a_row) == (sum(counts), 0)
        states.append(whole_state(skipping.engine))
        skipping.engine.finish()
    assert same(*states)


def test_a_sampling_log_probability_is_named_and_its_dump_replays_to_the_same(tmp_path, random_model):
    skipping, (said,), metrics = spoilt(tmp_path, random_model, "sampling", *PLAIN)
    assert metrics == {"skipped_updates": 1}
    problem = sound_batch(skipping).rows[ROW].problem_id
    assert said.startswith(f"step 5: the sampling log-probability is nan: row {ROW}, problem {problem}, token {TOKEN}. The upd")
    dump = read_dump(tmp_path / "run/dumps/step-000005")
    replay = Replayer(dump).replay()
    assert math.isnan(replay.loss)
    assert (replay.row, replay.token) == (ROW, TOKEN)
    assert [row.row for row in replay.rows if row.not_finite] == [ROW]
    assert replay.record()["loss"] == dump.found["met"]["value"] == "nan"


def test_a_gradient_is_followed_to_its_row_and_parameter_and_replays_to_the_same(tmp_path, random_model):
    _, (said,), _ = spoilt(tmp_path, random_model, "gradient", *PLAIN)
    dump = read_dump(tmp_path / "run/dumps/step-000005")
    # the backward pass comes to the last norm first
    assert "the gradient is not finite, first in model.norm.weight" in said
    assert f"row {ROW}, problem {dump.rows[ROW].problem_id}, rank 0, micro-batch" in said
    replay = Replayer(dump).replay()
    assert math.isfinite(replay.loss)
    assert replay.grad_norm == math.inf
    assert (replay.row, replay.parameter) == (ROW, "model.norm.weight")
    assert dump.found["culprit"]["parameter"] == replay.parameter
    sound = Replayer(dump).replay(only=ROW - 1)  # the row beside it has nothing
    assert math.isfinite(sound.grad_norm)
    assert (sound.row, sound.parameter) == (ROW - 1, None)


def test_a_gradient_that_a_hook_spoils_is_met_at_that_parameter(tmp_path, random_model):
    skipping, said = open_skipping(tmp_path / "run", random_model, *PLAIN)
    parameter = dict(skipping.engine.policy.named_parameters())[WEIGHT]
    parameter.register_hook(lambda gradient: gradient * math.nan)
    before = whole_state(skipping.engine)
    assert skipping.update(sound_batch(skipping), 0) == {"skipped_updates": 1}
    assert f"the gradient is not finite, first in {WEIGHT} (nan)" in said[0]
    assert same(before, whole_state(skipping.engine))
    skipping.engine.finish()


def test_weights_that_are_not_finite_are_named_instead_of_a_row_and_end_the_run_at_once(tmp_path, random_model):
    with pytest.raises(StoppedNotFinite, match=rf"step 5: the weights of {WEIGHT} are not finite .*earlier checkpoint") as met:
        spoilt(tmp_path, random_model, "weight", *PLAIN)
    assert "row" not in str(met.value).partition(". No update")[0].removeprefix("step")
    dump = read_dump(tmp_path / "run/dumps/step-000005")
    replay = Replayer(dump).replay()
    assert replay.weights == (WEIGHT,)
    assert replay.module == WEIGHT.removesuffix(".weight")
    assert math.isnan(replay.loss)


def test_log_probabilities_that_overflow_are_found_where_plain_torch_finds_them(tmp_path, random_model):
    skipping, (said,), _ = spoilt(tmp_path, random_model, "logits", *PLAIN)
    dump = read_dump(tmp_path / "run/dumps/step-000005")
    row, token = dump.found["culprit"]["row"], dump.found["culprit"]["token"]
    assert f"row {row}, problem {dump.rows[row].problem_id}, token {token}" in said
    ids = torch.from_numpy(np.concatenate([dump.rows[row].prompt_ids, dump.rows[row].completion_ids]).astype(np.int64))
    with torch.no_grad():
        logits = skipping.engine.policy(input_ids=ids[None]).logits[0, len(dump.rows[row].prompt_ids) - 1 : -1]
    found = logits.log_softmax(-1).gather(-1, torch.from_numpy(dump.rows[row].completion_ids.astype(np.int64))[:, None])[:, 0]
    assert torch.nonzero(~found.isfinite())[0].item() == token
    replay = Replayer(dump).replay(only=row)
    assert (replay.row, replay.token, replay.module) == (row, token, "the logits of the LM head")
    assert replay.logprobs is not None
    again = torch.tensor(replay.logprobs)
    assert torch.equal(again.isfinite(), found.isfinite())
    assert torch.allclose(again[again.isfinite()], found[found.isfinite()], rtol=1e-4, atol=1e-5)
    assert f"row {row} (problem {dump.rows[row].problem_id}), token {token}: the log-probability is" in "\n".join(
        in_lines(dump, replay)
    )


def test_a_run_goes_on_after_as_many_updates_as_allowed_and_no_more(tmp_path, random_model):
    skipping, said = open_skipping(tmp_path / "run", random_model, "train.skip_updates=2", "train.keep_dumps=1", *PLAIN)
    sound = sound_batch(skipping)
    batch = PLANTS["sampling"](skipping, sound)
    for step, one in enumerate((batch, batch, sound, batch, batch)):  # a sound one between: never three in a row
        skipping.update(one, step)
    with pytest.raises(StoppedNotFinite, match=r"3 updates in a row were left out .*smaller optimizer.learning_rate"):
        skipping.update(batch, 5)
    assert len(said) == 4
    assert [path.name for path in list_dumps(tmp_path / "run")] == ["step-000001"]
    assert "step-000001` repeats it" in said[0]
    assert "repeats" not in said[1]
    skipping.engine.finish()


def test_with_none_allowed_the_first_ends_the_run(tmp_path, random_model):
    with pytest.raises(StoppedNotFinite, match="1 updates in a row"):
        spoilt(tmp_path, random_model, "sampling", "train.skip_updates=0", *PLAIN)


def test_a_dump_with_adapters_and_a_reference_replays_to_the_same_loss(tmp_path, random_model):
    more = ("model.lora={r: 4}", "algorithm.kl_coef=0.1", "algorithm.kl=k3")
    for name, settings in (("adapters", more), ("whole", more[1:])):
        run = tmp_path / name
        skipping, _ = open_skipping(run, random_model, *settings, "train.micro_batch_tokens=4000", *PLAIN)
        sound = sound_batch(skipping)
        skipping.update(sound, 0)
        if skipping.reference is not None and skipping.reference.frozen is not None:
            skipping.reference.reset()
        skipping.update(sound, 1)
        skipping.update(PLANTS["gradient"](skipping, sound), 2)
        (path,) = list_dumps(run)
        dump = read_dump(path)
        dump = replace(dump, rows=sound.rows)  # with the numbers as they should be, to compare them
        replay, metrics = Replayer(dump).replay(), skipping.update(sound, 2)
        assert replay.loss == pytest.approx(metrics["loss"], rel=1e-4), name
        assert replay.grad_norm == pytest.approx(metrics["grad_norm"], rel=1e-3), name
        assert (path / "reference.safetensors").exists() is (name == "whole")
        skipping.engine.finish()


# -- dumps


def some_rows() -> tuple[Row, ...]:
    def row(number: int, length: int) -> Row:
        values = np.arange(length, dtype=np.float64) + number
        return Row(
            prompt_ids=np.arange(number + 1, dtype=np.int32),
            completion_ids=np.arange(length, dtype=np.int32),
            sampling_logprobs=np.full(length, np.nan, dtype=np.float32),
            advantages=values,
            weights=values / 3,
            entropy_weights=values * 0,
            old_logprobs=values.astype(np.float32),
            problem_id=f"p{number}",
        )

    return row(0, 3), row(1, 1), row(2, 5)


def test_rows_come_back_from_a_dump_to_the_bit():
    for one, other in zip(some_rows(), unpack_rows(pack_rows(some_rows())), strict=True):
        for name, value in vars(one).items():
            back = getattr(other, name)
            assert np.array_equal(value, back, equal_nan=True) if name != "problem_id" else value == back, name
            assert name == "problem_id" or value.dtype == back.dtype


def test_a_dump_that_cannot_be_written_whole_is_not_there(tmp_path):
    (tmp_path / "config.yaml").write_text("{}")

    def full(directory: Path) -> None:
        (directory / "weights").write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_dump(tmp_path, 1, some_rows(), {}, full, keep=3)
    assert list((tmp_path / "dumps").iterdir()) == []
    for step in (1, 1, 12, 13):
        write_dump(tmp_path, step, some_rows(), {}, lambda directory: None, keep=3)
    assert [path.name for path in list_dumps(tmp_path)] == ["step-000001", "step-000001-2", "step-000012"]
    with pytest.raises(DumpError, match="is no dump of an update"):
        read_dump(tmp_path)


def test_a_full_disk_does_not_hide_what_was_found(tmp_path, random_model):
    skipping, said = open_skipping(tmp_path / "run", random_model, *PLAIN)
    (tmp_path / "run/dumps").write_text("a file where the directory should be")
    skipping.update(PLANTS["sampling"](skipping, sound_batch(skipping)), 0)
    assert said[0].startswith("no dump of step 1 could be written")
    assert said[1].startswith("step 1: the sampling log-probability is nan")
    skipping.engine.finish()


# -- rewards


def test_a_kl_that_is_no_number_makes_a_rollout_unscorable_and_spoils_no_group():
    rollout = random_groups(vocabulary=100)[0].rollouts[1]
    for kl in (math.nan, math.inf):
        broken = with_kl(rollout, kl)
        assert (broken.reward.total, broken.reward.verdict.kind, broken.reference_kl) == (None, "not_finite", None)
    assert with_kl(rollout, 0.5).reward.total == 1.0


# -- fingerprints


def test_a_fingerprint_changes_with_a_bit_a_swap_and_a_transpose():
    weights = torch.arange(12.0).reshape(3, 4)
    (number,) = fingerprints([("w", weights)]).values()
    flipped = weights.clone()
    flipped.view(-1).view(torch.int32)[11] ^= 1
    swapped = weights[:, [1, 0, 2, 3]]
    others = [flipped, swapped, weights.T, -weights, weights.bfloat16()]
    assert number not in [fingerprints([("w", other)])["w"] for other in others]
    assert fingerprints([("w", weights.clone())])["w"] == number
    # 12 numbers by hand: bits of each times (place * stride | 1), added up modulo 2^64
    stride = 0x9E3779B97F4A7C15
    bits = weights.flatten().view(torch.int32).tolist()
    by_hand = sum(bit * ((place * stride | 1) % 2**64) for place, bit in enumerate(bits, 1)) % 2**64
    assert number % 2**64 == by_hand


def test_who_disagrees_is_named():
    usual: Fingerprints = {"a": 1, "b": 2}
    assert odd_one([usual, usual, usual], "weights") is None
    assert (
        odd_one([{"a": 1, "b": 3}, usual, usual], "weights")
        == "weights differ between ranks: b of rank 0 is not that of rank 1"
    )
    assert apart(usual, usual, 3) is None
    assert apart(usual, {"a": 0, "b": 0}, 3) == (
        "rank 3 samples from old or damaged weights: a and 1 more of the sampler is not the trainer's"
    )


@pytest.mark.slow
def test_adapters_that_never_reach_the_sampler_are_found(tmp_path, random_model):
    settings = ("deepspeed={stage: 3, shard_frozen: true}", "model.lora={r: 4}")
    skipping, _ = open_skipping(tmp_path / "run", random_model, *settings)
    engine = skipping.engine
    skipping.update(sound_batch(skipping), 0)
    check_fingerprints(engine, engine.sampling_model)
    engine.refresh_copy = lambda: None  # type: ignore[method-assign]
    skipping.update(sound_batch(skipping), 1)
    with pytest.raises(WeightsDisagree, match=r"rank 0 samples from old or damaged weights: .*lora_A.* and 27 more"):
        check_fingerprints(engine, engine.sampling_model)
    engine.finish()


# -- two ranks, a whole run


@pytest.fixture(scope="module")
def on_two_ranks(random_model, tmp_path_factory):
    output = tmp_path_factory.mktemp("numbers")
    for done in forked_ranks(2, "planted_numbers", output, random_model, cwd=output):
        assert done.returncode == 0, done.stderr[-3000:]
    return output, [json.loads((output / f"rank-{number}.json").read_text()) for number in range(2)]


@pytest.mark.slow
@pytest.mark.parametrize("plant", list(PLANTS))
def test_two_ranks_leave_it_out_alike_and_one_process_finds_the_same(on_two_ranks, plant):
    output, (first, second) = on_two_ranks
    mine, theirs = first[plant], second[plant]
    assert mine["is_untouched"]
    assert theirs["is_untouched"]
    assert (mine["metrics"], mine["error"]) == (theirs["metrics"], theirs["error"])
    assert theirs["said"] == []
    dump = read_dump(output / plant / "dumps/step-000002")
    words = mine["error"] if plant == "weight" else mine["said"][0]
    assert words.startswith(f"step 2: {dump.found['words']}")
    if plant != "weight":
        assert mine["metrics"]["skipped_updates"] == 1
        assert dump.found["culprit"]["problem_id"] == dump.rows[dump.found["culprit"]["row"]].problem_id
    replay = Replayer(dump).replay()
    culprit = dump.found["culprit"]
    if plant == "weight":
        assert replay.weights == (culprit["parameter"],) == (WEIGHT,)
    elif plant == "gradient":
        assert (culprit["row"], replay.row, replay.grad_norm) == (ROW, ROW, math.inf)
        assert replay.parameter == culprit["parameter"]
    else:
        assert (replay.row, replay.token) == (culprit["row"], culprit["token"])
        assert math.isnan(replay.loss) == (dump.found["met"]["value"] == "nan")


@pytest.mark.slow
def test_ranks_and_copies_that_disagree_are_named_on_all_ranks(on_two_ranks):
    _, (first, second) = on_two_ranks
    said = first["fingerprints"]
    assert said == second["fingerprints"]
    for stage in (2, 3):
        assert said[f"{stage} sound"] is said[f"{stage} after an update"] is None
    assert said["2 one bit"].startswith(f"the trainer's weights differ between ranks: {WEIGHT} of rank 1 is not that of rank 0")
    assert said["3 one bit"].startswith(f"rank 1 samples from old or damaged weights: {WEIGHT} of the sampler")


SOMETIMES_NAN = """
def score(prompts, completions, **columns):
    sums = [sum(map(ord, text)) % 3 for text in completions]
    return [float("nan") if number == 0 else float(number == 1) for number in sums]
"""


@pytest.mark.slow
def test_a_whole_run_leaves_updates_out_says_so_and_ends_with_what_to_change(random_model, tmp_path):
    (tmp_path / "check.py").write_text(SOMETIMES_NAN)
    done = forked(
        "train", f"model.path={random_model}", "run.name=rl", "problems=[{domain: chain, terms: [2, 3]}]",
        "reward={python: 'check.py:score', completions: text}", "sampling.max_completion_tokens=8",
        "algorithm={num_problems: 4, group_size: 6, entropy_coef: 1e30}",  # its gradient is finite, the square of it is not
        "train={steps: 5, threads: 1, skip_updates: 1}", "deepspeed.stage=0", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "2 updates in a row were left out (train.skip_updates = 1)" in done.stderr
    assert "step 1: the gradient is not finite" in done.stderr
    assert "cannot be used: the reward function returned nan" in done.stderr
    (row,) = [one for one in rows(tmp_path / "runs/rl/metrics.jsonl") if one["step"] == 1]
    assert (row["skipped_updates"], row["batch/updates"]) == (1, 0)
    assert 0 < row["verdicts/not_finite"] <= row["verdicts/error"] < 1
    assert row["reward"] is not None
    assert json.loads((tmp_path / "runs/rl/status.json").read_text())["status"] == "failed"
    assert [path.name for path in list_dumps(tmp_path / "runs/rl")] == ["step-000001", "step-000002"]
    shown = forked("replay", "runs/rl/dumps/step-000002", "--json", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    now = json.loads(shown.stdout)["now"]
    assert now["grad_norm"] == "inf"
    assert now["parameter"] == json.loads(shown.stdout)["then"]["culprit"]["parameter"]
