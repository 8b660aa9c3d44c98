"""TRL's side of the benchmark: GRPOTrainer's own training loop in a thread that goes on one step at a time.

Sampling is its `_generate` (tokenise, generate, decode), as ours counts the same three; an update is a whole turn of its
loop with given rollouts in the place of sampled ones, and in a whole step what is left after sampling and scoring.
FASTEST holds, by bench and work, the settings that were fastest on two cores with AVX-512 and AMX (search.py finds them);
where nothing stands it is plain float32 with all rows in one forward pass. A static cache and bf16 exclude each other on a
CPU (transformers' cache is float32, autocast's keys are not), and the static cache wins more of a whole step.
"""

import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModelForCausalLM, PrinterCallback, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from bench.material import problems_of, reward_of, run_config
from bench.sides import Timed, clock, row_lengths, stopwatch
from bench.work import Work
from rl.policy.opening import DTYPES, load_tokenizer
from rl.policy.prompts import messages
from rl.runtime import LAUNCHER_VARIABLES
from rl.settings.schema import RunConfig
from rl.types import Group

_STATIC: dict[str, Any] = {"generation_kwargs": {"cache_implementation": "static"}}
FASTEST: dict[tuple[str, str], dict[str, Any]] = {
    ("update", "a"): {"micro": 128},
    ("step", "a"): {"micro": 128},
    ("sample", "b"): _STATIC,
    ("step", "b"): _STATIC,
    ("update", "b"): {"bf16": True},
    ("sample", "c"): _STATIC,
    ("step", "c"): _STATIC,
    ("update", "c"): {"bf16": True},
    **{(bench, "e"): {"micro": 24} for bench in ("update", "step")},  # all 96 rows at once want more than 23 GB
    **{(bench, "d"): {"bf16": True, "micro": 16} for bench in ("sample", "update", "step")},
}
_LONGEST_RUN = 1000  # steps: more than any benchmark does


def trl_tensors(groups: Sequence[Group], pad_id: int, device: Any = None) -> dict[str, torch.Tensor]:
    """Return rollouts as GRPOTrainer holds them between sampling and loss: prompts [B, P] padded left, completions [B, T]
    padded right, their masks, advantages [B] and the number of completion tokens.
    """
    members = [rollout for group in groups for rollout in group.rollouts]
    prompts = [torch.as_tensor(rollout.prompt_ids).long() for rollout in members]
    completions = [torch.as_tensor(rollout.completion_ids).long() for rollout in members]

    def padded(rows: list[torch.Tensor], value: int, side: str) -> torch.Tensor:
        return pad_sequence(rows, batch_first=True, padding_value=value, padding_side=side).to(device)

    mask = padded([torch.ones_like(row) for row in completions], 0, "right")
    return {
        "prompt_ids": padded(prompts, pad_id, "left"),
        "prompt_mask": padded([torch.ones_like(row) for row in prompts], 0, "left"),
        "completion_ids": padded(completions, pad_id, "right"),
        "completion_mask": mask,
        "advantages": torch.cat([torch.as_tensor(group.advantages) for group in groups]).to(device),
        "num_items_in_batch": mask.sum(),
    }


class _Trainer(GRPOTrainer):  # type: ignore[misc]
    """GRPOTrainer that takes `given` rollouts, when there are some, instead of sampling."""

    given: Sequence[Group] | None = None

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        if self.given is None:
            return super()._generate_and_score_completions(inputs)  # type: ignore[no-any-return]
        return trl_tensors(self.given, self.processing_class.pad_token_id, self.accelerator.device)


class _Gate(TrainerCallback):  # type: ignore[misc]
    """Lets the training loop go on by one step at a time."""

    def __init__(self) -> None:
        self.go, self.done = threading.Semaphore(0), threading.Semaphore(0)
        self.closing = False

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.done.release()
        self.go.acquire()
        control.should_training_stop = self.closing


def fastest(bench: str, work: Work) -> dict[str, Any]:
    """Return TRL's best settings for `bench` on `work`; what `extra` is in this file."""
    return FASTEST.get((bench, work.name), {})


