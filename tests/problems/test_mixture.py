"""Mixtures: exact shares, and the k-th draw from a source is that source's item k."""

from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from problems.mixture import Mixture
from problems.types import Problem, ProblemError


@dataclass(frozen=True)
class Counting:
    """A source whose item says which source and which index it is."""

    name: str

    def get(self, split: str, index: int) -> Problem:
        return Problem(id=str(index), domain=self.name, split=split, prompt="", reference="", source=self.name)


def mixture(weights: list[float], seed: int = 0) -> Mixture:
    return Mixture([Counting(str(i)) for i in range(len(weights))], weights, seed)


@pytest.mark.parametrize(
    ("weights", "shares"),
    [
        ([1, 1], [500, 500]),
        ([0.98, 0.02], [980, 20]),
        ([1, 1, 1], [334, 333, 333]),  # 333.33 each: the rest of one goes to the first
        ([2, 1], [667, 333]),  # 666.67 and 333.33: the larger remainder gets the rest
        ([3, 5, 4], [250, 417, 333]),  # 250, 416.67, 333.33
        ([1e-9, 1e-9], [500, 500]),  # weights are relative
    ],
)
def test_every_block_of_a_thousand_holds_the_exact_shares(weights: list[float], shares: list[int]) -> None:
    mixed = mixture(weights)
    for block in range(3):
        found = Counter(mixed.get("train", block * 1000 + i).domain for i in range(1000))
        assert [found[str(i)] for i in range(len(weights))] == shares


@given(st.lists(st.floats(0.1, 100), min_size=2, max_size=5), st.integers(0, 2**63))
def test_the_kth_draw_from_a_source_is_its_item_k(weights: list[float], seed: int) -> None:
    mixed = mixture(weights, seed)
    drawn: dict[str, list[int]] = {}
    for index in range(1200):  # over the border of a block
        problem = mixed.get("train", index)
        drawn.setdefault(problem.domain, []).append(int(problem.id))
    assert all(items == list(range(len(items))) for items in drawn.values())


def test_items_do_not_depend_on_the_order_of_asking() -> None:
    forward, backward = mixture([2, 1]), mixture([2, 1])
    items = [forward.get("train", i) for i in range(2500)]
    assert [backward.get("train", i) for i in reversed(range(2500))] == items[::-1]


def test_seeds_and_splits_have_orders_of_their_own() -> None:
    def order(seed: int, split: str) -> list[str]:
        return [mixture([1, 1], seed).get(split, i).domain for i in range(100)]

    assert order(0, "train") == order(0, "train")
    assert order(0, "train") != order(1, "train")
    assert order(0, "train") != order(0, "test")


def test_the_sources_are_mixed_and_not_laid_end_to_end() -> None:
    first = Counter(mixture([1, 1]).get("train", i).domain for i in range(100))
    assert 25 <= first["0"] <= 75  # 50 expected, standard deviation under 5


def test_a_share_too_small_to_be_drawn_is_an_error() -> None:
    with pytest.raises(ProblemError, match=r"problems\.1 has less than 0\.05 %"):
        mixture([1.0, 1e-5]).get("train", 0)
