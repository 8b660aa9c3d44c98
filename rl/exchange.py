"""What ranks tell each other from CPU memory: any object with its arrays, and counts.

Never through a GPU: torch's own `all_gather_object` pickles arrays and sends the bytes by way of the device under NCCL, for a
step of long completions a gigabyte on every card.
"""

import pickle
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from rl.heartbeat import exchanging
from rl.runtime import ArrayGroup, rank, world_size
from rl.stopping import Leaving, Preempted, Told, may_be_left, told_to_stop

T = TypeVar("T")
Bytes = NDArray[np.uint8]
_ALIGNED = 16  # bytes: an array is read where it arrives, so it must begin at a multiple of its numbers' size


def all_gather(item: T) -> list[T]:
    """Return every rank's `item`, in rank order, on every rank; all ranks must call.

    Arrays travel as they are, and lie afterwards in the message they came in.
    """
    if world_size() == 1:
        return [item]
    parts = _parts(item)
    starts = _starts([len(part) for part in parts])
    size = max(int(size) for size in _gathered(torch.tensor(starts[-1:])))  # gloo gathers tensors of one size only
    message = np.zeros(size, dtype=np.uint8)
    for part, start in zip(parts, starts, strict=False):
        message[start : start + len(part)] = part
    messages = _gathered(torch.from_numpy(message))
    return [item if number == rank() else _unpacked(received.numpy()) for number, received in enumerate(messages)]


def gathered(work: Callable[[], T]) -> list[T]:
    """Do `work`, which may be left by a rank that was told to stop, and return every rank's result. All ranks must call.

    Where one of them has left its work all raise Preempted, here.
    """
    mine: T | Told
    try:
        with may_be_left():
            mine = work()
    except Leaving as leaving:
        mine = leaving.told
    everybody = all_gather(mine)
    if told := [one for one in everybody if isinstance(one, Told)]:
        raise Preempted(_weightiest(told))
    return [one for one in everybody if not isinstance(one, Told)]


def stop_if_told() -> None:
    """Be at a boundary: raise Preempted on all ranks where any of them was told to stop. All ranks must call."""
    if sums_over_ranks(told_to_stop() is not None)[0]:
        raise Preempted(_weightiest([told for told in all_gather(told_to_stop()) if told is not None]))


def leave_together() -> None:
    """Leave the work of `gathered` on all ranks, because one of them was told to stop. All ranks must call."""
    raise Leaving(_weightiest([told for told in all_gather(told_to_stop()) if told is not None]))


def barrier() -> None:
    """Wait until all ranks are here."""
    if world_size() > 1:
        with exchanging():
            torch.distributed.barrier()


def _weightiest(told: Sequence[Told]) -> Told:
    """Return the one that counts: what the user did at the keyboard, before what followed from it."""
    return max(told, key=lambda one: one.status)


def share(items: Sequence[T]) -> Sequence[T]:
    """Return this rank's share of `items`, dealt one by one."""
    return items[rank() :: world_size()]


def gather_shares(mine: list[T]) -> list[T]:
    """Undo `share`: return all ranks' items in the order they were dealt. All ranks must call."""
    return _dealt(all_gather(mine))


def gather_shares_of(work: Callable[[], list[T]]) -> list[T]:
    """As `gather_shares`, of what `work` returns; it may be left, see `gathered`. All ranks must call."""
    return _dealt(gathered(work))


def _dealt(shares: list[list[T]]) -> list[T]:
    total = sum(len(dealt) for dealt in shares)
    return [shares[number % len(shares)][number // len(shares)] for number in range(total)]


def sums_over_ranks(*counts: int) -> list[int]:
    """Return the sum of each count over all ranks; all ranks must call."""
    sums = torch.tensor(counts, dtype=torch.int64)  # truth values too: gloo would add those up in eight bits
    if world_size() > 1:
        with exchanging():
            torch.distributed.all_reduce(sums, group=ArrayGroup.now)
    return [int(count) for count in sums]


def _gathered(tensor: torch.Tensor) -> list[torch.Tensor]:
    everybody = [torch.empty_like(tensor) for _ in range(world_size())]
    with exchanging():
        torch.distributed.all_gather(everybody, tensor, group=ArrayGroup.now)
    return everybody


def _parts(item: object) -> list[Bytes]:
    """Return `item` in parts: how many follow and the size of each, the pickle without its arrays, then the arrays."""
    arrays: list[pickle.PickleBuffer] = []
    head = pickle.dumps(item, protocol=5, buffer_callback=arrays.append)
    parts: list[Bytes] = [np.frombuffer(part, dtype=np.uint8) for part in [memoryview(head), *(a.raw() for a in arrays)]]
    sizes = np.asarray([len(parts), *(len(part) for part in parts)], dtype=np.int64)
    return [sizes.view(np.uint8), *parts]


def _starts(sizes: Sequence[int]) -> list[int]:
    """Return where each part of a message starts, and at last where the message ends."""
    starts = [0]
    for size in sizes:
        starts.append(starts[-1] + -(-size // _ALIGNED) * _ALIGNED)
    return starts


def _unpacked(message: Bytes) -> Any:
    """Return what `all_gather` made a message of."""
    count = int(message[:8].view(np.int64)[0])
    sizes = message[8 : 8 * (count + 1)].view(np.int64).tolist()
    starts = _starts([8 * (count + 1), *sizes])[1:-1]
    head, *arrays = [message[start : start + size].data for start, size in zip(starts, sizes, strict=True)]
    return pickle.loads(head, buffers=arrays)
