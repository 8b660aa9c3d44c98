"""Numbers of a batch that are seen in parts, a micro-batch at a time on every rank: how parts combine, what is reported.

A quantity keeps what adds up (or of what the largest counts) and knows how to read the whole, so that no average of averages
can creep in. Nothing leaves the device before `Tally.over_ranks`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch

from rl.runtime import world_size


@dataclass(frozen=True)
class Quantity:
    """One number of the batch, as far as it is known."""

    parts: tuple[torch.Tensor, ...]  # float64 scalars
    combine: Literal["add", "max"]  # how the parts of two micro-batches become those of both
    read: Callable[..., float | None]  # from the parts of the whole batch to what is reported

    def plus(self, other: "Quantity") -> "Quantity":
        """Return the quantity of both."""
        join = torch.add if self.combine == "add" else torch.maximum
        return replace(self, parts=tuple(join(mine, theirs) for mine, theirs in zip(self.parts, other.parts, strict=True)))


def added(value: torch.Tensor) -> Quantity:
    """A scalar that is added up."""
    return Quantity((value.double(),), "add", lambda total: total)


def mean(values: torch.Tensor) -> Quantity:
    """The mean over all tokens of the batch; `values` [n] are those of one micro-batch."""
    return Quantity((values.sum().double(), _count(values)), "add", _divided)


def sum_of_means(first: torch.Tensor, second: torch.Tensor) -> Quantity:
    """The sum of two means over the same tokens; `first` [n] and `second` [n] are those of one micro-batch."""

    def read(total_of_first: float, total_of_second: float, count: float) -> float:
        return _divided(total_of_first, count) + _divided(total_of_second, count)

    return Quantity((first.sum().double(), second.sum().double(), _count(first)), "add", read)


def largest(values: torch.Tensor) -> Quantity:
    """The largest over all tokens of the batch, -inf without any; `values` [n] are those of one micro-batch."""
    return Quantity((_maximum(values),), "max", lambda maximum: maximum)


def smallest(values: torch.Tensor) -> Quantity:
    """The smallest over all tokens of the batch, inf without any; `values` [n] are those of one micro-batch."""
    return Quantity((_maximum(-values),), "max", lambda maximum: -maximum)


def effective_sample_size(ratios: torch.Tensor) -> Quantity:
    """Kish's effective sample size as a share of the samples, (sum r)^2 / (n sum r^2); `ratios` [n] of one micro-batch."""

    def read(total: float, squares: float, count: float) -> float | None:
        return total**2 / (max(1.0, count) * squares) if total else None

    return Quantity((ratios.sum().double(), ratios.square().sum().double(), _count(ratios)), "add", read)


def _divided(total: float, count: float) -> float:
    return total / max(1.0, count)


def _count(values: torch.Tensor) -> torch.Tensor:
    return values.new_full((), values.numel(), dtype=torch.float64)  # not torch.tensor, which waits for a GPU


def _maximum(values: torch.Tensor) -> torch.Tensor:
    highest = values.max() if len(values) else values.new_full((), -torch.inf)
    return highest.double()


@dataclass(frozen=True)
class Tally:
    """Quantities by the name they are reported under."""

    quantities: Mapping[str, Quantity]

    def plus(self, other: "Tally") -> "Tally":
        """Return the tally of both."""
        return Tally({name: quantity.plus(other.quantities[name]) for name, quantity in self.quantities.items()})

    def over_ranks(self) -> dict[str, float | None]:
        """Return what is reported of the tallies of all ranks together; all ranks must call."""
        parts = {way: self._reduced(way) for way in ("add", "max")}
        report = {}
        for name, quantity in self.quantities.items():
            of_all = [next(parts[quantity.combine]) for _ in quantity.parts]
            report[name] = quantity.read(*of_all)
        return report

    def _reduced(self, way: str) -> Iterator[float]:
        """Yield all parts that are combined this way, over all ranks, in the order of the quantities."""
        flat = [part for quantity in self.quantities.values() if quantity.combine == way for part in quantity.parts]
        if not flat:
            return iter(())
        together = torch.stack(flat)
        if world_size() > 1:
            operation = torch.distributed.ReduceOp.SUM if way == "add" else torch.distributed.ReduceOp.MAX
            torch.distributed.all_reduce(together, op=operation)
        return iter(together.tolist())
