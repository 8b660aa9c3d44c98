"""The examiner's process: runs the text of assert tests in a process of its own, where the candidate is a set of proxies.

Covered:

- the candidate cannot reach the test text, patch what it calls, or lie with an `__eq__`: it lives in another process, and
  what it returns arrives as data (`remote` has the rules);
- success is a nonce that the judge gave to this process only, written after the last line of the tests;
- a name of the candidate never shadows a built-in of the tests, unless it is the entry point;
- names that the candidate imported are imported afresh here; helper functions of the problem come from the problem's text.

Not covered: weak tests. What satisfies them is paid. Nor are expected values hidden from this process, for they stand in the
text of the tests; it is confined as the candidate is, and is told only what it must run. Standard library only.
"""

import builtins
import importlib
import marshal
import socket
import sys
import types
from dataclasses import dataclass
from typing import Any

from rewards.code import wire
from rewards.code.inside.candidate import describe
from rewards.code.inside.remote import CandidateFailed, CandidateGone, RemoteCandidate
from rewards.code.wire import FrameError, Link


def serve_once() -> None:
    """Run one set of tests: for those that might leave something behind in this process."""
    link = Link(3)
    link.send(_examine(link.receive(), RemoteCandidate(Link(4))))


def serve_many() -> None:
    """Run one set of tests after another, each against a new candidate whose link arrives with the tests."""
    link = Link(3)
    while True:
        head, descriptors, _, _ = socket.recv_fds(link.socket, 4, 1)
        if not head or not descriptors:
            return
        link.buffer = head
        candidate = RemoteCandidate(Link(descriptors[0]))
        report = _examine(link.receive(), candidate)
        candidate.link.socket.close()
        link.send(report)


@dataclass
class _Tally:
    """Tests so far: all that were begun, and those that passed."""

    passed: int = 0
    total: int = 0


def _examine(setup: wire.ExamSetup, candidate: RemoteCandidate) -> wire.Report:
    """Run the tests; the report holds the nonce if their last line was reached."""
    tally = _Tally()
    ending: wire.ExamEnding
    try:
        _run(setup, candidate, tally)
        ending = {"nonce": setup["nonce"]}
    except CandidateGone:
        ending = {"failed": str(candidate.failure)}
    except AssertionError as error:
        text = f": {str(error)[:100]}" if str(error) else ""
        ending = {"failed": f"assertion failed {_place(error)}{text}", "wrong": True}
    except BaseException as error:
        ending = {"failed": f"{describe(error)} {_place(error)}", "memory": _for_want_of_memory(error)}
    if candidate.failure:
        ending = {"failed": candidate.failure}  # whatever the tests made of it
    if candidate.unsupported:
        ending = {"unsupported": candidate.unsupported}
    return {**ending, "passed": tally.passed, "total": tally.total, "calls": candidate.calls}


def _run(setup: wire.ExamSetup, candidate: RemoteCandidate, tally: _Tally) -> None:
    """Run the tests piece by piece; what ends them is raised."""
    module = types.ModuleType("tests")
    sys.modules["tests"] = sys.modules["__main__"] = module
    names = module.__dict__
    names.update(__builtins__=builtins, __name__="__main__")
    sys.argv = ["tests.py"]
    sys.set_int_max_str_digits(100_000)  # long integers in tests; bounded, since what the candidate sends is read here
    if setup["context"]:
        exec(marshal.loads(bytes.fromhex(setup["context"])), names)
    _bind(candidate, names, setup)
    for piece, counted in setup["pieces"]:
        tally.total += counted
        try:
            exec(marshal.loads(bytes.fromhex(piece)), names)
            tally.passed += counted
        except SystemExit as stop:  # only the tests' own, unittest.main() for one: the candidate's never crosses
            if stop.code:
                raise
            tally.passed += counted
        except Exception:
            if not counted or not setup["fraction"] or candidate.failure:
                raise


def _for_want_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or (isinstance(error, CandidateFailed) and error.memory)


def _place(error: BaseException) -> str:
    """Return where in the tests `error` came up."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "tests.py":
            line = trace.tb_lineno
        trace = trace.tb_next
    return f"(tests, line {line})" if line else ""


def _bind(candidate: RemoteCandidate, names: dict[str, Any], setup: wire.ExamSetup) -> None:
    """Put the entry point and the other free names of the tests into their name space."""
    entry = setup["entry_point"]
    try:
        first: wire.Imports = candidate.link.receive()
        second: wire.Defined = candidate.link.receive()
        (said, imports), (_, defined) = first, second
        if said != "imports":
            raise FrameError("not the imports")
    except (EOFError, OSError):
        candidate.failure = "the program did not load"
        raise CandidateGone from None
    except (FrameError, ValueError, TypeError) as error:
        candidate.failure = f"an answer that is not data: {describe(error)}"
        raise CandidateGone from None
    if entry in defined:
        names[entry] = candidate.function(entry)  # whatever it is said to be: every use of it is a call over there
    for name in setup["names"]:
        if name not in names:
            _bind_one(candidate, names, name, imports.get(name), defined.get(name))
    if entry in names and "candidate" in setup["names"]:
        names.setdefault("candidate", names[entry])  # what HumanEval's tests call it, outside of a `check` too
    if entry and entry not in defined:
        candidate.failure = f"the program defines no {entry}"
        raise CandidateGone


def _bind_one(
    candidate: RemoteCandidate,
    names: dict[str, Any],
    name: str,
    origin: tuple[str, str | None] | None,
    definition: wire.Definition | None,
) -> None:
    """Give the tests one name: an import made afresh, a value, an exception class of that name, or a function over there."""
    if origin is not None:
        _import_afresh(names, name, *origin)
        return
    if definition is None:
        if name in sys.stdlib_module_names:  # tests that rely on the candidate's imports can only mean the module
            names[name] = importlib.import_module(name)
        return
    if definition[0] == "data":
        names[name] = candidate.decode(definition[1])
    elif definition[0] == "class" and "BaseException" in definition[1]:
        names[name] = candidate.exceptions[name] = _exception_class(name, definition[1][1:])
    else:
        names[name] = candidate.function(name)


def _import_afresh(names: dict[str, Any], name: str, module_name: str, attribute: str | None) -> None:
    """Import what the candidate imported, if it is the language's own or numpy's; other names stay undefined."""
    top = str(module_name).partition(".")[0]
    if top not in sys.stdlib_module_names and top != "numpy":
        return
    try:
        module = importlib.import_module(module_name)
        names[name] = module if attribute is None else getattr(module, attribute)
    except (ImportError, AttributeError):
        return


def _exception_class(name: str, bases: list[str]) -> type[Exception]:
    """Return a class of our own that stands for an exception of the candidate, under the first built-in among its bases."""
    known = [getattr(builtins, base) for base in bases if isinstance(getattr(builtins, base, None), type)]
    base = known[0] if known and issubclass(known[0], Exception) else Exception
    return type(name, (base,), {})
