"""`reasonlab report`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rl.settings.arguments import clearly


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="reasonlab report", description="Draw a run: report.png and one self-contained report.html."
    )
    parser.add_argument("run", type=Path, help="run directory of `reasonlab train`")
    parser.add_argument("--before", type=Path, help="run directory of an evaluation before training")
    parser.add_argument("--after", type=Path, help="run directory of the same evaluation after training")
    parser.add_argument("--out", type=Path, help="directory for the report (default: the run directory)")
    return parser


@clearly
def report_command(argv: Sequence[str]) -> int:
    """A picture and one self-contained page of a run."""
    flags = _parser().parse_args(list(argv))
    from rl.tracking.report import write_report  # loads matplotlib

    print(f"report: {write_report(flags.run, flags.before, flags.after, flags.out or flags.run)}")
    return 0
