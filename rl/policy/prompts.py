"""From a question to prompt tokens: the same rendering for the cold start, for sampling and for evaluation."""

import hashlib
from typing import Any

import numpy as np

from problems.types import Problem
from rl.settings.schema import PromptSettings
from rl.types import IntArray


def messages(problem: Problem, settings: PromptSettings) -> list[dict[str, str]]:
    """Return the chat messages that ask the question."""
    asked = [{"role": "user", "content": settings.template.replace("{prompt}", problem.prompt)}]
    return ([{"role": "system", "content": settings.system}] if settings.system else []) + asked


def render(problem: Problem, settings: PromptSettings, tokenizer: Any) -> IntArray:
    """Return the prompt's token ids; through the chat template where the tokenizer has one, else as plain text."""
    asked = messages(problem, settings)
    if tokenizer.chat_template:
        ids = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_dict=False)
    else:
        ids = tokenizer("\n\n".join(message["content"] for message in asked)).input_ids
    return np.asarray(ids, dtype=np.int32)


def template_hash(settings: PromptSettings, tokenizer: Any) -> str:
    """Return 12 hex digits that change when anything about the rendering does; scores under other templates differ."""
    text = f"{settings.system}\x1f{settings.template}\x1f{tokenizer.chat_template}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]
