r"""What a formula in a sentence states: the formula, and the value that a chain of equations ends in.

"3z - 2 = 10" is an equation that is still to be solved; "the area is $\pi r^2 = 25\pi$" is a chain that ends in its value.
Of several formulas the one counts that a verb links ("is", "get"); one behind a preposition ("when $x = 3$") tells of
circumstances.
"""

import re

from rewards.reading.doubt import denies, is_bounded
from rewards.reading.sentences import Formula, formulas
from rewards.reading.together import contradicts_itself
from rewards.reading.values import formula_text, is_circumstance

EQUALS = re.compile(r"(?<![<>!=:\\])=(?!=)\s*")
DIVIDES = re.compile(r"[,;]|\\(?:lor|vee|wedge)(?![a-zA-Z])|\\text|\\(?:quad|land)|\band\b")  # between two equations
_ENVIRONMENT = re.compile(
    r"\\(?:begin|end)\{(?:align|gather|multline|eqnarray|equation|split|aligned|gathered)\*?\}(?:\{[lcr]+\})?"
)
_ROW_END = re.compile(r"\\\\(?:\s*\[[^\]\n]{0,10}\])?")
_SPACING = re.compile(r"^(?:\s|\\(?:qquad|quad|,|;|:| ))+")
_ATTAINED = re.compile(
    r"\bis\s+(?:always\s+|only\s+)?(?:minimized|maximized|smallest|largest|satisfied|attained"
    r"|achieved)\s+(?:only\s+)?(?:when|at|if)\b"
)
_WHEN = re.compile(r"(?:\b(?:when|if|where|with|at|while|as)|,)\s*$", re.IGNORECASE)
_IMPLIES = re.compile(r"\\(?:Rightarrow|implies|Longrightarrow|iff|therefore|to|rightarrow)(?![a-zA-Z])|⇒|⟹|→")
NAME_ONLY = re.compile(r"\\?[a-zA-Z]+(?:_\{?\w+\}?)?(?:\([a-z]\))?'?|\\(?:triangle|angle|overline|odot)\s*\{?[A-Za-z]+\}?")
_COMMAND = re.compile(r"\\(?:text|mathrm|begin|end)\s*\{[^{}]*\}|\\[a-zA-Z]+")
_FREE_NAME = re.compile(r"[a-zA-Z]")
_LINKED = re.compile(
    r"(?:\b(?:is|are|equals|be|est|es|ist|as|get|gets|have|obtain|find|that|gives|yields|implies|total\s+of|answer\s+of"
    r"|up\s+to|costs?|worth|makes?|needs?|takes?|has|find)|[:=是为])\s*$",
    re.IGNORECASE,
)


def whole_formula(text: str) -> list[str]:
    """Return the values of a text that is nothing but a formula, or []."""
    spans = formulas(text)
    bare = len(spans) == 1 and not text[: spans[0].start].strip(" *_") and not text[spans[0].end :].strip(" *_.。")
    return formula_values(text, spans[0]) if bare else []


def stated_formula(clause: str, spans: list[Formula]) -> list[str]:
    """Return the only formula that is more than a name, else the last one that a verb links or that ends the clause."""
    valued = [one for one in spans if not NAME_ONLY.fullmatch(one.content)] or spans
    firm = [one for one in valued if not is_circumstance(clause[: one.start])] or valued[-1:]
    linked = [one for one in valued if _LINKED.search(clause[: one.start])]
    last = valued[-1]
    if _ATTAINED.search(clause) or (
        "=" in last.content and not clause[last.end :].strip(" .*_") and not _WHEN.search(clause[: last.start])
    ):
        linked = [last]
    chosen = (linked or firm)[-1]
    before, behind = clause[: chosen.start], clause[chosen.end :]
    if is_bounded(before, behind) or is_denied(before):
        return []
    return formula_values(clause, chosen) if linked or len(firm) == 1 or not behind.strip(" .*_") else []


def formula_values(sentence: str, formula: Formula) -> list[str]:
    """Return a formula and, where it is a chain that ends in a value, that value.

    "3z - 2 = 10" is no chain but an equation that is still to be solved; "the area is $\\pi r^2 = 25\\pi$" is one.
    """
    whole = _last_row(formula_text(sentence, formula))
    if whole.startswith("="):
        return [value] if (value := _after_equals(whole)) else []
    left = whole.rpartition("=")[0]
    is_chain = "=" in left or not _FREE_NAME.search(_COMMAND.sub(" ", left)) or _states_value(sentence[: formula.start])
    value = _after_equals(whole) if is_chain else None
    if value is not None and NAME_ONLY.fullmatch(value):
        value = None  # "18 = x"
    return [whole] if value is None else [whole, value]


def _states_value(before: str) -> bool:
    return _LINKED.search(before) is not None and "equation" not in before.lower()


def _last_row(formula: str) -> str:
    """Return the last row of a displayed formula, and of that what it comes to behind the last arrow."""
    if _ENVIRONMENT.search(formula):
        rows = [row for row in _ROW_END.split(_ENVIRONMENT.sub("", formula)) if row.strip(" &.")]
        formula = re.sub(r"&?\s*\\text\s*\{[^{}]*\}", "", rows[-1]).replace("&", "") if rows else ""
    return _SPACING.sub("", _IMPLIES.split(formula)[-1]).strip(" .,")


def _after_equals(formula: str) -> str | None:
    equals = list(EQUALS.finditer(formula))
    if not equals or contradicts_itself(formula) or DIVIDES.search(formula, equals[0].end(), equals[-1].start()):
        return None
    value = re.split(r"\\approx(?![a-zA-Z])|≈|\\\\|\\end\{", formula[equals[-1].end() :])[0]
    value = value.replace("&", "").strip().rstrip(".,; ")
    balanced = value.count("{") == value.count("}") and value.count("(") == value.count(")")
    return value if value and balanced else None


def is_denied(before: str) -> bool:
    """Tell whether the last words of `before`, which leads to a value, deny it."""
    return denies(" ".join(before.split()[-3:]))
