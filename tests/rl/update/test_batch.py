"""The gradient does not depend on how the work is cut. In float64, to machine precision."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support import batch_loss, double_model, random_groups, rollout, truncated

from problems.errors import LabError
from rl.settings.algorithm import AlgorithmSettings
from rl.settings.schema import ModelSettings
from rl.types import Batch, Group, Row
from rl.update.batch import collate, cut_micro_batches, make_batch
from rl.update.logprobs import TokenLogprobs
from rl.update.loss import LOSSES


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
    plan = cut_micro_batches(rows, ranks, budget, layout)
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
        advantages=np.ones(length),
        weights=np.ones(length),
        entropy_weights=np.zeros(length),
    )


def test_tokens_count_that_weigh_in_the_loss_or_in_the_bonus():
    first, second = row_of(0, 3), row_of(1, 2)
    rows = [
        replace(first, weights=np.array([0.0, 0.5, 0.0]), entropy_weights=np.array([0.0, 0.5, 0.5])),
        replace(second, weights=np.array([-1.0, 0.0])),
    ]
    # tokens 0 to 2 are the first row's, 3 and 4 the second's
    assert collate(rows, 0, torch.device("cpu"), "shared").counting.tolist() == [1, 2, 3]


@pytest.mark.parametrize("layout", ["shared", "packed", "padded"])
def test_a_plan_balances_tokens_over_ranks(layout):
    # with a prompt of one token each, 8 + 7 + 1 against 9 + 5 + 2: sixteen each
    rows = [replace(row_of(0, n - 1), prompt_ids=np.array([n], np.int32)) for n in (9, 8, 7, 5, 2)] + [row_of(0, 1)]
    plan = cut_micro_batches(rows, 2, 1000, layout)
    lengths = [9, 8, 7, 5, 2, 2]
    assert sorted(sum(lengths[row] for cut in share for row in cut) for share in plan) == [16, 17]


def test_a_single_group_is_cut_for_two_ranks():
    rows = [row_of(4, 10) for _ in range(8)]
    plan = cut_micro_batches(rows, 2, 1000, "shared")
    assert [sum(map(len, share)) for share in plan] == [4, 4]


def gradient(
    model, batch: Batch, cuts, settings: AlgorithmSettings, buffer_elements: int = 10**6, layout: str = "shared"
) -> torch.Tensor:
    """Return the whole gradient of the loss over `cuts` of the batch's rows, as one vector."""
    model.zero_grad()
    for part in batch_loss(TokenLogprobs(model, 1.0, buffer_elements), batch, cuts, settings, layout):
        part.backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()])


@pytest.fixture(scope="module")
def model(random_model):
    return double_model(ModelSettings(path=str(random_model)))


@pytest.fixture(scope="module")
def groups():
    return random_groups(vocabulary=100)


@pytest.mark.parametrize("loss", LOSSES)
def test_micro_batches_row_order_and_logit_chunks_do_not_change_the_gradient(model, groups, loss):
    settings = AlgorithmSettings(loss=loss)
    batch = make_batch(groups, settings, 20)
    count = len(batch.rows)
    whole = gradient(model, batch, [list(range(count))], settings)
    shuffled = list(range(count))
    random.Random(0).shuffle(shuffled)
    planned = cut_micro_batches(batch.rows, 1, 40, "shared")[0]
    assert len(planned) > 3
    for cuts in ([[i] for i in range(count)], [shuffled[:4], shuffled[4:]], planned):
        # 1e-6: transformers computes rotary angles and norms in float32 even in a float64 model
        assert torch.allclose(gradient(model, batch, cuts, settings), whole, rtol=1e-6, atol=1e-9)
    assert torch.allclose(
        gradient(model, batch, [list(range(count))], settings, buffer_elements=300), whole, rtol=1e-6, atol=1e-9
    )


def test_leaving_out_rows_without_advantage_does_not_change_the_gradient(model, groups):
    settings = AlgorithmSettings()
    dropped = make_batch(groups, settings, 20)
    kept = make_batch(groups, AlgorithmSettings(kl_coef=1.0), 20)  # a KL term keeps every row; it is not computed below
    assert len(kept.rows) == len(dropped.rows) + dropped.num_skipped_rows
    assert dropped.num_skipped_rows == len(groups)
    assert dropped.num_loss_tokens == kept.num_loss_tokens
    first = gradient(model, dropped, [list(range(len(dropped.rows)))], settings)
    assert torch.allclose(first, gradient(model, kept, [list(range(len(kept.rows)))], settings), rtol=1e-6, atol=1e-9)


