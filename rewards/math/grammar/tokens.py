r"""Cuts cleaned text into a bounded list of tokens; the only place that decides what a comma between digits means.

A comma (space, apostrophe) before exactly three digits groups thousands, but never inside brackets, where it separates:
`1,234` is a number and `(1,234)` a pair. `0,125` is a decimal comma; repeating decimals become exact here.
"""

import re
from fractions import Fraction
from typing import Literal, NamedTuple

from rewards.math.tree import MAX_CHARACTERS, MAX_DIGITS, MAX_TOKENS, Node, UnreadableError, number

Kind = Literal[
    "num",  # A number; `node` is its value.
    "name",  # A run of letters.
    "cmd",  # A LaTeX command; `text` is its name without the backslash.
    "op",  # A sign such as + or <=, or a bracket; the braces of a set are \{ and \}, those of a group { and }.
    "text",  # What stands in \text{...}.
    "end",  # Behind the last one.
]


class Token(NamedTuple):
    """A piece of the text at `place`; `spaced` tells whether white space stands before it."""

    kind: Kind
    text: str
    place: int
    spaced: bool = False
    node: Node | None = None

    @property
    def sign(self) -> str:
        """The operator, or the command with its backslash; "" for anything else."""
        if self.kind == "op":
            return self.text
        return "\\" + self.text if self.kind == "cmd" else ""


_REPEATING = re.compile(
    r"(\d*)\.(\d*)(?:"
    r"((?:\\(?:overline|bar|dot|overarc)\s*(?:\{\s*\d+\s*\}|\d)\d*)+)"  # 0.1\overline{6}
    r"|\((\d+)\)"  # 0.1(6)
    r"|(?:\.\.\.+|\s*\\ldots)(\d*))",  # 0.1666...
    re.ASCII,
)
_SCIENTIFIC = re.compile(r"(?:\d+(?:\.\d*)?|\.\d+)[eE][+-]?\d{1,6}(?![\d.A-Za-z])", re.ASCII)
_RADIX = re.compile(r"0(?:x[0-9a-fA-F]+|b[01]+|o[0-7]+)(?![\w.])", re.ASCII)
_GROUPED = re.compile(
    r"(?:[1-9]\d{0,2}(?:,\d{3})+|[1-9]\d{0,2}(?: \d{3})+|[1-9]\d{0,2}(?:'\d{3})+|[1-9]\d{0,2}(?:_\d{3})+)(?:\.\d+)?"
    r"(?![\d]|,\d)"  # 1,234.5 1 234 1'234 1_234
    r"|[1-9]\d?(?:,\d{2})+,\d{3}(?:\.\d+)?(?![\d,])"  # 12,34,567 as in India
    r"|[1-9]\d{0,2}(?:\.\d{3}){2,}(?:,\d+)?(?!\d)"  # 1.234.567,8
    r"|[1-9]\d{0,2}(?:\.\d{3})+,\d{1,2}(?![\d,])"  # 1.234,56
    r"|0,\d{3,}(?![\d,])",  # 0,125: what begins with a zero is no thousand
    re.ASCII,
)
_PLAIN = re.compile(r"\d+(?:\.(?!\.)\d*)?|\.\d+", re.ASCII)
_TRAILING_AND = re.compile(r"(.*\w)\s+and\s*", re.DOTALL)
_LETTERS = re.compile(r"[A-Za-z]+")
_COMMAND = re.compile(r"\\(?:[A-Za-z]+|.)", re.DOTALL)
_ESCAPED = {"{": "\\{", "}": "\\}", "%": "%", "$": "$", "&": "&", "|": "|", "_": " ", "#": "#"}
_OPERATOR = re.compile(r"\*\*|<=|>=|=<|!=|<>|==|:=|->|=>|\.\.\.+|&&|\|\||[-+*/^_!%'()\[\]{}|,;:=<>&$#@?\".£€¥¢]")


