"""Decoding on a CPU at the speed of its matrix products: rl/sampling/decode.c between them, keys and values in pages.

For Llama-shaped models (Llama, Qwen2, Qwen3; SmolLM3, whose layers may have a window or no positions) in float32 or bf16; LoRA
adapters are merged into the weights used here. The weights are copied when the decoder is made, fused to one matrix for query,
key and value and one for gate and up. A model whose logits do not come out as its own forward pass gives them, or a machine
without a C compiler, gets no native decoder. In bf16 numbers are rounded where the trainer rounds them (decode.c), and logits
not at all.

A page has room for the keys and values of 16 tokens, of all layers. The page list of a row is that of its group's prompt
(the same pages for all of them) and then its own; own tokens begin in a page of their own.

Dimension letters: B rows, P prompts, H hidden size, h query heads, k key-value heads, d components of a head, I intermediate
size, V vocabulary.
"""

import ctypes
from collections.abc import Sequence
from dataclasses import replace
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch.nn.functional import pad

from rl.policy.interfaces import CausalLM, base_causal_lm, trial_tokens
from rl.sampling.compiled import PAGE, TOGETHER, Step, compiled
from rl.sampling.fused import FusedLayer, FusedWeights, Unfit, fuse, is_llama_shaped
from rl.sampling.prefill import KeyValues, prefill, prefill_batches
from rl.sampling.products import Head, Product
from rl.types import Indices, IntArray

_TOLERANCE = 1e-3  # nats between native logits and the model's own, float32
_TOLERANCE_BF16 = 0.1  # length of their difference as a share of theirs: rounding is some 1 %, another function is not near it
_DTYPES = (torch.float32, torch.bfloat16)
_checked: WeakKeyDictionary[CausalLM, bool] = WeakKeyDictionary()  # whether the native logits of a model were its own


def native_decoder(model: CausalLM, rows: int = 1) -> "NativeDecoder | None":
    """Return a native decoder for `model` and mostly so many rows, or None where there can be none."""
    config = model.config
    fits = (
        is_llama_shaped(config)
        and config.hidden_size % PAGE == config.intermediate_size % PAGE == 0
        and all(p.dtype in _DTYPES and p.device.type == "cpu" for p in model.parameters())
        and len({p.dtype for p in model.parameters()}) == 1
    )
    if not fits:
        return None
    try:
        weights = fuse(base_causal_lm(model))
    except Unfit:
        return None
    heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
    bf16 = weights.embedding.dtype == torch.bfloat16
    library = compiled(weights.head_dim, heads, kv_heads, weights.layers[0].q_norm is not None, bf16)
    if library is None:
        return None
    decoder = NativeDecoder(model, weights, library, rows)
    if model not in _checked:
        _checked[model] = _agrees(model, decoder)
    return decoder if _checked[model] else None


def _agrees(model: CausalLM, decoder: "NativeDecoder") -> bool:
    """Whether a short text gets the logits of the model's own forward pass."""
    ids = trial_tokens(model, 2 * PAGE + 3)  # more than a page of prompt, and of own tokens
    split = PAGE + 1
    decoder.join([0], [ids[:split]])
    for token in ids[split:].tolist():
        states = decoder.step(torch.tensor([token]))
    nothing = np.zeros(0, dtype=np.int64)
    decoder.move(nothing, nothing, 0)
    decoder.close(0)
    expected, _ = prefill(model, [ids])  # [1, H]
    head = base_causal_lm(model).get_output_embeddings()
    ours, own = decoder.logits(states), head(expected)
    if own.dtype == torch.bfloat16:
        return bool(torch.dist(ours, own.float()) <= _TOLERANCE_BF16 * own.float().norm())
    return torch.allclose(ours, own, atol=_TOLERANCE, rtol=_TOLERANCE)


