"""Budget forcing: how long a model thinks, set from outside (s1, arXiv 2501.19393, section 3.1). Evaluation only.

As long as the thinking of a completion is open:
- after `max_tokens` tokens its end is put in, whatever was drawn: the model must answer with what it has;
- an end (or a stop token) that is drawn before that becomes "Wait", `waits` times: the model must think on.

A token that was put in was not drawn from the policy. `Sample.forced` says which; the settings refuse budget forcing for
training (`SamplingSettings.faults_in_training`), and so does `make_batch`.
"""

from collections import deque
from dataclasses import dataclass, field

from rl.policy.interfaces import Tokenizer
from rl.sampling.errors import SamplingError
from rl.settings.schema import ThinkingSettings
from rl.types import IntArray

CompletionName = tuple[int, int]  # number of the request, number among its completions


@dataclass(frozen=True, kw_only=True)
class ThinkingBudget:
    """What to force, as token ids."""

    max_tokens: int  # tokens of a completion before the end of thinking is forced
    end_ids: tuple[int, ...]  # the end of thinking; where it is to be suppressed, its first token is
    wait_ids: tuple[int, ...] = ()  # put in its place
    waits: int = 0  # how often

    def __post_init__(self) -> None:
        if self.waits and len(self.end_ids) != 1:
            raise SamplingError(
                f"the end of thinking has {len(self.end_ids)} tokens {self.end_ids}; it can be suppressed only where it is "
                "one token: set waits to 0"
            )

    @classmethod
    def of(cls, settings: ThinkingSettings, tokenizer: Tokenizer) -> "ThinkingBudget":
        """Return what `settings` ask for, their texts read by `tokenizer`. Raises SamplingError, see `waits`."""
        return cls(
            max_tokens=settings.max_tokens,
            end_ids=tuple(tokenizer(settings.end, add_special_tokens=False).input_ids),
            wait_ids=tuple(tokenizer(settings.wait, add_special_tokens=False).input_ids),
            waits=settings.waits,
        )


@dataclass(kw_only=True, eq=False)
class _Progress:
    """Where one completion stands with its budget."""

    is_thinking: bool = True
    waits: int = 0  # how often its end was suppressed
    pending: deque[int] = field(default_factory=deque)  # tokens still to be put in

    def begin(self, ids: tuple[int, ...]) -> int:
        """Return the first token of a text that is put in now; the others follow at the next steps."""
        self.pending.extend(ids[1:])
        return ids[0]


class BudgetForcing:
    """Applies one budget to all completions of a call of `Sampler.sample`."""

    def __init__(self, budget: ThinkingBudget, stop_ids: frozenset[int]):
        self.budget, self.stop_ids = budget, stop_ids
        self._progress: dict[CompletionName, _Progress] = {}

    def token_instead(self, name: CompletionName, written: IntArray, drawn: int) -> int | None:
        """Return the token to put in the place of `drawn`, or None to let it stand.

        To be asked once for every token of a completion, in order; `written` [T] are the tokens before this one.
        """
        if len(written) == 0:  # a completion begins, or begins again after it had to leave a full cache
            self._progress[name] = _Progress()
        progress = self._progress[name]
        if progress.pending:
            return progress.pending.popleft()
        if not progress.is_thinking:
            return None
        if len(written) >= self.budget.max_tokens:
            progress.is_thinking = False
            return progress.begin(self.budget.end_ids)
        if progress.waits < self.budget.waits and self._would_end(drawn):
            progress.waits += 1
            return progress.begin(self.budget.wait_ids)
        progress.is_thinking = not self._is_end(written, drawn)
        return None

    def _would_end(self, drawn: int) -> bool:
        """Whether thinking would end with this token; where waits are asked for, the end of thinking is one token."""
        return drawn == self.budget.end_ids[0] or drawn in self.stop_ids

    def _is_end(self, written: IntArray, drawn: int) -> bool:
        """Whether the text ends with the whole end of thinking."""
        first = max(0, len(written) + 1 - len(self.budget.end_ids))
        return (*written[first:].tolist(), drawn) == self.budget.end_ids
