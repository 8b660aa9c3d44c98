"""Bradley-Terry strengths: in closed form, at the maximum of the likelihood, and how often their intervals hold the truth."""

import math
import tracemalloc

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from rl.evaluation.strengths import DRAWS, Meeting, Meetings, fit, strengths
from rl.stats import student_quantile


def meetings(shares: np.ndarray, labels: np.ndarray | None = None, strata: np.ndarray | None = None) -> Meetings:
    """What K models with shares of correct samples [K, Q] did against each other; `labels` [Q] numbers clusters."""
    count, problems = shares.shape
    labels = np.arange(problems) if labels is None else labels
    contest = Meeting(models=np.arange(count), clusters=labels, shares=shares.T)
    strata = np.zeros(labels.max() + 1, dtype=np.int64) if strata is None else strata
    return Meetings(count=count, contests=[contest], strata=strata)


def known(interval: tuple[float, float] | None) -> tuple[float, float]:
    assert interval is not None
    return interval


def two(won: int, lost: int, tied: int = 0) -> Meetings:
    """Two models with one sample a problem each."""
    return meetings(np.asarray([[1.0] * won + [0.0] * lost + [1.0] * tied, [0.0] * won + [1.0] * lost + [1.0] * tied]))


@pytest.mark.parametrize(("won", "lost", "tied"), [(14, 6, 0), (3, 1, 40), (20, 0, 0), (0, 0, 9)])
def test_two_models_are_apart_by_the_log_odds_with_half_a_win_more_each(won, lost, tied):
    found = strengths(two(won, lost, tied), draws=2)
    expected = math.log((won + tied / 2 + 0.5) / (lost + tied / 2 + 0.5))
    assert found.best[0] - found.best[1] == pytest.approx(expected)
    assert found.best.sum() == pytest.approx(0)


@pytest.mark.parametrize(("won", "lost"), [(14, 6), (20, 0)])
def test_the_interval_of_two_models_is_that_of_jeffreys(won, lost):
    found = strengths(two(won, lost))
    problems = won + lost
    low, high = known(found.difference(0, 1))
    wider = student_quantile(problems - 1) / student_quantile(10**6) * math.sqrt((problems + 1) / (problems - 1))
    best = found.best[0] - found.best[1]
    for end, chance in ((low, 0.025), (high, 0.975)):
        odds = best + (end - best) / wider  # undoes what is added for few problems
        share = 1 / (1 + math.exp(-odds))
        below = float(mpmath.betainc(won + 0.5, lost + 0.5, 0, share, regularized=True))
        # the quantile of 2,000 draws is four standard errors, 4 sqrt(0.025 0.975 / 2000) = 0.014, from it at most
        assert below == pytest.approx(chance, abs=0.014), chance
    assert DRAWS == 2000


@hypothesis_settings(max_examples=25)
@given(st.integers(2, 6), st.integers(0, 10**6))
def test_what_is_fitted_is_the_maximum_also_where_some_always_win(count, seed):
    rng = np.random.default_rng(seed)
    wins = rng.choice([1e-6, 0.5, 3.0, 5000.0], (count, count)) * (1 - np.eye(count))
    met = rng.random((count, count)) < 0.5
    chain = np.eye(count, k=1) + np.eye(count, k=-1)  # connected all the same
    wins = wins * (met | met.T | (chain > 0))
    found = fit(wins)
    assert found.sum() == pytest.approx(0, abs=1e-9)
    chances = 1 / (1 + np.exp(found[None, :] - found[:, None]))
    # as many wins as the chances say, of each model: the likelihood's derivative is 0
    expected = ((wins + wins.T) * chances).sum(axis=1)
    assert wins.sum(axis=1) == pytest.approx(expected, abs=1e-5)


