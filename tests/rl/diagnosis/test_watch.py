"""The rules during a training: once each, at step 1 or when a finding has held for three steps."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from support import forked, rollout

from rewards.pool import VerifierPool
from rewards.types import Verdict
from rl.diagnosis.watch import Watch
from rl.policy.opening import load_model, load_tokenizer, stop_token_ids
from rl.sampling.sampler import Sampler
from rl.settings.loading import load_config
from rl.settings.schema import ModelSettings, RunConfig
from rl.types import Drawn, Group

MIXED, NONE = (1.0, 0.0, 0.0, 1.0), (0.0, 0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def parts(random_model):
    settings = ModelSettings(path=str(random_model))
    model, tokenizer = load_model(settings), load_tokenizer(settings)
    sampler = Sampler(model=model, pad_id=tokenizer.pad_token_id, stop_ids=stop_token_ids(model, tokenizer), max_rows=8)
    with VerifierPool(1) as pool:
        yield tokenizer, sampler, pool


def watching(parts, *settings: str) -> tuple[Watch, list[str]]:
    said: list[str] = []
    chosen = ["run.name=r", "model.path=m", "problems=[{domain: chain}]", "optimizer.learning_rate=1e-3", *settings]
    tokenizer, sampler, pool = parts
    return Watch(load_config(RunConfig, [], chosen).config, tokenizer, sampler, pool, said.append), said


def drawn(step: int, rewards: Sequence[Sequence[float]]) -> Drawn:
    rng = np.random.default_rng(step)
    groups = []
    for number, of_group in enumerate(rewards):
        members = []
        for reward in of_group:
            tokens = rng.integers(8, 50, 6)
            members.append(rollout([5, 6, 7], tokens, np.full(6, -1.0), reward, number, np.full(6, 0.5)))
        groups.append(
            Group(problem=members[0].problem, rollouts=tuple(members), advantages=np.zeros(len(of_group), np.float32))
        )
    return Drawn(groups=tuple(groups), rounds=1, cursor=0, sample_seconds=0, score_seconds=0, step=step)


def seen(watch: Watch, steps: Sequence[Sequence[Sequence[float]]], **metrics: float) -> list[list[str]]:
    """Return the names of what is new at each step."""
    return [[one.name for one in watch.see(step, drawn(step, of_step), metrics)] for step, of_step in enumerate(steps, start=1)]


def test_a_sound_training_is_not_spoken_to(parts):
    watch, said = watching(parts)
    assert seen(watch, [[MIXED] * 8] * 5, loss=0.1, grad_norm=1.0) == [[]] * 5
    assert said == []


def test_what_holds_at_step_1_is_said_there_and_never_again(parts):
    watch, said = watching(parts, "optimizer.learning_rate=3")
    assert seen(watch, [[NONE] * 8] * 4) == [["learning_rate"], [], [], []]
    assert len(said) == 1
    assert said[0].startswith("step 1, learning_rate: A learning rate of 3 is high for all weights of ")
    assert "optimizer.learning_rate = 3  ->  " in said[0]


def test_what_begins_later_is_said_when_it_has_held_three_steps(parts):
    watch, _ = watching(parts)
    steps = [[MIXED] * 8, [NONE] * 8, [MIXED] * 8, [NONE] * 8, [NONE] * 8, [NONE] * 8, [NONE] * 8]
    assert seen(watch, steps) == [[], [], [], [], [], ["too_hard"], []]


def test_small_steps_are_looked_at_together(parts):
    watch, _ = watching(parts)
    # four groups a step: with the second step there are eight
    assert seen(watch, [[NONE] * 4] * 3) == [[], ["too_hard"], []]
    watch, _ = watching(parts)
    assert seen(watch, [[NONE] * 4, [MIXED] * 4, [MIXED] * 4]) == [[], [], []]


def test_a_gap_between_sampler_and_trainer_and_a_nan_are_seen_in_the_metrics(parts):
    watch, _ = watching(parts)
    gap = {"sampling/sampling_logp_difference/mean": 0.3}
    assert [one.name for one in watch.see(1, drawn(1, [MIXED] * 8), gap)] == ["sampler_apart"]
    for broken in ({"grad_norm": float("nan")}, {"skipped_updates": 1}):
        watch, _ = watching(parts)
        assert [one.name for one in watch.see(1, drawn(1, [MIXED] * 8), broken)] == ["not_finite"]


def test_a_gap_that_the_settings_make_is_not_told(parts):
    gap = {"sampling/sampling_logp_difference/mean": 0.05}
    for settings in ("train.one_step_off=true", "model.lora={r: 4, dropout: 0.1}", "algorithm.epochs=2"):
        watch, _ = watching(parts, settings)
        assert "sampler_apart" not in [one.name for one in watch.see(1, drawn(1, [MIXED] * 8), gap)]


def test_one_bad_step_is_not_told_however_long_it_stays_among_the_last(parts):
    def unjudged(step: Drawn) -> Drawn:
        fault = Verdict(status="error", detail="no number")
        groups = [
            replace(group, rollouts=tuple(replace(one, reward=replace(one.reward, verdict=fault)) for one in group.rollouts))
            for group in step.groups
        ]
        return replace(step, groups=tuple(groups))

    # three groups a step: each is among the last for three steps
    steps = [drawn(step, [MIXED] * 3) for step in range(1, 10)]
    watch, _ = watching(parts)
    one_bad = [*steps[:4], unjudged(steps[4]), *steps[5:]]
    assert [watch.see(number, step, {}) for number, step in enumerate(one_bad, start=1)] == [[]] * 9
    watch, _ = watching(parts)
    all_bad = [*steps[:4], *map(unjudged, steps[4:])]
    names = [[one.name for one in watch.see(number, step, {})] for number, step in enumerate(all_bad, start=1)]
    assert names == [*[[]] * 7, ["references_unreadable"], []]


def test_one_answer_for_all_is_seen_once_there_are_eight_problems(parts):
    watch, _ = watching(parts)
    steps = [drawn(1, [MIXED] * 4), drawn(2, [MIXED] * 4), drawn(3, [MIXED] * 4)]
    others = [
        replace(group, problem=replace(group.problem, id=f"q{k}", prompt=f"{k}?")) for k, group in enumerate(steps[1].groups)
    ]
    steps[1] = replace(steps[1], groups=tuple(others))
    names = [[one.name for one in watch.see(step, of, {})] for step, of in enumerate(steps, start=1)]
    assert names == [[], ["same_answer"], []]


@pytest.mark.slow
def test_a_training_says_at_step_1_what_keeps_it_from_learning(imitator, tmp_path):
    short = ["sampling.max_completion_tokens=2", "algorithm={num_problems: 8, group_size: 4}", "train={steps: 3, threads: 1}"]
    sources = ["problems=[{domain: chain, terms: [2, 3]}]", "optimizer.learning_rate=1e-3", "train.self_check=false"]
    done = forked("train", f"model.path={imitator}", "run.name=rl", *sources, *short, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("limit_too_short") == 1
    assert "step 1, limit_too_short: 100 % of the completions are cut off at 2 tokens" in done.stderr
    assert "sampling.max_completion_tokens = 2  ->  8" in done.stderr
