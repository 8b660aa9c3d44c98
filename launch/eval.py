"""`reasonlab eval`; `deepspeed --module rl.evaluate` is the other front door and does the same."""

from collections.abc import Sequence

from rl.settings.arguments import clearly
from rl.settings.eval_arguments import evaluation_arguments


@clearly
def eval_command(argv: Sequence[str]) -> int:
    """How good models are on problem sets."""
    asked = evaluation_arguments(argv)
    if asked is None:
        return 0
    from rl.evaluate import print_results, run_evaluation  # loads torch, which takes seconds

    print_results(run_evaluation(asked), asked.loaded.config.run.path)
    return 0
