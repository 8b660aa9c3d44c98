"""Which Triton kernels the update uses: those that compute, on this device and at this model's sizes, what plain torch does.

The head (rl/update/triton_head.py) and packed attention (rl/update/triton_attention.py) take any model; norms, SwiGLU and
rotary positions (rl/update/triton_layers.py) those of transformers' Llama, Mistral, Qwen2 and Qwen3, whose modules get a
`forward` of ours, with adapters or without. Everything is tried once at the start; what raises, is wrong or is missing is left
to plain torch, and `Fused.words` says so.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from types import MethodType
from typing import TYPE_CHECKING, Any

import torch

from rl.policy.attention import can_plan, takes_flash
from rl.policy.interfaces import CausalLM, base_causal_lm

if TYPE_CHECKING:
    from rl.update.judge import Errors  # which imports Triton

KINDS = ("head", "attention", "norm", "swiglu", "rotary")
_NAMED = re.compile(r"(?:Llama|Mistral|Qwen2|Qwen3)(RMSNorm|MLP|Attention)")
_NUMBERS = 2**22  # of a check: enough programs at the same time for a race to show


@dataclass(frozen=True, kw_only=True)
class Fused:
    """What was found."""

    kinds: frozenset[str] = frozenset()  # of KINDS: those in use
    words: str = ""  # for the user; empty where there is nothing to say

    def applied(self, policy: Any) -> None:
        """Have a TokenLogprobs and its model use these kernels, and no others."""
        policy.fused_head, policy.fused_attention = "head" in self.kinds, "attention" in self.kinds
        use(policy.model, self.kinds)


def choose(model: CausalLM, device: torch.device, wanted: bool) -> Fused:
    """Return the kernels to use for `model` on `device`; none where they are not wanted. Never raises for a kernel."""
    dtype = next(iter(model.parameters())).dtype
    if not wanted or device.type != "cuda" or dtype not in (torch.float32, torch.bfloat16):
        return Fused()
    if find_spec("triton") is None:
        return Fused(words="no Triton here: the update's elementwise work is left to plain torch, which takes twice as long")
    checks = checks_of(model, dtype, device)
    faults = {kind: fault for kind, check in checks.items() if (fault := _fault(check))}
    kinds = frozenset(checks) - frozenset(faults)
    words = [f"fused kernels of the update: {', '.join(kind for kind in KINDS if kind in kinds) or 'none'}"]
    words += [f"left to plain torch: {kind}, {fault}" for kind, fault in faults.items()]
    unknown = [kind for kind in _FORWARDS if kind not in checks]
    words += [f"{model.config.model_type} is not known to the kernels for {', '.join(unknown)}"] * bool(unknown)
    return Fused(kinds=kinds, words="; ".join(words))


def checks_of(model: CausalLM, dtype: torch.dtype, device: torch.device) -> dict[str, Callable[[], "Errors"]]:
    """Return for each kind that `model` has a use for what checks it at the model's sizes; see rl/update/judge.py."""
    config = model.config.get_text_config()
    heads = config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    widths = {len(module.weight) for module in _modules(model) if _kind(module) == "norm"}

    def rows(width: int) -> int:
        return _NUMBERS // width + 1

    def norms(judge: Any) -> "Errors":
        found = {width: judge.errors_of_norm(rows(width), width, *where) for width in widths}
        return {f"{name} of {width}": error for width, errors in found.items() for name, error in errors.items()}

    where = (dtype, device)
    by_kind: dict[str, Callable[[Any], Errors]] = {
        "head": lambda judge: judge.errors_of_head(rows(config.vocab_size), config.vocab_size, *where),
        "attention": lambda judge: judge.errors_of_attention(rows(heads * size), heads, size, *where),
        "norm": norms,
        "swiglu": lambda judge: judge.errors_of_swiglu(rows(config.intermediate_size), config.intermediate_size, *where),
        "rotary": lambda judge: judge.errors_of_rotary(rows(2 * heads * size), heads, config.num_key_value_heads, size, *where),
    }
    kinds = {"head", *map(_kind, _modules(model))}
    if can_plan(model) and takes_flash(torch.empty(0, size, dtype=dtype, device=device)):
        kinds.add("attention")
    return {kind: partial(_judged, check) for kind, check in by_kind.items() if kind in kinds}


