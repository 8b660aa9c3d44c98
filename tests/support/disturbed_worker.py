"""A rank of a training to which something happens at a given moment.

disturbed_worker PLAN ARGUMENTS    PLAN: JSON, [{"at": PLACE, "step": N, "what": WHAT, "ranks": [...]}, ...]

PLACE: boundary (where ranks agree whether to go on), rollout, verifier, update, evaluation, save.
WHAT is a signal that the rank gets (SIGTERM), "STOP" (the file appears, and the rank has seen it), or a list of words: it hangs
until all of them have been said of stalls. N is the number of steps that are done.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from rewards.pool import VerifierPool
from rl import train
from rl.heartbeat import STALLS, Heart
from rl.runtime import rank
from rl.sampling.sampler import _Run
from rl.stopping import told_to_stop
from rl.tracking import checkpoint
from rl.tracking.run_directory import write_atomic
from rl.update import step as update
from rl.update.engine import Engine

_given = sys.argv.pop(1 if sys.argv[1].startswith("[") else 2)  # the launcher puts --local_rank before it
PLAN = [one for one in json.loads(_given) if rank() in one["ranks"]]


class Moment:
    """What the training is doing, as far as the plan asks."""

    place = ""
    step = -1


def happen(place: str) -> None:
    """Do what the plan has for this place now, once."""
    for one in [one for one in PLAN if (one["at"], one["step"]) == (place, Moment.step)]:
        PLAN.remove(one)
        if isinstance(one["what"], list):
            hang_until_said(one["what"])
        elif one["what"] == "STOP":
            assert Heart.active is not None
            write_atomic(Heart.active.run / "STOP", "maintenance")
            while told_to_stop() is None:
                time.sleep(0.01)
        else:
            os.kill(os.getpid(), signal.Signals[one["what"]])


def hang_until_said(words: list[str]) -> None:
    assert Heart.active is not None
    log = Heart.active.run / STALLS
    deadline = time.monotonic() + 120
    while not (log.exists() and all(one in log.read_text() for one in words)) and time.monotonic() < deadline:
        time.sleep(0.05)


def before(owner: Any, name: str, what: Callable[..., None]) -> None:
    """Have `what` called, with the same arguments, before a function of `owner`."""
    original = getattr(owner, name)

    def called(*args: Any, **kwargs: Any) -> Any:
        what(*args, **kwargs)
        return original(*args, **kwargs)

    setattr(owner, name, called)


def during(place: str, step_of: Callable[..., int]) -> Callable[..., None]:
    def note(*args: Any, **kwargs: Any) -> None:
        Moment.place, Moment.step = place, step_of(*args, **kwargs)

    return note


before(train, "sample", during("rollout", lambda parts, state: state.step))
before(train, "stop_if_told", lambda: happen("boundary"))
before(_Run, "_extend", lambda run, states: happen(Moment.place))
before(VerifierPool, "_decide", lambda *_: happen("verifier"))
before(train, "optimize", during("update", lambda parts, batches, step: step))
before(update, "micro_batch_loss", lambda *_: happen("update"))
before(train, "evaluate_held_out", during("evaluation", lambda parts: Moment.step + 1))
before(checkpoint, "save", during("save", lambda root, parts, state, *_, **__: state.step))
before(Engine, "save", lambda *_: happen("save"))

if __name__ == "__main__":
    sys.exit(train.main(sys.argv[1:]))
