"""Every command has two front doors, or one, that read the same arguments; asking what it would do loads no torch."""

import importlib

import pytest
from support_pure import ROOT, run_python

from launch import cli, story
from launch.eval import eval_command
from launch.sft import sft_command
from launch.train import train_command
from rl import evaluate, sft, train

CONFIGS = ROOT / "configs"


@pytest.mark.parametrize(
    ("command", "module_main", "config"),
    [
        (train_command, train.main, "demo.yaml"),
        (sft_command, sft.main, "demo-sft.yaml"),
        (eval_command, evaluate.main, "demo-eval.yaml"),
    ],
    ids=["train", "sft", "eval"],
)
@pytest.mark.parametrize("question", ["--dry-run", "--settings"])
def test_both_front_doors_answer_alike(command, module_main, config, question, capsys) -> None:
    arguments = ["--config", str(CONFIGS / config), question]
    if command is eval_command:
        arguments.append("model.path=m")  # the others make their model
    assert command(arguments) == 0
    answer = capsys.readouterr().out
    assert answer
    assert module_main(["--local_rank=0", *arguments]) == 0  # the deepspeed launcher puts this first
    assert capsys.readouterr().out == answer


def test_reading_the_arguments_of_a_training_loads_no_torch() -> None:
    script = (
        "import sys\nfrom rl.settings.arguments import training_arguments\n"
        f"asked = training_arguments(['--config', {str(CONFIGS / 'demo.yaml')!r}, '--resume', 'train.steps=3'])\n"
        "print(asked.resume, asked.loaded.config.train.steps, 'torch' in sys.modules, 'rl.train' in sys.modules)"
    )
    answer = run_python("-c", script)
    assert answer.stdout.split() == ["True", "3", "False", "False"], answer.stderr


def test_short_flags_of_an_evaluation_stand_below_written_out_settings(capsys, tmp_path) -> None:
    assert eval_command(["--model", "hub/name", "--problems", "chain", "--n", "2", "--dry-run", "samples=3"]) == 0
    plan = capsys.readouterr().out
    assert "name: eval-chain-hub-name" in plan
    assert "domain: chain" in plan
    assert "samples: 3" in plan
    assert eval_command(["--model", "hub/name", "--problems", str(tmp_path), "--dry-run"]) == 0
    assert "domain: jsonl" in capsys.readouterr().out


def test_what_the_demo_starts_by_name_is_there() -> None:
    assert importlib.import_module(story.COMMAND_LINE) is cli
    assert importlib.import_module(story.TRAINING) is train
    assert importlib.util.find_spec(story.LAUNCHER) is not None


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_of_the_table_is_there(name) -> None:
    assert callable(cli.command_of(name))


def test_a_command_that_does_not_exist_is_told_those_that_do(capsys) -> None:
    assert cli.main(["trian"]) == 2
    said = capsys.readouterr().err
    assert "'trian'" in said
    assert "train" in said.split("there are: ")[1]
