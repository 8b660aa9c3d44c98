"""An online curriculum: which difficulty is practised follows from what is being solved.

The problems of a run are cut into rungs, easiest first; rungs stand in tracks, each of which grows by itself (`curriculum.by`):

    entry   one track; its rungs are the entries of `problems`, in their order
    terms   or any key of `difficulty`: a track an entry; its rungs are the values found there, in ascending order
    level   the same, but of a domain that has levels all of these, whose settings win over those beside them

A rung waits, is open or is retired. Its pass rate is a running mean over its groups that forgets: the newest counts 1, each
one before it 1 - 1/memory_problems of the next. When the highest open rung of a track is mastered (`grow_at`) the next one
opens; what is solved (`retire_at`) retires to a small share of the draws (`replay_share`), and what that shows to be lost
(`lost_below`) is open again. Open rungs are drawn in proportion to 4p(1-p), which is where groups have contrast, but never less
than a tenth of the most.

All of it is a pure function of one small record (`TrainState.rungs`) and of what was drawn, so it is the same on every rank and
after a resume. Shares stand still within a step: its rounds of dynamic sampling, and what was sampled ahead of it, are drawn by
the record that the step began with. Groups that the update does not see count for pass rates like all others.

Of a source without end the values are those of its first 256 problems; what is rarer has no rung and is not practised, which is
said at the start where more problems show it.

Left out: difficulty that is learned and not named, and rates of single problems (measured before a training: rl/rate.py).
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from problems.catalog import AnySource, build_source, record_of
from problems.finite import FiniteSource
from problems.seeding import derive_seed
from problems.selection import Chosen
from problems.types import Domain, Problem, ProblemError, ProblemSource
from rl.settings.curriculum import CurriculumSettings
from rl.settings.schema import RunConfig
from rl.types import Group, RungState

_LEAST_INTEREST = 0.1  # of an open rung that is never or always solved, beside 1 of one that is solved half of the time
_LOOKED_AT = 256  # problems of a source without end, to see which values its difficulty has
_LOOKED_FURTHER = 1024  # up to here, for values that those have not
_TRIES = 4096  # problems of such a source among which one of each value is found
_MOST_RUNGS = 64
_TOO_FEW_RUNGS = {
    "entry": "it needs two entries of problems, the easiest first",
    "level": "no entry of problems has a domain with levels and leaves its `level` out, or rows of several levels",
    "value": "no entry of problems has two values of it in the difficulty of its problems (`reasonlab problems show`)",
}
_GOLDEN = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio: its multiples, modulo 2^64, fill the circle evenly


@dataclass(frozen=True, kw_only=True)
class Rung:
    """Problems of one difficulty; `weight` is its share beside the others of its track, the easiest of which comes first."""

    name: str
    track: int
    weight: float
    source: ProblemSource


@dataclass(frozen=True, kw_only=True)
class OfValue:
    """The problems of a source without end whose difficulty has one value: item k is sought in a stretch of its own."""

    source: ProblemSource
    key: str
    value: int | float | str

    def get(self, split: str, index: int) -> Problem:
        """Return item `index`; raises ProblemError where the value is too rare to be found."""
        for attempt in range(_TRIES):
            problem = self.source.get(split, index * _TRIES + attempt)
            if problem.difficulty.get(self.key) == self.value:
                return problem
        raise ProblemError(f"curriculum: no problem with {self.key} = {self.value} among {_TRIES}; draw it more often")


@dataclass(frozen=True, kw_only=True)
class Curriculum:
    """The rungs of a run; as a source, it shows the problems of all of them in turn."""

    settings: CurriculumSettings
    rungs: tuple[Rung, ...]
    track_weights: tuple[float, ...]
    seed: int
    remarks: tuple[str, ...] = ()  # what its reader should know before it begins

    def get(self, split: str, index: int) -> Problem:
        """Return item `index` of all rungs in turn: what may be practised on, whatever stands open."""
        return self.rungs[index % len(self.rungs)].source.get(split, index // len(self.rungs))

    def begin(self, states: Sequence[RungState] = ()) -> tuple[RungState, ...]:
        """Return the record that a run begins with, or goes on from; raises ProblemError for one of other rungs."""
        if not states:
            places: dict[int, int] = defaultdict(int)  # track -> rungs of it so far
            fresh = []
            for rung in self.rungs:
                is_open = self.settings.start is None or places[rung.track] < self.settings.start
                places[rung.track] += 1
                fresh.append(RungState(name=rung.name, stand="open" if is_open else "waiting"))
            return tuple(fresh)
        before, now = [state.name for state in states], [rung.name for rung in self.rungs]
        if before != now:
            raise ProblemError(
                f"curriculum: the run had the rungs {', '.join(before)}, its problems now give {', '.join(now)}; go on with "
                "the problems that it was begun with"
            )
        return tuple(states)

    def practice(self, states: Sequence[RungState], cursor: int) -> "Practice":
        """Return the problems of the step that begins with draw number `cursor` of the run."""
        return Practice(self, states, cursor)

    def shares(self, states: Sequence[RungState]) -> list[float]:
        """Return what share of the draws each rung has; they add up to one."""
        standing = {stand: [i for i, one in enumerate(states) if one.stand == stand] for stand in ("open", "retired")}
        replayed = (self.settings.replay_share if standing["open"] else 1.0) if standing["retired"] else 0.0
        shares = [0.0] * len(states)
        for stand, whole in (("open", 1 - replayed), ("retired", replayed)):
            tracks: dict[int, list[int]] = defaultdict(list)
            for i in standing[stand]:
                tracks[self.rungs[i].track].append(i)
            of_tracks = sum(self.track_weights[track] for track in tracks)
            for track, members in tracks.items():
                weights = [self.rungs[i].weight * (_interest(states[i]) if stand == "open" else 1.0) for i in members]
                for i, weight in zip(members, weights, strict=True):
                    shares[i] = whole * self.track_weights[track] / of_tracks * weight / sum(weights)
        return shares

    def after(self, states: Sequence[RungState], cursor: int, groups: Sequence[Group]) -> tuple[RungState, ...]:
        """Return the record after a step that began at draw number `cursor` and drew `groups`, in this order."""
        seen = list(states)
        practice = self.practice(states, cursor)
        for place, group in enumerate(groups):
            number, _ = practice.place(cursor + place)
            seen[number] = _counted(seen[number], group, 1 - 1 / self.settings.memory_problems)
        return self._moved(seen)

    def _moved(self, states: Sequence[RungState]) -> tuple[RungState, ...]:
        """Return the rungs with those that are solved retired, those that are lost open again, and each track grown by one."""
        settings, moved = self.settings, list(states)
        highest: dict[int, int] = {}  # track -> its highest rung that waits no longer
        for i, state in enumerate(states):
            if state.stand != "waiting":
                highest[self.rungs[i].track] = i
            if self._is_known(state, "open") and state.solved >= settings.retire_at * state.seen:
                moved[i] = replace(state, stand="retired")
            elif self._is_known(state, "retired") and state.solved < settings.lost_below * state.seen:
                moved[i] = replace(state, stand="open")
        for track, i in highest.items():
            is_mastered = self._is_known(states[i]) and states[i].solved >= settings.grow_at * states[i].seen
            if is_mastered and i + 1 < len(states) and self.rungs[i + 1].track == track:
                moved[i + 1] = replace(moved[i + 1], stand="open")
        return tuple(moved)

    def _is_known(self, state: RungState, stand: str | None = None) -> bool:
        return state.seen >= self.settings.least_problems and stand in (None, state.stand)

    def metrics(self, before: Sequence[RungState], after: Sequence[RungState]) -> dict[str, Any]:
        """Return how the rungs stand after a step and, of each that no longer waits, what was drawn and solved of it."""
        found: dict[str, Any] = {
            f"curriculum/{stand}": sum(state.stand == stand for state in after) for stand in ("waiting", "open", "retired")
        }
        for old, new, share in zip(before, after, self.shares(after), strict=True):
            if new.stand != "waiting":
                found[f"curriculum/{new.name}/problems"] = new.taken - old.taken
                found[f"curriculum/{new.name}/pass_rate"] = new.pass_rate
                found[f"curriculum/{new.name}/share"] = share
        return found


class Practice:
    """The problems of one step, by the record that it began with: a draw is the same however often it is asked for."""

    def __init__(self, curriculum: Curriculum, states: Sequence[RungState], cursor: int):
        self.curriculum, self.cursor = curriculum, cursor
        self._start = derive_seed("curriculum", curriculum.seed)
        self._edges: list[tuple[float, int]] = []  # (share of the rungs up to this one, its number)
        for number, share in enumerate(curriculum.shares(states)):
            if share:
                self._edges.append((share + (self._edges[-1][0] if self._edges else 0.0), number))
        self._taken = [state.taken for state in states]
        self._places: list[tuple[int, int]] = []  # of the draws so far

    def get(self, split: str, index: int) -> Problem:
        """Return draw number `index` of the run, from `cursor` on."""
        number, item = self.place(index)
        return self.curriculum.rungs[number].source.get(split, item)

    def place(self, index: int) -> tuple[int, int]:
        """Return (rung, item of the rung) of draw number `index`: the k-th draw from a rung is its item k."""
        assert index >= self.cursor
        while len(self._places) <= index - self.cursor:
            number = self._rung(self.cursor + len(self._places))
            self._places.append((number, self._taken[number]))
            self._taken[number] += 1
        return self._places[index - self.cursor]

    def _rung(self, index: int) -> int:
        """Return the rung that a draw falls on; over any stretch of draws each gets its share to within a few."""
        turned = (self._start + index * _GOLDEN) % 2**64 / 2**64
        return next((number for edge, number in self._edges if turned < edge), self._edges[-1][1])


def _interest(state: RungState) -> float:
    """Return how much there is to learn from an open rung: 4p(1-p), 1 while nothing is known."""
    rate = state.pass_rate
    return 1.0 if rate is None else max(_LEAST_INTEREST, 4 * rate * (1 - rate))


def _counted(state: RungState, group: Group, kept: float) -> RungState:
    """Return the rung after one more group; one of which nothing could be scored says nothing of the pass rate."""
    verdicts = [rollout.reward.verdict.status for rollout in group.rollouts if rollout.reward.verdict.status != "error"]
    if not verdicts:
        return replace(state, taken=state.taken + 1)
    solved = verdicts.count("correct") / len(verdicts)
    return replace(state, taken=state.taken + 1, solved=state.solved * kept + solved, seen=state.seen * kept + 1)


def practised_source(config: RunConfig) -> ProblemSource:
    """Return the problems that a run practises on, a Curriculum where it has one."""
    seed = derive_seed("train", config.run.seed)
    if config.curriculum is None:
        return build_source(config.problems, seed)
    return open_curriculum(config.curriculum, config.problems, seed)


def open_curriculum(settings: CurriculumSettings, entries: Sequence[AnySource], seed: int) -> Curriculum:
    """Return the curriculum over the entries of `problems`; raises ProblemError where no track has two rungs, or too many."""
    opened = [_opened(entry, seed, i) for i, entry in enumerate(entries)]
    labels = [f"{i}-{entry.domain}".replace("/", "-") for i, entry in enumerate(entries)]
    remarks: list[str] = []
    if settings.by == "entry":
        track_weights = [1.0]
        rungs = [
            Rung(name=label, track=0, weight=entry.weight, source=source)
            for label, entry, source in zip(labels, entries, opened, strict=True)
        ]
    else:
        track_weights = [entry.weight for entry in entries]
        rungs = []
        for track, (label, entry, source) in enumerate(zip(labels, entries, opened, strict=True)):
            levels = _levels(entry, seed, track) if settings.by == "level" else {}
            parts = levels or _values(source, settings.by)
            prefix = f"{label}-" if len(entries) > 1 else ""
            named = {f"{prefix}{settings.by}={value}": part for value, part in parts.items()} or {label: source}
            if len(named) < len(parts):
                raise ProblemError(f"curriculum.by: {settings.by}: two values look alike: {', '.join(map(repr, parts))}")
            rungs += [Rung(name=name, track=track, weight=1.0, source=part) for name, part in named.items()]
            if not levels:
                remarks += _without_rung(source, settings.by, parts, label)
    if len(rungs) == len(track_weights):
        raise ProblemError(f"curriculum.by: {settings.by}: {_TOO_FEW_RUNGS.get(settings.by, _TOO_FEW_RUNGS['value'])}")
    if len(rungs) > _MOST_RUNGS:
        raise ProblemError(f"curriculum.by: {settings.by} gives {len(rungs)} rungs, at most {_MOST_RUNGS} are followed")
    return Curriculum(
        settings=settings, rungs=tuple(rungs), track_weights=tuple(track_weights), seed=seed, remarks=tuple(remarks)
    )


def _opened(entry: AnySource, seed: int, *part: int) -> ProblemSource:
    source = build_source([entry], derive_seed("rung", seed, *part))
    source.get("train", 0)  # one that has none says so now
    return source


def _levels(entry: AnySource, seed: int, track: int) -> dict[int | float | str, ProblemSource]:
    """Return the source of each level of an entry's domain, the easiest first; of an entry that says its level, none."""
    record = record_of(entry.domain)
    if not isinstance(record, Domain) or getattr(entry, "level", None) is not None:
        return {}
    # a level's settings win: which of the entry's were given, and which are defaults, a configuration read back does not say
    at: dict[int | float | str, AnySource] = {
        number: type(entry).model_validate({**entry.model_dump(), **level, "level": number})
        for number, level in enumerate(record.levels, start=1)
    }
    return {number: _opened(one, seed, track, int(number)) for number, one in at.items()}


