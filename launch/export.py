"""`reasonlab export`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from problems.telling import tell, with_manner
from rl.settings.arguments import clearly
from rl.settings.model_files import TENSOR_TYPES, is_gguf


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="reasonlab export", description="Write a checkpoint as a plain Hugging Face directory, or as one GGUF file."
    )
    parser.add_argument(
        "source",
        type=Path,
        help="a run directory (its newest checkpoint), a checkpoint, a model directory or a GGUF file (to be dequantised)",
    )
    parser.add_argument(
        "output", type=Path, help="directory to write, or a file whose name ends in .gguf (docs/publishing.md); must not exist"
    )
    parser.add_argument(
        "--type", choices=TENSOR_TYPES, help="of the matrices in a GGUF file (default: as they are, f32 or bf16)"
    )
    parser.add_argument("--adapter", action="store_true", help="keep a LoRA adapter as an adapter (default: merge it)")
    parser.add_argument(
        "--best", action="store_true", help="of a run directory, the checkpoint with the best held-out accuracy"
    )
    return with_manner(parser, "where the model is")


@clearly
def export_command(argv: Sequence[str]) -> int:
    """A checkpoint as a plain Hugging Face directory, or as a GGUF file."""
    parser = _parser()
    flags = parser.parse_args(list(argv))
    to_gguf = is_gguf(str(flags.output))
    if flags.type and not to_gguf:
        parser.error("--type is of GGUF files; give an output whose name ends in .gguf")
    if flags.adapter and to_gguf:
        parser.error("--adapter writes a directory; a GGUF file holds a whole model")
    from rl.tracking.export import export, export_gguf  # loads torch, which takes seconds

    if to_gguf:
        model = export_gguf(flags.source, flags.output, best=flags.best, tensor_type=flags.type)
    else:
        model = export(flags.source, flags.output, adapter=flags.adapter, best=flags.best)
    tell({"model": model}, lambda: print(f"model: {model}"))
    return 0
