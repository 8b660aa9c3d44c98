"""`reasonlab report`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from problems.telling import tell, with_manner
from rl.settings.arguments import clearly


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="reasonlab report",
        description="Draw a run: report.png and report.html, one file that holds a summary and the page of `reasonlab view`. "
        "Of several runs the page alone, with all of them on shared axes.",
    )
    parser.add_argument(
        "runs", type=Path, nargs="+", metavar="RUN", help="run directory of `reasonlab train`, or one above several"
    )
    parser.add_argument("--before", type=Path, help="run directory of an evaluation before training")
    parser.add_argument("--after", type=Path, help="run directory of the same evaluation after training")
    parser.add_argument("--out", type=Path, help="directory for the report (default: the run directory, the first one)")
    return with_manner(parser, "where the page is")


@clearly
def report_command(argv: Sequence[str]) -> int:
    """A picture and one self-contained page of a run."""
    parser = _parser()
    flags = parser.parse_args(list(argv))
    from rl.tracking.report import write_report  # loads matplotlib
    from rl.tracking.run_directory import write_atomic
    from rl.viewing.answers import Answers
    from rl.viewing.one_file import one_file
    from rl.viewing.runs import runs_at

    def frame(title: str, summary: str) -> str:
        answers = Answers(runs_at([path for path in (*flags.runs, flags.before, flags.after) if path is not None]))
        answers.read()
        return one_file(title, summary, answers)

    first, output = flags.runs[0], flags.out or flags.runs[0]
    holds_runs = first.is_dir() and not (first / "metrics.jsonl").is_file()
    if len(flags.runs) == 1 and not holds_runs:
        page = write_report(first, flags.before, flags.after, output, frame)
    else:
        if flags.before or flags.after:
            parser.error("--before and --after belong to one run; name evaluations beside the runs to have them in the page")
        names = [run.name for run in runs_at(flags.runs)]
        page = output / "report.html"
        output.mkdir(parents=True, exist_ok=True)
        write_atomic(page, frame(", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else ""), ""))
    tell({"report": page}, lambda: print(f"report: {page}"))
    return 0
