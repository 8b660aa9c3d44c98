"""Logits of a bf16 model in float32 on a CPU: torch's product there rounds them to bf16, in steps of 0.125 where they reach 16.

Where the processor multiplies bf16 (AMX, or AVX-512 alone), the product is made of torch's own blocks, which write float32
(rl/policy/wide.c). torch has no Python name for them: they are called by their C++ name, which holds the types of all
arguments, so another version has these functions or has none of that name. Everywhere else weight and states are widened to
float32, which is exact, and a float32 product is taken.

Dimension letters: n states, H hidden size, V vocabulary.
"""

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import torch

from rl.policy.compiling import library

_BLOCK = 64  # as in wide.c
_PRODUCT = "_ZN2at6native7cpublas6brgemmEllllllbPKN3c108BFloat16ES5_Pfb"
_RELEASE = "_ZN2at6native7cpublas14brgemm_releaseEb"


@cache
def block_product() -> Any:
    """Return a function (states, weight in blocks, output), or None where this torch or processor has no such blocks."""
    # on another processor the blocks would throw a C++ exception, which nobody could catch here
    if not torch.cpu.get_capabilities().get("avx512_bf16", False) or not torch.backends.mkldnn.is_available():
        return None
    try:
        torch_cpu = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        product, release = getattr(torch_cpu, _PRODUCT), getattr(torch_cpu, _RELEASE)
    except (OSError, AttributeError):
        return None
    ours = library(Path(__file__).with_name("wide.c"))
    if ours is None:
        return None
    pointer, size = ctypes.c_void_p, ctypes.c_int64
    ours.wide_product.argtypes = (pointer, pointer, pointer, size, size, pointer, size, pointer, ctypes.c_int)
    ours.wide_product.restype = None
    functions = [ctypes.cast(function, pointer) for function in (product, release)]

    def multiply(states: torch.Tensor, blocks: torch.Tensor, output: torch.Tensor) -> None:
        count, inner = states.shape
        where = states.data_ptr(), count, inner, blocks.data_ptr(), output.shape[1], output.data_ptr()
        ours.wide_product(*functions, *where, torch.get_num_threads())

    return multiply if _is_right(multiply) else None


def _is_right(multiply: Any) -> bool:
    """Whether a small product comes out: numbers of 3 bits, so that every sum is exact."""
    generator = torch.Generator().manual_seed(0)
    states, weight = (torch.randint(-4, 5, shape, generator=generator).bfloat16() for shape in ((37, 96), (150, 96)))
    output = torch.empty(37, 150)
    multiply(states, in_blocks(weight), output)
    return torch.equal(output, states.float() @ weight.float().T)


def in_blocks(weight: torch.Tensor) -> torch.Tensor:
    """Lay a bf16 weight [V, H], H even, out as wide.c reads it; flat."""
    pairs = weight.contiguous().view(torch.int32)  # [V, H / 2], two numbers in one
    whole = len(pairs) // _BLOCK * _BLOCK
    parts = [pairs[:whole].unflatten(0, (-1, _BLOCK)).transpose(1, 2).flatten(), pairs[whole:].T.flatten()]
    return torch.cat(parts).view(torch.bfloat16)


class WideProduct:
    """states [n, H] -> states @ weight.T [n, V] in float32, on a CPU, for a weight [V, H] in bf16."""

    def __init__(self, weight: torch.Tensor):
        self.width = len(weight)
        self.multiply = block_product() if weight.shape[1] % 2 == 0 else None
        self.weight = weight.float() if self.multiply is None else in_blocks(weight)

    def __call__(self, states: torch.Tensor, output: torch.Tensor | None = None) -> torch.Tensor:
        """Return the product, in `output` [n, V] where it is given; its rows must follow each other in memory."""
        if output is None:
            output = torch.empty(len(states), self.width)
        if self.multiply is None:
            return torch.mm(states.float(), self.weight.T, out=output)
        self.multiply(states.contiguous(), self.weight, output)
        return output
