"""Log-probabilities and entropies of chosen tokens without ever holding all logits.

The decoder runs on whole rows, the LM head only where a completion token is predicted, and there a buffer of logits at a
time: they are computed again in the backward pass, where they turn into their own gradient in place.
"""

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from rl.policy.attention import with_plan
from rl.policy.interfaces import CausalLM, base_causal_lm
from rl.policy.logits import logit_shape
from rl.policy.wide import WideProduct
from rl.settings.schema import LOGIT_BUFFER_ELEMENTS, LOGIT_BUFFER_ELEMENTS_CUDA
from rl.update.packing import TokenRows


class _HeadLogprobs(torch.autograd.Function):
    """(hidden [N, H], weight [V, H], bias [V] or None, targets [N]) -> (log-probabilities [N], entropies [N])."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        targets: torch.Tensor,
        temperature: float,
        buffer_elements: int,
        fused: bool,
        cap: float | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        buffers = _buffers(hidden, weight, len(targets), buffer_elements, 1 if fused else 2)
        logprobs, entropies, normalisers = (buffers.new_empty(len(targets)) for _ in range(3))
        wide = _wide(weight)
        for part in _parts(len(targets), buffers.shape[1]):
            logits = _logits(hidden[part], weight, bias, buffers[0], wide)
            if cap is not None:
                logits.div_(cap).tanh_().mul_(cap)
            found = (logprobs[part], entropies[part], normalisers[part])
            if fused:
                from rl.update import triton_head

                triton_head.look(logits, targets[part], temperature, found)
            else:
                plain_look(buffers[1, : len(logits)], logits, targets[part], temperature, found)
        ctx.save_for_backward(hidden, weight, bias, targets, entropies, normalisers)
        ctx.temperature, ctx.buffer_elements, ctx.fused, ctx.wide, ctx.cap = temperature, buffer_elements, fused, wide, cap
        ctx.set_materialize_grads(False)
        return logprobs, entropies

    @staticmethod
    def backward(ctx: Any, d_logprobs: Any, d_entropies: Any) -> Any:  # type: ignore[override]
        if d_logprobs is None and d_entropies is None:
            return (None,) * 8
        hidden, weight, bias, targets, entropies, normalisers = ctx.saved_tensors
        d_hidden = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        # the parts are added up in float32 at least: in bf16 each addition would round away what the next ones bring
        exact = torch.promote_types(weight.dtype, torch.float32)
        d_weight = torch.zeros_like(weight, dtype=exact) if ctx.needs_input_grad[1] else None
        d_bias = torch.zeros_like(bias) if bias is not None and ctx.needs_input_grad[2] else None
        number = 1 if ctx.fused or d_entropies is None else 2
        buffers = _buffers(hidden, weight, len(targets), ctx.buffer_elements, number)
        rounded = buffers[0] if buffers.dtype == weight.dtype else torch.empty_like(buffers[0], dtype=weight.dtype)
        for part in _parts(len(targets), buffers.shape[1]):
            logits = _logits(hidden[part], weight, bias, buffers[0], ctx.wide)
            d_logits = rounded[: len(logits)]
            slope = None if ctx.cap is None else _capped(logits, ctx.cap)  # [n, V]
            given: Any = (  # for both ways
                logits, targets[part], normalisers[part], entropies[part],
                *(None if above is None else above[part].contiguous() for above in (d_logprobs, d_entropies)),
                ctx.temperature, d_logits,
            )  # fmt: skip
            if ctx.fused:
                from rl.update import triton_head

                triton_head.gradient(*given)
            else:
                plain_gradient(buffers[-1, : len(logits)], *given)
            if slope is not None:
                d_logits *= slope
            if d_hidden is not None:
                d_hidden[part] = d_logits @ weight
            if d_weight is not None:
                _add_product(d_weight, d_logits.T, hidden[part])
            if d_bias is not None:
                d_bias += d_logits.sum(0)
        return d_hidden, None if d_weight is None else d_weight.to(weight.dtype), d_bias, *(None,) * 5


def plain_look(
    room: torch.Tensor, logits: torch.Tensor, targets: torch.Tensor, temperature: float, found: tuple[torch.Tensor, ...]
) -> None:
    """As rl/update/triton_head.py:look; overwrites `logits` and `room`, both [n, V]."""
    logprobs, entropies, normalisers = found
    _cool(logits, temperature)
    torch.logsumexp(logits, -1, out=normalisers)
    torch.sub(logits.gather(-1, targets[:, None])[:, 0], normalisers, out=logprobs)
    logits -= normalisers[:, None]
    torch.neg(torch.linalg.vecdot(torch.exp(logits, out=room), logits), out=entropies)


def plain_gradient(
    room: torch.Tensor,
    logits: torch.Tensor,
    targets: torch.Tensor,
    normalisers: torch.Tensor,
    entropies: torch.Tensor,
    d_logprobs: torch.Tensor | None,
    d_entropies: torch.Tensor | None,
    temperature: float,
    out: torch.Tensor,
) -> None:
    """As rl/update/triton_head.py:gradient; overwrites `logits` and `room`, one and the same without d_entropies."""
    log_p = _cool(logits, temperature).sub_(normalisers[:, None])
    if d_entropies is None:
        assert d_logprobs is not None
        d_logits = log_p.exp_().mul_(-d_logprobs[:, None])
    else:
        p = torch.exp(log_p, out=room)
        d_logits = log_p.add_(entropies[:, None]).mul_(-d_entropies[:, None])
        if d_logprobs is not None:
            d_logits -= d_logprobs[:, None]
        d_logits *= p
    if d_logprobs is not None:
        d_logits.scatter_add_(-1, targets[:, None], d_logprobs[:, None])
    _cool(d_logits, temperature)
    if out.dtype != d_logits.dtype:  # else it is the same memory
        out.copy_(d_logits)


def _cool(values: torch.Tensor, temperature: float) -> torch.Tensor:
    return values.div_(temperature) if temperature != 1 else values


def _capped(logits: torch.Tensor, cap: float) -> torch.Tensor:
    """Put a soft cap on `logits` [n, V] in place; return its slope there: 1 - tanh^2."""
    logits.div_(cap).tanh_()
    slope = 1 - logits.square()
    logits.mul_(cap)
    return slope


def _add_product(total: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> None:
    """Add left @ right to `total`, whose type may be wider than theirs."""
    if total.dtype == left.dtype:
        total.addmm_(left, right)
    elif left.device.type == "cpu":  # which has no product that widens
        total += left @ right
    else:
        torch.addmm(total, left, right, out_dtype=total.dtype, out=total)


def _parts(count: int, size: int) -> list[slice]:
    return [slice(start, start + size) for start in range(0, count, size)]


def _buffers(hidden: torch.Tensor, weight: torch.Tensor, count: int, elements: int, number: int) -> torch.Tensor:
    """Return room for the logits of some tokens, `number` times; made once, since fresh pages of this size are slow."""
    tokens = min(count, max(1, elements // len(weight)))
    return hidden.new_empty((number, tokens, len(weight)), dtype=torch.promote_types(hidden.dtype, torch.float32))


def _wide(weight: torch.Tensor) -> WideProduct | None:
    """Return what makes float32 logits of a bf16 weight on a CPU; on a GPU torch.mm does."""
    return WideProduct(weight) if weight.device.type == "cpu" and weight.dtype == torch.bfloat16 else None


def _logits(
    hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, buffer: torch.Tensor, wide: WideProduct | None
) -> torch.Tensor:
    """Return the logits [n, V] in the first n rows of `buffer`."""
    logits = buffer[: len(hidden)]
    if logits.dtype == hidden.dtype and bias is None:
        torch.mm(hidden, weight.T, out=logits)
    elif wide is not None or hidden.device.type != "cpu":  # bf16 in, float32 out: nothing is rounded on the way
        if wide is not None:
            wide(hidden, logits)
        else:
            torch.mm(hidden, weight.T, out_dtype=logits.dtype, out=logits)
        if bias is not None:
            logits += bias
    else:
        logits.copy_(nn.functional.linear(hidden, weight, bias))
    return logits


class TokenLogprobs(nn.Module):
    """A causal LM seen as a function from rows and target tokens to log-probabilities. This is what DeepSpeed wraps."""

    def __init__(self, model: CausalLM, temperature: float, buffer_elements: int | None = None):
        super().__init__()
        self.model: Any = model  # CausalLM and nn.Module at once: Python's types have no name for both
        self.logit_shape = logit_shape(model)
        self.temperature = temperature
        self.buffer_elements = buffer_elements  # None: what suits the device
        # whether Triton does the elementwise work (rl/update/fused.py)
        self.fused_head = self.fused_attention = False

    def forward(self, rows: TokenRows, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (log-probability of each target in nats [N], entropy of its distribution [N]), both with gradient."""
        causal_lm = base_causal_lm(self.model)
        layout = replace(rows.layout, fused=True) if rows.layout is not None and self.fused_attention else rows.layout
        plan = with_plan(layout, rows.input_ids.device) if layout is not None else {"use_cache": False}
        output = causal_lm.get_decoder()(input_ids=rows.input_ids, position_ids=rows.position_ids, **plan)
        chosen = output.last_hidden_state.flatten(0, 1)[rows.positions]  # [N, H]
        head = causal_lm.get_output_embeddings()
        chosen = chosen.to(head.weight.dtype)  # Mamba leaves its states in float32
        on_cpu = chosen.device.type == "cpu"
        elements = self.buffer_elements or (LOGIT_BUFFER_ELEMENTS if on_cpu else LOGIT_BUFFER_ELEMENTS_CUDA)
        # a scale before the softmax is a temperature, and a cap of the scaled logits one of the head's output
        scale, cap = self.logit_shape.scale, self.logit_shape.cap
        logprobs, entropies = _HeadLogprobs.apply(
            chosen, head.weight, head.bias, targets, self.temperature / scale, elements, self.fused_head,
            None if cap is None else cap / scale,
        )  # fmt: skip
        return logprobs, entropies
