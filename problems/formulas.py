"""Numbers and formulas as worked solutions write them, and the steps that many of them take: products, factors, divisions.

Polynomials are their coefficients, that of the highest power first. Text is what people and computers both read: `x^2-6`, `*`.
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import cache
from math import isqrt, prod

from problems.types import ProblemError

Equality = tuple[str, object]  # the two sides of an equation: "84-2*36" and 12


def sum_of(terms: Iterable[object]) -> str:
    """Write terms as a sum with their own signs: 3, -2 and "-x" are `3-2-x`."""
    text = ""
    for term in map(str, terms):
        text += term if not text or term.startswith("-") else f"+{term}"
    return text


def product_of(factors: Iterable[object]) -> str:
    """Write factors as a product, negative ones behind the first in parentheses: `-3*(-2)`."""
    first, *others = map(str, factors)
    return "*".join([first, *(f"({one})" if one.startswith("-") else one for one in others)])


def monomial(coefficient: object, power: int, name: str = "x") -> str:
    """Write 1 and 2 as `x^2`, -3 and 1 as `-3x`, 5 and 0 as `5`."""
    if power == 0:
        return str(coefficient)
    sign = {"1": "", "-1": "-"}.get(str(coefficient), str(coefficient))
    return f"{sign}{name}" + (f"^{power}" if power > 1 else "")


def polynomial(coefficients: Sequence[object], name: str = "x") -> str:
    """Write coefficients, that of the highest power first: 1, 0 and -6 are `x^2-6`; none but zeros are `0`."""
    highest = len(coefficients) - 1
    terms = [monomial(one, highest - place, name) for place, one in enumerate(coefficients) if one != 0]
    return sum_of(terms) or "0"


def multiplied(left: Sequence[int], right: Sequence[int]) -> list[int]:
    """Return the coefficients of a product of two polynomials, that of the highest power first."""
    result = [0] * (len(left) + len(right) - 1)
    for i, one in enumerate(left):
        for j, other in enumerate(right):
            result[i + j] += one * other
    return result


def multiplying(left: Sequence[int], right: Sequence[int]) -> list[Equality]:
    """Return the steps to each coefficient of a product of two polynomials."""
    steps: list[Equality] = []
    for power, value in enumerate(multiplied(left, right)):
        pairs = [(one, right[power - i]) for i, one in enumerate(left) if 0 <= power - i < len(right)]
        steps.append((sum_of(product_of(pair) for pair in pairs), value))
    return steps


def pair_with(product: int, total: int) -> tuple[list[Equality], tuple[int, int]]:
    """Find two whole numbers of this product, not 0, and sum by trying; return the sums tried and the pair, smaller first."""
    steps: list[Equality] = []
    for one in range(1, isqrt(abs(product)) + 1):
        if product % one:
            continue
        for first, second in ((one, product // one), (-one, product // -one)):
            steps.append((sum_of([first, second]), first + second))
            if first + second == total:
                return steps, (min(first, second), max(first, second))
    raise ProblemError(f"no two whole numbers have the product {product} and the sum {total}")


# -- whole numbers


def prime_factors(number: int) -> list[int]:
    """Return the prime factors of a number from 2 on, each as often as it divides, smallest first."""
    factors: list[int] = []
    divisor = 2
    while divisor * divisor <= number:
        while number % divisor == 0:
            factors.append(divisor)
            number //= divisor
        divisor += 1
    return [*factors, number] if number > 1 else factors


@cache
def primes_up_to(largest: int) -> tuple[int, ...]:
    """Return the primes from 2 on."""
    return tuple(number for number in range(2, largest + 1) if len(prime_factors(number)) == 1)


def square_part(number: int) -> int:
    """Return the largest number whose square divides `number`."""
    factors = prime_factors(number)
    return prod(prime ** (factors.count(prime) // 2) for prime in set(factors))


def euclid(left: int, right: int) -> tuple[list[Equality], int]:
    """Return the divisions with remainder that lead to the greatest common divisor, and that."""
    steps: list[Equality] = []
    while right:
        quotient, rest = divmod(left, right)
        steps.append((f"{left}-{quotient}*{right}", rest))
        left, right = right, rest
    return steps, left


def reduced(number: int, modulus: int) -> list[Equality]:
    """Return the step that takes a multiple of `modulus` away and leaves a remainder; none where there is nothing to take."""
    quotient = number // modulus
    return [(sum_of([number, product_of([-quotient, modulus])]), number % modulus)] if quotient else []


def ordinal(number: int) -> str:
    """Write which one it is: 1st, 2nd, 3rd, 4th, 11th, 21st."""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th") if number % 100 not in (11, 12, 13) else "th"
    return f"{number}{ending}"


def decimal(value: Fraction) -> str:
    """Write a fraction that ends as a decimal: 7/2 is `3.5`; raises ProblemError for one that does not."""
    places = next((places for places in range(20) if (value * 10**places).denominator == 1), None)
    if places is None:
        raise ProblemError(f"{value} has no end as a decimal")
    digits = str(abs(value.numerator * 10**places // value.denominator)).zfill(places + 1)
    text = f"{digits[:-places]}.{digits[-places:]}" if places else digits
    return f"-{text}" if value < 0 else text
