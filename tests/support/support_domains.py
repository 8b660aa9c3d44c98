"""Items of every procedural domain at every level, drawn once for all tests."""

import time
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import pytest

from problems.catalog import DOMAINS, SOURCE_MODELS, build_source
from problems.types import SPLITS, Problem

ITEMS = 1000
VERIFIED = 20  # of a level, spread over its items: a verdict of the math verifier takes up to some milliseconds
WITHOUT_LEVELS = {"letters"}  # judged at its own settings until it has some

EVERY_LEVEL = [(name, level) for name, domain in DOMAINS.items() for level in range(1, len(domain.levels) + 1)]
EVERY_LEVEL += [(name, 0) for name in DOMAINS if name in WITHOUT_LEVELS and not DOMAINS[name].levels]  # 0: none is asked for
at_every_level: Callable[..., Any] = pytest.mark.parametrize(("name", "level"), EVERY_LEVEL)


class Sample(NamedTuple):
    """Items of a level: all of them of training, and of each split."""

    train: list[Problem]
    of_split: dict[str, list[Problem]]
    cpu_seconds: float  # that the ITEMS of training took


def draw(name: str, level: int, split: str, count: int, seed: int = 0) -> list[Problem]:
    config = SOURCE_MODELS[name].model_validate({"domain": name, **({"level": level} if level else {})})
    source = build_source([config], seed)  # type: ignore[list-item]  # what it is a union of is known when it runs
    return [source.get(split, index) for index in range(count)]


@cache
def sample(name: str, level: int) -> Sample:
    started = time.process_time()
    train = draw(name, level, "train", ITEMS)
    cpu_seconds = time.process_time() - started
    others = {split: draw(name, level, split, 20, seed=1) for split in SPLITS[1:]}
    return Sample(train, {"train": train, **others}, cpu_seconds)


def some(name: str, level: int) -> list[Problem]:
    """Return VERIFIED of the items, spread over all."""
    return sample(name, level).train[:: ITEMS // VERIFIED]