def _pages(tokens: IntArray) -> IntArray:
    """Return how many pages hold so many tokens."""
    return -(-tokens // PAGE)


class _Layer:
    """One layer's products and norms."""

    def __init__(self, weights: FusedLayer, rows: int):
        self.qkv, self.output = Product(weights.qkv, rows), Product(weights.output, rows)
        self.gate_up, self.down = Product(weights.gate_up, rows), Product(weights.down, rows)
        self.input_norm, self.mlp_norm = weights.input_norm, weights.mlp_norm
        self.has_positions, self.window = weights.has_positions, weights.window or 0
        self.head_norms = None if weights.q_norm is None or weights.k_norm is None else (weights.q_norm, weights.k_norm)


class NativeDecoder:
    """See Decoder in rl/sampling/decoding.py."""

    joins = True

    def __init__(self, model: CausalLM, weights: FusedWeights, library: ctypes.CDLL, rows: int):
        self.model, self.library = model, library
        self.layers = [_Layer(layer, rows) for layer in weights.layers]
        self.weights = replace(weights, layers=[])  # what the products have laid out anew need not stay
        self.head = Head(weights.head)
        self.heads, self.kv_heads = model.config.num_attention_heads, model.config.num_key_value_heads
        self.threads = torch.get_num_threads()
        nothing = torch.zeros(0, weights.head_dim // 2)
        self.rotation = self.no_rotation = nothing, nothing  # cosines and sines [positions, d / 2], float32
        # keys [d, 16] and values [16, d] of a page, as decode.c lays them
        shape = (0, len(weights.layers), self.kv_heads, 2, PAGE * weights.head_dim)
        self.pages = torch.empty(shape, dtype=weights.embedding.dtype)
        self.free: list[int] = []  # pages nobody uses
        self.prompt_pages: dict[int, IntArray] = {}  # by group
        self.prompt_sizes: dict[int, int] = {}  # by group, tokens
        self.first_states: dict[int, torch.Tensor] = {}  # by group, [H]
        self.groups = np.zeros(0, dtype=np.int64)  # [B]
        self.prompt = np.zeros(0, dtype=np.int32)  # [B], tokens
        self.own = np.zeros(0, dtype=np.int32)  # [B], tokens since the prompt
        self.table = np.zeros((0, 0), dtype=np.int32)  # [B, pages], of the prompt and then own
        self.stale = True  # whether rows have come, gone or moved since the last step

    def join(self, groups: Sequence[int], prompts: Sequence[IntArray]) -> torch.Tensor:
        """Append one row for each entry of `groups`; return the last states [n, H] of their prompts."""
        new = [group for group in dict.fromkeys(groups) if group not in self.prompt_pages]
        for batch in prefill_batches(new, prompts):
            states, layers = prefill(self.model, [prompts[group] for group in batch])
            self._file(batch, [len(prompts[group]) for group in batch], layers)
            self.first_states.update(zip(batch, states, strict=True))
        first = len(self.groups)
        sizes = [self.prompt_sizes[group] for group in groups]
        self.groups = np.concatenate([self.groups, np.asarray(groups, dtype=np.int64)])
        self.prompt = np.concatenate([self.prompt, np.asarray(sizes, dtype=np.int32)])
        self.own = np.concatenate([self.own, np.zeros(len(groups), dtype=np.int32)])
        width = max(self.table.shape[1], *(len(self.prompt_pages[group]) for group in groups))
        self.table = np.pad(self.table, ((0, len(groups)), (0, width - self.table.shape[1])))
        for row, group in enumerate(groups, start=first):
            pages = self.prompt_pages[group]
            self.table[row, : len(pages)] = pages
        self.stale = True
        return torch.stack([self.first_states[group] for group in groups])

    def _file(self, groups: list[int], sizes: list[int], layers: list[KeyValues]) -> None:
        """Put the keys and values of prompts [P, k, T, d] into pages."""
        longest = layers[0][0].shape[2]
        count = -(-longest // PAGE)
        held = np.arange(count) < _pages(np.asarray(sizes)[:, None])  # [P, count], which pages have tokens of the prompt
        pages = np.zeros((len(groups), count), dtype=np.int32)
        pages[held] = self._take(int(held.sum()))
        numbers, chosen = torch.from_numpy(pages[held]).long(), torch.from_numpy(held)
        for layer, keys_values in enumerate(layers):
            for part, states in enumerate(keys_values):
                padded = pad(states, (0, 0, 0, count * PAGE - longest))
                blocks = padded.unflatten(2, (count, PAGE)).transpose(1, 2)[chosen]  # [pages, k, 16, d]
                if part == 0:
                    blocks = blocks.mT  # of keys, a vector holds one component of 16 tokens
                self.pages[numbers, layer, :, part] = blocks.flatten(2)
        for group, size, row, mask in zip(groups, sizes, pages, held, strict=True):
            self.prompt_pages[group], self.prompt_sizes[group] = row[mask], size

    def _take(self, count: int) -> IntArray:
        """Return the numbers of `count` free pages."""
        if count > len(self.free):
            used = len(self.pages)
            more = max(count, used // 2, 64)
            self.pages = torch.cat([self.pages, self.pages.new_empty(more, *self.pages.shape[1:])])
            self.free = [*self.free, *range(used, used + more)]
        left = len(self.free) - count
        taken, self.free = self.free[left:], self.free[:left]
        return np.asarray(taken, dtype=np.int32)

    def step(self, ids: torch.Tensor) -> torch.Tensor:
        """Give each row its next token, ids [B]; return the last states [B, H]."""
        rows, weights = len(self.own), self.weights
        self._advance()
        if self.stale:
            self._arrange()
        hidden = weights.embedding[ids]  # [B, H], the residual stream: every part adds to it
        normed = torch.empty_like(hidden)  # [B, H]
        gated = hidden.new_empty(rows, self.model.config.intermediate_size)  # [B, I]
        mixed = hidden.new_empty(rows, self.heads * weights.head_dim)  # [B, h d]
        step = self._c_step()
        for number, layer in enumerate(self.layers):
            step.pages, step.window = self.pages[0, number].data_ptr(), layer.window
            cosine, sine = self.rotation if layer.has_positions else self.no_rotation
            step.cosine, step.sine = cosine.data_ptr(), sine.data_ptr()
            if layer.head_norms is not None:
                step.q_weight, step.k_weight = (weight.data_ptr() for weight in layer.head_norms)
            self._normalise(hidden, layer.input_norm, normed)
            qkv = layer.qkv(normed)  # [B, (h + 2 k) d]
            self.library.attend(ctypes.byref(step), qkv.data_ptr(), mixed.data_ptr())
            layer.output.add_to(hidden, mixed)
            self._normalise(hidden, layer.mlp_norm, normed)
            gate_up = layer.gate_up(normed)  # [B, 2 I]
            self.library.silu_gate(gate_up.data_ptr(), gated.data_ptr(), rows, gated.shape[1], self.threads)
            layer.down.add_to(hidden, gated)
        self._normalise(hidden, weights.norm, normed)
        return normed

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """Return the logits [n, V] of states [n, H], in float32."""
        return self.head(states)

    def _normalise(self, hidden: torch.Tensor, weight: torch.Tensor, output: torch.Tensor) -> None:
        """Write the RMSNorm of `hidden` [B, H] to `output`."""
        pointers = hidden.data_ptr(), weight.data_ptr()
        self.library.rms_norm(*pointers, self.weights.eps, output.data_ptr(), *hidden.shape, self.threads)

    def _advance(self) -> None:
        """Count one more token in every row, with a page for those whose pages are full."""
        places = _pages(self.prompt) + self.own // PAGE  # [B], of the new token's page in the row's list
        full = np.flatnonzero(self.own % PAGE == 0)
        if len(full):
            width = int(places[full].max()) + 1
            if width > self.table.shape[1]:
                self.table = np.pad(self.table, ((0, 0), (0, width - self.table.shape[1])))
            self.table[full, places[full]] = self._take(len(full))
        self.own += 1

    def _arrange(self) -> None:
        """Order the rows by group and cut the order into runs of at most TOGETHER rows of one group."""
        self.order = np.argsort(self.groups, kind="stable").astype(np.int32)  # [B]
        ordered = self.groups[self.order]
        starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))  # of each group
        sizes = np.diff(np.append(starts, len(ordered)))
        number = np.arange(len(ordered)) - np.repeat(starts, sizes)  # [B], of a row within its group
        runs = np.flatnonzero(number % TOGETHER == 0)
        self.runs = np.append(runs, len(ordered)).astype(np.int32)  # [runs + 1]
        self.stale = False

    def _c_step(self) -> Step:
        """Return what decode.c needs to know of this step, but for the layer; it points to arrays that `self` keeps alive."""
        room = int((_pages(self.prompt) + _pages(self.own)).max()) * PAGE  # scores of one query
        self._reach(int((self.prompt + self.own).max()))
        queries = TOGETHER * self.heads // self.kv_heads
        self.scratch = torch.empty(self.threads * queries * room)
        return Step(
            eps=self.weights.eps,
            scale=self.weights.scaling,
            page_stride=self.pages.stride(0),
            table=self.table.ctypes.data,
            width=self.table.shape[1],
            prompt=self.prompt.ctypes.data,
            own=self.own.ctypes.data,
            order=self.order.ctypes.data,
            runs=self.runs.ctypes.data,
            num_runs=len(self.runs) - 1,
            scratch=self.scratch.data_ptr(),
            room=room,
            threads=self.threads,
        )

    def _reach(self, positions: int) -> None:
        """Tabulate cosines and sines [positions, d / 2]; twice as many as needed, so that it is seldom done again."""
        if positions > len(self.rotation[0]):
            half = self.weights.head_dim // 2
            both = self.weights.rotary(self.weights.embedding, torch.arange(2 * positions)[None])
            cosine, sine = (table[0, :, :half].float().contiguous() for table in both)
            self.rotation, self.no_rotation = (cosine, sine), (torch.ones_like(cosine), torch.zeros_like(sine))

    def move(self, source: Indices, target: Indices, count: int) -> None:
        """Put the rows `source` in the place of the rows `target`, then keep the first `count`."""
        leaving = np.setdiff1d(np.union1d(np.arange(count, len(self.own)), target), source, assume_unique=True)
        for row in leaving:
            first = len(self.prompt_pages[int(self.groups[row])])
            end = first + -(-int(self.own[row]) // PAGE)
            self.free += self.table[row, first:end].tolist()
        for values in (self.groups, self.prompt, self.own, self.table):
            values[target] = values[source]
        self.groups, self.prompt, self.own = self.groups[:count], self.prompt[:count], self.own[:count]
        self.table, self.stale = np.ascontiguousarray(self.table[:count]), True

    def close(self, group: int) -> None:
        """Forget the prompt of a group."""
        self.free += self.prompt_pages.pop(group).tolist()
        del self.prompt_sizes[group], self.first_states[group]
