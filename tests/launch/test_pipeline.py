"""The whole story in small: cold start, evaluation, practice, export, report, with the files a user finds afterwards."""

import json
import re

import pytest
import torch
from support import forked, reasonlab, rows
from transformers import AutoModelForCausalLM, AutoTokenizer

from rl.tracking.export import export, policy_directory

pytestmark = pytest.mark.slow
SMALL = ["sampling.max_completion_tokens=24", "problems=[{domain: chain, terms: [2, 3]}]"]
TRAIN = ["algorithm={num_problems: 8, group_size: 4}", "optimizer.learning_rate=1e-3", "train={steps: 3, threads: 1}"]


def ok(*arguments, cwd, run=forked, **extra):
    done = run(*arguments, cwd=cwd, **extra)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def home(imitator, tmp_path_factory):
    """A directory with an evaluated imitator, a LoRA run on it, and its export."""
    home = tmp_path_factory.mktemp("pipeline")
    ok("eval", "--model", imitator, "--problems", "chain", "--n", 4, "run.name=before", "num_problems=24", *SMALL[:1],
       "problems.0.terms=[2, 3]", cwd=home)  # fmt: skip
    ok("train", f"model.path={imitator}", "run.name=rl", "model.lora={r: 4}", "evaluation={every_steps: 2, num_problems: 8}",
       "tracking.table_every_steps=2", *SMALL, *TRAIN, cwd=home, run=reasonlab, WANDB_MODE="offline")  # fmt: skip
    ok("export", "runs/rl", "merged", cwd=home, run=reasonlab)
    ok("export", "runs/rl", "adapter", "--adapter", cwd=home)
    ok("eval", "--model", "merged", "--problems", "chain", "--n", 4, "run.name=after", "num_problems=24", *SMALL[:1],
       "problems.0.terms=[2, 3]", cwd=home)  # fmt: skip
    ok("report", "runs/rl", "--before", "runs/before", "--after", "runs/after", cwd=home, run=reasonlab)
    return home


def test_evaluation_writes_results_that_follow_from_its_samples(home):
    results = json.loads((home / "runs/before/results.json").read_text())
    samples = rows(home / "runs/before/samples.jsonl")
    assert len(samples) == 24 * 4
    share = sum(s["status"] == "correct" for s in samples) / len(samples)
    assert results["accuracy"]["value"] == pytest.approx(share)
    assert results["accuracy"]["low"] < share < results["accuracy"]["high"]
    assert results["pass_at_k"]["1"]["value"] == pytest.approx(share)
    assert results["pass_at_k"]["4"]["value"] == sum(
        any(s["status"] == "correct" for s in samples[i : i + 4]) for i in range(0, 96, 4)
    ) / 24  # fmt: skip
    assert set(results["by_difficulty"]) == {"terms=2", "terms=3"}
    assert results["unparsed_rate"] == pytest.approx(sum(s["status"] == "unparsed" for s in samples) / 96)
    assert {"timeout_rate", "truncated_rate", "template_hash", "problems_hash", "sampling", "packages"} <= set(results)


def test_run_directory_holds_what_is_needed_to_repeat_the_run(home):
    run = home / "runs/rl"
    assert json.loads((run / "status.json").read_text())["status"] == "finished"
    assert "num_problems: 8  # command line" in (run / "config.yaml").read_text()
    about = json.loads((run / "provenance.json").read_text())
    assert about["packages"]["deepspeed"]
    found = rows(run / "metrics.jsonl")
    assert [row["step"] for row in found] == [0, 1, 2, 3]
    wanted = {
        "reward", "reward_std", "frac_reward_zero_std", "completions/mean_length", "completions/clipped_ratio", "entropy",
        "clip_ratio/low_mean", "clip_ratio/high_mean", "sampling/sampling_logp_difference/mean", "grad_norm", "loss",
        "learning_rate", "num_tokens", "sampling/importance_sampling_ratio/mean", "rewards/correct/mean",
        "completions/mean_terminated_length", "compute_tokens", "batch/trained_tokens",
    }  # fmt: skip
    assert wanted <= set(found[1])
    assert {row["step"] for row in found if "eval/accuracy" in row} == {0, 2, 3}
    assert {"sample", "score", "train", "step_time"} <= set(rows(run / "timing.jsonl")[0])
    for kind in ("step", "tokens"):  # completions, and the tokens of some of them
        assert len(list((run / "rollouts").glob(f"{kind}-*.jsonl.gz"))) == 3


def test_exported_models_open_anywhere_and_merged_equals_adapter(home, imitator):
    from peft import AutoPeftModelForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(home / "merged")
    ids = torch.tensor([tokenizer("<|user|>1+2=?<|assistant|>").input_ids])
    merged = AutoModelForCausalLM.from_pretrained(home / "merged")(ids).logits
    adapter = AutoPeftModelForCausalLM.from_pretrained(home / "adapter")(ids).logits
    start = AutoModelForCausalLM.from_pretrained(imitator)(ids).logits
    assert torch.allclose(merged, adapter, atol=1e-4)
    assert not torch.allclose(merged, start, atol=1e-4)


