"""The settings of the update: which loss, which clip, which KL, and which of them go together.

rl/update/loss.py has what the names mean in numbers; nothing here imports torch.
"""

import math
from typing import Any, Literal

from pydantic import Field, model_validator

from rl.settings.base import Settings


class CorrectionSettings(Settings):
    """Truncated importance sampling between the policy that sampled and the one the update starts from.

    Each token's policy term is multiplied by exp(old - sampling log-probability), without a gradient through it.
    """

    token_cap: float | None = Field(default=2.0, ge=1, description="largest weight of a token")
    sequence_mask: tuple[float, float] | None = Field(
        default=None, description="completions whose geometric-mean ratio lies outside are left out, e.g. [0.99, 1.01]"
    )

    @model_validator(mode="after")
    def _has_a_bound(self) -> "CorrectionSettings":
        if self.token_cap is None and self.sequence_mask is None:
            raise ValueError("correction needs token_cap or sequence_mask: weights without any bound ruin the update")
        if self.sequence_mask is not None:
            low, high = self.sequence_mask
            if not 0 <= low < 1 < high:
                raise ValueError(f"sequence_mask must be [low, high] with 0 <= low < 1 < high, found {[low, high]}")
        return self


LossName = Literal["dapo", "grpo", "dr_grpo", "bnpo", "gspo", "cispo", "sapo", "reinforce"]
RatioCentre = Literal["sampler", "recomputed", "policy"]
# clip_low and clip_high by loss, None: no bound on that side; a loss that is not here clips nothing
CLIP_DEFAULTS: dict[LossName, tuple[float | None, float]] = {
    "dapo": (0.2, 0.28),
    "grpo": (0.2, 0.28),
    "dr_grpo": (0.2, 0.28),
    "bnpo": (0.2, 0.28),
    "gspo": (3e-4, 4e-4),
    "cispo": (None, 4.0),
}


