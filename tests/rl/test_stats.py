"""Estimates: against enumeration and by hand; by simulation in test_coverage.py."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl.stats import (
    best_of_k,
    estimate,
    estimate_in_words,
    interval_in_words,
    intervals,
    majority_at_k,
    mean,
    over_seeds,
    p_value_in_words,
    pass_at_k,
    student_quantile,
    student_within,
)


@pytest.mark.parametrize("samples", range(1, 8))
def test_pass_at_k_is_the_share_of_subsets_that_hold_a_correct_sample(samples: int) -> None:
    for correct, k in itertools.product(range(samples + 1), range(1, samples + 1)):
        outcomes = [True] * correct + [False] * (samples - correct)
        subsets = list(itertools.combinations(outcomes, k))
        expected = sum(any(subset) for subset in subsets) / len(subsets)
        assert pass_at_k(samples, correct, k) == pytest.approx(expected, abs=1e-12)


def test_pass_at_1_is_the_accuracy_and_large_counts_do_not_overflow() -> None:
    assert pass_at_k(8, 3, 1) == pytest.approx(3 / 8)
    # 1 - C(9999, 5000) / C(10000, 5000) = 1 - 5000 / 10000
    assert pass_at_k(10_000, 1, 5000) == pytest.approx(0.5)


@pytest.mark.parametrize("k", [0, -1, 5])
def test_more_samples_than_there_are_is_refused(k: int) -> None:
    with pytest.raises(ValueError, match=f"pass@{k} needs at least"):
        pass_at_k(4, 1, k)
    with pytest.raises(ValueError, match=f"maj@{k} needs at least"):
        majority_at_k(["a"] * 4, [True] * 4, k, "x")
    with pytest.raises(ValueError, match=f"best-of-{k} needs at least"):
        best_of_k([1.0] * 4, [True] * 4, k)


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=6), st.integers(1, 6))
def test_best_of_k_is_the_mean_over_all_subsets(samples: list[tuple[int, bool]], k: int) -> None:
    k = min(k, len(samples))

    def of(subset: tuple[tuple[int, bool], ...]) -> float:
        tied = [correct for score, correct in subset if score == max(score for score, _ in subset)]
        return sum(tied) / len(tied)  # a tie is decided at random

    subsets = list(itertools.combinations(samples, k))
    expected = sum(map(of, subsets)) / len(subsets)
    scores, correct = [float(score) for score, _ in samples], [right for _, right in samples]
    assert best_of_k(scores, correct, k) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("answers", "correct", "expected"),
    [
        (["a", "a", "b"], [True, True, False], 1.0),
        (["a", "b", "b"], [True, False, False], 0.0),
        (["a", "b"], [True, False], 0.5),  # a tie is decided at random
        (["a", "a", "b", "b", "c", "c"], [True, True, False, False, False, False], 1 / 3),
        (["a", "a", "b", "b", "c"], [True, True, True, True, False], 1.0),  # two spellings, both right
        ([None, None, "a"], [False, False, True], 1.0),  # no answer, no vote
        ([None, None], [False, False], 0.0),
    ],
)
def test_the_majority_of_all_samples(answers: list[str | None], correct: list[bool], expected: float) -> None:
    assert majority_at_k(answers, correct, len(answers), "x") == pytest.approx(expected)


def test_the_majority_of_some_samples_is_near_the_mean_over_all_subsets() -> None:
    answers, correct = ["a", "a", "a", "b", "b", "c"], [True, True, True, False, False, False]

    def vote(subset: tuple[int, ...]) -> float:
        counts = {letter: sum(answers[i] == letter for i in subset) for letter in "abc"}
        tied = [letter for letter, count in counts.items() if count == max(counts.values())]
        return ("a" in tied) / len(tied)

    subsets = list(itertools.combinations(range(6), 3))
    exact = sum(map(vote, subsets)) / len(subsets)
    # each of 2,000 draws has a standard deviation of at most 0.5: 0.05 is more than four standard errors
    assert majority_at_k(answers, correct, 3, "x", draws=2000) == pytest.approx(exact, abs=0.05)
    assert majority_at_k(answers, correct, 3, "x") == majority_at_k(answers, correct, 3, "x")
    assert majority_at_k(answers, correct, 1, "x", draws=2000) == pytest.approx(0.5, abs=0.05)


def test_the_wilson_interval_by_hand() -> None:
    # 8 of 10, Student's t of 9 degrees of freedom = 2.26216, t^2 = 5.11736: centre (0.8 + 0.255868) / 1.511736 = 0.698447;
    # half 2.26216 / 1.511736 * sqrt(0.016 + 0.0127934) = 1.496399 * 0.169686 = 0.253918
    found = estimate([1.0] * 8 + [0.0] * 2)
    assert found.value == pytest.approx(0.8)
    assert found.low == pytest.approx(0.4445, abs=1e-4)
    assert found.high == pytest.approx(0.9524, abs=1e-4)
    assert (found.problems, found.clusters) == (10, 10)


def test_all_correct_or_all_wrong_has_a_width() -> None:
    # n = 10, p = 1: low = 1 - t^2 / (n + t^2) = 1 - 5.11736 / 15.11736 = 0.66149
    right, wrong = estimate([1.0] * 10), estimate([0.0] * 10)
    assert (right.low, right.high) == (pytest.approx(0.6615, abs=1e-4), 1.0)
    assert (wrong.low, wrong.high) == (0.0, pytest.approx(0.3385, abs=1e-4))


def test_the_interval_of_clusters_by_hand() -> None:
    # two clusters of 2, one all right, one half right: sums 2 and 1, p = 0.75. A quarter of a right and of a wrong cluster of
    # size 2 make 5 problems with (3 + 0.5) / 5 = 0.7 right; squares (2 - 1.4)^2 + (1 - 1.4)^2 + 0.25 * 4 * (0.49 + 0.09) = 1.1;
    # SE^2 = 1.1 * 2.5 / 1.5 / 25 = 0.073333; trials 0.21 / 0.073333 * 4 / 5 = 2.2909, above the 4^2 / (4 + 4) = 2 of two coins.
    # t of 1 degree of freedom = 12.7062, t^2 = 161.448: centre (0.75 + 35.2368) / 71.4736 = 0.503498;
    # half 12.7062 / 71.4736 * sqrt(0.0818456 + 7.690675) = 0.495631
    found = estimate([1.0, 0.5, 1.0, 0.5], ["a", "b", "a", "b"])
    assert (found.problems, found.clusters) == (4, 2)
    assert found.low == pytest.approx(0.00787, abs=1e-4)
    assert found.high == pytest.approx(0.99913, abs=1e-4)


def test_one_cluster_tells_next_to_nothing() -> None:
    found = estimate([1.0] * 5, ["a"] * 5)
    assert (found.problems, found.clusters) == (5, 1)
    assert found.low < 0.01


def test_clusters_of_one_problem_each_are_no_clusters() -> None:
    values = [0.25, 0.5, 0.0, 1.0, 0.75]
    assert estimate(values, "abcde") == estimate(values)


# Fisher and Yates, Statistical Tables, table III: two-sided 5 % points
@pytest.mark.parametrize(
    ("df", "expected"), [(1, 12.706), (2, 4.303), (3, 3.182), (9, 2.262), (30, 2.042), (120, 1.980), (2001, 1.960)]
)
def test_the_quantiles_of_student_are_those_of_the_tables(df: int, expected: float) -> None:
    assert student_quantile(df) == pytest.approx(expected, abs=1e-3)
    assert student_within(student_quantile(df), df) == pytest.approx(0.95)


@given(st.sampled_from([0.0, 1.0]), st.integers(1, 200))
def test_problems_that_agree_are_not_taken_for_certainty(share: float, problems: int) -> None:
    found = estimate([share] * problems)
    assert found.high - found.low >= 1.96**2 / (problems + 1.96**2)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_an_interval_holds_its_mean_and_stays_inside(values: list[float]) -> None:
    found = estimate(values)
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_no_problems_means_no_knowledge() -> None:
    found = estimate([])
    assert math.isnan(found.value)
    assert (found.low, found.high, found.problems) == (0.0, 1.0, 0)


def test_the_mean_of_nothing_is_none() -> None:
    assert mean([]) is None
    assert mean([1, 2]) == 1.5


def test_several_seeds_by_hand() -> None:
    # mean 0.5; deviation 0.1, standard error 0.1 / sqrt(3), t = 4.3027 of 2 degrees of freedom: 0.24841
    # half widths below 0.1 of each; above 0.1, 0.2, 0.2: root mean square sqrt(0.09 / 3) = 0.17321
    middle, low, high = over_seeds([(0.4, 0.3, 0.5), (0.5, 0.4, 0.7), (0.6, 0.5, 0.8)])
    assert middle == pytest.approx(0.5)
    assert low == pytest.approx(0.5 - math.hypot(0.24841, 0.1), abs=1e-4)
    assert high == pytest.approx(0.5 + math.hypot(0.24841, 0.17321), abs=1e-4)
    assert over_seeds([(0.4, 0.3, 0.6)]) == pytest.approx((0.4, 0.3, 0.6))  # one says nothing of the others


@pytest.mark.parametrize(("spread", "problems"), [(0.0, 100), (0.05, 200), (0.05, 2000)])
def test_the_interval_over_seeds_covers_the_truth(spread: float, problems: int) -> None:
    # three models of skill 0.6 + noise; all asked the same problems, each right with the skill and the problem's own part
    rng, draws = np.random.default_rng(0), 600
    ease = rng.uniform(-0.3, 0.3, (draws, 1, problems))
    skills = 0.6 + spread * rng.standard_normal((draws, 3, 1))
    right = rng.random((draws, 3, problems)) < np.clip(skills + ease, 0, 1)
    rates = right.reshape(draws * 3, problems).astype(np.float64)
    ends = np.stack(intervals(rates, np.arange(problems)), axis=1).reshape(draws, 3, 3)
    found = [over_seeds([tuple(seed) for seed in of_draw]) for of_draw in ends]
    assert sum(low <= 0.6 <= high for _, low, high in found) / draws >= 0.94


def test_estimates_are_put_in_words_in_one_way() -> None:
    assert estimate_in_words({"value": 0.4567, "low": 0.4, "high": 0.5}) == "0.457 (0.400 to 0.500)"
    assert estimate_in_words({"value": 0.4567, "low": 0.4, "high": 0.5}, digits=2) == "0.46 (0.40 to 0.50)"
    assert [p_value_in_words(p) for p in (0.05, 1e-4, 9e-5, 0.0)] == ["0.0500", "0.0001", *["below 0.0001"] * 2]
    assert estimate_in_words({"value": math.nan, "low": 0.0, "high": 1.0}) == "- (0.000 to 1.000)"  # nothing was scored
    assert interval_in_words(-0.25, 12.5, digits=1, sign="+") == "-0.2 to +12.5"
    assert interval_in_words(None, None) == "-"
