"""Budget forcing, token by token, and how the settings become what the sampler is told."""

import numpy as np
import pytest

from rl.policy.tiny import character_tokenizer
from rl.sampling.errors import SamplingError
from rl.sampling.how_to_draw import how_to_draw
from rl.sampling.thinking import BudgetForcing, ThinkingBudget
from rl.settings.schema import SamplingSettings, ThinkingSettings

A, B, STOP, END, END_2, WAIT, WAIT_2 = range(10, 17)


def written(forcing: BudgetForcing, drawn: list[int], name: tuple[int, int] = (0, 0)) -> list[int]:
    """Return the completion that comes of these draws."""
    tokens: list[int] = []
    for token in drawn:
        forced = forcing.token_instead(name, np.asarray(tokens, dtype=np.int32), token)
        tokens.append(token if forced is None else forced)
    return tokens


def test_the_end_is_put_in_after_the_budget_and_then_no_more():
    forcing = BudgetForcing(ThinkingBudget(max_tokens=2, end_ids=(END, END_2)), frozenset([STOP]))
    assert written(forcing, [A, B, A, B, A, B, STOP]) == [A, B, END, END_2, A, B, STOP]


def test_an_end_that_the_model_draws_closes_the_thinking():
    forcing = BudgetForcing(ThinkingBudget(max_tokens=3, end_ids=(END, END_2)), frozenset([STOP]))
    assert written(forcing, [END, END_2, A, B, A, B]) == [END, END_2, A, B, A, B]
    # half of an end is none
    assert written(forcing, [END, A, END_2, B, A, B]) == [END, A, END_2, END, END_2, B]


def test_an_end_or_a_stop_before_the_budget_becomes_wait_as_often_as_asked():
    budget = ThinkingBudget(max_tokens=9, end_ids=(END,), wait_ids=(WAIT, WAIT_2), waits=2)
    forcing = BudgetForcing(budget, frozenset([STOP]))
    assert written(forcing, [A, END, A, STOP, B, B, END, A]) == [A, WAIT, WAIT_2, WAIT, WAIT_2, B, END, A]


def test_completions_have_budgets_of_their_own_and_begin_anew_when_they_start_again():
    forcing = BudgetForcing(ThinkingBudget(max_tokens=2, end_ids=(END, END_2)), frozenset())
    assert written(forcing, [A, A, A]) == [A, A, END]  # END_2 is still to come when the row has to go
    assert written(forcing, [B, B, B, B], name=(0, 1)) == [B, B, END, END_2]
    assert written(forcing, [A, A, A, A, A]) == [A, A, END, END_2, A]


def test_an_end_of_several_tokens_cannot_be_suppressed():
    with pytest.raises(SamplingError, match=r"has 2 tokens \(14, 15\).*set waits to 0"):
        ThinkingBudget(max_tokens=5, end_ids=(14, 15), wait_ids=(WAIT,), waits=1)


def test_settings_become_how_to_draw():
    tokenizer = character_tokenizer()
    settings = SamplingSettings(
        thinking=ThinkingSettings(max_tokens=7, waits=2),
        stop=("x",),
        top_k=3,
        top_p=0.9,
        temperature=0.7,
        min_completion_tokens=4,
        max_completion_tokens=20,
        cache_tokens=90,
    )
    how = how_to_draw(settings, tokenizer)
    assert (how.temperature, how.top_p, how.top_k) == (0.7, 0.9, 3)
    assert (how.min_tokens, how.max_tokens, how.cache_tokens) == (4, 20, 90)
    end, wait = tokenizer("</think>").input_ids, tokenizer("Wait").input_ids
    assert how.thinking == ThinkingBudget(max_tokens=7, end_ids=tuple(end), wait_ids=tuple(wait), waits=2)
    assert how.stop is not None
    assert how.stop.texts == ("x",)
    assert how.stop.complete([np.asarray(tokenizer(text).input_ids) for text in ("ax", "xabc", "x", "")]).tolist() == [
        True,
        False,  # only the last tokens count: it was asked when x was written
        True,
        False,
    ]
    plain = how_to_draw(SamplingSettings(), tokenizer)
    assert plain.stop is plain.thinking is None