def _judged(check: Callable[[Any], "Errors"]) -> "Errors":
    from rl.update import judge

    return check(judge)


def _fault(check: Callable[[], "Errors"]) -> str | None:
    """Return what is wrong with a kernel in words, or None."""
    try:
        errors = check()
    except Exception as error:  # whatever it is: compiler, driver, a version of Triton; plain torch needs none of them
        return f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0][:200]}"
    wrong = {name: error for name, error in errors.items() if not error.is_sound}
    told = [f"{name} is {error.kernel:.2g} off, plain torch {error.plain:.2g}" for name, error in wrong.items()]
    return ", ".join(told) or None


def _modules(model: CausalLM) -> Iterator[Any]:
    base: Any = base_causal_lm(model)
    yield from base.modules()


def _kind(module: Any) -> str | None:
    """Return which of KINDS does the work of `module`."""
    named = _NAMED.fullmatch(type(module).__name__)
    if named is None:
        return None
    if named[1] == "MLP":
        return "swiglu" if module.config.hidden_act in ("silu", "swish") else None
    return "norm" if named[1] == "RMSNorm" else "rotary"


def use(model: CausalLM, kinds: frozenset[str]) -> None:
    """Have the modules of `model` use these kernels; all others do again what transformers does."""
    for module in _modules(model):
        kind = _kind(module)
        if kind is not None and kind in kinds:
            module.forward = MethodType(_FORWARDS[kind], module)  # a bound method, so that a copy's is bound to the copy
        elif kind is not None:
            module.__dict__.pop("forward", None)


def _norm(self: Any, hidden_states: torch.Tensor) -> torch.Tensor:
    from rl.update import triton_layers

    if hidden_states.dtype != self.weight.dtype:
        output: torch.Tensor = type(self).forward(self, hidden_states)
        return output
    return triton_layers.norm(hidden_states, self.weight, self.variance_epsilon)


def _mlp(self: Any, x: torch.Tensor) -> torch.Tensor:
    from rl.update import triton_layers

    output: torch.Tensor = self.down_proj(triton_layers.swiglu(self.gate_proj(x), self.up_proj(x)))
    return output


def _attention(
    self: Any,
    hidden_states: torch.Tensor,  # [B, T, H]
    position_embeddings: tuple[torch.Tensor, torch.Tensor],  # [1 or B, T, d] each
    attention_mask: torch.Tensor | None = None,
    past_key_values: Any = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """An attention module's forward pass as in transformers' four families (models/qwen3/modeling_qwen3.py), by plan."""
    from rl.update import triton_layers

    plan, (cosine, sine) = kwargs.get("plan"), position_embeddings
    if plan is None or past_key_values is not None or cosine.shape[-1] != self.head_dim:
        found: tuple[torch.Tensor, torch.Tensor | None] = type(self).forward(
            self, hidden_states, position_embeddings, attention_mask, past_key_values=past_key_values, **kwargs
        )
        return found
    shape = (*hidden_states.shape[:-1], -1, self.head_dim)
    query, key, value = (layer(hidden_states).view(shape) for layer in (self.q_proj, self.k_proj, self.v_proj))
    if hasattr(self, "q_norm"):
        query, key = self.q_norm(query), self.k_norm(key)
    query, key = triton_layers.rotary(query, key, cosine, sine)
    heads_first = (part.transpose(1, 2) for part in (query, key, value))
    attended = plan.attend(self.layer_idx, *heads_first, self.scaling)  # [B, T, h, d]
    return self.o_proj(attended.reshape(*shape[:2], -1)), None


_FORWARDS: dict[str, Callable[..., Any]] = {"norm": _norm, "swiglu": _mlp, "rotary": _attention}
