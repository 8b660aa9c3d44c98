"""Finds Python source in text: the candidate in a completion, the problem's own code in its prompt. Nothing is run here.

The candidate is the last Python block after the thinking, else the last block without a language, else the whole text (which
must then compile, in the sandbox).
"""

import ast
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rewards.answer import after_thinking

MAX_CANDIDATE_CHARACTERS = 200_000
_FENCE = re.compile(r"[ \t]{0,8}(`{3,}|~{3,})[ \t]*([^\n`]*)")
_PYTHON = ("python", "python3", "py", "py3", "python2", "ipython", "pycon")


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """The program of a completion, as text; `fenced` tells whether the completion marked it as code."""

    source: str
    fenced: bool


def find_candidate(completion: str, thinking_open: bool = False) -> Candidate | None:
    """Return the program of `completion`, or None where it is still thinking or has none."""
    text = after_thinking(completion, thinking_open)
    if text is None:
        return None
    text = text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")
    blocks = blocks_of(text)
    if not blocks:
        return Candidate(source=text, fenced=False) if text.strip() else None
    for wanted in (_PYTHON, ("",)):
        chosen = [source for language, source in blocks if language in wanted]
        if chosen:
            return Candidate(source=chosen[-1], fenced=True)
    return None


def _source(lines: list[str], indent: int) -> str:
    """Return the text of a block without the indentation of its fence (a list item's) and without a byte order mark."""
    return "\n".join(line[:indent].lstrip() + line[indent:] for line in lines).removeprefix("\ufeff")


def blocks_of(text: str) -> list[tuple[str, str]]:
    """Return (language, source) of the fenced blocks; one that never closes runs to the end."""
    blocks: list[tuple[str, str]] = []
    mark, language, indent, lines = "", "", 0, list[str]()
    for line in text.split("\n"):
        fence = _FENCE.fullmatch(line)
        if not mark:
            if fence:
                mark, lines, indent = fence[1], [], fence.start(1)
                language = re.split(r"[\s{,:]", fence[2].strip().strip("{}").lstrip(".").lower())[0]
        elif fence and fence[1].startswith(mark) and not fence[2].strip():
            blocks.append((language, _source(lines, indent) + "\n"))
            mark = ""
        else:
            lines.append(line)
    if mark:
        blocks.append((language, _source(lines, indent)))
    return blocks


@functools.lru_cache(maxsize=512)
def defines(source: str, name: str) -> bool:
    """Return whether `source` is Python that defines a function or class `name` at its top level."""
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError):
        return False
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return any(isinstance(statement, definitions) and statement.name == name for statement in body)


def context_of(checks: Mapping[str, Any], prompt: str, entry: str) -> str:
    """Return the problem's own code: what the checks give, or the prompt where it is code that begins the program."""
    context = checks.get("context")
    if isinstance(context, str):
        return context
    if not entry or entry not in prompt:
        return ""
    return next((text for text in (prompt, *(block for _, block in blocks_of(prompt))) if defines(text, entry)), "")
