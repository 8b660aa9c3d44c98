"""What terminals show: evaluations in full, in a line each, side by side, checkpoints against step 0, and a leaderboard."""

from collections.abc import Iterator, Mapping

from rich.markup import escape
from rich.table import Table

from rl.evaluation.progress import START, against_start, numbers
from rl.stats import estimate_in_words, interval_in_words, number_in_words, p_value_in_words
from rl.tracking.emergence import EMERGENCE
from rl.tracking.run_directory import JsonDict

_SETS_A_TABLE = 4  # of a leaderboard: as many as a terminal is wide enough for
_PROGRESS = {  # the columns of what is followed over a run
    "accuracy": "avg@n",
    "reasoning_tokens/correct": "tokens, right",
    "reasoning_tokens/wrong": "tokens, wrong",
    "emergence/repetition": "repetition",
    "emergence/reflections_per_1000_tokens": "reflection",
    "emergence/self_corrections": "self-corrections",
    "emergence/corrections_right": "end right",
}


def results_table(results: JsonDict) -> Table:
    """Return the closing table of an evaluation."""
    size = f"{results['problems']} problems x {results['n']} samples"
    table = Table(title=f"{results['model']}: {size}, {results['split']} split, {results['reading']} reading")
    table.add_column("", justify="left")
    table.add_column("value", justify="right")
    table.add_column("95 % interval", justify="right")

    def add(label: str, estimate: JsonDict) -> None:
        table.add_row(label, number_in_words(estimate["value"]), interval_in_words(estimate["low"], estimate["high"]))

    add(f"avg@{results['n']}", results["accuracy"])
    if "coverage" in results:
        add("coverage: not abstained", results["coverage"])
        add("accuracy when answering", results["accuracy_when_answering"])
    for kind, label in (("pass_at_k", "pass"), ("majority_at_k", "maj")):
        for k, at_k in results[kind].items():
            if k != "1":  # the same as avg@n
                add(f"{label}@{k}", at_k)
    for choice, by_k in results["best_of_k"].items():
        k = list(by_k)[-1] if by_k else "1"
        if k != "1":
            found = by_k[k]
            left_out = results["accuracy"]["problems"] - found["problems"]  # without log-probabilities
            add(f"{choice} of {k}" + (f", {found['problems']} problems" if left_out else ""), found)
    for difficulty, of_difficulty in results["by_difficulty"].items():
        add(difficulty, of_difficulty)
    for name in ("mean", "correct", "wrong"):
        table.add_row(f"reasoning tokens, {name}", number_in_words(results["reasoning_tokens"][name], 1), "")
    for name in ("correct", "wrong"):
        low, high = (number_in_words(results["reasoning_tokens"][f"{name}_{end}"], 1) for end in ("p10", "p90"))
        table.add_row(f"  p10 to p90, {name}", f"{low} to {high}", "")
    for name, label in EMERGENCE.items():
        table.add_row(label, number_in_words(results["emergence"][name]), "")
    for name in ("truncated", "unparsed", "timeout", "error"):
        table.add_row(f"{name} rate", number_in_words(results[f"{name}_rate"]), "")
    return table


def overview_table(evaluations: Mapping[str, JsonDict]) -> Table:
    """Return a line for each of several evaluations, by where they stand below a common directory."""
    table = Table(title="one line an evaluation; 95 % intervals by problem or cluster")
    # on a narrow terminal numbers are folded; a name or a number that is cut says nothing
    table.add_column("evaluation", justify="left", min_width=max(map(len, evaluations), default=0), no_wrap=True)
    for heading in ("problems", "n", "avg@n", "95 % interval", "pass@n", "maj@n", "tokens", "truncated"):
        table.add_column(heading, justify="right", overflow="fold")
    for name, results in evaluations.items():
        last = list(results["pass_at_k"])[-1:]
        at_most = [number_in_words(results[kind][k]["value"]) for kind in ("pass_at_k", "majority_at_k") for k in last]
        table.add_row(
            name,
            str(results["problems"]),
            str(results["n"]),
            number_in_words(results["accuracy"]["value"]),
            interval_in_words(results["accuracy"]["low"], results["accuracy"]["high"]),
            *(at_most or ("-", "-")),
            number_in_words(results["reasoning_tokens"]["mean"], 1),
            number_in_words(results["truncated_rate"]),
        )
    return table


