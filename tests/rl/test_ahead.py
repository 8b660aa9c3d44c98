"""One-step-off sampling: what lies ready is the coming step's first round, drawn from the weights of before the update."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from support import chain_source

from problems.types import ProblemSource
from rl.ahead import Ahead
from rl.groups import Round, first_problems
from rl.policy.opening import load_model, load_tokenizer
from rl.rollout import RolloutWorker, open_pool, open_worker
from rl.runtime import process_group
from rl.settings.loading import load_config
from rl.settings.schema import RunConfig
from rl.types import Rollout
from rl.update.engine import Engine

STEPS = 3


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Real ones, over a tiny model of random weights."""

    config: RunConfig
    engine: Engine
    worker: RolloutWorker
    source: ProblemSource

    def ahead(self, config: RunConfig | None = None) -> Ahead:
        return Ahead(self.engine, self.worker, config or self.config)

    def first_round(self, step: int, cursor: int, policy_step: int) -> Sequence[Sequence[Rollout]]:
        """What the weights of now draw as the first round of `step`."""
        problems = first_problems(self.source, self.config.algorithm, cursor)
        stream = (self.config.run.seed, step, 1)
        return self.worker.rollouts(problems, self.config.algorithm.group_size, stream, policy_step)[0]


@pytest.fixture(scope="module")
def parts(random_model: Path) -> Iterator[Parts]:
    settings = [f"model.path={random_model}", "problems=[{domain: chain, terms: [2, 3]}]", "run.name=unused"]
    settings += [f"train={{steps: {STEPS}, one_step_off: true, threads: 1}}", "sampling.max_completion_tokens=12"]
    settings += ["algorithm={num_problems: 4, group_size: 3}", "deepspeed.stage=0"]
    config = load_config(RunConfig, [], settings).config
    with process_group():
        model, tokenizer = load_model(config.model), load_tokenizer(config.model)
        engine = Engine(model, config)
        with open_pool(config) as pool:
            worker = open_worker(config, engine.sampling_model, tokenizer, pool)
            yield Parts(config=config, engine=engine, worker=worker, source=chain_source())
        engine.finish()


def texts(rollouts: Sequence[Sequence[Rollout]]) -> list[list[str]]:
    return [[member.completion.text for member in group] for group in rollouts]


def taken(ahead: Ahead) -> Round:
    ready = ahead.take()
    assert ready is not None
    return ready


def move(engine: Engine, seed: int) -> None:
    """Change the weights so much that other tokens are drawn, as an update might."""
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weights in engine.policy.parameters():
            weights.add_(0.3 * torch.randn(weights.shape, generator=noise))


def test_it_draws_from_the_weights_before_the_update_what_the_step_would_have_drawn_from_them(parts: Parts) -> None:
    expected = parts.first_round(step=1, cursor=10, policy_step=0)
    ahead = parts.ahead()
    with ahead.beside(1, 10, parts.source):
        move(parts.engine, 1)
    ready = taken(ahead)
    assert texts(ready.rollouts) == texts(expected)
    assert [group[0].problem for group in ready.rollouts] == [parts.source.get("train", i) for i in range(10, 14)]
    assert {member.policy_step for group in ready.rollouts for member in group} == {0}  # the weights are one update old
    assert texts(parts.first_round(step=1, cursor=10, policy_step=1)) != texts(expected)  # the update did change them


def test_the_next_step_draws_from_the_weights_it_begins_with(parts: Parts) -> None:
    ahead = parts.ahead()
    with ahead.beside(1, 0, parts.source):
        move(parts.engine, 2)
    expected = parts.first_round(step=2, cursor=4, policy_step=1)
    with ahead.beside(2, 4, parts.source):
        move(parts.engine, 3)
    assert texts(taken(ahead).rollouts) == texts(expected)


def test_what_lies_ready_is_handed_over_once(parts: Parts) -> None:
    ahead = parts.ahead()
    assert ahead.take() is None
    with ahead.beside(1, 0, parts.source):
        pass
    taken(ahead)
    assert ahead.take() is None


def test_what_lies_ready_survives_a_checkpoint(parts: Parts, tmp_path: Path) -> None:
    ahead = parts.ahead()
    with ahead.beside(2, 8, parts.source):
        pass
    ahead.save(tmp_path)
    move(parts.engine, 4)  # the weights it came from are gone
    resumed = parts.ahead()
    resumed.load(tmp_path)
    saved, restored = taken(ahead), taken(resumed)  # saving takes nothing away
    assert len(saved.rollouts) == len(restored.rollouts) == 4
    for before, after in zip(saved.rollouts, restored.rollouts, strict=True):
        for one, other in zip(before, after, strict=True):
            assert one.completion == other.completion
            assert one.problem == other.problem
            assert one.reward == other.reward
            assert one.policy_step == other.policy_step == 1
            assert one.completion_ids.tolist() == other.completion_ids.tolist()
            assert one.sampling_logprobs.tolist() == other.sampling_logprobs.tolist()


def test_where_nothing_lies_ready_nothing_is_saved(parts: Parts, tmp_path: Path) -> None:
    parts.ahead().save(tmp_path)
    assert list(tmp_path.iterdir()) == []
    resumed = parts.ahead()
    resumed.load(tmp_path)
    assert resumed.take() is None


def test_nothing_is_drawn_after_the_last_step_or_where_it_is_not_asked_for(parts: Parts) -> None:
    ahead = parts.ahead()
    with ahead.beside(STEPS, 0, parts.source, wanted=False):
        pass
    assert ahead.take() is None
    train = parts.config.train.model_copy(update={"one_step_off": False})
    without = parts.ahead(parts.config.model_copy(update={"train": train}))
    with without.beside(1, 0, parts.source):
        pass
    assert without.take() is None


def test_an_update_that_fails_leaves_nothing_ready(parts: Parts) -> None:
    ahead = parts.ahead()
    with pytest.raises(RuntimeError, match="out of memory"), ahead.beside(1, 0, parts.source):
        raise RuntimeError("out of memory")
    assert ahead.take() is None


def test_what_was_saved_before_the_round_moved_to_another_file_is_read(
    parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = parts.ahead()
    with ahead.beside(1, 0, parts.source):
        pass
    with monkeypatch.context() as earlier:
        earlier.setattr(Round, "__module__", "rl.rollout")
        earlier.setattr("rl.rollout.Round", Round, raising=False)
        ahead.save(tmp_path)
    resumed = parts.ahead()
    resumed.load(tmp_path)
    assert texts(taken(resumed).rollouts) == texts(taken(ahead).rollouts)
