"""What a confined child does with a program, in the program's own process. Standard library only.

Nothing said from here is believed: a program can patch all of this, and gains no more than the right to give its answers in
another way. Descriptors: 0, 1, 2 standard streams, 3 the link to the judge, 4 the link to the tester (assert style).
"""

import ast
import atexit
import builtins
import collections
import contextlib
import gc
import io
import os
import sys
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any

from rewards.code import codec
from rewards.code.wire import FrameError, Link

MAX_DETAIL = 300
FILE_NAME = "solution.py"
# What the judge of LeetCode puts into the name space of a `class Solution`.
_CLASS_STYLE_PRELUDE = "\n".join(
    f"from {name} import *" for name in ("typing", "collections", "itertools", "functools", "heapq", "bisect", "math")
)
_CLASS_STYLE_MODULES = (
    "collections",
    "itertools",
    "functools",
    "heapq",
    "bisect",
    "math",
    "string",
    "re",
    "random",
    "operator",
)


def describe(error: BaseException) -> str:
    """Return the type and message of `error` in one line."""
    try:
        text = f"{type(error).__name__}: {error}"
    except BaseException:
        text = type(error).__name__
    return str.__str__(text).encode("ascii", "backslashreplace").decode()[:MAX_DETAIL]


def _compile(source: str, context: str) -> types.CodeType:
    """Compile the program; a bare function body continues `context`."""
    try:
        return compile(source, FILE_NAME, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        if not context:
            raise
        return compile(context + source, FILE_NAME, "exec", dont_inherit=True)


def _new_module(name: str) -> types.ModuleType:
    """Return an empty module that takes the place of `name`."""
    module = types.ModuleType(name)
    module.__dict__.update(__builtins__=builtins, __file__=FILE_NAME)
    sys.modules[name] = module
    return module


def open_streams() -> None:
    """Open the standard streams anew. The host does so once, over /dev/null, for the children that get no others."""
    sys.stdin = sys.__stdin__ = _text(0, "r")  # type: ignore[misc]
    sys.stdout = sys.__stdout__ = _text(1, "w")  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _text(2, "w")  # type: ignore[misc]


def _prepare(name: str) -> types.ModuleType:
    """Make the process look like a fresh interpreter."""
    import _sitebuiltins

    builtins.exit = _sitebuiltins.Quitter("exit", "Ctrl-D (i.e. EOF)")  # type: ignore[assignment]
    builtins.quit = _sitebuiltins.Quitter("quit", "Ctrl-D (i.e. EOF)")  # type: ignore[assignment]
    sys.argv = [FILE_NAME]
    sys.set_int_max_str_digits(0)  # solutions older than the limit print long integers; the CPU limit bounds them
    threading.stack_size(8 * 2**20)  # the limit on the main stack is larger, and would be the default for every thread
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()  # or all children would draw the same numbers
    # The main module of this process is a fresh one: multiprocessing, dataclasses and pickle look it up by name.
    _new_module("__main__")
    return sys.modules["__main__"] if name == "__main__" else _new_module(name)


def _text(descriptor: int, mode: str) -> io.TextIOWrapper:
    raw = io.FileIO(descriptor, mode, closefd=False)
    binary: Any = io.BufferedReader(raw) if mode == "r" else io.BufferedWriter(raw)
    stream = io.TextIOWrapper(binary, encoding="utf-8", errors="surrogateescape", write_through=descriptor == 2)
    stream.mode = mode  # type: ignore[misc]
    return stream


def _load(setup: dict[str, Any], link: Link, module: types.ModuleType) -> bool:
    """Compile and run the program in `module`; report what fails and return whether it worked."""
    try:
        code = _compile(setup["source"], setup.get("context", ""))
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        link.send({"failed": "compile", "detail": describe(error)})
        return False
    link.send({"compiled": True})
    try:
        if setup.get("context"):
            exec(compile(setup["context"], "context.py", "exec", dont_inherit=True), module.__dict__)
        exec(code, module.__dict__)
    except BaseException as error:
        link.send({"failed": "load", "detail": describe(error), "memory": isinstance(error, MemoryError)})
        return False
    return True


def run_program() -> None:
    """stdin style: run the program as a script; the exit status is what Python's would be."""
    link = Link(3)
    setup = link.receive()
    open_streams()
    module = _prepare("__main__")
    try:
        code = compile(setup["source"], FILE_NAME, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        link.send({"failed": "compile", "detail": describe(error)})
        os._exit(1)
    status = 0
    try:
        exec(code, module.__dict__)
    except SystemExit as stop:
        status = _exit_status(stop)
    except BaseException as error:
        _report(link, error)
        status = 1
    os._exit(_shut_down(status))


def _report(link: Link, error: BaseException) -> None:
    with contextlib.suppress(Exception):
        link.send({"failed": "exception", "detail": describe(error), "memory": isinstance(error, MemoryError)})
    with contextlib.suppress(Exception):
        sys.stderr.write(describe(error) + "\n")


def _exit_status(stop: SystemExit) -> int:
    if stop.code is None:
        return 0
    return stop.code & 0xFF if isinstance(stop.code, int) else 1


def _shut_down(status: int) -> int:
    """Do what the interpreter does at its end, in its order: wait for threads, run atexit, flush."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]
    except BaseException:
        status = status or 1
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()
    try:
        if sys.stdout is not None and not getattr(sys.stdout, "closed", False):
            sys.stdout.flush()
    except BaseException:
        status = status or 120
    # Files that the program opened and forgot (a second writer on descriptor 1): the interpreter flushes them when it
    # destroys them. Text before bytes, since the one writes into the other.
    for kinds in ((io.TextIOWrapper,), (io.BufferedWriter, io.BufferedRandom)):
        for item in gc.get_objects():
            if type(item) in kinds:
                with contextlib.suppress(BaseException):
                    item.flush()
    return status


def serve_function() -> None:
    """function style: load the program, then answer calls until the judge has asked enough."""
    link = Link(3)
    setup = link.receive()
    module = _prepare("solution")
    if "class Solution" in setup["source"]:
        exec(_CLASS_STYLE_PRELUDE, module.__dict__)
        module.__dict__.update({name: __import__(name) for name in _CLASS_STYLE_MODULES})
    if not _load(setup, link, module):
        os._exit(1)
    name = setup["entry_point"]
    find = _entry_point(module, name)
    if find is None:
        link.send({"failed": "load", "detail": f"the program defines no {name}"})
        os._exit(1)
    link.send({"ready": True})
    while True:
        try:
            request = link.receive()
        except EOFError:
            os._exit(0)
        answer: dict[str, Any]
        try:
            args, kwargs = codec.decode(request["args"]), codec.decode(request["kwargs"])
            answer = {"value": codec.encode(find()(*args, **kwargs), flatten=True)}
        except codec.CodecError as error:
            answer = {"unfit": str(error)[:MAX_DETAIL]}
        except BaseException as error:
            answer = {"raised": describe(error), "memory": isinstance(error, MemoryError)}
        try:
            link.send(answer)
        except (FrameError, ValueError, TypeError, RecursionError, MemoryError) as error:
            link.send({"large": describe(error)})


def _entry_point(module: types.ModuleType, name: str) -> Any:
    """Return a function that finds the callable anew for every call, or None; a method gets a fresh Solution each time."""
    owner, dot, method = name.rpartition(".")
    if dot and isinstance(module.__dict__.get(owner), type):
        return lambda: getattr(module.__dict__[owner](), method)
    if callable(module.__dict__.get(name)):
        return lambda: module.__dict__[name]
    solution = module.__dict__.get("Solution")
    if isinstance(solution, type) and hasattr(solution, name):
        return lambda: getattr(solution(), name)
    return None


class _Tested:
    """assert style, the program's side: loads it and answers the tester's requests."""

    def __init__(self, module: types.ModuleType, tester: Link):
        self.module = module
        self.tester = tester
        self.objects: list[Any] = []
        self.numbers: dict[int, int] = {}

    def serve(self) -> None:
        while True:
            try:
                request = self.tester.receive()
            except EOFError:
                os._exit(0)
            self.answer(request)

    def answer(self, request: list[Any]) -> None:
        """Carry out one request and send the reply."""
        try:
            reply = getattr(self, f"on_{request[0]}")(*request[1:])
        except codec.CodecError as error:
            reply = ["unfit", str(error)[:MAX_DETAIL]]
        except BaseException as error:
            names = [kind.__name__ for kind in type.mro(type(error))]
            reply = ["raise", names, describe(error)]
        try:
            self.tester.send(reply)
        except (FrameError, ValueError, TypeError, RecursionError, MemoryError) as error:
            self.tester.send(["unfit", describe(error)])

    def on_call(self, target: Any, args: Any, kwargs: Any) -> list[Any]:
        function = self.module.__dict__[target] if isinstance(target, str) else self.objects[target]
        given = [codec.decode(arg, self.resolve) for arg in args]
        named = {key: codec.decode(value, self.resolve) for key, value in kwargs.items()}
        value = function(*given, **named)
        changed = []
        for position, (before, after) in enumerate(zip(args, given, strict=True)):
            if isinstance(after, list | dict | set | bytearray | collections.deque):
                now = self.encode(after)
                if now != before:
                    changed.append([position, now])
        for position, arg in enumerate(given):
            if arg is value and isinstance(arg, list | dict | set | bytearray | collections.deque):
                return ["same", position, changed]
        return ["ok", self.encode(value), changed]

    def on_get(self, number: int, name: str) -> list[Any]:
        return ["ok", self.encode(getattr(self.objects[number], name)), []]

    def on_set(self, number: int, name: str, value: Any) -> list[Any]:
        setattr(self.objects[number], name, codec.decode(value, self.resolve))
        return ["ok", None, []]

    def on_item(self, number: int, key: Any) -> list[Any]:
        return ["ok", self.encode(self.objects[number][codec.decode(key, self.resolve)]), []]

    def on_iter(self, number: int) -> list[Any]:
        return ["ok", {"h": [self.number(iter(self.objects[number])), "iterator", ""]}, []]

    def on_next(self, number: int) -> list[Any]:
        try:
            return ["ok", self.encode(next(self.objects[number])), []]
        except StopIteration:
            return ["end"]

    def on_len(self, number: int) -> list[Any]:
        return ["ok", len(self.objects[number]), []]

    def on_text(self, number: int) -> list[Any]:
        return ["ok", self.encode(str(self.objects[number])), []]

    def encode(self, value: Any) -> Any:
        return codec.encode(value, export=self.export)

    def export(self, value: Any) -> list[Any] | None:
        if hasattr(type(value), "__next__"):
            return [self.number(value), "iterator", ""]
        if isinstance(value, type):
            return [self.number(value), "class", value.__name__]
        if isinstance(value, codec.ITERATORS):
            views: Any = value
            return [self.number(iter(views)), "iterator", ""]
        if isinstance(value, types.FunctionType | types.MethodType | types.BuiltinFunctionType):
            return [self.number(value), "function", ""]
        return [self.number(value), "instance", type(value).__name__]

    def number(self, value: Any) -> int:
        """Return the number under which the tester knows `value`; the same object keeps its number."""
        known = self.numbers.get(id(value))
        if known is None:
            self.objects.append(value)  # kept alive, so that its id stays its own
            known = self.numbers[id(value)] = len(self.objects) - 1
        return known

    def resolve(self, handle: list[Any]) -> Any:
        number, kind, _ = handle
        if kind == "own":
            return self.module.__dict__[number] if isinstance(number, str) else self.objects[number]
        call = self.callback(number)
        return call if kind == "callback" else _drawn(call)

    def callback(self, number: int) -> Any:
        """Return a function that calls a function of the tests."""

        def call(*args: Any, **kwargs: Any) -> Any:
            encoded = [self.encode(arg) for arg in args], {key: self.encode(value) for key, value in kwargs.items()}
            self.tester.send(["callback", number, *encoded])
            while True:
                reply = self.tester.receive()
                if reply[0] == "returned":
                    return codec.decode(reply[1], self.resolve)
                if reply[0] == "raised":
                    raise getattr(builtins, reply[1], Exception)(reply[2])
                self.answer(reply)  # the callback called the program in its turn

        return call


def _drawn(pull: Callable[[], list[Any]]) -> Iterator[Any]:
    """Yield what the tests' iterator gives; `pull` returns it in a list that is empty at the end."""
    while item := pull():
        yield item[0]


def _imports(source: str) -> dict[str, list[str | None]]:
    """Return the names that `source` imports at its top level under their own names: name -> [module, attribute]."""
    found: dict[str, list[str | None]] = {}
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return found
    for node in body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname or "." not in alias.name:
                    found[alias.asname or alias.name] = [alias.name, None]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {a.name: [node.module, a.name] for a in node.names if a.asname in (None, a.name)}
    return found


def serve_tester() -> None:
    """assert style: load the program, tell the tester what it defines, then answer its requests."""
    link, tester = Link(3), Link(4)
    setup = link.receive()
    names: list[str] = setup["names"]
    # Said before the program runs, so this much is true: where the program's imported names come from.
    tester.send(["imports", {k: v for k, v in _imports(setup["source"]).items() if k in names} if len(names) > 1 else {}])
    module = _prepare("solution")
    if not _load(setup, link, module):
        os._exit(1)
    served = _Tested(module, tester)
    described: dict[str, Any] = {}
    for name in names:
        value = module.__dict__.get(name, served)
        if value is served:
            solution = module.__dict__.get("Solution")
            if not (isinstance(solution, type) and hasattr(solution, name)):
                continue
            value = module.__dict__[name] = getattr(solution(), name)
        if isinstance(value, type):
            described[name] = ["class", [kind.__name__ for kind in type.mro(value)]]
        elif callable(value):
            described[name] = ["function"]
        elif not isinstance(value, types.ModuleType):
            with contextlib.suppress(codec.CodecError):
                described[name] = ["data", served.encode(value)]
    tester.send(["defined", described])
    served.serve()


def serve_session() -> None:
    """The python tool: run pieces of code in one name space; the value of a last expression is printed, as at a prompt."""
    link = Link(3)
    open_streams()
    module = _prepare("__main__")
    while True:
        try:
            request = link.receive()
        except EOFError:
            os._exit(0)
        error = None
        try:
            _run_piece(request["code"], module)
        except SystemExit:
            error = "SystemExit"
        except BaseException as failure:
            error = describe(failure)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        link.send({"error": error})


def _run_piece(text: str, module: types.ModuleType) -> None:
    tree = ast.parse(text, "tool.py")
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "tool.py", "exec", dont_inherit=True), module.__dict__)
    if last is not None:
        assert isinstance(last, ast.Expr)
        value = eval(compile(ast.Expression(last.value), "tool.py", "eval", dont_inherit=True), module.__dict__)
        if value is not None:
            print(repr(value))
