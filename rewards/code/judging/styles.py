"""The three styles of tests, from the judging side: `stdin`, `function` and `assert`.

Each function takes a sandbox, the problem's checks, the program and its limits, and returns an Outcome. Expected outputs stay
in this process. Whatever the program's side sends is an answer, to be compared, or noise, to be called wrong.
"""

import ast
import base64
import builtins
import functools
import json
import marshal
import os
import secrets
import symtable
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rewards.code import codec
from rewards.code.judging.compare import TOLERANCE, same_text, same_value
from rewards.code.judging.executor import Channel, Children, Closed, Deadline, Ended, HostDied, Sandbox, Tester, TimeLimit
from rewards.code.judging.program import Program, blocks_of
from rewards.code.settings import Limits
from rewards.code.wire import FrameError

Kind = Literal[
    "correct",
    "wrong answer",
    "compile error",
    "exception",
    "time limit",
    "memory limit",
    "output limit",
    "disk limit",
    "no answer",
    "no program",
    "bad tests",
    "sandbox fault",
]
_GRACE_SECONDS = 0.25  # between the last word of a program and its end
_MEMORY_SLACK_MEGABYTES = 96  # the interpreter and preloaded modules, which the host shares with its children


class BadTests(Exception):
    """The problem's tests cannot be used; the program is not to blame."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one program (or of one test): `score` is the share of the tests that passed, by weight."""

    kind: Kind
    detail: str = ""
    score: float = 0.0


Judge = Callable[[Sandbox, Mapping[str, Any], str, Program, Limits], Outcome]


def _combine(checks: Mapping[str, Any], tests: Sequence[Mapping[str, Any]], run: Callable[[int], Outcome]) -> Outcome:
    """Run the tests in order and add up; stop at the first failure unless parts are paid."""
    mode = checks.get("reward", "all")
    if mode not in ("all", "fraction", "weighted"):
        raise BadTests(f"checks.reward is {mode!r}; expected all, fraction or weighted")
    weights = [float(test.get("weight", 1.0)) if mode == "weighted" else 1.0 for test in tests]
    earned, failure = 0.0, None
    for number, weight in enumerate(weights):
        outcome = run(number)
        if outcome.kind == "correct":
            earned += weight
            continue
        if failure is None:
            detail = f"test {number + 1} of {len(tests)}" + (f": {outcome.detail}" if outcome.detail else "")
            failure = Outcome(kind=outcome.kind, detail=detail)
        if mode == "all" or outcome.kind in ("compile error", "sandbox fault"):
            break
    if failure is None:
        return Outcome(kind="correct", detail=f"{len(tests)} tests", score=1.0)
    return Outcome(kind=failure.kind, detail=failure.detail, score=0.0 if mode == "all" else earned / sum(weights))


