r"""Whole answers that no rule reads: times of day, and sets of reals in words.

`3:45 PM` is Node("time", (), (3, 45, 0, "p")), and "all positive real numbers" the interval from 0 to infinity.
"""

import re
from collections.abc import Callable, Sequence

from rewards.math.grammar.vocabulary import WORD_NUMBERS
from rewards.math.tree import EMPTY, INFINITY, REALS, ZERO, Node

MAX_WORDS = 100  # characters
_HALF = (
    r"(?:\\?text\s*\{)?\s*(?:([AaPp])\.?\s*[Mm]\b\.?|(?:in the )?(morning)|(?:in the |at )?(afternoon|evening|night)"
    r"|(noon)|(midnight))\s*\}?"
)
_TIME = re.compile(
    rf"(\d{{1,2}})\s?:\s?([0-5]\d)(?:\s?:\s?([0-5]\d))?\s*(?:\\?text\s*\{{)?\s*(?:o'?clock)?\s*\}}?\s*(?:{_HALF})?(?:\s*h(?:ou)?rs)?",
    re.ASCII,
)
_POINT_TIME = re.compile(rf"(\d{{1,2}})\.([0-5]\d)()\s*{_HALF}", re.ASCII)
_PAST = re.compile(rf"(half|quarter|a quarter)\s+(past|after|to)\s+([a-z]+|\d{{1,2}})\s*(?:{_HALF})?", re.ASCII)
_CLOCK = re.compile(rf"(\d{{1,2}})\s*{_HALF}", re.ASCII)
_OCLOCK = re.compile(rf"(\d{{1,2}})\s*(?:\\?text\s*\{{)?\s*o'?\s*clock\s*\}}?\s*(?:{_HALF})?", re.ASCII)
_NAMED_TIMES = {"noon": (12, 0, 0, "p"), "midday": (12, 0, 0, "p"), "midnight": (12, 0, 0, "a")}
_RATIO_WITH_SPACES = re.compile(r"\d+\s+:\s+\d+(?:\s+:\s+\d+)?", re.ASCII)
_TEXT = re.compile(r"\\text\s*\{([^{}]*)\}")
_AT = re.compile(r"^(?:\\text\s*\{\s*)?(?:at|by|around|about)\s+(?=\d|noon|mid)")
_REALS = re.compile(r"(?:x\s*\\in\s*)?(?:all|any|every)?\s*(?:the\s+)?reals?(?:\s+numbers?)?(?:\s+x)?", re.IGNORECASE)
_POSITIVE_REALS = re.compile(r"(?:x\s*\\in\s*)?\\reals\s*(?:\^|_)\s*\{?\s*(?:\+|>\s*0)\s*\}?", re.IGNORECASE)
_SIGNED_REALS = re.compile(r"(?:all\s+)?(?:the\s+)?(non-?)?(positive|negative)\s+reals?(?:\s+numbers?)?", re.IGNORECASE)
_REALS_EXCEPT = re.compile(
    r"(?:all|every)?\s*reals?(?:\s+numbers?)?(?:\s+x)?,?\s+(?:except|excluding|other than|but)(?:\s+for)?\s+"
    r"(?:x\s*=\s*)?(.{1,60})",
    re.IGNORECASE,
)
_HAS = r"(?:there (?:is|are|exists?) |(?:the |this )?(?:equation|system|inequality|problem) has |it has |has )?"
_NOTHING = re.compile(
    rf"{_HAS}(?:no|not any) (?:real |integer |positive |such )*"
    r"(?:(?:solutions?|roots?|zeros|values?|numbers?|integers?|functions?|pairs?)(?: [a-zA-Z])?|[a-zA-Z]|(?<=such )\w+)"
    r"(?: exists?)?"
    r"|(?:the )?empty set|(?:x\s*\\in\s*)?\\\{\s*\\\}|none(?: exists?)?",
    re.IGNORECASE,
)
_UNDEFINED = re.compile(
    r"(?:the )?(?:limit |value |integral |derivative |slope |it )?(?:does not exist|doesn't exist|dne|(?:is )?undefined)",
    re.IGNORECASE,
)
_INFINITELY_MANY = re.compile(
    rf"{_HAS}(?:infinitely many|an infinite number(?: of)?)"
    r"(?:\s+(?:real |such )*(?:solutions?|roots?|values?|numbers?|points?|integers?|primes?|triangles?|[a-z]))?",
    re.IGNORECASE,
)
UNDEFINED = Node("sym", (), "\\undefined")


