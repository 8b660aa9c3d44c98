"""The lab's verifiers in TRL's own trainer: what they pay, and what they log by the arguments that TRL hands over."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rewards import kept, trl

ROWS: list[dict[str, Any]] = [
    {"prompt": "1/2?", "domain": "math", "reference": "0.5", "checks": None},
    {"prompt": "Use 3,5 to make 8.", "domain": "countdown", "reference": None, "checks": '{"numbers": [3, 5], "target": 8}'},
    {"prompt": "2+2?", "domain": "arithmetic", "reference": "four", "checks": None},  # nobody can be judged by that
]


@pytest.fixture(scope="module", autouse=True)
def _end_the_pools() -> Iterator[None]:
    yield
    kept.close_all()


def columns(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {f"{name}s" if name == "prompt" else name: [row[name] for row in rows] for name in rows[0]}


def test_problems_of_any_domain_are_paid_by_their_own_verifiers() -> None:
    answers = ["\\boxed{\\frac12}", "<answer>3+5</answer>", "\\boxed{4}"]
    logged: dict[str, Any] = {}
    said = trl.problem_reward(
        completions=answers, **columns(ROWS), log_extra=logged.__setitem__, log_metric=logged.__setitem__, trainer_state=None
    )
    assert said == [1.0, 1.0, None]
    assert logged == {"problem_status": ["correct", "correct", "error"], "problem_unscored": pytest.approx(1 / 3)}
    wrong = trl.problem_reward(completions=["\\boxed{0.4}", "<answer>8</answer>", "4"], **columns(ROWS))
    assert wrong == [0.0, 0.0, None]


def test_checks_may_be_mappings_with_the_keys_of_other_rows() -> None:
    checks = [{"numbers": [3, 5], "target": 8, "choices": None}, json.dumps({"numbers": [3, 5], "target": 2})]
    asked: dict[str, Any] = {"completions": ["<answer>3+5</answer>"] * 2, "domain": ["countdown"] * 2, "checks": checks}
    assert trl.problem_reward(**asked) == [1.0, 0.0]
    assert trl.problem_reward(completions=[], domain=[]) == []


@pytest.mark.slow
def test_trls_trainer_pays_and_logs_by_them(random_model: Path, tmp_path: Path) -> None:
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    config = GRPOConfig(
        output_dir=str(tmp_path),
        max_completion_length=4,
        num_generations=2,
        per_device_train_batch_size=6,
        max_steps=1,
        logging_steps=1,
        save_strategy="no",
        use_cpu=True,
        bf16=False,
        report_to=[],
        shuffle_dataset=False,
    )
    trainer = GRPOTrainer(
        model=str(random_model), args=config, reward_funcs=[trl.problem_reward], train_dataset=Dataset.from_list(ROWS)
    )
    trainer.train()
    statuses = list(trainer._logs["extra"]["problem_status"])
    assert len(statuses) == 6
    assert statuses[4:] == ["error", "error"]  # the third row, drawn twice
    assert not {"error", "timeout"} & set(statuses[:4])
    (logged,) = [entry for entry in trainer.state.log_history if "problem_unscored" in entry]
    assert logged["problem_unscored"] == pytest.approx(2 / 6)
