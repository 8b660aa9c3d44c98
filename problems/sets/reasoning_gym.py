"""Problems of the package reasoning-gym: about a hundred procedural data sets of other people's, one by its name.

`{domain: reasoning_gym, name: chain_sum, settings: {min_terms: 3}}`. The package is an extra, `pip install 'reasonlab[gym]'`.
An item of theirs is drawn from `Random(seed + index)`, so two seeds nearer than their sizes share items: here each problem is
item 0 of a data set of its own, whose seed is hashed. Splits are by the text of the question, as everywhere. Answers are judged
by the data set's own scorer, which makes the item once more from its seed (rewards/gym.py): an item holds what JSON does not.

Left out: `composite` (a mixture is what a configuration has several sources for), `codeio`, which executes programs that a
model wrote to make its items, those that walk through sets, so that one seed makes another item in every process, and
`game_of_life_halting`, whose scorer pays 1.0 for any text (`bool(answer) == bool(entry["answer"])`, of two texts), and
`n_queens`, whose boards begin with blanks to fill in, which are no answer to our reading of boxes.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

from pydantic import Field

from problems.ownfile import in_words
from problems.seeding import content_hash, content_split, derive_seed
from problems.types import SPLITS, Problem, ProblemError, ProblemSet, SourceConfig

DOMAIN = "reasoning_gym"
REVIEWED = "0.1.25"  # its scorers were read for what they do with a hostile answer; see rewards/gym.py
# why, stands in docs/formats.md; those that walk through sets were found by making items under two PYTHONHASHSEEDs, as
# tests/rewards/test_gym.py does
_LEFT_OUT = {
    "composite",
    "codeio",
    "game_of_life_halting",
    "n_queens",
    "polynomial_equations",
    "propositional_logic",
    "puzzle24",
} | {
    "isomorphic_strings",
    "knight_swap",
    "list_functions",
    "polynomial_multiplication",
    "ransom_note",
    "word_ladder",
}
_OURS = {"seed", "size"}  # settings of theirs
_MAX_ATTEMPTS = 400  # of a tenth's split; one in 10^18 is not found by then, unless the data set is small
_SEEDS = 2**32  # numpy, which some of them draw with, takes no larger one


class GymConfig(SourceConfig):
    """Settings of `reasoning_gym`."""

    name: str = Field(description="a data set of reasoning-gym, chain_sum for instance; a wrong name lists them")
    settings: dict[str, Any] = Field(default_factory=dict, description="its own settings, but for seed and size")


def _package() -> Any:
    """Return the package; raises ProblemError where it is not installed, or another version than the one that was read."""
    from importlib.metadata import version  # takes its time

    try:
        import reasoning_gym
    except ImportError as error:
        raise ProblemError(
            f"problems of reasoning_gym need the package: pip install 'reasoning-gym=={REVIEWED}' ({error})"
        ) from None
    if (found := version("reasoning-gym")) != REVIEWED:
        raise ProblemError(
            f"reasoning-gym {found} is installed, expected {REVIEWED}: other versions make other problems, and some of its "
            f"scorers evaluate answers. pip install 'reasoning-gym=={REVIEWED}'"
        )
    return reasoning_gym


def names() -> list[str]:
    """Return the names of the data sets that can be used."""
    return sorted(set(_package().factory.DATASETS) - _LEFT_OUT)


def open_data_set(name: str, settings: Mapping[str, Any], seed: int) -> Any:
    """Return a data set of one item; raises ProblemError for a name or settings that it has not."""
    package = _package()
    if name not in names():
        why = " is left out (see problems/sets/reasoning_gym.py);" if name in _LEFT_OUT else " is no data set of reasoning-gym;"
        raise ProblemError(f"{name!r}{why} there are: {', '.join(names())}")
    if taken := _OURS & settings.keys():
        raise ProblemError(
            f"reasoning_gym {name}: {', '.join(sorted(taken))} cannot be set, every problem has a seed of its own"
        )
    try:
        return package.create_dataset(name, **settings, seed=seed, size=1)
    except Exception as error:  # theirs check settings by assertions, among others
        known = [field.name for field in fields(package.factory.DATASETS[name][1]) if field.name not in _OURS]
        raise ProblemError(
            f"reasoning_gym {name} does not take these settings: {in_words(error)}; it has: {', '.join(known)}"
        ) from None


@lru_cache(maxsize=64)
def item(name: str, settings: str, seed: int) -> tuple[Any, Mapping[str, Any]]:
    """Return (data set, its only item) for settings as JSON; the item is {question, answer, metadata}."""
    data_set = open_data_set(name, json.loads(settings), seed)
    return data_set, data_set[0]


@dataclass(frozen=True, kw_only=True)
class GymSource:
    """Problems of one data set: item (seed, split, index) is the same everywhere, splits never share a question."""

    name: str
    settings: str  # as JSON
    seed: int

    def get(self, split: str, index: int) -> Problem:
        """Return the problem; raises ProblemError for an unknown split, or where the data set has too few problems for it."""
        if split not in SPLITS:
            raise ProblemError(f"unknown split {split!r}: expected one of {', '.join(SPLITS)}")
        failed = ""
        for attempt in range(_MAX_ATTEMPTS):
            seed = derive_seed(DOMAIN, self.name, self.seed, split, index, attempt) % _SEEDS
            try:
                _, made = item(self.name, self.settings, seed)
            except Exception as error:  # some of them give up on some seeds
                failed = f"; the last one failed: {in_words(error)}"
                continue
            if content_split(str(made["question"])) == split:
                return self._problem(made, split, index, seed)
        raise ProblemError(
            f"reasoning_gym {self.name} made no {split} problem in {_MAX_ATTEMPTS} tries: "
            f"its settings allow too few different problems ({self.settings}){failed}"
        )

    def _problem(self, made: Mapping[str, Any], split: str, index: int, seed: int) -> Problem:
        prompt, answer = str(made["question"]), made["answer"]
        reference = None if answer is None else str(answer)
        stated = made["metadata"].get("difficulty", {})
        if not isinstance(stated, Mapping):  # one number, as gsm_symbolic has it
            stated = {"difficulty": stated}
        graded = {name: value for name, value in stated.items() if isinstance(value, int | float | str)}
        return Problem(
            id=content_hash(DOMAIN, self.name, prompt, reference or ""),
            domain=DOMAIN,
            split=split,
            prompt=prompt,
            reference=reference,
            checks={"name": self.name, "settings": self.settings, "seed": seed},
            difficulty={"data_set": self.name, **graded},
            source=f"{DOMAIN}/{self.name}/{self.seed}/{split}/{index}",
        )


def load_gym(config: GymConfig, seed: int) -> GymSource:
    """Open a data set once, so that what is wrong with it is said before anything is drawn."""
    try:
        settings = json.dumps(config.settings, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise ProblemError(f"reasoning_gym {config.name}: its settings cannot be said in JSON: {error}") from None
    open_data_set(config.name, config.settings, 0)
    return GymSource(name=config.name, settings=settings, seed=seed)


SET = ProblemSet(name=DOMAIN, config=GymConfig, load=load_gym, verifier=DOMAIN)
