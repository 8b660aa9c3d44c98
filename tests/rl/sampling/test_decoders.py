"""Every decoder gives the logits of a full forward pass, whatever rows come and go, and of the weights of now."""

import copy
import shutil
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from architectures import FAMILIES, make
from transformers import AutoConfig, AutoModelForCausalLM

from rl.policy.attention import NAME
from rl.policy.interfaces import base_causal_lm
from rl.policy.opening import add_adapters, load_model
from rl.sampling import sampler as module
from rl.sampling.cached import CachedDecoder
from rl.sampling.decoding import build_decoder
from rl.sampling.fused import fuse
from rl.sampling.how_to_draw import HowToDraw
from rl.sampling.native import NativeDecoder, native_decoder
from rl.sampling.planned import PlannedDecoder
from rl.sampling.sampler import Sample, Sampler, SampleRequest, SampleStats
from rl.sampling.static import StaticDecoder, sees_all
from rl.sampling.unpadded import RecomputingDecoder, UnpaddedDecoder
from rl.settings.schema import LoraSettings, ModelSettings


def static(model: Any, rows: int = 12, tokens: int = 80) -> StaticDecoder | None:
    weights = fuse(base_causal_lm(model))
    return StaticDecoder(model, weights, rows, tokens) if sees_all(weights) else None


DECODERS: dict[str, Any] = {"native": native_decoder, "planned": PlannedDecoder, "static": static, "cached": CachedDecoder}


_LOCAL = {  # a layer with a window, which is less than a page and than some prompts, and one without positions
    "layer_types": ["sliding_attention", "full_attention"], "no_rope_layers": [1, 0], "use_sliding_window": True,
    "sliding_window": 7, "pad_token_id": 0, "bos_token_id": None, "eos_token_id": 1,
}  # fmt: skip


