"""`reasonlab push`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from problems.telling import tell, with_manner
from rl.settings.arguments import clearly


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="reasonlab push",
        description="Write a model with its card (training, curves, evaluations, settings, licences, limits) and upload it.",
    )
    parser.add_argument(
        "source",
        type=Path,
        help="a run directory (its newest checkpoint), a checkpoint, or a model that `reasonlab export` wrote",
    )
    parser.add_argument("repository", help="OWNER/NAME on the hub")
    parser.add_argument(
        "--eval",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="run directory of `reasonlab eval`; may be repeated",
    )
    parser.add_argument("--best", action="store_true", help="of a run, the checkpoint with the best held-out accuracy")
    parser.add_argument("--licence", help="of the model, as the hub spells it: apache-2.0 (default: not stated)")
    parser.add_argument("--private", action="store_true", help="make a repository that only you can read")
    parser.add_argument("--folder", type=Path, help="where to write it (default: published/NAME); must not exist")
    parser.add_argument("--no-upload", action="store_true", help="only write the folder")
    return with_manner(parser, "the folder and, once it is uploaded, its address")


@clearly
def push_command(argv: Sequence[str]) -> int:
    """A model with its card, uploaded; exit status 1 where only the folder could be written."""
    flags = _parser().parse_args(list(argv))
    from rl.publish import Publication, upload, write_folder  # loads torch and matplotlib, which takes seconds

    folder = write_folder(
        Publication(
            source=flags.source,
            repository=flags.repository,
            folder=flags.folder or Path("published") / flags.repository.rsplit("/", 1)[-1],
            evaluations=flags.eval,
            best=flags.best,
            licence=flags.licence,
        )
    )
    address = None if flags.no_upload else upload(folder, flags.repository, private=flags.private)
    lines = [f"written: {folder}", *([] if address is None else [f"uploaded: {address}"])]
    tell({"folder": folder, "uploaded": address}, lambda: print("\n".join(lines)))
    return 0 if flags.no_upload or address is not None else 1
