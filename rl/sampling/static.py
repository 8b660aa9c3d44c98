"""Decoding on a GPU without waiting for Python: keys and values at fixed places, and the whole step replayed as one CUDA graph.

A decoded token is hundreds of small kernels, and launching them one by one from Python takes ten times as long as they run. A
graph is one launch; it needs every address and shape to be the same each time. So the cache has a place for every row at its
full length, and a step is recorded for a few numbers of rows: the next larger one is replayed, its surplus rows compute
nothing that anybody reads.

For Llama-shaped models (Llama, Qwen2, Qwen3) with rotary positions and without windows, adapters merged. The prompt of a group
is computed once and then copied to its rows. A model of another shape, one whose logits do not come out as its own forward pass
gives them, and a cache that would not fit are left to rl/sampling/planned.py. Elementwise work is done by
rl/sampling/triton_step.py where that is there and gives the same logits. Off a GPU the same step runs unrecorded, which only
tests do.

Dimension letters: B rows, n rows of a recorded step, H hidden size, h query heads, k key-value heads, d components of a head, T
tokens of the longest row, V vocabulary.
"""

from collections.abc import Sequence
from enum import Enum, auto
from importlib.util import find_spec
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch.nn.functional import embedding, linear, rms_norm, scaled_dot_product_attention, silu

from rl.policy.attention import takes_flash
from rl.policy.interfaces import CausalLM, base_causal_lm, trial_tokens
from rl.sampling.fused import FusedLayer, FusedWeights, Linear, Unfit, fuse, is_llama_shaped, logits_of
from rl.sampling.prefill import prefill, prefill_batches
from rl.types import Indices, IntArray

_FEWEST = 8  # rows of the smallest recorded step; the others double
_SHARE = 0.5  # of the free memory, which cache and fused weights may take
_TOLERANCES = {torch.float32: 1e-3, torch.bfloat16: 0.05, torch.float16: 0.02}  # of the logits' spread; a fault is of order 1
_checked: WeakKeyDictionary[CausalLM, "Way | None"] = (
    WeakKeyDictionary()
)  # the way that gave a model its own logits, if one did


class Way(Enum):
    """How the elementwise work of a step is done."""

    TRITON = auto()
    PLAIN = auto()


@torch.no_grad()
def static_decoder(model: CausalLM, rows: int, tokens: int) -> "StaticDecoder | None":
    """Return a decoder for at most `rows` rows of `tokens` tokens, prompt included, or None where there can be none."""
    parameter = next(iter(model.parameters()))
    if parameter.device.type != "cuda" or parameter.dtype not in _TOLERANCES or not is_llama_shaped(model.config):
        return None
    if not _has_room(model, rows, tokens):
        return None
    try:
        weights = fuse(base_causal_lm(model))
    except Unfit:
        return None
    if not sees_all(weights):
        return None
    if model not in _checked:
        ways = [way for way in Way if way is Way.PLAIN or find_spec("triton") is not None]
        _checked[model] = next((way for way in ways if _agrees(model, weights, way)), None)
    way = _checked[model]
    return None if way is None else StaticDecoder(model, weights, rows, tokens, way)


def sees_all(weights: FusedWeights) -> bool:
    """Whether every layer sees all tokens and where they stand, as the recorded step has it."""
    return all(layer.has_positions and layer.window is None for layer in weights.layers)


def _has_room(model: CausalLM, rows: int, tokens: int) -> bool:
    config = model.config
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    numbers = 2 * config.num_hidden_layers * config.num_key_value_heads * head_dim * _sizes(rows)[-1] * tokens
    numbers += sum(p.numel() for p in model.parameters())
    free, _ = torch.cuda.mem_get_info()
    free += torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
    return bool(numbers * next(iter(model.parameters())).itemsize <= _SHARE * free)


