"""Each rule on figures made by hand: some that set it off, and some near them that do not."""

from dataclasses import replace
from typing import Any

import pytest
from support_pure import ROOT

from rl.diagnosis.figures import Bribes, Figures, Finding, Trial
from rl.diagnosis.rules import LAST, RULES, diagnose
from rl.diagnosis.usual import usual_rates
from rl.diagnosis.verdict import can_learn, verdict
from rl.settings.loading import load_config
from rl.settings.schema import RunConfig

# a 135 M model at its 2e-5, of whose 32 groups of 8 most have contrast
SOUND: dict[str, Any] = {
    "parameters": 134_500_000, "vocabulary": 49_152, "max_positions": 8192, "prompt_logprob": -2.5,
    "stop_tokens": ("<|im_end|>",),
    "opens_thinking": False, "problems": 32, "longest_prompt": 60, "too_long": 0.0, "unreadable": 0.0, "same_answer": 0.45,
    "same_answer_is": "1", "bribes": Bribes(nothing=0.0, wrong=0.0, question=0.0), "groups": 32, "completions": 256,
    "scored": 256,
    "reward": 0.3, "paid": 0.3, "contrast": 0.8, "all_unpaid": 0.2, "all_paid": 0.0, "cut": 0.1, "unparsed": 0.1,
    "errors": 0.0, "timeouts": 0.0,
    "tokens_mean": 30.0, "tokens_median": 25.0, "tokens_p90": 60.0, "distinct": 0.9, "unended_thoughts": 0.0, "past_end": 0.0,
    "loops": 0.0, "unread_right": 0.02, "overlong": 0.0, "entropy": 1.1, "finite": True, "gap": 1e-6,
}  # fmt: skip
SETTINGS = [
    "run.name=r",
    "model.path=m",
    "problems=[{domain: letters}]",
    "optimizer.learning_rate=2e-5",
    "algorithm.group_size=8",
]


def figures(changes: dict[str, Any], *settings: str) -> Figures:
    return Figures(config=load_config(RunConfig, [], [*SETTINGS, *settings]).config, **{**SOUND, **changes})


def trial(paid: float, ended: float, before: float = 0.0, entropy: float | None = None) -> Trial:
    return Trial(
        how="another way", completions=32, paid=paid, paid_before=before, completions_before=64, ended=ended,
        tokens_median=100.0, entropy=entropy,
    )  # fmt: skip


NOTHING = {"paid": 0.0, "reward": 0.0, "contrast": 0.0, "all_unpaid": 1.0}
RAMP = ("reward.overlong_weight=0.5", "reward.overlong_buffer_tokens=200")

