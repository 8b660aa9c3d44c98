"""The groups of a step: which problems are drawn, by which rank, which groups are learned from, and their advantages.

Ranks share the problems of a step; afterwards every rank holds all groups, so that everything that follows (advantages,
denominators, metrics) is computed from the same data on every rank.
"""

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from problems.types import Problem, ProblemSource
from rewards.types import NOT_FINITE
from rl.advantages import ADVANTAGES, minus_kl
from rl.exchange import gather_shares_of, leave_together, share, sums_over_ranks
from rl.rollout import Asked, RolloutWorker, Scoring
from rl.settings.algorithm import AlgorithmSettings
from rl.stopping import Leaving, told_to_stop
from rl.types import Drawn, Group, Rollout, has_contrast

ReferenceKls = Callable[[Sequence[Rollout]], list[float]]  # nats a completion, see Rollout.reference_kl; all ranks must call
_LOOKS_FOR_SLOW_VERDICTS = 16  # half of the tokens of the longest completion, see `_ASKED` in rl/sampling/sampler.py


@dataclass(frozen=True, kw_only=True)
class Round:
    """What all ranks sampled ahead, for the first problems of a step in their order."""

    rollouts: list[tuple[Rollout, ...]]


def first_problems(source: ProblemSource, settings: AlgorithmSettings, cursor: int) -> list[Problem]:
    """Return the problems that a step begins with when `cursor` problems were drawn before it."""
    return [source.get("train", cursor + i) for i in range(settings.num_problems)]


class Supply:
    """Which problems of a step may be drawn so far: as many as are wanted, and one more for each group without contrast.

    So a step has the first problems of its source up to the one that completes `num_problems` groups with contrast, or up to
    the cap. Which these are does not depend on the order in which groups end, nor on the number of ranks: a problem is only
    released when fewer than are wanted can have contrast before it.

    The trap: when a row joins decides the shapes of batches, and these the last bits of log-probabilities. So a verdict is
    never asked for "if it is there", but waited for at a fixed number of looks after its group was complete; grading goes on
    beside sampling until then. `before` is what was sampled ahead, on all ranks.
    """

    def __init__(self, ask: Callable[[int], Asked], settings: AlgorithmSettings, before: Sequence[tuple[Rollout, ...]]):
        self.ask = ask  # for the problem at a place in the order of the step
        rounds = settings.max_sampling_rounds if settings.dynamic_sampling else 1
        self.start, self.most = len(before), rounds * settings.num_problems  # places
        self.wanted = settings.num_problems + sum(not has_contrast(group) for group in before) * settings.dynamic_sampling
        self.due = min(self.wanted, self.most)  # problems that may be drawn, from the first of the step, over all ranks
        self.released = 0  # of this rank
        self.looks = 0
        self.seen: dict[int, int] = {}  # by group of this rank, the look that found it complete
        self.contrast: dict[int, bool] = {}  # by group of this rank, once it is judged

    @property
    def is_final(self) -> bool:
        """Whether all has been released that ever will be, whatever the verdicts."""
        return self.due == self.most

    def release(self) -> list[Asked]:
        """Return the problems that are due and this rank has not drawn."""
        mine = share(range(self.start, self.due))
        more, self.released = mine[self.released :], len(mine)
        return [self.ask(place) for place in more]

    def more(self, scoring: Scoring) -> list[Asked] | None:
        """Return the further problems that this rank may draw, None if no more will come. All ranks must call."""
        if self.is_final:
            return None
        with contextlib.suppress(Leaving):  # not before the others know
            self._judge(scoring)
        is_told = told_to_stop() is not None
        judged, kept, told = sums_over_ranks(len(self.contrast), sum(self.contrast.values()), is_told)
        if told:
            leave_together()
        self.due = min(self.wanted + judged - kept, self.most)
        if self.start + judged == self.due:  # all that were released are judged, and no other is due
            return None
        return self.release()

    def _judge(self, scoring: Scoring) -> None:
        """Say of the groups whose time has come whether they have contrast."""
        self.looks += 1
        for number in scoring.complete:
            if number not in self.contrast:
                seen = self.seen.setdefault(number, self.looks)
                is_slow = scoring.worker.pool.is_slow(scoring.problems[number])
                if self.looks - seen >= (_LOOKS_FOR_SLOW_VERDICTS if is_slow else 1):
                    self.contrast[number] = scoring.has_contrast(number)


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
    """Sample groups until the update can learn from `num_problems` of them, or the cap on problems is reached.

    A problem whose group has no contrast is replaced by the next one, which joins the running batch (dynamic sampling, DAPO
    arXiv 2503.14476, section 3.2); see `Supply`. A round, in random streams and metrics, is `num_problems` problems. `first`
    is the first round where it was sampled ahead; `reference_kls` is given where the KL is taken from the reward. All ranks
    must call. Raises Preempted where one of them was told to stop.
    """
    sampled = [] if first is None else first.rollouts

    def ask(place: int) -> Asked:
        return source.get("train", cursor + place), (seed, step, place // settings.num_problems + 1)

    supply = Supply(ask, settings, sampled)
    begin = supply.release()
    more = None if supply.is_final else supply.more
    sample_seconds = score_seconds = 0.0

    def draw() -> list[tuple[Rollout, ...]]:
        nonlocal sample_seconds, score_seconds
        mine, sample_seconds, score_seconds = worker.draw(begin, settings.group_size, step, more)
        return mine

    sampled = [*sampled, *gather_shares_of(draw)]
    return Drawn(
        groups=tuple(group_up(sampled, settings, reference_kls)),
        rounds=-(-len(sampled) // settings.num_problems),
        cursor=cursor + len(sampled),
        sample_seconds=sample_seconds,
        score_seconds=score_seconds,
        step=step,
    )


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
    return [tuple(with_kl(rollout, next(kls)) for rollout in rollouts) for rollouts in groups]


def with_kl(rollout: Rollout, kl: float) -> Rollout:
    """Return the rollout with its KL to the reference policy; with one that is no number it cannot be scored."""
    if math.isfinite(kl):
        return replace(rollout, reference_kl=kl)
    verdict = replace(rollout.reward.verdict, status="error", kind=NOT_FINITE, detail=f"its KL to the reference policy is {kl}")
    return replace(rollout, reward=replace(rollout.reward, verdict=verdict))
