"""Every completion of a step, written down: `rollouts/step-000123.jsonl.gz` and the table of W&B."""

import gzip
from pathlib import Path

from rl.tracking.run_directory import JsonDict, json_lines, write_atomic
from rl.types import Drawn, Rollout


def rollout_records(drawn: Drawn) -> list[JsonDict]:
    """Return one record a sampled completion, with the advantage that the update used; 0 where it used none."""
    # all records of a step have the same keys: they are also the columns of a table
    has_kl = any(rollout.reference_kl is not None for rollout in drawn.rollouts)
    records = []
    for group in drawn.groups:
        for rollout, advantage in zip(group.rollouts, group.advantages, strict=True):
            record = _record(rollout, float(advantage))
            if has_kl:
                record["reference_kl"] = rollout.reference_kl
            records.append(record)
    return records


def _record(rollout: Rollout, advantage: float) -> JsonDict:
    return {
        "problem_id": rollout.problem.id,
        "prompt": rollout.problem.prompt,
        "completion": rollout.completion.text,
        "finish_reason": rollout.completion.finish_reason,
        "num_tokens": rollout.completion.num_tokens,
        "status": rollout.reward.verdict.status,
        "extracted": rollout.reward.verdict.extracted,
        "reward": rollout.reward.total,
        "advantage": advantage,
        "policy_step": rollout.policy_step,
    }


def write_rollouts(directory: Path, step: int, drawn: Drawn) -> None:
    """Write every completion of a step to `step-000123.jsonl.gz`."""
    directory.mkdir(exist_ok=True)
    text = json_lines(rollout_records(drawn))
    # without a time stamp, so that the same rollouts are the same bytes
    data = gzip.compress(text.encode(), compresslevel=3, mtime=0)
    write_atomic(directory / f"step-{step:06d}.jsonl.gz", data)
