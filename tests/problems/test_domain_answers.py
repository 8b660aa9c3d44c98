"""The mathematical domains, worked out a second way: sympy and brute force for the answers, plain arithmetic for each step."""

import ast
import math
import operator
import re
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from itertools import combinations, pairwise, permutations
from random import Random
from typing import Any

import pytest
import sympy
from support_domains import EVERY_LEVEL, sample

from problems.catalog import DOMAINS
from problems.types import Problem, boxed
from rewards.verifiers import verify

CHECKED = 4  # items of a level
X = sympy.Symbol("x")


def as_python(text: str) -> str:
    """Return a formula in Python's grammar: `2x^2(x+1)` is `2*x**2*(x+1)`."""
    text = re.sub(r"\\frac\{(.*?)\}\{(.*?)\}(?=$|[-+*=])", r"((\1)/(\2))", text)
    text = re.sub(r"\\sqrt\{(\d+)\}", r"sqrt(\1)", text)
    return re.sub(r"(?<=[\d)])(?=[a-z(])|(?<=x)(?=\()|(?<=[a-d])(?=x)", "*", text).replace("^", "**")


def formula(text: str) -> Any:
    return sympy.sympify(as_python(text))


def numbers_in(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"-?\d+", text)]


def as_tuple(reference: str) -> tuple[Any, ...]:
    return tuple(map(formula, reference.strip("()").split(", ")))


def put_in(form: str, reference: str) -> Any:
    """Return a form such as `(x+a)(x+b)` with the numbers of the reference for its letters."""
    return formula(form).subs(dict(zip(sympy.symbols("a b c d"), as_tuple(reference), strict=False)))


# -- each answer a second way


def linear_equation(problem: Problem) -> bool:
    left, right = problem.prompt.removeprefix("Solve for x: ").rstrip(".").split("=")
    return bool(sympy.solve(formula(left) - formula(right), X) == [formula(problem.reference or "")])


def quadratic_equation(problem: Problem) -> bool:
    left = problem.prompt.removeprefix("Find all real solutions of ").removesuffix("=0.")
    found = [formula(one) for one in (problem.reference or "").split(", ")]
    solutions = sympy.solve(formula(left), X)
    return len(found) == len(solutions) and all(any(sympy.simplify(a - b) == 0 for b in solutions) for a in found)


def linear_system(problem: Problem) -> bool:
    equations, names = problem.prompt.removeprefix("Solve ").rstrip(".").split(" for ")
    sides = [equation.split("=") for equation in equations.split(", ")]
    unknowns = sympy.symbols(names.strip("()"))
    solution = sympy.solve([formula(left) - formula(right) for left, right in sides], unknowns)
    return tuple(solution[name] for name in unknowns) == as_tuple(problem.reference or "")


def factored(problem: Problem) -> bool:
    whole, form = problem.prompt.removeprefix("Factor ").split(" with ")[0].split(" as ")
    numbers = numbers_in(problem.reference or "")
    factors = [numbers] if "ax" not in form else [numbers[:2], numbers[2:]]
    is_sorted = all(factor == sorted(factor) for factor in factors) if "ax" not in form else factors == sorted(factors)
    return is_sorted and sympy.expand(put_in(form, problem.reference or "") - formula(whole)) == 0


def expanded(problem: Problem) -> bool:
    product = problem.prompt.removeprefix("Write ").split(" as ")[0]
    return sympy.Poly(formula(product), X).all_coeffs() == list(as_tuple(problem.reference or ""))


def radical(problem: Problem) -> bool:
    text = problem.prompt.removeprefix("Write ").split(" as ")[0]
    outside, inside = as_tuple(problem.reference or "")
    is_smallest = set(sympy.factorint(inside).values()) == {1}
    return is_smallest and sympy.simplify(formula(text) - outside * sympy.sqrt(inside)) == 0


def rational_expression(problem: Problem) -> bool:
    match = re.match(r"(?:Simplify|Write) (\S+) (?:to|as) (\S+)\. What", problem.prompt)
    assert match is not None
    return bool(sympy.cancel(formula(match[1]) - put_in(match[2], problem.reference or "")) == 0)


