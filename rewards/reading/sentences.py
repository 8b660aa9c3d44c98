r"""Running text in pieces: formulas, lines, sentences; and what dresses it: bold type, bullets, headings, fences.

A dollar sign opens a formula only where one closes that looks like an end: something stands to its left and no digit to its
right. "$5,000 - $1,200 = $3,800" is money.
"""

import re
from typing import NamedTuple

MAX_FORMULA_CHARACTERS = 600


class Formula(NamedTuple):
    """`text[start:end]` is a formula with its delimiters, `content` what stands between them."""

    start: int
    end: int
    content: str


_OPENING = re.compile(r"(?<!\\)\$\$?|\\\(|\\\[")
_CLOSERS = {"\\(": re.compile(r"\\\)"), "\\[": re.compile(r"\\\]"), "$$": re.compile(r"\$\$")}
_DOLLAR_CLOSES = re.compile(r"(?<![\\$])\$(?!\$)")
_PLAIN_WORDS = re.compile(r"(?<![\\a-zA-Z{])[a-zA-Z]{2,}\s+(?:[a-zA-Z]{2,})")
_MONEY = re.compile(r"\$\s?\d")


def formulas(text: str) -> list[Formula]:
    """Return the formulas of `text` in order. Takes time in proportion to its length."""
    found: list[Formula] = []
    position = 0
    while opening := _OPENING.search(text, position):
        closing = _closing(text, opening)
        if closing is None:
            position = opening.end()
            continue
        found.append(Formula(opening.start(), closing.end(), text[opening.end() : closing.start()].strip()))
        position = closing.end()
    return found


def _closing(text: str, opening: re.Match[str]) -> re.Match[str] | None:
    start = opening.end()
    limit = min(len(text), start + MAX_FORMULA_CHARACTERS)
    if opening[0] != "$":
        return _CLOSERS[opening[0]].search(text, start, limit)
    closing = _DOLLAR_CLOSES.search(text, start, limit)
    if closing is None or closing.start() == start:
        return None
    content = text[start : closing.start()]
    padded = content[0].isspace() and content[-1].isspace()
    if "\n\n" in content or (content[-1].isspace() and not padded) or text[closing.end() : closing.end() + 1].isdigit():
        return None
    if _MONEY.match(text, opening.start()) and _PLAIN_WORDS.search(content):
        return None  # "$5 a day, then $x=3$"
    return closing


def without_formulas(text: str) -> str:
    """Return `text` with a lone dollar sign for each formula."""
    pieces, position = [], 0
    for formula in formulas(text):
        pieces.append(text[position : formula.start])
        position = formula.end
    return " $ ".join([*pieces, text[position:]])


_SENTENCE_END = re.compile(
    r"(?<!\b[a-zA-Z])(?<!\b[a-zA-Z]\.[a-zA-Z])(?<!\bsq)(?<!\bapprox)(?<!\bvs)(?<!\bca)(?<!\b[MD]rs)(?<!\b[MD]r)(?<!\b[MD]s)"
    r"(?!(?:(?<=\blbs)|(?<=\boz)|(?<=\bft)|(?<=\bhrs)|(?<=\bmin)|(?<=\bsec)|(?<=\byd))\.\s+[a-z])[.!?]+(?:\*\*"
    r"|[)\"”’])*(?=\s|$)(?!\s*[mM]\.)|(?<=[ ^$(]\w)\.(?=\s+[A-Z]|\s*$)|(?<=\n\w)\.(?=\s*$)|[。！？।؟۔]|；(?!\s*\$)"
    r"|\n\s*\n|\n(?=\S)|(?<=\\\])\s*(?=[A-Z])|(?<=\$\$)\s*(?=[A-Z][a-z])|(?<=\.\$)(?=\s+[A-Z])"
)


def sentence_ends(text: str) -> list[tuple[int, int]]:
    """Return (where the sentence's text ends, where the next begins) of every end of a sentence outside of formulas."""
    spans = formulas(text)
    ends: list[tuple[int, int]] = []
    index = 0
    for match in _SENTENCE_END.finditer(text):
        while index < len(spans) and spans[index].end <= match.start():
            index += 1
        if index == len(spans) or not spans[index].start < match.start() < spans[index].end:
            ends.append((match.start(), match.end()))
    return ends


