"""Do two expressions differ by a constant factor? By residues modulo two primes, else by numbers to 60 digits."""

from rewards.math.equality.exact import PRIMES, NotRationalError, UndefinedError, residue
from rewards.math.equality.numeric import Complex, Number
from rewards.math.equality.points import Point, places
from rewards.math.tree import Node, TooBigError, symbols

DIGITS = 60
POINTS = 12
ENOUGH = 4  # points where both sides are real, defined and not zero


def proportional(one: Node, other: Node, positive: bool) -> bool:
    """Tell whether two expressions differ by a constant factor (a positive one where `positive`)."""
    names = symbols(one)
    if not names or names != symbols(other):
        return False
    if not positive:  # residues have no sign
        try:
            return _by_residues(one, other)
        except (NotRationalError, TooBigError):
            pass
    return _by_numbers(one, other, names, positive)


def _by_residues(one: Node, other: Node) -> bool:
    for prime, root in PRIMES:
        values = []
        for salt in range(4):
            try:
                values.append((residue(one, prime, root, salt), residue(other, prime, root, salt)))
            except UndefinedError:
                continue
            except ValueError:
                raise NotRationalError("no inverse") from None
        if len(values) < 3 or not all(a and b for a, b in values):
            return False
        a, b = values[0]
        if any(a * d % prime != b * c % prime for c, d in values[1:]):
            return False
    return True


def _by_numbers(one: Node, other: Node, names: frozenset[str], positive: bool) -> bool:
    factor: Number | None = None
    agreed = 0
    for values in places(names, frozenset(), POINTS):
        try:
            left, right, _ = Point(values, DIGITS).both(one, other)
        except UndefinedError:
            continue
        except (ArithmeticError, ValueError):
            return False
        if isinstance(left, Complex) or isinstance(right, Complex):
            continue
        if abs(left) < 1e-40 or abs(right) < 1e-40:
            if abs(left) > 1e-30 or abs(right) > 1e-30:
                return False  # zero on one side only
            continue
        here = left / right
        if factor is not None and abs(here - factor) > abs(factor) * 1e-35:
            return False
        if positive and here < 0:
            return False
        factor = here
        agreed += 1
    return agreed >= ENOUGH
