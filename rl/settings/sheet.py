"""The cost and scale sheet of `--dry-run`: tokens, bytes sent, seconds and steps a day, and what bounds a run, by its ranks.

Bytes and tokens follow from the settings (traffic.py). Seconds come from runs that were measured (rates.py) and, of more than
one rank, from a measured bandwidth; where either is not given nothing is said in its place. A step is taken to be its parts
one after the other: sampling, waiting for verdicts, update, sending, and the rest; sending that hides behind computing makes
it shorter. Left out: the start, evaluations, checkpoints, and that ranks wait for the slowest of them.

A rank is taken to be as fast as the ranks of the measured runs, each on a processor or with cores of its own. Ranks on the CPUs
of one machine are not: `--cores N` shares N cores out among all of them, and takes a rank to be as fast as its part of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from problems.errors import LabError
from rl.settings.loading import flatten
from rl.settings.model_files import ModelShape
from rl.settings.rates import Rates, Seen, rates, seen
from rl.settings.schema import RunConfig, check_world
from rl.settings.traffic import Passes, Sent, Work, sent

PARTS = ("sampling", "rewards", "update", "sending", "rest")
OF_SPEED = ("model.", "sampling.", "train.", "deepspeed.", "algorithm.kl_coef")  # settings by which a rank is fast or slow
NOT_OF_SPEED = (
    "train.steps",
    "train.compute_tokens",
    "train.threads",
    "train.self_check",
    "train.keep_dumps",
    "model.cold_start",
)
USUAL = (1, 8, 64)  # ranks, that the sheet speaks of besides those that are asked for


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What was measured, and where."""

    rates: tuple[Path, ...] = ()  # run directories
    bandwidth: float | None = None  # bytes a second that a rank sends and receives ("bus bandwidth")
    cores: int | None = None  # of a machine on whose CPUs all ranks are; None: each has a processor of its own
    prompt_tokens: int | None = None  # mean
    completion_tokens: int | None = None  # mean


@dataclass(frozen=True, kw_only=True)
class Seconds:
    """What a step takes, part by part; None: not known."""

    sampling: float
    rewards: float
    update: float
    sending: float | None
    rest: float
    beside: bool = False  # sampling goes on beside the update (train.one_step_off)

    @property
    def step(self) -> float:
        """All of it; without sending where that is not known."""
        sampling, update = self.sampling + self.rewards, self.update + (self.sending or 0.0)
        return (max(sampling, update) if self.beside else sampling + update) + self.rest

    @property
    def bound_by(self) -> str:
        """The longest part."""
        parts = {name: getattr(self, name) or 0.0 for name in PARTS}
        return max(parts, key=lambda name: parts[name])


@dataclass(frozen=True, kw_only=True)
class Column:
    """A run on so many ranks."""

    ranks: int
    refused: str | None = None  # why they cannot share the work
    sent: Sent | None = None  # None: the model's shape is not known
    micro_batches: int | None = None  # of a rank in a step
    seconds: Seconds | None = None  # None: no rates


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """What a run costs, by its ranks."""

    config: RunConfig
    asked: Asked
    work: Work
    prompts_are_known: bool
    seen: tuple[Seen, ...]
    shares: int  # different shares of a rank that were measured
    columns: tuple[Column, ...]


def make_sheet(config: RunConfig, shape: ModelShape | None, ranks: int, asked: Asked) -> Sheet:
    """Return the sheet for the usual numbers of ranks and for `ranks`.

    Raises LabError where the rates cannot be read, or are of another kind of run.
    """
    runs = tuple(seen(run) for run in asked.rates)
    for run in runs:
        _check_same(run, config)
    work = _work(config, asked, runs)
    measured = _rates(runs, shape, asked) if runs else None
    columns = [_column(config, shape, work, count, measured, asked) for count in sorted({*USUAL, ranks})]
    return Sheet(
        config=config,
        asked=asked,
        work=work,
        prompts_are_known=bool(runs) or asked.prompt_tokens is not None,
        seen=runs,
        shares=measured.shares if measured else 0,
        columns=tuple(columns),
    )


