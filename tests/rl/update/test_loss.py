"""The losses by hand, against finite differences, and against TRL's trainer on the same tensors."""

import math
import random
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
import torch
from support import batch_loss, random_groups

from rl.policy.opening import load_model, load_tokenizer
from rl.settings.algorithm import CLIP_DEFAULTS, AlgorithmSettings, CorrectionSettings, LossName
from rl.settings.schema import ModelSettings
from rl.update.batch import make_batch
from rl.update.logprobs import TokenLogprobs
from rl.update.loss import KL_IN_LOSS, LOSSES, Tokens, clipped, token_loss, total_loss

MAX_TOKENS = 20
CLIPPED = [name for name, loss in LOSSES.items() if loss.objective is clipped]


def tokens(ratios: list[float], advantages: list[float], rows: list[int] | None = None, **given: list[float]) -> Tokens:
    """Return tokens in float64 with log-probability log(ratio) under the policy and 0 under the old one and the sampler."""
    tensors = {name: torch.tensor(values, dtype=torch.float64) for name, values in given.items()}
    zeros = torch.zeros(len(ratios), dtype=torch.float64)
    standard = {
        "logprobs": torch.tensor(ratios, dtype=torch.float64).log().requires_grad_(),
        "old_logprobs": zeros,
        "sampling_logprobs": zeros,
        "entropies": zeros,
        "advantages": torch.tensor(advantages, dtype=torch.float64),
    }
    return Tokens(**(standard | tensors), rows=torch.tensor(rows or [0] * len(ratios)))


def losses(given: Tokens, **settings: Any) -> list[float]:
    return token_loss(given, AlgorithmSettings(**settings)).loss.tolist()


# ---- by hand


@pytest.mark.parametrize("loss", ["dapo", "grpo", "dr_grpo", "bnpo"])
def test_clipped_objective_by_hand(loss):
    found = losses(tokens([1.0, 1.5, 0.5, 0.5, 1.5], [2.0, 2.0, 2.0, -2.0, -2.0]), loss=loss)
    # no clip; clipped at 1.28; free where moving on is bounded anyway; clipped at 0.8; a bad action that became likelier is
    # never clipped
    assert found == pytest.approx([-2.0, -1.28 * 2, -0.5 * 2, 0.8 * 2, 1.5 * 2])


def test_clip_metrics_by_hand():
    result = token_loss(tokens([1.0, 1.5, 0.5, 0.5, 1.5], [2.0, 2.0, 2.0, -2.0, -2.0]), AlgorithmSettings())
    assert result.clipped_high.tolist() == [False, True, False, False, False]
    assert result.clipped_low.tolist() == [False, False, False, True, False]
    result = token_loss(tokens([4.0, 6.0, 6.0], [1.0, 1.0, -1.0]), AlgorithmSettings(loss="cispo"))
    assert result.clipped_high.tolist() == [False, True, False]


def test_two_sided_clip_bounds_the_loss_of_a_bad_token_by_hand():
    # 5 is above the bound of 4, 3 below it; a positive advantage is clipped at 1.28 as ever
    assert losses(tokens([5.0, 3.0, 5.0], [-1.0, -1.0, 1.0]), clip_two_sided=4.0) == pytest.approx([4.0, 3.0, -1.28])


def test_gspo_has_one_ratio_a_sequence_by_hand():
    # row 0: sqrt(2 * 1/2) = 1, no clip; row 1: sqrt(4 * 1/16) = 1/2 with A < 0 is clipped at 0.8, with A > 0 it would be free
    given = tokens([2.0, 4.0, 0.5, 1 / 16], [1.0, -1.0, 1.0, -1.0], rows=[0, 1, 0, 1])
    result = token_loss(given, AlgorithmSettings(loss="gspo", clip_low=0.2, clip_high=0.3))
    assert result.loss.tolist() == pytest.approx([-1.0, 0.8, -1.0, 0.8])
    (result.loss / 2).sum().backward()  # each token weighs 1 / 2, as in the mean over the sequence
    # the sequence's loss is -exp(mean log ratio) A: half of -1 for each token; nothing through the clip
    assert given.logprobs.grad.tolist() == pytest.approx([-0.5, 0.0, -0.5, 0.0])