@pytest.fixture(scope="module", params=["qwen3", "llama", "qwen2", "smollm3", "lora"])
def shape(request):
    """A random model: grouped key-value heads, biases, a window, adapters."""
    torch.manual_seed(1)
    sizes = {"vocab_size": 90, "hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 6}
    config = AutoConfig.for_model(
        "qwen3" if request.param == "lora" else request.param,
        **sizes,
        num_key_value_heads=2,
        head_dim=24,
        max_position_embeddings=128,
        tie_word_embeddings=request.param != "llama",
        **(_LOCAL if request.param == "smollm3" else {}),
    )
    model = AutoModelForCausalLM.from_config(config, attn_implementation=NAME).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    if request.param != "lora":
        return model
    model = add_adapters(model, LoraSettings(r=4))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    return model.eval()


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_native_decoding_is_taken_where_it_fits(shape):
    assert isinstance(build_decoder(shape), NativeDecoder)


def test_adapters_outside_the_layers_are_left_to_the_model(tmp_path):
    model: Any = load_model(ModelSettings(path=str(make(FAMILIES["qwen3"], tmp_path))))  # its head is not tied
    adapted: Any = add_adapters(model, LoraSettings(r=2, target_modules=("embed_tokens", "q_proj")))
    decoder = build_decoder(adapted.eval())
    parameter = next(p for name, p in adapted.named_parameters() if "embed_tokens" in name and "_B" in name)
    torch.nn.init.normal_(parameter)
    decoder = build_decoder(adapted)
    with torch.no_grad():
        logits = decoder.logits(decoder.join([0], [np.array([3, 4, 5])]))
        logits = decoder.logits(decoder.step(torch.tensor([6])))
        assert torch.allclose(logits, adapted(torch.tensor([[3, 4, 5, 6]])).logits[:, -1], atol=2e-4)


@pytest.mark.parametrize(
    ("family", "kinds"),
    [("qwen2", (PlannedDecoder, CachedDecoder, UnpaddedDecoder, RecomputingDecoder)), ("mamba", (UnpaddedDecoder,))],
)
@torch.no_grad()
def test_logits_of_a_bf16_model_are_not_rounded_to_bf16(tmp_path, family, kinds):
    path = make(FAMILIES[family], tmp_path)
    model = load_model(ModelSettings(path=str(path), dtype="bf16"), trainable=False)
    for kind in kinds:
        decoder = kind(model)
        logits = decoder.logits(decoder.join([0, 0], [np.array([3, 4, 5])]))
        assert logits.dtype == torch.float32, kind
        assert not torch.equal(logits, logits.bfloat16().float()), kind  # more than bf16's 8 bits


def logits_behind(model: Any, texts: Sequence[tuple[int, ...]]) -> torch.Tensor:
    """Return the logits behind each text; one that is the beginning of another is read off that one's forward pass."""
    found: dict[tuple[int, ...], torch.Tensor] = {}
    for text in sorted(texts, key=len, reverse=True):
        if text not in found:
            logits = model(torch.tensor([text])).logits[0]
            found |= {text[: end + 1]: logits[end] for end in range(len(text))}
    return torch.stack([found[text] for text in texts])


@pytest.mark.slow
@pytest.mark.parametrize("kind", DECODERS)
@torch.no_grad()
def test_decoders_give_the_logits_of_a_full_forward_pass(shape, kind):
    decoder = DECODERS[kind](shape)
    if decoder is None:
        pytest.skip("no C compiler, or a shape that this decoder leaves to others")
    rng = np.random.default_rng(0)
    prompts = [
        rng.integers(1, 90, size, dtype=np.int32) for size in (5, 16, 33)
    ]  # less than, exactly and more than whole pages
    groups = [0, 1, 1, 2, 2, 2]
    texts = [list(prompts[group]) for group in groups]
    states = decoder.join(groups, prompts)
    read, found = [], []
    for step in range(40):
        read += [tuple(map(int, text)) for text in texts]
        found.append(decoder.logits(states).clone())
        if step == 3:  # rows 1 and 4 leave: 5 takes the place of 1
            decoder.move(np.array([5]), np.array([1]), 4)
            texts = [texts[0], texts[5], *texts[2:4]]
        if step == 20:  # group 0 leaves as a whole
            decoder.move(np.array([3]), np.array([0]), 3)
            decoder.close(0)
            texts = [texts[3], *texts[1:3]]
        ids = rng.integers(1, 90, len(texts))
        texts = [[*text, token] for text, token in zip(texts, ids, strict=True)]
        states = decoder.step(torch.from_numpy(ids))
        if step == 10 and decoder.joins:
            states = torch.cat([states, decoder.join([1], prompts)])
            texts.append(list(prompts[1]))
    assert torch.allclose(torch.cat(found), logits_behind(shape, read), atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["native", "planned"])
@torch.no_grad()
def test_in_bf16_decoders_are_as_near_to_float32_as_the_model_itself(shape, kind):
    half = copy.deepcopy(shape).to(torch.bfloat16)
    exact = copy.deepcopy(half).to(torch.float32)  # of the same weights
    decoder = DECODERS[kind](half)
    if decoder is None:
        pytest.skip("no C compiler, or a shape that this decoder leaves to others")
    rng = np.random.default_rng(0)
    prompts = [rng.integers(1, 90, size, dtype=np.int32) for size in (5, 16, 33)]
    texts = [list(prompts[group]) for group in (0, 1, 1, 2)]
    states = decoder.join([0, 1, 1, 2], prompts)
    read, found = [], []
    for _ in range(24):
        read += [tuple(map(int, text)) for text in texts]
        found.append(decoder.logits(states).clone())
        ids = rng.integers(1, 90, len(texts))
        texts = [[*text, token] for text, token in zip(texts, ids, strict=True)]
        states = decoder.step(torch.from_numpy(ids))
    logits, own, true = torch.cat(found), logits_behind(half, read), logits_behind(exact, read)
    assert logits.dtype == torch.float32  # bf16 would keep 8 bits of them
    errors, own_errors = (float((given.float() - true).view(24, -1).norm(dim=-1).sum()) for given in (logits, own))  # of steps
    assert errors <= 1.1 * own_errors


@pytest.mark.parametrize("kind", ["native", "planned", "static"])
@torch.no_grad()
def test_a_row_that_has_just_joined_may_move_before_its_first_step(shape, kind):
    decoder = DECODERS[kind](shape)
    if decoder is None:
        pytest.skip("no C compiler, or a shape that this decoder leaves to others")
    prompts = [np.array([3, 4, 5]), np.array([6, 7, 8, 9])]
    decoder.join([0], prompts)
    decoder.step(torch.tensor([10]))
    states = decoder.join([1, 1], prompts)  # of the new rows 1 and 2
    decoder.move(np.array([2]), np.array([0]), 2)  # row 0 has ended: 2 takes its place
    decoder.close(0)
    text = list(prompts[1])
    assert torch.allclose(decoder.logits(states[:1]), shape(torch.tensor([text])).logits[:, -1], atol=2e-4)
    for first, second in ((11, 12), (13, 14)):
        states = decoder.step(torch.tensor([first, second]))
    texts = torch.tensor([[*text, 11, 13], [*text, 12, 14]])
    assert torch.allclose(decoder.logits(states), shape(texts).logits[:, -1], atol=2e-4, rtol=1e-4)


Drawn = dict[tuple[int, int], Sample]


def drawn(sampler: Sampler, requests: Sequence[SampleRequest], at_first: int) -> tuple[Drawn, SampleStats]:
    """Return the samples by request and number; the first few requests are there from the start, the others come one by one."""
    found: Drawn = {}
    later = iter(requests[at_first:])

    def more() -> list[SampleRequest] | None:
        request = next(later, None)
        return None if request is None else [request]

    def keep(sample: Sample) -> None:
        found[sample.request, sample.number] = sample

    return found, sampler.sample(requests[:at_first], HowToDraw(temperature=1.0, max_tokens=12), keep, more)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*DECODERS, "unpadded", "recomputing"])