def _check_same(run: Seen, config: RunConfig) -> None:
    """Refuse rates of another model, or of another precision."""
    for name, there, here in (
        ("model.path", run.config.model.path, config.model.path),
        ("model.dtype", run.config.model.dtype, config.model.dtype),
        ("model.lora", run.config.model.lora, config.model.lora),
        ("algorithm.group_size", run.config.algorithm.group_size, config.algorithm.group_size),
    ):
        if there != here:
            raise LabError(f"{run.run} has {name} {there} and this run {here}: take rates from a run that differs in size only")


def other_settings(run: Seen, config: RunConfig) -> list[str]:
    """Return in words what may have made the ranks of a measured run faster or slower than those of this one."""
    there, here = (flatten(one.model_dump(mode="json")) for one in (run.config, config))
    return [
        f"{name} {there.get(name)} there, {here.get(name)} here"
        for name in dict.fromkeys([*there, *here])
        if name.startswith(OF_SPEED) and name not in NOT_OF_SPEED and there.get(name) != here.get(name)
    ]


def _work(config: RunConfig, asked: Asked, runs: Sequence[Seen]) -> Work:
    """Return what a step does: as the first measured run did it, else all of full length and learned from."""
    algorithm = config.algorithm
    problems = float(algorithm.num_problems)
    if runs:
        like = runs[0].work
        scale = problems / runs[0].config.algorithm.num_problems
        groups, trained = like.groups * scale, like.trained_groups * scale
        prompt, completion = like.prompt_tokens, like.completion_tokens
    else:
        groups, trained, prompt, completion = problems, problems, 0.0, float(config.sampling.max_completion_tokens)
    return Work(
        groups=groups,
        trained_groups=trained,
        group_size=algorithm.group_size,
        prompt_tokens=prompt if asked.prompt_tokens is None else float(asked.prompt_tokens),
        completion_tokens=completion if asked.completion_tokens is None else float(asked.completion_tokens),
    )


def _rates(runs: Sequence[Seen], shape: ModelShape | None, asked: Asked) -> Rates:
    sending = []
    for run in runs:
        if run.ranks == 1:
            sending.append(0.0)
        elif asked.bandwidth is None or shape is None:
            lacking = "--bandwidth" if asked.bandwidth is None else "a model whose config.json is here"
            raise LabError(
                f"{run.run} was made by {run.ranks} ranks, and its update holds what they sent each other: "
                f"that takes {lacking} to be told apart; or take a run of one rank"
            )
        else:
            bytes_sent = sent(run.config, shape, run.work, run.ranks)
            sending.append((bytes_sent.gradients + bytes_sent.weights) / asked.bandwidth)
    return rates(runs, sending, [_cores(run.config, run.ranks, asked) for run in runs])


def _cores(config: RunConfig, ranks: int, asked: Asked) -> float:
    """Return the cores that a rank computes with, 1 for the whole of a processor of its own."""
    if asked.cores is None:
        return 1.0
    share = asked.cores / ranks
    return min(share, float(config.train.threads or max(1, asked.cores // ranks)))


def _column(
    config: RunConfig, shape: ModelShape | None, work: Work, ranks: int, measured: Rates | None, asked: Asked
) -> Column:
    try:
        check_world(config, ranks)
    except LabError as refused:
        return Column(ranks=ranks, refused=str(refused))
    bytes_sent = None if shape is None else sent(config, shape, work, ranks)
    return Column(
        ranks=ranks,
        sent=bytes_sent,
        micro_batches=Passes.of(config, work, ranks).backward,
        seconds=None if measured is None else _seconds(config, work, ranks, measured, bytes_sent, asked),
    )


def _seconds(config: RunConfig, work: Work, ranks: int, measured: Rates, bytes_sent: Sent | None, asked: Asked) -> Seconds:
    cores = _cores(config, ranks, asked)
    sending: float | None = 0.0
    if ranks > 1:
        sending = None if bytes_sent is None or asked.bandwidth is None else bytes_sent.total / asked.bandwidth
    return Seconds(
        sampling=measured.sampling.at(work.sampled_tokens / ranks) / cores,
        rewards=measured.rewards.at(work.rollouts / ranks) / cores,
        update=measured.update.at(work.trained_tokens * config.algorithm.epochs / ranks) / cores,
        sending=sending,
        rest=measured.rest.at(work.rollouts) / cores,
        beside=config.train.one_step_off,
    )
