"""Dynamic sampling: replacements join the running batch, and which groups a step has depends on nothing but the problems."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from support import chain_source

from problems.seeding import derive_seed
from problems.types import Problem
from rewards.pool import VerifierPool
from rewards.shaping import RewardConfig
from rewards.types import STRICT, Reading, Verdict
from rl.groups import draw_groups
from rl.policy.opening import load_model, load_tokenizer, stop_token_ids
from rl.rollout import RolloutWorker, Scoring
from rl.sampling.how_to_draw import HowToDraw
from rl.sampling.sampler import More, Sample, Sampler, SampleRequest, SampleStats
from rl.settings.algorithm import AlgorithmSettings
from rl.settings.schema import ModelSettings, PromptSettings, SamplingSettings
from rl.types import Drawn, Rollout, has_contrast

SOURCE = chain_source()
# of an imitator that is right now and then: about half of the groups of four have no contrast
SETTINGS = AlgorithmSettings(num_problems=8, group_size=4, max_sampling_rounds=8)
STEP, CURSOR = 3, 10


@dataclass(frozen=True, kw_only=True, eq=False)
class CountingSampler(Sampler):
    """Remembers what each of its calls took."""

    calls: list[SampleStats] = field(default_factory=list)

    def sample(
        self, requests: Sequence[SampleRequest], how: HowToDraw, on_sample: Callable[[Sample], None], more: More | None = None
    ) -> SampleStats:
        stats = super().sample(requests, how, on_sample, more)
        self.calls.append(stats)
        return stats


@pytest.fixture(scope="module")
def worker(imitator: Path) -> Iterator[RolloutWorker]:
    settings = ModelSettings(path=str(imitator))
    model, tokenizer = load_model(settings), load_tokenizer(settings)
    stop_ids = stop_token_ids(model, tokenizer)
    with VerifierPool(1) as pool:
        yield RolloutWorker(
            sampler=CountingSampler(
                model=model, pad_id=tokenizer.pad_token_id, stop_ids=stop_ids, max_rows=512, short_on_a_cpu=0
            ),
            tokenizer=tokenizer,
            pool=pool,
            prompt=PromptSettings(),
            sampling=SamplingSettings(max_completion_tokens=96, temperature=1.3),  # lengths differ much
            reward=RewardConfig(),
            max_positions=128,
        )


def in_rounds(worker: RolloutWorker, settings: AlgorithmSettings) -> list[tuple[Rollout, ...]]:
    """The groups of a step by its definition: as many problems as are missing, one round after another."""
    groups: list[tuple[Rollout, ...]] = []
    most = settings.num_problems * settings.max_sampling_rounds
    while missing := min(settings.num_problems - sum(map(has_contrast, groups)), most - len(groups)):
        places = range(len(groups), len(groups) + missing)
        asked = [(SOURCE.get("train", CURSOR + place), (0, STEP, place // settings.num_problems + 1)) for place in places]
        groups += worker.draw(asked, settings.group_size, STEP)[0]
    return groups


def draw(worker: RolloutWorker, settings: AlgorithmSettings = SETTINGS) -> Drawn:
    return draw_groups(worker, SOURCE, settings, 0, STEP, CURSOR)


def texts(groups: Sequence[Sequence[Rollout]]) -> list[list[str]]:
    return [[rollout.completion.text for rollout in group] for group in groups]


def bits(drawn: Drawn) -> list[bytes]:
    """Everything about the rollouts that the update uses, to the last bit."""
    return [
        member.completion_ids.tobytes() + member.sampling_logprobs.tobytes() + str(member.reward.total).encode()
        for member in drawn.rollouts
    ]


@pytest.mark.parametrize("rounds", [1, 8])
def test_a_step_has_the_first_problems_up_to_the_last_group_it_needs(worker: RolloutWorker, rounds: int) -> None:
    settings = SETTINGS.model_copy(update={"max_sampling_rounds": rounds})
    expected = in_rounds(worker, settings)
    drawn = draw(worker, settings)
    assert texts([group.rollouts for group in drawn.groups]) == texts(expected)
    assert drawn.cursor == CURSOR + len(expected)
    assert drawn.rounds == -(-len(expected) // 8)
    trained = [group.has_contrast for group in drawn.groups]
    if rounds == 1:
        assert len(trained) == 8
        assert sum(trained) < 8
    else:  # the cap was not reached, so nothing is drawn in vain
        assert sum(trained) == 8
        assert trained[-1]


def test_replacements_join_the_running_batch(worker: RolloutWorker) -> None:
    sampler = worker.sampler
    assert isinstance(sampler, CountingSampler)
    settings = SETTINGS.model_copy(update={"group_size": 8})
    sampler.calls.clear()
    in_rounds(worker, settings)
    one_after_another = sum(stats.steps for stats in sampler.calls)
    assert len(sampler.calls) > 1
    sampler.calls.clear()
    draw(worker, settings)
    (together,) = sampler.calls
    assert together.steps < 0.85 * one_after_another
    assert together.peak_rows == 8 * 8  # a replacement takes the place of others


@pytest.mark.slow
def test_short_completions_on_a_cpu_end_before_others_join(worker: RolloutWorker) -> None:
    joining = worker.sampler
    assert isinstance(joining, CountingSampler)
    draining = replace(joining, short_on_a_cpu=96, calls=[])
    joining.calls.clear()
    expected, drawn = draw(worker), draw(replace(worker, sampler=draining))
    assert texts([group.rollouts for group in drawn.groups]) == texts([group.rollouts for group in expected.groups])
    assert draining.calls[0].steps > joining.calls[0].steps
    draining.calls.clear()
    in_rounds(replace(worker, sampler=draining), SETTINGS)
    one_after_another = sum(stats.steps for stats in draining.calls)
    draining.calls.clear()
    draw(replace(worker, sampler=draining))
    assert draining.calls[0].steps == one_after_another


@pytest.mark.parametrize("limits", [{"max_rows": 6}, {"max_rows": 512, "cache_tokens": 300}])
def test_limits_of_the_sampler_hold_and_change_no_group(worker: RolloutWorker, limits: dict[str, int]) -> None:
    assert isinstance(worker.sampler, CountingSampler)
    sampler = replace(worker.sampler, max_rows=limits["max_rows"], calls=[])
    cache_tokens = limits.get("cache_tokens")
    sampling = worker.sampling.model_copy(update={"cache_tokens": cache_tokens})
    drawn = draw(replace(worker, sampler=sampler, sampling=sampling))
    assert texts([group.rollouts for group in drawn.groups]) == texts([group.rollouts for group in draw(worker).groups])
    (stats,) = sampler.calls
    assert stats.peak_rows <= limits["max_rows"]
    assert cache_tokens is None or stats.peak_cache_tokens <= cache_tokens


class LatePool(VerifierPool):
    """A pool whose verdicts come late, each by a time of its own: up to 40 ms, some thirty decoding steps."""

    def __init__(self, seed: int):
        super().__init__(1)
        self.seed = seed

    def submit(self, problem: Problem, completion: str, reading: Reading = STRICT) -> Future[Verdict]:
        late: Future[Verdict] = Future()
        seconds = derive_seed("late", self.seed, problem.id, completion) % 40 / 1000

        def hand_over(judged: Future[Verdict]) -> None:
            time.sleep(seconds)
            late.set_result(judged.result())

        super().submit(problem, completion, reading).add_done_callback(hand_over)
        return late


@pytest.mark.slow
def test_when_verdicts_come_changes_not_a_bit(worker: RolloutWorker) -> None:
    expected = bits(draw(worker))
    for seed in range(3):
        with LatePool(seed) as pool:
            assert bits(draw(replace(worker, pool=pool))) == expected


class PoolByHand(VerifierPool):
    """A pool that judges when the test says so."""

    def __init__(self) -> None:
        super().__init__(0)
        self.verdicts: list[Future[Verdict]] = []

    def submit(self, problem: Problem, completion: str, reading: Reading = STRICT) -> Future[Verdict]:
        self.verdicts.append(Future())
        return self.verdicts[-1]


def of_three(worker: RolloutWorker, pool: PoolByHand) -> Scoring:
    """One group of three completions whose verdicts are on their way."""
    scoring = Scoring(replace(worker, pool=pool, reward=RewardConfig(batch_timeout_seconds=0.01)), 3, 0)
    scoring.request(SOURCE.get("train", 0), ("t",))
    token, number = np.ones(1, dtype=np.int32), np.zeros(1, dtype=np.float32)
    for k in range(3):
        scoring.take(
            Sample(
                request=0, number=k, token_ids=token, logprobs=number, entropies=number, forced=number > 0,
                finish_reason="length", stopped=False,
            )
        )  # fmt: skip
    assert scoring.complete == [0]
    return scoring


def test_a_group_that_has_contrast_already_waits_for_no_other_verdict(worker: RolloutWorker) -> None:
    pool = PoolByHand()
    with pool:
        scoring = of_three(worker, pool)
        pool.verdicts[2].set_result(Verdict(status="correct"))
        pool.verdicts[0].set_result(Verdict(status="wrong"))
        assert scoring.has_contrast(0)
        assert scoring.waited == 0
        pool.verdicts[1].set_result(Verdict(status="unparsed"))
        assert [member.reward.verdict.status for member in scoring.finish()[0]] == ["wrong", "unparsed", "correct"]


def test_a_verdict_that_decides_is_waited_for_and_what_was_decided_stays(worker: RolloutWorker) -> None:
    pool = PoolByHand()
    with pool:
        scoring = of_three(worker, pool)
        pool.verdicts[0].set_result(Verdict(status="wrong"))
        pool.verdicts[2].set_result(Verdict(status="unparsed"))  # 0 too
        assert not scoring.has_contrast(0)
        assert scoring.waited >= 0.01
        assert [member.reward.verdict.status for member in scoring.finish()[0]] == ["wrong", "error", "unparsed"]
