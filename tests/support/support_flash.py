"""torch's flash kernels of stretches (rl/update/kernels.py), by plain arithmetic, for machines that have none."""

from typing import Any

import torch


def reference(query: Any, key: Any, value: Any, stretches: Any, *, causal: bool, scaling: float) -> tuple[Any, Any]:
    """The flash kernel's output and log-sum-exp, by plain arithmetic."""
    outputs, normalisers = [], []
    repeats = query.shape[1] // key.shape[1]
    cuts = [starts.diff().tolist() for starts in (stretches.query_starts, stretches.key_starts)]
    parts = (query.split(cuts[0]), key.split(cuts[1]), value.split(cuts[1]))
    for q, *key_and_value in zip(*parts, strict=True):
        k, v = (part.repeat_interleave(repeats, 1).transpose(0, 1) for part in key_and_value)  # [h, K, d]
        scores = q.transpose(0, 1) @ k.mT * scaling
        if causal:
            scores = scores.masked_fill(torch.ones(scores.shape[-2:]).triu(1).bool(), -torch.inf)
        outputs.append((torch.softmax(scores, -1) @ v).transpose(0, 1))
        normalisers.append(torch.logsumexp(scores, -1))
    return torch.cat(outputs), torch.cat(normalisers, 1)


def reference_backward(
    gradient: Any, query: Any, key: Any, value: Any, output: Any, normaliser: Any, stretches: Any, **how: Any
) -> tuple[Any, ...]:
    """The flash kernel's gradients: those of a softmax whose normaliser, and output, may be of more keys than these."""
    inputs = [part.detach().requires_grad_(True) for part in (query, key, value)]
    with torch.enable_grad():
        mine, own = reference(inputs[0], inputs[1], inputs[2], stretches, **how)
        share = (own - normaliser).exp().detach().T[..., None]  # of these keys in the whole softmax
        # P = share * softmax(S): dS = P (g V - g O), of which autograd gives share * softmax(S) (g V - g O of its own)
        rest = share * (gradient * (mine.detach() - output)).sum(-1, keepdim=True)
        loss = (mine * gradient * share).sum() + (own.T[..., None] * rest).sum()
        return torch.autograd.grad(loss, inputs)
