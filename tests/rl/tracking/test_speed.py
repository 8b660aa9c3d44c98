"""Tokens a second and the use of the peak, against numbers worked out by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from support import random_groups
from support_pure import ROOT

from rl.settings.loading import load_config
from rl.settings.schema import RunConfig
from rl.tracking.metrics import distributions
from rl.tracking.speed import mfu, multiplied_weights, peak_operations, speeds
from rl.types import Batch, Drawn
from rl.update.batch import uniform_row


def config(*overrides: str) -> RunConfig:
    return load_config(RunConfig, [ROOT / "configs" / "demo.yaml"], list(overrides)).config


def drawn() -> Drawn:
    return Drawn(groups=tuple(random_groups(20, count=2, size=3)), rounds=1, cursor=2, sample_seconds=0.5, score_seconds=0.1)


class Tiny(torch.nn.Module):
    """An embedding of 10 x 4, a layer of 4 x 4 and a head, its own or the embedding."""

    def __init__(self, *, tied: bool, **experts: int):
        super().__init__()
        self.embedding, self.layer = torch.nn.Embedding(10, 4), torch.nn.Linear(4, 4, bias=False)
        self.head = torch.nn.Linear(4, 10, bias=False)
        if tied:
            self.head.weight = self.embedding.weight
        self.config = SimpleNamespace(get_text_config=lambda: SimpleNamespace(**experts))

    def get_input_embeddings(self) -> torch.nn.Module:
        return self.embedding

    def get_output_embeddings(self) -> torch.nn.Module:
        return self.head


def test_a_token_is_multiplied_with_all_weights_but_the_row_that_is_looked_up() -> None:
    assert multiplied_weights(Tiny(tied=False)) == 16 + 40  # layer and head
    assert multiplied_weights(Tiny(tied=True)) == 16 + 40
    assert multiplied_weights(Tiny(tied=True, num_experts=8)) is None


def test_the_peak_of_a_card_is_found_by_whole_words() -> None:
    assert peak_operations("NVIDIA H100 80GB HBM3") == 989e12
    assert peak_operations("NVIDIA H100 PCIe") == 756e12
    assert peak_operations("NVIDIA A100-SXM4-40GB") == 312e12
    assert peak_operations("NVIDIA L40S") == 362e12
    assert peak_operations("NVIDIA L4") == 121e12
    assert peak_operations("NVIDIA A10G") is None  # slower than an A10
    assert peak_operations("NVIDIA GeForce RTX 4090") is None


def test_mfu_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    bf16 = config("model.dtype=bf16")
    # 6 operations x 5e8 weights x 20,000 tokens = 6e13 in 0.2 s are 3e14 a second: of 1e15, 0.3
    assert mfu(bf16, 500_000_000, 1e15, 20_000, 0.2) == pytest.approx(0.3)
    assert mfu(config("model.dtype=bf16", "model.lora.r=8"), 500_000_000, 1e15, 20_000, 0.2) == pytest.approx(0.2)  # 4 of 6
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert mfu(bf16, 500_000_000, 1e15, 20_000, 0.2) == pytest.approx(0.15)
    assert mfu(bf16, None, 1e15, 1, 1.0) is None
    assert mfu(config(), 1, 1e15, 1, 1.0) is None  # float32


def test_the_speeds_of_a_step() -> None:
    step = drawn()
    rollouts = step.rollouts
    prompts, completions = (sum(len(getattr(one, f"{part}_ids")) for one in rollouts) for part in ("prompt", "completion"))
    timing = {"sample": 0.5, "score": 0.1, "train": 0.25, "step_time": 1.0}
    prompt, row = np.arange(7, dtype=np.int32), np.arange(5, dtype=np.int32)
    batch = Batch(rows=(uniform_row(prompt, row, np.zeros(5, np.float32)),) * 4, num_loss_tokens=50, num_skipped_rows=6)
    found = speeds(config(), Tiny(tied=True), step, [batch], timing)
    assert found["perf/tokens_per_second"] == prompts + completions
    assert found["perf/sampled_tokens_per_second"] == completions / 0.5
    assert found["perf/trained_tokens_per_second"] == 4 * 5 / 0.25  # not the 50 of the denominator: six rows have no gradient
    shares = {name.rpartition("/")[2]: value for name, value in found.items() if "time_share" in name}
    assert shares == pytest.approx({"sample": 0.5, "score": 0.1, "train": 0.25, "rest": 0.15})
    assert ("perf/mfu" in found) is False  # of a CPU nobody knows the peak
    beside = speeds(config("train.one_step_off=true"), Tiny(tied=True), step, [], timing)
    assert set(beside) == {"perf/tokens_per_second"}


def test_what_is_worth_a_histogram() -> None:
    step = drawn()
    found = distributions(step)
    assert len(found["train/distribution/reward"]) == sum(len(group.totals) for group in step.groups)
    assert found["train/distribution/completion_length"] == [float(one.completion.num_tokens) for one in step.rollouts]
