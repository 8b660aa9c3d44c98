"""The decoder for GPUs, run unrecorded on a CPU: the same tokens as today's, from far fewer operations."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import Qwen2Config, Qwen2ForCausalLM

from rl.policy.attention import NAME
from rl.sampling import sampler as module
from rl.sampling.fused import fuse, logits_of
from rl.sampling.how_to_draw import HowToDraw
from rl.sampling.planned import PlannedDecoder, _scores
from rl.sampling.sampler import Sample, Sampler, SampleRequest
from rl.sampling.static import StaticDecoder, _sizes, static_decoder

VIEWS = (
    "view", "_unsafe_view", "slice", "select", "unsqueeze", "squeeze", "transpose", "permute", "t", "expand", "split", "detach",
    "unbind", "alias", "_reshape_alias", "as_strided",
)  # fmt: skip


@pytest.fixture(scope="module")
def qwen2() -> Any:
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=60, hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2
    )
    model = Qwen2ForCausalLM._from_config(config, attn_implementation=NAME).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


def static(model: Any, rows: int = 1, tokens: int = 1, recorded: bool = True) -> StaticDecoder:
    return StaticDecoder(model, fuse(model), rows, tokens)


def planned(model: Any, rows: int = 1, tokens: int = 1, recorded: bool = True) -> PlannedDecoder:
    return PlannedDecoder(model)


def drawn(monkeypatch: pytest.MonkeyPatch, model: Any, decoder: Any, max_rows: int) -> dict[tuple[int, int], Sample]:
    monkeypatch.setattr(module, "build_decoder", decoder)
    rng = np.random.default_rng(1)
    requests = []
    for number, size in enumerate((3, 17, 9, 30, 5)):
        streams = tuple(("static", number, k) for k in range(6))
        requests.append(SampleRequest(prompt_ids=rng.integers(2, 60, size, dtype=np.int32), streams=streams))
    samples: list[Sample] = []
    sampler = Sampler(model=model, pad_id=0, stop_ids=frozenset([1, 2, 3]), max_rows=max_rows)
    sampler.sample(requests, HowToDraw(temperature=1.0, max_tokens=40), samples.append)
    return {(sample.request, sample.number): sample for sample in samples}


@pytest.mark.slow
@pytest.mark.parametrize("max_rows", [4, 13, 64])
def test_tokens_are_those_of_todays_decoder(monkeypatch, qwen2, max_rows):
    expected = drawn(monkeypatch, qwen2, planned, max_rows)
    found = drawn(monkeypatch, qwen2, static, max_rows)
    assert found.keys() == expected.keys()
    assert len({len(sample.token_ids) for sample in found.values()}) > 5  # rows left at different times
    for name, sample in found.items():
        assert sample.token_ids.tolist() == expected[name].token_ids.tolist()
        assert np.allclose(sample.logprobs, expected[name].logprobs, atol=1e-4)


class Counting(TorchDispatchMode):
    """Counts operations that would be a kernel or a copy on a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += function.overloadpacket.__name__ not in VIEWS
        return function(*args, **(kwargs or {}))


@torch.no_grad()
def operations_of_a_layer(layers: int, build: Any) -> int:
    config = Qwen2Config(
        vocab_size=60, hidden_size=32, intermediate_size=48, num_hidden_layers=layers, num_attention_heads=4,
        num_key_value_heads=2,
    )  # fmt: skip
    model: Any = Qwen2ForCausalLM._from_config(config, attn_implementation=NAME).eval().bfloat16()
    decoder = build(model, 16, 20)
    decoder.join([0] * 8 + [1] * 8, [np.array([3, 4, 5]), np.array([6, 7])])
    decoder.step(torch.arange(16))
    with Counting() as counting:
        decoder.step(torch.arange(16))
    return counting.count


def test_a_layer_is_at_most_a_third_of_the_operations_of_todays_decoder():
    counts = {}
    for build in (static, planned):
        counts[build] = operations_of_a_layer(3, build) - operations_of_a_layer(2, build)
    # on a GPU each of the two norms is one kernel instead of eight, and attention takes lengths instead of three for a mask
    on_a_gpu = counts[static] - 2 * 7 - 3
    assert on_a_gpu <= 16
    assert 3 * on_a_gpu <= counts[planned]


def test_steps_are_recorded_for_doubling_numbers_of_rows_up_to_all():
    assert _sizes(1) == [8]
    assert _sizes(8) == [8]
    assert _sizes(100) == [8, 16, 32, 64, 104]
    assert _sizes(512) == [8, 16, 32, 64, 128, 256, 512]


def test_off_a_gpu_the_decoder_is_not_taken(qwen2):
    assert static_decoder(qwen2, 8, 20) is None


def test_on_a_gpu_the_logits_of_bf16_are_float32():
    states, weight = (torch.empty(size, 32, device="meta", dtype=torch.bfloat16) for size in (5, 60))
    assert logits_of(states, weight, None).dtype == torch.float32
    assert logits_of(states, weight, weight[:, 0]).shape == (5, 60)


def test_the_flash_kernel_gets_one_query_a_row_and_the_keys_of_all_rows_without_a_copy(qwen2):
    decoder = static(qwen2, 8, 20)
    cache = torch.empty(8, 20, 2, 2, 8, device="meta", dtype=torch.bfloat16)
    starts = torch.empty(9, device="meta", dtype=torch.int32)
    decoder.query_starts = decoder.key_starts = starts
    seen = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if function is torch.ops.aten._flash_attention_forward.default:
                seen.append((args[1].shape, args[1].stride(), args[3].shape, args[5:7], kwargs["seqused_k"].dtype))
            return function(*args, **(kwargs or {}))

    query = torch.empty(5, 4, 8, device="meta", dtype=torch.bfloat16)
    with Watch():
        output = decoder._flash(query, cache, starts[:5])
    assert output.shape == (5, 4, 8)
    # 8 rows of 20 tokens; a token is keys and values of 2 heads of 8, so the next one's keys are 32 numbers further
    assert seen == [(torch.Size([160, 2, 8]), (32, 8, 1), torch.Size([6]), (1, 20), torch.int32)]


def test_scores_of_bf16_are_float32_on_a_gpu_and_on_a_cpu():
    query, key = (torch.randn(2, 2, n, 8).bfloat16() * 8 for n in (3, 5))
    found = _scores(query, key, 0.3)
    assert found.dtype == torch.float32
    # eight bits of a score of dozens would be a tenth off
    assert torch.allclose(found.double(), query.double() @ key.double().mT * 0.3, atol=1e-3)
    on_a_gpu = _scores(query.to("meta"), key.to("meta"), 0.3)
    assert (on_a_gpu.shape, on_a_gpu.dtype) == (found.shape, torch.float32)
