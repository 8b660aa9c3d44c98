"""The cold start as a whole: what it writes down, and a run that is killed and goes on."""

import json
import signal
import time

import pytest
import torch
from support import fork, fork_ranks

from problems.errors import LabError
from rl.cold_start import ColdStartError, cold_start
from rl.policy.opening import load_model
from rl.runtime import process_group
from rl.settings.loading import describe, load_config
from rl.settings.schema import ModelSettings, RunConfig, SftConfig
from rl.sft import run_sft
from rl.tracking.run_directory import write_atomic

SMALL = [
    "model.tiny={hidden_size: 32, intermediate_size: 64, layers: 2, heads: 2, max_positions: 128}",
    "problems=[{domain: chain, terms: [2, 3]}]",
    "styles={direct: 0.7, steps: 0.3}",
]

WITHOUT_MODEL = ("hanging_worker", "rl.sft", "save_policy", 0)  # a cold start that never comes to its model


def chosen(home, name, steps=12, *more):
    sft = f"sft={{steps: {steps}, rows: 4, row_tokens: 64, learning_rate: 1e-2, warmup_steps: 2, threads: 1}}"
    return [f"run.dir={home}", f"run.name={name}", *SMALL, sft, *more]


def records(directory):
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


def weights(directory):
    return dict(load_model(ModelSettings(path=str(directory))).named_parameters())


def test_it_learns_and_writes_down_how_well_it_does_on_problems_it_never_saw(tmp_path):
    evaluation = "evaluation={every_steps: 20, num_problems: 24, samples: 1}"
    path = run_sft(load_config(SftConfig, [], chosen(tmp_path, "a", 50, evaluation, "sampling.max_completion_tokens=32")))
    found = {record["step"]: record for record in records(path.parent)}
    held_out = {step: record["eval/loss"] for step, record in found.items() if "eval/loss" in record}
    assert list(held_out) == [0, 20, 40, 50]  # the baseline, every 20 steps, the last
    # a uniform guess among the tokenizer's 105 tokens costs log 105 = 4.65 nats
    assert held_out[0] > 4
    assert held_out[50] < 0.6 * held_out[0]
    assert abs(held_out[50] - found[50]["loss"]) < 0.5  # it is the same quantity, on other problems
    assert 0 <= found[50]["eval/accuracy_low"] <= found[50]["eval/accuracy"] <= found[50]["eval/accuracy_high"] <= 1
    assert found[50]["num_tokens"] > 50 * 4 * 64 * 0.7  # rows are filled, the last token of each is counted
    timing = [json.loads(line) for line in (path.parent / "timing.jsonl").read_text().splitlines()]
    assert all(record["perf/tokens_per_second"] > 0 for record in timing)
    assert len({record["step"] for record in records(path.parent)}) == len(records(path.parent))


def test_a_loss_that_is_no_number_stops_the_run_in_words(tmp_path):
    with pytest.raises(LabError, match=r"loss of step \d+ is (nan|inf); lower sft.learning_rate"):
        run_sft(load_config(SftConfig, [], chosen(tmp_path, "b", 30, "sft.learning_rate=1e30")))
    assert json.loads((tmp_path / "b" / "status.json").read_text())["status"] == "failed"


def resumed_by_itself(command, home):
    done = fork("rl.sft", *command, "--resume", cwd=home).completed()
    assert done.returncode == 0, done.stderr


def resumed_by_a_training(command, home):
    """A training that needs the model and finds the cold start cut short, as rl/cold_start.py has it."""
    config = home / "cut" / "config.yaml"  # a run writes down its settings, and they are a config
    settings = {"path": str(home / "cut" / "model"), "cold_start": str(config)}
    training = {"run": {"name": "practice", "dir": str(home)}, "model": settings, "problems": [{"domain": "chain"}]}
    with process_group(even_alone=False):
        cold_start(RunConfig.model_validate(training))


def kill_at_a_checkpoint(ranks, directory):
    """Kill the processes of a run once it has a checkpoint, before it has its model."""
    deadline = time.monotonic() + 300
    while not list((directory / "checkpoints").glob("step-*")):
        assert ranks[0].poll() is None, "it ended before it was killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    for process in ranks:
        process.send_signal(signal.SIGKILL)
    for process in ranks:
        process.wait()
    assert not (directory / "model").exists()