def test_best_checkpoint_can_be_exported(home, tmp_path):
    best = policy_directory(home / "runs/rl", best=True)
    state = json.loads((best.parent / "state.json").read_text())
    assert state["step"] <= 3
    assert export(best.parent, tmp_path / "out").joinpath("config.json").is_file()


def test_report_is_one_page_that_needs_nothing_else(home):
    page = (home / "runs/rl/report.html").read_text()
    assert "data:image/png;base64," in page
    assert not re.search(r"""(src|href)=["']?(http|//)""", page)
    assert (home / "runs/rl/report.png").read_bytes().startswith(b"\x89PNG")
    assert "before" in page
    assert "terms=2" in page


def test_wandb_offline_run_holds_the_same_rows(home):
    from support import run_command

    directory = next((home / "runs/rl/wandb").glob("offline-run-*"))
    shown = run_command(["wandb", "leet", "inspect", "--json", directory], home)
    assert shown.returncode == 0, shown.stderr
    records = [json.loads(line) for line in shown.stdout.splitlines() if line.startswith("{")]
    text = json.dumps(records)
    assert '"train/global_step"' in text
    assert "train/reward" in text
    assert "eval/accuracy" in text
    assert "time/step_time" in text
    assert "completions" in text
    for name in ("train/distribution/reward", "eval/chain/terms_2/accuracy", "perf/tokens_per_second", "perf/time_share/train"):
        assert name in text
    (begun,) = [record["run"] for record in records if record.get("type") == "run"]
    assert begun["job_type"] == "rl"
    models = [record["artifact"] for record in records if record.get("type") == "artifact"]
    assert "step-000003" in [alias for model in models if model["type"] == "model" for alias in model["aliases"]]
    # the evaluation of what was exported stands in the group of the run that it came from
    groups = [json.loads((home / "runs" / name / "tracking.json").read_text())["group"] for name in ("rl", "after")]
    assert groups[0] == groups[1]


def test_cold_start_goes_on_from_a_model_with_adapters(imitator, tmp_path):
    ok("sft", f"model.path={imitator}", "model.lora={r: 4}", "run.name=more", SMALL[1],
       "sft={steps: 2, rows: 4, row_tokens: 64, learning_rate: 1e-3}", cwd=tmp_path)  # fmt: skip
    assert (tmp_path / "runs/more/model/model.safetensors").is_file()  # merged: any program can open it
    assert [row["step"] for row in rows(tmp_path / "runs/more/metrics.jsonl")] == [1, 2]


@pytest.mark.parametrize(
    "more",
    [
        ["model.dtype=bf16", "deepspeed.stage=0"],
        ["model.dtype=bf16", "deepspeed.stage=2"],
        ["model.lora={r: 4}", "model.gradient_checkpointing=true", "deepspeed.stage=3", "deepspeed.shard_frozen=true"],
    ],
    ids=["bf16 ZeRO 0", "bf16 ZeRO 2", "LoRA checkpointed ZeRO 3"],
)
def test_kl_and_truncation_masks_train_in_every_setting(imitator, tmp_path, more):
    ok("train", f"model.path={imitator}", "run.name=run", "algorithm.kl_coef=0.1",
       "algorithm.mask_truncated=true", *more, *SMALL, *TRAIN[1:],
       "algorithm.num_problems=8", "algorithm.group_size=4", cwd=tmp_path)  # fmt: skip
    found = rows(tmp_path / "runs/run/metrics.jsonl")
    assert found[0]["kl"] == pytest.approx(0.0, abs=1e-6)  # the first step starts at the reference
    assert found[-1]["kl"] > 0
    assert found[-1]["skipped_updates"] == 0
    assert 1e-3 < found[0]["grad_norm"] < 10


def test_a_corrected_loss_says_what_it_did(imitator, tmp_path):
    ok("train", f"model.path={imitator}", "run.name=run", "algorithm.loss=cispo", "algorithm.advantage=rloo",
       "algorithm.correction={token_cap: 2, sequence_mask: [0.9, 1.1]}", *SMALL, *TRAIN[1:],
       "algorithm.num_problems=8", "algorithm.group_size=4", cwd=tmp_path)  # fmt: skip
    for row in rows(tmp_path / "runs/run/metrics.jsonl"):
        # sampler and trainer are one model: nothing to correct, one update a batch: nothing to clip
        assert row["correction/weight_mean"] == pytest.approx(1, abs=1e-4)
        assert row["sampling/effective_sample_size"] == pytest.approx(1, abs=1e-4)
        assert row["correction/masked_share"] == 0
        assert row["cispo_clip_ratio"] == 0
        assert 1e-3 < row["grad_norm"] < 10
        assert not [name for name in row if name.startswith("clip_ratio")]


def test_a_dead_wandb_server_stops_nothing(imitator, tmp_path):
    done = ok("train", f"model.path={imitator}", "run.name=run", *SMALL, *TRAIN[:2], "train={steps: 1, threads: 1}",
              cwd=tmp_path, WANDB_MODE="online", WANDB_API_KEY="0" * 40, WANDB_BASE_URL="http://127.0.0.1:9")  # fmt: skip
    assert "going on with metrics.jsonl only" in done.stderr
    assert len(rows(tmp_path / "runs/run/metrics.jsonl")) == 1
