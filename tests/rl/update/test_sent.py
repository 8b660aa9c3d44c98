"""What the sheet says that ranks send is what real runs hand to torch's collectives, at every ZeRO stage, within a quarter."""

import json
from pathlib import Path
from statistics import fmean

import pytest
from support import forked_ranks

from rl.policy.tiny import make_tiny_model
from rl.settings.dry_run import model_shape
from rl.settings.rates import seen
from rl.settings.schema import TinyModelConfig
from rl.settings.traffic import Sent, sent

pytestmark = pytest.mark.slow
KINDS = {
    "gradients": ("all-reduce", "reduce", "reduce-scatter"),
    "weights": ("all-gather",),
    "rollouts": ("all-gather of a list",),
}
RUNS = {
    **{f"zero{stage}": [f"deepspeed.stage={stage}"] for stage in range(4)},
    **{f"bf16-zero{stage}": [f"deepspeed.stage={stage}", "model.dtype=bf16"] for stage in (0, 2, 3)},
    "adapters-zero2": ["deepspeed.stage=2", "model.lora.r=8"],
}
ON = {1: ["zero0", "zero3"], 2: list(RUNS), 4: [f"zero{stage}" for stage in range(4)]}  # runs by ranks


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with all runs, and what each step of each rank sent."""
    home = tmp_path_factory.mktemp("sent")
    # matrices of 128 x 1,024, which ZeRO 3 shards, and smaller ones, which it keeps whole
    shape = TinyModelConfig(hidden_size=128, intermediate_size=1024, layers=2, heads=2, max_positions=128)
    make_tiny_model(shape, home / "model", 0)
    common = [
        f"model.path={home / 'model'}", "problems=[{domain: chain, terms: [2, 3]}]", "sampling.max_completion_tokens=32",
        # a KL in the loss: every row is learned from, whatever it is paid
        "algorithm={num_problems: 4, group_size: 4, dynamic_sampling: false, kl_coef: 0.01}",
        "train={steps: 3, threads: 1, micro_batch_tokens: 200, self_check: false}", "reward.workers=1",
    ]  # fmt: skip
    for ranks, names in ON.items():
        runs = {name: [*common, *RUNS[name]] for name in names}
        for done in forked_ranks(ranks, "traffic_worker", home, json.dumps(runs), cwd=home):
            assert done.returncode == 0, done.stderr[-3000:]
    return home


def counted(home: Path, name: str, ranks: int) -> Sent:
    """Return what a rank sent in a step of a run: the mean over ranks and over steps, the first one left out."""
    files = [home / f"{name}-of-{ranks}-{rank}.json" for rank in range(ranks)]
    steps = [step for file in files for step in json.loads(file.read_text())[1:]]
    found = Sent(**{what: fmean(sum(step.get(kind, 0.0) for kind in kinds) for step in steps) for what, kinds in KINDS.items()})
    # while DeepSpeed learns the order of modules at ZeRO 3 ranks compare what they learned
    others = [sum(size for kind, size in step.items() if not any(kind in kinds for kinds in KINDS.values())) for step in steps]
    assert max(others) <= 0.01 * found.total
    return found


@pytest.mark.parametrize(("ranks", "name"), [(ranks, name) for ranks, names in ON.items() for name in names])
def test_ranks_send_what_the_sheet_says(home: Path, ranks: int, name: str) -> None:
    run = seen(home / f"{name}-of-{ranks}")
    shape = model_shape(str(home / "model"))
    assert shape is not None
    said, found = sent(run.config, shape, run.work, ranks), counted(home, name, ranks)
    assert said.total == pytest.approx(found.total, rel=0.25)
    for what in KINDS:
        # numbers and norms, which the sheet leaves out, are a hundredth of it at most
        assert getattr(said, what) == pytest.approx(getattr(found, what), rel=0.25, abs=0.01 * found.total), what
