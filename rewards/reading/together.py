r"""Several values side by side in a clause: "$x = -3$ et $x = 2$", "x₁ = 2, x₂ = 5", "$a < -4$ 或 $a > 0$".

Together they are one answer, and none of them is it alone. A clause that speaks of one of several ("one of the roots is 3")
states no answer at all, and neither does an equation that is still to be solved, or a chain that says that 4 is 3.
"""

import re
from fractions import Fraction

from rewards.reading.sentences import formulas

MAX_CHARACTERS = 600

_RELATION = r"(?:=|[<>≤≥]=?|\\(?:leq?|geq?|leqslant|geqslant|lt|gt)(?![a-zA-Z]))"
_NAME = r"(?:\\?[a-zA-Z]|\\(?:alpha|beta|gamma|theta|lambda|omega|phi|mu))(?:_(?:\{\w{1,4}\}|\w)|[₀-₉]{1,2})?(?:\(\w{1,4}\))?'?"
_VALUE = r"[^\s=<>≤≥,;，；][^=<>≤≥]{0,80}"
_PIECE = rf"(?:-?[\d./]{{1,12}}\s*{_RELATION}\s*)?{_NAME}\s*{_RELATION}\s*{_VALUE}"
_ONLY_PIECE = re.compile(rf"\s*({_PIECE})\s*")
_LAST_PIECE = re.compile(rf"(?<![\w\\+*/^−-])(?<![+*/^−-]\s)({_PIECE})\s*$")
_OR = r"(?<!\w)(?:or|ou|oder|o|или|या|أو|hoặc)(?!\w)|或者?|または|또는|\\(?:lor|vee)(?![a-zA-Z])"
_IS_OR = re.compile(_OR, re.IGNORECASE)
_JOIN = re.compile(
    rf"\s*(?:,(?=\s|[a-zA-Z\\])|[;，；、]|(?<!\w)(?:and|et|und|y(?!\s*[=<>≤≥\\_(])|e(?!\s*[=<>≤≥\\_(])|и|और|و|và)(?!\w)|[和与及]|以及|\\(?:land|wedge)(?![a-zA-Z])"
    rf"|\\q?quad(?![a-zA-Z])|\\text\s?\{{\s?(?:and|or)\s?\}}|{_OR})\s*",
    re.IGNORECASE,
)
_PROSE = re.compile(r"(?<![\\a-zA-Z{])[^\W\d_₀-₉]{2,}|[\u3040-\u9fff]")
_GIVEN = re.compile(
    r"(?<!\w)(?:when|if|where|with|for|at|since|because|as|let|from|using|given|quand|lorsque|pour|avec|si|où|cuando|para|con"
    r"|donde|wenn|für|mit|wobei|bei|при|если|где)\W*$|[当若设將将由]\W*$",
    re.IGNORECASE,
)
_LINKED = re.compile(
    r"(?:(?<!\w)(?:is|are|get|gets|have|obtain|find|gives?|yields?|that|sont|est|donc|son|es|sind|ist|obtenemos|obtient)"
    r"|[:：=是为得有])\W*$",
    re.IGNORECASE,
)
_HAS_DIGIT = re.compile(r"\d")
_JOINED = re.compile(r"\s*(?:,|;|and|or|\\text\s?\{\s?(?:and|or)\s?\})\s*$")
_MAX_PIECES = 12


def side_by_side(clause: str) -> str | None:
    """Return the named values or inequalities in which a clause ends, two or more, as one text; None where there are none."""
    if len(clause) > MAX_CHARACTERS or not re.search(_RELATION, clause):
        return None
    plain = _without_delimiters(clause).rstrip(" .。!*")
    joins = list(_JOIN.finditer(plain))[-_MAX_PIECES:]
    end, found = len(plain), list[str]()
    is_open = False
    for join in reversed(joins):
        piece = _ONLY_PIECE.fullmatch(plain, join.end(), end)
        if piece is None or _PROSE.search(piece[1]):
            break
        found.insert(0, piece[1].strip())
        is_open = is_open or _IS_OR.search(join[0]) is not None
        end = join.start()
    if not found or (first := _first_piece(plain[:end])) is None:
        return None
    found.insert(0, first)
    if any(re.search(r"[<>≤≥]|\\[lg]", piece) for piece in found):
        return (r" \text{ or } " if is_open else r" \text{ and } ").join(found)
    return ", ".join(found)