def test_cispo_by_hand():
    given = tokens([2.0, 10.0, 0.5], [1.0, 1.0, -3.0])
    result = token_loss(given, AlgorithmSettings(loss="cispo"))
    # weights 2, 5 (clipped at 1 + 4) and 0.5; -w A log p
    assert result.loss.tolist() == pytest.approx([-2 * math.log(2), -5 * math.log(10), 1.5 * math.log(0.5)])
    result.loss.sum().backward()
    assert given.logprobs.grad.tolist() == pytest.approx([-2.0, -5.0, 1.5])  # -w A: the clipped token still learns


def test_sapo_by_hand():
    # 4 sigmoid(0) = 2; 4 sigmoid(1) = 2.924234; 4 / 1.05 sigmoid(1.05) = 2.822000
    found = losses(tokens([1.0, 2.0, 2.0], [1.0, 1.0, -1.0]), loss="sapo")
    assert found == pytest.approx([-2.0, -2.924234, 2.822000], abs=1e-6)


def test_reinforce_by_hand():
    assert losses(tokens([0.5, 0.5], [2.0, -1.0]), loss="reinforce") == pytest.approx([2 * math.log(2), -math.log(2)])


@pytest.mark.parametrize("loss", LOSSES)
def test_on_policy_every_loss_has_the_gradient_of_reinforce(loss):
    rows, advantages = [0, 0, 0, 1, 1], [1.5, 1.5, 1.5, -0.5, -0.5]
    given = tokens([0.1, 0.7, 0.2, 0.9, 0.4], advantages, rows)
    given = replace(given, old_logprobs=given.logprobs.detach())
    token_loss(given, AlgorithmSettings(loss=loss)).loss.sum().backward()
    assert given.logprobs.grad.tolist() == pytest.approx([-a for a in advantages])


@pytest.mark.parametrize(
    ("kl", "expected"),
    [
        # the policy has 1/2, the reference 1/4: log ratio log 2
        ("k2", math.log(2) ** 2 / 2),
        ("k3", 0.5 + math.log(2) - 1),
        ("k3_corrected", 0.5 / 0.25 * (0.5 + math.log(2) - 1)),  # the old policy has 1/4
    ],
)
def test_kl_by_hand(kl, expected):
    given = tokens([0.5], [0.0], old_logprobs=[math.log(0.25)], reference_logprobs=[math.log(0.25)])
    result = token_loss(given, AlgorithmSettings(kl=kl, kl_coef=0.1))
    assert result.kl.item() == pytest.approx(expected)
    assert result.loss.item() == pytest.approx(0.1 * expected)


def test_k1_is_no_part_of_the_loss():
    given = tokens([0.5], [1.0], reference_logprobs=[-3.0])
    assert token_loss(given, AlgorithmSettings(kl="k1", kl_coef=0.1)).kl is None
    assert losses(given, kl="k1", kl_coef=0.1) == losses(given)


def test_correction_by_hand():
    # old policy / sampler is 3, 1/3; 3, 3; 4, 1/2: geometric means 1, 3 and sqrt 2
    given = tokens([1.0] * 6, [1.0] * 6, rows=[0, 0, 1, 1, 2, 2])
    given = replace(given, sampling_logprobs=-torch.tensor([3, 1 / 3, 3, 3, 4, 0.5], dtype=torch.float64).log())
    capped = token_loss(given, AlgorithmSettings(correction=CorrectionSettings(token_cap=2.0)))
    assert capped.correction.tolist() == pytest.approx([2, 1 / 3, 2, 2, 2, 0.5])
    assert capped.loss.tolist() == pytest.approx([-2, -1 / 3, -2, -2, -2, -0.5])
    masked = token_loss(given, AlgorithmSettings(correction=CorrectionSettings(token_cap=2.0, sequence_mask=(0.5, 1.5))))
    assert masked.correction.tolist() == pytest.approx([2, 1 / 3, 0, 0, 2, 0.5])
    uncapped = token_loss(given, AlgorithmSettings(correction=CorrectionSettings(token_cap=None, sequence_mask=(0.5, 1.2))))
    assert uncapped.correction.tolist() == pytest.approx([3, 1 / 3, 0, 0, 0, 0])


