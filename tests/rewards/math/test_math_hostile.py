"""Hostile input: it ends quickly in the calling process, touches nothing, and never counts as right."""

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rewards.math import grade, parse
from rewards.math.symbolic.client import SYMPY
from rewards.math.tree import UnreadableError

PACKAGE = Path(__file__).parents[3] / "rewards"
LIMIT_SECONDS = 12.0  # the worst takes 1.2 s of CPU time on an idle core, 2.1 on a shared one; without MAX_STEPS more than 14
BOMBS = [
    "9^{9^{9^9}}",
    "9**9**9**9",
    "2^{40000000000}",
    "3^{10^9}",
    "100000000!",
    "(((10!)!)!)!",
    "\\binom{10^9}{5\\cdot10^8}",
    "\\binom{10^6}{5\\cdot10^5}",
    "\\sum_{k=1}^{10^{12}} k",
    "\\sum_{i=1}^{2000}\\sum_{j=1}^{2000} i j",
    "\\prod_{k=1}^{2000} k!",
    "(" * 3000 + "1" + ")" * 3000,
    "1" + "+1" * 3000,
    "{" * 20_000,
    "(a+b+c+d+e)^{200}",
    "9^{9^{9^9}}-9^{9^{9^9}}",
    "1," * 20_000 + "1",
    "\\boxed{" * 3000,
    "\\frac{1}{" * 1000 + "1" + "}" * 1000,
    "\\sqrt{" * 500 + "2" + "}" * 500,
    "x" * 300_000,
    "1" * 300_000,
    "a b " * 75_000,
    "$" * 100_000,
    "\\boxed{1}" * 20_000,
    "\\boxed{1} or " * 20_000,
    "<answer>" * 20_000,
    "the answer is " * 20_000,
    "|" * 3000 + "1" + "|" * 3000,
    "0." + "3" * 5000 + "...",
    "1e999999999",
    "e^{e^{e^{e^{10}}}}",
    "\\sin(10^{10^{10}})",
    "(\\sqrt{2})^{10^8}",
    "x^{10^{30}}",
    "(x+1)^{1000}",
    "5" + "!" * 3000,
    "2^" * 3000 + "2",
    "\\text{" * 3000,
    "\\pm" * 700 + "1",
    "1\\pm 1" * 300,
    "[0,1]" + "\\cup [0,1]" * 200,
    ",".join(f"\\sqrt{{{number}}}" for number in range(300)),
    "²" * 3000,
    "tet/t<tt",  # not linear in its variable: found by fuzzing, integers must not become floats
    "\u200b" * 300_000,
    "\n" * 300_000,
    "\\( " * 100_000,
    "4" * 3999,
    "#### " + "\\[" * 100_000,
    "<answer>" + "\\(1" * 100_000 + "</answer>",
    "3^{2999}" + "\\cdot 3^{2999}" * 50,
    "\\{" + ",".join(f"\\sin({k}x)" for k in range(200)) + "\\}",
    "\\{" + ",".join(f"\\{{x \\in \\mathbb{{Z}} | {k} \\le x \\le {199 + k}\\}}" for k in range(100)) + "\\}",
    "\\{" * 700,
    "\\{x : " * 50 + "x = 1" + "\\}" * 50,
    "\\hat{i}" + "\\cdot 2" * 700,
    "((\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}^{32})^{32})^{32}",
    "\\Gamma(" * 50 + "2" + ")" * 50,
    "\\prod_{k=1}^{2000} k! \\pmod 7",
    "x mod " * 600 + "7",
    "," * 3000 + "k\\in\\mathbb{Z}",
    "x=" + ",".join(f"\\sqrt{{{number}}}+k\\pi" for number in range(300)) + ", k\\in\\mathbb{Z}",
    "\\begin{cases}" + "1&x<0\\\\" * 300 + "\\end{cases}",
    "\\begin{cases}1&\\text{" + "if " * 1200 + "}\\end{cases}",
    "+".join(f"C_{number}\\sum_{{j=1}}^{{2000}} j^{number}x" for number in range(1, 4)),
    "y=\\frac{1}{x-\\sum_{k=1}^{2000}k!}",
]
PAYLOADS = [
    "__import__('os').system('touch {marker}')",
    "().__class__.__bases__[0].__subclasses__()",
    "open('{marker}','w')",
    "exec(\"open('{marker}','w')\")",
    "x.__init__.__globals__['os'].system('touch {marker}')",
    "[c for c in ().__class__.__base__.__subclasses__()]",
    "lambda: open('{marker}', 'w')",
    "5 if open('{marker}','w') else 5",
    "Symbol('x', real=open('{marker}','w'))",
    "\\text{{__import__('os').system('touch {marker}')}}",
    'f\'{{__import__("os").system("touch {marker}")}}\'',
    'sympy.S(\'__import__("os").system("touch {marker}")\')',
    "5; import os; os.system('touch {marker}')",
    "getattr(5, 'real')",
    "5 .__class__",
]


