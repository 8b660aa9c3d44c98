"""From problems to scored groups: what is drawn, kept, dropped and reported."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support import chain_source, rollout, truncated

from problems.catalog import perturb, solve
from rewards.pool import VerifierPool
from rewards.shaping import RewardConfig
from rewards.types import STRICT, Reward, Verdict
from rl.evaluate import sample_all
from rl.evaluation.measures import summarise
from rl.evaluation.samples import of_rollouts
from rl.exchange import share
from rl.groups import Round, draw_groups, first_problems, group_up
from rl.policy.opening import load_model, load_tokenizer, stop_token_ids
from rl.rollout import RolloutWorker
from rl.sampling.sampler import Sampler
from rl.settings.abstention import AbstentionSettings
from rl.settings.algorithm import AlgorithmSettings
from rl.settings.schema import ModelSettings, PromptSettings, SamplingSettings, ThinkingSettings
from rl.tracking.metrics import rollout_metrics
from rl.tracking.rollouts import rollout_records
from rl.types import Drawn
from rl.update.batch import make_batch

SOURCE = chain_source()


@pytest.fixture(scope="module")
def worker(imitator):
    settings = ModelSettings(path=str(imitator))
    model, tokenizer = load_model(settings), load_tokenizer(settings)
    with VerifierPool(1) as pool:
        yield RolloutWorker(
            sampler=Sampler(model=model, pad_id=tokenizer.pad_token_id, stop_ids=stop_token_ids(model, tokenizer), max_rows=64),
            tokenizer=tokenizer,
            pool=pool,
            prompt=PromptSettings(),
            sampling=SamplingSettings(max_completion_tokens=24),
            reward=RewardConfig(),
            max_positions=128,
        )


def test_rollouts_hold_what_was_sampled_and_the_right_verdict(worker):
    problems = [SOURCE.get("train", i) for i in range(6)]
    groups, _, _ = worker.rollouts(problems, 3, ("t",), 7)
    assert [len(group) for group in groups] == [3] * 6
    for problem, group in zip(problems, groups, strict=True):
        for member in group:
            assert member.problem is problem
            assert member.policy_step == 7
            assert len(member.completion_ids) == len(member.sampling_logprobs) == member.completion.num_tokens
            text = worker.tokenizer.decode(member.completion_ids)
            stopped = member.completion.finish_reason == "stop"
            assert text == member.completion.text + ("<|end|>" if stopped else "")
            right = f"\\boxed{{{problem.reference}}}" in member.completion.text.split("</think>")[-1]
            assert (member.reward.verdict.status == "correct") == (right and "<think>" not in text.split("</think>")[-1])
            assert member.reward.total == float(member.reward.verdict.status == "correct")
            if text.startswith("\\boxed"):
                assert member.reasoning_tokens == 0


def test_forced_tokens_are_told_from_drawn_ones_in_a_rollout(worker):
    forcing = replace(
        worker, sampling=SamplingSettings(max_completion_tokens=24, thinking=ThinkingSettings(max_tokens=1, end="}"))
    )
    problems = [SOURCE.get("train", i) for i in range(3)]
    forced = [member.forced for group in forcing.rollouts(problems, 2, ("t",), 7)[0] for member in group]
    # the second token of a completion that does not come to its end there by itself
    assert all(np.flatnonzero(mask).tolist() in ([1], []) for mask in forced)
    assert any(mask.any() for mask in forced)
    drawn = [member.forced for group in worker.rollouts(problems, 2, ("t",), 7)[0] for member in group]
    assert not any(mask.any() for mask in drawn)


def test_dynamic_sampling_keeps_only_contrast_and_stops_at_the_cap(worker):
    settings = AlgorithmSettings(num_problems=6, group_size=4, max_sampling_rounds=2)
    drawn = draw_groups(worker, SOURCE, settings, 0, 0, 10)
    assert all(group.has_contrast for group in drawn.trained)
    assert len(drawn.trained) <= 6
    assert drawn.rounds == 2 or len(drawn.trained) == 6
    assert drawn.cursor == 10 + len(drawn.groups)
    assert [g.problem for g in drawn.groups] == [SOURCE.get("train", i) for i in range(10, drawn.cursor)]
    dead = [g for g in drawn.groups if not g.has_contrast]
    assert len(drawn.groups) - len(dead) == len(drawn.trained)
    everything = draw_groups(worker, SOURCE, settings.model_copy(update={"dynamic_sampling": False}), 0, 0, 10)
    assert everything.rounds == 1
    assert len(everything.groups) == 6


def test_what_was_sampled_ahead_is_the_first_round_and_its_age_is_told(worker):
    settings = AlgorithmSettings(num_problems=6, group_size=4, max_sampling_rounds=2)
    now = draw_groups(worker, SOURCE, settings, 0, 3, 10)
    early, _, _ = worker.rollouts(first_problems(SOURCE, settings, 10), 4, (0, 3, 1), 2)
    later = draw_groups(worker, SOURCE, settings, 0, 3, 10, first=Round(rollouts=early))
    assert now.rounds == later.rounds == 2
    assert now.cursor == later.cursor
    assert rollout_metrics(now)["sampling/staleness"] == 0.0
    assert [[r.completion.text for r in g.rollouts] for g in now.groups] == [
        [r.completion.text for r in g.rollouts] for g in later.groups
    ]
    # the six groups of the first round are one update old, those of the second round are not
    assert rollout_metrics(later)["sampling/staleness"] == pytest.approx(6 / len(later.groups))


class TimedPool(VerifierPool):
    """A pool that remembers when each verdict came."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.ended: list[float] = []

    def submit(self, problem, completion, reading=STRICT):
        future = super().submit(problem, completion, reading)
        future.add_done_callback(lambda _: self.ended.append(time.perf_counter()))
        return future