def grpo_config(work: Work, model: Path, extra: dict[str, Any]) -> Any:
    """Return TRL's settings: ours in its words, plus `extra`. `micro` in it is the rows of one forward pass."""
    ours = run_config(work, model)
    chosen = {key: value for key, value in extra.items() if key not in ("micro", "attention")}
    micro = min(extra.get("micro", work.rows), work.rows)
    settings: dict[str, Any] = {
        "output_dir": tempfile.mkdtemp(prefix="trl-"),
        "max_steps": _LONGEST_RUN,
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": work.rows // micro,
        "num_generations": work.group_size,
        "max_completion_length": work.max_tokens,
        "temperature": ours.sampling.temperature,
        "num_iterations": 1,
        "learning_rate": ours.optimizer.learning_rate,
        "warmup_steps": ours.optimizer.warmup_steps,
        "lr_scheduler_type": "constant_with_warmup",
        "adam_beta1": ours.optimizer.betas[0],
        "adam_beta2": ours.optimizer.betas[1],
        "weight_decay": ours.optimizer.weight_decay,
        "max_grad_norm": ours.optimizer.max_grad_norm,
        "loss_type": "dapo",
        "scale_rewards": "none",
        "beta": 0.0,
        "epsilon": ours.algorithm.clip_low,
        "epsilon_high": ours.algorithm.clip_high,
        "gradient_checkpointing": False,
        "bf16": False,
        "use_cpu": not torch.cuda.is_available(),
        "report_to": [],
        "save_strategy": "no",
        "logging_strategy": "no",
        "disable_tqdm": True,
        "shuffle_dataset": False,
        "ddp_find_unused_parameters": False,
        "dataloader_pin_memory": torch.cuda.is_available(),
        "seed": ours.run.seed,
    }
    return GRPOConfig(**settings | chosen)


def _model(config: RunConfig, extra: dict[str, Any]) -> Any:
    return AutoModelForCausalLM.from_pretrained(
        config.model.path, dtype=DTYPES[config.model.dtype], attn_implementation=extra.get("attention", "sdpa")
    )


@contextmanager
def _alone() -> Iterator[None]:
    """Hide our process group from accelerate, which would wrap TRL's model in DDP (a copy of all gradients) and set threads."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)
    hidden = {name: os.environ.pop(name) for name in LAUNCHER_VARIABLES & set(os.environ)}
    try:
        yield
    finally:
        os.environ.update(hidden)


class TrlSide:
    """GRPOTrainer, one step at a time. An error inside its thread is raised here."""

    def __init__(self, work: Work, model: Path, groups: Sequence[Group], extra: dict[str, Any]):
        from datasets import Dataset

        config = run_config(work, model)
        source = problems_of(work, config)
        problems = [source.get("train", i) for i in range(16 * work.num_problems)]
        by_prompt = {problem.prompt: problem for problem in problems}
        self.lengths: list[int] = []

        def correct(prompts: list[Any], completions: list[Any], completion_ids: list[Any], **kwargs: Any) -> list[float]:
            self.lengths.extend(map(len, completion_ids))
            asked = [by_prompt[prompt[-1]["content"]] for prompt in prompts]
            texts = [completion[0]["content"] for completion in completions]
            return [reward_of(work, problem, text) for problem, text in zip(asked, texts, strict=True)]

        self.gate, self.groups, self.work = _Gate(), groups, work
        with _alone():
            self.trainer = _Trainer(
                model=_model(config, extra),
                args=grpo_config(work, model, extra),
                reward_funcs=correct,
                train_dataset=Dataset.from_list([{"prompt": messages(p, config.prompt)} for p in problems]),
                processing_class=load_tokenizer(config.model),
                callbacks=[self.gate],
            )
        self.trainer.remove_callback(PrinterCallback)
        self.prompts = [messages(problem, config.prompt) for problem in problems]
        self.sampling: list[float] = []
        self.scoring: list[float] = []  # sampling and rewards
        for method, spent in (("_generate", self.sampling), ("_generate_and_score_completions", self.scoring)):
            setattr(self.trainer, method, stopwatch(getattr(self.trainer, method), spent))
        self._failure: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._cursor = 0

    def _train(self) -> None:
        try:
            self.trainer.train()
        except BaseException as error:
            self._failure = error
        self.gate.done.release()

    def _turn(self) -> float:
        """Let the loop do one step; return its seconds."""
        started = clock()
        if self._thread is None:
            self._thread = threading.Thread(target=self._train, daemon=True)
            self._thread.start()
        else:
            self.gate.go.release()
        self.gate.done.acquire()
        if self._failure is not None:
            raise self._failure
        return clock() - started

    def step(self) -> Timed:
        """See Side."""
        self.trainer.given = None
        self.lengths.clear()
        seconds = self._turn()
        return Timed(seconds=seconds, sample=self.sampling[-1], update=seconds - self.scoring[-1], lengths=tuple(self.lengths))

    def sample(self) -> Timed:
        """See Side."""
        chosen = [self.prompts[(self._cursor + i) % len(self.prompts)] for i in range(self.work.num_problems)]
        self._cursor += self.work.num_problems
        self.trainer.model.train()
        _, completions, *_ = self.trainer._generate([prompt for prompt in chosen for _ in range(self.work.group_size)])
        return Timed(seconds=self.sampling[-1], sample=self.sampling[-1], lengths=tuple(map(len, completions)))

    def update(self) -> Timed:
        """See Side."""
        self.trainer.given = self.groups
        seconds = self._turn()
        return Timed(seconds=seconds, update=seconds, lengths=row_lengths(self.groups))

    def close(self) -> None:
        """End the training loop and its thread."""
        if self._thread is not None and self._thread.is_alive():
            self.gate.closing = True
            self.gate.go.release()
            self._thread.join()
