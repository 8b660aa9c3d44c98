"""What the steps of `reasonlab gpu-check` share: the work and its model, our side with rollouts to learn from, drawing."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.gpu_rates import Found
from bench.material import make_model, run_config, synthetic_groups
from bench.ours import OurSide
from bench.sides import clock
from bench.work import WORKS, Work, toy
from rewards.pool import VerifierPool
from rl.memory import peak_memory_gb
from rl.policy.interfaces import CausalLM
from rl.policy.opening import load_model, load_tokenizer
from rl.runtime import device
from rl.sampling.decoding import Decoder, build_decoder
from rl.sampling.how_to_draw import HowToDraw
from rl.sampling.sampler import Sample, Sampler, SampleRequest
from rl.sampling.static import StaticDecoder
from rl.settings.schema import RunConfig

PROMPT_TOKENS = 128
_GROUP = 16  # completions of a prompt


def the_work(name: str, is_toy: bool) -> Work:
    """Return work d, or a toy of it, with everything else as it is."""
    work = WORKS[name]
    return replace(toy(work), dtype=work.dtype) if is_toy else work


def model_of(work: Work, scratch: Path) -> Path:
    """Return where `models` has put the model of `work`."""
    return scratch / work.name / "model"


def opened(work: Work, scratch: Path) -> tuple[RunConfig, CausalLM]:
    """Return settings with ZeRO 1 and the model, on the device."""
    path = model_of(work, scratch)
    if not path.is_dir():  # `models` was not among the steps
        make_model(work, scratch)
    config = run_config(work, path)
    deepspeed = config.deepspeed.model_copy(update={"stage": 1})
    return config.model_copy(update={"deepspeed": deepspeed}), load_model(config.model)


def side_with_rollouts(work: Work, scratch: Path) -> tuple[RunConfig, OurSide, Sequence[Any]]:
    """Return our trainer with rollouts to learn from."""
    config, _ = opened(work, scratch)
    tokenizer = load_tokenizer(config.model)
    frozen: Any = load_model(config.model, trainable=False).to(device())
    groups = synthetic_groups(work, frozen, tokenizer, config)
    del frozen
    with VerifierPool(1) as pool:
        side = OurSide(work, model_of(work, scratch), pool, groups, config)
    return config, side, groups


def requests(rows: int, vocabulary: int, prompt_tokens: int) -> list[SampleRequest]:
    """Return `rows` completions to draw, a group to a prompt of random tokens."""
    rng = np.random.default_rng(0)
    asked = []
    for number in range(max(1, rows // _GROUP)):
        prompt = rng.integers(10, vocabulary, prompt_tokens, dtype=np.int32)
        streams = tuple(("gpu-check", number, k) for k in range(min(rows, _GROUP)))
        asked.append(SampleRequest(prompt_ids=prompt, streams=streams))
    return asked


def draw(
    model: CausalLM, rows: int, prompt_tokens: int, tokens: int, *, cuda_graphs: bool = True
) -> tuple[float, list[Sample]]:
    """Draw `rows` completions of exactly `tokens` tokens; return the seconds and the samples."""
    sampler = Sampler(model=model, pad_id=0, stop_ids=frozenset(), max_rows=rows)
    asked = requests(rows, model.config.get_text_config().vocab_size, prompt_tokens)
    samples: list[Sample] = []
    started = clock()
    how = HowToDraw(temperature=1.0, max_tokens=tokens, cuda_graphs=cuda_graphs)
    sampler.sample(asked, how, samples.append)
    return clock() - started, samples


def decoding_rate(model: CausalLM, rows: int, prompt_tokens: int, tokens: int, *, cuda_graphs: bool) -> Found:
    """Tokens a second of `rows` completions of `tokens` tokens, and milliseconds of a step without prefill and recording."""
    draw(model, rows, prompt_tokens, 4, cuda_graphs=cuda_graphs)
    first, _ = draw(model, rows, prompt_tokens, 2, cuda_graphs=cuda_graphs)  # prefill, and recording a step
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    seconds, _ = draw(model, rows, prompt_tokens, tokens, cuda_graphs=cuda_graphs)
    return {
        "tokens": tokens,
        "tokens_a_second": rows * tokens / seconds,
        "milliseconds_a_step": 1e3 * (seconds - first) / (tokens - 2),
        "prefill_and_recording_seconds": first,
        "decoder": _name(build_decoder(model, rows, prompt_tokens + tokens, recorded=cuda_graphs)),
        "peak_memory_gb": peak_memory_gb(),
    }


def _name(decoder: Decoder) -> str:
    """Return which decoder it is, and how the elementwise work of its steps is done."""
    way = f", {decoder.way.name.lower()}" if isinstance(decoder, StaticDecoder) else ""
    return type(decoder).__name__ + way
