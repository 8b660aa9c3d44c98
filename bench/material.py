"""What the works are made of: models, tokenizers, problems, rewards and given rollouts.

(a) is the demo, (e) a pretrained model. The others have random weights, prompts of random characters and a reward that is a
hash of the text, so that every group has contrast and nothing is won by dropping rows. Their stop token has a logit that is a
constant above the rest, aimed through the weights, so that both sides draw lengths from one geometric distribution.
"""

import hashlib
import string
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch

from bench.work import Shape, Work
from problems.catalog import build_source
from problems.seeding import derive_seed
from problems.types import Problem, ProblemSource
from rewards.pool import VerifierPool
from rewards.types import STRICT, Reading, Reward, Verdict
from rewards.verifiers import verify
from rl.groups import group_up
from rl.policy.fetching import MODELS, fetch
from rl.policy.opening import DTYPES, plain_model
from rl.policy.prompts import render
from rl.policy.tiny import character_tokenizer
from rl.runtime import device, slow_precision
from rl.settings.loading import load_config
from rl.settings.schema import ModelSettings, RunConfig, SftConfig
from rl.types import Completion, Group, Rollout

ROOT = Path(__file__).resolve().parent.parent
SHORTEST = 8  # tokens of the shortest synthetic completion
_FIRST_FILLER = 0x20000  # code points from here on fill a larger vocabulary, one token each
_BIAS = 0.1  # every embedding carries it in channel 0: the direction in which the stop token is aimed
_PROBE_ROWS, _PROBE_TOKENS = 8, 256


def dtype_of(work: Work) -> str:
    """Return the precision of `work` on this machine."""
    if work.dtype != "fastest":
        return work.dtype
    return "fp32" if slow_precision("bf16") else "bf16"


def run_config(work: Work, model: Path) -> RunConfig:
    """Return our settings: those of its config, and for random weights a step too small to change what is sampled."""
    given = [f"model.path={model}", "model.cold_start=null", f"run.name=bench-{work.name}", "tracking.wandb=disabled"]
    given += [f"model.dtype={dtype_of(work)}", f"sampling.max_completion_tokens={work.max_tokens}"]
    given += [f"algorithm.num_problems={work.num_problems}", f"algorithm.group_size={work.group_size}"]
    if work.shape is not None:
        given += ["optimizer.learning_rate=1e-6", "optimizer.warmup_steps=0", "algorithm.max_sampling_rounds=1"]
    return load_config(RunConfig, [ROOT / "configs" / work.config], given).config


