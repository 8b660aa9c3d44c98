"""A run whose disk fills up in a step, and which goes on when there is room.

    python full_disk_worker.py DISK COPY MEBIBYTES STEP ARGUMENTS

DISK becomes a file system in memory that only this process sees; COPY gets the run directory. Prints a line of JSON: the exit
statuses before and after, and status.json in between.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from crashes import SmallDisk

from launch import cli


def main(place: Path, copy: Path, mebibytes: int, step: int, arguments: list[str]) -> None:
    disk = SmallDisk(place, mebibytes * 1024)

    def fill(event: str, opened: tuple[Any, ...]) -> None:
        if event == "open" and f".step-{step:06d}.jsonl.gz.tmp" in str(opened[0]) and not (copy / "was full").exists():
            (copy / "was full").touch()
            disk.fill()

    sys.addaudithook(fill)
    first = cli.main(arguments)
    status = json.loads((place / "run" / "status.json").read_text())
    (place / "filling").unlink()
    second = cli.main([*arguments, "--resume"])
    shutil.copytree(place / "run", copy / "run")
    print(json.dumps({"first": first, "status": status, "second": second}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5:])
