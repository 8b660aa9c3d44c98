"""Decontamination: a copy is found however it is dressed up, and what is only of the same kind is not."""

import re

import pytest
from support_pure import public_data

from problems.catalog import DOMAINS
from problems.numerals import digits_of
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
    "hundreds with and": ASKED.replace("48", "one hundred and forty eight").replace("3}", "11}"),
    "Chinese numerals": ASKED.replace("48", "\u56db\u5341\u516b").replace("3", "\u4e09"),
    "a fraction without braces": ASKED.replace("\\frac{3}{4}", "\\frac34").replace("dollars", "Dollars"),
    "a fraction in a line": ASKED.replace("\\frac{3}{4}", "3/4"),
    "other numbers and signs": ASKED.replace("48", "-13"),
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
    assert tokens_of("two thousand three hundred and five; two million and six") == ["2305", "2000006"]
    assert tokens_of("between one hundred and two hundred and so on") == ["between", "100", "and", "200", "and", "so", "on"]
    assert tokens_of("a thousand and a hundred and") == ["a", "thousand", "and", "a", "hundred", "and"]


def test_chinese_numerals_are_read_as_they_are_said() -> None:
    # forty-eight, three hundred and five, twelve thousand and thirty, ten, and the digits of a year
    said = (
        "\u56db\u5341\u516b \u4e09\u767e\u96f6\u4e94 \u4e00\u4e07\u4e8c\u5343\u96f6\u4e09\u5341 \u5341 \u4e8c\u3007\u4e8c\u56db"
    )
    assert digits_of(said).split() == ["48", "305", "12030", "10", "2024"]


def test_a_thousand_clean_problems_are_left_alone(index: OverlapIndex) -> None:
    for domain in ("letters", "arithmetic"):
        source = ProceduralSource(domain=DOMAINS[domain], config=DOMAINS[domain].config(), seed=0)
        assert not [problem for i in range(500) if index.find((problem := source.get("train", i)).prompt)]


def renumbered(text: str) -> str:
    return re.sub(r"\d", lambda found: str((int(found[0]) + 3) % 9 + 1), text)


def in_other_digits(text: str) -> str:
    return "".join(chr(0x660 + int(one)) if one.isdecimal() else one for one in text)


def test_real_problems_are_found_in_every_dress_and_a_thousand_clean_ones_are_left() -> None:
    index, asked = OverlapIndex(), []
    for name, file, column in (("math500", "math500_test.jsonl", "problem"), ("gsm8k", "test.jsonl", "question")):
        rows = read_rows(public_data(name) / file)[::12]
        asked += [row[column] for row in rows]
    for number, text in enumerate(asked):
        index.add(text, f"eval:{number}")
    for dress in (str.upper, in_other_digits, lambda text: text.replace(" ", "  \n").replace("$", "\\)")):
        assert all(index.find(dress(text)) for text in asked)
    # two or three words and a formula say too little: with other numbers they are another problem
    long_enough = [text for text in asked if len(tokens_of(text)) >= 25]
    assert len(long_enough) > 100
    missed = [text for text in long_enough if not index.find(renumbered(text))]
    assert len(missed) <= 2, missed
    clean = read_rows(public_data("gsm8k") / "train.jsonl")[:1000]
    assert not [row for row in clean if index.find(row["question"])]
