"""Trials of a diagnosis: a few completions drawn in another way than the run would, where figures point to a cause.

A guess ("the limit is too short") becomes a measurement that way ("with 1,024 tokens half of them end by 410, 30 % are paid").
What a trial pays is held against what the run's own way paid on the same problems: others may be easier.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from problems.types import Problem
from rl.diagnosis.figures import Figures, Trial
from rl.diagnosis.measure import is_paid
from rl.diagnosis.templates import missing_family, with_template
from rl.rollout import PromptTooLong, RolloutWorker
from rl.types import Rollout

_PROBLEMS, _COMPLETIONS = 8, 4
_FEW_PROBLEMS, _FEW_COMPLETIONS = 6, 2  # where there is no time for so many
_LITTLE = 0.05  # a share of paid completions that asks for a reason
_SLOW = 0.1  # a share of verdicts that do not come in time


@dataclass(frozen=True, kw_only=True, eq=False)
class Trials:
    """What may be tried in the time that is left."""

    worker: RolloutWorker
    problems: Sequence[Problem]
    drawn: Sequence[Sequence[Rollout]]  # groups of the first problems, as the run would draw them
    deadline: float  # of `clock`
    few_seconds: float  # of a decoding step with few rows
    many_seconds: float  # of one with as many as were drawn together
    clock: Callable[[], float] = time.monotonic

    def called_for(self, figures: Figures) -> dict[str, Any]:
        """Return the trials that the figures ask for, by their names in Figures; none for which there is no time."""
        if (figures.timeouts or 0) >= _SLOW or (figures.late or 0) >= _SLOW:
            return {}  # each trial would wait for its verdicts, to no end
        paid, cut = figures.paid, figures.cut
        if paid is None or cut is None:
            return {}  # nothing is known to compare with: hardly anything ended, or all was drawn shorter
        family = missing_family(self.worker.tokenizer)
        asks_templated = family is not None and (paid < 0.3 or cut > 0.5)
        asks_plain = bool(self.worker.tokenizer.chat_template) and paid < _LITTLE
        done: dict[str, Trial | None] = {}
        if self.worker.sampling.temperature > 1.2:
            done["cooler"] = self._other(self._sampling(temperature=1.0), "temperature 1")
        if cut >= 0.4:
            done["longer"] = self._longer(figures, shares=2 if asks_templated or asks_plain else 1)
        if family is not None and asks_templated:
            done["templated"] = self._other(self._asking(family.template, family.end), family.name)
        if asks_plain:
            done["plain"] = self._other(self._asking(None, None), "plain text")
        return {name: trial for name, trial in done.items() if trial is not None}

    def _left(self) -> float:
        return self.deadline - self.clock()

    def _sampling(self, **changes: object) -> RolloutWorker:
        return replace(self.worker, sampling=self.worker.sampling.model_copy(update=changes))

    def _asking(self, template: str | None, end: str | None) -> RolloutWorker:
        """Return a worker that asks with another chat template, or without one, and stops at its end of a turn."""
        worker = replace(self.worker, tokenizer=with_template(self.worker.tokenizer, template))
        if end is None:
            return worker
        sampler = worker.sampler
        stops = sampler.stop_ids | {worker.tokenizer.get_vocab()[end]}
        return replace(worker, sampler=replace(sampler, stop_ids=stops))

    def _longer(self, figures: Figures, shares: int) -> Trial | None:
        """Draw with four times the room, or as much of it as the model's positions and its share of the time allow."""
        limit = self.worker.sampling.max_completion_tokens
        room = 4 * limit
        if self.worker.max_positions is not None:
            room = min(room, self.worker.max_positions - (figures.longest_prompt or 0))
        seconds = self._left() / shares
        affordable = int(seconds / max(self.few_seconds, 1e-6))
        room = min(room, affordable - 1)  # time passes until it is drawn
        if room < 1.5 * limit:
            return None
        return self._other(self._sampling(max_completion_tokens=room), f"{room} tokens", seconds)

    def _other(self, worker: RolloutWorker, how: str, seconds: float | None = None) -> Trial | None:
        """Draw with a worker that does it otherwise, as many completions as there is time for if all run to the limit."""
        steps, left = worker.sampling.max_completion_tokens, self._left() if seconds is None else seconds
        if steps * self.many_seconds <= left:
            count, completions = _PROBLEMS, _COMPLETIONS
        elif steps * self.few_seconds <= left:
            count, completions = _FEW_PROBLEMS, _FEW_COMPLETIONS
        else:
            return None
        count = min(count, len(self.drawn))
        try:
            groups, _, _ = worker.rollouts(self.problems[:count], completions, ("diagnose", how), 0)
        except PromptTooLong:  # the run's own prompts leave room, those of another template may not
            return None
        rollouts = [rollout for group in groups for rollout in group]
        same = [rollout for group in self.drawn[:count] for rollout in group]
        before, after = _paid(same), _paid(rollouts)
        if 2 * len(after) < len(rollouts) or not after or not before:
            return None  # most verdicts are missing
        entropies = [rollout.sampling_entropies for rollout in rollouts if rollout.sampling_entropies is not None]
        return Trial(
            how=how,
            completions=len(after),
            paid=float(np.mean(after)),
            paid_before=float(np.mean(before)),
            completions_before=len(before),
            read=_read(rollouts),
            read_before=_read(same),
            ended=float(np.mean([rollout.completion.finish_reason == "stop" for rollout in rollouts])),
            tokens_median=float(np.median([rollout.completion.num_tokens for rollout in rollouts])),
            entropy=float(np.concatenate(entropies).mean()) if entropies else None,
        )


def _paid(rollouts: Sequence[Rollout]) -> list[bool]:
    """Return of each completion that could be scored whether it is paid."""
    return [is_paid(rollout) for rollout in rollouts if rollout.reward.total is not None]


def _read(rollouts: Sequence[Rollout]) -> float:
    """Return the share of the completions that could be scored in which an answer could be read."""
    scored = [rollout.reward for rollout in rollouts if rollout.reward.total is not None]
    return float(np.mean([reward.verdict.status != "unparsed" for reward in scored]))
