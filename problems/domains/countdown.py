"""Countdown: reach a target with the given numbers, each used exactly once, by + - * / and parentheses.

Many expressions may be right, so there is no reference: a program checks the answer (rewards/countdown.py).
Same task as Jiayi-Pan/Countdown-Tasks-3to4 (columns `target`, `nums`).
"""

from collections.abc import Iterable, Sequence
from itertools import permutations
from random import Random

from pydantic import Field

from problems.types import Domain, Draft, Problem, ProblemError, RangeFromTwo, SourceConfig, boxed, thinking

Step = tuple[int, str, int, int]  # 12/4=3 is (12, "/", 4, 3)
_MAX_ATTEMPTS = 10_000
_MOST_SEARCHED = 5  # numbers of a problem that came without an expression


class CountdownConfig(SourceConfig):
    """Settings of `countdown`."""

    numbers: RangeFromTwo = Field(default=(3, 4), description="fewest and most numbers given")
    largest: int = Field(default=20, ge=2, description="largest number given")
    max_target: int = Field(default=100, ge=2, description="largest target")


def countdown_prompt(numbers: list[int], target: int) -> str:
    """Return the question; the same words for generated and for downloaded problems."""
    return f"Use {','.join(map(str, numbers))} to make {target}."


def _combine(rng: Random, numbers: list[int]) -> tuple[list[Step], str, int]:
    """Combine `numbers` at random into one value; return the steps, the expression in parentheses and the value."""
    terms = [(number, str(number)) for number in numbers]  # (value, expression)
    steps: list[Step] = []
    while len(terms) > 1:
        first, second = sorted(rng.sample(range(len(terms)), 2), reverse=True)  # the later one goes first: places stay
        left, right = terms.pop(first), terms.pop(second)
        if left[0] < right[0]:
            left, right = right, left
        a, b = left[0], right[0]
        divides = b != 0 and a % b == 0
        operator = rng.choice(["+", "-", "*", "/"] if divides else ["+", "-", "*"])
        value = {"+": a + b, "-": a - b, "*": a * b, "/": a // b if divides else 0}[operator]
        steps.append((a, operator, b, value))
        terms.append((value, f"({left[1]}{operator}{right[1]})"))
    value, expression = terms[0]
    return steps, expression, value


def _written(steps: Iterable[Sequence[object]]) -> str:
    return "".join(f"{a}{operator}{b}={value};" for a, operator, b, value in steps)


def generate(rng: Random, config: CountdownConfig) -> Draft:
    """Draw numbers and a target that they reach."""
    count = rng.randint(*config.numbers)
    for _ in range(_MAX_ATTEMPTS):
        numbers = [rng.randint(1, config.largest) for _ in range(count)]
        steps, expression, target = _combine(rng, numbers)
        if 1 <= target <= config.max_target and target not in numbers:
            break
    else:
        raise ProblemError(
            f"countdown found no target up to {config.max_target} for {count} numbers up to {config.largest} in "
            f"{_MAX_ATTEMPTS} tries: raise max_target, or give fewer or smaller numbers"
        )
    return Draft(
        prompt=countdown_prompt(numbers, target),
        same_as=countdown_prompt(sorted(numbers), target),
        reference=None,
        checks={
            "numbers": numbers,
            "target": target,
            "witness": expression[1:-1],
            "steps": [list(step) for step in steps],
        },
        difficulty={"numbers": count},
    )


def search(terms: Sequence[tuple[int, str]], target: int) -> tuple[list[Step], str] | None:
    """Return steps and an expression by which `terms` (value, expression) reach `target`; whole numbers on the way only.

    Every way is tried: 4 numbers have at most 3,888, which takes milliseconds; 6 would take a minute.
    """
    if len(terms) == 1:
        return ([], terms[0][1]) if terms[0][0] == target else None
    for first, second in permutations(range(len(terms)), 2):
        rest = [term for place, term in enumerate(terms) if place not in (first, second)]
        (a, left), (b, right) = terms[first], terms[second]
        found = [("-", a - b)] + ([("/", a // b)] if b and a % b == 0 else [])
        if first < second:  # the other two may be turned round
            found += [("+", a + b), ("*", a * b)]
        for operator, value in found:
            if (reached := search([*rest, (value, f"({left}{operator}{right})")], target)) is not None:
                return [(a, operator, b, value), *reached[0]], reached[1]
    return None


def _worked_out(problem: Problem) -> tuple[Sequence[Sequence[object]], str]:
    """Return the steps and the expression of a problem; those that a file brings are searched for."""
    if "witness" in problem.checks:
        return problem.checks["steps"], problem.checks["witness"]
    numbers = [int(number) for number in problem.checks.get("numbers", ())]
    if not 0 < len(numbers) <= _MOST_SEARCHED:
        raise ProblemError(f"problem {problem.id} ({problem.source}) came without a worked solution")
    found = search([(number, str(number)) for number in numbers], int(problem.checks["target"]))
    if found is None:
        raise ProblemError(f"problem {problem.id} ({problem.source}): no expression over whole numbers reaches its target")
    return found[0], found[1][1:-1] if len(numbers) > 1 else found[1]


def solve(problem: Problem, style: str, rng: Random) -> str:
    """Write one right expression at once, after its steps, or after a failed try that is noticed."""
    steps, witness = _worked_out(problem)
    target = problem.checks["target"]
    if style == "direct":
        return boxed(witness)
    work = _written(steps)
    if style == "checked":
        failed, _, reached = _combine(rng, list(problem.checks["numbers"]))
        if reached != target:
            work = f"{_written(failed)}{reached}?no:{work}"
    return thinking(work, witness)


def perturb(problem: Problem, rng: Random) -> str:
    """Return an expression that uses a number which was not given, or one number twice."""
    numbers, target = problem.checks["numbers"], problem.checks["target"]
    witness = problem.checks.get("witness", "+".join(map(str, numbers)))
    again = numbers[0]  # one number twice
    return rng.choice([f"{witness}+0", f"{witness}*1", f"({witness})-{again}", f"{target}+{again}-{again}+0"])


DOMAIN = Domain(
    name="countdown",
    config=CountdownConfig,
    generate=generate,
    solve=solve,
    perturb=perturb,
    verifier="countdown",
    levels=[
        {"numbers": (3, 3), "largest": 10, "max_target": 50},
        {"numbers": (4, 4)},
        {"numbers": (5, 5), "largest": 50, "max_target": 200},
        {"numbers": (6, 6), "largest": 100, "max_target": 1000},
    ],
)
