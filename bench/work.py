"""What the benchmark does: the works a to e by their sizes. Imports no torch, so that a wrong letter is told at once."""

from dataclasses import dataclass, replace
from typing import Literal

from problems.errors import LabError

QWEN_VOCABULARY = 151_936


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A decoder with random weights and tied embeddings."""

    family: Literal["qwen2", "qwen3"] = "qwen3"
    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int | None = None  # None: what the character tokenizer has


@dataclass(frozen=True, kw_only=True)
class Work:
    """One kind of work; sizes are tokens. `shape` None is a trained model and the problems of `config`."""

    name: str
    title: str
    shape: Shape | None
    num_problems: int
    group_size: int
    prompt_tokens: int | None
    mean_tokens: int | None
    max_tokens: int
    config: str = "demo.yaml"  # in configs/: our settings, but for the sizes here
    fetched: str | None = None  # the model, by the name that `reasonlab fetch` has for it
    dtype: Literal["fp32", "bf16", "fastest"] = "fp32"  # fastest: bf16 where the processor has a matrix unit for it
    needs_cuda: bool = False
    on_request: bool = False  # left out where no work is named
    imitation_steps: int = 0
    warm_up: int = 1  # repetitions that do not count
    benches: tuple[str, ...] = ("update", "step", "sample")  # what `reasonlab bench` without a name measures

    @property
    def rows(self) -> int:
        """Completions of one step."""
        return self.num_problems * self.group_size


_TEN_MILLION = Shape(hidden=384, intermediate=1024, layers=6, heads=6, kv_heads=6)
_QWEN_HALF_BILLION = Shape(
    family="qwen2", hidden=896, intermediate=4864, layers=24, heads=14, kv_heads=2, vocabulary=QWEN_VOCABULARY
)
# few problems, so that the whole benchmark ends within 40 minutes on two cores; the head of (c) costs six times its layers
WORKS = {
    work.name: work
    for work in (
        Work(
            name="a", title="demo model, 0.34 M parameters, short prompts", shape=None, num_problems=32, group_size=16,
            prompt_tokens=None, mean_tokens=None, max_tokens=96, imitation_steps=400, warm_up=2,
        ),
        Work(
            name="b", title="10 M parameters, prompts of 512, completions up to 512", shape=_TEN_MILLION,
            num_problems=2, group_size=16, prompt_tokens=512, mean_tokens=100, max_tokens=512,
        ),
        Work(
            name="c", title="as b with Qwen2.5's vocabulary of 151,936 (tied embeddings)",
            shape=replace(_TEN_MILLION, vocabulary=QWEN_VOCABULARY),
            num_problems=1, group_size=16, prompt_tokens=512, mean_tokens=100, max_tokens=512,
            benches=("update",),  # TRL takes two minutes for one: a step as well would be over half an hour
        ),
        Work(
            name="d", title="0.5 B Qwen2 shape, bf16, on a GPU", shape=_QWEN_HALF_BILLION,
            num_problems=8, group_size=16, prompt_tokens=512, mean_tokens=200, max_tokens=1024, dtype="bf16", needs_cuda=True,
        ),
        Work(
            name="e", title="SmolLM2-135M-Instruct (fetched), counting letters", shape=None, num_problems=12, group_size=8,
            prompt_tokens=None, mean_tokens=None, max_tokens=72, config="smollm2-letters.yaml", fetched="smollm2-135m",
            dtype="fastest", on_request=True, benches=("update", "step", "sample"),
        ),
    )
}  # fmt: skip


def choose_works(names: str | None, any_device: bool = False) -> list[Work]:
    """Return the works of a comma-separated list (default: all this machine can do); raises LabError for others.

    With `any_device` those that need CUDA are done without it (at toy size).
    """
    asked = [work.name for work in WORKS.values() if not work.on_request] if names is None else names.split(",")
    for name in asked:
        if name not in WORKS:
            raise LabError(f"no work {name!r}; there are: {', '.join(f'{w.name} ({w.title})' for w in WORKS.values())}")
    chosen = [WORKS[name] for name in asked]
    missing = [work for work in chosen if work.needs_cuda and not any_device and not _has_cuda()]
    if missing and names is not None:
        raise LabError(f"work {missing[0].name} ({missing[0].title}) needs CUDA and torch finds none here: leave it out")
    return [work for work in chosen if work not in missing]


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def toy(work: Work) -> Work:
    """Return `work` at a size at which everything runs in seconds and no number means anything."""
    small = Shape(
        family=work.shape.family if work.shape else "qwen3", hidden=32, intermediate=64, layers=2, heads=4, kv_heads=2,
        vocabulary=512 if work.shape and work.shape.vocabulary else None,
    )  # fmt: skip
    return replace(
        work, shape=small, num_problems=2, group_size=4, prompt_tokens=24, mean_tokens=12, max_tokens=24, needs_cuda=False,
    )  # fmt: skip
