"""Families over the integers: `a + kb`, `(-1)^k a + kb`, and solutions of periodic equations: values modulo a period."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import mpmath
import sympy

from rewards.math.symbolic import proofs, sampling
from rewards.math.symbolic.convert import UnknownError
from rewards.math.symbolic.evaluate import tried

Expression = Any
MAX_RESIDUES = 120
SAMPLES = 900
TURNS = 6


class Progression(NamedTuple):
    """All of `start + k * step` for whole k."""

    start: Expression
    step: Expression


def progressions_of(term: Expression, index: Expression) -> list[Progression]:
    """Return the progressions that a term in a whole number is: itself, or one for even and one for odd ones."""
    if (one := _progression(term, index)) is not None:
        return [one]
    half = sympy.Dummy("m", integer=True)
    found: list[Progression] = []
    for parity in (2 * half, 2 * half + 1):
        part = _progression(sympy.expand(sympy.powsimp(term.subs(index, parity))), half)
        if part is None:
            raise UnknownError("a family that is no progression")
        found.append(part)
    return found


def _progression(term: Expression, index: Expression) -> Progression | None:
    start = term.subs(index, 0)
    step = sympy.simplify(sympy.diff(term, index))
    if step.has(index) or not step.is_number or not start.is_number or step.is_zero:
        return None
    return Progression(start, abs(step)) if proofs.is_zero(term - start - step * index) else None


def same_progressions(ours: Sequence[Progression], theirs: Sequence[Progression]) -> bool:
    """Tell whether two unions of progressions hold the same numbers."""
    period = _common_period([*ours, *theirs])
    left, right = _residues(ours, period), _residues(theirs, period)
    return _all_in(left, right, period) and _all_in(right, left, period)


def _common_period(progressions: Sequence[Progression]) -> Expression:
    period = progressions[0].step
    for progression in progressions[1:]:
        share = sympy.nsimplify(sympy.simplify(progression.step / period))
        if not share.is_Rational:
            raise UnknownError("periods that have none in common")
        period = period * sympy.Integer(share.p)
    return period


def _residues(progressions: Sequence[Progression], period: Expression) -> list[Expression]:
    found: list[Expression] = []
    for progression in progressions:
        times = sympy.simplify(period / progression.step)
        if not times.is_Integer or len(found) + times > MAX_RESIDUES:
            raise UnknownError("too many residues")
        found += [progression.start + number * progression.step for number in range(int(times))]
    return found


def _all_in(some: Sequence[Expression], others: Sequence[Expression], period: Expression) -> bool:
    return all(any(_congruent(one, other, period) for other in others) for one in some)


def _congruent(one: Expression, other: Expression, period: Expression) -> bool:
    share = (one - other) / period
    number = sampling.value(share, {}, 40)
    if number is None or abs(number.real - mpmath.nint(number.real)) > 1e-25:
        return False
    return proofs.is_zero(share - sympy.Integer(int(mpmath.nint(number.real))))


def solutions_of(difference: Expression, name: Expression) -> list[Progression]:
    """Return the zeros of a periodic function; raises UnknownError where they are not surely all found."""
    found = tried(lambda: sympy.solveset(difference, name, sympy.S.Reals))
    if found is None:
        raise UnknownError("zeros that are not found")
    if found == sympy.S.EmptySet:
        _check(difference, name, [Progression(sympy.Integer(0), 2 * sympy.pi)], no_zeros=True)
        return []
    parts = found.args if isinstance(found, sympy.Union) else (found,)
    progressions: list[Progression] = []
    for part in parts:
        images = (
            [part] if isinstance(part, sympy.ImageSet) else [inner for inner in part.args if isinstance(inner, sympy.ImageSet)]
        )
        if len(images) != 1 or images[0].base_sets != (sympy.S.Integers,):
            raise UnknownError("zeros that are not found")
        (index,), term = images[0].lamda.variables, images[0].lamda.expr
        whole = sympy.Dummy("k", integer=True)
        progressions += progressions_of(sympy.expand(term.subs(index, whole)), whole)
    if not progressions:
        raise UnknownError("no zeros")
    _check(difference, name, progressions)
    return progressions


def _check(difference: Expression, name: Expression, progressions: Sequence[Progression], no_zeros: bool = False) -> None:
    """Raise UnknownError unless the progressions are zeros, and no other change of sign shows in a period.

    With `no_zeros` they only tell the period.
    """
    period = _common_period(progressions)
    residues = [] if no_zeros else _residues(progressions, period)
    for zero in residues:
        height = sampling.value(difference.subs(name, zero), {}, 40)
        if height is None or abs(height) > 1e-25:
            raise UnknownError("zeros that are none")
    own = sorted(float(sympy.Mod(zero, period)) for zero in residues)
    width = TURNS * float(period)  # the function may have a longer period than its zeros
    turns = [turn * float(period) for turn in range(TURNS + 1)]
    last: tuple[float, float] | None = None
    for step in range(SAMPLES + 1):
        place = width * (step + 0.123) / SAMPLES
        number = sampling.value(difference.subs(name, sympy.Float(place)), {}, 15)
        if number is None or not sampling.is_real(number, 15) or abs(number) > 40:  # beside a pole
            last = None
            continue
        height = float(number.real)
        crosses = last is not None and last[1] * height < 0
        if (
            crosses
            and last is not None
            and not any(last[0] - 1e-9 <= zero + turn <= place + 1e-9 for zero in own for turn in turns)
        ):
            raise UnknownError("a zero that was not found")
        last = (place, height)
