"""What a model does to its head's output before it calls it logits: nothing, a scale (Granite, Cohere), a soft cap (Gemma 2).

The trainer and the sampler apply the head themselves, to a few states at a time. So what stands behind it in the model's own
forward pass must be known: read from the config, then compared with the model's own logits, since names alone do not tell
(Granite divides by what HyperCLOVA X multiplies with). A model whose logits come out otherwise is refused, and so is one that
looks ahead: its log-probabilities would be those of texts that it has seen already.

Dimension letters: B rows, T tokens, V vocabulary.
"""

from dataclasses import dataclass
from itertools import product
from typing import Any
from weakref import WeakKeyDictionary

import torch

from rl.policy.interfaces import CausalLM, base_causal_lm, evaluating, trial_tokens
from rl.policy.paths import PolicyError

_FACTORS = ("logits_scaling", "logit_scale", "lm_head_multiplier", "output_multiplier")  # names in configs
_CAPS = ("final_logit_softcapping", "logits_soft_cap", "softcap")
_TOKENS, _SEEN = 12, 7  # of the text that is tried, and after how many of them others may follow
_TOLERANCES = {torch.float32: 1e-4, torch.bfloat16: 0.03, torch.float16: 5e-3}  # |difference| / |logits|
_found: "WeakKeyDictionary[CausalLM, LogitShape]" = WeakKeyDictionary()


@dataclass(frozen=True)
class LogitShape:
    """logits = cap * tanh(scale * head output / cap), or without a cap: scale * head output."""

    scale: float = 1.0
    cap: float | None = None

    @property
    def is_plain(self) -> bool:
        """Whether the head's output is the logits."""
        return self.scale == 1 and self.cap is None

    def applied(self, outputs: torch.Tensor) -> torch.Tensor:
        """Return the logits of the head's `outputs` [.., V]."""
        logits = outputs if self.scale == 1 else outputs * self.scale
        return logits if self.cap is None else self.cap * torch.tanh(logits / self.cap)


def logit_shape(model: CausalLM) -> LogitShape:
    """Return what stands behind the head of `model`; tried once. Raises PolicyError where it is nothing known."""
    base = base_causal_lm(model)
    if base not in _found:
        _found[base] = _tried(base)
    return _found[base]


def set_logit_shape(model: CausalLM, shape: LogitShape) -> None:
    """Take `shape` as known: of weights that are not finite, or overflow, nothing can be tried."""
    _found[base_causal_lm(model)] = shape


def head_outputs(model: CausalLM, states: torch.Tensor) -> torch.Tensor:
    """Return the head's output [.., V] for states [.., H], which Mamba leaves in float32."""
    head = model.get_output_embeddings()
    outputs: torch.Tensor = head(states.to(head.weight.dtype))
    return outputs


def _candidates(config: Any) -> list[LogitShape]:
    """Return what the config allows, the most likely one first."""
    factors = [float(getattr(config, name)) for name in _FACTORS if getattr(config, name, None)]
    caps = [float(getattr(config, name)) for name in _CAPS if getattr(config, name, None)]
    scales = [*(1 / factor for factor in factors), *factors, 1.0]
    return [LogitShape(scale, cap) for scale, cap in product(scales, [*caps, None])]


@torch.no_grad()
def _tried(model: CausalLM) -> LogitShape:
    """Return the candidate that gives the model's own logits."""
    parameter, config = next(iter(model.parameters())), model.config.get_text_config()
    if parameter.device.type == "meta":  # shapes without values: nothing to try
        return _candidates(config)[0]
    tolerance = _TOLERANCES.get(parameter.dtype, 0.0)
    ids, others = (
        torch.from_numpy(trial_tokens(model, _TOKENS, first)).long().to(parameter.device)[None] for first in (1, 1 + _TOKENS)
    )  # [1, T] each
    # as many tokens: a processor may round products of other shapes in another way, and two bf16 runs then differ everywhere
    others_behind = torch.cat([ids[:, :_SEEN], others[:, _SEEN:]], 1)
    with evaluating(model):
        states = model.get_decoder()(input_ids=ids, position_ids=None, use_cache=False).last_hidden_state
        outputs = head_outputs(model, states).float()  # [1, T, V]
        logits = model(input_ids=ids, use_cache=False).logits.float()
        beside_others = model(input_ids=others_behind, use_cache=False).logits.float()
    if not bool(logits.isfinite().all()):
        raise PolicyError(f"the logits of this model ({config.model_type}) are not finite: its weights are broken")
    if not _apart(beside_others[:, :_SEEN], logits[:, :_SEEN]) <= max(1e-3, 2 * tolerance):
        raise PolicyError(
            f"a model of the type {config.model_type} looks ahead: what it says after {_SEEN} tokens changes with the tokens "
            "behind them, so it is no causal language model and cannot be sampled from or trained here"
        )
    for shape in _candidates(config):
        if _apart(shape.applied(outputs), logits) <= tolerance:
            return shape
    raise PolicyError(
        f"the logits of this model ({config.model_type}) are not its head's output, nor that scaled or soft-capped as its "
        f"config says ({', '.join((*_FACTORS, *_CAPS))} are understood), so they cannot be computed a few at a time; a line in "
        "rl/policy/logits.py would teach it"
    )


def _apart(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    tiny = torch.finfo(torch.float32).tiny  # a head of zeros has logits of zeros
    return float(torch.linalg.vector_norm(ours - theirs) / torch.linalg.vector_norm(theirs).clamp_min(tiny))
