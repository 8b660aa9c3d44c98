"""`reasonlab sft`; `python -m rl.sft` is the other front door and does the same."""

from collections.abc import Sequence

from rl.settings.arguments import clearly, imitation_arguments
from rl.tracking.run_directory import tell_run


@clearly
def sft_command(argv: Sequence[str]) -> int:
    """Cold start: imitation of worked solutions."""
    asked = imitation_arguments(argv)
    if asked is None:
        return 0
    from rl.sft import run_sft  # loads torch, which takes seconds

    tell_run(asked.loaded.config.run.path, model=run_sft(asked.loaded, resume=asked.resume))
    return 0