def _tests_of(checks: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    tests = checks.get("tests")
    if not isinstance(tests, list | tuple) or not tests or not all(isinstance(test, Mapping) for test in tests):
        raise BadTests("checks.tests must be a list of at least one test")
    return tests


def _tolerance(checks: Mapping[str, Any]) -> float:
    return float(checks.get("tolerance", TOLERANCE))


def _broken(ended: Ended, limits: Limits) -> Outcome | None:
    """Return the limit that a process ran into, if its end tells of one."""
    if ended.over:
        return Outcome(kind="disk limit" if "disk" in ended.over else "memory limit", detail=ended.over)
    if ended.peak_megabytes > limits.memory_megabytes + _MEMORY_SLACK_MEGABYTES:
        return Outcome(kind="memory limit", detail=f"{ended.peak_megabytes:.0f} MB, {limits.memory_megabytes} allowed")
    if ended.status in (-9, -24) and not ended.killed and ended.cpu_seconds >= limits.cpu_seconds - 1:
        return Outcome(kind="time limit", detail=f"{ended.cpu_seconds:.1f} s of CPU time")
    return None


def _reported(message: Mapping[str, Any]) -> Outcome | None:
    """Return what the program's side says went wrong. It may lie, and gains another word for its failure."""
    if "failed" not in message:
        return None
    detail = str(message.get("detail", ""))[:300]
    if message.get("memory") is True:
        return Outcome(kind="memory limit", detail=detail)
    return Outcome(kind="compile error" if message["failed"] == "compile" else "exception", detail=detail)


# -- stdin ---------------------------------------------------------------------------------------------------------------


def judge_stdin(sandbox: Sandbox, checks: Mapping[str, Any], prompt: str, program: Program, limits: Limits) -> Outcome:
    """Run the program once for every test: text in, text out."""
    tests = _tests_of(checks)
    for test in tests:
        if not isinstance(test.get("stdin"), str) or not isinstance(test.get("stdout"), str):
            raise BadTests("a test of style stdin has texts `stdin` and `stdout`")
    checker, spent = checks.get("checker"), 0.0

    def run(number: int) -> Outcome:
        nonlocal spent
        if spent >= limits.program_seconds:
            return Outcome(kind="time limit", detail=f"more than {limits.program_seconds:g} s for all tests")
        test = tests[number]
        outcome, output, seconds = _run_script(sandbox, program.source, test["stdin"].encode("utf-8", "replace"), limits)
        spent += seconds
        if outcome is not None:
            return outcome
        expected = test["stdout"].encode("utf-8", "replace")
        if checker:
            accepted = _ask_checker(
                sandbox, checker, [test["stdin"], output.decode("utf-8", "replace"), test["stdout"]], limits
            )
        else:
            accepted = same_text(expected, output, _tolerance(checks))
        return Outcome(kind="correct") if accepted else Outcome(kind="wrong answer", detail=f"printed {output[:60]!r}")

    return _combine(checks, tests, run)


def _run_script(sandbox: Sandbox, source: str, stdin: bytes, limits: Limits) -> tuple[Outcome | None, bytes, float]:
    """Return what went wrong, if anything, the output and the CPU seconds."""
    with Children(sandbox, limits) as children:
        channel = children.channel()
        reader, writer = children.pipe()
        deadline = Deadline(children, limits.test_seconds)
        children.spawn({"program": (children.input(stdin), writer, -1, channel.inner.fileno())})
        output, failure = bytearray(), None
        try:
            channel.send({"source": source}, deadline)
            open_ends: list[Any] = [reader, channel.socket]
            while open_ends:
                for number in deadline.wait_any(open_ends):
                    if number == reader:
                        piece = os.read(reader, 1 << 18)
                        output += piece
                        if not piece:
                            open_ends.remove(reader)
                    else:
                        channel.read()
                        if channel.ended or len(channel.buffer) > 1 << 16:
                            open_ends.remove(channel.socket)
                if len(output) > limits.output_bytes:
                    failure = Outcome(kind="output limit", detail=f"more than {limits.output_bytes >> 20} MB")
                    break
        except TimeLimit:
            failure = Outcome(kind="time limit", detail=f"{limits.test_seconds:g} s")
        except Closed:
            pass
        (ended,) = children.reap(0.0 if failure else _GRACE_SECONDS)
        failure = failure or _broken(ended, limits)
        if failure is None and (ended.status != 0 or ended.killed):
            failure = _last_words(channel) or Outcome(kind="exception", detail=_status(ended))
        return failure, bytes(output), ended.cpu_seconds


def _last_words(channel: Channel) -> Outcome | None:
    try:
        while (message := channel.take()) is not None:
            if (said := _reported(message)) is not None:
                return said
    except FrameError:
        pass
    return None


def _status(ended: Ended) -> str:
    if ended.killed:
        return "went on after closing its output"
    return f"exit status {ended.status}" if ended.status >= 0 else f"ended by signal {-ended.status}"


# -- function ------------------------------------------------------------------------------------------------------------


def judge_function(sandbox: Sandbox, checks: Mapping[str, Any], prompt: str, program: Program, limits: Limits) -> Outcome:
    """Call the entry point with each test's arguments, one call at a time, and compare its values here."""
    tests, name = _tests_of(checks), checks.get("entry_point")
    if not isinstance(name, str) or not name:
        raise BadTests("style function needs checks.entry_point")
    try:
        calls = [
            {"args": codec.encode(from_json(t.get("args", []))), "kwargs": codec.encode(from_json(t.get("kwargs") or {}))}
            for t in tests
        ]
        expected = [from_json(test["expected"]) for test in tests]
    except (KeyError, codec.CodecError) as error:
        raise BadTests(f"a test of style function has `args` and `expected`: {error}") from None
    setup = {"source": program.source, "context": _context(checks, prompt, name), "entry_point": name.replace("()", "")}
    session = _FunctionSession(sandbox, setup, limits)
    rules = {"tolerance": _tolerance(checks), "unordered": checks.get("unordered", False)}
    checker = checks.get("checker")

    def run(number: int) -> Outcome:
        outcome, node = session.call(calls[number])
        if outcome is not None:
            return outcome
        if checker:
            try:
                value = codec.decode(node)
            except codec.CodecError as error:
                return Outcome(kind="no answer", detail=str(error))
            given = [from_json(tests[number].get("args", [])), value, expected[number]]
            accepted = _ask_checker(sandbox, checker, given, limits, busy=session.end)
        else:
            try:
                accepted = same_value(expected[number], node, **rules)
            except TypeError as error:
                raise BadTests(str(error)) from None
        return Outcome(kind="correct") if accepted else Outcome(kind="wrong answer", detail=f"returned {_short(node)}")

    try:
        return _combine(checks, tests, run)
    finally:
        session.end()


def _short(node: Any) -> str:
    text = json.dumps(node)
    return text if len(text) <= 60 else text[:57] + "..."


class _FunctionSession:
    """A process that holds the program and answers calls; begun anew after a call that ended it."""

    def __init__(self, sandbox: Sandbox, setup: Mapping[str, Any], limits: Limits):
        self.sandbox, self.setup, self.limits = sandbox, setup, limits
        self.children: Children | None = None
        self.spent = 0.0

    def call(self, request: Mapping[str, Any]) -> tuple[Outcome | None, Any]:
        """Return what went wrong, or None and the value as JSON data."""
        if self.spent >= self.limits.program_seconds:
            return Outcome(kind="time limit", detail=f"more than {self.limits.program_seconds:g} s for all tests"), None
        try:
            if self.children is None:
                self._begin()
            assert self.children is not None
            deadline = Deadline(self.children, min(self.limits.test_seconds, self.limits.program_seconds - self.spent))
            self.channel.send(request, deadline)
            while "compiled" in (answer := self.channel.receive(deadline)) or "ready" in answer:
                pass
        except TimeLimit:
            self.end()
            return Outcome(kind="time limit", detail=f"{self.limits.test_seconds:g} s"), None
        except FrameError as error:
            self.end()
            return Outcome(kind="no answer", detail=str(error)), None
        except Closed:
            return self._fallen(), None
        return self._understand(answer)

    def _understand(self, answer: Mapping[str, Any]) -> tuple[Outcome | None, Any]:
        if "value" in answer:
            return None, answer["value"]
        if (said := _reported(answer)) is not None:
            self.end()
            return said, None
        if "raised" in answer:
            kind: Kind = "memory limit" if answer.get("memory") is True else "exception"
            return Outcome(kind=kind, detail=str(answer["raised"])[:300]), None
        if "large" in answer:
            return Outcome(kind="output limit", detail=str(answer["large"])[:300]), None
        return Outcome(kind="no answer", detail=f"returned {str(answer.get('unfit'))[:200]}"), None

    def _begin(self) -> None:
        self.children = Children(self.sandbox, self.limits)
        self.children.__enter__()
        self.channel = self.children.channel()
        self.children.spawn({"function": (-1, -1, -1, self.channel.inner.fileno())})
        self.channel.send(self.setup, Deadline(self.children, self.limits.test_seconds))

    def _fallen(self) -> Outcome:
        """Return why the process is gone."""
        assert self.children is not None
        (ended,) = self.children.reap(_GRACE_SECONDS)
        outcome = _broken(ended, self.limits) or _last_words(self.channel) or Outcome(kind="no answer", detail=_status(ended))
        self.end()
        return outcome

    def end(self) -> None:
        """End the process."""
        children, self.children = self.children, None
        if children is not None:
            try:
                (ended,) = children.reap()
                self.spent += ended.cpu_seconds
            finally:
                children.__exit__()


def from_json(value: Any) -> Any:
    """Return a value of a problem file, where {"$set": [..]}, {"$tuple": [..]}, {"$bytes": base64}, {"$dict": [[k, v]..]},
    {"$frozenset": [..]} and {"$float": "nan"} stand for what JSON lacks. Other values pass as they are."""
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if isinstance(value, tuple):
        return tuple(from_json(item) for item in value)
    if not isinstance(value, Mapping):
        return value
    if len(value) == 1:
        ((tag, body),) = value.items()
        match tag:
            case "$set":
                return {from_json(item) for item in body}
            case "$frozenset":
                return frozenset(from_json(item) for item in body)
            case "$tuple":
                return tuple(from_json(item) for item in body)
            case "$bytes":
                return base64.b64decode(body)
            case "$float":
                return float(body)
            case "$dict":
                return {from_json(key): from_json(item) for key, item in body}
    return {key: from_json(item) for key, item in value.items()}


# -- assert --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """Test text, compiled once: the pieces to run, the names they take from elsewhere."""

    pieces: tuple[tuple[str, bool], ...]  # marshalled code, whether it counts as a test of its own
    names: tuple[str, ...]  # free names, the entry point first
    context: str  # marshalled code that defines helpers of the problem, or ""
    harmless: bool  # leaves nothing behind in its process, so that other tests may follow there


def _globals_used(text: str, name: str) -> tuple[set[str], set[str]]:
    """Return the global names that `text` uses, and those that it defines at its top level."""
    used: set[str] = set()
    top = symtable.symtable(text, name, "exec")
    waiting = [top]
    while waiting:
        table = waiting.pop()
        waiting += table.get_children()
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (table is top or symbol.is_global()):
                used.add(symbol.get_name())
    defined = {s.get_name() for s in top.get_symbols() if s.is_assigned() or s.is_imported() or s.is_namespace()}
    return used, defined


def _called_at_top(body: Sequence[ast.stmt]) -> set[str]:
    """Return the names that top-level statements mention, outside of definitions."""
    plain = [s for s in body if not isinstance(s, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)]
    return {node.id for statement in plain for node in ast.walk(statement) if isinstance(node, ast.Name)}


def _marshalled(tree: ast.Module, name: str = "tests.py") -> str:
    return marshal.dumps(compile(tree, name, "exec", dont_inherit=True)).hex()


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PURE_MODULES = _names(
    "math cmath random copy itertools functools collections string typing re operator datetime decimal fractions heapq bisect "
    "statistics"
)
_PURE_BUILTINS = _names(
    "abs all any ascii bin bool bytearray bytes callable chr complex dict divmod enumerate filter float format frozenset "
    "getattr hasattr hash hex id int isinstance issubclass iter len list map max min next oct ord pow print range repr "
    "reversed round set slice sorted str sum tuple type zip True False None Exception"
)


def _harmless(body: Sequence[ast.stmt]) -> bool:
    """Return whether code does no more than compute and compare: no attribute is set, no unusual module or built-in is used."""
    for node in (inner for statement in body for inner in ast.walk(statement)):
        if isinstance(node, ast.Attribute) and (not isinstance(node.ctx, ast.Load) or node.attr.startswith("__")):
            return False
        if isinstance(node, ast.Import) and not all(alias.name in _PURE_MODULES for alias in node.names):
            return False
        if isinstance(node, ast.ImportFrom) and (node.level or node.module not in _PURE_MODULES):
            return False
        if isinstance(node, ast.Name) and node.id in vars(builtins) and node.id not in _PURE_BUILTINS:
            kind = vars(builtins)[node.id]
            if not (isinstance(kind, type) and issubclass(kind, Exception)):
                return False
    return True


@functools.lru_cache(maxsize=512)
def _plan(tests: str, entry: str, context: str, fraction: bool) -> _Plan:
    """Compile the tests. A `check(candidate)` that nothing calls is called with the entry point, `test_*` functions too."""
    try:
        body = ast.parse(tests, "tests.py").body
        used, defined = _globals_used(tests, "tests.py")
    except (SyntaxError, ValueError, RecursionError) as error:
        raise BadTests(f"the tests do not compile: {error}") from None
    mentioned = _called_at_top(body)
    for node in list(body):
        if not isinstance(node, ast.FunctionDef) or node.name in mentioned:
            continue
        needed = len(node.args.args) - len(node.args.defaults)
        if node.name == "check" and needed == 1 and entry:
            used.add(entry)
            body += ast.parse(f"check({entry})").body
        elif node.name.startswith("test") and needed == 0 and not node.decorator_list:
            body += ast.parse(f"{node.name}()").body
    free = sorted(name for name in used - defined - set(vars(builtins)) - {entry, "__name__", "__file__"})
    helpers: set[str] = set()
    if context and free:
        helpers = _globals_used(context, "context.py")[1]
    needs_context = bool(helpers & set(free))
    others = [name for name in free if name not in helpers]
    if fraction:
        parts = [(ast.Module(body=[s], type_ignores=[]), isinstance(s, ast.Assert | ast.Expr)) for s in body]
    else:
        parts = [(ast.Module(body=body, type_ignores=[]), True)]
    return _Plan(
        pieces=tuple((_marshalled(tree), counted) for tree, counted in parts),
        names=tuple(([entry] if entry else []) + others),
        context=_marshalled(ast.parse(context), "context.py") if needs_context else "",
        harmless=_harmless([*body, *(ast.parse(context).body if needs_context else ())]),
    )


@functools.lru_cache(maxsize=512)
def _defines(source: str, name: str) -> bool:
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError):
        return False
    return any(isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and n.name == name for n in body)


