"""The sympy process: one JSON request a line on standard input, JSON findings on standard output, the last one `final`.

Its first line is empty and says that it is ready. Each request has a CPU time of its own, after which the kernel ends the
process: sympy cannot be interrupted and go on. What was found before is told at once, so that it is not lost. The process
stays in its parent's process group, ignores the signals meant for the trainer, and ends when its input closes.
"""

import json
import math
import os
import resource
import signal
import sys
import time
from typing import Any


def main() -> None:
    """Serve requests until standard input closes: `worker MEGABYTES CPU_SECONDS`."""
    megabytes, cpu_seconds = int(sys.argv[1]), int(sys.argv[2])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _limit(resource.RLIMIT_AS, megabytes * 2**20)
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # a stray print must not look like a finding
    from rewards.math.symbolic.answering import answer

    replies.write("\n")
    replies.flush()

    def report(finding: dict[str, Any]) -> None:
        replies.write(json.dumps(finding) + "\n")
        replies.flush()

    for line in sys.stdin:
        _limit(resource.RLIMIT_CPU, math.ceil(time.process_time()) + cpu_seconds)
        try:
            finding = answer(json.loads(line), report)
        except (MemoryError, RecursionError) as error:
            finding = {"same": None, "rule": "SYMPY_EXPLODED", "facts": [type(error).__name__], "exploded": True}
        report({**finding, "final": True})


def _limit(kind: int, soft: int) -> None:
    """Set the soft limit; the hard one stays, so that the soft one can be raised again."""
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


if __name__ == "__main__":
    main()
