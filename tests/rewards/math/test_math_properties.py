"""Properties of the comparison: a rewritten value is equal, a changed one is not, nothing but a verdict ever comes out."""

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from rewards.math import compare_texts, grade, parse
from rewards.math.tree import UnreadableError
from rewards.types import STATUSES

INTEGERS = st.integers(-(10**12), 10**12)
RATIONALS = st.fractions(min_value=-1000, max_value=1000, max_denominator=999)
SPELLINGS = [
    lambda q: f"{q.numerator}/{q.denominator}",
    lambda q: f"\\frac{{{q.numerator}}}{{{q.denominator}}}",
    lambda q: f"\\dfrac{{{3 * q.numerator}}}{{{3 * q.denominator}}}",
    lambda q: f"{'-' if q < 0 else ''}\\frac{{{abs(q.numerator)}}}{{{q.denominator}}}",
    lambda q: f"({q.numerator}) \\cdot {q.denominator}^{{-1}}",
    lambda q: f"x = {q.numerator}/{q.denominator}",
    lambda q: f"\\left({q.numerator} \\div {q.denominator}\\right)",
    lambda q: f"{q + 1} - 1",
    lambda q: f"\\sqrt[3]{{({q.numerator}/{q.denominator})^3}}",
]
TEXT = st.text(alphabet="0123456789xyni+-*/^_=<>()[]{}\\,.;:!%$|& abcpqrst'\u00b2\u221a\u03c0\u00b0\u2212\u00bd", max_size=60)


@given(RATIONALS, st.sampled_from(SPELLINGS), st.sampled_from(SPELLINGS))
def test_a_rational_equals_itself_however_written(value, one, other) -> None:
    assert compare_texts(one(value), other(value))[0] == "correct"


@given(
    RATIONALS, st.fractions(min_value=Fraction(1, 10**6), max_value=1), st.sampled_from(SPELLINGS), st.sampled_from(SPELLINGS)
)
def test_a_changed_rational_is_wrong(value, change, one, other) -> None:
    assert compare_texts(one(value), other(value + change))[0] == "wrong"


@given(INTEGERS)
def test_thousands_separators_do_not_change_an_integer(value) -> None:
    for text in (
        f"{value:,}",
        f"{value:,}".replace(",", "{,}"),
        f"{value:,}".replace(",", ",\\!"),
        f"{value:,}".replace(",", " "),
    ):
        assert compare_texts(str(value), text)[0] == "correct", text


@given(st.lists(st.integers(-5, 5), min_size=2, max_size=5), st.randoms(use_true_random=False))
def test_polynomials_are_equal_in_any_order_and_factored(roots, random) -> None:
    coefficients = [1]
    for root in roots:  # multiply by (x - root)
        coefficients = [a - root * b for a, b in zip([*coefficients, 0], [0, *coefficients], strict=True)]
    terms = [f"({c})x^{{{len(roots) - i}}}" for i, c in enumerate(coefficients)]
    random.shuffle(terms)
    factored = "".join(f"(x-({root}))" for root in roots)
    assert compare_texts(factored, "+".join(terms))[0] == "correct"
    assert compare_texts(factored, "+".join([*terms, "1"]))[0] == "wrong"


@given(st.sets(st.integers(-99, 99), min_size=2, max_size=6), st.randoms(use_true_random=False))
def test_sets_have_no_order_and_points_have(items, random) -> None:
    ordered = sorted(items)
    shuffled = ordered.copy()
    random.shuffle(shuffled)
    one, other = ", ".join(map(str, ordered)), ", ".join(map(str, shuffled))
    assert compare_texts(f"\\{{{one}\\}}", other)[0] == "correct"
    assert (compare_texts(f"({one})", f"({other})")[0] == "correct") == (ordered == shuffled)


@given(st.integers(-50, 50), st.integers(1, 50), st.booleans(), st.booleans())
def test_an_interval_is_its_inequality(low, width, left, right) -> None:
    high = low + width
    interval = f"{'[' if left else '('}{low}, {high}{']' if right else ')'}"
    chain = f"{low} {'<=' if left else '<'} x {'<=' if right else '<'} {high}"
    assert compare_texts(interval, chain)[0] == "correct"
    assert compare_texts(chain, interval)[0] == "correct"
    other = f"{'(' if left else '['}{low}, {high}{']' if right else ')'}"
    assert compare_texts(interval, other)[0] == "wrong"


@given(TEXT)
@settings(max_examples=300)
def test_any_text_gets_a_verdict_and_equals_itself(text) -> None:
    assert grade("5", text).status in ("correct", "wrong", "unparsed", "timeout")
    try:
        node = parse(text)
    except UnreadableError:
        return
    assert parse(text) == node
    if text.strip():
        assert compare_texts(text, text)[0] == "correct"


@given(TEXT, TEXT)
@settings(max_examples=300)
def test_any_pair_gets_a_verdict(one, other) -> None:
    assert compare_texts(one or "1", other)[0] in STATUSES  # an error too: any text may be the reference
