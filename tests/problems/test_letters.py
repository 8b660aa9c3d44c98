"""Spelling problems: the answers hold, words belong to one split, every spelled letter is the word's own."""

import re
from collections import Counter
from typing import Any

import pytest
from pydantic import ValidationError
from word_list import word_list

from problems.catalog import SOURCE_MODELS, perturb, solve
from problems.domains import letters
from problems.domains.letters import LettersConfig
from problems.procedural import ProceduralSource
from problems.seeding import content_split
from problems.types import SPLITS, Problem, ProblemError
from rewards.verifiers import verify


def some_problems(split: str = "train", count: int = 200, seed: int = 0, **settings: Any) -> list[Problem]:
    source = ProceduralSource(domain=letters.DOMAIN, config=LettersConfig(**settings), seed=seed)
    return [source.get(split, index) for index in range(count)]


def words_asked_about(problem: Problem) -> set[str]:
    return {quoted for quoted in re.findall('"([a-z]+)"', problem.prompt) if len(quoted) > 1}


def test_where_no_letter_is_absent_one_that_occurs_is_asked_about() -> None:
    for problem in some_problems(count=3, tasks={"count": 1}, words=(400, 400), absent=1.0):
        assert int(problem.reference or 0) > 0


def asked(prompt: str, reference: str) -> Problem:
    return Problem(id="p", domain="letters", split="test", prompt=prompt, reference=reference, source="test")


@pytest.mark.parametrize(
    ("prompt", "reference", "work"),
    [  # s-t-r-a-w-b-e-r-r-y: r is the third, eighth and ninth of ten letters
        ('How many times does the letter "r" occur in the word "strawberry"?', "3", "s t r (1) a w b e r (2) r (3) y"),
        ('How many times does the letter "x" occur in the word "milk"?', "0", "m i l k"),
        (
            'How many times does the letter "o" occur in the words "cocoa", "milk" and "soup"?',
            "3",
            "c o (1) c o (2) a; m i l k; s o (3) u p",
        ),
        ('How many times does the letter "p" occur in the words "apple" and "pea"?', "3", "a p (1) p (2) l e; p (3) e a"),
        ('What is the 3rd letter of the word "strawberry"?', "r", "s (1) t (2) r (3)"),
        ('Write the word "drawer" backwards.', "reward", "d r a w e r; r e w a r d"),
        ('Which of the words "plum" and "apple" is longer?', "apple", "p (1) l (2) u (3) m (4); a (1) p (2) p (3) l (4) e (5)"),
    ],
)
def test_worked_solutions_by_hand(prompt: str, reference: str, work: str) -> None:
    problem = asked(prompt, reference)
    assert solve(problem, "steps") == f"<think>{work}</think>\\boxed{{{reference}}}"
    assert solve(problem, "direct") == f"\\boxed{{{reference}}}"
    assert verify(problem, solve(problem, "steps")).status == "correct"


def test_references_agree_with_another_way_to_find_them() -> None:
    kinds: Counter[object] = Counter()
    for problem in some_problems():
        quoted = re.findall('"([a-z]+)"', problem.prompt)
        number = re.search(r"\d+", problem.prompt)
        if problem.prompt.startswith("How many"):
            expected = str(len(quoted[1].split(quoted[0])) - 1)
        elif number is not None:
            expected = dict(enumerate(quoted[0], start=1))[int(number[0])]
        elif len(quoted) == 2:
            expected = sorted(quoted, key=len)[1]
        else:
            expected = "".join(reversed(quoted[0]))
        assert problem.reference == expected, problem.prompt
        kinds[problem.difficulty["task"]] += 1
    assert set(kinds) == {"count", "letter", "backwards", "longer"}
    assert min(kinds.values()) > 30  # 50 expected of 200 each, the standard deviation is 6


def test_no_word_is_asked_about_in_two_splits() -> None:
    of_split = {
        split: set().union(*(words_asked_about(problem) for seed in range(3) for problem in some_problems(split, 400, seed)))
        for split in SPLITS
    }
    for split, found in of_split.items():
        assert len(found) > 200
        assert {content_split(word) for word in found} == {split}


def test_a_checked_solution_shows_one_wrong_letter_and_mends_it() -> None:
    for problem in some_problems(count=100):
        slips = re.findall(r"([a-z])( \(\d+\))?\?no: ([a-z])( \(\d+\))?", text := solve(problem, "checked"))
        assert len(slips) == 1, text
        wrong, marked, right, marked_again = slips[0]
        assert wrong != right
        assert marked == marked_again
        assert text.replace(f"{wrong}{marked}?no: ", "") == solve(problem, "steps")


def test_counts_are_not_nearly_all_one() -> None:
    counts = Counter(problem.reference for problem in some_problems(count=1000, tasks={"count": 1}))
    # one in ten is absent; of the rest half ask for a repeated letter, where the word has one (nearly two in three do)
    assert 60 < counts["0"] < 140
    assert counts["1"] < 650
    assert counts["2"] > 200


