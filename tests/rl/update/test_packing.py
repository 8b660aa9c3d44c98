"""Packing, shared prompts and the fused head change nothing: not the states, not the gradient, on any kind of decoder."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    SmolLM3Config,
    SmolLM3ForCausalLM,
)

from rl.policy.attention import NAME, can_plan
from rl.policy.opening import load_model
from rl.policy.paths import PolicyError
from rl.settings.schema import ModelSettings
from rl.types import Row
from rl.update import kernels
from rl.update.batch import collate
from rl.update.engine import choose_layout
from rl.update.logprobs import TokenLogprobs, _HeadLogprobs
from rl.update.packing import pack

CPU = torch.device("cpu")
LAYOUTS = ("shared", "packed", "padded")


def rows_of(seed: int, groups: int = 4, members: int = 5, longest: int = 14, vocabulary: int = 60) -> list[Row]:
    rng = np.random.default_rng(seed)

    def tokens(count: int | np.integer) -> np.ndarray:
        return rng.integers(0, vocabulary, count).astype(np.int32)

    rows = []
    for _ in range(groups):
        prompt = tokens(rng.integers(1, 9))
        for _ in range(members):
            completion = tokens(rng.integers(1, longest))
            row = Row(
                prompt_ids=prompt,
                completion_ids=completion,
                sampling_logprobs=np.zeros(len(completion), np.float32),
                advantages=np.ones(len(completion)),
                weights=np.ones(len(completion)),
                entropy_weights=np.zeros(len(completion)),
            )
            rows.append(row)
    return rows


def gpt2() -> Any:
    """A decoder that stays in float64 throughout: layer norm and learned positions, no float32 inside."""
    config = GPT2Config(
        vocab_size=60, n_positions=64, n_embd=32, n_layer=2, n_head=4, attn_pdrop=0, resid_pdrop=0, embd_pdrop=0
    )
    return GPT2LMHeadModel._from_config(config, attn_implementation=NAME).double()


def qwen2() -> Any:
    """Grouped-query attention, biases, an untied head."""
    config = Qwen2Config(
        vocab_size=60, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2
    )
    return Qwen2ForCausalLM._from_config(config, attn_implementation=NAME)


def with_a_window(window: int) -> Any:
    """A local layer with rotary positions and grouped queries, and one that sees all and no positions."""
    config = SmolLM3Config(
        vocab_size=60, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, no_rope_layers=[1, 0], layer_types=["sliding_attention", "full_attention"],
        use_sliding_window=True, sliding_window=window, pad_token_id=0, bos_token_id=None, eos_token_id=1,
    )  # fmt: skip
    return SmolLM3ForCausalLM._from_config(config, attn_implementation=NAME).double()


def evaluate(model: Any, rows: list[Row], layout: Any, **head: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the log-probabilities, row after row, and the gradient of a sum that weighs each token and entropy differently."""
    model.zero_grad()
    micro = collate(rows, 0, CPU, layout)
    logprobs, entropies = TokenLogprobs(model, 0.8, **head)(micro.token_rows, micro.targets)
    weights = torch.sin(torch.arange(len(logprobs), dtype=logprobs.dtype))
    (logprobs * weights + 0.3 * entropies * weights.flip(0)).sum().backward()
    return logprobs.detach(), torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


@pytest.mark.parametrize("layout", ["shared", "packed"])
def test_packed_rows_agree_with_padded_ones_to_machine_precision(layout):
    torch.manual_seed(0)
    model, rows = gpt2(), rows_of(1)
    assert can_plan(model)
    (packed, gradient), (padded, expected) = evaluate(model, rows, layout), evaluate(model, rows, "padded")
    assert torch.allclose(packed, padded, rtol=0, atol=1e-13)
    assert torch.allclose(gradient, expected, rtol=1e-11, atol=1e-13)
    assert expected.abs().max() > 0.1


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    # of the largest gradient; bf16 has 8 bits, and the two orders of summation differ by a few roundings
    [(torch.float64, 1e-6), (torch.float32, 1e-5), (torch.bfloat16, 0.05)],
)
@pytest.mark.parametrize("layout", ["shared", "packed"])
def test_packed_rows_agree_with_grouped_query_attention_and_rotary_positions(dtype, tolerance, layout):
    torch.manual_seed(0)
    model, rows = qwen2().to(dtype), rows_of(2)
    (packed, gradient), (padded, expected) = evaluate(model, rows, layout), evaluate(model, rows, "padded")
    assert torch.allclose(packed, padded, atol=tolerance * 5)
    assert (gradient - expected).abs().max() < tolerance * expected.abs().max()


