"""Placeholder."""
from rewards.math.symbolic.wire import Reply


def same_solutions(gold, candidate, comparison):
    return Reply(None)
