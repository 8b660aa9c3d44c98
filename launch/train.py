"""`reasonlab train`; `deepspeed --module rl.train` is the other front door and does the same."""

from collections.abc import Sequence

from rl.settings.arguments import clearly, training_arguments


@clearly
def train_command(argv: Sequence[str]) -> int:
    """Reinforcement learning from verifiable rewards."""
    asked = training_arguments(argv)
    if asked is None:
        return 0
    if asked.only_prompt:
        from rl.policy.showing import show_prompt

        print(show_prompt(asked.loaded.config))
        return 0
    from rl.train import run_training  # loads torch, which takes seconds

    run_training(asked.loaded, resume=asked.resume)
    return 0
