"""What decides where digits alone would not: bounds for algebraic numbers, secret primes and points, hidden digits."""

import math

import pytest

from rewards.math import compare_texts
from rewards.math.equality.algebraic import is_zero
from rewards.math.equality.digits import Measured
from rewards.math.equality.exact import PRIMES
from rewards.math.equality.points import Point, places, secret_places
from rewards.math.equality.steps import step_places
from rewards.math.grammar.parser import parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\\sqrt{3+2\\sqrt2}-1-\\sqrt2", True),  # (1 + sqrt 2)^2 = 3 + 2 sqrt 2
        ("\\sqrt{3+2\\sqrt2}-1-\\sqrt2+10^{-2000}", False),
        ("(\\sqrt2-1)^{5000}", False),  # about 10^-1914
        ("\\sqrt[3]{2+\\sqrt5}+\\sqrt[3]{2-\\sqrt5}-1", True),  # real cube roots: the golden ratio and its conjugate
        ("\\cos\\frac{\\pi}{5}-\\frac{1+\\sqrt5}{4}", True),
        ("e^{2\\pi i/3}+e^{-2\\pi i/3}+1", True),  # the third roots of unity sum to zero
        ("\\sqrt{-4}-2i", True),
        ("|1-\\sqrt2|-1+\\sqrt2", False),  # |1 - sqrt 2| = sqrt 2 - 1
        ("\\pi-\\pi", None),  # pi is not algebraic
        ("\\frac{1}{\\sqrt8-2\\sqrt2}", None),  # undefined
        ("\\lfloor\\sqrt2\\rfloor-1", None),
        ("\\sqrt[1000]{2}-1", None),  # the index is above the limit
    ],
)
def test_zero_is_told_from_small_numbers(text: str, expected: bool | None) -> None:
    assert is_zero(parse(text)) is expected


def test_no_power_that_can_be_written_is_one_modulo_the_primes() -> None:
    for prime, root in PRIMES:
        half = (prime - 1) // 4
        assert root * root % prime == prime - 1
        assert all(half % small for small in range(2, 10_000))  # p = 4q + 1, and q has no small factor
        assert pow(3, half, prime) != 1 or pow(5, half, prime) != 1 or pow(7, half, prime) != 1


def test_agreement_at_the_known_points_is_not_enough() -> None:
    known = [place["x"] for place in places(frozenset("x"), frozenset(), 12)]
    vanishing = "".join(f"(x-\\frac{{{value.numerator}}}{{{value.denominator}}})" for value in known)
    assert compare_texts("\\sqrt{x^2+2}", f"\\sqrt{{x^2+2}}+{vanishing}\\sqrt{{x^2+3}}")[0] == "wrong"
    assert compare_texts("\\sin 2x", f"2\\sin x\\cos x+{vanishing}")[0] == "wrong"
    assert compare_texts("\\sin 2x", "2\\sin x\\cos x")[0] == "correct"


def test_secret_points_stay_in_their_range() -> None:
    values = [place["x"] for place in secret_places(frozenset("x"), frozenset())]
    assert all(0 < value <= 3 for value in values)
    assert len(set(values)) == len(values)
    integers = [place["n"] for place in secret_places(frozenset("n"), frozenset("n"))]
    assert integers[0] < integers[1] < integers[2] < 400


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("5^{900}+\\sqrt5", 620, 700),  # 900 log10 5 = 629
        ("\\tanh(400)", 340, 400),  # 1 - tanh 400 is about 2 e^-800 = 10^-347
        ("3^{10^{-300}}", 300, 320),
        ("\\cos(10^{-100})", 200, 340),  # 1 - cos h is h^2 / 2
        ("\\frac{1+\\sqrt5}{2}\\sin 3+\\ln 7", 0, 20),
    ],
)
def test_digits_that_are_needed_are_seen(text: str, least: int, most: int) -> None:
    node = parse(text)
    measured = Measured(40, {})
    measured.value(node)
    assert least <= measured.of(node).need.total() <= most


def test_rounding_is_told_from_a_value() -> None:
    """cosh 300 - sinh 300 is e^-300: of its 40 digits 10^130 leaves none, and the tolerance says so."""
    gold, answer = parse("\\cosh 300-\\sinh 300"), parse("e^{-300}")
    seen = Point({}, 40).both(gold, answer)
    assert seen.lost > 200
    assert seen.agree()
    assert Point({}, 400).both(gold, answer).agree()
    assert not Point({}, 400).both(gold, parse("e^{-301}")).agree()


def test_points_lie_on_both_sides_of_a_step() -> None:
    gold, answer = parse("\\lfloor q/7 \\rfloor"), parse("|q-1000|")
    values = [float(place["q"]) for place in step_places(gold, answer, places(frozenset("q"), frozenset(), 2), frozenset())]
    for step in (7, 49, 1000):
        assert any(value == step for value in values)
        assert any(step - 0.01 < value < step for value in values)
        assert any(step < value < step + 0.01 for value in values)


def test_every_verdict_of_a_huge_comparison_ends() -> None:
    sum_of_roots = "+".join(f"\\sqrt{{{n}}}" for n in range(2, 60) if math.isqrt(n) ** 2 != n)
    for gold, answer in [
        (sum_of_roots, sum_of_roots + "+\\sqrt{8}-2\\sqrt2"),
        ("\\pi^{5000}+\\ln 2", "\\pi^{5000}+\\ln 3"),
        ("\\lfloor 10^{3000}\\pi\\rfloor", "\\lceil 10^{3000}\\pi\\rceil"),
        ("\\Gamma(\\frac13)+10^{-1000}", "\\Gamma(\\frac13)"),
    ]:
        assert compare_texts(gold, answer)[0] in ("correct", "wrong", "timeout")
