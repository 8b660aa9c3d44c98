"""From a question to prompt tokens: the same rendering for the cold start, for sampling and for evaluation.

With a chat template (the tokenizer carries it) the messages become one text by it, ended by what opens the assistant's turn,
so that the completion begins where the assistant would. The template writes its special tokens itself; none are added.
    <|user|>3*7+2=?<|assistant|>
Without one the messages stand as plain text, a blank line between system message and question, and the tokenizer adds the
special tokens that it puts before any text (a BOS, where it has one).

The template's own text must never change between cold start, training and evaluation: `template_hash` says when it has.
"""

import hashlib

import numpy as np

from problems.types import Problem
from rewards.answer import opens_thinking
from rl.policy.interfaces import Tokenizer
from rl.settings.schema import PromptSettings
from rl.types import IntArray

_ENDING_TOKENS = 32  # of a prompt: enough for an opening tag and white space behind it, a character a token


def messages(problem: Problem, settings: PromptSettings) -> list[dict[str, str]]:
    """Return the chat messages that ask the question: the system message where one is set, then the user's."""
    question = settings.template.replace("{prompt}", problem.prompt)
    user = {"role": "user", "content": question}
    if not settings.system:
        return [user]
    return [{"role": "system", "content": settings.system}, user]


def render(problem: Problem, settings: PromptSettings, tokenizer: Tokenizer) -> IntArray:
    """Return the prompt's token ids, int32 [T_prompt].

    How long a prompt may be is for the caller to say (RolloutWorker). A template that has no place for a system message
    raises jinja2's TemplateError, with the template's own words: leave `prompt.system` unset for such a model.
    """
    chat = messages(problem, settings)
    if tokenizer.chat_template:
        ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
    else:
        ids = tokenizer("\n\n".join(message["content"] for message in chat)).input_ids
    return np.asarray(ids, dtype=np.int32)


def leaves_thinking_open(prompt_ids: IntArray, tokenizer: Tokenizer) -> bool:
    """Tell whether a prompt, as the model gets it, ends inside of a thought, so that the completion begins there."""
    return opens_thinking(tokenizer.decode(prompt_ids[-_ENDING_TOKENS:], skip_special_tokens=False))


def template_hash(settings: PromptSettings, tokenizer: Tokenizer) -> str:
    """Return 12 hex digits that change when anything about the rendering does; scores under other templates differ."""
    text = f"{settings.system}\x1f{settings.template}\x1f{tokenizer.chat_template}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]
