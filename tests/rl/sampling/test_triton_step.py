"""The Triton kernels of a decoding step against plain torch; on a CPU through Triton's interpreter (see test_fused.py)."""

from typing import Any

import numpy as np
import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

pytest.importorskip(
    "triton", reason="Triton is not installed: the kernels of a decoding step cannot be run, interpreted or not"
)

from rl.policy.attention import NAME
from rl.sampling import static, triton_step
from rl.sampling.fused import fuse
from rl.sampling.picking import pick
from rl.sampling.static import StaticDecoder, Way

SHAPE = {
    "vocab_size": 60, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 6,
    "num_key_value_heads": 3, "head_dim": 12,
}  # fmt: skip
CPU = torch.device("cpu")
PROMPT = np.arange(3, 20, dtype=np.int32)


def model_of(family: str) -> Any:
    torch.manual_seed(0)
    config, cls = {"qwen2": (Qwen2Config(**SHAPE), Qwen2ForCausalLM), "qwen3": (Qwen3Config(**SHAPE), Qwen3ForCausalLM)}[family]
    model = cls._from_config(config, attn_implementation=NAME).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


@torch.no_grad()
def states_of(model: Any, way: Way) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Last states of some steps of rows that come and go, and the cache of the rows in use."""
    decoder = StaticDecoder(model, fuse(model), 12, 40, way)
    decoder.join([0] * 3 + [1] * 2, [PROMPT, PROMPT[4:8]])
    states = [decoder.step(torch.tensor([7, 8, 9, 10, 11])).clone()]
    decoder.move(np.array([4]), np.array([0]), 4)
    decoder.join([0] * 6, [PROMPT])
    states += [decoder.step(torch.arange(10) + first).clone() for first in range(3)]
    return states, decoder.cache[:, :10]


@pytest.mark.parametrize("family", ["qwen2", "qwen3"])
def test_a_step_with_the_kernels_is_the_step_without(family):
    model = model_of(family)
    (plain, plain_cache), (mine, my_cache) = (states_of(model, way) for way in (Way.PLAIN, Way.TRITON))
    for expected, found in zip(plain, mine, strict=True):
        assert torch.allclose(found, expected, atol=1e-4)
    assert torch.allclose(my_cache, plain_cache, atol=1e-5)
    assert not all(torch.equal(a, b) for a, b in zip(mine, plain, strict=True))  # in other words: the kernels did run


@pytest.mark.parametrize("vocabulary", [3, 60, 4096, 9001])
@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_a_token_is_drawn_as_plain_torch_draws_it(vocabulary, temperature):
    generator = torch.Generator().manual_seed(vocabulary)
    logits = 4 * torch.randn(40, vocabulary, generator=generator)
    logits[:, 1] = -torch.inf
    logits[5:7, 2:] = -torch.inf  # one token is left
    uniforms = torch.rand(40, generator=generator)
    uniforms[:2] = 0
    uniforms[2:4] = 1 - 2**-24  # the largest below 1
    ids, logprobs, entropies = triton_step.draw(logits, uniforms, temperature)
    expected = pick(logits.clone(), uniforms, temperature)
    inner = [0, 1, *range(4, 40)]  # at the upper edge rounding decides among the last tokens
    assert ids[inner].tolist() == expected[0][inner].tolist()
    assert torch.isfinite(logits[torch.arange(40), ids]).all()
    assert torch.allclose(logprobs[inner], expected[1][inner], atol=1e-5)
    assert torch.allclose(entropies, expected[2], atol=1e-4)
    assert ids[5:7].tolist() == [0, 0]


def test_the_check_at_the_start_tells_a_sound_kernel_from_a_wrong_one(monkeypatch):
    assert max(triton_step.errors_of_draw(CPU, rows=9, vocabulary=5000).values()) < 1e-5
    monkeypatch.setattr(triton_step, "draw", lambda logits, uniforms, temperature: pick(logits.clone(), uniforms, 1.0))
    assert triton_step.errors_of_draw(CPU, rows=9, vocabulary=5000)["entropy"] > 0.1


def test_kernels_that_raise_or_are_wrong_leave_the_step_to_plain_torch(monkeypatch):
    model = model_of("qwen2")
    weights = fuse(model)
    monkeypatch.setattr(triton_step, "swiglu", lambda gate_up: gate_up.chunk(2, -1)[0])
    assert not static._agrees(model, weights, Way.TRITON)
    monkeypatch.setattr(triton_step, "swiglu", lambda gate_up: 1 / 0)
    assert not static._agrees(model, weights, Way.TRITON)
