"""What a tokenizer and its chat template say about turns: where one ends, what stands twice, which template is missing.

Only the tokenizer is asked here, no model.
"""

import copy
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError

from problems.types import Problem
from rl.policy.interfaces import Tokenizer
from rl.policy.prompts import messages
from rl.policy.tiny import CHAT_TEMPLATE
from rl.settings.schema import PromptSettings
from rl.types import IntArray

# marks with which models end a turn, in case they come as text: a tokenizer may not know the mark that its model writes
END_MARKS = (
    "<|im_end|>", "<|eot_id|>", "<|end|>", "<|endoftext|>", "<|end_of_text|>", "<end_of_turn>", "</s>", "<|return|>",
    "<|eom_id|>",
)  # fmt: skip
_TURN_MARK = re.compile(
    r"<\|(?:im_start|im_end|user|assistant|system|start_header_id|end_header_id|eot_id|begin_of_text|end)\|>|\[/?INST\]"
    r"|<(?:start|end)_of_turn>|</?s>|<\uff5c(?:User|Assistant)\uff5c>"
)
_HAND_MADE_TURN = re.compile(r"\n[#* ]*(?:Assistant|ASSISTANT)[* ]*:\s*$")
_SAID = "zebra"  # what an assistant says, to find what the template puts behind it


@dataclass(frozen=True, kw_only=True)
class Family:
    """A way to write a chat that several models share."""

    name: str
    marks: tuple[str, ...]  # all of them in the vocabulary, and the model may know it
    end: str  # ends a turn
    template: str


_CHATML = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
_LLAMA3 = (
    "<|begin_of_text|>{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{{ m.content }}<|eot_id|>"
    "{% endfor %}<|start_header_id|>assistant<|end_header_id|>\n\n"
)
_GEMMA = "<bos>{% for m in messages %}<start_of_turn>user\n{{ m.content }}<end_of_turn>\n{% endfor %}<start_of_turn>model\n"
_PHI3 = "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}<|assistant|>\n"
FAMILIES = (
    Family(name="ChatML", marks=("<|im_start|>", "<|im_end|>"), end="<|im_end|>", template=_CHATML),
    Family(name="Llama 3's template", marks=("<|start_header_id|>", "<|eot_id|>"), end="<|eot_id|>", template=_LLAMA3),
    Family(name="Gemma's template", marks=("<start_of_turn>", "<end_of_turn>"), end="<end_of_turn>", template=_GEMMA),
    Family(name="Phi-3's template", marks=("<|user|>", "<|system|>", "<|end|>"), end="<|end|>", template=_PHI3),
    Family(
        name="the template of reasonlab's tiny models", marks=("<|user|>", "<|end|>"), end="<|end|>", template=CHAT_TEMPLATE
    ),
)


def missing_family(tokenizer: Tokenizer) -> Family | None:
    """Return the family whose marks a vocabulary holds although the tokenizer has no chat template."""
    if tokenizer.chat_template:
        return None
    vocabulary = tokenizer.get_vocab()
    return next((family for family in FAMILIES if all(mark in vocabulary for mark in family.marks)), None)


def with_template(tokenizer: Tokenizer, template: str | None) -> Tokenizer:
    """Return a copy of the tokenizer with another chat template."""
    other = copy.deepcopy(tokenizer)
    other.chat_template = template
    return other


def turn_end(tokenizer: Tokenizer) -> int | None:
    """Return the special token that the chat template puts behind what an assistant says, None where it puts none."""
    if not tokenizer.chat_template:
        return None
    chat = [{"role": "user", "content": "a"}, {"role": "assistant", "content": _SAID}]
    try:
        ids = tokenizer.apply_chat_template(chat, add_generation_prompt=False, return_dict=False)
    except (TemplateError, TypeError, ValueError):
        return None
    text = tokenizer.decode(ids, skip_special_tokens=False)
    behind = text.rpartition(_SAID)[2]
    special = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    return next((number for number in tokenizer(behind, add_special_tokens=False).input_ids if number in special), None)


def texts(ids: Iterable[int], tokenizer: Tokenizer) -> tuple[str, ...]:
    """Return tokens as text, one by one."""
    return tuple(tokenizer.decode([one], skip_special_tokens=False) for one in ids)


def unstopped_end(tokenizer: Tokenizer, stop_ids: Collection[int], stop_texts: Collection[str]) -> str | None:
    """Return the token that ends a turn by the chat template where nothing stops at it."""
    end = turn_end(tokenizer)
    if end is None or end in stop_ids:
        return None
    (text,) = texts([end], tokenizer)
    return None if text in stop_texts else text


def doubled(problems: Sequence[Problem], prompts: Sequence[IntArray], settings: PromptSettings, tokenizer: Any) -> str | None:
    """Return in words what stands twice in the prompts, None where nothing does."""
    bos = getattr(tokenizer, "bos_token_id", None)
    if bos is not None and all(list(ids[:2]) == [bos, bos] for ids in prompts):
        return f"it begins with {tokenizer.decode([bos], skip_special_tokens=False)} twice"
    if not tokenizer.chat_template:
        return None
    found = []
    for problem in problems:
        text = "\n\n".join(message["content"] for message in messages(problem, settings))
        mark = _turn_mark(text)
        found.append(mark[0].strip() if mark else None)
    if not found or None in found:
        return None
    holder = marked_setting(settings)
    where = "the problems' own text" if holder == "problems" else holder
    return f"{where} holds the mark {found[0]!r} of a turn, and the chat template writes the turns around it again"


def marked_setting(settings: PromptSettings) -> str:
    """Return the setting that brings marks of turns into prompts."""
    if settings.system and _turn_mark(settings.system):
        return "prompt.system"
    return "prompt.template" if settings.template != "{prompt}" else "problems"


def _turn_mark(text: str) -> re.Match[str] | None:
    return _TURN_MARK.search(text) or _HAND_MADE_TURN.search(text)
