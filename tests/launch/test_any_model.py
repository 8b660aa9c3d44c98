"""One GGUF file through every command: cold start, practice, evaluation, export; families that cannot share prompts."""

import pytest
import torch
from architectures import FAMILIES, make
from gguf_files import write_gguf

from launch.eval import eval_command
from launch.export import export_command
from launch.sft import sft_command
from launch.train import train_command
from rl.policy.opening import load_model, load_tokenizer
from rl.settings.schema import ModelSettings

pytestmark = pytest.mark.slow


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """Return a function that runs a command on the GGUF file, in a directory of its own."""
    pytest.importorskip("gguf")
    monkeypatch.chdir(tmp_path)
    write_gguf(tmp_path / "tiny.gguf")
    shared = ["problems=[{domain: letters, letters: [4, 5]}]", "tracking.wandb=disabled"]

    def run(command, name, *arguments):
        assert command([f"run.name={name}", "model.path=tiny.gguf", *shared, *arguments]) == 0
        return tmp_path / "runs" / name

    return run


PRACTICE = ("algorithm.num_problems=2", "algorithm.group_size=2", "sampling.max_completion_tokens=8", "train.steps=1")


def same_weights(one, other) -> bool:
    first, second = (dict(load_model(ModelSettings(path=str(path))).named_parameters()) for path in (one, other))
    return all(torch.equal(first[name], second[name]) for name in first)


def test_a_gguf_file_is_trained_evaluated_and_exported(commands, tmp_path, capsys):
    imitator = commands(sft_command, "sft", "sft={steps: 2, rows: 2, row_tokens: 256}")
    (plain,) = [path for path in (tmp_path / "runs" / "models").iterdir() if path.is_dir()]
    assert capsys.readouterr().err.count("was dequantised once") == 1
    assert not same_weights(imitator / "model", plain)
    trained = commands(train_command, "rl", *PRACTICE)
    evaluated = commands(eval_command, "eval", "samples=2", "num_problems=2", "sampling.max_completion_tokens=8")
    assert (evaluated / "results.json").is_file()
    assert "was dequantised" not in capsys.readouterr().err  # the first command has left it
    assert export_command([str(trained), "trained"]) == 0
    assert export_command(["tiny.gguf", "exported"]) == 0
    assert same_weights("exported", plain)
    assert load_tokenizer(ModelSettings(path="trained")).chat_template


def test_adapters_on_a_gguf_file_are_merged_into_what_it_holds(commands, tmp_path, capsys):
    trained = commands(train_command, "lora", *PRACTICE, "model.lora.r=2", "optimizer.learning_rate=1e-2")
    assert export_command([str(trained), "merged"]) == 0
    assert load_model(ModelSettings(path="merged")).config.vocab_size == 300
    (plain,) = [path for path in (tmp_path / "runs" / "models").iterdir() if path.is_dir()]
    plain.rename(tmp_path / "away")
    capsys.readouterr()
    assert export_command([str(trained), "again"]) == 2
    assert "the model that the adapter" in capsys.readouterr().err
    assert not (tmp_path / "again").exists()
    assert export_command([str(trained), "adapter", "--adapter"]) == 0


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gemma-2", "its attention eager: the update pads its rows on the right, and sampling takes a batch at a time"),
        ("mamba", "the update pads its rows on the right, and sampling takes rows of equal length together"),
    ],
)
def test_a_family_that_cannot_share_prompts_says_so_and_trains(name, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    make(FAMILIES[name], tmp_path / "model")
    settings = ["run.name=rl", "model.path=model", "problems=[{domain: chain}]", "tracking.wandb=disabled"]
    assert train_command([*settings, *PRACTICE, "algorithm.kl_coef=0.01", "train.threads=1"]) == 0
    assert capsys.readouterr().err.count(words) == 1
    assert export_command(["runs/rl", "trained"]) == 0
    assert load_model(ModelSettings(path="trained")).config.model_type == FAMILIES[name].model_type


def test_a_cold_start_and_an_evaluation_say_so_too(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    make(FAMILIES["mistral"], tmp_path / "model")
    settings = ["model.path=model", "problems=[{domain: chain}]", "tracking.wandb=disabled", "sampling.max_completion_tokens=8"]
    assert sft_command(["run.name=sft", *settings, "sft={steps: 1, rows: 1, row_tokens: 64}"]) == 0
    assert capsys.readouterr().err.count("the update pads its rows on the right, and sampling takes") == 1
    assert eval_command(["run.name=eval", *settings, "num_problems=1"]) == 0
    assert capsys.readouterr().err.count("mistral cannot share prompts (docs/architectures.md): sampling takes") == 1
