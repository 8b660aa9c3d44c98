"""The one folder that programs may write to: how full it is, and how it is emptied, whatever they did to it.

Covered: folders that were locked, trees deeper than a path is long, links (never followed), files that vanish meanwhile.
Not covered: growth between two looks, where the folder is not a file system of its own (see `host.WATCH_SECONDS`).
Standard library only.
"""

import os
import time

MAX_MEGABYTES = 64
MAX_FILES = 4096


def usage(folder: str) -> tuple[int, int]:
    """Return bytes and entries under `folder`, counting no further than the limit on entries."""
    used, count, waiting = 0, 0, [folder]
    while waiting and count <= MAX_FILES:
        try:
            for entry in _unlocked(waiting.pop()):
                count += 1
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    used += entry.stat(follow_symlinks=False).st_blocks * 512
        except OSError:
            continue  # gone meanwhile, or too deep to name: then it is many entries as well
    return used, count


def empty(folder: str) -> None:
    """Remove all that is in `folder`. Nested folders are first moved to the top: a tree may be deeper than a path is long."""
    number = 0
    while entries := _unlocked(folder):
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)
                continue
            os.chmod(entry.path, 0o700)
            for item in _unlocked(entry.path):
                if item.is_dir(follow_symlinks=False):
                    number += 1
                    os.chmod(item.path, 0o700)  # a folder is only moved by who may write to it
                    os.rename(item.path, f"{folder}/.moved-{os.getpid()}-{time.monotonic_ns()}-{number}")
                else:
                    os.unlink(item.path)
            os.rmdir(entry.path)


def _unlocked(folder: str) -> list[os.DirEntry[str]]:
    """Return the entries of `folder`, whatever mode the program made it with."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except PermissionError:
        os.chmod(folder, 0o700)
        with os.scandir(folder) as entries:
            return list(entries)
