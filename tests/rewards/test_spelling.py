"""A word is its letters in their order, however the answer is dressed; anything but one word commits to nothing."""

import pytest

from problems.types import Problem
from rewards.types import LENIENT, STRICT
from rewards.verifiers import verifier_of, verify


def asked(reference: str) -> Problem:
    return Problem(id="p", domain="letters", split="test", prompt="?", reference=reference, source="test")


@pytest.mark.parametrize(
    "text",
    [
        "\\boxed{tac}", "<think>c a t; t a c</think>\\boxed{tac}", "\\boxed{\\text{tac}}", '\\boxed{"tac"}', "\\boxed{Tac}",
        "\\boxed{t-a-c}", "\\boxed{t a c}", "\\boxed{t, a, c}", "The answer is tac.", 'The answer is "tac".', "#### tac",
        "<answer>tac</answer>", "\\boxed{the word tac}", "The answer is the word \u201ctac\u201d.",
    ],
)  # fmt: skip
def test_the_same_letters_in_the_same_order_pay(text: str) -> None:
    assert verify(asked("tac"), text).status == "correct"


@pytest.mark.parametrize("text", ["\\boxed{cat}", "\\boxed{c a t}", "\\boxed{tacs}", "\\boxed{ta}", "\\boxed{tca}"])
def test_other_letters_or_another_order_do_not(text: str) -> None:
    assert verify(asked("tac"), text).status == "wrong"


@pytest.mark.parametrize(
    "text",
    ["\\boxed{tac or cat}", "\\boxed{tac} \\boxed{cat}", "\\boxed{tac cat}", "\\boxed{}", "\\boxed{1}", "tac", "<think>tac",
     "\\boxed{" + "tac " * 100 + "}", "\\boxed{ta c}"],
)  # fmt: skip
def test_what_is_not_one_word_commits_to_nothing(text: str) -> None:
    assert verify(asked("tac"), text, STRICT).status == "unparsed"


def test_a_bare_word_is_read_leniently() -> None:
    assert verify(asked("tac"), "tac", LENIENT).status == "correct"
    assert verify(asked("tac"), "cat", LENIENT).status == "wrong"


@pytest.mark.parametrize(
    ("reference", "text", "status"),
    [  # what SmolLM2-135M-Instruct says untrained, and the like
        ("x", 'The 2nd letter of the word "oxen" is "X".', "correct"),
        ("n", 'The 6th letter of the word "genuine" is "G".', "wrong"),
        ("x", 'The 2nd letter of the word "oxen" is "OX".', "wrong"),
        ("apple", 'The word "apple" is longer than "plum".', "correct"),
        ("apple", 'The word "plum" is indeed longer than "apple".', "wrong"),
        ("apple", 'The words "plum" and "apple" are indeed longer.', "unparsed"),
        ("apple", '"plum" is longer. Then "apple" is longer.', "unparsed"),
        ("2", 'The letter "t" occurs twice in the word "contempt".', "correct"),
        ("2", 'The letter "e" occurs 1 time in the word "sincere" in the English language.', "wrong"),
        ("3", 'The letter "r" appears three times in the word "strawberry".', "correct"),
        ("nevil", 'The word "liven" spelled backwards is "nevil"', "correct"),
        ("emit", 'The word "time" is a word that has no sound when written backwards.', "unparsed"),
        ("x", '<think>the 2nd letter is "x".', "unparsed"),
    ],
)
def test_what_a_sentence_states_counts_leniently_only(reference: str, text: str, status: str) -> None:
    assert verify(asked(reference), text, LENIENT).status == status
    assert verify(asked(reference), text, STRICT).status == "unparsed"


@pytest.mark.parametrize("letter", ["a", "e", "i", "o"])
def test_a_letter_that_is_also_a_word_or_a_number_is_a_letter(letter: str) -> None:
    assert verify(asked(letter), f"\\boxed{{{letter}}}").status == "correct"
    assert verify(asked(letter), f"The answer is {letter}.").status == "correct"
    assert verify(asked(letter), "\\boxed{2.718281828}").status == "unparsed"
    assert verify(asked(letter), "\\boxed{s}").status == "wrong"


@pytest.mark.parametrize(
    ("text", "status"), [("\\boxed{3}", "correct"), ("\\boxed{three}", "correct"), ("\\boxed{2}", "wrong")]
)
def test_a_count_is_compared_as_a_number(text: str, status: str) -> None:
    assert verify(asked("3"), text).status == status


@pytest.mark.parametrize("reference", ["two words", "", "?!"])
def test_a_reference_that_is_neither_word_nor_number_is_our_fault(reference: str) -> None:
    entry = verifier_of("letters")
    assert "is not a word" in str(entry.fault(asked(reference)))
    assert verify(asked(reference), "\\boxed{two words}").status == "error"
    assert entry.fault(asked("7")) is entry.fault(asked("seven")) is None