def _context(checks: Mapping[str, Any], prompt: str, entry: str) -> str:
    """Return the problem's own code: what the checks give, or the prompt where it is code that begins the program."""
    context = checks.get("context")
    if isinstance(context, str):
        return context
    if not entry or entry not in prompt:
        return ""
    return next((text for text in (prompt, *(block for _, block in blocks_of(prompt))) if _defines(text, entry)), "")


def judge_assert(sandbox: Sandbox, checks: Mapping[str, Any], prompt: str, program: Program, limits: Limits) -> Outcome:
    """Run test source in a second process, in which the program is a set of proxies."""
    tests, entry = checks.get("tests"), str(checks.get("entry_point") or "")
    if isinstance(tests, list | tuple):
        tests = "\n".join(map(str, tests))
    if not isinstance(tests, str) or not tests.strip():
        raise BadTests("style assert needs checks.tests, Python source")
    fraction = checks.get("reward", "all") != "all"
    context = _context(checks, prompt, entry)
    plan = _plan(tests, entry, context, fraction)
    nonce = secrets.token_hex(16)
    given = "" if context.strip() in program.source else context  # a program that repeats it needs no second copy
    candidate = {"source": program.source, "context": given, "names": plan.names}
    tester = {
        "nonce": nonce,
        "entry_point": entry,
        "names": plan.names,
        "pieces": plan.pieces,
        "context": plan.context,
        "fraction": fraction,
    }
    kept = Tester.of(sandbox) if plan.harmless else None
    clean = False
    try:
        with Children(sandbox, limits) as children:
            judged = children.channel()
            testing = kept.channel if kept else children.channel()
            one_end, other_end = children.link()
            deadline = Deadline(children, limits.test_seconds)
            roles: dict[str, tuple[int, ...]] = {"tested": (-1, -1, -1, judged.inner.fileno(), one_end)}
            if not kept:
                roles["tester"] = (-1, -1, -1, testing.inner.fileno(), other_end)
            try:
                if kept:
                    kept.begin(tester, other_end, deadline)
                children.spawn(roles)
                judged.send(candidate, deadline)
                if not kept:
                    testing.send(tester, deadline)
                result = testing.receive(deadline)
            except TimeLimit:
                return Outcome(kind="time limit", detail=f"{limits.test_seconds:g} s")
            except Closed:
                result = {"failed": "the test process ended"}
            except FrameError as error:
                raise HostDied(f"the test process: {error}") from None
            clean = not result.get("memory") and "calls" in result  # it answered, and waits for the next tests
            return _decide(result, nonce, fraction, judged, children, limits)
    finally:
        if kept and not clean:
            Tester.drop(sandbox)  # whatever went wrong in it, the next tests shall not meet


