"""From a verdict to a reward: correctness, what not knowing and being wrong pay, a part for format, a soft penalty for length.

Where the prompt allows to abstain, a right answer pays 1, an abstention `abstained` and everything that is the answer's fault
`wrong`: unparsed and timed out too, or a completion that says nothing would be an abstention for free. Whoever believes to be
right with chance p gets p + (1 - p) wrong for answering, so answering pays above p = (abstained - wrong) / (1 - wrong): Chow's
rule (1970), which as a score at a stated confidence is arXiv 2509.04664's. A verdict with a score s pays s + (1 - s) wrong.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from problems.types import ProblemError
from rewards.own import GROUP, CompletionForm, OwnVerifier
from rewards.types import AT_FAULT, NOT_FINITE, Policy, Reward, Verdict

_WELL_FORMED = re.compile(r"\s*<think>(?:(?!</?think>).)+</think>(?:(?!</?think>).)+", re.DOTALL)
_WELL_FORMED_BEHIND_TAG = re.compile(r"(?:(?!</?think>).)+</think>(?:(?!</?think>).)+", re.DOTALL)


class RewardConfig(BaseModel):
    """How verdicts are made and what they pay."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    reading: Policy = Field(
        default="strict", description="what counts as a final answer: strict (marked) or lenient (also what prose concludes)"
    )
    python: str | None = Field(default=None, description="a verifier of one's own, FILE.py:NAME; it judges every problem")
    entry_point: str | None = Field(default=None, description=f"the same of an installed package, by its name in {GROUP}")
    file_hash: str | None = Field(default=None, description="of the file that defines it; filled in")
    completions: CompletionForm = Field(
        default="messages", description="how a reward function of TRL's gets completions: messages (of a chat) or text"
    )
    abstained: float = Field(
        default=0.0, description="what an abstention pays, where prompt.abstention allows one; a right one pays 1"
    )
    wrong: float = Field(default=0.0, description="what a wrong, unparsed or timed-out answer pays beside that, 0 or less")
    format_weight: float = Field(
        default=0.0, ge=0, description="paid on top of a correct answer that thinks inside <think>...</think> first"
    )
    overlong_weight: float = Field(default=0.0, ge=0, description="largest penalty of the soft overlong ramp (DAPO eq. 13)")
    overlong_buffer_tokens: int = Field(default=0, ge=0, description="length of that ramp before max_completion_tokens")
    workers: int = Field(default=1, ge=1, description="verifier processes per rank")
    timeout_seconds: float = Field(
        default=5.0, gt=0, description="wall time of one verdict; a stalled answer is as good as wrong"
    )
    batch_timeout_seconds: float = Field(default=300.0, gt=0, description="wall time for the verdicts of one batch")
    memory_megabytes: int = Field(default=2048, ge=256, description="address space of a verifier process")

    @model_validator(mode="before")
    @classmethod
    def _own_is_there(cls, data: Any) -> Any:
        """Open the verifier of one's own, so that one that cannot be used is a fault of the settings; note its hash."""
        if not isinstance(data, Mapping) or (data.get("python") is None and data.get("entry_point") is None):
            return data
        try:
            own = OwnVerifier.model_validate({name: data[name] for name in OwnVerifier.model_fields if name in data}).checked()
        except ValidationError:
            return data  # each field is going to say what is wrong with it
        except ProblemError as error:
            raise ValueError(str(error)) from error
        return {**data, "file_hash": own.file_hash}

    @model_validator(mode="after")
    def _worth_answering(self) -> "RewardConfig":
        if self.wrong > 0:
            raise ValueError(f"wrong {self.wrong:g} pays for wrong answers: 0 or less, usual is 0 to -1")
        if self.abstained >= 1:
            raise ValueError(
                f"abstained {self.abstained:g} is no less than the 1 of a right answer, so nothing would be "
                "answered any more: take a value below 1, usual is 0 to 0.5"
            )
        if self.abstained < self.wrong:
            raise ValueError(
                f"abstained {self.abstained:g} is less than the {self.wrong:g} of wrong, so that guessing is "
                "always better than to say that one does not know: take a value between wrong and 1, or a lower wrong"
            )
        return self

    @property
    def answers_above(self) -> float:
        """The chance of being right above which answering pays more than to abstain; 0: always.

        A right answer is taken to have the form that `format_weight` pays for.
        """
        return (self.abstained - self.wrong) / (1 + self.format_weight - self.wrong)

    @property
    def own(self) -> OwnVerifier | None:
        """The verifier of one's own; None where the domain of each problem names its verifier."""
        if self.python is None and self.entry_point is None:
            return None
        return OwnVerifier(
            python=self.python, entry_point=self.entry_point, file_hash=self.file_hash, completions=self.completions
        )


def overlong_fraction(num_tokens: int, max_tokens: int, buffer_tokens: int) -> float:
    """Return how far into the last `buffer_tokens` before `max_tokens` a completion runs, in [0, 1].

    Soft overlong punishment of DAPO (arXiv 2503.14476, eq. 13): 0 up to max - buffer, then linear up to 1 at max.
    """
    if buffer_tokens <= 0:
        return 0.0
    return min(1.0, max(0.0, (num_tokens - (max_tokens - buffer_tokens)) / buffer_tokens))


def is_well_formed(text: str, thinking_open: bool) -> bool:
    """Tell whether a completion thinks, ends its thinking and goes on; the prompt may have opened the thinking."""
    pattern = _WELL_FORMED_BEHIND_TAG if thinking_open else _WELL_FORMED
    return pattern.fullmatch(text) is not None


def shape(
    config: RewardConfig, verdict: Verdict, text: str, num_tokens: int, max_tokens: int, thinking_open: bool = False
) -> Reward:
    """Return the reward of one completion of `num_tokens` tokens under a limit of `max_tokens`.

    `thinking_open` tells that the prompt ended inside of `<think>`.
    """
    correct = float(verdict.status == "correct")
    parts, weights = {"correct": correct if verdict.score is None else verdict.score}, {"correct": 1.0}
    if config.abstained:
        parts["abstained"] = float(verdict.status == "abstained")
        weights["abstained"] = config.abstained
    if config.wrong:
        parts["wrong"] = 1 - parts["correct"] if verdict.status in AT_FAULT else 0.0
        weights["wrong"] = config.wrong
    if config.format_weight:
        parts["format"] = correct * float(is_well_formed(text, thinking_open))
        weights["format"] = config.format_weight
    if config.overlong_weight:
        parts["overlong"] = overlong_fraction(num_tokens, max_tokens, config.overlong_buffer_tokens)
        weights["overlong"] = -config.overlong_weight
    return Reward(parts=parts, weights=weights, verdict=usable(verdict, parts))


def usable(verdict: Verdict, parts: Mapping[str, float]) -> Verdict:
    """Return the verdict, or an error where a part of its reward is no number: one of those would spoil a group's mean."""
    broken = [f"{name} {value}" for name, value in parts.items() if not math.isfinite(value)]
    if not broken:
        return verdict
    return replace(verdict, status="error", kind=NOT_FINITE, detail=f"the reward is not finite: {', '.join(broken)}")
