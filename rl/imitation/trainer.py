"""TRL's SFTTrainer with the forward pass of the update: packed rows, attention by segments, the head where a token counts.

TRL keeps the loop, the optimizer, the schedule, clipping and checkpoints. Ours is a step's work: the examples are cut into
micro-batches, their gradients are added up in float32, over all ranks, and what a token counts is fixed before the cut.

With `model.dtype: bf16` the trainer holds float32 weights, which the optimizer moves, and a copy in bf16 computes: it is
written once a step. (Autocast would cast every weight in every forward pass, and weights of bf16 alone would lose updates
that are less than a 256th of them.) Adapters are kept in float32 by peft, so with them the model is opened in bf16 as it is.
"""

import copy
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from trl import SFTConfig as TrlConfig
from trl import SFTTrainer

from problems.errors import LabError
from problems.seeding import derive_seed
from rl.imitation.examples import lay_out, targets
from rl.policy.interfaces import CausalLM
from rl.runtime import device, rank, uploaded, world_size
from rl.settings.schema import LayoutName, SftConfig
from rl.tracking.run_directory import JsonDict, write_atomic
from rl.types import Row
from rl.update.batch import cut_micro_batches
from rl.update.engine import choose_layout
from rl.update.fused import choose
from rl.update.logprobs import TokenLogprobs
from rl.update.packing import pad

_STATE, _ABOUT = "trainer.pt", "state.json"


