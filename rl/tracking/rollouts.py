"""Every completion of a step, written down: `rollouts/step-000123.jsonl.gz` and the table of W&B.

Of some groups the tokens are kept besides, in `rollouts/tokens-000123.jsonl.gz`: a record a completion, with its line in the
other file (`row`), the text of each token, and of each what the sampler knew of it, in whole hundredths of a nat, by how
much the trainer's log-probability lies above the sampler's (`gaps`, in ten-thousandths), and whether it counted in the loss.
With a limit the files of the oldest steps go.
"""

import gzip
import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from rl.policy.interfaces import Tokenizer
from rl.tracking.run_directory import JsonDict, json_lines, write_atomic
from rl.types import Drawn, FloatArray, Group, Learned, Rollout

_OF_STEP = re.compile(r"(?:step|tokens)-([0-9]{6,})\.jsonl\.gz")


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


def write_rollouts(
    directory: Path,
    step: int,
    drawn: Drawn,
    tokenizer: Tokenizer,
    token_groups: int,
    learned: Sequence[Learned] = (),
    *,
    most_bytes: int | None = None,
) -> None:
    """Write every completion of a step to `step-000123.jsonl.gz`, and the tokens of its first groups beside it.

    `learned` is what the update made of the completions of the first groups. Files of the oldest steps beyond `most_bytes` in
    all are removed; this step's stay whatever they take.
    """
    directory.mkdir(exist_ok=True)
    if token_groups:  # first, so that whoever sees the completions finds their tokens
        _write(directory / f"tokens-{step:06d}.jsonl.gz", token_records(drawn.groups[:token_groups], tokenizer, learned))
    kept = [record for number, group in enumerate(drawn.groups) for record in _only_kept(number, group, tokenizer)]
    records = [{**record, **more} for record, more in zip(rollout_records(drawn), kept, strict=True)]
    for record, of_update in zip(records, learned, strict=False):
        if of_update.gaps is not None and len(of_update.gaps):
            record["sampler_gap"] = round(float(np.abs(of_update.gaps).mean()), 4)  # below that it is rounding
    _write(directory / f"step-{step:06d}.jsonl.gz", records)
    if most_bytes is not None:
        _keep_newest(directory, most_bytes)


def _keep_newest(directory: Path, most_bytes: int) -> None:
    """Remove files of the oldest steps until the others are within the limit; by size alone, which a resume does not change."""
    files: dict[int, list[Path]] = {}
    for file in sorted(directory.iterdir()):  # of a step the completions come before their tokens, also when they go
        if found := _OF_STEP.fullmatch(file.name):
            files.setdefault(int(found[1]), []).append(file)
    newest = max(files)
    total = 0
    for step in sorted(files, reverse=True):
        total += sum(file.stat().st_size for file in files[step])
        if total > most_bytes and step != newest:
            for file in files[step]:
                file.unlink()


def _write(file: Path, records: list[JsonDict]) -> None:
    # without a time stamp, so that the same rollouts are the same bytes
    write_atomic(file, gzip.compress(json_lines(records).encode(), compresslevel=3, mtime=0))


def _only_kept(number: int, group: Group, tokenizer: Tokenizer) -> list[JsonDict]:
    """Return for each rollout of a group what the file holds beyond the table; what a group has once, its first one has."""
    once = {
        "reference": group.problem.reference,
        "difficulty": dict(group.problem.difficulty),
        "rendered": tokenizer.decode(
            group.rollouts[0].prompt_ids, skip_special_tokens=False
        ),  # the prompt as the model read it
    }
    records = []
    for i, rollout in enumerate(group.rollouts):
        logprobs = rollout.sampling_logprobs
        record: JsonDict = {
            "group": number,
            "detail": rollout.reward.verdict.detail,
            "rewards": dict(rollout.reward.parts),
            "reasoning_tokens": rollout.reasoning_tokens,
            "mean_logprob": round(float(logprobs.mean()), 4) if len(logprobs) else None,
        }
        records.append({**record, **once} if i == 0 else record)
    return records


def token_records(groups: tuple[Group, ...], tokenizer: Tokenizer, learned: Sequence[Learned] = ()) -> list[JsonDict]:
    """Return the tokens of these groups, which are the first of a step, and their values; a record a completion."""
    text_of = token_texts(tokenizer)
    records = []
    for row, rollout in enumerate(rollout for group in groups for rollout in group.rollouts):
        record: JsonDict = {"row": row, "tokens": [text_of(int(token)) for token in rollout.completion_ids]}
        record["logprobs"] = _in_parts(rollout.sampling_logprobs, 100)
        if rollout.sampling_entropies is not None:
            record["entropies"] = _in_parts(rollout.sampling_entropies, 100)
        if row < len(learned):
            if (gaps := learned[row].gaps) is not None:
                record["gaps"] = _in_parts(gaps, 10_000)
            record["trained"] = [int(counts) for counts in learned[row].trained]
        records.append(record)
    return records


def token_texts(tokenizer: Tokenizer) -> Callable[[int], str]:
    """Return what turns a token into its text as it stands inside of a text: some tokenizers drop a space at the beginning."""
    before = list(tokenizer("a", add_special_tokens=False).input_ids)
    text_before = tokenizer.decode(before, skip_special_tokens=False)

    @cache
    def text_of(token: int) -> str:
        text = tokenizer.decode([*before, token], skip_special_tokens=False)
        return (
            text.removeprefix(text_before)
            if text.startswith(text_before)
            else tokenizer.decode([token], skip_special_tokens=False)
        )

    return text_of


def _in_parts(nats: FloatArray, parts: int) -> list[int]:
    """Return values as whole hundredths of a nat, or what other part is asked for."""
    finite = np.nan_to_num(nats, nan=0.0, posinf=1e4, neginf=-1e4)
    return [int(value) for value in np.rint(float(parts) * finite)]