def _sizes(rows: int) -> list[int]:
    """Return the numbers of rows for which a step is recorded: doubling, up to one that holds `rows`."""
    sizes = [_FEWEST]
    while sizes[-1] < rows:
        sizes.append(2 * sizes[-1])
    if len(sizes) > 1:
        sizes[-1] = -(-rows // _FEWEST) * _FEWEST
    return sizes


def _agrees(model: CausalLM, weights: FusedWeights, way: Way) -> bool:
    """Whether a short text gets the logits of the model's own forward pass, recorded and replayed."""
    ids = trial_tokens(model, 39)
    decoder = StaticDecoder(model, weights, _FEWEST, 64, way)
    decoder.join([0], [ids[:20]])
    try:
        for token in ids[20:].tolist():
            states = decoder.step(torch.tensor([token]))
    except Exception:
        if way is Way.PLAIN:
            raise
        return False  # whatever a compiler of kernels meets on somebody's machine
    expected = decoder.logits(prefill(model, [ids])[0]).double()  # [1, V]
    apart = (decoder.logits(states).double() - expected).abs().mean()
    return bool(apart <= _TOLERANCES[decoder.dtype] * expected.std())


class StaticDecoder:
    """See Decoder in rl/sampling/decoding.py."""

    joins = True

    def __init__(self, model: CausalLM, weights: FusedWeights, rows: int, tokens: int, way: Way = Way.PLAIN):
        parameter = next(iter(model.parameters()))
        self.model, self.device, self.dtype = model, parameter.device, parameter.dtype
        self.weights, self.way = weights, way
        self.heads, self.kv_heads = model.config.num_attention_heads, model.config.num_key_value_heads
        self.sizes, self.tokens = _sizes(rows), tokens
        most, size = self.sizes[-1], weights.head_dim
        self.cache = torch.zeros(
            len(weights.layers), most, tokens, 2, self.kv_heads, size, device=self.device, dtype=self.dtype
        )  # [layers, rows, T, keys and values, k, d]
        positions = torch.arange(tokens, device=self.device)
        cosine, sine = weights.rotary(torch.zeros(1, device=self.device), positions[None])  # [1, T, d], in float32
        half = size // 2
        self.cosine = cosine[0]  # [T, d]
        self.sine = torch.cat([-sine[0, :, :half], sine[0, :, half:]], -1)  # [T, d], for the halves of a head, exchanged
        self.positions = positions  # [T]
        self.rows = torch.arange(most, device=self.device)
        self.is_flash = takes_flash(self.cache)
        self.query_starts = torch.arange(most + 1, device=self.device, dtype=torch.int32)  # [rows + 1], as the kernel counts
        self.key_starts = self.query_starts * tokens
        self.inputs = torch.zeros(2, most, device=self.device, dtype=torch.long)  # token and its place, by row
        self.prompts: dict[int, torch.Tensor] = {}  # by group, [layers, T, 2, k, d]
        self.first_states: dict[int, torch.Tensor] = {}  # by group, [H]
        self.size = np.zeros(0, dtype=np.int64)  # [B], tokens of each row in the cache
        self.recorded: dict[int, tuple[torch.cuda.CUDAGraph, torch.Tensor]] = {}  # by number of rows, with its states [n, H]
        self.pool: Any = None  # memory that the recorded steps share: they never run at the same time

    def join(self, groups: Sequence[int], prompts: Sequence[IntArray]) -> torch.Tensor:
        """Append one row for each entry of `groups`; return the last states [n, H] of their prompts."""
        new = [group for group in dict.fromkeys(groups) if group not in self.prompts]
        for batch in prefill_batches(new, prompts):
            states, layers = prefill(self.model, [prompts[group] for group in batch])
            both = torch.stack([torch.stack(layer, 3).transpose(1, 2) for layer in layers])  # [layers, P, T, k, 2, d]
            for place, group in enumerate(batch):
                self.prompts[group] = both[:, place, : len(prompts[group])].transpose(2, 3)
                self.first_states[group] = states[place]
        first = len(self.size)
        self.size = np.concatenate([self.size, np.asarray([len(prompts[group]) for group in groups], dtype=np.int64)])
        for group in dict.fromkeys(groups):
            rows = torch.tensor([first + i for i, other in enumerate(groups) if other == group], device=self.device)
            prompt = self.prompts[group]
            self.cache[:, rows, : prompt.shape[1]] = prompt[:, None]
        return torch.stack([self.first_states[group] for group in groups])

    @torch.no_grad()
    def step(self, ids: torch.Tensor) -> torch.Tensor:
        """Give each row its next token, ids [B]; return the last states [B, H], which the next step overwrites."""
        count = len(self.size)
        inputs = np.zeros((2, self.inputs.shape[1]), dtype=np.int64)
        inputs[0, :count], inputs[1, :count] = ids.numpy(), self.size
        self.inputs.copy_(torch.from_numpy(inputs))
        self.size = self.size + 1
        size = next(size for size in self.sizes if size >= count)
        if self.device.type != "cuda":
            return self._forward(size)[:count]
        if size not in self.recorded:
            self.recorded[size] = self._record(size)
        graph, states = self.recorded[size]
        graph.replay()
        return states[:count]

    def _record(self, size: int) -> tuple[torch.cuda.CUDAGraph, torch.Tensor]:
        """Record the step of `size` rows; it runs once before, so that libraries do then what may not be recorded."""
        if self.pool is None:
            self.pool = torch.cuda.graph_pool_handle()
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.stream(beside):
            self._forward(size)
            torch.cuda.synchronize()
            # not torch.cuda.graph(), which collects garbage first: half a second where DeepSpeed is about.
            # thread_local, because an update may run beside this (rl/ahead.py)
            graph.capture_begin(pool=self.pool, capture_error_mode="thread_local")
            states = self._forward(size)
            graph.capture_end()
        torch.cuda.current_stream().wait_stream(beside)
        return graph, states

    def _forward(self, size: int) -> torch.Tensor:
        """One token for the first `size` rows, from `inputs`; return the last states [n, H]. Waits for nothing."""
        ids, places = self.inputs[0, :size], self.inputs[1, :size]
        used = (places + 1).to(torch.int32)  # [n]
        mask = None if self.is_flash else (self.positions < used[:, None])[:, None, None]  # [n, 1, 1, T]
        angles = None if self.way is Way.TRITON else (self.cosine[places][:, None], self.sine[places][:, None])  # [n, 1, d]
        states = embedding(ids, self.weights.embedding)  # [n, H]
        for number, layer in enumerate(self.weights.layers):
            all_heads = linear(self._norm(states, layer.input_norm), *layer.qkv).view(size, -1, self.weights.head_dim)
            query = self._turned_and_kept(layer, all_heads, places, self.cache[number], angles)
            states = _added(states, self._attention(query, self.cache[number], used, mask), layer.output)
            gate_up = linear(self._norm(states, layer.mlp_norm), *layer.gate_up)
            states = _added(states, self._swiglu(gate_up), layer.down)
        return self._norm(states, self.weights.norm)

    def _turned_and_kept(
        self, layer: FusedLayer, all_heads: torch.Tensor, places: torch.Tensor, cache: torch.Tensor,
        angles: tuple[torch.Tensor, torch.Tensor] | None,
    ) -> torch.Tensor:  # fmt: skip
        """Put the new keys and values of all_heads [n, h + 2 k, d] into the cache; return the queries [n, h, d].

        `angles` are the cosines and sines of the places, [n, 1, d], which the kernel looks up itself.
        """
        norms = None if layer.q_norm is None or layer.k_norm is None else (layer.q_norm, layer.k_norm)
        if angles is None:
            from rl.sampling import triton_step

            return triton_step.turn_and_keep(all_heads, self.cosine, self.sine, places, cache, norms, self.weights.eps)
        turning = all_heads[:, : self.heads + self.kv_heads]
        if norms is not None:
            query, key = turning.split([self.heads, self.kv_heads], 1)
            turning = torch.cat([self._norm(query, norms[0]), self._norm(key, norms[1])], 1)
        cosine, sine = angles
        # in float32, rounded once (transformers rounds each product)
        turned = (turning * cosine).add_(turning.roll(self.weights.head_dim // 2, -1) * sine).to(self.dtype)  # [n, h + k, d]
        rows = self.rows[: len(all_heads)]
        cache[rows, places, 0] = turned[:, self.heads :]
        cache[rows, places, 1] = all_heads[:, self.heads + self.kv_heads :]
        return turned[:, : self.heads]

    def _attention(
        self, query: torch.Tensor, cache: torch.Tensor, used: torch.Tensor, mask: torch.Tensor | None
    ) -> torch.Tensor:
        """Return [n, h d]: queries [n, h, d] against the first `used` [n] tokens of their rows in the cache."""
        if mask is None:
            return self._flash(query, cache, used).flatten(1)
        keys, values = cache[: len(query)].permute(2, 0, 3, 1, 4)  # [n, k, T, d] each
        attended: torch.Tensor = scaled_dot_product_attention(
            query[:, :, None], keys, values, attn_mask=mask, scale=self.weights.scaling, enable_gqa=True
        )
        return attended.flatten(1)

    def _swiglu(self, gate_up: torch.Tensor) -> torch.Tensor:
        if self.way is Way.TRITON:
            from rl.sampling import triton_step

            return triton_step.swiglu(gate_up)
        gate, up = gate_up.chunk(2, -1)
        return silu(gate) * up

    def _norm(self, states: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return rms_norm(states, weight.shape, weight, self.weights.eps)

    def _flash(self, query: torch.Tensor, cache: torch.Tensor, used: torch.Tensor) -> torch.Tensor:
        """Return [n, h, d]: queries [n, h, d] against the first `used` [n] tokens of their rows in `cache`."""
        count = len(query)
        keys, values = cache[:, :, 0].flatten(0, 1), cache[:, :, 1].flatten(0, 1)  # [rows T, k, d], no copies
        output: torch.Tensor = torch.ops.aten._flash_attention_forward(
            query, keys, values, self.query_starts[: count + 1], self.key_starts[: count + 1], 1, self.tokens, 0.0, False,
            False, scale=self.weights.scaling, seqused_k=used,
        )[0]  # fmt: skip
        return output

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """Return the logits [n, V] of states [n, H]."""
        return logits_of(states, *self.weights.head)

    def move(self, source: Indices, target: Indices, count: int) -> None:
        """Put the rows `source` in the place of the rows `target`, then keep the first `count`."""
        if len(source):
            longest = int(self.size[source].max())
            here, there = (torch.from_numpy(rows).to(self.device) for rows in (source, target))
            self.cache[:, there, :longest] = self.cache[:, here, :longest]
            self.size[target] = self.size[source]
        self.size = self.size[:count]

    def close(self, group: int) -> None:
        """Forget the prompt of a group."""
        del self.prompts[group], self.first_states[group]


def _added(states: torch.Tensor, inner: torch.Tensor, layer: Linear) -> torch.Tensor:
    """Return states [n, H] + the output of a linear layer, rounded once."""
    weight, bias = layer
    return torch.addmm(states if bias is None else states + bias, inner, weight.T)
