r"""Finds problems that a model is measured by among those it would practise on: decontamination.

Two texts overlap when, with spacing, case, LaTeX dressing and the writing of numerals set aside,

- they are the same ("exact");
- they are the same but for their numbers and the signs before these ("renumbered"), and long enough that this is no chance;
- rows of 13 tokens (as in arXiv 2005.14165, appendix C), 8 of them words, stand in both and make up half of the shorter one
  ("13-gram"). One such row alone proves nothing: "m/n where m and n are relatively prime positive integers. Find m + n" is how
  AIME asks, and by it one in eight of its problems of 1983 to 2023 would be struck for those of 2024 and 2025. A row that
  stands in more than 5 evaluation problems is such a way of asking, too.

Numerals are set aside by writing them all as digits: `1,000`, fullwidth and Indian digits, Chinese numerals and English words
(problems/numerals.py); signs by writing those of LaTeX and of Unicode alike. A number in front ("Problem 12.", "3)") is no part
of a problem; a drawing ([asy] ... [/asy]) counts for "exact" alone.

Left out: translations of the words, paraphrases, numerals in the words of other languages, and grids of signs (a maze), of
which nothing is a token. Siblings made from one template are found as "renumbered" although nobody copied anything; whether
they may stay is for the caller to say.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from problems.numerals import digits_of, words_as_digits
from problems.progress import followed
from problems.types import Problem

GRAM = 13  # tokens
_LEAST_WORDS = 8  # of them; formulas and drawings are alike by chance
_LEAST_WORDS_OF_TEMPLATE = 5  # of a whole problem that is the same but for its numbers
_COMMON = 5  # problems that may share a row of tokens before it counts as a way of asking

_DRAWING = re.compile(r"\[asy\].*?\[/asy\]", re.DOTALL)
_LABEL = re.compile(
    r"\s*(?:(?:problem|question|exercise|task|example|q|p|no)\b\.?\s*)?#?\(?\d{1,4}(?:\s*[.:)\]]\s+|\s*\)\s*)", re.IGNORECASE
)
_SHORT_FRACTION = re.compile(r"(?<=frac)\s*(\d)(?=\d)")  # \frac34
_DRESSING = re.compile(
    r"\\(?:left|right|big+[lr]?|displaystyle|text(?:bf|it|rm)?|math(?:rm|bf|it)|mbox|quad|qquad|[,;:! ()\[\]])|[${}\\]",
    re.IGNORECASE,
)
_SPELLINGS = {"dfrac": "frac", "tfrac": "frac", "cdot": "*", "times": "*", "leq": "le", "geq": "ge", "neq": "ne"}
_SIGNS = str.maketrans(  # as LaTeX writes them, which the words of _SPELLINGS are made of
    {"\u2212": "-", "\u2013": "-", "\u2010": "-", "\u00d7": "*", "\u00b7": "*", "\u22c5": "*", "\u00f7": "/", "\u2044": "/"}
    | {"\u2264": " le ", "\u2265": " ge ", "\u2260": " ne ", "\u03c0": " pi ", "\u00b0": "^ circ ", "\u221a": " sqrt "}
    | {"\u2220": " angle ", "\u25b3": " triangle "}
)
_TOKEN = re.compile(r"\d+(?:\.\d+)?|[\u3400-\u9fff]|[^\W\d_\u3400-\u9fff]+|[-+*/=<>^%|()\[\]]")
_NUMBERS = re.compile(r"(?:[-+] )?#(?: #)*")  # with its sign; numbers side by side are a list, of whatever length

Kind = Literal["exact", "renumbered", "13-gram"]
KINDS: tuple[Kind, ...] = ("exact", "renumbered", "13-gram")  # the surest first


def tokens_of(text: str, with_drawings: bool = False) -> list[str]:
    """Return the words, numbers (as digits) and signs of a text, without its dressing; a Chinese character is a word."""
    text = unicodedata.normalize("NFKC", text if with_drawings else _DRAWING.sub(" ", text))
    text = digits_of(text).casefold()
    text = _LABEL.sub("", text, count=1) if _LABEL.match(text) else text
    text = _DRESSING.sub(" ", _SHORT_FRACTION.sub(r" \1 ", text.translate(_SIGNS)))
    return _with_strokes(words_as_digits([_SPELLINGS.get(token, token) for token in _TOKEN.findall(text)]))


def _with_strokes(tokens: Sequence[str]) -> list[str]:
    """Return tokens with fractions of two numbers as they stand in a line: frac 3 4 as 3 / 4."""
    written = list(tokens)
    for place in range(len(tokens) - 2):
        if tokens[place] == "frac" and tokens[place + 1][0].isdigit() and tokens[place + 2][0].isdigit():
            written[place : place + 2] = [tokens[place + 1], "/"]
    return written


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
    for problem in followed(problems, "reading evaluation problems"):
        index.add(problem.prompt, problem.source)
    return index


def overlapping(problems: Iterable[Problem], index: OverlapIndex) -> Iterator[tuple[Problem, Overlap]]:
    """Yield the problems that overlap with one of `index`, and how."""
    for problem in followed(problems, "looking for overlaps"):
        if (found := index.find(problem.prompt)) is not None:
            yield problem, found


def removal(problem: Problem, found: Overlap) -> dict[str, str]:
    """Return what is written down of a problem that is removed: why, and by which evaluation problem."""
    return {"id": problem.id, "source": problem.source, "kind": found.kind, "by": found.source, "shared": found.shared}


def _whole(text: str) -> str:
    """Return all tokens of a text; what stands in a drawing counts: "In the diagram, what is x?" is asked of many."""
    return " ".join(tokens_of(text, with_drawings=True))


def _grams(tokens: Sequence[str]) -> list[tuple[int, str]]:
    """Return (start, text) of each row of 13 tokens with enough words in it."""
    rows = ((start, tokens[start : start + GRAM]) for start in range(len(tokens) - GRAM + 1))
    return [(start, " ".join(row)) for start, row in rows if _words(row) >= _LEAST_WORDS]


def _template(tokens: Sequence[str]) -> str | None:
    """Return the tokens with # for every number, or None where they are too few words to be alike by more than chance."""
    if len(tokens) < GRAM or _words(tokens) < _LEAST_WORDS_OF_TEMPLATE:
        return None
    return _NUMBERS.sub("#", " ".join("#" if token[0].isdigit() else token for token in tokens))


def _words(tokens: Sequence[str]) -> int:
    return sum(token[0].isalpha() and (len(token) > 1 or token >= "\u3400") for token in tokens)