def tokenizer_of_size(vocabulary: int | None) -> Any:
    """Return the character tokenizer, filled up to `vocabulary` tokens of one rare character each."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    tokenizer = character_tokenizer()
    if vocabulary is None:
        return tokenizer
    known = tokenizer.get_vocab()
    fillers = {chr(_FIRST_FILLER + i): i for i in range(len(known), vocabulary)}
    core = Tokenizer(models.WordLevel({**known, **fillers}, unk_token=tokenizer.unk_token))
    core.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    core.decoder = decoders.Fuse()
    core.add_special_tokens(
        [token for token, i in sorted(known.items(), key=lambda pair: pair[1]) if i <= tokenizer.unk_token_id]
    )
    return type(tokenizer)(
        tokenizer_object=core, pad_token=tokenizer.pad_token, eos_token=tokenizer.eos_token, unk_token=tokenizer.unk_token,
        chat_template=tokenizer.chat_template, clean_up_tokenization_spaces=False, padding_side="left",
    )  # fmt: skip


def _decoder(shape: Shape, tokenizer: Any, positions: int) -> Any:
    from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

    config_class, model_class = (Qwen2Config, Qwen2ForCausalLM) if shape.family == "qwen2" else (Qwen3Config, Qwen3ForCausalLM)
    extra = {} if shape.family == "qwen2" else {"head_dim": shape.hidden // shape.heads}
    config = config_class(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=positions,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        **extra,
    )
    model = model_class(config)
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    return model


@torch.no_grad()
def aim_stop(model: Any, stop_id: int, mean_tokens: int) -> None:
    """Give token `stop_id` a probability of about 1 / `mean_tokens` everywhere, through its row of the (tied) head alone.

    Channel 0 of every embedding is a constant, so the final states share a direction; the row is the least-squares
    solution of state . row = log(sum of the other exponentials) - log(mean_tokens - 1) over random text.
    """
    weight = model.get_input_embeddings().weight  # [V, H]
    weight[:, 0] = _BIAS
    tokens = torch.randint(stop_id + 1, len(weight), (_PROBE_ROWS, _PROBE_TOKENS))
    states = model.get_decoder()(input_ids=tokens, use_cache=False).last_hidden_state.flatten(0, 1)  # [N, H]
    others = torch.arange(len(weight)) != stop_id
    wanted = torch.cat([torch.logsumexp(part @ weight[others].T, -1) for part in states.split(256)]) - np.log(mean_tokens - 1)
    ridge = 1e-4 * len(states) * torch.eye(states.shape[1])
    weight[stop_id] = torch.linalg.solve(states.T @ states + ridge, states.T @ wanted)


def make_model(work: Work, directory: Path) -> Path:
    """Write the model of `work` with its tokenizer below `directory`; the same bytes every time."""
    if work.fetched is not None:
        file = fetch(work.fetched, MODELS[work.fetched])
        return Path(plain_model(ModelSettings(path=str(file)), directory).path)  # both sides open the same plain directory
    if work.shape is None:
        from rl.sft import run_sft

        settings = [f"run.dir={directory}", f"sft.steps={work.imitation_steps}", "tracking.wandb=disabled"]
        return run_sft(load_config(SftConfig, [ROOT / "configs/demo-sft.yaml"], settings))
    assert work.prompt_tokens is not None
    assert work.mean_tokens is not None
    tokenizer = tokenizer_of_size(work.shape.vocabulary)
    torch.manual_seed(derive_seed("bench model", work.name) % 2**63)
    with device():  # on a GPU a large one is drawn there
        model = _decoder(work.shape, tokenizer, max(_PROBE_TOKENS, work.prompt_tokens + work.max_tokens))
        aim_stop(model, tokenizer.eos_token_id, work.mean_tokens)
    path = directory / work.name / "model"
    model.to(DTYPES[work.dtype]).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@dataclass(frozen=True, kw_only=True)
class NoiseSource:
    """Problems of random letters and digits that fill the prompt exactly: chat marks and text are `prompt_tokens`."""

    prompt_tokens: int

    def get(self, split: str, index: int) -> Problem:
        """Return problem `index` of `split`."""
        name = f"{split}-{index}"
        letters = Random(derive_seed("bench", split, index)).choices(
            string.ascii_letters + string.digits, k=self.prompt_tokens - 2
        )
        return Problem(id=name, domain="noise", split=split, prompt="".join(letters), reference=None, source="bench")


def problems_of(work: Work, config: RunConfig) -> ProblemSource:
    """Return where the prompts of `work` come from."""
    if work.prompt_tokens is None:
        return build_source(config.problems, derive_seed("train", config.run.seed))
    return NoiseSource(prompt_tokens=work.prompt_tokens)


def hash_verdict(text: str) -> Verdict:
    """Return a verdict that half of all texts get right, whatever they say."""
    return Verdict(status="correct" if hashlib.sha256(text.encode()).digest()[0] % 2 else "wrong")


class HashPool(VerifierPool):
    """A pool without workers that judges by `hash_verdict` at once."""

    def __init__(self) -> None:
        super().__init__(0)

    def submit(self, problem: Problem, completion: str, reading: Reading = STRICT) -> Future[Verdict]:
        """Return the verdict, already there."""
        future: Future[Verdict] = Future()
        future.set_result(hash_verdict(completion))
        return future


def pool_of(work: Work, config: RunConfig) -> VerifierPool:
    """Return the judges of `work`."""
    return VerifierPool(config.reward.workers) if work.shape is None else HashPool()


def reward_of(work: Work, problem: Problem, text: str) -> float:
    """Return the reward of `work` for a text, 0 or 1."""
    verdict = verify(problem, text) if work.shape is None else hash_verdict(text)
    return float(verdict.status == "correct")


def tail_lengths(count: int, mean: int, longest: int) -> list[int]:
    """Return `count` lengths from 8 to `longest`: quantiles of a geometric distribution with this mean, shuffled, always the
    same. The last quantile is put at `longest`, as the tail of a large sample would be.
    """
    middles = (np.arange(count) + 0.5) / count
    lengths = (SHORTEST - (mean - SHORTEST) * np.log1p(-middles)).round().astype(int).clip(SHORTEST, longest)
    lengths[-1] = longest
    return [int(length) for length in np.random.default_rng(0).permutation(lengths)]


@torch.no_grad()
def _logprobs(model: Any, prompt: Sequence[int], completion: Sequence[int], temperature: float) -> Any:
    ids = torch.tensor([[*prompt, *completion]], device=model.device)
    logits = model(input_ids=ids, logits_to_keep=len(completion) + 1).logits[0, :-1].float() / temperature
    chosen = torch.tensor(completion, device=model.device)[:, None]
    return torch.log_softmax(logits, -1).gather(-1, chosen)[:, 0].cpu().numpy()


def synthetic_groups(work: Work, model: Any, tokenizer: Any, config: RunConfig) -> tuple[Group, ...]:
    """Return groups of random tokens with rewards 0 and 1 in turn, and the model's own log-probabilities of them."""
    assert work.mean_tokens is not None
    lengths = tail_lengths(work.rows, work.mean_tokens, work.max_tokens)
    draw = np.random.default_rng(1)
    source = problems_of(work, config)
    grouped = []
    for number in range(work.num_problems):
        problem = source.get("train", number)
        prompt = render(problem, config.prompt, tokenizer)
        members = []
        for k in range(work.group_size):
            length = lengths[number * work.group_size + k]
            ids = draw.integers(tokenizer.unk_token_id + 1, len(tokenizer), length).astype(np.int32)
            if length < work.max_tokens:
                ids[-1] = tokenizer.eos_token_id
            logprobs = _logprobs(model, prompt.tolist(), ids.tolist(), config.sampling.temperature)
            members.append(_rollout(problem, prompt, ids, logprobs, k % 2 == 0))
        grouped.append(tuple(members))
    return tuple(group_up(grouped, config.algorithm))


def _rollout(problem: Problem, prompt: Any, ids: Any, logprobs: Any, right: bool) -> Rollout:
    return Rollout(
        problem=problem,
        prompt_ids=prompt,
        completion_ids=ids,
        sampling_logprobs=logprobs,
        completion=Completion(text="", finish_reason="stop", num_tokens=len(ids)),
        reward=Reward(
            parts={"correct": float(right)}, weights={"correct": 1.0}, verdict=Verdict(status="correct" if right else "wrong")
        ),
        reasoning_tokens=0,
        policy_step=0,
    )
