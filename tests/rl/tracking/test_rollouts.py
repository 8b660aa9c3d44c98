"""Completions are written down with all that decided their reward, and some with their tokens."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from made_runs import Words, made_group

from rl.tracking.rollouts import token_texts, write_rollouts
from rl.tracking.run_directory import RunDirectory
from rl.types import Drawn, Learned

GROUPS = tuple(made_group(number, 1, 0.5, 3, 8) for number in range(4))


def written(home: Path, token_groups: int, learned: Sequence[Learned] = ()) -> Path:
    drawn = Drawn(groups=GROUPS, rounds=1, cursor=4, sample_seconds=0.0, score_seconds=0.0)
    write_rollouts(home / "rollouts", 7, drawn, Words(), token_groups, learned)  # type: ignore[arg-type]  # all that is asked
    return home / "rollouts"


def records(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(file.read_bytes()).decode().splitlines()]


def test_a_record_says_what_was_asked_what_was_read_and_what_decided(tmp_path: Path) -> None:
    found = records(written(tmp_path, 0) / "step-000007.jsonl.gz")
    assert [record["group"] for record in found] == [number for number in range(4) for _ in range(3)]
    first = GROUPS[1].rollouts[0]
    record = found[3]
    assert record["rendered"] == Words().decode(first.prompt_ids, skip_special_tokens=False)
    assert (record["reference"], record["difficulty"]) == (first.problem.reference, {"terms": 3})
    assert record["detail"] == "exact: made up"
    assert record["rewards"] == {"correct": first.reward.total}
    assert abs(record["mean_logprob"] - float(first.sampling_logprobs.mean())) < 1e-4
    assert "rendered" not in found[4]  # a group has it once


def test_the_tokens_of_the_first_groups_are_kept_in_hundredths_of_a_nat(tmp_path: Path) -> None:
    home = written(tmp_path, 2)
    found = records(home / "tokens-000007.jsonl.gz")
    assert [record["row"] for record in found] == list(range(6))
    rollout = GROUPS[1].rollouts[2]
    assert found[5]["tokens"] == [Words().decode([token], skip_special_tokens=False) for token in rollout.completion_ids]
    for hundredths, nats in zip(found[5]["logprobs"], rollout.sampling_logprobs, strict=True):
        assert abs(hundredths / 100 - float(nats)) <= 0.00501
    assert len(found[5]["entropies"]) == len(rollout.completion_ids)


def test_what_the_update_made_of_tokens_stands_beside_them(tmp_path: Path) -> None:
    lengths = [len(rollout.completion_ids) for rollout in GROUPS[0].rollouts]
    gaps = np.full(lengths[0], -0.00123, dtype=np.float32)
    learned = [Learned(gaps=gaps, trained=np.ones(lengths[0], dtype=bool))]
    learned += [Learned(gaps=None, trained=np.zeros(length, dtype=bool)) for length in lengths[1:]]
    home = written(tmp_path, 1, learned)
    tokens, completions = records(home / "tokens-000007.jsonl.gz"), records(home / "step-000007.jsonl.gz")
    assert (tokens[0]["gaps"], tokens[0]["trained"]) == ([-12] * lengths[0], [1] * lengths[0])  # ten-thousandths of a nat
    assert "gaps" not in tokens[1]
    assert tokens[1]["trained"] == [0] * lengths[1]
    assert [completion.get("sampler_gap") for completion in completions] == [0.0012, *[None] * 11]


def test_without_groups_there_is_no_file_of_tokens(tmp_path: Path) -> None:
    assert [file.name for file in written(tmp_path, 0).iterdir()] == ["step-000007.jsonl.gz"]


def test_a_resumed_run_cuts_tokens_off_with_their_completions(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, "a: 1\n")
    written(tmp_path, 1)
    run.cut_after(7)
    assert len(list((tmp_path / "rollouts").iterdir())) == 2
    run.cut_after(6)
    assert list((tmp_path / "rollouts").iterdir()) == []


class Trimming(Words):
    """A tokenizer that drops the space at the beginning of a text, as those of SentencePiece do."""

    def decode(self, token_ids: Any, *, skip_special_tokens: bool) -> str:
        return "".join(" x" for _ in token_ids).lstrip()


def test_a_token_has_the_space_that_it_has_inside_of_a_text() -> None:
    assert token_texts(Trimming())(5) == " x"  # type: ignore[arg-type]


def test_with_a_limit_the_newest_steps_stay_and_a_resumed_run_keeps_the_same(tmp_path: Path) -> None:
    drawn = Drawn(groups=GROUPS, rounds=1, cursor=4, sample_seconds=0.0, score_seconds=0.0)

    def practise(home: Path, steps: range, most_bytes: int) -> list[str]:
        for step in steps:
            write_rollouts(home, step, drawn, Words(), 1, most_bytes=most_bytes)  # type: ignore[arg-type]  # see above
        return sorted(file.name for file in home.iterdir())

    practise(tmp_path / "one", range(1, 2), 10**9)
    of_a_step = sum(file.stat().st_size for file in (tmp_path / "one").iterdir())
    (tmp_path / "run").mkdir()
    kept = practise(tmp_path / "run" / "rollouts", range(1, 8), 3 * of_a_step)
    assert kept == [f"{kind}-{step:06d}.jsonl.gz" for kind in ("step", "tokens") for step in (5, 6, 7)]
    RunDirectory(tmp_path / "run").cut_after(5)
    assert practise(tmp_path / "run" / "rollouts", range(6, 8), 3 * of_a_step) == kept
    # this step's stay whatever they take, and so does what is named otherwise
    (tmp_path / "run" / "rollouts" / "notes").write_text("mine")
    assert practise(tmp_path / "run" / "rollouts", range(8, 9), 1) == [
        "notes",
        "step-000008.jsonl.gz",
        "tokens-000008.jsonl.gz",
    ]
