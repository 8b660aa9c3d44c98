r"""What the boxes of a text commit to: `\boxed{...}`, `\fbox{...}`, `\framebox{...}`, `\boxed 5`, also without its backslash.

The last box replaces earlier ones (a self-correction), with these exceptions:

- neighbours joined by nothing but commas, "and" or white space are one answer with several values: "3, 5";
- boxes joined by a word that leaves the choice open ("or", "maybe", "another", "if" in one sentence) or by an operator, and
  three different boxes in a row, are alternatives: "3 \text{ or } 5", which no single value meets;
- a last box that does not close is a cut-off answer, and an earlier one does not come back; an empty box says nothing.

"=" and a word that turns ("wait", "so", "no", "final") make the last one count. A percent sign or word right behind the last
box belongs to it, and so does "or 8". Nothing else outside of boxes is read.
"""

import re
from typing import NamedTuple

MAX_BOXES = 200
OR = r" \text{ or } "  # between alternatives, in what is read
BOX = re.compile(
    r"(?:\\|\x08|\\\\)(?:(?:f|frame)?box(?:ed)?|oxed|beginboxed)\s*(?=[{\d\\a-zA-Z$-])|(?<![a-zA-Z\\])boxed\s*(?=\{)"
)
# What nearly every completion of a trained model is after its thinking: one box with a number or plain arithmetic. Reading it
# at once takes a third off the time of a verdict, and changes none.
_ONLY_A_NUMBER = re.compile(r"\s*\\boxed\{((?=[^{}]*\d)[-+*/=(),.\d ]+)\}\s*")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_BARE_CONTENT = re.compile(r"\$?\s*(-?\d+(?:\.\d+)?|[A-Za-z](?![A-Za-z]))")  # of a box without braces
_NAME_CHARACTERS = 12  # no name has more of them before its "box"

_NEIGHBOUR_CHARACTERS = 80  # the longest gap between boxes that belong together
_GAP_JOIN = re.compile(
    r"(?:[\s,;$&]|\\[()\[\],;!: ]|\\quad|\\qquad|\\text\s*\{|\}|\band\b|\\\\|\b[Aa]nswer\s*\(?[\da-c]\)?\s*:)*"
)
_OR = re.compile(
    r"\b(?:or|oder|ou|maybe|perhaps|possib\w+|alternativ\w+|another|otherwise|could|might|may|vs|versus|guess\w*|either"
    r"|candidate|as well as)\b|\\lor(?![a-z])|\\vee(?![a-z])|或|^[^.\n]*\b(?:if|when|else)\b[^.\n]*$",
    re.IGNORECASE,
)
_OPERATORS = re.compile(  # boxes in one formula: none of them is the answer
    r"[^.\n=]*(?:[+*/<>|^-]|\\(?:cdot|times|div|mid|pm|mp|leq?|geq?|neq?|l?or|vee|land|wedge|cup|cap)(?![a-zA-Z])|\}\s*\{)[^.\n=]*"
)
_WORDS = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]{2,}")
_TURN = re.compile(
    r"\b(?:wait|no|not|actually|correct\w*|so|therefore|hence|thus|final\w*|mistake|instead|sorry|recheck\w*)\b", re.IGNORECASE
)

_ROW_GAP_CHARACTERS = 40  # the longest gap between boxes in a row
_ROW = 3  # different boxes in a row are alternatives from here on

_TAIL_CHARACTERS = 40  # what is looked at behind the last box
_AFTER_PERCENT = re.compile(r"\s*(?:\$|\\[)\]])?\s*(\\?%|percent\b|per cent\b|pct\b)")
_AFTER_OR = re.compile(
    r"\s*(?:\$|\\[)\]])?\s*,?\s*\(?(?:or|maybe|perhaps|possibly)\s+(?:maybe\s+|perhaps\s+|also\s+)?\$?\s*(?=[-\d\\])"
)
_TAIL_END = re.compile(r"[.\s$)]")


class Box(NamedTuple):
    """One box that closes: `text[start:end]` is the whole of it, `content` what it holds, stripped."""

    start: int
    end: int
    content: str


