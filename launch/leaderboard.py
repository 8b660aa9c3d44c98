"""`reasonlab leaderboard DIRECTORY ...`: all evaluations below some directories, ranked by paired comparisons."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from problems.errors import LabError
from problems.telling import plain, tell, with_manner
from rl.settings.arguments import clearly
from rl.tracking.run_directory import JsonDict, write_atomic


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="reasonlab leaderboard",
        description="Models by sets, and ranks from paired comparisons (Bradley-Terry) of evaluations that asked the same.",
    )
    parser.add_argument("directories", type=Path, nargs="+", help="directories that hold finished evaluations, at any depth")
    parser.add_argument("--anchor", metavar="MODEL", help="the model that has strength 1000 (default: the mean of all has it)")
    parser.add_argument("--page", type=Path, metavar="FILE.html", help="write one self-contained page, too")
    return with_manner(parser, "everything, every pair included")


@clearly
def leaderboard_command(argv: Sequence[str]) -> int:
    """Models by sets, and their ranks."""
    flags = _parser().parse_args(list(argv))
    from rl.evaluation.leaderboard import leaderboard  # loads numpy
    from rl.evaluation.leaderboard_page import leaderboard_page

    board = plain(leaderboard(flags.directories, flags.anchor))
    if flags.page is not None:
        try:
            flags.page.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(flags.page, leaderboard_page(board))
        except OSError as error:
            raise LabError(f"cannot write the page {flags.page}: {error}; name another file") from None
    tell(board, lambda: _show(board, flags.page))
    return 0


def _show(board: JsonDict, page: Path | None) -> None:
    """Print the tables, what is to be known of them, and where the page is."""
    from rl.evaluation.table import leaderboard_tables, printable

    console = Console(highlight=False)
    for table in leaderboard_tables(board):
        console.print(table)
    if len(board["leagues"]) > 1:
        console.print("no contest connects the leagues: nothing is known of one against the other", soft_wrap=True)
    for model in board["alone"]:
        console.print(f"compared with none: {escape(printable(model))}", soft_wrap=True)
    for remark in board["remarks"]:
        console.print(escape(printable(remark)), soft_wrap=True)
    console.print(board["scale"], soft_wrap=True)
    if page is not None:
        print(f"page: {page}")
