"""Spelling: how often a letter occurs in a word or several, which letter stands where, a word backwards, the longer of two.

A model that reads subwords sees "strawberry" as one or two tokens and never its letters. It knows how the word is spelled all
the same, and what it cannot do at once it can do letter by letter: `s t r (1) a w b e r (2) r (3) y`, a token or two a letter.

The words (problems/words.txt, 4 to 12 letters, no names, one form of each) are those that at least three of 25 books out of
copyright share, in Project Gutenberg's texts; tests/support/word_list.py made the list and names the books. The word decides
the split: no word of a validation or test problem stands in any training problem.
"""

import re
import string
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import count
from pathlib import Path
from random import Random
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from problems.formulas import ordinal
from problems.lines import swapped
from problems.seeding import content_split
from problems.types import Domain, Draft, PositiveRange, Problem, ProblemError, SourceConfig, boxed, thinking

Task = Literal["count", "letter", "backwards", "longer"]
Share = Annotated[float, Field(ge=0)]
FEWEST_LETTERS, MOST_LETTERS = 4, 12  # of the words in the list
_WORD = re.compile('"([a-z]{2,})"', re.IGNORECASE)  # in quotes; a single letter is no word
_QUOTED = re.compile('"[a-z]+"')
_FURTHEST = 3  # letters by which the two words of "longer" may differ
_WORDS_FILE = Path(__file__).parent.parent / "words.txt"
_PROMPTS: dict[Task, re.Pattern[str]] = {  # what a prompt of each task looks like; groups are what it asks about
    "count": re.compile(
        r'How many times does the letter "([a-z])" occur in the words? ("[a-z]+"(?:(?:, | and )"[a-z]+")*)\?', re.IGNORECASE
    ),
    "letter": re.compile(r'What is the (\d+)(?:st|nd|rd|th) letter of the word "([a-z]+)"\?', re.IGNORECASE),
    "backwards": re.compile(r'Write the word "([a-z]+)" backwards\.', re.IGNORECASE),
    "longer": re.compile(r'Which of the words "([a-z]+)" and "([a-z]+)" is longer\?', re.IGNORECASE),
}


class LettersConfig(SourceConfig):
    """Settings of `letters`."""

    tasks: Mapping[Task, Share] = Field(
        default={"count": 1, "letter": 1, "backwards": 1, "longer": 1},
        description="relative share of each task; a task that is not named is not asked",
    )
    letters: PositiveRange = Field(default=(FEWEST_LETTERS, MOST_LETTERS), description="fewest and most letters of a word")
    words: PositiveRange = Field(default=(1, 1), description="fewest and most words that letters are counted in together")
    capitals: bool = Field(default=False, description="write words in capitals, which tokenizers cut into few, short pieces")
    absent: float = Field(default=0.1, ge=0, le=1, description="chance that the letter to count does not occur")
    repeated: float = Field(default=0.5, ge=0, le=1, description="else, chance that it occurs several times, where one does")

    @model_validator(mode="after")
    def _can_be_asked(self) -> Self:
        fewest, most = self.letters
        if fewest < FEWEST_LETTERS or most > MOST_LETTERS:
            raise ValueError(
                f"letters must lie within {FEWEST_LETTERS} and {MOST_LETTERS}, as the words do; found {self.letters}"
            )
        if not sum(self.tasks.values()):
            raise ValueError("tasks must give at least one task a share above 0")
        if self.tasks.get("longer") and fewest == most:
            raise ValueError(f"task longer needs words of two lengths, and letters allows only {fewest}")
        return self


@lru_cache(maxsize=1)
def _words() -> tuple[str, ...]:
    return tuple(_WORDS_FILE.read_text(encoding="ascii").split())


@lru_cache(maxsize=8)
def _words_of(letters: tuple[int, int]) -> tuple[str, ...]:
    """Return the words of so many letters."""
    return tuple(word for word in _words() if letters[0] <= len(word) <= letters[1])


@lru_cache(maxsize=64)
def _words_in(split: str, letters: tuple[int, int]) -> tuple[str, ...]:
    """Return the words of so many letters that belong to a split."""
    return tuple(word for word in _words_of(letters) if content_split(word) == split)


def _other_word(rng: Random, word: str, config: LettersConfig) -> str:
    """Draw a word of the same split that is a little longer or shorter."""
    fewest, most = config.letters
    nearby = range(max(fewest, len(word) - _FURTHEST), min(most, len(word) + _FURTHEST) + 1)
    length = rng.choice([length for length in nearby if length != len(word)])
    return rng.choice(_words_in(content_split(word), (length, length)))


def _letter_to_count(rng: Random, text: str, config: LettersConfig) -> str:
    """Draw a letter; were it drawn from the text alone, nearly every answer would be 1."""
    absent = [letter for letter in string.ascii_lowercase if letter not in text]
    if rng.random() < config.absent and absent:  # in that order: what follows is drawn alike whether or not one is absent
        return rng.choice(absent)
    repeated = sorted({letter for letter in text if text.count(letter) > 1})
    return rng.choice(repeated) if repeated and rng.random() < config.repeated else rng.choice(text)