def two_rows(**settings) -> Batch:
    """Return the batch of completions of 2 and 3 tokens with advantages 1 and -1 under a limit of 10."""
    members = (
        rollout([9], [10, 11], [-1, -1], 1.0, entropies=[0.1, 0.5]),
        rollout([9], [10, 11, 12], [-1, -1, -1], 0.0, entropies=[0.2, 0.9, 0.7]),
    )
    group = Group(problem=members[0].problem, rollouts=members, advantages=np.array([1, -1], dtype=np.float32))
    return make_batch([group], AlgorithmSettings(**settings), 10)


def test_only_the_tokens_of_highest_entropy_count_and_the_denominator_stays():
    # quantile 0.4 of 0.1 0.2 0.5 0.7 0.9: at 1.6, 0.2 + 0.6 * 0.3 = 0.38; three tokens lie above
    first, second = two_rows(top_entropy_quantile=0.6).rows
    assert first.weights.tolist() == [0, 1 / 5]
    assert first.advantages.tolist() == [0, 1]
    assert second.weights.tolist() == [0, 1 / 5, 1 / 5]
    assert second.advantages.tolist() == [0, -1, -1]


def test_a_row_without_a_token_that_counts_is_left_out():
    # quantile 0.6: at 2.4, 0.5 + 0.4 * 0.2 = 0.58; only 0.9 and 0.7 lie above
    batch = two_rows(top_entropy_quantile=0.4)
    assert [row.weights.tolist() for row in batch.rows] == [[0, 1 / 5, 1 / 5]]
    assert (batch.num_skipped_rows, batch.num_loss_tokens) == (1, 5)


def test_a_kl_in_the_loss_acts_on_tokens_outside_the_mask_too():
    # as in TRL: the mask is for the policy's objective
    first, second = two_rows(top_entropy_quantile=0.4, kl_coef=0.1).rows
    assert first.weights.tolist() == [1 / 5] * 2
    assert first.advantages.tolist() == [0, 0]
    assert second.advantages.tolist() == [0, -1, -1]


def test_the_entropy_bonus_is_a_mean_over_the_tokens_that_count():
    assert [row.entropy_weights.tolist() for row in two_rows(entropy_coef=0.1, loss="grpo").rows] == [[0.2] * 2, [0.2] * 3]
    masked = two_rows(entropy_coef=0.1, top_entropy_quantile=0.4)
    assert [row.entropy_weights.tolist() for row in masked.rows] == [[0, 0.5, 0.5]]
    assert not any(row.entropy_weights.any() for row in two_rows().rows)


def test_rows_without_advantage_stay_where_the_entropy_bonus_acts_on_them(groups):
    batch = make_batch(groups, AlgorithmSettings(entropy_coef=0.1), 20)
    assert batch.num_skipped_rows == 0
    assert sum(row.entropy_weights.sum() for row in batch.rows) == pytest.approx(1)


def test_tokens_that_were_not_drawn_are_refused():
    group = random_groups(20, count=1)[0]
    first, *others = group.rollouts
    drawn = replace(first, forced=np.zeros(len(first.completion_ids), dtype=np.bool_))
    make_batch([replace(group, rollouts=(drawn, *others))], AlgorithmSettings(), 24)
    forced = replace(drawn, forced=np.arange(len(first.completion_ids)) < 2)
    with pytest.raises(LabError, match=r"2 tokens of 1 completions were put in by budget forcing.* without sampling.thinking"):
        make_batch([replace(group, rollouts=(forced, *others))], AlgorithmSettings(), 24)


def test_a_top_entropy_mask_without_entropies_is_refused(groups):
    member = replace(groups[0].rollouts[0], sampling_entropies=None)
    group = replace(groups[0], rollouts=(member, *groups[0].rollouts[1:]))
    with pytest.raises(LabError, match=r"1 of 4 completions came without; set it to 1"):
        make_batch([group], AlgorithmSettings(top_entropy_quantile=0.2), 20)


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
    # without its tokens the others share the whole of 1 among fewer
    share = counted.num_loss_tokens / masked.num_loss_tokens
    assert [row.weights[0] for row in masked.rows] == pytest.approx([row.weights[0] * share for row in counted.rows[1:]])


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
