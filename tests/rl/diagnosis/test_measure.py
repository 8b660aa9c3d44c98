"""What is known of completions that were drawn, of those that were drawn shorter than the run would, and of late verdicts."""

from dataclasses import replace

import pytest
from support import rollout, truncated

from rewards.types import Verdict
from rl.diagnosis import bribes
from rl.diagnosis.figures import Figures
from rl.diagnosis.measure import is_late, is_timeout, of_ended, of_rollouts, only_ended, past_end
from rl.diagnosis.rules import thinking_open
from rl.diagnosis.templates import doubled
from rl.diagnosis.verdict import verdict
from rl.settings.loading import load_config
from rl.settings.schema import PromptSettings, RunConfig
from rl.types import Rollout

CHOSEN = ["run.name=r", "model.path=m", "problems=[{domain: chain}]"]
LATE = Verdict(status="error", detail="the batch deadline of 25 s passed before this verdict began")


def group(*rewards: float | None) -> list[Rollout]:
    """Return rollouts with these rewards; None: one that had not ended, and so was paid nothing."""
    return [truncated(rollout([1], [2], [-1.0], 0.0)) if paid is None else rollout([1], [2], [-1.0], paid) for paid in rewards]


def saying(member: Rollout, text: str) -> Rollout:
    return replace(member, completion=replace(member.completion, text=text))


def figures(**known: object) -> Figures:
    return replace(Figures(config=load_config(RunConfig, [], CHOSEN).config), **known)  # type: ignore[arg-type]


def test_what_had_not_ended_does_not_count_as_unpaid() -> None:
    groups = [group(1.0, None, None), group(1.0, 0.0, None), group(None, None, None)]
    known = of_ended(groups, opens_thinking=False)
    assert (known["paid"], known["reward"], known["contrast"]) == (2 / 3, 2 / 3, 1 / 2)
    assert known["all_paid"] == 1 / 2
    assert known["all_unpaid"] == 0.0
    assert (known["groups"], known["completions"], known["scored"], known["cut"]) == (3, 9, 3, None)
    assert [len(ended) for ended in only_ended(groups)] == [1, 2]


def test_where_hardly_anything_ended_nothing_is_known() -> None:
    known = of_ended([group(0.0, 0.0), group(None, None), group(None, None)], opens_thinking=True)
    assert known["all_unpaid"] is None
    assert known["contrast"] is None
    assert known["unended_thoughts"] is None
    assert verdict(figures(**known), []).startswith("Whether this run can learn is not known")


def test_a_thought_that_the_diagnosis_cut_off_is_none_that_never_ends() -> None:
    thinking = [saying(member, "so 1+1") for member in group(None, None, None)]
    closing = [saying(member, "so 1+1</think>2") for member in group(1.0, 0.0)]
    groups = [[*closing, *thinking], thinking]
    whole = figures(**{**of_rollouts(groups, opens_thinking=True), "opens_thinking": True})
    assert thinking_open(whole) is not None  # the run's own limit cuts them
    assert thinking_open(replace(whole, **of_ended(groups, opens_thinking=True))) is None


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("4<|im_end|>\n<|im_start|>user", "<|im_end|>"),
        ("4<|im_end|>", None),
        ("a<|end|><|start|>assistant<|channel|>final<|message|>4", None),  # harmony: the next message of the same turn
        ("a<|end|><|start|>assistant<|channel|>final<|message|>4<|return|> and so on", "<|return|>"),
        ("4<|end|>\n<|user|>", "<|end|>"),
    ],
)
def test_a_turn_that_goes_on_behind_its_end(text: str, mark: str | None) -> None:
    assert past_end(text) == mark


def test_a_late_verdict_is_no_timeout_and_one_that_stalls_is_whosever_it_is() -> None:
    stalled = Verdict(status="error", detail="my_check.py: no verdict within 5 s")  # of a verifier of one's own
    assert [is_late(LATE), is_timeout(LATE), is_timeout(stalled), is_timeout(Verdict(status="timeout"))] == [
        True, False, True, True,
    ]  # fmt: skip
    members = group(1.0, 0.0, 1.0, 0.0)
    judged = [LATE, stalled, Verdict(status="error", detail="no number"), members[3].reward.verdict]
    pairs = zip(members, judged, strict=True)
    known = of_rollouts([[replace(one, reward=replace(one.reward, verdict=said)) for one, said in pairs]], opens_thinking=False)
    assert (known["late"], known["timeouts"], known["errors"], known["error_says"]) == (0.25, 0.25, 0.25, "no number")
    assert known["scored"] == 1


def test_bribes_without_a_verdict_are_not_counted_as_unpaid() -> None:
    paid, unpaid = Verdict(status="correct"), Verdict(status="wrong")
    few = [("a", paid), ("b", paid), ("c", unpaid), ("c", paid), ("d", unpaid), *((name, LATE) for name in "efghijkl")]
    counted = bribes._counted(few, 0.0)
    assert (counted.share, counted.worth) == (3 / 4, 1.0)
    assert bribes._counted(few[:2] + few[5:], 0.0).share is None  # two of ten
    assert bribes._counted([("a", unpaid)], 0.0).share == 0.0
    assert bribes._counted([(name, Verdict(status="wrong", score=0.3)) for name in "abcd"], 0.0).worth == pytest.approx(0.3)


def test_marks_of_turns_are_blamed_on_the_setting_that_holds_them() -> None:
    class Tokenizer:
        bos_token_id = None
        chat_template = "{{ messages }}"

    problem = group(1.0)[0].problem
    in_system = doubled([problem], [], PromptSettings(system="<|im_start|>system"), Tokenizer())
    assert in_system is not None
    assert in_system.startswith("prompt.system holds the mark '<|im_start|>'")