def box_answer(text: str) -> str | None:
    """Return what the last boxes of `text` commit to, "" where they commit to nothing, or None where there are none.

    Of more than MAX_BOXES boxes only the last are read. Takes time in proportion to the length of the text.
    """
    if only := _ONLY_A_NUMBER.fullmatch(text):
        return only[1].strip()
    names = list(BOX.finditer(text, max(0, text.find("box") - _NAME_CHARACTERS)))[-MAX_BOXES:]
    if not names:
        return None
    closing = _closing_braces(text, names[0].end())
    closed = _closed_boxes(text, names, closing)
    if not closed:
        return ""
    end = closed[-1].end
    if names[-1].start() >= end and text.find("{", names[-1].start()) not in closing:
        return ""  # the last box does not close: a cut-off answer
    return _with_tail(_joined(text, closed), text[end : end + _TAIL_CHARACTERS])


def _closing_braces(text: str, start: int) -> dict[int, int]:
    """Return where each brace closes that opens in `text` from `start` on; those that never do are left out."""
    closing: dict[int, int] = {}
    opened: list[int] = []
    for brace in _BRACE.finditer(text, start):  # one pass: ten thousand boxes that never close must not stall
        if brace[0] == "{":
            opened.append(brace.start())
        elif brace[0] == "}" and opened:
            closing[opened.pop()] = brace.start()
    return closing


def _closed_boxes(text: str, names: list[re.Match[str]], closing: dict[int, int]) -> list[Box]:
    """Return the boxes that close and hold something; of a box that is in another one only the outer."""
    closed: list[Box] = []
    for name in names:
        if closed and name.start() < closed[-1].end:
            continue  # inside of the box before
        if (box := _box(text, name, closing)) is not None:
            closed.append(box)
    return [box for box in closed if box.content.strip("$ .")]


def _box(text: str, name: re.Match[str], closing: dict[int, int]) -> Box | None:
    """Return the box that begins with `name`, or None where it does not close or holds nothing that can be read."""
    brace = name.end()
    if not text.startswith("{", brace):
        bare = _BARE_CONTENT.match(text, brace)
        return None if bare is None else Box(name.start(), bare.end(), bare[1])
    if brace not in closing:
        return None
    end = closing[brace]
    content = text[brace + 1 : end].strip()
    while content.endswith("}") and (inner := BOX.match(content)):  # a box that is nothing but another box
        content = content[inner.end() + 1 : -1].strip()
    return Box(name.start(), end + 1, content)


def _joined(text: str, closed: list[Box]) -> str:
    """Return the last box and those that belong to it as one text: "5", "3, 5" or "3 or 5"."""
    group = [closed[-1]]
    is_open = False  # whether the text leaves open which of the group counts
    for box in reversed(closed[:-1]):
        gap = text[box.end : group[0].start]
        if len(gap) > _NEIGHBOUR_CHARACTERS:
            break
        if not (_GAP_JOIN.fullmatch(gap) and "." not in gap):
            if not _leaves_open(gap):
                break
            is_open = True
        group.insert(0, box)
    if len(group) == 1 and (row := _row(text, closed)):
        group, is_open = row, True
    return (OR if is_open else ", ").join(_different(group))


def _different(group: list[Box]) -> list[str]:
    return list(dict.fromkeys(box.content for box in group))


def _leaves_open(gap: str) -> bool:
    """Tell whether what stands between two boxes leaves open which of them counts."""
    if _TURN.search(gap):
        return False
    return bool(_OR.search(gap) or (_OPERATORS.fullmatch(gap) and not _WORDS.search(gap)))


def _row(text: str, closed: list[Box]) -> list[Box]:
    """Return the last boxes in short succession without a word that turns between them; [] for less than three values."""
    row = [closed[-1]]
    for box in reversed(closed[:-1]):
        gap = text[box.end : row[0].start]
        if len(gap) > _ROW_GAP_CHARACTERS or _TURN.search(gap):
            break
        row.insert(0, box)
    return row if len(_different(row)) >= _ROW else []


def _with_tail(answer: str, tail: str) -> str:
    """Return `answer` with what belongs to it in `tail`, the text right behind the last box."""
    if _AFTER_PERCENT.match(tail):
        return answer if answer.endswith("%") else answer + r"\%"
    if match := _AFTER_OR.match(tail):
        return answer + OR + _TAIL_END.split(tail[match.end() :], maxsplit=1)[0]
    return answer
