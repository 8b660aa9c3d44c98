"""What a GPU would be given, without one: the CUDA branches on meta tensors, which have shapes, strides and types."""

from typing import Any, get_args

import numpy as np
import pytest
import torch
from support_flash import reference, reference_backward
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import Qwen2Config, Qwen2ForCausalLM

from rl.policy.attention import NAME, takes_flash
from rl.settings.algorithm import AlgorithmSettings, LossName
from rl.types import Row
from rl.update import kernels, packing
from rl.update.batch import collate, uniform_row
from rl.update.logprobs import TokenLogprobs
from rl.update.packing import pack
from rl.update.step import micro_batch_loss, observe

META = torch.device("meta")
FORWARD = torch.ops.aten._scaled_dot_product_efficient_attention.default
FLASH_FORWARD = torch.ops.aten._flash_attention_forward.default
FLASH_BACKWARD = torch.ops.aten._flash_attention_backward.default
BACKWARD = torch.ops.aten._scaled_dot_product_efficient_attention_backward.default


def qwen2() -> Any:
    config = Qwen2Config(
        vocab_size=60, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2
    )
    return Qwen2ForCausalLM._from_config(config, attn_implementation=NAME)


def rows_of(seed: int, groups: int, members: int, longest: int) -> list[Row]:
    rng = np.random.default_rng(seed)

    def tokens(count: int | np.integer) -> np.ndarray:
        return rng.integers(0, 60, count).astype(np.int32)

    rows = []
    for _ in range(groups):
        prompt = tokens(rng.integers(1, 9))
        for _ in range(members):
            length = rng.integers(2, longest)
            rows.append(uniform_row(prompt, tokens(length), np.zeros(length, np.float32), advantage=1.0, weight=1.0))
    return rows


