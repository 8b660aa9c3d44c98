"""`reasonlab eval`; `deepspeed --module rl.evaluate` is the other front door and does the same."""

from collections.abc import Sequence

from rl.settings.arguments import clearly, evaluation_arguments


@clearly
def eval_command(argv: Sequence[str]) -> int:
    """How good a model is on a problem set."""
    loaded = evaluation_arguments(argv)
    if loaded is None:
        return 0
    from rl.evaluate import print_results, run_evaluation  # loads torch, which takes seconds

    print_results(run_evaluation(loaded), loaded.config.run.path)
    return 0
