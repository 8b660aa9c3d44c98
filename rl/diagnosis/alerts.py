"""What goes wrong in the course of a run, in words: rules over the metrics of its steps. ALERTS lists them.

A rule reads the records of metrics.jsonl, whoever wrote them and however far they go, and says at which step something first
began to hold, or nothing. rules.py says what keeps a run from learning and what to set instead; these say that a curve has
turned. A share must stay for five steps: one odd batch is none. Thresholds stand in the rules, beside what they compare.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Any

from rl.diagnosis.usual import percent

Records = Sequence[Mapping[str, Any]]
Points = list[tuple[int, float]]  # step and value, where there is one

_IN_A_ROW = 5
_WINDOW = 10  # steps whose mean stands for a part of the run
_STRETCH = 6 * _WINDOW  # steps in which lengths are looked at: growth is slow


@dataclass(frozen=True, kw_only=True)
class Alert:
    """Something that began to hold at a step."""

    name: str
    step: int
    words: str


def alerts(records: Records) -> list[Alert]:
    """Return every alert of a run, in the order of the steps."""
    found = [alert for rule in ALERTS if (alert := rule(records))]
    return sorted(found, key=lambda alert: alert.step)


def entropy_collapsed(records: Records) -> Alert | None:
    """The entropy fell to a tenth of where it began while there was still something to learn.

    A policy that is paid nearly always may be certain, and so may one that imitates (no reward); another has stopped trying.
    """
    entropy = _points(records, "entropy")
    rewards = dict(_points(records, "reward"))
    if len(entropy) < 2 * _IN_A_ROW or not rewards:
        return None
    start = mean(value for _, value in entropy[:_IN_A_ROW])
    best = max(1.0, *rewards.values())
    low = [(step, float(value <= 0.1 * start and rewards.get(step, best) < 0.9 * best)) for step, value in entropy]
    step = _stays(low, 1.0)
    if step is None:
        return None
    words = f"Entropy collapsed at step {step}: {dict(entropy)[step]:.2g} nats a token, {start:.2g} at the beginning."
    return Alert(name="entropy_collapsed", step=step, words=words)


def no_contrast(records: Records) -> Alert | None:
    """Nearly all groups have rewards that are all alike, so that nothing is learnt from them."""
    return _share(records, "frac_reward_zero_std", 0.9, "no_contrast", "of the groups are without contrast")


def unparsed(records: Records) -> Alert | None:
    """Completions of which no answer can be read."""
    return _share(records, "verdicts/unparsed", 0.1, "unparsed", "of the completions have no answer that can be read")


def truncated(records: Records) -> Alert | None:
    """Completions that the length limit cuts off."""
    return _share(records, "completions/clipped_ratio", 0.1, "truncated", "of the completions are cut off by the length limit")


def longer_not_better(records: Records) -> Alert | None:
    """Completions are half as long again as fifty steps before, and reward and accuracy are where they were."""
    length, reward = _points(records, "completions/mean_length"), _points(records, "reward")
    accuracy = dict(_points(records, "eval/accuracy"))
    if [step for step, _ in length] != [step for step, _ in reward]:
        return None
    for end in range(_STRETCH, len(length) + 1):
        early, late = slice(end - _STRETCH, end - _STRETCH + _WINDOW), slice(end - _WINDOW, end)
        was, now = _mean(length[early]), _mean(length[late])
        if was <= 0 or now < 1.5 * was or _mean(reward[late]) > _mean(reward[early]) + 0.02:
            continue
        step = length[end - 1][0]
        measured = [accuracy[at] for at, _ in length[end - _STRETCH : end] if at in accuracy]
        if len(measured) > 1 and measured[-1] > measured[0] + 0.02:
            continue
        words = f"Completions grew from {was:.0f} to {now:.0f} tokens up to step {step}, and accuracy did not."
        return Alert(name="longer_not_better", step=step, words=words)
    return None


def sampler_gap(records: Records) -> Alert | None:
    """The trainer moves away from the probabilities that the completions were drawn with."""
    gap = _points(records, "sampling/sampling_logp_difference/mean")
    if len(gap) < 2 * _IN_A_ROW:
        return None
    start = mean(value for _, value in gap[:_IN_A_ROW])
    bound = max(3 * start, 0.02)  # nats a token; below, bf16 alone may do it
    step = _stays(gap, bound)
    if step is None:
        return None
    words = f"Sampler and trainer drift apart: {dict(gap)[step]:.2g} nats a token at step {step}, {start:.2g} at the beginning."
    return Alert(name="sampler_gap", step=step, words=words)


def gradient_spike(records: Records) -> Alert | None:
    """The gradient is ten times as large as is usual for the run."""
    norms = _points(records, "grad_norm")
    for i in range(2 * _WINDOW, len(norms)):
        usual = median(value for _, value in norms[i - 2 * _WINDOW : i])
        step, value = norms[i]
        if usual > 0 and value > 10 * usual:
            words = (
                f"The gradient norm is {value:.2g} at step {step}; the median of the {2 * _WINDOW} steps before is {usual:.2g}."
            )
            return Alert(name="gradient_spike", step=step, words=words)
    return None


def reward_misleads(records: Records) -> Alert | None:
    """What is paid rises while what is right on held-out problems falls: the reward is being gamed.

    The reward is the mean of ten steps up to each of the two evaluations, or the first ten.
    """
    measured = [record for record in records if _number(record, "eval/accuracy") is not None]
    reward = _points(records, "reward")
    best = 0  # number of the best evaluation so far
    for i, now in enumerate(measured):
        before = measured[best]
        if now["eval/accuracy"] > before["eval/accuracy"]:
            best = i
        elif _fell(before, now):
            first, last = before["step"], now["step"]
            rise = _mean_until(reward, last) - _mean_until(reward, first)
            if rise < 0.02:
                continue
            words = (
                f"The reward rose by {rise:.2f} from step {first} to {last}, and held-out accuracy fell from "
                f"{before['eval/accuracy']:.2f} to {now['eval/accuracy']:.2f}: what is paid is not what is right."
            )
            return Alert(name="reward_misleads", step=last, words=words)
    return None


def _fell(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether the accuracy is clearly lower than before: by a twentieth, and out of its interval where there is one."""
    low, high = _number(before, "eval/accuracy_low"), _number(now, "eval/accuracy_high")
    is_clear = low is None or high is None or high < low
    return is_clear and bool(now["eval/accuracy"] <= before["eval/accuracy"] - 0.05)