def first_sentence(text: str) -> str:
    """Return `text` up to the end of its first sentence, with the question mark that ends it."""
    for end, after in sentence_ends(text):
        if text[:end].strip(" *_"):
            return text[:end] + ("?" if any(mark in text[end:after] for mark in "?？؟") else "")
    return text


def sentences(text: str) -> list[str]:
    """Return the sentences of `text`, each with its end mark."""
    pieces, position = [], 0
    for _, after in sentence_ends(text):
        pieces.append(text[position:after])
        position = after
    pieces.append(text[position:])
    return [stripped for piece in pieces if (stripped := piece.strip())]


# -- what dresses text

_PROGRAM = re.compile(
    r"```(?!(?:text|txt|plaintext|math|latex|tex|markdown|md|output)?[ \t]*\n)[^\n]*\n.*?(?:```|\Z)", re.DOTALL
)
_FENCE = re.compile(r"```[a-zA-Z]*[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL)
_CODE = re.compile(
    r"\b(?:print|def|return|import|range|while)\b|\w\(\w*\)|#\s|^\s*\w+\s*[+*-]?=\s*\w+[^\n]*\n\s*\w+\s*=", re.MULTILINE
)
_CALCULATOR = re.compile(r"<<[^<>\n]{0,200}>>")
_DRAWING = re.compile(r"\[asy\].*?(?:\[/asy\]|\Z)", re.DOTALL)
_DISPLAY = re.compile(
    r"\\\[.{0,1000}?\\\]|\$\$.{1,1000}?\$\$|\\begin\{((?:align|gather|equation|multline|eqnarray)\*?)\}.{0,2000}?\\end\{\1\}",
    re.DOTALL,
)
_BARE_ENVIRONMENT = re.compile(r"^\\begin\{(?:align|gather|equation|multline|eqnarray)\*?\}")
_BULLET = re.compile(r"^\s*(?:(?:[-*•>+]|#{1,6})\s+)+|^\s*(?:\d{1,2}|[a-z])[.)]\s+(?=\S)")
_LEADER = re.compile(r"^\s*=\s*")


def undressed(text: str) -> str:
    """Return `text` without programs, fences and calculator notes, and with each displayed formula on one line."""
    if "```" in text:
        text = _FENCE.sub(_unfenced, _PROGRAM.sub("\n", text))
    if "<<" in text:
        text = _CALCULATOR.sub("", text)
    if "[asy]" in text:
        text = _DRAWING.sub(" ", text)
    if "\\[" in text or "$$" in text or "\\begin" in text:
        text = _DISPLAY.sub(lambda match: _on_one_line(match[0]), text)
    return text


def _unfenced(match: re.Match[str]) -> str:
    """Return what a fence without a language holds, where that is no program either."""
    return "\n" if _CODE.search(match[1]) else f"\n{match[1]}\n"


def _on_one_line(display: str) -> str:
    r"""Return a displayed formula as one line; `align` and its like become `$$`."""
    flat = " ".join(display.split())
    return f"$${flat}$$" if _BARE_ENVIRONMENT.match(flat) else flat


def plain_line(line: str) -> str:
    """Return a line without its bullet, heading mark, quote mark, or the "=" that goes on from the line above."""
    line = _BULLET.sub("", line, count=1)
    if line.startswith("|") and line.rstrip().endswith("|"):  # of a table, the last cell
        line = line.strip("| \t").rpartition("|")[2]
    return _LEADER.sub("", line).strip()


_BOLD = re.compile(
    r"(?<![\w)*])\*\*(?=[^\s*])([^*\n]{1,200})(?<!\s)\*\*(?![\w(*])|(?<!_)__(?=[^\s_])([^_\n]{1,200})(?<!\s)__(?!_)"
)


def bold_texts(text: str) -> list[str]:
    """Return what stands in bold type, labels ("**Total:**") left out."""
    found = [(match[1] or match[2]).strip() for match in _BOLD.finditer(text)]
    return [bold for bold in found if not bold.endswith((":", "："))]


def without_bold(text: str) -> str:
    """Return `text` without the marks of bold type."""
    return _BOLD.sub(lambda match: match[1] or match[2], text)
