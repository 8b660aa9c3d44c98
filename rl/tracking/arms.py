"""Several ways of going on from one model, over what they cost: one picture, one page, and in words what is shown and what not.

Each arm was run from several seeds. Intervals are about other seeds and other problems (rl/stats.py:over_seeds); of one seed
alone they are about other problems, and it is said.
"""

import html
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from rich.console import Console
from rich.table import Table

from rl.stats import estimate_in_words, over_seeds
from rl.tracking.compute import Point
from rl.tracking.html_page import image, row, whole_page
from rl.tracking.report import AFTER, png
from rl.tracking.run_directory import JsonDict, write_atomic

_COLOURS = (AFTER, "#57606a", "#bf8700")
_PLACES = 41  # of a mean curve
_MILLION = 1e6
Accuracy = Mapping[str, float]  # value, low, high and reasoning_tokens, of one seed
Cost = Callable[[Point], float]


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One way of going on, from every seed; all are in the order of the seeds."""

    name: str
    about: str
    curves: Sequence[Sequence[Point]]  # held-out accuracy on the way
    practised: Sequence[Accuracy]  # at the end, on the sizes that are practised
    beyond: Sequence[Accuracy]  # and on those that imitation can do least about


def over_the_seeds(found: Sequence[Accuracy]) -> JsonDict:
    """Return an accuracy of all seeds, with that of each."""
    value, low, high = over_seeds([(one["value"], one["low"], one["high"]) for one in found])
    return {"value": value, "low": max(0.0, low), "high": min(1.0, high), "by_seed": [one["value"] for one in found]}


def difference(ours: Sequence[Accuracy], theirs: Sequence[Accuracy]) -> JsonDict:
    """Return ours minus theirs over all seeds, paired by seed.

    Within a seed the two count as independent, though they were asked the same problems: that errs on the wide side.
    """
    found = []
    for a, b in zip(ours, theirs, strict=True):
        gap = a["value"] - b["value"]
        below = np.hypot(a["value"] - a["low"], b["high"] - b["value"])
        above = np.hypot(a["high"] - a["value"], b["value"] - b["low"])
        found.append((gap, gap - float(below), gap + float(above)))
    value, low, high = over_seeds(found)
    return {"value": value, "low": max(-1.0, low), "high": min(1.0, high), "by_seed": [gap for gap, _, _ in found]}


def mean_curve(curves: Sequence[Sequence[Point]], cost: Cost) -> list[JsonDict]:
    """Return held-out accuracy over all seeds at equally spaced costs, up to the least that a seed has spent.

    Between its evaluations a seed's accuracy is read off the straight line.
    """
    end = min(cost(curve[-1]) for curve in curves)
    places = np.linspace(0, end, _PLACES)
    seeds = []
    for curve in curves:
        spent = [cost(point) for point in curve]
        columns = [[getattr(point, name) for point in curve] for name in ("accuracy", "low", "high")]
        seeds.append(np.stack([np.interp(places, spent, column) for column in columns], axis=1))  # [places, 3]
    mean = []
    for number, place in enumerate(places):
        value, low, high = over_seeds([tuple(seed[number]) for seed in seeds])
        mean.append({"cost": float(place), "value": value, "low": max(0.0, low), "high": min(1.0, high)})
    return mean


def summarise(arms: Sequence[Arm], cores: int) -> JsonDict:
    """Return plain data of all arms; the first is the one that the others are held against."""
    first, *others = arms
    found: JsonDict = {"cores": cores, "arms": {}}
    for arm in arms:
        tokens = [one["reasoning_tokens"] for one in arm.practised]
        found["arms"][arm.name] = {
            "about": arm.about,
            "accuracy": over_the_seeds(arm.practised),
            "beyond_accuracy": over_the_seeds(arm.beyond),
            "reasoning_tokens_mean": sum(tokens) / len(tokens),
            "compute_tokens": [curve[-1].compute_tokens for curve in arm.curves],
            "core_seconds": [round(curve[-1].seconds * cores, 1) for curve in arm.curves],
            "curve_over_compute_tokens": mean_curve(arm.curves, lambda point: point.compute_tokens),
            "curve_over_core_seconds": mean_curve(arm.curves, lambda point: point.seconds * cores),
        }
    found["minus"] = {other.name: difference(first.practised, other.practised) for other in others}
    found["apart"] = {other.name: _side(*(found["arms"][arm.name]["accuracy"] for arm in (first, other))) for other in others}
    found["findings"] = findings(first, others, found)
    return found


def _side(ours: Accuracy, theirs: Accuracy) -> str:
    """Return on which side of theirs our whole interval lies: above, below, or neither."""
    if ours["low"] > theirs["high"]:
        return "above"
    return "below" if ours["high"] < theirs["low"] else "neither"


def findings(first: Arm, others: Sequence[Arm], summary: Mapping[str, Any]) -> list[str]:
    """Return what is shown and what is not, a sentence for each other arm."""
    words = {
        "above": "ends above {other}, with the intervals apart",
        "below": "ends BELOW {other}, with the intervals apart",
        "neither": "is NOT shown to end above {other}: the intervals overlap",
    }
    found = []
    for other in others:
        ours, theirs = (summary["arms"][arm.name]["accuracy"] for arm in (first, other))
        said = words[summary["apart"][other.name]].format(other=other.about)
        found.append(
            f"{first.about} {said}: {estimate_in_words(ours)} against {estimate_in_words(theirs)}; the difference, seed by "
            f"seed, is {estimate_in_words(summary['minus'][other.name])}."
        )
    if len(first.curves) == 1:
        found.append("There is one seed: the intervals are about other problems and say nothing of other seeds.")
    return found


def _beginning(summary: Mapping[str, Any]) -> str:
    return f"All arms begin with the imitator, which has {estimate_in_words(summary['imitator']['accuracy'])}."


def _panel(axes: Axes, arms: Sequence[Arm], cost: Cost, curve_name: str, summary: Mapping[str, Any]) -> None:
    """Draw each arm over its cost: thin lines are seeds, the band is the interval, the mark at the end the final evaluation."""
    for arm, colour in zip(arms, itertools.cycle(_COLOURS), strict=False):
        for curve in arm.curves:
            axes.plot([cost(p) for p in curve], [p.accuracy for p in curve], color=colour, alpha=0.3, linewidth=0.8)
        of_arm = summary["arms"][arm.name]
        x, value, low, high = ([place[key] for place in of_arm[curve_name]] for key in ("cost", "value", "low", "high"))
        axes.fill_between(x, low, high, color=colour, alpha=0.12, linewidth=0)
        axes.plot(x, value, color=colour, linewidth=2, label=arm.about)
        end = of_arm["accuracy"]
        around = [[end["value"] - end["low"]], [end["high"] - end["value"]]]
        where = float(np.mean([cost(curve[-1]) for curve in arm.curves]))
        axes.errorbar([where], [end["value"]], yerr=around, color=colour, marker="o", markersize=6, capsize=3)
    axes.set_ylim(0, 1.02)
    axes.set_xlim(left=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.2)


def draw(arms: Sequence[Arm], summary: Mapping[str, Any]) -> bytes:
    """Return the figure as PNG."""
    cores = summary["cores"]
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), sharey=True, constrained_layout=True)
    _panel(left, arms, lambda point: point.compute_tokens, "curve_over_compute_tokens", summary)
    left.xaxis.set_major_formatter(lambda value, _: f"{value / _MILLION:g}")
    left.set_xlabel("million tokens of compute: sampled, and three times those learned from")
    left.set_title("Held-out accuracy over tokens")
    _panel(right, arms, lambda point: point.seconds * cores, "curve_over_core_seconds", summary)
    right.set_xlabel(f"core seconds: by the clock, times {cores} cores")
    right.set_title("and over time")
    left.legend(framealpha=0.8, edgecolor="none", fontsize=9, loc="lower right")
    return png(figure)


_ROWS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {  # of the table, by what they say of an arm
    "held-out accuracy, sizes practised": lambda arm: estimate_in_words(arm["accuracy"]),
    "by seed": lambda arm: ", ".join(f"{value:.3f}" for value in arm["accuracy"]["by_seed"]),
    "the largest of these sizes": lambda arm: estimate_in_words(arm["beyond_accuracy"]),
    "reasoning tokens": lambda arm: f"{arm['reasoning_tokens_mean']:.1f}",
    "million tokens of compute, by seed": lambda arm: ", ".join(f"{n / _MILLION:.2f}" for n in arm["compute_tokens"]),
    "core seconds, by seed": lambda arm: ", ".join(f"{seconds:.0f}" for seconds in arm["core_seconds"]),
}

_NOTES = (
    "Thin lines are seeds, bands and bars 95 % intervals over seeds and problems; "
    "the curves are evaluations inside the runs, the marks at their ends the final evaluation of the finished models. A token "
    "of compute is one token's way through the model: a sampled token counts once, one that is learned from three times, "
    "prompts included; evaluations are left out. Core seconds are those of sampling, scoring and learning by the clock, and "
    "compare only if the machine did nothing else. Further imitation has a learning-rate schedule of its own, so its curve "
    "before the end lies lower than a run that had ended there would."
)


def page(summary: Mapping[str, Any], picture: bytes) -> str:
    """Return the page; everything it shows is inside it."""
    title = f"Imitation against practice, seeds {', '.join(map(str, summary['seeds']))}"
    sentences = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in summary["findings"])
    arms = summary["arms"].values()
    lines = row(["", *[arm["about"] for arm in arms]], "th")
    lines += "".join(row([label, *[said(arm) for arm in arms]]) for label, said in _ROWS.items())
    shown = f"<h2>What is shown</h2><p>{_beginning(summary)}</p><ul>{sentences}</ul>"
    numbers = f"<h2>Numbers</h2><div class=wide><table>{lines}</table></div><p class=note>{_NOTES}</p>"
    return whole_page(title, image(picture, "held-out accuracy over compute") + shown + numbers)


def write_page(directory: Path, arms: Sequence[Arm], summary: Mapping[str, Any]) -> None:
    """Write arms.png and report.html."""
    picture = draw(arms, summary)
    write_atomic(directory / "arms.png", picture)
    write_atomic(directory / "report.html", page(summary, picture))


def print_arms(summary: Mapping[str, Any], directory: Path) -> None:
    """Print the closing table and what was found."""
    table = Table(title="Imitation against practice, on problems none has seen")
    table.add_column("")
    for arm in summary["arms"].values():
        table.add_column(arm["about"], justify="right")
    for label, said in _ROWS.items():
        table.add_row(label, *(said(arm) for arm in summary["arms"].values()))
    console = Console()
    console.print()
    console.print(table)
    for sentence in [_beginning(summary), *summary["findings"]]:
        console.print(sentence, highlight=False)
    console.print(f"Open {directory / 'report.html'}; numbers in {directory / 'summary.json'}", highlight=False)
