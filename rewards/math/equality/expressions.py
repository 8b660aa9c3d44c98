"""Are two expressions equal? Exactly where that can be decided, else by numbers to as many digits as there is to see.

1. Rational constants exactly, then residues modulo primes (`formal.py`), which decide for rational functions and say yes to
   whatever follows from the laws of fields.
2. Constants of roots and of sines of fractions of pi by a proven bound for their difference (`algebraic.py`).
3. The rest by numbers, at 40 digits and then at so many that everything in both sides is seen (`digits.py`), at least 110;
   with symbols at many points: ordinary, secret and far ones, and around every step (`points.py`, `steps.py`). A point
   where one side leaves the reals on its way says nothing.

A side written with decimals may be the other one rounded (`decimals.py`).
"""

from fractions import Fraction

from rewards.math.equality.algebraic import is_zero
from rewards.math.equality.decimals import as_decimal, only_one_has_decimals, rounds, rounds_at
from rewards.math.equality.exact import NotRationalError, UndefinedError, rational
from rewards.math.equality.formal import formal_agreement
from rewards.math.equality.numeric import Complex, Number, Numeric
from rewards.math.equality.points import (
    MAX_CHOSEN,
    Place,
    Point,
    Values,
    far_places,
    integer_symbols,
    literal_places,
    literals,
    one_sign_turned,
    places,
    secret_places,
    whole_places,
)
from rewards.math.equality.rules import Rule, Trail
from rewards.math.equality.steps import step_places
from rewards.math.tree import IMAGINARY, Node, TooBigError, contains, symbols

LOW, HIGH = 40, 110  # digits at the first look, and where it has to be sure
MAX_DIGITS = 6000
MAX_WORK = 150_000  # digits times steps of one evaluation
MAX_SPENT = 4_000_000  # the same, of all together
GUARD = 20  # digits at the end that may be rounding
POINTS = 6  # of positive values, and as many of mixed signs
ENOUGH = 4  # points where both sides are defined
MANY_NAMES = 3  # up to which points count only where no two names have one value
CLOSELY = 2  # points that are looked at to many digits in any case


def equal_expressions(gold: Node, answer: Node, trail: Trail) -> bool:
    """Tell whether two expressions have the same value for all values of their symbols."""
    if gold == answer:
        trail.decide(Rule.SAME_STRUCTURE)
        return True
    free = symbols(gold) | symbols(answer)
    if not free:
        verdict = _rational_constants(gold, answer, trail)
        if verdict is not None:
            return verdict
    verdict = _exactly(gold, answer, free, trail)
    if verdict or (verdict is False and not only_one_has_decimals(gold, answer)):
        return verdict
    try:
        return _numbers(gold, answer, free, trail)
    except TooBigError as error:
        trail.too_big = True
        trail.decide(Rule.REFUSED, str(error))
    except NotRationalError as error:
        trail.decide(Rule.NOT_EVALUATED, str(error))
    except (UndefinedError, ValueError, ZeroDivisionError, OverflowError) as error:
        trail.decide(Rule.UNDEFINED, str(error))
    return False


# -- exactly


def _rational_constants(gold: Node, answer: Node, trail: Trail) -> bool | None:
    """Compare rational constants; None where one side is none."""
    try:
        left, right = rational(gold), rational(answer)
    except (NotRationalError, TooBigError):
        return None
    except UndefinedError as error:
        trail.decide(Rule.UNDEFINED, str(error))
        return False
    trail.decide(Rule.EXACT_RATIONALS)
    if left == right:
        return True
    for near, exact, other in ((gold, right, answer), (answer, left, gold)):
        decimal = as_decimal(near)
        if decimal is not None and not contains(other, "dec") and rounds(decimal, exact):
            trail.decide(Rule.DECIMAL)
            return True
    return False


