r"""Sets of integers in words: "all odd positive integers", "n \ge 2 and even", "multiples of 5", "all n not divisible by 3".

"even positive integers" is the set {n in Z | n > 0, n is even}: Node("build", (n, conditions), "\\integers").
"""

import re
from collections.abc import Callable

from rewards.math.tree import REALS, Node, UnreadableError, number

MAX_WORDS = 200  # characters
_N = Node("sym", (), "n")
_SAYS_INTEGERS = re.compile(r"[Aa]ll |\\not|odd|even|integer|multiple|divisible|number|real|natural|\\nmid|\||values of")
_TEXT = re.compile(r"\\text\s*\{([^{}]*)\}")
_VARIABLE = r"[a-z](?![A-Za-z_(])"
_RELATION = r"(?:<=|>=|[<>]|\\(?:le|ge|ne)(?![A-Za-z]))"
_ALL = r"(?:(?:x\s*\\in\s*)?(?:all|any|every|the|set of|an?)\s+)*"
_KIND = r"(?:odd|even|positive|negative|non-?negative|non-?zero)"
_NOUN = r"(?:real numbers?|reals?|integers?|natural numbers?|naturals?|whole numbers?|numbers?|values of)"
_DESCRIBED = re.compile(rf"{_ALL}((?:{_KIND},?\s+(?:and\s+)?)*)({_NOUN})?\s*({_VARIABLE})?\s*(.*)", re.DOTALL)
_MULTIPLES = re.compile(rf"{_ALL}((?:{_KIND}\s+)*)(?:integers?\s+)?multiples?\s+of\s+(\d{{1,6}})", re.ASCII)
_IS = re.compile(rf"({_VARIABLE})\s+(?:is\s+|must be\s+)?(?:an?\s+)?((?:{_KIND}\s*)+)(?:integers?|numbers?)?")
_BOUNDED = re.compile(
    rf"({_VARIABLE})\s*({_RELATION})\s*(-?\d{{1,6}})\s*,?\s*(?:and|with)\s+(?:\1\s+is\s+|is\s+)?(.*)", re.ASCII
)
_DIVISIBLE = re.compile(
    r"(?:that\s+(?:are|is)\s+|which\s+(?:are|is)\s+|(?:that|is|are)\s+)?(not\s+)?(?:divisible\s+by|(?:an?\s+)?multiples?\s+of)"
    r"\s+(\d{1,6})",
    re.ASCII,
)
_EXCEPT = re.compile(r",?\s*(?:except(?:\s+for)?|other\s+than|excluding|but)\s+(.{1,60})", re.DOTALL)
_COMPARED = re.compile(
    r"(?:that\s+are\s+|which\s+are\s+|is\s+)?(greater\s+than\s+or\s+equal\s+to|less\s+than\s+or\s+equal\s+to|greater\s+than"
    r"|larger\s+than|less\s+than|smaller\s+than|at\s+least|at\s+most)\s+(.{1,60})",
    re.DOTALL,
)
_OPERATORS = {
    "greater than": ">", "larger than": ">", "less than": "<", "smaller than": "<", "at least": ">=", "at most": "<=",
    "greater than or equal to": ">=", "less than or equal to": "<=",
}  # fmt: skip
_SIGNS = {"positive": ">", "negative": "<", "nonnegative": ">=", "nonzero": "!="}
_INCONGRUENT = re.compile(
    rf"({_VARIABLE})\s*\\not\s*\\equiv\s*(-?\d{{1,6}})\s*\(?\s*\\?[pb]?mod\s*\{{?\s*(\d{{1,4}})\s*\}}?\s*\)?", re.ASCII
)
_DIVIDES = re.compile(rf"(\d{{1,6}})\s*(\||\\nmid\s)\s*({_VARIABLE})", re.ASCII)
_OF_SIGN = re.compile(
    r"\\(integers|naturals|rationals|reals)\s*(?:\^|_)\s*\{?\s*(\+|-|\*|>\s*0|\\ge\s*0|>=\s*0|<\s*0|\\ne\s*0)\s*\}?"
)
_OPERATOR_OF_SIGN = {"+": ">", "-": "<", "*": "!=", ">0": ">", "\\ge0": ">=", ">=0": ">=", "<0": "<", "\\ne0": "!="}


def read_integers(text: str, read: Callable[[str], Node]) -> Node | None:
    """Return the set of numbers that a whole text describes, None where it is for the grammar; `read` is the grammar."""
    if len(text) > 2 * MAX_WORDS or not _SAYS_INTEGERS.search(text):
        return None
    words = " ".join(_TEXT.sub(r" \1 ", text).split())
    if not words or len(words) > MAX_WORDS:
        return None
    if words[0].isupper() and words[1:2].islower():
        words = words[0].lower() + words[1:]
    for rule in (_divides, _incongruent, _multiples, _property, _bounded):
        if node := rule(words):
            return node
    try:
        return _described(words, read)
    except UnreadableError:
        return None


def with_sign(text: str) -> str:
    r"""Return sets of numbers of one sign, `\integers^+` or `\integers_{\ge 0}`, as set builders."""
    if "\\integers" not in text and "\\reals" not in text and "\\rationals" not in text and "\\naturals" not in text:
        return text
    return _OF_SIGN.sub(_builder, text)


def _builder(match: re.Match[str]) -> str:
    name, sign = match[1], match[2].replace(" ", "")
    if name == "naturals":  # a star or a plus: without zero
        return r"\{n \in \integers : n > 0\}"
    if name == "rationals":
        return match[0]
    return rf"\{{n \in \{name} : n {_OPERATOR_OF_SIGN[sign]} 0\}}"


