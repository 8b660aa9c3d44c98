"""Writes what says which problems stay: pass rates, removed problems. problems/selection.py reads it and says what is in it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from problems.errors import LabError
from problems.selection import header_path
from problems.telling import plain
from rl.tracking.run_directory import write_atomic


def write_selection(file: Path, rows: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> None:
    """Write the rows and, last, their header; raises LabError where that cannot be done."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        header = {**about, "lines": len(rows)}
        write_atomic(header_path(file), json.dumps(plain(header), indent=1, ensure_ascii=False))
    except OSError as error:
        raise LabError(f"cannot write {file}: {error}; choose another file") from None
