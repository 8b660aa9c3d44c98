r"""Where the reading of an answer stands: its tokens, the place among them, and the bounds. There is no grammar in here.

A rule of the grammar is a function that takes a cursor, moves it over what it reads and returns the tree of that:

    cursor = Cursor(tokenize("x+1=2"), rules)
    read_sum(cursor)   # returns the tree of x+1; cursor.now is the token "="

`depth`, `bars` and `argument` say where in the formula the cursor is: so many levels deep, inside of so many open bars |x|,
inside of so many arguments of functions without brackets (`\sin 2x`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from rewards.math.grammar.lettered import with_letters
from rewards.math.grammar.tokens import Token, tokenize
from rewards.math.tree import MAX_DEPTH, Node, UnreadableError

Rule = Callable[["Cursor"], Node]


@dataclass(frozen=True)
class Rules:
    """The rules that are needed below their own level, from the widest to the narrowest.

    An atom may hold a whole expression: "(x+1)" or "|x+1|". The files of the low levels would have to import those of the
    high ones, which import them: a ring. So a file imports only what is below it, and `parser.py`, which stands above all,
    puts the high rules into the cursor once.
    """

    answer: Rule
    statement: Rule
    sets: Rule
    sum: Rule
    product: Rule
    power: Rule
    atom: Rule


class Surroundings(NamedTuple):
    """What is put aside while the cursor is inside of brackets."""

    bars: int
    argument: int


class Cursor:
    """A place among tokens; past the end it stays at the last token, which is of kind "end"."""

    def __init__(self, tokens: list[Token], rules: Rules):
        self.tokens = tokens
        self.rules = rules
        self.index = 0
        self.depth = 0
        self.bars = 0
        self.argument = 0
        self.choosing: dict[str, bool] = {}  # whether C, A and P count choices in this formula; see choosing.py
        self.bare: frozenset[str] | None = None  # names without an accent, once somebody asked for them

    @property
    def now(self) -> Token:
        """The current token."""
        try:
            return self.tokens[self.index]
        except IndexError:
            return self.tokens[-1]

    def ahead(self, offset: int = 1) -> Token:
        """Return a later token."""
        try:
            return self.tokens[self.index + offset]
        except IndexError:
            return self.tokens[-1]

    def texts_ahead(self, count: int) -> list[str]:
        """Return the texts of the `count` tokens behind the current one, fewer near the end."""
        return [token.text for token in self.tokens[self.index + 1 : self.index + 1 + count]]

    def at(self, *signs: str) -> bool:
        r"""Tell whether the current token is one of these operators or \commands."""
        token = self.now
        if token.kind == "op":
            return token.text in signs
        return token.kind == "cmd" and "\\" + token.text in signs

    def advance(self) -> Token:
        """Step over the current token and return it."""
        token = self.now
        self.index += 1
        return token

    def take(self, *signs: str) -> bool:
        """Step over the current token if it is one of these, and tell whether it was."""
        if self.at(*signs):
            self.index += 1
            return True
        return False

    def expect(self, sign: str) -> None:
        """Step over this token or fail."""
        if not self.take(sign):
            raise self.unreadable(f"expected {sign!r}")

    def unreadable(self, reason: str) -> UnreadableError:
        """Return the error with the place and what stands there."""
        return UnreadableError(f"{reason} at {self.now.place}, found {self.now.text[:20] or 'the end'!r}")

    def replace(self, *tokens: Token) -> None:
        """Put other tokens in the place of the current one."""
        self.tokens[self.index : self.index + 1] = tokens

    def split_name(self) -> None:
        """Make a run of letters one token a letter."""
        name = self.now
        letters = [Token("name", letter, name.place + i, i == 0 and name.spaced) for i, letter in enumerate(name.text)]
        self.replace(*letters)

    def deeper(self) -> None:
        """Count one more level; fails beyond MAX_DEPTH. A rule that returns takes it back with `depth -= 1`."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise UnreadableError(f"nested deeper than {MAX_DEPTH} at {self.now.place}")

    def enter(self) -> Surroundings:
        """Begin what stands in brackets, where bars and arguments outside of them do not count."""
        outer = Surroundings(self.bars, self.argument)
        self.bars = self.argument = 0
        return outer

    def leave(self, outer: Surroundings) -> None:
        """End what stands in brackets."""
        self.bars, self.argument = outer


def read_whole(text: str, rules: Rules) -> Node:
    """Return the tree of all of `text`; raises UnreadableError where something is left over."""
    cursor = Cursor(with_letters(tokenize(text)), rules)
    node = rules.answer(cursor)
    if cursor.now.kind != "end":
        raise cursor.unreadable("unexpected")
    return node
