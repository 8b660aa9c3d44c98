"""SmolLM2-135M-Instruct, as `reasonlab fetch smollm2-135m` brings it: opened, asked, shown, and its tokenizer's corners."""

import json
import os
import re
import shutil
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from support import problem
from support_pure import fetched_model
from transformers import AutoTokenizer

from rl.imitation.examples import as_row, examples, targets
from rl.policy.opening import load_model, load_tokenizer, plain_model, stop_token_ids
from rl.policy.paths import PolicyError
from rl.policy.prompts import PromptError, render
from rl.policy.showing import show_prompt
from rl.settings.loading import load_config
from rl.settings.schema import ModelSettings, PromptSettings, RunConfig, SftConfig
from rl.update.packing import pad

pytestmark = [pytest.mark.slow, pytest.mark.real]

QUESTION = 'How many times does the letter "r" occur in the word "strawberry"?'
BUILT_IN = "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
TURN = f"<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n"


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Settings of the model as a directory."""
    return plain_model(ModelSettings(path=str(fetched_model())), tmp_path_factory.mktemp("real"))


@pytest.fixture
def variant(plain, tmp_path):
    """A directory with the real weights and files of its own, to be changed."""
    directory = tmp_path / "variant"
    directory.mkdir()
    for file in Path(plain.path).iterdir():
        (os.link if file.suffix == ".safetensors" else shutil.copy)(file, directory / file.name)
    return directory


@pytest.fixture(scope="module")
def tokenizer(plain):
    return load_tokenizer(plain)


def rendered(tokenizer, system=None) -> str:
    ids = render(replace(problem(), prompt=QUESTION), PromptSettings(system=system), tokenizer)
    return tokenizer.decode(ids, skip_special_tokens=False)


def test_it_speaks(plain, tokenizer):
    model = load_model(plain, trainable=False)
    assert sum(parameter.numel() for parameter in model.parameters()) == 134_515_008
    ids = render(replace(problem(), prompt="What is the capital of France?"), PromptSettings(), tokenizer).tolist()
    for _ in range(8):  # greedily; wrong weights (queries and keys lie permuted in a GGUF file) speak no English
        with torch.no_grad():
            ids.append(int(model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
    assert tokenizer.decode(ids[-8:], skip_special_tokens=True).startswith("The capital of France is Paris")


def test_the_template_brings_a_system_message_and_takes_another_in_its_place(tokenizer):
    assert rendered(tokenizer) == BUILT_IN + TURN
    assert rendered(tokenizer, "Spell first.") == "<|im_start|>system\nSpell first.<|im_end|>\n" + TURN


def test_a_template_that_has_no_place_for_one_says_so(variant):
    (variant / "chat_template.jinja").write_text(
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system message') }}{% endif %}"
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{{ '<|im_start|>assistant\n' }}"  # jinja drops a line break that ends a template
    )
    changed = load_tokenizer(ModelSettings(path=str(variant)))
    assert rendered(changed) == TURN
    with pytest.raises(PromptError, match="no system message"):
        rendered(changed, "Spell first.")


def test_pad_is_the_end_token_and_still_the_end_of_each_example_is_learned(plain, tokenizer):
    assert tokenizer.pad_token_id == tokenizer.eos_token_id == 2
    chosen = ["run.name=x", f"model.path={plain.path}", "problems=[{domain: letters}]", "sft={row_tokens: 256}"]
    config = load_config(SftConfig, [], chosen).config
    rows = [as_row(example) for example in islice(examples(config, tokenizer), 4)]
    laid_out = pad(rows, tokenizer.pad_token_id, torch.device("cpu"))
    learned = targets(rows)
    ends = learned[torch.tensor([len(row.completion_ids) for row in rows]).cumsum(0) - 1]
    assert ends.tolist() == [2] * 4
    assert len(laid_out.positions) == len(learned)  # and nothing of the padding is learned
    assert min(row.length for row in rows) < laid_out.input_ids.shape[1]  # some row was padded


def test_without_template_and_bos_a_prompt_is_its_text_alone(variant):
    (variant / "chat_template.jinja").unlink()
    settings = json.loads((variant / "tokenizer_config.json").read_text())
    (variant / "tokenizer_config.json").write_text(json.dumps(settings | {"bos_token": None}))
    changed = load_tokenizer(ModelSettings(path=str(variant)))
    assert vars(changed)["_special_tokens_map"].get("bos_token") is None
    assert changed.chat_template is None
    assert rendered(changed, "Spell first.") == f"Spell first.\n\n{QUESTION}"


@pytest.mark.parametrize(
    "text", ["s t r (1) a w", "caf\u00e9 \u65e5\u672c \U0001f642", "12345 x\n\n\ty", "\\boxed{yrrebwarts}"]
)
def test_every_text_comes_back_and_letters_are_tokens_of_their_own(tokenizer, text):
    ids = tokenizer(text, add_special_tokens=False).input_ids
    assert tokenizer.decode(ids, skip_special_tokens=False) == text
    if text.startswith("s t"):
        assert [tokenizer.decode([one], skip_special_tokens=False) for one in ids[:3]] == ["s", " t", " r"]


def test_added_tokens_are_one_token_and_need_a_row(variant):
    changed = AutoTokenizer.from_pretrained(variant)
    changed.add_tokens(["<think>", "</think>"], special_tokens=True)
    assert len(changed("<think>x</think>").input_ids) == 3
    changed.save_pretrained(variant)
    with pytest.raises(PolicyError, match=r"knows 49,152 tokens.*2 more \('<think>' = 49152"):
        load_tokenizer(ModelSettings(path=str(variant)))


def test_several_stop_tokens_all_stop_and_are_shown(variant):
    config = json.loads((variant / "generation_config.json").read_text())
    (variant / "generation_config.json").write_text(json.dumps(config | {"eos_token_id": [2, 0]}))
    settings = ModelSettings(path=str(variant))
    assert stop_token_ids(load_model(settings), load_tokenizer(settings)) == {0, 2}
    shown = show_prompt(
        load_config(RunConfig, [], ["run.name=x", f"model.path={variant}", "problems=[{domain: letters}]"]).config
    )
    assert "it ends with <|endoftext|> (0) or <|im_end|> (2); pad: <|im_end|> (2)" in shown


def test_the_file_itself_shows_the_same_prompt_as_its_directory(plain):
    chosen = ["run.name=x", "problems=[{domain: letters, tasks: {count: 1}}]"]
    shown = [
        show_prompt(load_config(RunConfig, [], [*chosen, f"model.path={path}"]).config)
        for path in (fetched_model(), plain.path)
    ]
    assert shown[0] == shown[1]
    assert "    | You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>" in shown[0]
    assert re.search(r"<\|im_start\|>\|user\|⏎\|How\|·many\|·times\|", shown[0])
