"""Decontamination: a copy is found however it is dressed up, and what is only of the same kind is not."""

import pytest
from support_pure import public_data

from problems.catalog import DOMAINS
from problems.overlap import OverlapIndex, tokens_of
from problems.procedural import ProceduralSource
from problems.rows import read_rows

ASKED = (
    "A baker sells 48 rolls on Monday and half as many on Tuesday. Every roll costs $\\frac{3}{4}$ dollars. "
    "How many dollars does the baker earn on the two days?"
)
PLANTED = {
    "verbatim": ASKED,
    "re-spaced": ASKED.replace(" ", "  \n").replace("$", " $ "),
    "other case and dressing": ASKED.upper().replace("\\FRAC", "\\dfrac").replace("$", "\\("),
    "a number in front": f"Problem 12. {ASKED}",
    "another number in front": f"7) {ASKED}",
    "other numbers": ASKED.replace("48", "1,052").replace("\\frac{3}{4}", "\\frac{7}{8}"),
    "numerals in words": ASKED.replace("48", "forty-eight").replace("two days", "2 days"),
    "fullwidth and Indian numerals": ASKED.replace("48", "\uff14\uff18").replace("3", "\u0969"),
    "inside of another text": f"Read this with care, it is worth a hundred points. {ASKED} Explain each step in words.",
    "one word changed": ASKED.replace("Tuesday", "Wednesday"),
}


@pytest.fixture
def index() -> OverlapIndex:
    made = OverlapIndex()
    made.add("What is 3+4?", "short:1")
    made.add(ASKED, "eval:1")
    for number in range(6):  # a way of asking: no copy of any of them
        made.add(
            f"{number} times: find m+n where m and n are relatively prime positive integers and m/n is a root of it", "way"
        )
    return made


@pytest.mark.parametrize("how", PLANTED)
def test_a_planted_copy_is_found(index: OverlapIndex, how: str) -> None:
    overlap = index.find(PLANTED[how])
    assert overlap is not None
    assert overlap.source == "eval:1"


def test_kinds_are_told_apart_and_short_texts_must_be_the_same(index: OverlapIndex) -> None:
    assert index.find(PLANTED["re-spaced"]).kind == "exact"
    assert index.find(PLANTED["other numbers"]).kind == "renumbered"
    assert index.find(PLANTED["one word changed"]).kind == "13-gram"
    assert index.find("what is  3 + 4 ?").source == "short:1"
    assert index.find("What is 3+5?") is None
    assert index.find("What is 3*4?") is None
    assert index.find("") is None


def test_a_drawing_makes_the_same_words_another_problem(index: OverlapIndex) -> None:
    index.add("In the diagram, what is x? [asy] draw((0,0)--(1,1)); [/asy]", "drawn:1")
    assert index.find("In the diagram, what is x? [asy] draw((0,0)--(1,1)); [/asy]").kind == "exact"
    assert index.find("In the diagram, what is x? [asy] draw((0,0)--(2,5)); [/asy]") is None


def test_one_shared_row_of_words_is_no_copy(index: OverlapIndex) -> None:
    begin = "Two ships leave the harbour of Genoa at noon, one sails north at 12 knots and the other one sails west. "
    assert index.find(begin + "How many dollars does the baker earn on the two days? He waits for both.") is None


def test_numbers_in_words_are_read_as_they_are_said() -> None:
    said = "twenty-five is three hundred four is two thousand is seven eight is one hundred twenty"
    assert tokens_of(said) == ["25", "is", "304", "is", "2000", "is", "7", "8", "is", "120"]


def test_a_thousand_clean_problems_are_left_alone(index: OverlapIndex) -> None:
    for domain in ("letters", "arithmetic"):
        source = ProceduralSource(domain=DOMAINS[domain], config=DOMAINS[domain].config(), seed=0)
        assert not [problem for i in range(500) if index.find((problem := source.get("train", i)).prompt)]


def test_gsm8k_is_clean_of_math500_as_downloaded() -> None:
    index = OverlapIndex()
    for number, row in enumerate(read_rows(public_data("math500") / "math500_test.jsonl")):
        index.add(row["problem"], f"math500:{number}")
    rows = read_rows(public_data("gsm8k") / "train.jsonl")[:1000]
    assert not [row for row in rows if index.find(row["question"])]
