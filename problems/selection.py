"""What stays of a source whose entry says `rates: FILE` (and `keep: [0.1, 0.9]`) or `without: FILE`.

Both files hold one JSON object a line with the `id` of a problem, and stand beside a header, `NAME.about.json`, that says what
they are, of which split and how they came about:

    rates.jsonl     {"id", "n", "correct", "rate"}               of `reasonlab problems rate`
    removed.jsonl   {"id", "source", "kind", "by", "shared"}     of `reasonlab problems decontaminate`

Rates choose within the split that was rated, and leave the others as they are; what was not rated is left out. Of a source
without end they choose among the problems that were rated, which are made again here, so that a finite pool remains. What
was removed is gone from every split but `test`. A file that was made of other problems is an error and never half applied.

What such a file holds decides what is practised, so its hash stands beside its name (`rates_hash`, `without_hash`): filled in
where it is not given, recorded with the settings, and where it is given the file must be that very one.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from problems.finite import FiniteSource
from problems.ownfile import hash_of
from problems.rows import read_jsonl
from problems.seeding import content_hash
from problems.types import Problem, ProblemError, ProblemSource, SourceConfig

HASHES = ("rates_hash", "without_hash")  # settings that older versions of the lab did not fill in
KEEP = (0.1, 0.9)  # pass rates from which a group of completions learns something
_MADE_BY = {"rates": "reasonlab problems rate", "removed": "reasonlab problems decontaminate"}

Selecting = Literal["rates", "removed"]
Opener = Callable[[int], ProblemSource]  # a source without any selection, by its seed


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A source without end of which one split is a finite pool."""

    pool: FiniteSource
    rest: ProblemSource

    def get(self, split: str, index: int) -> Problem:
        """Return item `index` of the pool where it has that split, else of the source."""
        return self.pool.get(split, index) if split in self.pool.splits else self.rest.get(split, index)


def header_path(file: Path) -> Path:
    """Return where the header of a file stands: rates.about.json beside rates.jsonl."""
    return file.with_name(f"{file.name.removesuffix('.jsonl')}.about.json")


def read_header(file: Path, kind: Selecting) -> dict[str, Any]:
    """Return what the header beside a file says; raises ProblemError where there is none, or one of something else."""
    path = header_path(file)
    try:
        header = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ProblemError(
            f"{file} has no readable header {path.name} beside it ({error}): make it with `{_MADE_BY[kind]}`"
        ) from None
    if not isinstance(header, dict) or header.get("kind") != kind:
        raise ProblemError(f"{path} is no header of `{_MADE_BY[kind]}`: it must say kind: {kind}")
    return header


def with_hashes(config: SourceConfig) -> SourceConfig:
    """Return the settings with the hashes of the files they name; none of a file that cannot be read, which opening tells."""
    found: dict[str, str | None] = {}
    for setting, file, known in _files_of(config):
        if (file is None) != (known is None):
            found[f"{setting}_hash"] = None if file is None else _hash(Path(file))
    return config.model_copy(update=found) if found else config


def _files_of(config: SourceConfig) -> list[tuple[str, str | None, str | None]]:
    """Return (setting, file, hash) of each setting that names a file."""
    return [("rates", config.rates, config.rates_hash), ("without", config.without, config.without_hash)]


def _hash(file: Path) -> str | None:
    """Return a hash of a file and its header, None where either cannot be read."""
    try:
        return content_hash(hash_of(file.read_bytes()), hash_of(header_path(file).read_bytes()))
    except OSError:
        return None


def _check_hashes(config: SourceConfig) -> None:
    """Raise ProblemError where a file is not the one that the settings were made with."""
    for setting, file, known in _files_of(config):
        if file is not None and known is not None and (now := _hash(Path(file))) not in (None, known):
            raise ProblemError(
                f"{setting}: {file} or its header has changed: their hash was {known}, now it is {now}; leave {setting}_hash "
                "out to take them as they are"
            )


def practised_hash(problems: Iterable[Problem]) -> str:
    """Return a hash of what a source may be practised on, whatever its order."""
    return content_hash(*sorted(f"{one.split}\x1f{one.id}\x1f{one.prompt}" for one in problems))


def practised(source: FiniteSource) -> list[Problem]:
    """Return the problems that training or a choice of checkpoints may see: of every split but `test`."""
    return [problem for split, problems in source.splits.items() if split != "test" for problem in problems]


