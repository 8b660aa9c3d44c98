r"""Units of measure by themselves: the table, what phrases mean, and how LaTeX runs become one phrase."""

from fractions import Fraction

import pytest

from rewards.math.grammar.choices import lettered, said_choice, wanted_choice
from rewards.math.grammar.dates import Date, date
from rewards.math.grammar.numerals import fold_number_words, fold_ordinals
from rewards.math.grammar.unit_runs import fold_units
from rewards.math.unit_table import UNITS
from rewards.math.units import amount, measure, ratio


@pytest.mark.parametrize(
    ("one", "other", "factor"),
    [  # by what a value in `other` is multiplied to be one in `one`
        ("J", "N m", 1),
        ("W", "kg m^2 / s^3", 1),
        ("V", "kg m^2 / (A s^3)", 1),
        ("C", "A s", 1),
        ("F", "C / V", 1),
        ("T", "kg / (A s^2)", 1),
        ("Ω", "V / A", 1),
        ("H", "V s / A", 1),
        ("Wb", "T m^2", 1),
        ("Pa", "N m^-2", 1),
        ("km / h", "m / s", Fraction(18, 5)),
        ("mph", "ft / s", Fraction(15, 22)),  # 3600 / 5280
        ("acre", "square feet", Fraction(1, 43560)),
        ("gal", "cubic inches", Fraction(1, 231)),
        ("atm", "torr", Fraction(1, 760)),
        ("J", "eV", Fraction("1.602176634e-19")),
        ("kWh", "MJ", Fraction(5, 18)),
        ("mol / L", "M", 1),
        ("J / (kg K)", "J / (g celsius)", 1000),
        ("lb", "oz", Fraction(1, 16)),
        ("month", "years", 12),
    ],
)
def test_units_convert_exactly(one: str, other: str, factor: Fraction) -> None:
    assert ratio(one, other) == factor
    assert ratio(other, one) == 1 / Fraction(factor)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("m", "m^2"), ("N m", "N / m"), ("J / (mol K)", "J K / mol"), ("km", "km / h"), ("rad / s", "Hz"),
        ("apples", "oranges"), ("g NaCl", "g KCl"), ("kg", "apples"), ("th", "days"), ("units", "square units"), ("$", "€"),
        ("per hour", "hours"), ("pages per day", "pages per person"), ("V", "A"),
    ],
)  # fmt: skip
def test_units_of_another_kind_conflict(one: str, other: str) -> None:
    assert ratio(one, other) is None
    assert ratio(other, one) is None


def test_every_prefix_is_its_power_of_ten() -> None:
    for prefix, power in {"k": 3, "M": 6, "G": 9, "T": 12, "m": -3, "μ": -6, "n": -9, "p": -12, "f": -15}.items():
        for unit in ("J", "eV", "W"):
            assert ratio(unit, prefix + unit) == Fraction(10) ** power
    for long, power in {"mega": 6, "giga": 9, "micro": -6, "pico": -12, "hecto": 2}.items():
        assert ratio("pascal", f"{long}pascals") == Fraction(10) ** power


def test_a_phrase_of_the_table_means_its_unit() -> None:
    for name, (dimensions, size) in UNITS.items():
        if name.isalpha() and name != "Mg":
            assert measure(name) == (tuple(sorted(dimensions.items())), size), name


def test_a_phrase_with_other_signs_or_of_any_length_is_none() -> None:
    assert amount("m = 3") is None
    assert amount("m)") is None
    assert amount("m " * 1000) is None
    assert measure("") is None


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        (r"9.8\mathrm{~m}\mathrm{~s}^{-2}", r"9.8\text{m s^-2}"),
        (r"25.1 \text{ kJ}/(\text{mol}\cdot\text{K})", r"25.1\text{kJ / (mol K)}"),
        (r"\SI{9.8}{\meter\per\second\squared}", r"9.8\text{meter second^-2}"),
        (r"\frac{1}{2}\ \frac{\mathrm{kg}}{\mathrm{m}^3}", r"\frac{1}{2}\text{(kg) / (m^3)}"),
        (r"25^\circ\mathrm{C}", r"25\text{celsius}"),
        ("5 g of NaCl", r"5\text{g NaCl}"),
        ("5 mT", r"5\text{mT'}"),  # the stroke says that it may be a product of names
        ("5 mT + 1", r"5\text{mT'} + 1"),
        # names, and what belongs to something else
        ("5 m", "5 m"),
        ("2mgh", "2mgh"),
        (r"\mathrm{A}\mathrm{C}", r"\mathrm{A}\mathrm{C}"),
        (r"3\mathrm{A}_4^2", r"3\mathrm{A}_4^2"),
        (r"x_5\mathrm{m}", r"x_5\mathrm{m}"),
        ("e^{2mT}", "e^{2mT}"),
        ("3 pV x", "3 pV x"),
        ("at 3 pm", "at 3 pm"),
    ],
)
def test_a_run_becomes_one_unit(text: str, folded: str) -> None:
    assert fold_units(text) == folded


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("forty-two", "42"),
        ("one hundred and five", "105"),
        ("two hundred fifty thousand", "250000"),
        ("two-thirds", r"\frac{2}{3}"),
        ("twenty-third", r"23\text{th}"),
        ("the seventh floor", r"7\text{th floor}"),
        ("half an hour", r"\frac{1}{2}\text{hour}"),
        ("seven or eight", "seven or eight"),
        ("one two", "one two"),
        ("a matter of taste", "a matter of taste"),
    ],
)
def test_numbers_in_words_are_read_from_the_front(text: str, folded: str) -> None:
    assert fold_number_words(text) == folded


def test_ordinals_have_the_ending_of_their_number() -> None:
    assert fold_ordinals("21st") == r"21\text{th}"
    assert fold_ordinals("112th") == r"112\text{th}"
    assert fold_ordinals("11st") == "11st"
    assert fold_ordinals("2^{nd}") == "2^{nd}"  # a power may be meant
    assert fold_ordinals(r"2^{\text{nd}}") == r"2\text{th}"


def test_one_choice_is_said_or_none() -> None:
    assert [wanted_choice(gold) for gold in ("B", r"\text{(J)}", "(b)", "b", "K", "B, C", "option d")] == [
        "B", "J", "B", None, None, None, "D",
    ]  # fmt: skip
    assert said_choice("A, since the last one is B") == "A"
    assert said_choice("D) because the sum is even") == "D"
    assert [said_choice(text) for text in ("D is wrong", "B or C", "A line", "A + B", "A) 3, B) 4", "C, maybe")] == [None] * 6
    assert lettered(r"\textbf{(B)}\ \frac{10}{3}") == ("B", r"\frac{10}{3}")
    assert lettered(r"\text{(B) 12}") == ("B", "12")
    assert lettered("(A) and (B)") is None


def test_dates_are_read_in_both_orders() -> None:
    assert date("june 20, 2021") == date("the 20th of june 2021") == Date(6, 20, 2021, None)
    assert date("friday, 20 june") == Date(6, 20, None, "friday")
    assert date("june 32") is None
    assert date("20 apples") is None
