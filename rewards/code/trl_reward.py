"""`code_reward`: the code verifier as a reward function of TRL's GRPOTrainer."""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from problems.types import Problem
from rewards.pool import VerifierPool

_pools: list[VerifierPool] = []


def _text(completion: Any) -> str:
    """Return the text of a completion: plain, or the last message of a conversation."""
    if isinstance(completion, str):
        return completion
    return str(completion[-1]["content"])


def code_reward(completions: Sequence[Any], checks: Sequence[Any], **_: Any) -> list[float | None]:
    """Return 1 for a program that passes its tests, 0 for one that does not, a share where `checks` pays shares.

    `checks` is a column of the data set, a mapping or its JSON text (a data set's columns want one type). None means that the
    program could not be judged, and TRL leaves it out. Programs run in parallel, in worker processes kept between calls.
    """
    if not _pools:
        _pools.append(VerifierPool(workers=max(1, len(os.sched_getaffinity(0)))))
    problems = [_problem(check if isinstance(check, Mapping) else json.loads(check)) for check in checks]
    verdicts = _pools[0].grade(zip(problems, map(_text, completions), strict=True))
    scores = [v.score if v.score is not None else float(v.status == "correct") for v in verdicts]
    return [None if v.status == "error" else score for v, score in zip(verdicts, scores, strict=True)]


def _problem(checks: Mapping[str, Any]) -> Problem:
    return Problem(id="", domain="code", split="train", prompt="", reference=None, checks=checks, source="trl")
