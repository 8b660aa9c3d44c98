"""Speed as a ratio: one whole training step of ours against TRL's GRPOTrainer, turn by turn in one run.

Work (a): the demo's model, its problems, P 32 x G 16 completions of at most 96 tokens, one optimizer step each. Both get
the same weights, prompts, sampling parameters and threads, and the same verifier; TRL without gradient checkpointing and
in float32, which is its fastest here. Absolute times on shared machines mean little; the ratio is taken pair by pair.
"""

import argparse
import json
import platform
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.console import Console

from problems.catalog import build_source
from problems.seeding import derive_seed
from problems.types import Problem
from rewards.pool import VerifierPool
from rewards.verifiers import verify
from rl.arguments import clearly
from rl.batch import make_batch
from rl.config import RunConfig, SftConfig
from rl.engine import Engine
from rl.policy import load_model, load_tokenizer, stop_token_ids
from rl.rollout import RolloutWorker, draw_groups
from rl.rundir import write_atomic
from rl.runtime import init_distributed, quiet_libraries, set_threads
from rl.sampler import Sampler
from rl.settings import load_config
from rl.update import update_policy

ROOT = Path(__file__).resolve().parent.parent
WARM_UP = 2
IMITATION_STEPS = 400


def imitator(home: Path) -> Path:
    """Return a model that answers in both styles: the demo's cold start, shortened."""
    from rl.sft import run_sft

    settings = [f"run.dir={home}", f"sft.steps={IMITATION_STEPS}", "tracking.wandb=disabled"]
    return run_sft(load_config(SftConfig, [ROOT / "configs/demo-sft.yaml"], settings))


def our_step(config: RunConfig, pool: VerifierPool) -> Callable[[], None]:
    """Return a function that does one whole step of ours."""
    tokenizer, model = load_tokenizer(config.model), load_model(config.model)
    source = build_source(config.problems, derive_seed("train", config.run.seed))
    stop_ids = stop_token_ids(model, tokenizer)
    engine = Engine(model, config)
    worker = RolloutWorker(
        sampler=Sampler(model=engine.sampling_model, pad_id=tokenizer.pad_token_id, stop_ids=stop_ids, max_rows=512),
        tokenizer=tokenizer,
        pool=pool,
        prompt=config.prompt,
        sampling=config.sampling,
        reward=config.reward,
        max_positions=None,
    )
    done = {"step": 0, "cursor": 0}

    def step() -> None:
        drawn = draw_groups(worker, source, config.algorithm, config.run.seed, done["step"], done["cursor"])
        batch = make_batch(drawn.groups, config.algorithm, config.sampling.max_completion_tokens)
        if batch.rows:
            update_policy(engine, None, batch, config, tokenizer.pad_token_id, done["step"])
        done.update(step=done["step"] + 1, cursor=drawn.cursor)

    return step