ALERTS: Sequence[Callable[[Records], Alert | None]] = (
    entropy_collapsed, no_contrast, unparsed, truncated, longer_not_better, sampler_gap, gradient_spike, reward_misleads,
)  # fmt: skip


def _number(record: Mapping[str, Any], key: str) -> float | None:
    value = record.get(key)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and value is not None else None


def _points(records: Records, key: str) -> Points:
    return [
        (record["step"], value)
        for record in records
        if isinstance(record.get("step"), int) and (value := _number(record, key)) is not None
    ]


def _stays(points: Points, bound: float) -> int | None:
    """Return the step from which on a value is at least `bound` for five steps in a row."""
    held: list[int] = []
    for step, value in points:
        held = [*held, step] if value >= bound else []
        if len(held) == _IN_A_ROW:
            return held[0]
    return None


def _share(records: Records, key: str, bound: float, name: str, what: str) -> Alert | None:
    points = _points(records, key)
    step = _stays(points, bound)
    if step is None:
        return None
    words = f"From step {step} on {percent(dict(points)[step])} {what}."
    return Alert(name=name, step=step, words=words)


def _mean(points: Points) -> float:
    return mean(value for _, value in points)


def _mean_until(points: Points, step: int) -> float:
    """Return the mean of the last ten values up to `step`; of the first there are where none is so early."""
    return _mean([point for point in points if point[0] <= step][-_WINDOW:] or points[:_WINDOW] or [(0, 0.0)])
