"""`reasonlab train`; `deepspeed --module rl.train` is the other front door and does the same."""

from collections.abc import Sequence

from rl.settings.arguments import clearly, training_arguments
from rl.tracking.run_directory import tell_run


@clearly
def train_command(argv: Sequence[str]) -> int:
    """Reinforcement learning from verifiable rewards."""
    asked = training_arguments(argv)
    if asked is None:
        return 0
    if asked.only_prompt:
        from rl.policy.showing import tell_prompt

        tell_prompt(asked.loaded.config, asked.shown_beside)
        return 0
    from rl.train import run_training  # loads torch, which takes seconds

    tell_run(run_training(asked.loaded, resume=asked.resume))
    return 0
