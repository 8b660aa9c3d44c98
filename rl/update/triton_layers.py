"""The elementwise parts of a Llama-shaped decoder layer on a GPU, one Triton kernel each way: RMSNorm, SwiGLU, rotation.

transformers does them in plain torch: an RMSNorm is seven kernels, a rotation twelve, each with its own pass over memory. Here
everything is computed in float32 and rounded once. What is kept for the backward pass is the input, and of an RMSNorm
one number a row.

Only to be imported where Triton is installed. Dimension letters: M rows, H hidden size, h query heads, k key-value heads, d
components of a head.
"""

from typing import Any

import torch
import triton
import triton.language as tl

_TILE, _BACKWARD_TILE = 4096, 2048  # numbers that a program of the RMSNorm holds at one time, where a row is no longer
_FLAT = 2048
_PROGRAMS = 660  # of the RMSNorm's backward pass, each with a part of the weight's gradient: five for each of 132 processors


@triton.jit(do_not_specialize=["rows"])
def _norm_forward(x, weight, y, inverses, rows, eps, width: tl.constexpr, BLOCK: tl.constexpr, ROWS: tl.constexpr):
    number = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, BLOCK)
    inside = (number[:, None] < rows) & (column[None, :] < width)
    place = number[:, None].to(tl.int64) * width + column[None, :]
    states = tl.load(x + place, mask=inside, other=0.0).to(tl.float32)
    inverse = tl.rsqrt(tl.sum(states * states, 1) / width + eps)
    scale = tl.load(weight + column, mask=column < width, other=0.0).to(tl.float32)
    tl.store(y + place, states * inverse[:, None] * scale[None, :], mask=inside)
    tl.store(inverses + number, inverse, mask=number < rows)


@triton.jit(do_not_specialize=["rows"])
def _norm_backward(
    dy, x, weight, inverses, dx, parts, rows,
    width: tl.constexpr, BLOCK: tl.constexpr, ROWS: tl.constexpr, HAS_WEIGHT: tl.constexpr,
):  # fmt: skip
    """Every program takes tiles of rows in turn and adds up its part of the weight's gradient [BLOCK]."""
    column = tl.arange(0, BLOCK)
    scale = tl.load(weight + column, mask=column < width, other=0.0).to(tl.float32)
    d_weight = tl.zeros([BLOCK], tl.float32)
    first = tl.program_id(0) * ROWS
    while first < rows:  # not range: Triton's interpreter cannot make a Python number of a bound
        number = first + tl.arange(0, ROWS)
        inside = (number[:, None] < rows) & (column[None, :] < width)
        place = number[:, None].to(tl.int64) * width + column[None, :]
        inverse = tl.load(inverses + number, mask=number < rows, other=0.0)
        normed = tl.load(x + place, mask=inside, other=0.0).to(tl.float32) * inverse[:, None]
        upstream = tl.load(dy + place, mask=inside, other=0.0).to(tl.float32)
        scaled = upstream * scale[None, :]
        common = tl.sum(scaled * normed, 1) / width
        tl.store(dx + place, inverse[:, None] * (scaled - normed * common[:, None]), mask=inside)
        if HAS_WEIGHT:
            d_weight += tl.sum(upstream * normed, 0)
        first += tl.num_programs(0) * ROWS
    if HAS_WEIGHT:
        tl.store(parts + tl.program_id(0) * width + column, d_weight, mask=column < width)


