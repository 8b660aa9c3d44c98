"""Budget forcing: how long a model thinks, set from outside (s1, arXiv 2501.19393, section 3.1). Evaluation only.

As long as the thinking of a completion is open:
- after `max_tokens` tokens it is cut: its end and a text that asks for the answer are put in, whatever was drawn;
- an end (or a stop token) that is drawn before that becomes "Wait", `waits` times: the model must think on.

A completion that comes to its end by itself within the budget is what it would have been without one. All that a model writes
before an end counts as thinking, whether or not it opened a thought. Texts that are put in are cut into tokens by themselves.
A stop text (`sampling.stop`) that is drawn ends a completion at once: it cannot be put off.

A token that was put in was not drawn from the policy. `Sample.forced` says which; the settings refuse budget forcing for
training (`SamplingSettings.faults_in_training`), and so does `make_batch`.
"""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from rl.policy.interfaces import Tokenizer
from rl.sampling.errors import SamplingError
from rl.sampling.stop_texts import StopTexts
from rl.settings.schema import ThinkingSettings
from rl.types import IntArray

CompletionName = tuple[int, int]  # number of the request, number among its completions


@dataclass(frozen=True, kw_only=True)
class ThinkingBudget:
    """What to force, as token ids, and how the end of thinking is known: by `end_id` or `end_text`; neither: it has no mark."""

    max_tokens: int | None  # tokens of a completion before its thinking is cut; None: it never is
    closing_ids: tuple[int, ...] = ()  # put in there: the end of thinking and what asks for the answer
    end_id: int | None = None  # the end, where it is one token
    end_text: StopTexts | None = None  # where it is several, which may run together with what stands beside them
    wait_ids: tuple[int, ...] = ()  # put in the place of an end that comes too early
    waits: int = 0  # how often

    def __post_init__(self) -> None:
        if self.waits and self.end_text is not None:
            raise SamplingError(
                f"the end of thinking, {self.end_text.texts[0]!r}, is several tokens to this tokenizer; it can be suppressed "
                "only where it is one: set sampling.thinking.waits (--wait) to 0"
            )

    @classmethod
    def of(cls, settings: ThinkingSettings, tokenizer: Tokenizer) -> "ThinkingBudget":
        """Return what `settings` ask for, their texts read by `tokenizer`.

        Raises SamplingError for texts without a token, and for waits where the end is several.
        """

        def read(text: str) -> tuple[int, ...]:
            ids = tuple(tokenizer(text, add_special_tokens=False).input_ids) if text else ()
            if text and not ids:
                raise SamplingError(
                    f"sampling.thinking: {text!r} has no token in this tokenizer's vocabulary: choose another text"
                )
            if tokenizer.unk_token_id in ids:
                raise SamplingError(
                    f"sampling.thinking: {text!r} holds what this tokenizer has no token for; choose another text (in YAML's "
                    "double quotes a backslash begins an escape: write '\\boxed{' in single ones)"
                )
            return ids

        end_ids = read(settings.end)
        return cls(
            max_tokens=settings.max_tokens,
            closing_ids=read(settings.end + settings.answer),
            end_id=end_ids[0] if len(end_ids) == 1 else None,
            end_text=StopTexts(texts=(settings.end,), tokenizer=tokenizer) if len(end_ids) > 1 else None,
            wait_ids=read(settings.wait) if settings.waits else (),
            waits=settings.waits,
        )

    def check_room(self, max_completion_tokens: int) -> None:
        """Raise SamplingError where no token is left for an answer behind a thought that is cut."""
        if self.max_tokens is not None and self.max_tokens + len(self.closing_ids) >= max_completion_tokens:
            raise SamplingError(
                f"a thinking budget of {self.max_tokens} tokens, and {len(self.closing_ids)} that end the thinking, leave no "
                f"room for an answer: sampling.max_completion_tokens is {max_completion_tokens}, raise it"
            )


@dataclass(kw_only=True, eq=False)
class _Progress:
    """Where one completion stands with its budget."""

    is_thinking: bool = True
    waits: int = 0  # how often its end was suppressed
    pending: deque[int] = field(default_factory=deque)  # tokens still to be put in

    def begin(self, ids: tuple[int, ...]) -> int:
        """Return the first token of a text that is put in now; the others follow at the next steps."""
        self.pending = deque(ids)
        return self.pending.popleft()


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
        progress, budget = self._progress[name], self.budget
        is_full = progress.is_thinking and budget.max_tokens is not None and len(written) >= budget.max_tokens
        if progress.pending and not is_full:  # a "Wait" is cut like any other thought
            return progress.pending.popleft()
        if not progress.is_thinking:
            return None
        is_end = self._is_end(written, drawn)
        by_itself = not progress.pending and (is_end or drawn in self.stop_ids)
        if is_full:
            progress.is_thinking = False
            return None if by_itself else progress.begin(budget.closing_ids)
        if by_itself and progress.waits < budget.waits:
            progress.waits += 1
            return progress.begin(budget.wait_ids)
        progress.is_thinking = not is_end
        return None

    def _is_end(self, written: IntArray, drawn: int) -> bool:
        """Whether the thinking ends with this token."""
        text = self.budget.end_text
        if text is None:
            return drawn == self.budget.end_id
        return bool(text.complete([np.append(written[-text.window :], drawn)])[0])
