r"""What ends a formula and says what its names range over: "for all x", "k \in Z", "where k is an integer", "(mod 7)".

`k\pi, k \in \integers` is Node("bound", (k * pi,), (("k",), "integer")). Only a tail at the very end is read, and only over
a whole number set: "for x > 0" is a condition and no quantifier.
"""

import re
from typing import NamedTuple

from rewards.math.tree import MAX_CHARACTERS, Node, UnreadableError, contains, symbols

MAX_TAIL = 100
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
_KINDS = {word: word for word in ("integer", "natural", "real", "positive", "nonnegative", "constant")}
_KINDS |= {"integers": "integer", "reals": "real", "naturals": "natural", "constants": "constant"}
_KINDS |= {f"\\{word}s": word for word in ("integer", "natural", "real")}
_NO_NAMES = _FILLERS | _ALL | _KINDS.keys() | {"some"}
_MODULO = re.compile(
    r"\(?\s*(?:\\text\s*\{\s*\(?|\\)?[pb]?mod(?:ulo)?(?![A-Za-z])[\s}]*"
    r"(\{(?:[^{}]|\{[^{}]*\})*\}|[^\s,;(){}]+)\s*\)?\s*\}?"
)


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
    words = _WORD.findall(_TEXT.sub(" ", text.replace("non-negative", "nonnegative")))
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


def bind(body: Node, tail: Tail) -> Node | None:
    """Return a formula with its tail as `bound`: a definition for all arguments, or values that depend on parameters.

    None where the names are unknowns of an equation or an inequality, or do not occur: then the tail is a condition.
    """
    items = body.args if body.op == "list" else (body,)
    relations = [item for item in items if item.op == "rel"]
    if any(set(relation.value) != {"="} for relation in relations):
        return None
    bound = Node("bound", (body,), (tail.names, tail.domain))
    heads = [relation.args[0] for relation in relations]
    if heads and not tail.for_some and all(head.op == "call" and symbols(head).issuperset(tail.names) for head in heads):
        return bound  # f(x) = 2x for all x
    names_unknown = any(symbols(head).intersection(tail.names) for head in heads)
    return bound if not names_unknown and symbols(body).issuperset(tail.names) else None


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
