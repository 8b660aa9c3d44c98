"""The models that an evaluation looks at: checkpoints of a run in order, adapters merged, broken ones passed over."""

import json
import shutil
from typing import Any

import pytest
import torch
from support import rows

from launch.eval import eval_command
from rl.evaluation.about import fingerprint
from rl.policy.opening import load_model, load_tokenizer, save_policy
from rl.settings.loading import describe, load_config
from rl.settings.schema import LoraSettings, ModelSettings, RunConfig
from rl.tracking import checkpoint
from rl.tracking.export import export
from rl.tracking.run_directory import write_atomic

ASKED = ["--n", "2", "num_problems=6"]


@pytest.fixture(scope="module")
def run(random_model, tmp_path_factory):
    """What a training with adapters leaves: its settings and three checkpoints with adapters that move."""
    run = tmp_path_factory.mktemp("every") / "rl"
    run.mkdir()
    words = [f"model.path={random_model}", "model.lora={r: 2}", "run.name=rl", "problems=[{domain: chain, terms: [2, 3]}]",
             "sampling.max_completion_tokens=12", "prompt.system=Think."]  # fmt: skip
    write_atomic(run / "config.yaml", describe(load_config(RunConfig, [], words)))
    settings = ModelSettings(path=str(random_model), lora=LoraSettings(r=2))
    model: Any = load_model(settings)
    for step in (2, 10, 4):
        torch.manual_seed(step)
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.5)

        def save(directory, step=step):
            save_policy(model, load_tokenizer(settings), directory / "policy", merge=False)
            write_atomic(directory / "state.json", json.dumps({"best_step": 4}))

        checkpoint.write(run / "checkpoints", step, checkpoint.Kept(newest=3), lambda directory: None, save)
    return run


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "disabled")


def said_by(directory):
    return [row["completion"] for row in rows(directory / "samples.jsonl")]


@pytest.mark.slow
def test_every_checkpoint_is_evaluated_in_order_as_it_was_trained(run, random_model, tmp_path, capsys):
    assert eval_command([str(run), "--every", *ASKED]) == 0
    shown = capsys.readouterr().out
    steps = ["step-000000", "step-000002", "step-000004", "step-000010"]
    table, _, written = shown.partition("written: ")
    assert [step for step in table.split() if step.startswith("step-")] == steps * 2  # as they are, and against step 0
    summary = json.loads((run / "eval" / "summary.json").read_text())
    assert [step for step in steps if "against_step_0" in summary[step]] == steps[1:]
    lengths = [summary[step]["reasoning_tokens"]["mean"] for step in steps]
    assert summary[steps[2]]["against_step_0"]["reasoning_tokens/mean"] == pytest.approx(lengths[2] - lengths[0])
    assert [line.split("/results.json")[0].rsplit("/", 1)[-1] for line in written.splitlines()] == steps
    results = [json.loads((run / "eval" / step / "results.json").read_text()) for step in steps]
    assert all(one["sampling"]["max_completion_tokens"] == 12 for one in results)  # of the run
    assert all(one["prompt"]["system"] == "Think." for one in results)
    assert all(one["reading"] == "strict" for one in results)
    assert len({one["model_fingerprint"] for one in results}) == 4
    assert len({one["problems_hash"] for one in results}) == 1
    texts = [said_by(run / "eval" / step) for step in steps]
    assert len({tuple(one) for one in texts}) == 4
    # the adapter merged in memory is the exported model, and step 0 the model that the run began with
    merged = export(run / "checkpoints" / steps[-1], tmp_path / "merged")
    for model, expected in ((merged, texts[-1]), (random_model, texts[0])):
        same = ["problems=[{domain: chain, terms: [2, 3]}]", "sampling.max_completion_tokens=12", "prompt.system=Think."]
        assert eval_command(["--model", str(model), *ASKED, *same, f"run.name={model.name}"]) == 0
        assert said_by(tmp_path / "runs" / model.name) == expected
    shutil.rmtree(run / "eval")


@pytest.mark.slow
def test_the_newest_or_the_best_checkpoint_and_broken_ones_passed_over(run, tmp_path, capsys):
    copy = tmp_path / "rl"
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns("eval"))
    assert eval_command([str(copy), *ASKED]) == 0
    assert eval_command([str(copy), "--best", *ASKED, "sampling.max_completion_tokens=6"]) == 0
    assert sorted(path.name for path in (copy / "eval").iterdir()) == ["step-000004", "step-000010"]
    best = json.loads((copy / "eval/step-000004/results.json").read_text())
    assert best["sampling"]["max_completion_tokens"] == 6
    (copy / "checkpoints/step-000010/state.json").unlink()
    capsys.readouterr()
    assert eval_command([str(copy), "--every", "--resume", *ASKED, "run.name=again"]) == 0
    captured = capsys.readouterr()
    assert "step-000010 is not whole and is left out: state.json is missing" in captured.err
    assert "step-000010" not in captured.out


def test_what_is_no_run_is_told(random_model, tmp_path, capsys, run):
    (tmp_path / "empty").mkdir()
    write_atomic(tmp_path / "empty/config.yaml", (run / "config.yaml").read_text())
    for words, said in (
        ([str(random_model)], "no run directory"),
        (["empty"], "neither checkpoints nor a model"),
        ([str(run), "--model", "x"], "both a run directory"),
        (["--model", str(random_model), "--problems", "chain", "--every"], "RUN_DIRECTORY --every"),
        (["--model", str(random_model), "--model", str(random_model), "--problems", "chain"], "one directory"),
    ):
        assert eval_command(words) == 2, words
        assert said in capsys.readouterr().err


@pytest.mark.slow
def test_a_model_from_the_hub_is_step_0_too_and_results_say_which_it_was(run, hub_name, random_model, tmp_path, capsys):
    copy = tmp_path / "rl"
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns("eval", "step-000004", "step-000010"))
    settings = (run / "config.yaml").read_text()
    write_atomic(copy / "config.yaml", settings.replace(str(random_model), hub_name))
    few = ["--n", "1", "num_problems=2", "sampling.max_completion_tokens=4"]
    assert eval_command([str(copy), "--every", *few]) == 0
    found = {file.parent.name: json.loads(file.read_text()) for file in copy.rglob("results.json")}
    assert set(found) == {"step-000000", "step-000002"}
    first = found["step-000000"]
    assert (first["model"], first["model_commit"]) == (hub_name, "0123456789abcdef0123456789abcdef01234567")
    assert first["model_fingerprint"] == fingerprint(ModelSettings(path=str(random_model)))  # the same files
    assert found["step-000002"]["model_commit"] is None
    about = json.loads((copy / "eval/step-000000/about.json").read_text())
    assert about["model_fingerprint"] is None  # it might not have been downloaded yet
    assert eval_command([str(copy), "--every", "--resume", *few]) == 0
    write_atomic(copy / "config.yaml", settings.replace(str(random_model), "owner/gone"))
    capsys.readouterr()
    assert eval_command([str(copy), "--every", *few, "run.name=again"]) == 0
    assert "owner/gone, the model that" in capsys.readouterr().err
    assert [path.name for path in (copy / "again").iterdir() if path.is_dir()] == ["step-000002"]
