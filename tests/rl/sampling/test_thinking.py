"""Budget forcing, token by token, and how the settings become what the sampler is told."""

from typing import Any

import numpy as np
import pytest
from tokenizers import Regex, Tokenizer
from tokenizers.decoders import Fuse
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from transformers import PreTrainedTokenizerFast

from rl.policy.tiny import character_tokenizer
from rl.sampling.errors import SamplingError
from rl.sampling.how_to_draw import how_to_draw
from rl.sampling.thinking import BudgetForcing, ThinkingBudget
from rl.settings.schema import SamplingSettings, ThinkingSettings

A, B, STOP, END, ASK, WAIT, WAIT_2 = range(10, 17)
CLOSING = (END, ASK)


def budget(max_tokens: int | None, **more: Any) -> ThinkingBudget:
    """What is forced in these tests: an end of one token, and one that asks for the answer."""
    return ThinkingBudget(max_tokens=max_tokens, closing_ids=CLOSING, end_id=END, wait_ids=(WAIT, WAIT_2), **more)


def written(forcing: BudgetForcing, drawn: list[int], name: tuple[int, int] = (0, 0)) -> list[int]:
    """Return the completion that comes of these draws."""
    tokens: list[int] = []
    for token in drawn:
        forced = forcing.token_instead(name, np.asarray(tokens, dtype=np.int32), token)
        tokens.append(token if forced is None else forced)
    return tokens


@pytest.mark.parametrize(
    ("max_tokens", "expected"),
    [
        (2, [A, B, END, ASK, A, B, STOP]),
        (0, [END, ASK, A, B, A, B, STOP]),  # the answer at once
        (6, [A, B, A, B, A, B, STOP]),  # it stopped in time
        (None, [A, B, A, B, A, B, STOP]),
    ],
)
def test_thinking_is_cut_at_the_budget_and_then_no_more(max_tokens, expected):
    forcing = BudgetForcing(budget(max_tokens), frozenset([STOP]))
    assert written(forcing, [A, B, A, B, A, B, STOP]) == expected


@pytest.mark.parametrize("max_tokens", [1, 2, 9])
def test_an_end_that_the_model_draws_in_time_closes_the_thinking(max_tokens):
    forcing = BudgetForcing(budget(max_tokens), frozenset([STOP]))
    assert written(forcing, [A, END, A, B, A, B]) == [A, END, A, B, A, B]


def test_an_end_or_a_stop_before_the_budget_becomes_wait_as_often_as_asked():
    forcing = BudgetForcing(budget(9, waits=2), frozenset([STOP]))
    assert written(forcing, [A, END, A, STOP, B, B, END, A]) == [A, WAIT, WAIT_2, WAIT, WAIT_2, B, END, A]
    never_cut = BudgetForcing(budget(None, waits=1), frozenset([STOP]))
    assert written(never_cut, [A, STOP, A, B, STOP]) == [A, WAIT, WAIT_2, B, STOP]


def test_the_budget_is_kept_to_the_token_also_in_the_middle_of_a_wait():
    forcing = BudgetForcing(budget(2, waits=3), frozenset([STOP]))
    assert written(forcing, [A, END, A, A, A]) == [A, WAIT, END, ASK, A]
    # at the budget there is no more waiting
    assert written(forcing, [A, A, END, A, A]) == [A, A, END, A, A]


def test_completions_have_budgets_of_their_own_and_begin_anew_when_they_start_again():
    forcing = BudgetForcing(budget(2), frozenset())
    assert written(forcing, [A, A, A]) == [A, A, END]  # ASK is still to come when the row has to go
    assert written(forcing, [B, B, B, B], name=(0, 1)) == [B, B, END, ASK]
    assert written(forcing, [A, A, A, A, A]) == [A, A, END, ASK, A]


def test_a_model_that_marks_no_end_is_asked_for_its_answer_and_waits_where_it_would_stop():
    unmarked = ThinkingBudget(max_tokens=3, closing_ids=(ASK,), wait_ids=(WAIT,), waits=1)
    forcing = BudgetForcing(unmarked, frozenset([STOP]))
    assert written(forcing, [A, STOP, A, A, B, STOP]) == [A, WAIT, A, ASK, B, STOP]


def several() -> Any:
    """A tokenizer to which `</think>` is several tokens, the last of which runs together with what stands behind it."""
    core = Tokenizer(WordLevel({"</": 0, "think": 1, ">;": 2, ";": 3, ">": 4, "a": 5, "?": 6, "Wait": 7}, unk_token="?"))
    core.pre_tokenizer = Split(Regex("</|think|>;|;|>|a|Wait"), "isolated")
    core.decoder = Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=core, unk_token="?", clean_up_tokenization_spaces=False)


def test_an_end_of_several_tokens_is_known_by_its_text():
    tokenizer = several()
    of_tokens = ThinkingBudget.of(ThinkingSettings(max_tokens=5, answer=";a"), tokenizer)
    assert of_tokens.closing_ids == (0, 1, 2, 5)  # both texts as one
    forcing = BudgetForcing(of_tokens, frozenset())
    assert written(forcing, [5, 0, 1, 4, 5, 5, 5]) == [5, 0, 1, 4, 5, 5, 5]
    assert written(forcing, [5, 0, 1, 2, 5, 5, 5]) == [5, 0, 1, 2, 5, 5, 5]
    # half of an end is none
    assert written(forcing, [5, 0, 1, 5, 4, 5, 5, 5, 5, 5]) == [5, 0, 1, 5, 4, 0, 1, 2, 5, 5]
    with pytest.raises(SamplingError, match=r"'</think>', is several tokens.*set sampling.thinking.waits"):
        ThinkingBudget.of(ThinkingSettings(max_tokens=5, waits=1), tokenizer)
    with pytest.raises(SamplingError, match=r"x08oxed\{' holds what this tokenizer has no token for"):
        ThinkingBudget.of(ThinkingSettings(max_tokens=5, answer="\boxed{"), tokenizer)  # one backslash is an escape


def test_a_budget_that_leaves_no_room_for_an_answer_is_refused():
    tokenizer = character_tokenizer()
    settings = SamplingSettings(thinking=ThinkingSettings(max_tokens=6, answer="\\boxed{"), max_completion_tokens=8)
    # 6 of thinking, </think> and \boxed{ are 8 tokens
    with pytest.raises(SamplingError, match=r"budget of 6 tokens, and 2 that end the thinking, .*max_completion_tokens is 8"):
        how_to_draw(settings, tokenizer)
    how_to_draw(settings.model_copy(update={"max_completion_tokens": 9}), tokenizer)


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
    (end,), wait = tokenizer("</think>").input_ids, tokenizer("Wait").input_ids
    assert how.thinking == ThinkingBudget(max_tokens=7, closing_ids=(end,), end_id=end, wait_ids=tuple(wait), waits=2)
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
