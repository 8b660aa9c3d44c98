"""Figures of what was drawn: counts over rollouts, and what their texts and tokens look like. No model is asked here."""

import math
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rewards.pool import VerifierPool
from rewards.reading.thinking import after_thinking
from rewards.types import Reading, Verdict
from rl.diagnosis.templates import END_MARKS
from rl.stats import mean
from rl.types import IntArray, Rollout, has_contrast

_LOOP_TOKENS = 64  # at the end of a completion that are looked at
_LONGEST_PERIOD = 20  # tokens that come again and again
_READ_AGAIN = 256  # completions, at most, that are read leniently
_READING_SECONDS = 10.0

# figures that depend on how completions end
_OF_THE_END = (
    "reward", "paid", "contrast", "all_unpaid", "all_paid", "unparsed", "errors", "timeouts", "late", "slowest_verdict",
    "distinct", "unended_thoughts",
)  # fmt: skip
_NEXT_MESSAGE = "<|start|>"  # in harmony's form (gpt-oss) one turn has several messages, and <|end|> stands between them

Group = Sequence[Rollout]


def of_rollouts(groups: Sequence[Group], *, opens_thinking: bool) -> dict[str, Any]:
    """Return the figures that follow from the rollouts alone, by their names in Figures."""
    rollouts = [rollout for group in groups for rollout in group]
    if not rollouts:
        return {}
    return {
        **_rewards(groups, rollouts),
        **_verdicts(rollouts),
        **_texts(groups, rollouts, opens_thinking),
        **_numbers(rollouts),
    }


def of_ended(groups: Sequence[Group], *, opens_thinking: bool) -> dict[str, Any]:
    """Return anew what depends on how completions end, where they were drawn shorter than the run draws them.

    Those that had not ended say nothing of it; where they leave less than half of the groups, nothing is known.
    """
    ended = only_ended(groups)
    drawn = {"groups": len(groups), "completions": sum(map(len, groups)), "cut": None}
    if not ended or 2 * len(ended) < len(groups):
        return {**dict.fromkeys(_OF_THE_END), **drawn, "scored": 0}
    figures = of_rollouts(ended, opens_thinking=opens_thinking)
    return {name: figures[name] for name in (*_OF_THE_END, "scored", "error_says")} | drawn


def only_ended(groups: Sequence[Group]) -> list[list[Rollout]]:
    """Return the completions that ended by themselves, without the groups of which none did."""
    return [group for whole in groups if (group := [rollout for rollout in whole if not is_cut(rollout)])]


def is_cut(rollout: Rollout) -> bool:
    """Tell whether the limit cut a completion off."""
    return rollout.completion.finish_reason == "length"


def _rewards(groups: Sequence[Group], rollouts: Sequence[Rollout]) -> dict[str, Any]:
    totals = [total for rollout in rollouts if (total := rollout.reward.total) is not None]
    paid = [[is_paid(rollout) for rollout in group if rollout.reward.total is not None] for group in groups]
    scored = [group for group in paid if group]
    alike = [all(group) and not has_contrast(of) for group, of in zip(paid, groups, strict=True) if group]
    return {
        "groups": len(groups),
        "completions": len(rollouts),
        "scored": len(totals),
        "reward": mean(totals),
        "paid": mean([float(one) for group in scored for one in group]),
        "contrast": mean([float(has_contrast(group)) for group in groups]),
        "all_unpaid": mean([float(not any(group)) for group in scored]),
        "all_paid": mean([float(one) for one in alike]),
    }


def is_paid(rollout: Rollout) -> bool:
    """Tell whether an answer is paid; saying that one does not know is none, whatever it pays."""
    return (rollout.reward.total or 0) > 0 and rollout.reward.verdict.status != "abstained"


def _verdicts(rollouts: Sequence[Rollout]) -> dict[str, Any]:
    verdicts = [rollout.reward.verdict for rollout in rollouts]
    faults = [verdict for verdict in verdicts if verdict.status == "error" and not (is_late(verdict) or is_timeout(verdict))]
    errors = Counter(verdict.detail for verdict in faults)
    return {
        "unparsed": mean([float(verdict.status == "unparsed") for verdict in verdicts]),
        "errors": errors.total() / len(verdicts),
        "timeouts": mean([float(is_timeout(verdict)) for verdict in verdicts]),
        "late": mean([float(is_late(verdict)) for verdict in verdicts]),
        "slowest_verdict": max(verdict.seconds for verdict in verdicts),
        "error_says": errors.most_common(1)[0][0] if errors else "",
    }


