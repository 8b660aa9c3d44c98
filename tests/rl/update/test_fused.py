"""The Triton kernels of the update against float64 and against plain torch; on a CPU through Triton's interpreter.

Without Triton installed (it comes with torch's builds for GPUs, `pip install triton` brings it to a CPU) these are skipped.
"""

import copy
import os
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from support_flash import reference, reference_backward

pytest.importorskip("triton", reason="Triton is not installed: the kernels of the update cannot be run, interpreted or not")

from rl.policy.attention import NAME
from rl.policy.opening import add_adapters
from rl.settings.schema import LoraSettings
from rl.types import Row
from rl.update import fused, judge, kernels, packing, triton_attention, triton_head, triton_layers
from rl.update.batch import collate, uniform_row
from rl.update.fused import Fused, choose
from rl.update.logprobs import TokenLogprobs

IS_COMPILED = torch.cuda.is_available() and os.environ["TRITON_INTERPRET"] == "0"  # conftest.py sets it where nobody has
DEVICE = torch.device("cuda" if IS_COMPILED else "cpu")
SHAPE = {
    "vocab_size": 60, "hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2,
}  # fmt: skip
LAYER_KINDS = frozenset({"norm", "swiglu", "rotary"})


def model_of(family: str) -> Any:
    torch.manual_seed(0)
    config, cls = {
        "llama": (transformers.LlamaConfig(**SHAPE), transformers.LlamaForCausalLM),
        "mistral": (transformers.MistralConfig(**SHAPE, sliding_window=None), transformers.MistralForCausalLM),
        "qwen2": (transformers.Qwen2Config(**SHAPE), transformers.Qwen2ForCausalLM),
        "qwen3": (transformers.Qwen3Config(**SHAPE, head_dim=16), transformers.Qwen3ForCausalLM),
        "gpt2": (
            transformers.GPT2Config(
                vocab_size=60, n_embd=48, n_layer=1, n_head=4, attn_pdrop=0.0, resid_pdrop=0.0, embd_pdrop=0.0
            ),
            transformers.GPT2LMHeadModel,
        ),
    }[family]
    model = cls._from_config(config, attn_implementation=NAME)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name or name.endswith("bias"):  # which begin as ones and zeros
                parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def rows_of(seed: int) -> list[Row]:
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(2):
        prompt = rng.integers(0, 60, rng.integers(2, 6)).astype(np.int32)
        for _ in range(3):
            length = rng.integers(2, 7)
            tokens = rng.integers(0, 60, length).astype(np.int32)
            rows.append(uniform_row(prompt, tokens, np.zeros(length, np.float32), advantage=1.0, weight=1.0))
    return rows


def results(model: Any, kinds: frozenset[str], layout: Any) -> list[torch.Tensor]:
    """Log-probabilities, entropies, and the gradient of every trained weight."""
    policy = TokenLogprobs(copy.deepcopy(model), 0.8, buffer_elements=60 * 7).to(DEVICE)
    Fused(kinds=kinds).applied(policy)
    micro = collate(rows_of(3), 0, DEVICE, layout)
    logprobs, entropies = policy(micro.token_rows, micro.targets)
    torch.manual_seed(1)
    (logprobs @ torch.randn(len(logprobs)).to(DEVICE) + entropies @ torch.randn(len(entropies)).to(DEVICE)).backward()
    return [logprobs.detach(), entropies.detach(), *(p.grad for p in policy.parameters() if p.grad is not None)]


def apart(found: list[torch.Tensor], expected: list[torch.Tensor]) -> float:
    assert len(found) == len(expected)
    return max(float((a - b).norm() / b.norm().clamp(min=1e-6)) for a, b in zip(found, expected, strict=True))


