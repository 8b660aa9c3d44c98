"""Ranks models by paired comparisons over all contests that they have in common (`reasonlab leaderboard`), as plain data.

On each problem one sample of the one model is set against one of the other: right against wrong wins, all else is a tie, half
to each. Over all pairs of samples that is (1 + share correct of the one - that of the other) / 2, however many samples there
are. Every problem counts the same. The strengths are those of rl/evaluation/strengths.py; models that no chain of contests
connects are in different *leagues*, which are ranked apart, since nothing is known of one against the other.
"""

import math
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from problems.errors import LabError
from rl.evaluation.contests import Contest, Gathered, gather, joined
from rl.evaluation.paired import TEST, paired
from rl.evaluation.strengths import DRAWS, ELO, MANY, MIDDLE, Meeting, Meetings, Strengths, strengths
from rl.stats import numbered
from rl.tracking.run_directory import JsonDict

SCALE = (
    f"Bradley-Terry by problems, ties half, half a win added to each side of a pair; 400 / ln 10 = {ELO:.1f} points a nat, so "
    "that 400 points are odds of ten to one; 95 % intervals by a bootstrap over problems or their clusters (Bayesian, "
    f"{DRAWS:,} draws, of more than {MANY} models fewer, the same every time)"
)
_MOST_COMPARED = 2_000_000  # answers to one problem, over all pairs of a league that are looked at: some 15 s
_ALIKE = 1e-6  # nats: equal results are equal strengths, whatever rounding does


@dataclass(frozen=True, kw_only=True)
class League:
    """Models that contests connect, and the contests in which at least two of them met."""

    models: Sequence[str]
    contests: Sequence[Contest]
    clusters: Mapping[Hashable, int]  # the number of each problem's cluster, over all contests

    def contests_of(self, *models: str) -> list[Contest]:
        """Return the contests that all of `models` were in."""
        return [contest for contest in self.contests if contest.entries.keys() >= set(models)]


def leaderboard(places: Sequence[Path], anchor: str | None = None) -> JsonDict:
    """Return ranks, pairs, contests and remarks of all evaluations at or below `places`.

    `anchor` names the model whose strength is 1000; else that is the mean of each league. Raises LabError where there is no
    evaluation, or no such model.
    """
    gathered = gather(places)
    if anchor is not None and anchor not in gathered.models:
        raise LabError(f"no model {anchor!r} to anchor strengths at; there are: {', '.join(gathered.models)}")
    leagues, alone = leagues_of(gathered)
    standings = [_standings(league, anchor) for league in leagues]
    return {
        "scale": SCALE,
        "anchor": anchor,
        "leagues": standings,
        "alone": alone,
        "models": dict(gathered.models),
        "contests": [_contest(contest) for contest in gathered.contests],
        "remarks": [*gathered.remarks, *_too_many(standings)],
        "test": TEST,
    }


def _too_many(standings: Sequence[JsonDict]) -> list[str]:
    """Return in words which pairs of a league are not listed."""
    return [
        f"{one['pairs_left_out']:,} pairs of models are not listed, only the {len(one['pairs']):,} nearest in rank: "
        "`reasonlab compare` tells how any two stand"
        for one in standings
        if one["pairs_left_out"]
    ]


def _contest(contest: Contest) -> JsonDict:
    results = {
        model: {"directory": str(entry.directory), "n": entry.results["n"], "accuracy": entry.accuracy.as_dict()}
        for model, entry in contest.entries.items()
    }
    return {
        "name": contest.name,
        "problems": len(contest.first.clusters),
        "sources": contest.first.results["sources"],
        "protocol": contest.protocol,
        "results": results,
    }


def leagues_of(gathered: Gathered) -> tuple[list[League], list[str]]:
    """Return the leagues, the largest first, and the models that met no other."""
    met = [pair for contest in gathered.contests for pair in _met(contest)]
    numbers = joined(met)
    members: dict[int, list[str]] = defaultdict(list)
    for model in gathered.models:
        if model in numbers:
            members[numbers[model]].append(model)
    # a problem that several contests ask is one; so are problems that any evaluation put into one cluster
    clusters = joined(_together(gathered.contests))
    leagues = [
        League(
            models=models,
            contests=[one for one in gathered.contests if len(one.entries.keys() & models) > 1],
            clusters=clusters,
        )
        for models in sorted(members.values(), key=len, reverse=True)
    ]
    return leagues, [model for model in gathered.models if model not in numbers]


def _together(contests: Sequence[Contest]) -> Iterator[list[str]]:
    """Yield the problems of each cluster of each evaluation, once for those that share the record of their clusters."""
    distinct = {id(entry.clusters): entry.clusters for contest in contests for entry in contest.entries.values()}
    for clusters in distinct.values():
        members: dict[str, list[str]] = defaultdict(list)
        for problem, cluster in clusters.items():
            members[cluster].append(problem)
        yield from members.values()