class Watch(TorchDispatchMode):
    """Holds every call of the fused kernels against what their CUDA sources demand (torch 2.13)."""

    def __init__(self) -> None:
        super().__init__()
        self.widths: list[int] = []  # of the queries that went backward
        self.flash = 0  # calls forward and backward

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is FORWARD:
            query, key, value = args[:3]
            assert query.shape[1] == key.shape[1] == value.shape[1], "the kernel knows no grouped queries"
            assert query.stride(-1) == key.stride(-1) == value.stride(-1) == 1
        if function in (FLASH_FORWARD, FLASH_BACKWARD):
            self.flash += 1
            self._check_flash(args, backward=function is FLASH_BACKWARD)
        if function is BACKWARD:
            gradient, query, key, value, _, output, normaliser = args[:7]
            batch, heads, width, _ = query.shape
            self.widths.append(width)
            assert gradient.shape == query.shape == output.shape
            assert gradient.stride(-1) == query.stride(-1) == key.stride(-1) == value.stride(-1) == output.stride(-1) == 1
            assert normaliser.dtype == torch.float32
            # attention_backward.cu: rows padded to blocks of 32; kernel_backward.h: "LSE is not correctly aligned (strideH)"
            assert normaliser.shape == (batch, heads, -(-width // 32) * 32)
            assert normaliser.stride(-1) == 1
            assert normaliser.stride(1) % 8 == 0
            assert normaliser.stride(0) % 8 == 0
        return function(*args, **(kwargs or {}))

    @staticmethod
    def _check_flash(args: Any, *, backward: bool) -> None:
        """What flash_api.cpp checks of stretches one behind the other."""
        query, key, value = args[1:4] if backward else args[:3]
        query_starts, key_starts, longest_query, longest_key = args[6:10] if backward else args[3:7]
        assert query.dtype == key.dtype == value.dtype == torch.bfloat16
        assert query.stride(-1) == key.stride(-1) == value.stride(-1) == 1
        assert query_starts.dtype == key_starts.dtype == torch.int32
        assert query_starts.shape == key_starts.shape
        assert 0 < longest_query <= len(query)
        assert 0 < longest_key <= len(key)
        if backward:
            gradient, output, normaliser = args[0], args[4], args[5]
            assert gradient.shape == output.shape == query.shape
            assert gradient.is_contiguous()
            assert normaliser.is_contiguous()
            assert (normaliser.shape, normaliser.dtype) == (query.shape[1::-1], torch.float32)


@pytest.mark.parametrize("kv_heads", [2, 14])
def test_every_width_meets_what_the_backward_kernel_demands(kv_heads):
    for width in range(1, 131):
        heads = 14
        states, normaliser = torch.empty(3, width, heads, 64, device=META), torch.empty(3, width, heads, device=META)
        keys = torch.empty(3, width, kv_heads, 64, device=META)
        # as packing hands them over: [b, T, h, d] and [b, T, h], seen from the side
        query, key, value = (part.transpose(1, 2) for part in (states, keys, keys))
        with Watch() as watch:
            gradients = kernels.backward(
                query, query, key, value, query, normaliser.transpose(1, 2), causal=True, scaling=0.125
            )
        assert watch.widths == [width]
        assert [gradient.shape for gradient in gradients] == [query.shape, key.shape, key.shape]


@pytest.mark.parametrize("width", [1, 31, 32, 33, 64, 96, 300])
def test_the_forward_kernel_returns_one_log_sum_exp_a_query(width):
    query = torch.empty(2, 4, width, 16, device=META, dtype=torch.bfloat16)
    key = torch.empty(2, 2, 40, 16, device=META, dtype=torch.bfloat16)
    with Watch():
        output, normaliser = kernels.forward(query, key, key, causal=False, scaling=1.0)
    assert output.shape == query.shape
    assert normaliser.shape == (2, 4, width)
    assert normaliser.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", ["shared", "packed"])
def test_a_whole_update_of_a_packed_batch_goes_through_the_cuda_branches(dtype, layout):
    model = qwen2().to(META, dtype)
    micro = collate(rows_of(5, groups=4, members=5, longest=100), 0, META, layout)
    with Watch() as watch:
        logprobs, entropies = TokenLogprobs(model, 1.0, buffer_elements=60 * 32)(micro.token_rows, micro.targets)
        (logprobs.sum() + entropies.sum()).backward()
    if dtype == torch.float32:
        assert len(watch.widths) > 2
        assert watch.flash == 0
    else:  # two layers; within segments and across to prompts; forward and backward
        assert watch.flash == 2 * 2 * 2
        assert watch.widths == []
    assert all(parameter.grad is not None and parameter.grad.dtype == dtype for parameter in model.parameters())


@pytest.mark.parametrize("loss", get_args(LossName))
def test_from_rows_to_what_is_observed_nothing_waits_for_the_device(loss):
    settings = AlgorithmSettings(loss=loss, entropy_coef=0.1)
    policy = TokenLogprobs(qwen2().to(META, torch.bfloat16), 1.0)
    micro = collate(rows_of(8, groups=3, members=4, longest=30), 0, META, "shared")
    # a tensor without values: whatever asks for one, or for a mask's places, raises
    result = micro_batch_loss(policy, None, micro, settings)
    result.loss.backward()
    observed = observe(micro, result, settings)
    assert observed.plus(observed).quantities["loss"].parts[0].device == META


def test_off_the_cpu_prompts_are_never_padded_because_the_kernel_takes_no_mask():
    layout = pack(rows_of(6, groups=8, members=3, longest=20), META).layout
    assert layout is not None
    assert len(layout.fans) > 1
    assert all(fans.mask is None for fans in layout.fans)


def test_two_calls_a_layer_give_what_the_padded_batches_give(monkeypatch):
    monkeypatch.setattr(kernels, "flash_forward", reference)
    monkeypatch.setattr(kernels, "flash_backward", reference_backward)
    torch.manual_seed(0)
    layout = pack(rows_of(7, groups=4, members=5, longest=40), torch.device("cpu")).layout
    assert layout is not None
    tokens = sum(length for _, length in layout.segments)
    found = []
    states = [torch.randn(1, heads, tokens, 8, dtype=torch.float64) for heads in (4, 2, 2)]
    gradient = torch.randn(1, tokens, 4, 8, dtype=torch.float64)
    for flash in (True, False):
        monkeypatch.setattr(packing, "takes_flash", lambda query, flash=flash: flash)
        inputs = [part.clone().requires_grad_(True) for part in states]
        output = layout.attend(0, inputs[0], inputs[1], inputs[2], 0.3, None)
        found.append((output, *torch.autograd.grad(output, inputs, gradient)))
    for mine, expected in zip(*found, strict=True):
        assert torch.allclose(mine, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("dtype", "size", "expected"),
    [(torch.bfloat16, 64, True), (torch.bfloat16, 24, True), (torch.bfloat16, 20, False), (torch.bfloat16, 256, False),
     (torch.float32, 64, False)],
)  # fmt: skip
def test_flash_is_for_half_precision_and_heads_of_whole_eighths(dtype, size, expected):
    assert takes_flash(torch.empty(3, 2, size, dtype=dtype, device=META)) is expected
    assert not takes_flash(torch.empty(3, 2, size, dtype=dtype))
