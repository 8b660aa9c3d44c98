r"""What stands behind one brace or line by line: systems and cases in an array, points a line, multiplicities, names in words.

`\{\begin{array}{l} x = 1 \\ y = 2 \end{array}` becomes the environment cases; "the maximum is 5 and the minimum is 2" becomes
"maximum = 5 and minimum = 2". All of it is rewriting of cleaned text; the grammar reads what comes out.
"""

import re

_ARRAY = re.compile(r"\\\{\s*\\begin\s*\{(array|matrix|gathered)\}(?:\s*\{[^{}]*\})?")
_BRACE = re.compile(r"\\[{}]")
_ALIGNED = re.compile(r"&\s*(?=[=<>]|\\(?:le|ge|ne|in)(?![A-Za-z]))|(?<==)\s*&")
_BETWEEN_POINTS = re.compile(r"\)[ \t]*,?[ \t]*\n\s*(?=\()")
_MULTIPLICITY = re.compile(
    r"\s*(?:\\text\s*\{\s*)?\(?\s*(?:\\text\s*\{\s*)?\(?(?:with |of )?"
    r"(?:multiplicity(?: of)? (?:\\?text\s*\{)?\s*(?:\d|one|two|three|four)"
    r"|(?:a )?(?:double|triple|repeated) (?:root|solution)|double|twice)"
    r"\)?\s*\}?\s*\)?\s*\}?(?=\s*(?:[,;]|and\b|or\b|\\text|$))"
)
_STATED = re.compile(r"(?:\bthe )?\b([a-z]{3,12})(?: value| number)? is (?=[-\d\\(+])")


def rewritten(text: str) -> str:
    """Return cleaned text with systems as cases, points side by side, and no multiplicities."""
    if "\n" in text:
        text = _BETWEEN_POINTS.sub("), ", text)
    if "\\{" in text:
        text = _with_cases(text)
    if "multiplicity" in text or "root" in text or "double" in text or "twice" in text:
        text = _MULTIPLICITY.sub(" ", text).strip()
    if text.count(" is ") > 1:
        text = _STATED.sub(r"\1 = ", text)
    return text


def _with_cases(text: str) -> str:
    """Return rows behind a brace that does not close as the environment cases."""
    if match := _ARRAY.search(text):
        end = text.find(rf"\end{{{match[1]}}}", match.end())
        behind = end + len(rf"\end{{{match[1]}}}")
        if end < 0 or text[behind:].lstrip().startswith("\\}"):
            return text
        rows = _ALIGNED.sub("", text[match.end() : end])
        return rf"{text[: match.start()]}\begin{{cases}}{rows}\end{{cases}}{text[behind:]}"
    braces = [match[0] for match in _BRACE.finditer(text)]
    if braces.count("\\{") != braces.count("\\}") + 1 or "\\\\" not in text or "\\begin" in text:
        return text
    opening = text.index("\\{")
    rows = _ALIGNED.sub("", text[opening + 2 :])
    return rf"{text[:opening]}\begin{{cases}}{rows}\end{{cases}}"
