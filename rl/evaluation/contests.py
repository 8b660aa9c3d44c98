"""Evaluations below some directories, brought together: which are of one model, and which asked the same.

A *contest* is the evaluations that share problems, prompt settings, sampling, reading and verifier, so that their differences
are the models'. Whatever is no evaluation, is not finished, or was asked otherwise than its like, is told in words.
"""

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

from problems.catalog import called
from problems.errors import LabError
from problems.seeding import content_hash
from rl.evaluation.about import COMPARED, differences, knows_ends_only
from rl.evaluation.comparison import read_side
from rl.evaluation.samples import share_correct
from rl.stats import Estimate, estimate
from rl.tracking.run_directory import JsonDict

_FORM = {"model": str, "n": int, "accuracy": dict, "sources": list, "sampling": dict}  # others too write a results.json


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One finished evaluation, without its texts. Problems are named by a hash of id, text and reference."""

    directory: Path
    results: JsonDict
    shares: Mapping[str, Fraction]  # of correct samples, by problem; where none could be scored, the problem is not in it
    clusters: Mapping[str, str]  # of every problem that was asked

    @property
    def accuracy(self) -> Estimate:
        """avg@n with its interval."""
        shares = [float(share) for share in self.shares.values()]
        return estimate(shares, [self.clusters[problem] for problem in self.shares])

    @property
    def weights(self) -> str:
        """What makes two models one: the hash of their weights or, where there is none, their name; and the precision."""
        about = self.results
        named = [about["model"], about.get("model_revision"), about.get("endpoint")]
        return json.dumps([about.get("model_fingerprint") or named, about.get("dtype")], sort_keys=True)


@dataclass(frozen=True, kw_only=True)
class Contest:
    """Evaluations that asked the same, of one model each, by the name of the model."""

    name: str
    entries: Mapping[str, Entry]

    @property
    def first(self) -> Entry:
        """Any of them, for what they share."""
        return next(iter(self.entries.values()))

    @property
    def protocol(self) -> JsonDict:
        """How all were asked."""
        return {key: self.first.results.get(key) for key in COMPARED}


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """All evaluations below some directories, and in words what is not among them or cannot be set side by side."""

    models: Mapping[str, JsonDict]  # by name: what tells it from others
    contests: Sequence[Contest]
    remarks: Sequence[str]


def gather(places: Sequence[Path]) -> Gathered:
    """Return the evaluations at or below `places`; raises LabError where there are none."""
    entries, remarks = _read_all(places)
    if not entries:
        listed = "".join(f"\n  {remark}" for remark in remarks)
        raise LabError(f"no finished `reasonlab eval` at or below {', '.join(map(str, places))}{listed}")
    names = _names_of_models(entries)
    alike: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        asked = _without_unset({key: entry.results.get(key) for key in COMPARED})
        alike[json.dumps([asked, sorted(entry.clusters)], sort_keys=True)].append(entry)
    contests = []
    taken: Counter[str] = Counter()
    for members in alike.values():
        name = _name_of_set(members[0].results)
        taken[name] += 1
        numbered = name if taken[name] == 1 else f"{name} ({taken[name]})"
        chosen, again = _one_a_model(members, names)
        remarks += again
        contests.append(Contest(name=numbered, entries=chosen))
    models = {names[entry.weights]: _about_model(entry.results) for entry in entries}
    return Gathered(models=models, contests=contests, remarks=[*remarks, *_half_known(entries), *_apart(contests)])


def _half_known(entries: Sequence[Entry]) -> list[str]:
    """Return in words which models an older version has told apart by the ends of their files alone."""
    found = [str(one.directory) for one in entries if knows_ends_only(one.results.get("model_fingerprint"))]
    if not found:
        return []
    return [
        "weights known only by the ends of their files, as an older version hashed them: models that differ elsewhere pass for "
        f"one, and none is matched with an evaluation of today; evaluate anew where that matters: {', '.join(found)}"
    ]


def _without_unset(value: Any) -> Any:
    """Return settings without those that are null: an older version of the lab has not written them down."""
    if isinstance(value, dict):
        return {key: _without_unset(inner) for key, inner in value.items() if inner is not None}
    return [_without_unset(inner) for inner in value] if isinstance(value, list) else value


def _read_all(places: Sequence[Path]) -> tuple[list[Entry], list[str]]:
    """Return the evaluations, by path, and in words what could not be read as one."""
    for place in places:
        if not place.is_dir():
            raise LabError(f"no directory {place}; give one that holds evaluations, such as runs/")
    directories = {
        file.parent.resolve(): file.parent
        for place in places
        for name in ("results.json", "about.json")
        for file in place.rglob(name)
        if name == "results.json" or (file.parent / "config.yaml").exists()  # others too may have an about.json
    }
    entries, remarks = [], []
    known: dict[frozenset[tuple[str, str]], Mapping[str, str]] = {}
    for directory in sorted(directories.values()):
        try:
            entry = _read(directory)
            # hundreds of models are asked the same: the names of their problems are held once
            clusters = known.setdefault(frozenset(entry.clusters.items()), entry.clusters)
            entries.append(replace(entry, clusters=clusters))
        except LabError as error:
            remarks.append(f"left out: {error}")
    return entries, remarks


def _read(directory: Path) -> Entry:
    """Return an evaluation; raises LabError that says why there is none."""
    if not (directory / "results.json").is_file():
        raise LabError(f"{directory} is not finished (no results.json): go on with --resume")
    try:
        results = json.loads((directory / "results.json").read_text(encoding="utf-8"))
        if not _is_of_ours(results):
            raise LabError(f"{directory}/results.json is not of `reasonlab eval`, or of one that is too old")
        side = read_side(directory)
        problems = {sys.intern(content_hash(json.dumps(key))): asked for key, asked in side.problems.items()}
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise LabError(f"{directory} cannot be read: {type(error).__name__}: {error}") from None
    if not problems:
        raise LabError(f"{directory} holds no samples")
    return Entry(
        directory=directory,
        results=results,
        shares={name: _alike(share_correct(asked)) for name, asked in problems.items() if any(one.is_scored for one in asked)},
        clusters={name: sys.intern(asked[0].cluster) for name, asked in problems.items()},
    )


@lru_cache(maxsize=4096)
def _alike(share: Fraction) -> Fraction:
    """Return the same object for equal shares: there are few, and millions of problems have one."""
    return share


def _is_of_ours(results: Any) -> bool:
    """Whether what a results.json holds has the form of an evaluation's, as far as it is read here."""
    if not isinstance(results, dict) or not all(isinstance(results.get(key), form) for key, form in _FORM.items()):
        return False
    told = [results.get(key) for key in ("model_revision", "model_fingerprint", "dtype", "split")]
    endpoint = results.get("endpoint")
    return (
        all(isinstance(source, dict) for source in results["sources"])
        and all(value is None or isinstance(value, str) for value in told)
        and (endpoint is None or (isinstance(endpoint, dict) and isinstance(endpoint.get("url"), str)))
    )


