"""Every setting of `reasonlab eval` (EvalConfig); imports no torch.

An evaluation asks one set, given as `problems`, or several by name, given as `sets`, once or once for each of `budgets`; each
becomes an EvalConfig of its own with `problems` and without `budgets` (`one_each`), which is run, written down and resumed.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

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
    ThinkingSettings,
    TrackingSettings,
    WatchSettings,
)

NO_BUDGET = "no-budget"  # the directory of the evaluation that budgets are held against


class EvalRewardConfig(RewardConfig):
    """How verdicts are made in an evaluation: models that were never taught to mark their answers are read all the same."""

    reading: Policy = Field(
        default="lenient", description="what counts as a final answer: strict (marked) or lenient (also what prose concludes)"
    )


class EndpointSettings(Settings):
    """An OpenAI-compatible HTTP endpoint that draws the completions; rl/evaluation/endpoint.py says how it is asked."""

    url: str = Field(min_length=1, description="up to and with its version: http://localhost:8000/v1")
    api: Literal["chat", "completions"] = "chat"
    key_variable: str = Field(default="OPENAI_API_KEY", description="environment variable that holds the key, if it wants one")
    concurrency: int = Field(default=16, ge=1, description="requests at one time, on each rank")
    timeout_seconds: float = Field(default=600.0, gt=0, description="of one request")
    retries: int = Field(default=6, ge=0, description="of a request that was refused for now or broke off")
    first_pause_seconds: float = Field(default=1.0, gt=0, description="before the first retry; then twice as long each time")
    logprobs: bool = Field(default=False, description="ask for log-probabilities, for best_of_k's `likeliest`")
    limit: Literal["max_tokens", "max_completion_tokens"] = Field(
        default="max_tokens", description="what the server calls the longest completion; OpenAI's newer models: the latter"
    )

    @model_validator(mode="before")
    @classmethod
    def _holds_no_secret(cls, data: Any) -> Any:
        """Refuse what may be a secret. Of the group and not of its fields: a field's fault is told with its value."""
        if not isinstance(data, dict):
            return data
        faults = []
        url, variable = data.get("url"), data.get("key_variable", "OPENAI_API_KEY")
        if isinstance(url, str):
            faults += _faults_of_url(url)
        if not (isinstance(variable, str) and re.fullmatch("[A-Z_][A-Z0-9_]*", variable)):
            faults.append(
                "key_variable must be the name of an environment variable (capitals, digits and _), not the key itself; "
                "what was given is not shown here"
            )
        if faults:
            raise ValueError("; ".join(faults))
        return data


def _faults_of_url(url: str) -> list[str]:
    """Return what is wrong with an endpoint's address, without showing it."""
    if not url.startswith(("http://", "https://")):
        return ["url must begin with http:// or https://"]
    if set("@?#") & set(url):
        return [
            "url must have no name and password (user:password@), no ? and no #: it is written down with the run. "
            "A key is read from the environment variable that key_variable names"
        ]
    form = "url must be http://HOST[:PORT][/PATH], or https, in printable ASCII without spaces"
    try:
        parts = urlsplit(url)
        is_usable = bool(parts.hostname) and parts.port != 0  # raises ValueError for a port that is no number
    except ValueError:
        return [form]
    return [] if is_usable and re.fullmatch("[!-~]+", url) else [form]


class EvalModelSettings(ModelSettings):
    """The model that is evaluated."""

    endpoint: EndpointSettings | None = Field(
        default=None, description="where it is served (a URL, or url and more); `path` is then the name it is served under"
    )

    @field_validator("endpoint", mode="before")
    @classmethod
    def _url_alone(cls, value: Any) -> Any:
        return {"url": value} if isinstance(value, str) else value


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
    model: EvalModelSettings
    problems: tuple[AnySource, ...] = Field(
        default=(), description=f"a list of sources, each with a domain: {', '.join(SOURCE_MODELS)}; or python: FILE.py"
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
    budgets: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        default=(),
        description="accuracy against thinking: an evaluation for each of these in the place of sampling.thinking.max_tokens, "
        "and one without thinking settings, a directory each",
    )
    prompt: PromptSettings = PromptSettings()
    sampling: SamplingSettings = SamplingSettings()
    reward: EvalRewardConfig = EvalRewardConfig()
    sandbox: SandboxSettings = SandboxSettings()
    tracking: TrackingSettings = TrackingSettings()
    watch: WatchSettings = WatchSettings()

    @model_validator(mode="after")
    def _consistent(self) -> "EvalConfig":
        faults = []
        if bool(self.problems) == bool(self.sets):
            faults.append("give exactly one of problems (one set) and sets (several, by name)")
        most = max([self.samples, *(one.samples or 1 for one in self.sets.values())])
        if self.sampling.temperature == 0 and most > 1:
            faults.append(f"sampling.temperature 0 is greedy, and {most} samples of a problem would all be the same: samples=1")
        if self.model.endpoint is not None and (self.budgets or self.sampling.thinking is not None):
            name = "budgets" if self.budgets else "sampling.thinking"
            faults.append(f"{name} would put tokens into a completion, which no endpoint lets us do: leave it unset")
        if len(set(self.budgets)) < len(self.budgets):
            faults.append(f"budgets names one twice: {', '.join(map(str, self.budgets))}")
        if self.budgets and self.sampling.thinking is not None and self.sampling.thinking.max_tokens is not None:
            faults.append("give budgets or sampling.thinking.max_tokens, which is one budget, and not both")
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def one_each(self) -> Iterator["EvalConfig"]:
        """Yield the evaluation of each set with each budget, in directories below this one's where there are several."""
        for one in self._of_each_set():
            yield from one._of_each_budget()

    def _of_each_set(self) -> Iterator["EvalConfig"]:
        if not self.sets:
            yield self
        for name, one in self.sets.items():
            own = {key: value for key, value in one if value is not None}
            yield self.model_copy(update={**own, "sets": {}, "run": below(self.run, name)})

    def _of_each_budget(self) -> Iterator["EvalConfig"]:
        if not self.budgets:
            yield self
            return
        shared = self.sampling.thinking or ThinkingSettings()
        of_each = {f"budget-{n}": shared.model_copy(update={"max_tokens": n}) for n in sorted(self.budgets)}
        for name, thinking in {**of_each, NO_BUDGET: None}.items():
            sampling = self.sampling.model_copy(update={"thinking": thinking})
            yield self.model_copy(update={"budgets": (), "sampling": sampling, "run": below(self.run, name)})


def below(run: RunSettings, name: str) -> RunSettings:
    """Return the run in the directory `name` of another."""
    return run.model_copy(update={"name": f"{run.name}/{name}"})
