"""Run directories of any size with made completions, written by the lab's own writers.

python tests/support/made_runs.py DIRECTORY STEPS     # 512 completions a step; for measuring `reasonlab view`
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from problems.types import Problem
from rewards.types import Reward, Status, Verdict
from rl.policy.interfaces import TokenIds
from rl.tracking.rollouts import write_rollouts
from rl.tracking.run_directory import RunDirectory
from rl.types import Completion, Drawn, Group, Learned, Rollout

_WORDS = ("so", "then", "we", "add", "seven", "and", "two", "wait", "no", "that", "is", "twelve", "check", "again", "carry")


class Words:
    """A tokenizer whose tokens are words: what write_rollouts asks of one."""

    def __call__(self, text: str, *, add_special_tokens: bool = True) -> "Words":
        self.input_ids = [0]
        return self

    def decode(self, token_ids: TokenIds, *, skip_special_tokens: bool) -> str:
        return "".join(f"{_WORDS[int(token) % len(_WORDS)]} " for token in token_ids)


def made_rollout(problem: Problem, rng: np.random.Generator, skill: float, tokens: int, text: str | None = None) -> Rollout:
    """Return a completion that is right with probability `skill`."""
    ids = rng.integers(0, len(_WORDS), max(2, int(rng.normal(tokens, tokens / 4)))).astype(np.int32)
    right = bool(rng.random() < skill)
    extracted = problem.reference if right else str(rng.integers(10))
    status: Status = "correct" if extracted == problem.reference else "wrong"
    cut = bool(rng.random() < 0.05)
    verdict = Verdict(status="unparsed" if cut else status, extracted=None if cut else extracted, detail="exact: made up")
    whole = f"<think>{Words().decode(ids, skip_special_tokens=False)}</think>\\boxed{{{extracted}}}" if text is None else text
    return Rollout(
        problem=problem,
        prompt_ids=np.arange(6, dtype=np.int32),
        completion_ids=ids,
        sampling_logprobs=-rng.exponential(0.3, len(ids)).astype(np.float32),
        sampling_entropies=rng.exponential(0.5, len(ids)).astype(np.float32),
        completion=Completion(text=whole, finish_reason="length" if cut else "stop", num_tokens=len(ids)),
        reward=Reward(parts={"correct": float(status == "correct" and not cut)}, weights={"correct": 1.0}, verdict=verdict),
        reasoning_tokens=len(ids) - 2,
        policy_step=0,
    )


def made_problem(number: int) -> Problem:
    """Return problem `number`; they come again after a while, so that one can be followed."""
    return Problem(
        id=f"problem-{number:04d}",
        domain="chain",
        split="train",
        prompt=f"{number}+{number % 7}=?",
        reference=str((2 * number) % 10),
        difficulty={"terms": 2 + number % 5},
        source="made",
    )


def made_group(number: int, step: int, skill: float, size: int, tokens: int, texts: Sequence[str] = ()) -> Group:
    """Return the completions of problem `number` at a step; `texts` are those of the first ones."""
    rng = np.random.default_rng([step, number])
    given = [*texts, *[None] * (size - len(texts))]
    rollouts = [made_rollout(made_problem(number), rng, skill, tokens, text) for text in given]
    totals = np.array([rollout.reward.total for rollout in rollouts], dtype=np.float32)
    return Group(problem=rollouts[0].problem, rollouts=tuple(rollouts), advantages=totals - totals.mean())


def made_learned(rollout: Rollout, step: int) -> Learned:
    """Return what an update might have made of a completion: the longer, the farther are trainer and sampler apart."""
    length = len(rollout.completion_ids)
    gaps = np.random.default_rng([step, length]).normal(0.0, 0.001 * length, length).astype(np.float32)
    return Learned(gaps=gaps, trained=np.arange(length) % 5 > 0)


def write_step(run: RunDirectory, step: int, groups: Sequence[Group], of: int, token_groups: int) -> None:
    """Write the files and metrics of a step of a run of `of` steps."""
    drawn = Drawn(groups=tuple(groups), rounds=1, cursor=0, sample_seconds=1.0, score_seconds=0.1, step=step - 1)
    learned = [made_learned(rollout, step) for group in groups[:token_groups] for rollout in group.rollouts]
    write_rollouts(run.path / "rollouts", step, drawn, Words(), token_groups, learned)  # type: ignore[arg-type]  # all that is asked
    reward = float(np.mean([total for group in groups for total in group.totals]))
    low = 0.2 + 0.6 * step / of
    interval = {"eval/accuracy": low + 0.05, "eval/accuracy_low": low, "eval/accuracy_high": low + 0.1}
    held_out = interval if step % 10 == 0 else {}
    noise = np.random.default_rng(step)
    more = {f"made/metric_{i}": float(noise.normal()) for i in range(50)}
    metrics = {"reward": reward, "entropy": 1.0 - 0.5 * step / of, "grad_norm": 0.2 + 0.05 * float(noise.random())}
    run.append("metrics.jsonl", {"step": step, **metrics, **held_out, **more, "num_tokens": 1000 * step})
    seconds = {"sample": 1.0, "score": 0.1, "train": 0.8, "step_time": 2.0}
    run.append("timing.jsonl", {"step": step, **seconds, "perf/tokens_per_second": 500.0})


def write_made_run(
    path: Path, steps: int, *, problems: int = 32, size: int = 16, tokens: int = 60, token_groups: int = 32
) -> Path:
    """Write a run whose completions get better and longer."""
    run = RunDirectory.create(path, "run:\n  name: made\n")
    for step in range(1, steps + 1):
        done = step / steps
        groups = [
            made_group((step * problems + i) % (7 * problems), step, 0.2 + 0.6 * done, size, int(tokens * (0.5 + done)))
            for i in range(problems)
        ]
        write_step(run, step, groups, steps, token_groups)
    run.set_status("finished", step=steps)
    return path


if __name__ == "__main__":
    write_made_run(Path(sys.argv[1]), int(sys.argv[2]))
