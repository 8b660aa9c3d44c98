"""Problems in, scored groups out: sample, submit each completion to the verifiers as it ends, collect, shape, centre.

Ranks share the problems of a step; afterwards every rank holds all groups, so that everything that follows (advantages,
denominators, metrics) is computed from the same data on every rank.
"""

import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from problems.errors import LabError
from problems.types import Problem, ProblemSource
from rewards.answer import reasoning_text
from rewards.pool import VerifierPool, collect
from rewards.shaping import RewardConfig, shape
from rewards.types import Verdict
from rl.advantages import ADVANTAGES
from rl.policy.prompts import render
from rl.runtime import all_gather, rank, world_size
from rl.sampling.sampler import Sample, Sampler, SampleRequest, drawing
from rl.settings.schema import AlgorithmSettings, PromptSettings, SamplingSettings
from rl.stats import mean
from rl.types import Completion, Group, Rollout


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """The groups of one step and what it took to get them."""

    groups: tuple[Group, ...]  # those the update sees
    sampled: tuple[Group, ...]  # all that were sampled; rewards and lengths are reported over these
    rounds: int
    cursor: int  # problems drawn so far, after this step
    sample_seconds: float
    score_seconds: float  # waiting for verdicts after the last completion ended
    step: int = 0  # that the batch is for, counted from 0
    kl: float | None = None  # to the reference, nats a token, where it is taken from the reward

    @property
    def staleness(self) -> float | None:
        """Updates between the weights that sampled and those that learn from it, the mean over rollouts."""
        return mean([float(self.step - r.policy_step) for group in self.sampled for r in group.rollouts])


@dataclass(frozen=True, kw_only=True)
class Round:
    """What all ranks sampled for one round of problems, in their order, and the seconds this rank took."""

    rollouts: list[tuple[Rollout, ...]]
    sample_seconds: float
    score_seconds: float


class PromptTooLong(LabError):
    """A prompt that leaves no room for a completion."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RolloutWorker:
    """Turns problems into scored rollouts on this rank."""

    sampler: Sampler
    tokenizer: Any
    pool: VerifierPool
    prompt: PromptSettings
    sampling: SamplingSettings
    reward: RewardConfig
    max_positions: int | None

    def rollouts(
        self, problems: Sequence[Problem], samples: int, stream: tuple[str | int, ...], policy_step: int
    ) -> tuple[list[tuple[Rollout, ...]], float, float]:
        """Return `samples` rollouts for each problem, and the seconds of sampling and of waiting for verdicts.

        The random stream of each completion is named by `stream`, the problem and its number among the samples.
        """
        prompts = [render(problem, self.prompt, self.tokenizer) for problem in problems]
        for problem, ids in zip(problems, prompts, strict=True):
            self._check_room(problem, len(ids))
        requests = [
            SampleRequest(prompt_ids=ids, streams=tuple((*stream, problem.id, k) for k in range(samples)))
            for problem, ids in zip(problems, prompts, strict=True)
        ]
        pending: dict[tuple[int, int], tuple[Sample, str, Future[Verdict]]] = {}

        def on_sample(sample: Sample) -> None:
            kept = sample.token_ids[:-1] if sample.stopped else sample.token_ids
            text = self.tokenizer.decode(kept, skip_special_tokens=False)
            verdict = self.pool.submit(problems[sample.request], text)
            pending[sample.request, sample.number] = (sample, text, verdict)

        started = time.perf_counter()
        self.sampler.sample(requests, **drawing(self.sampling, self.tokenizer), on_sample=on_sample)
        sampled = time.perf_counter()
        ordered = [pending[i, k] for i in range(len(problems)) for k in range(samples)]
        verdicts = collect([future for _, _, future in ordered], self.reward.batch_timeout_seconds)
        scored = time.perf_counter()
        reasoning = self._reasoning_tokens([text for _, text, _ in ordered])
        made = [
            self._rollout(problems[sample.request], prompts[sample.request], sample, text, verdict, tokens, policy_step)
            for (sample, text, _), verdict, tokens in zip(ordered, verdicts, reasoning, strict=True)
        ]
        grouped = [tuple(made[i * samples : (i + 1) * samples]) for i in range(len(problems))]
        return grouped, sampled - started, scored - sampled

    def _check_room(self, problem: Problem, prompt_tokens: int) -> None:
        needed = prompt_tokens + self.sampling.max_completion_tokens
        if self.max_positions is not None and needed > self.max_positions:
            raise PromptTooLong(
                f"problem {problem.id} ({problem.source}) has a prompt of {prompt_tokens} tokens; with "
                f"sampling.max_completion_tokens = {self.sampling.max_completion_tokens} that is {needed}, and the model "
                f"reads at most {self.max_positions}: lower max_completion_tokens or remove the problem"
            )

    def _reasoning_tokens(self, texts: list[str]) -> list[int]:
        if not texts:
            return []
        encoded = self.tokenizer([reasoning_text(text) for text in texts], add_special_tokens=False).input_ids
        return [len(ids) for ids in encoded]

    def _rollout(
        self, problem: Problem, prompt_ids: Any, sample: Sample, text: str, verdict: Verdict, reasoning: int, step: int
    ) -> Rollout:
        tokens = len(sample.token_ids)
        return Rollout(
            problem=problem,
            prompt_ids=prompt_ids,
            completion_ids=sample.token_ids,
            sampling_logprobs=sample.logprobs,
            sampling_entropies=sample.entropies,
            completion=Completion(text=text, finish_reason=sample.finish_reason, num_tokens=tokens),
            reward=shape(self.reward, verdict, text, tokens, self.sampling.max_completion_tokens),
            reasoning_tokens=reasoning,
            policy_step=step,
        )


def share(items: Sequence[Any]) -> Sequence[Any]:
    """Return this rank's share of `items`, dealt one by one."""
    return items[rank() :: world_size()]


