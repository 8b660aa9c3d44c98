r"""What the boxes of a text commit to: `\boxed{...}`, `\fbox{...}`, `\framebox{...}`, `\boxed 5`, also without its backslash.

The last box replaces earlier ones (a self-correction), with these exceptions:

- a box and its rounding, "2/7 \\approx 0.286", are the exact value;
- neighbours joined by nothing but commas, "and" or white space are one answer with several values: "3, 5";
- boxes joined by a word that leaves the choice open ("or", "maybe", "another", "if" in one sentence) or by an operator, and
  three different boxes in a row, are alternatives: "3 \text{ or } 5", which no single value meets;
- a last box that does not close is a cut-off answer, and an earlier one does not come back; an empty box says nothing.

"=" and a word that turns ("wait", "so", "no", "final") make the last one count. A percent sign or word right behind the last
box belongs to it, and so does "or 8". Nothing else outside of boxes is read.
"""

import re
from collections.abc import Sequence
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
    r"|candidate|as well as|for (?:even|odd|positive|negative|[a-z] ?[=<>]))\b"
    r"|\\lor(?![a-z])|\\vee(?![a-z])|或|^[^.\n]*\b(?:if|when|else)\b[^.\n]*$",
    re.IGNORECASE,
)
_OPERATORS = re.compile(  # boxes in one formula: none of them is the answer
    r"[^.\n=]*(?:[+*/<>|^-]|\\(?:cdot|times|div|mid|pm|mp|leq?|geq?|neq?|l?or|vee|land|wedge|cup|cap)(?![a-zA-Z])"
    r"|\}\s*\{)[^.\n=]*"
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


# between a value and its rounding
_APPROXIMATES = re.compile(
    r"[\s$,(]*(?:\\(?:approx|simeq|sim|doteq)(?![a-zA-Z])|≈|≃|(?:or|which\s+is|that\s+is|i\.e\.,?)\s+(?:approximately|about"
    r"|roughly|around)"
    r"|approximately)[\s$]*",
)
_ROUNDED = re.compile(r"[-$\s]*\d*\.\d+[$\s]*")

_LIST_GAP_CHARACTERS = 200  # the longest gap between boxes of which each gives one of several things asked for
_TURN_BACK = re.compile(
    r"\b(?:wait|no|not|actually|correct\w*|mistake|instead|sorry|recheck\w*|wrong|or|rather)\b", re.IGNORECASE
)
_GOES_ON = re.compile(r"\band\b|,|\([b-h2-9]\)|\b(?:part|second|third|other|while)\b", re.IGNORECASE)
_NAME_IN_FRONT = re.compile(r"((?:\\?[A-Za-z]+|[A-Za-z])(?:_\{?\w{1,4}\}?)?(?:\([\w,]{1,8}\))?)\s*=\s*$")

_ENVIRONMENT = re.compile(
    r"\\begin\{(aligned|gathered|align\*?|split|array)\}(?:\s*\{[lcr| ]*\})?((?:(?!\\begin)[^&]"
    r"|(?<!\\)&(?=\s*[=<>\\])){0,2000})\\end\{\1\}",
    re.DOTALL,
)
_ROW_END = re.compile(r"\\\\(?:\s*\[[^\]\n]{0,10}\])?")
_ROW_OF_VALUES = re.compile(r"[^=]{1,40}=[^=]{1,80}|\s*-?[\d.,/]+\s*")

_LETTER_CHARACTERS = 160  # in which the letter of a choice is looked for behind the last box
_LETTER_BEHIND = re.compile(
    r"[\s$.,;)\]\\}]*(?:(?!(?i:not|unlike|except))[a-zA-Z]{1,12}(?:/[a-z]{1,4})?[,.]\s)?"
    r"((?:(?i:so|thus|hence|therefore|and|the|our|correct|final|right|answer|option|choice|is|which|that"
    r"|corresponds?|corresponding"
    r"|matches|matching|to|with|i\.e\.)(?![a-zA-Z])[\s,:]*){0,10})(?:\\(?:textbf|text|mathrm|mathbf)\{|\*\*|\$|\s)*"
    r"(?:\(([A-J])\)|([A-J])(?![\w'’(]))(?!\s*(?:,|or\b|and\b|/)\s*\(?[A-J]\b)(?!\s+or\b)"
)
_NAMES_A_CHOICE = re.compile(r"answer|option|choice", re.IGNORECASE)


class Boxes(NamedTuple):
    """What the boxes of a text commit to.

    `answer` is "" where they commit to nothing; `start` and `end` are those of the last box.
    `several` and `letter_behind` are what few
    references ask for.
    """

    answer: str
    text: str = ""
    closed: Sequence["Box"] = ()
    end: int = 0
    start: int = 0

    def several(self, with_names: bool) -> list[str]:
        """Return the last boxes that may each give one of several things asked for, bare or with the names before them."""
        group = _listed(self.text, self.closed)
        return [_with_name(self.text, box) if with_names else box.content for box in group]

    def letter_behind(self) -> str | None:
        """Return the letter of the choice that is named right behind the last box: "so the answer is (B)"."""
        match = _LETTER_BEHIND.match(self.text[self.end : self.end + _LETTER_CHARACTERS])
        if match is None or not (match[2] or _NAMES_A_CHOICE.search(match[1])):
            return None
        return match[2] or match[3]


class Box(NamedTuple):
    """One box that closes: `text[start:end]` is the whole of it, `content` what it holds, stripped."""

    start: int
    end: int
    content: str


def box_answer(text: str) -> str | None:
    """Return what the last boxes of `text` commit to, "" where they commit to nothing, or None where there are none."""
    boxes = read_boxes(text)
    return None if boxes is None else boxes.answer


def only_number(text: str) -> str | None:
    """Return the number of a text that is nothing but a box with a number, or None."""
    only = _ONLY_A_NUMBER.fullmatch(text)
    return only[1].strip() if only else None


def read_boxes(text: str) -> Boxes | None:
    """Return what the boxes of `text` commit to, or None where there are none.

    Of more than MAX_BOXES boxes only the last are read. Takes time in proportion to the length of the text.
    """
    if (only := only_number(text)) is not None:
        return Boxes(only, end=len(text))
    names = list(BOX.finditer(text, max(0, text.find("box") - _NAME_CHARACTERS)))[-MAX_BOXES:]
    if not names:
        return None
    closing = _closing_braces(text, names[0].end())
    closed = _closed_boxes(text, names, closing)
    if not closed:
        return Boxes("")
    end = closed[-1].end
    if names[-1].start() >= end and text.find("{", names[-1].start()) not in closing:
        return Boxes("")  # the last box does not close: a cut-off answer
    last = closed[0].content if len(closed) == 1 else _joined(text, closed)
    answer = _with_tail(last, text[end : end + _TAIL_CHARACTERS])
    return Boxes(answer, text, closed, end, closed[-1].start)


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
    return Box(name.start(), end + 1, _on_one_line(content))


def _on_one_line(content: str) -> str:
    """Return the values that stand line by line in a box as a list; a row that begins with "=" goes on from the one before."""
    if "\\\\" not in content and "\n" not in content:
        return content
    if whole := _ENVIRONMENT.fullmatch(content):
        content = whole[2].replace("&", "").strip()
    if "\\begin" in content or "\\substack" in content:
        return content
    rows = [stripped for row in _ROW_END.split(content) if (stripped := row.strip(" ,;\n"))]
    if len(rows) == 1:
        rows = [stripped for row in content.split("\n") if (stripped := row.strip(" ,;"))]
        if not all(map(_ROW_OF_VALUES.fullmatch, rows)):
            return content
    joined: list[str] = []
    for row in rows:
        if joined and row.startswith("="):
            joined[-1] += f" {row}"
        else:
            joined.append(row)
    return ", ".join(joined)


def _joined(text: str, closed: list[Box]) -> str:
    """Return the last box and those that belong to it as one text: "5", "3, 5" or "3 or 5"."""
    if len(closed) > 1 and _APPROXIMATES.fullmatch(text[closed[-2].end : closed[-1].start]):
        return _exact_one(closed[-2].content, closed[-1].content)
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


def _exact_one(value: str, other: str) -> str:
    """Return which of two boxes joined by "approximately" is no rounding; where both or none is one, they are alternatives."""
    first, second = _ROUNDED.fullmatch(value), _ROUNDED.fullmatch(other)
    if (first is None) == (second is None):
        return OR.join(dict.fromkeys((value, other)))
    return value if first is None else other


def _listed(text: str, closed: Sequence[Box]) -> list[Box]:
    """Return the last boxes that no word takes back or leaves open, each in short succession; [] for less than two."""
    if len(closed) < 2:
        return []
    group = [closed[-1]]
    for box in reversed(closed[:-1]):
        gap = text[box.end : group[0].start]
        if len(gap) > _LIST_GAP_CHARACTERS or _TURN_BACK.search(gap) or _leaves_open(gap):
            break
        if not (_GOES_ON.search(gap) or (_name(text, box) and _name(text, group[0]))):
            break
        group.insert(0, box)
    return group if len(group) > 1 else []


def _with_name(text: str, box: Box) -> str:
    """Return the content of a box with the name in front of it: `x=3` for `x=\\boxed{3}`."""
    name = _name(text, box)
    return f"{name[1]}={box.content}" if name else box.content


def _name(text: str, box: Box) -> re.Match[str] | None:
    return _NAME_IN_FRONT.search(text[max(0, box.start - 20) : box.start])


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
