r"""Recursive descent from text to the tree of `tree.py`, for LaTeX and plain notation alike.

    answer    := statement ((","|";"|"and"|"or") statement)*       statements.py
    statement := sets (("="|"<"|"<="|"\in"|...) sets)*
    sets      := ratio (("\cup"|"\cap"|"\setminus") ratio)*
    ratio     := sum ((":"|"to") sum)*
    sum       := product (("+"|"-"|"\pm") product)*                sums.py
    product   := sign* power (("*"|"/"|nothing) sign* power)*      products.py, units in measures.py
    power     := atom suffix* (("^"|"**") exponent suffix*)*       powers.py, affixes.py
    atom      := number | letters | command | text | brackets      atoms.py and what it imports

`x = \frac{1}{2}` is Node("rel", (Node("sym", (), "x"), Node("div", (1, 2), "frac")), ("=",)).

A quantifier or a modulus at the end is cut off before (`quantifiers.py`), and some answers in words are read whole
(`phrases.py`). Depth, tokens and digits are bounded. What is not understood raises UnreadableError with the place and the
reason. No word of the text ever becomes an operator of the tree or the name of a Python attribute.
"""

import re
from functools import lru_cache

from rewards.math.grammar.atoms import read_atom
from rewards.math.grammar.choosing import counted
from rewards.math.grammar.clean import clean
from rewards.math.grammar.conditions import read_conditional, under_its_condition
from rewards.math.grammar.cursor import Rules, read_whole
from rewards.math.grammar.grouping import ungrouped
from rewards.math.grammar.integers import read_integers, with_sign
from rewards.math.grammar.phrases import read_phrase
from rewards.math.grammar.powers import read_power
from rewards.math.grammar.products import read_product
from rewards.math.grammar.quantifiers import (
    bind,
    residue_class,
    split_modulus,
    split_tail,
    without_repeated_tails,
)
from rewards.math.grammar.spoken import written_out
from rewards.math.grammar.statements import read_answer, read_sets, read_statement
from rewards.math.grammar.sums import read_sum
from rewards.math.grammar.systems import multiplicities, rewritten
from rewards.math.grammar.unions import split_union
from rewards.math.tree import Node, UnreadableError

MAX_WRITTEN_CHARACTERS = 10_000  # before cleaning; `tree.MAX_CHARACTERS` bounds what is left after it
_RULES = Rules(
    answer=read_answer,
    statement=read_statement,
    sets=read_sets,
    sum=read_sum,
    product=read_product,
    power=read_power,
    atom=read_atom,
)
_ALL_TEXT = re.compile(r"\(?\s*\\text\s*\{([^{}\\]*)\}\s*\)?")
_PLAIN_SET = re.compile(r"\{(?:\s*|[^{}]*[|:,][^{}]*)\}")
_TOP_LEVEL_OVER = re.compile(r"(?:[^{}=,;<>&]|\{[^{}]*\})*\\over(?![A-Za-z])(?:[^{}=,;<>&]|\{[^{}]*\})*")
_SYMPY_MATRIX = re.compile(r"Matrix\(\s*(\[.*\])\s*\)", re.DOTALL)
_RELATION = re.compile(r"[<>=]|\\(?:le|ge|ne|in)(?![A-Za-z])")
_TAIL = re.compile(r"\s+is the (?:final )?(?:answer|result|solution)$", re.IGNORECASE)
_LEAD = re.compile(
    r"(?:(?:therefore|thus|so|hence|finally|approximately|about|around|roughly|only|just|approx\.?|exactly|equals?|answer\s*[:=]|"
    r"final answer\s*[:=]|(?:\\text\s*\{\s*)?the (?:final )?answer (?:is|equals)\s*:?\s*\}?|it is|we get|there (?:are|is)|"
    r"(?:a )?total of|"
    r"we have|\\approx|~|=|\\therefore)\s*[:,]?\s*)+",
    re.IGNORECASE,
)


@lru_cache(maxsize=2048)
def parse(text: str) -> Node:
    """Return the tree of `text` as written in an answer; raises UnreadableError with the place and the reason."""
    if len(text) > MAX_WRITTEN_CHARACTERS:
        raise UnreadableError(f"{len(text)} characters")
    cleaned = clean(text)
    if not cleaned:
        raise UnreadableError("nothing to read")
    if "  " in cleaned or "\n" in cleaned:  # long white space would cost the patterns below their linear time
        cleaned = "\n".join(" ".join(line.split()) for line in cleaned.splitlines() if line.strip())
    cleaned = written_out(_with_brackets(_unwrapped(cleaned)))
    if counts := multiplicities(cleaned):
        return Node("bound", (_tree(rewritten(cleaned)),), ((), f"roots that count {counts} times"))
    return _tree(rewritten(cleaned))


def _tree(cleaned: str) -> Node:
    """Return the tree of cleaned text."""
    if _RELATION.search(cleaned):  # "or" between statements, not between sets
        cleaned = cleaned.replace("\\lor ", " or ").replace("\\land ", " and ")
    if node := read_phrase(cleaned, _read):
        return node
    if (match := _ALL_TEXT.fullmatch(cleaned)) and re.search(r"\d", match[1]):
        cleaned = match[1]
    try:
        node = _read_bound(cleaned) or read_integers(cleaned, _read) or read_conditional(cleaned, _read) or _read(cleaned)
        if "C(" in cleaned or "P(" in cleaned:
            node = counted(node)
        return ungrouped(node) if "[" in cleaned or "\\{" in cleaned else node
    except RecursionError:
        raise UnreadableError("nested too deep") from None


def _unwrapped(text: str) -> str:
    """Return `text` without the words around an answer: "so the answer is ...", "Matrix(...)"."""
    if match := _LEAD.match(text):
        text = text[match.end() :] or text
    if match := _SYMPY_MATRIX.fullmatch(text):
        text = match[1]
    return _TAIL.sub("", text) or text


def _with_brackets(text: str) -> str:
    """Return a set in plain braces, a vector in plain angles and a quotient without any with the brackets of LaTeX."""
    if text[0] == "{" and text[-1] == "}" and _PLAIN_SET.fullmatch(text):
        return f"\\{{{text[1:-1]}\\}}"
    if text[0] == "<" and text[-1] == ">":
        return rf"\langle {text[1:-1]}\rangle"
    if "\\over" in text and _TOP_LEVEL_OVER.fullmatch(text):  # 1 \over 2 without its braces
        return f"{{{text}}}"
    return text


def _read(text: str) -> Node:
    return under_its_condition(read_whole(with_sign(text), _RULES))


def _is_remainder(text: str) -> bool:
    r"""Tell whether `a \bmod b` is the number that is left over: no congruence, and no list of residues."""
    outside = re.sub(r"\([^()]*\)|\{[^{}]*\}", "", text)
    return "\\bmod" in text and "," not in outside and not _RELATION.search(text) and "\\equiv" not in text


def _read_bound(text: str) -> Node | None:
    """Return a formula with a quantifier or a modulus behind it, or None where it has none or is to be read as a whole."""
    try:
        if "cup" in text and (union := split_union(text)):
            return Node("bound", (_read(union.body),), ((union.name,), union.domain))
        if "mod" in text and not _is_remainder(text) and (parts := split_modulus(text)):
            return residue_class(_read(parts[0]), _read(parts[1]))
        if parted := split_tail(without_repeated_tails(text)):
            body, tail = parted
            return bind(_read(body), tail)
    except UnreadableError:
        pass
    return None