def right(errors: judge.Errors, dtype: torch.dtype) -> bool:
    if IS_COMPILED or dtype == torch.float32:
        return all(error.is_sound for error in errors.values())
    return all(error.kernel < 1e-2 for error in errors.values())  # the interpreter cuts off where a GPU rounds


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_kernel_agrees_with_float64_at_sizes_within_and_across_its_blocks(dtype):
    for tokens, vocabulary in ((3, 61), (1, 4096), (2, 5003)):
        assert right(judge.errors_of_head(tokens, vocabulary, dtype, DEVICE), dtype)
    for rows, width in ((1, 24), (70, 128), (5, 5000)):
        assert right(judge.errors_of_norm(rows, width, dtype, DEVICE), dtype)
    assert right(judge.errors_of_swiglu(3, 900, dtype, DEVICE), dtype)
    for heads, kv_heads, size in ((14, 2, 64), (3, 3, 24)):
        assert right(judge.errors_of_rotary(3, heads, kv_heads, size, dtype, DEVICE), dtype)
        assert right(judge.errors_of_attention(11, heads, size, dtype, DEVICE), dtype)


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2", "qwen3"])
@pytest.mark.parametrize("layout", ["shared", "padded"])
def test_a_model_with_all_kernels_is_the_model_without(family, layout):
    model = model_of(family)
    plain, mine = (results(model, kinds, layout) for kinds in (frozenset(), LAYER_KINDS | {"head"}))
    assert apart(mine, plain) < 1e-4
    # in other words: the kernels did run
    assert not all(torch.equal(a, b) for a, b in zip(mine, plain, strict=True))


@pytest.mark.parametrize("family", ["qwen2", "qwen3"])
def test_adapters_learn_the_same_with_all_kernels_and_frozen_weights_get_no_gradient(family):
    model = add_adapters(model_of(family), LoraSettings(r=2))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:  # zero at first: nothing would reach lora_A
                parameter.normal_()
    plain, mine = (results(model, kinds, "shared") for kinds in (frozenset(), LAYER_KINDS | {"head"}))
    assert len(plain) == 2 + sum("lora_" in name for name, _ in model.named_parameters())
    assert apart(mine, plain) < 1e-3


def test_what_is_switched_off_again_is_transformers_own_and_a_copy_keeps_its_own_weights():
    model = model_of("qwen3")
    fused.use(model, LAYER_KINDS)
    norm = copy.deepcopy(model).model.norm
    assert norm.forward.__self__ is norm
    assert norm.forward.__self__ is not model.model.norm
    fused.use(model, frozenset())
    assert all("forward" not in vars(module) for module in model.modules())


def test_the_merging_of_two_softmaxes_goes_through_the_kernels(monkeypatch):
    monkeypatch.setattr(kernels, "flash_forward", reference)
    monkeypatch.setattr(kernels, "flash_backward", reference_backward)
    monkeypatch.setattr(packing, "takes_flash", lambda query: True)
    calls: list[str] = []

    def counting(name: str, *arguments: Any) -> Any:
        calls.append(name)
        return kernel_of[name](*arguments)

    kernel_of = {name: getattr(triton_attention, name) for name in ("merge", "add_rows")}
    for name in kernel_of:
        monkeypatch.setattr(triton_attention, name, partial(counting, name))
    model = model_of("qwen2")
    plain, mine = (results(model, kinds, "shared") for kinds in (frozenset(), LAYER_KINDS | {"attention"}))
    assert apart(mine, plain) < 1e-4
    assert calls.count("merge") == 2
    assert calls.count("add_rows") == 2 * 3


def test_a_kernel_that_raises_or_is_wrong_is_left_to_plain_torch_in_words(monkeypatch):
    def broken(*_: object) -> None:
        raise RuntimeError("ptxas died\nof something")

    def wrong(gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        return gate * up

    monkeypatch.setattr(triton_head, "look", broken)
    monkeypatch.setattr(triton_layers, "swiglu", wrong)
    monkeypatch.setattr(fused, "_NUMBERS", 1000)  # interpreted, the real one takes minutes
    checks = fused.checks_of(model_of("qwen2"), torch.float32, DEVICE)
    faults = {kind: fused._fault(check) for kind, check in checks.items()}
    assert faults["head"] == "RuntimeError: ptxas died"
    assert "output is" in str(faults["swiglu"])
    assert faults["norm"] is None
    assert faults["rotary"] is None


def test_off_a_gpu_and_where_they_are_not_wanted_there_are_none():
    assert choose(model_of("qwen2"), torch.device("cpu"), True) == Fused()
    assert choose(model_of("qwen2"), torch.device("cuda"), False) == Fused()


def test_a_model_of_another_family_has_a_fused_head_and_keeps_its_own_layers():
    model = model_of("gpt2")
    assert set(fused.checks_of(model, torch.float32, DEVICE)) == {"head"}
    plain, mine = (results(model, kinds, "shared") for kinds in (frozenset(), LAYER_KINDS | {"head"}))
    assert apart(mine, plain) < 1e-4
