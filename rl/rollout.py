"""Problems in, scored rollouts out, on one rank: sample, submit each completion to the verifiers as it ends, collect, shape."""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from problems.errors import LabError
from problems.types import Problem
from rewards.answer import reasoning_text
from rewards.pool import VerifierPool, collect
from rewards.shaping import RewardConfig, shape
from rewards.types import Reading, Reward, Verdict
from rl.heartbeat import doing
from rl.policy.interfaces import CausalLM, Tokenizer
from rl.policy.opening import stop_token_ids
from rl.policy.prompts import leaves_thinking_open, reading_of, render
from rl.sampling.how_to_draw import how_to_draw
from rl.sampling.sampler import Sample, Sampler, SampleRequest
from rl.settings.evaluation import EvalConfig
from rl.settings.schema import PromptSettings, RunConfig, SamplingSettings, SftConfig
from rl.stopping import leave_if_told
from rl.types import Completion, IntArray, Rollout

Stream = tuple[str | int, ...]
Asked = tuple[Problem, Stream]  # a problem, and what the random streams of its completions begin with
MoreProblems = Callable[["Scoring"], Sequence[Asked] | None]  # further ones, given what there is; None: no more will come


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
    ended: Callable[[], None] = lambda: None  # called as each completion ends

    def has_room(self, prompt_tokens: int) -> bool:
        """Whether a prompt of so many tokens leaves room for a completion of the full length."""
        return self.max_positions is None or prompt_tokens + self.sampling.max_completion_tokens <= self.max_positions

    def check_room(self, problem: Problem, prompt_tokens: int) -> None:
        """Raise PromptTooLong for a problem whose prompt leaves too little room."""
        if self.has_room(prompt_tokens):
            return
        longest = self.sampling.max_completion_tokens
        raise PromptTooLong(
            f"problem {problem.id} ({problem.source}) has a prompt of {prompt_tokens} tokens; with "
            f"sampling.max_completion_tokens = {longest} that is {prompt_tokens + longest}, and the model "
            f"reads at most {self.max_positions}: lower max_completion_tokens or remove the problem"
        )

    def rollouts(
        self, problems: Sequence[Problem], samples: int, stream: Stream, policy_step: int
    ) -> tuple[list[tuple[Rollout, ...]], float, float]:
        """Return `samples` rollouts for each problem, and the seconds of sampling and of waiting for verdicts.

        The random stream of each completion is named by `stream`, the problem and its number among the samples.
        """
        return self.draw([(problem, stream) for problem in problems], samples, policy_step)

    def draw(
        self, asked: Sequence[Asked], samples: int, policy_step: int, more: MoreProblems | None = None
    ) -> tuple[list[tuple[Rollout, ...]], float, float]:
        """As `rollouts`, with a stream for each problem; `more` is asked for further ones while these are drawn."""
        scoring = Scoring(self, samples, policy_step)

        def further() -> list[SampleRequest] | None:
            asked = None if more is None else more(scoring)
            return None if asked is None else [scoring.request(*one) for one in asked]

        started = time.perf_counter()
        requests = [scoring.request(*one) for one in asked]
        how = how_to_draw(self.sampling, self.tokenizer)
        self.sampler.sample(requests, how, scoring.take, None if more is None else further)
        sampling = time.perf_counter() - started - scoring.waited
        return scoring.finish(), sampling, scoring.waited


@dataclass(frozen=True, kw_only=True, eq=False)
class _Ended:
    """A completion whose verdict is there or on its way."""

    sample: Sample
    text: str
    verdict: Future[Verdict]


