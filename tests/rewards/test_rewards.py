"""What counts as an answer, when it is right, and what it pays."""

import time
from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support_pure import countdown_problem, number_problem

from problems.types import Problem
from rewards import verifiers
from rewards.answer import MAX_EXTRACTED_CHARACTERS, final_answer, reasoning_text
from rewards.boxes import box_answer
from rewards.countdown import verify_countdown
from rewards.numbers import parse_rational, verify_number
from rewards.shaping import RewardConfig, overlong_fraction, shape
from rewards.types import Reading, Status, Verdict
from rewards.verifiers import verify


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        ("", None),
        ("the answer is 8", "8"),  # a phrase with the value directly behind it
        ("so there are 8", None),  # no mark, no answer: numbers are never picked out of running text
        ("8", None),
        (r"\boxed{8}", "8"),
        (r"\boxed{ 8 }", "8"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        # other names of a box
        (r"\fbox{8}", "8"),
        (r"\boxed {8}", "8"),
        (r"\boxed 8", "8"),
        ("boxed{8}", "8"),
        ("\x08oxed{8}", "8"),  # "\b" of "\boxed" read as an escape
        # braces
        (r"\boxed{\fbox{8}}", "8"),
        (r"\boxed{a \boxed{b} c}", r"a \boxed{b} c"),
        (r"\boxed{\{1,2\}}", r"\{1,2\}"),  # escaped braces do not count
        (r"\boxed{\}}", r"\}"),
        (r"\boxed{a\\}", r"a\\"),
        (r"}{ } \boxed{3}}", "3"),
        # a box that commits to nothing
        (r"\boxed{2", None),
        (r"\boxed{}", None),
        (r"\boxed{1} \boxed{2", None),  # a cut-off answer: an earlier one does not come back
        (r"\boxed{5} as asked, in \boxed{}.", "5"),  # an empty box says nothing
        # a later box replaces an earlier one
        (r"\boxed{1} then \boxed{2}", "2"),
        (r"\boxed{1}. Wait, no: \boxed{2}", "2"),
        (r"\boxed{1} or rather \boxed{2}? No. So \boxed{2}", "2"),
        (r"\boxed{4/2} = \boxed{2}", "2"),
        (r"\boxed{2}\boxed{2}", "2"),
        # boxes that belong together are one answer
        (r"\boxed{1}\boxed{2}", "1, 2"),
        (r"$\boxed{1}$ and $\boxed{2}$", "1, 2"),
        # a hedge is no commitment
        (r"\boxed{1} or \boxed{2}", r"1 \text{ or } 2"),
        (r"\boxed{1} \lor \boxed{2}", r"1 \text{ or } 2"),
        (r"\boxed{1}, maybe \boxed{2}", r"1 \text{ or } 2"),
        (r"\boxed{1} or 2", r"1 \text{ or } 2"),
        (r"\boxed{1}+\boxed{2}", r"1 \text{ or } 2"),
        (r"\boxed{1}. \boxed{2}. \boxed{3}.", r"1 \text{ or } 2 \text{ or } 3"),
        # what stands right behind a box
        (r"\boxed{20}\%", r"20\%"),
        (r"\boxed{20} percent", r"20\%"),
        (r"\boxed{20} apples", "20"),
        # other marks
        ("<answer>5</answer>", "5"),
        ("<ANSWER>4</answer> <answer> 5\n</answer>", "5"),
        ("<answer>5", None),
        ("<answer></answer> #### 5", None),  # no lesser mark stands in for one that commits to nothing
        ("#### 7", "7"),
        ("#### 7\n#### 9 \nbye", "9"),
        ("####", None),
        ("#### Answer\n7", "7"),  # a heading, with the value below
        (r"<answer>1</answer> \boxed{2} #### 3", "2"),  # by order of trust, not of place
        ("#### 3 <answer>1</answer>", "1"),
        # thinking and turns
        (r"<think>\boxed{1}</think>\boxed{2}", "2"),
        (r"<think>\boxed{1}</think>", None),  # a thought is no answer
        (r"<think>\boxed{1}", None),  # still thinking
        (r"</think>\boxed{2}", "2"),  # the prompt may have opened it
        (r"<think>a</think>\boxed{1}<think>b", None),
        (r"<think>a</think>\boxed{1}<think>b</think>\boxed{2}", "2"),
        (r"\boxed{1}<|im_end|>\boxed{2}", "1"),
        (r"\boxed{1}</s>\boxed{2}", "1"),
    ],
)
def test_the_final_answer(completion: str, answer: str | None) -> None:
    assert final_answer(completion) == answer


