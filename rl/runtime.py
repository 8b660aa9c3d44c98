"""Things that must be set before torch libraries wake up: the accelerator, quiet logs, threads and the process group."""

import logging
import os
import sys
import warnings
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import torch

T = TypeVar("T")
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

if not torch.cuda.is_available():
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
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


def set_threads(threads: int | None) -> None:
    """Give each rank its share of the cores: two busy ranks with all threads each slow each other down tenfold."""
    on_this_machine = int(os.environ.get("LOCAL_SIZE", os.environ.get("LOCAL_WORLD_SIZE", "1")))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch.set_num_threads(threads or max(1, cores // on_this_machine))


def init_distributed(timeout_minutes: float = 60.0) -> None:
    """Join the process group of the launcher, or make one of a single process. One path for one rank and for many."""
    alone = "MASTER_ADDR" not in os.environ
    if alone:
        os.environ.update(RANK="0", WORLD_SIZE="1", LOCAL_RANK="0", LOCAL_SIZE="1")  # DeepSpeed reads them
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
    if not deepspeed.comm.is_initialized():
        deepspeed.init_distributed(
            dist_backend=backend,
            auto_mpi_discovery=False,
            timeout=timedelta(minutes=timeout_minutes),
            verbose=False,
        )


def all_gather(item: T) -> list[T]:
    """Return every rank's `item`, in rank order, on every rank."""
    if world_size() == 1:
        return [item]
    gathered: list[T] = [item] * world_size()
    torch.distributed.all_gather_object(gathered, item)
    return gathered
