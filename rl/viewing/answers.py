"""Everything that can be asked about runs, as plain data: what the server sends, the file holds and the terminal prints.

All texts in an answer have been made visible (texts.py); they are still texts of strangers, and never markup.
"""

import threading
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from rl.tracking.run_directory import JsonDict
from rl.viewing.charts import CHARTS
from rl.viewing.index import MARKS, SORTS, Index, Part, Query, by_difficulty
from rl.viewing.reading import finite
from rl.viewing.runs import Run
from rl.viewing.texts import opening, visible, visible_tree

_MOST_VALUES = 40  # of a difficulty that has a line each in the heat map
Known = tuple[int, int]  # generation of a run's curves, and the step up to which they are known


class Answers:
    """Answers about some runs; `read` fills what is answered from."""

    def __init__(self, runs: Sequence[Run]):
        self.indices = [Index(run) for run in runs]
        self._facts: dict[int, tuple[object, JsonDict]] = {}
        self._lock = threading.Lock()  # a run's facts are read by one at a time

    def read(self, goes_on: Callable[[], bool] = lambda: True) -> None:
        """Read all runs as far as they are written."""
        for index in self.indices:
            index.read(goes_on)

    def overview(self, known: Sequence[Known] = ()) -> JsonDict:
        """Return what the page begins with: the curves of every run and what may be chosen.

        `known` is what is known of each run already: the answer is then shorter by settings and by points up to that step.
        """
        runs = []
        for number in range(len(self.indices)):
            facts = self._facts_of(number)
            runs.append({**(_news(facts, known[number]) if number < len(known) else facts), **self.reading(number)})
        return {"charts": [asdict(chart) for chart in CHARTS], "marks": MARKS, "sorts": SORTS, "runs": runs}

    def _facts_of(self, number: int) -> JsonDict:
        run = self.indices[number].run
        with self._lock:
            now = run.stamp()
            if number not in self._facts or self._facts[number][0] != now:
                self._facts[number] = now, run.facts()
            return self._facts[number][1]

    def reading(self, run: int) -> JsonDict:
        """Return how far the completions of a run have been read."""
        index = self.indices[run]
        parts = index.parts
        return {
            "completions": sum(map(len, parts)),
            "files_read": len(parts),
            "files": max(index.files, len(parts)),
            "is_whole": index.is_whole,
            "steps": [part.step for part in parts],
            "damaged_rollouts": sum(part.damaged for part in parts),
        }

    def rows(self, run: int, query: Query) -> JsonDict:
        """Return a page of the completions that answer a query, a line each."""
        index = self.indices[run]
        total, found = index.find(query)
        return {"total": total, "rows": [_row(part, row) for part, row in found], **self.reading(run)}

    def group(self, run: int, step: int, row: int) -> JsonDict | None:
        """Return all completions of a problem in one step, by one of them; None where there is no such completion."""
        index = self.indices[run]
        part = index.part_of(step)
        if part is None or not 0 <= row < len(part):
            return None
        group = int(part.group[row])
        rows = [int(one) for one in np.flatnonzero(part.group == group)]
        records = index.records(part, rows)
        if not records:
            return None
        places = index.places_of(part.problems[group])
        steps = [_place(where, number) for where, number in places]
        here = next((i for i, (where, number) in enumerate(places) if (where.step, number) == (step, group)), 0)
        before = _records_of(index, *places[here - 1]) if here else []
        values = index.token_values(step)
        completions = [
            _completion(row, record, values.get(row), {str(one.get("completion", "")) for one in before})
            for row, record in zip(rows, records, strict=False)
        ]
        return {
            "step": step,
            "problem": visible(part.problems[group]),
            **{name: visible_tree(records[0].get(name)) for name in ("prompt", "reference", "difficulty", "rendered")},
            "completions": completions,
            "places": steps,
            "here": here,
            "changes": _changes(before, records) if before else None,
            "elsewhere": self._elsewhere(run, part.problems[group], step),
        }

    def _elsewhere(self, run: int, problem: str, step: int) -> list[JsonDict]:
        """Return where other runs were asked the same, at the nearest step."""
        found = []
        for number, index in enumerate(self.indices):
            places = index.places_of(problem) if number != run else []
            if places:
                nearest = min(places, key=lambda place: abs(place[0].step - step))
                found.append({"run": number, **_place(*nearest)})
        return found

    def difficulty(self, run: int) -> list[JsonDict]:
        """Return the accuracy by difficulty and step, a map for each name of a difficulty that tells problems apart."""
        maps = []
        for name, values in by_difficulty(self.indices[run].parts).items():
            if 1 < len(values) <= _MOST_VALUES:
                ordered = sorted(values, key=lambda value: (isinstance(value, str), value))
                lines = [
                    {"value": visible(value), "cells": [[step, *counts] for step, counts in sorted(values[value].items())]}
                    for value in ordered
                ]
                maps.append({"name": visible(name), "lines": lines})
        return maps

    def compare(self, first: int, second: int) -> JsonDict:
        """Return two runs side by side, second minus first."""
        from rl.viewing.comparison import side_by_side  # loads every setting of an evaluation: a second

        return side_by_side(self.indices[first], self.indices[second])


