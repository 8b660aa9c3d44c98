"""Several sources as one, in exact proportions and without a random walk."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from problems.seeding import derive_rng
from problems.types import Problem, ProblemError, ProblemSource

_BLOCK = 1000  # indices in which every share is exact


@dataclass(frozen=True)
class Mixture:
    """Draws from `sources` by `weights`.

    Every block of 1,000 indices holds each source in its exact share (largest remainder), in an order shuffled by hash.
    The k-th draw from a source is that source's item k, so a finite source is read once through before it repeats.
    """

    sources: Sequence[ProblemSource]
    weights: Sequence[float]
    seed: int

    _cache: dict[tuple[str, int], list[list[int]]] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def _counts(self) -> list[int]:
        """How many indices of a block each source owns."""
        total = sum(self.weights)
        exact = [weight / total * _BLOCK for weight in self.weights]
        counts = [int(value) for value in exact]
        by_remainder = sorted(range(len(exact)), key=lambda i: (counts[i] - exact[i], i))
        for i in by_remainder[: _BLOCK - sum(counts)]:
            counts[i] += 1
        if 0 in counts:
            raise ProblemError(
                f"problems.{counts.index(0)} has less than 0.05 % of the mixture and would never be drawn: raise its weight"
            )
        return counts

    def _slots(self, split: str, block: int) -> list[list[int]]:
        """Return for each source the sorted positions it owns inside `block`."""
        if (split, block) in self._cache:
            return self._cache[split, block]
        slots = list(range(_BLOCK))
        derive_rng("mixture", self.seed, split, block).shuffle(slots)
        owned: list[list[int]] = []
        start = 0
        for count in self._counts:
            owned.append(sorted(slots[start : start + count]))
            start += count
        self._cache[split, block] = owned
        return owned

    def _locate(self, split: str, index: int) -> tuple[int, int]:
        """Return (source number, index inside that source)."""
        block, position = divmod(index, _BLOCK)
        for number, owned in enumerate(self._slots(split, block)):
            rank = bisect_left(owned, position)
            if rank < len(owned) and owned[rank] == position:
                return number, block * self._counts[number] + rank
        raise AssertionError("every slot of a block has an owner")

    def owner(self, split: str, index: int) -> int:
        """Return the number of the source that item `index` is drawn from."""
        return self._locate(split, index)[0]

    def get(self, split: str, index: int) -> Problem:
        """Return item `index` of the mixture."""
        number, inner = self._locate(split, index)
        return self.sources[number].get(split, inner)
