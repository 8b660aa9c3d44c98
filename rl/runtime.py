"""What a process of a run is: its rank, device and threads, quiet libraries, and how it joins the others and leaves them.

Imported before any library that reads the environment: the accelerator must be set before DeepSpeed wakes up.
"""

import contextlib
import ctypes
import gc
import logging
import os
import platform
import re
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.distributed import distributed_c10d

from problems.errors import LabError
from rl.devices import nvidia_devices
from rl.stopping import Guard, Listener, is_told_to_stop

_MEETING = timedelta(minutes=10)  # for the last rank to come to the end, after the first
_REST_SECONDS = 5.0
_FEWEST_FOR_PRODUCTS = 50_000_000  # weights of a model that spends most of its time in products; SmolLM2-135M does (LOG.md)
# of glibc's malloc.h: parameters of mallopt, and the values that make freed memory stay with the process
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_KEEPING = {_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: -1, _M_TOP_PAD: 64 * 2**20}
LAUNCHER_VARIABLES = frozenset(
    {
        "RANK",
        "WORLD_SIZE",
        "LOCAL_RANK",
        "LOCAL_SIZE",
        "LOCAL_WORLD_SIZE",
        "CROSS_RANK",
        "CROSS_SIZE",
        "MASTER_ADDR",
        "MASTER_PORT",
    }
)  # what tells a process which part of a run it is
_ALONE = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "LOCAL_SIZE": "1"}  # what a launcher says of a single process

if not torch.cuda.is_available():
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
elif "PYTORCH_CUDA_ALLOC_CONF" not in os.environ:
    # micro-batches differ in size: without segments that grow, a fifth of the memory can lie in gaps nobody fits in
    os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")


def quiet_libraries() -> None:
    """Let libraries speak only when something is wrong."""
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
    # transformers 5.23 warns of its own renamed argument, which trl 1.16 passes on (to be removed with trl's next release)
    warnings.filterwarnings("ignore", message=".*gradient_checkpointing.*deprecated.*", category=FutureWarning)
    # torch warns on every checkpointed call about a default that DeepSpeed itself sets
    warnings.filterwarnings("ignore", message=".*torch.utils.checkpoint.*")


def rank() -> int:
    """This process's number in the run."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """Number of processes in the run."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def local_rank() -> int:
    """This process's number on its machine."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def device() -> torch.device:
    """The device of this rank."""
    return torch.device("cuda", local_rank()) if torch.cuda.is_available() else torch.device("cpu")


def uploaded(values: torch.Tensor | np.ndarray, where: torch.device) -> torch.Tensor:
    """Return `values` on a device, without waiting for what it still has to do: an ordinary copy to a GPU does."""
    tensor = torch.as_tensor(values)
    return tensor.pin_memory().to(where, non_blocking=True) if where.type == "cuda" else tensor.to(where)


def describe_device() -> str:
    """Return what this rank computes on, for people.

    Raises LabError where an NVIDIA driver shows devices and torch sees none: a large model would train on the CPU for weeks
    without a word. Who means the CPU says so with an empty CUDA_VISIBLE_DEVICES.
    """
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(device())
        return f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB, torch {torch.__version__}"
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    found = nvidia_devices()
    if found and hidden not in ("", "-1"):
        raise LabError(
            f"this machine has NVIDIA devices ({', '.join(found)}) and torch {torch.__version__} sees none of them: its build "
            f"is for {'CUDA ' + torch.version.cuda if torch.version.cuda else 'CPUs'}, CUDA_VISIBLE_DEVICES is {hidden!r}. "
            "Install a torch built for this driver (`nvidia-smi` shows it), or set CUDA_VISIBLE_DEVICES= (empty) to use the CPU"
        )
    return f"the CPU, {torch.get_num_threads()} threads, torch {torch.__version__}"


def slow_precision(dtype: str) -> str:
    """Return what to say of a model precision that this rank's processor is slow in, or nothing.

    Where x86 has no matrix unit for it (AMX), bf16 saves some memory and costs time: products run at 0.6 of float32's rate on
    a Sapphire Rapids core whose AMX is hidden, at a fraction of it where bf16 is emulated.
    """
    if dtype != "bf16" or torch.cuda.is_available() or platform.machine() != "x86_64" or _has_amx():
        return ""
    return (
        "bf16 is slow on this processor, which has no AMX: model.dtype=fp32 computes faster, in twice the memory for "
        "activations, cache and frozen weights"
    )


def faster_precision(dtype: str, weights: int) -> str:
    """Return what to say where this rank's processor would compute a model of so many `weights` faster in bf16, or nothing."""
    is_small = weights < _FEWEST_FOR_PRODUCTS
    if dtype != "fp32" or is_small or torch.cuda.is_available() or platform.machine() != "x86_64" or not _has_amx():
        return ""
    return "this processor multiplies bf16 much faster than float32 (AMX): model.dtype=bf16 should take less time"


