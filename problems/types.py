"""The records of the problem side: a problem, where problems come from, and what a file of domains/ or sets/ defines.

Start with `Problem` and `ProblemSource`. A procedural domain (`Domain`) makes its problems up; a set (`ProblemSet`) loads
them. Both are plain data with functions in them, so a new one is one file and needs no class of its own but its settings.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Annotated, Any, Generic, Protocol, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from problems.errors import LabError

SPLITS = ("train", "validation", "test")
STYLES = ("direct", "steps", "checked")


class ProblemError(LabError):
    """A problem set that cannot be used; the message says where and what to do."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One question with an answer that a program can check.

    `id` is a hash of the content; `prompt` is the question without any template; `reference` is the canonical answer,
    or None where only a program can decide; `checks` is what the verifier needs besides; `difficulty` holds named
    parameters to group results by; `solution` is a worked solution that came with the problem, if one did.
    """

    id: str
    domain: str
    split: str
    prompt: str
    reference: str | None
    checks: Mapping[str, Any] = field(default_factory=dict)
    difficulty: Mapping[str, int | float | str] = field(default_factory=dict)
    source: str
    solution: str | None = None


class ProblemSource(Protocol):
    """Where problems come from. `get` is a pure function of its arguments on every machine."""

    def get(self, split: str, index: int) -> Problem:
        """Return problem `index` (>= 0, unbounded: a finite set starts a new shuffled pass) of `split`."""
        ...


Rate = Annotated[float, Field(ge=0, le=1)]


class SourceConfig(BaseModel):
    """Settings common to all sources; each domain adds its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    weight: float = Field(default=1.0, gt=0, description="share of the mixture, relative to the other sources")
    rates: str | None = Field(default=None, description="file of `reasonlab problems rate`: only problems that `keep` allows")
    rates_hash: str | None = Field(default=None, description="of what that file holds, header included; filled in")
    keep: tuple[Rate, Rate] | None = Field(default=None, description="lowest and highest pass rate that stays: 0.1, 0.9")
    without: str | None = Field(default=None, description="file of `reasonlab problems decontaminate`: not what it lists")
    without_hash: str | None = Field(default=None, description="of what that file holds, header included; filled in")

    @model_validator(mode="after")
    def _keeps_something(self) -> Self:
        if self.keep is not None and self.rates is None:
            raise ValueError("keep says which pass rates stay, so it needs rates: FILE of `reasonlab problems rate`")
        if self.keep is not None and self.keep[0] > self.keep[1]:
            raise ValueError(f"keep: the first number is the lowest rate, {self.keep[0]} is above {self.keep[1]}")
        return self


def _ascending(bounds: tuple[int, int]) -> tuple[int, int]:
    if bounds[0] > bounds[1]:
        raise ValueError(f"the first number is the smallest, {bounds[0]} is above {bounds[1]}")
    return bounds


Positive = Annotated[int, Field(ge=1)]
AtLeastTwo = Annotated[int, Field(ge=2)]
PositiveRange = Annotated[tuple[Positive, Positive], AfterValidator(_ascending)]
RangeFromTwo = Annotated[tuple[AtLeastTwo, AtLeastTwo], AfterValidator(_ascending)]


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What a procedural domain generates: a problem before it has a split and an id.

    Drafts of equal `same_as` are the same problem in other words and belong to one split; None: the prompt decides.
    """

    prompt: str
    same_as: str | None = None
    reference: str | None
    checks: Mapping[str, Any] = field(default_factory=dict)
    difficulty: Mapping[str, int | float | str] = field(default_factory=dict)


Settings = TypeVar("Settings", bound=SourceConfig)


@dataclass(frozen=True, kw_only=True)
class Domain(Generic[Settings]):
    """A procedural domain as data: its settings and three pure functions. A file of problems/domains/ calls it DOMAIN.

    `name` is what a configuration writes, `domain: chain`. `perturb` returns a wrong answer close to the right one; a
    verifier that accepts it is broken. `solve` raises ProblemError for a problem that the domain did not generate itself (a
    file may hold others). `verifier` names what judges an answer, one of rewards/verifiers.py; "number" compares plain
    numbers with the reference, exactly. `levels` are settings by how hard they are, `level: 1` the first and easiest.
    """

    name: str
    config: type[Settings]
    generate: Callable[[Random, Settings], Draft]
    solve: Callable[[Problem, str, Random], str]
    perturb: Callable[[Problem, Random], str]
    verifier: str = "number"
    levels: Sequence[Mapping[str, Any]] = ()

    def __post_init__(self) -> None:
        """Raise ProblemError or pydantic's ValidationError where a level has settings that the domain has not."""
        if self.levels and "level" in self.config.model_fields:
            raise ProblemError(f"domain {self.name!r} has levels: no setting of its own can be called level")
        for settings in self.levels:
            self.config(**settings)


@dataclass(frozen=True, kw_only=True)
class ProblemSet(Generic[Settings]):
    """A set of given problems as data: its settings and how to load it. A file of problems/sets/ calls it SET.

    `name` is what a configuration writes, `domain: gsm8k`, and the domain of its problems, unless each row says its own;
    then `verifier` is None. `load` takes the settings and a seed for the order, and raises ProblemError for what cannot be
    read. With `solution_is_completion`, a worked solution is all that a completion has to say (a program, for instance), and
    not the reasoning before a short answer.
    """

    name: str
    config: type[Settings]
    load: Callable[[Settings, int], ProblemSource]
    verifier: str | None
    solution_is_completion: bool = False


def boxed(answer: str) -> str:
    """Return the final answer as every worked solution writes it."""
    return f"\\boxed{{{answer}}}"


def thinking(steps: str, answer: str) -> str:
    """Return a solution that reasons first."""
    return f"<think>{steps}</think>{boxed(answer)}"
