"""The completions of one run, held in memory so that a filter or a search needs no file.

The index keeps for each completion what is filtered and sorted by, the beginning of its text, and the text itself folded for
the search; everything else is read from its file when a group is opened. It is filled step by step in the background: a
query answers over what has been read, and says how far that is.

P completions of a problem in one step are a group. A completion is named by (step, row): its line in the file of its step;
the samples of an evaluation are all of step 0.
"""

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rewards.types import STATUSES
from rl.tracking.run_directory import JsonDict
from rl.viewing.reading import Lines, read_lines, stamp
from rl.viewing.runs import Run
from rl.viewing.texts import opening, visible

MARKS = (*STATUSES, "truncated")  # what completions are filtered by
SORTS = ("step", "reward", "advantage", "tokens", "logprob")
_HELD_FILES = 8
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
    shown: Sequence[tuple[str, str, str]]  # beginning of the text, what the verifier read, status
    folded: Sequence[bytes]  # the texts
    folded_prompts: Sequence[bytes]  # with the ids, of groups
    damaged: int

    def __len__(self) -> int:
        return len(self.marks)


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
        for step, path in sorted(files.items()):
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
        chosen = [np.flatnonzero(_matches(part, query)) for part in parts]
        total = sum(map(len, chosen))
        if query.sort == "step":
            order: NDArray[np.int64] = np.arange(total)
            order = order[::-1] if query.descending else order
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
        found &= _holding(part, _folded(query.search))
    return found


def _holding(part: Part, needle: bytes) -> NDArray[np.bool_]:
    """Tell which completions hold `needle`, in their text or that of their problem."""
    in_prompt = np.array([needle in prompt for prompt in part.folded_prompts], dtype=bool)
    in_text = np.array([needle in text for text in part.folded], dtype=bool)
    found: NDArray[np.bool_] = np.logical_or(in_prompt[part.group], in_text)
    return found


def _folded(text: str) -> bytes:
    return text.casefold().encode("utf-8", "replace")


def make_part(step: int, lines: Lines) -> Part:
    """Return what the index keeps of the records of a step."""
    records = lines.records
    values: dict[str, list[float]] = {name: [] for name in SORTS}
    marks, groups, shown, texts = [], [], [], []
    problems: list[str] = []
    firsts: list[JsonDict] = []
    last: object = object()
    for record in records:
        same = record.get("group", record.get("problem_id"))
        if same != last:
            last = same
            firsts.append(record)
            problems.append(str(record.get("problem_id", "")))
        groups.append(len(problems) - 1)
        for name, value in _values(step, record).items():
            values[name].append(value)
        marks.append(_marks(record))
        text = str(record.get("completion", ""))
        shown.append((opening(text), visible(_or_dash(record.get("extracted"))), visible(record.get("status", ""))))
        texts.append(_folded(text))
    return Part(
        step=step,
        columns={name: np.array(column, dtype=np.float64) for name, column in values.items()},
        marks=np.array(marks, dtype=np.uint8),
        group=np.array(groups, dtype=np.int32),
        problems=problems,
        prompts=[opening(str(record.get("prompt", ""))) for record in firsts],
        difficulty=[_difficulty(record) for record in firsts],
        shown=shown,
        folded=texts,
        folded_prompts=[_folded(f"{record.get('problem_id', '')}\n{record.get('prompt', '')}") for record in firsts],
        damaged=lines.damaged,
    )


def _or_dash(value: object) -> str:
    return "-" if value is None else opening(str(value), 60)


def _difficulty(record: JsonDict) -> JsonDict:
    found = record.get("difficulty")
    return found if isinstance(found, dict) else {}


def _values(step: int, record: JsonDict) -> dict[str, float]:
    reward = record.get("reward")
    if "reward" not in record and record.get("status") != "error":  # a sample of an evaluation is paid nothing but its verdict
        reward = float(record.get("status") == "correct")
    return {
        "step": float(step),
        "reward": _float(reward),
        "advantage": _float(record.get("advantage")),
        "tokens": _float(record.get("num_tokens")),
        "logprob": _float(record.get("mean_logprob")),
    }


def _float(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else float("nan")


def _marks(record: JsonDict) -> int:
    status = record.get("status")
    bits = 1 << MARKS.index(status) if status in STATUSES else 0
    return bits | ((record.get("finish_reason") == "length") << MARKS.index("truncated"))


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