def _values(source: ProblemSource, key: str) -> dict[int | float | str, ProblemSource]:
    """Return the source of each value that the difficulty of training problems has under `key`, ascending; none: nothing."""
    source = _pool_of(source)
    if isinstance(source, FiniteSource):
        problems = list(source.splits["train"])
    else:
        problems = [source.get("train", i) for i in range(_LOOKED_AT)]
    without = [problem for problem in problems if key not in problem.difficulty]
    if len(without) == len(problems):
        return {}
    if without:
        raise ProblemError(
            f"curriculum.by: problem {without[0].id} ({without[0].source}) has no difficulty {key!r} and others have; it has: "
            f"{', '.join(without[0].difficulty) or 'none'}"
        )
    by_value: dict[int | float | str, list[Problem]] = defaultdict(list)
    for problem in problems:
        by_value[problem.difficulty[key]].append(problem)
    if isinstance(source, FiniteSource):
        return {value: replace(source, splits={"train": by_value[value]}) for value in _ascending(by_value)}
    return {value: OfValue(source=source, key=key, value=value) for value in _ascending(by_value)}


def _pool_of(source: ProblemSource) -> ProblemSource:
    """Return what a source practises on: of one with a finite pool for training, that pool."""
    return source.pool if isinstance(source, Chosen) and "train" in source.pool.splits else source


def _ascending(values: Iterable[int | float | str]) -> list[int | float | str]:
    return sorted(values, key=lambda value: (isinstance(value, str), value))


def _without_rung(source: ProblemSource, key: str, rungs: Collection[int | float | str], label: str) -> list[str]:
    """Return in words which values of a source without end are too rare to have a rung, as far as more problems show any."""
    if not rungs or isinstance(_pool_of(source), FiniteSource):
        return []
    further = [source.get("train", i).difficulty for i in range(_LOOKED_AT, _LOOKED_FURTHER)]
    counts = Counter(difficulty[key] for difficulty in further if difficulty.get(key, next(iter(rungs))) not in rungs)
    if not counts:
        return []
    listed = ", ".join(f"{value} ({counts[value]} times)" for value in _ascending(counts))
    return [
        f"curriculum: {label} has {key} = {listed} among {_LOOKED_FURTHER:,} problems and not among the first {_LOOKED_AT}, of "
        "which the rungs are made: it is not practised, nor is what is rarer still. Give it an entry of its own"
    ]
