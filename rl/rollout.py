"""Problems in, scored groups out: sample, submit each completion to the verifiers as it ends, collect, shape, centre.

Ranks share the problems of a step; afterwards every rank holds all groups, so that everything that follows (advantages,
denominators, metrics) is computed from the same data on every rank.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from problems.errors import LabError
from problems.types import Problem, ProblemSource
from rewards.answer import reasoning_text
from rewards.pool import VerifierPool, collect
from rewards.shaping import RewardConfig, shape
from rewards.types import Reading, Reward, Verdict
from rl.advantages import ADVANTAGES, minus_kl
from rl.policy.interfaces import CausalLM, Tokenizer
from rl.policy.opening import stop_token_ids
from rl.policy.prompts import leaves_thinking_open, reading_of, render
from rl.runtime import all_gather, rank, world_size
from rl.sampling.how_to_draw import how_to_draw
from rl.sampling.sampler import Sample, Sampler, SampleRequest
from rl.settings.algorithm import AlgorithmSettings
from rl.settings.evaluation import EvalConfig
from rl.settings.schema import PromptSettings, RunConfig, SamplingSettings, SftConfig
from rl.types import Completion, Drawn, Group, IntArray, Rollout, has_contrast

T = TypeVar("T")
ReferenceKls = Callable[[Sequence[Rollout]], list[float]]  # nats a completion, see Rollout.reference_kl; all ranks must call


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
    tokenizer: Tokenizer
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
        readings = [self._reading(ids) for ids in prompts]
        requests = [
            SampleRequest(prompt_ids=ids, streams=tuple((*stream, problem.id, k) for k in range(samples)))
            for problem, ids in zip(problems, prompts, strict=True)
        ]
        pending: dict[tuple[int, int], tuple[Sample, str, Future[Verdict]]] = {}

        def on_sample(sample: Sample) -> None:
            without_end = sample.token_ids[:-1] if sample.stopped else sample.token_ids
            text = self.tokenizer.decode(without_end, skip_special_tokens=False)
            verdict = self.pool.submit(problems[sample.request], text, readings[sample.request])
            pending[sample.request, sample.number] = (sample, text, verdict)

        started = time.perf_counter()
        self.sampler.sample(requests, how_to_draw(self.sampling, self.tokenizer), on_sample)
        sampled = time.perf_counter()
        ordered = [pending[i, k] for i in range(len(problems)) for k in range(samples)]
        verdicts = collect([future for _, _, future in ordered], self.reward.batch_timeout_seconds)
        scored = time.perf_counter()
        reasoning = self._reasoning_tokens([text for _, text, _ in ordered])
        rollouts = []
        for (sample, text, _), verdict, tokens in zip(ordered, verdicts, reasoning, strict=True):
            problem, prompt_ids = problems[sample.request], prompts[sample.request]
            reward = self._reward(verdict, text, sample, readings[sample.request])
            rollouts.append(self._rollout(problem, prompt_ids, sample, text, reward, tokens, policy_step))
        grouped = [tuple(rollouts[i * samples : (i + 1) * samples]) for i in range(len(problems))]
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

    def _reading(self, prompt_ids: IntArray) -> Reading:
        """Return how the answers to a prompt are read."""
        thinking_open = leaves_thinking_open(prompt_ids, self.tokenizer)
        return reading_of(self.prompt, self.reward.reading, thinking_open=thinking_open)

    def _reward(self, verdict: Verdict, text: str, sample: Sample, reading: Reading) -> Reward:
        limit = self.sampling.max_completion_tokens
        return shape(self.reward, verdict, text, len(sample.token_ids), limit, reading.thinking_open)

    def _rollout(
        self, problem: Problem, prompt_ids: IntArray, sample: Sample, text: str, reward: Reward, reasoning: int, step: int
    ) -> Rollout:
        tokens = len(sample.token_ids)
        return Rollout(
            problem=problem,
            prompt_ids=prompt_ids,
            completion_ids=sample.token_ids,
            sampling_logprobs=sample.logprobs,
            sampling_entropies=sample.entropies,
            forced=sample.forced,
            completion=Completion(text=text, finish_reason=sample.finish_reason, num_tokens=tokens),
            reward=reward,
            reasoning_tokens=reasoning,
            policy_step=step,
        )


def open_pool(config: RunConfig | EvalConfig | SftConfig) -> VerifierPool:
    """Start the verifier processes of this rank."""
    reward = config.reward
    return VerifierPool(reward.workers, reward.timeout_seconds, reward.memory_megabytes, sandbox=config.sandbox, own=reward.own)


def open_worker(
    config: RunConfig | EvalConfig | SftConfig, model: CausalLM, tokenizer: Tokenizer, pool: VerifierPool
) -> RolloutWorker:
    """Return the worker that samples from `model`, which has whole weights and stands on this rank's device."""
    sampler = Sampler(
        model=model,
        pad_id=tokenizer.pad_token_id,
        stop_ids=stop_token_ids(model, tokenizer),
        max_rows=config.sampling.max_rows,
    )
    return RolloutWorker(
        sampler=sampler,
        tokenizer=tokenizer,
        pool=pool,
        prompt=config.prompt,
        sampling=config.sampling,
        reward=config.reward,
        max_positions=getattr(model.config, "max_position_embeddings", None),
    )


