"""One process and two, at every ZeRO stage, with and without LoRA: the same rollouts give the same gradient."""

from typing import Any

import pytest
import torch
from gradient_worker import LAYOUTS, LOSS_SETTINGS, OTHER_LOSSES
from support import batch_loss, forked_ranks, random_groups

from rl.policy.opening import load_model
from rl.settings.algorithm import AlgorithmSettings
from rl.settings.schema import LoraSettings, ModelSettings
from rl.train import minibatches
from rl.update.batch import make_batch, uniform_row
from rl.update.logprobs import TokenLogprobs
from rl.update.recompute import completion_logprobs

pytestmark = pytest.mark.slow


def plain_gradients(path, lora: bool, settings: AlgorithmSettings, part: int = 0) -> dict[str, Any]:
    """Return the gradients by plain torch, in one piece, without DeepSpeed."""
    torch.manual_seed(5)
    model = load_model(ModelSettings(path=str(path), lora=LoraSettings(r=4) if lora else None))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.02)
    batch = make_batch(minibatches(random_groups(vocabulary=100), settings.minibatches)[part], settings, 20)
    scorer = TokenLogprobs(model, 1.0)
    batch_loss(scorer, batch, [range(len(batch.rows))], settings, "padded")[0].backward()
    return {n: p.grad for n, p in scorer.named_parameters() if p.requires_grad}


@pytest.fixture(scope="module")
def expected(random_model):
    return {lora: plain_gradients(random_model, lora, AlgorithmSettings()) for lora in (False, True)}


@pytest.fixture(scope="module", params=[1, 2], ids=["1 rank", "2 ranks"])
def found(request, random_model, tmp_path_factory):
    """A directory with what the engine found at every stage on this number of ranks."""
    output = tmp_path_factory.mktemp("gradients")
    for done in forked_ranks(request.param, "gradient_worker", output, random_model, cwd=output):
        assert done.returncode == 0, done.stderr[-3000:]
    return output


@pytest.mark.parametrize("kind", ["full", "lora"])
@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_gradient_is_the_same_on_any_number_of_ranks_and_any_zero_stage(found, expected, stage, kind):
    check(torch.load(found / f"{stage}-{kind}.pt"), expected[kind == "lora"])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_gradient_is_the_same_in_any_layout_with_every_weight_sharded(found, expected, layout):
    check(torch.load(found / f"sharded-{layout}.pt"), expected[False])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_kept_of_an_update_is_each_completions_own_on_any_number_of_ranks(found, random_model, layout):
    scorer = TokenLogprobs(load_model(ModelSettings(path=str(random_model))), 1.0)
    rollouts = [rollout for group in random_groups(vocabulary=100) for rollout in group.rollouts]
    rows = [uniform_row(rollout.prompt_ids, rollout.completion_ids, rollout.sampling_logprobs) for rollout in rollouts]
    exact = completion_logprobs(lambda *asked: scorer(*asked)[0], rows, 1000, "padded", 0)
    gaps = torch.load(found / f"sharded-{layout}.pt")["gaps"]
    assert sum(gap is not None for gap in gaps) > 4  # those with an advantage of 0 are in no pass
    for gap, row, logprobs in zip(gaps, rows, exact, strict=True):
        assert gap is None or torch.allclose(gap, torch.from_numpy(logprobs - row.sampling_logprobs), atol=1e-4)


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_gradient_checkpointing_changes_nothing_under_deepspeed(found, expected, stage):
    check(torch.load(found / f"{stage}-checkpointing.pt"), expected[False])


def error_of(result, wanted) -> float:
    """Return how far gradients are from `wanted`, of its norm; the norm that DeepSpeed reports is theirs."""
    flat, exact = (torch.cat([g[name].float().flatten() for name in wanted]) for g in (result["gradients"], wanted))
    assert result["norm"] == pytest.approx(torch.linalg.vector_norm(exact).item(), rel=0.02)
    return float(torch.linalg.vector_norm(flat - exact) / torch.linalg.vector_norm(exact))


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_bf16_is_near_the_float32_gradient(found, expected, stage):
    # weights and activations have 8 bits, about 0.4 % each; what is wrong by a scale or a micro-batch is off by far more
    assert error_of(torch.load(found / f"{stage}-bf16.pt"), expected[False]) < 0.05


@pytest.mark.parametrize("stage", [1, 2])
def test_micro_batches_added_up_in_float32_are_no_farther_from_it(found, expected, stage):
    plain, summed = (error_of(torch.load(found / f"{stage}-bf16{how}.pt"), expected[False]) for how in ("", "-summed"))
    assert 0 < summed <= plain  # the same where each rank has too few micro-batches to tell


@pytest.mark.parametrize("part", [0, 1, 2])
def test_each_minibatch_has_a_gradient_of_its_own(found, random_model, part):
    settings = AlgorithmSettings(minibatches=3)
    check(torch.load(found / f"part{part}.pt"), plain_gradients(random_model, False, settings, part))


@pytest.mark.parametrize("loss", OTHER_LOSSES)
def test_other_losses_have_the_same_gradient_on_any_number_of_ranks(found, random_model, loss):
    settings = AlgorithmSettings(loss=loss, **LOSS_SETTINGS)
    check(torch.load(found / f"{loss}.pt"), plain_gradients(random_model, False, settings))


def check(result, wanted):
    assert set(result["gradients"]) == set(wanted)
    for name, gradient in wanted.items():
        assert torch.allclose(result["gradients"][name], gradient, rtol=1e-4, atol=1e-7), name
    norm = torch.linalg.vector_norm(torch.cat([g.flatten() for g in wanted.values()]))
    assert result["norm"] == pytest.approx(norm.item(), rel=1e-4)
