"""C files of the lab as functions: compiled when they are first needed, called through ctypes."""

import ctypes
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

_FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fopenmp", "-shared", "-fPIC")


@cache
def library(source: Path, *defines: str) -> ctypes.CDLL | None:
    """Compile `source` with macros as `NAME=value`; None without a compiler that can do it."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / f"{source.stem}.so"
        command = [compiler, *_FLAGS, *(f"-D{define}" for define in defines), str(source), "-lm", "-o", str(target)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            return None
        return ctypes.CDLL(str(target))  # stays loaded when its file is gone
