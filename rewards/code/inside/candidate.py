"""The candidate's process: loads the untrusted program and serves the judge. Styles stdin and function, and the python tool
(style assert is in `examined`). Standard library only.

What is covered here: a program meets what a fresh interpreter would give it, and ends as it would under one.
What is not: any protection. A program can patch all of this, and gains no more than the right to give its answers in another
way, so nothing said from here is believed. The walls are the kernel's (`confine`, `seccomp`), and stand before this begins.

Descriptors: 0, 1, 2 standard streams, 3 the link to the judge, 4 the link to the examiner (style assert).
"""

import ast
import atexit
import builtins
import contextlib
import gc
import io
import os
import re
import sys
import threading
import types
from collections.abc import Callable
from typing import Any

from rewards.code import codec, wire
from rewards.code.wire import FrameError, Link

MAX_DETAIL = 300
FILE_NAME = "solution.py"
_DOES_NOT_COMPILE = (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError)
_DOES_NOT_FIT = (FrameError, ValueError, TypeError, RecursionError, MemoryError)  # what sending an answer may raise
# What LeetCode's own runner puts into the name space of a `class Solution`.
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
_SITE_CLASSES = {
    "ListNode": "class ListNode:\n    def __init__(self, val=0, next=None):\n        self.val, self.next = val, next\n",
    "TreeNode": "class TreeNode:\n    def __init__(self, val=0, left=None, right=None):\n"
    "        self.val, self.left, self.right = val, left, right\n",
}


def describe(error: BaseException, bare: bool = False) -> str:
    """Return the type and message of `error` in one line; `bare`: the message alone, as it is."""
    try:
        text = str(error) if bare else f"{type(error).__name__}: {error}"
        if bare:
            return str.__str__(text)[:100_000]
    except BaseException:  # a `__str__` of the program's
        text = type(error).__name__
    return str.__str__(text).encode("ascii", "backslashreplace").decode()[:MAX_DETAIL]


# -- a process that looks like a fresh interpreter -------------------------------------------------------------------------


def open_streams() -> None:
    """Open the standard streams anew. The host does so once, over /dev/null, for the children that get no others."""
    sys.stdin = sys.__stdin__ = _text_stream(0, "r")  # type: ignore[misc]
    sys.stdout = sys.__stdout__ = _text_stream(1, "w")  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _text_stream(2, "w")  # type: ignore[misc]


def _text_stream(descriptor: int, mode: str) -> io.TextIOWrapper:
    raw = io.FileIO(descriptor, mode, closefd=False)
    binary: Any = io.BufferedReader(raw) if mode == "r" else io.BufferedWriter(raw)
    stream = io.TextIOWrapper(binary, encoding="utf-8", errors="surrogateescape", write_through=descriptor == 2)
    stream.mode = mode  # type: ignore[misc]
    return stream


def prepare(name: str) -> types.ModuleType:
    """Make the process look like a fresh interpreter and return the empty module in which the program will run."""
    import _sitebuiltins

    builtins.exit = _sitebuiltins.Quitter("exit", "Ctrl-D (i.e. EOF)")  # type: ignore[assignment]
    builtins.quit = _sitebuiltins.Quitter("quit", "Ctrl-D (i.e. EOF)")  # type: ignore[assignment]
    sys.argv = [FILE_NAME]
    sys.set_int_max_str_digits(0)  # solutions older than the limit print long integers; the CPU limit bounds them
    threading.stack_size(8 * 2**20)  # the limit on the main stack is larger, and would be the default for every thread
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()  # or all children would draw the same numbers
    # The main module of this process is a fresh one: multiprocessing, dataclasses and pickle look it up by name.
    main = _new_module("__main__")
    return main if name == "__main__" else _new_module(name)


def _new_module(name: str) -> types.ModuleType:
    """Return an empty module that takes the place of `name`."""
    module = types.ModuleType(name)
    module.__dict__.update(__builtins__=builtins, __file__=FILE_NAME)
    sys.modules[name] = module
    return module


