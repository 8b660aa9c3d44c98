"""Decoding on a CPU at the speed of its matrix products: rl/sampling/decode.c between them, keys and values in pages.

For Llama-shaped models (Llama, Qwen2, Qwen3) in float32; LoRA adapters are merged into the weights used here. The weights are
copied when the decoder is made, fused to one matrix for query, key and value and one for gate and up. A model whose
logits do not come out as its own forward pass gives them, or a machine without a C compiler, gets no native decoder.
"""

import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import nn
from torch.nn.functional import linear, pad

from rl.sampling.decoding import Indices, prefill, prefill_batches
from rl.types import IntArray
from rl.update.logprobs import base_causal_lm

_PAGE = 16  # tokens, as in decode.c
_TOGETHER = 8  # rows, as in decode.c
_MODEL_TYPES = frozenset({"llama", "qwen2", "qwen3"})
_FIXED_ROTARY = frozenset({"default", "linear", "llama3", "yarn"})  # kinds whose frequencies do not depend on the length
_TOLERANCE = 1e-3  # nats between native logits and the model's own
_checked: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()  # whether the native logits of a model were its own
_FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fopenmp", "-shared", "-fPIC")


class _Step(ctypes.Structure):
    """The struct Step of decode.c."""

    _fields_ = [
        ("cosine", ctypes.c_void_p),
        ("sine", ctypes.c_void_p),
        ("q_weight", ctypes.c_void_p),
        ("k_weight", ctypes.c_void_p),
        ("eps", ctypes.c_float),
        ("scale", ctypes.c_float),
        ("pages", ctypes.c_void_p),
        ("page_stride", ctypes.c_int64),
        ("table", ctypes.c_void_p),
        ("width", ctypes.c_int32),
        ("prompt", ctypes.c_void_p),
        ("own", ctypes.c_void_p),
        ("order", ctypes.c_void_p),
        ("runs", ctypes.c_void_p),
        ("num_runs", ctypes.c_int32),
        ("scratch", ctypes.c_void_p),
        ("room", ctypes.c_int64),
        ("threads", ctypes.c_int32),
    ]


@cache
def _library(head_dim: int, heads: int, kv_heads: int, qk_norm: bool) -> Any:
    """Compile decode.c for one model shape; None without a compiler that can do it."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        return None
    shape = [f"-DHEAD_DIM={head_dim}", f"-DHEADS={heads}", f"-DKV_HEADS={kv_heads}", f"-DQK_NORM={int(qk_norm)}"]
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "decode.so"
        source = Path(__file__).with_name("decode.c")
        command = [compiler, *_FLAGS, *shape, str(source), "-lm", "-o", str(target)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            return None
        library = ctypes.CDLL(str(target))
    pointer, number, size = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64
    library.attend.argtypes = (ctypes.POINTER(_Step), pointer, pointer)
    library.rms_norm.argtypes = (pointer, pointer, ctypes.c_float, pointer, size, size, number)
    library.silu_gate.argtypes = (pointer, pointer, size, size, number)
    for function in (library.attend, library.rms_norm, library.silu_gate):
        function.restype = None
    return library


class _Unfit(Exception):
    """A layer that is not what this file can compute."""


def _weights(layer: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return weight and bias of a linear layer, its LoRA adapters merged in."""
    if type(layer) is nn.Linear:
        return layer.weight, layer.bias
    from peft.tuners.lora import Linear as LoraLinear

    if type(layer) is not LoraLinear or layer.lora_variant:
        raise _Unfit
    weight, bias = _weights(layer.base_layer)
    if not layer.merged and not layer.disable_adapters:
        for name in [name for name in layer.active_adapters if name in layer.lora_A]:
            weight = weight + layer.get_delta_weight(name)
    return weight, bias


def _scale(norm: Any) -> torch.Tensor:
    """Return the weight of an RMSNorm; a wrapper of peft is none."""
    if not type(norm).__name__.endswith("RMSNorm"):
        raise _Unfit
    return norm.weight  # type: ignore[no-any-return]


