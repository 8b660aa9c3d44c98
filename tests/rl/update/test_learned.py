"""Log-probabilities of an update reach the completions that they are of, however the batch is cut."""

import numpy as np
import torch
from made_runs import made_group

from rl.settings.algorithm import AlgorithmSettings
from rl.types import Group
from rl.update.batch import make_batch
from rl.update.learned import Overhearing


def groups_of(rewarded: int) -> tuple[Group, ...]:
    """Return groups of which the first `rewarded` have contrast; the others learn nothing."""
    groups = [made_group(number, 1, 0.5, 4, 6) for number in range(3)]
    advantages = [np.array([1.0, -1.0, 0.0, 0.5], dtype=np.float32), np.zeros(4, dtype=np.float32)]
    return tuple(
        Group(problem=group.problem, rollouts=group.rollouts, advantages=advantages[number >= rewarded])
        for number, group in enumerate(groups)
    )


def test_every_completion_that_is_learned_from_has_its_own_gaps() -> None:
    groups = groups_of(2)
    batch = make_batch(groups, AlgorithmSettings(), 32)
    assert len(batch.rows) == 6  # an advantage of 0 is no row
    heard = Overhearing(groups[:2])
    for rows in (batch.rows[4:], batch.rows[1:4], batch.rows[:1]):  # in any order
        heard.hear(rows, torch.cat([torch.as_tensor(row.sampling_logprobs) + 0.25 for row in rows]))
    heard.hear(batch.rows, torch.zeros(sum(len(row.completion_ids) for row in batch.rows)))  # of a second epoch: too late
    learned = heard.learned([batch])
    assert [one.gaps is not None for one in learned] == [True, True, False, True] * 2
    for one, rollout in zip(learned, (rollout for group in groups[:2] for rollout in group.rollouts), strict=True):
        assert len(one.trained) == len(rollout.completion_ids)
        assert one.trained.all() == (one.gaps is not None)
        if one.gaps is not None:
            np.testing.assert_allclose(one.gaps, 0.25, atol=1e-6)


def test_tokens_outside_of_the_mask_do_not_count() -> None:
    groups = groups_of(1)
    batch = make_batch(groups, AlgorithmSettings(top_entropy_quantile=0.5), 32)
    learned = Overhearing(groups[:1]).learned([batch])
    counted = sum(int(one.trained.sum()) for one in learned)
    assert 0 < counted == sum(int((row.weights != 0).sum()) for row in batch.rows)


def test_without_groups_nothing_is_kept() -> None:
    assert Overhearing(()).learned([]) == []
