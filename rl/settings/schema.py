"""Every setting of the three commands: `train` (RunConfig), `sft` (SftConfig) and `eval` (EvalConfig).

Plain data and the arithmetic that must hold between the numbers; imports no torch, so that `--help` and validation are fast.
"""

import json
import math
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from problems.catalog import SOURCE_MODELS, AnySource
from problems.errors import LabError
from problems.types import STYLES
from rewards.code.settings import SandboxSettings
from rewards.shaping import RewardConfig

Dtype = Literal["fp32", "bf16"]
LOGIT_BUFFER_ELEMENTS = 2**24  # logits that exist at one time, in float32 64 MB; two such buffers are needed
LayoutName = Literal["shared", "packed", "padded"]
Beta = Annotated[float, Field(ge=0, lt=1)]
Sources = Annotated[
    tuple[AnySource, ...],
    Field(min_length=1, description=f"a list of sources, each with a domain: {', '.join(SOURCE_MODELS)}"),
]


class Settings(BaseModel):
    """Frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())


class RunSettings(Settings):
    """Where a run lives."""

    name: str = Field(min_length=1, description="name of the run and of its directory")
    dir: Path = Field(default=Path("runs"), description="parent of all run directories")
    seed: int = Field(default=0, ge=0, description="names every random stream of the run")

    @property
    def path(self) -> Path:
        """The run directory."""
        return self.dir / self.name


class TinyModelConfig(Settings):
    """A small Qwen3-style decoder made from nothing, with a character-level tokenizer."""

    hidden_size: int = Field(default=96, ge=8)
    intermediate_size: int = Field(default=256, ge=8)
    layers: int = Field(default=3, ge=1)
    heads: int = Field(default=4, ge=1)
    max_positions: int = Field(default=512, ge=16, description="longest text in tokens")
    rope_theta: float = Field(default=10_000.0, gt=0)

    @model_validator(mode="after")
    def _head_size(self) -> "TinyModelConfig":
        if self.hidden_size % (2 * self.heads):
            raise ValueError(f"hidden_size {self.hidden_size} must be a multiple of 2 * heads = {2 * self.heads}")
        return self


class LoraSettings(Settings):
    """Low-rank adapters through peft; the base weights stay frozen."""

    r: int = Field(default=16, ge=1, description="rank")
    alpha: int = Field(default=32, ge=1, description="scale is alpha / r")
    dropout: float = Field(default=0.0, ge=0, lt=1)
    target_modules: str | tuple[str, ...] = Field(default="all-linear", description="layers that get adapters")


class ModelSettings(Settings):
    """The policy."""

    path: str = Field(description="local directory or hub name")
    revision: str | None = Field(default=None, description="commit of a hub model")
    cold_start: Path | None = Field(default=None, description="`reasonlab sft` config that makes `path` where it is missing")
    pad_token: str | None = Field(default=None, description="for tokenizers without a pad token")
    dtype: Dtype = "fp32"
    attention: str = Field(default="sdpa", description="attention implementation of transformers")
    gradient_checkpointing: bool = False
    lora: LoraSettings | None = None

    @model_validator(mode="after")
    def _cold_start_makes_path(self) -> "ModelSettings":
        if self.cold_start is not None and (Path(self.path).name != "model" or len(Path(self.path).parts) < 2):
            raise ValueError(f"with cold_start, path is RUN_DIRECTORY/model, as `reasonlab sft` writes it; found {self.path!r}")
        return self


class PromptSettings(Settings):
    """How a question becomes a prompt. Training and evaluation must use the same."""

    system: str | None = Field(default=None, description="system message, for chat templates")
    template: str = Field(default="{prompt}", description="text around the question; {prompt} is the question")

    @model_validator(mode="after")
    def _has_question(self) -> "PromptSettings":
        if "{prompt}" not in self.template:
            raise ValueError("template must contain {prompt}, or the model never sees the question")
        return self


class ThinkingSettings(Settings):
    """Budget forcing (s1, arXiv 2501.19393, section 3.1); evaluation only."""

    max_tokens: int = Field(ge=1, description="tokens after which the end of thinking is forced")
    end: str = Field(default="</think>", min_length=1, description="text that ends the thinking")
    wait: str = Field(default="Wait", min_length=1, description="text put in place of an end that comes too early")
    waits: int = Field(default=0, ge=0, description="how often that is done")


class SamplingSettings(Settings):
    """How completions are drawn."""

    temperature: float = Field(default=1.0, ge=0, description="0 is greedy (evaluation only)")
    top_p: float = Field(default=1.0, gt=0, le=1, description="nucleus; evaluation only, training needs 1")
    top_k: int = Field(default=0, ge=0, description="draw from the k most likely tokens, 0: all; evaluation only")
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = Field(default=(), description="texts that end a completion")
    min_completion_tokens: int = Field(default=0, ge=0, description="no stop token before; evaluation only")
    max_completion_tokens: int = Field(default=256, ge=1)
    thinking: ThinkingSettings | None = Field(default=None, description="budget forcing; evaluation only")
    max_rows: int = Field(default=512, ge=1, description="completions decoded together on one rank")
    cache_tokens: int | None = Field(default=None, ge=1, description="keys and values kept on one rank; default: no limit")

    @model_validator(mode="after")
    def _least_below_most(self) -> "SamplingSettings":
        if self.min_completion_tokens > self.max_completion_tokens:
            raise ValueError(
                f"min_completion_tokens {self.min_completion_tokens} is more than max_completion_tokens "
                f"{self.max_completion_tokens}"
            )
        return self

    def faults_in_training(self) -> list[str]:
        """Return what may not be set for training, where the trainer's probabilities must be those tokens were drawn with."""
        faults = []
        if self.temperature == 0:
            faults.append("sampling.temperature must be above 0 for training: greedy completions of a group are all the same")
        for name, whole in (("top_p", 1), ("top_k", 0), ("min_completion_tokens", 0)):
            if getattr(self, name) != whole:
                faults.append(
                    f"sampling.{name} must be {whole} for training: a cut distribution makes every importance ratio wrong"
                )
        if self.thinking is not None:
            faults.append("sampling.thinking must be unset for training: forced tokens were not drawn from the policy")
        return faults


