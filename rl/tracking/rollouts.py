"""Every completion of a step, written down: `rollouts/step-000123.jsonl.gz` and the table of W&B."""

import gzip
import json
from pathlib import Path
from typing import Any

from rl.tracking.run_directory import write_atomic
from rl.types import Drawn, Rollout


def rollout_rows(drawn: Drawn) -> list[dict[str, Any]]:
    """Return one plain row a sampled completion, with the advantage that the update used; 0 where it used none."""
    has_kl = any(rollout.reference_kl is not None for rollout in drawn.rollouts)
    rows = []
    for group in drawn.groups:
        for rollout, advantage in zip(group.rollouts, group.advantages, strict=True):
            row = _row(rollout, float(advantage))
            rows.append({**row, "reference_kl": rollout.reference_kl} if has_kl else row)
    return rows


def _row(rollout: Rollout, advantage: float) -> dict[str, Any]:
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
    text = "".join(json.dumps(row) + "\n" for row in rollout_rows(drawn))
    # without a time stamp, so that the same rollouts are the same bytes
    data = gzip.compress(text.encode(), compresslevel=3, mtime=0)
    write_atomic(directory / f"step-{step:06d}.jsonl.gz", data)