def read_phrase(text: str, read: Callable[[str], Node]) -> Node | None:
    """Return what a cleaned text says as a whole, None where it is for the grammar; `read` is the grammar.

    "All reals except ..." has a formula in it, which is read by `read`; raises UnreadableError where it cannot be.
    """
    if time := _time(text):
        return time
    if _POSITIVE_REALS.fullmatch(text):
        return Node("seq", (ZERO, INFINITY), "()" if "+" in text else "[)")
    words = " ".join(_TEXT.sub(r" \1 ", text).split())
    if not words:
        return None
    if _REALS.fullmatch(words):
        return REALS
    if match := _SIGNED_REALS.fullmatch(words):
        return _half_line(match[2].lower() == "positive", zero_excluded=not match[1])
    if match := _REALS_EXCEPT.fullmatch(words):
        excluded = read(match[1])
        items = excluded.args if excluded.op == "list" else (excluded,)
        return Node("minus", (REALS, Node("set", tuple(map(_unnamed, items)))))
    if len(words) > MAX_WORDS:
        return None
    if _UNDEFINED.fullmatch(words):
        return UNDEFINED
    if _INFINITELY_MANY.fullmatch(words):
        return INFINITY
    return EMPTY if _NOTHING.fullmatch(words) else None


def _unnamed(node: Node) -> Node:
    """Return the 2 of `x = 2`."""
    return node.args[1] if node.op == "rel" and node.value == ("=",) and node.args[0].op == "sym" else node


def _time(text: str) -> Node | None:
    """Return a time of day; `3 : 45` with spaces around the colon is a ratio."""
    text = _AT.sub("", text)
    if (named := _NAMED_TIMES.get(_TEXT.sub(r"\1", text).strip().lower())) is not None:
        return Node("time", (), named)
    if match := _PAST.fullmatch(text):
        return _quarter(match)
    if match := _TIME.fullmatch(text) or _POINT_TIME.fullmatch(text):
        hour, minute, second = int(match[1]), int(match[2]), int(match[3] or 0)
        if hour <= 24 and not _RATIO_WITH_SPACES.fullmatch(text):
            return Node("time", (), (hour, minute, second, _half(match.groups()[3:])))
    match = _CLOCK.fullmatch(text) or _OCLOCK.fullmatch(text)
    if match and int(match[1]) <= 24:
        return Node("time", (), (int(match[1]), 0, 0, _half(match.groups()[1:])))
    return None


def _quarter(match: re.Match[str]) -> Node | None:
    """Return the time of "half past three" or "a quarter to 5"."""
    said = match[3]
    hour = int(said) if said.isdigit() else WORD_NUMBERS.get(said, 0)
    if not 1 <= hour <= 12 or (match[1] == "half" and match[2] == "to"):
        return None
    minute = 30 if match[1] == "half" else 15
    if match[2] == "to":
        hour, minute = (hour - 1 or 12), 60 - minute
    return Node("time", (), (hour, minute, 0, _half(match.groups()[3:])))


def _half(groups: Sequence[str | None]) -> str | None:
    """Return the half of the day, "a" or "p", of what stands behind a time."""
    letter, morning, later, noon, midnight = groups
    if letter:
        return letter.lower()
    if morning or midnight:
        return "a"
    return "p" if later or noon else None


def _half_line(positive: bool, zero_excluded: bool) -> Node:
    """Return the positive or the negative reals; with zero they are called by the other name: nonnegative, nonpositive."""
    above = positive == zero_excluded
    ends = (ZERO, INFINITY) if above else (Node("neg", (INFINITY,)), ZERO)
    if zero_excluded:
        return Node("seq", ends, "()")
    return Node("seq", ends, "[)" if above else "(]")