def test_in_bf16_the_gradient_of_attention_is_that_of_float32_rounded():
    torch.manual_seed(0)
    rows = pack(rows_of(4, members=40), CPU)  # a prompt's gradient is the sum of 40 shares
    count = rows.input_ids.shape[1]
    states = [torch.randn(1, heads, count, 16).bfloat16() for heads in (4, 2, 2)]
    upstream = torch.randn(1, count, 4, 16).bfloat16()
    gradients = []
    for dtype in (torch.bfloat16, torch.float32):
        query, key, value = leaves = [part.to(dtype).requires_grad_() for part in states]
        assert rows.layout is not None
        output = rows.layout.attend(0, query, key, value, 0.25, None)
        gradients.append(torch.autograd.grad(output, leaves, upstream.to(dtype)))
    for rounded, exact in zip(*gradients, strict=True):
        assert rounded.dtype == torch.bfloat16
        # each number is rounded once, by 2**-9 at most; the output, which the gradient is computed from, another time
        assert torch.dist(rounded.float(), exact) < 0.003 * exact.norm()


def test_a_packed_group_holds_its_prompt_once_and_no_padding():
    rows = rows_of(3, groups=1)
    tokens = pack(rows, CPU).input_ids.numel()
    # the last token of a completion predicts nothing
    assert tokens == len(rows[0].prompt_ids) + sum(len(row.completion_ids) - 1 for row in rows)
    assert pack(rows, CPU, share_prompts=False).input_ids.numel() == sum(row.length - 1 for row in rows)


@pytest.mark.slow
@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), groups=st.integers(1, 4), members=st.integers(1, 4), longest=st.integers(2, 30))
def test_any_shape_of_batch_agrees(seed, groups, members, longest):
    torch.manual_seed(0)
    model, rows = gpt2(), rows_of(seed, groups, members, longest)
    found = [evaluate(model, rows, layout) for layout in LAYOUTS]
    for logprobs, gradient in found[:2]:
        assert torch.allclose(logprobs, found[2][0], rtol=0, atol=1e-12)
        assert torch.allclose(gradient, found[2][1], rtol=1e-10, atol=1e-12)


@pytest.mark.slow
@settings(max_examples=30)
@given(
    seed=st.integers(0, 10_000), groups=st.integers(1, 3), members=st.integers(1, 4), longest=st.integers(2, 30),
    window=st.integers(2, 12),
)  # fmt: skip
def test_a_window_reaches_back_into_the_prompt_and_no_farther(seed, groups, members, longest, window):
    torch.manual_seed(0)
    model, rows = with_a_window(window), rows_of(seed, groups, members, longest)
    assert can_plan(model)
    found = [evaluate(model, rows, layout) for layout in LAYOUTS]
    for logprobs, gradient in found[:2]:
        assert torch.allclose(logprobs, found[2][0], rtol=0, atol=1e-6)  # norms of this family work in float32
        assert torch.allclose(gradient, found[2][1], rtol=0, atol=1e-6 * float(found[2][1].abs().max()))


