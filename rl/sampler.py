"""Draws completions with the policy itself: batched decoding with a KV cache.

The prompt of a group is computed once and its cache shared out to the G completions; finished rows leave the batch; the
log-probability of every sampled token comes back with it. Each completion has a random stream of its own, named by
(seed, step, problem, number in the group), so a sample does not depend on what else is in the batch, on the number of
ranks or on a resume (up to rounding of the logits, which may differ between batch shapes).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from problems.seeding import derive_seed
from rl.types import FloatArray, IntArray

_COMPACT_AT = 0.85  # rows leave the cache when fewer than this share still run: copying it costs about one decoding step
_GROW_TOKENS = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class SampleRequest:
    """One prompt and the names of the random streams of its completions (one each)."""

    prompt_ids: IntArray
    streams: tuple[tuple[str | int, ...], ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """One completion: `request` and `number` say whose; log-probabilities are those of the sampling distribution."""

    request: int
    number: int
    token_ids: IntArray  # [T], stop token included
    logprobs: FloatArray  # [T], nats
    stopped: bool


class _GrowingLayer(DynamicLayer):
    """A cache layer that grows in blocks, where DynamicLayer copies all of itself for every token."""

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        super().lazy_initialization(key_states, value_states)
        self.keys: torch.Tensor
        self.values: torch.Tensor
        self.store: tuple[torch.Tensor, torch.Tensor] | None = None

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        used = self.get_seq_length()
        needed = used + key_states.shape[-2]
        if self.store is None or self.store[0].shape[-2] < needed:
            self.store = (self._grown(self.keys, key_states, used), self._grown(self.values, value_states, used))
        keys, values = self.store
        keys[..., used:needed, :] = key_states
        values[..., used:needed, :] = value_states
        self.keys, self.values = keys[..., :needed, :], values[..., :needed, :]
        return self.keys, self.values

    @staticmethod
    def _grown(old: torch.Tensor, new: torch.Tensor, used: int) -> torch.Tensor:
        size = used + new.shape[-2]
        larger = new.new_empty(*new.shape[:-2], size + max(_GROW_TOKENS, size // 2), new.shape[-1])
        if used:
            larger[..., :used, :] = old
        return larger

    def batch_repeat_interleave(self, repeats: int) -> None:
        super().batch_repeat_interleave(repeats)
        self.store = None

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        super().batch_select_indices(indices)
        self.store = None


def _new_cache(config: Any) -> DynamicCache:
    cache = DynamicCache(config=config)
    cache.layers = [_GrowingLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


@dataclass(frozen=True, kw_only=True, eq=False)
class _Rows:
    """The rows still in the batch: everything that leaves together with a row."""

    request: torch.Tensor  # [B]
    number: torch.Tensor  # [B]
    uniforms: torch.Tensor  # [B, max tokens]
    attention: torch.Tensor  # [B, T_prompt + max tokens], 0 on left padding
    position: torch.Tensor  # [B], of the newest token
    tokens: torch.Tensor  # [B, max tokens]
    logprobs: torch.Tensor  # [B, max tokens]
    running: torch.Tensor  # [B], whether it has not ended

    def select(self, keep: torch.Tensor) -> "_Rows":
        return _Rows(**{field.name: getattr(self, field.name)[keep] for field in fields(self)})


def draw_uniforms(stream: tuple[str | int, ...], count: int) -> FloatArray:
    """Return `count` numbers in [0, 1) of the stream with this name; a longer draw begins with a shorter one."""
    generator = np.random.Generator(np.random.Philox(key=derive_seed("sample", *stream)))
    return generator.random(count, dtype=np.float32)


def pick(logits: torch.Tensor, uniforms: torch.Tensor, temperature: float, top_p: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Sample one token a row by inverting the distribution function. logits [B, V], uniforms [B] -> ids, logprobs [B].

    Temperature 0 takes the most likely token. With top_p < 1 the log-probability is that of the cut distribution.
    """
    logits = logits.float()
    if temperature == 0:
        logprobs = torch.log_softmax(logits, -1)
        best = logprobs.argmax(-1)
        return best, logprobs.gather(-1, best[:, None])[:, 0]
    logprobs = torch.log_softmax(logits / temperature, -1)
    if top_p < 1:
        ordered, order = logprobs.sort(-1, descending=True)
        before = ordered.exp().cumsum(-1) - ordered.exp()
        dropped = torch.zeros_like(logprobs, dtype=torch.bool).scatter(-1, order, before >= top_p)
        logprobs = torch.log_softmax(logprobs.masked_fill(dropped, -torch.inf), -1)
    cumulative = logprobs.exp().cumsum(-1)  # [B, V]
    target = uniforms[:, None] * cumulative[:, -1:]
    ids = torch.searchsorted(cumulative, target, right=True)[:, 0].clamp_max(logits.shape[-1] - 1)
    return ids, logprobs.gather(-1, ids[:, None])[:, 0]


