"""What `--dry-run` prints besides the settings: how the work is cut, what it needs in memory and on disk. Imports no torch.

The shape of a model comes from its config.json, or from the table below for the models of configs/, so that it works on
a machine that has neither the weights nor a network.
"""

import json
import os
from pathlib import Path
from typing import Any

from problems.errors import LabError
from rl.devices import nvidia_devices
from rl.settings.abstention import rule_in_words
from rl.settings.disk import Weights, checkpoint_bytes, checkpoints_at_once, completions_bytes, size_in_words
from rl.settings.model_files import ModelShape, gguf_shape, is_gguf
from rl.settings.schema import LOGIT_BUFFER_ELEMENTS, LOGIT_BUFFER_ELEMENTS_CUDA, RunConfig, check_world

GIB = 2**30


def _shape(layers: int, hidden: int, intermediate: int, heads: int, kv_heads: int, tied: bool, vocabulary: int) -> ModelShape:
    return ModelShape(
        layers=layers, hidden=hidden, intermediate=intermediate, vocabulary=vocabulary, heads=heads, kv_heads=kv_heads,
        head_dim=hidden // heads, tied=tied, stored="bf16",
    )  # fmt: skip


KNOWN = {
    "Qwen/Qwen2.5-0.5B": _shape(24, 896, 4864, 14, 2, True, 151_936),
    "Qwen/Qwen2.5-1.5B": _shape(28, 1536, 8960, 12, 2, True, 151_936),
    "Qwen/Qwen2.5-7B": _shape(28, 3584, 18_944, 28, 4, False, 152_064),
}


_STORED = {"bfloat16": "bf16", "float32": "fp32"}
_NEEDED_KEYS = {"num_attention_heads", "num_hidden_layers", "hidden_size", "intermediate_size", "vocab_size"}


def model_shape(path: str) -> ModelShape | None:
    """Return the shape of a local or known model, or None."""
    if is_gguf(path) and Path(path).is_file():
        return gguf_shape(Path(path))
    file = Path(path) / "config.json"
    if not file.is_file():
        return KNOWN.get(path.removesuffix("-Instruct"))
    try:
        data: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LabError(f"cannot read {file}: {error}") from None
    if not data.keys() >= _NEEDED_KEYS:
        return None  # another kind of model, with other names
    heads = data["num_attention_heads"]
    return ModelShape(
        layers=data["num_hidden_layers"],
        hidden=data["hidden_size"],
        intermediate=data["intermediate_size"],
        vocabulary=data["vocab_size"],
        heads=heads,
        kv_heads=data.get("num_key_value_heads", heads),
        head_dim=data.get("head_dim") or data["hidden_size"] // heads,
        tied=data.get("tie_word_embeddings", False),
        stored=_STORED.get(str(data.get("dtype") or data.get("torch_dtype"))),
    )


def _weights(config: RunConfig, shape: ModelShape) -> Weights:
    lora = config.model.lora
    if lora is None:
        return Weights(whole=shape.parameters, trained=shape.parameters)
    adapters = shape.lora_parameters(lora.r)
    return Weights(whole=shape.parameters + adapters, trained=adapters)


_FP32_BYTES = 4
# arrays that the backward pass needs, a layer and token: of the hidden size, and without checkpointing of the MLP's width
# too; fewer where fused kernels do the norms and the MLP (rl/update/fused.py: four families). A 0.5 B Qwen2 shape at 16,384
# tokens is planned at 25.0 GiB with them and needs 24.6; in plain torch it needs 29.9 (LOG.md)
_HIDDEN_KEPT_WITH_CHECKPOINTING, _HIDDEN_KEPT, _INTERMEDIATE_KEPT = 2, 10, 4
_HIDDEN_KEPT_FUSED, _INTERMEDIATE_KEPT_FUSED = 6, 3


