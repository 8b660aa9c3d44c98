"""The DeepSpeed engine: one path for one process on a CPU and for 64 GPUs, ZeRO stage by configuration.

What this file knows about DeepSpeed and the loop need not:
- gradients are averaged over ranks, so the loss is multiplied by the number of ranks to get the sum;
- the number of micro-batches of a step is ours, told by `set_gradient_accumulation_boundary`;
- with ZeRO 3 the weights are sharded, so sampling uses a whole copy that is refreshed after every step.
"""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rl.policy.attention import can_plan
from rl.policy.interfaces import CausalLM
from rl.policy.paths import PolicyError
from rl.runtime import device, rank, world_size
from rl.settings.deepspeed import check_deepspeed_file
from rl.settings.schema import LayoutName, RunConfig
from rl.types import Group
from rl.update import resharding
from rl.update.fused import choose
from rl.update.learned import Overhearing
from rl.update.logprobs import TokenLogprobs
from rl.update.packing import TokenRows
from rl.update.zero_checks import check_together

# of DeepSpeed's engine, moved by a step (deepspeed 0.19.8, runtime/engine.py, _take_model_step and step)
_COUNTERS = (
    "global_steps", "global_samples", "micro_steps", "skipped_steps", "_global_grad_norm", "_step_applied",
    "_is_gradient_accumulation_boundary",
)  # fmt: skip
_TAG = "engine"  # DeepSpeed's folder in a checkpoint
_REFERENCE = "reference.safetensors"
_NORM_ELEMENTS = 2**20
_GATHER_ELEMENTS = 200_000_000  # weights gathered together when a sharded model is copied


def deepspeed_config(config: RunConfig) -> dict[str, Any]:
    """Return the DeepSpeed settings that follow from `config`."""
    extra = check_deepspeed_file(config.deepspeed.config) if config.deepspeed.config else {}
    zero = {**extra.get("zero_optimization", {}), "stage": config.deepspeed.stage}
    return {
        **extra,
        "zero_optimization": zero,
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "train_batch_size": world_size(),
        "gradient_clipping": config.optimizer.max_grad_norm,
        "bf16": {"enabled": config.model.dtype == "bf16"},
        "steps_per_print": None,
        "zero_allow_untested_optimizer": True,
    }


def learning_rate(config: RunConfig, step: int) -> float:
    """Return the learning rate of step `step` (0-based; a batch of rollouts): linear warm-up, then the schedule."""
    settings, total = config.optimizer, config.train.steps
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    progress = (step - settings.warmup_steps) / max(1, total - settings.warmup_steps)
    if settings.schedule == "linear":
        return settings.learning_rate * max(0.0, 1 - progress)
    if settings.schedule == "cosine":
        return settings.learning_rate * 0.5 * (1 + float(torch.cos(torch.tensor(torch.pi * min(1.0, progress)))))
    return settings.learning_rate


def _frozen_copy(model: CausalLM, policy: CausalLM) -> CausalLM:
    """Return a copy of `model` that shares the weights which `policy` never trains."""
    pairs = zip(model.parameters(), policy.parameters(), strict=True)
    shared: dict[int, Any] = {id(mine): mine for mine, trained in pairs if not trained.requires_grad}
    return copy.deepcopy(model, shared).requires_grad_(False)


def choose_layout(model: CausalLM, wanted: LayoutName | None) -> LayoutName:
    """Return how rows are laid out for `model`; raises PolicyError for a layout its attention cannot do."""
    planned = can_plan(model)
    if wanted in ("shared", "packed") and not planned:
        raise PolicyError(
            f"train.layout={wanted} needs model.attention=sdpa and a model whose layers are all full attention without "
            f"dropout; this one ({model.config.model_type}) is not: leave train.layout out, or use padded"
        )
    return wanted or ("shared" if planned else "padded")