def _divides(words: str) -> Node | None:
    match = _DIVIDES.fullmatch(words)
    if match is None:
        return None
    name = Node("sym", (), match[3])
    said = _divisible(name, int(match[1]))
    return _set(name, [said if match[2] == "|" else Node("not", (said,))])


def _incongruent(words: str) -> Node | None:
    r"""`n \not\equiv 0 \pmod 3`."""
    match = _INCONGRUENT.fullmatch(words)
    if match is None or not int(match[3]):
        return None
    name, modulus = Node("sym", (), match[1]), int(match[3])
    said = Node("is", (name, number(modulus), number(int(match[2]) % modulus)), "congruent")
    return _set(name, [Node("not", (said,))])


def _multiples(words: str) -> Node | None:
    match = _MULTIPLES.fullmatch(words)
    return _set(_N, [*_kinds(match[1], _N), _divisible(_N, int(match[2]))]) if match else None


def _property(words: str) -> Node | None:
    match = _IS.fullmatch(words)
    if match is None:
        if words not in ("odd", "even"):
            return None
        return _set(_N, _kinds(words, _N))
    if not {"odd", "even"}.intersection(match[2].split()):
        return None
    name = Node("sym", (), match[1])
    return _set(name, _kinds(match[2], name))


def _bounded(words: str) -> Node | None:
    """`n >= 2 and even`."""
    match = _BOUNDED.fullmatch(words)
    if match is None:
        return None
    name = Node("sym", (), match[1])
    bound = Node("rel", (name, number(int(match[3]))), (_relation(match[2]),))
    if divisible := _DIVISIBLE.fullmatch(match[4]):
        said = _divisible(name, int(divisible[2]))
        return _set(name, [bound, Node("not", (said,)) if divisible[1] else said])
    kinds = match[4].split()
    return _set(name, [bound, *_kinds(match[4], name)]) if kinds and {"odd", "even"}.issuperset(kinds) else None


def _relation(sign: str) -> str:
    return {"\\le": "<=", "\\ge": ">=", "\\ne": "!="}.get(sign, sign)


def _described(words: str, read: Callable[[str], Node]) -> Node | None:
    """Adjectives, a noun, a name and what follows them, most of which may be missing."""
    match = _DESCRIBED.fullmatch(words)
    if match is None:
        return None
    kinds, noun, variable, rest = match[1], match[2], match[3], match[4].strip()
    adjectives = kinds.replace(",", " ").split()
    says_integers = (noun or "").startswith(("integer", "natural", "whole")) or {"odd", "even"}.intersection(adjectives)
    divisible = _DIVISIBLE.fullmatch(rest)
    says_reals = (noun or "").startswith("real") and not divisible
    if not (says_integers or says_reals or (divisible and (variable or noun))) or not (noun or variable):
        return None
    if noun == "values of" and variable is None:
        return None
    name = Node("sym", (), variable or ("x" if says_reals else "n"))
    conditions = _kinds(kinds, name)
    if (noun or "").startswith("natural"):
        conditions.append(Node("rel", (name, Node("sym", (), "\\naturals")), ("in",)))
    behind = _behind(rest, name, variable, read)
    if behind is None:
        return None
    extra, excluded = behind
    if not (conditions or extra or excluded or re.match(r"all|every|the|set of", words)):
        return None  # "integers" alone is a word
    everything = _set(name, [*conditions, *extra])
    if says_reals:
        everything = REALS if everything.op == "sym" else everything._replace(value=None)
    return everything if excluded is None else Node("minus", (everything, excluded))


def _behind(rest: str, name: Node, variable: str | None, read: Callable[[str], Node]) -> tuple[list[Node], Node | None] | None:
    """Return the conditions and the exceptions that follow the noun, None where it is something else."""
    if not rest:
        return [], None
    if match := _DIVISIBLE.fullmatch(rest):
        said = _divisible(name, int(match[2]))
        return [Node("not", (said,)) if match[1] else said], None
    if match := _EXCEPT.fullmatch(rest):
        return [], _as_set(read(match[1]), name)
    if match := _COMPARED.fullmatch(rest):
        return [Node("rel", (name, read(match[2])), (_OPERATORS[" ".join(match[1].split())],))], None
    if variable and re.match(_RELATION, rest):
        node = read(f"{variable} {rest}")
        return ([node], None) if node.op == "rel" else None
    return None


def _as_set(node: Node, name: Node) -> Node:
    if node.op == "rel" and node.value == ("=",) and node.args[0] == name:
        node = node.args[1]
    return node._replace(op="set", value=None) if node.op in ("list", "set") else Node("set", (node,))


def _kinds(words: str, name: Node) -> list[Node]:
    """Return what adjectives say of a name."""
    conditions = []
    for written in words.replace(",", " ").split():
        word = written.replace("-", "")
        if word in _SIGNS:
            conditions.append(Node("rel", (name, number(0)), (_SIGNS[word],)))
        elif word in ("odd", "even"):
            conditions.append(Node("is", (name,), word))
    return conditions


def _divisible(name: Node, divisor: int) -> Node:
    return Node("is", (name, number(divisor)), "divisible")


def _set(name: Node, conditions: list[Node]) -> Node:
    if not conditions:
        return Node("sym", (), "\\integers")
    condition = conditions[0] if len(conditions) == 1 else Node("list", tuple(conditions), "and")
    return Node("build", (name, condition), "\\integers")