def _exactly(gold: Node, answer: Node, free: frozenset[str], trail: Trail) -> bool | None:
    """Compare by residues, and algebraic constants by a bound; None where neither decides."""
    agreement = formal_agreement(gold, answer)
    if agreement is not None and agreement.proven:
        trail.decide(Rule.RESIDUES)
        if not agreement.agree:
            return False
        if free or agreement.is_defined or _has_a_value(answer):
            return True
    if free:
        return None
    vanishes = is_zero(Node("add", (gold, Node("neg", (answer,)))))
    if vanishes is not None:
        trail.decide(Rule.ALGEBRAIC)
    return vanishes


def _has_a_value(node: Node) -> bool:
    """Tell whether a constant is defined, as `0 \\ln 0` is not."""
    try:
        Numeric(LOW, {}).value(node)
    except TooBigError:
        return True
    except (ArithmeticError, ValueError):
        return False
    return True


# -- numbers at points


def _numbers(gold: Node, answer: Node, free: frozenset[str], trail: Trail) -> bool:
    """Compare numbers at points; where a plain `log` occurs it is the natural one on both sides, or to the base ten."""
    if _Comparison(gold, answer, free, trail, log_base_ten=False).agree():
        return True
    logs = _has_plain_log(gold) or _has_plain_log(answer)
    return logs and _Comparison(gold, answer, free, trail, log_base_ten=True).agree()


def _has_plain_log(node: Node) -> bool:
    return (node.op == "fn" and node.value == "log") or any(_has_plain_log(part) for part in node.args)


def _mentions_i(node: Node) -> bool:
    return node == IMAGINARY or any(_mentions_i(part) for part in node.args)


def _is_not_real(value: Number) -> bool:
    return isinstance(value, Complex) and value.imag != 0


