r"""What is left of other markup in an answer: HTML entities and tags, the module in front of a Python name.

`x&le;3` becomes `x≤3`, `x<sup>2</sup>` becomes `x^{2}`, `math.sqrt(2)` becomes `sqrt(2)`.
"""

import html
import re

_ENTITY = re.compile(r"&(?:#\d{1,6}|#x[0-9a-fA-F]{1,5}|[A-Za-z]{2,8}\d{0,2});")
_RAISED = re.compile(r"<(sup|sub)>([^<>]{1,100})</\1>")
_FONT = re.compile(r"<(b|i|em|strong|var|span|p)>([^<>]{0,1000})</\1>")
_MODULE = re.compile(r"(?<![\w.\\])(?:math|cmath|np|numpy|sympy|sp|mpmath)\.(?=[A-Za-z])")


def without_markup(text: str) -> str:
    """Return `text` with entities as their characters, raised tags as powers and subscripts, and bare Python names."""
    if "&" in text:
        text = _ENTITY.sub(lambda match: html.unescape(match[0]), text)
    if "</" in text:
        text = _FONT.sub(r"\2", text)
        text = _RAISED.sub(lambda match: f"{'^' if match[1] == 'sup' else '_'}{{{match[2]}}}", text)
    has_module = "h." in text or "p." in text or "y." in text  # the last letters of their names; most texts have none
    return _MODULE.sub("", text) if has_module else text
