"""One picture and one self-contained page of a run: curves, accuracy by difficulty before and after, completions.

The page needs no network and no server; model text is escaped, it is never markup.
"""

import base64
import html
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from problems.errors import LabError
from rl.tracking.run_directory import read_rows, write_atomic

BEFORE, AFTER = "#9aa5b1", "#1f6feb"
_SHOWN_PROBLEMS = 10
_SHOWN_CHARACTERS = 600
Row = Mapping[str, Any]


class ReportError(LabError):
    """A run that has nothing to draw."""


def _series(rows: Sequence[Row], key: str) -> tuple[list[int], list[float]]:
    kept = [(row["step"], row[key]) for row in rows if row.get(key) is not None]
    return [step for step, _ in kept], [value for _, value in kept]


def _curve(axes: Axes, rows: Sequence[Row], key: str, label: str, colour: str, **style: Any) -> None:
    steps, values = _series(rows, key)
    axes.plot(steps, values, color=colour, label=label, **style)


def _smooth(rows: Sequence[Row], key: str, width: int = 9) -> list[Row]:
    steps, values = _series(rows, key)
    half = width // 2
    windows = [values[max(0, i - half) : i + half + 1] for i in range(len(values))]
    return [{"step": step, key: sum(window) / len(window)} for step, window in zip(steps, windows, strict=True)]


def _noisy_curve(axes: Axes, rows: Sequence[Row], key: str, label: str, colour: str) -> None:
    _curve(axes, rows, key, "", colour, alpha=0.25, linewidth=1)
    _curve(axes, _smooth(rows, key), key, label, colour, linewidth=2)


def _accuracy_curve(axes: Axes, rows: Sequence[Row]) -> None:
    _noisy_curve(axes, rows, "reward", "reward while practising", BEFORE)
    steps, values = _series(rows, "eval/accuracy")
    if steps:
        low, high = _series(rows, "eval/accuracy_low")[1], _series(rows, "eval/accuracy_high")[1]
        axes.fill_between(steps, low, high, color=AFTER, alpha=0.15, linewidth=0)
        axes.plot(steps, values, color=AFTER, marker="o", markersize=4, label="held-out accuracy, 95 %")
    axes.set_ylim(0, 1.02)
    axes.set_title("Reward and held-out accuracy")


def _length_curve(axes: Axes, rows: Sequence[Row]) -> None:
    _noisy_curve(axes, rows, "reasoning_tokens/mean", "all", AFTER)
    _curve(axes, _smooth(rows, "reasoning_tokens/correct"), "reasoning_tokens/correct", "correct", "#2da44e", linestyle="--")
    _curve(axes, _smooth(rows, "reasoning_tokens/wrong"), "reasoning_tokens/wrong", "wrong", "#cf222e", linestyle=":")
    axes.set_ylim(bottom=0)
    axes.set_title("Reasoning tokens before the answer")


def _difficulty_bars(axes: Axes, before: Row | None, after: Row) -> None:
    names = list(after["by_difficulty"])
    for offset, results, colour, label in ((-0.2, before, BEFORE, "before"), (0.2, after, AFTER, "after")):
        if results is None:
            continue
        found = [results["by_difficulty"].get(name) for name in names]
        places = [i + offset for i, f in enumerate(found) if f]
        values = [f["value"] for f in found if f]
        errors = [[f["value"] - f["low"] for f in found if f], [f["high"] - f["value"] for f in found if f]]
        axes.bar(places, values, 0.38, color=colour, label=label, yerr=errors, capsize=2, ecolor="#57606a")
    axes.set_xticks(range(len(names)), [name.split("=", 1)[1] for name in names])
    axes.set_xlabel(names[0].split("=", 1)[0] if names else "")
    axes.set_ylim(0, 1.02)
    axes.set_title("Accuracy by difficulty, 95 %")


def _health_curve(axes: Axes, rows: Sequence[Row]) -> None:
    _noisy_curve(axes, rows, "entropy", "entropy (nats)", "#8250df")
    _noisy_curve(axes, rows, "frac_reward_zero_std", "groups without contrast", "#bf8700")
    axes.set_ylim(bottom=0)
    axes.set_title("Entropy and dead groups")


def draw(rows: Sequence[Row], before: Row | None, after: Row | None) -> bytes:
    """Return the figure as PNG."""
    figure, grid = plt.subplots(2, 2, figsize=(11, 7.2), constrained_layout=True)
    _accuracy_curve(grid[0, 0], rows)
    _length_curve(grid[0, 1], rows)
    _health_curve(grid[1, 1], rows)
    if after is not None and after["by_difficulty"]:
        _difficulty_bars(grid[1, 0], before, after)
    else:
        _noisy_curve(grid[1, 0], rows, "grad_norm", "gradient norm", AFTER)
        grid[1, 0].set_title("Gradient norm")
    for axes in grid.flat:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.2)
        axes.legend(frameon=False, fontsize=9)
        if not axes.get_xlabel():
            axes.set_xlabel("step")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    plt.close(figure)
    return buffer.getvalue()


STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:1060px;margin:2rem auto;padding:0 1rem;color:#1f2328}
h1{font-size:1.5rem;margin-bottom:.2rem}h2{font-size:1.15rem;margin-top:2rem}
img{max-width:100%}table{border-collapse:collapse}td,th{padding:.25rem .8rem;text-align:right;border-bottom:1px solid #d8dee4}
td:first-child,th:first-child{text-align:left}.pair{display:grid;grid-template-columns:1fr 1fr;gap:1rem;margin:.4rem 0 1.4rem}
.card{border:1px solid #d8dee4;border-radius:6px;padding:.6rem .8rem}.card h3{font-size:.85rem;margin:0 0 .3rem;color:#57606a}
pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:.2rem 0;font-size:.85rem}
.correct{border-left:4px solid #2da44e;padding-left:.5rem}.wrong{border-left:4px solid #cf222e;padding-left:.5rem}
.note{color:#57606a}code{background:#f6f8fa;padding:.1rem .3rem;border-radius:4px}
"""


def _numbers_table(before: Row | None, after: Row) -> str:
    columns = [("before", before), ("after", after)] if before else [("result", after)]
    head = "".join(f"<th>{name}</th>" for name, _ in columns)

    def row(label: str, cells: list[str]) -> str:
        return f"<tr><td>{html.escape(label)}</td>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"

    def rate(found: Row | None) -> str:
        return f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})" if found else "-"

    lines = [row(f"avg@{after['n']}", [rate(r["accuracy"]) for _, r in columns])]
    for kind, label in (("pass_at_k", "pass"), ("majority_at_k", "maj")):
        lines += [row(f"{label}@{k}", [rate(r[kind].get(k)) for _, r in columns]) for k in after[kind] if k != "1"]
    for name in after["by_difficulty"]:
        lines.append(row(name, [rate(r["by_difficulty"].get(name)) for _, r in columns]))
    for kind in ("mean", "correct", "wrong"):
        cells = [r["reasoning_tokens"][kind] for _, r in columns]
        lines.append(row(f"reasoning tokens, {kind}", ["-" if c is None else f"{c:.1f}" for c in cells]))
    for name in ("truncated", "unparsed", "timeout", "error"):
        lines.append(row(f"{name} rate", [f"{r[f'{name}_rate']:.3f}" for _, r in columns]))
    return f"<table><tr><th></th>{head}</tr>{''.join(lines)}</table>"


def _completion(row: Row) -> str:
    text = row["completion"]
    shown = text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + f" ... ({len(text)} characters)"
    kind = "correct" if row["status"] == "correct" else "wrong"
    return f'<div class="{kind}"><pre>{html.escape(shown)}</pre><span class="note">{html.escape(row["status"])}</span></div>'


def _pairs(before: Sequence[Row], after: Sequence[Row]) -> str:
    """Show the first problem of each difficulty before and after, two samples each: nothing is picked by its result."""
    by_problem: dict[str, tuple[list[Row], list[Row]]] = {}
    for side, rows in enumerate((before, after)):
        for row in rows:
            by_problem.setdefault(row["problem_id"], ([], []))[side].append(row)
    first_of: dict[tuple[Any, ...], tuple[list[Row], list[Row]]] = {}
    for pair in by_problem.values():
        if pair[0] and pair[1]:
            first_of.setdefault(tuple(pair[1][0]["difficulty"].values()), pair)
    chosen = [first_of[key] for key in sorted(first_of, key=lambda values: [(str(type(v)), v) for v in values])]
    blocks = []
    for old, new in chosen[:_SHOWN_PROBLEMS]:
        prompt, reference = html.escape(new[0]["prompt"]), html.escape(str(new[0]["reference"]))
        cards = "".join(
            f'<div class="card"><h3>{label}</h3>{"".join(_completion(row) for row in rows[:2])}</div>'
            for label, rows in (("before", old), ("after", new))
        )
        blocks.append(
            f'<p><code>{prompt}</code> <span class="note">answer {reference}</span></p><div class="pair">{cards}</div>'
        )
    return "".join(blocks)


def page(title: str, picture: bytes, before: Row | None, after: Row | None, pairs: str, config: str) -> str:
    """Return the page; everything it shows is inside it."""
    image = base64.b64encode(picture).decode()
    note = "<p class=note>95 % intervals in parentheses; problems are the unit.</p>"
    numbers = f"<h2>Numbers</h2>{note}{_numbers_table(before, after)}" if after else ""
    rule = "<p class=note>The first problem of each difficulty, two samples each.</p>"
    texts = f"<h2>The same problems, before and after</h2>{rule}{pairs}" if pairs else ""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style></head><body><h1>{html.escape(title)}</h1>"
        f'<p class=note>reasonlab</p><img alt="curves of the run" src="data:image/png;base64,{image}">{numbers}{texts}'
        "<h2>Settings</h2><details><summary>config.yaml, with where each value came from</summary>"
        f"<pre>{html.escape(config)}</pre></details>"
        "</body></html>"
    )


def _evaluation(directory: Path | None) -> tuple[Row | None, list[Row]]:
    if directory is None:
        return None, []
    file = directory / "results.json"
    if not file.is_file():
        raise ReportError(f"{directory} holds no results.json; give the run directory of a finished `reasonlab eval`")
    return json.loads(file.read_text()), list(read_rows(directory / "samples.jsonl"))


def write_report(run: Path, before: Path | None, after: Path | None, output: Path) -> Path:
    """Write report.png and report.html to `output`; return the page's path."""
    rows = list(read_rows(run / "metrics.jsonl"))
    if not rows:
        raise ReportError(f"{run} has no metrics.jsonl with rows; give the run directory of `reasonlab train`")
    old, old_samples = _evaluation(before)
    new, new_samples = _evaluation(after)
    picture = draw(rows, old, new)
    config = (run / "config.yaml").read_text() if (run / "config.yaml").is_file() else ""
    output.mkdir(parents=True, exist_ok=True)
    title = f"{run.resolve().parent.name}/{run.resolve().name}: {rows[-1]['step']} steps"
    write_atomic(output / "report.png", picture)
    write_atomic(output / "report.html", page(title, picture, old, new, _pairs(old_samples, new_samples), config))
    return output / "report.html"