class CorrectionSettings(Settings):
    """Truncated importance sampling between the policy that sampled and the one the update starts from.

    Each token's policy term is multiplied by exp(old - sampling log-probability), without a gradient through it.
    """

    token_cap: float | None = Field(default=2.0, ge=1, description="largest weight of a token")
    sequence_mask: tuple[float, float] | None = Field(
        default=None, description="completions whose geometric-mean ratio lies outside are left out, e.g. [0.99, 1.01]"
    )

    @model_validator(mode="after")
    def _useful(self) -> "CorrectionSettings":
        if self.token_cap is None and self.sequence_mask is None:
            raise ValueError("correction needs token_cap or sequence_mask: weights without any bound ruin the update")
        if self.sequence_mask is not None and not 0 <= self.sequence_mask[0] < 1 < self.sequence_mask[1]:
            raise ValueError(f"sequence_mask must be [low, high] with 0 <= low < 1 < high, found {list(self.sequence_mask)}")
        return self


LossName = Literal["dapo", "grpo", "dr_grpo", "bnpo", "gspo", "cispo", "sapo", "reinforce"]
RatioCentre = Literal["sampler", "recomputed", "policy"]
CLIP_DEFAULTS: dict[LossName, tuple[float | None, float | None]] = {
    "dapo": (0.2, 0.28),
    "grpo": (0.2, 0.28),
    "dr_grpo": (0.2, 0.28),
    "bnpo": (0.2, 0.28),
    "gspo": (3e-4, 4e-4),
    "cispo": (None, 4.0),
    "sapo": (None, None),
    "reinforce": (None, None),
}


