r"""Values with a condition in words behind them: "1 if n is even, 0 otherwise", "c t^2 for some c > 0", "y = x^2 (x \ge 0)".

Each value with its condition is a row of "cases", as in the environment; one row alone is a value under a condition. What
only says that a name is a real number or a constant is no condition.
"""

import re
from collections.abc import Callable

from rewards.math.tree import MAX_CHARACTERS, OTHERWISE, REALS, Node, UnreadableError, contains, number, symbols

Read = Callable[[str], Node]

MAX_CONDITIONS = 20
MAX_WORDS = 100  # characters of what is said of a name
_KEY = re.compile(
    r"(?:\\forall|(?<![A-Za-z\\])"
    r"(?:provided(?: that)?|whenever|where|when|such that|with|if|for|otherwise|elsewhere|else))(?![A-Za-z])"
)
_OTHERWISE = ("otherwise", "elsewhere", "else")
_TEXT = re.compile(r"\\text\s*\{([^{}]*)\}")
_BRACKETS = re.compile(r"\\begin(?![A-Za-z])|\\end(?![A-Za-z])|\\\{|\\\}|[()\[\]{}]")
_CLOSING = frozenset((")", "]", "}", "\\}", "\\end"))
_SEPARATOR = re.compile(r"[,;.]?\s*(?<![A-Za-z\\])(?:and|or)(?![A-Za-z])|[,;]")
_LEAD = re.compile(r"\s*(?:(?:some|any|all|every|each|the|values of|constants?|arbitrary|fixed)(?![A-Za-z])\s*)*")
_NAME = r"\\?[A-Za-z](?:_\{?\w\}?)?"
_NAMES = rf"{_NAME}(?:\s*(?:,|and)\s*{_NAME}){{0,3}}"
_KINDS = r"(?:odd|even|prime|composite|positive|negative|non-?negative|non-?zero|real|rational|natural|constants?|arbitrary)"
_NOUN = r"(?:integers?|numbers?|reals?|naturals?|primes?|constants?)"
_DESCRIBED = re.compile(rf"({_NAMES})\s+(?:is|are)?\s*(not\s)?\s*(?:an?\s|both\s)?\s*((?:{_KINDS}\s*)*)({_NOUN})?")
_DESCRIPTION = re.compile(rf"(?:an?\s)?\s*((?:{_KINDS}\s+)*)({_NOUN}\s+)?({_NAMES})")
_DIVISIBLE = re.compile(rf"({_NAME})\s+(?:is\s+)?(not\s)?\s*(?:divisible by|an?\s+multiple of)\s+(\d{{1,9}})", re.ASCII)
_MEANINGLESS = frozenset(("real", "constant", "constants", "arbitrary", "number", "numbers", "reals"))
_COMPARISONS = frozenset(("<", ">", "<=", ">=", "!="))
_SIGNS = {"positive": ">", "negative": "<", "nonnegative": ">=", "nonzero": "!="}


def read_conditional(text: str, read: Read) -> Node | None:
    """Return values with their conditions, None where the text has none; `read` is the grammar."""
    is_plain = not (_KEY.search(text) or _PROPERTY.search(text)) and not (text.endswith(")") and " (" in text)
    if is_plain or len(text) > MAX_CHARACTERS:
        return None
    text = " ".join(_TEXT.sub(_opened, text).split())
    try:
        return _read_keys(text, read) or _read_behind(text, read)
    except UnreadableError:
        return None


def _opened(match: re.Match[str]) -> str:
    """Return the words of a text that speaks of a condition; any other text as it is."""
    return f" {match[1]} " if _KEY.search(match[1]) or _PROPERTY.search(match[1]) else match[0]


_PROPERTY = re.compile(rf"(?<![A-Za-z])(?:is|are|odd|even|prime|divisible by|multiple of|and|or|{_NOUN})(?![A-Za-z])")


