"""The completions of one run, held in memory so that a filter or a search needs no file.

The index keeps for each completion what is filtered and sorted by, the beginning of its text, and the text itself folded for
the search; everything else is read from its file when a group is opened. It is filled step by step in the background, the
latest first: a query answers over what has been read, and says how far that is.

P completions of a problem in one step are a group. A completion is named by (step, row): its line in the file of its step;
the samples of an evaluation are all of step 0.
"""

import threading
from bisect import bisect_right
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rewards.types import STATUSES
from rl.tracking.run_directory import JsonDict
from rl.viewing.reading import Lines, finite, read_lines, stamp
from rl.viewing.runs import Run

MARKS = (*STATUSES, "truncated")  # what completions are filtered by
SORTS = ("step", "reward", "advantage", "tokens", "logprob", "gap")
_BITS = {mark: 1 << i for i, mark in enumerate(MARKS)}
_HELD_FILES = 8
_BEGINNING = 240  # characters of a text, of which a line of the list shows some
_BETWEEN = b"\xff"  # no text holds it: it is in no UTF-8
Stamp = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Part:
    """The completions of one step; arrays and lists have one entry a completion, those of groups one a group."""

    step: int
    columns: dict[str, NDArray[np.float64]]  # of SORTS; NaN where a completion has none
    marks: NDArray[np.uint8]  # bit i: MARKS[i]
    group: NDArray[np.int32]
    problems: Sequence[str]  # ids, of groups
    prompts: Sequence[str]  # their beginnings, of groups
    difficulty: Sequence[JsonDict]  # of groups
    beginnings: Sequence[tuple[str, str, str]]  # of the text, of what the verifier read, of the status; as they were written
    texts: "Searched"
    asked: "Searched"  # ids and prompts, of groups
    damaged: int

    def __len__(self) -> int:
        return len(self.marks)


class Searched:
    """Texts that are searched, letter case aside: one behind the other, since a search in one long text is much faster."""

    def __init__(self, texts: Sequence[str]):
        folded = [_folded(text) for text in texts]
        self.joined = _BETWEEN.join(folded)
        self.starts = list(accumulate((len(text) + 1 for text in folded), initial=0))  # one more than there are texts

    def holding(self, needle: bytes) -> NDArray[np.bool_]:
        """Tell which of the texts hold `needle`."""
        found = np.zeros(len(self.starts) - 1, dtype=bool)
        at = self.joined.find(needle)
        while at >= 0:
            number = bisect_right(self.starts, at) - 1
            found[number] = True
            at = self.joined.find(needle, self.starts[number + 1])  # once in each is enough
        return found


@dataclass(frozen=True, kw_only=True)
class Query:
    """Which completions, in which order."""

    mark: str = ""  # one of MARKS; "": all
    search: str = ""  # in completions, prompts and ids, letter case aside
    step: int | None = None
    problem: str = ""  # id
    sort: str = "step"
    descending: bool = False
    start: int = 0
    count: int = 50


