"""Whether all ranks train the same weights, and sample from those: a number for each parameter, and who disagrees.

The bits of a parameter are read as integers, each times an odd number of its place, and added up modulo 2^64: exact on every
device in any order, changed by a single bit, a swap or a transpose. It costs one pass over the weights; under ZeRO 3 they are
gathered for it, one parameter at a time.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

import torch

from problems.errors import LabError
from rl.exchange import all_gather
from rl.policy.interfaces import CausalLM
from rl.runtime import world_size
from rl.update.engine import Engine

_PART = 2**22  # numbers of one product: 32 MB for the places and as much for the bits
_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_STRIDE = 0x9E3779B97F4A7C15 - 2**64  # odd, and no small number: the golden ratio in 64 bits, as in Fibonacci hashing

Fingerprints = dict[str, int]  # by parameter


class WeightsDisagree(LabError):
    """Two copies of the weights that must be the same are not."""


@torch.no_grad()
def fingerprints(named: Iterable[tuple[str, torch.Tensor]]) -> Fingerprints:
    """Return a number for each tensor that any change of it changes."""
    names, numbers = [], []
    for name, weights in named:
        names.append(name)
        numbers.append(_number(weights))
    return dict(zip(names, torch.stack(numbers).tolist(), strict=True)) if names else {}


def _number(weights: torch.Tensor) -> torch.Tensor:
    """Return a scalar, int64; what overflows is dropped, which is the same on every device."""
    bits = weights.detach().contiguous().view(_BITS[weights.element_size()]).flatten()
    total = torch.zeros((), dtype=torch.int64, device=weights.device)
    for part in bits.split(_PART):
        places = torch.arange(1, len(part) + 1, device=weights.device) * _STRIDE | 1
        total = total * 31 + (part.long() * places).sum()
    return total


def check_fingerprints(engine: Engine, sampled: CausalLM) -> None:
    """Raise WeightsDisagree unless all ranks hold the same weights and `sampled` holds those too; all ranks must call."""
    trained = fingerprints(engine.whole_weights_by_name())
    is_copy = sampled is not engine.policy
    copied = fingerprints(named_as(engine, sampled)) if is_copy else trained
    heard = all_gather((trained, copied))
    fault = odd_one([mine for mine, _ in heard], "the trainer's weights")
    for number, (mine, theirs) in enumerate(heard):
        fault = fault or apart(mine, theirs, number)
    if fault is not None:
        raise WeightsDisagree(
            f"{fault}; this is ZeRO {engine.stage} on {world_size()} ranks. What was learned since the last checkpoint is in "
            "doubt: go on from it with --resume; if it comes again, look at the memory of that machine (ECC errors) and the "
            "versions of DeepSpeed and torch. train.fingerprint_every_steps=0 trains on regardless"
        )


def named_as(engine: Engine, sampled: CausalLM) -> Iterable[tuple[str, torch.Tensor]]:
    """Yield the sampler's weights under the trainer's names."""
    for (name, mine), theirs in zip(engine.policy.named_parameters(), sampled.parameters(), strict=True):
        yield name, theirs.to(mine.dtype)


def odd_one(heard: Sequence[Fingerprints], whose: str) -> str | None:
    """Return in words which rank holds another value of which parameter than most ranks do, None where all agree."""
    for name in heard[0]:
        values = [mine[name] for mine in heard]
        usual, _ = Counter(values).most_common(1)[0]
        odd = [number for number, value in enumerate(values) if value != usual]
        if odd:
            ranks = ", ".join(map(str, odd))
            return f"{whose} differ between ranks: {name} of rank {ranks} is not that of rank {values.index(usual)}"
    return None


def apart(trained: Fingerprints, sampled: Fingerprints, number: int) -> str | None:
    """Return in words which parameter a rank samples from that is not the trained one, None where there is none."""
    names = [name for name, value in trained.items() if sampled[name] != value]
    if not names:
        return None
    others = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"rank {number} samples from old or damaged weights: {names[0]}{others} of the sampler is not the trainer's"