def test_verdicts_end_while_sampling_goes_on(worker):
    pool = TimedPool(1)
    with pool:
        pool.grade([(SOURCE.get("train", 0), "1")])  # the worker process is up
        pool.ended.clear()
        one_by_one = replace(worker, pool=pool, sampler=replace(worker.sampler, max_rows=2))
        started = time.perf_counter()
        groups, sampling, _ = one_by_one.rollouts([SOURCE.get("train", i) for i in range(24)], 2, ("t",), 0)
    assert len(pool.ended) == 48
    assert min(pool.ended) < started + sampling
    assert all(r.reward.total is not None for group in groups for r in group)


def test_a_slow_verdict_holds_the_batch_no_longer_than_its_deadline(worker, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "support")
    monkeypatch.setenv("MAY_ANSWER", str(tmp_path / "may answer"))
    with VerifierPool(1, timeout_seconds=60, module="slow_worker") as pool:
        impatient = replace(worker, pool=pool, reward=RewardConfig(batch_timeout_seconds=0.5))
        groups, _, waited = impatient.rollouts([SOURCE.get("train", i) for i in range(2)], 2, ("t",), 0)
        (tmp_path / "may answer").touch()  # the pool waits for what has begun
    assert 0.5 <= waited < 30
    assert {r.reward.verdict.status for group in groups for r in group} == {"error"}
    assert [r.reward.total for group in groups for r in group] == [None] * 4


def test_the_same_step_draws_the_same_and_the_next_step_does_not(worker):
    settings = AlgorithmSettings(num_problems=3, group_size=3, dynamic_sampling=False)
    texts = [
        [r.completion.text for g in draw_groups(worker, SOURCE, settings, seed, step, 0).groups for r in g.rollouts]
        for seed, step in ((0, 5), (0, 5), (0, 6), (1, 5))
    ]
    assert texts[0] == texts[1]
    assert texts[0] != texts[2]
    assert texts[0] != texts[3]


def test_shares_of_ranks_cover_everything_once(monkeypatch):
    dealt = []
    for number in range(3):
        monkeypatch.setenv("WORLD_SIZE", "3")
        monkeypatch.setenv("RANK", str(number))
        dealt.append(list(share(list(range(7)))))
    assert dealt == [[0, 3, 6], [1, 4], [2, 5]]


