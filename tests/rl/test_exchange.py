"""Two ranks over gloo: what they tell each other arrives whole, and a model that both open stands in memory once."""

import json
from pathlib import Path
from typing import Any

import pytest
from support import REPOSITORY, launch

from rl.policy.tiny import make_tiny_model
from rl.settings.schema import TinyModelConfig

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """A directory with random weights, and their size in MiB."""
    home = tmp_path_factory.mktemp("model")
    directory = home / "model"
    make_tiny_model(TinyModelConfig(hidden_size=512, intermediate_size=2048, layers=8, heads=8, max_positions=64), directory, 0)
    return directory, (directory / "model.safetensors").stat().st_size / 2**20


@pytest.fixture(scope="module")
def findings(model: tuple[Path, float], tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    home = tmp_path_factory.mktemp("ranks")
    support = f"{REPOSITORY}:{REPOSITORY / 'tests' / 'support'}"
    done = launch(2, "ranks_worker", home, model[0], cwd=home, PYTHONPATH=support)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads((home / f"rank-{number}.json").read_text()) for number in range(2)]


def test_every_rank_hears_what_every_rank_says(findings: list[dict[str, Any]]) -> None:
    assert [found["heard"] for found in findings] == [[True, True], [True, True]]
    assert [found["sums"] for found in findings] == [[3, 10], [3, 10]]


def test_no_group_gives_a_late_rank_less_than_an_hour(findings: list[dict[str, Any]]) -> None:
    assert [found["patience"] for found in findings] == [3600, 3600]


def test_ranks_that_open_a_model_share_its_pages(findings: list[dict[str, Any]], model: tuple[Path, float]) -> None:
    assert findings[0]["read"] == findings[1]["read"]
    together = sum(found["held"] for found in findings)
    assert 0.8 * model[1] < together < 1.5 * model[1]


def test_ranks_that_see_different_checkpoints_stop_and_may_try_again(findings: list[dict[str, Any]]) -> None:
    for found in findings:
        status, words = found["checkpoints"]
        assert status == 1
        assert "(rank 0: step-000000, rank 1: step-000001)" in words


def test_without_a_file_system_that_all_share_no_checkpoint_is_taken_for_whole(findings: list[dict[str, Any]]) -> None:
    for found in findings:
        status, words = found["directories"]
        assert status == 2
        assert "is another directory for rank 1 than for rank 0" in words