def divisor(problem: Problem) -> bool:
    make = math.gcd if "divisor" in problem.prompt else math.lcm
    return make(*numbers_in(problem.prompt)) == int(problem.reference or "")


def modular(problem: Problem) -> bool:
    *numbers, modulus = numbers_in(problem.prompt)
    answer = int(problem.reference or "")
    if "leaves" in problem.prompt:
        return pow(numbers[2], -1, modulus) == answer
    if "^" in problem.prompt:
        return pow(numbers[0], numbers[1], modulus) == answer
    return (sum(numbers) if "+" in problem.prompt else math.prod(numbers)) % modulus == answer


def primes(problem: Problem) -> bool:
    return Counter(numbers_in(problem.reference or "")) == sympy.factorint(numbers_in(problem.prompt)[0])


def number_base(problem: Problem) -> bool:
    numbers, answer = numbers_in(problem.prompt), problem.reference or ""
    if problem.difficulty["task"] == "to_ten":
        return int(str(numbers[1]), numbers[0]) == int(answer)
    if problem.difficulty["task"] == "from_ten":
        return int(answer, numbers[1]) == numbers[0]
    if problem.difficulty["task"] == "between":
        return int(answer, numbers[2]) == int(str(numbers[1]), numbers[0])
    return int(answer, numbers[2]) == sum(int(str(number), numbers[2]) for number in numbers[:2])


def asked_value(problem: Problem) -> bool:
    return bool(formula(problem.prompt.removeprefix("What is ").rstrip("?")) == formula(problem.reference or ""))


UNITS = {  # in metres, kilograms, seconds and what is made of them
    **{"mm": "1/1000", "cm": "1/100", "m": "1", "km": "1000", "mg": "1/1000000", "g": "1/1000", "kg": "1", "t": "1000"},
    **{"s": "1", "min": "60", "h": "3600", "d": "86400", "ml": "1/1000000", "cl": "1/100000", "l": "1/1000", "m^3": "1"},
    **{"cm^2": "1/10000", "m^2": "1", "ha": "10000", "km^2": "1000000", "m/min": "1/60", "m/s": "1", "km/h": "5/18"},
}


def unit(problem: Problem) -> bool:
    match = re.match(r"Convert (\S+) (\S+) to (\S+)\. Give", problem.prompt)
    assert match is not None
    quantity, target = Fraction(match[1]) * Fraction(UNITS[match[2]]), Fraction(UNITS[match[3]])
    return Fraction(problem.reference or "0") * target == quantity


def sequence(problem: Problem) -> bool:
    *terms, n = numbers_in(problem.prompt)
    shown = len(terms)
    if problem.difficulty["rule"] == "additive":
        while len(terms) < n:
            terms.append(sum(terms[-2:]))
    elif problem.difficulty["rule"] == "geometric":
        assert len({Fraction(b, a) for a, b in pairwise(terms)}) == 1
        terms += [terms[0] * Fraction(terms[1], terms[0]) ** k for k in range(shown, n)]  # type: ignore[misc]
    else:
        degree = 1 if problem.difficulty["rule"] == "arithmetic" else 2
        through = sympy.interpolate(terms, X)  # at 1, 2, 3, ...
        assert sympy.degree(through, X) <= degree
        terms += [through.subs(X, k + 1) for k in range(shown, n)]
    return len(terms) == n and terms[-1] == int(problem.reference or "")


def counted(problem: Problem) -> bool:
    numbers, task = numbers_in(problem.prompt), problem.difficulty["task"]
    things = {
        "choose": lambda: ways_to_choose(numbers[1], numbers[0]),
        "arrange": lambda: sum(1 for _ in permutations(range(numbers[1]), numbers[0])),
        "letters": lambda: rows(tuple(Counter(re.findall(r"\b[A-Z]\b", problem.prompt)).values())),
        "sums": lambda: sums(problem.prompt.count("+") + 1, numbers[0], numbers[1]),
        "paths": lambda: paths(numbers[2], numbers[3]),
        "committee": lambda: ways_to_choose(numbers[2], numbers[0]) * ways_to_choose(numbers[3], numbers[1]),
    }
    return things[str(task)]() == int(problem.reference or "")


