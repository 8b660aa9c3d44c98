"""Repeats an update that was left out, from its dump (rl/tracking/dumps.py), on one process and in plain torch.

The same rows in the same micro-batches go through the same weights, forward and backward, without DeepSpeed. What is not finite
is followed to its row, its token and the first module that puts it out, or, where the backward pass makes it, the first module
that it is handed to.

Left out: dropout of adapters, which is switched off; and the order in which ranks add up, which moves last digits.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from problems.errors import LabError
from rl.policy.logits import LogitShape
from rl.policy.opening import load_model, plain_model
from rl.runtime import device
from rl.settings.algorithm import AlgorithmSettings
from rl.settings.schema import ModelSettings
from rl.tracking.dumps import Dump, in_words
from rl.tracking.run_directory import JsonDict
from rl.types import Row
from rl.update.batch import MicroBatch, collate
from rl.update.culprit import computed, first_not_finite, first_of, norm_not_finite, of_rows
from rl.update.fused import choose
from rl.update.logprobs import TokenLogprobs
from rl.update.recompute import Score
from rl.update.step import MicroBatchLoss, micro_batch_loss

_HEAD = "the logits of the LM head"  # which is no module's output: rl/update/logprobs.py multiplies with its weight itself


@dataclass(frozen=True, kw_only=True)
class RowReplay:
    """What became of one row."""

    row: int
    problem_id: str
    tokens: int
    logprob: float  # of its completion, the sum in nats
    loss: float  # its part of the loss
    not_finite: str | None  # the first of its numbers that is not, in words
    token: int | None  # where that is


@dataclass(frozen=True, kw_only=True)
class Replay:
    """What became of an update the second time."""

    loss: float
    grad_norm: float
    rows: tuple[RowReplay, ...]
    weights: tuple[str, ...]  # those that are not finite
    parameter: str | None  # where the backward pass first met what is not finite
    row: int | None  # the first row at fault, or the one that was asked for
    token: int | None
    module: str | None  # the first whose output, or whose output's gradient, is not finite for that row
    logprobs: tuple[float, ...] | None  # of the tokens of the row that was asked for

    def record(self) -> JsonDict:
        """Return it as JSON can hold it."""
        record: JsonDict = _plain(asdict(self))
        return record


class Replayer:
    """The policy of a dump, and what is needed to take its loss."""

    def __init__(self, dump: Dump):
        self.dump = dump
        self.model_settings = ModelSettings.model_validate(dump.settings["model"])
        self.algorithm = AlgorithmSettings.model_validate(dump.settings["algorithm"])
        self.temperature = float(dump.settings["sampling"]["temperature"])
        model = self._policy()
        fused = choose(model, device(), self.model_settings.fused_kernels)
        self.policy = TokenLogprobs(model, self.temperature).to(device()).eval()
        fused.applied(self.policy)
        self.reference = self._reference() if self.algorithm.kl_in_loss else None

    def _policy(self) -> Any:
        directory = self.dump.path / "policy"
        if self.model_settings.lora is None:
            settings = self.model_settings.model_copy(update={"path": str(directory), "revision": None})
            return load_model(settings, shape=LogitShape(**self.dump.found["logit_shape"]))
        from peft import load_peft_weights, set_peft_model_state_dict

        model: Any = load_model(self._original())
        set_peft_model_state_dict(model, load_peft_weights(str(directory), device="cpu"))
        return model

    def _original(self) -> ModelSettings:
        """Return what the run began with."""
        return plain_model(self.model_settings, Path(self.dump.settings["run"]["dir"]))

    def _reference(self) -> Score:
        """Return what scores tokens under the reference policy: adapters switched off, or the frozen model."""
        if self.model_settings.lora is not None:

            def without_adapters(rows: Any, targets: torch.Tensor) -> torch.Tensor:
                with torch.no_grad(), self.policy.model.disable_adapter():
                    return self.policy(rows, targets)[0]  # type: ignore[no-any-return]

            return without_adapters
        model = load_model(self._original(), trainable=False)
        if (self.dump.path / "reference.safetensors").exists():
            from safetensors.torch import load_model as read_into

            read_into(model, self.dump.path / "reference.safetensors")  # type: ignore[arg-type]
        frozen = TokenLogprobs(model, self.temperature).to(device())

        def of_frozen(rows: Any, targets: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                return frozen(rows, targets)[0]  # type: ignore[no-any-return]

        return of_frozen

    def replay(self, only: int | None = None) -> Replay:
        """Return what becomes of the update; `only`: of one of its rows."""
        if only is not None and not 0 <= only < len(self.dump.rows):
            raise LabError(f"there is no row {only}: {self.dump.path} has rows 0 to {len(self.dump.rows) - 1}")
        cuts = self.dump.micro_batches if only is None else [[only]]
        rows: list[RowReplay] = []
        total: dict[str, torch.Tensor] = {}
        loss, parameter, suspects = 0.0, None, list[int]()
        for numbers in cuts:
            result, gradients = self._pass(numbers)
            loss += float(result.loss)
            rows += self._by_row(numbers, result)
            met = _first_in_backward(gradients)
            if met is not None and parameter is None:
                parameter, suspects = met, numbers
            for name, gradient in gradients.items():
                total[name] = total[name] + gradient if name in total else gradient
        rows.sort(key=lambda row: row.row)
        faulty = next((row for row in rows if row.not_finite), None)
        number = only if only is not None else faulty.row if faulty else self._row_of_gradient(suspects)
        return Replay(
            loss=loss,
            grad_norm=_norm(total.values()),
            rows=tuple(rows),
            weights=tuple(name for name, weights in self.policy.model.named_parameters() if not weights.isfinite().all()),
            parameter=parameter,
            row=number,
            token=next((row.token for row in rows if row.row == number), None),
            module=None if number is None else self._module_of(self.dump.rows[number]),
            logprobs=None if only is None else self._logprobs_of(self.dump.rows[only]),
        )

    def _collated(self, rows: Sequence[Row]) -> MicroBatch:
        return collate(rows, self.dump.found["pad_id"], device(), self.dump.found["layout"])

    def _pass(self, numbers: Sequence[int]) -> tuple[MicroBatchLoss, dict[str, torch.Tensor]]:
        """Return the loss of some rows and its gradients, in float32."""
        micro = self._collated([self.dump.rows[number] for number in numbers])
        result = micro_batch_loss(self.policy, self.reference, micro, self.algorithm)
        self.policy.zero_grad(set_to_none=True)
        result.loss.backward()
        named = self.policy.model.named_parameters()
        return result, {name: p.grad.float() for name, p in named if p.grad is not None}

    def _by_row(self, numbers: Sequence[int], result: MicroBatchLoss) -> list[RowReplay]:
        named = computed(result.tokens, result.parts, self.algorithm.entropy_coef != 0)
        found = []
        for place, number in enumerate(numbers):
            row, mine = self.dump.rows[number], result.tokens.rows == place
            weights = torch.as_tensor(row.weights, dtype=result.parts.loss.dtype, device=mine.device)
            given = of_rows((row,))
            met = first_of({name: values[mine] for name, values in named.items()})
            if given is not None:
                met = given.what, given.token or 0, given.value
            found.append(
                RowReplay(
                    row=number,
                    problem_id=row.problem_id,
                    tokens=len(row.completion_ids),
                    logprob=float(named["log-probability"][mine].sum()),
                    loss=float((named["loss of the token"][mine] * weights).sum()),
                    not_finite=None if met is None else f"the {met[0]} is {met[2]}",
                    token=None if met is None else met[1],
                )
            )
        return found

    def _row_of_gradient(self, suspects: Sequence[int]) -> int | None:
        """Return the first of some rows whose gradient is not finite by itself."""
        for number in suspects:
            if _first_in_backward(self._pass([number])[1]) is not None:
                return number
        return None

    def _module_of(self, row: Row) -> str | None:
        """Return the first module whose output is not finite for a row; else the first that is handed such a gradient."""
        micro = self._collated([row])
        outputs, gradients = list[str](), list[str]()
        with _watching(self.policy.model, outputs, gradients):
            result = micro_batch_loss(self.policy, self.reference, micro, self.algorithm)
            if not outputs and first_not_finite(result.tokens.logprobs) is not None:
                return _HEAD
            if not outputs:
                result.loss.backward()
        return next(iter(outputs or gradients), None)

    @torch.no_grad()
    def _logprobs_of(self, row: Row) -> tuple[float, ...]:
        micro = self._collated([row])
        return tuple(self.policy(micro.token_rows, micro.targets)[0].float().tolist())


def _norm(gradients: Any) -> float:
    """Return the norm of all gradients together, in float32 as the engine takes it."""
    return float(torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(gradient) for gradient in gradients])))


def _first_in_backward(gradients: dict[str, torch.Tensor]) -> str | None:
    """Return the last parameter whose gradient is not finite: the backward pass comes to it first."""
    return next((name for name, gradient in reversed(gradients.items()) if norm_not_finite(gradient) is not None), None)


@contextmanager
def _watching(model: nn.Module, outputs: list[str], gradients: list[str]) -> Iterator[None]:
    """Write down the modules whose output is not finite, as they end, and those whose output's gradient is not."""

    def watch(name: str) -> Callable[..., None]:
        def look(module: nn.Module, arguments: Any, output: Any) -> None:
            for tensor in _tensors(output):
                if first_not_finite(tensor) is not None:
                    outputs.append(name)
                if tensor.requires_grad:
                    tensor.register_hook(meet)

        def meet(gradient: torch.Tensor) -> None:
            if first_not_finite(gradient) is not None:
                gradients.append(name)

        return look

    handles = [module.register_forward_hook(watch(name)) for name, module in model.named_modules() if name]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _tensors(output: Any) -> list[torch.Tensor]:
    """Return the real tensors in what a module returns."""
    if isinstance(output, torch.Tensor):
        return [output] if output.is_floating_point() else []
    if isinstance(output, dict):
        output = list(output.values())
    return [tensor for part in output for tensor in _tensors(part)] if isinstance(output, list | tuple) else []


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return in_words(value) if isinstance(value, float) else value