class TrlStepper:
    """TRL's own training loop in a thread that goes on one step at a time."""

    def __init__(self, config: RunConfig, steps: int):
        from datasets import Dataset
        from transformers import TrainerCallback
        from trl import GRPOConfig, GRPOTrainer

        source = build_source(config.problems, derive_seed("train", config.run.seed))
        settings, group = config.algorithm, config.algorithm.group_size
        problems = [source.get("train", i) for i in range(steps * settings.num_problems)]
        by_prompt = {problem.prompt: problem for problem in problems}
        go, done = threading.Semaphore(0), threading.Semaphore(0)
        self._go, self._done = go, done

        class Gate(TrainerCallback):  # type: ignore[misc]
            def on_step_end(self, *args: Any, **kwargs: Any) -> None:
                done.release()
                go.acquire()

        def correct(prompts: list[Any], completions: list[Any], **kwargs: Any) -> list[float]:
            asked: list[Problem] = [by_prompt[prompt[0]["content"]] for prompt in prompts]
            texts = [completion[0]["content"] for completion in completions]
            return [float(verify(p, text).status == "correct") for p, text in zip(asked, texts, strict=True)]

        rows = settings.num_problems * group
        trainer = GRPOTrainer(
            model=load_model(config.model),
            args=GRPOConfig(
                output_dir=tempfile.mkdtemp(),
                max_steps=steps,
                per_device_train_batch_size=rows,
                num_generations=group,
                max_completion_length=config.sampling.max_completion_tokens,
                temperature=config.sampling.temperature,
                learning_rate=config.optimizer.learning_rate,
                warmup_steps=config.optimizer.warmup_steps,
                lr_scheduler_type="constant_with_warmup",
                adam_beta2=config.optimizer.betas[1],
                scale_rewards="none",
                beta=0.0,
                epsilon_high=config.algorithm.clip_high,
                gradient_checkpointing=False,
                bf16=False,
                use_cpu=not torch.cuda.is_available(),
                report_to=[],
                save_strategy="no",
                logging_strategy="no",
                disable_tqdm=True,
                shuffle_dataset=False,
                ddp_find_unused_parameters=False,
            ),
            reward_funcs=correct,
            train_dataset=Dataset.from_list([{"prompt": [{"role": "user", "content": p.prompt}]} for p in problems]),
            processing_class=load_tokenizer(config.model),
            callbacks=[Gate()],
        )
        self._thread = threading.Thread(target=trainer.train, daemon=True)
        self._started = False

    def __call__(self) -> None:
        """Do one whole step."""
        if self._started:
            self._go.release()
        else:
            self._started = True
            self._thread.start()
        self._done.acquire()


def seconds(step: Callable[[], None]) -> float:
    """Return the wall time of one step."""
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def compare(model: Path, repetitions: int) -> dict[str, Any]:
    """Return the result of the benchmark, interleaved step by step."""
    settings = [f"model.path={model}", "run.name=bench", "tracking.wandb=disabled"]
    config = load_config(RunConfig, [ROOT / "configs/demo.yaml"], settings).config
    quiet_libraries()
    set_threads(None)
    init_distributed()
    total = WARM_UP + repetitions
    with VerifierPool(config.reward.workers) as pool:
        ours, theirs = our_step(config, pool), TrlStepper(config, total + 1)
        pairs = [(seconds(ours), seconds(theirs)) for _ in range(total)][WARM_UP:]
    ratios = sorted(their / our for our, their in pairs)
    return {
        "bench": "step",
        "work": "a",
        "ratio_median": median(ratios),
        "ratio_min": ratios[0],
        "ratio_max": ratios[-1],
        "ours": {"seconds": [our for our, _ in pairs], "median": median(our for our, _ in pairs)},
        "trl": {"seconds": [their for _, their in pairs], "median": median(their for _, their in pairs)},
        "machine": {"processor": platform.processor() or platform.machine(), "threads": torch.get_num_threads()},
        "versions": {name: version(name) for name in ("torch", "transformers", "trl", "deepspeed")},
    }


@clearly
def bench_command(argv: Sequence[str]) -> int:
    """`reasonlab bench`."""
    parser = argparse.ArgumentParser(prog="reasonlab bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", type=Path, help="model to measure with (default: a short cold start makes one)")
    parser.add_argument("--repetitions", type=int, default=7, help="counted steps of each side (default: 7)")
    parser.add_argument("--out", type=Path, default=Path("bench/results"), help="directory for the result")
    flags = parser.parse_args(list(argv))
    with tempfile.TemporaryDirectory() as scratch:
        result = compare(flags.model or imitator(Path(scratch)), flags.repetitions)
    flags.out.mkdir(parents=True, exist_ok=True)
    write_atomic(flags.out / "step-a.json", json.dumps(result, indent=1))
    low, high = result["ratio_min"], result["ratio_max"]
    Console().print(
        f"a whole step: ours {result['ours']['median']:.2f} s, TRL {result['trl']['median']:.2f} s: "
        f"{result['ratio_median']:.1f} times TRL's rate ({low:.1f} to {high:.1f})",
        highlight=False,
    )
    return 0


if __name__ == "__main__":
    sys.exit(bench_command(sys.argv[1:]))
