"""The records of a diagnosis: what was measured (Figures), what it means (Finding), what was tried besides (Trial).

Everything here is plain data. A figure that nobody has measured is None, and a rule says nothing about it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from rl.diagnosis.chances import of_so_many_more
from rl.settings.schema import RunConfig

NOTHING = 0.02  # a share that is as good as none
FEW_GROUPS = 8  # below, no rule speaks about shares of groups or completions
_CHANCE = 0.02  # that as many more are paid by luck; several ways are tried
Severity = Literal["stops", "slows"]  # stops: nothing will be learnt as it stands; slows: it will, worse than it could


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a rule has found: a name for programs, words for people, and the setting to change."""

    name: str
    severity: Severity
    words: str
    setting: str  # dotted, or where there is no setting the file or thing to change
    present: str
    proposed: str


def found(name: str, severity: Severity, words: str, setting: str, present: str, proposed: str) -> Finding:
    """Return a finding; rules have little room."""
    return Finding(name=name, severity=severity, words=words, setting=setting, present=present, proposed=proposed)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A few completions drawn in another way than the run would, to see whether that is the cause."""

    how: str  # in words
    completions: int  # that got a verdict
    paid: float  # share that was paid anything
    paid_before: float  # the same of the completions that the run's own way drew for the same problems
    completions_before: int
    ended: float  # share that ended by itself
    tokens_median: float
    read: float = 0.0  # share of those with a verdict in which an answer could be read, right or wrong
    read_before: float = 0.0
    entropy: float | None = None

    @property
    def pays_more(self) -> bool:
        """Whether more is paid than luck explains: three completions more than expected, and rarely so by chance."""
        return (self.paid - self.paid_before) * self.completions >= 3 and not self._is_luck(self.paid, self.paid_before)

    def _is_luck(self, share: float, before: float) -> bool:
        """Whether so large a share, against that of the run's own way, comes about by chance once in a while."""
        count, count_before = round(share * self.completions), round(before * self.completions_before)
        return of_so_many_more(count, self.completions, count_before, self.completions_before) > _CHANCE

    @property
    def beats(self) -> bool:
        """Whether completions drawn this way are paid much more often."""
        return self.paid >= 2 * self.paid_before + 0.05 and self.pays_more

    @property
    def is_read_more(self) -> bool:
        """Whether answers can be read far more often, and are paid no less: where hardly any is right, that shows first."""
        if self.paid < self.paid_before or self.read < self.read_before + 0.2:
            return False
        return not self._is_luck(self.read, self.read_before)

    def room(self, limit: int) -> int:
        """Return a limit that most completions fit, at least twice the one there was."""
        wanted = 2 * self.tokens_median if self.ended >= 0.5 else 4 * limit
        return max(2 * limit, math.ceil(wanted / 16) * 16)