def _exact(text: str, place: int) -> Node:
    """Return the node of a plain decimal or integer literal; a point at its end says nothing."""
    if len(text) > MAX_DIGITS:
        raise UnreadableError(f"a number of {len(text)} digits at {place}")
    if "." in text.rstrip("."):
        significant = text.replace(".", "").lstrip("0")
        return Node("dec", (), (Fraction(text), len(significant)))
    return number(int(text.rstrip(".")))


def _repeating(match: re.Match[str]) -> Node | None:
    """Return the exact value of a repeating decimal, or None where nothing repeats."""
    whole, fixed, overlined, bracketed, behind_dots = match.groups()
    if overlined:
        period = re.sub(r"\D", "", overlined)
    elif bracketed:
        if not whole and not fixed:  # .(5) is no number
            return None
        period = bracketed
    else:
        period = "" if behind_dots else _period(fixed)
        if not period:
            return None
    if len((whole or "0") + fixed + period) > MAX_DIGITS:
        raise UnreadableError("a repeating decimal that is too long")
    written = Fraction(f"{whole or '0'}.{fixed}0")
    return number(written + Fraction(int(period), 10 ** len(period) - 1) / 10 ** len(fixed))


def _period(digits: str) -> str:
    """Return what digits in front of an ellipsis repeat, "" for nothing: a single digit three times, more of them twice."""
    for size in range(1, len(digits) // 2 + 1):
        period = digits[-size:]
        if digits.endswith(period * (3 if size == 1 else 2)):
            return period
    return ""


def _ungrouped(text: str) -> str:
    """Return a grouped number as a plain literal: without what groups, with a point for a decimal comma."""
    if re.fullmatch(r"0,\d+", text):
        return text.replace(",", ".")
    points_group = text.count(".") > 1 or ("." in text and "," in text and text.index(".") < text.index(","))
    if points_group:
        return text.replace(".", "").replace(",", ".")
    return text.replace(",", "").replace(" ", "").replace("'", "").replace("_", "")


def _scientific(text: str, place: int) -> Node:
    mantissa, _, exponent = text.lower().partition("e")
    if abs(int(exponent)) > MAX_DIGITS:  # before the power is computed
        raise UnreadableError(f"an exponent of {exponent} at {place}")
    literal = _exact(mantissa, place)
    scale = Fraction(10) ** int(exponent)
    if literal.op == "dec":
        value, digits = literal.value
        return Node("dec", (), (value * scale, digits))
    return number(literal.value * scale)


def _number(text: str, place: int, in_brackets: bool) -> tuple[str, Node] | None:
    """Return the literal at `place` as written and its value; the most special spelling first."""
    if match := _RADIX.match(text, place):
        return match[0], number(int(match[0], 0))
    if match := _SCIENTIFIC.match(text, place):
        return match[0], _scientific(match[0], place)
    if (match := _REPEATING.match(text, place)) and (node := _repeating(match)):
        return match[0], node
    if not in_brackets and (match := _GROUPED.match(text, place)):
        return match[0], _exact(_ungrouped(match[0]), place)
    if match := _PLAIN.match(text, place):
        return match[0], _exact(match[0], place)
    return None


def _group_end(text: str, place: int) -> int:
    """Return where the group that opens at `place` ends: the index behind its brace."""
    depth = 0
    while place < len(text):
        if text[place] == "\\":
            place += 1
        elif text[place] == "{":
            depth += 1
        elif text[place] == "}":
            depth -= 1
            if not depth:
                return place + 1
        place += 1
    raise UnreadableError(f"a brace that does not close at {place}")


def _command(text: str, place: int, spaced: bool) -> tuple[Token, int]:
    """Return the command, escaped sign or text at `place` as a token, and where it ends."""
    match = _COMMAND.match(text, place)
    if match is None:
        raise UnreadableError(f"a backslash at {place}")
    name, end = match[0][1:], match.end()
    if name == "text":
        opening = end
        while opening < len(text) and text[opening] == " ":
            opening += 1
        if opening < len(text) and text[opening] == "{":
            end = _group_end(text, opening)
            return Token("text", text[opening + 1 : end - 1], place, spaced), end
        return Token("cmd", name, place, spaced), opening
    if name in _ESCAPED:
        return Token("op", _ESCAPED[name], place, spaced), end
    return Token("cmd", name, place, spaced), end


def _token(text: str, place: int, in_brackets: bool) -> tuple[Token, int]:
    """Return the token at `place` and where it ends."""
    character = text[place]
    spaced = place > 0 and text[place - 1].isspace()
    if character == "\\":
        return _command(text, place, spaced)
    if (character.isdigit() or character == ".") and (literal := _number(text, place, in_brackets)):
        written, node = literal
        return Token("num", written, place, spaced, node), place + len(written)
    if match := _LETTERS.match(text, place):
        return Token("name", match[0], place, spaced), match.end()
    if match := _OPERATOR.match(text, place):
        return Token("op", match[0], place, spaced), match.end()
    raise UnreadableError(f"an unknown sign {character!r} at {place}")


def tokenize(text: str) -> list[Token]:
    """Return the tokens of cleaned `text`, ended by an `end` token; raises UnreadableError with the place."""
    if len(text) > MAX_CHARACTERS:
        raise UnreadableError(f"{len(text)} characters, at most {MAX_CHARACTERS} are read")
    tokens: list[Token] = []
    place, depth = 0, 0
    while place < len(text):
        if text[place].isspace():
            place += 1
            continue
        if len(tokens) >= MAX_TOKENS:
            raise UnreadableError(f"more than {MAX_TOKENS} tokens")
        token, place = _token(text, place, depth > 0)
        if token.kind == "op":
            depth += (token.text in ("(", "[", "\\{")) - (token.text in (")", "]", "\\}"))
        elif token.kind == "text" and (match := _TRAILING_AND.fullmatch(token.text)):  # \text{cm and } 3
            tokens.append(token._replace(text=match[1]))
            token = token._replace(text="and")
        if token.text == "!=" and not token.spaced and tokens and tokens[-1].kind == "num":  # 5!=120, where x!=5 is a relation
            tokens.append(token._replace(text="!"))
            token = token._replace(text="=", place=token.place + 1)
        if token.text != " ":  # an escaped underscore and \text{ } are white space
            tokens.append(token)
    tokens.append(Token("end", "", len(text), True))
    return _with_bars(tokens) if "|" in text or "vert" in text else tokens


def _with_bars(tokens: list[Token]) -> list[Token]:
    r"""Return `tokens` with the bars of absolute values one by one; \lvert and \rvert stay where they stand in pairs.

    Two bars side by side end one value and begin another, |a||b|, but with space around them they say "or".
    """
    depth, lowest = 0, 0
    for token in tokens:
        depth += (token.sign == "\\lvert") - (token.sign == "\\rvert")
        lowest = min(lowest, depth)
    paired = depth == lowest == 0
    lone_or = sum("|" in token.sign for token in tokens) == 1
    separate: list[Token] = []
    joins = lone_or and "{" not in "".join(token.text for token in tokens)  # (x < 1) | (x > 2), as programs print it
    for index, token in enumerate(tokens):
        if token.sign in ("\\lvert", "\\rvert") and not paired:
            separate.append(token._replace(kind="op", text="|"))
        elif token.sign == "||" and not lone_or and not (token.spaced and tokens[index + 1].spaced):
            separate += (token._replace(text="|"), token._replace(text="|", place=token.place + 1, spaced=False))
        elif joins and token.sign == "|" and index and tokens[index - 1].sign == ")" and tokens[index + 1].sign == "(":
            separate.append(token._replace(text="||"))
        else:
            separate.append(token)
    return separate
