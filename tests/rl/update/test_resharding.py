"""A checkpoint on another number of ranks, or at another ZeRO stage, than wrote it."""

import json
from types import SimpleNamespace

import pytest
import torch
from resharding_worker import KINDS, STAGES
from support import forked_ranks

from rl.update.resharding import Flat, Piece, ReshardingError, Saved, partitions, shards, whole


def place(start, numel):
    return SimpleNamespace(start=start, numel=numel)


def test_of_a_weight_that_two_partitions_share_the_lower_rank_has_what_comes_first():
    # a (6 elements) and b (4) in partitions of 5: the last element of a begins the second
    found = partitions([[{"a": place(0, 5)}], [{"a": place(0, 1), "b": place(1, 4)}]])
    assert found == [
        [(Piece(name="a", start=0, size=5, place=0),)],
        [(Piece(name="a", start=5, size=1, place=0), Piece(name="b", start=0, size=4, place=1))],
    ]


def test_a_shard_is_an_equal_part_of_each_weight_and_what_fills_it_up_is_nobodys():
    # 7 elements over 3 ranks are parts of 3, 3 and 1; 2 elements are 1, 1 and 0
    shapes = [{"a": torch.Size([7]), "b": torch.Size([2, 1])}]
    assert shards(shapes, 0, 3) == [(Piece(name="a", start=0, size=3, place=0), Piece(name="b", start=0, size=1, place=3))]
    assert shards(shapes, 2, 3) == [(Piece(name="a", start=6, size=1, place=0), Piece(name="b", start=2, size=0, place=3))]


def flat(pieces, values, step=None):
    weights = torch.tensor(values)
    state = {} if step is None else {"step": torch.tensor(step), "exp_avg": 10 * weights, "exp_avg_sq": 100 * weights}
    return Flat(pieces=pieces, weights=weights, state=state)


def test_a_flat_tensor_is_put_together_from_stretches_wherever_they_lie():
    a, b = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], [8.0, 9.0]
    shapes = [{"a": torch.Size([7]), "b": torch.Size([2])}]
    # three shards of (a, b), the last filled up with a 0 that must not be taken for a weight
    values = [[*a[:3], b[0]], [*a[3:6], b[1]], [a[6], 0.0, 0.0, 0.0]]
    saved = Saved(flat(shards(shapes, n, 3)[0], values[n], step=4.0) for n in range(3))
    # a partition with the last five elements of a, then all of b, and two elements to fill it up
    wanted = (Piece(name="a", start=2, size=5, place=0), Piece(name="b", start=0, size=2, place=5))
    found = saved.gather(wanted, 9)
    expected = torch.tensor([3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 0.0, 0.0])
    assert torch.equal(found.weights, expected)
    assert torch.equal(found.state["exp_avg"], 10 * expected)
    assert torch.equal(found.state["exp_avg_sq"], 100 * expected)
    assert found.state["step"] == 4


def test_before_the_first_optimizer_step_there_is_no_state():
    assert Saved([flat(whole("a", 2), [1.0, 2.0])]).gather(whole("a", 2), 2).state == {}


def test_a_weight_that_was_never_moved_gets_the_step_count_of_those_beside_it():
    saved = Saved([flat(whole("a", 1), [1.0], step=5.0), flat(whole("b", 1), [2.0])])
    both = (Piece(name="a", start=0, size=1, place=0), Piece(name="b", start=0, size=1, place=1))
    state = saved.gather(both, 2).state
    assert state["step"] == 5
    assert torch.equal(state["exp_avg"], torch.tensor([10.0, 0.0]))
    assert saved.gather(whole("b", 1), 1).state == {}  # alone it is as new


def test_weights_that_a_checkpoint_does_not_hold_are_named():
    saved = Saved([flat((Piece(name="a", start=0, size=2, place=0),), [1.0, 2.0])])
    with pytest.raises(ReshardingError, match="lacks 1 of the 3 elements that this rank needs of a"):
        saved.gather(whole("a", 3), 3)


@pytest.fixture(scope="module")
def found(random_model, tmp_path_factory):
    """What engines on one rank and on two found wrong with each other's checkpoints, by pair."""
    home = tmp_path_factory.mktemp("resharding")
    pairs: dict[str, list[str]] = {}
    for task, ranks in (("save", 1), ("save", 2), ("load", 1)):
        for done in forked_ranks(ranks, "resharding_worker", task, home, random_model, cwd=home):
            assert done.returncode == 0, done.stderr[-3000:]
        pairs |= json.loads((home / f"{task}-{ranks}.json").read_text())
    return pairs


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("ranks", [1, 2])
def test_weights_moments_and_step_counts_are_those_of_the_checkpoint_whatever_wrote_it(found, ranks, stage, kind):
    these = {pair: faults for pair, faults in found.items() if pair.endswith(f" to {ranks}-{stage}-{kind}")}
    assert {f"{3 - ranks}-{old}-{kind} to {ranks}-{stage}-{kind}" for old in STAGES} <= these.keys()
    assert not any(these.values()), these
