"""Are two expressions equal? Exact rationals, then residues modulo primes, then numbers to a hundred digits at several points.

Rational functions are decided by residues (`exact.py` says how sure that is). Everything else is compared at 40 and then at
110 digits, where an accident would have to agree in 90 digits at every point; a point where one side leaves the reals on its
way says nothing. A side written with decimals may be the other one rounded (`decimals.py`).
"""

from rewards.math.equality.decimals import as_decimal, only_one_has_decimals, rounds, rounds_at
from rewards.math.equality.exact import PRIMES, NotRationalError, UndefinedError, rational, residue
from rewards.math.equality.numeric import Number
from rewards.math.equality.points import Point, integer_symbols, places
from rewards.math.equality.rules import Rule, Trail
from rewards.math.tree import IMAGINARY, Node, TooBigError, contains, symbols

LOW, HIGH = 40, 110  # digits at the first look, and where it has to be sure
GUARD = 20  # digits at the end that may be rounding
POINTS = 8  # of positive values, and as many of mixed signs
ENOUGH = 4  # points where both sides are defined


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
    verdict = _residues(gold, answer, trail)
    if verdict:
        return True
    if verdict is False and not only_one_has_decimals(gold, answer):
        return False
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


def _residues(gold: Node, answer: Node, trail: Trail) -> bool | None:
    """Compare rational functions modulo two primes; None where an expression is none."""
    for prime, root in PRIMES:
        for salt in range(2):  # a second point where the first one is a pole
            try:
                left, right = residue(gold, prime, root, salt), residue(answer, prime, root, salt)
            except UndefinedError:
                continue
            except (NotRationalError, TooBigError, ValueError):
                return None
            trail.decide(Rule.RESIDUES)
            if left != right:
                return False
            break
        else:
            return None
    return True


# -- numbers at points


def _numbers(gold: Node, answer: Node, free: frozenset[str], trail: Trail) -> bool:
    """Compare numbers at points; where a plain `log` occurs it is the natural one on both sides, or to the base ten."""
    if _numbers_with(gold, answer, free, trail, log_base_ten=False):
        return True
    logs = _has_plain_log(gold) or _has_plain_log(answer)
    return logs and _numbers_with(gold, answer, free, trail, log_base_ten=True)


def _has_plain_log(node: Node) -> bool:
    return (node.op == "fn" and node.value == "log") or any(_has_plain_log(part) for part in node.args)


def _numbers_with(gold: Node, answer: Node, free: frozenset[str], trail: Trail, log_base_ten: bool) -> bool:
    imaginary = _mentions_i(gold) or _mentions_i(answer)
    integers = integer_symbols(gold) | integer_symbols(answer)
    rounded = only_one_has_decimals(gold, answer)
    agreed = 0
    for index, values in enumerate(places(free, integers, 2 * POINTS) if free else [{}]):
        low, high = Point(values, LOW, log_base_ten), Point(values, HIGH, log_base_ten)
        may_skip = index >= POINTS and not imaginary
        try:
            verdict = _first_look(gold, answer, low, high, may_skip, trail)
        except (UndefinedError, ZeroDivisionError, ValueError, OverflowError):
            if not free:
                raise
            continue
        if verdict is None:
            continue
        agreed += 1
        look_again = index == 0 or not rounded  # 40 digits are enough to see that a decimal is rounded
        if not verdict or (look_again and not _agree_at(gold, answer, high, trail)):
            trail.decide(Rule.NUMBERS_DIFFER)
            return False
    if agreed < (ENOUGH if free else 1):
        trail.decide(Rule.TOO_FEW_POINTS)
        return False
    if trail.decision.rule is not Rule.DECIMAL:
        trail.decide(Rule.MANY_DIGITS, HIGH - GUARD, agreed)
    return True


def _mentions_i(node: Node) -> bool:
    return node == IMAGINARY or any(_mentions_i(part) for part in node.args)


def _first_look(gold: Node, answer: Node, low: Point, high: Point, may_skip: bool, trail: Trail) -> bool | None:
    """Compare at one point, more closely before saying no; None where the point says nothing."""
    left, right, left_reals = low.both(gold, answer)
    if _agree(gold, answer, left, right, low, trail):
        return True
    if left_reals and may_skip:
        return None
    left, right, _ = high.both(gold, answer)  # cancellation can spoil 40 digits
    return _close(left, right, high.digits)


def _agree_at(gold: Node, answer: Node, at: Point, trail: Trail) -> bool:
    left, right, _ = at.both(gold, answer)
    return _agree(gold, answer, left, right, at, trail)


def _agree(gold: Node, answer: Node, left: Number, right: Number, at: Point, trail: Trail) -> bool:
    """Tell whether the values of both sides agree, or one is the other rounded."""
    if _close(left, right, at.digits):
        return True
    if rounds_at(gold, answer, left, right, at):
        trail.decide(Rule.DECIMAL)
        return True
    return False


def _close(left: Number, right: Number, digits: int) -> bool:
    """Tell whether two values agree in all but the guard digits; two values that are rounding only agree too."""
    difference = abs(left - right)
    if not difference:
        return True
    size = max(abs(left), abs(right))
    ten = left.context.mpf(10)
    return bool(difference <= size * ten ** (GUARD - digits) or size < ten ** (15 - digits))