class Engine:
    """The policy under DeepSpeed."""

    def __init__(self, model: CausalLM, config: RunConfig):
        import deepspeed

        self.config = config
        self.overheard: Overhearing | None = None  # is told the log-probabilities of an update
        self.stage = config.deepspeed.stage
        policy = TokenLogprobs(model, config.sampling.temperature).to(device())
        self._copy = copy.deepcopy(model).to(device()).requires_grad_(False) if self.stage == 3 else None
        self._before = _frozen_copy(model if self._copy is None else self._copy, model) if config.train.one_step_off else None
        self.layout = choose_layout(model, config.train.layout)
        self.fused = choose(model, device(), config.model.fused_kernels)
        self.fused.applied(policy)
        trainable = [p for p in policy.parameters() if p.requires_grad]
        settings = config.optimizer
        ds_config = deepspeed_config(config)
        offloads = "offload_optimizer" in ds_config["zero_optimization"]
        self._adamw = torch.optim.AdamW(
            trainable,
            lr=settings.learning_rate,
            betas=settings.betas,
            weight_decay=settings.weight_decay,
            # one kernel and no temporaries of the size of the weights; in float32 on a CPU the plain one, whose roundings
            # are those of every run so far
            fused=True if (device().type == "cuda" and not offloads) or self._master_on_cpu else None,
        )
        self.engine, *_ = deepspeed.initialize(
            model=policy, optimizer=self._adamw, model_parameters=trainable, config=ds_config
        )
        if self._copy is not None:
            # peft adds adapters in float32, and DeepSpeed has made those of a bf16 run bf16
            for mine, theirs in zip(self.policy.parameters(), self._copy.parameters(), strict=True):
                theirs.data = theirs.data.to(mine.dtype)
        if self.stage in (1, 2):
            check_together(self.engine.optimizer)

    @property
    def _master_on_cpu(self) -> bool:
        """Whether DeepSpeed keeps float32 copies of bf16 weights for the optimizer, on a CPU."""
        return device().type == "cpu" and self.config.model.dtype == "bf16"

    @property
    def policy(self) -> Any:
        """The causal LM that is trained (its weights are shards under ZeRO 3)."""
        return self.engine.module.model

    @property
    def sampling_model(self) -> CausalLM:
        """A causal LM with whole, current weights."""
        return self.policy if self._copy is None else self._copy

    @torch.no_grad()
    def snapshot(self) -> CausalLM:
        """Return a causal LM with the weights of now, which updates leave alone; made anew by the next call."""
        assert self._before is not None, "train.one_step_off makes the copy"
        for current, copied in zip(self.sampling_model.parameters(), self._before.parameters(), strict=True):
            if current is not copied:  # frozen weights are shared
                copied.data = copied.data.to(current.dtype)
                copied.copy_(current)
        return self._before

    @contextmanager
    def overhearing(self, groups: Sequence[Group]) -> Iterator[Overhearing]:
        """Put aside what becomes of the completions of `groups` in the updates inside of the block."""
        found = Overhearing(groups)
        self.overheard = found if groups else None
        try:
            yield found
        finally:
            self.overheard = None

    def logprobs(self, rows: TokenRows, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return log-probabilities and entropies [N] of `targets` [N], see TokenLogprobs.forward."""
        logprobs, entropies = self.engine(rows, targets)
        return logprobs, entropies

    def score(self, rows: TokenRows, targets: torch.Tensor) -> torch.Tensor:
        """Return the log-probabilities [N] of `targets` [N] alone."""
        return self.logprobs(rows, targets)[0]

    def backward(self, loss: torch.Tensor, *, last: bool) -> None:
        """Add the gradient of `loss`, a scalar: one micro-batch's part of the batch's loss on this rank.

        `last` says that no micro-batch follows in this step.
        """
        # DeepSpeed divides the gradient by the number of ranks; ours is a sum, so it is multiplied before
        self.engine.set_gradient_accumulation_boundary(last)
        self.engine.backward(loss * world_size(), scale_wrt_gas=False)

    def step(self, rate: float) -> float:
        """Clip, update with learning rate `rate`, refresh the sampling copy; return the gradient norm before clipping.

        Where that is not finite, nothing is moved, on no rank.
        """
        for group in self.engine.optimizer.param_groups:
            group["lr"] = rate
        norm = self._step()
        if math.isfinite(norm):
            self.refresh_copy()
        return norm

    def _step(self) -> float:
        if not self._is_plain:
            self.engine.step()  # where the gradient is not finite, DeepSpeed leaves the step out, in silence
            norm = self.engine.get_global_grad_norm()
            return float(norm) if self.engine.was_step_applied() and norm is not None else math.inf
        norm = float(self._plain_grad_norm())
        # here DeepSpeed does not look, and would move every weight to NaN
        with nullcontext() if math.isfinite(norm) else self._optimizer_does(lambda: None):
            self.engine.step()
        return norm

    def rehearse_step(self) -> tuple[float, float]:
        """Do all of a step but the change of weights and optimizer state, and so clear the gradients.

        Returns the gradient norm that `step` would report, and the norm of what reached the optimizer, clipped.
        """
        squares = torch.zeros((), dtype=torch.float64, device=device())

        def only_look(*_: Any, **__: Any) -> None:
            for group in self._adamw.param_groups:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        # in parts: a CPU adds a norm up in float32, and of 134 million numbers 1.7 % is lost
                        for part in parameter.grad.flatten().split(_NORM_ELEMENTS):
                            squares.add_(torch.linalg.vector_norm(part).double().square())

        with self._optimizer_does(only_look):
            reported = self._step()
        if self.stage > 0 and world_size() > 1:  # each rank's optimizer holds its own part
            torch.distributed.all_reduce(squares)
        return reported, float(squares.sqrt())

    @contextmanager
    def _optimizer_does(self, action: Callable[..., None]) -> Iterator[None]:
        """Have `action` called inside where DeepSpeed would have the optimizer move the weights."""
        before = self._adamw.__dict__.get("step")
        self._adamw.step = action  # type: ignore[method-assign]
        try:
            yield
        finally:
            if before is None:
                del self._adamw.step
            else:
                self._adamw.step = before  # type: ignore[method-assign]

    def drop_gradients(self) -> None:
        """Forget what `backward` has added up; all ranks must call."""
        with self.without_trace():
            self.rehearse_step()

    @contextmanager
    def without_trace(self) -> Iterator[None]:
        """Rehearse inside: afterwards DeepSpeed's counters, dropout and torch's random state are what they were."""
        counters = {name: getattr(self.engine, name) for name in _COUNTERS}
        modes = [(module, module.training) for module in self.engine.modules()]
        dropouts = [(module, module.p) for module in self.engine.modules() if isinstance(module, nn.Dropout)]
        for module, _ in dropouts:
            module.p = 0.0
        try:
            with torch.random.fork_rng([device()] if device().type == "cuda" else []):
                yield
        finally:
            for module, p in dropouts:
                module.p = p
            for module, training in modes:
                module.training = training
            for name, value in counters.items():
                setattr(self.engine, name, value)

    @contextmanager
    def head_in_parts(self, tokens: int | None) -> Iterator[None]:
        """Have the LM head work on `tokens` tokens at a time inside; None: on as many as usual."""
        module = self.engine.module
        before = module.buffer_elements
        if tokens is not None:
            module.buffer_elements = tokens * self.policy.config.get_text_config().vocab_size
        try:
            yield
        finally:
            module.buffer_elements = before

    @property
    def _is_plain(self) -> bool:
        return self.stage == 0 and self.config.model.dtype == "fp32"

    def _plain_grad_norm(self) -> torch.Tensor:
        grads = [p.grad for p in self.engine.module.parameters() if p.grad is not None]
        norm: torch.Tensor = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in grads]))
        return norm

    @contextmanager
    def whole_weights(self, parameters: list[nn.Parameter]) -> Iterator[None]:
        """Have `parameters` whole on every rank; all ranks must enter."""
        if self.stage < 3:
            yield
            return
        import deepspeed

        with deepspeed.zero.GatheredParameters(parameters):
            yield

    def whole_weights_by_name(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield name and whole value of every weight, to be looked at before the next one; all ranks must iterate."""
        for name, parameter in self.policy.named_parameters():
            with self.whole_weights([parameter]):
                yield name, parameter.detach()

    def gradients(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield name and whole gradient of every trained weight, after the last micro-batch; all ranks must iterate."""
        from deepspeed.utils import safe_get_full_grad

        for name, parameter in self.policy.named_parameters():
            if parameter.requires_grad:
                yield name, safe_get_full_grad(parameter)

    def refresh_copy(self) -> None:
        """Bring the sampling copy up to date (ZeRO 3 only); frozen weights never change and are left alone."""
        if self._copy is None:
            return
        pairs = [
            (mine, theirs)
            for (_, mine), (_, theirs) in zip(self.policy.named_parameters(), self._copy.named_parameters(), strict=True)
            if mine.requires_grad
        ]
        while pairs:
            chunk: list[tuple[nn.Parameter, nn.Parameter]] = []
            elements = 0
            while pairs and (not chunk or elements < _GATHER_ELEMENTS):
                chunk.append(pairs.pop(0))
                elements += chunk[-1][1].numel()
            with self.whole_weights([mine for mine, _ in chunk]), torch.no_grad():
                for mine, theirs in chunk:
                    theirs.copy_(mine)

    def save(self, directory: Path) -> None:
        """Write weights and optimizer state of every rank into a checkpoint; all ranks must call."""
        self.engine.save_checkpoint(str(directory), tag=_TAG, save_latest=False, exclude_frozen_parameters=True)

    def load(self, directory: Path) -> None:
        """Restore what `save` wrote, on whatever number of ranks and at whatever ZeRO stage; all ranks must call.

        DeepSpeed's own files fit the number of ranks and the settings that wrote them; with others they are cut anew.
        """
        if resharding.read_common(directory / _TAG)["ds_config"] == self.engine.config:
            self.engine.load_checkpoint(
                str(directory), tag=_TAG, load_module_strict=self.config.model.lora is None, load_lr_scheduler_states=False
            )
        else:
            resharding.load(self.engine, self._adamw, directory / _TAG)
        self.refresh_copy()

    def finish(self) -> None:
        """Release the engine's hooks and buffers."""
        self.engine.destroy()


class Reference:
    """The policy the run started from or was last reset to, for the KL: adapters switched off, or a frozen copy."""

    def __init__(self, engine: Engine, model: CausalLM | None):
        self.engine = engine
        self.frozen = None
        if model is not None:
            config = engine.config
            self.frozen = TokenLogprobs(model, config.sampling.temperature).to(device())
            engine.fused.applied(self.frozen)
        self.was_reset = False

    @torch.no_grad()
    def reset(self) -> None:
        """Make the policy of now the reference."""
        assert self.frozen is not None, "adapters have no reference of their own"
        for current, frozen in zip(self.engine.sampling_model.parameters(), self.frozen.model.parameters(), strict=True):
            frozen.copy_(current)
        self.was_reset = True

    def save(self, directory: Path) -> None:
        """Write the reference, once for all ranks, unless it is the model that the run began with."""
        from safetensors.torch import save_model

        if rank() == 0 and self.was_reset and self.frozen is not None:
            save_model(self.frozen.model, str(directory / _REFERENCE))

    def load(self, directory: Path) -> None:
        """Read what `save` wrote into a checkpoint of this run."""
        from safetensors.torch import load_model

        if self.frozen is not None and (directory / _REFERENCE).exists():
            load_model(self.frozen.model, directory / _REFERENCE, device=str(device()))
            self.was_reset = True

    @torch.no_grad()
    def score(self, rows: TokenRows, targets: torch.Tensor) -> torch.Tensor:
        """Return the reference's log-probabilities [N] of `targets` [N]."""
        if self.frozen is not None:
            logprobs: torch.Tensor = self.frozen(rows, targets)[0]
            return logprobs
        with self.engine.policy.disable_adapter():
            return self.engine.score(rows, targets)
