"""Which curves are drawn, from which metrics: the one list of the page, the one file and the terminal.

Names are those of metrics.jsonl and timing.jsonl; a chart without a single value in any run is left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One pair of axes over the steps."""

    title: str
    series: Sequence[tuple[str, str]]  # name of the metric, and the word for it in the legend
    unit: str = ""
    band: tuple[str, str, str] | None = None  # the series that has an interval, and the metrics of its ends
    stacked: bool = False  # every series stands on the one before it
    is_main: bool = False  # among the few that the terminal shows


CHARTS: Sequence[Chart] = (
    Chart(
        title="Reward and held-out accuracy",
        series=(("reward", "reward"), ("eval/accuracy", "held-out accuracy, 95 %")),
        band=("eval/accuracy", "eval/accuracy_low", "eval/accuracy_high"),
        is_main=True,
    ),
    Chart(
        title="Reasoning tokens before the answer",
        series=(
            ("reasoning_tokens/mean", "all"),
            ("reasoning_tokens/correct", "correct"),
            ("reasoning_tokens/wrong", "wrong"),
        ),
        unit="tokens",
        is_main=True,
    ),
    Chart(title="Entropy", series=(("entropy", "entropy"),), unit="nats a token", is_main=True),
    Chart(
        title="Groups without contrast",
        series=(("frac_reward_zero_std", "without contrast"),),
        unit="share of groups",
        is_main=True,
    ),
    Chart(
        title="Truncated, unparsed, timed out, unscorable",
        series=(
            ("completions/clipped_ratio", "truncated"),
            ("verdicts/unparsed", "unparsed"),
            ("verdicts/timeout", "timed out"),
            ("verdicts/error", "unscorable"),
        ),
        unit="share of completions",
        is_main=True,
    ),
    Chart(title="KL", series=(("kl", "to the reference"), ("sampling/kl", "sampler to trainer")), unit="nats a token"),
    Chart(title="Gradient norm", series=(("grad_norm", "gradient norm"),), is_main=True),
    Chart(
        title="Clip ratios",
        series=(
            ("clip_ratio/low_mean", "low"),
            ("clip_ratio/high_mean", "high"),
            ("clip_ratio/region_mean", "either"),
        ),
        unit="share of tokens",
    ),
    Chart(
        title="Gap of sampler and trainer",
        series=(("sampling/sampling_logp_difference/mean", "mean"), ("sampling/sampling_logp_difference/max", "largest")),
        unit="nats a token",
    ),
    Chart(title="Loss", series=(("loss", "loss"), ("eval/loss", "held-out"))),
    Chart(title="Learning rate", series=(("learning_rate", "learning rate"),)),
    Chart(
        title="Where a step's time goes",
        series=(("sample", "sampling"), ("score", "scoring"), ("train", "update"), ("rest", "the rest")),
        unit="seconds",
        stacked=True,
    ),
    Chart(
        title="Speed",
        series=(
            ("perf/tokens_per_second", "whole step, prompts included"),
            ("perf/sampled_tokens_per_second", "while sampling"),
            ("perf/trained_tokens_per_second", "in the update"),
        ),
        unit="tokens a second",
    ),
    Chart(title="Peak memory", series=(("perf/peak_memory_gb", "peak"),), unit="GB"),
)
