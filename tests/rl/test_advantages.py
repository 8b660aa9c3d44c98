"""Advantages by hand, and what must not change them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.shaping import RewardConfig, shape
from rewards.types import Status, Verdict
from rl.advantages import (
    ADVANTAGES,
    EPSILON,
    batch_standardised,
    group_standardised,
    leave_one_out,
    mean_centred,
    mean_divided,
    minus_kl,
    positive,
)

CENTRED = sorted(set(ADVANTAGES) - {"rft"})  # the others have no baseline
reward = st.floats(-1e6, 1e6)
groups = st.integers(2, 6).flatmap(
    lambda size: st.lists(st.lists(reward, min_size=size, max_size=size), min_size=1, max_size=4)
)


def test_mean_centred_by_hand() -> None:
    # means 1/4 and 1/2
    assert mean_centred([[1, 0, 0, 0], [1, 1, 0, 0]]).tolist() == [[0.75, -0.25, -0.25, -0.25], [0.5, 0.5, -0.5, -0.5]]


def test_group_standardised_by_hand() -> None:
    # [1, 0, 0, 0]: sum of squares 9/16 + 3/16 = 3/4, over G - 1 = 3: 1/4, deviation 1/2
    expected = np.array([[0.75, -0.25, -0.25, -0.25]]) / (0.5 + EPSILON)
    assert group_standardised([[1, 0, 0, 0]]) == pytest.approx(expected)


def test_batch_standardised_by_hand() -> None:
    # all six rewards 1 0 0 1 1 0: mean 1/2, sum of squares 6/4, over 5: 0.3
    expected = np.array([[2, -1, -1], [1, 1, -2]]) / 3 / (math.sqrt(0.3) + EPSILON)
    assert batch_standardised([[1, 0, 0], [1, 1, 0]]) == pytest.approx(expected)


def test_leave_one_out_by_hand() -> None:
    # 1 against the mean 0 of the others; 0 against (1 + 0 + 0) / 3
    assert leave_one_out([[1, 0, 0, 0]]) == pytest.approx(np.array([[1, -1 / 3, -1 / 3, -1 / 3]]))
    # three scored: 1 against 0, 0 against 1/2
    assert leave_one_out([[1, None, 0, 0]]) == pytest.approx(np.array([[1, 0, -1 / 2, -1 / 2]]))


def test_mean_divided_by_hand() -> None:
    # mean 1/4: (1 - 1/4) / (1/4) = 3 and -1; a mean of 3/4: (1/4) / (3/4) and -1
    assert mean_divided([[1, 0, 0, 0], [1, 1, 1, 0]]) == pytest.approx(np.array([[3, -1, -1, -1], [1 / 3, 1 / 3, 1 / 3, -1]]))
    assert mean_divided([[1, None, 0, 0]]) == pytest.approx(np.array([[2, 0, -1, -1]]))  # three scored, mean 1/3
    assert mean_divided([[0, 0, None], [0, -1, 0], [1, -1, 0]]).tolist() == [[0, 0, 0]] * 3  # no mean above 0


def test_what_is_right_is_imitated_and_the_rest_left_alone() -> None:
    # a reward of its own each, groups of equal rewards among them; below 0 nothing is pushed away
    assert positive([[1, 0, 0.5], [1, 1, None], [-1, 0, None]]).tolist() == [[1, 0, 0.5], [1, 1, 0], [0, 0, 0]]


def test_the_kl_in_the_reward_by_hand() -> None:
    assert minus_kl(1, 2.0, 0.25) == 0.5
    assert minus_kl(0, -1.0, 0.25) == 0.25
    assert minus_kl(None, 3.0, 0.25) is None  # nothing could be scored
    assert minus_kl(0.5, None, 0.25) == 0.5  # no KL in the reward


def test_a_rollout_that_could_not_be_scored_is_left_out_and_gets_zero() -> None:
    # the mean of 1, 0, 0 is 1/3; with the None as 0 it would be 1/4
    assert mean_centred([[1, None, 0, 0]]) == pytest.approx(np.array([[2 / 3, 0, -1 / 3, -1 / 3]]))
    # deviation of the three: sqrt((4/9 + 1/9 + 1/9) / 2) = sqrt(1/3)
    expected = np.array([[2 / 3, 0, -1 / 3, -1 / 3]]) / (math.sqrt(1 / 3) + EPSILON)
    assert group_standardised([[1, None, 0, 0]]) == pytest.approx(expected)


@pytest.mark.parametrize("name", CENTRED)
@pytest.mark.parametrize("group", [[None, None], [1.0, None], [None, 0.0]])
def test_a_group_without_two_scored_rollouts_has_no_advantage(name: str, group: list[float | None]) -> None:
    assert ADVANTAGES[name]([group, [1.0, 0.0]])[0].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("name", CENTRED)
@given(value=st.floats(-1e100, 1e100), size=st.integers(2, 17))
def test_equal_rewards_give_exactly_zero(name: str, value: float, size: int) -> None:
    # 3 rewards of 0.1 have a mean of 0.10000000000000002; divided by a tiny deviation that would be a gradient of noise
    assert not ADVANTAGES[name]([[value] * size]).any()


@pytest.mark.parametrize("name", sorted(set(CENTRED) - {"maxrl"}))  # maxrl divides by the mean
@given(rewards=groups, shift=st.integers(-1000, 1000))
def test_a_constant_added_to_all_rewards_changes_nothing(name: str, rewards: list[list[float]], shift: int) -> None:
    whole = [[float(round(value)) for value in group] for group in rewards]  # integers, so that the shift itself is exact
    shifted = [[value + shift for value in group] for group in whole]
    assert ADVANTAGES[name](shifted) == pytest.approx(ADVANTAGES[name](whole), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("name", CENTRED)
@given(rewards=groups)
def test_the_advantages_of_a_group_add_up_to_zero_and_keep_its_order(name: str, rewards: list[list[float]]) -> None:
    advantages = ADVANTAGES[name](rewards)
    for group, row in zip(rewards, advantages, strict=True):
        assert abs(row.sum()) <= 1e-9 * (1 + abs(row).sum() + (max(map(abs, group)) / EPSILON))
        best, worst = int(np.argmax(group)), int(np.argmin(group))
        assert row[best] >= row[worst]


@pytest.mark.parametrize("name", ADVANTAGES)
def test_the_order_of_groups_and_rollouts_does_not_matter(name: str) -> None:
    rewards: list[list[float | None]] = [[1, 0, None], [0.5, 0.25, 1]]
    turned = ADVANTAGES[name]([group[::-1] for group in rewards[::-1]])
    assert turned[::-1, ::-1] == pytest.approx(ADVANTAGES[name](rewards))


def test_advantages_of_a_rule_that_takes_off_for_wrong_answers_by_hand() -> None:
    # right, abstained, wrong, wrong: the mean is (1 + 0.25 - 0.5 - 0.5) / 4 = 0.0625
    paid = [1.0, 0.25, -0.5, -0.5]
    assert ADVANTAGES["mean"]([paid])[0] == pytest.approx([0.9375, 0.1875, -0.5625, -0.5625])
    # where nobody is right an abstention is still better than being wrong; where all are wrong nothing is to be learnt
    assert ADVANTAGES["mean"]([[0.25, -0.5, -0.5, -0.5]])[0] == pytest.approx([0.5625, -0.1875, -0.1875, -0.1875])
    for name in ("mean", "group_std", "rloo", "batch_std"):
        assert not ADVANTAGES[name]([[-0.5] * 4, paid])[0].any()
        higher = [[value + 0.5 for value in group] for group in ([-0.5] * 4, paid)]
        assert ADVANTAGES[name]([[-0.5] * 4, paid]) == pytest.approx(ADVANTAGES[name](higher))


@pytest.mark.parametrize("config", [RewardConfig(abstained=0.25, wrong=-0.5), RewardConfig(abstained=0.3)])
def test_practice_by_the_rule_learns_to_abstain_below_its_threshold_and_to_answer_above(config: RewardConfig) -> None:
    # what a policy is that only chooses, for problems it would get right with chance p, whether to answer
    chances = config.answers_above + np.array([-0.25, -0.1, 0.1, 0.25])
    statuses: tuple[Status, ...] = ("correct", "wrong", "abstained")
    paid = {status: shape(config, Verdict(status=status), "", 1, 2).total or 0.0 for status in statuses}
    rng, logits = np.random.default_rng(0), np.zeros((len(chances), 1))
    for _ in range(2000):
        answering = 1 / (1 + np.exp(-logits))
        answers, is_right = rng.random((2, len(chances), 16))
        answered, right = answers < answering, is_right < chances[:, None]
        rewards = np.where(answered, np.where(right, paid["correct"], paid["wrong"]), paid["abstained"])
        advantages = ADVANTAGES["mean"](rewards.tolist())
        logits += (advantages * (answered - answering)).mean(axis=1, keepdims=True)  # the gradient of log pi by the logit
    assert (logits.ravel() > 2).tolist() == [False, False, True, True]
    assert (logits.ravel() < -2).tolist() == [True, True, False, False]
