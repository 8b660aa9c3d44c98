"""What one training step reports, under the names of TRL (trl 1.16 docs, GRPO trainer, "Logged metrics").

Everything here is computed from all groups of the step, on every rank alike, so no average of averages can creep in.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rewards.types import STATUSES
from rewards.verifiers import verifier_of
from rl.stats import mean
from rl.types import Drawn, Group, Rollout


def _spread(name: str, values: Sequence[float]) -> dict[str, float | None]:
    if not values:
        return {f"{name}/{kind}": None for kind in ("mean", "min", "max")}
    return {f"{name}/mean": float(np.mean(values)), f"{name}/min": float(min(values)), f"{name}/max": float(max(values))}


def rollout_metrics(drawn: Drawn) -> dict[str, Any]:
    """Return rewards, lengths and verdicts over everything that was sampled in a step."""
    rollouts = drawn.rollouts
    totals = [total for r in rollouts if (total := r.reward.total) is not None]
    group_stds = [float(np.std(group.totals, ddof=1)) for group in drawn.groups if len(group.totals) > 1]
    metrics: dict[str, Any] = {
        "reward": mean(totals),
        "reward_std": mean(group_stds),
        "frac_reward_zero_std": mean([float(not group.has_contrast) for group in drawn.groups]),
    }
    for part in rollouts[0].reward.parts:
        values = [r.reward.parts[part] for r in rollouts if r.reward.total is not None]
        metrics[f"rewards/{part}/mean"] = mean(values)
        metrics[f"rewards/{part}/std"] = float(np.std(values)) if values else None
    lengths = [float(r.completion.num_tokens) for r in rollouts]
    ended = [float(r.completion.num_tokens) for r in rollouts if r.completion.finish_reason == "stop"]
    for name, values in (("length", lengths), ("terminated_length", ended)):
        spread = _spread("x", values)
        metrics |= {f"completions/{kind}_{name}": spread[f"x/{kind}"] for kind in ("mean", "min", "max")}
    metrics["completions/clipped_ratio"] = mean([float(r.completion.finish_reason == "length") for r in rollouts])
    metrics |= {f"verdicts/{status}": verdict_rate(rollouts, status) for status in STATUSES}
    metrics |= kind_rates(rollouts)
    metrics["reasoning_tokens/mean"] = mean([r.reasoning_tokens for r in rollouts])
    for name, chosen in (("correct", True), ("wrong", False)):
        picked = [r.reasoning_tokens for r in rollouts if (r.reward.verdict.status == "correct") is chosen]
        metrics[f"reasoning_tokens/{name}"] = mean(picked)
    metrics["groups/sampled"] = len(drawn.groups)
    metrics["groups/trained"] = len(drawn.trained)
    metrics["groups/rounds"] = drawn.rounds
    # updates between the weights that sampled and those that learn from it, the mean over rollouts
    metrics["sampling/staleness"] = mean([float(drawn.step - rollout.policy_step) for rollout in rollouts])
    kl = reference_kl(drawn.trained)
    return metrics if kl is None else {**metrics, "kl": kl}


def verdict_rate(rollouts: Sequence[Rollout], status: str) -> float | None:
    """Return the share of rollouts with this verdict."""
    return mean([float(rollout.reward.verdict.status == status) for rollout in rollouts])


def reference_kl(groups: Sequence[Group]) -> float | None:
    """Return the KL to the reference in nats a token, None where it is not taken from the reward."""
    kls = [[r.reference_kl for r in group.rollouts if r.reference_kl is not None] for group in groups]
    tokens = sum(len(r.completion_ids) for group in groups for r in group.rollouts if r.reference_kl is not None)
    return sum(map(sum, kls)) / tokens if tokens else None


def kind_rates(rollouts: Sequence[Rollout]) -> dict[str, float]:
    """Return the share of each kind of verdict, for the domains whose verifiers tell kinds apart: `code/wrong_answer`."""
    rates: dict[str, float] = {}
    for domain in sorted({rollout.problem.domain for rollout in rollouts}):
        entry = verifier_of(domain)
        if entry is None or not entry.kinds:
            continue
        verdicts = [r.reward.verdict for r in rollouts if r.problem.domain == domain]
        # a verdict that the verifier did not make (its process was killed) has no kind: its status stands in
        kinds = [verdict.kind or verdict.status for verdict in verdicts]
        for kind in sorted(set(kinds)):
            rates[f"{domain}/{kind.replace(' ', '_')}"] = kinds.count(kind) / len(kinds)
    return rates


def over_updates(updates: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return one row for the optimizer steps of a batch: sums of what is counted, the mean of what is measured.

    What compares sampler and trainer is the first step's, the only one whose weights are those that sampled.
    """
    if not updates:
        return {}
    merged: dict[str, Any] = {}
    for key, first in updates[0].items():
        values = [update[key] for update in updates if update[key] is not None]
        if key.startswith("batch/"):
            merged[key] = sum(values)
        elif key.startswith("sampling/") or not values:
            merged[key] = first
        else:
            merged[key] = values[-1] if key in ("skipped_steps", "learning_rate") else float(np.mean(values))
    return merged | {"batch/updates": len(updates)}


def num_tokens(rollouts: Sequence[Rollout]) -> int:
    """Return the tokens of prompts and completions."""
    return sum(len(r.prompt_ids) + len(r.completion_ids) for r in rollouts)
