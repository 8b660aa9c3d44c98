"""The math verifier on its own labelled corpus: by class, both ways of handing in an answer, and in both directions.

`tests/data/math_pairs.jsonl` holds bare answers, `math_completions.jsonl` what a model may write around them. A line is
`{"class", "reference", "answer", "right"}`; "right" is what a careful mathematician says under the policy in
`rewards/math/reading.py` and `rewards/math/equality/compare.py`: same object whatever the form, no tolerance beyond six
significant digits, conflicting units wrong, parentheses mean order. A right answer that would be no reference, with the
sides the other way around, has `"one_way": true` and says "why".
"""

import json
from dataclasses import dataclass

import pytest
from support_pure import ROOT

from rewards.math import compare_texts, grade


@dataclass(frozen=True, kw_only=True)
class Case:
    """One line: what the answer is, and whether it is right."""

    reference: str
    answer: str
    right: bool
    one_way: bool


def corpus(name: str) -> dict[str, list[Case]]:
    """Return the cases of a file by class, in the file's order."""
    classes: dict[str, list[Case]] = {}
    with (ROOT / "tests" / "data" / f"{name}.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            assert row["right"] or "one_way" not in row, "a wrong answer is wrong both ways"
            assert ("one_way" in row) <= ("why" in row), "what holds one way only says why"
            case = Case(reference=row["reference"], answer=row["answer"], right=row["right"], one_way=row.get("one_way", False))
            classes.setdefault(row["class"], []).append(case)
    return classes


PAIRS = corpus("math_pairs")
COMPLETIONS = corpus("math_completions")


def mislabelled(case: Case, text: str) -> list[tuple[str, str, str, str]]:
    """Return what the verifier says to `text` where that is not the label, else nothing."""
    verdict = grade(case.reference, text)
    if (verdict.status == "correct") == case.right:
        return []
    return [(case.reference, text, verdict.status, verdict.detail)]


def boxable(answer: str) -> bool:
    """Return whether the answer means the same inside of a box: no mark of its own, every brace closed in order."""
    return "box" not in answer and "nswer" not in answer and answer.count("{") == answer.count("}") and answer != "5}{"


@pytest.mark.parametrize("name", sorted(PAIRS))
def test_bare_answers_get_their_label(name: str) -> None:
    assert not [miss for case in PAIRS[name] for miss in mislabelled(case, case.answer)]


@pytest.mark.parametrize("name", sorted(PAIRS))
def test_boxed_answers_get_their_label(name: str) -> None:
    cases = [case for case in PAIRS[name] if boxable(case.answer)]
    assert not [miss for case in cases for miss in mislabelled(case, f"So \\boxed{{{case.answer}}}")]


@pytest.mark.parametrize("name", sorted(COMPLETIONS))
def test_completions_get_their_label(name: str) -> None:
    assert not [miss for case in COMPLETIONS[name] for miss in mislabelled(case, case.answer)]


@pytest.mark.parametrize("name", sorted(PAIRS))
def test_comparison_is_symmetric_for_equal_objects(name: str) -> None:
    for case in PAIRS[name]:
        if case.right:
            symmetric = compare_texts(case.answer, case.reference)[0] == "correct"
            assert symmetric != case.one_way, case


def test_the_corpus_is_large_and_balanced() -> None:
    labels = [case.right for classes in (PAIRS, COMPLETIONS) for cases in classes.values() for case in cases]
    assert len(labels) > 1000
    assert 0.3 < sum(labels) / len(labels) < 0.8


@pytest.mark.parametrize(
    ("prompt", "reference", "answer", "right"),
    [
        ("What percent of the numbers are even?", "50\\%", "50", True),
        ("What fraction of the numbers are even?", "50\\%", "50", True),
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