@dataclass(frozen=True, kw_only=True)
class Bribes:
    """Shares of problems that pay for what is no answer, each tried on every problem; None: too few verdicts came in time."""

    nothing: float | None  # an empty text, and texts that say nothing
    wrong: float | None  # an answer that is wrong, near the right one
    question: float | None  # the prompt itself
    nothing_pays: float = 1.0  # what such a text is paid where it is paid anything; a wrong answer counts if it is paid in full
    question_pays: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What is known of a run. Shares are in [0, 1], lengths in tokens, entropies and log-probabilities in nats a token."""

    config: RunConfig
    # the model and its tokenizer
    parameters: int | None = None  # of the whole model, adapters left out
    vocabulary: int | None = None
    max_positions: int | None = None
    prompt_logprob: float | None = None  # mean over the tokens of prompts: how well the model expects what it is asked
    stop_tokens: tuple[str, ...] = ()
    turn_end: str | None = None  # the token that ends the assistant's turn by the chat template, where nothing stops at it
    opens_thinking: bool | None = None  # the prompt ends inside of a thought
    doubled: str | None = None  # what stands twice in the prompt, in words
    # the problems
    problems: int = 0
    longest_prompt: int | None = None
    too_long: float | None = None  # share of prompts that leave no room for a completion
    unreadable: float | None = None  # share of problems whose reference cannot be graded against
    unreadable_why: str = ""
    same_answer: float | None = None  # share of the problems that have the commonest reference
    same_answer_is: str = ""
    bribes: Bribes | None = None
    # what was drawn
    groups: int = 0
    completions: int = 0
    scored: int = 0  # completions that shares of paid ones are of
    reward: float | None = None  # mean over what could be scored
    paid: float | None = None  # share with a reward above zero
    contrast: float | None = None  # share of groups whose rewards differ
    all_unpaid: float | None = None  # share of groups in which nothing was paid
    all_paid: float | None = None  # share of groups in which everything was, and alike
    cut: float | None = None  # share that the limit cut off
    unparsed: float | None = None
    errors: float | None = None
    timeouts: float | None = None  # share of verdicts that took longer than one may
    late: float | None = None  # share that was not out when the time for a batch of them was over
    slowest_verdict: float | None = None  # seconds
    error_says: str = ""
    tokens_mean: float | None = None
    tokens_median: float | None = None
    tokens_p90: float | None = None
    distinct: float | None = None  # different completions of a group, as a share of its size, the mean over groups
    unended_thoughts: float | None = None  # share whose thinking opens, in the prompt or later, and never ends
    past_end: float | None = None  # share that writes an end mark of a turn and goes on
    past_end_mark: str = ""
    loops: float | None = None  # share that ends in the same few tokens over and over
    unread_right: float | None = None  # share that is right by the lenient reading and not paid by the strict one
    overlong: float | None = None  # share that the soft length penalty takes something from
    entropy: float | None = None
    finite: bool | None = None  # whether all log-probabilities, losses and gradients are numbers
    gap: float | None = None  # mean difference between trainer's and sampler's log-probabilities
    # what was tried besides
    longer: Trial | None = None  # with more room
    plain: Trial | None = None  # without the chat template
    templated: Trial | None = None  # with a chat template where the tokenizer has none
    cooler: Trial | None = None  # at temperature 1, where the run has a higher one
    notes: tuple[str, ...] = field(default=())  # about the measuring itself

    @property
    def is_unpaid(self) -> bool:
        """Whether as good as nothing is paid."""
        return self.paid is not None and self.paid <= NOTHING

    @property
    def may_be_unpaid(self) -> bool:
        """The same, or nothing is known of it: too few ended in the time there was."""
        return self.paid is None or self.is_unpaid

    @property
    def draws_at_random(self) -> bool:
        """Whether completions are nearly as uncertain as draws from the whole vocabulary."""
        return self.is_random(self.entropy)

    def is_random(self, entropy: float | None) -> bool:
        """Whether an entropy is near that of chance.

        A fresh model's is log V; of pretrained ones at temperature 1 that of running text is 1 to 3 nats.
        """
        return entropy is not None and self.vocabulary is not None and entropy > 0.6 * math.log(self.vocabulary)

    @property
    def has_no_baseline(self) -> bool:
        """Whether whatever is paid is learnt from, contrast or not (rl/advantages.py: rft)."""
        return self.config.algorithm.advantage == "rft"

    @property
    def group_drawn(self) -> float:
        """Completions of a group that was drawn: where there is little time, fewer than a group of the run."""
        return self.completions / max(1, self.groups)

    @property
    def reads_prompts(self) -> bool | None:
        """Whether prompts are expected better than noise; None where that says nothing, or was not measured.

        Text that a model can read costs it 2 to 5 nats a token, text of another vocabulary about log V (not measured yet).
        Models that have learnt their completions only never expect a prompt, and small vocabularies are such models'.
        """
        if self.prompt_logprob is None or self.vocabulary is None or self.vocabulary <= 1000:
            return None
        return -self.prompt_logprob <= 0.85 * math.log(self.vocabulary)

    @property
    def severity(self) -> Severity:
        """What a fault does that keeps completions from being paid: while some are, the run learns."""
        return "stops" if self.is_unpaid else "slows"

    @property
    def goes_past_end(self) -> bool:
        """Whether completions are long because nothing stops them where they end their turn."""
        return (self.past_end or 0) >= 0.5 * (self.cut or 1)

    @property
    def sources(self) -> str:
        """The domains and sets that are asked."""
        return ", ".join(source.domain for source in self.config.problems)

    def ends_less_than(self, trial: Trial) -> bool:
        """Whether completions drawn in another way end where these do not, and are not paid less."""
        return self.cut is not None and trial.ended >= 1 - self.cut + 0.5 and trial.paid >= trial.paid_before


Rule = Callable[[Figures], Finding | None]