class AlgorithmSettings(Settings):
    """Group-relative policy optimisation; docs/losses.md has the settings of each paper."""

    num_problems: int = Field(default=32, ge=1, description="P, groups a step over all ranks")
    group_size: int = Field(default=16, description="G, completions a problem")
    loss: LossName = Field(default="dapo", description="objective and weight of a token, see rl/update/loss.py")
    advantage: Literal["mean", "group_std", "batch_std", "rloo", "maxrl", "rft"] = Field(
        default="mean", description="see rl/advantages.py"
    )
    clip_low: float | None = Field(
        default=None, ge=0, lt=1, description="the ratio is clipped below 1 - this; default: by loss, 0.2 (gspo 3e-4)"
    )
    clip_high: float | None = Field(
        default=None, ge=0, description="the ratio is clipped above 1 + this; default: by loss, 0.28 (gspo 4e-4, cispo 4)"
    )
    clip_two_sided: float | None = Field(default=None, gt=1, description="bound of the ratio where the advantage is negative")
    kl: Literal["k1", "k2", "k3", "k3_corrected"] = Field(
        default="k3", description="estimator of the KL to the reference policy: k1 in the reward, the others in the loss"
    )
    kl_coef: float = Field(default=0.0, ge=0, description="weight of that KL; 0 needs no reference")
    reference_reset_steps: int = Field(
        default=0, ge=0, description="the reference becomes the policy every so many steps (ProRL, arXiv 2505.24864); 0: never"
    )
    entropy_coef: float = Field(default=0.0, ge=0, description="weight of the mean entropy that is added to the objective")
    top_entropy_quantile: float = Field(
        default=1.0, gt=0, le=1, description="share of tokens, those of highest entropy, that the policy learns from"
    )
    correction: CorrectionSettings | None = Field(default=None, description="for samples of a slightly different policy")
    mask_truncated: bool = Field(default=False, description="leave completions that hit the limit out of the loss")
    dynamic_sampling: bool = Field(default=True, description="drop groups whose rewards are all equal and draw others")
    max_sampling_rounds: int = Field(default=3, ge=1, description="a step draws at most this many times num_problems")
    epochs: int = Field(default=1, ge=1, description="passes of the update over the groups of a step (mu of GRPO)")
    minibatches: int = Field(default=1, ge=1, description="optimizer steps a pass, each on its own groups and denominator")
    old_logprobs: Literal["sampler", "recompute"] = Field(
        default="sampler", description="denominator of the ratio: the sampler's, or one forward pass before the update"
    )

    @property
    def ratio_bounds(self) -> tuple[float, float]:
        """Where the importance ratio is clipped; infinite where it is not."""
        low = -math.inf if self.clip_low is None else 1 - self.clip_low
        high = math.inf if self.clip_high is None else 1 + self.clip_high
        return low, high

    @property
    def ratio_centre(self) -> RatioCentre:
        """Which policy the importance ratio compares with: the one that sampled, the one before the updates, or itself.

        Under a correction the ratio starts at 1 and the correction alone accounts for the sampler (see CorrectionSettings).
        """
        if self.old_logprobs == "recompute":
            return "recomputed"
        return "sampler" if self.correction is None else "policy"

    @property
    def kl_in_loss(self) -> bool:
        """Whether the loss has a KL term (k1 is part of the reward)."""
        return self.kl_coef > 0 and self.kl != "k1"

    @property
    def kl_in_reward(self) -> bool:
        """Whether the KL is taken from the reward."""
        return self.kl_coef > 0 and self.kl == "k1"

    @model_validator(mode="before")
    @classmethod
    def _clip_of_the_loss(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data  # not a group of settings at all: pydantic says so
        clip_low, clip_high = CLIP_DEFAULTS.get(data.get("loss", "dapo"), (None, None))
        # None is "not given" for every field here, and in a resolved config of a loss that clips nothing
        given = {key: value for key, value in data.items() if value is not None}
        return {"clip_low": clip_low, "clip_high": clip_high, **given}

    @model_validator(mode="after")
    def _consistent(self) -> "AlgorithmSettings":
        faults = [*self._faults_of_the_cut(), *self._faults_of_the_clip(), *self._faults_of_the_kl()]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _faults_of_the_cut(self) -> list[str]:
        faults = []
        if self.group_size < 2:
            faults.append(
                f"group_size must be at least 2, found {self.group_size}: a group of one has no contrast, every advantage "
                "would be 0. Usual values are 8 to 32"
            )
        if self.advantage == "rft" and self.dynamic_sampling:
            faults.append("advantage rft learns from groups that are all right too: set dynamic_sampling: false")
        if self.minibatches > self.num_problems:
            faults.append(
                f"minibatches {self.minibatches} are cut from groups, and there are {self.num_problems} (num_problems)"
            )
        has_several_updates = self.epochs * self.minibatches > 1
        if self.correction is not None and has_several_updates and self.old_logprobs == "sampler":
            faults.append(
                "correction weighs the policy that the updates of a batch start from against the sampler; with several "
                "updates (epochs, minibatches) that policy must be written down: set old_logprobs: recompute"
            )
        return faults

    def _faults_of_the_clip(self) -> list[str]:
        faults = []
        default_low, default_high = CLIP_DEFAULTS.get(self.loss, (None, None))
        has_clip = default_high is not None
        if not has_clip and (self.clip_low is not None or self.clip_high is not None):
            faults.append(f"loss {self.loss} clips nothing: remove clip_low and clip_high, or choose another loss")
        if self.clip_two_sided is None:
            return faults
        highest_ratio = self.ratio_bounds[1]
        if default_low is None:
            faults.append(f"clip_two_sided bounds a clipped objective, and loss {self.loss} has none: remove it")
        elif self.clip_two_sided < highest_ratio:
            faults.append(
                f"clip_two_sided {self.clip_two_sided:g} is below 1 + clip_high = {highest_ratio:g}: it would "
                "cut good tokens before the clip does; usual is 4"
            )
        return faults

    def _faults_of_the_kl(self) -> list[str]:
        faults = []
        if self.kl != "k3" and not self.kl_coef:
            faults.append(f"kl {self.kl} has no effect with kl_coef 0: set kl_coef, or remove kl")
        if self.reference_reset_steps and not self.kl_coef:
            faults.append("reference_reset_steps has no effect with kl_coef 0: set kl_coef, or remove it")
        if self.advantage == "rft" and self.kl == "k1":
            faults.append("advantage rft imitates what pays above 0, which kl k1 makes of wrong answers too: use k2 or k3")
        if self.advantage == "maxrl" and self.kl == "k1":
            faults.append("advantage maxrl divides by the mean reward, which kl k1 can make zero or negative: use k2 or k3")
        return faults
