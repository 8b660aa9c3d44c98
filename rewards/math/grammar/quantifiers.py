r"""What ends a formula and says what its names range over: "for all x", "k \in Z", "where k is an integer", "(mod 7)".

`k\pi, k \in \integers` is Node("bound", (k * pi,), (("k",), "integer")). Only a tail at the very end is read, and only over
a whole number set: "for x > 0" is a condition and no quantifier.
"""

import re
from typing import NamedTuple

from rewards.math.tree import MAX_CHARACTERS, Node, UnreadableError, contains, symbols

MAX_TAIL = 100
_INTEGERS = {"integer": "\\integers", "natural": "\\naturals"}
INDEX = Node("sym", (), "\\k")  # the integer that a congruence leaves open
_KEY = re.compile(
    r"\\forall|\b(?:for|where|with)\b"
    r"|(?<=[,;(])\s*(?=\\?[A-Za-z]+(?:_\w)?(?:\s*,\s*[A-Za-z])?\s*(?:\\in\s*\\|(?:\\text\s*\{\s*)?(?:is|are)\b))"
)
_TEXT = re.compile(r"\\text\s*\{|[{}()]|\ban?\s(?=\s*(?:arbitrary|integer|real|natural|positive|non|constant))")
_WORD = re.compile(r"\\?[A-Za-z]+(?:_\w)?|\S")
_NAME = re.compile(r"(?:[A-Za-z]|\\[A-Za-z]+)(?:_\w)?")
_FILLERS = {"for", "where", "with", ",", "and", "\\in", "is", "are", "arbitrary", "number", "numbers", "values", "of"}
_ALL = {"all", "any", "every", "each", "\\forall"}
_KINDS = {word: word for word in ("integer", "natural", "real", "rational", "positive", "nonnegative", "constant")}
_KINDS |= {"integers": "integer", "reals": "real", "naturals": "natural", "rationals": "rational", "constants": "constant"}
_KINDS |= {f"\\{word}s": word for word in ("integer", "natural", "real", "rational")}
_NO_NAMES = _FILLERS | _ALL | _KINDS.keys() | {"some"}
_OF_SIGN = re.compile(r"\\(integers|naturals)\s*[\^_]\s*\{?\s*(\+|\*|>\s*0|\\ge\s*0|>=\s*0|\\ge\s*1|>=\s*1)\s*\}?")
_MODULO = re.compile(
    r"\(?\s*(?:\\text\s*\{\s*\(?|\\)?[pb]?mod(?:ulo)?(?![A-Za-z])[\s}]*"
    r"(\{(?:[^{}]|\{[^{}]*\})*\}|[^\s,;(){}]+)\s*\)?\s*\}?"
)


_LISTED_INDEX = re.compile(
    r"[,;]\s*(?:\(\s*)?([a-z])\s*=\s*(0\s*,\s*\\pm\s*1|0\s*,\s*1|1\s*,\s*2)\s*,"
    r"(?:\s*(?:\\pm\s*)?[23]\s*,){0,2}\s*(?:\\ldots|\.\.\.)\s*\)?$"
)
_MEMBERSHIP = re.compile(r"[,;]?\s*(?:\(\s*)?([a-z])\s*\\in\s*\\(integers|naturals)(?![A-Za-z])\s*\)?")


class Tail(NamedTuple):
    """The names that are bound, the set they range over ("" where none is named), and whether it says "for some"."""

    names: tuple[str, ...]
    domain: str
    for_some: bool


def split_tail(text: str) -> tuple[str, Tail] | None:
    """Return (formula, tail) of a text that ends with a quantifier, or None where none does."""
    if len(text) > MAX_CHARACTERS:
        return None
    for key in _KEY.finditer(text):
        start = key.start()
        tail = _tail(text[start:]) if len(text) - start <= MAX_TAIL else None
        if tail:
            formula = text[:start].rstrip(" ,;(").removesuffix("\\text{").rstrip(" ,;(")
            return (formula, tail) if formula else None
    return None


def _tail(text: str) -> Tail | None:
    """Return what a text says that begins with the word of a quantifier, or None where anything else is in it."""
    text = _OF_SIGN.sub(_with_sign, text.replace("non-negative", "nonnegative"))
    words = _WORD.findall(_TEXT.sub(" ", text))
    kinds = [_KINDS[word] for word in words if word in _KINDS]
    if not kinds and not _ALL.intersection(words):
        return None
    names = tuple(word for word in words if word not in _NO_NAMES)
    if not names or not all(map(_NAME.fullmatch, names)):
        return None
    domain = " ".join(kind for kind in kinds if kind != "constant")
    if domain == "positive integer":
        domain = "natural"
    return Tail(names, domain, "some" in words)