def test_requests_that_come_late_get_the_tokens_that_they_get_alone(monkeypatch, shape, kind):
    kinds = {**DECODERS, "unpadded": UnpaddedDecoder, "recomputing": RecomputingDecoder}
    if kinds[kind](shape) is None:
        pytest.skip("no C compiler, or a shape that this decoder leaves to others")
    made = []

    def build(model: Any, rows: int, tokens: int, *, recorded: bool) -> Any:
        made.append(static(model, rows, tokens) if kind == "static" else kinds[kind](model))
        return made[-1]

    monkeypatch.setattr(module, "build_decoder", build)
    rng = np.random.default_rng(2)
    requests = []
    for number, size in enumerate((5, 16, 3, 33, 9, 100)):  # the last one is longer than a decoder made for the first has room
        streams = tuple(("late", number, k) for k in range(3))
        requests.append(SampleRequest(prompt_ids=rng.integers(6, 90, size, dtype=np.int32), streams=streams))
    sampler = Sampler(model=shape, pad_id=0, stop_ids=frozenset(range(1, 6)), max_rows=6, short_on_a_cpu=0)
    made.clear()
    together, stats = drawn(sampler, requests, 2)
    assert len(made) == 2  # the long one waited until all others had ended
    alone = [drawn(sampler, [request], 1)[0] for request in requests]
    assert len(together) == 18
    assert len({len(sample.token_ids) for sample in together.values()}) > 4
    for (number, k), sample in together.items():
        expected = alone[number][0, k]
        assert sample.token_ids.tolist() == expected.token_ids.tolist()
        assert np.allclose(sample.logprobs, expected.logprobs, atol=1e-4)
    _, one_after_another = drawn(replace(sampler, short_on_a_cpu=12), requests, 2)
    assert stats.steps < one_after_another.steps  # a decoder that lets none join takes those that wait together


@torch.no_grad()
def test_weights_that_changed_are_the_ones_that_decode(shape):
    first = build_decoder(shape)
    states = first.join([0], [np.array([3, 4, 5])])
    before = first.logits(first.step(torch.tensor([6])))
    with torch.no_grad():
        parameter = next(p for name, p in shape.named_parameters() if "q_proj" in name and "lora_A" not in name)
        parameter.mul_(1.5)
    second = build_decoder(shape)
    states = second.join([0], [np.array([3, 4, 5])])
    after = second.logits(second.step(torch.tensor([6])))
    assert len(states) == 1
    assert not torch.allclose(before, after)
    assert torch.allclose(after, shape(torch.tensor([[3, 4, 5, 6]])).logits[:, -1], atol=2e-4)
