"""Models made once a session, and the order of the files."""

import fcntl
import os
import shutil
from collections.abc import Iterator

os.environ.setdefault("WANDB_MODE", "disabled")
os.environ.setdefault("OMP_NUM_THREADS", "1" if "PYTEST_XDIST_WORKER" in os.environ else "2")
os.environ.setdefault("TRITON_INTERPRET", "1")  # before anything imports Triton: its kernels run on the CPU

from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# property tests are the same on every machine: no clock decides, no chance, no memory of earlier runs
settings.register_profile("lab", deadline=None, derandomize=True, database=None)
settings.load_profile("lab")


# The Makefile runs the tests in two processes, a file in one of them: those that take longest come first, or one ends alone.
LONGEST = (
    "test_architectures.py", "test_code_suite.py", "test_code_programs.py", "test_code_references.py", "test_code_sandbox.py",
    "test_planted.py", "test_bench.py", "test_selfcheck_faults.py", "test_resume.py", "test_pipeline.py", "test_selfcheck.py",
    "test_endings.py", "test_sft.py", "test_ranks.py", "test_math_hostile.py", "test_same_samples.py", "test_decoders.py",
    "test_symbolic_process.py", "test_domains.py", "test_rollout.py", "test_sampler.py", "test_config.py",
)  # fmt: skip
# these go to the same process: one of them counts all sandboxes of the machine
SANDBOXES = ("tests/rewards/code/", "tests/rl/diagnosis/test_planted.py", "tests/launch/health/test_container.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; the order of the others, and of the tests of a file, stays."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.hookimpl(optionalhook=True)  # there is none without pytest-xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Deal out whole files, in their order."""
    from xdist.scheduler import LoadScopeScheduling

    class InOrder(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return SANDBOXES[0] if nodeid.startswith(SANDBOXES) else nodeid.partition("::")[0]

    config.option.loadscopereorder = False  # it would put the files of most tests first
    return InOrder(config, log)


@pytest.fixture(scope="session")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a tiny model of random weights and its tokenizer."""
    from rl.policy.tiny import make_tiny_model
    from rl.settings.schema import TinyModelConfig

    directory = tmp_path_factory.mktemp("models") / "random"
    make_tiny_model(TinyModelConfig(hidden_size=32, intermediate_size=64, layers=2, heads=2, max_positions=128), directory, 0)
    return directory


COMMIT = "0123456789abcdef0123456789abcdef01234567"  # of the model in the hub's cache


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The hub's address is one where nobody answers."""
    from rl.policy.paths import hub_answers

    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    hub_answers.cache_clear()
    yield
    hub_answers.cache_clear()


@pytest.fixture
def hub_name(no_network: None, random_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a hub model that the cache holds, at COMMIT and at no other; there is no network."""
    cached = tmp_path / "cache" / "models--owner--name"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text(COMMIT)
    shutil.copytree(random_model, cached / "snapshots" / COMMIT)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("transformers.utils.hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    return "owner/name"


@pytest.fixture(scope="session")
def imitator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a model that writes well-formed answers to `chain` and is sometimes right: ten seconds' cold start.

    Where several processes run the tests, one of them makes it for all.
    """
    own = tmp_path_factory.getbasetemp()
    home = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "imitator"
    home.mkdir(exist_ok=True)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        model = home / "sft" / "model"
        return model if model.is_dir() else make_imitator(home)


def make_imitator(home: Path, styles: str = "{direct: 0.7, steps: 0.3}") -> Path:
    """Train an imitator in a directory; return that of the model."""
    from rl.settings.loading import load_config
    from rl.settings.schema import SftConfig
    from rl.sft import run_sft

    chosen = [
        f"run.dir={home}",
        "run.name=sft",
        "model.tiny={hidden_size: 32, intermediate_size: 64, layers: 2, heads: 2, max_positions: 128}",
        "problems=[{domain: chain, terms: [2, 3]}]",
        f"styles={styles}",
        "sft={steps: 100, rows: 16, row_tokens: 64, learning_rate: 1e-2, warmup_steps: 10, threads: 1}",
    ]
    return run_sft(load_config(SftConfig, [], chosen))
