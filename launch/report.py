"""`reasonlab report`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from problems.telling import tell, with_manner
from rl.settings.arguments import clearly


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="reasonlab report",
        description="Draw a run: report.png and report.html, one file that holds a summary and the page of `reasonlab view`.",
    )
    parser.add_argument("run", type=Path, help="run directory of `reasonlab train`")
    parser.add_argument("--before", type=Path, help="run directory of an evaluation before training")
    parser.add_argument("--after", type=Path, help="run directory of the same evaluation after training")
    parser.add_argument("--out", type=Path, help="directory for the report (default: the run directory)")
    return with_manner(parser, "where the page is")


@clearly
def report_command(argv: Sequence[str]) -> int:
    """A picture and one self-contained page of a run."""
    flags = _parser().parse_args(list(argv))
    from rl.tracking.report import write_report  # loads matplotlib
    from rl.viewing.answers import Answers
    from rl.viewing.one_file import one_file
    from rl.viewing.runs import runs_at

    def frame(title: str, summary: str) -> str:
        answers = Answers(runs_at([path for path in (flags.run, flags.before, flags.after) if path is not None]))
        answers.read()
        return one_file(title, summary, answers)

    page = write_report(flags.run, flags.before, flags.after, flags.out or flags.run, frame)
    tell({"report": page}, lambda: print(f"report: {page}"))
    return 0