# name of the rule, figures and settings that set it off, figures and settings that do not
CASES: list[tuple[str, dict[str, Any], tuple[str, ...], dict[str, Any], tuple[str, ...]]] = [
    ("not_finite", {"finite": False}, (), {"finite": None}, ()),
    ("prompt_too_long", {"too_long": 0.1, "longest_prompt": 8000}, (), {"too_long": 0.0, "longest_prompt": 7900}, ()),
    ("sampler_apart", {"gap": 0.02}, (), {"gap": 0.02}, ("model.dtype=bf16",)),
    ("references_unreadable", {"unreadable": 0.03}, (), {"unreadable": 0.0, "errors": 0.005}, ()),
    ("references_unreadable", {"errors": 0.9, "error_says": "no number"}, (), {"errors": None}, ()),
    ("pays_for_anything", {"bribes": Bribes(nothing=0, wrong=0.4, question=0)}, (),
     {"bribes": Bribes(nothing=0.05, wrong=0.03, question=None)}, ()),
    ("same_answer", {"same_answer": 0.95}, (), {"same_answer": 0.6}, ()),
    ("stop_token", {"past_end": 0.7, "past_end_mark": "<|im_end|>", "cut": 1.0}, (),
     {"past_end": 0.03, "past_end_mark": "<|im_end|>"}, ()),
    # the template's end is no stop token, and completions end all the same: the model writes another
    ("stop_token", {"turn_end": "<|im_end|>", "cut": 0.9, "longer": trial(0.0, 0.0)}, (),
     {"turn_end": "<|im_end|>", "cut": 0.1}, ()),
    # they end, given room: no stop token is missing
    ("stop_token", {"turn_end": "<|im_end|>", "cut": 0.9, "longer": trial(0.0, 0.0)}, (),
     {"turn_end": "<|im_end|>", "cut": 0.9, "longer": trial(0.3, 0.9)}, ()),
    ("thinking_open", {"opens_thinking": True, "unended_thoughts": 0.9}, (),
     {"opens_thinking": True, "unended_thoughts": 0.2}, ()),
    ("template_doubled", {"doubled": "it begins with <s> twice"}, (), {"doubled": None}, ()),
    ("template_missing", {**NOTHING, "templated": trial(0.3, 0.9)}, (), {"paid": 0.25, "templated": trial(0.3, 0.9, 0.25)}, ()),
    ("template_unknown", {**NOTHING, "plain": trial(0.3, 0.9)}, (), {**NOTHING, "plain": trial(0.03, 0.9)}, ()),
    ("temperature_high", {**NOTHING, "cooler": trial(0.3, 0.9)}, ("sampling.temperature=2",),
     {"cooler": trial(0.35, 0.9, 0.3)}, ("sampling.temperature=1.3",)),
    # 15 of 32 against 19 of 64 is luck in one of thirteen
    ("temperature_high", {**NOTHING, "cooler": trial(0.3, 0.9)}, ("sampling.temperature=2",),
     {"cooler": trial(15 / 32, 0.9, 19 / 64)}, ("sampling.temperature=1.3",)),
    # where there is no time to try it cooler, a model that reads prompts is no noise itself
    ("temperature_high", {**NOTHING, "entropy": 10.5}, ("sampling.temperature=2",),
     {**NOTHING, "entropy": 10.5, "prompt_logprob": -12.0}, ("sampling.temperature=2",)),
    # in training no prompt is read, and the heat is the likelier reason
    ("temperature_high", {**NOTHING, "entropy": 10.5, "prompt_logprob": None}, ("sampling.temperature=2",),
     {**NOTHING, "entropy": 10.5, "cooler": trial(0.0, 0.1, entropy=10.4)}, ("sampling.temperature=2",)),
    # at temperature 1 it writes, though one of 32 that is paid is luck
    ("temperature_high", {**NOTHING, "entropy": 10.5, "cooler": trial(1 / 32, 0.9, entropy=1.2)}, ("sampling.temperature=2",),
     {**NOTHING, "entropy": 3.5, "cooler": trial(1 / 32, 0.9, entropy=1.2)}, ("sampling.temperature=2",)),
    ("noise", {**NOTHING, "entropy": 10.5}, (), {**NOTHING, "entropy": 3.5}, ()),
    # at temperature 1 it draws at random too
    ("noise", {**NOTHING, "entropy": 10.5, "cooler": trial(0.0, 0.1, entropy=10.4)}, ("sampling.temperature=2",),
     {**NOTHING, "entropy": 10.5, "cooler": trial(0.0, 0.9, entropy=1.2)}, ("sampling.temperature=2",)),
    ("noise", {**NOTHING, "prompt_logprob": -12.0}, (), {"prompt_logprob": -12.0}, ()),
    ("limit_too_short", {"cut": 0.97}, (), {"cut": 0.3}, ()),
    ("limit_too_short", {**NOTHING, "cut": 0.97, "longer": trial(0.3, 0.9)}, (),
     {**NOTHING, "cut": 0.97, "longer": trial(0.0, 0.0)}, ()),
    ("loops", {"loops": 0.8, "cut": 0.8}, (), {"loops": 0.1}, ()),
    ("never_ends", {"cut": 1.0, "longer": trial(0.3, 0.1, 0.3)}, (), {"cut": 1.0, "longer": trial(0.3, 0.6)}, ()),
    ("answers_unread", {"paid": 0.02, "unread_right": 0.3}, (), {"paid": 0.3, "unread_right": 0.1}, ()),
    ("verdicts_time_out", {"timeouts": 0.5}, (), {"timeouts": 0.04}, ()),
    ("verdicts_time_out", {"late": 0.5}, (), {"late": None}, ()),
    # a slow machine draws four of a group of eight, of which one in four is the least that there can be
    ("always_the_same", {"distinct": 0.27, "contrast": 0.0, "completions": 128}, (),
     {"distinct": 0.4, "contrast": 0.0, "completions": 128}, ()),
    ("always_the_same", {"distinct": 0.14, "contrast": 0.05}, (), {"distinct": 0.14, "contrast": 0.4}, ()),
    ("learning_rate", {}, ("optimizer.learning_rate=1e-2",), {}, ("optimizer.learning_rate=5e-5",)),
    ("learning_rate", {}, ("optimizer.learning_rate=1e-9",), {}, ("optimizer.learning_rate=1e-6",)),
    ("learning_rate", {}, ("model.lora.r=8", "optimizer.learning_rate=1e-7"),
     {}, ("model.lora.r=8", "optimizer.learning_rate=5e-4")),
    ("warmup_too_long", {}, ("optimizer.warmup_steps=80", "train.steps=100"),
     {}, ("optimizer.warmup_steps=10", "train.steps=3")),
    ("kl_too_strong", {}, ("algorithm.kl_coef=2",), {}, ("algorithm.kl_coef=0.04",)),
    ("group_too_small", {"contrast": 0.2}, ("algorithm.group_size=2",), {"contrast": 0.2}, ("algorithm.group_size=8",)),
    ("penalised", {"overlong": 0.9}, RAMP, {"overlong": 0.2}, RAMP),
    ("nothing_marked", {**NOTHING, "unparsed": 0.97}, (), {"unparsed": 0.97}, ()),
    ("too_hard", NOTHING, (), {"all_unpaid": 0.7}, ()),
    ("no_contrast", {"paid": 0.5, "contrast": 0.0, "all_unpaid": 0.5, "all_paid": 0.5}, (),
     {"paid": 0.5, "contrast": 0.2, "all_unpaid": 0.4, "all_paid": 0.4}, ()),
    ("no_contrast", {"paid": 0.5, "contrast": 0.06, "all_unpaid": 0.5, "all_paid": 0.44}, (), NOTHING, ()),
    ("too_easy", {"paid": 1.0, "all_paid": 0.97, "contrast": 0.03, "all_unpaid": 0.0}, (), {"all_paid": 0.7}, ()),
]  # fmt: skip