def _first_piece(text: str) -> str | None:
    """Return the relation that `text` ends in, where words that state it lead to it."""
    match = _LAST_PIECE.search(text, max(0, len(text) - 120))
    if match is None or _PROSE.search(match[1]):
        return None
    before = text[: match.start()]
    if _GIVEN.search(before) or (_HAS_DIGIT.search(before.rpartition(":")[2]) and not _LINKED.search(before)):
        return None
    return match[1].strip()


def _without_delimiters(clause: str) -> str:
    pieces, position = list[str](), 0
    for formula in formulas(clause):
        pieces += [clause[position : formula.start], formula.content]
        position = formula.end
    return "".join([*pieces, clause[position:]])


# -- what states no answer

_ONE_OF = re.compile(
    r"\b(?:one|some|two|any|another|each)\s+of\s+(?:them|these|those|its|their|the\s+(?:\w+\s+)?(?:roots?|solutions?|values?|zeros?"
    r"|answers?|possib\w+|factors?))\b|\b(?:one|another|a)\s+(?:possible\s+)?(?:root|solution|possible\s+(?:value|answer))\s+(?:is|=)"
    r"|(?<!\w)(?:l['’]une?\s+(?:d['’]|des)|una?\s+de\s+(?:ellas|ellos|las|los|sus)|una\s+delle|uno\s+dei|um[a]?\s+d[ao]s"
    r"|eine[rs]?\s+(?:davon|der)|одно\s+из|один\s+из)|其中(?:一个|之一)|[解根]之一",
    re.IGNORECASE,
)


def speaks_of_one(clause: str) -> bool:
    """Tell whether a clause names one of several: "one of them is 3"."""
    return _ONE_OF.search(clause) is not None


_OPERATION = re.compile(r"(?:[\w.()]{1,20}\s?[-+*/^×·−]\s?){1,8}[\w.()]{1,20}\s*$|(?<![\w.])\d{1,6}[a-z]\s*$")
_VARIABLE = re.compile(r"(?<![a-zA-Z])[a-z](?![a-zA-Z])")
_TWO_LETTERS = re.compile(r"[a-zA-Z]{2}")


def is_unsolved(left: str) -> bool:
    """Tell whether `left`, the left side of an equation in prose, is an expression in a variable: "3z - 2"."""
    match = _OPERATION.search(left[-60:])
    return match is not None and _VARIABLE.search(match[0]) is not None and not _TWO_LETTERS.search(match[0])


_EQUALS = re.compile(r"(?<![<>!=:\\])=(?!=)")
_PLAIN = re.compile(r"[\s$]*(-?\d{1,15}(?:\.\d{1,15})?)[\s$.]*")
_BOTH_SIGNS = re.compile(r"[\s$]*(?:\\pm(?![a-zA-Z])|±)")


def contradicts_itself(chain: str) -> bool:
    """Tell whether a chain of equations ends in two numbers that differ, "x = 4 = 3", or picks one of two: "±2 = 2"."""
    parts = _EQUALS.split(chain)
    if len(parts) < 3:
        return False
    left, right = parts[-2], _PLAIN.fullmatch(parts[-1])
    if right is None:
        return False
    if _BOTH_SIGNS.match(left):
        return True
    match = _PLAIN.fullmatch(left)
    if match is None or match[1] == right[1]:
        return False
    first, second = Fraction(match[1]), Fraction(right[1])
    is_rounded = "." in match[1] or "." in right[1]
    return abs(first - second) > (abs(first) / 50 if is_rounded else 0)
