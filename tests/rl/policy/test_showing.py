"""What `--show-prompt` prints: the prompt as text and as tokens, what ends a completion, a right one."""

import json
import re
import shutil
from dataclasses import replace

import pytest
from support import problem

from launch.train import train_command
from rl.policy.showing import picture
from rl.policy.tiny import character_tokenizer
from rl.settings.schema import PromptSettings
from rl.train import main


def test_a_picture_by_hand():
    asked = replace(problem(), prompt="1+1=?\n")
    assert picture(asked, PromptSettings(), character_tokenizer(), [1, 2]).split("\n") == [
        "Prompt of problem p0 (test)",
        "  rendered by the chat template of the tokenizer, without prompt.system",
        "  as text:",
        "    | <|user|>1+1=?",
        "    | <|assistant|>",
        "  as 8 tokens:",
        "    <|user|>|1|+|1|=|?|\u23ce|<|assistant|>|",
        "  here the completion begins; it ends with <|end|> (1) or <|user|> (2); pad: <|pad|> (0)",
        "  a right completion, as 3 tokens:",
        "    \\boxed{|2|}|",
    ]


def test_what_matters_of_a_template_is_said():
    tokenizer = character_tokenizer()
    tokenizer.chat_template += "<think>"
    shown = picture(problem(), PromptSettings(system="be brief"), tokenizer, [1])
    assert "with prompt.system" in shown
    assert "here the completion begins, inside of a thought" in shown
    tokenizer.chat_template = None
    assert "no chat template, since the tokenizer has none: plain text" in picture(problem(), PromptSettings(), tokenizer, [1])


def test_long_prompts_are_wrapped_and_spaces_are_seen():
    shown = picture(replace(problem(), prompt="a b " * 100), PromptSettings(), character_tokenizer(), [1])
    assert "|a|\u00b7|b|\u00b7|" in shown
    assert max(map(len, shown.split("as 402 tokens")[1].split("\n"))) < 130


@pytest.fixture
def arguments(random_model):
    return [f"model.path={random_model}", "run.name=x", "problems=[{domain: chain, terms: [2, 3]}]"]


@pytest.mark.parametrize("command", [train_command, main], ids=["reasonlab", "module"])
def test_either_door_shows_the_first_problem_and_stops(command, arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert command(["--show-prompt", *arguments]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^    \| <\|user\|>[-+*\d]+=\?<\|assistant\|>$", shown, re.MULTILINE)
    assert "it ends with <|end|> (1); pad: <|pad|> (0)" in shown
    assert "model:" not in shown  # no settings
    assert command(["--dry-run", *arguments]) == 0
    planned = capsys.readouterr().out
    assert planned.endswith(shown)
    assert planned.index("Plan") < planned.index("Prompt of problem")
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_without_the_model_at_hand_says_so_and_is_no_error(arguments, capsys):
    assert train_command(["--dry-run", *arguments, "model.path=nobody/has-this"]) == 0
    assert "Prompt: not shown, the tokenizer of nobody/has-this is not on this machine" in capsys.readouterr().out


def test_a_dry_run_needs_no_weights(arguments, random_model, tmp_path, capsys):
    shutil.copytree(random_model, tmp_path / "model", ignore=shutil.ignore_patterns("*.safetensors"))
    assert train_command(["--dry-run", *arguments, f"model.path={tmp_path / 'model'}"]) == 0
    assert "Prompt of problem" in capsys.readouterr().out


def test_before_a_cold_start_the_prompt_is_shown_as_its_own_model_reads_it(arguments, random_model, tmp_path, capsys):
    start = tmp_path / "sft.yaml"
    start.write_text(f"{{run: {{name: s}}, model: {{path: {random_model}}}, problems: [{{domain: chain}}]}}")
    cold = [*arguments, f"model.path={tmp_path / 'made' / 'model'}", f"model.cold_start={start}"]
    assert train_command(["--show-prompt", *cold]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("Prompt of problem")
    assert train_command(["--dry-run", "--json", *cold]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["prompt"] == shown.splitlines()
    assert document["settings"]["model"]["path"] == str(tmp_path / "made" / "model")
    start.write_text(f"{{model: {{path: {random_model}}}, problems: [{{domain: chain}}]}}")  # the run names it
    assert train_command(["--show-prompt", *cold]) == 0
    assert capsys.readouterr().out == shown
    start.write_text("{run: {name: s}, model: {tiny: {}}, problems: [{domain: chain}]}")
    assert train_command(["--show-prompt", *cold]) == 2
    assert "would make it first" in capsys.readouterr().err
    assert train_command(["--dry-run", "--json", *cold]) == 0
    assert json.loads(capsys.readouterr().out)["prompt"] is None


def test_a_plan_is_told_as_json_where_the_prompt_cannot_be_shown(arguments, random_model, tmp_path, capsys):
    shutil.copytree(random_model, tmp_path / "model")
    about = json.loads((tmp_path / "model" / "tokenizer_config.json").read_text())
    (tmp_path / "model" / "tokenizer_config.json").write_text(json.dumps({**about, "pad_token": None}))
    assert train_command(["--dry-run", "--json", *arguments, f"model.path={tmp_path / 'model'}"]) == 2
    told = capsys.readouterr()
    assert json.loads(told.out)["prompt"] is None
    assert "has no pad token" in told.err
