"""The verifiers as reward functions of TRL's GRPOTrainer: `reward_funcs=[rewards.trl.math_reward]`, or `code_reward`.

Runs in the caller's process. Every verdict is bounded in size before any arithmetic; where a hard wall limit is wanted,
use `rewards.pool.VerifierPool`, which kills what does not answer.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from problems.types import Problem
from rewards.code.trl_reward import code_reward
from rewards.verifiers import verify

__all__ = ["code_reward", "math_reward"]

Completion = str | Sequence[Mapping[str, Any]]


def completion_text(completion: Completion) -> str:
    """Return the text of a completion: itself, or the assistant's last message of a conversation."""
    if isinstance(completion, str):
        return completion
    messages = [message for message in completion if message.get("role", "assistant") == "assistant"]
    content = messages[-1].get("content") if messages else ""
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text", "")) for part in content or () if isinstance(part, Mapping))


def _prompt_text(prompt: Any) -> str:
    if isinstance(prompt, str):
        return prompt
    if not prompt:
        return ""
    return " ".join(message["content"] for message in prompt if isinstance(message.get("content"), str))


def math_reward(completions: Sequence[Completion], solution: Sequence[str | None], **kwargs: Any) -> list[float | None]:
    """Return 1.0 for a right final answer, 0.0 for another, and None (no signal) where the reference cannot be read.

    `solution` is the column of reference answers or worked solutions, one a completion. `prompts`, which TRL passes too,
    only decides whether the question asks for a percentage. Works from any thread: no signals are used.
    """
    prompts = kwargs.get("prompts") or [""] * len(completions)
    rewards: list[float | None] = []
    for completion, reference, prompt in zip(completions, solution, prompts, strict=True):
        problem = Problem(id="", domain="math", split="train", prompt=_prompt_text(prompt), reference=reference, source="trl")
        verdict = verify(problem, completion_text(completion))
        rewards.append(None if verdict.status == "error" else float(verdict.status == "correct"))
    return rewards
