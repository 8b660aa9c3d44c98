"""Verifier pools that are kept between the calls of somebody else's trainer: rewards/verl.py, trl.py and inspect.py.

They end with the process, or by `close_all`.
"""

import os
import threading

from rewards.own import named
from rewards.pool import VerifierPool

# by who opened them and with what: a fork has its parent's pools, but not the threads that serve them
_pools: dict[tuple[int, str | None, float, int], VerifierPool] = {}
_opening = threading.Lock()


def kept_pool(verifier: str | None = None, timeout_seconds: float = 5.0, workers: int = 1) -> VerifierPool:
    """Return the pool of a verifier of one's own (FILE.py:NAME or an entry point), or of the lab's; from any thread."""
    key = (os.getpid(), verifier, timeout_seconds, workers)
    with _opening:
        if key not in _pools:
            _pools[key] = VerifierPool(workers, timeout_seconds, own=named(verifier) if verifier else None)
        return _pools[key]


def close_all() -> None:
    """End the processes of all kept pools."""
    with _opening:
        while _pools:
            _pools.popitem()[1].close()
