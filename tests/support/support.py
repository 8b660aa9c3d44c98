"""What several tests need: a model that sometimes answers right, a way to run commands, small batches."""

import itertools
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from forks import HANGS_SECONDS, Fork
from numpy.typing import NDArray

from problems.catalog import SOURCE_MODELS, build_source
from problems.types import Problem, ProblemSource
from rewards.types import Reward, Verdict
from rl.settings.algorithm import AlgorithmSettings
from rl.settings.schema import ModelSettings
from rl.types import Batch, Completion, Group, Rollout

REPOSITORY = Path(__file__).resolve().parents[2]
LAUNCHER_VARIABLES = {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_SIZE"}  # set by a run inside the test process
_PORTS = itertools.count(os.getpid())  # each process begins elsewhere: others may run tests on this machine, too
DATA = Path(os.environ.get("REASONLAB_DATA", REPOSITORY.parent / "shared" / "data"))


def environment(**extra: str) -> dict[str, str]:
    """Return the environment for a command of the lab run from elsewhere, one thread a process, W&B switched off."""
    settings = {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled", **extra}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    inherited = {key: value for key, value in os.environ.items() if key not in LAUNCHER_VARIABLES}
    return {**inherited, "PATH": path, **settings}


def run_command(
    program: Sequence[str], cwd: Path, timeout: float = HANGS_SECONDS, **extra: str
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end with captured output."""
    return subprocess.run(
        [str(part) for part in program],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout,
        env=environment(**extra),
        check=False,
    )


def reasonlab(*arguments: Any, cwd: Path, timeout: float = HANGS_SECONDS, **extra: str) -> subprocess.CompletedProcess[str]:
    """Run `reasonlab ...`."""
    return run_command([sys.executable, "-m", "launch.cli", *map(str, arguments)], cwd, timeout, **extra)


def fork(module: str, *arguments: Any, cwd: Path, **extra: str) -> Fork:
    """Start a module, as `python -m` would, as a fork of a process that has loaded the libraries."""
    return Fork(module, arguments, cwd, environment(**extra))


def forked(*arguments: Any, cwd: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    """Run `reasonlab ...` as a fork."""
    return fork("launch.cli", *arguments, cwd=cwd, **extra).completed()


def fork_ranks(ranks: int, module: str, *arguments: Any, cwd: Path, **extra: str) -> list[Fork]:
    """Start a module as the deepspeed launcher does, each rank as a fork."""
    shared = {
        "WORLD_SIZE": str(ranks),
        "LOCAL_SIZE": str(ranks),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": free_port(),
        **extra,
    }
    return [
        fork(module, f"--local_rank={rank}", *arguments, cwd=cwd, RANK=str(rank), LOCAL_RANK=str(rank), **shared)
        for rank in range(ranks)
    ]


def forked_ranks(ranks: int, module: str, *arguments: Any, cwd: Path, **extra: str) -> list[subprocess.CompletedProcess[str]]:
    """Run a module as the deepspeed launcher does, each rank as a fork, to its end."""
    return [one.completed() for one in fork_ranks(ranks, module, *arguments, cwd=cwd, **extra)]


def launcher(ranks: int, module: str) -> list[str]:
    """Return the command that starts a module under the deepspeed launcher, to be followed by its arguments."""
    runner = [sys.executable, "-m", "deepspeed.launcher.runner", "--num_gpus", str(ranks), "--master_port", free_port()]
    return [*runner, "--module", module]


def launch(
    ranks: int, module: str, *arguments: Any, cwd: Path, timeout: float = HANGS_SECONDS, **extra: str
) -> subprocess.CompletedProcess[str]:
    """Run a module under the deepspeed launcher."""
    return run_command([*launcher(ranks, module), *map(str, arguments)], cwd, timeout, **extra)


def free_port() -> str:
    """Return the number of a port that nobody listens at, nor is given before it is used, ten seconds later or more.

    It lies below those that Linux gives out by itself (from 32768 on), in a range of this one of pytest's processes, and is
    another one each time.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    while True:
        port = 20_000 + 1000 * (worker % 12) + next(_PORTS) % 1000
        with socket.socket() as probe, suppress(OSError):  # in use
            probe.bind(("", port))
            return str(port)


def rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a JSONL file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def chain_source(terms: tuple[int, int] = (2, 3)) -> ProblemSource:
    """Return a source of sums with this many terms, as a configuration would."""
    settings: Any = SOURCE_MODELS["chain"].model_validate({"domain": "chain", "terms": terms})
    return build_source([settings], 0)


def problem(number: int = 0) -> Problem:
    """Return a small problem."""
    return Problem(id=f"p{number}", domain="chain", split="train", prompt="1+1=?", reference="2", source="test")


def rollout(
    prompt: Sequence[int] | NDArray[Any],
    completion: Sequence[int] | NDArray[Any],
    logprobs: Sequence[float] | NDArray[Any],
    reward: float,
    number: int = 0,
    entropies: Sequence[float] | NDArray[Any] | None = None,
) -> Rollout:
    """Return a rollout with these tokens and this reward (0 or 1)."""
    verdict = Verdict(status="correct" if reward else "wrong")
    return Rollout(
        problem=problem(number),
        prompt_ids=np.asarray(prompt, dtype=np.int32),
        completion_ids=np.asarray(completion, dtype=np.int32),
        sampling_logprobs=np.asarray(logprobs, dtype=np.float32),
        completion=Completion(text="", finish_reason="stop", num_tokens=len(completion)),
        reward=Reward(parts={"correct": reward}, weights={"correct": 1.0}, verdict=verdict),
        reasoning_tokens=0,
        policy_step=0,
        sampling_entropies=None if entropies is None else np.asarray(entropies, dtype=np.float32),
    )


def random_groups(vocabulary: int, count: int = 5, size: int = 4, seed: int = 0) -> list[Group]:
    """Return groups of random tokens with random advantages; the first rollout of each has advantage 0."""
    rng = np.random.default_rng(seed)
    groups = []
    for number in range(count):
        prompt = rng.integers(8, vocabulary, rng.integers(2, 9))
        members = []
        for k in range(size):
            tokens = rng.integers(8, vocabulary, rng.integers(1, 14))
            logprobs, entropies = rng.normal(-2.0, 0.5, len(tokens)), rng.gamma(2.0, 1.0, len(tokens))
            members.append(rollout(prompt, tokens, logprobs, float(k % 2), number, entropies))
        advantages = rng.normal(size=size).astype(np.float32)
        advantages[0] = 0
        groups.append(Group(problem=members[0].problem, rollouts=tuple(members), advantages=advantages))
    return groups


def batch_loss(
    scorer: Any, batch: Batch, cuts: Iterable[Sequence[int]], settings: AlgorithmSettings, layout: Any = "shared"
) -> list[Any]:
    """Return the parts of the loss of `cuts` of the batch's rows, in the scorer's precision; the reference is the sampler."""
    import torch

    from rl.update.batch import collate
    from rl.update.step import micro_batch_loss

    parts = []
    for cut in cuts:
        micro = collate([batch.rows[i] for i in cut], 0, torch.device("cpu"), layout)
        sampler = micro.sampling_logprobs.to(next(scorer.parameters()).dtype)

        def reference(rows: Any, targets: Any, of_micro: Any = sampler) -> Any:
            return of_micro

        parts.append(micro_batch_loss(scorer, reference, micro, settings).loss)
    return parts


def double_model(settings: ModelSettings) -> Any:
    """Return a model with float64 weights."""
    from rl.policy.opening import load_model

    model: Any = load_model(settings)
    return model.double()


def truncated(member: Rollout) -> Rollout:
    """Return the rollout as one that hit the length limit."""
    return replace(member, completion=replace(member.completion, finish_reason="length"))


def imitation_settings(model: str | Path) -> list[str]:
    """Return the settings of a cold start from `model`, on sums of two to six terms."""
    return [
        "run.name=x",
        f"model.path={model}",
        "problems=[{domain: chain, terms: [2, 6]}]",
        "styles={steps: 1, direct: 1}",
    ]
