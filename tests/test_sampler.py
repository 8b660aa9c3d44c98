"""Samples follow the model's distribution, come with its log-probabilities, and depend on nothing but their names."""

import numpy as np
import pytest
import torch

from rl.config import ModelSettings
from rl.logprobs import TokenLogprobs
from rl.policy import load_model, load_tokenizer
from rl.sampler import Sample, Sampler, SampleRequest, draw_uniforms, pick

PROMPTS = ["1+1=?", "3*7+5*2-4=?", "9-9-9=?", "4=?"]


@pytest.fixture(scope="module")
def policy(random_model):
    settings = ModelSettings(path=str(random_model))
    return load_model(settings), load_tokenizer(settings)


def draw(policy, prompts=PROMPTS, *, group=3, max_rows=512, temperature=1.0, max_tokens=12, stop=(), name="a"):
    model, tokenizer = policy
    sampler = Sampler(model=model, pad_id=tokenizer.pad_token_id, stop_ids=frozenset(stop or [1]), max_rows=max_rows)
    requests = [
        SampleRequest(
            prompt_ids=np.asarray(tokenizer(p).input_ids, dtype=np.int32), streams=tuple((name, p, k) for k in range(group))
        )
        for p in prompts
    ]
    found: dict[tuple[str, int], Sample] = {}

    def keep(sample):
        found[prompts[sample.request], sample.number] = sample

    sampler.sample(requests, temperature=temperature, max_tokens=max_tokens, on_sample=keep)
    assert len(found) == len(prompts) * group
    return found


def same_tokens(first, second):
    return all(np.array_equal(first[key].token_ids, second[key].token_ids) for key in first)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_logprobs_are_those_of_a_full_forward_pass_at_the_same_temperature(policy, temperature):
    model, tokenizer = policy
    scorer = TokenLogprobs(model, temperature, chunk_tokens=4).eval()
    for (prompt, _), sample in draw(policy, temperature=temperature).items():
        prompt_ids = tokenizer(prompt).input_ids
        row = torch.tensor([[*prompt_ids, *sample.token_ids]])
        positions = torch.arange(len(prompt_ids) - 1, row.shape[1] - 1)
        with torch.no_grad():
            expected, _ = scorer(row, positions, torch.as_tensor(sample.token_ids, dtype=torch.long))
        assert np.allclose(sample.logprobs, expected.numpy(), atol=2e-5)


def test_a_sample_does_not_depend_on_what_else_is_in_the_batch(policy):
    together = draw(policy)
    assert same_tokens(together, draw(policy, max_rows=3))
    assert same_tokens(together, draw(policy, PROMPTS[::-1]))
    for prompt in PROMPTS:
        alone = draw(policy, [prompt])
        assert same_tokens(alone, together)


def test_rows_that_stop_early_leave_and_change_nothing_for_the_others(policy):
    without = draw(policy, max_tokens=24, group=8)
    often = {int(sample.token_ids[len(sample.token_ids) // 2]) for sample in without.values()} | {
        1
    }  # tokens that occur: stops at different times
    with_stops = draw(policy, max_tokens=24, group=8, stop=often)
    ended = [sample for sample in with_stops.values() if sample.stopped]
    assert len({len(sample.token_ids) for sample in ended}) > 3
    for key, sample in with_stops.items():
        tokens = without[key].token_ids.tolist()
        stops = [i for i, token in enumerate(tokens) if token in often]
        expected = tokens[: stops[0] + 1] if stops else tokens
        assert sample.token_ids.tolist() == expected
        assert sample.stopped == bool(stops)


def test_completions_of_a_group_differ_and_a_name_repeats_them(policy):
    first = draw(policy)
    assert same_tokens(first, draw(policy))
    assert not same_tokens(first, draw(policy, name="b"))
    one, two = first[PROMPTS[0], 0], first[PROMPTS[0], 1]
    assert not np.array_equal(one.token_ids, two.token_ids)


def test_temperature_zero_is_greedy_decoding(policy):
    model, tokenizer = policy
    for (prompt, _), sample in draw(policy, temperature=0.0, group=1).items():
        ids = torch.tensor([tokenizer(prompt).input_ids])
        expected = model.generate(ids, max_new_tokens=12, do_sample=False)[0, ids.shape[1] :]
        assert sample.token_ids.tolist() == expected.tolist()[: len(sample.token_ids)]


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
