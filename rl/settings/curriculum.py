"""The settings of an online curriculum; rl/curriculum.py says what it does. Nothing here imports torch."""

from typing import Annotated

from pydantic import Field, model_validator

from rl.settings.base import Settings

Share = Annotated[float, Field(ge=0, le=1)]


class CurriculumSettings(Settings):
    """Which difficulty is practised, by what has been solved."""

    by: str = Field(
        default="entry",
        min_length=1,
        description="what makes a rung: entry (of problems, easiest first), level (of each domain), or a key of difficulty",
    )
    start: int | None = Field(default=1, ge=1, description="rungs open at first, of each track; null: all")
    memory_problems: int = Field(default=64, ge=2, description="problems that the running pass rate of a rung remembers")
    least_problems: int = Field(
        default=16, ge=1, description="problems of a rung before anything is concluded from its pass rate"
    )
    grow_at: Share = Field(default=0.8, description="pass rate of the highest open rung at which the next one opens")
    retire_at: Share = Field(default=0.95, description="pass rate at which a rung retires to the share that is replayed")
    lost_below: Share = Field(default=0.8, description="pass rate at which a retired rung is practised again")
    replay_share: Annotated[float, Field(ge=0, lt=1)] = Field(default=0.1, description="of all problems, of retired rungs")

    @model_validator(mode="after")
    def _consistent(self) -> "CurriculumSettings":
        faults = []
        if self.least_problems >= self.memory_problems:
            faults.append(f"least_problems {self.least_problems} must be below memory_problems {self.memory_problems}")
        if self.grow_at > self.retire_at:
            faults.append(
                f"grow_at {self.grow_at} is above retire_at {self.retire_at}: a rung would retire before the next opens"
            )
        if self.lost_below >= self.retire_at:
            faults.append(f"lost_below {self.lost_below} must be below retire_at {self.retire_at}, or rungs go to and fro")
        if faults:
            raise ValueError("; ".join(faults))
        return self