def unscored(member):
    reward = Reward(parts={"correct": 0.0}, weights={"correct": 1.0}, verdict=Verdict(status="error"))
    return replace(member, reward=reward)


def test_metrics_by_hand():
    # one group with contrast (rewards 1, 0; one unscorable), one without (1, 1)
    mixed = (rollout([5], [6, 7], [0, 0], 1.0), rollout([5], [6, 7, 8, 9], [0] * 4, 0.0), unscored(rollout([5], [6], [0], 0.0)))
    same = (rollout([5], [6, 7], [0, 0], 1.0), rollout([5], [6, 7], [0, 0], 1.0), rollout([5], [6, 7], [0, 0], 1.0))
    groups = group_up([mixed, same], AlgorithmSettings())
    assert groups[0].advantages.tolist() == [0.5, -0.5, 0.0]
    drawn = Drawn(groups=tuple(groups), rounds=1, cursor=2, sample_seconds=0, score_seconds=0)
    metrics = rollout_metrics(drawn)
    assert metrics["reward"] == pytest.approx(4 / 5)  # five of six could be scored
    assert metrics["reward_std"] == pytest.approx(np.sqrt(0.5) / 2)  # sqrt(1/2) in the first group, 0 in the second
    assert metrics["frac_reward_zero_std"] == 0.5
    assert metrics["completions/mean_length"] == pytest.approx(13 / 6)
    assert metrics["completions/max_length"] == 4
    assert metrics["verdicts/error"] == pytest.approx(1 / 6)
    assert metrics["groups/sampled"] == 2
    assert metrics["groups/trained"] == 1


def test_what_is_written_down_is_what_the_update_uses():
    # rewards 1, 0, 0, 0 have a standard deviation of 0.5; together with the dropped 1, 1, 1, 1 it is sqrt(1.875 / 7) = 0.51755
    one = (rollout([5], [6], [0], 1.0), *(rollout([5], [7], [0], 0.0, k) for k in range(3)))
    dropped = tuple(rollout([5], [8], [0], 1.0) for _ in range(4))
    groups = group_up([dropped, one], AlgorithmSettings(advantage="batch_std"))
    drawn = Drawn(groups=tuple(groups), rounds=1, cursor=2, sample_seconds=0, score_seconds=0)
    assert [group.is_trained for group in groups] == [False, True]
    learned = [row.advantages[0] for row in make_batch(drawn.trained, AlgorithmSettings(), 10).rows]
    assert learned == pytest.approx([0.75 / 0.5001, *[-0.25 / 0.5001] * 3], rel=1e-6)
    assert [row["advantage"] for row in rollout_records(drawn)] == [0] * 4 + learned
    everything = group_up([dropped, one], AlgorithmSettings(advantage="batch_std", dynamic_sampling=False))
    assert all(group.is_trained for group in everything)
    assert everything[1].advantages[0] == pytest.approx(0.75 / 0.51765, rel=1e-5)


def test_evaluation_does_not_depend_on_how_problems_are_batched(worker):
    problems = [SOURCE.get("test", i) for i in range(20)]
    together = sample_all(worker, problems, 2, 0)
    alone = [group for p in problems for group in sample_all(worker, [p], 2, 0)]
    assert [[r.completion.text for r in g] for g in together] == [[r.completion.text for r in g] for g in alone]
    results = summarise([of_rollouts(group) for group in together])
    assert results["problems"] == 20
    assert results["samples"] == 40


def test_the_extremes_of_an_evaluation(worker):
    problems = [SOURCE.get("test", i) for i in range(4)]
    for write, value in ((lambda p: solve(p, "steps"), 1.0), (lambda p: f"\\boxed{{{perturb(p)}}}", 0.0)):
        groups = []
        for problem in problems:
            verdict = worker.pool.grade([(problem, write(problem))])[0]
            reward = Reward(parts={"correct": value}, weights={"correct": 1.0}, verdict=verdict)
            groups.append(of_rollouts([replace(rollout([5], [6], [0], 0.0), problem=problem, reward=reward)]))
        found = summarise(groups)["accuracy"]
        assert found["value"] == value
        assert found["high"] - found["low"] > 0.3  # four problems: all right or all wrong says little


