"""What decided: the rules as a type, the decision with its facts, and the trail that a comparison leaves.

Code asks which `Rule` it was; the text is for the eyes of whoever reads `Verdict.detail`, and nothing decides by it.
"""

from dataclasses import dataclass, replace
from enum import Enum

DECIMAL_DIGITS = 6  # significant digits with which a decimal counts as an exact value


class Rule(Enum):
    """One way to decide, with its text; each `{}` is filled with a fact of the decision."""

    # texts
    SAME_TEXT = "same text"
    SAME_CLEANED_TEXT = "same text after cleaning"
    SAME_WORDS = "same words"
    DIFFERENT_WORDS = "different words"
    SAME_LETTERS = "same letters"
    LETTER_OF_CHOICE = "the letter of the choice"
    DIGITS_OF_BASE = "the digits, in the base that was asked for"
    DECIMAL_COMMA = "decimal comma"
    REPEATS_QUESTION = "repeats the question"
    TOO_LONG = "an answer of {} characters"
    UNREADABLE = "{}"  # the parser's reason
    TOO_DEEP = "nested too deep to compare"

    # expressions
    SAME_STRUCTURE = "same structure"
    EXACT_RATIONALS = "exact rationals"
    RESIDUES = "residues modulo two primes"
    ALGEBRAIC = "algebraic numbers, by a bound for their difference"
    DECIMAL = f"a decimal with at least {DECIMAL_DIGITS} correct digits"
    MANY_DIGITS = "equal to {} digits at {} point(s)"
    NUMBERS_DIFFER = "numbers differ"
    TOO_FEW_POINTS = "not enough points where both sides are defined"
    REFUSED = "refused: {}"
    NOT_EVALUATED = "not evaluated: {}"
    UNDEFINED = "undefined: {}"

    # quantities
    UNITS_CONFLICT = "units conflict: {} and {}"
    DEGREE_SIGN = "degree sign on one side only"
    PERCENTAGE = "the question asks for a percentage"
    TIME_OF_DAY = "time of day"

    # definitions, equations, inequalities
    VALUES_BY_NAME = "values by name"
    MEMBER_BY_MEMBER = "relations member by member"
    MULTIPLE = "one relation is a multiple of the other"
    WITHOUT_DENOMINATORS = "one equation is the other without its denominators"
    STILL_TO_BE_SOLVED = "an equation that is still to be solved"
    RELATION_AGAINST_OTHER = "a relation against another kind"

    # objects made of parts
    DIFFERENT_KINDS = "different kinds"
    KINDS = "{} against {}"
    REAL_SETS = "sets of reals"
    SETS = "sets without order"
    COLLECTIONS = "collections without order"
    IN_ORDER = "items in order"
    ALTERNATIVES = "alternatives"
    CASES = "case by case"
    MATRICES = "matrices entry by entry"
    RATIOS = "ratios"

    # names that mean nothing by themselves
    BOUND_NAMES = "bound names"
    BOUND_RANGES = "bound names range over {} and {}"
    PROGRESSIONS = "progressions over the integers"
    INTEGERS = "sets of integers"
    ARBITRARY_CONSTANTS = "arbitrary constants, {}"
    ANTIDERIVATIVES = "antiderivatives that differ by a constant"

    # sympy, asked where all of the above leaves it open
    STILL_TO_DO = "the answer leaves to be done what the question asks for"
    SYMPY_SAME = "sympy: both are the same expression"
    SYMPY_ZERO = "sympy: the difference simplifies to 0"
    SYMPY_NUMBERS = "sympy: equal to {} digits at {} point(s) of the whole domain, without a proof"
    SYMPY_NUMBERS_DIFFER = "sympy: numbers differ"
    SYMPY_DECIMAL = "sympy: a decimal with enough correct digits"
    SYMPY_INFINITE = "sympy: an infinite value"
    SYMPY_NO_VALUE = "sympy: no value"
    SYMPY_ANTIDERIVATIVES = "sympy: the same derivative, up to a constant"
    SYMPY_NO_CONSTANT = "sympy: no constant of integration of its own"
    SYMPY_DIVISORS = "sympy: all whole numbers of a period"
    SYMPY_MATRICES = "sympy: matrices entry by entry"
    SYMPY_PARTS = "sympy: item by item"
    SYMPY_SOLUTIONS = "sympy: the same solutions"
    SYMPY_OTHER_SOLUTIONS = "sympy: other solutions"
    SYMPY_CURVES = "sympy: the same points, factor by factor"
    SYMPY_OTHER_CURVES = "sympy: other points"
    SYMPY_FAMILIES = "sympy: the same values modulo a common period"
    SYMPY_UNKNOWN = "sympy cannot tell: {}"
    SYMPY_FAILED = "sympy failed: {}"
    SYMPY_NOT_STARTED = "sympy cannot tell: its process did not start in time"
    SYMPY_STARVED = "sympy cannot tell: the machine was too busy"
    SYMPY_TIMED_OUT = "sympy found nothing within its time"
    SYMPY_ENDED = "sympy found nothing within its time or memory"
    SYMPY_EXPLODED = "sympy found nothing: {}"


# What leaves a pair of expressions open: no value was formed, or too few.
UNDECIDED = frozenset((Rule.NOT_EVALUATED, Rule.TOO_FEW_POINTS, Rule.REFUSED, Rule.UNDEFINED))


@dataclass(frozen=True)
class Decision:
    """A rule with the facts that its text mentions; `units_agree` tells that units on both sides were the same too."""

    rule: Rule
    facts: tuple[object, ...] = ()
    units_agree: bool = False

    def __str__(self) -> str:
        return self.rule.value.format(*self.facts) + (", units agree" if self.units_agree else "")


@dataclass
class Trail:
    """What decided last in one comparison, and what the question allows.

    `percent` tells that the question asks for a percentage, `integral` that it is about an integral; `too_big` that a value
    was refused somewhere on the way.
    """

    decision: Decision = Decision(Rule.DIFFERENT_KINDS)
    percent: bool = False
    integral: bool = False
    too_big: bool = False

    def decide(self, rule: Rule, *facts: object) -> None:
        """Note the rule at work; a later one takes its place."""
        self.decision = Decision(rule, facts)

    def units_agree(self) -> None:
        """Add to the decision that the units are the same."""
        self.decision = replace(self.decision, units_agree=True)

    def apart(self) -> "Trail":
        """Return a trail for parts whose decisions are not to be told."""
        return Trail(percent=self.percent, integral=self.integral)
