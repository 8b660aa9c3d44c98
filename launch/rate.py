"""`reasonlab problems rate`; `deepspeed --module rl.rate` is the other front door and does the same on several ranks."""

from collections.abc import Sequence

from rl.settings.eval_arguments import rating_arguments


def rate(argv: Sequence[str]) -> int:
    """Pass rates of a model, problem by problem."""
    asked = rating_arguments(argv)
    if asked is None:
        return 0
    from rl.rate import run_rating, tell_rates  # loads torch, which takes seconds

    tell_rates(run_rating(asked))
    return 0
