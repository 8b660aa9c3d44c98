"""What every verifier of short answers reads: one policy, two readings (rewards/answer.py). Math cases are in tests/data."""

import time

import pytest

from problems.types import Problem
from rewards.answer import after_thinking, committed_answers, final_answer, opens_thinking, reasoning_text
from rewards.code.judging.source import find_candidate
from rewards.types import LENIENT, STRICT, Reading
from rewards.verifiers import verify

OPEN = Reading(thinking_open=True)
OPEN_LENIENT = Reading(policy="lenient", thinking_open=True)
EVERY_READING = [STRICT, LENIENT]


def number_problem(reference: str = "21") -> Problem:
    return Problem(id="p", split="train", source="s", domain="gsm8k", prompt="?", reference=reference)


def countdown_problem() -> Problem:
    return Problem(
        id="p",
        split="train",
        source="s",
        domain="countdown",
        prompt="?",
        reference=None,
        checks={"numbers": [2, 6], "target": 12},
    )


MARKED = [
    r"so \boxed{21}",
    "<answer>21</answer>",
    "#### 21",
    "The answer is 21.",
    "The answer is 21 because 3 times 7 is 9.",
    "**Answer:** 21",
    "### Answer\n21",
    "答案是21。",
]
ONLY_LENIENT = [
    "21",
    "Therefore he has 21 apples.",
    "3 * 7 = 21",
    "We multiply.\n\n**21**",
    "所以有21个。",
    "Answer: He has 21 apples.",
]
NOTHING = [
    "The answer is at least 21.",
    "So it is less than 21.",
    "Is the answer 21?",
    "The answer is not 21.",
    "If the answer is 21, then n is odd.",
    "Some may think the answer is 21, but that counts twice.",
    "The answer is 21. Wait, no, that is wrong.",
    r"\boxed{21}. Wait, that's wrong.",
    "I do not know.",
    "",
]


@pytest.mark.parametrize("reading", EVERY_READING)
@pytest.mark.parametrize("text", MARKED)
def test_a_mark_is_read_alike_in_both_readings_and_by_every_verifier(text: str, reading: Reading) -> None:
    assert committed_answers(text, reading) == committed_answers(text, STRICT)
    assert verify(number_problem(), text, reading).status == "correct"
    assert verify(number_problem("9"), text, reading).status == "wrong"


@pytest.mark.parametrize("text", ONLY_LENIENT)
def test_prose_is_read_in_the_lenient_reading_only(text: str) -> None:
    assert verify(number_problem(), text, LENIENT).status == "correct"
    assert verify(number_problem(), text, STRICT).status == "unparsed"


@pytest.mark.parametrize("reading", EVERY_READING)
@pytest.mark.parametrize("text", NOTHING)
def test_what_commits_to_nothing_pays_in_no_reading(text: str, reading: Reading) -> None:
    assert verify(number_problem(), text, reading).status in ("wrong", "unparsed")


@pytest.mark.parametrize("text", ["The answer is 6*2.", "The answer is 6*2 = 12.", r"\boxed{6 \times 2}"])
def test_countdown_reads_by_the_same_policy(text: str) -> None:
    assert verify(countdown_problem(), text, STRICT).status == "correct"
    assert verify(countdown_problem(), "6 * 2 = 12", LENIENT).status == "correct"
    assert verify(countdown_problem(), "6 * 2 = 12", STRICT).status == "unparsed"


@pytest.mark.parametrize("reading", [OPEN, OPEN_LENIENT])
@pytest.mark.parametrize("text", [*MARKED, *ONLY_LENIENT])
def test_a_thought_that_the_prompt_opened_holds_no_answer_until_it_closes(text: str, reading: Reading) -> None:
    assert final_answer(text, reading) is None
    assert final_answer(f"so 8?</think>{text}", reading) == final_answer(text, Reading(policy=reading.policy))


def test_a_program_in_an_open_thought_is_none() -> None:
    program = "```python\nprint(1)\n```"
    assert find_candidate(program, thinking_open=True) is None
    assert find_candidate(f"hm</think>{program}", thinking_open=True) == find_candidate(program)


@pytest.mark.parametrize(
    ("opening", "closing"),
    [
        ("<think>", "</think>"),
        ("<reasoning>", "</reasoning>"),
        ("[THINK]", "[/THINK]"),
        ("<|begin_of_thought|>", "<|end_of_thought|>"),
        ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),
    ],
)
def test_every_family_has_its_marks_of_thinking(opening: str, closing: str) -> None:
    assert after_thinking(f"{opening}a{closing}b") == "b"
    assert after_thinking(f"{opening}a") is None
    assert after_thinking(f"{opening}a{closing}b{opening}c") is None
    assert reasoning_text(f"{opening}a{closing}b") == f"{opening}a{closing}"


def test_a_prompt_that_ends_in_a_thought_is_seen() -> None:
    assert opens_thinking("user: 1+1?\nassistant: <think>\n")
    assert not opens_thinking("user: what does <think> mean?")


@pytest.mark.parametrize("reading", EVERY_READING)
@pytest.mark.parametrize(
    "unit",
    [
        "\n",
        "#",
        "- ",
        "$",
        "\\[",
        "x",
        "所以",
        "1 ",
        "1,",
        "the answer is ",
        "answer     ",
        "final ",
        "or ",
        "**a",
        "wait, no ",
        "```",
        "\nQuestion: ",
        "\\text{ ",
        "(a b ",
        "because ",
        "if a, ",
        "1. a\n",
        "a:\n",
        "\n\nTom has how many of them in it altogether?\n",
    ],
)
def test_reading_hostile_text_takes_linear_time(unit: str, reading: Reading) -> None:
    text = unit * (40_000 // len(unit))
    started = time.process_time()
    for whole in (text, f"5 {text}", f"The answer is {text}", f"{text} = 5.", f"\\boxed{{5}} {text}"):
        committed_answers(whole, reading)
    assert time.process_time() - started < 4  # five texts; anything quadratic takes minutes
