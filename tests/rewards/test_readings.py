"""The two readings on their way from a setting or a prompt to the verdict: `grade`, TRL, the format part."""

import json
from pathlib import Path

import pytest

from launch.grade import grade_command
from problems.types import Problem
from rewards.pool import VerifierPool
from rewards.shaping import RewardConfig, shape
from rewards.trl import math_reward
from rewards.types import LENIENT, STRICT, Reading, Verdict
from rewards.verifiers import verify
from rl.settings.evaluation import EvalRewardConfig

PROSE = "We add both and get 7, so there are 7 apples in all."
OPEN = Reading(thinking_open=True)
CUT_OFF = "so 3+4 is \\boxed{7}, wait, let me re-check"


def problem(domain: str = "math") -> Problem:
    return Problem(id="p", domain=domain, split="test", prompt="", reference="7", source="here")


def test_practice_is_paid_by_the_strict_reading_and_evaluation_reads_leniently() -> None:
    assert (RewardConfig().reading, EvalRewardConfig().reading) == ("strict", "lenient")


def test_prose_counts_in_the_lenient_reading_only() -> None:
    assert verify(problem(), PROSE, STRICT).status == "unparsed"
    assert verify(problem(), PROSE, LENIENT).status == "correct"
    assert verify(problem(), "\\boxed{7}", STRICT).status == "correct"


@pytest.mark.parametrize("domain", ["math", "arithmetic", "gsm8k"])
def test_a_thought_that_the_prompt_opened_must_end(domain: str) -> None:
    assert verify(problem(domain), CUT_OFF, OPEN).status == "unparsed"
    assert verify(problem(domain), CUT_OFF + "</think>\\boxed{7}", OPEN).status == "correct"
    assert verify(problem(domain), "\\boxed{7}", OPEN).status == "unparsed"


def test_the_reading_reaches_the_worker() -> None:
    with VerifierPool() as pool:
        found = [pool.submit(problem(), text, reading).result().status for text, reading in
                 [(PROSE, STRICT), (PROSE, LENIENT), (CUT_OFF, OPEN), (CUT_OFF, STRICT)]]  # fmt: skip
    assert found == ["unparsed", "correct", "unparsed", "correct"]


def test_grade_reads_leniently_unless_told_and_sees_a_prompt_that_opens_thinking(tmp_path: Path) -> None:
    asked = {"domain": "math", "reference": "7"}
    rows = [
        {"problem": asked, "completion": PROSE},
        {"problem": asked, "completion": CUT_OFF},
        {"problem": {**asked, "prompt": "3+4?<|assistant|><think>\n"}, "completion": CUT_OFF},
        {"problem": asked, "completion": CUT_OFF, "thinking_open": True},
        {"problem": asked, "completion": CUT_OFF, "thinking_open": "yes"},
    ]
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    statuses = {}
    for flags in ([], ["--reading", "strict"]):
        output = tmp_path / f"out{len(flags)}.jsonl"
        assert grade_command([str(source), str(output), *flags]) == 0
        statuses[len(flags)] = [json.loads(line)["status"] for line in output.read_text().splitlines()]
    assert statuses[0] == ["correct", "correct", "unparsed", "unparsed", "error"]
    assert statuses[2] == ["unparsed", "correct", "unparsed", "unparsed", "error"]


def test_trl_is_paid_by_the_strict_reading_unless_told() -> None:
    assert math_reward([PROSE], ["7"]) == [0.0]
    assert math_reward([PROSE], ["7"], policy="lenient") == [1.0]
    assert math_reward([CUT_OFF], ["7"], prompts=["3+4?<think>"]) == [0.0]


@pytest.mark.parametrize(
    ("text", "thinking_open", "paid"),
    [
        ("<think>3+4</think>\\boxed{7}", False, 1.0),
        ("3+4</think>\\boxed{7}", True, 1.0),
        ("3+4</think>\\boxed{7}", False, 0.0),
        ("<think>3+4</think>\\boxed{7}", True, 0.0),  # opened twice
        ("\\boxed{7}", True, 0.0),
    ],
)
def test_the_format_part_knows_who_opened_the_thinking(text: str, thinking_open: bool, paid: float) -> None:
    config = RewardConfig(format_weight=0.5)
    reward = shape(config, Verdict(status="correct"), text, 10, 100, thinking_open)
    assert reward.parts["format"] == paid
