"""The paired difference: by hand, against enumeration, and in worlds where nothing differs."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl.evaluation.paired import paired, sign_flip_p_value

FRACTIONS = st.fractions(min_value=-1, max_value=1, max_denominator=12)


@given(st.lists(FRACTIONS, min_size=1, max_size=8))
def test_the_p_value_is_the_share_of_all_sign_flips_that_are_as_extreme(sums: list[Fraction]) -> None:
    flips = list(itertools.product((1, -1), repeat=len(sums)))
    totals = [abs(sum((sign * one for sign, one in zip(signs, sums, strict=True)), Fraction(0))) for signs in flips]
    extreme = sum(total >= totals[0] for total in totals)  # the first of them flips none
    assert sign_flip_p_value(sums) == pytest.approx(extreme / len(flips))


def test_one_sample_a_problem_is_mcnemars_exact_test() -> None:
    # 9 problems got better and 1 worse, 40 the same: 2 (1 + 10) / 2^10 = 22 / 1024
    differences = [Fraction(1)] * 9 + [Fraction(-1)] + [Fraction(0)] * 40
    assert sign_flip_p_value(differences) == pytest.approx(22 / 1024)


def test_many_denominators_are_rounded_and_not_refused() -> None:
    sums = [Fraction(1, prime) for prime in (101, 103, 107, 109, 113, 127)]
    # all of one sign: only that and its mirror image are as extreme
    assert sign_flip_p_value(sums) == pytest.approx(2 / 2**6)


def test_a_difference_by_hand() -> None:
    # 20 problems, 6 from wrong to right, 1 back: difference 5 / 20 = 0.25; squares 7 - 20 * 0.0625 = 5.75, and a quarter of
    # 0.75^2 + 1.25^2 = 2.125 more, SE = sqrt(6.28125 * 20 / 19) / 20 = 0.12857; p = 2 (1 + 7) / 2^7 = 0.125
    differences = [Fraction(1)] * 6 + [Fraction(-1)] + [Fraction(0)] * 13
    found = paired(differences, range(20))
    assert found.difference == pytest.approx(0.25)
    assert found.p_value == pytest.approx(0.125)
    assert found.low < 0 < found.high
    # 80 % power at 5 %: (1.95996 + 0.84162)^2 = 7.84888 times SE^2 20 / 0.25^2 = 5.2895 is 41.5, so 22 problems more than 20
    assert found.detectable == pytest.approx(2.80158 * 0.12857, abs=1e-4)
    assert found.more_problems == 22


def test_what_is_told_apart_needs_no_more_and_what_is_alike_cannot_be() -> None:
    assert paired([Fraction(1)] * 12 + [Fraction(0)] * 30, range(42)).more_problems == 0
    alike = paired([Fraction(1), Fraction(-1)] * 10, range(20))
    assert (alike.difference, alike.p_value, alike.more_problems) == (0, 1, None)
    same = paired([Fraction(0)] * 20, range(20))
    assert (same.difference, same.p_value, same.more_problems) == (0, 1, None)
    assert same.low < 0 < same.high  # twenty problems that agree are no proof that all do


def test_a_few_equal_differences_are_no_certainty() -> None:
    # p = 2 / 2^5 is not below 0.05; squares: a quarter of (1 - 1)^2 + (1 + 1)^2 = 1, SE = sqrt(1 * 5 / 4) / 5 = 0.2236
    few = paired([Fraction(1)] * 5, range(5))
    assert few.p_value == pytest.approx(1 / 16)
    assert few.detectable == pytest.approx(2.80158 * 0.22361, abs=1e-4)
    assert few.more_problems == 1
    assert paired([Fraction(0)] * 20, range(20)).detectable > 0.05
    thirds = paired([Fraction(1, 3), Fraction(1, 3), Fraction(-2, 3)] * 4, range(12))
    assert (thirds.difference, thirds.more_problems) == (0, None)


def test_of_one_cluster_nothing_is_known() -> None:
    alone = paired([Fraction(1), Fraction(0), Fraction(1)], ["all"] * 3)
    assert (alone.p_value, alone.more_problems, alone.detectable) == (1, None, math.inf)


def test_clusters_count_and_not_their_problems() -> None:
    differences = [Fraction(1)] * 8 + [Fraction(0)] * 24
    apart, together = paired(differences, range(32)), paired(differences, [i // 8 for i in range(32)])
    assert apart.p_value == pytest.approx(2 / 2**8)
    assert together.p_value == pytest.approx(1.0)  # one cluster of four moved: it could as well have moved the other way
    assert (together.problems, together.clusters) == (32, 4)
    assert together.detectable > apart.detectable


@pytest.mark.parametrize(("problems", "samples", "size"), [(100, 8, 1), (60, 4, 3)])
def test_p_values_are_uniform_where_nothing_differs(problems: int, samples: int, size: int) -> None:
    rng = np.random.default_rng(5)
    draws, found = 1000, []
    for _ in range(draws):
        # two models of the same chances; problems of one cluster have one, and what one model drew the other did not
        chances = np.repeat(rng.beta(0.6, 0.6, problems // size), size)
        shifts = np.repeat(rng.normal(0, 0.2, problems // size), size) if size > 1 else 0
        pair = [rng.binomial(samples, np.clip(chances + sign * shifts, 0, 1)) for sign in (1, -1)]
        sums = (pair[1] - pair[0]).reshape(-1, size).sum(axis=1)
        found.append(sign_flip_p_value([Fraction(int(one), samples) for one in sums]))
    for level in (0.01, 0.05, 0.1, 0.3, 0.5, 0.8):
        share = np.mean(np.asarray(found) <= level)
        # four standard errors above; below, steps of the discrete distribution too
        error = (level * (1 - level) / draws) ** 0.5
        assert level - 4 * error - 0.02 <= share <= level + 4 * error, (level, share)


def test_the_test_finds_a_difference_as_often_as_it_says() -> None:
    rng = np.random.default_rng(6)
    draws, differing = 300, []
    for _ in range(draws):
        chances = rng.beta(0.6, 0.6, 120)
        pair = [rng.binomial(4, chances), rng.binomial(4, np.clip(chances + 0.06, 0, 1))]
        differing.append(paired([Fraction(int(b - a), 4) for a, b in zip(*pair, strict=True)], range(120)))
    power = float(np.mean([one.p_value < 0.05 for one in differing]))
    # `detectable` is what is found in 80 %; a difference of 0.06 is cut where chances end at 1
    mean = float(np.mean([one.difference for one in differing]))
    usual = float(np.median([one.detectable for one in differing]))
    expected = 0.5 * (1 + math.erf((2.80158 * mean / usual - 1.95996) / 2**0.5))
    assert 0.3 < expected < 0.95
    assert power == pytest.approx(expected, abs=0.08)
