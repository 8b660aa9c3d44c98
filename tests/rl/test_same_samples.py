"""The same seed gives the same samples on any number of ranks and under any batch limits (float32 on CPUs).

A sample is drawn by inverting the distribution function at a number of its own random stream, so it changes only where
rounding moves a boundary across that number, about once in a million tokens. At the first step the weights are the same to
the bit. From then on they differ by rounding of the gradient (sums in another order), which the optimizer turns into
differences of about 1e-6 of a weight; so samples still agree, and log-probabilities to a stated tolerance.
"""

import gzip
import json

import pytest
from support import forked_ranks, launch

pytestmark = pytest.mark.slow
CUTS = {
    "one": (1, 512, 16384),
    "one in small pieces": (1, 5, 100),
    "two": (2, 512, 16384),
    "two in small pieces": (2, 9, 130),
}


@pytest.fixture(scope="module")
def runs(imitator, tmp_path_factory):
    """Rows of the rollout files of both steps, for each way to cut the work."""
    home = tmp_path_factory.mktemp("samples")
    found = {}
    for number, (name, (ranks, max_rows, tokens)) in enumerate(CUTS.items()):
        settings = [
            f"model.path={imitator}",
            "problems=[{domain: chain, terms: [2, 3]}]",
            f"run.dir={home}",
            f"run.name=run{number}",
            f"sampling={{max_completion_tokens: 24, max_rows: {max_rows}}}",
            "algorithm={num_problems: 8, group_size: 4, max_sampling_rounds: 2}",
            "optimizer={learning_rate: 1e-4, warmup_steps: 0}",
            f"train={{steps: 2, threads: 1, micro_batch_tokens: {tokens}}}",
        ]
        # under the launcher every rank has a hash seed of its own; forks share theirs
        if name == "two":
            ended = [launch(ranks, "rl.train", *settings, cwd=home)]
        else:
            ended = forked_ranks(ranks, "rl.train", *settings, cwd=home)
        for done in ended:
            assert done.returncode == 0, done.stderr[-3000:]
        files = sorted((home / f"run{number}" / "rollouts").iterdir())
        found[name] = [[json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()] for file in files]
    return found


@pytest.mark.parametrize("cut", list(CUTS)[1:])
@pytest.mark.parametrize("step", [0, 1])
def test_samples_do_not_depend_on_ranks_or_batch_limits(runs, cut, step):
    expected, found = runs["one"][step], runs[cut][step]
    assert len(expected) >= 32
    assert found == expected
