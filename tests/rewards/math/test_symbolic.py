"""What sympy decides, and by which rule; when it is asked; what the question says of names."""

from collections.abc import Iterator
from fractions import Fraction

import pytest

from rewards.math import grade, parse
from rewards.math.equality.rules import Rule, Trail
from rewards.math.symbolic import stage
from rewards.math.symbolic.assumptions import said
from rewards.math.symbolic.client import SYMPY, SympyProcess
from rewards.math.symbolic.stage import settled
from rewards.math.symbolic.wire import MAX_NODES, decode, encode, fits
from rewards.math.tree import Node, number
from rewards.math.verify import compare_texts, judge

DECIDED = [
    (Rule.SYMPY_SAME, "\\frac13", "\\int_0^1 x^2\\,dx", "correct"),
    (Rule.SYMPY_ZERO, "\\int_0^{\\pi} \\sin(ax)\\,dx\\cdot a", "2\\sin^2\\frac{\\pi a}{2}", "correct"),
    # no closed form is known to sympy, the numbers agree: (pi^2/12)(...) is no near miss of anything
    (Rule.SYMPY_NUMBERS, "\\int_0^{\\pi/2}\\ln(\\sin x)\\,dx", "-\\frac{\\pi}{2}\\ln 2", "correct"),
    (Rule.SYMPY_NUMBERS_DIFFER, "\\int_0^{\\pi/2}\\ln(\\sin x)\\,dx", "-\\frac{\\pi}{2}\\ln 3", "wrong"),
    (Rule.SYMPY_DECIMAL, "\\int_0^1 e^{-x^2} dx", "0.746824", "correct"),
    (Rule.SYMPY_INFINITE, "\\sum_{n=1}^\\infty \\frac1n", "\\infty", "correct"),
    (Rule.SYMPY_ANTIDERIVATIVES, "\\int \\cos x\\,dx", "\\sin x+C", "correct"),
    (Rule.SYMPY_NO_CONSTANT, "\\int \\cos x\\,dx", "\\sin x", "wrong"),
    (Rule.SYMPY_DIVISORS, "\\gcd(n,n+13)", "1", "wrong"),
    (Rule.SYMPY_MATRICES, "\\begin{pmatrix}1&1\\\\0&1\\end{pmatrix}^n", "\\begin{pmatrix}1&n\\\\0&1\\end{pmatrix}", "correct"),
    (Rule.SYMPY_PARTS, "(\\int_0^2 x\\,dx, 1)", "(2, 1)", "correct"),
    (Rule.SYMPY_SOLUTIONS, "x^3<x", "x<-1 \\text{ or } 0<x<1", "correct"),
    (Rule.SYMPY_OTHER_SOLUTIONS, "x^3<x", "x<-1 \\text{ or } 0\\le x<1", "wrong"),
    (Rule.SYMPY_CURVES, "x^3=y^3", "x=y", "correct"),
    (Rule.SYMPY_OTHER_CURVES, "x^2=y^2", "x=y", "wrong"),
    (Rule.SYMPY_FAMILIES, "\\sin x=0", "x=k\\pi, k\\in\\mathbb{Z}", "correct"),
]  # fmt: skip
# what says that nothing was found: the verdict is then that of the fast stages
FOUND_NOTHING = {rule for rule in Rule if rule.name in (
    "SYMPY_NO_VALUE", "SYMPY_UNKNOWN", "SYMPY_FAILED", "SYMPY_NOT_STARTED", "SYMPY_STARVED",
    "SYMPY_TIMED_OUT", "SYMPY_ENDED", "SYMPY_EXPLODED",
)}  # fmt: skip


@pytest.fixture(scope="module")
def patient() -> Iterator[SympyProcess]:
    """Return a process with three times the CPU time: in the usual one a slow core finds out less."""
    process = SympyProcess(cpu_seconds=6, wall_seconds=60.0)
    yield process
    process.close()


@pytest.mark.parametrize(("rule", "reference", "answer", "status"), DECIDED)
def test_a_pair_is_decided_by_sympy_and_says_how(
    rule: Rule, reference: str, answer: str, status: str, patient: SympyProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "SYMPY", patient)
    judgement = judge(reference, answer)
    assert (judgement.decision.rule, judgement.status) == (rule, status)
    assert "sympy" in grade(reference, f"\\boxed{{{answer}}}").detail or rule not in set(Rule)


def test_every_rule_of_sympy_has_a_pair() -> None:
    assert {rule for rule, *_ in DECIDED} | FOUND_NOTHING >= {rule for rule in Rule if rule.name.startswith("SYMPY")}


