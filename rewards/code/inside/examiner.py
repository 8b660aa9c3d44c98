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
import enum
import functools
import importlib
import importlib.util
import json
import marshal
import socket
import sys
import time
import types
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

from rewards.code import wire
from rewards.code.codec import CodecError
from rewards.code.inside import callables, failures, kinships, lifetimes, pytestlike, standins, stdlib, texts, typenotes
from rewards.code.inside.candidate import describe
from rewards.code.inside.failures import CandidateExit, CandidateFailed, CandidateGone, Watch
from rewards.code.inside.remote import RemoteCandidate
from rewards.code.wire import FrameError, Link

_PATCHED_OTHERWISE = {("builtins", "print"), ("builtins", "input"), ("sys", "stdin"), ("sys", "stdout"), ("sys", "stderr")}
# What tests beside a named entry point can only mean as the standard library's, were it defined by the candidate ten times.
_WELL_KNOWN = {
    name: module
    for module, names in (
        ("math", "isclose sqrt pi inf nan isnan isinf"),
        ("collections", "Counter deque defaultdict OrderedDict namedtuple"),
        ("itertools", "permutations combinations combinations_with_replacement islice zip_longest"),
        ("copy", "deepcopy"),
        ("functools", "reduce"),
        ("decimal", "Decimal"),
        ("fractions", "Fraction"),
        ("io", "StringIO"),
        ("contextlib", "redirect_stdout"),
        ("unittest", "TestCase"),
        ("unittest.mock", "Mock MagicMock patch"),
    )
    for name in names.split()
}
_NO_JSON = json.JSONEncoder.default
_SLEEP = time.sleep
MODULE_ALIASES = {"np": "numpy", "pd": "pandas"}


def serve_once() -> None:
    """Run one set of tests: for those that might leave something behind in this process."""
    link = Link(3)
    setup: wire.ExamSetup = link.receive()
    link.send(_examine(setup, _candidate(Link(4, wire.MAX_LINK_BYTES), setup), is_alone=True))


def serve_many() -> None:
    """Run one set of tests after another, each against a new candidate whose link arrives with the tests."""
    link = Link(3)
    while True:
        head, descriptors, _, _ = socket.recv_fds(link.socket, 4, 1)
        if not head or not descriptors:
            return
        link.buffer = head
        setup: wire.ExamSetup = link.receive()
        candidate = _candidate(Link(descriptors[0], wire.MAX_LINK_BYTES), setup)
        report = _examine(setup, candidate)
        candidate.link.socket.close()
        link.send(report)


def _candidate(link: Link, setup: wire.ExamSetup) -> RemoteCandidate:
    return RemoteCandidate(link, frozenset(setup["expects"]), Watch(setup["guards"], setup["blocks"]))


@dataclass
class _Tally:
    """Tests so far: all that were begun, and those that passed."""

    passed: int = 0
    total: int = 0
    asserted: bool = False

    def see(self, value: Any) -> Any:
        """Note that an assertion runs, and of what."""
        self.asserted = True
        return value


def _examine(setup: wire.ExamSetup, candidate: RemoteCandidate, is_alone: bool = False) -> wire.Report:
    """Run the tests; the report holds the nonce if their last line was reached. `is_alone`: no other tests follow here."""
    tally = _Tally()
    ending: wire.ExamEnding
    try:
        _run(setup, candidate, tally, is_alone)
        candidate.audit()
        if setup["asserts"] and not tally.asserted and candidate.calls:  # without a call the tests are to blame
            candidate.fail("not one assertion was reached")
        ending = {"nonce": setup["nonce"]}
    except CandidateGone:
        ending = {"failed": str(candidate.failure)}
    except AssertionError as error:
        text = f": {str(error)[:100]}" if str(error) else ""
        candidate.watch.failed.add(failures.line_of(error))
        ending = {"failed": f"assertion failed {_place(error)}{text}", "wrong": True}
    except BaseException as error:
        ending = {"failed": f"{describe(error)} {_place(error)}", "memory": _for_want_of_memory(error)}
    failure = candidate.failure or candidate.trust.unpaid()
    if failure:
        ending = {"failed": failure}  # whatever the tests made of it
    unmet = any(first <= line <= last for first, last in setup["properties"] for line in candidate.watch.failed)
    ending = {**ending, "changed": candidate.arguments.changed, "unmet": unmet}
    return {**ending, "passed": tally.passed, "total": tally.total, "calls": candidate.calls}


