"""One token for each row from its logits and one random number, by inverting the distribution function.

    probabilities  0.5  0.3  0.2     uniform 0.62
    cumulative     0.5  0.8  1.0     0.5 <= 0.62 < 0.8: token 1

So a completion is a function of its logits and of its own stream of random numbers, whatever else is in the batch.
Dimension letters: n rows, V vocabulary.
"""

from functools import cache
from importlib.util import find_spec

import numpy as np
import torch

from problems.seeding import derive_seed
from rl.types import FloatArray

_KERNEL_ERROR = 1e-4  # of a token's share of probability, and in nats


def draw_uniforms(stream: tuple[str | int, ...], count: int) -> FloatArray:
    """Return `count` numbers in [0, 1) of the stream with this name; a longer draw begins with a shorter one."""
    generator = np.random.Generator(np.random.Philox(key=derive_seed("sample", *stream)))
    return generator.random(count, dtype=np.float32)


def pick(
    logits: torch.Tensor, uniforms: torch.Tensor, temperature: float, top_p: float = 1.0, top_k: int = 0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Sample one token a row; `logits` [n, V] are overwritten.

    Uniforms [n] -> ids, log-probabilities and the distribution's entropies [n], in nats. Temperature 0 takes the most likely
    token. With top_k > 0 (the k most likely) or top_p < 1 (nucleus, arXiv 1904.09751) they are those of the cut distribution.
    """
    if logits.is_cuda and temperature and not top_k and top_p == 1 and _has_kernel(logits.device):
        from rl.sampling.triton_step import draw

        return draw(logits.float(), uniforms, temperature)
    scores = logits.float()  # [n, V]
    if temperature not in (0, 1):
        scores.div_(temperature)
    if top_k or top_p < 1:
        _cut(scores, top_p, top_k)
    scores.sub_(scores.amax(-1, keepdim=True))
    scores.clamp_min_(-1e4)  # exp is 0 there, and in the entropy 0 * -1e4 is 0 too, where 0 * -inf would be nan
    weights = scores.exp()  # [n, V]
    total = weights.sum(-1)  # [n]
    entropies = total.log() - torch.linalg.vecdot(weights, scores) / total
    ids = scores.argmax(-1) if temperature == 0 else _invert(weights, uniforms)
    logprobs = scores.gather(-1, ids[:, None])[:, 0] - total.log()
    return ids, logprobs, entropies


@cache
def _has_kernel(device: torch.device) -> bool:
    """Whether the kernel that draws is there and right."""
    if find_spec("triton") is None:
        return False
    try:
        from rl.sampling.triton_step import errors_of_draw

        return all(error <= _KERNEL_ERROR for error in errors_of_draw(device).values())
    except Exception:  # whatever a compiler of kernels meets on somebody's machine
        return False


def _invert(weights: torch.Tensor, uniforms: torch.Tensor) -> torch.Tensor:
    """Return the token [n] in whose share of the weights [n, V] each uniform falls; the weights are overwritten."""
    cumulative = torch.cumsum(weights, -1, out=weights)
    whole = cumulative[:, -1]
    # a uniform just below 1 times the whole can round to the whole: kept below it, or a token of weight 0 would be drawn
    below = torch.nextafter(whole, torch.zeros_like(whole))
    target = torch.minimum(uniforms * whole, below)
    ids = torch.searchsorted(cumulative, target[:, None], right=True)[:, 0]
    return ids.clamp_max_(weights.shape[-1] - 1)  # of NaN there is no such place; their log-probability says so


def _cut(scores: torch.Tensor, top_p: float, top_k: int) -> None:
    """Leave the `top_k` highest scores, and of these the smallest set whose share reaches `top_p`; others become -inf."""
    if 0 < top_k < scores.shape[-1]:
        order = scores.topk(top_k, -1).indices  # [n, k]
        outside = torch.ones_like(scores, dtype=torch.bool).scatter_(-1, order, False)
        scores.masked_fill_(outside, -torch.inf)
    if top_p < 1:
        shares, order = torch.softmax(scores, -1).sort(-1, descending=True)
        before = shares.cumsum(-1) - shares  # what more likely tokens have together; 0 for the first, so it always stays
        outside = torch.zeros_like(scores, dtype=torch.bool).scatter_(-1, order, before >= top_p)
        scores.masked_fill_(outside, -torch.inf)
