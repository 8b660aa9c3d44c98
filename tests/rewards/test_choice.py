"""A choice is judged by its letter alone: in every way of marking one, never out of a sentence."""

import pytest

from problems.catalog import perturb, solve
from problems.types import Problem
from rewards.types import LENIENT, STRICT
from rewards.verifiers import verify

CHOICES = ["Lyon", "Paris", "a town in Texas", "$\\text{Rome}$"]


def choice(reference: str | None = "B", choices: object = CHOICES) -> Problem:
    checks = {"choices": choices}
    return Problem(id="c", domain="choice", split="test", prompt="?", reference=reference, checks=checks, source="here:1")


@pytest.mark.parametrize(
    "text",
    [
        *("\\boxed{B}", "\\boxed{b}", "\\boxed{(B)}", "\\boxed{\\text{(B)}}", "\\boxed{B.}", "<answer>(B)</answer>", "#### B"),
        *("\\boxed{\\textbf{(B)}\\ Paris}", "\\boxed{\\textbf{(B)}~\\text{Paris}}", "\\boxed{B}. Or so it says."),
        *("The answer is (B).", "Answer: B", "**Answer:** B. Paris", "\\boxed{B. Paris}", "<think>A? No.</think>\\boxed{B}"),
    ],
)
def test_the_right_letter_pays_however_it_is_marked(text: str) -> None:
    assert verify(choice(), text).status == "correct"
    assert verify(choice("C"), text).status == "wrong"


@pytest.mark.parametrize(
    "text",
    [
        *("\\boxed{Paris}", "\\boxed{A, B}", "\\boxed{AB}", "\\boxed{A} or \\boxed{B}", "\\boxed{B. Lyon}", "\\boxed{Z}", ""),
        *(
            "\\boxed{B} or C",
            "\\boxed{B}, maybe C",
            "$\\boxed{B}$ or C",
            "<answer>B</answer> or C",
            "\\boxed{\\textbf{(B)}\\ Lyon}",
        ),
        *("So I think B is right.", "B is what it shows, a dog is B", "The answer is a dog.", "The answer is a", "I choose B"),
    ],
)
@pytest.mark.parametrize("reading", [STRICT, LENIENT], ids=["strict", "lenient"])
def test_a_text_that_is_no_single_letter_is_unparsed(text: str, reading) -> None:
    for reference in "ABC":
        assert verify(choice(reference), text, reading).status == "unparsed"


def test_a_bare_letter_counts_in_the_lenient_reading_alone() -> None:
    assert verify(choice(), "B", LENIENT).status == "correct"
    assert verify(choice(), "(B)", LENIENT).status == "correct"
    assert verify(choice(), "B").status == "unparsed"


@pytest.mark.parametrize(("reference", "choices"), [("E", CHOICES), ("", CHOICES), (None, CHOICES), ("A", ["x"]), ("A", None)])
def test_a_problem_without_such_a_choice_is_an_error(reference, choices) -> None:
    assert verify(choice(reference, choices), "\\boxed{A}").status == "error"


def test_solutions_pay_and_wrong_letters_do_not() -> None:
    assert verify(choice(), solve(choice(), "direct")).status == "correct"
    assert perturb(choice()) in "ACD"
