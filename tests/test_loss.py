"""The loss by hand, against finite differences, and against TRL's trainer on the same tensors."""

import math

import pytest
import torch
from support import random_groups

from rl.batch import collate, make_batch
from rl.config import AlgorithmSettings, ModelSettings
from rl.logprobs import TokenLogprobs
from rl.loss import TOKEN_WEIGHTS, token_loss
from rl.policy import load_model, load_tokenizer


def one(ratio: float, advantage: float) -> float:
    result = token_loss(
        torch.tensor([math.log(ratio)]), torch.zeros(1), torch.tensor([advantage]), clip_low=0.2, clip_high=0.28
    )
    return round(result.loss.item(), 6)


def test_clipped_objective_by_hand():
    assert one(1.0, 2.0) == -2.0
    assert one(1.5, 2.0) == -2.56  # clipped at 1.28: -(1.28 * 2)
    assert one(0.5, 2.0) == -1.0  # no clip where moving on is still bounded: -(0.5 * 2)
    assert one(0.5, -2.0) == 1.6  # clipped at 0.8: -(0.8 * -2)
    assert one(1.5, -2.0) == 3.0  # a bad action that became likelier is never clipped: -(1.5 * -2)


def test_k3_kl_by_hand():
    policy, reference = torch.tensor([math.log(0.5)]), torch.tensor([math.log(0.25)])
    result = token_loss(policy, policy, torch.zeros(1), clip_low=0.2, clip_high=0.2, reference_logprobs=reference, kl_coef=0.1)
    # d = log(0.25 / 0.5) = -0.6931; exp(d) - d - 1 = 0.5 + 0.6931 - 1 = 0.1931
    assert result.kl is not None
    assert result.kl.item() == pytest.approx(0.193147, abs=1e-5)
    assert result.loss.item() == pytest.approx(0.0193147, abs=1e-6)


def test_gradient_agrees_with_finite_differences():
    generator = torch.Generator().manual_seed(0)
    old, advantages, reference = (torch.randn(40, dtype=torch.float64, generator=generator) * 0.3 for _ in range(3))
    new = (old + torch.randn(40, dtype=torch.float64, generator=generator) * 0.3).requires_grad_()

    def loss(logprobs):
        return token_loss(
            logprobs, old, advantages, clip_low=0.2, clip_high=0.28, reference_logprobs=reference, kl_coef=0.3
        ).loss

    assert torch.autograd.gradcheck(loss, (new,), eps=1e-6, atol=1e-7)


def test_token_weights_by_hand():
    # completions of 1 and 3 tokens, limit 10
    assert TOKEN_WEIGHTS["dapo"]([1, 3], 10) == [0.25, 0.25]  # 4 tokens in all
    assert TOKEN_WEIGHTS["grpo"]([1, 3], 10) == [0.5, 1 / 6]  # half for each completion
    assert TOKEN_WEIGHTS["dr_grpo"]([1, 3], 10) == [0.05, 0.05]  # 2 completions of at most 10


MAX_TOKENS = 20


def padded(groups, name, dtype=torch.float64):
    """Return one value a completion token as [B, T], zero on the right."""
    arrays = [getattr(r, name) for g in groups for r in g.rollouts]
    result = torch.zeros(len(arrays), max(map(len, arrays)), dtype=dtype)
    for row, array in zip(result, arrays, strict=True):
        row[: len(array)] = torch.as_tensor(array)
    return result


def our_loss(groups, settings, logprobs, reference_logprobs):
    """Return our loss given log-probabilities [B, T] of the policy and of the reference."""
    members = [r for g in groups for r in g.rollouts]
    batch = make_batch(groups, settings, MAX_TOKENS)
    loss = torch.zeros((), dtype=torch.float64)
    for row in batch.rows:
        number = next(i for i, r in enumerate(members) if r.completion_ids is row.completion_ids)
        part = slice(0, len(row.completion_ids))
        result = token_loss(
            logprobs[number, part],
            torch.as_tensor(row.sampling_logprobs, dtype=torch.float64),
            torch.full((part.stop,), row.advantage, dtype=torch.float64),
            clip_low=settings.clip_low,
            clip_high=settings.clip_high,
            reference_logprobs=reference_logprobs[number, part] if settings.kl_coef else None,
            kl_coef=settings.kl_coef,
        )
        loss = loss + (result.loss * row.token_weight).sum()
    return loss


