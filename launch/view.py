"""`reasonlab view`: what the model writes and how the run goes, in a browser or, with --text, here."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from problems.errors import LabError
from problems.telling import as_json, tell, with_manner
from rl.settings.arguments import clearly
from rl.viewing.answers import Answers
from rl.viewing.index import MARKS, Query
from rl.viewing.runs import runs_at
from rl.viewing.server import ViewingServer
from rl.viewing.terminal import show

_PORT = 8642


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="reasonlab view",
        description="Look at runs: every completion beside the others of its problem, curves, comparisons. Serves a page on "
        "this machine only (docs/view.md).",
    )
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run directory of train, sft or eval, or one above")
    parser.add_argument("--follow", action="store_true", help="keep up with runs that go on")
    parser.add_argument("--port", type=int, help=f"default: {_PORT}, or another one if that is taken")
    text = parser.add_argument_group("in the terminal")
    text.add_argument("--text", action="store_true", help="print curves and completions instead of serving a page")
    text.add_argument("--step", type=int, help="of this step; default: the last one first")
    text.add_argument("--mark", choices=MARKS, default="", help="groups with such a completion")
    text.add_argument("--search", default="", metavar="TEXT", help="groups with this text in a completion or the prompt")
    text.add_argument("--groups", type=int, default=2, help="groups that are printed of each run (default: 2)")
    text.add_argument("--whole", action="store_true", help="completions in full length")
    return with_manner(parser, "the page's address, at once; of --text curves and completions")


@clearly
def view_command(argv: Sequence[str]) -> int:
    """Look at runs."""
    parser = _parser()
    flags = parser.parse_args(list(argv))
    if flags.text and flags.follow:
        parser.error("--follow is of the page; --text prints what there is now")
    answers = Answers(runs_at(flags.runs))
    if not flags.text:
        return _serve(answers, flags.port, follow=flags.follow)
    answers.read()
    query = Query(step=flags.step, mark=flags.mark, search=flags.search, descending=flags.step is None, count=10_000)
    console = Console(highlight=False)
    runs = [
        {**run, "completions_found": answers.rows(number, query)}
        for number, run in enumerate(answers.overview()["runs"] if as_json() else [])
    ]
    tell(runs, lambda: show(console, answers, query, flags.groups, whole=flags.whole))
    return 0


def _serve(answers: Answers, port: int | None, *, follow: bool) -> int:
    """Serve until Ctrl-C."""
    try:
        server = ViewingServer(answers, port=_PORT if port is None else port, follow=follow)
    except OSError as error:
        if port is not None:
            raise LabError(f"port {port} cannot be had: {error}; leave --port out to take a free one") from None
        server = ViewingServer(answers, follow=follow)
    tunnel = f"{server.server_address[1]}:127.0.0.1:{server.server_address[1]}"
    words = f"open {server.url}\n(only from this machine; from another: ssh -L {tunnel} THIS_MACHINE. Ctrl-C ends it)"
    tell({"address": server.url}, lambda: print(words, flush=True))
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()
    return 0
