"""The rules during a training: each finding is said once, at step 1 or when it begins to hold.

A step may have few groups, so the figures are those of the last steps with eight groups together. Once these have been looked
at, a finding must hold three steps in a row, or for longer than one step stays among those: one odd batch is none. On rank 0
only, and no model is asked.
"""

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from problems.types import Problem
from rewards.pool import VerifierPool
from rewards.types import Reading
from rl.diagnosis import bribes, measure, templates
from rl.diagnosis.figures import FEW_GROUPS, Figures, Finding
from rl.diagnosis.page import described
from rl.diagnosis.rules import diagnose
from rl.policy.interfaces import Tokenizer
from rl.policy.prompts import leaves_thinking_open
from rl.sampling.sampler import Sampler
from rl.settings.schema import RunConfig
from rl.types import Drawn, Group

_STEPS_IN_A_ROW = 3
_PROBLEMS_BRIBED = 16


class Watch:
    """Looks at every step of a training and says what stops it, or slows it, once."""

    def __init__(
        self, config: RunConfig, tokenizer: Tokenizer, sampler: Sampler, pool: VerifierPool, say: Callable[[str], None]
    ):
        self.config, self.tokenizer, self.pool, self.say = config, tokenizer, pool, say
        self._recent: deque[tuple[Group, ...]] = deque()  # of the last steps
        self._held: Counter[str] = Counter()  # steps in a row for which a finding holds
        self._said: set[str] = set()
        self._has_looked = False  # at enough groups
        self._problems: dict[str, Problem] = {}  # by id, of the first steps, up to eight or more
        self._always: dict[str, Any] | None = None  # figures that no step changes, once there are so many problems
        self._model = _of_the_model(sampler, tokenizer, config)

    def see(self, step: int, drawn: Drawn, metrics: Mapping[str, Any]) -> list[Finding]:
        """Look at a step; say and return what is new."""
        self._recent.append(drawn.groups)
        while sum(map(len, self._recent)) - len(self._recent[0]) >= FEW_GROUPS:
            self._recent.popleft()
        figures = self._figures(drawn, metrics)
        found = diagnose(figures)
        names = {finding.name for finding in found}
        self._held = Counter({name: self._held[name] + 1 for name in names})
        needed = max(_STEPS_IN_A_ROW, len(self._recent) + 1) if self._has_looked else 1
        self._has_looked |= figures.groups >= FEW_GROUPS
        new = [finding for finding in found if self._held[finding.name] >= needed and finding.name not in self._said]
        self._said |= {finding.name for finding in new}
        for finding in new:
            self.say("\n".join(described(finding, f"step {step}, {finding.name}: ")))
        return new

    def _figures(self, drawn: Drawn, metrics: Mapping[str, Any]) -> Figures:
        groups = [group.rollouts for step in self._recent for group in step]
        prompt = drawn.groups[0].rollouts[0].prompt_ids
        opens_thinking = leaves_thinking_open(prompt, self.tokenizer)
        if self._always is None:
            self._always = self._once(drawn.groups, opens_thinking)
        known = len(self._problems)
        if known < FEW_GROUPS:
            self._problems |= {group.problem.id: group.problem for group in drawn.groups}
        if len(self._problems) > known:  # a set may have fewer than eight
            of_problems = bribes.of_problems([*self._problems.values()], judged_by_own=self.config.reward.own is not None)
            self._always |= of_problems
        changing = {**measure.of_rollouts(groups, opens_thinking=opens_thinking), **measure.of_updates(metrics)}
        if self._is_apart_on_purpose:
            changing["gap"] = None
        return Figures(config=self.config, opens_thinking=opens_thinking, **self._model, **self._always, **changing)

    @property
    def _is_apart_on_purpose(self) -> bool:
        """Whether trainer and sampler are to differ: by updates in between, or by what dropout leaves out of adapters."""
        lora, algorithm = self.config.model.lora, self.config.algorithm
        updates = algorithm.epochs * algorithm.minibatches  # of a step: the metric is the mean over all of them
        return self.config.train.one_step_off or updates > 1 or (lora is not None and lora.dropout > 0)

    def _once(self, groups: Sequence[Group], opens_thinking: bool) -> dict[str, Any]:
        """Return what is asked of prompts and verifier at the first step; they stay the same."""
        problems = [group.problem for group in groups]
        prompts = [group.rollouts[0].prompt_ids for group in groups]
        figures: dict[str, Any] = {"doubled": templates.doubled(problems, prompts, self.config.prompt, self.tokenizer)}
        if not any(map(self.pool.is_slow, problems)):  # programs take seconds each: reasonlab diagnose runs them
            reading = Reading(policy=self.config.reward.reading)
            figures["bribes"] = bribes.offered(self.pool, problems[:_PROBLEMS_BRIBED], reading)
            if self.config.reward.reading == "strict":
                rollouts = [group.rollouts for group in groups]
                figures["unread_right"] = measure.unread_right(self.pool, rollouts, opens_thinking=opens_thinking)
        return figures


def _of_the_model(sampler: Sampler, tokenizer: Tokenizer, config: RunConfig) -> dict[str, Any]:
    stops = sampler.stop_ids
    return {
        "parameters": sum(weights.numel() for weights in sampler.model.parameters()),
        "vocabulary": sampler.model.config.get_text_config().vocab_size,
        "stop_tokens": templates.texts(sorted(stops), tokenizer),
        "turn_end": templates.unstopped_end(tokenizer, stops, config.sampling.stop),
    }
