"""Estimates: against enumeration, by hand and by simulation."""

import itertools
import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl.stats import estimate, majority_at_k, mean, pass_at_k


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
    # 8 of 10, z = 1.96, z^2 = 3.8415: centre (0.8 + 0.19207) / 1.38415 = 0.71674;
    # half 1.96 / 1.38415 * sqrt(0.016 + 0.0096037) = 1.41602 * 0.160012 = 0.22658
    found = estimate([1.0] * 8 + [0.0] * 2)
    assert found.value == pytest.approx(0.8)
    assert found.low == pytest.approx(0.4902, abs=1e-4)
    assert found.high == pytest.approx(0.9433, abs=1e-4)
    assert found.problems == 10


def test_all_correct_or_all_wrong_has_a_width() -> None:
    # n = 10, p = 1: low = 1 - z^2 / (n + z^2) = 1 - 3.8415 / 13.8415 = 0.7225
    right, wrong = estimate([1.0] * 10), estimate([0.0] * 10)
    assert (right.low, right.high) == (pytest.approx(0.7225, abs=1e-4), 1.0)
    assert (wrong.low, wrong.high) == (0.0, pytest.approx(0.2775, abs=1e-4))


@given(st.integers(0, 64), st.integers(1, 200))
def test_problems_that_agree_are_not_taken_for_certainty(correct: int, problems: int) -> None:
    # 3 problems of 0.1 have a mean of 0.10000000000000002; that rounding is no variance to divide by
    share = correct / 64 if correct % 2 else correct / 70
    found = estimate([share] * problems)
    assert found.high - found.low >= 0.9 * 1.96**2 / (problems + 1.96**2)  # the width at p = 0 or 1, the smallest


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_an_interval_holds_its_mean_and_stays_inside(values: list[float]) -> None:
    found = estimate(values)
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_no_problems_means_no_knowledge() -> None:
    found = estimate([])
    assert math.isnan(found.value)
    assert (found.low, found.high, found.problems) == (0.0, 1.0, 0)


@pytest.mark.parametrize("spread", ["alike", "hard and easy"])
def test_the_interval_covers_the_truth_in_19_of_20_experiments_with_clustered_samples(spread: str) -> None:
    random, covered, experiments = Random(7), 0, 1000
    for _ in range(experiments):
        # 60 problems of 8 samples; the true accuracy is 0.5 in both worlds
        chances = [0.5 if spread == "alike" else random.choice([0.1, 0.9]) for _ in range(60)]
        found = estimate([sum(random.random() < chance for _ in range(8)) / 8 for chance in chances])
        covered += found.low <= 0.5 <= found.high
    # 950 expected, standard deviation 7. Counting all 480 samples as independent covers about 2 in 3 where problems differ
    assert covered >= 920


def test_the_mean_of_nothing_is_none() -> None:
    assert mean([]) is None
    assert mean([1, 2]) == 1.5