def progress_table(evaluations: Mapping[str, JsonDict]) -> Table | None:
    """Return the numbers of step 0 and how much more each later checkpoint of the run has; None where there is no step 0."""
    changes = against_start(evaluations)
    if not changes:
        return None
    table = Table(title="against step 0: its numbers, and what each later step has more; reflection words per 1,000 tokens")
    table.add_column("evaluation", justify="left", min_width=max(map(len, evaluations)), no_wrap=True)
    for heading in _PROGRESS.values():
        table.add_column(heading, justify="right", overflow="fold")
    for place, results in evaluations.items():
        if place in changes:
            table.add_row(place, *(number_in_words(changes[place][name], sign="+") for name in _PROGRESS))
        elif place.partition("/")[0] == START:
            table.add_row(place, *(number_in_words(numbers(results)[name]) for name in _PROGRESS))
    return table


def comparison_table(name: str, comparison: JsonDict) -> Table:
    """Return what two evaluations say of each other (rl/evaluation/comparison.py)."""
    table = Table(title=f"{name}: second minus first" if name else "second minus first")
    table.add_column("", justify="left")
    table.add_column("value", justify="right", overflow="fold")
    for side in ("first", "second"):
        one = comparison[side]
        table.add_row(f"{side}: {one['model']}, avg@{one['n']}", number_in_words(one["accuracy"]))
    interval = interval_in_words(comparison["low"], comparison["high"], sign="+")
    table.add_row("difference, 95 % interval", f"{comparison['difference']:+.3f}, {interval}")
    table.add_row("p-value, exact sign-flip test", p_value_in_words(comparison["p_value"]))
    in_clusters = f" in {comparison['clusters']} clusters" if comparison["clusters"] < comparison["problems"] else ""
    table.add_row("problems", f"{comparison['problems']}{in_clusters}")
    if comparison["left_out"]:
        table.add_row("problems left out, not scored", str(comparison["left_out"]))
    up = sum(flip["second"]["correct"] > flip["first"]["correct"] for flip in comparison["flips"])
    table.add_row("flips: wrong to right, right to wrong", f"{up}, {len(comparison['flips']) - up}")
    if comparison["clusters"] < 2:
        table.add_row("difference that would be found in 8 of 10 tries", "not known of one cluster")
        return table
    table.add_row("difference that would be found in 8 of 10 tries", f"{comparison['detectable']:.3f}")
    more = comparison["more_problems"]
    table.add_row("problems more for the one seen", "no number would do" if more is None else f"{more:,}")
    return table


def leaderboard_tables(board: JsonDict) -> Iterator[Table]:
    """Yield the ranks of each league, and the accuracies by set (rl/evaluation/leaderboard.py)."""
    for number, league in enumerate(board["leagues"], start=1):
        of_several = f"league {number} of {len(board['leagues'])}, " if len(board["leagues"]) > 1 else ""
        table = Table(title=f"{of_several}by {', '.join(escape(printable(name)) for name in league['contests'])}")
        table.add_column("rank", justify="right")
        table.add_column("model", justify="left", overflow="fold")
        for heading in ("strength", "95 % interval", "problems", "clusters"):
            table.add_column(heading, justify="right", overflow="fold")
        for row in league["ranks"]:
            interval = interval_in_words(row["low"], row["high"], digits=0)
            sizes = (str(row["problems"]), str(row["clusters"]))
            table.add_row(rank_in_words(row), escape(printable(row["model"])), f"{row['strength']:.0f}", interval, *sizes)
        yield table
    for start in range(0, len(board["contests"]), _SETS_A_TABLE):
        yield _accuracy_table(board, board["contests"][start : start + _SETS_A_TABLE])


def _accuracy_table(board: JsonDict, contests: list[JsonDict]) -> Table:
    table = Table(title="share of correct samples, 95 % intervals")
    table.add_column("model", justify="left", overflow="fold")
    for contest in contests:
        heading = f"{printable(contest['name'])}: {contest['problems']} problems"
        table.add_column(escape(heading), justify="right", overflow="fold")
    for model in ranked_models(board):
        found = [contest["results"].get(model) for contest in contests]
        if any(found):
            cells = ["-" if one is None else estimate_in_words(one["accuracy"]) for one in found]
            table.add_row(escape(printable(model)), *cells)
    return table


def ranked_models(board: JsonDict) -> list[str]:
    """Return all models of a leaderboard, those of one league together in the order of their ranks."""
    return [row["model"] for league in board["leagues"] for row in league["ranks"]] + list(board["alone"])


def rank_in_words(row: JsonDict) -> str:
    """Return a rank with the ranks that the intervals allow, where there are others."""
    best, worst = row["best_rank"], row["worst_rank"]
    return str(row["rank"]) if best == worst else f"{row['rank']} ({best} to {worst})"


def printable(text: str) -> str:
    """Return a text on one line, with escapes for what a terminal would obey, or a reader not see."""
    return "".join(sign if sign.isprintable() else f"\\u{ord(sign):04x}" for sign in text)