def test_a_prompt_that_opens_the_thinking_is_told_to_the_verifier(worker):
    opened = replace(worker, prompt=PromptSettings(template="{prompt}<think>"))
    opened.tokenizer.chat_template, kept = None, opened.tokenizer.chat_template  # the template's own end would close it
    try:
        groups, _, _ = opened.rollouts([SOURCE.get("train", i) for i in range(4)], 2, ("t",), 0)
    finally:
        opened.tokenizer.chat_template = kept
    unclosed = [member for group in groups for member in group if "</think>" not in member.completion.text]
    assert unclosed
    assert {member.reward.verdict.status for member in unclosed} == {"unparsed"}


def test_rejection_sampling_learns_from_what_is_right_and_whole_and_each_token_alike():
    settings = AlgorithmSettings(advantage="rft", loss="reinforce", dynamic_sampling=False, mask_truncated=True)
    mixed = (rollout([5], [6, 7], [-1, -1], 1.0), rollout([5], [8], [-1], 0.0), truncated(rollout([5], [9], [-1], 1.0)))
    all_right = tuple(rollout([4], [number, 7, 3], [-1, -1, -1], 1.0, 1) for number in (6, 8, 9))
    batch = make_batch(group_up([mixed, all_right], settings), settings, 10)
    assert [row.completion_ids.tolist() for row in batch.rows] == [[6, 7], [6, 7, 3], [8, 7, 3], [9, 7, 3]]
    for row in batch.rows:
        # five completions count, the one that was cut off does not: the mean of their log-likelihoods, up to a constant
        assert row.advantages * row.weights == pytest.approx(np.full(len(row.completion_ids), 1 / (5 * 10)))


def test_who_may_abstain_is_told_from_who_is_wrong_and_paid_by_the_rule(worker):
    problems = [SOURCE.get("train", i) for i in range(6)]
    drawn, _, _ = worker.rollouts(problems, 4, ("t",), 0)
    words = next(r.reward.verdict.extracted for group in drawn for r in group if r.reward.verdict.status == "wrong")
    # the same texts once more, where the first wrong answer is what says "I don't know"
    allowed = replace(
        worker,
        prompt=PromptSettings(abstention=AbstentionSettings(words=words, invitation="")),
        reward=RewardConfig(abstained=0.25, wrong=-0.5),
    )
    again, _, _ = allowed.rollouts(problems, 4, ("t",), 0)
    statuses = []
    for before, now in zip((r for group in drawn for r in group), (r for group in again for r in group), strict=True):
        assert now.completion.text == before.completion.text
        was, verdict = before.reward.verdict, now.reward.verdict
        abstains = was.extracted == words and was.status == "wrong"
        assert verdict.status == ("abstained" if abstains else was.status)
        assert now.reward.total == {"correct": 1.0, "abstained": 0.25}.get(verdict.status, -0.5)
        statuses.append(verdict.status)
    groups = group_up(again, AlgorithmSettings(num_problems=6, group_size=4))
    for group in groups:  # negative totals: the mean of the group is taken off all the same
        assert sum(group.advantages) == pytest.approx(0.0, abs=1e-6)
        assert not group.has_contrast or max(group.advantages) == pytest.approx(max(group.totals) - np.mean(group.totals))
    metrics = rollout_metrics(
        Drawn(groups=tuple(groups), rounds=1, cursor=6, sample_seconds=0.0, score_seconds=0.0), may_abstain=True
    )
    answered = len(statuses) - statuses.count("abstained")
    assert metrics["abstention/coverage"] == pytest.approx(answered / len(statuses))
    assert metrics["abstention/accuracy_when_answering"] == pytest.approx(statuses.count("correct") / answered)
    assert metrics["rewards/abstained/mean"] == pytest.approx(statuses.count("abstained") / len(statuses))
    assert 0 <= metrics["emergence/repetition"] <= 1