def _outside(text: str) -> list[bool]:
    """Tell for each place of a text whether it is outside of all brackets and environments."""
    outside = [False] * len(text)
    depth = place = 0
    for match in _BRACKETS.finditer(text):
        if not depth:
            outside[place : match.start()] = [True] * (match.start() - place)
        depth = max(0, depth - 1) if match[0] in _CLOSING else depth + 1
        place = match.end()
    if not depth:
        outside[place:] = [True] * (len(text) - place)
    return outside


# -- conditions behind a word


def _read_keys(text: str, read: Read) -> Node | None:
    """Read values each of which has a word and a condition behind it."""
    outside = _outside(text)
    keys = [key for key in _KEY.finditer(text) if outside[key.start()]]
    if not keys or len(keys) > MAX_CONDITIONS or not text[: keys[0].start()].strip(" ,;("):
        return None
    rows: list[tuple[Node, Node | None]] = []
    value = text[: keys[0].start()]
    for index, key in enumerate(keys):
        end = keys[index + 1].start() if index + 1 < len(keys) else len(text)
        behind, following = (text[key.end() : end], "") if index + 1 == len(keys) else _parted(text, key.end(), end, outside)
        if key[0] in _OTHERWISE:
            if behind.strip(" ,.;"):
                return None
            rows.append((read(value.strip(" ,;(")), OTHERWISE))
        else:
            rows.append((read(value.strip(" ,;(")), _condition(behind, read)))
        value = following
    return _joined(rows)


def _parted(text: str, start: int, end: int, outside: list[bool]) -> tuple[str, str]:
    """Return the condition and the next value that stand between two words, parted by the last separator."""
    separators = [match for match in _SEPARATOR.finditer(text, start, end) if outside[match.start()]]
    inner = [match for match in separators if text[match.end() : end].strip(" ,;")]
    if not inner:
        raise UnreadableError("a condition that no value follows")
    return text[start : inner[-1].start()], text[inner[-1].end() : end]


def _joined(rows: list[tuple[Node, Node | None]]) -> Node | None:
    """Return rows as cases, or as a list of values where none has a condition."""
    values = [value for value, _ in rows]
    conditions = [condition for _, condition in rows if condition is not None]
    if not conditions:
        return Node("list", tuple(values), ",") if len(values) > 1 and all(map(_defines_function, values)) else None
    if len(conditions) < len(rows) or OTHERWISE in conditions[:-1] or (len(rows) == 1 and OTHERWISE in conditions):
        return None
    heads = {value.args[0] if value.op == "rel" and value.value == ("=",) else None for value in values}
    head = heads.pop()
    if len(rows) > 1 and not heads and head is not None:  # f(x) = x if x > 0, f(x) = -x if x <= 0
        return Node("rel", (head, _cases([value.args[1] for value in values], conditions)), ("=",))
    return _cases(values, conditions)


def _defines_function(node: Node) -> bool:
    return node.op == "rel" and node.args[0].op == "call"


def _cases(values: list[Node], conditions: list[Node]) -> Node:
    return Node("cases", tuple(Node("seq", row, "()") for row in zip(values, conditions, strict=True)))


# -- conditions behind a comma or in brackets


def _read_behind(text: str, read: Read) -> Node | None:
    """Read a formula with one condition behind it: after the last comma, or in brackets after a space."""
    outside = _outside(text)
    commas = [place for place, sign in enumerate(text) if sign in ",;" and outside[place]]
    if commas and (match := _told(text[commas[-1] + 1 :])):
        return _cases([read(text[: commas[-1]])], [match])
    opening = text.rfind(" (")
    if text.endswith(")") and opening > 0 and outside[opening]:
        inner = text[opening + 2 : -1]
        if all(_outside(inner)) or "(" in inner:
            return _under(read(text[:opening].rstrip(" ,")), inner, read)
    return None


def _under(body: Node, inner: str, read: Read) -> Node | None:
    """Return a formula under the condition in the brackets behind it, None where that is a factor."""
    if condition := _told(inner):
        return _cases([body], [condition])
    condition = read(inner)
    return _cases([body], [condition]) if is_condition_on(body, condition) else None