def _with_sign(match: re.Match[str]) -> str:
    """Return the integers of one sign in words."""
    with_zero = match[1] == "integers" and re.fullmatch(r"(?:>=|\\ge)\s*0", match[2])
    return " nonnegative integer" if with_zero else " natural"


def _domain_of_listed(match: re.Match[str]) -> str:
    r"""Return `k = 0, \pm 1, ...` and `k = 1, 2, ...` behind a formula as `k \in` the integers or some of them."""
    kinds = {"0,\\pm1": "", "0,1": "_{\\ge 0}", "1,2": "^+"}
    return rf", {match[1]} \in \integers{kinds[''.join(match[2].split())]}"


def without_repeated_tails(text: str) -> str:
    """Return `x = k\\pi, k \\in Z or x = 1 + k\\pi, k \\in Z` with the tail at its end alone."""
    if "\\ldots" in text or "..." in text:
        text = _LISTED_INDEX.sub(_domain_of_listed, text)
    tails = list(_MEMBERSHIP.finditer(text))
    if len(tails) < 2 or text[tails[-1].end() :].strip(" ."):
        return text
    names = sorted({tail[1] for tail in tails})
    if len(names) > 2 or len({tail[2] for tail in tails}) > 1:
        return text
    return f"{_MEMBERSHIP.sub(' ', text)}, {', '.join(names)} \\in \\{tails[0][2]}"


def bind(body: Node, tail: Tail) -> Node | None:
    """Return a formula with its tail as `bound`: a definition for all arguments, or values that depend on parameters.

    None where the names are unknowns of an equation or an inequality, or do not occur: then the tail is a condition.
    """
    items = body.args if body.op == "list" else (body,)
    relations = [item for item in items if item.op == "rel"]
    if any(set(relation.value) != {"="} for relation in relations):
        return _bounded(body, tail)
    bound = Node("bound", (body,), (tail.names, tail.domain))
    heads = [relation.args[0] for relation in relations]
    if heads and not tail.for_some and all(head.op == "call" and symbols(head).issuperset(tail.names) for head in heads):
        return bound  # f(x) = 2x for all x
    names_unknown = any(symbols(head).intersection(tail.names) for head in heads)
    return bound if not names_unknown and symbols(body).issuperset(tail.names) else None


def _bounded(body: Node, tail: Tail) -> Node | None:
    r"""Return `2k\pi < x < 2k\pi + 1, k \in \integers` as bound, and `n > 2, n \in \integers` as the set of such integers."""
    if tail.domain not in _INTEGERS or len(tail.names) != 1:
        return None
    (name,) = tail.names
    names = symbols(body)
    if name not in names:
        return None
    if len(names) == 1 and body.op == "rel":
        return Node("build", (Node("sym", (), name), body), _INTEGERS[tail.domain])
    items = body.args if body.op == "list" else (body,)
    if any(item.op != "rel" or Node("sym", (), name) in item.args for item in items):
        return None
    return Node("bound", (body,), (tail.names, tail.domain))


def split_modulus(text: str) -> tuple[str, str] | None:
    r"""Return (residues, modulus) of a text that ends with \pmod 7, (mod 7) or the like, or None where none or several do."""
    marks = list(_MODULO.finditer(text))
    if not marks or marks[-1].end() != len(text) or len({mark[1].strip("{} ") for mark in marks}) != 1:
        return None
    return _MODULO.sub("", text).rstrip(" ,"), marks[-1][1]


def residue_class(body: Node, modulus: Node) -> Node:
    """Return `body` modulo `modulus` as the family of its values plus multiples of the modulus over all integers."""
    if contains(modulus, "rel", "list", "seq", "set", "unit", "neg"):
        raise UnreadableError("a modulus that is no number")
    step = Node("mul", (modulus, INDEX))
    return Node("bound", (_shifted(body, step),), ((INDEX.value,), "integer"))


def _shifted(node: Node, step: Node) -> Node:
    if node.op in ("list", "set"):
        return node._replace(args=tuple(_shifted(part, step) for part in node.args))
    if node.op == "rel" and set(node.value) == {"="}:
        return node._replace(args=(*node.args[:-1], _shifted(node.args[-1], step)))
    if contains(node, "rel", "list", "seq", "set", "unit"):
        raise UnreadableError("residues that are no numbers")
    return Node("add", (node, step))
