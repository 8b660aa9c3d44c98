"""How often 95 % intervals hold the truth, in worlds where it is known: 5,000 evaluations of each."""

from collections.abc import Iterator

import numpy as np
import pytest

from rl.stats import intervals

DRAWS = 5000
# two standard deviations of a rate of 0.95 in 5,000 draws are 0.006; Wilson's interval itself, for one sample a problem, goes
# down to 0.938 (100 problems, mean 0.1) and up to 0.987 (10 problems): counts are whole, so no interval meets 0.95 everywhere
LOWEST = 0.93


def beta(rng, mean, spread, shape):
    """Chances in [0, 1] with this mean; spread 0: all alike, 1: all 0 or 1."""
    if spread == 0:
        return np.full(shape, mean)
    if spread == 1:
        return (rng.random(shape) < mean) * 1.0
    weight = 1 / spread - 1
    mean = np.clip(mean, 1e-9, 1 - 1e-9)
    return rng.beta(mean * weight, (1 - mean) * weight, shape)


def coverage(values, labels, truth):
    """The share of the experiments `values` [D, P] whose interval holds the truth, and the mean width."""
    _, low, high = intervals(values, labels)
    return float(np.mean((low <= truth) & (truth <= high))), float(np.mean(high - low))


def separate_worlds() -> Iterator[tuple[int, float, float, int]]:
    """Problems, true mean, spread of the problems' chances, samples a problem."""
    for problems in (10, 30, 100):
        for mean in (0.02, 0.1, 0.5):
            yield problems, mean, 0.0, 1
            yield problems, mean, 0.2, 16
            yield problems, mean, 0.7, 4
            yield problems, mean, 0.7, 16
    yield 1000, 0.02, 1.0, 1
    yield 1000, 0.9, 0.2, 16


@pytest.fixture(scope="module")
def separate():
    rng = np.random.default_rng(0)
    found = {}
    for problems, mean, spread, samples in separate_worlds():
        chances = beta(rng, mean, spread, (DRAWS, problems))
        values = rng.binomial(samples, chances) / samples
        found[problems, mean, spread, samples] = coverage(values, np.arange(problems), mean)
    return found


def test_the_interval_holds_the_truth_at_its_nominal_rate(separate):
    low = {world: rate for world, (rate, _) in separate.items() if rate < LOWEST}
    assert not low
    # over all worlds a little too often, never much: where problems are few the interval does not trust their spread
    assert 0.95 <= np.mean([rate for rate, _ in separate.values()]) <= 0.98
    many = [rate for (problems, *_), (rate, _) in separate.items() if problems == 1000]
    assert many == pytest.approx([0.95, 0.95], abs=0.01)


def test_a_sample_that_differs_makes_no_interval_shorter_than_none():
    # ten problems of 16 samples, none right, one right: the second must not pass for knowledge of how problems differ
    nothing, one = np.zeros((1, 10)), np.zeros((1, 10))
    one[0, 0] = 1 / 16
    ends = [float(intervals(values, np.arange(10))[2][0]) for values in (nothing, one)]
    assert ends[1] > 0.9 * ends[0]
    assert ends[1] < 0.4


CLUSTERED = [
    (clusters, size, is_uneven, mean, spread)
    for clusters, size in ((5, 4), (10, 5), (20, 10), (50, 4))
    for is_uneven in (False, True)
    for mean, spread in ((0.05, 0.5), (0.5, 0.1), (0.9, 0.5))
]


def clustered_values(rng, clusters, size, is_uneven, mean, spread):
    """Experiments [D, P] of four samples a problem, and the cluster of each problem; problems of one have one chance."""
    sizes = np.full(clusters, size)
    if is_uneven:
        sizes = np.maximum(1, np.round(2 * size * np.arange(1, clusters + 1) / (clusters + 1)).astype(int))
    labels = np.repeat(np.arange(clusters), sizes)
    chances = beta(rng, mean, spread, (DRAWS, clusters))[:, labels]
    return rng.binomial(4, chances) / 4, labels


def test_the_interval_of_clusters_holds_the_truth_too():
    rng = np.random.default_rng(1)
    found = {}
    for world in CLUSTERED:
        values, labels = clustered_values(rng, *world)
        found[world] = coverage(values, labels, world[3])
    assert not {world: rate for world, (rate, _) in found.items() if rate < LOWEST}
    assert np.mean([rate for rate, _ in found.values()]) <= 0.985


def test_problems_of_one_cluster_taken_for_independent_ones_would_not_do():
    values, _ = clustered_values(np.random.default_rng(2), 20, 10, False, 0.5, 0.5)
    rate, _ = coverage(values, np.arange(values.shape[1]), 0.5)
    assert rate < 0.6


if __name__ == "__main__":  # the table of LOG.md
    rng = np.random.default_rng(0)
    for problems, mean, spread, samples in separate_worlds():
        values = rng.binomial(samples, beta(rng, mean, spread, (DRAWS, problems))) / samples
        rate, width = coverage(values, np.arange(problems), mean)
        print(f"| {problems} | {mean} | {spread} | {samples} | {rate:.3f} | {width:.3f} |")
    for world in CLUSTERED:
        values, labels = clustered_values(rng, *world)
        rate, width = coverage(values, labels, world[3])
        print(f"| {world} | {rate:.3f} | {width:.3f} |")