def _fused(*layers: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
    weights, biases = zip(*map(_weights, layers), strict=True)
    missing = [bias is None for bias in biases]
    if any(missing) and not all(missing):
        raise _Unfit
    return torch.cat(weights), None if all(missing) else torch.cat(biases)


@dataclass(frozen=True, eq=False)
class _Layer:
    """The weights of one layer as a step reads them."""

    input_norm: torch.Tensor
    qkv: tuple[torch.Tensor, torch.Tensor | None]
    q_norm: torch.Tensor | None
    k_norm: torch.Tensor | None
    output: tuple[torch.Tensor, torch.Tensor | None]
    mlp_norm: torch.Tensor
    gate_up: tuple[torch.Tensor, torch.Tensor | None]
    down: tuple[torch.Tensor, torch.Tensor | None]


def _layer(layer: Any) -> _Layer:
    attention, mlp = layer.self_attn, layer.mlp
    q_norm, k_norm = (getattr(attention, name, None) for name in ("q_norm", "k_norm"))
    return _Layer(
        input_norm=_scale(layer.input_layernorm),
        qkv=_fused(attention.q_proj, attention.k_proj, attention.v_proj),
        q_norm=None if q_norm is None else _scale(q_norm),
        k_norm=None if k_norm is None else _scale(k_norm),
        output=_weights(attention.o_proj),
        mlp_norm=_scale(layer.post_attention_layernorm),
        gate_up=_fused(mlp.gate_proj, mlp.up_proj),
        down=_weights(mlp.down_proj),
    )


def native_decoder(model: Any) -> "NativeDecoder | None":
    """Return a native decoder for `model`, or None where there can be none."""
    config = model.config
    parameters = list(model.parameters())
    fits = (
        config.model_type in _MODEL_TYPES
        and config.hidden_act == "silu"
        and config.rope_parameters["rope_type"] in _FIXED_ROTARY
        and config.hidden_size % _PAGE == config.intermediate_size % _PAGE == 0
        and all(p.dtype == torch.float32 and p.device.type == "cpu" for p in parameters)
    )
    if not fits:
        return None
    try:
        decoder = NativeDecoder(model)
    except _Unfit:
        return None
    if decoder.library is not None and model not in _checked:
        _checked[model] = _agrees(model, decoder)
    return decoder if _checked.get(model) else None


def _agrees(model: Any, decoder: "NativeDecoder") -> bool:
    """Whether a short text gets the logits of the model's own forward pass."""
    ids = np.arange(1, 2 * _PAGE + 4, dtype=np.int64) % model.config.vocab_size
    split = _PAGE + 1
    decoder.join([0], [ids[:split]])
    for token in ids[split:]:
        states = decoder.step(torch.tensor([token]))
    decoder.move(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), 0)
    decoder.close(0)
    expected, _ = prefill(model, [ids])
    return bool(
        torch.allclose(
            decoder.logits(states), base_causal_lm(model).get_output_embeddings()(expected), atol=_TOLERANCE, rtol=_TOLERANCE
        )
    )


