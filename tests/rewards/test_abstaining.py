"""Who says "I don't know", exactly, and what that pays."""

import time

import pytest
from support_pure import number_problem

from problems.types import Problem
from rewards.abstaining import abstained
from rewards.shaping import RewardConfig, shape
from rewards.types import LENIENT, STRICT, Reading, Status, Verdict
from rewards.verifiers import verify

WORDS = "I don't know"
MAY = Reading(abstention=WORDS)
MAY_LENIENT = Reading(policy="lenient", abstention=WORDS)
SAID = [
    r"\boxed{I don't know}",
    r"17*3=51, but the rest? \boxed{\text{I don’t know}}",  # noqa: RUF001
    r"$\boxed{i don't know.}$",
    "<answer> I don't know. </answer>",
    r"<answer>\boxed{I don't know}</answer>",
    "<answer>$\\boxed{\\text{I don't know}}$</answer>",
    "#### **I don't know**",
    r"The answer is \boxed{I don't know}.",
    r"<think>It may be 5. The answer is 5: \boxed{5}</think>\boxed{I don't know}",
    r"\boxed{I don't know} I would guess 5.",  # what is not marked is no answer, so it is no second one
    r"\boxed{I don't know}<|im_end|>The answer is 5.",
]
NOT_SAID = [
    "I don't know",
    r"\boxed{I do not know}",
    r"\boxed{I don't know, but 5}",
    r"\boxed{I don't know 5}",
    r"\boxed{I don't know} or 5",
    r"\boxed{I don't know} \boxed{5}",
    r"\boxed{5} \boxed{I don't know}",
    r"The answer is 5. \boxed{I don't know}",
    r"\boxed{I don't know}. The answer is 5.",
    r"<answer>5</answer> \boxed{I don't know}",
    "#### 5\n" + r"\boxed{I don't know}",
    "#### I don't know\n#### 5",
    r"<answer>\boxed{I don't know}</answer> #### 5",
    r"The answer is 5. The answer is \boxed{I don't know}.",
    r"\boxed{I don't know}. Wait, no, that is wrong.",
    r"<think>\boxed{I don't know}</think>\boxed{5}",
    r"<think>\boxed{I don't know}",
    "```python\nprint(5)\n```\n" + r"\boxed{I don't know}",
    r"\boxed{}",
    "",
]


@pytest.mark.parametrize("completion", SAID)
def test_the_words_in_a_mark_and_nothing_else_abstain(completion: str) -> None:
    verdict = verify(number_problem("5"), completion, MAY)
    assert (verdict.status, verdict.worth) == ("abstained", 0.0)
    assert verify(number_problem("5"), completion, MAY_LENIENT).status == "abstained"
    assert verify(number_problem("5"), completion, STRICT).status in ("wrong", "unparsed")  # where it is not allowed


@pytest.mark.parametrize("completion", NOT_SAID)
def test_a_hedge_and_other_words_do_not_and_are_judged_as_ever(completion: str) -> None:
    assert abstained(number_problem("5"), completion, MAY) is None
    judged, as_ever = (verify(number_problem("5"), completion, reading) for reading in (MAY, STRICT))
    assert (judged.status, judged.extracted) == (as_ever.status, as_ever.extracted)


def test_the_lenient_reading_takes_the_bare_words_too() -> None:
    assert verify(number_problem("5"), "I don't know.", MAY_LENIENT).status == "abstained"
    for other in ("So I don't know.", "I don't know, maybe 5.", "5, I don't know"):
        assert verify(number_problem("5"), other, MAY_LENIENT).status != "abstained"
    assert verify(number_problem("5"), "I don't know.", LENIENT).status == "unparsed"


def test_words_that_could_be_an_answer_are_no_second_one() -> None:
    unknown = Reading(abstention="unknown")
    for text in (r"The answer is \boxed{unknown}.", "The answer is: <answer>Unknown</answer>", r"\boxed{unknown} unknown"):
        assert verify(number_problem("5"), text, unknown).status == "abstained"
    assert verify(number_problem("5"), r"The answer is 5. It is \boxed{unknown}", unknown).status != "abstained"


@pytest.mark.parametrize(
    ("domain", "reference", "checks"),
    [
        ("exact", "abc", {}),
        ("choice", "B", {"choices": ["Rome", "Paris"]}),
        ("math", r"\frac{1}{2}", {}),
        ("countdown", None, {"numbers": [1, 2], "target": 3}),
        ("code", None, {"style": "calls"}),
    ],
)
def test_it_is_the_same_for_every_verifier(domain: str, reference: str | None, checks: dict[str, object]) -> None:
    problem = Problem(id="p", domain=domain, split="test", prompt="?", reference=reference, checks=checks, source="t")
    assert verify(problem, r"\boxed{I don't know}", MAY).status == "abstained"
    assert verify(problem, "#### I don't know", MAY).status == "abstained"


def test_a_problem_that_nobody_can_know_is_left_to_its_verifier() -> None:
    problem = Problem(id="p", domain="exact", split="test", prompt="?", reference="I don't know", source="t")
    assert verify(problem, r"\boxed{I don't know}", MAY).status == "correct"


def test_hostile_texts_take_linear_time() -> None:
    began = time.process_time()
    for text in (r"\boxed{" * 30_000, "<answer>" * 30_000, "#### x\n" * 30_000, r"\boxed{{" + "a" * 200_000, "'" * 200_000):
        assert verify(number_problem("5"), text + r"\boxed{I don't know}", MAY).status != "correct"
    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    ("status", "score", "total"),
    [
        ("correct", None, 1.0),
        ("abstained", None, 0.25),
        ("wrong", None, -0.5),
        ("unparsed", None, -0.5),  # or saying nothing would be an abstention for more
        ("timeout", None, -0.5),
        ("wrong", 0.4, 0.4 + 0.6 * -0.5),  # a part of the way from -0.5 to 1
        ("error", None, None),
    ],
)
def test_what_each_outcome_pays(status: Status, score: float | None, total: float | None) -> None:
    reward = shape(RewardConfig(abstained=0.25, wrong=-0.5), Verdict(status=status, score=score), "", 1, 64)
    assert reward.total == (None if total is None else pytest.approx(total))
    assert all(0 <= part <= 1 for part in reward.parts.values())


def test_without_a_rule_rewards_have_no_parts_of_it() -> None:
    reward = shape(RewardConfig(), Verdict(status="abstained"), "", 1, 64)
    assert (dict(reward.parts), reward.total) == ({"correct": 0.0}, 0.0)


def test_the_chance_from_which_answering_pays() -> None:
    # right with chance 1/2: 0.5 * 1 + 0.5 * -0.5 = 0.25, which is what an abstention pays
    assert RewardConfig(abstained=0.25, wrong=-0.5).answers_above == pytest.approx(0.5)
    # 0.3 * 1 + 0.7 * 0 = 0.3; with form 0.2 * 1.5 = 0.3
    assert RewardConfig(abstained=0.3).answers_above == pytest.approx(0.3)
    assert RewardConfig(abstained=0.3, format_weight=0.5).answers_above == pytest.approx(0.2)
    assert RewardConfig().answers_above == 0.0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"wrong": 0.1}, "wrong 0.1 pays for wrong answers"),
        ({"abstained": 1.0}, "nothing would be answered any more"),
        ({"abstained": -0.6, "wrong": -0.5}, "guessing is always better"),
        ({"abstained": -0.1}, "guessing is always better"),
    ],
)
def test_rules_that_teach_something_else_are_refused_in_words(settings: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        RewardConfig.model_validate(settings)
