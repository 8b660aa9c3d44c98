"""Diagnosis before training: draw from the model as configured, measure, try what may be wrong, and let the rules speak.

    reasonlab diagnose configs/demo.yaml algorithm.group_size=8

One process, nothing is trained and no run directory is made. Everything has a share of the time: where that is not enough fewer
completions are drawn, or shorter ones, and the page says so.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from problems.errors import LabError
from problems.progress import Progress
from problems.telling import remark
from problems.types import Problem
from rewards.types import Reading
from rl.cold_start import cold_start_arguments, has_model
from rl.curriculum import Curriculum, practised_source
from rl.diagnosis import bribes, measure, templates
from rl.diagnosis.figures import Figures, Finding
from rl.diagnosis.rules import diagnose
from rl.diagnosis.verdict import can_learn
from rl.policy.interfaces import CausalLM
from rl.policy.opening import load_model, load_tokenizer, plain_model, stop_token_ids
from rl.policy.prompts import leaves_thinking_open, render
from rl.rollout import RolloutWorker, open_pool, open_worker
from rl.runtime import describe_device, device, quiet_libraries, set_threads
from rl.sampling.how_to_draw import HowToDraw
from rl.sampling.sampler import SampleRequest
from rl.settings.schema import RunConfig
from rl.trials import Trials
from rl.types import IntArray, Rollout
from rl.update.batch import uniform_row
from rl.update.engine import choose_layout
from rl.update.logprobs import TokenLogprobs
from rl.update.packing import TokenRows
from rl.update.recompute import completion_logprobs

_MOST_COMPLETIONS = 16  # of a problem
_FEWEST_COMPLETIONS = 4
_AT_ONCE = 8  # problems drawn together, between looks at the clock
_DRAWING_SHARE = 0.6  # of the seconds; the rest is for trials
_SPEED_TOKENS = 16
_FULL_STEP = 2.0  # a decoding step with many rows costs this many of one with few
_VERDICT_SECONDS = 25.0  # for the verdicts of what is drawn together, where the run would wait longer
_PROMPTS_READ = 4  # by the model, for their log-probability
_ROWS_COMPARED, _TOKENS_COMPARED = 16, 4096  # between sampler and trainer


@dataclass(frozen=True, kw_only=True, eq=False)
class Diagnosis:
    """The figures of a run, what they mean, and what was drawn."""

    figures: Figures
    findings: list[Finding]
    groups: list[tuple[Rollout, ...]]
    seconds: float

    @property
    def can_learn(self) -> bool | None:
        """Whether the run can learn; None where that is not known."""
        return can_learn(self.figures, self.findings)


def run_diagnosis(config: RunConfig, *, problems: int = 32, seconds: float = 80.0) -> Diagnosis:
    """Return the diagnosis of a run that is still to be begun; drawing ends after about `seconds`.

    Raises LabError for what stops `reasonlab train` before its first step: a model that cannot be opened, and the like.
    """
    began = time.monotonic()
    # what there is to do is not known, only how long it may take
    with Progress("diagnosing", seconds, unit="s") as progress:

        def ended() -> None:
            progress.update(min(seconds, time.monotonic() - began))

        with Session.opened(config, problems, seconds, ended) as session:
            figures, groups = session.measured()
    return Diagnosis(figures=figures, findings=diagnose(figures), groups=groups, seconds=time.monotonic() - began)


@dataclass(frozen=True, kw_only=True, eq=False)
class Session:
    """One diagnosis under way."""

    config: RunConfig
    worker: RolloutWorker
    problems: Sequence[Problem]
    prompts: Sequence[IntArray]
    drawing_until: float  # of time.monotonic()
    deadline: float  # for trials too

    @classmethod
    @contextmanager
    def opened(
        cls, config: RunConfig, problems: int, seconds: float, ended: Callable[[], None] = lambda: None
    ) -> Iterator["Session"]:
        """Open model, problems and verifiers, as a training would; raises LabError where that cannot be done.

        ended: called as each completion ends.
        """
        began = time.monotonic()
        quiet_libraries()
        set_threads(config.train.threads)
        describe_device()  # refuses the CPU beside a GPU that torch does not see
        if not has_model(config):
            raise LabError(
                f"there is no model at {config.model.path} yet; `reasonlab train` would make it first. Make it with "
                f"`reasonlab sft {' '.join(cold_start_arguments(config))}`, then ask again"
            )
        opened = plain_model(config.model, config.run.dir)
        tokenizer = load_tokenizer(opened)
        source = practised_source(config)
        if isinstance(source, Curriculum):
            for words in source.remarks:
                remark(words)
            source = source.practice(source.begin(), 0)
        asked = [source.get("train", i) for i in range(problems)]
        prompts = [render(problem, config.prompt, tokenizer) for problem in asked]
        model = load_model(opened, trainable=False).to(device())  # fresh adapters change nothing, so they are left out
        with open_pool(config) as pool:
            yield cls(
                config=config,
                worker=waiting(replace(open_worker(config, model, tokenizer, pool), ended=ended), _VERDICT_SECONDS),
                problems=asked,
                prompts=prompts,
                drawing_until=began + _DRAWING_SHARE * seconds,
                deadline=began + seconds,
            )

    @property
    def model(self) -> CausalLM:
        """The policy."""
        return self.worker.sampler.model

    def measured(self) -> tuple[Figures, list[tuple[Rollout, ...]]]:
        """Return all figures and the groups that were drawn."""
        opens_thinking = all(leaves_thinking_open(ids, self.worker.tokenizer) for ids in self.prompts)
        reading = Reading(policy=self.config.reward.reading, thinking_open=opens_thinking)
        figures = Figures(config=self.config, opens_thinking=opens_thinking, **self._of_the_model(), **self._of_the_prompts())
        figures = replace(figures, **bribes.of_problems(self.problems, judged_by_own=self.config.reward.own is not None))
        if not figures.finite:
            return figures, []  # nothing could be drawn
        # an answer to a prompt that opened a thought closes it first
        figures = replace(
            figures, bribes=bribes.offered(self.worker.pool, self.problems, replace(reading, thinking_open=False))
        )
        worker, fitting = self._with_room()
        problems = [problem for problem, _ in fitting]
        plan = self._plan(worker, [ids for _, ids in fitting])
        is_short = plan.limit < self.config.sampling.max_completion_tokens
        worker = with_limit(worker, plan.limit) if is_short else worker
        groups, step_seconds = self.draw(worker, problems, plan.completions)
        figures = replace(figures, notes=plan.notes(self.config, groups, len(problems)))
        figures = replace(figures, **measure.of_rollouts(groups, opens_thinking=opens_thinking))
        if is_short:
            figures = replace(figures, **measure.of_ended(groups, opens_thinking=opens_thinking))
        figures = replace(figures, gap=self.gap(groups))
        if self.config.reward.reading == "strict":
            ended = measure.only_ended(groups) if is_short else groups  # an answer that the diagnosis cut off is not unmarked
            unread = measure.unread_right(self.worker.pool, ended, opens_thinking=opens_thinking)
            figures = replace(figures, unread_right=unread)
        trials = Trials(
            worker=worker,
            problems=problems,
            drawn=groups,
            deadline=self.deadline,
            few_seconds=plan.token_seconds,
            many_seconds=max(plan.token_seconds, step_seconds),
        )
        return self._without_our_haste(replace(figures, **trials.called_for(figures)), groups), groups

    def _without_our_haste(self, figures: Figures, groups: Sequence[Sequence[Rollout]]) -> Figures:
        """Return the figures without verdicts that only the diagnosis did not wait for; a note says how many there were."""
        if not figures.late or self.config.reward.batch_timeout_seconds <= _VERDICT_SECONDS:
            return figures
        count = sum(measure.is_late(rollout.reward.verdict) for group in groups for rollout in group)
        note = (
            f"{count} verdicts were not out in {_VERDICT_SECONDS:g} s, and the diagnosis waits no longer: what they would pay "
            "is not known."
        )
        return replace(figures, late=None, notes=(*figures.notes, note))

    def _of_the_model(self) -> dict[str, Any]:
        """Return what weights and tokenizer say, by names of Figures."""
        most = self.worker.max_positions  # a longer prompt is a fault to be told, and learned positions end there
        logprobs = [prompt_logprobs(self.model, ids[:most]) for ids in self.prompts[:_PROMPTS_READ]]
        tokenizer = self.worker.tokenizer
        stops = stop_token_ids(self.model, tokenizer)
        return {
            "parameters": sum(weights.numel() for weights in self.model.parameters()),
            "vocabulary": self.model.config.get_text_config().vocab_size,
            "max_positions": self.worker.max_positions,
            "finite": all(bool(np.isfinite(one).all()) for one in logprobs),
            "prompt_logprob": float(np.concatenate(logprobs).mean()),
            "stop_tokens": templates.texts(sorted(stops), tokenizer),
            "turn_end": templates.unstopped_end(tokenizer, stops, self.config.sampling.stop),
        }

    def _of_the_prompts(self) -> dict[str, Any]:
        lengths = [len(ids) for ids in self.prompts]
        limit, most = self.config.sampling.max_completion_tokens, self.worker.max_positions
        return {
            "longest_prompt": max(lengths),
            "too_long": None if most is None else sum(length + limit > most for length in lengths) / len(lengths),
            "doubled": templates.doubled(self.problems, self.prompts, self.config.prompt, self.worker.tokenizer),
        }

    def _with_room(self) -> tuple[RolloutWorker, list[tuple[Problem, IntArray]]]:
        """Return the worker and the problems whose prompts leave room, with these; where none does, for shorter completions."""
        most, limit = self.worker.max_positions, self.config.sampling.max_completion_tokens
        pairs = list(zip(self.problems, self.prompts, strict=True))
        if most is None:
            return self.worker, pairs
        fitting = [pair for pair in pairs if len(pair[1]) + limit <= most]
        if fitting:
            return self.worker, fitting
        shortest = min(len(ids) for ids in self.prompts)
        if shortest >= most:
            raise LabError(f"every prompt is longer than the {most} tokens that the model reads; the shortest has {shortest}")
        room = (most - shortest) // 2 + 1
        drawn = [pair for pair in pairs if len(pair[1]) + room <= most]
        return with_limit(self.worker, room), drawn

    def _plan(self, worker: RolloutWorker, prompts: Sequence[IntArray]) -> "_Plan":
        """Return how many completions of a problem there is time for, and how long ones, by the rate of a few tokens."""
        group_size = min(self.config.algorithm.group_size, _MOST_COMPLETIONS)
        limit = worker.sampling.max_completion_tokens
        rows, tokens = min(4, len(prompts)), min(limit, _SPEED_TOKENS)
        requests = [SampleRequest(prompt_ids=ids, streams=(("speed", i),) * 4) for i, ids in enumerate(prompts[:rows])]
        for count in (1, tokens):  # the first call pays for what is made once
            began = time.perf_counter()
            worker.sampler.sample(requests, HowToDraw(temperature=1.0, max_tokens=count), lambda sample: None)
            token_seconds = (time.perf_counter() - began) / count  # of one step with few rows
        # one completion that never ends must not take longer than there is
        limit = max(tokens, min(limit, int((self.deadline - time.monotonic()) / (_FULL_STEP * token_seconds))))
        # rows share a step's cost: so many completions fit, at least, if all of them run to the limit
        completions = 4 * rows * (self.drawing_until - time.monotonic()) / (token_seconds * limit)
        if completions < _AT_ONCE * group_size:
            group_size = min(group_size, max(_FEWEST_COMPLETIONS, int(completions / _AT_ONCE)))
        return _Plan(completions=group_size, limit=limit, token_seconds=token_seconds)

    def draw(
        self, worker: RolloutWorker, problems: Sequence[Problem], completions: int
    ) -> tuple[list[tuple[Rollout, ...]], float]:
        """Return groups of the problems, as many as fit the time, at least one part of them; and the seconds of a step.

        Of the parts the quickest says how long a decoding step takes: the first pays for what is made once.
        """
        groups: list[tuple[Rollout, ...]] = []
        step_seconds = math.inf
        while len(groups) < len(problems):
            part = problems[len(groups) : len(groups) + _AT_ONCE]
            began = time.monotonic()
            drawn, sampling, _ = worker.rollouts(part, completions, ("diagnose", self.config.run.seed), 0)
            groups += drawn
            longest = max((rollout.completion.num_tokens for group in drawn for rollout in group), default=1)
            step_seconds = min(step_seconds, sampling / longest)
            now = time.monotonic()
            if now + (now - began) > self.drawing_until:
                break
        return groups, step_seconds

    def gap(self, groups: Sequence[Sequence[Rollout]]) -> float | None:
        """Return the mean difference between the log-probabilities of trainer and sampler, in nats a token."""
        rows, tokens = [], 0
        for rollout in [rollout for group in groups for rollout in group][:_ROWS_COMPARED]:
            rows.append(uniform_row(rollout.prompt_ids, rollout.completion_ids, rollout.sampling_logprobs))
            tokens += rows[-1].length
            if tokens > _TOKENS_COMPARED:
                break
        if not rows:
            return None
        scorer = TokenLogprobs(self.model, self.config.sampling.temperature)

        def score(of: TokenRows, targets: torch.Tensor) -> torch.Tensor:
            logprobs: torch.Tensor = scorer(of, targets)[0]
            return logprobs

        layout = choose_layout(self.model, self.config.train.layout)
        ours = completion_logprobs(
            score, rows, self.config.train.micro_batch_tokens, layout, self.worker.tokenizer.pad_token_id
        )
        pairs = zip(ours, rows, strict=True)
        return float(np.concatenate([np.abs(one - row.sampling_logprobs) for one, row in pairs]).mean())


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """How much is drawn."""

    completions: int  # of each problem
    limit: int  # tokens of one completion
    token_seconds: float  # of a decoding step with few rows

    def notes(self, config: RunConfig, groups: Sequence[Sequence[Rollout]], wanted: int) -> tuple[str, ...]:
        """Return what the page says about it."""
        notes, limit, group_size = [], config.sampling.max_completion_tokens, config.algorithm.group_size
        if len(groups) < wanted or self.completions < min(group_size, _MOST_COMPLETIONS):
            drawn = f"{len(groups)} of {wanted} problems, {self.completions} completions of each"
            notes.append(f"Drawn: {drawn}: more did not fit (--seconds).")
        if self.completions < group_size:
            notes.append(
                f"Groups of {self.completions} were drawn (at most {_MOST_COMPLETIONS} are); those of the run, of "
                f"{group_size}, have contrast at least as often."
            )
        if self.limit < limit:
            cut = measure.is_cut
            several = [rollout for group in groups for rollout in group]
            notes.append(
                f"Drawn up to {self.limit} of {limit} tokens: there was no room or no time (--seconds) for more. "
                f"{sum(map(cut, several))} of {len(several)} completions had not ended: what they would be paid is not known."
            )
        return tuple(notes)


def with_limit(worker: RolloutWorker, tokens: int) -> RolloutWorker:
    """Return the worker with completions of at most `tokens`, without the penalty that begins near the run's own limit."""
    return replace(
        worker,
        sampling=worker.sampling.model_copy(update={"max_completion_tokens": tokens}),
        reward=worker.reward.model_copy(update={"overlong_weight": 0.0}),
    )


def waiting(worker: RolloutWorker, seconds: float) -> RolloutWorker:
    """Return the worker that waits for the verdicts of a batch no longer than `seconds`."""
    waits = min(worker.reward.batch_timeout_seconds, seconds)
    return replace(worker, reward=worker.reward.model_copy(update={"batch_timeout_seconds": waits}))


@torch.no_grad()
def prompt_logprobs(model: CausalLM, ids: IntArray) -> np.ndarray:
    """Return the log-probabilities [T - 1], in nats, of a prompt's tokens but the first."""
    tokens = torch.as_tensor(ids, dtype=torch.long, device=device())[None]
    logits = model(input_ids=tokens, use_cache=False).logits[0, :-1].float()  # [T - 1, V]
    logprobs = torch.log_softmax(logits, -1).gather(-1, tokens[0, 1:, None])[:, 0]
    return logprobs.cpu().numpy()