def trl_config(config: SftConfig, output_dir: str) -> TrlConfig:
    """Return our settings in the words of TRL; it writes, logs and prints nothing by itself."""
    settings = config.sft
    return TrlConfig(
        output_dir=output_dir,
        max_steps=settings.steps,
        per_device_train_batch_size=settings.rows,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.schedule,
        warmup_steps=settings.warmup_steps,
        adam_beta1=settings.betas[0],
        adam_beta2=settings.betas[1],
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        optim="adamw_torch_fused",
        seed=config.run.seed,
        bf16=False,  # that would be autocast, see above
        use_cpu=not torch.cuda.is_available(),
        # the rows come ready, as examples: TRL may neither cut nor tokenise them, nor drop a column
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,
        gradient_checkpointing=False,
        logging_steps=max(1, settings.steps // 100),
        logging_nan_inf_filter=False,  # which would hide a loss that is no number
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )


class Learner(nn.Module):
    """The trained weights, which are its parameters, and what computes with them: the model itself, or its copy in bf16."""

    def __init__(self, model: Any, dtype: torch.dtype):
        super().__init__()
        self.model = model
        is_adapted = hasattr(model, "peft_config")
        self._is_mixed = not is_adapted and any(p.dtype != dtype for p in model.parameters())
        computing = copy.deepcopy(model) if self._is_mixed else model
        if self._is_mixed:
            for parameter in computing.parameters():  # not .to(dtype), which would round the frequencies of the positions too
                parameter.data = parameter.data.to(dtype)
        # in a tuple, so that neither the optimizer nor the norm of the gradient meets its weights
        self._computing = (TokenLogprobs(computing, temperature=1.0),)

    @property
    def logprobs(self) -> TokenLogprobs:
        """What gives log-probabilities, with gradient."""
        return self._computing[0]

    @property
    def computing(self) -> CausalLM:
        """The model as it computes."""
        model: CausalLM = self.logprobs.model
        return model

    def train(self, mode: bool = True) -> "Learner":
        """Switch dropout on, or off, where it is computed."""
        self.logprobs.train(mode)
        super().train(mode)
        return self

    def _pairs(self) -> Iterator[tuple[nn.Parameter, nn.Parameter]]:
        return zip(self.model.parameters(), self.logprobs.model.parameters(), strict=True)

    @torch.no_grad()
    def refresh(self) -> None:
        """Bring the copy up to date."""
        if self._is_mixed:
            kept, used = zip(*self._pairs(), strict=True)
            torch._foreach_copy_(used, kept)

    def take_gradients(self) -> None:
        """Add the gradients of the copy to those of the weights, in float32."""
        if not self._is_mixed:
            return
        for kept, used in self._pairs():
            if used.grad is None:
                continue
            if kept.grad is None:
                kept.grad = used.grad.to(kept.dtype)
            else:
                kept.grad += used.grad
            used.grad = None

    def add_over_ranks(self) -> None:
        """Make the gradients the sum over all ranks; all must call."""
        if world_size() == 1:
            return
        for parameter in self.model.parameters():
            if parameter.requires_grad:
                if parameter.grad is None:  # an expert that no token of this rank went to
                    parameter.grad = torch.zeros_like(parameter)
                torch.distributed.all_reduce(parameter.grad)


class ImitationTrainer(SFTTrainer):  # type: ignore[misc]
    """The trainer; `learner` is there from its construction on."""

    def __init__(self, *, config: SftConfig, dtype: torch.dtype, **given: Any):
        super().__init__(**given)
        self.model_accepts_loss_kwargs = True  # which has the trainer count the tokens of a step, whatever the model
        self.settings = config.sft
        self.position = 0  # examples that were learned from, as far as this rank knows
        self.learner = Learner(self.model, dtype)
        layout = choose_layout(self.learner.computing, None)
        self.layout: LayoutName = "packed" if layout == "shared" else layout
        self.fused = choose(self.learner.computing, device(), config.model.fused_kernels)
        self.fused.applied(self.learner.logprobs)

    def _wrap_model(self, model: Any, *args: Any, **kwargs: Any) -> Learner:
        """Have the loop work with ours: a wrapped model is not wrapped again by accelerate, which would add DDP."""
        return self.learner

    def micro_batches(self, rows: tuple[Row, ...]) -> list[list[Row]]:
        """Cut the examples of a step on this rank."""
        cut = cut_micro_batches(rows, 1, self.settings.micro_batch_tokens, self.layout)[0]
        return [[rows[number] for number in numbers] for numbers in cut]

    def loss(self, rows: list[Row], num_tokens: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what a micro-batch adds to a mean over `num_tokens` tokens, in nats, and the sum of its entropies in nats."""
        where = device()
        packed = lay_out(rows, where) if self.layout == "packed" else pad(rows, self.pad_id, where)
        logprobs, entropies = self.learner.logprobs(packed, uploaded(targets(rows), where))
        return -logprobs.sum() / num_tokens, entropies.detach().sum()

    @property
    def num_tokens(self) -> int:
        """Tokens that were learned from so far, prompts included."""
        total: int = self._total_train_tokens
        return total

    @property
    def pad_id(self) -> int:
        """The token that fills rows up where the layout needs it."""
        pad_id: int = self.processing_class.pad_token_id
        return pad_id

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        """Leave the gradient of the whole step, over all ranks, in the weights; return its loss, in nats a token.

        `num_items_in_batch` counts the tokens of all completions of the step on all ranks. All ranks must call. Raises LabError
        where the loss is no number.
        """
        rows: tuple[Row, ...] = inputs["examples"].rows
        num_tokens = float(num_items_in_batch)
        learner = self.learner.train()
        learner.refresh()
        # dropout, where adapters have it, draws from a stream named by the step: a resumed run draws the same
        torch.manual_seed(derive_seed("imitation", self.args.seed, self.state.global_step, rank()) % 2**63)
        sums = torch.zeros(3, dtype=torch.float64, device=device())  # loss, entropies, tokens
        for part in self.micro_batches(rows):
            loss, entropies = self.loss(part, num_tokens)
            loss.backward()
            learner.take_gradients()
            sums[:2] += torch.stack([loss.detach(), entropies])
            sums[2] += sum(row.length for row in part)
        learner.add_over_ranks()
        if world_size() > 1:
            torch.distributed.all_reduce(sums)
        total, entropy, tokens = sums.tolist()
        if not math.isfinite(total):
            step = self.state.global_step + 1
            raise LabError(f"the loss of step {step} is {total}; lower sft.learning_rate or raise sft.warmup_steps")
        self.position = inputs["examples"].end
        self._total_train_tokens += int(tokens)
        # these are TRL's own, which it averages and adds to what it logs
        self._metrics["train"]["entropy"].append(entropy / num_tokens)
        self._metrics["train"]["num_tokens"] = [self._total_train_tokens]
        return sums[0].float()

    @torch.no_grad()
    def mean_loss(self, rows: Sequence[Row]) -> float:
        """Return the loss of `rows`, in nats a token of a completion, without learning from them; all ranks must call."""
        self.learner.eval()
        self.learner.refresh()
        num_tokens = sum(len(row.completion_ids) for row in rows)
        total = torch.zeros((), dtype=torch.float64, device=device())
        for part in self.micro_batches(tuple(rows[rank() :: world_size()])):
            total += self.loss(part, num_tokens)[0]
        if world_size() > 1:
            torch.distributed.all_reduce(total)
        return float(total)

    def save(self, directory: Path, **more: Any) -> None:
        """Write what a resumed run begins with: weights, optimizer, schedule and how far the examples were learned from."""
        weights = {name: parameter.detach() for name, parameter in self._learned()}
        state = {"weights": weights, "optimizer": self.optimizer.state_dict(), "schedule": self.lr_scheduler.state_dict()}
        torch.save(state, directory / _STATE)
        about = {"step": self.state.global_step, "num_tokens": self._total_train_tokens, **more}
        write_atomic(directory / _ABOUT, json.dumps(about, indent=1))

    def load(self, directory: Path) -> None:
        """Restore what `save` wrote, when the optimizer is there: at the begin of the training, not before."""
        state = torch.load(directory / _STATE, map_location="cpu", weights_only=True)
        with torch.no_grad():
            for name, parameter in self._learned():
                parameter.copy_(state["weights"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.lr_scheduler.load_state_dict(state["schedule"])
        found = about(directory)
        self.position, self._total_train_tokens = found["position"], found["num_tokens"]
        # the second is transformers' own: what it logs is a mean over the steps since
        self.state.global_step = self._globalstep_last_logged = found["step"]

    def _learned(self) -> Iterator[tuple[str, nn.Parameter]]:
        return ((name, parameter) for name, parameter in self.model.named_parameters() if parameter.requires_grad)


def about(directory: Path) -> JsonDict:
    """Return what a checkpoint says of itself: step, position, num_tokens and the id of its W&B run."""
    found: JsonDict = json.loads((directory / _ABOUT).read_text(encoding="utf-8"))
    return found
