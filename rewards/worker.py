"""The verifier process: one JSON request a line on standard input, one JSON verdict a line on standard output.

Its first line is empty and says that it is ready. It lives in a session of its own with bounded memory, ignores the
signals meant for the trainer, and ends when its input closes, so that a killed trainer leaves nothing behind.
"""

import json
import os
import resource
import signal
import sys
import time
from dataclasses import asdict, replace

from problems import own
from problems.types import Problem
from rewards.code.judging.verifier import configure
from rewards.code.settings import SandboxSettings
from rewards.math.symbolic.client import POOL_SECONDS, SYMPY
from rewards.own import OwnVerifier, open_verifier
from rewards.types import Reading, Verdict, Verifier
from rewards.verifiers import verify


def timed(judge: Verifier) -> Verifier:
    """Return `judge` with the seconds that each verdict took."""

    def verify_timed(problem: Problem, completion: str, reading: Reading) -> Verdict:
        started = time.perf_counter()
        verdict = judge(problem, completion, reading)
        return replace(verdict, seconds=time.perf_counter() - started)

    return verify_timed


def main() -> None:
    """Serve requests until standard input closes."""
    limit = int(sys.argv[1]) * 2**20
    # The soft limit only: the sandbox of domain "code" sets limits of its own, under the same hard one.
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    SYMPY.total_seconds = POOL_SECONDS  # the pool kills a verdict that waits longer
    configure(SandboxSettings.model_validate_json(sys.argv[2]))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    of_ones_own = json.loads(sys.argv[3])
    own.VERIFIERS.update(of_ones_own["verifiers"])
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # a stray print must not look like a verdict
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)  # a stray input() must not eat a request
    chosen = of_ones_own["judge"]
    judge = verify if chosen is None else timed(open_verifier(OwnVerifier.model_validate(chosen)))
    replies.write("\n")
    replies.flush()
    for line in requests:
        request = json.loads(line)
        verdict = judge(Problem(**request["problem"]), request["completion"], Reading(**request["reading"]))
        replies.write(json.dumps(asdict(verdict)) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