@pytest.fixture
def impatient_sympy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give sympy half of its CPU time: many bombs use all that it has (how it ends is for test_symbolic_process.py)."""
    monkeypatch.setattr(SYMPY, "cpu_seconds", 1)
    SYMPY.close()
    yield
    SYMPY.close()


@pytest.mark.parametrize(
    "reference",
    [
        "5", "1,2,3", "[0,1)", "\\text{yes}",
        *(pytest.param(more, marks=pytest.mark.slow) for more in [
            "x^2", "2^{100000}", "\\sqrt{2}+1", "\\{1,2\\}", "x\\equiv 3\\pmod 7", "x^2y=4", "C_1x+C_2x^2+C_3x^3",
            "\\begin{cases}1&x<0\\\\2&x\\ge0\\end{cases}",
        ]),
    ],
)  # fmt: skip
def test_bombs_end_soon_and_are_not_right(reference: str, impatient_sympy: None) -> None:
    for bomb in BOMBS:
        for completion in (bomb, f"\\boxed{{{bomb}}}"):
            started = time.process_time()
            verdict = grade(reference, completion)
            assert time.process_time() - started < LIMIT_SECONDS, bomb[:60]
            assert verdict.status in ("wrong", "unparsed", "timeout"), (bomb[:60], verdict)


def test_payloads_have_no_effect_and_are_not_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for payload in PAYLOADS:
        text = payload.replace("{marker}", "hacked").replace("{{", "{").replace("}}", "}")
        for completion in (text, f"\\boxed{{{text}}}", f"<answer>{text}</answer>", f"The answer is {text}"):
            assert grade("5", completion).status in ("wrong", "unparsed"), text
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("function", ["\\max", "\\gcd", "\\sin", "\\log_2", "sqrt", "\\exp"])
@pytest.mark.parametrize("nothing", ["\\{\\}", "{\\emptyset}", ""])
def test_a_function_of_nothing_is_unreadable_and_no_crash(function: str, nothing: str) -> None:
    for reference in ("5", "\\sqrt{2}", "x^2"):
        assert grade(reference, f"\\boxed{{{function}{nothing}}}").status in ("wrong", "unparsed")


def test_a_binomial_has_two_arguments() -> None:
    assert grade("10", "binom(5, 2)").status == "correct"
    assert [grade("10", answer).status for answer in ("binom(10)", "nCr(5, 2, 1)")] == ["unparsed", "unparsed"]


def test_a_command_without_its_group_is_unreadable_and_no_crash() -> None:
    for answer in ("\\operatorname", "5\\operatorname x", "\\text", "\\begin", "\\frac", "\\hat", "\\sum", "\\angle"):
        assert grade("5", f"\\boxed{{{answer}}}").status in ("wrong", "unparsed"), answer


def test_the_package_evaluates_no_text() -> None:
    forbidden = re.compile(r"\b(?:eval|exec|sympify|parse_expr|__import__|compile)\(")
    allowed = re.compile(r"re\.compile\(")
    for path in (PACKAGE / "math").rglob("*.py"):
        text = allowed.sub("", path.read_text())
        assert not forbidden.search(text), path


def test_what_is_not_understood_is_named_with_its_place() -> None:
    with pytest.raises(UnreadableError, match=r"unexpected at 2, found .*frob"):
        parse("2 \\frob{3}")
    with pytest.raises(UnreadableError, match="characters"):
        parse("1" * 20_000)
