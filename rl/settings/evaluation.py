"""Every setting of `reasonlab eval` (EvalConfig); imports no torch.

An evaluation asks one set, given as `problems`, or several by name, given as `sets`; each becomes an EvalConfig of its own
with `problems` (`one_each`), which is what is run, written down and resumed.
"""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field, model_validator

from problems.catalog import SOURCE_MODELS, AnySource
from rewards.code.settings import SandboxSettings
from rewards.shaping import RewardConfig
from rewards.types import Policy
from rl.settings.base import Settings
from rl.settings.schema import (
    ModelSettings,
    PromptSettings,
    RunSettings,
    SamplingSettings,
    Sources,
    SplitName,
    TrackingSettings,
)


class EvalRewardConfig(RewardConfig):
    """How verdicts are made in an evaluation: models that were never taught to mark their answers are read all the same."""

    reading: Policy = Field(
        default="lenient", description="what counts as a final answer: strict (marked) or lenient (also what prose concludes)"
    )


class EvalSet(Settings):
    """One of several sets; what is left out is as in the evaluation."""

    problems: Sources
    split: SplitName | None = None
    num_problems: int | None = Field(default=None, ge=1)
    samples: int | None = Field(default=None, ge=1)
    cluster: str | None = None


SetName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]  # it names a directory


class EvalConfig(Settings):
    """`reasonlab eval`: how good a model is on problem sets, with error bars."""

    run: RunSettings
    model: ModelSettings
    problems: tuple[AnySource, ...] = Field(
        default=(), description=f"a list of sources, each with a domain: {', '.join(SOURCE_MODELS)}"
    )
    sets: dict[SetName, EvalSet] = Field(
        default={}, description="instead: NAME: {problems: [...], split, num_problems, samples, cluster}, a directory each"
    )
    split: SplitName = "test"
    num_problems: int | None = Field(default=None, ge=1, description="default: the whole split, or 256 generated problems")
    samples: int = Field(default=8, ge=1, description="n, completions a problem")
    problem_seed: int = Field(default=0, ge=0, description="which generated problems; keep it to compare models")
    cluster: str | None = Field(
        default=None,
        description="key of difficulty or checks, or `domain`: problems of one value share a source; for intervals",
    )
    prompt: PromptSettings = PromptSettings()
    sampling: SamplingSettings = SamplingSettings()
    reward: EvalRewardConfig = EvalRewardConfig()
    sandbox: SandboxSettings = SandboxSettings()
    tracking: TrackingSettings = TrackingSettings()

    @model_validator(mode="after")
    def _consistent(self) -> "EvalConfig":
        faults = []
        if bool(self.problems) == bool(self.sets):
            faults.append("give exactly one of problems (one set) and sets (several, by name)")
        most = max([self.samples, *(one.samples or 1 for one in self.sets.values())])
        if self.sampling.temperature == 0 and most > 1:
            faults.append(f"sampling.temperature 0 is greedy, and {most} samples of a problem would all be the same: samples=1")
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def one_each(self) -> Iterator["EvalConfig"]:
        """Yield the evaluation of each set by itself, in a directory below this one's where there are several."""
        if not self.sets:
            yield self
        for name, one in self.sets.items():
            own = {key: value for key, value in one if value is not None}
            yield self.model_copy(update={**own, "sets": {}, "run": below(self.run, name)})


def below(run: RunSettings, name: str) -> RunSettings:
    """Return the run in the directory `name` of another."""
    return run.model_copy(update={"name": f"{run.name}/{name}"})
