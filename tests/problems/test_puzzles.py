"""Domains of logic, grids, strings and dates against other ways to the answer; what all must do: test_domains.py."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from itertools import product
from random import Random

import pytest
from pydantic import ValidationError

from problems.catalog import DOMAINS, solve
from problems.days import stretches
from problems.lines import fenced
from problems.types import Draft, Problem, ProblemError
from rewards.verifiers import verify

ITEMS = 12  # of each level


def drafts(name: str) -> Iterator[Draft]:
    domain = DOMAINS[name]
    for level in domain.levels:
        for seed in range(ITEMS):
            yield domain.generate(Random(seed), domain.config(**level))


def given(domain: str, prompt: str) -> Problem:
    return Problem(id="p", domain=domain, split="test", prompt=prompt, reference=None, source="test")


def picture(draft: Draft) -> list[str]:
    return draft.prompt.split("\n")[1:]


def test_logic_agrees_with_pythons_own_evaluation() -> None:
    # 1 - x binds tighter than & | ^ <=, as "not" does here; A <= B is "A implies B"
    words = {"not ": "1 - ", " and ": " & ", " or ": " | ", " xor ": " ^ ", " implies ": " <= "}
    for draft in drafts("logic"):
        formula = draft.prompt.split("is this true: ")[1].removesuffix("?")
        for word, sign in words.items():
            formula = formula.replace(word, sign)
        names = sorted(set(re.findall("[A-F]", draft.prompt.split(" is true")[0].removeprefix("Each of "))))
        program = compile(formula, "formula", "eval")
        rows = [dict(zip(names, row, strict=True)) for row in product((0, 1), repeat=len(names))]
        true = [row for row in rows if eval(program, {}, row)]  # noqa: S307  # a formula of our own
        assert len(true) == int(draft.reference or "")


def test_the_steps_of_a_truth_table() -> None:
    # A=0 B=0: not A is 1, or gives 1. A=0 B=1: 1. A=1 B=0: 0 or 0 is 0. A=1 B=1: 1. Three in all.
    problem = given("logic", "Each of A, B is true or false. In how many of the 4 cases is this true: (not A or B)?")
    rows = ["A=0 B=0: f1=1, so far 1", "A=0 B=1: f1=1, so far 2", "A=1 B=0: f1=0, so far 2", "A=1 B=1: f1=1, so far 3"]
    assert solve(problem, "steps") == "<think>" + "\n".join(["f1: (not A or B)", *rows]) + "</think>\\boxed{3}"


def holds(words: str, knights: set[str]) -> bool:
    """Tell whether a sentence of a puzzle is true, by its words alone."""
    first, second = (*re.findall("[A-Z][a-z]+", words.removeprefix("At least ").removeprefix("If ")), "")[:2]
    one, other = first in knights, second in knights
    if words.startswith("At least one"):
        return (one or other) if words.endswith("knight.") else not (one and other)
    if words.startswith("If"):
        return not one or other
    if "kind" in words:
        return (one == other) == ("same" in words)
    return not one and not other if "both knaves" in words else one == words.endswith("knight.")


def test_exactly_one_choice_of_knights_fits_what_is_said() -> None:
    for draft in drafts("knights"):
        said = re.findall(r'^(\w+) says: "(.+)"$', draft.prompt, re.MULTILINE)
        names = [name for name, _ in said]
        fitting = []
        for roles in product((True, False), repeat=len(names)):
            knights = {name for name, role in zip(names, roles, strict=True) if role}
            if all(holds(words, knights) == (name in knights) for name, words in said):
                fitting.append(", ".join(name for name in names if name in knights))
        assert fitting == [draft.reference]


def solutions(cells: list[int], size: int) -> Iterator[list[int]]:
    """Yield every way to fill a grid, 0 where it is empty, by trying digits cell by cell, the cell with fewest first."""
    side = round(size**0.5)

    def free(cell: int) -> list[int]:
        row, column = divmod(cell, size)
        seen = {cells[row * size + i] for i in range(size)} | {cells[i * size + column] for i in range(size)}
        top, left = row // side * side, column // side * side
        seen |= {cells[(top + i) * size + left + j] for i in range(side) for j in range(side)}
        return [digit for digit in range(1, size + 1) if digit not in seen]

    choices = {cell: free(cell) for cell, digit in enumerate(cells) if digit == 0}
    if not choices:
        yield list(cells)
        return
    cell = min(choices, key=lambda one: len(choices[one]))
    for digit in choices[cell]:
        cells[cell] = digit
        yield from solutions(cells, size)
    cells[cell] = 0


def test_a_sudoku_has_the_reference_for_its_only_solution() -> None:
    for draft in list(drafts("sudoku"))[::2]:
        rows = picture(draft)
        cells = [0 if cell == "." else int(cell) for row in rows for cell in row]
        assert 0 in cells
        assert [list(map(str, one)) for one in solutions(cells, len(rows))] == [list((draft.reference or "").replace(",", ""))]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("1..4\n....\n....\n....", "needs guessing, or has no solution"),
        ("11..\n....\n....\n....", "needs guessing, or has no solution"),
        ("12..\n....\n....\n...5", "is no grid of 4 x 4 or 9 x 9"),
        ("12.\n...\n...", "is no grid of 4 x 4 or 9 x 9"),
        ("12 .\n....\n....\n....", "is no sudoku"),
    ],
)
def test_a_sudoku_that_needs_guessing_or_is_none_is_refused_in_words(rows: str, message: str) -> None:
    asked = next(drafts("sudoku")).prompt.split("\n")[0]
    with pytest.raises(ProblemError, match=message):
        solve(given("sudoku", f"{asked}\n{rows}"), "steps")


def test_the_length_of_a_maze_agrees_with_distances_that_settle() -> None:
    for draft in drafts("mazes"):
        rows = picture(draft)
        cells = {(r, c): cell for r, row in enumerate(rows) for c, cell in enumerate(row) if cell != "#"}
        away = {place: 0 if cell == "S" else 10**6 for place, cell in cells.items()}
        for _ in cells:  # one more cell of the longest way is right after each round
            for (r, c), known in list(away.items()):
                near = [away.get(place, 10**6) for place in ((r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1))]
                away[r, c] = min(known, min(near) + 1)
        assert away[next(place for place, cell in cells.items() if cell == "G")] == int(draft.reference or "")


class Narrow(Random):
    """Draws each maze 2 x 60, or the first `mazes` of them: sizes from 2 to 60 do so once in some thousand items."""

    def __init__(self, mazes: int):
        super().__init__(0)
        self.sizes = [2, 60] * mazes

    def randint(self, a: int, b: int) -> int:
        return self.sizes.pop(0) if self.sizes else super().randint(a, b)


def test_a_maze_too_long_for_its_width_is_drawn_in_another_size() -> None:
    domain = DOMAINS["mazes"]
    config = domain.config(size=(2, 60), walls=0.4)
    rows = picture(domain.generate(Narrow(mazes=1), config))
    assert (len(rows), len(rows[0])) != (2, 60)
    with pytest.raises(ProblemError, match=r"no path as long as the maze is wide .* sizes nearer to each other"):
        domain.generate(Narrow(mazes=100), config)


def test_the_steps_of_large_primes_take_no_table_for_each_number() -> None:
    # 8 factors up to 5000 make numbers of 28 digits: a table up to their root would never end
    domain = DOMAINS["primes"]
    for seed in range(20):
        draft = domain.generate(Random(seed), domain.config(factors=(8, 8), largest_prime=5000))
        assert len((draft.reference or "").split(", ")) == 8


def test_many_stages_of_a_program_are_found_or_refused() -> None:
    domain = DOMAINS["programs"]
    assert domain.generate(Random(0), domain.config(stages=(8, 8))).difficulty["stages"] == 8
    with pytest.raises(ProblemError, match=r"programs found no .* ask for fewer"):
        domain.generate(Random(0), domain.config(stages=(16, 16)))


@pytest.mark.parametrize(
    ("start", "rules", "result"),
    [  # by hand
        ("abcab", ['Replace every "a" by "x".', "Reverse it."], "bxcbx"),
        ("abcab", ['Remove every "b".', 'Write every "a" twice.'], "aacaa"),
        ("abc", ['Put the letter "z" after every "b".', 'Put the letter "q" in front.'], "qabzc"),
        ("abcd", ["Move the first letter to the end.", "Move the last letter to the front."], "abcd"),
        ("dabc", ["Swap the first and the last letter.", "Remove the first letter."], "abd"),
        ("dcbae", ["Sort its letters by the alphabet.", "Remove every second letter, the second one first."], "ace"),
    ],
)
def test_rules_do_what_they_say(start: str, rules: list[str], result: str) -> None:
    lines = "\n".join(f"{number}. {rule}" for number, rule in enumerate(rules, start=1))
    asked = f'Start with "{start}" and apply these rules in order, each to what the one before left:'
    prompt = f"{asked}\n{lines}\nWhat is the result?"
    assert solve(given("strings", prompt), "direct") == f"\\boxed{{{result}}}"


def test_the_largest_of_decimals_is_so_by_value() -> None:
    for draft in drafts("decimals"):
        numbers = re.findall(r"-?\d+\.\d+", draft.prompt)
        pick = max if "largest" in draft.prompt else min
        assert len({Fraction(number) for number in numbers}) == len(numbers)
        assert draft.reference == pick(numbers, key=Fraction)


def test_decimals_are_compared_to_the_last_digit() -> None:
    # as floats these are equal, and the first is taken
    long = "0.1234567890123456789"
    problem = given("decimals", f"Which of these numbers is the largest: {long}, {long}1, {long}2?")
    assert solve(problem, "direct") == f"\\boxed{{{long}2}}"
    problem = given("decimals", f"Which of these numbers is the smallest: -{long}1, -{long}2, -{long}?")
    assert solve(problem, "direct") == f"\\boxed{{-{long}2}}"


def test_nine_point_nine_is_larger() -> None:
    problem = given("decimals", "Which of these numbers is the largest: 9.11, 9.9?")
    assert solve(problem, "steps") == "<think>9.11 or 9.9: 9.11 < 9.90, so 9.9</think>\\boxed{9.9}"


def dates_of(draft: Draft) -> list[datetime]:
    return [datetime.strptime(text, "%d %B %Y") for text in re.findall(r"\d+ [A-Z][a-z]+ \d{4}", draft.prompt)]


def test_days_and_weekdays_are_those_of_the_calendar() -> None:
    for draft in drafts("dates"):
        start, end = dates_of(draft)
        assert (end - start).days == int(draft.reference or "")
    for draft in drafts("weekdays"):
        given_day, wanted = dates_of(draft)
        assert given_day.strftime("is a %A.") in draft.prompt
        assert wanted.strftime("%A") == draft.reference


@pytest.mark.parametrize(
    ("start", "end", "days"),
    [  # by hand; 2024 was a leap year, 1900 was none
        ("28 February 2024", "1 March 2024", [1, 1]),
        ("28 February 1900", "1 March 1900", [0, 1]),
        ("3 May 2021", "17 May 2021", [14]),
        ("31 December 2020", "1 January 2021", [0, 1]),
        ("30 November 2022", "2 February 2024", [0, 31, 365, 31, 2]),
    ],
)
def test_the_stretches_between_dates(start: str, end: str, days: list[int]) -> None:
    first, last = (datetime.strptime(text, "%d %B %Y").date() for text in (start, end))
    assert [length for _, length in stretches(first, last)] == days


HOW = ". Separate them by commas."


def test_sorted_reversed_copied_and_counted_things_are_those_of_the_question() -> None:
    for draft in drafts("sorting"):
        question, _, items = draft.prompt.partition(": ")
        assert items.endswith(HOW)
        listed = items.removesuffix(HOW).split(", ")
        order = sorted(listed, key=int) if "numbers" in question else sorted(listed)
        backwards = "from the largest" in question or "from last" in question
        assert draft.reference == ", ".join(order[::-1] if backwards else order)
    for draft in drafts("reversing"):
        what = draft.prompt.partition(": ")[2].removesuffix(HOW)
        assert (what[0] == '"') != draft.prompt.endswith(HOW)
        assert draft.reference == (what.strip('"')[::-1] if '"' in what else ", ".join(what.split(", ")[::-1]))
    for draft in drafts("copying"):
        assert draft.prompt == f'Copy this text exactly: "{draft.reference}"'
    for draft in drafts("dots"):
        assert "".join(picture(draft)).count(".") == int(draft.reference or "")


def test_a_program_that_leaves_out_any_one_thing_fails() -> None:
    domain = DOMAINS["programs"]
    for seed, level in enumerate(domain.levels):
        draft = domain.generate(Random(seed), domain.config(**level))
        problem = replace(given("programs", draft.prompt), checks=draft.checks)
        program = draft.checks["witness"].split("\n")
        assert verify(problem, solve(problem, "steps")).status == "correct"
        for line in range(1, len(program) - 1):
            assert verify(problem, fenced("\n".join(program[:line] + program[line + 1 :]))).status == "wrong"


def test_the_example_in_a_programs_prompt_is_one_of_its_tests() -> None:
    for draft in drafts("programs"):
        test = draft.checks["tests"][1]
        assert f"f({test['args'][0]}) is {test['expected']}." in draft.prompt


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("logic", {"variables": (3, 7), "leaves": (8, 9)}),
        ("logic", {"variables": (4, 4), "leaves": (3, 6)}),
        ("knights", {"people": (3, 9)}),
        ("knights", {"people": (1, 3)}),
        ("sudoku", {"size": 4, "empty": (3, 16)}),
        ("sudoku", {"size": 6}),
        ("strings", {"letters": (2, 5)}),
        ("sorting", {"items": (4, 9), "largest": 8}),
        ("sorting", {"items": (4, 9), "letters": (1, 1)}),
        ("sorting", {"items": (6, 6), "letters": (1, 1)}),  # five letters begin a string
        ("decimals", {"places": (0, 2)}),
        ("decimals", {"places": (1, 300)}),
        ("dates", {"years": (1, 2000)}),
        ("weekdays", {"days": (1, 10**6)}),
        ("mazes", {"walls": 0.9}),
        ("copying", {"characters": (0, 3)}),
    ],
)
def test_settings_that_make_no_problem_are_refused(name: str, settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        DOMAINS[name].config(**settings)
