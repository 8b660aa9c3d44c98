"""What domains with worked steps share: formulas as people write them, and numbers near the right ones."""

import re
from fractions import Fraction
from random import Random

import pytest

from problems.formulas import decimal, pair_with, polynomial, prime_factors, square_part, sum_of
from problems.types import ProblemError
from problems.worked import drawn, nearby


def test_formulas_are_written_as_people_do() -> None:
    assert polynomial([1, -5, 0, 6]) == "x^3-5x^2+6"
    assert polynomial([-1, 1, -1]) == "-x^2+x-1"
    assert polynomial([0, 0]) == "0"
    assert polynomial("abc") == "ax^2+bx+c"
    assert sum_of([3, -2, "x", "-y"]) == "3-2+x-y"
    assert [decimal(Fraction(*one)) for one in [(7, 2), (-1, 20), (300, 1), (0, 1)]] == ["3.5", "-0.05", "300", "0"]
    with pytest.raises(ProblemError, match="1/3 has no end"):
        decimal(Fraction(1, 3))


def test_pairs_are_found_by_trying() -> None:
    # 1*6 and (-1)*(-6) have the sums 7 and -7; 2*3 has 5
    assert pair_with(6, 5) == ([("1+6", 7), ("-1-6", -7), ("2+3", 5)], (2, 3))
    assert pair_with(-6, 1)[1] == (-2, 3)
    with pytest.raises(ProblemError, match="no two whole numbers"):
        pair_with(6, 4)


def test_prime_factors_and_squares() -> None:
    assert [prime_factors(number) for number in (2, 12, 97, 91)] == [[2], [2, 2, 3], [97], [7, 13]]
    assert [square_part(number) for number in (1, 8, 72, 30)] == [1, 2, 6, 1]


@pytest.mark.parametrize("text", ["3", "0", "-7/2", "(2, -3)", "0.05", "12x^3-4x", r"\frac{1-\sqrt{5}}{2}"])
def test_a_number_nearby_is_another_one(text: str) -> None:
    changed = {nearby(Random(seed), text) for seed in range(50)}
    assert text not in changed
    assert len(changed) > 2
    assert not any(re.search(r"/0|\{0\}$|\d\.\d$", one) for one in changed)


def test_settings_that_allow_nothing_are_an_error_and_no_endless_search() -> None:
    with pytest.raises(ProblemError, match="the settings allow too few"):
        drawn(Random(0), lambda rng: rng.random(), lambda value: value > 1)
