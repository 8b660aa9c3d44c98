"""The verifier process: one JSON request a line on standard input, one JSON verdict a line on standard output.

Its first line is empty and says that it is ready. It lives in a session of its own with bounded memory, ignores the
signals meant for the trainer, and ends when its input closes, so that a killed trainer leaves nothing behind.
"""

import json
import os
import resource
import signal
import sys
from dataclasses import asdict

from problems.types import Problem
from rewards.code.judging.verifier import configure
from rewards.code.settings import SandboxSettings
from rewards.math.symbolic.client import SYMPY
from rewards.types import Reading
from rewards.verifiers import verify


def main() -> None:
    """Serve requests until standard input closes."""
    limit = int(sys.argv[1]) * 2**20
    # The soft limit only: the sandbox of domain "code" sets limits of its own, under the same hard one.
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    SYMPY.total_seconds = SYMPY.wall_seconds  # the pool kills a verdict that waits longer
    configure(SandboxSettings.model_validate_json(sys.argv[2]))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # a stray print must not look like a verdict
    replies.write("\n")
    replies.flush()
    for line in sys.stdin:
        request = json.loads(line)
        verdict = verify(Problem(**request["problem"]), request["completion"], Reading(**request["reading"]))
        replies.write(json.dumps(asdict(verdict)) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