def ways_to_choose(n: int, k: int) -> int:
    return sum(1 for _ in combinations(range(n), k))


@cache
def rows(counts: tuple[int, ...]) -> int:
    """Count the rows of letters by which one comes first."""
    if not any(counts):
        return 1
    return sum(rows((*counts[:i], count - 1, *counts[i + 1 :])) for i, count in enumerate(counts) if count)


@cache
def sums(names: int, total: int, least: int) -> int:
    if names == 1:
        return int(total >= least)
    return sum(sums(names - 1, total - one, least) for one in range(least, total + 1))


@cache
def paths(right: int, up: int) -> int:
    return 1 if not right or not up else paths(right - 1, up) + paths(right, up - 1)


def derivative(problem: Problem) -> bool:
    if match := re.match(r"Differentiate (\S+) with", problem.prompt):
        return bool(sympy.expand(sympy.diff(formula(match[1]), X) - formula(problem.reference or "")) == 0)
    match = re.match(r"What is the slope of y=(\S+) at x=(-?\d+)\?", problem.prompt)
    assert match is not None
    return bool(sympy.diff(formula(match[1]), X).subs(X, int(match[2])) == int(problem.reference or ""))


def integral(problem: Problem) -> bool:
    match = re.match(r"What is the integral of (\S+) from (-?\d+) to (-?\d+)\?", problem.prompt)
    assert match is not None
    value = sympy.integrate(formula(match[1]), (X, int(match[2]), int(match[3])))
    return bool(value == formula(problem.reference or ""))


def limit(problem: Problem) -> bool:
    match = re.match(r"What is the limit of \((\S+)\)/\((\S+)\) as x (?:approaches (-?\d+)|grows)", problem.prompt)
    assert match is not None
    at = sympy.oo if match[3] is None else int(match[3])
    return bool(sympy.limit(formula(match[1]) / formula(match[2]), X, at) == formula(problem.reference or ""))


SECOND_WAY: dict[str, Callable[[Problem], bool]] = {
    "linear_equations": linear_equation,
    "quadratic_equations": quadratic_equation,
    "linear_systems": linear_system,
    "factoring": factored,
    "expansion": expanded,
    "radicals": radical,
    "rational_expressions": rational_expression,
    "divisors": divisor,
    "modular": modular,
    "primes": primes,
    "number_bases": number_base,
    "fractions": asked_value,
    "unit_conversion": unit,
    "sequences": sequence,
    "combinatorics": counted,
    "derivatives": derivative,
    "integrals": integral,
    "limits": limit,
}
at_their_levels = pytest.mark.parametrize(("name", "level"), [one for one in EVERY_LEVEL if one[0] in SECOND_WAY])


@at_their_levels
def test_references_agree_with_a_second_way_to_find_them(name: str, level: int) -> None:
    for item in sample(name, level).train[:CHECKED]:
        assert SECOND_WAY[name](item), (item.prompt, item.reference)


# -- each step

OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
IS_FACT = re.compile(r"lim |1 [a-z]")  # about units, and that lower powers vanish beside higher ones


def value_of(text: str, x: Fraction) -> Any:
    """Return the value of a formula at x, exact but for square roots."""

    def walk(node: ast.expr) -> Any:
        if isinstance(node, ast.BinOp):
            return OPERATORS[type(node.op)](walk(node.left), walk(node.right))
        if isinstance(node, ast.UnaryOp):
            assert isinstance(node.op, ast.USub)
            return -walk(node.operand)
        if isinstance(node, ast.Call):
            return math.sqrt(walk(node.args[0]))
        if isinstance(node, ast.Name):
            assert node.id == "x"
            return x
        assert isinstance(node, ast.Constant)
        return Fraction(str(node.value))

    return walk(ast.parse(as_python(text), mode="eval").body)


def holds(left: str, right: str) -> bool:
    """Tell whether the sides of a step are equal, as numbers or at some x; `x=6/3=2` says that 6/3 is 2."""
    if left.endswith("'"):
        return bool(sympy.expand(sympy.diff(formula(left[:-1]), X) - formula(right)) == 0)
    if left.startswith("int "):
        return bool(sympy.diff(formula(right), X) == formula(left.removeprefix("int ")))
    one, other = (value_of(side, Fraction(37, 11)) for side in (re.sub(r"^[xyz]=", "", left), right))
    return bool(one == other) or math.isclose(one, other, rel_tol=1e-12)


