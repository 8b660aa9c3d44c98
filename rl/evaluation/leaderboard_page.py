"""A leaderboard (rl/evaluation/leaderboard.py) as one page: everything is inside it, it needs no network and runs no script.

Names of models and sets come from wherever somebody found them: they are text, never markup.
"""

import html
import json
from collections.abc import Iterable, Sequence

from rl.evaluation.table import printable, rank_in_words, ranked_models
from rl.stats import estimate_in_words, interval_in_words, p_value_in_words
from rl.tracking.html_page import whole_page
from rl.tracking.run_directory import JsonDict

_WIDTH, _HEIGHT = 180, 14  # of the drawing of an interval, in its own units


def leaderboard_page(board: JsonDict) -> str:
    """Return the page."""
    several = len(board["leagues"]) > 1
    parts = [
        _league(league, f"League {number}: ranks" if several else "Ranks")
        for number, league in enumerate(board["leagues"], start=1)
    ]
    if several:
        parts.insert(0, '<p class="note">No contest connects the leagues: nothing is known of one against the other.</p>')
    if board["alone"]:
        parts.append(_listed("Compared with none", board["alone"]))
    parts += [_accuracies(board), _listed("What is not compared", board["remarks"]), _how(board)]
    return whole_page("Leaderboard", "".join(parts))


def _text(value: object) -> str:
    return html.escape(printable(str(value)))


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]], named: Sequence[int]) -> str:
    """Return a table of cells that are markup already; `named` numbers the columns that hold names."""

    def line(cells: Sequence[str], tag: str) -> str:
        kinds = [' class="name"' if number in named else "" for number in range(len(cells))]
        return "<tr>" + "".join(f"<{tag}{kind}>{cell}</{tag}>" for kind, cell in zip(kinds, cells, strict=True)) + "</tr>"

    body = "".join(line(cells, "td") for cells in rows)
    return f'<div class="wide"><table><thead>{line(headings, "th")}</thead><tbody>{body}</tbody></table></div>'


def _listed(title: str, texts: Sequence[str]) -> str:
    if not texts:
        return ""
    return f"<h2>{title}</h2><ul>{''.join(f'<li>{_text(text)}</li>' for text in texts)}</ul>"


def _league(league: JsonDict, title: str) -> str:
    ranks = league["ranks"]
    ends = [value for row in ranks for value in (row["strength"], row["low"], row["high"]) if value is not None]
    rows = [
        [
            rank_in_words(row),
            _text(row["model"]),
            f"{row['strength']:.0f}",
            interval_in_words(row["low"], row["high"], digits=0),
            _drawing(row, min(ends), max(ends)),
            str(row["problems"]),
            str(row["clusters"]),
        ]
        for row in ranks
    ]
    headings = ["rank", "model", "strength", "95 % interval", "", "problems", "clusters"]
    pairs = _table(
        ["model", "less", "problems", "accuracy", "95 % interval", "p-value", "strength", "95 % interval"],
        [_pair(pair) for pair in league["pairs"]],
        named=(0, 1),
    )
    by = ", ".join(_text(name) for name in league["contests"])
    which = "Those nearest in rank, two by two" if league["pairs_left_out"] else "Every two of them"
    return (
        f'<h2>{title}</h2><p class="note">By {by}. In parentheses: the ranks that the intervals allow.</p>'
        f"{_table(headings, rows, named=(1,))}"
        f"<details><summary>{which}: differences over the problems that both answered</summary>{pairs}</details>"
    )


def _drawing(row: JsonDict, left: float, right: float) -> str:
    """Return a strength and its interval as a point on a line; the numbers beside it say the same."""
    scale = _WIDTH / max(right - left, 1e-9)
    middle = _HEIGHT / 2
    at = [f"{(value - left) * scale:.1f}" for value in (row["low"], row["strength"], row["high"]) if value is not None]
    line = f'<line x1="{at[0]}" x2="{at[-1]}" y1="{middle}" y2="{middle}"/>'
    point = f'<circle cx="{at[len(at) // 2]}" cy="{middle}" r="4"/>'
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" aria-hidden="true">{line}{point}</svg>'


def _pair(pair: JsonDict) -> list[str]:
    return [
        _text(pair["first"]),
        _text(pair["second"]),
        str(pair["problems"]),
        f"{pair['difference']:+.3f}",
        interval_in_words(pair["low"], pair["high"], sign="+"),
        p_value_in_words(pair["p_value"]),
        f"{pair['points']:+.0f}",
        interval_in_words(pair["points_low"], pair["points_high"], digits=0, sign="+"),
    ]


def _accuracies(board: JsonDict) -> str:
    contests = board["contests"]
    rows = []
    for model in ranked_models(board):
        found = [contest["results"].get(model) for contest in contests]
        cells = [
            "-" if one is None else f"{estimate_in_words(one['accuracy'])}<br><small>n {one['n']}</small>" for one in found
        ]
        rows.append([_text(model), *cells])
    headings = [f"{_text(contest['name'])}<br><small>{contest['problems']} problems</small>" for contest in contests]
    note = '<p class="note">Share of correct samples (avg@n) with 95 % intervals.</p>'
    return f"<h2>Accuracy by set</h2>{note}{_table(['model', *headings], rows, named=(0,))}"


def _how(board: JsonDict) -> str:
    anchor = "the mean of a league is 1000"
    if board["anchor"] is not None:
        anchor = f"{_text(board['anchor'])} has 1000 (in a league without it the mean has)"
    asked = {contest["name"]: {"sources": contest["sources"], **contest["protocol"]} for contest in board["contests"]}
    shown = html.escape("\n".join(f"{printable(name)}: {json.dumps(how, indent=1)}" for name, how in asked.items()))
    return (
        f"<h2>How</h2><p>{_text(board['scale'])}; {anchor}. Only evaluations that were asked the same are compared: "
        "problems, prompt, sampling, reading, verifier. One model surely stands above another where the interval of their "
        f"difference does. p-values: {_text(board['test'])}, of every two by themselves.</p>"
        f"<details><summary>How each set was asked</summary><pre>{shown}</pre></details>"
    )
