r"""Calculus in words and as calls: "the integral of x^2 dx from 0 to 1", "limit of 1/x as x approaches 0", Sum(1/n, (n, 1, 9)).

Words become LaTeX, which the grammar reads; calls, as sympy writes them, become the tree at once.
"""

import re

from rewards.math.grammar.brackets import read_bracketed
from rewards.math.grammar.calculus import derivative, integral, limit
from rewards.math.grammar.cursor import Cursor
from rewards.math.tree import Node, UnreadableError

_KEYWORD = re.compile(
    r"(?:the\s+)?(?:(?:definite|infinite|one-sided)\s+)?(integral|sum|product|limit|lim|derivative)\b", re.IGNORECASE
)
_TO = r"\s+(?:to|through)\s+"
_INDEX = r"([a-zA-Z])\s*=\s*"
_TOWARDS = r"([a-zA-Z])\s*(?:approaches|tends\s+to|goes\s+to|\\to|->)\s*"
_SIDE = re.compile(r"\s*(?:from\s+the\s+)(right|left)|\s*(?:from\s+(above|below))", re.IGNORECASE)
# Each has the groups of its template; bodies and ends are bounded, so that a hostile text costs no more than these.
_BODY, _END = r"(.{1,300}?)", r"(.{1,40}?)"
_FORMS: dict[str, list[tuple[re.Pattern[str], str]]] = {
    "integral": [
        (re.compile(rf"(?:of\s+)?{_BODY}\s+from\s+{_END}{_TO}{_END}"), r"\\int_{{{1}}}^{{{2}}} {0}"),
        (re.compile(rf"from\s+{_END}{_TO}{_END}\s+of\s+{_BODY}"), r"\\int_{{{0}}}^{{{1}}} {2}"),
        (re.compile(rf"of\s+{_BODY}"), r"\\int {0}"),
    ],
    "limit": [
        (re.compile(rf"of\s+{_BODY}\s+as\s+{_TOWARDS}{_END}"), r"\\lim_{{{1}\\to {2}}} ({0})"),
        (re.compile(rf"as\s+{_TOWARDS}{_END}\s+of\s+{_BODY}"), r"\\lim_{{{0}\\to {1}}} ({2})"),
    ],
    "derivative": [
        (re.compile(rf"of\s+{_BODY}\s+with\s+respect\s+to\s+([a-zA-Z])"), r"\\frac{{d}}{{d{1}}} ({0})"),
    ],
}  # fmt: skip
_OF_SERIES = [
    (re.compile(rf"from\s+{_INDEX}{_END}{_TO}{_END}\s+of\s+{_BODY}"), r"_{{{0}={1}}}^{{{2}}} ({3})"),
    (re.compile(rf"of\s+{_BODY}\s+(?:from|for)\s+{_INDEX}{_END}{_TO}{_END}"), r"_{{{1}={2}}}^{{{3}}} ({0})"),
]
_FORMS["sum"] = [(pattern, r"\\sum" + template) for pattern, template in _OF_SERIES]
_FORMS["product"] = [(pattern, r"\\prod" + template) for pattern, template in _OF_SERIES]
_CALLED = frozenset(("Integral", "integrate", "Limit", "limit", "Sum", "Product", "Derivative", "diff"))
_INFINITE = re.compile(r"(?i)\binfinity\b")


def written_out(text: str) -> str:
    """Return calculus in words as LaTeX; any other text as it is."""
    match = _KEYWORD.match(text)
    if match is None:
        return text
    word = match[1].lower()
    rest = _INFINITE.sub(r"\\infty ", text[match.end() :].strip())
    if len(rest) > 500:
        return text
    rest, side = _without_side(rest)
    for pattern, template in _FORMS.get("limit" if word == "lim" else word, ()):
        if found := pattern.fullmatch(rest):
            parts = [part.strip() for part in found.groups()]
            latex = template.replace("\\\\", "\\").format(*parts)
            return latex.replace("}", f"^{side}}}", 1) if side else latex
    return text


def _without_side(text: str) -> tuple[str, str]:
    """Return a text without "from the right", and the sign of that side."""
    match = _SIDE.search(text)
    if match is None:
        return text, ""
    sign = "+" if (match[1] or match[2]).lower() in ("right", "above") else "-"
    return text[: match.start()] + text[match.end() :], sign


# -- calls


def is_called(cursor: Cursor) -> bool:
    """Tell whether the cursor is at Integral(...), Limit(...) and the like."""
    return cursor.now.text in _CALLED and cursor.ahead().text == "(" and not cursor.ahead().spaced


def read_called(cursor: Cursor) -> Node:
    """Read a call such as Integral(x**2, (x, 0, 1))."""
    name = cursor.advance().text.lower()
    group = read_bracketed(cursor)
    args = group.args if group.op == "seq" else (group,)
    if len(args) < 2 or args[0].op in ("seq", "rel", "list"):
        raise UnreadableError(f"{name} of what")
    if name in ("sum", "product"):
        return _of_series("sum" if name == "sum" else "prod", args)
    if name in ("integral", "integrate"):
        body = args[0]
        for part in args[1:]:
            variable, *ends = _parts(part)
            body = integral(body, variable, *ends) if len(ends) == 2 else integral(body, variable, None, None)
        return body
    if name == "limit":
        if len(args) != 3 or args[1].op != "sym":
            raise UnreadableError("a limit of what")
        return limit(args[0], args[1], args[2], None)
    variables = [(part, 1) if part.op == "sym" else _with_order(part) for part in args[1:]]
    return derivative(args[0], variables)


def _of_series(op: str, args: tuple[Node, ...]) -> Node:
    variable, *ends = _parts(args[1])
    if len(args) != 2 or len(ends) != 2:
        raise UnreadableError("a series of what")
    return Node("sum" if op == "sum" else "prod", (variable, *ends, args[0]))


def _parts(node: Node) -> tuple[Node, ...]:
    """Return (x, 0, 1) as its parts, x alone as one."""
    parts = node.args if node.op == "seq" else (node,)
    if len(parts) not in (1, 3) or parts[0].op != "sym":
        raise UnreadableError("bounds that are none")
    return parts


def _with_order(node: Node) -> tuple[Node, int]:
    if node.op == "seq" and len(node.args) == 2 and node.args[0].op == "sym" and node.args[1].value in range(1, 9):
        return node.args[0], int(node.args[1].value)
    raise UnreadableError("a derivative by what")
