r"""Arithmetic of fractions: `What is 3/4+5/6?` is 19/12. Any spelling of the number is right, `\frac{19}{12}` for one."""

from fractions import Fraction
from math import lcm
from random import Random

from pydantic import Field

from problems.formulas import Equality
from problems.types import Domain, Draft, RangeFromTwo, SourceConfig
from problems.worked import drawn, perturb, solve, worked


class FractionsConfig(SourceConfig):
    """Settings of `fractions`."""

    operators: str = Field(default="+-", min_length=1, pattern=r"^[-+*/]+$", description="operators to draw from")
    terms: RangeFromTwo = Field(default=(2, 2), description="fewest and most fractions")
    largest: int = Field(default=12, ge=4, description="largest numerator and denominator")


def _fraction(rng: Random, largest: int) -> Fraction:
    """Draw a fraction in lowest terms that is no whole number."""
    return drawn(rng, lambda rng: Fraction(rng.randint(1, largest), rng.randint(2, largest)), lambda one: one.denominator > 1)


def _done(left: Fraction, sign: str, right: Fraction) -> tuple[list[Equality], Fraction]:
    """Return the steps of one operation, and its value in lowest terms; `right` is above 0."""
    a, b, c, d = left.numerator, left.denominator, right.numerator, right.denominator
    if sign in "*/":
        if sign == "/":
            c, d = d, c
        top, bottom = a * c, b * d
        steps: list[Equality] = [(f"{a}*{c}", top), (f"{b}*{d}", bottom)]
    else:
        bottom = lcm(b, d)
        one, other = a * (bottom // b), c * (bottom // d)
        top = one + other if sign == "+" else one - other
        steps = [(str(left), f"{one}/{bottom}"), (str(right), f"{other}/{bottom}"), (f"{one}{sign}{other}", top)]
    value = Fraction(top, bottom)
    if value.denominator < bottom:
        steps.append((f"{top}/{bottom}", value))
    return steps, value


def _reduced(terms: list[Fraction], signs: list[str]) -> tuple[list[Equality], Fraction]:
    """Work out an expression, products and quotients first, else from the left."""
    terms, signs, steps = list(terms), list(signs), list[Equality]()
    while signs:
        place = next((place for place, sign in enumerate(signs) if sign in "*/"), 0)
        more, value = _done(terms[place], signs.pop(place), terms[place + 1])
        terms[place : place + 2] = [value]
        steps += more
    return steps, terms[0]


def generate(rng: Random, config: FractionsConfig) -> Draft:
    """Draw the fractions and operators."""
    terms = [_fraction(rng, config.largest) for _ in range(rng.randint(*config.terms))]
    signs = [rng.choice(config.operators) for _ in terms[1:]]
    steps, value = _reduced(terms, signs)
    written = [f"({one})" if set(signs) & set("*/") else str(one) for one in terms]
    text = written[0] + "".join(sign + one for sign, one in zip(signs, written[1:], strict=True))
    order_counts = len({*signs}) > 1 or signs[0] in "-/"
    same_as = None if order_counts else signs[0].join(sorted(written))
    return worked(f"What is {text}?", steps, value, {"terms": len(terms)}, same_as)


DOMAIN = Domain(
    name="fractions",
    config=FractionsConfig,
    generate=generate,
    solve=solve,
    perturb=perturb,
    levels=[
        {},
        {"operators": "*/"},
        {"operators": "+-*/", "terms": (3, 3)},
        {"operators": "+-*/", "terms": (4, 5), "largest": 20},
    ],
)
