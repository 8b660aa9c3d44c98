"""Strengths of models from paired results: the Bradley-Terry model, with intervals by a bootstrap over clusters of problems.

P(i beats j) = 1 / (1 + exp(s_j - s_i)) for strengths s in nats (Bradley and Terry, Biometrika 39, 1952); a tie is half a win
for each. What is fitted is the maximum of the likelihood after half a win was added to each side of every pair that met, so
that a model that always wins stays finite: of two models with w wins in n problems s_1 - s_2 = ln((w + 1/2) / (n - w + 1/2)),
the estimate of log odds with the least bias (Haldane, 1956; Anscombe, Biometrika 43, 1956).

The bootstrap is Rubin's (The Bayesian bootstrap, Ann. Statist. 9, 1981): every cluster gets a weight from Exp(1), clusters of
the same contests as much together as there are of them; the halves get theirs from Gamma(1/2). The ordinary bootstrap would
draw each time the same of a model that always won, and call it certain. Of two models and one sample a problem this is the
Jeffreys interval of the share of wins.

Memory: two numbers for each problem and model, and K x K for each of a few draws at a time, whatever the number of problems.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from problems.seeding import derive_seed
from rl.stats import Floats, student_quantile

ELO = 400 / math.log(10)  # points a nat: 400 points are odds of ten to one (Elo, The Rating of Chessplayers, 1978)
MIDDLE = 1000.0  # the mean of all that can be compared, or what the anchor has
DRAWS = 2000  # of up to MANY models
MANY, _FEWEST_DRAWS = 150, 500  # more models get fewer draws, so that hundreds take no longer than a minute
_PRIOR = 0.5  # of a win, added to each side of a pair
_LEAST_PRIOR = 1e-6  # of what is drawn in its place: smaller ones lie outside of the interval and only cost steps
_NORMAL = 1.959963984540054
_MOST_STEPS = 500  # and 30 for each model: a chain of them is long, and a step moves its ends by 1 nat
_CONVERGED = 1e-6  # nats of the last step, whose square is about what is left
_NUMBERS_AT_ONCE = 2_000_000  # of the matrices of a part of the draws
_NUMBERS_IN_CACHE = 200_000  # of the matrices that are fitted together: twice as fast as ten times as many


@dataclass(frozen=True, kw_only=True, eq=False)
class Meeting:
    """What M models answered to P problems that all of them were asked."""

    models: NDArray[np.int64]  # [M], their numbers
    clusters: NDArray[np.int64]  # [P], the number of each problem's cluster
    shares: Floats  # [P, M], of correct samples; NaN where none could be scored

    @cached_property
    def scored(self) -> Floats:
        """1 where a model's answer could be scored, else 0, [P, M]."""
        return np.asarray(~np.isnan(self.shares), dtype=np.float64)

    @cached_property
    def _scored_and_right(self) -> Floats:
        """Beside that the shares, 0 where there is none, [P, 2 M]."""
        return np.concatenate([self.scored, np.nan_to_num(self.shares)], axis=1)

    @cached_property
    def _missing(self) -> list[NDArray[np.int64]]:
        """Of each model the problems that it could not be scored in."""
        return [np.flatnonzero(column == 0) for column in self.scored.T]

    def wins(self, weights: Floats) -> Floats:
        """Return what each won of each other, [D, M, M], where problems count `weights` [D, P].

        Of one problem (1 + own share - other's) / 2, where both could be scored. So what is needed of model i are sums over
        the problems that it could be scored in: those over all less those over the few that it could not.
        """
        values, count = self._scored_and_right, len(self.models)
        sums = np.repeat((weights @ values)[:, None, :], count, axis=1)  # [D, i, 2 M]
        for i, missing in enumerate(self._missing):
            if len(missing):
                sums[:, i] -= weights.take(missing, axis=1) @ values.take(missing, axis=0)
        together, right = sums[..., :count], sums[..., count:]  # [D, i, j]: of how many problems, and how right j was there
        won = (together + right.swapaxes(1, 2) - right) / 2
        return np.asarray(np.maximum(won, 0.0))  # rounding may put 0 below 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Meetings:
    """What K models did against each other in U clusters of problems."""

    count: int  # K
    contests: Sequence[Meeting]
    strata: NDArray[np.int64]  # [U], clusters of one number were asked in the same contests

    @cached_property
    def met(self) -> NDArray[np.bool_]:
        """Which models both answered some problem, [K, K]."""
        times = np.zeros((self.count, self.count))
        for one in self.contests:
            times[np.ix_(one.models, one.models)] += one.scored.T @ one.scored
        np.fill_diagonal(times, 0)
        return times > 0

    @cached_property
    def clusters(self) -> NDArray[np.int64]:
        """How many clusters each model met another in, [K]."""
        found = np.zeros((len(self.strata), self.count), dtype=bool)
        for one in self.contests:
            several = one.scored.sum(axis=1, keepdims=True) > 1
            np.logical_or.at(found, np.ix_(one.clusters, one.models), (one.scored > 0) & several)
        return np.asarray(found.sum(axis=0), dtype=np.int64)

    def wins(self, weights: Floats) -> Floats:
        """Return wins [D, K, K] where clusters count `weights` [D, U]: of the problems that i and j answered, what i won."""
        found = np.zeros((len(weights), self.count, self.count))
        for one in self.contests:
            found[:, one.models[:, None], one.models] += one.wins(weights[:, one.clusters])
        return found * self.met


