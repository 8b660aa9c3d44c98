"""The math verifier on its own labelled corpus: by class, both ways of handing in an answer, and in both directions."""

import pytest
from math_pairs import COMPLETIONS, PAIRS

from rewards.math import compare_texts, grade

BARE = [(name, *case) for name, cases in PAIRS.items() for case in cases]
WHOLE = [(name, *case) for name, cases in COMPLETIONS.items() for case in cases]
ONE_WAY = {
    "hedges",
    "nonsense",
    "markup",
    "second pass",
    "fourth pass",
    "fifth pass",
    "arbitrary constants",  # the reference decides which names are arbitrary
}  # the answer side may be no reference at all


@pytest.mark.parametrize("name", sorted(PAIRS))
def test_bare_answers_get_their_label(name: str) -> None:
    missed = [
        (reference, answer, verdict.status, verdict.detail)
        for reference, answer, right in PAIRS[name]
        if ((verdict := grade(reference, answer)).status == "correct") != right
    ]
    assert not missed


@pytest.mark.parametrize("name", sorted(PAIRS))
def test_boxed_answers_get_their_label(name: str) -> None:
    boxable = [
        case
        for case in PAIRS[name]
        if "box" not in case[1] and "nswer" not in case[1] and case[1].count("{") == case[1].count("}")
    ]
    missed = [
        (reference, answer, verdict.status, verdict.detail)
        for reference, answer, right in boxable
        if ((verdict := grade(reference, f"So \\boxed{{{answer}}}")).status == "correct") != right and answer != "5}{"
    ]
    assert not missed


@pytest.mark.parametrize("name", sorted(COMPLETIONS))
def test_completions_get_their_label(name: str) -> None:
    missed = [
        (reference, completion, verdict.status, verdict.detail)
        for reference, completion, right in COMPLETIONS[name]
        if ((verdict := grade(reference, completion)).status == "correct") != right
    ]
    assert not missed


@pytest.mark.parametrize("name", sorted(set(PAIRS) - ONE_WAY))
def test_comparison_is_symmetric_for_equal_objects(name: str) -> None:
    missed = [
        (reference, answer)
        for reference, answer, right in PAIRS[name]
        if right and "\\boxed" not in answer and compare_texts(answer, reference)[0] != "correct"
    ]
    # An answer may name what it computes ("m + n = 5"), a reference of that form is an equation; lists against points and
    # words with an explanation are decided by the type of the reference.
    one_way = {"m+n=5", "C. 42", "(C) 42", "Option C", "c", "d", "3,4"}
    assert not [pair for pair in missed if pair[1] not in one_way]


def test_the_corpus_is_large_and_balanced() -> None:
    labels = [right for *_, right in BARE + WHOLE]
    assert len(labels) > 1000
    assert 0.3 < sum(labels) / len(labels) < 0.8


@pytest.mark.parametrize(
    ("prompt", "reference", "answer", "right"),
    [
        ("What percent of the numbers are even?", "50\\%", "50", True),
        ("What fraction of the numbers are even?", "50\\%", "50", False),
        ("What percent of the numbers are even?", "50", "50\\%", True),
        ("Compute $\\binom{10}{3}$.", "120", "\\binom{10}{3}", False),  # repeats the question
        ("How many ways are there?", "120", "\\binom{10}{3}", True),
    ],
)
def test_the_prompt_decides_percentages_and_echoes(prompt: str, reference: str, answer: str, right: bool) -> None:
    assert (grade(reference, answer, prompt).status == "correct") == right


def test_a_missing_reference_is_an_error_and_not_a_wrong_answer() -> None:
    assert [grade(reference, "\\boxed{5}").status for reference in (None, "", "  ", "$$")] == ["error"] * 4


def test_the_detail_names_both_sides_and_the_rule() -> None:
    verdict = grade("\\frac{1}{2}", "The answer is \\boxed{0.5}")
    assert verdict.detail == "exact rationals; reference: \\frac{1}{2}; answer (box): 0.5"