class Index:
    """What is known of the completions of a run."""

    def __init__(self, run: Run):
        self.run = run
        self.is_whole = False  # whether every file that there was has been read
        self._paths: dict[int, Path] = {}  # file of each step, as `read` found them
        self._places: tuple[tuple[Part, ...], dict[str, list[tuple[Part, int]]]] = (), {}  # of a snapshot
        self._parts: dict[int, tuple[Stamp, Part]] = {}
        self._snapshot: tuple[Part, ...] = ()
        self._lock = threading.Lock()
        self._held: OrderedDict[tuple[Path, Stamp | None], Lines] = OrderedDict()

    @property
    def files(self) -> int:
        """How many files there are to be read."""
        return len(self._paths)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The steps that have been read, in their order."""
        return self._snapshot

    def read(self, goes_on: Callable[[], bool] = lambda: True) -> None:
        """Read what is new or has changed; forget what is gone (a resumed run cuts its last steps off)."""
        files = self._paths = self._files()
        for step in [step for step in self._parts if step not in files]:
            del self._parts[step]
        for step, path in sorted(files.items(), reverse=True):  # the page begins with the latest
            if not goes_on():
                return
            now = stamp(path)
            if now is None or (step in self._parts and self._parts[step][0] == now):
                continue
            self._parts[step] = now, make_part(step, self._lines(path, keep=False))
            self._publish()
        self._publish()
        self.is_whole = True

    def _publish(self) -> None:
        self._snapshot = tuple(self._parts[step][1] for step in sorted(self._parts))

    def _files(self) -> dict[int, Path]:
        if self.run.has_samples:
            return {0: self.run.path / "samples.jsonl"}
        found = {}
        for file in (self.run.path / "rollouts").glob("step-*.jsonl.gz"):
            number = file.name.removeprefix("step-").removesuffix(".jsonl.gz")
            if number.isascii() and number.isdigit():
                found[int(number)] = file
        return found

    def _lines(self, path: Path, *, keep: bool = True) -> Lines:
        """Return the records of a file, those of an evaluation with what stands beside them in measured.jsonl."""
        key = path, stamp(path)
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
        lines = read_lines(path, self.run.path)
        if self.run.has_samples:
            beside = read_lines(path.with_name("measured.jsonl"), self.run.path).records
            for record, measured in zip(lines.records, beside, strict=False):
                if all(record.get(key) == measured.get(key) for key in ("problem_id", "sample")):
                    record["mean_logprob"] = measured.get("mean_logprob")
        if keep:
            with self._lock:
                self._held[key] = lines
                while len(self._held) > _HELD_FILES:
                    self._held.popitem(last=False)
        return lines

    def find(self, query: Query) -> tuple[int, list[tuple[Part, int]]]:
        """Return how many completions answer a query, and those of the page that is asked for: step and row."""
        parts = [part for part in self.parts if query.step in (None, part.step)]
        if query.sort == "step" and query.descending:
            parts.reverse()  # inside of a step in the order of the file either way
        chosen = [np.flatnonzero(_matches(part, query)) for part in parts]
        total = sum(map(len, chosen))
        if query.sort == "step":
            order: NDArray[np.int64] = np.arange(total)
        else:
            values = np.concatenate(
                [part.columns[query.sort][rows] for part, rows in zip(parts, chosen, strict=True)] or [np.zeros(0)]
            )
            order = np.argsort(-values if query.descending else values, kind="stable")  # NaN comes last either way
        edges = np.cumsum([0, *map(len, chosen)])
        page = []
        for place in order[query.start : query.start + query.count]:
            number = int(np.searchsorted(edges, place, side="right")) - 1
            page.append((parts[number], int(chosen[number][place - edges[number]])))
        return total, page

    def part_of(self, step: int) -> Part | None:
        """Return the completions of a step."""
        return next((part for part in self.parts if part.step == step), None)

    def records(self, part: Part, rows: Sequence[int]) -> list[JsonDict]:
        """Return what was written down of some completions of a step; fewer where the file has changed meanwhile."""
        path = self._paths.get(part.step)
        lines = self._lines(path).records if path is not None else []
        return [lines[row] for row in rows if row < len(lines)]

    def token_values(self, step: int) -> dict[int, JsonDict]:
        """Return the tokens of a step's completions with their values, by row; of those whose tokens were kept."""
        path = self.run.path / "rollouts" / f"tokens-{step:06d}.jsonl.gz"
        return {record["row"]: record for record in self._lines(path).records if isinstance(record.get("row"), int)}

    def places_of(self, problem: str) -> list[tuple[Part, int]]:
        """Return every group of a problem, in the order of the steps: step and number of the group."""
        parts, places = self._places
        if parts is not self.parts:
            parts, places = self.parts, defaultdict(list)
            for part in parts:
                for group, one in enumerate(part.problems):
                    places[one].append((part, group))
            self._places = parts, places
        return places.get(problem, [])