def test_correction_leaves_the_kl_alone_and_has_no_gradient():
    given = tokens([1.0], [1.0], sampling_logprobs=[-math.log(3)], reference_logprobs=[-1.0])
    given = replace(given, old_logprobs=given.logprobs.detach())
    result = token_loss(given, AlgorithmSettings(kl="k2", kl_coef=0.5, correction=CorrectionSettings(token_cap=10.0)))
    result.loss.sum().backward()
    assert given.logprobs.grad.item() == pytest.approx(-3.0 + 0.5 * 1.0)  # 3 times -A; the gradient of d² / 2 is d


def test_entropy_bonus_by_hand():
    entropies = torch.tensor([1.0, 3.0], dtype=torch.float64, requires_grad=True)
    given = replace(tokens([1.0, 1.0], [1.0, -2.0]), entropies=entropies)
    settings = AlgorithmSettings(entropy_coef=0.1)
    weights = torch.tensor([0.25, 0.5], dtype=torch.float64)
    loss = total_loss(token_loss(given, settings), given, weights, torch.tensor([0.5, 0.5]), settings)
    loss.backward()
    assert loss.item() == pytest.approx(-0.25 + 1.0 - 0.1 * 2.0)
    assert entropies.grad.tolist() == pytest.approx([-0.05, -0.05])


def test_an_entropy_bonus_without_a_gradient_is_an_error():
    given, settings = tokens([1.0], [1.0]), AlgorithmSettings(entropy_coef=0.1)
    with pytest.raises(AssertionError, match="entropies with a gradient"):
        total_loss(token_loss(given, settings), given, torch.ones(1), torch.ones(1), settings)


def test_token_weights_by_hand():
    # completions of 1 and 3 tokens, limit 10
    by_token, by_completion, fixed = [0.25, 0.25], [0.5, 1 / 6], [0.05, 0.05]
    expected = {"dapo": by_token, "bnpo": by_token, "cispo": by_token, "grpo": by_completion, "gspo": by_completion}
    expected |= {"sapo": by_completion, "dr_grpo": fixed, "reinforce": fixed}
    assert {name: loss.weights([1, 3], 10) for name, loss in LOSSES.items()} == expected


def test_every_loss_is_a_setting_with_a_clip_of_its_own():
    assert set(get_args(LossName)) == set(LOSSES)  # a name without a loss would end a run only after it has sampled
    assert set(CLIP_DEFAULTS) == set(LOSSES) - {"sapo", "reinforce"}  # these two clip nothing
    assert all(AlgorithmSettings.model_validate({"loss": name}).loss == name for name in LOSSES)


# ---- finite differences; where cispo stops a gradient the two must differ, its own is above


@pytest.mark.parametrize("correction", [None, {"token_cap": 1.2, "sequence_mask": [0.9, 1.1]}], ids=["", "corrected"])
@pytest.mark.parametrize("kl", [None, *KL_IN_LOSS])
@pytest.mark.parametrize("loss", sorted(set(LOSSES) - {"cispo"}))
def test_gradient_agrees_with_finite_differences(loss, kl, correction):
    generator = torch.Generator().manual_seed(0)

    def noise() -> torch.Tensor:
        return torch.randn(40, dtype=torch.float64, generator=generator) * 0.3

    old, advantages = noise() - 2, noise()
    given = tokens([1.0] * 40, [1.0] * 40, rows=torch.arange(40).remainder(7).tolist())
    given = replace(given, old_logprobs=old, advantages=advantages, sampling_logprobs=old + noise(), reference_logprobs=noise())
    extra = {"kl": kl, "kl_coef": 0.3} if kl else {}
    if loss in CLIPPED:
        extra["clip_two_sided"] = 1.5
    settings = AlgorithmSettings(loss=loss, correction=correction, **extra)
    start = (old + noise()).requires_grad_()
    assert torch.autograd.gradcheck(lambda new: token_loss(replace(given, logprobs=new), settings).loss, (start,), atol=1e-7)


