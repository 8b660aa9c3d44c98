"""A decoding step's elementwise work on a GPU, one Triton kernel each: rotation into the cache, SwiGLU, drawing a token.

A step of 256 rows of half a billion parameters is some 400 kernels of three to ten microseconds; plain torch takes seven of
them a layer for what `turn_and_keep` does in one, and nine passes over all logits for what `draw` does in three.
Computed in float32 and rounded once.

Only to be imported where Triton is installed. Dimension letters: n rows, T tokens, h query heads, k key-value heads, d
components of a head, I intermediate size, V vocabulary.
"""

from typing import Any

import torch
import triton
import triton.language as tl

_FLAT = 1024
_VOCABULARY = 4096  # logits that a program looks at in one go
_LEAST = tl.constexpr(-1e4)  # as rl/sampling/picking.py


@triton.jit
def _turn_and_keep(
    x, cosine, sine, places, query_norm, key_norm, cache, query, tokens, eps,
    heads: tl.constexpr, kv_heads: tl.constexpr, half: tl.constexpr,
    HEADS: tl.constexpr, KV_HEADS: tl.constexpr, HALF: tl.constexpr, HAS_NORMS: tl.constexpr,
):  # fmt: skip
    """One row a program. `sine` is minus the sine for the first half of a head's components."""
    row = tl.program_id(0).to(tl.int64)
    place = tl.load(places + row).to(tl.int64)
    head, column = tl.arange(0, HEADS)[:, None], tl.arange(0, HALF)[None, :]
    inside = (head < heads + kv_heads) & (column < half)
    there = x + row * ((heads + 2 * kv_heads) * 2 * half) + head * (2 * half) + column
    low = tl.load(there, mask=inside, other=0.0).to(tl.float32)
    high = tl.load(there + half, mask=inside, other=0.0).to(tl.float32)
    if HAS_NORMS:
        inverse = tl.rsqrt((tl.sum(low * low, 1) + tl.sum(high * high, 1)) / (2 * half) + eps)[:, None]
        of_query = inside & (head < heads)
        of_key = inside & (head >= heads)
        low_scale = tl.load(query_norm + column, mask=of_query, other=0.0) + tl.load(key_norm + column, mask=of_key, other=0.0)
        high_scale = tl.load(query_norm + half + column, mask=of_query, other=0.0)
        high_scale += tl.load(key_norm + half + column, mask=of_key, other=0.0)
        low, high = low * inverse * low_scale.to(tl.float32), high * inverse * high_scale.to(tl.float32)
    at = place * (2 * half) + column
    low_cosine = tl.load(cosine + at, mask=column < half, other=0.0).to(tl.float32)
    high_cosine = tl.load(cosine + at + half, mask=column < half, other=0.0).to(tl.float32)
    low_sine = tl.load(sine + at, mask=column < half, other=0.0).to(tl.float32)
    high_sine = tl.load(sine + at + half, mask=column < half, other=0.0).to(tl.float32)
    turned_low = low * low_cosine + high * low_sine
    turned_high = high * high_cosine + low * high_sine
    asked = query + row * (heads * 2 * half) + head * (2 * half) + column
    tl.store(asked, turned_low, mask=inside & (head < heads))
    tl.store(asked + half, turned_high, mask=inside & (head < heads))
    slot = cache + (row * tokens + place) * (2 * kv_heads * 2 * half)  # keys, then values
    kept = slot + (head - heads) * (2 * half) + column
    tl.store(kept, turned_low, mask=inside & (head >= heads))
    tl.store(kept + half, turned_high, mask=inside & (head >= heads))

    number = tl.arange(0, KV_HEADS)[:, None]
    inside = (number < kv_heads) & (column < half)
    given = x + row * ((heads + 2 * kv_heads) * 2 * half) + (heads + kv_heads + number) * (2 * half) + column
    kept = slot + (kv_heads + number) * (2 * half) + column
    tl.store(kept, tl.load(given, mask=inside, other=0.0), mask=inside)
    tl.store(kept + half, tl.load(given + half, mask=inside, other=0.0), mask=inside)


