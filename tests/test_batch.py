"""The gradient does not depend on how the work is cut. In float64, to machine precision."""

import random
from dataclasses import replace

import numpy as np
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
from rl.types import Batch, Group, Row


def computed_tokens(rows, cut, layout: str) -> int:
    """Return the tokens that a micro-batch sends through the model."""
    if layout == "padded":
        return len(cut) * max(rows[i].length for i in cut)
    prompts = {rows[i].prompt_ids.tobytes() if layout == "shared" else i: len(rows[i].prompt_ids) for i in cut}
    return sum(prompts.values()) + sum(len(rows[i].completion_ids) for i in cut)


@given(
    lengths=st.lists(st.tuples(st.integers(0, 4), st.integers(1, 50)), min_size=1, max_size=40),
    ranks=st.integers(1, 5),
    budget=st.integers(1, 200),
    layout=st.sampled_from(["shared", "packed", "padded"]),
)
def test_a_plan_holds_every_row_once_within_the_budget_and_gives_ranks_equal_counts(lengths, ranks, budget, layout):
    rows = [row_of(prompt, length) for prompt, length in lengths]
    plan = plan_micro_batches(rows, ranks, budget, layout)
    assert len({len(share) for share in plan}) == 1
    assert sorted(row for share in plan for cut in share for row in cut) == list(range(len(lengths)))
    for cut in (cut for share in plan for cut in share if cut):
        assert len(cut) == 1 or computed_tokens(rows, cut, layout) <= budget


def row_of(prompt: int, length: int) -> Row:
    """Return a row whose prompt has 1 + `prompt` tokens and whose completion has `length`."""
    return Row(
        prompt_ids=np.full(1 + prompt, prompt, dtype=np.int32),
        completion_ids=np.zeros(length, dtype=np.int32),
        sampling_logprobs=np.zeros(length, dtype=np.float32),
        advantage=1.0,
        token_weight=1.0,
    )


@pytest.mark.parametrize("layout", ["shared", "packed", "padded"])
def test_a_plan_balances_tokens_over_ranks(layout):
    # with a prompt of one token each, 8 + 7 + 1 against 9 + 5 + 2: sixteen each
    rows = [replace(row_of(0, n - 1), prompt_ids=np.array([n], np.int32)) for n in (9, 8, 7, 5, 2)] + [row_of(0, 1)]
    plan = plan_micro_batches(rows, 2, 1000, layout)
    lengths = [9, 8, 7, 5, 2, 2]
    assert sorted(sum(lengths[row] for cut in share for row in cut) for share in plan) == [16, 17]


def test_a_single_group_is_cut_for_two_ranks():
    rows = [row_of(4, 10) for _ in range(8)]
    plan = plan_micro_batches(rows, 2, 1000, "shared")
    assert [sum(map(len, share)) for share in plan] == [4, 4]


def gradient(model, batch: Batch, cuts, buffer_elements: int = 10**6, layout: str = "shared") -> torch.Tensor:
    """Return the whole gradient of the loss over `cuts` of the batch's rows, as one vector."""
    model.zero_grad()
    scorer = TokenLogprobs(model, 1.0, buffer_elements)
    for cut in cuts:
        micro = collate([batch.rows[i] for i in cut], 0, torch.device("cpu"), layout)
        logprobs, _ = scorer(micro.token_rows, micro.targets)
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
    planned = plan_micro_batches(batch.rows, 1, 40, "shared")[0]
    assert len(planned) > 3
    for cuts in ([[i] for i in range(count)], [shuffled[:4], shuffled[4:]], planned):
        # 1e-6: transformers computes rotary angles and norms in float32 even in a float64 model
        assert torch.allclose(gradient(model, batch, cuts), whole, rtol=1e-6, atol=1e-9)
    assert torch.allclose(gradient(model, batch, [list(range(count))], buffer_elements=300), whole, rtol=1e-6, atol=1e-9)


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
    scorer = TokenLogprobs(model, 1.0)
    micro = collate(batch.rows, 0, torch.device("cpu"), "padded")
    together, entropy = scorer(micro.token_rows, micro.targets)
    parts = []
    for row in batch.rows:
        alone = collate([row], 0, torch.device("cpu"), "padded")
        parts.append(scorer(alone.token_rows, alone.targets)[0])
    assert torch.allclose(torch.cat(parts), together, rtol=1e-6)
    logits = model(input_ids=micro.token_rows.input_ids).logits.flatten(0, 1)[micro.token_rows.positions]
    expected = torch.distributions.Categorical(logits=logits)
    assert torch.allclose(expected.log_prob(micro.targets), together)
    assert torch.allclose(expected.entropy(), entropy)
