"""What packed attention does around torch's flash kernels on a GPU, in one pass each, in Triton.

Completions attend to themselves and to their prompt in two calls, whose softmaxes become one (rl/update/packing.py, which does
the same in plain torch and is the judge of these kernels).

Only to be imported where Triton is installed. Dimension letters: N tokens, R tokens of completions, h heads, d components.
"""

import torch
import triton
import triton.language as tl


@triton.jit(do_not_specialize=["tokens", "rows"])
def _merge(
    output, normaliser, merged, of_prompt, total, places, tokens, rows,
    heads: tl.constexpr, size: tl.constexpr, HEADS: tl.constexpr, SIZE: tl.constexpr,
):  # fmt: skip
    """One token of a completion a program, all its heads.

    The trap: all warps of a program read `normaliser`, and one of them writes what was merged. In place, some would read
    what is written; `output` may be, because each number there is read by the thread that writes it.
    """
    row = tl.program_id(0).to(tl.int64)
    place = tl.load(places + row)
    head = tl.arange(0, HEADS)
    at = head * tokens + place
    own = tl.load(normaliser + at, mask=head < heads, other=0.0)
    other = tl.load(total + head * rows + row, mask=head < heads, other=0.0)
    most = tl.maximum(own, other)
    both = most + tl.log(tl.exp(own - most) + tl.exp(other - most))
    tl.store(merged + at, both, mask=head < heads)
    column = tl.arange(0, SIZE)[None, :]
    inside = (head[:, None] < heads) & (column < size)
    inner = head[:, None] * size + column
    here = output + place * (heads * size) + inner
    mine = tl.load(here, mask=inside, other=0.0).to(tl.float32)
    theirs = tl.load(of_prompt + row * (heads * size) + inner, mask=inside, other=0.0).to(tl.float32)
    tl.store(here, mine * tl.exp(own - both)[:, None] + theirs * tl.exp(other - both)[:, None], mask=inside)


@triton.jit
def _add_rows(total, places, part, width: tl.constexpr, WIDTH: tl.constexpr):
    """One row a program; no two go to the same place, so nothing is atomic."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, WIDTH)
    at = total + tl.load(places + row) * width + column
    sums = tl.load(at, mask=column < width, other=0.0).to(tl.float32)
    sums += tl.load(part + row * width + column, mask=column < width, other=0.0).to(tl.float32)
    tl.store(at, sums, mask=column < width)


def merge(
    output: torch.Tensor, normaliser: torch.Tensor, of_prompt: torch.Tensor, total: torch.Tensor, places: torch.Tensor
) -> torch.Tensor:
    """Merge a softmax over other keys into `output` [N, h, d], in place, and return the log-sum-exps [h, N] of both.

    Its own are `normaliser` [h, N]; the other's are `of_prompt` [R, h, d] and `total` [h, R], of the tokens at `places` [R].
    All are contiguous. Each of the two weighs as much as its normaliser has of both (arXiv 2310.01889).
    """
    rows, heads, size = of_prompt.shape
    merged = normaliser.clone()
    _merge[(rows,)](
        output, normaliser, merged, of_prompt, total, places, len(output), rows, heads=heads, size=size,
        HEADS=triton.next_power_of_2(heads), SIZE=triton.next_power_of_2(size), num_warps=4,
    )  # fmt: skip
    return merged


def add_rows(total: torch.Tensor, places: torch.Tensor, part: torch.Tensor) -> None:
    """Add `part` [R, ...] to `total` [N, ...] at `places` [R], which are all different; both contiguous."""
    width = part[0].numel()
    _add_rows[(len(part),)](total, places, part, width=width, WIDTH=triton.next_power_of_2(width), num_warps=4)
