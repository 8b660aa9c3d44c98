"""Accuracy against thinking: what longer thoughts (budgets) and more votes (maj@k) buy, in tokens (s1, arXiv 2501.19393).

    thinking.json                  every point: budget or votes, mean tokens spent, accuracy with its 95 % interval
    thinking.png, thinking.html    the same as a picture, a panel for each set, and as one self-contained page

It is put together from the results of the evaluations alone. Tokens are those of a completion: drawn ones, those that were put
in and its end mark, not the prompt. k votes cost k completions. What is left out: the price of reading a prompt k times.
"""

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator

from problems.catalog import called
from problems.telling import plain
from rl.settings.evaluation import NO_BUDGET, EvalConfig
from rl.stats import interval_in_words
from rl.tracking.html_page import image, row, whole_page
from rl.tracking.report import AFTER, BEFORE, RIGHT, WRONG, png
from rl.tracking.run_directory import JsonDict, write_atomic

_COLOURS = (BEFORE, AFTER, RIGHT, "#8250df", "#bf8700", WRONG)
_LINE_HEIGHT, _LABEL_WIDTH = 0.045, 0.2  # of a label: in the height of a panel, in doublings of tokens


def write_thinking(top: Path, found: Mapping[Path, JsonDict], config: EvalConfig) -> Path:
    """Write the three files below `top` from the results `found` there, by directory; return the page's path."""
    curves = curves_of(top, found, has_sets=bool(config.sets))
    waits = config.sampling.thinking.waits if config.sampling.thinking else 0
    picture = draw(curves, waits)
    write_atomic(top / "thinking.json", json.dumps(plain({"waits": waits, "curves": curves}), indent=1))
    write_atomic(top / "thinking.png", picture)
    write_atomic(top / "thinking.html", _page(f"Accuracy against thinking: {config.run.name}", curves, picture))
    return top / "thinking.html"


def curves_of(top: Path, found: Mapping[Path, JsonDict], *, has_sets: bool) -> list[JsonDict]:
    """Return for each model and set its points: `sequential`, one answer at each budget, and `parallel`, votes without any.

    The last sequential point is the answer without a budget (None); the votes are among the same samples.
    """
    together: dict[Path, dict[str, JsonDict]] = {}
    for path, results in found.items():
        together.setdefault(path.parent, {})[path.name] = results
    curves: list[JsonDict] = []
    for directory, evaluations in together.items():
        free = evaluations[NO_BUDGET]
        parts = directory.relative_to(top).parts
        of_model = parts[:-1] if has_sets else parts
        sources = dict.fromkeys(called(source) for source in free["sources"])
        curves.append({
            "set": parts[-1] if has_sets else ", ".join(sources),
            "model": "/".join(of_model or Path(free["model"]).parts[-2:]),
            "directory": str(directory.relative_to(top)),
            "sequential": [_at_budget(results) for results in evaluations.values()],
            "parallel": [
                {"votes": int(k), "tokens": int(k) * free["completion_tokens"]["mean"], "accuracy": of_k}
                for k, of_k in free["majority_at_k"].items()
            ],
        })  # fmt: skip
    return curves


def _at_budget(results: JsonDict) -> JsonDict:
    thinking = results["sampling"]["thinking"]
    return {
        "budget": thinking and thinking["max_tokens"],
        "tokens": results["completion_tokens"]["mean"],
        "accuracy": results["accuracy"],
        "truncated_rate": results["truncated_rate"],
    }


def draw(curves: Sequence[JsonDict], waits: int) -> bytes:
    """Return the picture as PNG: a panel for each set, a colour for each model."""
    models = list(dict.fromkeys(curve["model"] for curve in curves))
    sets = list(dict.fromkeys(curve["set"] for curve in curves))
    colours = dict(zip(models, itertools.cycle(_COLOURS if len(models) > 1 else (AFTER,)), strict=False))
    across, down = min(2, len(sets)), (len(sets) + 1) // 2
    figure, grid = plt.subplots(down, across, figsize=(8.2 * across, 5.2 * down), squeeze=False, constrained_layout=True)
    for axes, name in itertools.zip_longest(grid.flat, sets):
        if name is None:  # an odd number of sets leaves a place empty
            axes.set_visible(False)
            continue
        _panel(axes, [curve for curve in curves if curve["set"] == name], colours, waits)
        axes.set_title(name, parse_math=False)
    waited = f', "Wait" up to {waits} times' if waits else ""
    figure.suptitle(f"solid: one answer, thinking cut after so many tokens{waited}; dashed: majority of k answers", fontsize=10)
    return png(figure)