def _decide(
    result: Mapping[str, Any], nonce: str, fraction: bool, judged: Channel, children: Children, limits: Limits
) -> Outcome:
    """Return the outcome of an assert-style run from the test process's last message."""
    if "unsupported" in result:
        raise BadTests(str(result["unsupported"]))
    whole = secrets.compare_digest(str(result.get("nonce", "")), nonce)
    if whole:
        if not result["calls"]:
            raise BadTests("the tests never called the program")
        passed, total = int(result["passed"]), int(result["total"])
        program = children.reap()[0]
        if (over := _broken(program, limits)) is not None:
            return over
        if passed == total:
            return Outcome(kind="correct", detail=f"{total} tests" if fraction else "", score=1.0)
        return Outcome(kind="wrong answer", detail=f"{passed} of {total} asserts passed", score=passed / total)
    judged.read()
    said = _last_words(judged)
    program = children.reap(_GRACE_SECONDS if said is None and not result.get("wrong") else 0.0)[0]
    if (over := _broken(program, limits)) is not None:
        return over
    detail = str(result.get("failed", ""))[:300]
    if said is not None:
        return said
    if result.get("wrong"):
        return Outcome(kind="wrong answer", detail=detail)
    return Outcome(kind="memory limit" if "MemoryError" in detail else "exception", detail=detail)