def _has_amx() -> bool:
    return bool(torch.cpu.get_capabilities().get("amx_bf16", False))


def set_threads(threads: int | None) -> None:
    """Give each rank its share of the cores: two busy ranks with all threads each slow each other down tenfold.

    On a CPU the process also keeps the memory that it frees (`keep_freed_memory`).
    """
    if not torch.cuda.is_available():
        keep_freed_memory()
    on_this_machine = int(os.environ.get("LOCAL_SIZE", os.environ.get("LOCAL_WORLD_SIZE", "1")))
    torch.set_num_threads(threads or max(1, cores() // on_this_machine))


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def keep_freed_memory() -> None:
    """Have glibc's malloc give no memory back to the system; elsewhere, or where the user has tuned it, do nothing.

    The trap: by itself it maps every tensor beyond 32 MB anew, and the system then clears each page as it is first touched:
    a third of the time of a training step with the logits of a large vocabulary. Not for runs on a GPU, where a model passes
    through this memory once.
    """
    tuned = [name for name in os.environ if name.startswith("MALLOC_") or name == "GLIBC_TUNABLES"]
    if tuned or platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    mallopt.argtypes, mallopt.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    for parameter, value in _KEEPING.items():
        mallopt(parameter, value)


class ArrayGroup:
    """The group in which ranks exchange what lies in CPU memory: gloo, beside NCCL where there is that."""

    now: Any = None  # None: the default group, which is gloo


@contextmanager
def process_group(
    timeout_minutes: float = 60.0, *, even_alone: bool = True, on_failure: Listener | None = None
) -> Iterator[None]:
    """Join the process group of the launcher, or make one of a single process, and leave it however the block ends.

    A block that ends well waits for the other ranks, so that none takes away what another still needs (rank 0 holds the
    store), and leaves. After an error nobody is waited for: the others may hang in a collective. `on_failure` is told the
    error, this process ends with the status that it stands for (see stopping.py), and the launcher ends the others.
    An error that follows from a signal counts as the signal.

    One block inside another joins nothing: the outer one leaves. Without `even_alone` a single process makes no group.
    """
    if Guard.active is not None:
        with Guard.active.telling(on_failure):
            yield
        return
    guard = Guard()
    joins = even_alone or world_size() > 1
    try:
        with guard.telling(on_failure):
            if joins:
                _join(timedelta(minutes=timeout_minutes))
            yield
            if joins:
                _meet()
    except BaseException as error:
        cause = guard.cause or error
        is_news = guard.tell(cause)
        if not is_news and guard.told is not None and not is_told_to_stop(cause) and not isinstance(cause, LabError):
            cause = SystemExit(128 + signal.SIGTERM)  # another rank has ended as it was told to, a moment before this one would
        if world_size() > 1:
            if is_news and local_rank() != 0 and isinstance(cause, LabError):  # the first of a machine speaks for itself
                print(f"error on rank {rank()}: {cause}", file=sys.stderr, flush=True)
            guard.end_process(cause)
        else:
            _leave()
            guard.close()
        if cause is not error:
            raise cause from error
        raise
    _leave()
    guard.close()


def _join(timeout: timedelta) -> None:
    """Make DeepSpeed and torch know the ranks. One path for one rank and for many."""
    alone = "MASTER_ADDR" not in os.environ
    if alone:
        os.environ.update(_ALONE)  # DeepSpeed reads them
    # ninja and other tools of this environment must be found by whatever DeepSpeed decides to compile
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    import deepspeed
    import deepspeed.comm

    quiet_libraries()
    if torch.cuda.is_available():
        torch.cuda.set_device(local_rank())
    else:
        # DeepSpeed would compile a shared-memory extension here (minutes on a cold machine) that serves only
        # inference_all_reduce, which nothing in training calls (deepspeed/comm/torch.py, build_shm_op).
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    if alone and not torch.distributed.is_initialized():  # no port, so nothing to collide with
        store = torch.distributed.HashStore()  # type: ignore[attr-defined]
        torch.distributed.init_process_group(backend, store=store, rank=0, world_size=1)
    # DeepSpeed makes groups of its own without naming a time (comm/torch.py, new_group), and NCCL's default is ten minutes
    distributed_c10d.default_pg_timeout = timeout
    distributed_c10d.default_pg_nccl_timeout = timeout  # type: ignore[attr-defined]
    if not deepspeed.comm.is_initialized():
        # with NCCL and several ranks this binds each rank to its device (deepspeed/comm/torch.py, init_process_group)
        deepspeed.init_distributed(dist_backend=backend, auto_mpi_discovery=False, timeout=timeout, verbose=False)
    if backend != "gloo" and world_size() > 1:
        ArrayGroup.now = torch.distributed.new_group(backend="gloo", timeout=timeout)


def _meet() -> None:
    """Wait until all ranks are here.

    In a group of its own, on the CPU: a barrier in the ranks' group would wait as long as a collective may, an hour.
    Rank 0 may come late, when W&B still uploads.
    """
    if world_size() > 1:
        group = torch.distributed.new_group(backend="gloo", timeout=_MEETING)
        torch.distributed.barrier(group)


def _leave() -> None:
    """Destroy the process group, if there is one, and see that no thread of it is at work when the interpreter ends.

    The trap: a gloo thread drops the tensors of a finished collective when it gets to it, after wait() has returned in
    the main thread, and needs the GIL for that. If the interpreter is ending by then, Python 3.11 ends the thread with
    pthread_exit, which may not unwind C++: "terminate called without an active exception", SIGABRT, and a finished run
    is reported as failed (ProcessGroupGloo::runLoop -> ~AsyncWork -> gil_scoped_acquire -> PyThread_exit_thread in gdb,
    torch 2.13; plain torch does it too). Destroying the group ends the threads only when nothing holds the group any
    more, and DeepSpeed's engine, its optimizer and the parameters of ZeRO 3 do: in cycles, which the collector finds, and
    through whatever of them the caller still holds. So the threads are given time to put everything down.
    """
    if not torch.distributed.is_initialized():
        return
    import deepspeed.comm

    ArrayGroup.now = None
    gc.collect()
    # where accelerate made the group (torchrun with one rank), DeepSpeed knows nothing of it
    (deepspeed.comm if deepspeed.comm.is_initialized() else torch.distributed).destroy_process_group()
    if "MASTER_ADDR" not in os.environ:
        for name in _ALONE:  # accelerate, used later in this process, would take them for a launcher's
            os.environ.pop(name, None)
    resting = 0
    deadline = time.monotonic() + _REST_SECONDS
    # twice: a thread that waits for the GIL sleeps too while we look, but gets it while we sleep
    while resting < 2 and time.monotonic() < deadline:
        time.sleep(0.001)
        resting = resting + 1 if all(state == "S" for state in gloo_threads()) else 0


def gloo_threads() -> list[str]:
    """Return the states of this process's gloo threads, "S" for asleep (proc(5), /proc/pid/stat); Linux only."""
    states = []
    for file in Path("/proc/self/task").glob("*/stat"):
        with contextlib.suppress(OSError):  # a thread that has just ended
            _, name, state = re.split(r"[()]", file.read_text(), maxsplit=2)
            if name == "pt_gloo_runloop":
                states.append(state.split()[0])
    return states
