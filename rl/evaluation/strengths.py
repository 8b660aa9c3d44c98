"""Strengths of models from paired results: the Bradley-Terry model, with intervals by a bootstrap over clusters of questions.

P(i beats j) = 1 / (1 + exp(s_j - s_i)) for strengths s in nats (Bradley and Terry, Biometrika 39, 1952); a tie is half a win
for each. What is fitted is the maximum of the likelihood after half a win was added to each side of every pair that met, so
that a model that always wins stays finite: of two models with w wins in n questions s_1 - s_2 = ln((w + 1/2) / (n - w + 1/2)),
the estimate of log odds with the least bias (Haldane, 1956; Anscombe, Biometrika 43, 1956).

The bootstrap is Rubin's (The Bayesian bootstrap, Ann. Statist. 9, 1981): every cluster gets a weight from Exp(1), clusters of
the same contests as much together as there are of them; the halves get theirs from Gamma(1/2). The ordinary bootstrap would
draw each time the same of a model that always won, and call it certain. Of two models and one sample a question this is the
Jeffreys interval of the share of wins.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from problems.seeding import derive_seed
from rl.stats import Floats, student_quantile

ELO = 400 / math.log(10)  # points a nat: 400 points are odds of ten to one (Elo, The Rating of Chessplayers, 1978)
MIDDLE = 1000.0  # the mean of all that can be compared, or what the anchor has
DRAWS = 2000
_PRIOR = 0.5  # of a win, added to each side of a pair
_LEAST_PRIOR = 1e-6  # of what is drawn in its place: smaller ones lie outside of the interval and only cost steps
_NORMAL = 1.959963984540054
_MOST_STEPS = 500  # and 30 for each model: a chain of them is long, and a step moves its ends by 1 nat
_CONVERGED = 1e-8  # nats
_NUMBERS_AT_ONCE = 2_000_000  # of the matrices of a part of the draws


@dataclass(frozen=True, kw_only=True, eq=False)
class Meetings:
    """What K models did against each other in U clusters of questions."""

    wins: Floats  # [U, K, K], entry (u, i, j): of the questions that i and j both answered those that i won, ties half
    strata: NDArray[np.int64]  # [U], clusters of one number were asked in the same contests

    @property
    def clusters(self) -> NDArray[np.int64]:
        """How many clusters each model met another in, [K]."""
        return np.asarray((self.wins + self.wins.swapaxes(1, 2)).any(axis=2).sum(axis=0), dtype=np.int64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Strengths:
    """Strengths in nats, of mean 0, and as many as were drawn in their place."""

    best: Floats  # [K]
    drawn: Floats  # [D, K]
    clusters: NDArray[np.int64]  # [K]

    def interval(self, model: int, anchor: int | None) -> tuple[float, float] | None:
        """Return the 95 % interval of a strength less the anchor's or, without one, the mean; None: nothing is known."""
        if anchor is None:
            return _interval(self.best[model], self.drawn[:, model], int(self.clusters[model]))
        return self.difference(model, anchor)

    def difference(self, model: int, other: int) -> tuple[float, float] | None:
        """Return the 95 % interval of how much stronger a model is than another; None: nothing is known."""
        best, drawn = self.best[model] - self.best[other], self.drawn[:, model] - self.drawn[:, other]
        return _interval(best, drawn, int(self.clusters[[model, other]].min()))

    def is_surely_better(self, model: int, other: int) -> bool:
        """Whether the interval of the difference lies above 0."""
        found = self.difference(model, other)
        return found is not None and found[0] > 0


def _interval(best: float, drawn: Floats, clusters: int) -> tuple[float, float] | None:
    """Return the middle 95 % of what was drawn, made wider where clusters are few.

    Weights that add up to U vary less than U clusters do, by (U - 1) / (U + 1), and whoever measures the spread with few of
    them needs Student's quantile: as in rl/stats.py. One cluster says nothing of its kind.
    """
    if clusters < 2:
        return None
    low, high = np.quantile(drawn, (0.025, 0.975))
    wider = student_quantile(clusters - 1) / _NORMAL * math.sqrt((clusters + 1) / (clusters - 1))
    return float(best - wider * max(0.0, best - low)), float(best + wider * max(0.0, high - best))


def strengths(meetings: Meetings, *name: str, draws: int = DRAWS) -> Strengths:
    """Return the strengths of models that are all connected by meetings; `name` names the random stream."""
    count = meetings.wins.shape[1]
    totals = meetings.wins.sum(axis=0)  # [K, K]
    met = totals + totals.T > 0
    rng = np.random.default_rng(derive_seed("strengths", *name))
    at_once = max(1, min(draws, _NUMBERS_AT_ONCE // max(count**2, len(meetings.strata))))
    drawn = [
        fit(_drawn(meetings, met, min(at_once, draws - start), rng)) for start in range(0, draws, at_once)
    ]  # parts of fixed sizes, so that the numbers are the same everywhere
    return Strengths(best=fit(totals + _PRIOR * met), drawn=np.concatenate(drawn), clusters=meetings.clusters)


def _drawn(meetings: Meetings, met: NDArray[np.bool_], draws: int, rng: np.random.Generator) -> Floats:
    """Return the wins [D, K, K] of experiments in which every cluster counts a weight drawn at random, and so do the priors."""
    clusters, count = meetings.wins.shape[:2]
    weights = rng.standard_exponential((draws, clusters))
    priors = rng.standard_gamma(_PRIOR, (draws, count, count)) / weights.mean(axis=1)[:, None, None]
    for stratum in np.unique(meetings.strata):
        members = meetings.strata == stratum
        weights[:, members] /= weights[:, members].mean(axis=1, keepdims=True)
    wins = (weights @ meetings.wins.reshape(clusters, -1)).reshape(draws, count, count)
    return np.asarray(wins + np.maximum(priors, _LEAST_PRIOR) * met)


def fit(wins: Floats) -> Floats:
    """Return the strengths [..., K] in nats, of mean 0, that make wins [..., K, K] most likely.

    Every pair that met must have won something of each other, and all models be connected: then there is one maximum, and
    Newton's steps reach it from anywhere if none changes a difference by more than 1, within which the curvature of the
    logistic loss changes by a bounded factor (Bach, Electron. J. Statist. 4, 2010, Proposition 1).
    """
    count = wins.shape[-1]
    found = np.zeros(wins.shape[:-1])
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
