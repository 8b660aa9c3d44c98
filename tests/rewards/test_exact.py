"""A short text is paid for as it was asked for: no other case, no other order, nothing beside it, and not two of them."""

import time

import pytest

from problems.types import Problem
from rewards.types import LENIENT
from rewards.verifiers import verifier_of, verify


def asked(reference: str | None, **checks: object) -> Problem:
    return Problem(id="p", domain="copying", split="test", prompt="?", reference=reference, checks=checks, source="test")


@pytest.mark.parametrize(
    "text",
    [
        "\\boxed{aB3x}", "<think>Ab3x, no</think>\\boxed{aB3x}", "\\boxed{ aB3x }", "\\boxed{\\text{aB3x}}", '\\boxed{"aB3x"}',
        "\\boxed{`aB3x`}", "\\boxed{$\\texttt{aB3x}$}", "The answer is aB3x.", "#### aB3x", "<answer>aB3x</answer>",
        "\\boxed{Ab3x} Wait, no: \\boxed{aB3x}", "\\boxed{aB3x}. Or so it says.",
    ],
)  # fmt: skip
def test_the_text_itself_pays_however_it_is_marked_or_dressed(text: str) -> None:
    assert verify(asked("aB3x"), text).status == "correct"


@pytest.mark.parametrize(
    "answer",
    [
        "ab3x", "AB3X", "aB3", "aB3xx", "aB3x.", "a B 3 x", "a,B,3,x", "a-B-3-x", "the text aB3x", "aB3x and Ab3x",
        "aB3x, Ab3x", "aB3x or Ab3x", "x=aB3x", "[aB3x]", "(aB3x)", '"aB3x', "aB3x\\%", "\\text{aB}3x",
        "aB3x aB3x", "a\u200bB3x", "\u0430B3x",
    ],
)  # fmt: skip
def test_nothing_but_the_text_pays(answer: str) -> None:
    assert verify(asked("aB3x"), f"\\boxed{{{answer}}}").status == "wrong"


@pytest.mark.parametrize("order", [("aB3x", "Ab3x"), ("Ab3x", "aB3x")])
@pytest.mark.parametrize(
    "text", ["\\boxed{{{}}} or \\boxed{{{}}}", "\\boxed{{{}}} \\boxed{{{}}}", "\\boxed{{{}}} or {}", "\\boxed{{{}}}, maybe {}",
     "<answer>{}</answer> or {}", "<answer>{}</answer>, perhaps {}", "<answer>{} or {}</answer>"],
)  # fmt: skip
def test_two_answers_are_none(text: str, order: tuple[str, str]) -> None:
    assert verify(asked("aB3x"), text.format(*order)).status != "correct"


@pytest.mark.parametrize(
    "text", ["", "aB3x", "\\boxed{}", "\\boxed{aB3x", "<think>\\boxed{aB3x}", "\\boxed{ }", "I copy aB3x here"]
)
def test_what_marks_no_answer_says_nothing(text: str) -> None:
    assert verify(asked("aB3x"), text).status == "unparsed"


def test_a_bare_text_is_read_leniently() -> None:
    assert verify(asked("aB3x"), "aB3x", LENIENT).status == "correct"
    assert verify(asked("aB3x"), "ab3x", LENIENT).status == "wrong"


def test_a_tilde_of_the_text_itself_is_no_space() -> None:
    assert verify(asked("a~b"), "\\boxed{a~b}").status == "correct"
    assert verify(asked("a~b"), "\\boxed{a b}").status == "wrong"


@pytest.mark.parametrize(
    ("answer", "status"),
    [("3, 5", "correct"), ("3,5", "correct"), ("3 ,  5", "correct"), ("3\n,5", "correct"), ("5, 3", "wrong"), ("3 5", "wrong"),
     ("35", "wrong"), ("3,,5", "wrong"), ("[3, 5]", "wrong"), ("3, 5,", "wrong"), ("03, 5", "wrong"), ("3, 5.0", "wrong"),
     ("3,\\ 5", "correct"), ("3,\\, 5", "correct"), ("3,~5", "correct"),
     ("\\text{3}, \\text{5}", "correct"), ("$3$, $5$", "correct"), ('"3", "5"', "correct"), ("\\text{3,\\ 5}", "correct"),
     ("3\\,5", "wrong"), ("3\\ 5", "wrong"), ("3~5", "wrong"), ("\\text{5}, \\text{3}", "wrong"), ("(3), (5)", "wrong")],
)  # fmt: skip
def test_in_a_list_only_the_space_beside_commas_is_free(answer: str, status: str) -> None:
    assert verify(asked("3, 5"), f"\\boxed{{{answer}}}").status == status


@pytest.mark.parametrize("answer", ["12,34", "12\n34", "12, 34", "12\\\\34"])
def test_rows_on_lines_of_their_own_are_a_list(answer: str) -> None:
    assert verify(asked("12,34"), f"\\boxed{{{answer}}}").status == "correct"
    assert verify(asked("34,12"), f"\\boxed{{{answer}}}").status == "wrong"


def test_case_is_free_only_where_the_problem_says_so() -> None:
    assert verify(asked("Monday", ignore_case=True), "\\boxed{MONDAY}").status == "correct"
    assert verify(asked("Monday", ignore_case=True), "\\boxed{Mon}").status == "wrong"
    assert verify(asked("Monday"), "\\boxed{monday}").status == "wrong"
    assert verify(asked("Monday", ignore_case="yes"), "\\boxed{monday}").status == "wrong"


@pytest.mark.parametrize("reference", [None, "", " ", '""', "a{b}", "x" * 10_001])
def test_a_reference_that_no_answer_can_equal_is_our_fault(reference: str | None) -> None:
    entry = verifier_of("copying")
    assert entry is not None
    assert "is not a text" in str(entry.fault(asked(reference)))
    assert verify(asked(reference), "\\boxed{a}").status == "error"
    assert entry.fault(asked("x" * 10_000)) is None


@pytest.mark.parametrize(
    "piece",
    ["a", " ", ",", " ,", '"', "$", "\\text{", "`", "**", "\\boxed{a} ", "or ", "\u201c", "~", "\\ ", "\\,", '"a",', ",~"],
)
def test_a_very_long_answer_is_wrong_and_stalls_nothing(piece: str) -> None:
    started = time.process_time()
    verdict = verify(asked("aB3x"), f"\\boxed{{{piece * (200_000 // len(piece))}}}")
    assert verdict.status in ("wrong", "unparsed")
    assert len(verdict.extracted or "") <= 10_000
    assert time.process_time() - started < 5  # 0.01 to 0.3 s; what takes the square of the length takes minutes
