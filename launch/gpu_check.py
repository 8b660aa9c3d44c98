"""`reasonlab gpu-check`."""

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from problems.telling import remark, tell, with_manner
from rl.settings.arguments import clearly


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="reasonlab gpu-check",
        description="Checks and measures the lab on this machine's GPU, in about ten minutes: one page and one JSON file.",
    )
    parser.add_argument("--out", type=Path, default=Path("gpu-check"), help="where page, JSON and logs go (default: gpu-check)")
    parser.add_argument("--scratch", type=Path, help="where models and runs go; kept (default: a folder that is removed)")
    parser.add_argument("--only", metavar="A,B", help="steps, by name")
    parser.add_argument("--seconds", type=float, default=900, metavar="N", help="begin no step later (default: 900)")
    parser.add_argument("--toy", action="store_true", help="toy sizes, on any device: does it run? (numbers mean nothing)")
    return with_manner(parser, "what gpu-check.json holds")


@clearly
def gpu_check_command(argv: Sequence[str]) -> int:
    """Checks and measurements on a GPU."""
    flags = _parser().parse_args(list(argv))
    from bench.gpu_check import check  # loads torch, which takes seconds
    from problems.errors import LabError
    from rl.runtime import describe_device

    where = describe_device()
    if where.startswith("the CPU") and not flags.toy:
        raise LabError(f"gpu-check measures a GPU, and this is {where}; --toy runs every step at toy size")
    only = flags.only.split(",") if flags.only else []
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as folder:
        scratch = (flags.scratch or Path(folder)).resolve()
        failed = check(flags.out, scratch, toy=flags.toy, only=only, seconds=flags.seconds, say=remark)
    found = json.loads((flags.out / "gpu-check.json").read_text(encoding="utf-8"))
    tell(found, lambda: print(f"written: {flags.out}/gpu-check.md, gpu-check.json and logs.txt"))
    return 1 if failed else 0
