"""One picture and one self-contained page of a run: curves, accuracy by difficulty before and after, completions.

The page needs no network and no server; model text is escaped, it is never markup.
"""

import html
import io
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from problems.errors import LabError
from rl.stats import estimate_in_words
from rl.tracking.emergence import EMERGENCE, LENGTHS, difference
from rl.tracking.html_page import image, row, whole_page, without_folders
from rl.tracking.run_directory import read_records, write_atomic

BEFORE, AFTER = "#9aa5b1", "#1f6feb"
RIGHT, WRONG = "#2da44e", "#cf222e"
_SHOWN_PROBLEMS = 10
_SHOWN_CHARACTERS = 600
Record = Mapping[str, Any]  # of metrics.jsonl or samples.jsonl, or the results of an evaluation


class ReportError(LabError):
    """A run that has nothing to draw."""


def _series(metrics: Sequence[Record], key: str) -> tuple[list[int], list[float]]:
    """Return the steps that have a value of `key`, and the values."""
    measured = [record for record in metrics if record.get(key) is not None]
    return [record["step"] for record in measured], [record[key] for record in measured]


def _curve(axes: Axes, metrics: Sequence[Record], key: str, label: str, colour: str, **style: Any) -> None:
    steps, values = _series(metrics, key)
    axes.plot(steps, values, color=colour, label=label, **style)


def _smooth(metrics: Sequence[Record], key: str, width: int = 9) -> list[Record]:
    """Return the moving mean of `key` over `width` steps, fewer at both ends."""
    steps, values = _series(metrics, key)
    half = width // 2
    smoothed: list[Record] = []
    for i, step in enumerate(steps):
        window = values[max(0, i - half) : i + half + 1]
        smoothed.append({"step": step, key: sum(window) / len(window)})
    return smoothed


def _noisy_curve(axes: Axes, metrics: Sequence[Record], key: str, label: str, colour: str) -> None:
    _curve(axes, metrics, key, "", colour, alpha=0.25, linewidth=1)
    _curve(axes, _smooth(metrics, key), key, label, colour, linewidth=2)


def _accuracy_curve(axes: Axes, metrics: Sequence[Record]) -> None:
    _noisy_curve(axes, metrics, "reward", "reward while practising", BEFORE)
    steps, values = _series(metrics, "eval/accuracy")
    if steps:
        measured = [record for record in metrics if record.get("eval/accuracy") is not None]
        _, low = _series(measured, "eval/accuracy_low")
        _, high = _series(measured, "eval/accuracy_high")
        axes.fill_between(steps, low, high, color=AFTER, alpha=0.15, linewidth=0)
        axes.plot(steps, values, color=AFTER, marker="o", markersize=4, label="held-out accuracy, 95 %")
    _, rewards = _series(metrics, "reward")
    axes.set_ylim(min(0, *rewards) if rewards else 0, 1.02)  # wrong answers may cost something (reward.wrong)
    axes.set_title("Reward and held-out accuracy")


def _length_curve(axes: Axes, metrics: Sequence[Record]) -> None:
    _noisy_curve(axes, metrics, "reasoning_tokens/mean", "all", AFTER)
    for name, colour, line in (("correct", RIGHT, "--"), ("wrong", WRONG, ":")):
        key = f"reasoning_tokens/{name}"
        _curve(axes, _smooth(metrics, key), key, name, colour, linestyle=line)
    axes.set_ylim(bottom=0)
    axes.set_title("Reasoning tokens before the answer")


def telling(names: Sequence[str]) -> Sequence[str]:
    """Return the difficulties that tell problems apart: `task=count` does not where all problems have it."""
    values = Counter(name.split("=", 1)[0] for name in names)
    return [name for name in names if values[name.split("=", 1)[0]] > 1] or names


def _difficulty_bars(axes: Axes, before: Record | None, after: Record) -> None:
    names = telling(list(after["by_difficulty"]))
    if before is not None:
        _bars(axes, -0.2, names, before, BEFORE, "before")
    _bars(axes, 0.2, names, after, AFTER, "after")
    # a name is `terms=5`: the number belongs to the bar, the word to the axis
    axes.set_xticks(range(len(names)), [name.split("=", 1)[1] for name in names])
    axes.set_xlabel(names[0].split("=", 1)[0] if names else "")
    axes.set_ylim(0, 1.02)
    axes.set_title("Accuracy by difficulty, 95 %")


