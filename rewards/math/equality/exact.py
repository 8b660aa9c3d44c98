"""Exact values: rationals, and residues modulo two primes for rational functions.

The evaluator refuses before it computes: a power, factorial or sum whose size estimate is above the limit raises
TooBigError. A symbol modulo a prime has a pseudo-random value, so that two different rational functions agree by accident
with a probability below degree / 2^60 for each prime. The primes and the values are secrets of the process: with known ones
`x + p` would be `x`, and `x + (x - a)` too where `a` is the value of `x`.
"""

import hashlib
import math
import secrets
from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any

from rewards.math.tree import Node, TooBigError, symbols

Exactly = Any  # a Fraction in Q, an int modulo a prime: no type says that both sides of a sum are in one field

MAX_BITS = 12_000  # about 3,600 digits: larger integers are never formed
MAX_TERMS = 2000
MAX_FACTORIAL = 20_000
MAX_STEPS = 60_000
_SECRET = secrets.token_bytes(32)
_WITNESSES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)  # enough for the test of Miller and Rabin below 3 * 10^24
_SMALL_PRIMES = math.prod(n for n in range(3, 200) if all(n % d for d in range(2, n)))


class NotRationalError(ArithmeticError):
    """The expression has a part that this evaluator does not know."""


class UndefinedError(ArithmeticError):
    """No value at this point: a pole, a logarithm of zero, an index out of range."""


def pseudo_random(name: str, salt: int) -> int:
    """Return an integer below 2^60 that depends on a name; the same on every machine."""
    return int.from_bytes(hashlib.blake2b(f"{salt}:{name}".encode(), digest_size=8).digest(), "big") >> 4


@lru_cache(maxsize=256)
def secret_random(name: str, salt: int) -> int:
    """Return an integer below 2^60 that depends on a name and that no text can foretell: each process has its own."""
    digest = hashlib.blake2b(f"{salt}:{name}".encode(), digest_size=8, key=_SECRET).digest()
    return int.from_bytes(digest, "big") >> 4


def _is_prime(n: int) -> bool:
    """Tell whether an odd `n` without small factors is a prime."""
    odd, twos = n - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for witness in _WITNESSES:
        power = pow(witness, odd, n)
        if power not in (1, n - 1) and not any((power := power * power % n) == n - 1 for _ in range(twos - 1)):
            return False
    return True


def _secret_prime() -> tuple[int, int]:
    """Return a prime p = 4q + 1 with q prime, and a square root of -1 modulo p.

    By Fermat x^(p-1) is 1, so a power whose exponent has the factor p - 1 would be 1: none can be written that has q.
    """
    while True:
        q = secrets.randbits(59) | 1 << 58 | 1
        p = 4 * q + 1
        if math.gcd(p * q, _SMALL_PRIMES) == 1 and _is_prime(q) and _is_prime(p):
            break
    root = next(root for base in _WITNESSES if (root := pow(base, q, p)) ** 2 % p == p - 1)
    return p, root


PRIMES = (_secret_prime(), _secret_prime())
"""Two primes of 61 bits, each with a square root of -1."""


