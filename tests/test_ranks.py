"""One process and two, at every ZeRO stage, with and without LoRA: the same rollouts give the same gradient."""

import pytest
import torch
from support import REPOSITORY, launch, random_groups

from rl.batch import collate, make_batch
from rl.config import AlgorithmSettings, LoraSettings, ModelSettings
from rl.logprobs import TokenLogprobs
from rl.loss import token_loss
from rl.policy import load_model

pytestmark = pytest.mark.slow


def plain_gradients(path, lora: bool) -> dict[str, torch.Tensor]:
    """Return the gradients by plain torch, in one piece, without DeepSpeed."""
    torch.manual_seed(5)
    model = load_model(ModelSettings(path=str(path), lora=LoraSettings(r=4) if lora else None))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.02)
    batch = make_batch(random_groups(vocabulary=100), AlgorithmSettings(), 20)
    micro = collate(batch.rows, 0, torch.device("cpu"), "padded")
    scorer = TokenLogprobs(model, 1.0)
    logprobs, _ = scorer(micro.token_rows, micro.targets)
    result = token_loss(logprobs, micro.sampling_logprobs, micro.advantages, clip_low=0.2, clip_high=0.28)
    (result.loss * micro.weights).sum().backward()
    return {n: p.grad for n, p in scorer.named_parameters() if p.requires_grad}


@pytest.fixture(scope="module")
def expected(random_model):
    return {lora: plain_gradients(random_model, lora) for lora in (False, True)}


@pytest.fixture(scope="module", params=[1, 2], ids=["1 rank", "2 ranks"])
def found(request, random_model, tmp_path_factory):
    """A directory with what the engine found at every stage on this number of ranks."""
    output = tmp_path_factory.mktemp("gradients")
    path = f"{REPOSITORY}:{REPOSITORY / 'tests'}"
    done = launch(request.param, "gradient_worker", output, random_model, cwd=output, PYTHONPATH=path)
    assert done.returncode == 0, done.stderr[-3000:]
    return output


@pytest.mark.parametrize("kind", ["full", "lora"])
@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_gradient_is_the_same_on_any_number_of_ranks_and_any_zero_stage(found, expected, stage, kind):
    result, wanted = torch.load(found / f"{stage}-{kind}.pt"), expected[kind == "lora"]
    assert set(result["gradients"]) == set(wanted)
    for name, gradient in wanted.items():
        assert torch.allclose(result["gradients"][name], gradient, rtol=1e-4, atol=1e-7), name
    norm = torch.linalg.vector_norm(torch.cat([g.flatten() for g in wanted.values()]))
    assert result["norm"] == pytest.approx(norm.item(), rel=1e-4)