@given(st.text(alphabet="a{} ", max_size=12))
def test_a_box_is_read_back_when_its_braces_are_balanced(inner: str) -> None:
    depths = [inner[:i].count("{") - inner[:i].count("}") for i in range(len(inner) + 1)]
    if not inner.strip():
        assert box_answer(f"x \\boxed{{{inner}}} y") == ""
    elif min(depths) == 0 and depths[-1] == 0:
        assert box_answer(f"x \\boxed{{{inner}}} y") == inner.strip()
    elif min(depths) == 0:  # more opened than closed
        assert box_answer(f"x \\boxed{{{inner}}} y") == ""


@given(st.text(alphabet="8.,=+ $", max_size=8))
def test_a_number_alone_is_read_as_it_is_in_a_sentence(inner: str) -> None:
    # the first takes the short way, the second the long one
    assert box_answer(f" \\boxed{{{inner}}}\n") == box_answer(f"So \\boxed{{{inner}}}\n")


HEDGES = [
    "\\boxed{{{}}} or \\boxed{{{}}}",
    "\\boxed{{{}}} \\lor \\boxed{{{}}}",
    "\\boxed{{{}}}, maybe \\boxed{{{}}}",
    "\\boxed{{{}}} and \\boxed{{{}}}",
    "\\boxed{{{}}}\\boxed{{{}}}",
    "\\boxed{{{}}}\n\\boxed{{{}}}",
    "\\boxed{{{}}} + \\boxed{{{}}}",
    "\\boxed{{{} \\text{{ or }} {}}}",
    "<answer>{} or {}</answer>",
    "#### {} or {}",
]


@pytest.mark.parametrize("hedge", HEDGES)
@pytest.mark.parametrize("domain", ["chain", "arithmetic", "gsm8k", "math", "countdown"])
def test_a_hedge_pays_in_no_domain(domain: str, hedge: str) -> None:
    right, wrong = ("2*6", "3*6") if domain == "countdown" else ("5", "3")
    problem = countdown_problem([2, 6], 12) if domain == "countdown" else number_problem("5", domain)
    assert verify(problem, f"\\boxed{{{right}}}").status == "correct"
    for one, other in ((right, wrong), (wrong, right)):
        assert verify(problem, f"<think>so</think>{hedge.format(one, other)}").status in ("wrong", "unparsed")


@pytest.mark.parametrize("domain", ["chain", "gsm8k", "math"])
@pytest.mark.parametrize(
    "text",
    [
        r"\boxed{3}. Wait, no. \boxed{5}",
        r"\boxed{3} is wrong, so \boxed{5}",
        r"\boxed{10/2}=\boxed{5}",
        r"\boxed{5} or equivalently \boxed{5.0}",
    ],
)
def test_a_correction_or_another_spelling_counts_in_every_domain(domain: str, text: str) -> None:
    assert verify(number_problem("5", domain), text).status == "correct"


@pytest.mark.parametrize("text", ["\\boxed{" * 40_000, "\\boxed{" * 200 + "{x" * 50_000, "<answer>" * 40_000, "#" * 200_000])
def test_reading_an_answer_takes_linear_time(text: str) -> None:
    started = time.process_time()
    assert final_answer(text) is None  # quadratic: 40,000 x 280,000 / 2 steps, minutes
    assert time.process_time() - started < 2


