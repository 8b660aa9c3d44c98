"""Turns the rows of a problem set into a source: held in memory, read in a new shuffled order on every pass.

A set without a validation split gets one out of `train`, by content hash, so that no test item is ever used to choose a
checkpoint.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from problems.rows import Row, Splits
from problems.seeding import content_hash, derive_rng, derive_seed
from problems.types import SPLITS, Problem, ProblemError

_VALIDATION_SHARE = 20  # one train item in 20


@lru_cache(maxsize=8)
def _order(seed: int, epoch: int, count: int) -> tuple[int, ...]:
    order = list(range(count))
    derive_rng("order", seed, epoch).shuffle(order)
    return tuple(order)


@dataclass(frozen=True)
class FiniteSource:
    """A set held in memory. Training shuffles it anew on every pass; evaluation keeps the file's order."""

    name: str
    splits: Mapping[str, Sequence[Problem]]
    seed: int

    def get(self, split: str, index: int) -> Problem:
        """Return item `index`; pass p = index // size has an order of its own. Raises ProblemError for an empty split."""
        items = self.splits.get(split, ())
        if not items:
            have = ", ".join(f"{name} ({len(rows)})" for name, rows in self.splits.items() if rows) or "none"
            raise ProblemError(f"{self.name} has no {split} problems; splits found: {have}")
        epoch, position = divmod(index, len(items))
        if split != "train":
            return items[position]
        return items[_order(self.seed, epoch, len(items))[position]]

    def size(self, split: str) -> int:
        """Return how many different problems `split` holds."""
        return len(self.splits.get(split, ()))


def _is_held_out(problem: Problem) -> bool:
    """Tell whether a training problem is left for validation; its content decides, so copies of it go the same way."""
    content = content_hash(problem.domain, problem.prompt, str(problem.reference))
    return derive_seed("validation", content) % _VALIDATION_SHARE == 0


def finite_source(name: str, raw: Splits, convert: Callable[[Row, str, str], Problem], seed: int) -> FiniteSource:
    """Return the source of the rows of each split; a train split without a validation split gives one item in 20 to it.

    `convert` takes a row, its split and where it stands ("file:line"), and raises ProblemError for a row it cannot use.
    """
    splits: dict[str, list[Problem]] = {split: [] for split in SPLITS}
    has_validation = "validation" in raw
    for split, (where, rows) in raw.items():
        for number, row in enumerate(rows, start=1):
            place = f"{where}:{number}"
            problem = convert(row, split, place)
            if split == "train" and not has_validation and _is_held_out(problem):
                problem = convert(row, "validation", place)
            splits[problem.split].append(problem)
    return FiniteSource(name, splits, seed)
