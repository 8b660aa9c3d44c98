r"""Equality by the laws of fields alone: what is no rational function is a name for itself.

Modulo a secret prime `\sqrt{x+1}` is a number that depends on the residue of `x+1` and on nothing else, so `2\sqrt{x+1}` and
`\sqrt{1+x}+\sqrt{x+1}` agree, while `\sqrt{8}` and `2\sqrt{2}` do not. Agreement is a proof (up to the chance that
`exact.py` tells), disagreement is one only for rational functions, and for those with one of pi and e in them, which is
transcendental and so as free as a name.
"""

from typing import NamedTuple

from rewards.math.equality.exact import (
    PRIMES,
    Exact,
    Exactly,
    NotRationalError,
    UndefinedError,
    rational,
    secret_random,
)
from rewards.math.tree import OBJECTS, ONE, Node, TooBigError

_PROVABLE: tuple[frozenset[str], ...] = (frozenset(), frozenset(("pi",)), frozenset(("e",)))
_ALWAYS_DEFINED = frozenset(("pi", "e"))
_SALTS = 2  # a second point where the first one is a pole


class Agreement(NamedTuple):
    """Whether two sides agree, whether that is a proof, and whether nothing in them can be undefined."""

    agree: bool
    proven: bool
    is_defined: bool


class Formal(Exact):
    """Evaluates modulo a prime; `kernels` holds the constants and the functions that were taken as names."""

    def __init__(self, prime: int, root_of_minus_one: int, salt: int):
        super().__init__(prime, root_of_minus_one, salt=salt)
        self.kernels: set[str] = set()

    def _kernel(self, name: str, *arguments: Exactly) -> Exactly:
        self.kernels.add(name)
        assert self.prime is not None
        return secret_random(f"{name}:{arguments}", self.salt) % self.prime

    def _other(self, node: Node) -> Exactly:
        if node.op == "const" and node.value in ("pi", "e"):
            return self._kernel(node.value)
        if node.op == "deg":
            return self._divide(self.value(node.args[0]) * self._kernel("pi"), 180)
        if node.op == "root":
            return self._root_of(node.args[0], Node("div", (ONE, node.args[1])))
        if node.op in ("fact2", "call"):
            return self._kernel(f"{node.op} {node.value}", *map(self.value, node.args))
        raise NotRationalError(node.op)

    def _power(self, base_node: Node, exponent_node: Node) -> Exactly:
        try:
            return super()._power(base_node, exponent_node)
        except NotRationalError:
            return self._root_of(base_node, exponent_node)

    def _root_of(self, base_node: Node, exponent_node: Node) -> Exactly:
        """Return `u^(a/b)` as the a-th power of the b-th root of u; any other power depends on both."""
        base = self.value(base_node)
        try:
            exponent = rational(exponent_node)
        except NotRationalError:
            return self._kernel("pow", base, self.value(exponent_node))
        if exponent.denominator == 1 or abs(exponent.numerator) > 2**40:
            raise NotRationalError("a power of a base without a value")
        if base == 0:
            raise UndefinedError("a root of zero")
        return pow(self._kernel("root", base, exponent.denominator), exponent.numerator, self.prime)

    def _factorial(self, node: Node) -> Exactly:
        try:
            return super()._factorial(node)
        except NotRationalError:
            return self._kernel("fact", self.value(node))

    def _function(self, node: Node) -> Exactly:
        try:
            return super()._function(node)
        except NotRationalError:
            if any(part.op in OBJECTS for part in node.args):
                raise
            return self._kernel(f"fn {node.value}", *map(self.value, node.args))


def formal_agreement(gold: Node, answer: Node) -> Agreement | None:
    """Compare modulo two primes; None where a side has no residue."""
    kernels: set[str] = set()
    for prime, root in PRIMES:
        for salt in range(_SALTS):
            one, other = Formal(prime, root, salt), Formal(prime, root, salt)
            try:
                left, right = one.value(gold), other.value(answer)
            except UndefinedError:
                continue
            except (NotRationalError, TooBigError, ValueError):
                return None
            kernels |= one.kernels | other.kernels
            if left != right:
                return Agreement(agree=False, proven=kernels in _PROVABLE, is_defined=False)
            break
        else:
            return None
    return Agreement(agree=True, proven=True, is_defined=kernels <= _ALWAYS_DEFINED)
