"""Samples follow the model's distribution, come with its log-probabilities, and depend on nothing but their names."""

import copy
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from rl.policy.opening import load_model, load_tokenizer
from rl.sampling.decoding import build_decoder
from rl.sampling.errors import SamplingError
from rl.sampling.how_to_draw import HowToDraw
from rl.sampling.planned import PlannedDecoder
from rl.sampling.sampler import Sample, Sampler, SampleRequest
from rl.sampling.stop_texts import StopTexts
from rl.sampling.thinking import ThinkingBudget
from rl.settings.schema import ModelSettings
from rl.update.logprobs import TokenLogprobs
from rl.update.packing import TokenRows

PROMPTS = ["1+1=?", "3*7+5*2-4=?", "9-9-9=?", "4=?"]


@pytest.fixture(scope="module")
def policy(random_model):
    settings = ModelSettings(path=str(random_model))
    return load_model(settings), load_tokenizer(settings)


def draw(
    policy, prompts=PROMPTS, *, group=3, max_rows=512, temperature=1.0, max_tokens=12, stop_ids=(1,), name="a", **settings
):
    model, tokenizer = policy
    sampler = Sampler(model=model, pad_id=tokenizer.pad_token_id, stop_ids=frozenset(stop_ids), max_rows=max_rows)
    requests = [
        SampleRequest(
            prompt_ids=np.asarray(tokenizer(p).input_ids, dtype=np.int32), streams=tuple((name, p, k) for k in range(group))
        )
        for p in prompts
    ]
    found: dict[tuple[str, int], Sample] = {}

    def keep(sample):
        found[prompts[sample.request], sample.number] = sample

    stats = sampler.sample(requests, HowToDraw(temperature=temperature, max_tokens=max_tokens, **settings), keep)
    assert stats.peak_rows <= max_rows
    assert stats.peak_cache_tokens <= settings.get("cache_tokens", 10**9)
    assert len(found) == len(prompts) * group
    return found


def same_tokens(first, second):
    return all(np.array_equal(first[key].token_ids, second[key].token_ids) for key in first)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_logprobs_are_those_of_a_full_forward_pass_at_the_same_temperature(policy, temperature):
    model, tokenizer = policy
    scorer = TokenLogprobs(model, temperature).eval()
    for (prompt, _), sample in draw(policy, temperature=temperature).items():
        prompt_ids = tokenizer(prompt).input_ids
        ids = torch.tensor([[*prompt_ids, *sample.token_ids]])
        row = TokenRows(input_ids=ids, positions=torch.arange(len(prompt_ids) - 1, ids.shape[1] - 1))
        with torch.no_grad():
            expected, entropies = scorer(row, torch.as_tensor(sample.token_ids, dtype=torch.long))
        assert np.allclose(sample.logprobs, expected.numpy(), atol=2e-5)
        assert np.allclose(sample.entropies, entropies.numpy(), atol=2e-5)


def test_a_sample_does_not_depend_on_what_else_is_in_the_batch(policy):
    together = draw(policy)
    for max_rows in (1, 2, 3, 7):
        assert same_tokens(together, draw(policy, max_rows=max_rows))
    assert same_tokens(together, draw(policy, PROMPTS[::-1]))
    for prompt in PROMPTS:
        alone = draw(policy, [prompt])
        assert same_tokens(alone, together)


def lengthy(policy, **settings):
    """Draw completions of very different lengths: tokens that occur end them."""
    return draw(policy, group=8, max_tokens=40, stop_ids=range(1, 5), **settings)


@pytest.mark.parametrize("limits", [{"cache_tokens": 60}, {"cache_tokens": 130, "max_rows": 9}, {"max_rows": 5}])
def test_a_sample_does_not_depend_on_the_limits(policy, limits):
    # 32 rows of up to 40 tokens and prompts of 3 to 11: with 60 tokens of cache few rows run at a time, and some restart
    assert same_tokens(lengthy(policy), lengthy(policy, **limits))


def test_rows_that_leave_a_full_cache_start_again(policy):
    model, tokenizer = policy
    sampler = Sampler(model=model, pad_id=0, stop_ids=frozenset(), max_rows=8)
    requests = [SampleRequest(prompt_ids=np.asarray(tokenizer("1+1").input_ids), streams=tuple(("r", k) for k in range(8)))]
    lengths = []
    how = HowToDraw(temperature=1.0, max_tokens=80, cache_tokens=330)
    stats = sampler.sample(requests, how, lambda sample: lengths.append(len(sample.token_ids)))
    # headroom of 64 tokens a row: 3 + 5 * 64 = 323 lets 5 rows in, which would grow to 3 + 5 * 79 = 398 tokens
    assert stats.restarted > 0
    assert stats.peak_rows == 5
    assert lengths == [80] * 8


def test_where_nothing_is_to_be_drawn_no_decoder_is_made(policy, monkeypatch):
    sampler = Sampler(model=policy[0], pad_id=0, stop_ids=frozenset([1]), max_rows=8)
    # what lay ready was enough, which two looks did not know yet
    answers: Iterator[list[SampleRequest] | None] = iter([[], [], None])
    monkeypatch.setattr("rl.sampling.sampler.build_decoder", None)
    stats = sampler.sample([], HowToDraw(temperature=1.0, max_tokens=8), print, lambda: next(answers))
    assert (stats.steps, next(answers, "asked no more")) == (0, "asked no more")


