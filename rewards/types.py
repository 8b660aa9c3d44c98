"""Verdicts and rewards, and the contract of a verifier."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from problems.types import Problem

Status = Literal["correct", "wrong", "unparsed", "timeout", "abstained", "error"]
STATUSES: tuple[Status, ...] = ("correct", "wrong", "unparsed", "timeout", "abstained", "error")
NOT_FINITE = "not_finite"  # the kind of an error verdict whose reward would be NaN or infinite
AT_FAULT: tuple[Status, ...] = ("wrong", "unparsed", "timeout")  # the answer's fault, whatever it is called


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a verifier found.

    `wrong`, `unparsed` (no final answer could be read) and `timeout` (the answer stalled or exploded the check) are the
    answer's fault and score 0, or pay `reward.wrong`. `error` is the grader's or the reference's fault: it cannot be scored.
    `abstained` says that it does not know, where the prompt allows that (rewards/abstaining.py): neither right nor wrong.
    `extracted` is the answer that was read; `detail` says in one line what decided, for eyes only; `seconds` is the time it
    took. `score` is what part of a wrong answer is paid, where the problem asks for that (share of the tests passed); None:
    nothing. `kind` is what programs read instead of `detail`: one of the kinds that the domain's verifier tells apart
    (`rewards.verifiers.VERIFIERS`), None where it tells none; NOT_FINITE, of an error, is any verifier's.
    """

    status: Status
    extracted: str | None = None
    detail: str = ""
    seconds: float = 0.0
    score: float | None = None
    kind: str | None = None

    @property
    def worth(self) -> float | None:
        """What the answer is paid, in [0, 1]; None when it could not be scored."""
        if self.status == "error":
            return None
        return float(self.status == "correct") if self.score is None else self.score


Policy = Literal["strict", "lenient"]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How the final answer of a completion is looked for (rewards/answer.py).

    `policy`: "strict" takes a marked answer only, which is what practice is paid by; "lenient" also takes what running text
    concludes, for models that were never taught to mark their answers. `thinking_open` tells that the prompt itself ended
    inside of `<think>`, so that the completion begins in the middle of a thought. `abstention` is the answer that says "I
    don't know", in the words that the prompt allows; None: it allows none.
    """

    policy: Policy = "strict"
    thinking_open: bool = False
    abstention: str | None = None


STRICT = Reading()
LENIENT = Reading(policy="lenient")


@dataclass(frozen=True, kw_only=True)
class Reward:
    """A verdict turned into numbers: named parts in [0, 1] and their weights."""

    parts: Mapping[str, float]
    weights: Mapping[str, float]
    verdict: Verdict

    @property
    def total(self) -> float | None:
        """Weighted sum of the parts; None when the completion could not be scored."""
        if self.verdict.status == "error":
            return None
        return sum(self.weights[name] * value for name, value in self.parts.items())


class Verifier(Protocol):
    """Decides one completion. Runs inside a worker process that may be killed; must not keep state."""

    def __call__(self, problem: Problem, completion: str, reading: Reading) -> Verdict:
        """Return the verdict on the answer that `reading` finds; `seconds` is filled in by the caller."""
        ...
