"""Copying a text to the letter, runs of one character among it: a probe of what a model does without understanding anything.

No spaces, so that the answer is one piece; capitals count.
"""

import re
import string
from random import Random

from pydantic import Field

from problems.lines import Step, read_back, swapped, written
from problems.types import Domain, Draft, PositiveRange, Problem, SourceConfig

_CHARACTERS = string.ascii_letters + string.digits
_PROMPT = re.compile(r'Copy this text exactly: "([A-Za-z0-9]+)"', re.ASCII)
_PIECE = 4  # characters copied at once


class CopyingConfig(SourceConfig):
    """Settings of `copying`."""

    characters: PositiveRange = Field(default=(8, 24), description="fewest and most characters of the text")
    repeated: float = Field(default=0.2, ge=0, le=0.95, description="chance that a character is the one before it again")


def _draw(rng: Random, config: CopyingConfig) -> str:
    text = rng.choice(_CHARACTERS)
    for _ in range(rng.randint(*config.characters) - 1):
        text += text[-1] if rng.random() < config.repeated else rng.choice(_CHARACTERS)
    return text


def generate(rng: Random, config: CopyingConfig) -> Draft:
    """Draw a text."""
    text = _draw(rng, config)
    return Draft(prompt=f'Copy this text exactly: "{text}"', reference=text, difficulty={"characters": len(text)})


def solve(problem: Problem, style: str, rng: Random) -> str:
    """Copy a few characters a line, with how many there are by then, and then all of it."""
    text = read_back(_PROMPT, problem, "text to copy")[1]
    steps = []
    for start in range(0, len(text), _PIECE):
        piece = text[start : start + _PIECE]
        steps.append(Step(f"up to {start + len(piece)}: ", piece, _mangled(piece, rng)))
    return written(style, steps, text, rng)


def _mangled(text: str, rng: Random) -> str:
    """Return `text` with one character too few, too many or in another's place."""
    place, way = rng.randrange(len(text)), rng.choice(["drop", "double", "other"]) if len(text) > 1 else "double"
    middle = {"drop": "", "double": text[place] * 2, "other": rng.choice(_CHARACTERS.replace(text[place], ""))}[way]
    return text[:place] + middle + text[place + 1 :]


def perturb(problem: Problem, rng: Random) -> str:
    """Return the text with one slip, or in other capitals."""
    text = problem.reference or ""
    ways = [_mangled(text, rng), text.swapcase()]
    if len(set(text)) > 1:
        ways.append("".join(swapped(text, rng)))
    return rng.choice([way for way in ways if way != text])


DOMAIN = Domain(
    name="copying",
    config=CopyingConfig,
    generate=generate,
    solve=solve,
    perturb=perturb,
    verifier="exact",
    levels=[
        {"characters": (4, 8), "repeated": 0.1},
        {"characters": (12, 24)},
        {"characters": (30, 60), "repeated": 0.4},
        {"characters": (80, 160), "repeated": 0.6},
    ],
)