def test_the_fast_stages_come_first_and_sympy_is_not_asked() -> None:
    asked = SYMPY.asked
    for reference, answer in [
        ("1/2", "0.5"),
        ("x^2-1", "(x-1)(x+1)"),
        ("y=2x", "y=3x"),
        ("(0,1)", "0<x<1"),
        ("5", "7"),
        ("x=3", "x=4"),
    ]:
        compare_texts(reference, answer)
    assert SYMPY.asked == asked


@pytest.mark.parametrize(
    ("reference", "answer", "question"),
    [
        ("\\frac13", "\\int_0^1 x^2\\,dx", "What is the area under $y=x^2$ from 0 to 1?"),
        ("(2,3)", "x^2-5x+6<0", "Solve the inequality."),
        ("x=4", "3x-2=10", ""),
        ("x^2-3x+2=0", "x=1,2", "Find a quadratic equation whose roots are 1 and 2."),
    ],
)
def test_what_is_still_to_be_done_is_no_answer(reference: str, answer: str, question: str) -> None:
    assert judge(reference, answer, question).status == "wrong"


def test_a_tree_survives_the_pipe() -> None:
    for text in ("\\int_0^1 0.5x^{2/3}\\,dx", "x=k\\pi, k\\in\\mathbb{Z}", "[0,1)", "\\lim_{x\\to0^+}\\ln x", "1 < x \\le 2"):
        tree = parse(text)
        assert decode(encode(tree)) == tree
    assert decode(encode(number(Fraction(10**200, 3)))) == number(Fraction(10**200, 3))


def test_a_large_tree_is_not_sent() -> None:
    wide = Node("add", (number(1),) * (MAX_NODES + 1))
    deep = number(1)
    for _ in range(100):
        deep = Node("neg", (deep,))
    assert not fits(wide)
    assert not fits(deep)
    assert fits(parse("\\int_0^1 x\\,dx"))
    trail = Trail()
    assert not settled(Node("int", (Node("sym", (), "x"), number(0), number(1), wide)), number(1), trail, "")


@pytest.mark.parametrize(
    ("prompt", "assumptions", "bounds"),
    [
        ("where $n$ is a positive integer", {"n": {"positive": True, "integer": True}}, {}),
        ("Let $a$ and $b$ be positive real numbers.", {"a": {"positive": True}, "b": {"positive": True}}, {}),
        ("for $0<a<1$", {"a": {"positive": True}}, {"a": (0.0, 1.0)}),
        ("Suppose $a < 0$.", {"a": {"negative": True}}, {"a": (-float("inf"), 0.0)}),
        ("$n\\in\\mathbb{Z}$", {"n": {"integer": True}}, {}),
        ("$f(a)=1$ if $a>0$ and 2 otherwise", {}, {}),  # a condition of a case
        ("Find all positive values.", {}, {}),
    ],
)
def test_only_what_the_question_says_is_assumed(prompt: str, assumptions: object, bounds: object) -> None:
    assert said(prompt, ["a", "b", "n"]) == (assumptions, bounds)


def test_an_assumption_decides_where_the_numbers_differ_without_it() -> None:
    assert judge("x", "|x|", "for $x>0$").status == "correct"
    assert judge("x", "|x|", "for $x<0$").status == "wrong"
    assert judge("x", "|x|").status == "wrong"


@pytest.mark.parametrize(
    ("reference", "answer"),
    [
        ("\\int_{-1}^1 \\frac{dx}{x^2}", "-2"),  # diverges, whatever the antiderivative says at the ends
        ("\\int_{-1}^1 \\frac{dx}{x}", "0"),  # a principal value
        ("\\int_0^\\infty \\sin x\\,dx", "1"),  # Abel's value
        ("\\sum_{n=0}^\\infty (-1)^n", "\\frac12"),  # Cesaro's value
        ("\\sum_{n=0}^\\infty 2^n", "-1"),
        ("\\lim_{x\\to0}\\frac{|x|}{x}", "1"),
        ("\\lim_{x\\to0}\\sin\\frac1x", "0"),
        ("\\lim_{x\\to\\infty}\\tanh x", "\\tanh 50"),
        ("\\int_0^{2\\pi}\\sqrt{1-\\cos^2x}\\,dx", "0"),
        ("\\int \\frac{dx}{x}", "\\ln x+C"),  # not defined where x is negative
        ("y=\\sqrt x", "y^2=x"),
        ("\\frac{x^2-1}{x-1}>0", "x>-1"),  # not at 1
        ("\\begin{pmatrix}1&2\\\\2&4\\end{pmatrix}^{-1}", "\\begin{pmatrix}4&-2\\\\-2&1\\end{pmatrix}"),
    ],
)
def test_what_divergence_branches_and_poles_would_make_equal_is_wrong(reference: str, answer: str) -> None:
    assert judge(reference, answer).status != "correct"
    assert judge(answer, reference).status != "correct"