@at_their_levels
def test_every_step_is_true(name: str, level: int) -> None:
    count = 0
    for item in sample(name, level).train[:: 1000 // CHECKED]:
        for left, right in item.checks["steps"]:
            if not IS_FACT.match(left):
                assert holds(left, right), (left, right, item.prompt)
                count += 1
    assert count >= CHECKED


def test_drafts_that_are_the_same_problem_have_the_same_answer() -> None:
    for name, level in EVERY_LEVEL:
        if name not in SECOND_WAY:
            continue
        domain = DOMAINS[name]
        config = domain.config(**domain.levels[level - 1])
        answers: dict[str, str] = {}
        for seed in range(100):
            draft = domain.generate(Random(seed), config)
            answer = draft.reference or ""
            assert answers.setdefault(draft.same_as or draft.prompt, answer) == answer, draft.prompt


@pytest.mark.parametrize(
    ("name", "prompt", "reference", "answers", "wrong"),
    [
        ("linear_equations", "Solve for x: 6x+24=-54.", "-13", ["x=-13", "-13.0", "-26/2"], ["x=13", "6x+24=-54"]),
        (
            "quadratic_equations",
            "Find all real solutions of x^2-x-56=0.",
            "-7, 8",
            ["8, -7", "x=-7 or x=8", r"\{-7, 8\}"],
            ["8", "x^2-x-56=0", "-7, 8, 8.5"],
        ),
        (
            "linear_systems",
            "Solve x-3y=-29, -2x-2y=-14 for (x, y).",
            "(-2, 9)",
            ["x=-2, y=9", "(-2,9)"],
            ["(9, -2)", "x-3y=-29, -2x-2y=-14"],
        ),
        (
            "primes",
            "List the prime factors of 12, each as often as it divides 12.",
            "2, 2, 3",
            ["3, 2, 2"],
            ["2, 3", "12", "2^2*3"],
        ),
        ("number_bases", "Write 5 in base 2. Give the digits only.", "101", ["0101"], ["5", "101_2", "5_{10}"]),
        ("fractions", "What is 1/4+1/4?", "1/2", [r"\frac{1}{2}", "0.5", "2/4"], ["1/4+1/4"]),
        (
            "unit_conversion",
            "Convert 430 m to km. Give the number only.",
            "0.43",
            ["0.430", "43/100"],
            ["430 m", "0.43 m", "430"],
        ),
        (
            "divisors",
            "What is the greatest common divisor of 84 and 36?",
            "12",
            ["12.0", "12"],
            [r"\gcd(84,36)", r"\gcd(84, 36)=12", "84"],
        ),
        (
            "combinatorics",
            "In how many ways can 2 of 12 books be chosen?",
            "66",
            ["66"],
            [r"\binom{12}{2}", r"\frac{12!}{2!10!}", "12*11/2"],
        ),
        (
            "modular",
            "What is the remainder of 7^13 divided by 11?",
            "2",
            ["2", "2.0"],
            [r"7^{13}-11\lfloor 7^{13}/11\rfloor", "7^{13}", r"7^{13} \bmod 11"],
        ),
        ("derivatives", "Differentiate x^2 with respect to x.", "2x", ["x+x", "2*x", "y'=2x"], ["x^2", "2"]),
        (
            "integrals",
            "What is the integral of 3x^2 from 0 to 2?",
            "8",
            ["8.0"],
            [r"\int_0^2 3x^2 dx", "x^3"],
        ),
    ],
)
def test_other_ways_to_write_an_answer_pay_and_the_question_does_not(
    name: str, prompt: str, reference: str, answers: list[str], wrong: list[str]
) -> None:
    problem = Problem(id="p", domain=name, split="test", prompt=prompt, reference=reference, source="test")
    for answer in answers:
        assert verify(problem, boxed(answer)).status == "correct", answer
    for answer in wrong:
        assert verify(problem, boxed(answer)).status in ("wrong", "unparsed"), answer
