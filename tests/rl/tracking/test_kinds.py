"""The shares of the kinds of verdicts, for domains whose verifiers tell kinds apart."""

from dataclasses import replace

from support import rollout

from rewards.types import Verdict
from rl.tracking.metrics import kind_rates
from rl.types import Rollout


def judged(domain: str, verdict: Verdict) -> Rollout:
    plain = rollout([1], [2], [-0.1], 0.0)
    return replace(plain, problem=replace(plain.problem, domain=domain), reward=replace(plain.reward, verdict=verdict))


def test_kinds_are_counted_by_their_field_and_a_verdict_without_one_by_its_status() -> None:
    rollouts = [
        judged("code", Verdict(status="correct", kind="correct", detail="time limit: a lie")),
        judged("code", Verdict(status="wrong", kind="wrong answer", detail="wrong answer: printed b'1'")),
        judged("code", Verdict(status="wrong", kind="wrong answer")),
        judged("code", Verdict(status="timeout", detail="no verdict within 46 s")),  # its worker was killed
        judged("chain", Verdict(status="wrong")),
    ]
    # one, two and one of four; `chain` tells no kinds apart
    assert kind_rates(rollouts) == {"code/correct": 0.25, "code/timeout": 0.25, "code/wrong_answer": 0.5}
    assert kind_rates(rollouts[-1:]) == {}