def plans_for_gpu() -> bool:
    """Whether ranks will compute on GPUs: what CUDA_VISIBLE_DEVICES says, where it is set, or what devices this machine has."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return visible[:1].isdigit() or visible.startswith(("GPU-", "MIG-"))  # Slurm gives NoDevFiles to jobs without any
    return bool(nvidia_devices())


def memory_estimate(config: RunConfig, shape: ModelShape, world_size: int, *, on_gpu: bool) -> dict[str, float]:
    """Return GiB a rank by purpose; a rule of thumb to choose settings by, not a promise."""
    is_bf16 = config.model.dtype == "bf16"
    number_bytes = 2 if is_bf16 else 4
    adam_bytes = 12 if is_bf16 else 8  # two moments in fp32, and under bf16 the weights in fp32 too
    weights = _weights(config, shape)
    # a reference policy of its own; adapters have theirs in the frozen base
    reference = weights.whole if config.algorithm.kl_coef and config.model.lora is None else 0

    stage = config.deepspeed.stage  # ZeRO shards the optimizer from 1, gradients from 2, weights at 3
    optimizer_ranks = world_size if stage >= 1 else 1
    gradient_ranks = world_size if stage >= 2 else 1
    weight_ranks = world_size if stage == 3 else 1
    whole_copy = weights.whole if stage == 3 else 0
    copy_ahead = weights.trained if config.train.one_step_off else 0

    tokens = config.train.micro_batch_tokens
    is_fused = on_gpu and is_bf16 and config.model.fused_kernels
    if is_fused:
        layer = _HIDDEN_KEPT_FUSED * shape.hidden + _INTERMEDIATE_KEPT_FUSED * shape.intermediate
    else:
        layer = _HIDDEN_KEPT * shape.hidden + _INTERMEDIATE_KEPT * shape.intermediate
    if config.model.gradient_checkpointing:  # and one layer at a time whole, computed again
        activations = tokens * (shape.layers * _HIDDEN_KEPT_WITH_CHECKPOINTING * shape.hidden + layer)
    else:
        activations = tokens * shape.layers * layer
    at_one_time = LOGIT_BUFFER_ELEMENTS_CUDA if on_gpu else LOGIT_BUFFER_ELEMENTS
    logits = min(at_one_time, tokens * shape.vocabulary)
    cached_tokens = _rows(config, world_size) * config.sampling.max_completion_tokens

    num_bytes = {
        "weights": weights.whole * number_bytes / weight_ranks,
        "whole copy for sampling (ZeRO 3)": whole_copy * number_bytes,
        "copy for sampling ahead (one_step_off)": copy_ahead * number_bytes,
        "reference policy": reference * number_bytes,
        "gradients": weights.trained * number_bytes / gradient_ranks,
        "optimizer": weights.trained * adam_bytes / optimizer_ranks,
        "activations of a micro-batch": activations * number_bytes,
        # two buffers, see LOGIT_BUFFER_ELEMENTS; with fused kernels the second holds the gradient in bf16
        "logits of a buffer": logits * (_FP32_BYTES + number_bytes if is_fused else 2 * _FP32_BYTES),
        "fused weights while sampling": shape.fused_parameters(merged=config.model.lora is not None) * number_bytes * is_bf16,
        "KV cache while sampling, at full length": shape.cache_bytes(cached_tokens, number_bytes),
    }
    return {purpose: count / GIB for purpose, count in num_bytes.items()}


def peak_gib(gib: dict[str, float]) -> float:
    """Return the GiB of a `memory_estimate` that are in use at one time: sampling and training take turns."""
    sampling = gib["KV cache while sampling, at full length"] + gib["fused weights while sampling"]
    training = gib["gradients"] + gib["activations of a micro-batch"] + gib["logits of a buffer"]
    return sum(gib.values()) - sampling - training + max(sampling, training)


def describe_work(config: RunConfig) -> str:
    """Return how the work is cut and the memory it needs; raises LabError where the ranks cannot share the work."""
    ranks = asked_ranks()
    check_world(config, ranks)
    lines = ["Plan", *_work_lines(config, ranks)]
    if config.prompt.abstention is not None:
        lines.append(f"  abstaining: {rule_in_words(config.prompt.abstention, config.reward)}")
    shape = model_shape(config.model.path)
    if shape is None:
        lines.append(f"  memory: unknown, {config.model.path} has no config.json of a known shape here")
        return "\n".join([*lines, *_completions_lines(config)])
    lines += [*_memory_lines(config, shape, ranks), *_checkpoint_lines(config, shape), *_completions_lines(config)]
    lines.append("  to plan for N ranks: WORLD_SIZE=N reasonlab train --dry-run ...")
    return "\n".join(lines)


def asked_ranks() -> int:
    """Return the number of ranks to plan for."""
    ranks = os.environ.get("WORLD_SIZE", "1")
    if not ranks.isdecimal() or int(ranks) < 1:
        raise LabError(f"WORLD_SIZE must be a number of ranks, 1 or more; found {ranks!r}")
    return int(ranks)


def _work_lines(config: RunConfig, ranks: int) -> list[str]:
    algorithm, train = config.algorithm, config.train
    problems = algorithm.num_problems
    group_size = algorithm.group_size
    problems_a_rank = problems // ranks
    rounds = algorithm.max_sampling_rounds if algorithm.dynamic_sampling else 1
    updates = algorithm.epochs * algorithm.minibatches

    ranks_in_words = "1 rank" if ranks == 1 else f"{ranks} ranks"
    trained = "all weights" if config.model.lora is None else f"LoRA rank {config.model.lora.r}"
    repeated = f", {updates} optimizer steps a batch" if updates > 1 else ""
    return [
        f"  a step: {problems} problems x {group_size} completions = {problems * group_size} rollouts over {ranks_in_words}"
        f" ({problems_a_rank} problems, {problems_a_rank * group_size} rollouts each)",
        f"  a run: {train.steps} steps, at least {train.steps * problems} problems, at most {train.steps * rounds * problems}",
        f"  update: micro-batches of up to {train.micro_batch_tokens} tokens, one global denominator ({algorithm.loss}),"
        f" ZeRO {config.deepspeed.stage}, {config.model.dtype}, {trained}{repeated}",
    ]


def _memory_lines(config: RunConfig, shape: ModelShape, ranks: int) -> list[str]:
    on_gpu = plans_for_gpu()
    planned_for = "a GPU" if on_gpu else "a CPU (for a GPU elsewhere, or under WSL: CUDA_VISIBLE_DEVICES=0)"
    gib = memory_estimate(config, shape, ranks, on_gpu=on_gpu)
    is_large = shape.parameters > 1e8
    size = f"{shape.parameters / 1e9:.3g} B" if is_large else f"{shape.parameters:,}"
    return [
        f"  model: {size} parameters",
        f"  memory a rank, estimated for {planned_for}:",
        *(f"    {value:9.3f} GiB  {purpose}" for purpose, value in gib.items() if value),
        f"    {peak_gib(gib):9.3f} GiB  at the peak (sampling and training do not overlap)",
        f"    {_prompt_gib(config, shape, ranks):9.3f} GiB  more in the cache for every 100 tokens of the longest prompt",
        *_loading_lines(config, shape),
    ]


def _prompt_gib(config: RunConfig, shape: ModelShape, ranks: int) -> float:
    """Return GiB of the keys and values of 100 tokens a row; prompts are not known before the run, nor how many share one."""
    return shape.cache_bytes(100 * _rows(config, ranks), 2 if config.model.dtype == "bf16" else 4) / GIB


def _rows(config: RunConfig, world_size: int) -> int:
    """Return the rows that a rank samples at one time."""
    return min(config.sampling.max_rows, config.algorithm.num_problems * config.algorithm.group_size // world_size)


def _loading_lines(config: RunConfig, shape: ModelShape) -> list[str]:
    """Return what opening the model takes of a machine's own memory before the weights go to their device."""
    if shape.stored is None:
        return []
    gib = shape.parameters * (2 if config.model.dtype == "bf16" else 4) / GIB
    if shape.stored == config.model.dtype:
        return [f"  opening the model: {gib:.3f} GiB of a machine's memory, once: its ranks share the pages of the files"]
    how = f"weights stored in {shape.stored} become {config.model.dtype}"
    return [f"  opening the model: {gib:.3f} GiB of a machine's memory for each of its ranks, because {how}"]


def _checkpoint_lines(config: RunConfig, shape: ModelShape) -> list[str]:
    """Return what checkpoints take on the disk."""
    each = checkpoint_bytes(config, _weights(config, shape))
    most = checkpoints_at_once(config).most
    kept = f"keep_last {config.checkpoint.keep_last}" + (", the best" if config.evaluation.every_steps else "")
    next_one = ", the next until it is whole" if most > 1 else ""
    return [
        f"  disk: {size_in_words(each)} a checkpoint, up to {most} at one time ({kept}{next_one}): {size_in_words(most * each)}"
    ]


def _completions_lines(config: RunConfig) -> list[str]:
    """Return what completions take on the disk."""
    step = completions_bytes(config)
    if not step.most:
        return []
    often = "" if step.most == step.without_replacements else f" to {size_in_words(step.most)}"
    limit = config.train.rollouts_megabytes
    run = size_in_words(config.train.steps * step.most)
    bound = f"up to {run} in all steps" if limit is None else f"{limit} MB stay (train.rollouts_megabytes)"
    return [
        f"  completions on disk, all of full length: about {size_in_words(step.without_replacements)}{often} a step, {bound}"
    ]