def _run(setup: wire.ExamSetup, candidate: RemoteCandidate, tally: _Tally, is_alone: bool) -> None:
    """Run the tests piece by piece; what ends them is raised."""
    module = types.ModuleType("tests")
    sys.modules["tests"] = sys.modules["__main__"] = module
    names = module.__dict__
    names.update(__builtins__=builtins, __name__="__main__", __seen__=tally.see)
    names["__type__"] = functools.partial(kinships.kind_of, candidate)
    sys.argv = ["tests.py"]
    if "pytest" in setup["frameworks"] and importlib.util.find_spec("pytest") is None:
        sys.modules["pytest"] = pytestlike.module()
    sys.set_int_max_str_digits(100_000)  # long integers in tests; bounded, since what the candidate sends is read here
    if setup["context"]:
        exec(marshal.loads(bytes.fromhex(setup["context"])), names)
    _bind(candidate, names, setup)
    if not setup["fraction"]:
        failures.hear(candidate.fail, candidate.watch, "unittest" in setup["frameworks"])
    pieces = [(marshal.loads(bytes.fromhex(piece)), counted) for piece, counted in setup["pieces"]]
    if is_alone:
        texts.watch(candidate, names, [code for code, _ in pieces])
    for code, counted in pieces:
        tally.total += counted
        try:
            exec(code, names)
            tally.passed += counted
        except SystemExit as stop:  # the tests' own, unittest.main() for one
            if stop.code or isinstance(stop, CandidateExit):
                raise
            tally.passed += counted
        except Exception:
            if not counted or not setup["fraction"] or candidate.failure:
                raise


def _for_want_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or (isinstance(error, CandidateFailed) and error.memory)


def _place(error: BaseException) -> str:
    line = failures.line_of(error)
    return f"(tests, line {line})" if line else ""


def _bind(candidate: RemoteCandidate, names: dict[str, Any], setup: wire.ExamSetup) -> None:
    """Put the entry point and the other free names of the tests into their name space."""
    entry = setup["entry_point"]
    candidate.aliases.is_everywhere = setup["catches"]
    candidate.inspects, candidate.arguments.protects = setup["inspects"], setup["protects"]
    imports, defined = _introduced(candidate, setup["gives"])
    candidate.shares, candidate.surroundings.named = setup["shares"], tuple(setup["variables"])
    for name in imports:
        if "." in name and "_" not in name:
            _import_afresh({}, name, name, None)
    candidate.names = names
    sys.modules["solution"] = types.ModuleType("solution")  # where pickle looks for classes
    sys.modules["solution"].__dict__.update(defined, _restore=standins.restore)
    if entry in defined:
        names[entry] = defined[entry]
    for name in setup["names"]:
        if name not in names:
            _bind_one(names, name, name in setup["modules"], imports.get(name), defined, bool(entry))
    if entry in names and "candidate" in setup["names"]:
        names.setdefault("candidate", names[entry])  # what HumanEval's tests call it, outside of a `check` too
    if entry and entry not in defined:
        candidate.fail(f"the program defines no {entry}")
        raise CandidateGone
    if entry and not callable(names[entry]):
        candidate.fail(f"{entry} is nothing that can be called")
        raise CandidateGone
    if entry and id(names[entry]) in stdlib.NAMES:
        candidate.calls += 1  # the language's own function: the tests call it without asking
    if any(isinstance(value, enum.EnumMeta) for value in defined.values()):
        candidate.calls += 1  # its members are here
    _hear_of_sleep(candidate)
    _write_data(candidate)
    if setup["seeds"]:
        _share_seeds(candidate)
    if setup["patches"]:
        _share_patches(candidate, defined)
    if setup["collects"]:
        importlib.import_module("gc").collect = lifetimes.Collector(candidate).collect  # type: ignore[attr-defined]
    if setup["inspects"]:
        _resolve_there(candidate)


