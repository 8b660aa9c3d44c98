"""Which trials are made, in how much time, and what they are held against. The worker is a fake: no model draws."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from support import problem, rollout

from rewards.shaping import RewardConfig, shape
from rewards.types import Verdict
from rl.diagnose import with_limit
from rl.diagnosis.figures import Figures
from rl.rollout import RolloutWorker
from rl.settings.loading import load_config
from rl.settings.schema import PromptSettings, RunConfig, SamplingSettings
from rl.trials import Trials
from rl.types import Rollout

CONFIG = load_config(RunConfig, [], ["run.name=r", "model.path=m", "problems=[{domain: chain}]"]).config
PROBLEMS = [problem(number) for number in range(16)]


class Tokenizer:
    """Knows a chat template and nothing else."""

    chat_template = "{{ messages }}"


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True, kw_only=True, eq=False)
class Worker(RolloutWorker):
    """Notes what it is asked and takes one second a token; what it draws ends at once and is paid as told."""

    clock: Clock
    paid: float = 0.0
    asked: list[tuple[str, int, int, int]] = field(default_factory=list)  # how, problems, completions, limit

    def rollouts(self, problems: Sequence[Any], samples: int, stream: Any, policy_step: int) -> Any:
        self.asked.append((stream[1], len(problems), samples, self.sampling.max_completion_tokens))
        self.clock.now += self.sampling.max_completion_tokens
        return groups(len(problems), samples, self.paid), 0.0, 0.0


def groups(count: int, size: int, paid: float) -> list[tuple[Rollout, ...]]:
    """Return groups of which the first so many completions of each are paid."""
    return [
        tuple(rollout([1], [2], [-1.0], float(k < paid * size), number, np.array([0.5])) for k in range(size))
        for number in range(count)
    ]


def worker(paid: float = 0.0, limit: int = 10, temperature: float = 1.0) -> Worker:
    nothing: Any = None
    tokenizer: Any = Tokenizer()
    return Worker(
        sampler=nothing, tokenizer=tokenizer, pool=nothing, prompt=PromptSettings(), reward=RewardConfig(), max_positions=None,
        sampling=SamplingSettings(max_completion_tokens=limit, temperature=temperature), clock=Clock(), paid=paid,
    )  # fmt: skip


def tried(fake: Worker, seconds: float, drawn: float = 0.0, **known: Any) -> dict[str, Any]:
    figures = replace(Figures(config=CONFIG), **{"completions": 128, "groups": 16, "paid": drawn, "cut": 0.0, **known})
    trials = Trials(
        worker=fake, problems=PROBLEMS, drawn=groups(16, 8, drawn), deadline=seconds, few_seconds=0.5, many_seconds=1.0,
        clock=fake.clock,
    )  # fmt: skip
    return trials.called_for(figures)


def test_a_trial_is_held_against_the_same_problems() -> None:
    fake = worker(paid=0.5)
    figures = replace(Figures(config=CONFIG), completions=128, groups=16, paid=0.04, cut=0.0)
    drawn = [*groups(8, 8, 0.0), *groups(8, 8, 1.0)]  # only the later problems, which no trial asks, are paid
    trials = Trials(worker=fake, problems=PROBLEMS, drawn=drawn, deadline=1e3, few_seconds=1, many_seconds=1, clock=fake.clock)
    (plain,) = trials.called_for(figures).values()
    assert (plain.completions, plain.paid, plain.paid_before, plain.completions_before) == (32, 0.5, 0.0, 64)
    assert plain.beats
    assert plain.entropy == 0.5


def test_drawn_short_there_is_no_penalty_near_the_limit() -> None:
    fake = replace(worker(limit=1000), reward=RewardConfig(overlong_weight=0.5, overlong_buffer_tokens=200))
    short = with_limit(fake, 16)
    assert shape(short.reward, Verdict(status="correct"), "", 15, short.sampling.max_completion_tokens).total == 1.0


def test_one_lucky_completion_is_no_better_way() -> None:
    trial = tried(worker(paid=1.0), 1e3)["plain"]
    # with few, one of twelve would be above 0.05
    lucky = replace(trial, completions=12, paid=1 / 12, completions_before=48)
    assert not lucky.beats
    assert not replace(lucky, paid=2 / 12).beats
    assert replace(lucky, paid=4 / 12).beats
    read = replace(trial, paid=0.0, completions=12, completions_before=48, read_before=0.5)
    assert not replace(read, read=0.7).is_read_more  # one time in six
    assert replace(read, read=1.0).is_read_more
    assert not replace(read, read=1.0, paid_before=0.1).is_read_more


def test_a_way_of_asking_that_leaves_no_room_is_not_tried() -> None:
    class Full(Worker):
        """Has no room for what it is asked."""

        def rollouts(self, *asked: Any) -> Any:
            self.check_room(PROBLEMS[0], 4)
            return super().rollouts(*asked)

    known: dict[str, Any] = vars(worker())
    assert set(tried(Full(**known), 1e3)) == {"plain"}
    assert tried(Full(**{**known, "max_positions": 13}), 1e3) == {}


def test_what_is_not_known_asks_for_no_trial() -> None:
    for unknown in ({"paid": None}, {"cut": None}, {"timeouts": 0.2}, {"late": 0.2}):
        fake = worker(temperature=2.0)
        assert tried(fake, 1e3, **unknown) == {}
        assert fake.asked == []


def test_more_room_leaves_time_for_what_comes_after_it() -> None:
    fake = worker()
    tried(fake, 100.0, cut=0.9)
    # half of 100 s is 100 steps with few rows, so all of 4 * 10; 40 steps with many fit 50 s
    assert fake.asked == [("40 tokens", 8, 4, 40), ("plain text", 8, 4, 10)]
    fake = worker(limit=100)
    tried(fake, 200.0, cut=0.9)
    # of 400 tokens 199 fit the half, with few rows; what is left is enough for the other, with few too
    assert fake.asked[0] == ("199 tokens", 6, 2, 199)
    fake = worker(limit=100)
    tried(fake, 500.0, cut=0.9, drawn=0.5)  # nothing follows: all of the time
    assert fake.asked == [("400 tokens", 8, 4, 400)]


def test_where_there_is_no_time_fewer_are_drawn_or_none() -> None:
    fake = worker(temperature=2.0, limit=100)
    tried(fake, 60.0, drawn=0.5)
    assert fake.asked == [("temperature 1", 6, 2, 100)]
    fake = worker(temperature=2.0, limit=100)
    tried(fake, 40.0, drawn=0.5)
    assert fake.asked == []
