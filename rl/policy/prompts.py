"""From a question to prompt tokens: the same rendering for the cold start, for sampling and for evaluation.

With a chat template (the tokenizer carries it) the messages become one text by it, ended by what opens the assistant's turn,
so that the completion begins where the assistant would. The template writes its special tokens itself; none are added.
    <|user|>3*7+2=?<|assistant|>
Without one the messages stand as plain text, a blank line between system message and question, and the tokenizer adds the
special tokens that it puts before any text (a BOS, where it has one).

The template's own text must never change between cold start, training and evaluation: `template_hash` says when it has.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jinja2 import TemplateError

from problems.errors import LabError
from problems.selection import read_header
from problems.types import Problem, SourceConfig
from rewards.answer import opens_thinking
from rewards.types import Policy, Reading
from rl.policy.interfaces import Tokenizer
from rl.settings.schema import PromptSettings
from rl.types import IntArray

_ENDING_TOKENS = 32  # of a prompt: enough for an opening tag and white space behind it, a character a token


class PromptError(LabError):
    """Messages that the model's chat template does not take."""


def messages(problem: Problem, settings: PromptSettings) -> list[dict[str, str]]:
    """Return the chat messages that ask the question: the system message where one is set, then the user's.

    Where the model may abstain, a line below the question says so.
    """
    question = settings.template.replace("{prompt}", problem.prompt)
    if settings.abstention is not None and settings.abstention.line:
        question = f"{question}\n{settings.abstention.line}"
    user = {"role": "user", "content": question}
    if not settings.system:
        return [user]
    return [{"role": "system", "content": settings.system}, user]


def render(problem: Problem, settings: PromptSettings, tokenizer: Tokenizer) -> IntArray:
    """Return the prompt's token ids, int32 [T_prompt].

    How long a prompt may be is for the caller to say (RolloutWorker). Raises PromptError, with the template's own words, for
    a template that refuses the messages: some have no place for a system message.
    """
    chat = messages(problem, settings)
    if not tokenizer.chat_template:
        return np.asarray(_plain(chat, tokenizer), dtype=np.int32)
    try:
        ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
    except (TemplateError, TypeError, ValueError) as error:  # a template's own refusal, or a fault in it
        hint = "leave prompt.system unset, its text may stand in prompt.template" if settings.system else "mend its template"
        raise PromptError(
            f"the chat template of the tokenizer refuses the messages ({', '.join(one['role'] for one in chat)}): "
            f"{type(error).__name__}: {str(error)[:300]}. For this model, {hint}"
        ) from None
    return np.asarray(ids, dtype=np.int32)


def _plain(chat: list[dict[str, str]], tokenizer: Tokenizer) -> list[int]:
    """Return the tokens of messages without a template; a tokenizer that ends every text has its end mark taken off again."""
    text = "\n\n".join(message["content"] for message in chat)
    ids = tokenizer(text).input_ids
    bare = tokenizer(text, add_special_tokens=False).input_ids
    return ids[:-1] if ids[-1:] == [tokenizer.eos_token_id] != bare[-1:] else ids


def leaves_thinking_open(prompt_ids: IntArray, tokenizer: Tokenizer) -> bool:
    """Tell whether a prompt, as the model gets it, ends inside of a thought, so that the completion begins there."""
    return opens_thinking(tokenizer.decode(prompt_ids[-_ENDING_TOKENS:], skip_special_tokens=False))


def reading_of(settings: PromptSettings, policy: Policy, *, thinking_open: bool = False) -> Reading:
    """Return how answers to these prompts are read."""
    words = None if settings.abstention is None else settings.abstention.words
    return Reading(policy=policy, thinking_open=thinking_open, abstention=words)


def template_hash(settings: PromptSettings, tokenizer: Tokenizer) -> str:
    """Return 12 hex digits that change when anything about the rendering does; scores under other templates differ."""
    text = f"{settings.system}\x1f{settings.template}\x1f{tokenizer.chat_template}"
    if settings.abstention is not None:
        text += f"\x1f{settings.abstention.line}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def check_rates(sources: Sequence[SourceConfig], settings: PromptSettings, tokenizer: Tokenizer) -> None:
    """Raise PromptError where problems are chosen by pass rates that were measured under another prompt than this one."""
    now = template_hash(settings, tokenizer)
    for position, source in enumerate(sources):
        if source.rates is None:
            continue
        header = read_header(Path(source.rates), "rates")
        measured = header.get("template_hash")  # None: an endpoint rendered the prompts, and nobody knows how
        if measured is not None and measured != now:
            raise PromptError(
                f"problems.{position}: the rates of {source.rates} were measured with another prompt or chat template: "
                f"{json.dumps(header.get('prompt'))}, model {header.get('model')}, template {measured}; here it is "
                f"{settings.model_dump_json()}, template {now}. Measure them again with the prompt of this run"
            )