def _count_question(rng: Random, words: Sequence[str], config: LettersConfig) -> str:
    letter = _letter_to_count(rng, "".join(words), config)
    quoted = [f'"{word}"' for word in words]
    if len(words) == 1:
        return f'How many times does the letter "{letter}" occur in the word {quoted[0]}?'
    return f'How many times does the letter "{letter}" occur in the words {", ".join(quoted[:-1])} and {quoted[-1]}?'


def _question(rng: Random, task: Task, word: str, config: LettersConfig) -> str:
    """Return what is asked about `word`; what else it takes is drawn."""
    if task == "count":
        more = rng.randint(*config.words) - 1
        return _count_question(rng, [word, *rng.choices(_words_in(content_split(word), config.letters), k=more)], config)
    if task == "letter":
        return f'What is the {ordinal(rng.randint(1, len(word)))} letter of the word "{word}"?'
    if task == "backwards":
        return f'Write the word "{word}" backwards.'
    pair = [word, _other_word(rng, word, config)]
    rng.shuffle(pair)
    return f'Which of the words "{pair[0]}" and "{pair[1]}" is longer?'


def generate(rng: Random, config: LettersConfig) -> Draft:
    """Draw a task and a word."""
    task = rng.choices(list(config.tasks), list(config.tasks.values()))[0]
    word = rng.choice(_words_of(config.letters))
    prompt = _question(rng, task, word, config)
    if config.capitals:
        prompt = _QUOTED.sub(lambda quoted: quoted[0].upper(), prompt)
    difficulty = {"task": task, "letters": len(word)}
    if config.words != (1, 1):
        difficulty["words"] = len(_WORD.findall(prompt))
    return Draft(
        prompt=prompt,
        same_as=word,  # of several words any: all are of one split
        reference=_worked(task, *_asked(task, prompt))[1],
        difficulty=difficulty,
    )


def _asked(task: Task, prompt: str) -> tuple[str, str]:
    """Return what a prompt of `task` asks about: one thing and "", or two; words that letters are counted in are in quotes."""
    match = _PROMPTS[task].fullmatch(prompt)
    assert match is not None
    return match[1], match[2] if match.re.groups > 1 else ""


def _task_of(problem: Problem) -> Task:
    for task, pattern in _PROMPTS.items():
        if pattern.fullmatch(problem.prompt):
            return task
    raise ProblemError(f"problem {problem.id} ({problem.source}) asks nothing about letters: {problem.prompt[:60]!r}")


def _another_letter(rng: Random, letter: str) -> str:
    """Draw a letter, of the same case."""
    alphabet = string.ascii_uppercase if letter.isupper() else string.ascii_lowercase
    return rng.choice([other for other in alphabet if other != letter])


def _numbered(word: str) -> list[str]:
    """Return `c (1)`, `a (2)`, `t (3)`."""
    return [f"{letter} ({number})" for number, letter in enumerate(word, start=1)]


def _counted(words: Iterable[str], letter: str) -> list[list[str]]:
    """Return the letters of each word, those that are `letter` with their number, which runs on through all words."""
    number = count(1)
    return [[f"{one} ({next(number)})" if one == letter else one for one in word] for word in words]


def _worked(task: Task, first: str, second: str) -> tuple[list[list[str]], str]:
    """Return what is to be written down, letter by letter in one or two rows, and the answer."""
    if task == "count":
        words = _WORD.findall(second)
        return _counted(words, first), str("".join(words).count(first))
    if task == "letter":
        position = int(first)
        if not 1 <= position <= len(second):
            raise ProblemError(f"the word {second!r} has no letter number {position}")
        return [_numbered(second[:position])], second[position - 1]
    if task == "backwards":
        return [list(first), list(first[::-1])], first[::-1]
    if len(first) == len(second):
        raise ProblemError(f"of the words {first!r} and {second!r} neither is longer")
    return [_numbered(first), _numbered(second)], max(first, second, key=len)


def _written(rows: Iterable[Iterable[str]]) -> str:
    return "; ".join(" ".join(row) for row in rows)


def solve(problem: Problem, style: str, rng: Random) -> str:
    """Write the answer at once, spelled out, or spelled out with one wrong letter that is noticed and mended."""
    task = _task_of(problem)
    rows, answer = _worked(task, *_asked(task, problem.prompt))
    if style == "direct":
        return boxed(answer)
    if style == "checked":
        row = rng.choice(rows)
        slip = rng.randrange(len(row))
        right = row[slip]
        wrong = _another_letter(rng, right[0])
        row[slip] = f"{wrong}{right[1:]}?no: {right}"
    return thinking(_written(rows), answer)


def perturb(problem: Problem, rng: Random) -> str:
    """Return a count that is off by one, another letter, a word with two letters changed about, or the shorter word."""
    task, answer = _task_of(problem), problem.reference or ""
    first, second = _asked(task, problem.prompt)
    if task == "count":
        return str(max(0, int(answer) + rng.choice([-1, 1])) if int(answer) else 1)
    if task == "letter":
        return _another_letter(rng, answer)
    if task == "longer":
        return min(first, second, key=len)
    return "".join(swapped(answer, rng))


DOMAIN = Domain(name="letters", config=LettersConfig, generate=generate, solve=solve, perturb=perturb, verifier="letters")
