"""`reasonlab replay`: an update that was left out, once more, on one process."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from problems.telling import tell, with_manner
from rl.settings.arguments import clearly


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="reasonlab replay",
        description="Repeat an update in which a number was not finite, from its dump, and follow that to its row, token and "
        "module (docs/numbers.md).",
    )
    parser.add_argument("dump", type=Path, help="directory of the dump: RUN/dumps/step-000123")
    parser.add_argument("--row", type=int, metavar="N", help="only this row, with the log-probability of each of its tokens")
    return with_manner(parser, "everything about every row, then and now")


@clearly
def replay_command(argv: Sequence[str]) -> int:
    """Repeat an update."""
    flags = _parser().parse_args(list(argv))
    from rl.replay import Replayer, in_lines  # loads torch, which takes seconds
    from rl.runtime import quiet_libraries
    from rl.tracking.dumps import read_dump

    quiet_libraries()
    dump = read_dump(flags.dump)
    replay = Replayer(dump).replay(flags.row)
    tell({"then": dump.found, "now": replay.record()}, lambda: print("\n".join(in_lines(dump, replay))))
    return 0
