"""Countdown: reach a target with the given numbers, each used exactly once, by + - * / and parentheses.

Many expressions may be right, so there is no reference: a program checks the answer (rewards/countdown.py).
Same task as Jiayi-Pan/Countdown-Tasks-3to4 (columns `target`, `nums`).
"""

from random import Random

from pydantic import Field

from problems.types import Domain, Draft, Problem, ProblemError, RangeFromTwo, SourceConfig, boxed, thinking

Step = tuple[int, str, int, int]
_MAX_ATTEMPTS = 10_000


class CountdownConfig(SourceConfig):
    """Settings of `countdown`."""

    numbers: RangeFromTwo = Field(default=(3, 4), description="fewest and most numbers given")
    largest: int = Field(default=20, ge=2, description="largest number given")
    max_target: int = Field(default=100, ge=2, description="largest target")


def countdown_prompt(numbers: list[int], target: int) -> str:
    """Return the question; the same words for generated and for downloaded problems."""
    return f"Use {','.join(map(str, numbers))} to make {target}."


def _combine(rng: Random, numbers: list[int]) -> tuple[list[Step], list[str], int]:
    """Combine `numbers` at random into one value; return the steps, the expression (as a list of one) and the value."""
    values, texts, steps = list(numbers), [str(n) for n in numbers], []
    while len(values) > 1:
        i, j = sorted(rng.sample(range(len(values)), 2), reverse=True)
        (a, text_a), (b, text_b) = (values.pop(i), texts.pop(i)), (values.pop(j), texts.pop(j))
        if a < b:
            a, b, text_a, text_b = b, a, text_b, text_a
        choices = ["+", "-", "*"] + (["/"] if b and a % b == 0 else [])
        operator = rng.choice(choices)
        value = {"+": a + b, "-": a - b, "*": a * b, "/": a // b if b else 0}[operator]
        steps.append((a, operator, b, value))
        values.append(value)
        texts.append(f"({text_a}{operator}{text_b})")
    return steps, texts, values[0]


def generate(rng: Random, config: CountdownConfig) -> Draft:
    """Draw numbers and a target that they reach."""
    count = rng.randint(*config.numbers)
    for _ in range(_MAX_ATTEMPTS):
        numbers = [rng.randint(1, config.largest) for _ in range(count)]
        steps, texts, target = _combine(rng, numbers)
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
            "witness": texts[0][1:-1],
            "steps": [list(step) for step in steps],
        },
        difficulty={"numbers": count},
    )


def solve(problem: Problem, style: str, rng: Random) -> str:
    """Write one right expression at once, after its steps, or after a failed try that is noticed."""
    if "witness" not in problem.checks:
        raise ProblemError(f"problem {problem.id} ({problem.source}) came without a worked solution")
    witness, target = problem.checks["witness"], problem.checks["target"]
    if style == "direct":
        return boxed(witness)
    work = "".join(f"{a}{operator}{b}={value};" for a, operator, b, value in problem.checks["steps"])
    if style == "checked":
        tried = _combine(rng, list(problem.checks["numbers"]))
        failed = "".join(f"{a}{operator}{b}={value};" for a, operator, b, value in tried[0])
        if tried[2] != target:
            work = f"{failed}{tried[2]}?no:{work}"
    return thinking(work, witness)


def perturb(problem: Problem, rng: Random) -> str:
    """Return an expression that uses a number which was not given, or one number twice."""
    numbers, target = problem.checks["numbers"], problem.checks["target"]
    witness = problem.checks.get("witness", "+".join(map(str, numbers)))
    return rng.choice([f"{witness}+0", f"{witness}*1", f"({witness})-{numbers[0]}", f"{target}+{numbers[0]}-{numbers[0]}"])


DOMAIN = Domain(
    name="countdown",
    config=CountdownConfig,
    generate=generate,
    solve=solve,
    perturb=perturb,
    verifier="countdown",
)