# ---- whole batches: cuts, and TRL


def padded(groups, name, dtype=torch.float64):
    """Return one value a completion token as [B, T], zero on the right."""
    arrays = [getattr(r, name) for g in groups for r in g.rollouts]
    result = torch.zeros(len(arrays), max(map(len, arrays)), dtype=dtype)
    for row, array in zip(result, arrays, strict=True):
        row[: len(array)] = torch.as_tensor(array)
    return result


class Fixture:
    """Rollouts and, for each of their tokens [B, T], log-probabilities of four policies and the entropy."""

    def __init__(self, dtype: torch.dtype = torch.float64):
        self.groups = random_groups(vocabulary=100, count=6)
        self.members = [r for g in self.groups for r in g.rollouts]
        generator = torch.Generator().manual_seed(3)
        self.sampling = padded(self.groups, "sampling_logprobs")

        def near(scale: float) -> torch.Tensor:
            return (self.sampling + scale * torch.randn(self.sampling.shape, dtype=torch.float64, generator=generator)).to(
                dtype
            )

        self.old, self.reference = near(0.1), near(0.3)
        self.policy = (self.old + near(0.3) - self.sampling).to(dtype).requires_grad_()
        self.entropies = padded(self.groups, "sampling_entropies", dtype).requires_grad_()
        self.sampling = self.sampling.to(dtype)

    def loss(self, settings: AlgorithmSettings, cuts: int = 1) -> torch.Tensor:
        """Return the loss of the whole batch, its rows dealt into `cuts` micro-batches in any order."""
        batch = make_batch(self.groups, settings, MAX_TOKENS)
        rows = list(batch.rows)
        if cuts > 1:
            random.Random(cuts).shuffle(rows)
        parts = [self._part(rows[k::cuts], settings) for k in range(min(cuts, len(rows)))]
        return sum(parts, torch.zeros((), dtype=self.policy.dtype))

    def _part(self, rows, settings: AlgorithmSettings) -> torch.Tensor:
        given = self.tokens(rows)
        weights, entropy_weights = (
            torch.as_tensor(np.concatenate([getattr(r, name) for r in rows])).to(self.policy.dtype)
            for name in ("weights", "entropy_weights")
        )
        return total_loss(token_loss(given, settings), given, weights, entropy_weights, settings)

    def tokens(self, rows) -> Tokens:
        """Return the tokens of these rows of a batch."""
        places = [next(i for i, r in enumerate(self.members) if r.completion_ids is row.completion_ids) for row in rows]

        def flat(values: torch.Tensor) -> torch.Tensor:
            return torch.cat([values[i, : len(row.weights)] for i, row in zip(places, rows, strict=True)])

        return Tokens(
            logprobs=flat(self.policy),
            old_logprobs=flat(self.old),
            sampling_logprobs=flat(self.sampling),
            reference_logprobs=flat(self.reference),
            advantages=torch.as_tensor(np.concatenate([row.advantages for row in rows])).to(self.policy.dtype),
            entropies=flat(self.entropies),
            rows=torch.cat([torch.full((len(row.weights),), number) for number, row in enumerate(rows)]),
        )

    def gradients(self) -> list[torch.Tensor]:
        """Return the gradients to the policy's log-probabilities and to the entropies."""
        zero = torch.zeros_like(self.policy)
        return [zero if values.grad is None else values.grad for values in (self.policy, self.entropies)]

    def trl_inputs(self) -> dict[str, torch.Tensor]:
        """Return the rollouts the way TRL holds them: prompts padded left, completions right."""
        width = max(len(r.prompt_ids) for r in self.members)
        prompts = torch.zeros(len(self.members), width, dtype=torch.long)
        prompt_mask = torch.zeros_like(prompts)
        for i, r in enumerate(self.members):
            prompts[i, width - len(r.prompt_ids) :] = torch.as_tensor(r.prompt_ids)
            prompt_mask[i, width - len(r.prompt_ids) :] = 1
        completions = padded(self.groups, "completion_ids", torch.long)
        mask = torch.arange(completions.shape[1]) < torch.tensor([[len(r.completion_ids)] for r in self.members])
        return {
            "prompt_ids": prompts,
            "prompt_mask": prompt_mask,
            "completion_ids": completions,
            "completion_mask": mask.long(),
            "advantages": torch.tensor([float(a) for g in self.groups for a in g.advantages], dtype=self.policy.dtype),
            "old_per_token_logps": self.old,
            "ref_per_token_logps": self.reference,
            "num_items_in_batch": mask.sum(),
        }

    def trl_correction(self, settings: AlgorithmSettings) -> torch.Tensor:
        """Return the weights of `settings.correction` the way TRL's loss takes them, [B, T]."""
        weights = torch.exp(self.old - self.sampling)
        low, high = settings.correction.sequence_mask or (0, math.inf)
        for i, member in enumerate(self.members):
            mean = weights[i, : len(member.completion_ids)].log().mean().exp()
            weights[i] *= low <= mean <= high
        return weights.clamp(max=settings.correction.token_cap)


ADDITIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "k3": {"kl_coef": 0.05},
    "corrected k3": {"kl_coef": 0.05, "kl": "k3_corrected"},
    "entropy bonus": {"entropy_coef": 0.1},
    "top entropy": {"top_entropy_quantile": 0.3},
    "token cap": {"correction": {"token_cap": 1.05}},
    "sequence mask": {"correction": {"sequence_mask": [0.97, 1.02]}},
    "all": {
        "kl_coef": 0.05,
        "kl": "k3_corrected",
        "entropy_coef": 0.1,
        "top_entropy_quantile": 0.3,
        "correction": {"token_cap": 1.05, "sequence_mask": [0.95, 1.05]},
    },
}
TWO_SIDED = {"clip_two_sided": 1.4}
CASES = [(loss, name) for loss in LOSSES if loss != "reinforce" for name in ADDITIONS] + [
    (loss, "two-sided") for loss in CLIPPED
]


def settings_of(loss: str, addition: str) -> AlgorithmSettings:
    clip = {"clip_low": 0.02, "clip_high": 0.03} if loss == "gspo" else {"clip_high": 0.2} if loss == "cispo" else {}
    added = TWO_SIDED if addition == "two-sided" else ADDITIONS[addition]
    return AlgorithmSettings.model_validate({"loss": loss, **clip, **added})


@pytest.mark.parametrize("addition", ADDITIONS)
@pytest.mark.parametrize("loss", LOSSES)
def test_micro_batch_cuts_do_not_change_value_or_gradient(loss, addition):
    settings = settings_of(loss, addition)
    whole = Fixture()
    value = whole.loss(settings)
    value.backward()
    for cuts in (2, 5, 24):  # 24: every row alone
        cut = Fixture()
        part = cut.loss(settings, cuts)
        part.backward()
        assert part.item() == pytest.approx(value.item(), rel=1e-12)
        for ours, theirs in zip(cut.gradients(), whole.gradients(), strict=True):
            assert torch.allclose(ours, theirs, rtol=1e-13, atol=1e-17)
    assert whole.gradients()[0].abs().sum() > 0


