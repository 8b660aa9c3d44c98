"""Every setting of `train` (RunConfig) and `sft` (SftConfig); those of `eval` are in evaluation.py.

Plain data and the arithmetic that must hold between the numbers; imports no torch, so that `--help` and validation are fast.
The settings of the update are in algorithm.py, those of DeepSpeed in deepspeed.py.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from problems.catalog import SOURCE_MODELS, AnySource
from problems.errors import LabError
from problems.types import STYLES
from rewards.code.settings import SandboxSettings
from rewards.shaping import RewardConfig
from rl.settings.abstention import AbstentionSettings, faults_of_abstaining
from rl.settings.algorithm import AlgorithmSettings
from rl.settings.base import Settings
from rl.settings.curriculum import CurriculumSettings
from rl.settings.deepspeed import DeepSpeedSettings

Dtype = Literal["fp32", "bf16"]
# logits that exist at one time, in float32 64 MB; two such buffers are needed. On a GPU 2 GB: every buffer reads the whole head
LOGIT_BUFFER_ELEMENTS, LOGIT_BUFFER_ELEMENTS_CUDA = 2**24, 2**29
LayoutName = Literal["shared", "packed", "padded"]
SplitName = Literal["train", "validation", "test"]
Beta = Annotated[float, Field(ge=0, lt=1)]
Sources = Annotated[
    tuple[AnySource, ...],
    Field(min_length=1, description=f"a list of sources, each with a domain: {', '.join(SOURCE_MODELS)}; or python: FILE.py"),
]


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
    """A small decoder made from nothing, and a character-level tokenizer (rl/policy/tiny.py)."""

    hidden_size: int = Field(default=96, ge=8)
    intermediate_size: int = Field(default=256, ge=8)
    layers: int = Field(default=3, ge=1)
    heads: int = Field(default=4, ge=1)
    max_positions: int = Field(default=512, ge=16, description="longest text in tokens")
    rope_theta: float = Field(default=10_000.0, gt=0)
    local_layers: int = Field(
        default=0, ge=0, description="first layers that see `window` tokens only; those above see all, and no positions"
    )
    window: int = Field(default=8, ge=2, le=16, description="tokens that local layers see")

    @model_validator(mode="after")
    def _can_be_made(self) -> "TinyModelConfig":
        if self.hidden_size % (2 * self.heads):
            raise ValueError(f"hidden_size {self.hidden_size} must be a multiple of 2 * heads = {2 * self.heads}")
        if self.local_layers >= self.layers:
            raise ValueError(
                f"local_layers {self.local_layers} must leave at least one of {self.layers} layers to see all tokens"
            )
        return self


class LoraSettings(Settings):
    """Low-rank adapters through peft; the base weights stay frozen."""

    r: int = Field(default=16, ge=1, description="rank")
    alpha: int = Field(default=32, ge=1, description="scale is alpha / r")
    dropout: float = Field(default=0.0, ge=0, lt=1)
    target_modules: str | tuple[str, ...] = Field(default="all-linear", description="layers that get adapters")


class ModelSettings(Settings):
    """The policy."""

    path: str = Field(description="local directory, GGUF file or hub name")
    revision: str | None = Field(default=None, description="commit of a hub model")
    cold_start: Path | None = Field(default=None, description="`reasonlab sft` config that makes `path` where it is missing")
    pad_token: str | None = Field(default=None, description="for tokenizers without a pad token")
    dtype: Dtype = "fp32"
    attention: str = Field(default="sdpa", description="attention implementation of transformers")
    gradient_checkpointing: bool = False
    fused_kernels: bool = Field(default=True, description="Triton kernels in the update on a GPU; false: plain torch")
    lora: LoraSettings | None = None

    @model_validator(mode="after")
    def _cold_start_makes_path(self) -> "ModelSettings":
        if self.cold_start is None:
            return self
        path = Path(self.path)
        if path.name != "model" or len(path.parts) < 2:
            raise ValueError(f"with cold_start, path is RUN_DIRECTORY/model, as `reasonlab sft` writes it; found {self.path!r}")
        return self


class PromptSettings(Settings):
    """How a question becomes a prompt. Training and evaluation must use the same."""

    system: str | None = Field(default=None, description="system message, for chat templates")
    template: str = Field(default="{prompt}", description="text around the question; {prompt} is the question")
    abstention: AbstentionSettings | None = Field(
        default=None, description="allow the model to say that it does not know ({}: in our words); default: not"
    )

    @model_validator(mode="after")
    def _has_question(self) -> "PromptSettings":
        if "{prompt}" not in self.template:
            raise ValueError("template must contain {prompt}, or the model never sees the question")
        return self

    @property
    def may_abstain(self) -> bool:
        """Whether an answer may be that the model does not know."""
        return self.abstention is not None


class ThinkingSettings(Settings):
    """Budget forcing (s1, arXiv 2501.19393, section 3.1); evaluation only."""

    max_tokens: int | None = Field(default=None, ge=0, description="tokens after which thinking is cut; default: never")
    end: str = Field(default="</think>", description="text that ends the thinking; empty for models that do not mark it")
    answer: str = Field(default="", description="text put in behind an end that was forced; it asks for the answer")
    wait: str = Field(default="Wait", min_length=1, description="text put in place of an end that comes too early")
    waits: int = Field(default=0, ge=0, description="how often that is done")

    @model_validator(mode="after")
    def _says_something(self) -> "ThinkingSettings":
        if not self.end + self.answer:
            raise ValueError("end and answer are both empty, so a cut would not tell the model to answer: set answer")
        return self


class SamplingSettings(Settings):
    """How completions are drawn."""

    temperature: float = Field(default=1.0, ge=0, description="0 is greedy (evaluation only)")
    top_p: float = Field(default=1.0, gt=0, le=1, description="nucleus; evaluation only, training needs 1")
    top_k: int = Field(default=0, ge=0, description="draw from the k most likely tokens, 0: all; evaluation only")
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = Field(default=(), description="texts that end a completion")
    min_completion_tokens: int = Field(default=0, ge=0, description="no stop token before; evaluation only")
    max_completion_tokens: int = Field(default=256, ge=1)
    thinking: ThinkingSettings | None = Field(
        default=None, description="budget forcing: max_tokens, end, answer, wait, waits; evaluation only"
    )
    max_rows: int = Field(default=512, ge=1, description="completions decoded together on one rank")
    cache_tokens: int | None = Field(default=None, ge=1, description="keys and values kept on one rank; default: no limit")
    cuda_graphs: bool = Field(default=True, description="record decoding steps on a GPU; false: launch each operation anew")

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
        uncut = {"top_p": 1, "top_k": 0, "min_completion_tokens": 0}  # the values that leave the policy's distribution whole
        for name, value in uncut.items():
            if getattr(self, name) != value:
                faults.append(
                    f"sampling.{name} must be {value} for training: a cut distribution makes every importance ratio wrong"
                )
        if self.thinking is not None:
            faults.append("sampling.thinking must be unset for training: forced tokens were not drawn from the policy")
        return faults


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
    compute_tokens: int | None = Field(
        default=None, ge=1, description="the run ends sooner, with the step that brings its metric compute_tokens up to this"
    )
    one_step_off: bool = Field(default=False, description="sample the next step from the weights before this update, beside it")
    micro_batch_tokens: int = Field(default=16_384, ge=1, description="tokens of one forward pass on one rank")
    layout: LayoutName | None = Field(
        default=None,
        description="shared: a group's prompt is computed once; packed: rows without padding; padded: one below the other; "
        "default: shared where the model's attention allows it, else padded",
    )
    threads: int | None = Field(default=None, ge=1, description="CPU threads a rank; default: cores / ranks")
    save_rollouts: bool = Field(default=True, description="keep every completion in rollouts/step-*.jsonl.gz")
    save_token_groups: int = Field(
        default=2, ge=0, description="groups a step whose tokens are kept with their log-probabilities and entropies; 0: none"
    )
    rollouts_megabytes: int | None = Field(
        default=None, ge=1, description="most that rollouts/ may hold: the newest steps stay; default: no limit"
    )
    self_check: bool = Field(default=True, description="before the first step, compare gradient and sampler with plain torch")
    memory_probe: bool | None = Field(default=None, description="run the longest micro-batch first; default: on a GPU")
    skip_updates: int = Field(
        default=3,
        ge=0,
        description="updates in a row that may be left out because a number is NaN or infinite; one more ends the run",
    )
    keep_dumps: int = Field(
        default=3,
        ge=0,
        description="of so many updates that were left out, the first ones, all is kept to repeat them; 0: none",
    )
    fingerprint_every_steps: int = Field(
        default=50, ge=0, description="how often ranks and sampler are asked whether they hold the same weights; 0: never"
    )

    @property
    def kept_token_groups(self) -> int:
        """Groups a step whose tokens are kept."""
        return self.save_token_groups if self.save_rollouts else 0


class CheckpointSettings(Settings):
    """When the state of the run is saved. A cold start removes its checkpoints once its model is there."""

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
    """Metrics always go to metrics.jsonl; Weights & Biases and others mirror them."""

    wandb: Literal["auto", "online", "offline", "disabled"] = Field(
        default="auto", description="auto: WANDB_MODE if set, else online with a key, else offline"
    )
    mirrors: tuple[Literal["tensorboard", "trackio"], ...] = Field(
        default=(), description="besides W&B: tensorboard (event files in the run directory), trackio (its own database)"
    )
    project: str = "reasonlab"
    group: str | None = Field(
        default=None,
        description="ties sft, rl and eval runs together; default: that of the run which made the model, else the run's name",
    )
    table_every_steps: int = Field(default=20, ge=1, description="how often a table of completions is logged")
    table_rows: int = Field(default=16, ge=1)


class WatchSettings(Settings):
    """How long ranks may get nowhere, and how long they have to end."""

    stall_seconds: float = Field(
        default=60.0, gt=0, description="a rank that gets nowhere for so long is named, with what it does and where it stands"
    )
    # less than the 30 seconds after which DeepSpeed's launcher, Slurm (KillWait) and Kubernetes kill, with some to end in
    grace_seconds: float = Field(
        default=25.0, ge=0, description="to save in after SIGTERM, SIGUSR1, Ctrl-C or a file STOP; then the run just ends"
    )


class RunConfig(Settings):
    """`reasonlab train`: reinforcement learning from verifiable rewards."""

    run: RunSettings
    model: ModelSettings
    problems: Sources
    curriculum: CurriculumSettings | None = Field(
        default=None, description="practise by difficulty as it is mastered: {by: level}"
    )
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
    watch: WatchSettings = WatchSettings()

    @model_validator(mode="after")
    def _consistent(self) -> "RunConfig":
        faults = self.sampling.faults_in_training()
        if self.algorithm.reference_reset_steps and self.model.lora is not None:
            faults.append("algorithm.reference_reset_steps needs a reference of its own; with model.lora it is the frozen base")
        if self.model.lora is not None and self.deepspeed.stage == 3 and not self.deepspeed.shard_frozen:
            faults.append(
                "deepspeed.stage 3 with model.lora shards the frozen base and keeps it whole for sampling besides, so it needs "
                "more memory than stage 1 or 2 and gathers the base three times a micro-batch: take one of these, or set "
                "deepspeed.shard_frozen=true to have it all the same"
            )
        if self.reward.overlong_buffer_tokens > self.sampling.max_completion_tokens:
            faults.append(
                f"reward.overlong_buffer_tokens {self.reward.overlong_buffer_tokens} is longer than "
                f"sampling.max_completion_tokens {self.sampling.max_completion_tokens}"
            )
        if self.sandbox.same_process:
            faults.append("sandbox.same_process lets a program that attacks its tests be paid; it is for evaluation only")
        if self.reward.overlong_weight and not self.reward.overlong_buffer_tokens:
            faults.append("reward.overlong_weight needs reward.overlong_buffer_tokens above 0, or it never applies")
        if self.reward.overlong_weight and self.algorithm.advantage == "maxrl":
            faults.append(
                "algorithm.advantage maxrl needs rewards of at least 0, and reward.overlong_weight makes them negative"
            )
        faults += faults_of_abstaining(self.prompt.abstention, self.reward, self.algorithm.advantage)
        if faults:
            raise ValueError("; ".join(faults))
        return self


class StyleMix(Settings):
    """Shares of the styles of worked solutions; they need not add up to one."""

    direct: float = Field(default=0.0, ge=0, description="answer at once")
    steps: float = Field(default=1.0, ge=0, description="step by step")
    checked: float = Field(default=0.0, ge=0, description="step by step, with a slip that is noticed and mended")

    @model_validator(mode="after")
    def _has_a_share(self) -> "StyleMix":
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
    micro_batch_tokens: int = Field(default=16_384, ge=1, description="tokens of one forward pass on one rank")
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
    pad_token: str | None = Field(default=None, description="for tokenizers without a pad token")
    dtype: Dtype = "fp32"
    attention: str = "sdpa"
    fused_kernels: bool = Field(default=True, description="Triton kernels on a GPU; false: plain torch")
    lora: LoraSettings | None = None

    @model_validator(mode="after")
    def _one_start(self) -> "SftModelSettings":
        if (self.path is None) == (self.tiny is None):
            raise ValueError("give exactly one of model.path (go on from a model) and model.tiny (make one)")
        return self


class SftConfig(Settings):
    """`reasonlab sft`: imitation of worked solutions. Sampling, reward and sandbox: of the evaluation inside the run."""

    run: RunSettings
    model: SftModelSettings
    problems: Sources
    styles: StyleMix | tuple[StyleMix, ...] = Field(
        default=StyleMix(), description="shares of the styles; a list: one mix for each entry of problems"
    )
    prompt: PromptSettings = PromptSettings()
    sft: SftSettings = SftSettings()
    checkpoint: CheckpointSettings = CheckpointSettings(every_steps=200)
    evaluation: HeldOutSettings = HeldOutSettings()
    sampling: SamplingSettings = SamplingSettings()
    reward: RewardConfig = RewardConfig()
    sandbox: SandboxSettings = SandboxSettings()
    tracking: TrackingSettings = TrackingSettings()
    watch: WatchSettings = WatchSettings()

    @model_validator(mode="after")
    def _styles_have_problems(self) -> "SftConfig":
        entries = {"problems": self.problems, "evaluation.problems": self.evaluation.problems or self.problems}
        if isinstance(self.styles, tuple):
            for name, sources in entries.items():
                if len(self.styles) != len(sources):
                    raise ValueError(
                        f"styles has {len(self.styles)} entries and {name} has {len(sources)}: "
                        "give one mix of styles for each entry, or a single mix for all"
                    )
        return self

    def styles_of(self, source: int) -> StyleMix:
        """Return the mix for problems of entry number `source`."""
        return self.styles[source] if isinstance(self.styles, tuple) else self.styles


def check_world(config: RunConfig, world_size: int) -> None:
    """Raise LabError where `world_size` ranks cannot share the groups of a step evenly."""
    problems = config.algorithm.num_problems
    group_size = config.algorithm.group_size
    if problems % world_size == 0:
        return
    below = problems // world_size * world_size
    above = below + world_size
    choices = f"{below} or {above}" if below else str(above)
    raise LabError(
        f"algorithm.num_problems = {problems} groups of {group_size} completions ({problems * group_size} in all) cannot be "
        f"split evenly over {world_size} ranks; use {choices} problems, or a number of ranks that divides {problems}"
    )
