r"""Unions over an index: `\bigcup_{k \in \integers} (2k, 2k+1)` is the family of its sets, as "(2k, 2k+1), k in Z" is."""

import re
from typing import NamedTuple

from rewards.math.tree import MAX_CHARACTERS

_UNION = re.compile(r"(?:[a-zA-Z]\s*\\in\s*)?\\(?:big)?cup\s*(?=[_^])")
_LOWER = re.compile(r"_\s*\{([^{}]{1,60})\}\s*")
_UPPER = re.compile(r"\^\s*(?:\{\s*\+?\s*\\infty\s*\}|\\infty(?![A-Za-z]))\s*")
_MEMBERS = re.compile(r"\s*(\\?[A-Za-z]+)\s*\\in\s*\\(integers|naturals)\s*")
_FIRST = re.compile(r"\s*(\\?[A-Za-z]+)\s*=\s*(-\s*\\infty|0|1)\s*")
_DOMAINS = {"integers": "integer", "naturals": "natural", "0": "nonnegative integer", "1": "natural"}


class Union(NamedTuple):
    """The set that depends on an index, as text; the index, and what it ranges over."""

    body: str
    name: str
    domain: str


def split_union(text: str) -> Union | None:
    """Return the parts of a cleaned text that is one union over all integers, all naturals, or all from 0 or 1 on."""
    opening = _UNION.match(text)
    if opening is None or len(text) > MAX_CHARACTERS:
        return None
    lower = _LOWER.match(text, opening.end())
    if lower is None:
        return None
    upper = _UPPER.match(text, lower.end())
    body = text[upper.end() if upper else lower.end() :]
    if members := _MEMBERS.fullmatch(lower[1]):
        return None if upper else Union(body, members[1], _DOMAINS[members[2]])
    if (first := _FIRST.fullmatch(lower[1])) and upper:
        return Union(body, first[1], _DOMAINS.get(first[2], "integer"))
    return None
