"""A string and a list of rules to apply to it, one after the other: state that has to be carried along."""

import re
import string
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from pydantic import Field, model_validator

from problems.lines import Step, read_back, swapped, written
from problems.types import Domain, Draft, PositiveRange, Problem, ProblemError, SourceConfig

_FEWEST_LETTERS, _MOST_LETTERS = 3, 60  # of a string that rules make shorter or longer
_PROMPT = re.compile(
    r'Start with "([a-z]+)" and apply these rules in order, each to what the one before left:\n(.+)\nWhat is the result\?',
    re.DOTALL,
)
_LINE = re.compile(r"\d+\. (.+)")


class Rule(NamedTuple):
    """What a rule says, with places for two letters, and what it does to a text."""

    says: str
    apply: Callable[[str, str, str], str]


_RULES = (
    Rule('Replace every "{x}" by "{y}".', lambda text, x, y: text.replace(x, y)),
    Rule('Remove every "{x}".', lambda text, x, y: text.replace(x, "")),
    Rule('Write every "{x}" twice.', lambda text, x, y: text.replace(x, x + x)),
    Rule('Put the letter "{y}" after every "{x}".', lambda text, x, y: text.replace(x, x + y)),
    Rule('Put the letter "{y}" in front.', lambda text, x, y: y + text),
    Rule("Reverse it.", lambda text, x, y: text[::-1]),
    Rule("Move the first letter to the end.", lambda text, x, y: text[1:] + text[0]),
    Rule("Move the last letter to the front.", lambda text, x, y: text[-1] + text[:-1]),
    Rule("Swap the first and the last letter.", lambda text, x, y: text[-1] + text[1:-1] + text[0]),
    Rule("Remove the first letter.", lambda text, x, y: text[1:]),
    Rule("Sort its letters by the alphabet.", lambda text, x, y: "".join(sorted(text))),
    Rule("Remove every second letter, the second one first.", lambda text, x, y: text[::2]),
)
_PATTERNS = [  # of the same order: how a rule is read back
    re.compile(re.escape(rule.says).replace(r"\{x\}", "(?P<x>[a-z])").replace(r"\{y\}", "(?P<y>[a-z])")) for rule in _RULES
]


class StringsConfig(SourceConfig):
    """Settings of `strings`."""

    letters: PositiveRange = Field(
        default=(4, 8), description="fewest and most letters of the string to start with, 3 at least"
    )
    rules: PositiveRange = Field(default=(2, 4), description="fewest and most rules")
    alphabet: int = Field(
        default=5, ge=2, le=26, description="how many different letters there are: few, and rules meet several"
    )

    @model_validator(mode="after")
    def _can_be_changed(self) -> "StringsConfig":
        if not _FEWEST_LETTERS <= self.letters[0] <= self.letters[1] <= _MOST_LETTERS:
            raise ValueError(f"letters must lie within {_FEWEST_LETTERS} and {_MOST_LETTERS}, found {self.letters}")
        return self


def _next(rng: Random, text: str, letters: str) -> tuple[str, str]:
    """Draw a rule that changes `text`, leaves letters that are not all the same, neither too few nor too many; return both."""
    while True:
        rule, x, y = rng.choice(_RULES), rng.choice(text), rng.choice(letters)
        after = rule.apply(text, x, y)
        if after != text and _FEWEST_LETTERS <= len(after) <= _MOST_LETTERS and len(set(after)) > 1:
            return rule.says.format(x=x, y=y), after


def generate(rng: Random, config: StringsConfig) -> Draft:
    """Draw a string and rules of which each one changes something."""
    letters = "".join(rng.sample(string.ascii_lowercase, config.alphabet))
    start = rng.choice(letters) * 2
    while len(set(start)) == 1:
        start = "".join(rng.choices(letters, k=rng.randint(*config.letters)))
    text, lines = start, list[str]()
    for number in range(rng.randint(*config.rules)):
        rule, text = _next(rng, text, letters)
        lines.append(f"{number + 1}. {rule}")
    return Draft(
        prompt=f'Start with "{start}" and apply these rules in order, each to what the one before left:\n'
        + "\n".join(lines)
        + "\nWhat is the result?",
        reference=text,
        difficulty={"rules": len(lines), "letters": len(start)},
    )


def _applied(line: str, text: str) -> str | None:
    """Return what the rule of a line makes of `text`, or None for a line that is no rule."""
    said = _LINE.fullmatch(line)
    for rule, pattern in zip(_RULES, _PATTERNS, strict=True):
        if text and said is not None and (match := pattern.fullmatch(said[1])) is not None:
            named = match.groupdict()
            return rule.apply(text, named.get("x", ""), named.get("y", ""))
    return None


def solve(problem: Problem, style: str, rng: Random) -> str:
    """Write down what each rule leaves."""
    match = read_back(_PROMPT, problem, "list of rules")
    text, steps = match[1], list[Step]()
    for line in match[2].split("\n"):
        after = _applied(line, text)
        if after is None:
            raise ProblemError(f"problem {problem.id} ({problem.source}) has a rule that strings does not know: {line[:60]!r}")
        steps.append(Step(f"{line} {' '.join(text)}: ", " ".join(after), " ".join(_misspelt(after, rng))))
        text = after
    return written(style, steps, text, rng)


def _misspelt(text: str, rng: Random) -> str:
    """Return `text` with two letters changed about, or one letter short."""
    return "".join(swapped(text, rng)) if len(set(text)) > 1 and rng.random() < 0.5 else text[:-1]


def perturb(problem: Problem, rng: Random) -> str:
    """Return a string near the right one."""
    return _misspelt(problem.reference or "", rng)


DOMAIN = Domain(
    name="strings",
    config=StringsConfig,
    generate=generate,
    solve=solve,
    perturb=perturb,
    verifier="exact",
    levels=[
        {"letters": (3, 5), "rules": (1, 2)},
        {"letters": (4, 8), "rules": (3, 4)},
        {"letters": (6, 12), "rules": (5, 7)},
        {"letters": (8, 16), "rules": (8, 12)},
    ],
)
