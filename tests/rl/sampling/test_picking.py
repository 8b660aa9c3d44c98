"""Tokens are drawn from the distribution that the logits and the settings say, one random number a token."""

import numpy as np
import torch

from rl.sampling.picking import draw_uniforms, pick


def test_pick_follows_the_distribution():
    logits = torch.log(torch.tensor([0.5, 0.3, 0.2, 0.0]))
    uniforms = torch.from_numpy(draw_uniforms(("test",), 20_000))
    ids, logprobs, _ = pick(logits.repeat(20_000, 1), uniforms, 1.0, 1.0)
    shares = torch.bincount(ids, minlength=4) / 20_000
    # standard error of a share is at most sqrt(0.25 / 20000) = 0.0035; four of them
    assert torch.allclose(shares, torch.tensor([0.5, 0.3, 0.2, 0.0]), atol=0.014)
    assert torch.allclose(logprobs, logits[ids])


def test_pick_with_top_p_keeps_the_smallest_set_that_reaches_it():
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.2]]))
    uniforms = torch.from_numpy(draw_uniforms(("nucleus",), 1000))
    ids, logprobs, _ = pick(logits.repeat(1000, 1), uniforms, 1.0, 0.7)
    assert set(ids.tolist()) == {0, 1}  # 0.5 < 0.7 <= 0.5 + 0.3
    assert torch.allclose(logprobs[ids == 0], torch.log(torch.tensor(0.5 / 0.8)))


def test_a_longer_stream_begins_with_the_shorter_one():
    assert np.array_equal(draw_uniforms(("x", 1), 100)[:10], draw_uniforms(("x", 1), 10))
    assert not np.array_equal(draw_uniforms(("x", 1), 10), draw_uniforms(("x", 2), 10))


def test_pick_with_top_k_draws_from_the_k_most_likely():
    logits = torch.log(torch.tensor([[0.5, 0.1, 0.3, 0.1]]))
    uniforms = torch.from_numpy(draw_uniforms(("k",), 1000))
    ids, logprobs, entropies = pick(logits.repeat(1000, 1), uniforms, 1.0, 1.0, 2)
    assert set(ids.tolist()) == {0, 2}
    assert torch.allclose(logprobs[ids == 2], torch.log(torch.tensor(0.3 / 0.8)))
    # -(5/8 ln 5/8 + 3/8 ln 3/8) = 0.66156
    assert torch.allclose(entropies, torch.tensor(0.66156), atol=1e-5)


def test_pick_never_draws_the_impossible():
    # the largest uniform below 1 times the sum of the weights rounds to the sum itself
    uniforms = torch.tensor([1 - 2**-24, 0.0])
    logits = torch.tensor([[-torch.inf, 0.0, 0.1, -torch.inf]]).repeat(2, 1)
    ids, logprobs, _ = pick(logits, uniforms, 1.0)
    assert ids.tolist() == [2, 1]
    assert torch.isfinite(logprobs).all()
