"""What emerges in texts, counted by hand."""

import time

import pytest

from rewards.types import Status
from rl.tracking.emergence import (
    REFLECTION_WORDS,
    Written,
    corrects_itself,
    difference,
    lengths,
    reflections,
    repetition,
    traits,
)


def written(text: str, status: Status = "correct", extracted: str | None = "12", tokens: int = 100) -> Written:
    return Written(text=text, status=status, extracted=extracted, num_tokens=tokens, reasoning_tokens=None)


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("a b c d a b c d", 1 / 5),  # abcd bcda cdab dabc abcd: five, the last one again
        ("我不知道我不知道", 1 / 5),  # a character is a unit
        ("3*7=21;", 0.0),  # 3 * 7 = 21 ; are six units
        ("no " * 103, 99 / 100),
        ("a b c", None),
        ("", None),
    ],
)
def test_the_share_of_4_grams_that_came_before(text: str, share: float | None) -> None:
    assert repetition(text) == (None if share is None else pytest.approx(share))


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Wait, let me double-check: hmm.", 3),
        ("But wait. ACTUALLY, that\u2019s wrong", 3),
        ("on  second\nthought", 1),
        ("await the waiter, waiting; factually; no solutions", 0),
        ("84-2*36=14?no:84-2*36=12; 3: 4? no: 3: 5", 2),
        ("", 0),
    ],
)
def test_reflection_words_are_whole_words(text: str, count: int) -> None:
    assert reflections(text) == count


@pytest.mark.parametrize("words", REFLECTION_WORDS)
def test_every_word_of_the_list_is_found_once(words: str) -> None:
    assert reflections(f"So. {words.capitalize()}, then.") == 1
    assert reflections(f"x{words}") + reflections(f"{words}x") <= 1  # "re-" and "double-" may be in front


@pytest.mark.parametrize(
    ("text", "final"),
    [
        ("x = 14. Wait, x = 12. \\boxed{12}", "12"),
        ("<think>84-2*36=14?no:84-2*36=12;</think>\\boxed{12}", "12"),
        ("The answer is 5. Wait, no. The answer is 7.", "7"),
        ("<think>\\boxed{5}. Hmm, not so.</think>\\boxed{7}", "7"),
        ("<think>The answer is 5. Wait.</think>So it is 7.", "7"),  # as the lenient reading has it
        ("<answer>Rome</answer> Actually, <answer>Paris</answer>", "Paris"),
    ],
)
def test_an_answer_that_is_taken_back(text: str, final: str) -> None:
    assert corrects_itself(text, final)


@pytest.mark.parametrize(
    ("text", "final"),
    [
        ("3*4=12. Wait, let me check: 3*4=12, yes. 12+5=17. \\boxed{17}", "17"),  # kept
        ("<think>The answer is 7. Wait, check again.</think>\\boxed{7.0}", "7.0"),
        ("It is 0.5. Hmm, as a fraction \\boxed{1/2}", "1/2"),
        ("\\boxed{5}. Then \\boxed{7}", "7"),  # no word of reflection
        ("Wait. x = 14, so x = 12. \\boxed{12}", "12"),  # the word comes before
        ("\\boxed{(B) Paris}. Hmm, done.", "B"),  # the final answer itself, read more narrowly
        ("", "12"),
    ],
)
def test_what_is_no_correction(text: str, final: str) -> None:
    assert not corrects_itself(text, final)


def test_lengths_of_right_and_of_wrong_answers() -> None:
    counts: list[tuple[int | None, Status]] = [(10, "correct"), (20, "correct"), (30, "timeout"), (None, "wrong")]
    assert lengths([*counts, (50, "abstained"), (70, "error")]) == {
        "mean": 36.0,  # of the five that were counted
        "correct": 15.0,
        "wrong": 30.0,
        "correct_p10": pytest.approx(11.0),  # a tenth of the way from 10 to 20
        "correct_p90": pytest.approx(19.0),
        "wrong_p10": 30.0,
        "wrong_p90": 30.0,
    }
    assert set(lengths([(None, "correct")]).values()) == {None}


def test_traits_of_several_completions() -> None:
    found = traits(
        [
            written("x = 14. Wait, x = 12. \\boxed{12}"),  # corrects itself, right
            written("x = 12. Wait, x = 13. \\boxed{13}", "wrong", "13"),  # corrects itself, wrong
            written("\\boxed{12}"),
            written("hmm hmm", "unparsed", None, tokens=200),  # no final answer; too short for a 4-gram
        ]
    )
    # units of the first two: x = 14 . Wait , x = 12 . \ boxed { 12 }; no 4-gram twice
    assert found["repetition"] == 0.0
    assert found["reflections_per_1000_tokens"] == pytest.approx(1000 * 4 / 500)
    assert found["self_corrections"] == pytest.approx(2 / 3)
    assert found["corrections_right"] == 0.5
    assert set(traits([]).values()) == {None}


def test_a_difference_needs_both_sides() -> None:
    assert difference(2.0, 5.0) == 3.0
    assert difference(None, 5.0) is None
    assert difference(2.0, None) is None


def test_hostile_texts_take_linear_time() -> None:
    began = time.process_time()
    bad = ("\\boxed{", "\\boxed{{", "wait = 1", "let me ", "1,111", "<answer>", "answer is ", "#", "' ", "\\boxed{1}wait ")
    for piece in bad:
        text = piece * (40_000 // len(piece))
        traits([written(text), written(f"{text}</think>{text}wait \\boxed{{2}}", extracted="2")])
    assert time.process_time() - began < 10  # about half a one; quadratic time would be minutes
