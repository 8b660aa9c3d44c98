"""What one training step reports, under the names of TRL (trl 1.16 docs, GRPO trainer, "Logged metrics").

Everything here is computed from all groups of the step, on every rank alike, so no average of averages can creep in.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rewards.types import NOT_FINITE, STATUSES
from rewards.verifiers import verifier_of
from rl.stats import mean
from rl.tracking.emergence import Written, lengths, traits
from rl.types import Drawn, Group, Rollout

Metrics = dict[str, Any]  # by name: numbers, None where there is nothing to measure


def rollout_metrics(drawn: Drawn, *, may_abstain: bool = False) -> Metrics:
    """Return rewards, lengths and verdicts over everything that was sampled in a step.

    `may_abstain`: the prompt allows to abstain, so coverage is measured too.
    """
    rollouts = drawn.rollouts
    metrics = {
        **_reward_metrics(drawn.groups, rollouts),
        **_length_metrics(rollouts),
        **_verdict_metrics(rollouts),
        **(_abstention_metrics(rollouts) if may_abstain else {}),
        **_emergence_metrics(rollouts),
        "groups/sampled": len(drawn.groups),
        "groups/trained": len(drawn.trained),
        "groups/rounds": drawn.rounds,
        # updates between the weights that sampled and those that learn from it, the mean over rollouts
        "sampling/staleness": mean([float(drawn.step - rollout.policy_step) for rollout in rollouts]),
    }
    kl = reference_kl(drawn.trained)
    if kl is not None:
        metrics["kl"] = kl
    return metrics


def _reward_metrics(groups: Sequence[Group], rollouts: Sequence[Rollout]) -> Metrics:
    scored = [rollout for rollout in rollouts if rollout.reward.total is not None]
    group_stds = [float(np.std(group.totals, ddof=1)) for group in groups if len(group.totals) > 1]
    metrics: Metrics = {
        "reward": mean([total for group in groups for total in group.totals]),
        "reward_std": mean(group_stds),
        "frac_reward_zero_std": mean([float(not group.has_contrast) for group in groups]),
    }
    for part in rollouts[0].reward.parts:
        values = [rollout.reward.parts[part] for rollout in scored]
        metrics[f"rewards/{part}/mean"] = mean(values)
        metrics[f"rewards/{part}/std"] = float(np.std(values)) if values else None
    return metrics


def _length_metrics(rollouts: Sequence[Rollout]) -> Metrics:
    ended = [rollout for rollout in rollouts if rollout.completion.finish_reason == "stop"]
    metrics: Metrics = {}
    for name, members in (("length", rollouts), ("terminated_length", ended)):
        tokens = [float(rollout.completion.num_tokens) for rollout in members]
        metrics[f"completions/mean_{name}"] = float(np.mean(tokens)) if tokens else None
        metrics[f"completions/min_{name}"] = min(tokens, default=None)
        metrics[f"completions/max_{name}"] = max(tokens, default=None)
    metrics["completions/clipped_ratio"] = truncated_rate(rollouts)
    return metrics


def _verdict_metrics(rollouts: Sequence[Rollout]) -> Metrics:
    shares: Metrics = {f"verdicts/{status}": verdict_rate(rollouts, status) for status in STATUSES}
    not_finite = mean([float(rollout.reward.verdict.kind == NOT_FINITE) for rollout in rollouts])  # a part of the errors
    return {**shares, **kind_rates(rollouts), "verdicts/not_finite": not_finite}


def kind_rates(rollouts: Sequence[Rollout]) -> Metrics:
    """Return the share of each kind of verdict, for the domains whose verifiers tell kinds apart: `code/wrong_answer`."""
    shares: Metrics = {}
    for domain in sorted({rollout.problem.domain for rollout in rollouts}):
        entry = verifier_of(domain)
        if entry is None or not entry.kinds:
            continue
        verdicts = [rollout.reward.verdict for rollout in rollouts if rollout.problem.domain == domain]
        # a verdict that the verifier did not make (its process was killed) has no kind: its status stands in
        kinds = [verdict.kind or verdict.status for verdict in verdicts]
        for kind in sorted(set(kinds)):
            shares[f"{domain}/{kind.replace(' ', '_')}"] = kinds.count(kind) / len(kinds)
    return shares


def _abstention_metrics(rollouts: Sequence[Rollout]) -> Metrics:
    """Return how much was answered, and how much of that is right, of what could be scored."""
    statuses = [rollout.reward.verdict.status for rollout in rollouts if rollout.reward.verdict.status != "error"]
    answered = [status for status in statuses if status != "abstained"]
    return {
        "abstention/coverage": len(answered) / len(statuses) if statuses else None,
        "abstention/accuracy_when_answering": mean([float(status == "correct") for status in answered]),
    }


def _emergence_metrics(rollouts: Sequence[Rollout]) -> Metrics:
    written = [written_by(rollout) for rollout in rollouts]
    counts = lengths([(one.reasoning_tokens, one.status) for one in written])
    return {
        **{f"reasoning_tokens/{name}": value for name, value in counts.items()},
        **{f"emergence/{name}": value for name, value in traits(written).items()},
    }


def written_by(rollout: Rollout) -> Written:
    """Return what is looked at of the text of a rollout."""
    verdict = rollout.reward.verdict
    return Written(
        text=rollout.completion.text,
        status=verdict.status,
        extracted=verdict.extracted,
        num_tokens=rollout.completion.num_tokens,
        reasoning_tokens=rollout.reasoning_tokens,
    )


def truncated_rate(rollouts: Sequence[Rollout]) -> float | None:
    """Return the share of completions that the limit cut off."""
    return mean([float(rollout.completion.finish_reason == "length") for rollout in rollouts])


def verdict_rate(rollouts: Sequence[Rollout], status: str) -> float | None:
    """Return the share of rollouts with this verdict."""
    return mean([float(rollout.reward.verdict.status == status) for rollout in rollouts])


def reference_kl(groups: Sequence[Group]) -> float | None:
    """Return the KL to the reference in nats a token, None where it is not taken from the reward."""
    total, tokens = 0.0, 0
    for group in groups:
        kls = {rollout: rollout.reference_kl for rollout in group.rollouts if rollout.reference_kl is not None}
        total += sum(kls.values())
        tokens += sum(len(rollout.completion_ids) for rollout in kls)
    return total / tokens if tokens else None


_SUMMED = ("batch/", "skipped_updates")  # what is counted


def over_updates(updates: Sequence[Metrics]) -> Metrics:
    """Return the metrics of all optimizer steps of a batch together: sums of what is counted, the mean of what is measured.

    What compares sampler and trainer is the first step's, the only one whose weights are those that sampled. Of an update that
    was left out only that is known.
    """
    if not updates:
        return {}
    merged: Metrics = {}
    done = [update for update in updates if not update["skipped_updates"]]
    for name in {name: None for update in updates for name in update}:
        values = [update[name] for update in done if update.get(name) is not None]
        if name.startswith(_SUMMED):
            merged[name] = sum(update.get(name, 0) for update in updates)
        elif name.startswith("sampling/"):
            merged[name] = done[0].get(name) if done else None
        elif not values:
            merged[name] = None
        elif name == "learning_rate":  # set by the schedule
            merged[name] = values[-1]
        else:
            merged[name] = float(np.mean(values))
    merged["batch/updates"] = len(done)
    return merged


def distributions(drawn: Drawn) -> dict[str, list[float]]:
    """Return the values of a step that are worth a histogram, by the name that mirrors show."""
    rewards = [total for group in drawn.groups for total in group.totals]
    tokens = [float(rollout.completion.num_tokens) for rollout in drawn.rollouts]
    return {"train/distribution/reward": [float(reward) for reward in rewards], "train/distribution/completion_length": tokens}


def num_tokens(rollouts: Sequence[Rollout]) -> int:
    """Return the tokens of prompts and completions."""
    return sum(len(rollout.prompt_ids) + len(rollout.completion_ids) for rollout in rollouts)
