"""The same completions and curves as text, for a machine without a browser.

Model text reaches the terminal with its control signs made visible (texts.py) and never as markup of rich.
"""

from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from rl.tracking.run_directory import JsonDict
from rl.viewing.answers import Answers
from rl.viewing.charts import CHARTS
from rl.viewing.index import Query

_BARS = "▁▂▃▄▅▆▇█"
_COLUMNS = 48  # of a curve
_MOST_CHARACTERS = 1200  # of a completion, unless all is asked for
_COLOURS = {"correct": "green", "wrong": "red", "unparsed": "red", "timeout": "red"}


def show(console: Console, answers: Answers, query: Query, groups: int, *, whole: bool = False) -> None:
    """Print each run, and the first groups that hold a completion which the query finds."""
    for number, run in enumerate(answers.overview()["runs"]):
        console.rule(Text(f"{run['name']}  {run['kind']}, {run['status']}, {run['completions']:,} completions"))
        for alert in run["alerts"]:
            console.print(Text(f"! {alert['words']}", style="yellow"), soft_wrap=True)
        if run["curves"]:
            console.print(_curves(run["curves"]))
        for heat in answers.difficulty(number):
            console.print(_difficulty(heat))
        _show_groups(console, answers, number, query, groups, whole=whole)


def _show_groups(console: Console, answers: Answers, run: int, query: Query, groups: int, *, whole: bool) -> None:
    found = answers.rows(run, query)
    if not found["total"]:
        return
    console.print(f"{found['total']:,} completions answer this; whole groups of the first:")
    seen: set[tuple[int, int]] = set()
    for row in found["rows"]:
        step, number = int(row["step"]), int(row["row"])
        if (step, number) in seen or groups <= 0:
            continue
        group = answers.group(run, step, number)
        if group is None:
            continue
        seen |= {(step, completion["row"]) for completion in group["completions"]}
        groups -= 1
        console.print(_group(group, whole=whole))


def _curves(curves: JsonDict) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    for chart in CHARTS:
        shown = [(words, curves[key]) for key, words in chart.series if chart.is_main and key in curves]
        if len(shown) > 1:
            table.add_row(Text(chart.title))
        for words, (steps, values) in shown:
            ends = f"{values[0]:.3g} (step {steps[0]}) to {values[-1]:.3g} (step {steps[-1]})"
            table.add_row(Text(f"  {words}" if len(shown) > 1 else chart.title), Text(sparkline(values, _COLUMNS)), Text(ends))
    return table


def sparkline(values: Sequence[float], columns: int) -> str:
    """Return a curve as a line of bars: each the mean of neighbours, from the lowest of them to the highest."""
    width = max(1, -(-len(values) // columns))
    means = [sum(part) / len(part) for i in range(0, len(values), width) if (part := values[i : i + width])]
    low, high = min(means), max(means)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((value - low) * scale)] for value in means)


def _difficulty(heat: JsonDict) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False, title=f"accuracy by {heat['name']}", title_justify="left")
    for line in heat["lines"]:
        shares = [correct / scored for _, scored, correct in line["cells"] if scored]
        if shares:
            table.add_row(Text(line["value"]), Text(_heat(shares)), Text(f"{shares[0]:.2f} to {shares[-1]:.2f}"))
    return table


def _heat(shares: Sequence[float]) -> str:
    width = max(1, -(-len(shares) // _COLUMNS))
    means = [sum(part) / len(part) for i in range(0, len(shares), width) if (part := shares[i : i + width])]
    return "".join(_BARS[round(mean * (len(_BARS) - 1))] for mean in means)  # all lines on one scale, 0 to 1


def _group(group: JsonDict, *, whole: bool) -> RenderableType:
    ordered = sorted(group["completions"], key=lambda one: -(one["reward"] or 0.0))
    head = Text(f"{group['prompt']}\n", style="bold")
    head.append(f"reference {'-' if group['reference'] is None else group['reference']}", style="not bold dim")
    parts: list[RenderableType] = [head]
    for one in ordered:
        text = one["text"]
        if len(text) > _MOST_CHARACTERS and not whole:
            text = f"{text[:_MOST_CHARACTERS]} ... ({len(text)} characters; --whole)"
        parts += [Text(), _verdict(one), Text(text)]
    return Panel(Group(*parts), title=Text(f"step {group['step']}, problem {group['problem']}"), title_align="left")


def _verdict(one: JsonDict) -> Text:
    line = Text(str(one["status"]), style=_COLOURS.get(str(one["status"]), "yellow"))
    line.append(" truncated" if one["truncated"] else "", style="yellow")
    numbers = [
        f"{name} {one[key]:.3g}" for name, key in (("reward", "reward"), ("advantage", "advantage")) if one[key] is not None
    ]
    read = "-" if one["extracted"] is None else one["extracted"]
    detail = f"; {one['detail']}" if one["detail"] else ""
    numbers.append(f"{one['num_tokens']} tokens")
    line.append(f"  {', '.join(numbers)}; read: {read}{detail}", style="dim")
    return line
