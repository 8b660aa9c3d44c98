"""Where a number that is NaN or infinite began: a weight, a token of a row, the first parameter with such a gradient.

Looked for only after an update was left out (rl/update/step.py:NotFinite), so a sound update pays nothing for it. All ranks
hold the same batch, look together and come to the same answer. Nothing of the search stays. In this order, because the first
hides what follows from it: weights, numbers that came with the rows, log-probabilities and losses of tokens, gradients.

Left out: which token made a gradient not finite. Rows are taken one by one, a token alone would be another sum.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from rl.exchange import all_gather
from rl.runtime import device, rank, world_size
from rl.settings.schema import RunConfig
from rl.types import Batch, Row
from rl.update.batch import MicroBatch, collate, cut_micro_batches
from rl.update.engine import Engine, Reference
from rl.update.loss import TokenLoss, Tokens
from rl.update.step import NotFinite, idle_row, micro_batch_loss, token_losses

# of a Row, in the order in which they are looked at, with their names in words
_GIVEN = {
    "sampling_logprobs": "sampling log-probability",
    "old_logprobs": "old log-probability",
    "advantages": "advantage",
    "weights": "weight in the loss",
    "entropy_weights": "weight in the entropy bonus",
}


@dataclass(frozen=True, kw_only=True)
class Culprit:
    """The first number that is not finite, and where it stands, as far as that could be found."""

    what: str
    value: float
    row: int | None = None  # of the batch
    problem_id: str | None = None
    token: int | None = None  # of the completion
    rank: int | None = None
    micro_batch: int | None = None  # of that rank
    parameter: str | None = None
    parameters: int = 0  # how many are not finite, where those are weights

    @property
    def words(self) -> str:
        """What is not finite and where, in one line; rows, tokens, ranks and micro-batches count from 0."""
        if self.parameters:
            others = f" and {self.parameters - 1} more" if self.parameters > 1 else ""
            return f"the weights of {self.parameter}{others} are not finite (a first one is {self.value})"
        what = f"the {self.what} is {self.value}"
        if self.parameter is not None:
            what = f"the gradient is not finite, first in {self.parameter} ({self.value})"
        where = {
            "row": self.row,
            "problem": self.problem_id or None,
            "token": self.token,
            "rank": self.rank,
            "micro-batch": self.micro_batch,
        }
        known = ", ".join(f"{name} {value}" for name, value in where.items() if value is not None)
        return what + (f": {known}" if known else ", of the sum: of no row alone")


def find(
    fault: NotFinite, engine: Engine, reference: Reference | None, batch: Batch, config: RunConfig, pad_id: int
) -> Culprit:
    """Return where the number that `fault` met began; all ranks must call."""
    met = of_weights(engine) or of_rows(batch.rows)
    if met is not None:
        return met
    search = _Search(engine, reference, batch, config, pad_id)
    with engine.without_trace():
        found = search.of_tokens() or search.of_gradient()
    return found or Culprit(what=fault.what, value=fault.value)


def of_rows(rows: tuple[Row, ...]) -> Culprit | None:
    """Return the first number that is not finite of those that rows bring with them."""
    for field, words in _GIVEN.items():
        for number, row in enumerate(rows):
            values = getattr(row, field)
            if values is None or np.isfinite(values).all():
                continue
            token = int(np.flatnonzero(~np.isfinite(values))[0])
            return Culprit(what=words, value=float(values[token]), row=number, problem_id=row.problem_id, token=token)
    return None


def first_not_finite(values: torch.Tensor) -> int | None:
    """Return the place in `values`, flattened, of the first that is NaN or infinite."""
    places = torch.nonzero(~values.detach().flatten().isfinite())
    return int(places[0]) if len(places) else None


def norm_not_finite(gradient: torch.Tensor | None) -> float | None:
    """Return what makes the norm of a gradient NaN or infinite, None where it is finite; numbers may be finite, squares not.

    There is no gradient where the loss does not depend on the parameter.
    """
    if gradient is None or torch.linalg.vector_norm(gradient.float()).isfinite():
        return None
    place = first_not_finite(gradient)
    return math.inf if place is None else float(gradient.flatten()[place])


def of_weights(engine: Engine) -> Culprit | None:
    """Return which weights are not finite, if any; all ranks must call."""
    broken: list[tuple[str, float]] = []
    for name, weights in engine.whole_weights_by_name():
        place = first_not_finite(weights)
        if place is not None:
            broken.append((name, float(weights.flatten()[place])))
    if not broken:
        return None
    name, value = broken[0]
    return Culprit(what="weight", value=value, parameter=name, parameters=len(broken))


def computed(tokens: Tokens, parts: TokenLoss, has_bonus: bool) -> dict[str, torch.Tensor]:
    """Return what the update computes of each of N tokens, by name; the loss comes behind what it follows from."""
    looked_at = {
        "log-probability": tokens.logprobs,
        "reference log-probability": tokens.reference_logprobs,
        "loss of the token": parts.loss,
        "entropy": tokens.entropies if has_bonus else None,
    }
    return {name: values.detach() for name, values in looked_at.items() if values is not None}


def first_of(named: Mapping[str, torch.Tensor]) -> tuple[str, int, float] | None:
    """Return name, place and value of the first number that is not finite."""
    for name, values in named.items():
        place = first_not_finite(values)
        if place is not None:
            return name, place, float(values.flatten()[place])
    return None


def token_of(rows: list[Row], place: int) -> tuple[int, int]:
    """Return which of `rows` the flat place among their completion tokens belongs to, and which of its tokens it is."""
    for number, row in enumerate(rows):
        if place < len(row.completion_ids):
            return number, place
        place -= len(row.completion_ids)
    raise IndexError("behind the last token")


class _Search:
    """A second pass over the micro-batches of a batch."""

    def __init__(self, engine: Engine, reference: Reference | None, batch: Batch, config: RunConfig, pad_id: int):
        self.engine, self.batch, self.config, self.pad_id = engine, batch, config, pad_id
        self.score = None if reference is None else reference.score
        self.plan = cut_micro_batches(batch.rows, world_size(), config.train.micro_batch_tokens, engine.layout)

    def _collated(self, numbers: list[int]) -> MicroBatch:
        rows = [self.batch.rows[number] for number in numbers] or [idle_row(self.batch)]
        return collate(rows, self.pad_id, device(), self.engine.layout)

    @torch.no_grad()
    def of_tokens(self) -> Culprit | None:
        """Return the first row whose log-probabilities or losses are not finite, forward only."""
        self.engine.engine.eval()
        settings = self.config.algorithm
        mine: list[Culprit] = []
        for micro_batch, numbers in enumerate(self.plan[rank()]):
            tokens, parts = token_losses(self.engine.logprobs, self.score, self._collated(numbers), settings)
            met = first_of(computed(tokens, parts, settings.entropy_coef != 0))
            if met is None or not numbers:
                continue
            name, place, value = met
            rows = [self.batch.rows[number] for number in numbers]
            row, token = token_of(rows, place)
            mine.append(
                Culprit(
                    what=name,
                    value=value,
                    row=numbers[row],
                    problem_id=rows[row].problem_id,
                    token=token,
                    rank=rank(),
                    micro_batch=micro_batch,
                )
            )
        found = [culprit for culprits in all_gather(mine) for culprit in culprits]
        return min(found, key=lambda culprit: culprit.row or 0, default=None)

    def of_gradient(self) -> Culprit | None:
        """Return the first parameter whose gradient is not finite, of which micro-batch, and of which row if of one alone.

        As many passes as a rank has micro-batches, and one more for each row of the first that is met.
        """
        self.engine.engine.train()
        for micro_batch in range(len(self.plan[0])):
            whole = [cuts[micro_batch] for cuts in self.plan]  # of each rank
            met = self._gradient_of(whole)
            if met is not None:
                return self._narrowed(micro_batch, whole, *met)
        return None

    def _narrowed(self, micro_batch: int, whole: list[list[int]], parameter: str, value: float) -> Culprit:
        """Return of which row it is: every rank idles but that with the row."""
        for place, numbers in enumerate(whole):
            for row in numbers:
                met = self._gradient_of([[row] if other == place else [] for other in range(len(whole))])
                if met is not None:
                    return Culprit(
                        what="gradient",
                        parameter=met[0],
                        value=met[1],
                        row=row,
                        problem_id=self.batch.rows[row].problem_id,
                        rank=place,
                        micro_batch=micro_batch,
                    )
        return Culprit(what="gradient", parameter=parameter, value=value, micro_batch=micro_batch)

    def _gradient_of(self, rows: list[list[int]]) -> tuple[str, float] | None:
        """Return the parameter at which the backward pass first met what is not finite, for these rows of
        each rank, and that.

        The pass goes from the last layer to the first, so that is the last in order of those whose gradient is not finite.
        """
        micro = self._collated(rows[rank()])
        loss = micro_batch_loss(self.engine.logprobs, self.score, micro, self.config.algorithm).loss
        self.engine.backward(loss, last=True)
        found: tuple[str, float] | None = None
        for name, gradient in self.engine.gradients():  # to the end: all ranks must
            value = norm_not_finite(gradient)
            found = found if value is None else (name, value)
        self.engine.drop_gradients()
        return found