def names(of: Figures) -> list[str]:
    return [finding.name for finding in diagnose(of)]


def test_sound_figures_set_nothing_off() -> None:
    assert names(figures({})) == []


@pytest.mark.parametrize(("name", "changes", "settings", "_near", "_near_settings"), CASES)
def test_a_rule_names_its_cause_first(name, changes, settings, _near, _near_settings) -> None:
    found = diagnose(figures(changes, *settings))
    assert found[0].name == name
    assert found[0].words.endswith(".")
    assert found[0].setting
    assert found[0].present
    assert found[0].proposed != found[0].present


@pytest.mark.parametrize(("name", "_changes", "_settings", "near", "near_settings"), CASES)
def test_a_rule_is_quiet_nearby(name, _changes, _settings, near, near_settings) -> None:
    assert name not in names(figures(near, *near_settings))


def test_every_rule_has_a_case() -> None:
    assert {rule.__name__ for rule in (*RULES, *LAST)} == {case[0] for case in CASES}


def test_every_rule_stands_in_the_docs() -> None:
    text = (ROOT / "docs" / "diagnose.md").read_text(encoding="utf-8")
    assert not [rule.__name__ for rule in (*RULES, *LAST) if f"`{rule.__name__}`" not in text]


def test_what_was_not_measured_sets_nothing_off() -> None:
    assert names(Figures(config=figures({}).config)) == []


def test_an_effect_is_not_told_beside_its_cause() -> None:
    alone = figures(NOTHING)
    assert names(alone) == ["too_hard"]
    assert names(replace(alone, cut=0.99)) == ["limit_too_short"]
    assert names(replace(alone, cut=0.99, past_end=0.9, past_end_mark="<|im_end|>")) == ["stop_token"]


def test_what_stops_a_run_stands_before_what_slows_it() -> None:
    found = diagnose(figures({"cut": 0.5, "same_answer": 1.0}))
    assert [(finding.name, finding.severity) for finding in found] == [("same_answer", "stops"), ("limit_too_short", "slows")]


def of(name: str, *findings: Finding) -> Finding:
    return next(finding for finding in findings if finding.name == name)


def test_too_few_completions_do_not_say_that_problems_are_too_hard() -> None:
    # none of 32: the share may be 8.9 % (0.911 ** 32 = 0.05), and of groups of 16 then 1 - 0.911 ** 16 = 78 % have contrast
    few = {**NOTHING, "groups": 8, "completions": 32, "scored": 32}
    (hard,) = diagnose(figures(few, "algorithm.group_size=16"))
    assert (hard.name, hard.severity) == ("too_hard", "slows")
    assert (
        "32 completions were seen, none of them paid: of groups of 16, as the run draws them, at most 78 % have" in hard.words
    )
    # none of 256: 1.2 %, and of groups of 8 then 9 %
    assert of("too_hard", *diagnose(figures(NOTHING))).severity == "stops"
    easy = {"paid": 1.0, "all_paid": 1.0, "all_unpaid": 0.0, "contrast": 0.0, "groups": 8, "completions": 32, "scored": 32}
    assert of("too_easy", *diagnose(figures(easy, "algorithm.group_size=16"))).severity == "slows"


def test_completions_drawn_short_do_not_say_how_hard_problems_are() -> None:
    for alike in ({"all_unpaid": 1.0, "paid": 0.0}, {"all_paid": 1.0, "paid": 1.0}, {"paid": 0.5, "all_unpaid": 0.5}):
        short = figures({**alike, "contrast": 0.0, "cut": None})
        assert names(short) == []
        assert can_learn(short, []) is None


def test_contrast_of_penalties_is_contrast() -> None:
    (hard,) = diagnose(figures({**NOTHING, "contrast": 0.8}, *RAMP))
    assert (hard.name, hard.severity) == ("too_hard", "slows")
    assert "no gradient" not in hard.words