def test_an_endless_answer_is_no_number_and_the_verdict_stays_short() -> None:
    verdict = verify(number_problem(), "\\boxed{" + "1" * (MAX_EXTRACTED_CHARACTERS + 1) + "}")
    assert verdict.status == "unparsed"
    assert verdict.extracted == "1" * MAX_EXTRACTED_CHARACTERS


def test_reasoning_ends_where_the_answer_begins() -> None:
    assert reasoning_text("<think>ab</think>\\boxed{1}") == "<think>ab</think>"
    assert reasoning_text("ab #### 1 \\boxed{1}") == "ab "
    assert reasoning_text("ab") == "ab"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8", Fraction(8)),
        (" -8 ", Fraction(-8)),
        ("+8", Fraction(8)),
        ("\u22128", Fraction(-8)),  # the mathematical minus sign
        ("1,234", Fraction(1234)),
        ("1,234,567.5", Fraction(2469135, 2)),
        ("0.50", Fraction(1, 2)),
        (".5", Fraction(1, 2)),
        ("5.", Fraction(5)),
        ("007", Fraction(7)),
        ("3/4", Fraction(3, 4)),
        ("-3 / 4", Fraction(-3, 4)),
        ("1.5/0.5", Fraction(3)),
        (r"\frac{3}{4}", Fraction(3, 4)),
        (r"-\dfrac{3}{4}", Fraction(-3, 4)),
        (r"-\tfrac{-3}{4}", Fraction(3, 4)),
        ("$5", Fraction(5)),
        (r"\$1,000.", Fraction(1000)),
        ("$5$", Fraction(5)),
        ("", None),
        ("-", None),
        ("1,23", None),  # no group of thousands
        ("12 34", None),
        ("1e3", None),
        ("1/0", None),
        (r"\frac{1}{0}", None),
        ("1/2/3", None),
        ("2+3", None),
        ("nan", None),
        ("inf", None),
        ("0x10", None),
        ("1_000", None),
        ("\u0665", Fraction(5)),  # Arabic-Indic
        ("\u00b2", None),
        ("5 apples", None),
        ("1" * 201, None),
    ],
)
def test_a_plain_number_is_read_exactly(text: str, value: Fraction | None) -> None:
    assert parse_rational(text) == value


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**30))
def test_every_ratio_is_read_back(numerator: int, denominator: int) -> None:
    assert parse_rational(f"{numerator}/{denominator}") == Fraction(numerator, denominator)
    assert parse_rational(f"{numerator:,}") == numerator


@pytest.mark.parametrize(
    ("reference", "answer", "status"),
    [
        ("8", "8.0", "correct"),
        ("0.5", "1/2", "correct"),
        ("8", "8.0000000000000000001", "wrong"),  # a float would call these equal
        ("8", "x", "unparsed"),
        ("eight", "8", "error"),
        ("", "8", "error"),
        ("8", "9" * 10_000, "unparsed"),
    ],
)
def test_numbers_are_compared_exactly(reference: str, answer: str, status: Status) -> None:
    assert verify_number(number_problem(reference), f"\\boxed{{{answer}}}").status == status


