"""What DeepSpeed's ZeRO 1 and 2 look at before a step, all gradients together: is one not finite, and what is their norm?

DeepSpeed (0.19.8, runtime/zero/stage_1_and_2.py) asks every gradient by itself, some twelve launches each: with 290 weights
two thirds of the time of a step of 0.5 B on a GPU, where launching is what takes time. The answers stay what they are.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch


def check_together(optimizer: Any) -> bool:
    """Have DeepSpeed's `optimizer` ask once; returns whether it is one that asks as expected."""
    methods = ("has_overflow_partitioned_grads_serial", "get_grad_norm_direct", "averaged_gradients", "dp_process_group")
    if not all(hasattr(optimizer, name) for name in methods):
        return False
    optimizer.has_overflow_partitioned_grads_serial = partial(_is_one_not_finite, optimizer)
    optimizer.get_grad_norm_direct = partial(_norm, optimizer)
    return True


def _norms(gradients: list[torch.Tensor]) -> torch.Tensor:
    """Return the norm of each [n], in float32."""
    return torch.stack(torch._foreach_norm(gradients, 2, dtype=torch.float32))


def _is_one_not_finite(optimizer: Any) -> torch.Tensor:
    """Return [1], whether a gradient of this rank's part holds an infinity or a NaN."""
    gradients = [
        gradient for group in optimizer.averaged_gradients.values() for gradient in group or () if gradient is not None
    ]
    if not gradients:
        return torch.zeros(1, dtype=torch.bool, device=optimizer.device)
    return ~torch.isfinite(_norms(gradients)).all().reshape(1)


def _norm(optimizer: Any, gradients: Sequence[torch.Tensor], params: Sequence[Any], norm_type: float = 2) -> torch.Tensor:
    """Return the norm of all ranks' gradients of one parameter group, a scalar; -1, as DeepSpeed marks it, if not finite."""
    assert norm_type == 2, "DeepSpeed clips by the 2-norm"
    real = [gradient for gradient in gradients if not getattr(gradient, "_zero_padding", False)][: len(params)]
    nothing = torch.zeros((), dtype=torch.float64, device=optimizer.device)
    squares = _norms(real).double().square().sum() if real else nothing
    torch.distributed.all_reduce(squares, group=optimizer.dp_process_group)
    norm = squares.sqrt().float()
    return torch.where(norm.isfinite(), norm, -1.0)