def _compile(source: str, context: str) -> types.CodeType:
    """Compile the program; a bare function body continues `context`."""
    try:
        return compile(source, FILE_NAME, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        if not context:
            raise
        return compile(context + source, FILE_NAME, "exec", dont_inherit=True)


def site_names(source: str, module: types.ModuleType) -> None:
    """Put into the name space what LeetCode's runner puts there, for programs in its style."""
    if "class Solution" in source:
        exec(_CLASS_STYLE_PRELUDE, module.__dict__)
        module.__dict__.update({name: __import__(name) for name in _CLASS_STYLE_MODULES})
    elif "typing" not in source and re.search(r"\b(List|Dict|Tuple|Set|Optional|Union|Any|Callable|Iterable)\b", source):
        exec("from typing import *", module.__dict__)
    for name, definition in _SITE_CLASSES.items():
        if name in source and f"class {name}" not in source.replace(f"# class {name}", ""):
            exec(definition, module.__dict__)


def load(source: str, context: str, link: Link, module: types.ModuleType) -> bool:
    """Compile and run the program in `module`; report what fails and return whether it worked."""
    try:
        code = _compile(source, context)
    except _DOES_NOT_COMPILE as error:
        link.send(wire.Failed(failed="compile", detail=describe(error)))
        return False
    link.send(wire.Compiled(compiled=True))
    try:
        if context:
            exec(compile(context, "context.py", "exec", dont_inherit=True), module.__dict__)
        exec(code, module.__dict__)
    except BaseException as error:
        link.send(wire.Failed(failed="load", detail=describe(error), memory=isinstance(error, MemoryError)))
        return False
    return True


def shaped_function(proxy: Any, shape: Any, is_async: bool) -> Any:
    """Return a function of the tests, with its parameters, for programs that look at them."""
    positional, named, star, stars = shape["positional"], shape["named"], shape["star"], shape["stars"]
    names = [*positional, *named, *filter(None, (star, stars))]
    first = len(positional) - len(shape["defaults"])
    listed = [name if place < first else f"{name}=0" for place, name in enumerate(positional)]
    if shape["unnamed"]:
        listed.insert(shape["unnamed"], "/")
    listed += [f"*{star}"] if star or named else []
    listed += [f"{name}=0" if name in shape["named_defaults"] else name for name in named] + ([f"**{stars}"] if stars else [])
    given = [*positional, *([f"*{star}"] if star else []), *(f"{n}={n}" for n in named), *([f"**{stars}"] if stars else [])]
    held = "_" + max(names, key=len, default="")  # no parameter's name
    space: dict[str, Any] = {held: proxy}
    begin, call = ("async def", f"await {held}") if is_async else ("def", held)
    exec(f"{begin} function({', '.join(listed)}): return {call}({', '.join(given)})", space)
    function = space.pop("function")  # which would keep itself alive
    decode = proxy._peer.values.decode
    function.__defaults__ = tuple(map(decode, shape["defaults"])) or None
    function.__kwdefaults__ = {name: decode(node) for name, node in shape["named_defaults"].items()} or None
    function.__annotations__ = {n: None if kind == "None" else getattr(builtins, kind) for n, kind in shape["notes"].items()}
    return function


# -- style stdin -----------------------------------------------------------------------------------------------------------


def run_script() -> None:
    """Run the program as a script; the exit status is what Python's would be."""
    link = Link(3)
    setup: wire.ScriptSetup = link.receive()
    open_streams()
    module = prepare("__main__")
    try:
        code = compile(setup["source"], FILE_NAME, "exec", dont_inherit=True)
    except _DOES_NOT_COMPILE as error:
        link.send(wire.Failed(failed="compile", detail=describe(error)))
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
        link.send(wire.Failed(failed="exception", detail=describe(error), memory=isinstance(error, MemoryError)))
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


# -- style function --------------------------------------------------------------------------------------------------------


def serve_calls() -> None:
    """Load the program, then answer calls until the judge has asked enough."""
    link = Link(3)
    setup: wire.FunctionSetup = link.receive()
    module = prepare("solution")
    site_names(setup["source"], module)
    if not load(setup["source"], setup["context"], link, module):
        os._exit(1)
    name = setup["entry_point"]
    find = _entry_point(module, name)
    if find is None:
        link.send(wire.Failed(failed="load", detail=f"the program defines no {name}"))
        os._exit(1)
    link.send(wire.Ready(ready=True))
    while True:
        try:
            call: wire.Call = link.receive()
        except EOFError:
            os._exit(0)
        try:
            link.send(_answer(find, call))
        except _DOES_NOT_FIT as error:
            link.send(wire.Large(large=describe(error)))


def _answer(find: Callable[[], Callable[..., object]], call: wire.Call) -> wire.Answer:
    """Carry out one call."""
    try:
        args, kwargs = codec.decode(call["args"]), codec.decode(call["kwargs"])
        return wire.Returned(value=codec.encode(find()(*args, **kwargs), flatten=True))
    except codec.CodecError as error:
        return wire.Unfit(unfit=str(error)[:MAX_DETAIL])
    except BaseException as error:
        return wire.Raised(raised=describe(error), memory=isinstance(error, MemoryError))


def _entry_point(module: types.ModuleType, name: str) -> Callable[[], Callable[..., object]] | None:
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


# -- the python tool -------------------------------------------------------------------------------------------------------


def serve_session() -> None:
    """Run pieces of code in one name space; the value of a last expression is printed, as at a prompt."""
    link = Link(3)
    open_streams()
    module = prepare("__main__")
    while True:
        try:
            piece: wire.Piece = link.receive()
        except EOFError:
            os._exit(0)
        done = wire.PieceDone(error=None, memory=False)
        try:
            _run_piece(piece["code"], module)
        except SystemExit:
            done = wire.PieceDone(error="SystemExit", memory=False)
        except BaseException as error:
            done = wire.PieceDone(error=describe(error), memory=isinstance(error, MemoryError))
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        link.send(done)


def _run_piece(text: str, module: types.ModuleType) -> None:
    tree = ast.parse(text, "tool.py")
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "tool.py", "exec", dont_inherit=True), module.__dict__)
    if last is not None:
        assert isinstance(last, ast.Expr)
        value = eval(compile(ast.Expression(last.value), "tool.py", "eval", dont_inherit=True), module.__dict__)
        if value is not None:
            print(repr(value))
