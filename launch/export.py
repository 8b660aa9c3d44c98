"""`reasonlab export`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rl.settings.arguments import clearly


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="reasonlab export", description="Write a checkpoint as a plain Hugging Face directory."
    )
    parser.add_argument(
        "source", type=Path, help="a run directory (its newest checkpoint), a checkpoint directory or a GGUF file"
    )
    parser.add_argument("output", type=Path, help="directory to write; must not exist")
    parser.add_argument("--adapter", action="store_true", help="keep a LoRA adapter as an adapter (default: merge it)")
    parser.add_argument(
        "--best", action="store_true", help="of a run directory, the checkpoint with the best held-out accuracy"
    )
    return parser


@clearly
def export_command(argv: Sequence[str]) -> int:
    """A checkpoint as a plain Hugging Face directory."""
    flags = _parser().parse_args(list(argv))
    from rl.tracking.export import export  # loads torch, which takes seconds

    print(f"model: {export(flags.source, flags.output, adapter=flags.adapter, best=flags.best)}")
    return 0
