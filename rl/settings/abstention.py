"""Leave to say "I don't know": what the prompt says of it, and from what confidence on the rewards make it worth answering.

What counts as an abstention: rewards/abstaining.py. What it pays: rewards/shaping.py.
"""

from pydantic import Field, field_validator

from rewards.shaping import RewardConfig
from rl.settings.base import Settings

_MOST_CHARACTERS = 100  # of the words
_NOT_IN_WORDS = "{}<>#\\`\n"  # of which marks of answers are made


class AbstentionSettings(Settings):
    """The answer that says that the model does not know."""

    words: str = Field(default="I don't know", description="the answer that abstains, and the only one")
    invitation: str = Field(
        default="If you do not know the answer, write \\boxed{{words}}.",
        description="a line below the question that allows it; {words} stands for the words, an empty text for no line",
    )

    @field_validator("words")
    @classmethod
    def _may_stand_in_a_mark(cls, words: str) -> str:
        if not words.strip() or len(words) > _MOST_CHARACTERS or set(words) & set(_NOT_IN_WORDS):
            raise ValueError(f"words must be 1 to {_MOST_CHARACTERS} characters without any of {_NOT_IN_WORDS!r}")
        return words

    @property
    def line(self) -> str:
        """The invitation as the model reads it."""
        return self.invitation.replace("{words}", self.words)


def faults_of_abstaining(allowed: AbstentionSettings | None, reward: RewardConfig, advantage: str) -> list[str]:
    """Return which settings of a training do not go together."""
    faults = []
    if (reward.abstained or reward.wrong) and allowed is None:
        faults.append(
            "reward.abstained and reward.wrong need a prompt that allows to abstain (prompt.abstention={}): without one no "
            "answer abstains, and what wrong ones pay only stretches the rewards"
        )
    if advantage == "rft" and (reward.abstained or reward.wrong):
        faults.append(
            "algorithm.advantage rft imitates whatever pays above 0, so reward.wrong does nothing there and every abstention "
            "would be imitated: take an advantage that compares the completions of a group"
        )
    if reward.wrong and advantage == "maxrl":
        faults.append("algorithm.advantage maxrl needs rewards of at least 0, and reward.wrong makes them negative")
    return faults


def rule_in_words(allowed: AbstentionSettings, reward: RewardConfig) -> str:
    """Return what each outcome pays, and from what chance of being right on answering pays more than to abstain."""
    right = f"1 + {reward.format_weight:g}" if reward.format_weight else "1"
    pays = f"right pays {right}, {allowed.words!r} {reward.abstained:g}, wrong {reward.wrong:g}"
    if reward.abstained == reward.wrong:
        return f"{pays}: to abstain pays no more than to be wrong, so answering always pays; raise reward.abstained"
    return f"{pays}: answering pays above a chance of {reward.answers_above:.3g} of being right"