def test_of_one_cluster_nothing_is_known_and_of_few_little():
    shares = np.asarray([[1.0, 1.0, 0.0, 1.0] * 6, [0.0, 1.0, 0.0, 0.0] * 6])
    alone = strengths(meetings(shares, np.zeros(24, dtype=np.int64)), draws=50)
    assert alone.interval(0, None) is None
    assert not alone.surely_better(0).any()
    few, many = (known(strengths(meetings(shares, np.arange(24) // size)).difference(0, 1)) for size in (8, 1))
    assert few[1] - few[0] > many[1] - many[0]
    assert many[0] > 0


def test_the_same_evaluations_give_the_same_numbers():
    shares = np.random.default_rng(0).random((3, 20))
    first, second = (strengths(meetings(shares)) for _ in range(2))
    assert (first.drawn == second.drawn).all()


def test_contests_keep_their_sizes_in_every_draw():
    # ten problems that the first model wins and ten, of another contest, that it loses: no draw has more of the former
    shares = np.asarray([[1.0] * 10 + [0.0] * 10, [0.0] * 10 + [1.0] * 10])
    together = meetings(shares)
    apart = meetings(shares, strata=np.repeat([0, 1], 10))
    spread = [float(np.quantile(np.abs(strengths(one).drawn[:, 0]), 0.5)) for one in (together, apart)]
    assert spread[1] < 0.3 * spread[0]


WORLDS = [(60, 1, 1), (14, 4, 3)]  # clusters, problems of each, samples a problem


@pytest.mark.parametrize(("clusters", "size", "samples"), WORLDS)
def test_intervals_hold_the_truth_about_as_often_as_they_say(clusters, size, samples):
    rng = np.random.default_rng(3)
    abilities = np.asarray([-0.5, 0.3, 2.5])

    def chances(count):
        """Of being right, [3, count]: how hard a problem is, and what a model is good at, differ."""
        return 1 / (1 + np.exp(-(abilities[:, None] + rng.normal(0, 1, count) + rng.normal(0, 0.7, (3, count)))))

    truth = strengths(meetings(chances(20_000)), draws=1).best  # of so many problems half a win more is nothing
    inside = []
    for number in range(80):
        answered = rng.binomial(samples, np.repeat(chances(clusters), size, axis=1)) / samples
        found = strengths(meetings(answered, np.repeat(np.arange(clusters), size)), str(number), draws=120)
        for model in range(3):
            low, high = known(found.interval(model, None))
            inside.append(low <= truth[model] <= high)
    # 240 intervals that are not independent: 0.95 with a standard error of about 0.02, and 120 draws widen or narrow each
    assert 0.9 <= np.mean(inside) <= 0.99


def test_wins_are_those_of_every_question_counted_by_itself_where_not_all_could_be_scored():
    rng = np.random.default_rng(5)
    contests, expected, met_in = [], np.zeros((2, 5, 5)), np.zeros((12, 5), dtype=bool)
    weights = rng.exponential(size=(2, 12))
    for models, missing in (([0, 1, 2, 4], 0.4), ([2, 0], 0.0), ([3, 1], 0.9)):
        shares = rng.choice([0.0, 0.25, 1.0], (9, len(models)))
        shares[rng.random(shares.shape) < missing] = np.nan
        clusters = rng.integers(12, size=9)
        contests.append(Meeting(models=np.asarray(models), clusters=clusters, shares=shares))
        for problem, cluster in enumerate(clusters):
            for i, one in enumerate(models):
                for j, other in enumerate(models):
                    won = (1 + shares[problem, i] - shares[problem, j]) / 2
                    if i != j and not np.isnan(won):
                        expected[:, one, other] += weights[:, cluster] * won
                        met_in[cluster, one] = True
    found = Meetings(count=5, contests=contests, strata=np.zeros(12, dtype=np.int64))
    assert found.wins(weights) == pytest.approx(expected, abs=1e-12)
    assert found.met.tolist() == ((expected + expected.swapaxes(1, 2)).sum(axis=0) > 0).tolist()
    assert found.clusters.tolist() == met_in.sum(axis=0).tolist()


def test_memory_grows_with_answers_and_not_with_problems_times_pairs():
    shares = np.random.default_rng(0).choice([0.0, 1.0], (40, 4000))
    tracemalloc.start()
    strengths(meetings(shares), draws=3)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # the shares and two numbers more an answer are 3 x 40 x 4000 x 8 bytes = 3.8 MB, wins of each problem 51 MB
    assert most < 10e6
