"""A question becomes the same tokens wherever it is asked."""

from dataclasses import replace

import numpy as np
import pytest
from support import problem

from rewards.types import STRICT, Reading
from rl.policy.prompts import PromptError, messages, reading_of, render, template_hash
from rl.policy.tiny import character_tokenizer
from rl.settings.abstention import AbstentionSettings
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


REFUSES_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for message in messages %}<|user|>{{ message.content }}{% endfor %}<|assistant|>"
)


def test_a_template_that_refuses_its_messages_is_told_in_its_own_words(tokenizer):
    tokenizer.chat_template = REFUSES_SYSTEM  # as Gemma's does
    assert tokenizer.decode(render(problem(), PromptSettings(), tokenizer)) == "<|user|>1+1=?<|assistant|>"
    with pytest.raises(PromptError, match=r"system, user.*System role not supported.*leave prompt\.system unset"):
        render(problem(), SYSTEM, tokenizer)


@pytest.mark.parametrize("template", ["{{ messages[0].content + none }}", "{% for %}", "{{ messages[0].nothing.there }}"])
def test_a_template_with_a_fault_in_it_is_told_too(tokenizer, template):
    tokenizer.chat_template = template
    with pytest.raises(PromptError, match="mend its template"):
        render(problem(), PromptSettings(), tokenizer)


def byte_fallback_tokenizer(*, bos=True, ends_every_text=False):
    """Return a tokenizer as Llama 2's: words begin with a mark, a character without a token is its bytes, BOS before text."""
    from tokenizers import Tokenizer, decoders, models, normalizers, processors
    from transformers import PreTrainedTokenizerFast

    marked = "\u2581"
    plain = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), marked, *map(chr, range(33, 127))]
    core = Tokenizer(
        models.BPE({token: number for number, token in enumerate(plain)}, [], unk_token="<unk>", byte_fallback=True)
    )
    core.normalizer = normalizers.Sequence([normalizers.Prepend(marked), normalizers.Replace(" ", marked)])
    core.decoder = decoders.Sequence(
        [decoders.Replace(marked, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    single = f"{'<s> ' if bos else ''}$A{' </s>' if ends_every_text else ''}"
    core.post_processor = processors.TemplateProcessing(single=single, special_tokens=[("<s>", 1), ("</s>", 2)])
    names = {"bos_token": "<s>"} if bos else {}
    return PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>", eos_token="</s>", pad_token="</s>", **names)


def asked(text):
    return replace(problem(), prompt=text)


def test_without_a_template_a_bos_comes_first_where_the_tokenizer_has_one():
    with_bos, without = byte_fallback_tokenizer(), byte_fallback_tokenizer(bos=False)
    assert render(asked("1+1=?"), PromptSettings(), with_bos)[0] == with_bos.bos_token_id == 1
    assert without.bos_token_id is None
    assert (
        list(render(asked("1+1=?"), PromptSettings(), without)) == list(render(asked("1+1=?"), PromptSettings(), with_bos))[1:]
    )


def test_a_tokenizer_that_ends_every_text_does_not_end_the_prompt():
    ending, plain = byte_fallback_tokenizer(ends_every_text=True), byte_fallback_tokenizer()
    assert ending("1+1=?").input_ids[-1] == ending.eos_token_id
    assert list(render(asked("1+1=?"), PromptSettings(), ending)) == list(render(asked("1+1=?"), PromptSettings(), plain))
    # an end mark that the text itself has stays
    assert render(asked("1+1=?</s>"), PromptSettings(), ending)[-1] == ending.eos_token_id


def test_characters_that_are_spelled_in_bytes_come_back_whole():
    tokenizer = byte_fallback_tokenizer()
    text = "caf\u00e9 \U0001f642 \u65e5\u672c"
    ids = render(asked(text), PromptSettings(), tokenizer)
    assert len(ids) == 1 + (1 + 3 + 2) + (1 + 4) + (1 + 3 + 3)  # bos; then a mark before each word, and bytes
    assert tokenizer.decode(ids, skip_special_tokens=True) == text


def test_leave_to_abstain_is_a_line_below_the_question_and_in_the_reading(tokenizer):
    plain, may = (
        PromptSettings(template="Q: {prompt}!"),
        PromptSettings(template="Q: {prompt}!", abstention=AbstentionSettings()),
    )
    assert messages(problem(), may)[-1]["content"] == ("Q: 1+1=?!\nIf you do not know the answer, write \\boxed{I don't know}.")
    silent = PromptSettings(template="Q: {prompt}!", abstention=AbstentionSettings(words="?", invitation=""))
    assert messages(problem(), silent) == messages(problem(), plain)
    assert reading_of(plain, "strict") == STRICT
    assert reading_of(may, "lenient", thinking_open=True) == Reading(
        policy="lenient", thinking_open=True, abstention="I don't know"
    )
    assert len({template_hash(each, tokenizer) for each in (plain, may, silent)}) == 3
    with pytest.raises(ValueError, match="words must be 1 to 100 characters"):
        AbstentionSettings(words="I don't {know}")