class AlgorithmSettings(Settings):
    """Group-relative policy optimisation; docs/losses.md has the settings of each paper."""

    num_problems: int = Field(default=32, ge=1, description="P, groups a step over all ranks")
    group_size: int = Field(default=16, description="G, completions a problem")
    loss: LossName = Field(default="dapo", description="objective and weight of a token, see rl/update/loss.py")
    advantage: Literal["mean", "group_std", "batch_std", "rloo", "maxrl"] = Field(
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
    max_sampling_rounds: int = Field(default=3, ge=1, description="cap on those draws a step")
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
            return data
        low, high = CLIP_DEFAULTS.get(data.get("loss", "dapo"), (None, None))
        return {"clip_low": low, "clip_high": high} | {key: value for key, value in data.items() if value is not None}

    @model_validator(mode="after")
    def _consistent(self) -> "AlgorithmSettings":
        faults = []
        if self.group_size < 2:
            faults.append(
                f"group_size must be at least 2, found {self.group_size}: a group of one has no contrast, every advantage "
                "would be 0. Usual values are 8 to 32"
            )
        if self.minibatches > self.num_problems:
            faults.append(
                f"minibatches {self.minibatches} are cut from groups, and there are {self.num_problems} (num_problems)"
            )
        if self.correction is not None and self.epochs * self.minibatches > 1 and self.old_logprobs == "sampler":
            faults.append(
                "correction weighs the policy that the updates of a batch start from against the sampler; with several "
                "updates (epochs, minibatches) that policy must be written down: set old_logprobs: recompute"
            )
        unclipped = CLIP_DEFAULTS[self.loss] == (None, None)
        if unclipped and (self.clip_low is not None or self.clip_high is not None):
            faults.append(f"loss {self.loss} clips nothing: remove clip_low and clip_high, or choose another loss")
        if self.clip_two_sided is not None:
            if CLIP_DEFAULTS[self.loss][0] is None:
                faults.append(f"clip_two_sided bounds a clipped objective, and loss {self.loss} has none: remove it")
            elif self.clip_two_sided < self.ratio_bounds[1]:
                faults.append(
                    f"clip_two_sided {self.clip_two_sided:g} is below 1 + clip_high = {self.ratio_bounds[1]:g}: it would "
                    "cut good tokens before the clip does; usual is 4"
                )
        if self.kl != "k3" and not self.kl_coef:
            faults.append(f"kl {self.kl} has no effect with kl_coef 0: set kl_coef, or remove kl")
        if self.reference_reset_steps and not self.kl_coef:
            faults.append("reference_reset_steps has no effect with kl_coef 0: set kl_coef, or remove it")
        if self.advantage == "maxrl" and self.kl == "k1":
            faults.append("advantage maxrl divides by the mean reward, which kl k1 can make zero or negative: use k2 or k3")
        if faults:
            raise ValueError("; ".join(faults))
        return self


class OptimizerSettings(Settings):
    """AdamW of torch and its schedule."""

    learning_rate: float = Field(default=1e-6, gt=0)
    schedule: Literal["constant", "linear", "cosine"] = Field(default="constant", description="after the warm-up")
    warmup_steps: int = Field(default=10, ge=0)
    betas: tuple[Beta, Beta] = (0.9, 0.95)
    weight_decay: float = Field(default=0.0, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0)


class TrainSettings(Settings):
    """The length of the run and how the work is cut.

    A step is one batch of rollouts, whatever number of optimizer steps is done on it; warm-up, schedule, evaluation and
    checkpoints count these.
    """

    steps: int = Field(default=100, ge=1)
    one_step_off: bool = Field(default=False, description="sample the next step from the weights before this update, beside it")
    micro_batch_tokens: int = Field(default=16_384, ge=1, description="tokens of one forward pass on one rank")
    layout: LayoutName | None = Field(
        default=None,
        description="shared: a group's prompt is computed once; packed: rows without padding; padded: one below the other; "
        "default: shared where the model's attention allows it, else padded",
    )
    threads: int | None = Field(default=None, ge=1, description="CPU threads a rank; default: cores / ranks")
    save_rollouts: bool = Field(default=True, description="keep every completion in rollouts/step-*.jsonl.gz")
    self_check: bool = Field(default=True, description="before the first step, compare gradient and sampler with plain torch")
    memory_probe: bool | None = Field(default=None, description="run the longest micro-batch first; default: on a GPU")


class DeepSpeedSettings(Settings):
    """ZeRO stage, or a whole DeepSpeed JSON file."""

    stage: Literal[0, 1, 2, 3] = 0
    config: Path | None = Field(default=None, description="JSON file with more DeepSpeed settings, e.g. offload")

    @model_validator(mode="after")
    def _readable(self) -> "DeepSpeedSettings":
        if self.config is not None:
            check_deepspeed_file(self.config)
        return self


class CheckpointSettings(Settings):
    """When the state of the run is saved."""

    every_steps: int = Field(default=50, ge=1)
    keep_last: int = Field(default=2, ge=1, description="newest checkpoints to keep; the best one is saved and kept besides")


class HeldOutSettings(Settings):
    """The evaluation inside the run, on the validation split."""

    every_steps: int = Field(default=0, ge=0, description="0: never")
    problems: tuple[AnySource, ...] = Field(default=(), description="default: those of `problems`")
    num_problems: int = Field(default=128, ge=1)
    samples: int = Field(default=1, ge=1, description="n, completions a problem")
    split: Literal["validation", "test"] = "validation"


class TrackingSettings(Settings):
    """Metrics always go to metrics.jsonl; Weights & Biases mirrors them."""

    wandb: Literal["auto", "online", "offline", "disabled"] = Field(
        default="auto", description="auto: WANDB_MODE if set, else online with a key, else offline"
    )
    project: str = "reasonlab"
    group: str | None = Field(default=None, description="ties sft, rl and eval runs together; default: the run's name")
    table_every_steps: int = Field(default=20, ge=1, description="how often a table of completions is logged")
    table_rows: int = Field(default=16, ge=1)


class RunConfig(Settings):
    """`reasonlab train`: reinforcement learning from verifiable rewards."""

    run: RunSettings
    model: ModelSettings
    problems: Sources
    prompt: PromptSettings = PromptSettings()
    sampling: SamplingSettings = SamplingSettings()
    reward: RewardConfig = RewardConfig()
    sandbox: SandboxSettings = SandboxSettings()
    algorithm: AlgorithmSettings = AlgorithmSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    train: TrainSettings = TrainSettings()
    deepspeed: DeepSpeedSettings = DeepSpeedSettings()
    checkpoint: CheckpointSettings = CheckpointSettings()
    evaluation: HeldOutSettings = HeldOutSettings()
    tracking: TrackingSettings = TrackingSettings()

    @model_validator(mode="after")
    def _consistent(self) -> "RunConfig":
        faults = self.sampling.faults_in_training()
        if self.algorithm.reference_reset_steps and self.model.lora is not None:
            faults.append("algorithm.reference_reset_steps needs a reference of its own; with model.lora it is the frozen base")
        if self.reward.overlong_buffer_tokens > self.sampling.max_completion_tokens:
            faults.append(
                f"reward.overlong_buffer_tokens {self.reward.overlong_buffer_tokens} is longer than "
                f"sampling.max_completion_tokens {self.sampling.max_completion_tokens}"
            )
        if self.reward.overlong_weight and not self.reward.overlong_buffer_tokens:
            faults.append("reward.overlong_weight needs reward.overlong_buffer_tokens above 0, or it never applies")
        if self.reward.overlong_weight and self.algorithm.advantage == "maxrl":
            faults.append(
                "algorithm.advantage maxrl needs rewards of at least 0, and reward.overlong_weight makes them negative"
            )
        if faults:
            raise ValueError("; ".join(faults))
        return self


class StyleMix(Settings):
    """Shares of the styles of worked solutions; they need not add up to one."""

    direct: float = Field(default=0.0, ge=0, description="answer at once")
    steps: float = Field(default=1.0, ge=0, description="step by step")
    checked: float = Field(default=0.0, ge=0, description="step by step, with a slip that is noticed and mended")

    @model_validator(mode="after")
    def _some(self) -> "StyleMix":
        if not sum(self.shares()):
            raise ValueError("at least one style needs a share above 0")
        return self

    def shares(self) -> list[float]:
        """Return the shares in the order of STYLES."""
        return [getattr(self, style) for style in STYLES]


class SftSettings(Settings):
    """The cold start with TRL's SFTTrainer."""

    steps: int = Field(default=1000, ge=1)
    rows: int = Field(default=32, ge=1, description="rows of one optimizer step on one rank")
    row_tokens: int = Field(default=1024, ge=8, description="longest row; an example that is longer is an error")
    packing: bool = Field(default=True, description="fill a row with several examples that do not see each other")
    learning_rate: float = Field(default=1e-5, gt=0)
    schedule: str = Field(default="cosine", description="learning-rate schedule of transformers")
    warmup_steps: int = Field(default=50, ge=0)
    betas: tuple[Beta, Beta] = (0.9, 0.99)
    weight_decay: float = Field(default=0.01, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0)
    threads: int | None = Field(default=None, ge=1, description="CPU threads a rank; default: cores / ranks")


class SftModelSettings(Settings):
    """Exactly one of `path` (a model to go on from) and `tiny` (a model made from nothing)."""

    path: str | None = None
    revision: str | None = None
    tiny: TinyModelConfig | None = None
    dtype: Dtype = "fp32"
    attention: str = "sdpa"
    lora: LoraSettings | None = None

    @model_validator(mode="after")
    def _one(self) -> "SftModelSettings":
        if (self.path is None) == (self.tiny is None):
            raise ValueError("give exactly one of model.path (go on from a model) and model.tiny (make one)")
        return self


class SftConfig(Settings):
    """`reasonlab sft`: imitation of worked solutions."""

    run: RunSettings
    model: SftModelSettings
    problems: Sources
    styles: StyleMix = StyleMix()
    prompt: PromptSettings = PromptSettings()
    sft: SftSettings = SftSettings()
    tracking: TrackingSettings = TrackingSettings()


class EvalConfig(Settings):
    """`reasonlab eval`: how good a model is on a problem set, with error bars."""

    run: RunSettings
    model: ModelSettings
    problems: Sources
    split: Literal["train", "validation", "test"] = "test"
    num_problems: int | None = Field(default=None, ge=1, description="default: the whole split, or 256 generated problems")
    samples: int = Field(default=8, ge=1, description="n, completions a problem")
    problem_seed: int = Field(default=0, ge=0, description="which generated problems; keep it to compare models")
    prompt: PromptSettings = PromptSettings()
    sampling: SamplingSettings = SamplingSettings()
    reward: RewardConfig = RewardConfig()
    sandbox: SandboxSettings = SandboxSettings()
    tracking: TrackingSettings = TrackingSettings()


DEEPSPEED_KEYS = frozenset(
    {
        "zero_optimization", "zero_allow_untested_optimizer", "zero_force_ds_cpu_optimizer",
        "communication_data_type", "gradient_predivide_factor",
        "prescale_gradients", "sparse_gradients", "activation_checkpointing", "aio", "comms_logger", "flops_profiler",
        "wall_clock_breakdown", "memory_breakdown", "steps_per_print", "dump_state", "data_types", "seed",
    }
)  # fmt: skip
OWNED_KEYS = {
    "train_batch_size": "algorithm.num_problems * algorithm.group_size",
    "train_micro_batch_size_per_gpu": "train.micro_batch_tokens",
    "gradient_accumulation_steps": "train.micro_batch_tokens",
    "gradient_clipping": "optimizer.max_grad_norm",
    "optimizer": "optimizer",
    "scheduler": "optimizer.schedule",
    "bf16": "model.dtype",
    "fp16": "model.dtype",
}


def check_deepspeed_file(path: Path) -> dict[str, Any]:
    """Read a DeepSpeed JSON file; raises ValueError for what DeepSpeed itself would let pass in silence."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"cannot read the DeepSpeed config {path}: {error}") from None
    if not isinstance(data, dict):
        raise ValueError(f"the DeepSpeed config {path} must hold one object")
    faults = [f"{path} sets {key!r}, which follows from {OWNED_KEYS[key]}: remove it" for key in data if key in OWNED_KEYS]
    unknown = [key for key in data if key not in OWNED_KEYS and key not in DEEPSPEED_KEYS]
    if "stage" in data.get("zero_optimization", {}):
        faults.append(f"{path} sets 'zero_optimization.stage', which is deepspeed.stage here: remove it")
    faults += [f"{path} has the unknown key {key!r}; known: {', '.join(sorted(DEEPSPEED_KEYS))}" for key in unknown]
    if '"auto"' in json.dumps(data):
        faults.append(f'{path} uses "auto", which only the Hugging Face Trainer understands: write the value or leave it out')
    if faults:
        raise ValueError("; ".join(faults))
    return data


def check_world(config: RunConfig, world_size: int) -> None:
    """Raise LabError where `world_size` ranks cannot share the groups of a step evenly."""
    problems, group = config.algorithm.num_problems, config.algorithm.group_size
    if problems % world_size:
        below, above = problems // world_size * world_size, (problems // world_size + 1) * world_size
        choices = " or ".join(str(n) for n in (below, above) if n)
        raise LabError(
            f"algorithm.num_problems = {problems} groups of {group} completions ({problems * group} in all) cannot be split "
            f"evenly over {world_size} ranks; use {choices} problems, or a number of ranks that divides {problems}"
        )
