"""The verifiers as reward functions of TRL's GRPOTrainer: `reward_funcs=[rewards.trl.math_reward]`, or `code_reward`, or
`problem_reward` for problems of any domain.

Where TRL offers it (1.16 does), they log the status of each verdict as a column of the completions table, and the share of
completions that could not be scored as a metric. The other way round, a reward function of TRL's as a verifier of the lab, is
`rewards/own.py`.

`math_reward` runs in the caller's process. Every verdict is bounded in size before any arithmetic; where a hard wall limit is
wanted, use `problem_reward`, whose verifier processes can be killed; `code_reward` has them too.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from problems.rows import mapping
from problems.types import Problem
from rewards.answer import opens_thinking
from rewards.kept import kept_pool
from rewards.pool import collect
from rewards.types import STRICT, Policy, Reading, Verdict
from rewards.verifiers import verify

Completion = str | Sequence[Mapping[str, Any]]  # text, or the messages of a conversation
LogExtra = Callable[[str, list[Any]], None] | None  # (column, one value a completion)
LogMetric = Callable[[str, float], None] | None  # (name, value of this batch)


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


def math_reward(
    completions: Sequence[Completion],
    solution: Sequence[str | None],
    policy: Policy = "strict",
    log_extra: LogExtra = None,
    log_metric: LogMetric = None,
    **kwargs: Any,
) -> list[float | None]:
    """Return 1.0 for a right final answer, 0.0 for another, and None (no signal) where the reference cannot be read.

    `solution` is the column of reference answers or worked solutions, one a completion. `policy` is the reading: strict pays
    marked answers only. `prompts`, which TRL passes too, decide whether the question asks for a percentage and whether the
    prompt has opened the thinking. Works from any thread: no signals are used.
    """
    prompts = kwargs.get("prompts") or [""] * len(completions)
    verdicts: list[Verdict] = []
    for completion, reference, prompt in zip(completions, solution, prompts, strict=True):
        text = _prompt_text(prompt)
        reading = Reading(policy=policy, thinking_open=opens_thinking(text))
        problem = Problem(id="", domain="math", split="train", prompt=text, reference=reference, source="trl")
        verdicts.append(verify(problem, completion_text(completion), reading))
    return _logged("math", verdicts, log_extra, log_metric)


def code_reward(
    completions: Sequence[Completion],
    checks: Sequence[Any],
    log_extra: LogExtra = None,
    log_metric: LogMetric = None,
    **_: Any,
) -> list[float | None]:
    """Return 1 for a program that passes its tests, 0 for one that does not, a share where `checks` pays shares.

    `checks` is a column of the data set, a mapping or its JSON text (a data set's columns want one type). None means that the
    program could not be judged, and TRL leaves it out. Programs run in parallel, in worker processes kept between calls.
    """
    problems = [_problem("code", None, check) for check in checks]
    return _logged("code", _judged(problems, completions, [STRICT] * len(problems)), log_extra, log_metric)


def problem_reward(
    completions: Sequence[Completion],
    domain: Sequence[str],
    reference: Sequence[Any] | None = None,
    checks: Sequence[Any] | None = None,
    policy: Policy = "strict",
    log_extra: LogExtra = None,
    log_metric: LogMetric = None,
    **kwargs: Any,
) -> list[float | None]:
    """Return what the verifier of each row's `domain` pays, in [0, 1]; None where a completion cannot be scored.

    `domain`, `reference` and `checks` (mappings or their JSON) are columns of the data set, as `reasonlab problems export`
    writes them. `policy` and `prompts` as for `math_reward`.
    """
    prompts = kwargs.get("prompts") or [""] * len(completions)
    missing = [None] * len(completions)
    problems, readings = [], []
    for one, answer, check, prompt in zip(domain, reference or missing, checks or missing, prompts, strict=True):
        text = _prompt_text(prompt)
        problems.append(_problem(one, answer, check, text))
        readings.append(Reading(policy=policy, thinking_open=opens_thinking(text)))
    return _logged("problem", _judged(problems, completions, readings), log_extra, log_metric)


def _judged(problems: Sequence[Problem], completions: Sequence[Completion], readings: Sequence[Reading]) -> list[Verdict]:
    """Return a verdict a completion, made in parallel."""
    pool = kept_pool(workers=max(1, len(os.sched_getaffinity(0))))
    texts = map(completion_text, completions)
    return collect([pool.submit(*asked) for asked in zip(problems, texts, readings, strict=True)])


def _logged(name: str, verdicts: Sequence[Verdict], log_extra: LogExtra, log_metric: LogMetric) -> list[float | None]:
    """Return what the verdicts pay, after TRL was told what they are."""
    if log_extra is not None:
        log_extra(f"{name}_status", [verdict.status for verdict in verdicts])
    if log_metric is not None and verdicts:
        log_metric(f"{name}_unscored", sum(verdict.worth is None for verdict in verdicts) / len(verdicts))
    return [verdict.worth for verdict in verdicts]


def _problem(domain: str, reference: Any, checks: Any, prompt: str = "") -> Problem:
    answer = None if reference is None else str(reference)
    return Problem(id="", domain=domain, split="train", prompt=prompt, reference=answer, checks=mapping(checks), source="trl")