def test_huge_digits_are_refused_at_once_and_the_detail_stays_short() -> None:
    started = time.process_time()
    verdict = verify(number_problem("8"), "\\boxed{" + "9" * 1_000_000 + "}")
    long = verify(number_problem("8"), "\\boxed{" + "9" * 200 + "}")
    assert time.process_time() - started < 1
    assert (verdict.status, long.status) == ("unparsed", "wrong")
    assert len(long.detail) <= 200


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ("(3+5)*2-4", "correct"),
        ("2*(5+3)-4", "correct"),
        (r"\left(3+5\right)\times 2-4", "correct"),
        ("(3 + 5) \u00d7 2 \u2212 4", "correct"),
        ("(3+5)*2-4=12", "correct"),
        ("(3+5)*2-4 = 24/2", "correct"),  # the right side may be any expression of the target
        ("(3+5)*2-4=13", "wrong"),
        ("(3+5)*4/2-4", "wrong"),  # 4 twice
        ("3*4", "wrong"),  # 12, but not all numbers
        ("12", "wrong"),
        ("3+5+2+4", "wrong"),  # 14
        ("(3+5)*2-4+0", "wrong"),  # 0 was not given
        ("35-2*4", "wrong"),  # digits do not join: 35 was not given
        ("-4+(3+5)*2", "unparsed"),  # no unary minus in the game
        ("(3+5)(2)-4", "unparsed"),
        ("(3+5)*2-4)", "unparsed"),
        ("((3+5)*2-4", "unparsed"),
        ("3/(5-5)+2+4", "unparsed"),
        ("3/(2-2)", "unparsed"),
        ("3 5 2 4", "unparsed"),
        ("3**5", "unparsed"),
        ("3//5", "unparsed"),
        ("3^5", "unparsed"),
        ("3.0+5", "unparsed"),
        ("=12", "unparsed"),
        ("(3+5)*2-4=", "unparsed"),
        ("(3+5)*2-4=12=12", "unparsed"),
        ("\uff13+5", "unparsed"),  # full-width 3
        ("\u0663+5", "unparsed"),  # Arabic-Indic 3
        ("\u00b2", "unparsed"),
        ("3+5#", "unparsed"),
        ("__import__('os').system('true')", "unparsed"),
        ("(" * 41 + "3" + ")" * 41, "unparsed"),
        ("(" * 5000, "unparsed"),
        ("3+" * 3000 + "3", "unparsed"),
        ("9" * 390, "unparsed"),
    ],
)
def test_a_countdown_answer(answer: str, status: Status) -> None:
    assert verify_countdown(countdown_problem([3, 5, 2, 4], 12), f"\\boxed{{{answer}}}").status == status


def test_countdown_divides_exactly_and_takes_depth_up_to_its_limit() -> None:
    # 8 / (3 - 8/3) = 8 / (1/3) = 24: floats give 23.999999999999989
    assert verify(countdown_problem([3, 3, 8, 8], 24), r"\boxed{8/(3-8/3)}").status == "correct"
    assert verify(countdown_problem([3], 3), "\\boxed{" + "(" * 40 + "3" + ")" * 40 + "}").status == "correct"


def test_a_number_given_twice_must_be_used_twice() -> None:
    assert verify(countdown_problem([2, 2, 3], 7), r"\boxed{2*2+3}").status == "correct"
    assert verify(countdown_problem([2, 2, 3], 5), r"\boxed{2+3}").status == "wrong"


@pytest.mark.parametrize("checks", [{}, {"numbers": [1]}, {"numbers": None, "target": 1}, {"numbers": [1], "target": "x"}])
def test_a_countdown_problem_without_its_data_is_an_error(checks: dict[str, object]) -> None:
    problem = Problem(id="c", domain="countdown", split="test", prompt="?", reference=None, checks=checks, source="test")
    assert verify(problem, r"\boxed{1}").status == "error"


def test_a_domain_without_a_verifier_is_an_error_that_names_those_that_have_one() -> None:
    verdict = verify(number_problem(domain="poetry"), r"\boxed{8}")
    assert verdict.status == "error"
    assert "'poetry'" in verdict.detail
    assert "countdown" in verdict.detail