def test_completions_of_one_token_need_nothing_but_their_prompt():
    rows = rows_of(4, longest=2)
    assert {len(row.completion_ids) for row in rows} == {1}
    layout = pack(rows, CPU).layout
    assert layout.fans == ()
    torch.manual_seed(0)
    model = gpt2()
    assert torch.allclose(evaluate(model, rows, "shared")[1], evaluate(model, rows, "padded")[1], rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_gradient_checkpointing_changes_nothing(layout):
    torch.manual_seed(0)
    model, rows = qwen2().train(), rows_of(5)
    plain = evaluate(model, rows, layout)
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    for first, second in zip(plain, evaluate(model, rows, layout), strict=True):
        assert torch.equal(first, second)


@pytest.mark.parametrize("buffer_elements", [1, 60 * 3, 60 * 7 + 1])
def test_the_size_of_the_logit_buffer_changes_nothing(buffer_elements):
    torch.manual_seed(0)
    model, rows = gpt2(), rows_of(6)
    whole, cut = evaluate(model, rows, "shared"), evaluate(model, rows, "shared", buffer_elements=buffer_elements)
    assert torch.allclose(whole[0], cut[0], rtol=0, atol=1e-13)
    assert torch.allclose(whole[1], cut[1], rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("bias", [True, False])
def test_the_head_agrees_with_finite_differences_and_torch_distributions(bias):
    torch.manual_seed(0)
    hidden, weight, offset = (
        torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in ((7, 5), (11, 5), (11,))
    )
    targets = torch.randint(0, 11, (7,))
    used = offset if bias else None

    def head(hidden: torch.Tensor, weight: torch.Tensor, used: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        found: tuple[torch.Tensor, torch.Tensor] = _HeadLogprobs.apply(hidden, weight, used, targets, 0.7, 33, False)
        return found

    inputs: Any = (hidden, weight, used)  # no bias is no input
    assert torch.autograd.gradcheck(head, inputs)
    logprobs, entropies = head(hidden, weight, used)
    expected = torch.distributions.Categorical(logits=torch.nn.functional.linear(hidden, weight, used) / 0.7)
    assert torch.allclose(logprobs, expected.log_prob(targets), rtol=0, atol=1e-13)
    assert torch.allclose(entropies, expected.entropy(), rtol=0, atol=1e-13)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("heads", [4, 2])
def test_kernels_agree_with_a_written_out_softmax(causal, heads):
    torch.manual_seed(0)
    query = torch.randn(2, 4, 6, 8, dtype=torch.float64, requires_grad=True)
    key, value = (torch.randn(2, heads, 6, 8, dtype=torch.float64, requires_grad=True) for _ in range(2))
    scores = 0.3 * query @ key.repeat_interleave(4 // heads, 1).transpose(-1, -2)
    if causal:
        scores = scores.masked_fill(torch.ones(6, 6, dtype=torch.bool).triu(1), -torch.inf)
    expected = scores.softmax(-1) @ value.repeat_interleave(4 // heads, 1)
    upstream = torch.randn_like(expected)
    expected_gradients = torch.autograd.grad(expected, (query, key, value), upstream)
    with torch.no_grad():
        output, normaliser = kernels.forward(query, key, value, causal=causal, scaling=0.3)
        found = kernels.backward(upstream, query, key, value, output, normaliser, causal=causal, scaling=0.3)
    assert torch.allclose(output, expected)
    assert torch.allclose(normaliser, scores.logsumexp(-1))
    for gradient, wanted in zip(found, expected_gradients, strict=True):
        assert torch.allclose(gradient, wanted)


def test_a_model_with_wide_windows_is_padded_and_says_why_it_cannot_be_packed():
    config = LlamaConfig(vocab_size=60, hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=4)
    assert choose_layout(LlamaForCausalLM._from_config(config, attn_implementation=NAME), None) == "shared"
    config.sliding_window = 17
    windowed = LlamaForCausalLM._from_config(config, attn_implementation=NAME)
    assert choose_layout(windowed, None) == "padded"
    with pytest.raises(PolicyError, match="full attention"):
        choose_layout(windowed, "shared")


def test_a_loaded_model_plans_unless_another_attention_was_asked_for(random_model):
    assert can_plan(load_model(ModelSettings(path=str(random_model))))
    eager = load_model(ModelSettings(path=str(random_model), attention="eager"))
    assert choose_layout(eager, None) == "padded"


@pytest.mark.parametrize("part_tokens", [4, 300])
def test_the_gradient_of_a_head_in_many_parts_is_as_exact_as_in_one(part_tokens):
    # in bf16, 300 tokens with advantages of one sign: what is added up in bf16 loses the small parts
    torch.manual_seed(0)
    hidden, weight = torch.randn(300, 32).bfloat16() + 1, (0.2 * torch.randn(50, 32)).bfloat16()
    targets = torch.randint(50, (300,))
    gradients = []
    for dtype in (torch.bfloat16, torch.float64):
        head = weight.to(dtype, copy=True).requires_grad_(True)
        logprobs, _ = _HeadLogprobs.apply(hidden.to(dtype), head, None, targets, 1.0, part_tokens * 50, False)
        logprobs.sum().backward()
        gradients.append(head.grad.double())
    found, exact = gradients
    # one rounding to 8 bits is 0.2 % of the norm; 75 of them, one after the other, were 1.1 %
    assert (found - exact).norm() < 0.004 * exact.norm()