def gather_shares(mine: list[Any]) -> list[Any]:
    """Undo `share`: return all ranks' items in the order they were dealt."""
    shares = all_gather(mine)
    return [shares[i % len(shares)][i // len(shares)] for i in range(sum(map(len, shares)))]


def group_up(rollouts: Sequence[tuple[Rollout, ...]], advantage: str) -> list[Group]:
    """Return the groups with their advantages."""
    values = ADVANTAGES[advantage]([[r.reward.total for r in group] for group in rollouts])
    return [
        Group(problem=group[0].problem, rollouts=group, advantages=row.astype("float32"))
        for group, row in zip(rollouts, values, strict=True)
    ]


def first_problems(source: ProblemSource, settings: AlgorithmSettings, cursor: int) -> list[Problem]:
    """Return the problems that a step begins with when `cursor` problems were drawn before it."""
    return [source.get("train", cursor + i) for i in range(settings.num_problems)]


def draw_groups(
    worker: RolloutWorker,
    source: ProblemSource,
    settings: AlgorithmSettings,
    seed: int,
    step: int,
    cursor: int,
    first: Round | None = None,
) -> Drawn:
    """Sample groups until `num_problems` of them have contrast, or the cap on rounds is reached.

    A group whose rewards are all equal has no gradient (dynamic sampling, DAPO arXiv 2503.14476, section 3.2). Rounds after
    the first draw as many problems as are missing, so what is drawn does not depend on the number of ranks. `first` is
    the first round where it was sampled ahead.
    """
    kept: list[tuple[Rollout, ...]] = []
    sampled: list[tuple[Rollout, ...]] = []
    sample_seconds = score_seconds = 0.0
    for number in range(1, settings.max_sampling_rounds + 1):
        problems = first_problems(source, settings, cursor)[: settings.num_problems - len(kept)]
        cursor += len(problems)
        if number > 1 or first is None:
            mine, sampling, scoring = worker.rollouts(share(problems), settings.group_size, (seed, step, number), step)
            drawn = Round(rollouts=gather_shares(mine), sample_seconds=sampling, score_seconds=scoring)
        else:
            drawn = first
        sample_seconds, score_seconds = sample_seconds + drawn.sample_seconds, score_seconds + drawn.score_seconds
        sampled += drawn.rollouts
        if not settings.dynamic_sampling:
            kept = drawn.rollouts
            break
        kept += [g for g in drawn.rollouts if len({r.reward.total for r in g} - {None}) > 1]
        if len(kept) == settings.num_problems:
            break
    return Drawn(
        groups=tuple(group_up(kept, settings.advantage)) if kept else (),
        sampled=tuple(group_up(sampled, settings.advantage)),
        rounds=number,
        cursor=cursor,
        sample_seconds=sample_seconds,
        score_seconds=score_seconds,
        step=step,
    )
