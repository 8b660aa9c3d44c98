r"""Subscripts as part of a name. What is written as a sum of numbers and letters has one spelling: `b_{1+i}` is `b_{i+1}`.

`x_{k+k}` is the name "x_2k", `T_{\frac12}` is "T_1/2" and `v_{AB}` stays "v_AB": letters side by side are one label.
"""

from fractions import Fraction

from rewards.math.grammar.cursor import Cursor
from rewards.math.grammar.tokens import Token
from rewards.math.tree import Node

MAX_NESTED = 10  # brackets inside of a subscript
_SIGNS = frozenset(("+", "-", "*", "/", "(", "\\cdot", "\\times", "\\frac"))
_NEAR = 50  # tokens, among which a command tells that this is TeX
_TIMES = ("*", "\\cdot", "\\times")

Terms = dict[str, Fraction]  # the coefficient of each label, that of "" being the constant


def read_subscripts(cursor: Cursor, name: Node) -> Node:
    """Return `name` with its subscripts as part of it; spaces and braces do not matter, nor whether a prime comes first."""
    while cursor.take("_"):
        if cursor.at("{"):
            subscript = _read_grouped_subscript(cursor)
        else:
            if _has_script_of_its_own(cursor):
                cursor.split_name()
            subscript = cursor.advance().text
            if not subscript:
                raise cursor.unreadable("an empty subscript")
        bare = name.value.rstrip("'*")
        if subscript:  # y_{} has none
            name = name._replace(value=f"{bare}_{subscript}{name.value[len(bare) :]}")
    return name


def _has_script_of_its_own(cursor: Cursor) -> bool:
    """Tell whether the second of two letters is no subscript but the next name, as TeX has it: a_nb_n, a_nx^n, k_BT.

    Who writes no TeX may mean both letters: v_AB. Three and more are a word: x_max.
    """
    text = cursor.now.text
    if cursor.now.kind != "name" or len(text) != 2:
        return False
    is_index = text[0] in "ijklmnpqr" and cursor.ahead().sign in ("_", "^")
    is_boltzmann = text == "BT" and cursor.ahead(-2).text == "k"
    return is_index or is_boltzmann or any(token.kind == "cmd" for token in cursor.tokens[:_NEAR])


def _read_grouped_subscript(cursor: Cursor) -> str:
    """Take a group and return what is in it: a sum in its one spelling, else the texts of its tokens as one."""
    start = cursor.index + 1
    depth = 0
    while True:
        if cursor.now.kind == "end":
            raise cursor.unreadable("a subscript that does not close")
        token = cursor.advance()
        depth += (token.text == "{") - (token.text == "}")
        if not depth:
            return _spelling(cursor.tokens[start : cursor.index - 1])


def _spelling(tokens: list[Token]) -> str:
    if any(token.sign in _SIGNS for token in tokens):
        reader = _Sum(tokens)
        try:
            return _spelled(reader.whole())
        except _NoSumError:
            pass
    return "".join(token.text for token in tokens)


def _spelled(terms: Terms) -> str:
    text = ""
    for label in sorted(terms, key=lambda label: (not label, label)):  # the constant comes last
        size = terms[label]
        if size:
            number = "" if label and abs(size) == 1 else str(abs(size))
            text += ("-" if size < 0 else "+" if text else "") + number + label
    return text or "0"


class _NoSumError(Exception):
    """A subscript that is no sum of labels with rational coefficients."""


class _Sum:
    """Reads tokens as a sum; raises _NoSumError for anything else, so that a label such as `H+` keeps its text."""

    def __init__(self, tokens: list[Token]):
        self.tokens = tokens
        self.place = 0
        self.depth = 0

    def whole(self) -> Terms:
        terms = self._sum()
        if self.place < len(self.tokens):
            raise _NoSumError
        return terms

    def _take(self, *signs: str) -> str:
        """Step over the next token if it is one of these, and return it; "" where it is not."""
        if self.place < len(self.tokens) and self.tokens[self.place].sign in signs:
            self.place += 1
            return self.tokens[self.place - 1].sign
        return ""

    def _sum(self) -> Terms:
        total: Terms = {}
        sign = self._take("+", "-") or "+"
        while sign:
            for label, size in self._product().items():
                total[label] = total.get(label, Fraction(0)) + (size if sign == "+" else -size)
            sign = self._take("+", "-")
        return total

    def _product(self) -> Terms:
        terms = self._factor()
        while True:
            if self._take(*_TIMES):
                terms = _times(terms, self._factor())
            elif self._take("/"):
                terms = _over(terms, self._factor())
            elif self.place < len(self.tokens) and self._starts_factor():
                terms = _times(terms, self._factor())
            else:
                return terms

    def _starts_factor(self) -> bool:
        token = self.tokens[self.place]
        return token.kind in ("num", "name") or token.sign in ("(", "\\frac")

    def _factor(self) -> Terms:
        if self.place >= len(self.tokens):
            raise _NoSumError
        token = self.tokens[self.place]
        self.place += 1
        if token.kind == "num" and token.node is not None and token.node.op == "num":
            return {"": token.node.value}
        if token.kind in ("name", "text") or (token.kind == "cmd" and token.sign not in _SIGNS):
            return {token.text: Fraction(1)}
        if token.sign == "(":
            return self._bracketed(")")
        if token.sign == "\\frac":
            return _over(self._argument(), self._argument())
        raise _NoSumError

    def _argument(self) -> Terms:
        """Read a group, or a single digit out of several: \\frac12."""
        if self._take("{"):
            return self._bracketed("}")
        if self.place < len(self.tokens) and (digits := self.tokens[self.place].text).isdigit() and len(digits) == 2:
            token = self.tokens[self.place]
            self.tokens[self.place : self.place + 1] = [
                token._replace(text=digit, node=Node("num", (), Fraction(digit))) for digit in digits
            ]
        return self._factor()

    def _bracketed(self, closing: str) -> Terms:
        self.depth += 1
        if self.depth > MAX_NESTED:
            raise _NoSumError
        terms = self._sum()
        self.depth -= 1
        if not self._take(closing):
            raise _NoSumError
        return terms


def _constant(terms: Terms) -> Fraction | None:
    return terms.get("", Fraction(0)) if not any(terms[label] for label in terms if label) else None


def _times(left: Terms, right: Terms) -> Terms:
    for factor, terms in ((_constant(left), right), (_constant(right), left)):
        if factor is not None:
            return {label: size * factor for label, size in terms.items()}
    raise _NoSumError


def _over(terms: Terms, divisor: Terms) -> Terms:
    number = _constant(divisor)
    if not number:
        raise _NoSumError
    return _times(terms, {"": 1 / number})