def _tile(width: int, numbers: int) -> tuple[int, int, int]:
    """Return columns and rows of a tile, powers of two, and the warps for it."""
    columns = triton.next_power_of_2(width)
    rows = max(1, numbers // columns)
    return columns, rows, min(16, max(4, columns * rows // 1024))


class _Norm(torch.autograd.Function):
    """x [.., H], weight [H] -> [.., H]."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
        x = x.contiguous()
        width = x.shape[-1]
        rows = x.numel() // width
        y = torch.empty_like(x)
        inverses = x.new_empty(rows, dtype=torch.float32)
        block, tile, warps = _tile(width, _TILE)
        _norm_forward[(triton.cdiv(rows, tile),)](
            x, weight, y, inverses, rows, eps, width=width, BLOCK=block, ROWS=tile, num_warps=warps
        )
        ctx.save_for_backward(x, weight, inverses)
        return y

    @staticmethod
    def backward(ctx: Any, dy: torch.Tensor) -> Any:  # type: ignore[override]
        x, weight, inverses = ctx.saved_tensors
        dy = dy.contiguous()
        width, rows = x.shape[-1], len(inverses)
        dx = torch.empty_like(x)
        block, tile, warps = _tile(width, _BACKWARD_TILE)
        programs = min(_PROGRAMS, triton.cdiv(rows, tile))
        has_weight = ctx.needs_input_grad[1]
        parts = x.new_empty((programs, width) if has_weight else 1, dtype=torch.float32)
        _norm_backward[(programs,)](
            dy, x, weight, inverses, dx, parts, rows,
            width=width, BLOCK=block, ROWS=tile, HAS_WEIGHT=has_weight, num_warps=warps,
        )  # fmt: skip
        return dx, parts.sum(0).to(weight.dtype) if has_weight else None, None


def norm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    """Return x [.., H] over its root mean square, times `weight` [H] (arXiv 1910.07467)."""
    output: torch.Tensor = _Norm.apply(x, weight, eps)
    return output


@triton.jit
def _swiglu_forward(gate, up, y, count, BLOCK: tl.constexpr):
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = place < count
    g = tl.load(gate + place, mask=inside, other=0.0).to(tl.float32)
    u = tl.load(up + place, mask=inside, other=0.0).to(tl.float32)
    tl.store(y + place, g * tl.sigmoid(g) * u, mask=inside)


@triton.jit
def _swiglu_backward(dy, gate, up, d_gate, d_up, count, BLOCK: tl.constexpr):
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = place < count
    upstream = tl.load(dy + place, mask=inside, other=0.0).to(tl.float32)
    g = tl.load(gate + place, mask=inside, other=0.0).to(tl.float32)
    u = tl.load(up + place, mask=inside, other=0.0).to(tl.float32)
    s = tl.sigmoid(g)
    tl.store(d_up + place, upstream * g * s, mask=inside)
    tl.store(d_gate + place, upstream * u * s * (1 + g * (1 - s)), mask=inside)


class _SwiGLU(torch.autograd.Function):
    """gate [..], up [..] -> [..]."""

    @staticmethod
    def forward(ctx: Any, gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        gate, up = gate.contiguous(), up.contiguous()
        y = torch.empty_like(gate)
        _swiglu_forward[(triton.cdiv(gate.numel(), _FLAT),)](gate, up, y, gate.numel(), BLOCK=_FLAT)
        ctx.save_for_backward(gate, up)
        return y

    @staticmethod
    def backward(ctx: Any, dy: torch.Tensor) -> Any:  # type: ignore[override]
        gate, up = ctx.saved_tensors
        d_gate, d_up = torch.empty_like(gate), torch.empty_like(up)
        count = gate.numel()
        _swiglu_backward[(triton.cdiv(count, _FLAT),)](dy.contiguous(), gate, up, d_gate, d_up, count, BLOCK=_FLAT)
        return d_gate, d_up


def swiglu(gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
    """Return silu(gate) * up (arXiv 2002.05202), all of one shape."""
    output: torch.Tensor = _SwiGLU.apply(gate, up)
    return output


@triton.jit
def _turn(x, y, row, low_cosine, high_cosine, low_sine, high_sine, heads: tl.constexpr, half: tl.constexpr,
          HEADS: tl.constexpr, HALF: tl.constexpr):  # fmt: skip
    """All heads of one token: (a, b) -> (a cos - b sin, b cos + a sin)."""
    head, column = tl.arange(0, HEADS)[:, None], tl.arange(0, HALF)[None, :]
    inside = (head < heads) & (column < half)
    place = row * (heads * 2 * half) + head * (2 * half) + column
    low = tl.load(x + place, mask=inside, other=0.0).to(tl.float32)
    high = tl.load(x + place + half, mask=inside, other=0.0).to(tl.float32)
    tl.store(y + place, low * low_cosine - high * low_sine, mask=inside)
    tl.store(y + place + half, high * high_cosine + low * high_sine, mask=inside)


@triton.jit
def _rotate(
    query, key, cosine, sine, turned_query, turned_key, heads: tl.constexpr, kv_heads: tl.constexpr, half: tl.constexpr,
    HEADS: tl.constexpr, KV_HEADS: tl.constexpr, HALF: tl.constexpr, BACKWARD: tl.constexpr,
):  # fmt: skip
    """One token a program. Backward turns the other way, with the sines of the halves exchanged."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, HALF)[None, :]
    at = row * (2 * half) + column
    low_cosine = tl.load(cosine + at, mask=column < half, other=0.0).to(tl.float32)
    high_cosine = tl.load(cosine + at + half, mask=column < half, other=0.0).to(tl.float32)
    low_sine = tl.load(sine + at, mask=column < half, other=0.0).to(tl.float32)
    high_sine = tl.load(sine + at + half, mask=column < half, other=0.0).to(tl.float32)
    if BACKWARD:
        low_sine, high_sine = -high_sine, -low_sine
    _turn(query, turned_query, row, low_cosine, high_cosine, low_sine, high_sine, heads, half, HEADS, HALF)
    _turn(key, turned_key, row, low_cosine, high_cosine, low_sine, high_sine, kv_heads, half, KV_HEADS, HALF)


def _rotated(
    query: torch.Tensor, key: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor, *, backward: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    query, key = query.contiguous(), key.contiguous()
    turned = torch.empty_like(query), torch.empty_like(key)
    heads, kv_heads, half = query.shape[-2], key.shape[-2], query.shape[-1] // 2
    _rotate[(query.numel() // (heads * 2 * half),)](
        query, key, cosine, sine, *turned, heads=heads, kv_heads=kv_heads, half=half, HEADS=triton.next_power_of_2(heads),
        KV_HEADS=triton.next_power_of_2(kv_heads), HALF=triton.next_power_of_2(half), BACKWARD=backward, num_warps=2,
    )  # fmt: skip
    return turned


class _Rotary(torch.autograd.Function):
    """query [.., h, d], key [.., k, d], cosine and sine [.., d] -> query and key."""

    @staticmethod
    def forward(
        ctx: Any, query: torch.Tensor, key: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        ctx.save_for_backward(cosine, sine)
        return _rotated(query, key, cosine, sine, backward=False)

    @staticmethod
    def backward(ctx: Any, d_query: torch.Tensor, d_key: torch.Tensor) -> Any:  # type: ignore[override]
        return *_rotated(d_query, d_key, *ctx.saved_tensors, backward=True), None, None


def rotary(
    query: torch.Tensor, key: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return query [B, T, h, d] and key [B, T, k, d] turned by position (arXiv 2104.09864); cosine and sine [1 or B, T, d]."""
    batch = query.shape[0]
    cosine, sine = (part.expand(batch, -1, -1).contiguous() for part in (cosine, sine))
    turned: tuple[torch.Tensor, torch.Tensor] = _Rotary.apply(query, key, cosine, sine)
    return turned