def in_lines(dump: Dump, replay: Replay) -> list[str]:
    """Return what to print of a replay."""
    met = dump.found["met"]
    lines = [
        f"{dump.path}: step {dump.found['step']}, {len(dump.rows)} rows",
        f"then  the {met['what']} was {met['value']}; {dump.found['words']}",
        f"now   loss {replay.loss:.6g}, gradient norm {replay.grad_norm:.6g}",
    ]
    if replay.weights:
        others = f" and {len(replay.weights) - 1} more" if len(replay.weights) > 1 else ""
        lines.append(f"the weights of {replay.weights[0]}{others} are not finite: no row is at fault")
    faulty = next((row for row in replay.rows if row.row == replay.row and row.not_finite), None)
    if faulty is not None:
        lines.append(f"row {faulty.row} (problem {faulty.problem_id}), token {faulty.token}: {faulty.not_finite}")
    elif replay.row is not None and replay.parameter is not None:
        problem = dump.rows[replay.row].problem_id
        lines.append(f"row {replay.row} (problem {problem}): the gradient is not finite, first in {replay.parameter}")
    if replay.module is not None:
        kind = "output" if faulty is not None else "gradient"
        lines.append(f"first module with such {'an' if kind == 'output' else 'a'} {kind}: {replay.module}")
    if not (replay.weights or faulty or replay.parameter) and math.isfinite(replay.loss):
        lines.append(
            "nothing here is without end or NaN: what went wrong then was of that machine, its kernels or its ranks, not of "
            "these rows and weights"
        )
    if replay.logprobs is not None:
        lines.append("log-probabilities: " + " ".join(f"{value:.4g}" for value in replay.logprobs))
    return lines
