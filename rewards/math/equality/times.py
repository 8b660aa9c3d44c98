"""Times of day: `3:30 pm` is 15:30, `3:30` may be either or the ratio 3 : 30, and seconds count.

A full hour is its number (7 o'clock and 7), and with its name a ratio is no time: `A : B = 3:20` is 3 to 20.
"""

from rewards.math.equality.items import same_objects
from rewards.math.equality.parts import Equal
from rewards.math.equality.rules import Rule, Trail
from rewards.math.tree import OBJECTS, Node, number


def same_times(gold: Node, answer: Node, trail: Trail, equal: Equal) -> bool:
    """Compare two sides, one of which at least is a time: (hour, minute, second, "a", "p" or None)."""
    trail.decide(Rule.TIME_OF_DAY)
    if gold.op != answer.op:
        time, other = (gold, answer) if gold.op == "time" else (answer, gold)
        return _same_as_other(time, other, other is gold, trail, equal)
    (hour, minute, second, half), (other_hour, other_minute, other_second, other_half) = gold.value, answer.value
    if (minute, second) != (other_minute, other_second):
        return False
    if half and other_half:
        return bool(half == other_half and hour % 12 == other_hour % 12)
    if half:
        return _is_hour(other_hour, hour, half)
    if other_half:
        return _is_hour(hour, other_hour, other_half)
    return bool(hour == other_hour)


def _same_as_other(time: Node, other: Node, other_is_gold: bool, trail: Trail, equal: Equal) -> bool:
    """Compare a time with what is none: a full hour with a number, digits without am or pm with a ratio or a duration."""
    hour, minute, second, half = time.value
    if not minute and not second and other.op == "num":
        return equal(*_in_order(number(hour), other, other_is_gold), trail)
    if half is not None:
        return False
    ratio = Node("ratio", tuple(map(number, (hour, minute, second) if second else (hour, minute))))
    if other.op == "rel" and _names_a_ratio(other):
        return equal(*_in_order(ratio, other, other_is_gold), trail)
    if other.op == "add" and second:  # 2:15:30 is 2 hours 15 minutes 30 seconds
        duration = Node("unit", (number(3600 * hour + 60 * minute + second),), "s")
        return equal(*_in_order(duration, other, other_is_gold), trail)
    if other.op == "rel":
        return False
    return same_objects(*_in_order(ratio, other, other_is_gold), trail, equal)


def _in_order(time: Node, other: Node, other_is_gold: bool) -> tuple[Node, Node]:
    return (other, time) if other_is_gold else (time, other)


def _names_a_ratio(relation: Node) -> bool:
    """Tell whether a relation says what the ratio of its names is: A : B = 3 : 20, or a/b = 3/20."""
    return (
        relation.value == ("=",)
        and relation.args[0].op in ("ratio", "div", "mul")
        and relation.args[1].op not in (set(OBJECTS) - {"ratio"})
    )


def _is_hour(plain: int, hour: int, half: str) -> bool:
    """Tell whether an hour without am or pm may be the one with it."""
    return plain in (hour, hour % 12 + (12 if half == "p" else 0))
