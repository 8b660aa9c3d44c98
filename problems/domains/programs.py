"""Small programming tasks: a function that does a few things to a list of integers, judged by running it on random lists.

A task is put together from stages, each in words, as Python and as a function of ours. The function gives the expected values,
the Python is the reference program, which the sandbox runs: so the two check each other. A list among the tests tells the
program from the one that leaves out any single stage.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, pairwise
from random import Random
from typing import NamedTuple

from pydantic import Field

from problems.lines import Step, fenced, work
from problems.types import Domain, Draft, PositiveRange, Problem, ProblemError, SourceConfig

_ASK = "Put all code in one ```python block."
_TESTS = 10
_TRIES = 10_000

Result = int | list[int]


class Stage(NamedTuple):
    """One thing to do to a list `numbers`, with a number `k` where it needs one: in words, as an expression, as a function."""

    says: str
    source: str
    apply: Callable[[list[int], int], Result]


_STAGES = (
    Stage(
        "keep only the even numbers",
        "[n for n in numbers if n % 2 == 0]",
        lambda numbers, k: [n for n in numbers if n % 2 == 0],
    ),
    Stage(
        "keep only the odd numbers", "[n for n in numbers if n % 2 == 1]", lambda numbers, k: [n for n in numbers if n % 2 == 1]
    ),
    Stage(
        "keep only the numbers above {k}", "[n for n in numbers if n > {k}]", lambda numbers, k: [n for n in numbers if n > k]
    ),
    Stage(
        "keep only the numbers below {k}", "[n for n in numbers if n < {k}]", lambda numbers, k: [n for n in numbers if n < k]
    ),
    Stage(
        "remove the numbers that {k} divides",
        "[n for n in numbers if n % {k} != 0]",
        lambda numbers, k: [n for n in numbers if n % k],
    ),
    Stage("add {k} to each number", "[n + {k} for n in numbers]", lambda numbers, k: [n + k for n in numbers]),
    Stage("multiply each number by {k}", "[n * {k} for n in numbers]", lambda numbers, k: [n * k for n in numbers]),
    Stage("square each number", "[n * n for n in numbers]", lambda numbers, k: [n * n for n in numbers]),
    Stage(
        "replace each number by its distance from {k}",
        "[abs(n - {k}) for n in numbers]",
        lambda numbers, k: [abs(n - k) for n in numbers],
    ),
    Stage("reverse the list", "numbers[::-1]", lambda numbers, k: numbers[::-1]),
    Stage("sort the list from the smallest to the largest", "sorted(numbers)", lambda numbers, k: sorted(numbers)),
    Stage("remove the first {k} numbers", "numbers[{k}:]", lambda numbers, k: numbers[k:]),
    Stage("keep every second number, beginning with the first", "numbers[::2]", lambda numbers, k: numbers[::2]),
    Stage(
        "keep each value only where it occurs first",
        "list(dict.fromkeys(numbers))",
        lambda numbers, k: list(dict.fromkeys(numbers)),
    ),
    Stage(
        "replace each number by the sum of all numbers up to and with it",
        "[sum(numbers[: i + 1]) for i in range(len(numbers))]",
        lambda numbers, k: list(accumulate(numbers)),
    ),
    Stage(
        "replace the list by the differences of neighbours, the later minus the earlier",
        "[b - a for a, b in zip(numbers, numbers[1:])]",
        lambda numbers, k: [b - a for a, b in pairwise(numbers)],
    ),
)
_ENDS = (
    Stage("the list", "numbers", lambda numbers, k: numbers),
    Stage("the sum of the numbers", "sum(numbers)", lambda numbers, k: sum(numbers)),
    Stage("how many numbers there are", "len(numbers)", lambda numbers, k: len(numbers)),
    Stage(
        "the largest number, or {k} if there is none", "max(numbers, default={k})", lambda numbers, k: max(numbers, default=k)
    ),
    Stage(
        "the smallest number, or {k} if there is none", "min(numbers, default={k})", lambda numbers, k: min(numbers, default=k)
    ),
    Stage(
        "the last number, or {k} if there is none",
        "numbers[-1] if numbers else {k}",
        lambda numbers, k: numbers[-1] if numbers else k,
    ),
    Stage(
        "how many of the numbers are above {k}",
        "sum(1 for n in numbers if n > {k})",
        lambda numbers, k: sum(n > k for n in numbers),
    ),
)
Task = Sequence[tuple[Stage, int]]  # the last stage is an end


class ProgramsConfig(SourceConfig):
    """Settings of `programs`."""

    stages: PositiveRange = Field(default=(1, 3), description="fewest and most things to do to the list before the result")


def _draw_list(rng: Random) -> list[int]:
    return [rng.randint(-9, 20) for _ in range(rng.randint(4, 9))]


def _values(task: Task, numbers: list[int]) -> Iterator[Result]:
    """Yield what each stage makes of a list."""
    value: Result = numbers
    for stage, k in task:
        assert isinstance(value, list)  # only the last stage gives a number
        value = stage.apply(value, k)
        yield value


def _result(task: Task, numbers: list[int]) -> Result:
    *_, last = _values(task, numbers)
    return last


def _is_told_apart(task: Task, lists: Sequence[list[int]]) -> bool:
    """Tell whether leaving out any one stage but the last shows in one of `lists`."""
    results = [_result(task, numbers) for numbers in lists]
    shorter = ([*task[:left_out], *task[left_out + 1 :]] for left_out in range(len(task) - 1))
    return all(
        any(_result(other, numbers) != result for numbers, result in zip(lists, results, strict=True)) for other in shorter
    )


def generate(rng: Random, config: ProgramsConfig) -> Draft:
    """Draw lists, and stages until every one of them matters."""
    lists = [[], *(_draw_list(rng) for _ in range(_TESTS - 1))]
    for _ in range(_TRIES):
        stages = rng.sample(_STAGES, min(len(_STAGES), rng.randint(*config.stages)))
        task = [(stage, rng.randint(2, 6)) for stage in (*stages, rng.choice(_ENDS))]
        if _is_told_apart(task, lists):
            break
    else:
        raise ProblemError(f"programs found no {config.stages} stages in {_TRIES} tries that all matter: ask for fewer")
    said = [stage.says.format(k=k) for stage, k in task]
    example = lists[1]
    return Draft(
        prompt="\n".join(
            [
                "Write a Python function f(numbers) that takes a list of integers and does this, in this order:",
                *(f"{number}. {words}" for number, words in enumerate(said[:-1], start=1)),
                f"Then it returns {said[-1]}. For example, f({example}) is {_result(task, example)}. {_ASK}",
            ]
        ),
        same_as="; ".join(said),
        reference=None,
        checks={
            "style": "function",
            "entry_point": "f",
            "tests": [{"args": [numbers], "expected": _result(task, numbers)} for numbers in lists],
            "witness": _program(task),
            "steps": [[words, str(value)] for words, value in zip(said, _values(task, example), strict=True)],
        },
        difficulty={"stages": len(stages)},
    )


def _program(task: Task) -> str:
    """Return the reference, a line for each stage."""
    sources = [stage.source.format(k=k) for stage, k in task]
    lines = [f"    numbers = {source}" for source in sources[:-1]]
    return "\n".join(["def f(numbers):", *lines, f"    return {sources[-1]}"])


def _witness(problem: Problem) -> str:
    if "witness" not in problem.checks:
        raise ProblemError(f"problem {problem.id} ({problem.source}) came without a program that solves it")
    return str(problem.checks["witness"])


def solve(problem: Problem, style: str, rng: Random) -> str:
    """Write the program at once, or after following the example through every stage."""
    program = fenced(_witness(problem))
    if style == "direct":
        return program
    steps, before = [], str(problem.checks["tests"][1]["args"][0])
    for words, value in problem.checks["steps"]:
        steps.append(Step(f"{before}, {words}: ", value, before))
        before = value
    return f"<think>{work(style, steps, rng)}</think>{program}"


def perturb(problem: Problem, rng: Random) -> str:
    """Return the program with another result at its end."""
    *lines, last = _witness(problem).split("\n")
    result = last.removeprefix("    return ")
    is_list = isinstance(problem.checks["tests"][0]["expected"], list)
    wrong = rng.choice([f"({result}) + [0]", f"[1] + ({result})"] if is_list else [f"({result}) + 1", f"({result}) - 1"])
    return "\n" + fenced("\n".join([*lines, f"    return {wrong}"])) + "\n"  # a fence stands on lines of its own, in a box too


DOMAIN = Domain(
    name="programs",
    config=ProgramsConfig,
    generate=generate,
    solve=solve,
    perturb=perturb,
    verifier="code",
    levels=[{"stages": (1, 1)}, {"stages": (2, 3)}, {"stages": (4, 5)}],
)
