"""What the update made of a step's first completions, token by token: the trainer's log-probabilities and what counted.

Nothing is computed for it: each rank puts aside what its micro-batches come to anyway, the first time that a completion is
learned from. With one update a batch that is the policy which drew it; after a first update of the batch (several
minibatches) it has moved. Completions without a gradient go through no micro-batch and have no log-probabilities.
"""

from collections.abc import Sequence

import numpy as np
import torch

from rl.exchange import all_gather
from rl.types import Batch, FloatArray, Group, Learned, Row


class Overhearing:
    """Puts aside log-probabilities of the completions of some groups."""

    def __init__(self, groups: Sequence[Group]):
        self._rollouts = [rollout for group in groups for rollout in group.rollouts]
        # a row of a batch has the very array of its completion
        self._numbers = {id(rollout.completion_ids): number for number, rollout in enumerate(self._rollouts)}
        self._mine: dict[int, torch.Tensor] = {}

    def hear(self, rows: Sequence[Row], logprobs: torch.Tensor) -> None:
        """Take from `logprobs` [N], those of `rows` one after the other, what is wanted of them."""
        start = 0
        for row in rows:
            end = start + len(row.completion_ids)
            number = self._numbers.get(id(row.completion_ids))
            if number is not None:
                self._mine.setdefault(number, logprobs[start:end].detach().clone())
            start = end

    def learned(self, batches: Sequence[Batch]) -> list[Learned]:
        """Return a record for each completion, from what all ranks have heard; all ranks must call."""
        if not self._rollouts:
            return []
        heard: dict[int, FloatArray] = {}
        for share in all_gather({number: logprobs.float().cpu().numpy() for number, logprobs in self._mine.items()}):
            heard |= share
        counting = {
            self._numbers[id(row.completion_ids)]: (row.weights != 0) | (row.entropy_weights != 0)
            for batch in batches
            for row in batch.rows
            if id(row.completion_ids) in self._numbers
        }
        return [
            Learned(
                gaps=heard[number] - rollout.sampling_logprobs if number in heard else None,
                trained=counting.get(number, np.zeros(len(rollout.completion_ids), dtype=np.bool_)),
            )
            for number, rollout in enumerate(self._rollouts)
        ]