def _introduced(candidate: RemoteCandidate, given: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the candidate imports, and what its names stand for."""
    try:
        first: wire.Imports = candidate.link.receive()
        second: wire.Defined = candidate.link.receive()
        if (first[0], second[0]) != ("imports", "defined") or not isinstance(first[1], dict):
            raise FrameError("no introduction")
        candidate.gives = [name for name in given if name in first[2]]
        return first[1], candidate.define(second)
    except (EOFError, OSError):
        candidate.fail("the program did not load")
        raise CandidateGone from None
    except (FrameError, CodecError, ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        candidate.fail(f"an answer that is not data: {describe(error)}")
        raise CandidateGone from None


def _bind_one(names: dict[str, Any], name: str, is_module: bool, origin: Any, defined: dict[str, Any], is_helper: bool) -> None:
    """Give the tests one name: a module of their own, an import made afresh, or what the candidate defines."""
    if (
        is_module and origin is None
    ):  # tests that use `math.` without an import mean the module, whatever the candidate calls so
        names[name] = importlib.import_module(MODULE_ALIASES.get(name, name))
    elif origin is not None:
        _import_afresh(names, name, *origin)
    elif name in _WELL_KNOWN and (is_helper or "unittest" in _WELL_KNOWN[name]):
        names[name] = getattr(importlib.import_module(_WELL_KNOWN[name]), name)
    elif name in defined and not name.startswith("assert"):  # those are the tests' own
        names[name] = defined[name]
    elif name in sys.stdlib_module_names:
        names[name] = importlib.import_module(name)


def _hear_of_sleep(candidate: RemoteCandidate) -> None:
    """Have a pause that the tests make count as something that happens."""

    def sleep(seconds: Any) -> None:
        _SLEEP(seconds)
        candidate.trust.faces.epoch += 1

    time.sleep = sleep


def _write_data(candidate: RemoteCandidate) -> None:
    """Have `json` write an instance of a subclass of dict or list as the data that it holds."""

    def default(encoder: Any, value: Any) -> Any:
        held = isinstance(value, standins.Standin) and any("_holds_data" in vars(base) for base in type(value).__mro__)
        return candidate.trust.data(value) if held else _NO_JSON(encoder, value)

    json.JSONEncoder.default = default  # type: ignore


def _share_seeds(candidate: RemoteCandidate) -> None:
    """Have the tests' seeds count for the candidate's random numbers too."""
    for title, module in (("random", importlib.import_module("random")), ("numpy", sys.modules.get("numpy"))):
        holder: Any = module.random if title == "numpy" and module else module
        if holder is not None:
            holder.seed = _shared_seed(candidate, title, holder.seed)


def _share_patches(candidate: RemoteCandidate, shared: Container[str]) -> None:
    """Have what the tests patch in the standard library, or in place of a function of the program, be patched there too."""
    patch: Any = importlib.import_module("unittest.mock")._patch
    enter, leave = patch.__enter__, patch.__exit__

    def tell(made: Any, value: Any, is_undone: bool) -> None:
        holder, name = made.getter(), made.attribute
        place = getattr(holder, "__name__", ""), name
        if isinstance(holder, types.ModuleType) and holder.__dict__ is candidate.names and name in shared:
            candidate.ask("patch", None, "", ["solution", name, value, is_undone])
        elif isinstance(holder, types.ModuleType) and place[0] not in ("__main__", "tests") and place not in _PATCHED_OTHERWISE:
            candidate.ask("patch", None, "", [*place, value, is_undone])
        elif isinstance(holder, type) and holder.__module__.partition(".")[0] in sys.stdlib_module_names - {"__main__"}:
            candidate.ask("patch", None, "", [holder.__module__, f"{holder.__qualname__}.{name}", value, is_undone])

    def entered(made: Any) -> Any:
        value = enter(made)
        tell(made, getattr(made.target, made.attribute), is_undone=False)
        return value

    def left(made: Any, *error: Any) -> Any:
        tell(made, None, is_undone=True)
        return leave(made, *error)

    patch.__enter__, patch.__exit__ = entered, left


def _resolve_there(candidate: RemoteCandidate) -> None:
    """Have the candidate's annotations be resolved where it runs: texts among them mean its names."""
    typing: Any = importlib.import_module("typing")
    inspect: Any = importlib.import_module("inspect")
    typing.get_type_hints = _asking(candidate, "hints", typing.get_type_hints)
    inspect.get_annotations = _asking(candidate, "annotations", inspect.get_annotations)


def _asking(candidate: RemoteCandidate, op: str, original: Any) -> Any:
    def asking(value: Any, *args: Any, **named: Any) -> Any:
        known = value.home() if isinstance(value, callables.Function) else value
        function = getattr(value, "__func__", None)
        known = function.home() if isinstance(function, callables.Function) else known
        number = candidate.homes.get(id(known))
        return original(value, *args, **named) if number is None else typenotes.notes_of(candidate.ask(op, number))

    return asking


def _shared_seed(candidate: RemoteCandidate, title: str, seed: Any) -> Any:
    def shared(*args: Any) -> None:
        seed(*args)
        candidate.surroundings.seed(title)

    return shared


def _import_afresh(names: dict[str, Any], name: str, module_name: str, attribute: str | None) -> None:
    """Import what the candidate imported, if it is the language's own, numpy's or pandas'; other names stay undefined."""
    top = str(module_name).partition(".")[0]
    if top not in sys.stdlib_module_names and top not in MODULE_ALIASES.values():
        return
    try:
        module = importlib.import_module(module_name)
        names[name] = module if attribute is None else getattr(module, attribute)
    except (ImportError, AttributeError):
        return