def select(config: SourceConfig, seed: int, opened: Opener) -> ProblemSource:
    """Return the source of an entry with what `rates` and `without` leave of it; raises ProblemError where that is nothing."""
    _check_hashes(config)
    whole = opened(seed)
    removed = frozenset[str]() if config.without is None else _removed(whole, Path(config.without))
    source = whole if config.rates is None else _rated(whole, Path(config.rates), config.keep or KEEP, seed, opened)
    if not removed or not isinstance(source, FiniteSource):
        return source
    splits = {
        split: [one for one in problems if split == "test" or one.id not in removed]
        for split, problems in source.splits.items()
    }
    if source.splits.get("train") and not splits["train"]:
        raise ProblemError(
            f"without: {config.without} leaves no problem of {source.name} to practise on: all are in evaluation sets"
        )
    return replace(source, splits=splits)


def _removed(source: ProblemSource, file: Path) -> frozenset[str]:
    """Return the problems that a file of `reasonlab problems decontaminate` lists, which must be about this very source."""
    header = read_header(file, "removed")
    if not isinstance(source, FiniteSource):
        raise ProblemError(
            f"without: {file}: this source makes its problems, each in one split by its content; only sets have a list of "
            "what was removed"
        )
    looked_at = practised(source)
    if practised_hash(looked_at) != header.get("practised_hash"):
        raise ProblemError(
            f"without: {file} was made of other problems ({header.get('problems')} of {header.get('name')}) than the "
            f"{len(looked_at)} of {source.name}: make it again with `{_MADE_BY['removed']}`"
        )
    return frozenset(str(row.get("id")) for row in _rows(file, header))


def _rated(source: ProblemSource, file: Path, keep: tuple[float, float], seed: int, opened: Opener) -> ProblemSource:
    header = read_header(file, "rates")
    split, rates = str(header.get("split")), _rates(file, header)
    if isinstance(source, FiniteSource):
        problems, name = list(source.splits.get(split, ())), source.name
    else:
        problems, name = _made_again(file, header, split, opened), "the source"
    known = {problem.id for problem in problems}
    if strangers := [one for one in rates if one not in known]:
        raise ProblemError(
            f"rates: {file} was measured on other problems: {len(strangers)} of its {len(rates)} are not among the "
            f"{len(known)} {split} problems of {name} (the first is {strangers[0]}); it says {_asked(header)}"
        )
    lowest, highest = keep
    kept = [one for one in problems if (rate := rates.get(one.id)) is not None and lowest <= rate <= highest]
    if not kept:
        raise ProblemError(
            f"rates: {file} leaves no {split} problem with a pass rate from {lowest} to {highest}: {_spread(rates)}; "
            "choose another `keep`, easier or harder problems, or another model"
        )
    if isinstance(source, FiniteSource):
        return replace(source, splits={**source.splits, split: kept})
    distinct = {problem.id: problem for problem in kept}  # what is drawn may repeat itself
    return Chosen(pool=FiniteSource(name, {split: list(distinct.values())}, seed), rest=source)


def _made_again(file: Path, header: Mapping[str, Any], split: str, opened: Opener) -> list[Problem]:
    """Return the problems of a source without end that were rated."""
    seed, count = header.get("source_seed"), header.get("problems")
    if not isinstance(seed, int) or not isinstance(count, int):
        raise ProblemError(f"{header_path(file)} must say source_seed and problems, found {seed!r} and {count!r}")
    source = opened(seed)
    return [source.get(split, index) for index in range(count)]


def _rows(file: Path, header: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the lines of a file, of which its header says how many there are; nothing removed is no fault."""
    rows = list(read_jsonl(file)) if header.get("lines") != 0 else []  # which read_jsonl would refuse
    if len(rows) != header.get("lines"):
        raise ProblemError(f"{file} has {len(rows)} lines and its header says {header.get('lines')}: one of them was changed")
    return rows


def _rates(file: Path, header: Mapping[str, Any]) -> dict[str, float | None]:
    """Return pass rates by problem, None where no completion could be scored."""
    rates: dict[str, float | None] = {}
    for number, row in enumerate(_rows(file, header), start=1):
        rate = row.get("rate")
        if not isinstance(row.get("id"), str) or not (rate is None or (isinstance(rate, int | float) and 0 <= rate <= 1)):
            raise ProblemError(f'{file}:{number}: expected {{"id": text, "rate": 0 to 1, ...}}, found {row!r:.80}')
        rates[row["id"]] = rate
    return rates


def _asked(header: Mapping[str, Any]) -> str:
    """Return what was rated, in words."""
    return json.dumps(header.get("sources"), ensure_ascii=False)[:300]


def _spread(rates: Mapping[str, float | None]) -> str:
    found = sorted(rate for rate in rates.values() if rate is not None)
    if not found:
        return f"none of {len(rates)} could be scored"
    return f"{len(found)} were rated, from {found[0]:.3g} to {found[-1]:.3g}, {sum(rate == 0 for rate in found)} of them 0"