def share(items: Sequence[T]) -> Sequence[T]:
    """Return this rank's share of `items`, dealt one by one."""
    return items[rank() :: world_size()]


def gather_shares(mine: list[T]) -> list[T]:
    """Undo `share`: return all ranks' items in the order they were dealt. All ranks must call."""
    shares = all_gather(mine)
    total = sum(len(dealt) for dealt in shares)
    return [shares[number % len(shares)][number // len(shares)] for number in range(total)]


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
    *,
    first: Round | None = None,
    reference_kls: ReferenceKls | None = None,
) -> Drawn:
    """Sample groups until the update can learn from `num_problems` of them, or the cap on rounds is reached.

    Rounds after the first draw as many problems as are missing (dynamic sampling, DAPO arXiv 2503.14476, section 3.2), so
    what is drawn does not depend on the number of ranks. `first` is the first round where it was sampled ahead;
    `reference_kls` is given where the KL is taken from the reward. All ranks must call.
    """
    sampled: list[tuple[Rollout, ...]] = []
    sample_seconds = score_seconds = 0.0
    missing = settings.num_problems
    for number in range(1, settings.max_sampling_rounds + 1):
        problems = first_problems(source, settings, cursor)[:missing]
        cursor += len(problems)
        if number == 1 and first is not None:
            drawn = first
        else:
            drawn = draw_round(worker, problems, settings.group_size, (seed, step, number), step)
        sampled += drawn.rollouts
        sample_seconds += drawn.sample_seconds
        score_seconds += drawn.score_seconds
        missing -= sum(is_trained(rollouts, settings) for rollouts in drawn.rollouts)
        if missing == 0:
            break
    return Drawn(
        groups=tuple(group_up(sampled, settings, reference_kls)),
        rounds=number,
        cursor=cursor,
        sample_seconds=sample_seconds,
        score_seconds=score_seconds,
        step=step,
    )


def draw_round(
    worker: RolloutWorker, problems: Sequence[Problem], group_size: int, stream: tuple[str | int, ...], step: int
) -> Round:
    """Sample and score `problems`, each rank its share; return what all ranks got. All ranks must call."""
    mine, sample_seconds, score_seconds = worker.rollouts(share(problems), group_size, stream, step)
    return Round(rollouts=gather_shares(mine), sample_seconds=sample_seconds, score_seconds=score_seconds)


def is_trained(rollouts: Sequence[Rollout], settings: AlgorithmSettings) -> bool:
    """Return whether the update learns from a group: with dynamic sampling only where there is a gradient.

    The verifier's rewards alone decide, not a KL that is taken from them.
    """
    return has_contrast(rollouts) or not settings.dynamic_sampling


def group_up(
    sampled: Sequence[tuple[Rollout, ...]], settings: AlgorithmSettings, reference_kls: ReferenceKls | None = None
) -> list[Group]:
    """Return the groups with their advantages, which are assigned here and nowhere else.

    A group that is not trained on has no contrast, so advantage 0, and takes no part in the statistics of the others.
    """
    trained = [rollouts for rollouts in sampled if is_trained(rollouts, settings)]
    if reference_kls is not None:
        trained = with_reference_kl(trained, reference_kls)
    rewards = [[minus_kl(r.reward.total, r.reference_kl, settings.kl_coef) for r in rollouts] for rollouts in trained]
    advantages = ADVANTAGES[settings.advantage](rewards) if rewards else ()
    learned = iter(zip(trained, advantages, strict=True))
    groups = []
    for rollouts in sampled:
        if is_trained(rollouts, settings):
            members, values = next(learned)
            groups.append(Group(problem=members[0].problem, rollouts=members, advantages=values.astype("float32")))
        else:
            nothing = np.zeros(len(rollouts), dtype=np.float32)
            groups.append(Group(problem=rollouts[0].problem, rollouts=rollouts, advantages=nothing, is_trained=False))
    return groups


def with_reference_kl(groups: Sequence[tuple[Rollout, ...]], reference_kls: ReferenceKls) -> list[tuple[Rollout, ...]]:
    """Return the rollouts with their KL to the reference policy; all ranks must call."""
    kls = iter(reference_kls([rollout for rollouts in groups for rollout in rollouts]))
    return [tuple(replace(rollout, reference_kl=next(kls)) for rollout in rollouts) for rollouts in groups]