def _matches(part: Part, query: Query) -> NDArray[np.bool_]:
    found = np.ones(len(part), dtype=bool)
    if query.mark:
        found &= (part.marks >> MARKS.index(query.mark)) & 1 == 1
    if query.problem:
        found &= np.array([problem == query.problem for problem in part.problems], dtype=bool)[part.group]
    if query.search and found.any():
        needle = _folded(query.search)
        found &= part.texts.holding(needle) | part.asked.holding(needle)[part.group]
    return found


def _folded(text: str) -> bytes:
    return text.casefold().encode("utf-8", "replace")


def make_part(step: int, lines: Lines) -> Part:
    """Return what the index keeps of the records of a step."""
    records = lines.records
    groups: list[int] = []
    firsts: list[JsonDict] = []  # of each group
    last: object = object()
    for record in records:
        same = record.get("group", record.get("problem_id"))
        if same != last:
            last = same
            firsts.append(record)
        groups.append(len(firsts) - 1)
    texts = [str(record.get("completion", "")) for record in records]
    asked = [(str(first.get("problem_id", "")), str(first.get("prompt", ""))) for first in firsts]
    return Part(
        step=step,
        columns=_columns(step, records),
        marks=np.array([_marks(record) for record in records], dtype=np.uint8),
        group=np.array(groups, dtype=np.int32),
        problems=[problem for problem, _ in asked],
        prompts=[_beginning(prompt) for _, prompt in asked],
        difficulty=[_difficulty(record) for record in firsts],
        beginnings=[
            (_beginning(text), _beginning(_or_dash(record.get("extracted"))), _beginning(str(record.get("status", ""))))
            for text, record in zip(texts, records, strict=True)
        ],
        texts=Searched(texts),
        asked=Searched([f"{problem}\n{prompt}" for problem, prompt in asked]),
        damaged=lines.damaged,
    )


def _beginning(text: str) -> str:
    return text if len(text) <= _BEGINNING else f"{text[:_BEGINNING]} ..."


def _or_dash(value: object) -> str:
    return "-" if value is None else str(value)


def _difficulty(record: JsonDict) -> JsonDict:
    found = record.get("difficulty")
    return found if isinstance(found, dict) else {}


def _columns(step: int, records: Sequence[JsonDict]) -> dict[str, NDArray[np.float64]]:
    keys = {"advantage": "advantage", "tokens": "num_tokens", "logprob": "mean_logprob", "gap": "sampler_gap"}
    columns = {name: _floats([record.get(key) for record in records]) for name, key in keys.items()}
    return {"step": np.full(len(records), float(step)), "reward": _floats([_reward(record) for record in records]), **columns}


def _reward(record: JsonDict) -> object:
    if "reward" in record or record.get("status") == "error":
        return record.get("reward")
    return float(record.get("status") == "correct")  # a sample of an evaluation is paid nothing but its verdict


def _floats(values: Sequence[object]) -> NDArray[np.float64]:
    return np.array([np.nan if (known := finite(value)) is None else known for value in values], dtype=np.float64)


def _marks(record: JsonDict) -> int:
    status = record.get("status")
    bits = _BITS.get(status, 0) if isinstance(status, str) else 0  # a list could not even be looked up
    return bits | (_BITS["truncated"] if record.get("finish_reason") == "length" else 0)


def by_difficulty(parts: Sequence[Part]) -> dict[str, dict[object, dict[int, tuple[int, int]]]]:
    """Return by name of a difficulty, its value and the step: how many completions were scored, and how many were correct."""
    counts: dict[str, dict[object, dict[int, tuple[int, int]]]] = defaultdict(lambda: defaultdict(dict))
    for part in parts:
        right = np.bincount(part.group, (part.marks >> MARKS.index("correct")) & 1, len(part.problems))
        scored = np.bincount(part.group, 1 - ((part.marks >> MARKS.index("error")) & 1), len(part.problems))
        for difficulty, of_group, correct in zip(part.difficulty, scored, right, strict=True):
            for name, value in difficulty.items():
                if isinstance(value, int | float | str):
                    steps = counts[name][value]
                    before = steps.get(part.step, (0, 0))
                    steps[part.step] = before[0] + int(of_group), before[1] + int(correct)
    return counts