@pytest.fixture(scope="module")
def trl_trainer(random_model, tmp_path_factory):
    """Return a function that makes a GRPOTrainer of TRL with our settings."""
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    def make(settings):
        config = GRPOConfig(
            output_dir=str(tmp_path_factory.mktemp("trl")),
            loss_type=settings.loss,
            epsilon=settings.clip_low,
            epsilon_high=settings.clip_high,
            beta=settings.kl_coef,
            use_bias_correction_kl=False,
            max_completion_length=MAX_TOKENS,
            num_generations=4,
            per_device_train_batch_size=4,
            use_cpu=True,
            report_to=[],
            bf16=False,
        )
        trainer = GRPOTrainer(
            model=load_model(ModelSettings(path=str(random_model))),
            args=config,
            reward_funcs=lambda completions, **kwargs: [0.0] * len(completions),
            train_dataset=Dataset.from_list([{"prompt": "1+1=?"}] * 4),
            processing_class=load_tokenizer(ModelSettings(path=str(random_model))),
        )
        trainer.model.train()
        trainer.current_gradient_accumulation_steps = 1
        return trainer

    return make


def trl_inputs(groups, **extra):
    """Return the rollouts of `groups` the way TRL holds them: prompts padded left, completions right."""
    members = [r for g in groups for r in g.rollouts]
    width = max(len(r.prompt_ids) for r in members)
    prompts = torch.zeros(len(members), width, dtype=torch.long)
    prompt_mask = torch.zeros_like(prompts)
    for i, r in enumerate(members):
        prompts[i, width - len(r.prompt_ids) :] = torch.as_tensor(r.prompt_ids)
        prompt_mask[i, width - len(r.prompt_ids) :] = 1
    completions = padded(groups, "completion_ids", torch.long)
    mask = torch.arange(completions.shape[1]) < torch.tensor([[len(r.completion_ids)] for r in members])
    return {
        "prompt_ids": prompts,
        "prompt_mask": prompt_mask,
        "completion_ids": completions,
        "completion_mask": mask.long(),
        "advantages": torch.tensor([float(a) for g in groups for a in g.advantages], dtype=torch.float64),
        "old_per_token_logps": padded(groups, "sampling_logprobs"),
        "num_items_in_batch": mask.sum(),
        **extra,
    }


CASES = [("dapo", 0.0), ("grpo", 0.0), ("dr_grpo", 0.0), ("dapo", 0.05), ("grpo", 0.05)]


@pytest.mark.parametrize(("loss", "kl_coef"), CASES)
def test_value_and_gradient_agree_with_trl_on_fixed_log_probabilities(trl_trainer, monkeypatch, loss, kl_coef):
    settings = AlgorithmSettings(loss=loss, kl_coef=kl_coef)
    groups = random_groups(vocabulary=100, count=6)
    generator = torch.Generator().manual_seed(3)
    old = padded(groups, "sampling_logprobs")
    reference = old + 0.2 * torch.randn(old.shape, dtype=torch.float64, generator=generator)
    start = old + 0.3 * torch.randn(old.shape, dtype=torch.float64, generator=generator)

    ours = start.clone().requires_grad_()
    our_value = our_loss(groups, settings, ours, reference)
    our_value.backward()

    theirs = start.clone().requires_grad_()
    trainer = trl_trainer(settings)
    monkeypatch.setattr(trainer, "_get_per_token_logps_and_entropies", lambda *a, **k: (theirs, torch.zeros_like(theirs), None))
    their_value = trainer._compute_loss(trainer.model, trl_inputs(groups, ref_per_token_logps=reference))
    their_value.backward()

    assert our_value.item() == pytest.approx(their_value.item(), rel=1e-12)
    assert torch.allclose(ours.grad, theirs.grad, rtol=1e-12, atol=1e-15)
    assert ours.grad.abs().sum() > 0


def test_whole_gradient_through_the_model_agrees_with_trl(trl_trainer, random_model):
    settings = AlgorithmSettings()
    groups = random_groups(vocabulary=100, count=6)
    model = load_model(ModelSettings(path=str(random_model)))
    micro = collate(make_batch(groups, settings, MAX_TOKENS).rows, 0, torch.device("cpu"), "shared")
    logprobs, _ = TokenLogprobs(model, 1.0)(micro.token_rows, micro.targets)
    result = token_loss(logprobs, micro.sampling_logprobs, micro.advantages, clip_low=0.2, clip_high=0.28)
    (result.loss * micro.weights).sum().backward()

    trainer = trl_trainer(settings)
    trainer._compute_loss(trainer.model, trl_inputs(groups)).backward()
    for (name, ours), theirs in zip(model.named_parameters(), trainer.model.parameters(), strict=True):
        assert ours.grad is not None
        # float32; prompts are padded on other sides, so rounding differs
        assert torch.allclose(ours.grad, theirs.grad.float(), rtol=1e-4, atol=1e-6), name
