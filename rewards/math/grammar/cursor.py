"""A bounded cursor over tokens, and the names of the grammar rules that call each other across files."""

from abc import ABC, abstractmethod

from rewards.math.grammar.tokens import Token
from rewards.math.grammar.vocabulary import ALIASES, FUNCTIONS
from rewards.math.tree import MAX_DEPTH, Node, UnreadableError


class Cursor(ABC):
    """Where the parser stands: token, depth, open bars of |x|, and whether it reads the argument of a function."""

    def __init__(self, tokens: list[Token]):
        self.tokens = tokens
        self.index = 0
        self.depth = 0
        self.bars = 0
        self.argument = 0

    @property
    def now(self) -> Token:
        """The current token."""
        return self.tokens[min(self.index, len(self.tokens) - 1)]

    def ahead(self, offset: int = 1) -> Token:
        """Return a later token, the last one beyond the end."""
        return self.tokens[min(self.index + offset, len(self.tokens) - 1)]

    def at(self, *words: str) -> bool:
        """Tell whether the current token is one of these operators or \\commands."""
        token = self.now
        return (token.text if token.kind == "op" else "\\" + token.text if token.kind == "cmd" else None) in words

    def take(self, *words: str) -> bool:
        """Take the current token if it is one of these."""
        if self.at(*words):
            self.index += 1
            return True
        return False

    def expect(self, word: str) -> None:
        """Take this token or fail."""
        if not self.take(word):
            raise self.unreadable(f"expected {word!r}")

    def unreadable(self, reason: str) -> UnreadableError:
        """Return the error with the place and what was found there."""
        return UnreadableError(f"{reason} at {self.now.place}, found {self.now.text[:20] or 'the end'!r}")

    def deeper(self) -> None:
        """Count one more level; fails beyond MAX_DEPTH."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise UnreadableError(f"nested deeper than {MAX_DEPTH} at {self.now.place}")

    def is_function(self, token: Token) -> bool:
        """Tell whether a name is a known function."""
        return token.text in FUNCTIONS or token.text in ALIASES

    # -- rules of the grammar that other rules need; `parser.py` puts them together

    @abstractmethod
    def answer(self) -> Node:
        """Return one or several statements."""

    @abstractmethod
    def statement(self) -> Node:
        """Return an object or a relation between objects."""

    @abstractmethod
    def sets(self) -> Node:
        """Return an expression or a union, intersection or difference."""

    @abstractmethod
    def sum(self) -> Node:
        """Return a sum."""

    @abstractmethod
    def product(self) -> Node:
        """Return a product with its units."""

    @abstractmethod
    def power(self) -> Node:
        """Return a base with its exponents."""

    @abstractmethod
    def atom(self) -> Node:
        """Return a value without suffixes."""

    @abstractmethod
    def bracketed(self) -> Node:
        """Return what stands in brackets."""

    @abstractmethod
    def command(self) -> Node:
        """Return what a LaTeX command stands for."""

    @abstractmethod
    def function(self, name: str) -> Node:
        """Return a known function with its argument."""

    @abstractmethod
    def starts_factor(self) -> bool:
        """Tell whether the current token can begin a factor without a sign of multiplication."""

    @abstractmethod
    def is_word(self, token: Token) -> bool:
        """Tell whether a run of letters is English."""

    @abstractmethod
    def separator(self) -> str | None:
        """Take what stands between two items of a collection."""
