"""Integer arithmetic with the usual precedence and parentheses: `(3-12)*4+7=?`."""

import re
from random import Random

from pydantic import Field

from problems.types import Domain, Draft, PositiveRange, Problem, ProblemError, SourceConfig, boxed, thinking

_NUMBER = re.compile(r"-?\d+")
_PRODUCT = re.compile(r"(?<!\d)(-?\d+)(\*)(-?\d+)")
_SUM = re.compile(r"(?<!\d)(-?\d+)([+-])(-?\d+)")
_INNERMOST = re.compile(r"\(([^()]*)\)")


class ArithmeticConfig(SourceConfig):
    """Settings of `arithmetic`."""

    operands: PositiveRange = Field(default=(2, 4), description="fewest and most numbers in the expression")
    digits: PositiveRange = Field(default=(1, 2), description="fewest and most digits of a number")
    operators: str = Field(default="+-*", min_length=1, pattern=r"^[-+*]+$", description="operators to draw from")
    parentheses: float = Field(default=0.3, ge=0, le=1, description="chance that a sub-expression is put in parentheses")


def _expression(rng: Random, operands: int, config: ArithmeticConfig) -> str:
    """Draw an expression of `operands` numbers: two smaller ones and an operator between them."""
    if operands == 1:
        digits = rng.randint(*config.digits)
        smallest = 10 ** (digits - 1) if digits > 1 else 0
        return str(rng.randrange(smallest, 10**digits))
    left = rng.randint(1, operands - 1)
    text = _expression(rng, left, config) + rng.choice(config.operators) + _expression(rng, operands - left, config)
    return f"({text})" if rng.random() < config.parentheses else text


def _reduce_once(expression: str) -> tuple[str, str]:
    """Do the next operation in `expression`; return (what was done, the expression after it).

    The innermost parentheses come first, in them the first product, then the first sum. "" was done where only parentheses
    around a number go.
    """
    inner = _INNERMOST.search(expression)
    text = inner[1] if inner else expression
    operation = _PRODUCT.search(text) or _SUM.search(text)
    if operation is None:
        if inner is None:
            raise ProblemError(f"cannot work out {expression[:60]!r}: expected integers, + - * and parentheses")
        return "", expression[: inner.start()] + text + expression[inner.end() :]
    left, operator, right = operation.groups()
    value = _apply(int(left), operator, int(right))
    done = f"{left}{operator}{right}={value}"
    text = text[: operation.start()] + str(value) + text[operation.end() :]
    if inner is None:
        return done, text
    whole = text if _NUMBER.fullmatch(text) else f"({text})"
    return done, expression[: inner.start()] + whole + expression[inner.end() :]


def _apply(left: int, operator: str, right: int) -> int:
    return {"+": left + right, "-": left - right, "*": left * right}[operator]


def _steps(expression: str) -> tuple[list[str], str]:
    """Return the operations in order, each `a*b=c`, and the value."""
    steps = []
    while not _NUMBER.fullmatch(expression):
        done, expression = _reduce_once(expression)
        if done:
            steps.append(done)
    return steps, expression


def generate(rng: Random, config: ArithmeticConfig) -> Draft:
    """Draw an expression."""
    operands = rng.randint(*config.operands)
    expression = _expression(rng, operands, config)
    return Draft(
        prompt=f"{expression}=?",
        reference=_steps(expression)[1],
        difficulty={"operands": operands},
    )


def solve(problem: Problem, style: str, rng: Random) -> str:
    """Write the answer at once, operation by operation, or with one slip that is noticed and mended."""
    steps, answer = _steps(problem.prompt.removesuffix("=?"))
    if style == "direct":
        return boxed(answer)
    lines = [f"{step};" for step in steps]
    if style == "checked" and lines:
        slip = rng.randrange(len(lines))
        question, value = steps[slip].split("=")
        lines[slip] = f"{question}={int(value) + rng.choice([-10, -2, -1, 1, 2, 10])}?no:{lines[slip]}"
    return thinking("".join(lines), answer)


def perturb(problem: Problem, rng: Random) -> str:
    """Return a number near the right one."""
    return str(int(problem.reference or 0) + rng.choice([-10, -1, 1, 10]))


DOMAIN = Domain(
    name="arithmetic",
    config=ArithmeticConfig,
    generate=generate,
    solve=solve,
    perturb=perturb,
    levels=[
        {"operands": (2, 2), "digits": (1, 2)},
        {"operands": (3, 4), "digits": (1, 2)},
        {"operands": (5, 6), "digits": (1, 3)},
        {"operands": (7, 9), "digits": (2, 4)},
    ],
)
