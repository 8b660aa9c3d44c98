"""Units: lengths, masses, times, volumes, areas, speeds: `Convert 3.5 km to m. Give the number only.`

The reference has no unit, since with one the quantity of the question would equal it, and the number alone is judged: beside a
bare reference any unit is taken for right. All factors are exact.
"""

from collections.abc import Mapping
from fractions import Fraction
from random import Random
from typing import Literal

from pydantic import Field

from problems.formulas import Equality, decimal
from problems.types import Domain, Draft, SourceConfig
from problems.worked import drawn, perturb, solve, worked

Kind = Literal["length", "mass", "time", "volume", "area", "speed"]
_UNITS: Mapping[Kind, Mapping[str, Fraction]] = {  # how many of the kind's first unit each one is
    "length": {
        "mm": Fraction(1),
        "cm": Fraction(10),
        "m": Fraction(1000),
        "km": Fraction(1_000_000),
    },
    "mass": {"mg": Fraction(1), "g": Fraction(1000), "kg": Fraction(1_000_000), "t": Fraction(10**9)},
    "time": {
        "s": Fraction(1),
        "min": Fraction(60),
        "h": Fraction(3600),
        "d": Fraction(86_400),
    },
    "volume": {
        "ml": Fraction(1),
        "cl": Fraction(10),
        "l": Fraction(1000),
        "m^3": Fraction(1_000_000),
    },
    "area": {
        "cm^2": Fraction(1),
        "m^2": Fraction(10_000),
        "ha": Fraction(10**8),
        "km^2": Fraction(10**10),
    },
    "speed": {
        "m/min": Fraction(1),
        "m/s": Fraction(60),
        "km/h": Fraction(1000, 60),
    },
}


class UnitConversionConfig(SourceConfig):
    """Settings of `unit_conversion`."""

    kinds: tuple[Kind, ...] = Field(default=("length", "mass", "time"), min_length=1, description="kinds of units to draw from")
    furthest: int = Field(default=1, ge=1, description="furthest that the two units may stand apart in the list of their kind")
    digits: int = Field(default=2, ge=1, le=9, description="most digits of the number, besides zeros at its ends")
    decimals: bool = Field(default=False, description="whether the number may have decimals")
    longest: int = Field(default=8, ge=6, description="most characters of the number and of the answer")


def _quantity(rng: Random, config: UnitConversionConfig) -> tuple[str, str, str, Fraction, Fraction]:
    """Draw a kind, two of its units, a number and how many of the second unit one of the first is."""
    kind = rng.choice(config.kinds)
    names = list(_UNITS[kind])
    place = rng.randrange(len(names))
    others = [at for at in range(len(names)) if 0 < abs(at - place) <= config.furthest]
    source, target = names[place], names[rng.choice(others)]
    number = Fraction(rng.randint(2, 10**config.digits - 1))
    number *= Fraction(10) ** rng.randint(-2 if config.decimals else 0, 2)
    return kind, source, target, number, _UNITS[kind][source] / _UNITS[kind][target]


def _can_be_written(number: Fraction, longest: int) -> bool:
    """Tell whether a number ends as a decimal and is short."""
    return 10**longest % number.denominator == 0 and len(decimal(number)) <= longest


def generate(rng: Random, config: UnitConversionConfig) -> Draft:
    """Draw a quantity that is a short number in both units."""
    kind, source, target, number, factor = drawn(
        rng,
        lambda rng: _quantity(rng, config),
        lambda made: _can_be_written(made[3], config.longest) and _can_be_written(made[3] * made[4], config.longest),
    )
    answer = decimal(number * factor)
    top, bottom = factor.numerator, factor.denominator
    fact = (f"1 {source}", f"{factor} {target}") if top > 1 else (f"1 {target}", f"{bottom} {source}")
    steps: list[Equality] = [fact]
    if top > 1:
        steps.append((f"{decimal(number)}*{top}", decimal(number * top)))
    if bottom > 1:
        steps.append((f"{decimal(number * top)}/{bottom}", answer))
    return worked(
        f"Convert {decimal(number)} {source} to {target}. Give the number only.",
        steps,
        answer,
        {"kind": kind},
    )


DOMAIN = Domain(
    name="unit_conversion",
    config=UnitConversionConfig,
    generate=generate,
    solve=solve,
    perturb=perturb,
    levels=[
        {"kinds": ("length", "mass", "time")},
        {"kinds": ("length", "mass", "time", "volume"), "furthest": 2, "decimals": True},
        {"kinds": ("area", "volume", "speed"), "furthest": 2, "digits": 3, "decimals": True},
    ],
)