@pytest.fixture(scope="module")
def trl_trainer(random_model, tmp_path_factory):
    """Return a function that makes a GRPOTrainer of TRL with our settings."""
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    tokenizer = load_tokenizer(ModelSettings(path=str(random_model)))
    directory = str(tmp_path_factory.mktemp("trl"))

    def make(settings):
        low, high = settings.clip_low, settings.clip_high
        config = GRPOConfig(
            output_dir=directory,
            loss_type="grpo" if settings.loss == "gspo" else settings.loss,
            importance_sampling_level="sequence" if settings.loss == "gspo" else "token",
            epsilon=0.2 if low is None else low,
            # TRL's number for cispo is the bound itself
            epsilon_high=settings.ratio_bounds[1] if settings.loss == "cispo" else 0.28 if high is None else high,
            delta=settings.clip_two_sided,
            beta=settings.kl_coef,
            use_bias_correction_kl=settings.kl == "k3_corrected",
            entropy_coef=settings.entropy_coef,
            top_entropy_quantile=settings.top_entropy_quantile,
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
            processing_class=tokenizer,
        )
        trainer.model.train()
        trainer.current_gradient_accumulation_steps = 1
        trainer.use_vllm = settings.correction is not None  # all that this says to the loss is that there are weights
        return trainer

    return make


@pytest.mark.parametrize(("loss", "addition"), CASES)
def test_value_and_gradient_agree_with_trl_on_fixed_log_probabilities(trl_trainer, monkeypatch, loss, addition):
    settings = settings_of(loss, addition)
    trainer = trl_trainer(settings)
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 1e-5)):
        ours, theirs = Fixture(dtype), Fixture(dtype)
        our_value = ours.loss(settings)
        our_value.backward()

        found = (theirs.policy, theirs.entropies, None)
        monkeypatch.setattr(trainer, "_get_per_token_logps_and_entropies", lambda *a, found=found, **k: found)
        inputs = theirs.trl_inputs()
        if settings.correction is not None:
            inputs["importance_sampling_ratio"] = theirs.trl_correction(settings)
        their_value = trainer._compute_loss(trainer.model, inputs)
        their_value.backward()

        assert our_value.item() == pytest.approx(their_value.item(), rel=tolerance)
        for our_gradient, their_gradient in zip(ours.gradients(), theirs.gradients(), strict=True):
            scale = their_gradient.abs().max().item()
            assert torch.allclose(our_gradient, their_gradient, rtol=tolerance, atol=tolerance * scale)
        assert ours.gradients()[0].abs().sum() > 0


def test_the_fixture_reaches_every_clip_mask_and_cap():
    fixture = Fixture()
    given = fixture.tokens(make_batch(fixture.groups, AlgorithmSettings(), MAX_TOKENS).rows)
    assert given.old_logprobs is not None
    for loss in (*CLIPPED, "cispo"):
        result = token_loss(given, settings_of(loss, "plain"))
        assert result.clipped_high.any()
        assert result.clipped_low.any() or loss == "cispo"
    assert ((given.logprobs - given.old_logprobs).exp() > 1.4)[given.advantages < 0].any()
    for addition in ("sequence mask", "all"):
        masked = (token_loss(given, settings_of("dapo", addition)).correction == 0).double().mean()
        assert 0.1 < masked < 0.9
    assert (token_loss(given, settings_of("dapo", "token cap")).correction == 1.05).any()


def test_whole_gradient_through_the_model_agrees_with_trl(trl_trainer, random_model):
    settings, fixture = AlgorithmSettings(), Fixture()
    model = load_model(ModelSettings(path=str(random_model)))
    batch = make_batch(fixture.groups, settings, MAX_TOKENS)
    batch_loss(TokenLogprobs(model, 1.0), batch, [range(len(batch.rows))], settings)[0].backward()

    trainer = trl_trainer(settings)
    inputs = fixture.trl_inputs() | {"old_per_token_logps": fixture.sampling}
    trainer._compute_loss(trainer.model, inputs).backward()
    for (name, ours), theirs in zip(model.named_parameters(), trainer.model.parameters(), strict=True):
        assert ours.grad is not None
        # float32; prompts are padded on other sides, so rounding differs
        assert torch.allclose(ours.grad, theirs.grad.float(), rtol=1e-4, atol=1e-6), name