@pytest.mark.parametrize(
    ("more", "resume"),
    [
        ([], resumed_by_a_training),
        (["model.lora={r: 4, dropout: 0.1}"], resumed_by_itself),
        (["model.dtype=bf16"], resumed_by_itself),
    ],
    ids=["full", "lora", "bf16"],
)
@pytest.mark.slow
def test_killed_and_resumed_it_ends_with_the_same_weights_and_records(tmp_path, more, resume):
    checkpoints = "checkpoint={every_steps: 3, keep_last: 2}"
    evaluation = "evaluation={every_steps: 4, num_problems: 4}"
    settings = [checkpoints, evaluation, "sampling.max_completion_tokens=16", *more]
    whole = run_sft(load_config(SftConfig, [], chosen(tmp_path, "whole", 30, *settings)))
    command = chosen(tmp_path, "cut", 30, *settings)
    kill_at_a_checkpoint([fork(*WITHOUT_MODEL, *command, cwd=tmp_path)], tmp_path / "cut")
    resume(command, tmp_path)
    again = tmp_path / "cut" / "model"
    for (name, one), other in zip(weights(whole).items(), weights(again).values(), strict=True):
        assert torch.equal(one, other), name
    assert records(whole.parent) == records(again.parent)
    assert not (tmp_path / "cut" / "checkpoints").exists()
    (tmp_path / "cut" / "checkpoints" / "step-000003").mkdir(parents=True)  # as one that is killed behind its model leaves it
    write_atomic(tmp_path / "cut" / "status.json", '{"status": "running"}')
    resumed_by_itself(command, tmp_path)  # nothing is left to do but that
    assert not (tmp_path / "cut" / "checkpoints").exists()
    assert json.loads((tmp_path / "cut" / "status.json").read_text())["status"] == "finished"


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2])
def test_a_training_that_is_told_to_stop_lets_its_cold_start_save(tmp_path, ranks):
    (tmp_path / "imitator.yaml").write_text(describe(load_config(SftConfig, [], chosen(tmp_path, "cut", 5000))))
    path = f"model={{path: {tmp_path / 'cut' / 'model'}, cold_start: {tmp_path / 'imitator.yaml'}}}"
    practice = [f"run.dir={tmp_path}", "run.name=practice", path, "problems=[{domain: chain}]"]
    training = fork_ranks(ranks, "rl.train", *practice, cwd=tmp_path)
    deadline = time.monotonic() + 300
    while not (tmp_path / "cut" / "metrics.jsonl").exists() or len(records(tmp_path / "cut")) < 3:
        assert training[0].poll() is None, "it ended before it was told to"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for rank in training:
        rank.send_signal(signal.SIGTERM)
    assert [rank.wait() for rank in training] == [75] * ranks
    status = json.loads((tmp_path / "cut" / "status.json").read_text())
    assert status["status"] == "preempted"
    (saved,) = (tmp_path / "cut" / "checkpoints").glob("step-*")  # long before the first that was due
    assert int(saved.name.removeprefix("step-")) == records(tmp_path / "cut")[-1]["step"]


def test_a_cold_start_that_ends_badly_says_whether_another_start_may_end_better():
    assert [ColdStartError([], code).exit_status for code in (2, 75, 143, -15, 130, 1, -9)] == [2, 75, 75, 75, 130, 1, 1]
    assert "ended with exit status -9" in str(ColdStartError([], -9))
    assert "has saved its weights" in str(ColdStartError([], 75))
    assert "had no time to save; the same command again" in str(ColdStartError([], 143))


@pytest.mark.slow
def test_begun_on_two_ranks_it_goes_on_with_one(tmp_path):
    checkpoints = "checkpoint={every_steps: 2, keep_last: 2}"
    whole = run_sft(load_config(SftConfig, [], chosen(tmp_path, "whole", 20, checkpoints)))
    begun = fork_ranks(2, *WITHOUT_MODEL, *chosen(tmp_path, "cut", 20, checkpoints, "sft.rows=2"), cwd=tmp_path)
    kill_at_a_checkpoint(begun, tmp_path / "cut")
    resumed_by_itself(chosen(tmp_path, "cut", 20, checkpoints), tmp_path)
    one, other = (records(tmp_path / name) for name in (whole.parent.name, "cut"))
    assert [record["step"] for record in one] == [record["step"] for record in other]
    for first, second in zip(one, other, strict=True):
        # the same examples to the last token; sums of floats round otherwise, and that grows with the steps
        assert first["num_tokens"] == second["num_tokens"]
        assert second["loss"] == pytest.approx(first["loss"], rel=1e-3)