def _bars(axes: Axes, offset: float, names: Sequence[str], results: Record, colour: str, label: str) -> None:
    """Draw the accuracy of those difficulties that were asked for, each at its place plus `offset`."""
    places, values, below, above = [], [], [], []
    for i, name in enumerate(names):
        estimate = results["by_difficulty"].get(name)
        if estimate is None or estimate["value"] is None:  # not asked, or nothing of it could be scored
            continue
        places.append(i + offset)
        values.append(estimate["value"])
        below.append(estimate["value"] - estimate["low"])
        above.append(estimate["high"] - estimate["value"])
    axes.bar(places, values, 0.38, color=colour, label=label, yerr=[below, above], capsize=2, ecolor="#57606a")


def _health_curve(axes: Axes, metrics: Sequence[Record]) -> None:
    _noisy_curve(axes, metrics, "entropy", "entropy (nats)", "#8250df")
    _noisy_curve(axes, metrics, "frac_reward_zero_std", "groups without contrast", "#bf8700")
    axes.set_ylim(bottom=0)
    axes.set_title("Entropy and dead groups")


def draw(metrics: Sequence[Record], before: Record | None, after: Record | None) -> bytes:
    """Return the figure as PNG."""
    figure, grid = plt.subplots(2, 2, figsize=(11, 7.2), constrained_layout=True)
    _accuracy_curve(grid[0, 0], metrics)
    _length_curve(grid[0, 1], metrics)
    _health_curve(grid[1, 1], metrics)
    if after is not None and after["by_difficulty"]:
        _difficulty_bars(grid[1, 0], before, after)
    else:
        _noisy_curve(grid[1, 0], metrics, "grad_norm", "gradient norm", AFTER)
        grid[1, 0].set_title("Gradient norm")
    for axes in grid.flat:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.2)
        axes.legend(framealpha=0.8, edgecolor="none", fontsize=9)
        if not axes.get_xlabel():
            axes.set_xlabel("step")
    return png(figure)


