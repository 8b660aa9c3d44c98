"""The records that flow through the loop: Completion -> Rollout -> Group -> Drawn -> Row -> Batch.

Entry t of every per-token array belongs to token t of the completion (its log-probability given all earlier tokens).
Dimension letters: P problems, G rollouts a group, B rows, T tokens, N completion tokens of a batch, V vocabulary.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from problems.types import Problem
from rewards.types import Reward

IntArray = NDArray[np.int32]
FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]
Indices = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Completion:
    """What the model wrote: text without the end mark, why it stopped, and its length with the end mark."""

    text: str
    finish_reason: Literal["stop", "length"]
    num_tokens: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Rollout:
    """One sampled completion of a problem, scored."""

    problem: Problem
    prompt_ids: IntArray  # [T_prompt]
    completion_ids: IntArray  # [T], end mark included
    sampling_logprobs: FloatArray  # [T], nats, under the temperature it was sampled with
    completion: Completion
    reward: Reward
    reasoning_tokens: int
    policy_step: int
    sampling_entropies: FloatArray | None = None  # [T], nats, of the distribution each token was drawn from
    forced: BoolArray | None = None  # [T], tokens put in by budget forcing, not drawn: `make_batch` refuses them
    # sum over its tokens of sampling minus reference log-probability, in nats, where that is taken from the reward (kl: k1)
    reference_kl: float | None = None


def has_contrast(rollouts: Sequence[Rollout]) -> bool:
    """Return whether any two scored rewards differ. Exact equality: float noise must not decide."""
    totals = {rollout.reward.total for rollout in rollouts} - {None}
    return len(totals) > 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Group:
    """All rollouts of one problem and their advantages (0 for a rollout that could not be scored)."""

    problem: Problem
    rollouts: tuple[Rollout, ...]
    advantages: FloatArray  # [G]
    is_trained: bool = True  # False: sampled, reported and written down, but the update does not see it

    @property
    def totals(self) -> list[float]:
        """Rewards of the rollouts that could be scored."""
        return [total for rollout in self.rollouts if (total := rollout.reward.total) is not None]

    @property
    def has_contrast(self) -> bool:
        """Whether any two scored rewards differ."""
        return has_contrast(self.rollouts)


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """The groups of one step, each once, and what it took to get them."""

    groups: tuple[Group, ...]  # all that were sampled, in the order of the problems
    rounds: int
    cursor: int  # problems drawn so far, after this step
    sample_seconds: float  # in this step: what was sampled ahead ran beside the update before
    score_seconds: float  # waiting for verdicts
    step: int = 0  # that the groups are for, counted from 0

    @property
    def trained(self) -> tuple[Group, ...]:
        """The groups that the update learns from."""
        return tuple(group for group in self.groups if group.is_trained)

    @property
    def rollouts(self) -> list[Rollout]:
        """All rollouts of all groups."""
        return [rollout for group in self.groups for rollout in group.rollouts]


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """One sequence of the batch with what its tokens count in the loss.

    A token outside the top-entropy mask has advantage 0; it has weight 0 too unless a KL in the loss acts on it.
    """

    prompt_ids: IntArray  # [T_prompt]
    completion_ids: IntArray  # [T]
    sampling_logprobs: FloatArray  # [T]
    advantages: NDArray[np.float64]  # [T]
    weights: NDArray[np.float64]  # [T], what each token counts in the sum that is the loss
    entropy_weights: NDArray[np.float64]  # [T], what its entropy counts in the mean that is the bonus; 0 without a bonus
    # [T], of the policy that the updates of a batch start from, where they are computed (algorithm.old_logprobs: recompute)
    old_logprobs: FloatArray | None = None
    problem_id: str = ""  # whose completion it is, for words; "" where the tokens are nobody's

    @property
    def length(self) -> int:
        """Tokens of prompt and completion."""
        return len(self.prompt_ids) + len(self.completion_ids)


@dataclass(frozen=True, kw_only=True, eq=False)
class Learned:
    """One completion as the update saw it."""

    gaps: FloatArray | None  # [T], nats: log-probability of the trainer less that of the sampler; None without a gradient
    trained: NDArray[np.bool_]  # [T], what counts in the loss


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """The rows of one optimizer step, over all ranks; `num_loss_tokens` counts the tokens of all that share in the loss."""

    rows: tuple[Row, ...]
    num_loss_tokens: int
    num_skipped_rows: int  # rows whose gradient is exactly zero; they never enter the forward pass


Stand = Literal["waiting", "open", "retired"]


@dataclass(frozen=True, kw_only=True)
class RungState:
    """How one rung of an online curriculum stands (rl/curriculum.py)."""

    name: str
    stand: Stand
    taken: int = 0  # problems drawn from it so far
    solved: float = 0.0  # of `seen`, each group by the share of its completions that were correct
    seen: float = 0.0  # groups, the older ones counting less

    @property
    def pass_rate(self) -> float | None:
        """The running pass rate, None while nothing is known."""
        return self.solved / self.seen if self.seen else None


@dataclass(frozen=True, kw_only=True)
class TrainState:
    """What a run must remember between steps besides the weights and the optimizer."""

    step: int = 0  # steps done: batches of rollouts learned from, whatever number of optimizer steps each took
    cursor: int = 0  # problems drawn so far
    num_tokens: int = 0  # tokens sampled and read so far
    compute_tokens: int = 0  # the same, and those learned from: see rl/tracking/compute.py
    best_accuracy: float | None = None
    best_step: int | None = None
    wandb_id: str | None = None
    rungs: tuple[RungState, ...] = ()  # of the curriculum, where there is one

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> "TrainState":
        """Return the state that a checkpoint holds as JSON."""
        return cls(**{**record, "rungs": tuple(RungState(**rung) for rung in record.get("rungs", ()))})
