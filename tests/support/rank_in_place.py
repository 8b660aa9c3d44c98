"""A program that looks from outside as a rank does: it writes status.json and ends on signals with a status. Loads nothing."""

import sys
from pathlib import Path

# argv: the run directory, its name, what it does
_RANK = """
import json, os, signal, sys, time
run, name, body = sys.argv[1:]
def status(word, **more):
    open(run + "/.new" + name, "w").write(json.dumps({"status": word, "pid": os.getpid(), **more}))
    os.replace(run + "/.new" + name, run + "/status.json")
def told(number, frame):
    open(run + "/told", "a").write(f"{name} {number}\\n")
    status("preempted")
    sys.exit(128 + number)
signal.signal(signal.SIGTERM, told)
signal.signal(signal.SIGINT, told)
status("running")
open(run + "/ready-" + name, "w").write(str(os.getpid()))
exec(body)
"""
FINISH = "status('finished')"
WAIT = "time.sleep(60)"


def rank_in_place(run: Path, name: str, body: str) -> list[str]:
    """Return the command of such a program; it leaves its process number in `ready-NAME` and its signals in `told`."""
    return [sys.executable, "-c", _RANK, str(run), name, body]