class Scoring:
    """What one call of `RolloutWorker.draw` has so far: completions go to the verifiers as they end, groups become rollouts."""

    def __init__(self, worker: RolloutWorker, samples: int, policy_step: int):
        self.worker, self.samples, self.policy_step = worker, samples, policy_step
        self.problems: list[Problem] = []
        self.prompts: list[IntArray] = []  # by problem
        self.readings: list[Reading] = []  # by problem
        self.ended: dict[int, list[_Ended]] = defaultdict(list)  # by problem
        self.complete: list[int] = []  # problems that have all their completions
        self.verdicts: dict[int, list[Verdict]] = {}  # by problem, in the order in which its completions ended
        self.waited = 0.0  # seconds, for verdicts

    def request(self, problem: Problem, stream: Stream) -> SampleRequest:
        """Take in a problem; return what the sampler needs to know of it."""
        ids = render(problem, self.worker.prompt, self.worker.tokenizer)
        self.worker.check_room(problem, len(ids))
        thinking_open = leaves_thinking_open(ids, self.worker.tokenizer)
        self.problems.append(problem)
        self.prompts.append(ids)
        self.readings.append(reading_of(self.worker.prompt, self.worker.reward.reading, thinking_open=thinking_open))
        return SampleRequest(prompt_ids=ids, streams=tuple((*stream, problem.id, k) for k in range(self.samples)))

    def take(self, sample: Sample) -> None:
        """Have a completion judged."""
        without_end = sample.token_ids[:-1] if sample.stopped else sample.token_ids
        text = self.worker.tokenizer.decode(without_end, skip_special_tokens=False)
        number = sample.request
        verdict = self.worker.pool.submit(self.problems[number], text, self.readings[number])
        self.ended[number].append(_Ended(sample=sample, text=text, verdict=verdict))
        self.worker.ended()
        if len(self.ended[number]) == self.samples:
            self.complete.append(number)

    def has_contrast(self, number: int) -> bool:
        """Whether rewards of a complete group differ; waits for verdicts where those that are there do not say so."""
        there: set[float | None] = {None}  # what could not be scored is no contrast
        for ended in self.ended[number]:
            if ended.verdict.done():
                there.add(self._reward(ended, ended.verdict.result()).total)
            if len(there) > 2:
                return True
        self._await([number])
        there |= {self._reward(*judged).total for judged in zip(self.ended[number], self.verdicts[number], strict=True)}
        return len(there) > 2

    def finish(self) -> list[tuple[Rollout, ...]]:
        """Return the rollouts of every problem that was drawn, in order."""
        numbers = sorted(self.ended)
        self._await([number for number in numbers if number not in self.verdicts])
        judged = [both for number in numbers for both in zip(self.ended[number], self.verdicts[number], strict=True)]
        judged.sort(key=lambda both: (both[0].sample.request, both[0].sample.number))
        reasoning = self._reasoning_tokens([ended.text for ended, _ in judged])
        rollouts = [self._rollout(*both, tokens) for both, tokens in zip(judged, reasoning, strict=True)]
        return [tuple(rollouts[first : first + self.samples]) for first in range(0, len(rollouts), self.samples)]

    def _await(self, numbers: Sequence[int]) -> None:
        """Wait for the verdicts of these problems; each is asked for once, so that what it decided stays."""
        began = time.perf_counter()
        patience = max(0.0, self.worker.reward.batch_timeout_seconds - self.waited)
        awaited = [ended.verdict for number in numbers for ended in self.ended[number]]

        def how_far() -> str:
            return f"{sum(not verdict.done() for verdict in awaited)} of {len(awaited)} verdicts are out"

        with doing("waiting for verdicts", how_far):
            verdicts = iter(collect(awaited, patience, leave_if_told))
        for number in numbers:
            self.verdicts[number] = [next(verdicts) for _ in self.ended[number]]
        self.waited += time.perf_counter() - began

    def _reasoning_tokens(self, texts: list[str]) -> list[int]:
        if not texts:
            return []
        encoded = self.worker.tokenizer([reasoning_text(text) for text in texts], add_special_tokens=False).input_ids
        return [len(ids) for ids in encoded]

    def _reward(self, ended: _Ended, verdict: Verdict) -> Reward:
        longest, thinking_open = self.worker.sampling.max_completion_tokens, self.readings[ended.sample.request].thinking_open
        return shape(self.worker.reward, verdict, ended.text, len(ended.sample.token_ids), longest, thinking_open)

    def _rollout(self, ended: _Ended, verdict: Verdict, reasoning: int) -> Rollout:
        sample, tokens = ended.sample, len(ended.sample.token_ids)
        return Rollout(
            problem=self.problems[sample.request],
            prompt_ids=self.prompts[sample.request],
            completion_ids=sample.token_ids,
            sampling_logprobs=sample.logprobs,
            sampling_entropies=sample.entropies,
            forced=sample.forced,
            completion=Completion(text=ended.text, finish_reason=sample.finish_reason, num_tokens=tokens),
            reward=self._reward(ended, verdict),
            reasoning_tokens=reasoning,
            policy_step=self.policy_step,
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
        max_positions=getattr(model.config.get_text_config(), "max_position_embeddings", None),
    )