def under_its_condition(node: Node) -> Node:
    """Return the list `y = \\sqrt{x}, x >= 0` as its formula under that condition; any other node as it is."""
    if node.op != "list" or node.value != "," or len(node.args) > MAX_CONDITIONS:
        return node
    body, *conditions = node.args
    if not conditions or not all(is_condition_on(body, condition) for condition in conditions):
        return node  # a list of one value is a system of one equation
    joined = conditions[0] if len(conditions) == 1 else Node("list", tuple(conditions), ",")
    return _cases([body], [joined])


def is_condition_on(body: Node, condition: Node) -> bool:
    """Tell whether an inequality or a property can only bound the names in the formula in front of it."""
    if condition.op == "rel":
        if not set(condition.value) <= _COMPARISONS:
            return False
    elif condition.op != "is":
        return False
    if body.op in ("is", "list", "set", "cases", "bound") or (body.op == "rel" and not set(body.value) <= {"="}):
        return False
    if contains(body, "rel") and body.op != "rel":
        return False
    names = symbols(condition)
    return bool(names) and names <= symbols(body)


# -- what is said of a name


def _condition(text: str, read: Read) -> Node | None:
    """Return what a condition says, None where it only says that a name is a number; raises UnreadableError."""
    text = _LEAD.sub("", text, count=1).strip(" ,;.()")
    if not text:
        raise UnreadableError("a condition without words")
    if (told := _told(text)) is not None:
        return told
    if _is_meaningless(text):
        return None
    node = read(text)
    if node.op == "rel" and node.value == ("in",):
        return None if node.args[1] in (REALS, Node("sym", (), "\\rationals")) else node
    if node.op in ("rel", "or", "and", "is", "not") or (node.op == "list" and all(part.op == "rel" for part in node.args)):
        return node
    raise UnreadableError("words that are no condition")


def _is_meaningless(text: str) -> bool:
    if len(text) > MAX_WORDS:
        return False
    match = _DESCRIBED.fullmatch(text) or _DESCRIPTION.fullmatch(text)
    return match is not None and _MEANINGLESS.issuperset(_words(match[0]) - {"is", "are", "a", "an", "and"})


def _words(text: str) -> set[str]:
    return {word for word in re.findall(r"[A-Za-z]+", text) if len(word) > 1}


def _told(text: str) -> Node | None:
    """Return what words say of one name: "n is odd", "odd n", "n not divisible by 3"; None where they do not."""
    text = " ".join(text.split()).strip(" ,;.")
    if len(text) > MAX_WORDS:
        return None
    if match := _DIVISIBLE.fullmatch(text):
        said = Node("is", (Node("sym", (), match[1]), number(int(match[3]))), "divisible")
        return Node("not", (said,)) if match[2] else said
    names, negated, kinds = "", "", ""
    if match := _DESCRIBED.fullmatch(text):
        names, negated, kinds = match[1], match[2] or "", f"{match[3]} {match[4] or ''}"
    elif match := _DESCRIPTION.fullmatch(text):
        names, kinds = match[3], f"{match[1]} {match[2] or ''}"
    words = {word.replace("-", "").rstrip("s") for word in kinds.split()} - {
        "real",
        "constant",
        "arbitrary",
        "number",
        "natural",
    }
    if re.search(r",|and", names) or len(words - {"integer"}) != 1:
        return None
    return _said_of(Node("sym", (), names.strip()), next(iter(words - {"integer"})), "integer" in words, bool(negated))


def _said_of(name: Node, word: str, is_integer: bool, negated: bool) -> Node | None:
    """Return that a number is odd or prime, or has a sign."""
    if word in _SIGNS:
        return None if is_integer or negated else Node("rel", (name, number(0)), (_SIGNS[word],))
    said = Node("is", (name,), word)
    return Node("not", (said,)) if negated else said
