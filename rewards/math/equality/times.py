"""Times of day: `3:30 pm` is 15:30, `3:30` may be either or the ratio 3 : 30, and seconds count."""

from rewards.math.equality.items import same_objects
from rewards.math.equality.parts import Equal
from rewards.math.equality.rules import Rule, Trail
from rewards.math.tree import Node, number


def same_times(gold: Node, answer: Node, trail: Trail, equal: Equal) -> bool:
    """Compare two sides, one of which at least is a time: (hour, minute, second, "a", "p" or None)."""
    trail.decide(Rule.TIME_OF_DAY)
    if gold.op != answer.op:
        time, other = (gold, answer) if gold.op == "time" else (answer, gold)
        hour, minute, second, half = time.value
        if half is not None or second:
            return False
        ratio = Node("ratio", (number(hour), number(minute)))
        if other.op == "rel":  # A : B = 3 : 25
            is_proportion = other.args[-1].op == "ratio"
            return is_proportion and (equal(ratio, other, trail) if gold is time else equal(other, ratio, trail))
        return same_objects(ratio, other, trail, equal)
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


def _is_hour(plain: int, hour: int, half: str) -> bool:
    """Tell whether an hour without am or pm may be the one with it."""
    return plain in (hour, hour % 12 + (12 if half == "p" else 0))
