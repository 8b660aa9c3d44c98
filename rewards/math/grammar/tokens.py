r"""Cuts cleaned text into a bounded list of tokens; the only place that decides what a comma between digits means.

A comma (space, apostrophe) before exactly three digits groups thousands, but never inside brackets, where it separates:
`1,234` is a number and `(1,234)` a pair. `0,125` is a decimal comma; repeating decimals become exact here.
"""

import re
from fractions import Fraction
from typing import Literal, NamedTuple

from rewards.math.tree import MAX_CHARACTERS, MAX_DIGITS, MAX_TOKENS, Node, UnreadableError

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
    r"(\d*)\.(\d*)(?:((?:\\(?:overline|bar|dot|overarc)\s*(?:\{\s*\d+\s*\}|\d)\d*)+)|\((\d+)\)|(?:\.\.\.+|\s*\\ldots)(\d*))",
    re.ASCII,
)
_SCIENTIFIC = re.compile(r"(?:\d+(?:\.\d*)?|\.\d+)[eE][+-]?\d{1,6}(?![\d.A-Za-z])", re.ASCII)
_RADIX = re.compile(r"0(?:x[0-9a-fA-F]+|b[01]+|o[0-7]+)(?![\w.])", re.ASCII)
_GROUPED = re.compile(
    r"(?:[1-9]\d{0,2}(?:,\d{3})+|[1-9]\d{0,2}(?: \d{3})+|[1-9]\d{0,2}(?:'\d{3})+)(?:\.\d+)?(?![\d]|,\d)"
    r"|[1-9]\d?(?:,\d{2})+,\d{3}(?:\.\d+)?(?![\d,])|[1-9]\d{0,2}(?:\.\d{3}){2,}(?:,\d+)?(?!\d)|[1-9]\d{0,2}(?:\.\d{3})+,\d{1,2}(?![\d,])|0,\d{3,}(?![\d,])",
    re.ASCII,
)
_PLAIN = re.compile(r"\d+(?:\.(?!\.)\d*)?|\.\d+", re.ASCII)
_TRAILING_AND = re.compile(r"(.*\w)\s+and\s*", re.DOTALL)
_LETTERS = re.compile(r"[A-Za-z]+")
_COMMAND = re.compile(r"\\(?:[A-Za-z]+|.)", re.DOTALL)
_ESCAPED = {"{": "\\{", "}": "\\}", "%": "%", "$": "$", "&": "&", "|": "|", "_": " ", "#": "#"}
_OPERATOR = re.compile(r"\*\*|<=|>=|=<|!=|<>|==|:=|->|=>|\.\.\.+|&&|\|\||[-+*/^_!%'()\[\]{}|,;:=<>&$#@?\".£€¥¢]")


def _exact(text: str, place: int) -> Node:
    """Return the node of a plain decimal or integer literal."""
    digits = text.replace(".", "").lstrip("0")
    if len(text) > MAX_DIGITS:
        raise UnreadableError(f"a number of {len(text)} digits at {place}")
    if "." in text.rstrip("."):
        return Node("dec", (), (Fraction(text), len(digits)))
    return Node("num", (), Fraction(int(text.rstrip("."))))


def _repeating(match: re.Match[str]) -> Node | None:
    """Return the exact value of a repeating decimal, or None where nothing repeats."""
    whole, fixed = match[1] or "0", match[2]
    period = re.sub(r"\D", "", match[3]) if match[3] else match[4]
    if period is None:
        if match[5] or not fixed:
            return None
        for size in range(1, len(fixed) // 2 + 1):
            period = fixed[-size:]
            if fixed.endswith(period * (3 if size == 1 else 2)):
                break
        else:
            return None
    elif not match[1] and not fixed and match[4]:
        return None
    if len(whole + fixed + period) > MAX_DIGITS:
        raise UnreadableError("a repeating decimal that is too long")
    repeated = Fraction(int(period), 10 ** len(period) - 1) / 10 ** len(fixed)
    return Node("num", (), Fraction(f"{whole}.{fixed}0") + repeated)


def _ungrouped(text: str) -> str:
    """Return a grouped number as a plain literal."""
    if re.fullmatch(r"0,\d+", text):
        return text.replace(",", ".")
    if text.count(".") > 1 or ("." in text and "," in text and text.index(".") < text.index(",")):
        return text.replace(".", "").replace(",", ".")
    return text.replace(",", "").replace(" ", "").replace("'", "")


def _number(text: str, place: int, inside: bool) -> tuple[str, Node] | None:
    """Return the literal at `place` and its value."""
    if match := _RADIX.match(text, place):
        return match[0], Node("num", (), Fraction(int(match[0], 0)))
    if match := _SCIENTIFIC.match(text, place):
        mantissa, _, exponent = match[0].lower().partition("e")
        if abs(int(exponent)) > MAX_DIGITS:
            raise UnreadableError(f"an exponent of {exponent} at {place}")
        literal = _exact(mantissa, place)
        scale = Fraction(10) ** int(exponent)
        if literal.op == "dec":
            return match[0], Node("dec", (), (literal.value[0] * scale, literal.value[1]))
        return match[0], Node("num", (), literal.value * scale)
    if (match := _REPEATING.match(text, place)) and (node := _repeating(match)):
        return match[0], node
    if not inside and (match := _GROUPED.match(text, place)):
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
        if token.text != " ":  # an escaped underscore and \text{ } are white space
            tokens.append(token)
    tokens.append(Token("end", "", len(text), True))
    return tokens