# -- checker -------------------------------------------------------------------------------------------------------------


def _ask_checker(
    sandbox: Sandbox, source: Any, given: Sequence[Any], limits: Limits, busy: Callable[[], None] | None = None
) -> bool:
    """Return what the problem's own `check(given, output, expected)` says, run in a confined process of its own."""
    if not isinstance(source, str) or not _defines(source, "check"):
        raise BadTests("checks.checker must be Python source that defines check(given, output, expected)")
    if busy is not None:
        busy()  # a sandbox holds one program at a time
    with Children(sandbox, limits) as children:
        channel = children.channel()
        children.spawn({"function": (-1, -1, -1, channel.inner.fileno())})
        deadline = Deadline(children, limits.test_seconds)
        try:
            channel.send({"source": source, "entry_point": "check"}, deadline)
            channel.send({"args": codec.encode(list(given)), "kwargs": {"d": []}}, deadline)
            while "compiled" in (answer := channel.receive(deadline)) or "ready" in answer:
                pass
        except (TimeLimit, Closed, FrameError, codec.CodecError):
            return False  # an output that a checker chokes on is no right one; else choking it would be a way out
    if "failed" in answer:
        raise BadTests(f"the checker does not load: {answer.get('detail')}")
    if "value" in answer and not isinstance(answer["value"], bool):
        raise BadTests(f"the checker must return True or False; it returned {str(answer['value'])[:100]}")
    return bool(answer.get("value"))  # a checker that raises on an output has not accepted it


JUDGES: dict[str, Judge] = {"stdin": judge_stdin, "function": judge_function, "assert": judge_assert}
