"""Are two trees the same object? Each side is brought into its normal form, then the pair of kinds says who compares.

Everything is symmetric, except where the kind of the gold decides: a one-valued gold is never met by a list, an interval or
a plus-minus (alternatives that are all equal to it are one value). The trail says which rule decided. `families.py` stands
above this file and knows what may be renamed.
"""

from rewards.math.equality.cases import without_harmless_condition
from rewards.math.equality.forms import as_values
from rewards.math.equality.items import same_objects
from rewards.math.equality.named import names_conflict, same_by_name
from rewards.math.equality.normal import normal_forms
from rewards.math.equality.quantities import same_quantities
from rewards.math.equality.relations import same_relations
from rewards.math.equality.rules import Rule, Trail
from rewards.math.equality.sets import is_set_like, same_sets
from rewards.math.equality.times import same_times
from rewards.math.tree import OBJECTS, Node


def equal(gold: Node, answer: Node, trail: Trail, strict: bool = False) -> bool:
    """Tell whether `answer` is the object `gold`; `strict` switches off what is forgiven (units, degrees, percent)."""
    if gold == answer:
        trail.decide(Rule.SAME_STRUCTURE)
        return True
    if gold.op == answer.op == "num":
        trail.decide(Rule.EXACT_RATIONALS)
        return False
    if names_conflict(gold, answer, equal):
        trail.decide(Rule.VALUES_BY_NAME)
        return False
    gold, answer = normal_forms(*without_harmless_condition(gold, answer), equal)
    if gold == answer:
        trail.decide(Rule.SAME_STRUCTURE)
        return True
    return _compared(gold, answer, trail, strict)


def _compared(gold: Node, answer: Node, trail: Trail, strict: bool) -> bool:
    """Compare two sides in normal form; a side of the first kind that matches decides who compares them."""
    kinds = (gold.op, answer.op)
    if "time" in kinds:  # 3:30 pm
        return same_times(gold, answer, trail, equal)
    by_name = same_by_name(gold, answer, trail, equal)  # x = 1, y = 2
    if by_name is not None:
        return by_name
    if "rel" in kinds and (worth := as_values(gold, answer, equal)) != (gold, answer):  # f = g, both the value
        return equal(*worth, trail)
    if "rel" in kinds:  # y = 2x, x > 3
        return same_relations(gold, answer, trail, equal)
    if is_set_like(gold) or is_set_like(answer):  # (0, 1] u [2, 3)
        return same_sets(gold, answer, trail, equal)
    if gold.op in OBJECTS or answer.op in OBJECTS:  # {1, 2}, (1, 2), matrices, 1 : 2
        return same_objects(gold, answer, trail, equal)
    return same_quantities(gold, answer, trail, strict)  # 1/2, 3 cm, x^2 + 1
