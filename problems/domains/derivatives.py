"""Derivatives: of polynomials, at a point, and by the product and chain rules: `Differentiate 3x^4-2x^2+7 with respect to x.`

Any form of the derivative is right; the function itself is not.
"""

from random import Random
from typing import Literal

from pydantic import Field

from problems.formulas import Equality, monomial, multiplied, polynomial, product_of, sum_of
from problems.types import Domain, Draft, RangeFromTwo, SourceConfig
from problems.worked import nonzero, perturb, solve, worked

Asked = tuple[str, list[Equality], object]


class DerivativesConfig(SourceConfig):
    """Settings of `derivatives`."""

    task: Literal["polynomial", "point", "product", "chain"] = Field(default="polynomial", description="what is differentiated")
    degree: RangeFromTwo = Field(default=(2, 4), description="smallest and largest degree of a polynomial, or power of a chain")
    largest: int = Field(default=9, ge=2, description="largest coefficient, without its sign")


def _derivative(coefficients: list[int]) -> list[int]:
    highest = len(coefficients) - 1
    return [one * (highest - place) for place, one in enumerate(coefficients[:-1])]


def _powers(coefficients: list[int]) -> list[Equality]:
    """Return the power rule for each term, `(3x^4)'=12x^3`."""
    highest = len(coefficients) - 1
    derivative = _derivative(coefficients)
    return [
        (f"({monomial(one, highest - place)})'", monomial(derivative[place], highest - place - 1))
        for place, one in enumerate(coefficients[:-1])
        if one
    ]


def _drawn_polynomial(rng: Random, config: DerivativesConfig, degree: int) -> list[int]:
    return [nonzero(rng, config.largest), *(rng.randint(-config.largest, config.largest) for _ in range(degree))]


def _polynomial(rng: Random, config: DerivativesConfig) -> Asked:
    function = _drawn_polynomial(rng, config, rng.randint(*config.degree))
    question = f"Differentiate {polynomial(function)} with respect to x."
    return question, _powers(function), polynomial(_derivative(function))


def _point(rng: Random, config: DerivativesConfig) -> Asked:
    """Ask for the slope at a whole number, by Horner's rule."""
    function, at = _drawn_polynomial(rng, config, rng.randint(*config.degree)), nonzero(rng, 5)
    value, *others = _derivative(function)
    steps = [*_powers(function)]
    for one in others:
        steps.append((sum_of([product_of([value, at]), one]), value * at + one))
        value = value * at + one
    question = f"What is the slope of y={polynomial(function)} at x={at}?"
    return question, steps, value


def _product(rng: Random, config: DerivativesConfig) -> Asked:
    """Ask for the derivative of a product of two polynomials: u'*v+u*v'."""
    u, v = ([nonzero(rng, config.largest), nonzero(rng, config.largest)] for _ in range(2))
    u = [u[0], *[0] * (rng.randint(*config.degree) - 1), u[1]]
    one, other = multiplied(_derivative(u), v), multiplied(u, _derivative(v))
    result = [a + b for a, b in zip(one, other, strict=True)]
    text, slopes = [polynomial(u), polynomial(v)], [polynomial(_derivative(u)), polynomial(_derivative(v))]
    steps: list[Equality] = [
        (f"({text[0]})'", slopes[0]),
        (f"({text[1]})'", slopes[1]),
        (f"({slopes[0]})({text[1]})", polynomial(one)),
        (f"({text[0]})({slopes[1]})", polynomial(other)),
        (sum_of([polynomial(one), polynomial(other)]), polynomial(result)),
    ]
    return f"Differentiate ({text[0]})({text[1]}) with respect to x.", steps, polynomial(result)


def _chain(rng: Random, config: DerivativesConfig) -> Asked:
    """Ask for the derivative of (ax+b)^n or (ax^2+b)^n."""
    n, inner = rng.randint(*config.degree) + 1, [nonzero(rng, config.largest), nonzero(rng, config.largest)]
    if rng.random() < 0.5:
        inner.insert(1, 0)
    slope = _derivative(inner)
    factor = [n * one for one in slope]
    text = polynomial(inner)
    steps: list[Equality] = [(f"({text})'", polynomial(slope)), (f"{n}*({polynomial(slope)})", polynomial(factor))]
    return f"Differentiate ({text})^{n} with respect to x.", steps, f"{polynomial(factor)}({text})^{n - 1}"


def generate(rng: Random, config: DerivativesConfig) -> Draft:
    """Draw a function."""
    makers = {"polynomial": _polynomial, "point": _point, "product": _product, "chain": _chain}
    question, steps, answer = makers[config.task](rng, config)
    return worked(question, steps, answer, {"task": config.task})


DOMAIN = Domain(
    name="derivatives",
    config=DerivativesConfig,
    generate=generate,
    solve=solve,
    perturb=perturb,
    verifier="math",
    levels=[
        {"task": "polynomial"},
        {"task": "point"},
        {"task": "product"},
        {"task": "chain", "degree": (2, 6)},
    ],
)