def _news(facts: JsonDict, known: Known) -> JsonDict:
    """Return the facts of a run without what somebody has who knows its curves of a generation up to a step."""
    generation, settled = known
    if generation != facts["generation"]:
        return facts
    curves = {}
    for name, (steps, values) in facts["curves"].items():
        start = bisect_right(steps, settled)
        if start < len(steps):
            curves[name] = steps[start:], values[start:]
    return {**{name: value for name, value in facts.items() if name != "settings"}, "curves": curves, "after": settled}


def _row(part: Part, row: int) -> JsonDict:
    group = int(part.group[row])
    text, extracted, status = part.beginnings[row]
    return {
        **{name: finite(float(column[row])) for name, column in part.columns.items()},
        "row": row,
        "problem": visible(part.problems[group]),
        "prompt": opening(part.prompts[group]),
        "text": opening(text),
        "extracted": opening(extracted, 60),
        "status": visible(status),
        "marks": [mark for i, mark in enumerate(MARKS) if part.marks[row] >> i & 1],
    }


def _place(part: Part, group: int) -> JsonDict:
    """Return where a group stands, by its first completion, and the share of it that is correct."""
    of_group = part.group == group
    right = (part.marks[of_group] >> MARKS.index("correct")) & 1
    return {"step": part.step, "row": int(np.argmax(of_group)), "pass_rate": float(right.mean())}


def _records_of(index: Index, part: Part, group: int) -> list[JsonDict]:
    return index.records(part, [int(row) for row in np.flatnonzero(part.group == group)])


def _completion(row: int, record: JsonDict, values: JsonDict | None, before: set[Any]) -> JsonDict:
    known = (
        "status",
        "extracted",
        "detail",
        "reward",
        "rewards",
        "advantage",
        "num_tokens",
        "reasoning_tokens",
        "mean_logprob",
        "sampler_gap",
    )
    text = str(record.get("completion", ""))
    return {
        **{name: visible_tree(record.get(name)) for name in known},
        "row": row,
        "text": visible(text),
        "truncated": record.get("finish_reason") == "length",
        "was_written_before": text in before,
        "tokens": _token_values(values) if values is not None else None,
    }


# what tokens-000123.jsonl.gz has of each token: its name, and how many of its units make one
_OF_TOKENS = {"logprobs": 100, "entropies": 100, "gaps": 10_000, "trained": 1}


def _token_values(record: JsonDict) -> JsonDict | None:
    """Return tokens with their values, those of probabilities in nats; None where what was written does not fit together."""
    tokens = record.get("tokens")
    if not isinstance(tokens, list):
        return None
    found: JsonDict = {"tokens": [visible(token) for token in tokens]}
    for name, units in _OF_TOKENS.items():
        values = record.get(name)
        if isinstance(values, list) and len(values) == len(tokens) and all(map(_counts, values)):
            found[name] = [one / units for one in values]
    return found


def _counts(value: object) -> bool:
    return isinstance(value, int) and finite(value) is not None


def _changes(before: Sequence[JsonDict], now: Sequence[JsonDict]) -> JsonDict:
    """Return which answers came and went since the problem was drawn before."""
    then, here = (
        Counter(visible(one.get("extracted")) for one in records if one.get("extracted")) for records in (before, now)
    )
    return {"new": sorted(here.keys() - then.keys()), "gone": sorted(then.keys() - here.keys())}
