"""Products with weights that stay the same for many steps, at a CPU's speed.

oneDNN keeps matrices in an order of its own (blocks that fill its registers). A product in bf16 with a plain weight brings the
weight into that order first, at each call: for the few rows of a decoding step that costs as much as the product. So it is
done once, with the two functions that torch.compile uses for it (torch/_inductor/mkldnn_lowerings.py); where they are missing,
and in other types, the product is torch's plain one, or one of weights widened to float32 once where the processor does not
multiply bf16 (rl/policy/rounding.py). The result is the same to the bit.

Logits are float32 in any case (rl/policy/wide.py).
"""

import torch
from torch import nn
from torch.nn.functional import linear

from rl.policy.interfaces import CausalLM, base_causal_lm
from rl.policy.logits import head_outputs, logit_shape
from rl.policy.rounding import multiplies_bf16
from rl.policy.wide import WideProduct
from rl.sampling.fused import Linear, logits_of

_ATTRIBUTES: tuple[str, list[None], str] = ("none", [], "")  # nothing is done to the result


def _can_prepare(weight: torch.Tensor) -> bool:
    operations = torch.ops.mkldnn
    return (
        weight.dtype == torch.bfloat16
        and weight.device.type == "cpu"
        and hasattr(operations, "_reorder_linear_weight")
        and hasattr(operations, "_linear_pointwise")
        and multiplies_bf16()  # elsewhere there is no such order
    )


class Product:
    """A linear layer: states [n, in] -> [n, out]."""

    def __init__(self, layer: Linear, rows: int):
        """Prepare for `rows` states at a time; any other number is possible, and slower."""
        weight, self.bias = layer
        self.plain: torch.Tensor | None = weight
        if _can_prepare(weight):
            self.prepared, self.plain = torch.ops.mkldnn._reorder_linear_weight(weight, rows), None
        elif weight.dtype == torch.bfloat16 and weight.device.type == "cpu" and not multiplies_bf16():
            # as rl/policy/rounding.py does, but widened once
            self.plain, self.bias = weight.float(), self.bias if self.bias is None else self.bias.float()

    def __call__(self, states: torch.Tensor) -> torch.Tensor:
        """Return the layer of states [n, in]: [n, out]."""
        if self.plain is not None:
            return linear(states.to(self.plain.dtype), self.plain, self.bias).to(states.dtype)
        output: torch.Tensor = torch.ops.mkldnn._linear_pointwise(states, self.prepared, self.bias, *_ATTRIBUTES)
        return output

    def add_to(self, total: torch.Tensor, states: torch.Tensor) -> None:
        """Add the layer of `states` to `total` [n, out]."""
        if self.plain is None or self.plain.dtype != states.dtype:
            total.add_(self(states))
            return
        total.addmm_(states, self.plain.T)
        if self.bias is not None:
            total.add_(self.bias)


class Head:
    """The LM head on a CPU: states [n, H] -> logits [n, V] in float32 at least, the caller's to write to."""

    def __init__(self, layer: Linear):
        self.weight, self.bias = layer
        self.wide = WideProduct(self.weight) if self.weight.dtype == torch.bfloat16 else None

    def __call__(self, states: torch.Tensor) -> torch.Tensor:
        """Return the logits [n, V] of states [n, H]."""
        if self.wide is None:
            return linear(states, self.weight, self.bias)
        logits = self.wide(states)
        return logits if self.bias is None else logits.add_(self.bias)


class Logits:
    """Logits of a causal LM's states, by its head and what stands behind it: states [n, H] -> [n, V], the caller's to write to.

    In float32 at least, as the update has them, unless the head is no plain linear layer.
    """

    def __init__(self, model: CausalLM):
        self.causal_lm, self.shape = base_causal_lm(model), logit_shape(model)
        self.head: Head | None = None  # made when it is first needed, on a CPU

    def __call__(self, states: torch.Tensor) -> torch.Tensor:
        """Return the logits [n, V] of states [n, H], which Mamba leaves in float32."""
        head = self.causal_lm.get_output_embeddings()
        if type(head) is not nn.Linear:  # not isinstance: a layer made of one computes something else
            return self.shape.applied(head_outputs(self.causal_lm, states))
        states = states.to(head.weight.dtype)
        if states.device.type != "cpu":
            return self.shape.applied(logits_of(states, head.weight, head.bias))
        self.head = self.head or Head((head.weight, head.bias))
        return self.shape.applied(self.head(states))
