r"""Finds problems that a model is measured by among those it would practise on: decontamination.

Two texts overlap when, with spacing, case, LaTeX dressing and the writing of numerals set aside,

- they are the same ("exact");
- they are the same but for their numbers ("renumbered"), and long enough that this is no chance;
- rows of 13 tokens (as in arXiv 2005.14165, appendix C), 8 of them words, stand in both and make up half of the shorter one
  ("13-gram"). One such row alone proves nothing: "m/n where m and n are relatively prime positive integers. Find m + n" is how
  AIME asks, and by it one in eight of its problems of 1983 to 2023 would be struck for those of 2024 and 2025. A row that
  stands in more than 5 evaluation problems is such a way of asking, too.

Numerals are set aside by writing them all as digits: `1,000`, fullwidth and Indian digits, English words up to thousands. A
number in front ("Problem 12.", "3)") is no part of a problem; a drawing ([asy] ... [/asy]) counts for "exact" alone.

Left out: translations of the words, paraphrases, and numerals in the words of other languages. Siblings made from one template
are found as "renumbered" although nobody copied anything; whether they may stay is for the caller to say.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from problems.types import Problem

GRAM = 13  # tokens
_LEAST_WORDS = 8  # of them; formulas and drawings are alike by chance
_COMMON = 5  # problems that may share a row of tokens before it counts as a way of asking

_DRAWING = re.compile(r"\[asy\].*?\[/asy\]", re.DOTALL)
_LABEL = re.compile(
    r"\s*(?:(?:problem|question|exercise|task|example|q|p|no)\b\.?\s*)?#?\(?\d{1,4}(?:\s*[.:)\]]\s+|\s*\)\s*)", re.IGNORECASE
)
_DRESSING = re.compile(
    r"\\(?:left|right|big+[lr]?|displaystyle|text(?:bf|it|rm)?|math(?:rm|bf|it)|mbox|quad|qquad|[,;:! ()\[\]])|[${}\\]",
    re.IGNORECASE,
)
_SPELLINGS = {"dfrac": "frac", "tfrac": "frac", "cdot": "*", "times": "*", "leq": "le", "geq": "ge", "neq": "ne"}
_TOKEN = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+|[-+*/=<>^%|()\[\]]")
_THOUSANDS = re.compile(r"(?<=\d)(?:\{?,\}?|\\,)(?=\d{3}(?!\d))")
_SMALL_WORDS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen"),
    *("fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_SMALL = {word: number for number, word in enumerate(_SMALL_WORDS)}
_TENS_WORDS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_TENS = {word: 10 * number for number, word in enumerate(_TENS_WORDS, start=2)}
_SCALES = {"hundred": 100, "thousand": 1000}

Kind = Literal["exact", "renumbered", "13-gram"]


def tokens_of(text: str, with_drawings: bool = False) -> list[str]:
    """Return the words, numbers (as digits) and signs of a text, without its dressing."""
    text = unicodedata.normalize("NFKC", text if with_drawings else _DRAWING.sub(" ", text))
    text = "".join(str(unicodedata.decimal(one)) if one.isdecimal() else one for one in text).casefold()
    text = _LABEL.sub("", text, count=1) if _LABEL.match(text) else text
    text = _DRESSING.sub(" ", _THOUSANDS.sub("", text).replace("\u2212", "-").replace("\u00d7", "*"))
    return _with_digits([_SPELLINGS.get(token, token) for token in _TOKEN.findall(text)])


def _with_digits(tokens: Sequence[str]) -> list[str]:
    """Return tokens with numbers in English words written as digits: twenty - five as 25, three hundred as 300."""
    written: list[str] = []
    value: int | None = None  # of the words read so far
    for place, token in enumerate(tokens):
        following = tokens[place + 1] if place + 1 < len(tokens) else ""
        if value is not None and value % 100 in _TENS.values() and token == "-" and 0 < _SMALL.get(following, 0) < 10:
            continue  # twenty-five
        number = _SMALL.get(token, _TENS.get(token))
        if value is not None and token in _SCALES and value < _SCALES[token]:
            value *= _SCALES[token]
        elif number is not None and value is not None and _may_follow(value, number):
            value += number
        else:
            if value is not None:
                written.append(str(value))
            value = number
            if number is None:
                written.append(token)
    return written if value is None else [*written, str(value)]


def _may_follow(value: int, number: int) -> bool:
    """Tell whether `number` goes on with a number that is said in words: twenty five, three hundred four, but not two three."""
    if value % 100 == 0 and value:
        return number > 0
    return value % 100 in _TENS.values() and 0 < number < 10


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """A text that overlaps with an evaluation problem: how, with which one, and the tokens that they share."""

    kind: Kind
    source: str
    shared: str


@dataclass
class OverlapIndex:
    """The evaluation problems, ready to be looked up; `of_problems` makes one."""

    texts: dict[str, str] = field(default_factory=dict)  # all tokens -> where the problem stands
    templates: dict[str, str] = field(default_factory=dict)  # all tokens, numbers as #
    grams: dict[str, list[str]] = field(default_factory=dict)  # 13 tokens -> where the first few problems with them stand
    sizes: dict[str, int] = field(default_factory=dict)  # where a problem stands -> its tokens

    def add(self, text: str, source: str) -> None:
        """Take a problem in."""
        tokens = tokens_of(text)
        self.texts.setdefault(_whole(text), source)
        self.sizes[source] = len(tokens)
        if template := _template(tokens):
            self.templates.setdefault(template, source)
        for _, gram in _grams(tokens):
            places = self.grams.setdefault(gram, [])
            if len(places) <= _COMMON and source not in places:
                places.append(source)

    def find(self, text: str) -> Overlap | None:
        """Return the first overlap of a text, the surest kind first, or None."""
        whole = _whole(text)
        if whole and (source := self.texts.get(whole)) is not None:
            return Overlap(kind="exact", source=source, shared=whole)
        tokens = tokens_of(text)
        template = _template(tokens)
        if template is not None and (source := self.templates.get(template)) is not None:
            return Overlap(kind="renumbered", source=source, shared=template)
        return self._shared_rows(tokens)

    def _shared_rows(self, tokens: Sequence[str]) -> Overlap | None:
        """Return the evaluation problem that shares the most rows of 13 tokens, if they make up half of the shorter text."""
        covered: dict[str, set[int]] = defaultdict(set)  # where a problem stands -> places of `tokens` in shared rows
        for start, gram in _grams(tokens):
            places = self.grams.get(gram, ())
            for source in places if len(places) <= _COMMON else ():
                covered[source].update(range(start, start + GRAM))
        if not covered:
            return None
        source = max(covered, key=lambda place: len(covered[place]))
        if 2 * len(covered[source]) < min(len(tokens), self.sizes[source]):
            return None
        return Overlap(kind="13-gram", source=source, shared=" ".join(tokens[place] for place in sorted(covered[source])))


def of_problems(problems: Iterable[Problem]) -> OverlapIndex:
    """Return the index of evaluation problems by their prompts."""
    index = OverlapIndex()
    for problem in problems:
        index.add(problem.prompt, problem.source)
    return index


def _whole(text: str) -> str:
    """Return all tokens of a text; what stands in a drawing counts: "In the diagram, what is x?" is asked of many."""
    return " ".join(tokens_of(text, with_drawings=True))


def _grams(tokens: Sequence[str]) -> list[tuple[int, str]]:
    """Return (start, text) of each row of 13 tokens with enough words in it."""
    rows = ((start, tokens[start : start + GRAM]) for start in range(len(tokens) - GRAM + 1))
    return [(start, " ".join(row)) for start, row in rows if _words(row) >= _LEAST_WORDS]


def _template(tokens: Sequence[str]) -> str | None:
    """Return the tokens with # for every number, or None where they are too few words to be alike by more than chance."""
    if len(tokens) < GRAM or _words(tokens) < _LEAST_WORDS:
        return None
    return " ".join("#" if token[0].isdigit() else token for token in tokens)


def _words(tokens: Sequence[str]) -> int:
    return sum(len(token) > 1 and token[0].isalpha() for token in tokens)