def _panel(axes: Axes, curves: Sequence[JsonDict], colours: Mapping[str, str], waits: int) -> None:
    """Draw the curves of one set; every line and point says what it is where it stands."""
    ends = []
    for curve in curves:
        colour = colours[curve["model"]]
        # with waits the answer without a budget is another thing than one with a large budget: it stands by itself
        lines = curve["sequential"][:-1] if waits else curve["sequential"]
        _line(axes, lines, colour, "-")
        _line(axes, curve["parallel"], colour, "--")
        for point in _told_apart(curve["sequential"][:-1]):
            _say(axes, point, str(point["budget"]), colour, -12)
        _say(axes, curve["sequential"][-1], "no limit", colour, 7)
        for point in curve["parallel"][1:]:
            _say(axes, point, f"maj@{point['votes']}", colour, 7)
        ends.append((curve["parallel"] or curve["sequential"])[-1] | {"model": curve["model"], "colour": colour})
    axes.set_xscale("log", base=2)
    axes.set_ylim(0, 1.02)
    for height, end in zip(_apart([end["accuracy"]["value"] for end in ends]), ends, strict=True):
        place = axes.get_yaxis_transform()  # across the panel from 0 to 1, up as the data
        axes.text(1.01, height, end["model"], transform=place, color=end["colour"], fontsize=9, va="center", parse_math=False)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda tokens, _: f"{tokens:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("mean tokens spent on a problem")
    axes.set_ylabel("accuracy, 95 %")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.2)


def _line(axes: Axes, points: Sequence[JsonDict], colour: str, style: str) -> None:
    tokens = [point["tokens"] for point in points]
    accuracy = [point["accuracy"] for point in points]
    low, high = [one["low"] for one in accuracy], [one["high"] for one in accuracy]
    axes.plot(tokens, [one["value"] for one in accuracy], color=colour, linestyle=style, marker="o", markersize=4)
    axes.fill_between(tokens, low, high, color=colour, alpha=0.12, linewidth=0)


def _say(axes: Axes, point: JsonDict, text: str, colour: str, above: int) -> None:
    """Write a few words at a point, so many typographical points above it."""
    place = (point["tokens"], point["accuracy"]["value"])
    axes.annotate(text, place, (0, above), textcoords="offset points", ha="center", fontsize=8, color=colour)


def _told_apart(points: Sequence[JsonDict]) -> list[JsonDict]:
    """Return the points but for those so near to the one before that their labels would cover each other."""
    kept: list[JsonDict] = []
    for point in points:
        if kept:
            doublings = abs(math.log2(point["tokens"] / kept[-1]["tokens"]))
            if doublings < _LABEL_WIDTH and abs(point["accuracy"]["value"] - kept[-1]["accuracy"]["value"]) < _LINE_HEIGHT:
                continue
        kept.append(point)
    return kept


def _apart(heights: Sequence[float]) -> list[float]:
    """Return the heights moved up as far as labels there need, so that none covers another."""
    order = sorted(range(len(heights)), key=lambda i: heights[i])
    moved, lowest = list(heights), -math.inf
    for i in order:
        moved[i] = max(heights[i], lowest)
        lowest = moved[i] + _LINE_HEIGHT
    return moved


def _page(title: str, curves: Sequence[JsonDict], picture: bytes) -> str:
    """Return the page; everything it shows is inside it."""
    heads = ("set", "model", "", "mean tokens", "accuracy", "95 % interval")
    rows = [row(heads, "th")]
    for curve in curves:
        for point in [*curve["sequential"], *curve["parallel"][1:]]:  # maj@1 is the answer without a budget
            rows.append(row((curve["set"], curve["model"], _kind(point), *_numbers(point))))
    numbers = f"<h2>Numbers</h2><div class=wide><table>{''.join(rows)}</table></div>"
    return whole_page(title, image(picture, "accuracy over tokens spent") + numbers)


def _kind(point: JsonDict) -> str:
    if "votes" in point:
        return f"maj@{point['votes']}"
    return "no budget" if point["budget"] is None else f"budget {point['budget']}"


def _numbers(point: JsonDict) -> tuple[str, str, str]:
    accuracy = point["accuracy"]
    return f"{point['tokens']:.1f}", f"{accuracy['value']:.3f}", interval_in_words(accuracy["low"], accuracy["high"])
