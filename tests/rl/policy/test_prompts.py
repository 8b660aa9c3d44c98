"""A question becomes the same tokens wherever it is asked."""

import numpy as np
import pytest
from support import problem

from rl.policy.prompts import messages, render, template_hash
from rl.policy.tiny import character_tokenizer
from rl.settings.schema import PromptSettings

SYSTEM = PromptSettings(system="be brief", template="Q: {prompt}!")


@pytest.fixture
def tokenizer():
    return character_tokenizer()


def test_the_question_stands_in_the_template_behind_the_system_message():
    assert messages(problem(), PromptSettings()) == [{"role": "user", "content": "1+1=?"}]
    assert messages(problem(), SYSTEM) == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "Q: 1+1=?!"},
    ]


def test_a_chat_template_opens_the_turn_of_the_assistant(tokenizer):
    ids = render(problem(), PromptSettings(), tokenizer)
    assert ids.dtype == np.int32
    assert tokenizer.decode(ids) == "<|user|>1+1=?<|assistant|>"
    assert len(ids) == 7  # 2 marks and 5 characters


def test_without_a_chat_template_messages_are_plain_text(tokenizer):
    tokenizer.chat_template = None
    assert tokenizer.decode(render(problem(), SYSTEM, tokenizer)) == "be brief\n\nQ: 1+1=?!"


def test_the_hash_changes_with_everything_that_the_prompt_depends_on(tokenizer):
    settings = (PromptSettings(), SYSTEM, PromptSettings(system="be brief"), PromptSettings(template="Q: {prompt}!"))
    hashes = {template_hash(each, tokenizer) for each in settings}
    tokenizer.chat_template += " "
    hashes |= {template_hash(each, tokenizer) for each in settings}
    assert len(hashes) == 8
    assert {len(digits) for digits in hashes} == {12}
