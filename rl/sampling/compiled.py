"""rl/sampling/decode.c as functions: compiled for one model shape when it is first needed, called through ctypes."""

import ctypes
from functools import cache
from pathlib import Path

from rl.policy.compiling import library

PAGE = 16  # tokens, as in decode.c
TOGETHER = 8  # rows of a group that read a page of the prompt together, as in decode.c


class Step(ctypes.Structure):
    """The struct Step of decode.c, where the shapes stand."""

    _fields_ = [
        ("cosine", ctypes.c_void_p),
        ("sine", ctypes.c_void_p),
        ("q_weight", ctypes.c_void_p),
        ("k_weight", ctypes.c_void_p),
        ("eps", ctypes.c_float),
        ("scale", ctypes.c_float),
        ("pages", ctypes.c_void_p),
        ("page_stride", ctypes.c_int64),
        ("table", ctypes.c_void_p),
        ("width", ctypes.c_int32),
        ("prompt", ctypes.c_void_p),
        ("own", ctypes.c_void_p),
        ("order", ctypes.c_void_p),
        ("runs", ctypes.c_void_p),
        ("num_runs", ctypes.c_int32),
        ("scratch", ctypes.c_void_p),
        ("room", ctypes.c_int64),
        ("window", ctypes.c_int32),
        ("threads", ctypes.c_int32),
    ]


@cache
def compiled(head_dim: int, heads: int, kv_heads: int, qk_norm: bool, bf16: bool) -> ctypes.CDLL | None:
    """Compile decode.c for one model shape, in float32 or bf16; None without a compiler that can do it."""
    shape = [f"HEAD_DIM={head_dim}", f"HEADS={heads}", f"KV_HEADS={kv_heads}", f"QK_NORM={int(qk_norm)}", f"BF16={int(bf16)}"]
    found = library(Path(__file__).with_name("decode.c"), *shape)
    if found is None:
        return None
    pointer, number, size = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64
    found.attend.argtypes = (ctypes.POINTER(Step), pointer, pointer)
    found.rms_norm.argtypes = (pointer, pointer, ctypes.c_float, pointer, size, size, number)
    found.silu_gate.argtypes = (pointer, pointer, size, size, number)
    for function in (found.attend, found.rms_norm, found.silu_gate):
        function.restype = None
    return found