def turn_and_keep(
    all_heads: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor, places: torch.Tensor, cache: torch.Tensor,
    norms: tuple[torch.Tensor, torch.Tensor] | None, eps: float,
) -> torch.Tensor:  # fmt: skip
    """Turn queries and keys by their row's place, put keys and values there, and return the queries [n, h, d].

    all_heads [n, h + 2 k, d] in the order query, key, value; cosine and sine [T, d], the sine negative in a head's first half;
    places [n]; cache [rows, T, 2, k, d] is written; `norms` are Qwen3's RMSNorms of queries and keys, weights [d] each.
    """
    count, every, size = all_heads.shape
    kv_heads = cache.shape[3]
    heads = every - 2 * kv_heads
    query = all_heads.new_empty(count, heads, size)
    query_norm, key_norm = norms or (all_heads, all_heads)  # any tensor: not read
    _turn_and_keep[(count,)](
        all_heads, cosine, sine, places, query_norm, key_norm, cache, query, cache.shape[1], eps,
        heads=heads, kv_heads=kv_heads, half=size // 2, HEADS=triton.next_power_of_2(heads + kv_heads),
        KV_HEADS=triton.next_power_of_2(kv_heads), HALF=triton.next_power_of_2(size // 2), HAS_NORMS=norms is not None,
        num_warps=2,
    )  # fmt: skip
    return query


@triton.jit
def _swiglu(x, y, width: tl.constexpr, BLOCK: tl.constexpr):
    row, column = tl.program_id(0).to(tl.int64), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = column < width
    gate = tl.load(x + row * (2 * width) + column, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(x + row * (2 * width) + width + column, mask=inside, other=0.0).to(tl.float32)
    tl.store(y + row * width + column, gate * tl.sigmoid(gate) * up, mask=inside)


def swiglu(gate_up: torch.Tensor) -> torch.Tensor:
    """Return silu(gate) * up [n, I] of gate and up side by side [n, 2 I] (arXiv 2002.05202)."""
    count, both = gate_up.shape
    output = gate_up.new_empty(count, both // 2)
    _swiglu[(count, triton.cdiv(both // 2, _FLAT))](gate_up, output, width=both // 2, BLOCK=_FLAT)
    return output


@triton.jit
def _scores(logits, place, vocabulary, inverse_temperature, highest):
    """Scores below the highest, and e to them, which is 0 outside of the vocabulary."""
    score = tl.load(logits + place, mask=place < vocabulary, other=-float("inf")) * inverse_temperature - highest
    score = tl.maximum(score, _LEAST)
    return score, tl.exp(score)


@triton.jit(do_not_specialize=["vocabulary", "inverse_temperature"])
def _draw(logits, uniforms, ids, logprobs, entropies, vocabulary, inverse_temperature, BLOCK: tl.constexpr):
    """One row a program, which reads it three times: the highest score, the sums, the token.

    while, not range: Triton's interpreter cannot make a Python number of a bound.
    """
    row = tl.program_id(0).to(tl.int64)
    logits += row * vocabulary
    column = tl.arange(0, BLOCK)
    best = tl.full([BLOCK], -float("inf"), tl.float32)
    first = 0
    while first < vocabulary:
        place = first + column
        best = tl.maximum(best, tl.load(logits + place, mask=place < vocabulary, other=-float("inf")))
        first += BLOCK
    highest = tl.max(best, 0) * inverse_temperature

    total, weighted = 0.0, 0.0
    first = 0
    while first < vocabulary:
        score, weight = _scores(logits, first + column, vocabulary, inverse_temperature, highest)
        total += tl.sum(weight, 0)
        weighted += tl.sum(weight * score, 0)
        first += BLOCK

    # a uniform just below 1 times the total can round to the total: kept below it
    target = tl.minimum(tl.load(uniforms + row) * total, total * 0.99999994)
    before, token, latest = 0.0, -1, 0
    first = 0
    while (first < vocabulary) & (token < 0):
        score, weight = _scores(logits, first + column, vocabulary, inverse_temperature, highest)
        possible = weight > 0
        latest = tl.maximum(latest, tl.max(tl.where(possible, first + column, -1), 0))
        part = tl.sum(weight, 0)  # added up as above, so that the last sum is the total
        if before + part > target:
            cumulative = before + tl.cumsum(weight, 0)
            found = tl.min(tl.where((cumulative > target) & possible, first + column, vocabulary), 0)
            token = tl.where(found < vocabulary, found, latest)  # cumsum rounds otherwise than the sum
        before += part
        first += BLOCK
    token = tl.where(token < 0, latest, token)
    score = tl.load(logits + token) * inverse_temperature - highest
    tl.store(ids + row, token)
    tl.store(logprobs + row, score - tl.log(total))
    tl.store(entropies + row, tl.log(total) - weighted / total)


def draw(logits: torch.Tensor, uniforms: torch.Tensor, temperature: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """As `pick` in rl/sampling/picking.py, but logits [n, V], float32, stay: uniforms -> ids, log-probabilities, entropies [n].

    Sums are added up in another order than there, so a uniform at the very edge of two tokens can get the other one.
    """
    count, vocabulary = logits.shape
    ids = torch.empty(count, dtype=torch.long, device=logits.device)
    logprobs, entropies = (torch.empty(count, dtype=torch.float32, device=logits.device) for _ in range(2))
    block = min(_VOCABULARY, triton.next_power_of_2(vocabulary))
    _draw[(count,)](
        logits.contiguous(), uniforms, ids, logprobs, entropies, vocabulary, 1 / temperature, BLOCK=block, num_warps=8
    )
    return ids, logprobs, entropies


def errors_of_draw(device: torch.device, rows: int = 64, vocabulary: int = 10_000) -> dict[str, float]:
    """Return how far `draw` is from float64 on random logits, in probability and in nats; far or NaN where it is wrong."""
    generator = torch.Generator(device).manual_seed(0)
    logits = 3 * torch.randn(rows, vocabulary, generator=generator, device=device)
    logits[:, ::7] = -torch.inf
    uniforms = torch.rand(rows, generator=generator, device=device)
    uniforms[0], uniforms[1] = 0, 1 - 2**-24
    ids, logprobs, entropies = draw(logits, uniforms, 0.7)
    log_p = torch.log_softmax(logits.double() / 0.7, -1)
    exact = log_p.gather(-1, ids[:, None])[:, 0]
    after = log_p.exp().cumsum(-1).gather(-1, ids[:, None])[:, 0]
    outside = torch.maximum(uniforms - after, after - exact.exp() - uniforms).clamp(min=0)  # of the token's share
    entropy = -(log_p.exp() * log_p.clamp(min=-1e4)).sum(-1)
    pairs: dict[str, Any] = {"share": outside, "log-probability": logprobs - exact, "entropy": entropies - entropy}
    return {name: float(apart.abs().max()) for name, apart in pairs.items()}