def test_groups_all_unpaid_or_all_paid_stop_a_run_where_enough_were_seen() -> None:
    halves = {"paid": 0.5, "contrast": 0.0, "all_unpaid": 0.5, "all_paid": 0.5}
    assert of("no_contrast", *diagnose(figures(halves))).severity == "stops"
    smaller = {**halves, "completions": 128}  # groups of four, where the run has eight
    assert of("no_contrast", *diagnose(figures(smaller))).severity == "slows"


def test_what_learns_from_all_that_is_paid_needs_no_contrast() -> None:
    settings = ("algorithm.advantage=rft", "algorithm.dynamic_sampling=false")
    halves = figures({"paid": 0.5, "contrast": 0.0, "all_unpaid": 0.5, "all_paid": 0.5}, *settings)
    assert diagnose(halves) == []
    assert can_learn(halves, []) is True
    assert can_learn(figures(NOTHING, *settings), []) is None


def test_one_solved_group_of_ten_is_no_cost_of_silence() -> None:
    few = figures({"paid": 0.01, "contrast": 0.1, "all_unpaid": 0.9})
    assert "too hard for this model" in of("too_hard", *diagnose(few)).words


def test_a_template_shows_first_in_answers_that_can_be_read() -> None:
    of_template = replace(trial(0.06, 0.9), read=0.6, read_before=0.02)  # two of 32 are paid: that may be luck
    assert names(figures({**NOTHING, "templated": of_template}))[:1] == ["template_missing"]
    assert "template_missing" not in names(figures({**NOTHING, "templated": replace(of_template, read=0.1)}))


def test_noise_is_seen_where_too_little_ended_to_know_what_is_paid() -> None:
    unknown = {"paid": None, "reward": None, "contrast": None, "all_unpaid": None, "all_paid": None, "cut": None}
    random = {**unknown, "vocabulary": 49152, "entropy": 7.0, "prompt_logprob": -14.0}
    assert names(figures(random)) == ["noise"]
    fresh = figures({**random, "prompt_logprob": -11.0})
    assert verdict(fresh, diagnose(fresh)).endswith("expects prompts with -11.0 nats a token (by chance -10.8).")
    assert names(figures({**random, "prompt_logprob": -3.0}, "sampling.temperature=4")) == ["temperature_high"]
    assert names(figures({**random, "entropy": 2.0, "prompt_logprob": -3.0})) == []


def test_a_bribe_that_is_paid_a_little_slows() -> None:
    little = figures({"bribes": Bribes(nothing=0.0, wrong=0.0, question=0.9, question_pays=0.3)})
    assert [(one.name, one.severity) for one in diagnose(little)] == [("pays_for_anything", "slows")]


def test_where_nothing_ended_shares_of_nothing_are_not_compared() -> None:
    unknown = {"paid": None, "cut": None, "contrast": None, "all_unpaid": None, "unread_right": 0.2, "entropy": 10.5}
    assert names(figures(unknown, "sampling.temperature=2")) == ["temperature_high"]  # by the entropy alone


def test_the_first_line_does_not_promise_what_was_not_seen() -> None:
    none = figures({**NOTHING, "groups": 4, "completions": 32, "scored": 32})
    assert can_learn(none, diagnose(none)) is None
    unknown = "Whether this run can learn is not known: none of the 4 groups of 8 that were drawn has contrast, 0 % are paid."
    assert verdict(none, diagnose(none)).startswith(f"{unknown} Draw more of them (--problems)")
    assert can_learn(figures({}), []) is True
    fast = figures({}, "optimizer.learning_rate=0.3")
    assert verdict(fast, diagnose(fast)).startswith(
        "This run will not learn as it stands: a learning rate of 0.3 is high for all"
    )


def test_few_groups_say_nothing_about_shares() -> None:
    # four groups without a reward happen to any run: 0.2 to the power of 4 is one step in 600
    assert names(figures({**NOTHING, "groups": 4, "cut": 1.0, "unparsed": 1.0})) == []


@pytest.mark.parametrize(
    ("parameters", "rate"),
    [(340_000, 1e-4), (134_500_000, 2e-5), (494_000_000, 1e-6), (1_540_000_000, 1e-6), (7_600_000_000, 1e-6)],
)
def test_rates_that_have_worked_are_usual(parameters: int, rate: float) -> None:
    low, high = usual_rates(parameters, is_lora=False)
    assert low <= rate <= high


def test_adapters_take_ten_times_the_rate_and_more() -> None:
    # 7 B: 1e-5 is what configs/ has, 2e-4 what LoRA Without Regret finds
    low, high = usual_rates(7_600_000_000, is_lora=True)
    assert low <= 1e-5
    assert high >= 2e-4
    assert usual_rates(7_600_000_000, is_lora=False)[1] < 2e-4
