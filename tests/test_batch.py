"""The gradient does not depend on how the work is cut. In float64, to machine precision."""

import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support import random_groups, truncated

from rl.batch import collate, make_batch, plan_micro_batches
from rl.config import AlgorithmSettings, ModelSettings
from rl.logprobs import TokenLogprobs
from rl.loss import token_loss
from rl.policy import load_model
from rl.types import Batch, Group


@given(
    lengths=st.lists(st.integers(1, 50), min_size=1, max_size=40),
    ranks=st.integers(1, 5),
    budget=st.integers(1, 200),
)
def test_a_plan_holds_every_row_once_within_the_budget_and_gives_ranks_equal_counts(lengths, ranks, budget):
    plan = plan_micro_batches(lengths, ranks, budget)
    assert len({len(share) for share in plan}) == 1
    assert sorted(row for share in plan for cut in share for row in cut) == list(range(len(lengths)))
    for cut in (cut for share in plan for cut in share if cut):
        assert len(cut) == 1 or max(lengths[row] for row in cut) * len(cut) <= budget


def test_a_plan_balances_tokens_over_ranks():
    # 8 + 7 + 1 against 9 + 5 + 2: sixteen each
    plan = plan_micro_batches([9, 8, 7, 5, 2, 1], 2, 1000)
    lengths = [9, 8, 7, 5, 2, 1]
    assert [sum(lengths[row] for cut in share for row in cut) for share in plan] == [16, 16]


def gradient(model, batch: Batch, cuts, chunk_tokens: int = 1000) -> torch.Tensor:
    """Return the whole gradient of the loss over `cuts` of the batch's rows, as one vector."""
    model.zero_grad()
    scorer = TokenLogprobs(model, 1.0, chunk_tokens)
    for cut in cuts:
        micro = collate([batch.rows[i] for i in cut], 0, torch.device("cpu"))
        logprobs, _ = scorer(micro.input_ids, micro.positions, micro.targets)
        result = token_loss(logprobs, micro.sampling_logprobs.double(), micro.advantages.double(), clip_low=0.2, clip_high=0.28)
        (result.loss * micro.weights.double()).sum().backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()])


@pytest.fixture(scope="module")
def model(random_model):
    return load_model(ModelSettings(path=str(random_model))).double()


@pytest.fixture(scope="module")
def groups():
    return random_groups(vocabulary=100)


@pytest.mark.parametrize("loss", ["dapo", "grpo", "dr_grpo"])
def test_micro_batches_row_order_and_logit_chunks_do_not_change_the_gradient(model, groups, loss):
    batch = make_batch(groups, AlgorithmSettings(loss=loss), 20)
    count = len(batch.rows)
    whole = gradient(model, batch, [list(range(count))])
    shuffled = list(range(count))
    random.Random(0).shuffle(shuffled)
    planned = plan_micro_batches([row.length for row in batch.rows], 1, 40)[0]
    assert len(planned) > 3
    for cuts in ([[i] for i in range(count)], [shuffled[:4], shuffled[4:]], planned):
        # 1e-6: transformers computes rotary angles and norms in float32 even in a float64 model
        assert torch.allclose(gradient(model, batch, cuts), whole, rtol=1e-6, atol=1e-9)
    assert torch.allclose(gradient(model, batch, [list(range(count))], chunk_tokens=3), whole, rtol=1e-6, atol=1e-9)


def test_leaving_out_rows_without_advantage_does_not_change_the_gradient(model, groups):
    settings = AlgorithmSettings()
    dropped = make_batch(groups, settings, 20)
    kept = make_batch(groups, AlgorithmSettings(kl_coef=1.0), 20)  # a KL term keeps every row; it is not computed below
    assert len(kept.rows) == len(dropped.rows) + dropped.num_skipped_rows
    assert dropped.num_skipped_rows == len(groups)
    assert dropped.num_loss_tokens == kept.num_loss_tokens
    first = gradient(model, dropped, [list(range(len(dropped.rows)))])
    assert torch.allclose(first, gradient(model, kept, [list(range(len(kept.rows)))]), rtol=1e-6, atol=1e-9)


def test_truncated_completions_leave_numerator_and_denominator(groups):
    cut_short = truncated(groups[0].rollouts[1])
    first = Group(
        problem=groups[0].problem,
        rollouts=(groups[0].rollouts[0], cut_short, *groups[0].rollouts[2:]),
        advantages=groups[0].advantages,
    )
    counted = make_batch([first], AlgorithmSettings(), 20)
    masked = make_batch([first], AlgorithmSettings(mask_truncated=True), 20)
    assert masked.num_loss_tokens == counted.num_loss_tokens - len(cut_short.completion_ids)
    assert len(masked.rows) == len(counted.rows) - 1
    assert sum(row.token_weight for row in masked.rows) > sum(row.token_weight for row in counted.rows[1:])


def test_padding_and_entropy(model, groups):
    batch = make_batch(groups, AlgorithmSettings(), 20)
    scorer = TokenLogprobs(model, 1.0, 1000)
    micro = collate(batch.rows, 0, torch.device("cpu"))
    together, entropy = scorer(micro.input_ids, micro.positions, micro.targets)
    parts = []
    for row in batch.rows:
        alone = collate([row], 0, torch.device("cpu"))
        parts.append(scorer(alone.input_ids, alone.positions, alone.targets)[0])
    assert torch.allclose(torch.cat(parts), together, rtol=1e-6)
    logits = model(input_ids=micro.input_ids).logits.flatten(0, 1)[micro.positions]
    expected = torch.distributions.Categorical(logits=logits)
    assert torch.allclose(expected.log_prob(micro.targets), together)
    assert torch.allclose(expected.entropy(), entropy)