@dataclass(frozen=True, kw_only=True, eq=False)
class Sampler:
    """Samples from `model` (a causal LM of transformers, adapters allowed) on its device."""

    model: Any
    pad_id: int
    stop_ids: frozenset[int]
    max_rows: int

    @torch.no_grad()
    def sample(
        self,
        requests: Sequence[SampleRequest],
        *,
        temperature: float,
        max_tokens: int,
        top_p: float = 1.0,
        on_sample: Callable[[Sample], None],
    ) -> None:
        """Draw every completion of `requests`; each is handed to `on_sample` as soon as it is finished."""
        training = self.model.training
        self.model.eval()
        try:
            for first, wave in self._waves(requests):
                for sample in self._decode(first, wave, temperature, top_p, max_tokens):
                    on_sample(sample)
        finally:
            self.model.train(training)

    def _waves(self, requests: Sequence[SampleRequest]) -> Iterator[tuple[int, list[SampleRequest]]]:
        """Cut `requests` so that at most `max_rows` completions (at least one group) are decoded together."""
        start, rows = 0, 0
        for position, request in enumerate(requests):
            if rows and rows + len(request.streams) > self.max_rows:
                yield start, list(requests[start:position])
                start, rows = position, 0
            rows += len(request.streams)
        if start < len(requests):
            yield start, list(requests[start:])

    def _prefill(self, wave: list[SampleRequest]) -> tuple[torch.Tensor, torch.Tensor, DynamicCache]:
        """Run every prompt once; return last logits [P, V], attention mask [P, T] and the cache."""
        device = next(self.model.parameters()).device
        width = max(len(request.prompt_ids) for request in wave)
        ids = torch.full((len(wave), width), self.pad_id)
        mask = torch.zeros((len(wave), width), dtype=torch.long)
        for row, request in enumerate(wave):
            ids[row, width - len(request.prompt_ids) :] = torch.as_tensor(request.prompt_ids)
            mask[row, width - len(request.prompt_ids) :] = 1
        ids, mask = ids.to(device), mask.to(device)
        positions = (mask.cumsum(-1) - 1).clamp_min(0)
        cache = _new_cache(self.model.config)
        output = self.model(
            input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True, logits_to_keep=1
        )
        return output.logits[:, -1], mask, output.past_key_values

    def _decode(
        self, first: int, wave: list[SampleRequest], temperature: float, top_p: float, max_tokens: int
    ) -> Iterator[Sample]:
        logits, mask, cache = self._prefill(wave)
        rows = self._rows(first, wave, mask, max_tokens)
        spread = rows.request - first
        cache.batch_select_indices(spread)
        logits = logits[spread]
        width, padded = mask.shape[1], bool((mask == 0).any())
        stop = torch.tensor(sorted(self.stop_ids), device=mask.device)
        for step in range(max_tokens):
            ids, logprobs = pick(logits, rows.uniforms[:, step], temperature, top_p)
            rows.tokens[:, step], rows.logprobs[:, step] = ids, logprobs
            stopped = rows.running & torch.isin(ids, stop)
            ended = rows.running if step == max_tokens - 1 else stopped
            if bool(ended.any()):
                yield from self._finished(rows, ended, stopped, step + 1)
                rows = replace(rows, running=rows.running & ~ended)
            alive = int(rows.running.sum())
            if alive == 0:
                return
            if alive < _COMPACT_AT * len(ids):
                keep = rows.running.nonzero()[:, 0]
                rows, ids = rows.select(keep), ids[keep]
                cache.batch_select_indices(keep)
            rows = replace(rows, position=rows.position + 1)
            output = self.model(
                input_ids=ids[:, None],
                attention_mask=rows.attention[:, : width + step + 1] if padded else None,
                position_ids=rows.position[:, None],
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            logits = output.logits[:, -1]

    @staticmethod
    def _rows(first: int, wave: list[SampleRequest], mask: torch.Tensor, max_tokens: int) -> _Rows:
        counts = torch.tensor([len(request.streams) for request in wave])
        spread = torch.repeat_interleave(torch.arange(len(wave)), counts).to(mask.device)
        uniforms = np.stack([draw_uniforms(stream, max_tokens) for request in wave for stream in request.streams])
        uniforms_on_device = torch.as_tensor(uniforms, device=mask.device)
        attention = torch.cat([mask[spread], mask.new_ones(len(spread), max_tokens)], 1)
        return _Rows(
            request=first + spread,
            number=torch.cat([torch.arange(count) for count in counts.tolist()]).to(mask.device),
            uniforms=uniforms_on_device,
            attention=attention,
            position=mask.sum(-1)[spread] - 1,
            tokens=torch.zeros_like(uniforms_on_device, dtype=torch.long),
            logprobs=torch.zeros_like(uniforms_on_device),
            running=torch.ones_like(spread, dtype=torch.bool),
        )

    @staticmethod
    def _finished(rows: _Rows, ended: torch.Tensor, stopped: torch.Tensor, length: int) -> Iterator[Sample]:
        chosen = ended.nonzero()[:, 0]
        tokens = rows.tokens[chosen, :length].to(torch.int32).cpu().numpy()
        logprobs = rows.logprobs[chosen, :length].cpu().numpy()
        whose = zip(rows.request[chosen].tolist(), rows.number[chosen].tolist(), stopped[chosen].tolist(), strict=True)
        for position, (request, number, stop) in enumerate(whose):
            yield Sample(request=request, number=number, token_ids=tokens[position], logprobs=logprobs[position], stopped=stop)
