r"""What stands behind one brace or line by line: systems and cases in an array, points a line, multiplicities, names in words.

`\{\begin{array}{l} x = 1 \\ y = 2 \end{array}` becomes the environment cases; "the maximum is 5 and the minimum is 2" becomes
"maximum = 5 and minimum = 2". All of it is rewriting of cleaned text; the grammar reads what comes out.
"""

import re
from itertools import permutations

MAX_SYSTEMS = 10
MAX_PERMUTED = 4  # coordinates of a point that stands for all of its permutations
_ARRAY = re.compile(r"\\\{\s*\\begin\s*\{(array|matrix|gathered)\}(?:\s*\{[^{}]*\})?")
_BRACE = re.compile(r"\\[{}]")
_ALIGNED = re.compile(r"&\s*(?=[=<>]|\\(?:le|ge|ne|in)(?![A-Za-z]))|(?<==)\s*&")
_ROW_START = re.compile(r"(^|\\\\)\s*&")
_BETWEEN_POINTS = re.compile(r"\)[ \t]*,?[ \t]*\n\s*(?=\()")
_MULTIPLICITY = re.compile(
    r"\s*(?:\\text\s*\{\s*)?\(?\s*(?:\\text\s*\{\s*)?\(?(?:with |of )?"
    r"(?:multiplicity(?: of)? (?:\\?text\s*\{)?\s*(?:\d|one|two|three|four)"
    r"|(?:a )?(?:double|triple|repeated) (?:root|solution)|double|twice)"
    r"\)?\s*\}?\s*\)?\s*\}?(?=\s*(?:[,;]|and\b|or\b|\\text|$))"
)
_SAYS_MULTIPLICITY = ("multiplicity", "root", "double", "twice", "solution")
_COUNT = re.compile(r"\d|one|two|three|four|double|triple|repeated|twice")
_COUNTS = {"one": "1", "two": "2", "three": "3", "four": "4", "double": "2", "triple": "3", "repeated": "2", "twice": "2"}
_PERMUTATIONS = re.compile(
    r"\(([^()]{1,80})\),?\s*(?:\\text\s*\{\s*)?"
    r"(?:(?:and|with|along|together|or|up|to|all|any|other|of|its|their|the|distinct) )*"
    r"(cyclic )?permutations?(?: of (?:it|them|this|these))?(?: thereof)?\s*\}?"
)
_STATED = re.compile(r"(?:\bthe )?\b([a-z]{3,12})(?: value| number)? is (?=[-\d\\(+])")


def multiplicities(text: str) -> str:
    """Return how often the roots in a text are said to count, "" where nothing is said."""
    if not any(word in text for word in _SAYS_MULTIPLICITY):
        return ""
    found = (_COUNT.search(match[0]) for match in _MULTIPLICITY.finditer(text))
    return " ".join(sorted(_COUNTS.get(match[0], match[0]) for match in found if match))


def _permuted(match: re.Match[str]) -> str:
    """Return a point and all of its permutations, or the cyclic ones, side by side."""
    items = [item.strip() for item in match[1].split(",")]
    if not 2 <= len(items) <= MAX_PERMUTED:
        return match[0]
    turned = [items[turn:] + items[:turn] for turn in range(len(items))]
    orders = turned if match[2] else [list(order) for order in permutations(items)]
    return ", ".join(dict.fromkeys(f"({', '.join(order)})" for order in orders))


def rewritten(text: str) -> str:
    """Return cleaned text with systems as cases, points side by side, and no multiplicities."""
    if "\n" in text:
        text = _BETWEEN_POINTS.sub("), ", text)
    if "\\{" in text:
        text = _with_cases(text)
    if any(word in text for word in _SAYS_MULTIPLICITY):
        text = _MULTIPLICITY.sub(" ", text).strip()
    if "permutation" in text:
        text = _PERMUTATIONS.sub(_permuted, text, count=MAX_SYSTEMS)
    if text.count(" is ") > 1:
        text = _STATED.sub(r"\1 = ", text)
    return text


def _with_cases(text: str) -> str:
    """Return rows behind a brace that does not close as the environment cases."""
    for _ in range(MAX_SYSTEMS):
        match = _ARRAY.search(text)
        if match is None:
            break
        end = text.find(rf"\end{{{match[1]}}}", match.end())
        behind = end + len(rf"\end{{{match[1]}}}")
        if end < 0 or text[behind:].lstrip().startswith("\\}"):
            return text
        text = f"{text[: match.start()]}{_as_cases(text[match.end() : end])}{text[behind:]}"
    braces = [match[0] for match in _BRACE.finditer(text)]
    if braces.count("\\{") != braces.count("\\}") + 1 or "\\\\" not in text or "\\begin" in text:
        return text
    opening = text.index("\\{")
    return text[:opening] + _as_cases(text[opening + 2 :])


def _as_cases(rows: str) -> str:
    """Return rows as the environment cases, without what only aligns them."""
    rows = _ROW_START.sub(r"\1", _ALIGNED.sub("", rows.replace("&&", "&")))
    return rf"\begin{{cases}}{rows}\end{{cases}}"