@pytest.mark.parametrize(
    ("raised", "status"), [(KeyError("x"), "error"), (RecursionError(), "timeout"), (MemoryError(), "timeout")]
)
def test_a_bug_in_a_verifier_is_an_error_and_an_explosion_is_the_answers(
    raised: Exception, status: Status, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(problem: Problem, completion: str, reading: Reading) -> Verdict:
        raise raised

    monkeypatch.setitem(verifiers.VERIFIERS, "broken", verifiers.VerifierEntry(verify=broken))
    verdict = verify(number_problem(domain="broken"), r"\boxed{8}")
    assert verdict.status == status
    assert type(raised).__name__ in verdict.detail


def test_a_verdict_says_how_long_it_took() -> None:
    assert 0 < verify(number_problem(), r"\boxed{8}").seconds < 1


CORRECT, WRONG = Verdict(status="correct"), Verdict(status="wrong")


@pytest.mark.parametrize(
    ("tokens", "fraction"),
    # max 64, buffer 16: nothing up to 48, then (tokens - 48) / 16
    [(0, 0.0), (48, 0.0), (49, 0.0625), (56, 0.5), (60, 0.75), (64, 1.0), (70, 1.0)],
)
def test_the_overlong_ramp(tokens: int, fraction: float) -> None:
    assert overlong_fraction(tokens, 64, 16) == fraction


def test_without_a_buffer_there_is_no_ramp() -> None:
    assert overlong_fraction(64, 64, 0) == 0.0


def test_a_reward_is_the_weighted_sum_of_its_parts() -> None:
    config = RewardConfig(format_weight=0.2, overlong_weight=0.5, overlong_buffer_tokens=16)
    good = "<think>a</think>\\boxed{8}"
    # 1 + 0.2 - 0.5 * 0.5 = 0.95
    assert shape(config, CORRECT, good, 56, 64).total == pytest.approx(0.95)
    # a wrong answer pays for its length and gets nothing for its form: 0 + 0 - 0.5 * 1 = -0.5
    assert shape(config, WRONG, good, 64, 64).total == pytest.approx(-0.5)
    assert shape(RewardConfig(), CORRECT, "", 64, 64).total == 1.0


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -float("inf")])
def test_a_reward_that_is_no_number_is_none_and_says_so(score: float) -> None:
    reward = shape(RewardConfig(), Verdict(status="wrong", score=score), "", 64, 64)
    assert (reward.total, reward.verdict.status, reward.verdict.kind) == (None, "error", "not_finite")
    assert reward.verdict.detail == f"the reward is not finite: correct {score}"


@pytest.mark.parametrize(
    ("text", "well_formed"),
    [
        ("<think>a</think>b", 1.0),
        ("\n<think>a\nb</think>\nc", 1.0),
        ("<think></think>b", 0.0),
        ("<think>a</think>", 0.0),
        ("x<think>a</think>b", 0.0),
        ("<think>a<think>b</think>c", 0.0),
        ("<think>a</think>b</think>c", 0.0),
        ("a", 0.0),
    ],
)
def test_form_pays_only_with_a_correct_answer(text: str, well_formed: float) -> None:
    config = RewardConfig(format_weight=0.5)
    assert shape(config, CORRECT, text, 1, 64).parts["format"] == well_formed
    assert shape(config, WRONG, text, 1, 64).total == 0.0


def test_the_form_is_judged_in_linear_time() -> None:
    started = time.process_time()
    shape(RewardConfig(format_weight=0.5), CORRECT, "<think>" + "a" * 300_000, 1, 64)
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("status", "total"), [("correct", 1.0), ("wrong", 0.0), ("unparsed", 0.0), ("timeout", 0.0), ("error", None)]
)
def test_only_an_error_is_unscorable(status: Status, total: float | None) -> None:
    config = RewardConfig(format_weight=0.5)
    assert shape(config, Verdict(status=status), "", 1, 64).total == total


@pytest.mark.parametrize("verifier", [verify_number, verify_countdown])
@given(text=st.text())
def test_no_text_makes_a_verifier_raise(verifier: Callable[[Problem, str], Verdict], text: str) -> None:
    problem = countdown_problem([1, 2], 3) if verifier is verify_countdown else number_problem("3")
    assert verifier(problem, f"\\boxed{{{text}}}").status in ("correct", "wrong", "unparsed")