def test_a_cache_that_cannot_hold_one_row_is_refused(policy):
    with pytest.raises(SamplingError, match="needs 23: raise cache_tokens or lower max_completion_tokens"):
        draw(policy, cache_tokens=22)  # the longest prompt has 11 tokens, a completion up to 12


def test_rows_that_stop_early_leave_and_change_nothing_for_the_others(policy):
    without = draw(policy, max_tokens=24, group=8)
    often = {int(sample.token_ids[len(sample.token_ids) // 2]) for sample in without.values()} | {
        1
    }  # tokens that occur: stops at different times
    with_stops = draw(policy, max_tokens=24, group=8, stop_ids=often)
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


def test_logits_that_are_no_numbers_are_refused_and_not_drawn_from(policy, monkeypatch):
    real = PlannedDecoder.logits
    monkeypatch.setattr("rl.sampling.sampler.build_decoder", lambda model, *_, **__: PlannedDecoder(model))
    monkeypatch.setattr(PlannedDecoder, "logits", lambda self, states: real(self, states).fill_(torch.nan))
    with pytest.raises(SamplingError, match=r"not numbers .*completion a/.*/0, token 0\): its weights are finite"):
        draw(policy)


def test_weights_that_are_no_numbers_are_named_where_nothing_can_be_drawn(policy):
    model, tokenizer = policy
    broken = copy.deepcopy(model)
    build_decoder(broken)  # as in a run, whose model was whole when it was opened; one that is not is refused there
    broken.model.norm.weight.data[3] = torch.nan
    with pytest.raises(SamplingError, match=r"1 of its weights are not finite themselves, the first is model\.norm\.weight"):
        draw((broken, tokenizer))


def test_temperature_zero_is_greedy_decoding(policy):
    model, tokenizer = policy
    for (prompt, _), sample in draw(policy, temperature=0.0, group=1).items():
        ids = torch.tensor([tokenizer(prompt).input_ids])
        expected = model.generate(ids, max_new_tokens=12, do_sample=False)[0, ids.shape[1] :]
        assert sample.token_ids.tolist() == expected.tolist()[: len(sample.token_ids)]


def test_a_stop_text_ends_a_completion_where_it_first_appears(policy):
    _, tokenizer = policy
    free = draw(policy, group=8, max_tokens=30)
    texts = {key: tokenizer.decode(sample.token_ids) for key, sample in free.items()}
    stop = [text[10:12] for text in list(texts.values())[:6] if len(text) >= 12]  # two characters, mostly two tokens
    assert len(stop) > 2
    for key, sample in draw(policy, group=8, max_tokens=30, stop=StopTexts(texts=tuple(stop), tokenizer=tokenizer)).items():
        ends = [texts[key].find(text) + len(text) for text in stop if text in texts[key]]
        if ends:  # the last token holds the last character of the text
            assert len(tokenizer.decode(sample.token_ids)) >= min(ends) > len(tokenizer.decode(sample.token_ids[:-1]))
        else:
            assert np.array_equal(sample.token_ids, free[key].token_ids)
        assert sample.finish_reason == ("stop" if ends or free[key].stopped else "length")
        assert sample.stopped == (sample.token_ids[-1] == 1)


def test_no_stop_token_comes_before_the_least_length(policy):
    stops = range(1, 60)
    assert any(len(sample.token_ids) < 6 for sample in draw(policy, stop_ids=stops).values())
    for sample in draw(policy, stop_ids=stops, min_tokens=6).values():
        assert len(sample.token_ids) > 6
        assert not set(sample.token_ids[:6].tolist()) & set(stops)


def test_thinking_is_ended_at_its_budget(policy):
    budget = ThinkingBudget(max_tokens=5, closing_ids=(50, 51))
    for sample in draw(policy, stop_ids=(), thinking=budget).values():
        assert sample.token_ids[5:7].tolist() == [50, 51]
        assert np.flatnonzero(sample.forced).tolist() == [5, 6]


def test_a_stop_token_or_text_that_is_put_in_does_not_end_a_completion(policy):
    (mark,) = policy[1]("\\boxed{").input_ids
    budget, stop = ThinkingBudget(max_tokens=2, closing_ids=(1, mark)), StopTexts(texts=("\\boxed",), tokenizer=policy[1])
    cut = [one for one in draw(policy, stop_ids=(1,), thinking=budget, stop=stop).values() if one.forced.any()]
    assert cut
    for sample in cut:
        assert sample.token_ids[2:4].tolist() == [1, mark]
        assert len(sample.token_ids) > 4


def test_an_early_end_of_thinking_becomes_wait(policy):
    free = draw(policy, stop_ids=(), max_tokens=30)
    end = int(free[PROMPTS[0], 0].token_ids[3])
    budget = ThinkingBudget(max_tokens=20, closing_ids=(end,), end_id=end, wait_ids=(60, 61), waits=1)
    for key, sample in draw(policy, stop_ids=(), max_tokens=30, thinking=budget).items():
        first = free[key].token_ids.tolist().index(end) if end in free[key].token_ids else 99
        forced = np.flatnonzero(sample.forced).tolist()
        if first < 20:
            assert sample.token_ids[first : first + 2].tolist() == [60, 61]
            assert forced[:2] == [first, first + 1]
            assert sample.token_ids[:first].tolist() == free[key].token_ids[:first].tolist()
        else:
            assert forced == ([] if first == 20 else [20])
        assert end in sample.token_ids[: 20 + 1 + 1]