class NativeDecoder:
    """Keys and values in pages of 16 tokens, of all layers: those of a prompt are in the page list of all rows of its group."""

    joins = True

    def __init__(self, model: Any):
        self.model = model
        causal_lm = base_causal_lm(model)
        body = causal_lm.get_decoder()
        if type(body.embed_tokens) is not nn.Embedding:
            raise _Unfit
        self.embedding = body.embed_tokens.weight
        self.layers = [_layer(layer) for layer in body.layers]
        self.norm, self.head = _scale(body.norm), _weights(causal_lm.get_output_embeddings())
        attention = body.layers[0].self_attn
        self.eps, self.scale, self.head_dim = body.norm.variance_epsilon, attention.scaling, attention.head_dim
        self.heads, self.kv_heads = model.config.num_attention_heads, model.config.num_key_value_heads
        self.rotary = body.rotary_emb
        self.cosine = self.sine = torch.zeros(0, self.head_dim // 2)
        self.library = _library(self.head_dim, self.heads, self.kv_heads, self.layers[0].q_norm is not None)
        self.threads = torch.get_num_threads()
        self.pages = torch.empty(0, len(self.layers), self.kv_heads, 2, _PAGE * self.head_dim)
        self.free: list[int] = []
        self.prompt_pages: dict[int, IntArray] = {}
        self.prompt_sizes: dict[int, int] = {}
        self.first_states: dict[int, torch.Tensor] = {}
        self.groups = np.zeros(0, dtype=np.int64)  # [B]
        self.prompt = np.zeros(0, dtype=np.int32)  # [B], tokens
        self.own = np.zeros(0, dtype=np.int32)  # [B], tokens since the prompt
        self.table = np.zeros((0, 0), dtype=np.int32)  # [B, pages], of the prompt and then own
        self.stale = True  # whether rows have come, gone or moved since the last step

    def join(self, groups: Sequence[int], prompts: Sequence[IntArray]) -> torch.Tensor:
        """Append rows; prompts that are new are computed."""
        for batch in prefill_batches([group for group in dict.fromkeys(groups) if group not in self.prompt_pages], prompts):
            states, layers = prefill(self.model, [prompts[group] for group in batch])
            self._file(batch, [len(prompts[group]) for group in batch], layers)
            self.first_states.update(zip(batch, states, strict=True))
        first = len(self.groups)
        self.groups = np.concatenate([self.groups, np.asarray(groups, dtype=np.int64)])
        sizes = [self.prompt_sizes[group] for group in groups]
        self.prompt = np.concatenate([self.prompt, np.asarray(sizes, dtype=np.int32)])
        self.own = np.concatenate([self.own, np.zeros(len(groups), dtype=np.int32)])
        width = max(self.table.shape[1], *(len(self.prompt_pages[group]) for group in groups))
        self.table = np.pad(self.table, ((0, len(groups)), (0, width - self.table.shape[1])))
        for row, group in enumerate(groups, start=first):
            self.table[row, : len(self.prompt_pages[group])] = self.prompt_pages[group]
        self.stale = True
        return torch.stack([self.first_states[group] for group in groups])

    def _file(self, groups: list[int], sizes: list[int], layers: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
        """Put the keys and values of prompts [P, k, T, d] into pages."""
        count = -(-layers[0][0].shape[2] // _PAGE)
        pages = np.zeros((len(groups), count), dtype=np.int32)
        held = np.arange(count) < -(-np.asarray(sizes)[:, None] // _PAGE)
        pages[held] = self._take(int(held.sum()))
        numbers, chosen = torch.from_numpy(pages[held]).long(), torch.from_numpy(held)
        for layer, states in enumerate(layers):
            for part, state in enumerate(states):
                padded = pad(state, (0, 0, 0, count * _PAGE - state.shape[2]))
                blocks = padded.unflatten(2, (count, _PAGE)).transpose(1, 2)[chosen]  # [pages, k, 16, d]
                self.pages[numbers, layer, :, part] = (blocks.mT if part == 0 else blocks).flatten(2)
        for group, size, row, mask in zip(groups, sizes, pages, held, strict=True):
            self.prompt_pages[group], self.prompt_sizes[group] = row[mask], size

    def _take(self, count: int) -> IntArray:
        """Return the numbers of `count` free pages."""
        if count > len(self.free):
            used = len(self.pages)
            more = max(count, used // 2, 64)
            self.pages = torch.cat([self.pages, self.pages.new_empty(more, *self.pages.shape[1:])])
            self.free = [*self.free, *range(used, used + more)]
        taken, self.free = self.free[len(self.free) - count :], self.free[: len(self.free) - count]
        return np.asarray(taken, dtype=np.int32)

    def step(self, ids: torch.Tensor) -> torch.Tensor:
        """Give each row its next token."""
        rows = len(self.own)
        self._advance()
        if self.stale:
            self._arrange()
        hidden = self.embedding[ids]
        normed, gated = torch.empty_like(hidden), torch.empty(rows, self.layers[0].down[0].shape[1])
        mixed = torch.empty(rows, self.heads * self.head_dim)
        step = self._c_step()
        for number, layer in enumerate(self.layers):
            step.pages = self.pages[0, number].data_ptr()
            if layer.q_norm is not None and layer.k_norm is not None:
                step.q_weight, step.k_weight = layer.q_norm.data_ptr(), layer.k_norm.data_ptr()
            self._normalise(hidden, layer.input_norm, normed)
            qkv = linear(normed, *layer.qkv)
            self.library.attend(ctypes.byref(step), qkv.data_ptr(), mixed.data_ptr())
            self._add(hidden, mixed, *layer.output)
            self._normalise(hidden, layer.mlp_norm, normed)
            gate_up = linear(normed, *layer.gate_up)
            self.library.silu_gate(gate_up.data_ptr(), gated.data_ptr(), rows, gated.shape[1], self.threads)
            self._add(hidden, gated, *layer.down)
        self._normalise(hidden, self.norm, normed)
        return normed

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """Return the logits [n, V] of states [n, H]."""
        return linear(states, *self.head)

    def _normalise(self, hidden: torch.Tensor, weight: torch.Tensor, output: torch.Tensor) -> None:
        pointers = hidden.data_ptr(), weight.data_ptr()
        self.library.rms_norm(*pointers, self.eps, output.data_ptr(), *hidden.shape, self.threads)

    @staticmethod
    def _add(hidden: torch.Tensor, states: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        hidden.addmm_(states, weight.T)
        if bias is not None:
            hidden.add_(bias)

    def _advance(self) -> None:
        """Count one more token in every row, with a page for those whose pages are full."""
        places = -(-self.prompt // _PAGE) + self.own // _PAGE
        full = np.flatnonzero(self.own % _PAGE == 0)
        if len(full):
            width = int(places[full].max()) + 1
            if width > self.table.shape[1]:
                self.table = np.pad(self.table, ((0, 0), (0, width - self.table.shape[1])))
            self.table[full, places[full]] = self._take(len(full))
        self.own += 1

    def _arrange(self) -> None:
        """Order the rows by group and cut the order into runs of at most _TOGETHER rows of one group."""
        self.order = np.argsort(self.groups, kind="stable").astype(np.int32)
        ordered = self.groups[self.order]
        starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        since = np.arange(len(ordered)) - np.repeat(starts, np.diff(np.append(starts, len(ordered))))
        runs = np.flatnonzero(since % _TOGETHER == 0)
        self.runs = np.append(runs, len(ordered)).astype(np.int32)
        self.stale = False

    def _c_step(self) -> _Step:
        room = int((-(-self.prompt // _PAGE) - (-self.own // _PAGE)).max()) * _PAGE
        self._reach(int((self.prompt + self.own).max()))
        queries = _TOGETHER * self.heads // self.kv_heads
        self.scratch = torch.empty(self.threads * queries * room)
        return _Step(
            cosine=self.cosine.data_ptr(),
            sine=self.sine.data_ptr(),
            eps=self.eps,
            scale=self.scale,
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
        """Tabulate cosines and sines [positions, d / 2]."""
        if positions > len(self.cosine):
            cosine, sine = self.rotary(self.embedding, torch.arange(2 * positions)[None])
            self.cosine, self.sine = (table[0, :, : self.head_dim // 2].contiguous() for table in (cosine, sine))

    def move(self, source: Indices, target: Indices, count: int) -> None:
        """Put rows in the place of others, then keep the first `count`."""
        leaving = np.setdiff1d(np.union1d(np.arange(count, len(self.own)), target), source, assume_unique=True)
        for row in leaving:
            first = len(self.prompt_pages[int(self.groups[row])])
            self.free += self.table[row, first : first - (-int(self.own[row]) // _PAGE)].tolist()
        for values in (self.groups, self.prompt, self.own, self.table):
            values[target] = values[source]
        self.groups, self.prompt, self.own = self.groups[:count], self.prompt[:count], self.own[:count]
        self.table, self.stale = np.ascontiguousarray(self.table[:count]), True

    def close(self, group: int) -> None:
        """Forget the prompt of a group."""
        self.free += self.prompt_pages.pop(group).tolist()
        del self.prompt_sizes[group], self.first_states[group]