@pytest.mark.parametrize(("settings", "counts"), [({"absent": 1.0}, {"0"}), ({"absent": 0.0, "repeated": 0.0}, set("1234"))])
def test_absent_letters_are_asked_for_as_often_as_is_said(settings: dict[str, Any], counts: set[str]) -> None:
    found = {problem.reference for problem in some_problems(count=100, tasks={"count": 1}, **settings)}
    assert found <= counts


def test_only_named_tasks_and_lengths_are_asked() -> None:
    problems = some_problems(tasks={"backwards": 2, "count": 1}, letters=(4, 5))
    assert Counter(problem.difficulty["task"] for problem in problems).most_common(1)[0][0] == "backwards"
    assert {problem.difficulty["task"] for problem in problems} == {"backwards", "count"}
    assert {len(word) for problem in problems for word in words_asked_about(problem)} == {4, 5}
    for problem in some_problems(tasks={"longer": 1}, letters=(4, 12)):
        first, second = map(len, words_asked_about(problem))
        assert 1 <= abs(first - second) <= 3


def test_letters_are_counted_in_several_words_of_one_split() -> None:
    numbers: Counter[object] = Counter()
    for problem in some_problems("test", tasks={"count": 1}, words=(2, 4), letters=(4, 6)):
        quoted = re.findall('"([a-z]+)"', problem.prompt)
        assert problem.reference == str("".join(quoted[1:]).count(quoted[0]))
        assert {content_split(word) for word in quoted[1:]} == {"test"}
        assert all(4 <= len(word) <= 6 for word in quoted[1:])
        assert problem.difficulty["words"] == len(quoted) - 1
        numbers[problem.difficulty["words"]] += 1
    assert set(numbers) == {2, 3, 4}
    assert min(numbers.values()) > 40  # 67 expected, the standard deviation is 7


def test_capitals_change_how_a_problem_is_written_and_nothing_else() -> None:
    for small, large in zip(some_problems(), some_problems(capitals=True), strict=True):
        assert large.prompt.casefold() == small.prompt.casefold()
        assert (large.reference or "").casefold() == small.reference
        assert {word.upper() for word in words_asked_about(small)} == set(re.findall('"([A-Z]{2,})"', large.prompt))
        assert solve(large, "steps").casefold() == solve(small, "steps").casefold()
        for style in ("direct", "steps", "checked"):
            assert verify(large, solve(large, style)).status == "correct"
        assert verify(large, f"\\boxed{{{perturb(large)}}}").status == "wrong"


def test_settings_read_from_a_configuration() -> None:
    config = SOURCE_MODELS["letters"].model_validate({"domain": "letters", "tasks": {"count": 3, "longer": 1}})
    assert isinstance(config, LettersConfig)
    assert config.tasks == {"count": 3, "longer": 1}


@pytest.mark.parametrize(
    "settings",
    [
        {"tasks": {"count": 0}},
        {"tasks": {}},
        {"tasks": {"rhyme": 1}},
        {"tasks": {"count": -1, "longer": 2}},
        {"letters": (3, 8)},
        {"letters": (8, 13)},
        {"letters": (6, 6)},  # no word of two is longer
        {"absent": 1.5},
        {"words": (0, 2)},
    ],
)
def test_settings_that_ask_nothing_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        LettersConfig(**settings)


def test_words_of_one_length_can_be_asked_about_without_a_comparison() -> None:
    assert {len(*words_asked_about(problem)) for problem in some_problems(tasks={"backwards": 1}, letters=(6, 6))} == {6}


@pytest.mark.parametrize(
    ("prompt", "reference"),
    [
        ('What is the 9th letter of the word "milk"?', "k"),
        ('What is the 0th letter of the word "milk"?', "k"),
        ('Which of the words "milk" and "cups" is longer?', "milk"),
        ("How long is a piece of string?", "long"),
    ],
)
def test_what_cannot_be_answered_is_told_in_words(prompt: str, reference: str) -> None:
    with pytest.raises(ProblemError):
        solve(asked(prompt, reference), "steps")


@pytest.mark.parametrize("word", ["noon", "level", "deed"])
def test_a_palindrome_has_a_wrong_answer_too(word: str) -> None:
    problem = asked(f'Write the word "{word}" backwards.', word)
    assert verify(problem, f"\\boxed{{{perturb(problem)}}}").status == "wrong"


def test_the_list_holds_thousands_of_words_one_form_of_each() -> None:
    words = letters._words()
    assert 8000 < len(words) == len(set(words))
    assert list(words) == sorted(words)
    assert all(re.fullmatch("[a-z]{4,12}", word) for word in words)
    known = set(words)
    assert not [word for word in words if {f"{word}s", f"{word}ed", f"{word}ing", f"{word}ly"} & known]


def test_the_list_is_made_of_what_books_share() -> None:
    header, footer = "*** START OF THE PROJECT GUTENBERG EBOOK X ***", "*** END OF THE PROJECT GUTENBERG EBOOK X ***"
    book = f"donate {header} The whale's Ahab _sailed_ and he sails well-known seas; a sailor's whale {footer} licence"
    other = "They sailed on; Ahab saw a whale, whales, and the donate licence of well"
    third = "A whale! sails were running; well, they sailed"
    # sails is in two of them only; licence and donate stand outside of the marks of the first
    assert word_list([book, other, third]) == ["sailed", "whale"]