def _about_model(results: JsonDict) -> JsonDict:
    endpoint = results.get("endpoint") or {}
    return {
        "model": results["model"],
        "revision": results.get("model_revision"),
        "weights": results.get("model_fingerprint"),
        "dtype": results.get("dtype"),
        "endpoint": endpoint.get("url"),
    }


def _names_of_models(entries: Iterable[Entry]) -> dict[str, str]:
    """Return a name for each model by its weights: its path or name, and what differs where two models share that."""
    first: dict[str, JsonDict] = {}
    for entry in entries:
        first.setdefault(entry.weights, _about_model(entry.results))
    homonyms: dict[str, list[str]] = defaultdict(list)
    for weights, about in first.items():
        homonyms[about["model"]].append(weights)
    names = {}
    for name, several in homonyms.items():
        telling = [key for key in first[several[0]] if len({first[weights][key] for weights in several}) > 1]
        for weights in several:
            told = ", ".join(f"{key} {first[weights][key]}" for key in telling)
            names[weights] = f"{name} ({told})" if told else name
    return names


def _name_of_set(results: JsonDict) -> str:
    """Return what people call the problems of an evaluation."""
    names = [called(source) for source in results["sources"]]
    return f"{' + '.join(names)}, {results.get('split')}"


def _one_a_model(members: Sequence[Entry], names: Mapping[str, str]) -> tuple[dict[str, Entry], list[str]]:
    """Return of each model the evaluation with most samples, and in words which others there are."""
    chosen: dict[str, Entry] = {}
    remarks = []
    for entry in sorted(members, key=lambda entry: -entry.results["n"]):  # stable: then by path
        kept = chosen.setdefault(names[entry.weights], entry)
        if kept is not entry:
            remarks.append(f"left out: {entry.directory} asks the same of the same model as {kept.directory}, which counts")
    return chosen, remarks


def _apart(contests: Sequence[Contest]) -> list[str]:
    """Return in words what is not set side by side though its name is the same, and what has nothing beside it."""
    remarks = []
    first: dict[str, Contest] = {}
    for contest in contests:
        named = _name_of_set(contest.first.results)
        other = first.setdefault(named, contest)
        if other is not contest:
            differing = differences(other.protocol, contest.protocol, COMPARED) + _other_problems(other.first, contest.first)
            remarks.append(f"asked otherwise: {other.name} and {contest.name} differ in {'; '.join(differing)}")
        if len(contest.entries) == 1:
            model, entry = next(iter(contest.entries.items()))
            remarks.append(f"nothing to compare with: only {model} was asked {contest.name} ({entry.directory})")
    return remarks


def _other_problems(first: Entry, second: Entry) -> list[str]:
    only = [len(one.clusters.keys() - other.clusters.keys()) for one, other in ((first, second), (second, first))]
    return [] if only == [0, 0] else [f"problems: {only[0]} only in the former, {only[1]} only in the latter"]


def joined(links: Iterable[Sequence[Hashable]]) -> dict[Hashable, int]:
    """Return a number for everything in `links`, the same for what some chain of links connects; from 0, by first mention."""
    parent: dict[Hashable, Hashable] = {}

    def root(one: Hashable) -> Hashable:
        while (above := parent.setdefault(one, one)) != one:
            parent[one] = parent[above]  # halves the way
            one = above
        return one

    for first, *others in links:
        top = root(first)
        for other in others:
            parent[root(other)] = top
    numbers: dict[Hashable, int] = {}
    return {one: numbers.setdefault(root(one), len(numbers)) for one in parent}