def is_late(verdict: Verdict) -> bool:
    """Tell whether a verdict is missing because a whole batch took too long (rewards/pool.py:collect)."""
    return verdict.status == "error" and verdict.detail.startswith("the batch deadline of ")


def is_timeout(verdict: Verdict) -> bool:
    """Tell whether a verdict took longer than one may; of a verifier of one's own that is an error (rewards/pool.py)."""
    return verdict.status == "timeout" or (verdict.status == "error" and ": no verdict within " in verdict.detail)


def _texts(groups: Sequence[Group], rollouts: Sequence[Rollout], opens_thinking: bool) -> dict[str, Any]:
    lengths = [float(rollout.completion.num_tokens) for rollout in rollouts]
    marks = Counter(mark for rollout in rollouts if (mark := past_end(rollout.completion.text)) is not None)
    different = [len({rollout.completion_ids.tobytes() for rollout in group}) / len(group) for group in groups]
    open_thoughts = [after_thinking(rollout.completion.text, opens_thinking) is None for rollout in rollouts]
    return {
        "cut": mean([float(is_cut(rollout)) for rollout in rollouts]),
        "tokens_mean": mean(lengths),
        "tokens_median": float(np.median(lengths)),
        "tokens_p90": float(np.quantile(lengths, 0.9)),
        "distinct": mean(different),
        "unended_thoughts": mean([float(is_open) for is_open in open_thoughts]),
        "past_end": marks.total() / len(rollouts),
        "past_end_mark": marks.most_common(1)[0][0] if marks else "",
        "loops": mean([float(is_loop(rollout.completion_ids)) for rollout in rollouts]),
        "overlong": mean([float(rollout.reward.parts.get("overlong", 0.0) > 0) for rollout in rollouts]),
    }


def _numbers(rollouts: Sequence[Rollout]) -> dict[str, Any]:
    entropies = [rollout.sampling_entropies for rollout in rollouts if rollout.sampling_entropies is not None]
    finite = all(bool(np.isfinite(rollout.sampling_logprobs).all()) for rollout in rollouts)
    entropy = float(np.concatenate(entropies).mean()) if entropies else None
    return {"finite": finite and (entropy is None or bool(np.isfinite(entropy))), "entropy": entropy}


def past_end(text: str) -> str | None:
    """Return the mark that ends a turn in the middle of `text`, None where nothing stands behind one."""
    if "<" not in text:
        return None
    whole = text.rstrip()
    return next((mark for mark in END_MARKS if _goes_on(whole, mark)), None)


def _goes_on(text: str, mark: str) -> bool:
    """Tell whether something stands behind one of the marks, and not the next message of the same turn."""
    behind = [text[found.end() :] for found in re.finditer(re.escape(mark), text)]
    return any(rest and not rest.lstrip().startswith(_NEXT_MESSAGE) for rest in behind)


def is_loop(ids: IntArray) -> bool:
    """Tell whether the last tokens [T] of a completion are the same few, three times or more."""
    tail = ids[-_LOOP_TOKENS:]
    if len(tail) < _LOOP_TOKENS:
        return False
    return any(bool((tail[period:] == tail[:-period]).all()) for period in range(1, _LONGEST_PERIOD + 1))


def unread_right(pool: VerifierPool, groups: Sequence[Group], *, opens_thinking: bool) -> float | None:
    """Return the share of completions whose answer the strict reading did not find and the lenient one finds right.

    At most 256 are read again, spread evenly; None where time ran out.
    """
    rollouts = [rollout for group in groups for rollout in group]
    rollouts = rollouts[:: max(1, math.ceil(len(rollouts) / _READ_AGAIN))]
    unread = [rollout for rollout in rollouts if rollout.reward.verdict.status == "unparsed"]
    lenient = Reading(policy="lenient", thinking_open=opens_thinking)
    items = [(rollout.problem, rollout.completion.text) for rollout in unread]
    deadline = time.monotonic() + _READING_SECONDS
    verdicts = pool.grade(items, _READING_SECONDS, lenient)
    if items and time.monotonic() > deadline:
        return None
    return sum(verdict.status == "correct" for verdict in verdicts) / len(rollouts) if rollouts else None


def of_updates(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures that a training step's metrics add to those of its rollouts."""
    values = [metrics.get(name) for name in ("loss", "grad_norm")]
    known = [value for value in values if value is not None]
    figures: dict[str, Any] = {"gap": metrics.get("sampling/sampling_logp_difference/mean")}
    if metrics.get("skipped_updates") or not all(np.isfinite(value) for value in known):
        figures["finite"] = False
    return figures
