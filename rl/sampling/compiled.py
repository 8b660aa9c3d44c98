"""rl/sampling/decode.c as functions: compiled for one model shape when it is first needed, called through ctypes."""

import ctypes
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

PAGE = 16  # tokens, as in decode.c
TOGETHER = 8  # rows of a group that read a page of the prompt together, as in decode.c
_FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fopenmp", "-shared", "-fPIC")


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
        ("threads", ctypes.c_int32),
    ]


@cache
def compiled(head_dim: int, heads: int, kv_heads: int, qk_norm: bool, bf16: bool) -> ctypes.CDLL | None:
    """Compile decode.c for one model shape, in float32 or bf16; None without a compiler that can do it."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        return None
    shape = [f"-DHEAD_DIM={head_dim}", f"-DHEADS={heads}", f"-DKV_HEADS={kv_heads}", f"-DQK_NORM={int(qk_norm)}"]
    shape.append(f"-DBF16={int(bf16)}")
    source = Path(__file__).with_name("decode.c")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "decode.so"
        command = [compiler, *_FLAGS, *shape, str(source), "-lm", "-o", str(target)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            return None
        library = ctypes.CDLL(str(target))  # stays loaded when its file is gone
    pointer, number, size = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64
    library.attend.argtypes = (ctypes.POINTER(Step), pointer, pointer)
    library.rms_norm.argtypes = (pointer, pointer, ctypes.c_float, pointer, size, size, number)
    library.silu_gate.argtypes = (pointer, pointer, size, size, number)
    for function in (library.attend, library.rms_norm, library.silu_gate):
        function.restype = None
    return library
