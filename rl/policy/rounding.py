"""Products in bf16 on a processor that does not multiply bf16: taken in float32 and rounded.

Without AVX-512 torch has no matrix product in bf16 but loops over single numbers: on one such core 1 to 15 GFLOP/s, a
backward product least, where float32 has 65. So the products of matrices are replaced in this process: both are widened,
which is exact, multiplied in float32, and the result is rounded once. Processors that do multiply bf16 round at the same
place.
"""

import warnings
from functools import cache
from typing import Any

import torch

_PRODUCTS = ("mm", "addmm", "bmm", "baddbmm")


@cache
def multiplies_bf16() -> bool:
    """Whether torch has fast products in bf16 on this processor."""
    return bool(torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported())


@cache
def round_products() -> torch.library.Library:
    """Take all products of matrices in bf16 on the CPU in float32 from now on; returns what keeps it so."""
    library = torch.library.Library("aten", "IMPL")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Warning only once for all operators")
        for name in _PRODUCTS:
            library.impl(name, _by_float32(getattr(torch.ops.aten, name).out), "CPU", allow_override=True)
    return library


def fit_products(dtype: str) -> None:
    """Make products in a precision of ours fast here, before anything is computed in it."""
    if dtype == "bf16" and not multiplies_bf16():
        round_products()


def _by_float32(write: Any) -> Any:
    """Return the product whose form that writes to `out` is given, which has a kernel of its own and is not replaced."""

    def product(*tensors: torch.Tensor, **scalars: float) -> torch.Tensor:
        if any(tensor.dtype != torch.bfloat16 for tensor in tensors):
            result: torch.Tensor = write(*tensors, **scalars, out=tensors[0].new_empty(0))
            return result
        wide = (tensor.float() for tensor in tensors)
        widely: torch.Tensor = write(*wide, **scalars, out=tensors[0].new_empty(0, dtype=torch.float32))
        return widely.bfloat16()

    return product