@dataclass(frozen=True, kw_only=True, eq=False)
class Strengths:
    """Strengths in nats, of mean 0, and as many as were drawn in their place."""

    best: Floats  # [K]
    drawn: Floats  # [D, K]
    clusters: NDArray[np.int64]  # [K]

    def interval(self, model: int, anchor: int | None) -> tuple[float, float] | None:
        """Return the 95 % interval of a strength less the anchor's or, without one, the mean; None: nothing is known."""
        if anchor is not None:
            return self.difference(model, anchor)
        return _known(_intervals(self.best[[model]], self.drawn[:, [model]], self.clusters[[model]]), 0)

    def difference(self, model: int, other: int) -> tuple[float, float] | None:
        """Return the 95 % interval of how much stronger a model is than another; None: nothing is known."""
        return _known(self.differences(model, np.asarray([other])), 0)

    def differences(self, model: int, others: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Return both ends of the 95 % intervals of how much stronger a model is than `others`; NaN: nothing is known."""
        best, drawn = self.best[model] - self.best[others], self.drawn[:, [model]] - self.drawn[:, others]
        return _intervals(best, drawn, np.minimum(self.clusters[model], self.clusters[others]))

    def surely_better(self, model: int) -> NDArray[np.bool_]:
        """Which models the interval of the difference says that a model is better than, [K]."""
        low, _ = self.differences(model, np.arange(len(self.best)))
        return np.asarray(low > 0)


def _known(ends: tuple[Floats, Floats], place: int) -> tuple[float, float] | None:
    low, high = float(ends[0][place]), float(ends[1][place])
    return None if math.isnan(low) else (low, high)


def _intervals(best: Floats, drawn: Floats, clusters: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return the middle 95 % of what was drawn, [D, N] around [N], made wider where clusters are few.

    Weights that add up to U vary less than U clusters do, by (U - 1) / (U + 1), and whoever measures the spread with few of
    them needs Student's quantile: as in rl/stats.py. One cluster says nothing of its kind: NaN.
    """
    wider = np.asarray(
        [student_quantile(n - 1) / _NORMAL * math.sqrt((n + 1) / (n - 1)) if n > 1 else math.nan for n in clusters.tolist()]
    )
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0)
    return best - wider * np.maximum(0.0, best - low), best + wider * np.maximum(0.0, high - best)


def strengths(meetings: Meetings, *name: str, draws: int | None = None) -> Strengths:
    """Return the strengths of models that are all connected by meetings; `name` names the random stream."""
    count = meetings.count
    draws = draws or max(_FEWEST_DRAWS, min(DRAWS, DRAWS * MANY**2 // count**2))
    best = fit(meetings.wins(np.ones((1, len(meetings.strata))))[0] + _PRIOR * meetings.met)
    rng = np.random.default_rng(derive_seed("strengths", *name))
    at_once = max(1, min(draws, _NUMBERS_AT_ONCE // max(count**2, len(meetings.strata))))
    # parts of fixed sizes, so that the numbers are the same everywhere
    parts = (_drawn(meetings, min(at_once, draws - start), rng) for start in range(0, draws, at_once))
    few = max(1, _NUMBERS_IN_CACHE // count**2)
    drawn = [fit(part[start : start + few], best) for part in parts for start in range(0, len(part), few)]
    return Strengths(best=best, drawn=np.concatenate(drawn), clusters=meetings.clusters)


def _drawn(meetings: Meetings, draws: int, rng: np.random.Generator) -> Floats:
    """Return the wins [D, K, K] of experiments in which every cluster counts a weight drawn at random, and so do the priors."""
    clusters, count = len(meetings.strata), meetings.count
    weights = rng.standard_exponential((draws, clusters))
    priors = rng.standard_normal((draws, count, count)) ** 2 / 2 / weights.mean(axis=1)[:, None, None]
    for stratum in np.unique(meetings.strata):
        members = meetings.strata == stratum
        weights[:, members] /= weights[:, members].mean(axis=1, keepdims=True)
    return np.asarray(meetings.wins(weights) + np.maximum(priors, _LEAST_PRIOR) * meetings.met)


def fit(wins: Floats, start: Floats | None = None) -> Floats:
    """Return the strengths [..., K] in nats, of mean 0, that make wins [..., K, K] most likely, sought from `start` [K] on.

    Every pair that met must have won something of each other, and all models be connected: then there is one maximum, and
    Newton's steps reach it from anywhere if none changes a difference by more than 1, within which the curvature of the
    logistic loss changes by a bounded factor (Bach, Electron. J. Statist. 4, 2010, Proposition 1).
    """
    count = wins.shape[-1]
    found = np.zeros(wins.shape[:-1]) + (0.0 if start is None else start)
    steps = _MOST_STEPS + 30 * count
    for _ in range(steps):
        chance = 1 / (1 + np.exp(found[..., None, :] - found[..., :, None]))  # [..., K, K], that i beats j
        against = chance.swapaxes(-1, -2)
        losses = wins.swapaxes(-1, -2)
        slope = (wins * against - losses * chance).sum(axis=-1)  # no difference of what is nearly equal, however one-sided
        curvature = (wins + losses) * chance * against
        hessian = np.eye(count) * curvature.sum(axis=-1)[..., None] - curvature + 1 / count  # a common shift changes nothing
        step = np.linalg.solve(hessian, slope[..., None])[..., 0]
        longest = step.max(axis=-1, keepdims=True) - step.min(axis=-1, keepdims=True)
        found = found + step / np.maximum(1.0, longest)
        if longest.max(initial=0.0) < _CONVERGED:
            return np.asarray(found - found.mean(axis=-1, keepdims=True))
    raise ArithmeticError(f"no strengths after {steps} steps, the last of {longest.max():g} nats")