def _met(contest: Contest) -> Iterator[tuple[str, str]]:
    """Yield every two models of which some problem of a contest could be scored for both."""
    for pair in combinations(contest.entries, 2):
        one, other = (contest.entries[model].shares.keys() for model in pair)
        if not one.isdisjoint(other):
            yield pair


def meetings_of(league: League) -> Meetings:
    """Return what the models of a league did against each other, cluster by cluster."""
    place = {model: number for number, model in enumerate(league.models)}
    asked_in: dict[int, list[int]] = defaultdict(list)
    for number, contest in enumerate(league.contests):
        for cluster in dict.fromkeys(league.clusters[problem] for problem in contest.first.clusters):
            asked_in[cluster].append(number)
    row = {cluster: number for number, cluster in enumerate(asked_in)}
    meetings = [_meeting(league, contest, place, row) for contest in league.contests]
    return Meetings(count=len(place), contests=meetings, strata=numbered([tuple(contests) for contests in asked_in.values()]))


def _meeting(league: League, contest: Contest, place: Mapping[str, int], row: Mapping[int, int]) -> Meeting:
    """Return what the models of a league answered in one contest; `place` numbers models and `row` clusters."""
    there = [model for model in league.models if model in contest.entries]
    problems = list(contest.first.clusters)
    shares = np.full((len(problems), len(there)), np.nan)
    for column, model in enumerate(there):
        found = contest.entries[model].shares
        shares[:, column] = [float(found.get(problem, math.nan)) for problem in problems]
    return Meeting(
        models=np.asarray([place[model] for model in there]),
        clusters=np.asarray([row[league.clusters[problem]] for problem in problems]),
        shares=shares,
    )


def _standings(league: League, anchor: str | None) -> JsonDict:
    """Return the ranks of a league, the strongest first, and its pairs."""
    found = strengths(meetings_of(league))
    count = len(league.models)
    zero = league.models.index(anchor) if anchor in league.models else None
    ranks = [1 + int((found.best > one + _ALIKE).sum()) for one in found.best]
    order = sorted(range(count), key=lambda i: (ranks[i], league.models[i]))
    surely = np.asarray([found.surely_better(i) for i in range(count)])
    rows = [
        {
            "model": league.models[i],
            "rank": ranks[i],
            "best_rank": 1 + int(surely[:, i].sum()),
            "worst_rank": count - int(surely[i].sum()),
            **_strength(found, i, zero),
            "problems": sum(len(one.entries[league.models[i]].shares) for one in league.contests_of(league.models[i])),
            "clusters": int(found.clusters[i]),
        }
        for i in order
    ]
    pairs, left_out = _pairs(league, found, order)
    names = [contest.name for contest in league.contests]
    return {"ranks": rows, "pairs": pairs, "pairs_left_out": left_out, "contests": names}


def _pairs(league: League, found: Strengths, order: Sequence[int]) -> tuple[list[JsonDict], int]:
    """Return how every two models of a league stand, by rank, and how many pairs are not looked at because there are too many.

    Those nearest in rank come first, until so many answers have been compared.
    """
    places = list(combinations(range(len(order)), 2))
    kept: dict[tuple[int, int], JsonDict | None] = {}
    compared = 0
    for place in sorted(places, key=lambda place: place[1] - place[0]):  # stable: then by rank
        if compared >= _MOST_COMPARED:
            break
        pair = kept[place] = _pair(league, found, order[place[0]], order[place[1]])
        compared += pair["problems"] if pair is not None else 0
    return [pair for place in places if (pair := kept.get(place)) is not None], len(places) - len(kept)


def _strength(found: Strengths, model: int, anchor: int | None) -> JsonDict:
    interval = found.interval(model, anchor)
    return {
        "strength": _points(found.best[model] - (0.0 if anchor is None else found.best[anchor])),
        "low": None if interval is None else _points(interval[0]),
        "high": None if interval is None else _points(interval[1]),
    }


def _points(nats: float) -> float:
    return round(MIDDLE + ELO * float(nats), 1)


def _pair(league: League, found: Strengths, i: int, j: int) -> JsonDict | None:
    """Return how two models stand, the first less the second; None where they met in no problem."""
    first, second = league.models[i], league.models[j]
    differences, clusters = [], []
    for contest in league.contests_of(first, second):
        ours, theirs = contest.entries[first].shares, contest.entries[second].shares
        common = [problem for problem in ours if problem in theirs]
        differences += [ours[problem] - theirs[problem] for problem in common]
        clusters += [league.clusters[problem] for problem in common]
    if not differences:
        return None
    interval = found.difference(i, j)
    return {
        "first": first,
        "second": second,
        **paired(differences, clusters).as_dict(),
        "points": round(ELO * float(found.best[i] - found.best[j]), 1),
        "points_low": None if interval is None else round(ELO * interval[0], 1),
        "points_high": None if interval is None else round(ELO * interval[1], 1),
    }