class _Comparison:
    """Two expressions that are compared at points."""

    def __init__(self, gold: Node, answer: Node, free: frozenset[str], trail: Trail, log_base_ten: bool):
        self.gold, self.answer, self.free, self.trail, self.log_base_ten = gold, answer, free, trail, log_base_ten
        self.imaginary = not free or _mentions_i(gold) or _mentions_i(answer)
        self.integers = integer_symbols(gold) | integer_symbols(answer)
        self.rounded = only_one_has_decimals(gold, answer)
        self.agreed = 0
        self.spent = 0  # steps times digits

    def agree(self) -> bool:
        """Tell whether they agree at enough points, and differ at none."""
        if not self.free:
            return self._decided(self._at({}, must_agree=True) is True)
        ordinary = places(self.free, self.integers, 2 * POINTS)
        for index, values in enumerate(ordinary):
            if self._tried(values, must_agree=index < POINTS or self.imaginary) is False:
                return self._decided(False)
        for values in secret_places(self.free, self.integers):
            if self._tried(values, must_agree=False, far=True, closely=True) is False:
                return self._decided(False)
        whole = {name: Fraction(2 + index) for index, name in enumerate(sorted(self.free))}
        for values in self._other_places([ordinary[0], ordinary[-1], whole]):
            if self._tried(values, must_agree=False, far=True) is False:
                return self._decided(False)
        return self._decided(True)

    def _other_places(self, bases: list[Place]) -> list[Place]:
        """Return far points and those around steps; far away a rounded number is off by more than its last digit."""
        others = step_places(self.gold, self.answer, bases, self.integers)
        if not self.rounded:
            sizes = sorted({*literals(self.gold), *literals(self.answer)}, reverse=True)
            others += [*far_places(self.free, self.integers), *whole_places(self.free, self.integers)]
            others += literal_places(sizes, self.free, self.integers)
        return others

    def _decided(self, is_same: bool) -> bool:
        if not is_same:
            self.trail.decide(Rule.NUMBERS_DIFFER)
            return False
        if self.agreed < (ENOUGH if self.free else 1):
            self.trail.decide(Rule.TOO_FEW_POINTS)
            return False
        if self.trail.decision.rule is not Rule.DECIMAL:
            self.trail.decide(Rule.MANY_DIGITS, HIGH - GUARD, self.agreed)
        return True

    def _tried(self, values: Place, must_agree: bool, far: bool = False, closely: bool = False) -> bool | None:
        """Compare at one point; None where it says nothing, as far points do whose values are too large."""
        before = self.agreed
        try:
            agrees = self._at(values, must_agree, closely)
            if agrees is False and self._stands_apart(values):
                return None
            if len(values) <= MANY_NAMES and len(set(values.values())) < len(values):
                self.agreed = before  # where n is k much agrees
            return agrees
        except TooBigError:
            if not far or self.spent > MAX_SPENT:
                raise
        except NotRationalError:
            raise
        except (UndefinedError, ZeroDivisionError, ValueError, OverflowError):
            pass
        return None

    def _stands_apart(self, values: Place) -> bool:
        """Tell whether no way leads from a point to where all names are positive, one sign turned at a time, through the reals.

        Where lengths and masses stand under a root, as in `\\sqrt{k/m}` and `\\sqrt{km}/m`, nobody means both to be negative.
        """
        negative = [name for name, value in values.items() if value < 0]
        return 2 <= len(negative) <= MAX_CHOSEN and not self._leads_to_positive(values)

    def _leads_to_positive(self, values: Place) -> bool:
        negative = [name for name, value in values.items() if value < 0]
        if len(negative) <= 1:
            return True
        return any(self._is_real(turned) and self._leads_to_positive(turned) for turned in one_sign_turned(values, negative))

    def _is_real(self, values: Place) -> bool:
        """Tell whether both sides have real values at a point."""
        try:
            return not self._evaluated(Point(values, LOW, self.log_base_ten)).left_reals
        except (UndefinedError, ZeroDivisionError, ValueError, OverflowError):
            return False

    def _at(self, values: Place, must_agree: bool, closely: bool = False) -> bool | None:
        """Compare at one point, the first ones and those where it is asked for to all digits that there are to see."""
        low = Point(values, LOW, self.log_base_ten)
        seen = self._evaluated(low)
        if self._values_agree(seen, low):
            return self._confirmed(values, seen, closely)
        if seen.left_reals and (
            not must_agree or (not self.imaginary and _is_not_real(seen.left) and _is_not_real(seen.right))
        ):
            return None
        again = self._evaluated(Point(values, self._digits(seen), self.log_base_ten))
        return self._counted(again.agree() and again.tells(seen.size))

    def _confirmed(self, values: Place, seen: Values, closely: bool) -> bool | None:
        """Look at values that agree at first more closely, where that may tell more."""
        if self.agreed == 0 or (not self.rounded and (closely or self.agreed < CLOSELY)):
            at = Point(values, self._digits(seen), self.log_base_ten)
        elif not self.rounded and seen.need + seen.lost > LOW / 2:
            at = Point(values, HIGH, self.log_base_ten)
        else:
            return self._counted(True)
        again = self._evaluated(at)
        if not again.tells(seen.size):
            return None
        return self._counted(self._values_agree(again, at))

    def _counted(self, agrees: bool) -> bool:
        self.agreed += agrees
        return agrees

    def _evaluated(self, at: Point) -> Values:
        """Evaluate both sides at a point; raises TooBigError where all points together have cost too much."""
        seen = at.both(self.gold, self.answer)
        self.spent += seen.steps * at.digits
        if self.spent > MAX_SPENT:
            raise TooBigError("too many steps at all points together")
        return seen

    def _digits(self, seen: Values) -> int:
        """Return to how many digits both sides have to be compared; raises TooBigError where they are too many."""
        need = seen.need if seen.need < LOW else 2 * seen.need  # a series may be broken off one term later
        digits = int(need + seen.lost) + 2 * GUARD
        if digits <= HIGH:
            return HIGH
        if digits > MAX_DIGITS or digits * seen.steps > MAX_WORK:
            raise TooBigError(f"a difference may be {digits} digits behind the point")
        return digits

    def _values_agree(self, seen: Values, at: Point) -> bool:
        """Tell whether the values of both sides agree, or one is the other rounded."""
        if seen.agree():
            return True
        if rounds_at(self.gold, self.answer, seen.left, seen.right, at):
            self.trail.decide(Rule.DECIMAL)
            return True
        return False
