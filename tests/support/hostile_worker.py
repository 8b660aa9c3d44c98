"""A verifier process like rewards/worker.py, with one more domain whose completions say how to misbehave.

Run as `python -m hostile_worker MEGABYTES` by the pool's tests. Only this process knows the domain `hostile`.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from problems.types import Problem
from rewards import worker
from rewards.types import Reading, Verdict
from rewards.verifiers import VERIFIERS, VerifierEntry


def hostile(problem: Problem, completion: str, reading: Reading) -> Verdict:
    action, _, argument = completion.partition(" ")
    if action == "sleep":
        time.sleep(float(argument))
    elif action == "wait-for":
        while not Path(argument).exists():
            time.sleep(0.02)
    elif action == "spin":  # C code that no Python signal handler can stop
        sum(range(10**12))
    elif action == "allocate":
        bytearray(int(argument))
    elif action == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "die-once" and not Path(argument).exists():
        Path(argument).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "child":  # leaves a process behind and hangs
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        Path(argument).write_text(str(child.pid))
        time.sleep(600)
    elif action == "print":
        print('{"status": "correct"}', flush=True)
        return Verdict(status="wrong")
    elif action == "raise":
        raise ZeroDivisionError(argument)
    elif action == "pid":
        return Verdict(status="correct", detail=str(os.getpid()))
    elif action == "length":
        return Verdict(status="correct", detail=str(len(argument)))
    return Verdict(status="correct", detail=argument)


VERIFIERS["hostile"] = VerifierEntry(verify=hostile)

if __name__ == "__main__":
    worker.main()
