"""Faults that the start-up self-check must catch, each put into a sound engine or sampler for the time of a `with` block.

The hardest of their kind: the smallest micro-batch is lost, on one rank; positions are off by one, in completions only;
the temperature is off by a tenth; old weights are those of one small step ago.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from rl import selfcheck
from rl.policy.opening import load_model
from rl.runtime import rank
from rl.sampling.how_to_draw import HowToDraw
from rl.sampling.sampler import Sampler
from rl.types import Batch, Row
from rl.update import batch as batches
from rl.update.engine import Engine
from rl.update.packing import Segment, TokenRows, pack
from rl.update.step import accumulate_gradients

Fault = Callable[[Engine], AbstractContextManager[object]]


def _scaled(factor: Callable[[int, bool], float]) -> Fault:
    """Multiply the loss of micro-batches by factor(gradients begun before this one, whether it is the last micro-batch)."""

    def fault(engine: Engine) -> AbstractContextManager[object]:
        sound, begun = engine.backward, 0

        def backward(loss: torch.Tensor, *, last: bool) -> None:
            nonlocal begun
            sound(loss * factor(begun, last), last=last)
            begun += last

        return patch.object(engine, "backward", backward)

    return fault


def _with_rows(change: Callable[[Row], Row]) -> Fault:
    """Change the rows on their way into the loss."""

    def fault(engine: Engine) -> AbstractContextManager[object]:
        def accumulate(engine: Engine, reference: Any, batch: Batch, *rest: Any) -> Any:
            return accumulate_gradients(engine, reference, replace(batch, rows=tuple(change(row) for row in batch.rows)), *rest)

        return patch.object(selfcheck, "accumulate_gradients", accumulate)

    return fault


def _prompt_counts(row: Row) -> Row:
    """Have all of the prompt but its first token in the loss."""
    more = len(row.prompt_ids) - 1

    def longer(values: Any) -> Any:
        return np.concatenate([np.full(more, values[0], values.dtype), values])

    assert row.old_logprobs is not None
    return replace(
        row,
        prompt_ids=row.prompt_ids[:1],
        completion_ids=np.concatenate([row.prompt_ids[1:], row.completion_ids]),
        sampling_logprobs=longer(row.sampling_logprobs),
        old_logprobs=longer(row.old_logprobs),
        advantages=longer(row.advantages),
        weights=longer(row.weights),
        entropy_weights=longer(row.entropy_weights),
    )


def _last_dropped(row: Row) -> Row:
    weights = row.weights.copy()
    weights[-1] = 0
    return replace(row, weights=weights)


def _packed_wrongly(change: Callable[[TokenRows], TokenRows]) -> Fault:
    """Change how rows are laid out."""

    def fault(engine: Engine) -> AbstractContextManager[object]:
        def pack_wrongly(rows: Sequence[Row], device: torch.device, **how: Any) -> TokenRows:
            return change(pack(rows, device, **how))

        return patch.object(batches, "pack", pack_wrongly)

    return fault


def _neighbours_seen(rows: TokenRows) -> TokenRows:
    """Let a completion see those of its prompt that stand before it."""
    assert rows.layout is not None
    stretches = [stretch for _, stretch in rows.layout.pairs]

    def stretch_of(segment: Segment) -> Segment:
        return next((whole for whole in stretches if whole[0] <= segment[0] < whole[0] + whole[1]), segment)

    segments = tuple(dict.fromkeys(map(stretch_of, rows.layout.segments)))
    return replace(rows, layout=replace(rows.layout, segments=segments))


def _positions_shifted(rows: TokenRows) -> TokenRows:
    """Leave a gap of one position between prompt and completion."""
    assert rows.layout is not None
    assert rows.position_ids is not None
    shifted = rows.position_ids.clone()
    for _, (start, length) in rows.layout.pairs:
        shifted[0, start : start + length] += 1
    return replace(rows, position_ids=shifted)


@contextmanager
def _sharpened(engine: Engine) -> Iterator[None]:
    """Have the trainer at another temperature."""
    module = engine.engine.module
    before = module.temperature
    module.temperature = 0.9 * before
    try:
        yield
    finally:
        module.temperature = before


UPDATE_FAULTS: dict[str, Fault] = {
    "doubled": _scaled(lambda begun, last: 2.0),
    "halved": _scaled(lambda begun, last: 0.5),
    "micro-batch lost": _scaled(lambda begun, last: 0.0 if last and rank() == 0 else 1.0),
    "never cleared": _scaled(lambda begun, last: 1.0 + begun),  # the second gradient holds the first, which is the same
    "prompt counts": _with_rows(_prompt_counts),
    "last token dropped": _with_rows(_last_dropped),
    "neighbours seen": _packed_wrongly(_neighbours_seen),
    "positions shifted": _packed_wrongly(_positions_shifted),
    "trainer's temperature": _sharpened,
}


class Sharpened(Sampler):
    """A sampler at another temperature."""

    def sample(self, requests: Any, how: HowToDraw, on_sample: Any, more: Any = None) -> Any:
        return super().sample(requests, replace(how, temperature=0.9 * how.temperature), on_sample, more)


def at_another_temperature(sampler: Sampler) -> Sampler:
    """Return the sampler with a temperature a tenth lower than it is told."""
    return Sharpened(model=sampler.model, pad_id=sampler.pad_id, stop_ids=sampler.stop_ids, max_rows=sampler.max_rows)


def with_old_weights(sampler: Sampler, engine: Engine, rate: float = 1e-4) -> Sampler:
    """Return the sampler with weights from which the engine's are one step of Adam away, whose first is `rate` for each."""
    model = load_model(engine.config.model)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for old, now in zip(model.parameters(), sampler.model.parameters(), strict=True):
            old.copy_(now)
            if old.requires_grad:
                signs = torch.randint(0, 2, old.shape, generator=generator) * 2 - 1
                old.copy_(old.float() + rate * signs)
    return replace(sampler, model=model)


SAMPLER_FAULTS: dict[str, Callable[[Sampler, Engine], Sampler]] = {
    "sampler's temperature": lambda sampler, engine: at_another_temperature(sampler),
    "sampler's weights old": with_old_weights,
}