class Exact:
    """Evaluates rational expressions: in Q (prime None, no symbols) or modulo a prime, with symbols at given points."""

    def __init__(self, prime: int | None, root_of_minus_one: int = 0, env: Mapping[str, Exactly] | None = None, salt: int = 0):
        self.prime, self.root, self.salt = prime, root_of_minus_one, salt
        self.env = dict(env or {})
        self.steps = 0

    def value(self, node: Node) -> Exactly:
        """Return the value; raises NotRationalError, TooBigError or UndefinedError."""
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise TooBigError("too many steps")
        op, args = node.op, node.args
        if op == "num":
            return self._lift(node.value)
        if op == "dec":
            return self._lift(node.value[0])
        if op == "add":
            total = self.value(args[0])
            for part in args[1:]:
                total = self._reduce(total + self.value(part))
            return total
        if op == "mul":
            return self._reduce(self.value(args[0]) * self.value(args[1]))
        if op == "neg":
            return self._reduce(-self.value(args[0]))
        if op == "div":
            return self._divide(self.value(args[0]), self.value(args[1]))
        if op == "pow":
            return self._power(args[0], args[1])
        if op == "sym":
            return self._symbol(node.value)
        if op == "const" and node.value == "i" and self.prime:
            return self.root
        if op == "pct":
            return self._divide(self.value(args[0]), self._lift(Fraction(100)))
        if op == "fact":
            return self._factorial(args[0])
        if op == "fn":
            return self._function(node)
        if op in ("sum", "prod"):
            return self._series(node)
        return self._other(node)

    def _other(self, node: Node) -> Exactly:
        """Return the value of what is no rational function: here there is none."""
        raise NotRationalError(node.op)

    # -- the field

    def _lift(self, value: Fraction | int) -> Exactly:
        """Return a rational in the field of evaluation."""
        if self.prime is None:
            return value if type(value) is Fraction else Fraction(value)  # of two integers `/` would make a float
        if value.denominator == 1:
            return value.numerator % self.prime
        return value.numerator * pow(value.denominator, -1, self.prime) % self.prime

    def _reduce(self, value: Exactly) -> Exactly:
        """Bring a value back into the field, refusing what has too many digits."""
        if self.prime is not None:
            return value % self.prime
        if value.numerator.bit_length() + value.denominator.bit_length() > 2 * MAX_BITS:
            raise TooBigError("a number of too many digits")
        return value

    def _divide(self, top: Exactly, bottom: Exactly) -> Exactly:
        if bottom == 0:
            raise UndefinedError("division by zero")
        if self.prime is None:
            return self._reduce(top / bottom)
        return top * pow(bottom, -1, self.prime) % self.prime

    def _symbol(self, name: str) -> Exactly:
        if name in self.env:
            return self.env[name]
        if self.prime is None:
            raise NotRationalError(name)
        return secret_random(name, self.salt) % self.prime

    def _integer(self, node: Node) -> int:
        """Return an exact integer that does not depend on symbols, but for the index of a sum around it."""
        if node.op == "num" and node.value.denominator == 1:
            return int(node.value)
        small = {name: Fraction(value) for name, value in self.env.items() if abs(value) <= MAX_TERMS}
        value = Exact(None, env=small).value(node)
        if value.denominator != 1:
            raise NotRationalError("not an integer")
        return int(value)

    # -- what grows fast: estimated before it is computed

    def _power(self, base_node: Node, exponent_node: Node) -> Exactly:
        """Return a power with an integer exponent."""
        exponent = self._integer(exponent_node)
        if self.prime is None:
            return self._rational_power(self.value(base_node), exponent)
        if abs(exponent) > (10**4 if symbols(base_node) else 2**40):
            raise TooBigError("too large an exponent")
        base = self.value(base_node)
        if base == 0 and exponent <= 0:
            raise UndefinedError("division by zero")
        return pow(base, exponent, self.prime)

    def _rational_power(self, base: Fraction, exponent: int) -> Fraction | int:
        if base in (0, 1, -1):
            if base == 0 and exponent <= 0:
                raise UndefinedError("division by zero")
            small = abs(exponent) % 2 + (2 if exponent else 0)  # of the same parity, which is all that -1 asks
            return base**small
        bits = max(base.numerator.bit_length(), base.denominator.bit_length())
        if bits * abs(exponent) > MAX_BITS:
            raise TooBigError(f"a power of about {bits * abs(exponent)} bits")
        return base**exponent

    def _factorial(self, node: Node) -> Exactly:
        n = self._integer(node)
        if n < 0:
            raise UndefinedError("factorial of a negative number")
        if n > (1000 if self.prime is None else MAX_FACTORIAL):
            raise TooBigError(f"{n if n < 10**20 else 'huge'} factorial")
        if self.prime is None:
            return Fraction(math.factorial(n))
        result = 1
        for factor in range(2, n + 1):
            result = result * factor % self.prime
        self.steps += n // 10
        return result

    def _function(self, node: Node) -> Exactly:
        """Return a binomial, gcd, absolute value or the like."""
        name, args = node.value, node.args
        if name == "binom":
            n, k = (self._integer(part) for part in args)
            return self._binomial(n, k)
        if name in ("gcd", "lcm") and len(args) >= 2:
            values = [self._integer(part) for part in args]
            return self._lift(Fraction(math.gcd(*values) if name == "gcd" else math.lcm(*values)))
        if self.prime is None and name in ("abs", "floor", "ceil", "sgn"):  # residues have no order
            return _of_one_rational(name, self.value(args[0]))
        if self.prime is None and name in ("max", "min"):
            parts = [self.value(part) for part in args]
            return max(parts) if name == "max" else min(parts)
        if name == "permutations" and len(args) == 2:
            n, k = (self._integer(part) for part in args)
            if not 0 <= k <= n or k > 1000 or n > 10**6:
                raise TooBigError("a huge number of arrangements")
            return self._lift(Fraction(math.perm(n, k)))
        raise NotRationalError(str(name))

    def _binomial(self, n: int, k: int) -> Exactly:
        if k < 0 or k > n >= 0:
            return self._lift(Fraction(0))
        if n < 0:  # (-1)^k times the binomial of k - n - 1 over k
            return self._reduce((-1) ** (k % 2) * self._binomial(k - n - 1, k))
        if min(k, n - k) > (300 if self.prime is None else MAX_FACTORIAL) or abs(n) > 10**9:
            raise TooBigError("a huge binomial")
        if self.prime is None:
            return Fraction(math.comb(n, k))
        top = bottom = 1
        for step in range(1, min(k, n - k) + 1):
            top = top * (n - step + 1) % self.prime
            bottom = bottom * step % self.prime
        self.steps += min(k, n - k) // 10
        return self._divide(top, bottom)

    def _series(self, node: Node) -> Exactly:
        """Return a sum or product of a bounded number of terms."""
        variable, low_node, high_node, body = node.args
        low, high = self._integer(low_node), self._integer(high_node)
        if high - low > MAX_TERMS or abs(low) > MAX_TERMS:
            raise TooBigError(f"a series of {high - low} terms")
        total: Exactly = self._lift(Fraction(node.op == "prod"))
        outer = self.env.get(variable.value)  # of a sum around this one with the same index
        for index in range(low, high + 1):
            self.env[variable.value] = Fraction(index) if self.prime is None else index  # int / int would be a float
            term = self.value(body)
            total = self._reduce(total + term if node.op == "sum" else total * term)
        if outer is None:
            self.env.pop(variable.value, None)
        else:
            self.env[variable.value] = outer
        return total


def _of_one_rational(name: str, value: Fraction) -> Fraction:
    if name == "abs":
        return abs(value)
    if name == "sgn":
        return Fraction((value > 0) - (value < 0))
    return Fraction(math.floor(value) if name == "floor" else math.ceil(value))


def rational(node: Node) -> Fraction:
    """Return the exact value of a rational constant; raises NotRationalError, TooBigError or UndefinedError."""
    return Fraction(Exact(None).value(node))


def residue(node: Node, prime: int, root_of_minus_one: int, salt: int) -> int:
    """Return the value of a rational function modulo a prime, its symbols at pseudo-random points.

    Raises NotRationalError, TooBigError or UndefinedError, and ValueError for a number without an inverse.
    """
    return int(Exact(prime, root_of_minus_one, salt=salt).value(node))
