"""`reasonlab problems export`: problems as files that the lab, or another trainer, reads."""

import json
import keyword
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from launch.named_problems import GENERATED, parsed, problems_of
from problems.catalog import build_source
from problems.errors import LabError
from problems.telling import tell
from problems.types import SPLITS, Problem
from problems.verl import parquet_of
from rewards import checking
from rl.settings.arguments import make_parser


def exported(problem: Problem) -> dict[str, Any]:
    """Return a problem as a row that the set `jsonl` reads back to the same problem."""
    row: dict[str, Any] = {"id": problem.id, "domain": problem.domain, "prompt": problem.prompt, "reference": problem.reference}
    row |= {"checks": dict(problem.checks), "difficulty": dict(problem.difficulty), "solution": problem.solution}
    return {name: value for name, value in row.items() if value not in (None, {})}


def _lines(problems: Sequence[Problem]) -> bytes:
    return "".join(json.dumps(exported(problem), ensure_ascii=False) + "\n" for problem in problems).encode()


_MODULE = '''"""Problems of reasonlab as a taskset of verifiers, written by `reasonlab problems export --format verifiers`.

`vf-eval NAME` finds it by the name of this folder, where the folder around it is on PYTHONPATH and reasonlab is installed.
"""

from pathlib import Path

from rewards.as_taskset import ProblemTaskset


class Problems(ProblemTaskset):
    """The problems of the files beside this one."""

    folder = Path(__file__).parent


__all__ = ["Problems"]
'''


@dataclass(frozen=True, kw_only=True)
class Format:
    """A format of files: how they end, what is in one, and the files that stand beside them whatever the problems are."""

    ending: str
    written: Callable[[list[Problem]], bytes]
    beside: Mapping[str, str] = field(default_factory=dict)  # name -> text; with one that ends in .py, the folder is a module


WRITERS: dict[str, Format] = {
    "jsonl": Format(ending="jsonl", written=_lines),
    "verl": Format(ending="parquet", written=parquet_of),
    "verifiers": Format(ending="jsonl", written=_lines, beside={"__init__.py": _MODULE}),
}


def _is_module_name(name: str) -> bool:
    """Tell whether verifiers imports a module of that name as it stands: it takes ids in lower case, with `_` for `-`."""
    is_taken = keyword.iskeyword(name) or name in sys.stdlib_module_names  # on PYTHONPATH it would hide Python's own
    return re.fullmatch("[a-z_][a-z0-9_]*", name) is not None and not is_taken


def export_action(argv: Sequence[str]) -> int:
    """Write problems, a file a split."""
    parser = make_parser(
        "reasonlab problems export",
        "Writes problems, a file a split, as `domain: jsonl` (or `domain: verl`) reads them, or verifiers.",
        "problems by file, and how many were left out",
    )
    parser.add_argument("--output", type=Path, required=True, help="folder; it gets a file for each split")
    parser.add_argument(
        "--format",
        choices=sorted(WRITERS),
        default="jsonl",
        help="jsonl (default), verl: its parquet rows, or verifiers: a taskset, whose id is the name of the folder",
    )
    parser.add_argument("--n", type=int, default=GENERATED, help=f"of each split, of what is generated ({GENERATED})")
    parser.add_argument("--clean", action="store_true", help="leave out what `problems check` finds at fault")
    flags, config = parsed(parser, argv)
    if config is None:
        return 0
    to = WRITERS[flags.format]
    if to.beside and not _is_module_name(flags.output.name):
        raise LabError(
            f"--output {flags.output}: a taskset is a module, called like its folder, and {flags.output.name!r} is no name "
            f"of one, or one of Python's own; use lower-case letters, digits and _, my_problems for instance"
        )
    for name, text in to.beside.items():
        file = flags.output / name
        if file.exists() and file.read_text(encoding="utf-8") != text:
            raise LabError(f"{file} is there and is not ours; choose a folder of its own for --output")
    from rl.tracking.run_directory import write_atomic

    sources = [build_source([one], seed) for seed, one in enumerate(config.problems)]  # or one domain twice is one source
    problems = [problem for source in sources for problem in problems_of(source, flags.n)]
    left_out: set[str] = set()
    if flags.clean:  # what is written is finite, wherever it comes from: what stands twice is left out too
        with config.pool(os.cpu_count() or 1) as pool:
            left_out = {finding.source for finding in checking.faults(checking.findings_of(problems, pool))}
    flags.output.mkdir(parents=True, exist_ok=True)
    files: dict[str, int] = {}
    for split in SPLITS:
        kept = [problem for problem in problems if problem.split == split and problem.source not in left_out]
        if kept:
            file = flags.output / f"{split}.{to.ending}"
            write_atomic(file, to.written(kept))
            files[str(file)] = len(kept)
    for name, text in to.beside.items():
        write_atomic(flags.output / name, text)
    lines = [f"{file}: {count} problems" for file, count in files.items()]
    lines += [f"left out: {len(left_out)}"] if left_out else []
    tell({"files": files, "left_out": len(left_out)}, lambda: print("\n".join(lines)))
    return 0
