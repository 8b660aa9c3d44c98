"""What tests written for pytest need of it, where pytest itself is not installed in the sandbox.

`raises`, `approx`, `mark`, `fixture`, and the fixtures `capsys`, `monkeypatch`, `tmp_path`; `run` calls a test function as
pytest would. Standard library only.
"""

import functools
import inspect
import io
import itertools
import math
import os
import pathlib
import re
import sys
import tempfile
import types
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any


class Raised:
    """What `raises` caught."""

    value: Any = None
    type: Any = None

    def match(self, pattern: str) -> bool:
        """Require the text of the exception to contain `pattern`."""
        assert re.search(pattern, str(self.value)), f"{pattern!r} does not match {str(self.value)!r}"
        return True


@contextmanager
def _raises(expected: Any, match: str | None) -> Iterator[Raised]:
    caught = Raised()
    try:
        yield caught
    except expected as error:
        caught.value, caught.type = error, type(error)
        if match is not None:
            caught.match(match)
    else:
        raise AssertionError(f"did not raise {expected}")


def raises(expected: Any, *call: Any, match: str | None = None, **kwargs: Any) -> Any:
    """Require an exception."""
    if not call:
        return _raises(expected, match)
    with _raises(expected, match) as caught:
        call[0](*call[1:], **kwargs)
    return caught


class Approx:
    """A number, or numbers, to within a tolerance."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, expected: Any, rel: float | None = None, abs: float | None = None, nan_ok: bool = False):
        self.expected, self.rel, self.abs, self.nan_ok = expected, rel, abs, nan_ok

    def __eq__(self, value: object) -> bool:
        return self._same(self.expected, value)

    def _same(self, expected: Any, value: Any) -> bool:
        if isinstance(expected, dict):
            return (
                isinstance(value, dict)
                and expected.keys() == value.keys()
                and all(self._same(expected[k], value[k]) for k in value)
            )
        if isinstance(expected, list | tuple) or hasattr(expected, "shape"):
            return len(expected) == len(value) and all(map(self._same, expected, value))
        if isinstance(expected, bool) or not isinstance(expected, int | float | complex):
            return bool(expected == value)
        if not isinstance(value, int | float | complex) and type(value).__module__ != "numpy":
            return False
        if isinstance(expected, float) and math.isnan(expected):
            return self.nan_ok and math.isnan(value)
        relative = abs(expected) * (1e-6 if self.rel is None else self.rel) if self.rel is not None or self.abs is None else 0.0
        return bool(expected == value or abs(expected - value) <= max(relative, 1e-12 if self.abs is None else self.abs))


class _Mark:
    def __getattr__(self, name: str) -> Any:
        def mark(*args: Any, **kwargs: Any) -> Any:
            if len(args) == 1 and callable(args[0]) and not kwargs:
                return args[0]
            return lambda function: _marked(function, args) if name == "parametrize" else function

        return mark


def _marked(function: Any, args: Any) -> Any:
    names = args[0].replace(",", " ").split() if isinstance(args[0], str) else list(args[0])
    rows = [dict(zip(names, row if len(names) > 1 else [row], strict=True)) for row in map(_plain, args[1])]
    function.parameter_rows = [*getattr(function, "parameter_rows", []), rows]
    return function


def _plain(row: Any) -> Any:
    return row.values if isinstance(row, types.SimpleNamespace) else row


def param(*values: Any, **_: Any) -> Any:
    """Return one row of `parametrize`."""
    return types.SimpleNamespace(values=values if len(values) > 1 else values[0])


def fixture(*args: Any, **_: Any) -> Any:
    """Mark a function that gives an argument of tests."""
    if args and callable(args[0]):
        args[0].is_fixture = True
        return args[0]
    return fixture


def fail(reason: str = "") -> None:
    """Fail."""
    raise AssertionError(reason)


class _Capture:
    """`capsys`."""

    def __init__(self) -> None:
        self.before = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = io.StringIO(), io.StringIO()

    def readouterr(self) -> Any:
        """Return what was printed since the last call."""
        held: list[Any] = [sys.stdout, sys.stderr]
        texts = [stream.getvalue() for stream in held]
        for stream in held:
            stream.seek(0)
            stream.truncate()
        return types.SimpleNamespace(out=texts[0], err=texts[1])

    def close(self) -> None:
        """End the capture."""
        sys.stdout, sys.stderr = self.before


class _Patches:
    """`monkeypatch`."""

    def __init__(self) -> None:
        self.undo: list[Callable[[], Any]] = []

    def setattr(self, target: Any, name: Any, value: Any = None, raising: bool = True) -> None:
        """Set an attribute until the test ends."""
        if isinstance(target, str):
            module, _, attribute = target.rpartition(".")
            target, name, value = sys.modules[module], attribute, name
        before = getattr(target, name, None)
        self.undo.append(lambda: setattr(target, name, before))
        setattr(target, name, value)

    def setitem(self, mapping: Any, key: Any, value: Any) -> None:
        """Set an item until the test ends."""
        before = dict(mapping)
        self.undo.append(lambda: (mapping.clear(), mapping.update(before)))
        mapping[key] = value

    def setenv(self, name: str, value: str) -> None:
        """Set a variable of the environment until the test ends."""
        self.setitem(os.environ, name, value)

    def close(self) -> None:
        """Undo everything."""
        for undo in reversed(self.undo):
            undo()


_BUILT_IN: dict[str, Callable[[], Any]] = {
    "capsys": _Capture,
    "monkeypatch": _Patches,
    "tmp_path": lambda: pathlib.Path(tempfile.mkdtemp()),
}


def _case(owner: Any, to_end: list[Any]) -> Any:
    """Return an instance of a class of tests, set up, and note what is to be done at its end."""
    made = owner()
    for name, is_end in (("setup_method", False), ("teardown_method", True)):
        around = getattr(made, name, None)
        if around is not None:
            call = functools.partial(around, *[None] * len(inspect.signature(around).parameters))
            to_end.append(call) if is_end else call()
    return made


def run(function: Any, names: dict[str, Any], *owners: Any) -> None:
    """Call a test function with its parameters and fixtures, once for every combination of its parameters."""
    rows: Iterable[Any] = itertools.product(*getattr(function, "parameter_rows", []))
    for combination in rows:
        given = {name: value for row in combination for name, value in row.items()}
        to_end: list[Any] = []
        try:
            bound = [_case(owner, to_end) for owner in owners]
            for name in list(inspect.signature(function).parameters)[len(bound) :]:
                if name not in given:
                    given[name] = _fixture(name, names, to_end)
            function(*bound, **given)
        finally:
            for ending in reversed(to_end):
                ending()


def _fixture(name: str, names: dict[str, Any], to_end: list[Any]) -> Any:
    if name in names and getattr(names[name], "is_fixture", False):
        wanted = {inner: _fixture(inner, names, to_end) for inner in inspect.signature(names[name]).parameters}
        value = names[name](**wanted)
        if inspect.isgenerator(value):
            drawn = next(value)
            to_end.append(lambda: next(value, None))
            return drawn
        return value
    made = _BUILT_IN[name]()
    if hasattr(made, "close"):
        to_end.append(made.close)
    return made


def module() -> types.ModuleType:
    """Return the module that stands for pytest."""
    made = types.ModuleType("pytest")
    made.__dict__.update(raises=raises, approx=Approx, mark=_Mark(), param=param, fixture=fixture, fail=fail, run_test=run)
    return made