def png(figure: Figure) -> bytes:
    """Return a figure as PNG, and forget it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    plt.close(figure)
    return buffer.getvalue()


def _numbers_table(before: Record | None, after: Record) -> str:
    columns = {"before": before, "after": after} if before else {"result": after}
    sides = list(columns.values())
    lines = [row(["", *columns], "th")]
    lines.append(row([f"avg@{after['n']}", *[_estimate(results["accuracy"]) for results in sides]]))
    for kind, label in (("pass_at_k", "pass"), ("majority_at_k", "maj")):
        for k in after[kind]:
            if k != "1":  # the same as avg@n
                lines.append(row([f"{label}@{k}", *[_estimate(results[kind].get(k)) for results in sides]]))
    for name in after["by_difficulty"]:
        lines.append(row([name, *[_estimate(results["by_difficulty"].get(name)) for results in sides]]))
    for kind in ("mean", "correct", "wrong"):
        lines.append(row([f"reasoning tokens, {kind}", *[_tokens(results["reasoning_tokens"][kind]) for results in sides]]))
    for name, label in EMERGENCE.items():
        lines.append(row([label, *[_share(results.get("emergence", {}).get(name)) for results in sides]]))
    for kind in ("truncated", "unparsed", "timeout", "error"):
        lines.append(row([f"{kind} rate", *[f"{results[f'{kind}_rate']:.3f}" for results in sides]]))
    return f"<table>{''.join(lines)}</table>"


def _estimate(estimate: Record | None) -> str:
    if not estimate:
        return "-"
    return estimate_in_words(estimate)


def _tokens(count: float | None) -> str:
    return "-" if count is None else f"{count:.1f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _changes_table(metrics: Sequence[Record]) -> str:
    """Show what emerges as the last step has it against step 0; "" for a run that did not measure it.

    Held-out problems where the run was evaluated before its first step. Else the completions of step 1, which the model of
    step 0 wrote: those of the last step may then be of other problems.
    """
    prefix = "eval/" if metrics[0]["step"] == 0 else ""
    measured = [record for record in metrics if f"{prefix}emergence/repetition" in record]
    if len(measured) < 2 or measured[0] is not metrics[0]:
        return ""
    first, last = measured[0], measured[-1]
    labels = {f"reasoning_tokens/{name}": f"reasoning tokens, {name.replace('_', ' ')}" for name in LENGTHS}
    labels |= {f"emergence/{name}": label for name, label in EMERGENCE.items()}
    lines = []
    for key, label in labels.items():
        then, now = (record.get(f"{prefix}{key}") for record in (first, last))
        change = difference(then, now)
        lines.append(row([label, _share(then), _share(now), "-" if change is None else f"{change:+.3f}"]))
    on = "held-out problems" if prefix else "the problems practised on"
    head = row(["", "step 0", f"step {last['step']}", "difference"], "th")
    note = f"<p class=note>On {on}; what each means: docs/evaluation.md.</p>"
    return f"<h2>What emerged</h2>{note}<table>{head}{''.join(lines)}</table>"


def _completion(sample: Record) -> str:
    text = sample["completion"]
    if len(text) > _SHOWN_CHARACTERS:
        text = f"{text[:_SHOWN_CHARACTERS]} ... ({len(text)} characters)"
    kind = "correct" if sample["status"] == "correct" else "wrong"
    status = html.escape(sample["status"])
    return f'<div class="{kind}"><pre>{html.escape(text)}</pre><span class="note">{status}</span></div>'


def _pairs(before: Sequence[Record], after: Sequence[Record]) -> str:
    """Show the first problem of each difficulty before and after, two samples each: nothing is picked by its result."""
    old, new = _by_problem(before), _by_problem(after)
    first_of: dict[tuple[Any, ...], str] = {}  # by difficulty, the first problem that was asked before and after
    for problem_id in old:
        if problem_id in new:
            difficulty = tuple(new[problem_id][0]["difficulty"].values())
            first_of.setdefault(difficulty, problem_id)
    # difficulties of several domains are of several types, which do not compare
    ordered = sorted(first_of, key=lambda difficulty: [(str(type(value)), value) for value in difficulty])
    chosen = [first_of[difficulty] for difficulty in ordered[:_SHOWN_PROBLEMS]]
    return "".join(_pair(old[problem_id], new[problem_id]) for problem_id in chosen)


def _pair(before: Sequence[Record], after: Sequence[Record]) -> str:
    prompt = html.escape(after[0]["prompt"])
    reference = html.escape(str(after[0]["reference"]))
    cards = _card("before", before) + _card("after", after)
    return f'<p><code>{prompt}</code> <span class="note">answer {reference}</span></p><div class="pair">{cards}</div>'


def _card(label: str, samples: Sequence[Record]) -> str:
    completions = "".join(_completion(sample) for sample in samples[:2])
    return f'<div class="card"><h3>{label}</h3>{completions}</div>'


def _by_problem(samples: Sequence[Record]) -> dict[str, list[Record]]:
    by_problem: dict[str, list[Record]] = {}
    for sample in samples:
        by_problem.setdefault(sample["problem_id"], []).append(sample)
    return by_problem


def summary(picture: bytes, before: Record | None, after: Record | None, changes: str, pairs: str, config: str) -> str:
    """Return the markup of the page; everything it shows is inside it."""
    note = "<p class=note>95 % intervals in parentheses; problems are the unit.</p>"
    numbers = f"<h2>Numbers</h2>{note}{_numbers_table(before, after)}" if after else ""
    rule = "<p class=note>The first problem of each difficulty, two samples each.</p>"
    texts = f"<h2>The same problems, before and after</h2>{rule}{pairs}" if pairs else ""
    settings = (
        "<h2>Settings</h2><details><summary>config.yaml, with where each value came from</summary>"
        f"<pre>{html.escape(config)}</pre></details>"
    )
    return image(picture, "curves of the run") + numbers + changes + texts + settings


def _evaluation(directory: Path | None) -> tuple[Record | None, list[Record]]:
    if directory is None:
        return None, []
    file = directory / "results.json"
    if not file.is_file():
        raise ReportError(f"{directory} holds no results.json; give the run directory of a finished `reasonlab eval`")
    return json.loads(file.read_text()), list(read_records(directory / "samples.jsonl"))


def write_report(
    run: Path, before: Path | None, after: Path | None, output: Path, frame: Callable[[str, str], str] = whole_page
) -> Path:
    """Write report.png and report.html to `output`; return the page's path. `frame` makes a page of a title and markup."""
    metrics = list(read_records(run / "metrics.jsonl"))
    if not metrics:
        raise ReportError(f"{run} has no metrics.jsonl with rows; give the run directory of `reasonlab train`")
    old, old_samples = _evaluation(before)
    new, new_samples = _evaluation(after)
    settings = run / "config.yaml"
    config = without_folders(settings.read_text()) if settings.is_file() else ""
    whole_path = run.resolve()
    title = f"{whole_path.parent.name}/{whole_path.name}: {metrics[-1]['step']} steps"

    picture = draw(metrics, old, new)
    text = frame(title, summary(picture, old, new, _changes_table(metrics), _pairs(old_samples, new_samples), config))
    output.mkdir(parents=True, exist_ok=True)
    write_atomic(output / "report.png", picture)
    write_atomic(output / "report.html", text)
    return output / "report.html"
