"""What a file of weights holds, as a hash of all of it.

Two models may agree in size and in both ends of their files, and differ in one layer between. So everything is read: by blocks,
in threads, 1.2 GiB/s for each core that has instructions for sha256, which is less than opening the model takes. A process
reads a file once, unless it has changed.
"""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

from rl.policy.paths import PolicyError

_BLOCK_BYTES = 2**26  # hashed by one thread; part of what the hash means
_READ_BYTES = 2**20  # at once
_THREADS = min(4, os.cpu_count() or 1)  # several ranks of a machine may do this at once


def content_of(file: Path) -> str:
    """Return 64 hex digits that identify a file's content; raises PolicyError where it cannot be read."""
    try:
        found = file.stat()
        return _content(str(file.resolve()), found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
    except OSError as error:
        raise PolicyError(f"cannot read {file}: {error.strerror or error}") from None


@lru_cache(maxsize=4096)
def _content(path: str, size: int, *_seen: int) -> str:
    """Return the hash of a file; by `_seen`, times and inode, it is known whether the file has changed."""
    digest = hashlib.sha256(str(size).encode())
    with ThreadPoolExecutor(_THREADS) as threads:
        for block in threads.map(lambda start: _block(path, start), range(0, size, _BLOCK_BYTES)):
            digest.update(block)
    return digest.hexdigest()


def _block(path: str, start: int) -> bytes:
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        file.seek(start)
        left = _BLOCK_BYTES
        while left and (data := file.read(min(left, _READ_BYTES))):
            digest.update(data)
            left -= len(data)
    return digest.digest()
