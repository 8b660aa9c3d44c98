"""What the tests' process does for the program: asks, prints, warns, writes the log; and makes kin of what it constructs.

Standard library only.
"""

import logging
import sys
import warnings
from collections.abc import Callable
from typing import Any

from rewards.code.inside.standins import Standin, reference


def _print(args: list[Any], kwargs: dict[str, Any]) -> Any:
    streams = {1: sys.stdout, 2: sys.stderr}
    return print(*args, **{key: streams.get(v, v) if key == "file" else v for key, v in kwargs.items()})


def _log(args: list[Any], _: dict[str, Any]) -> Any:
    name, level, text, error = args
    return logging.getLogger(name).log(level, text, exc_info=error)


SERVICES: dict[str, Callable[[list[Any], dict[str, Any]], Any]] = {
    "input": lambda args, _: input(*args),
    "warn": lambda args, _: warnings.warn(args[0], args[1], stacklevel=2),
    "log": _log,
    "print": _print,
    "readline": lambda args, _: sys.stdin.readline(),
}


def constructor(kind: type, function: Any) -> Any:
    """Return a class method whose name says that it makes instances: they are kin of those that the class makes."""

    def construct(*args: Any, **kwargs: Any) -> Any:
        value = function(*args, **kwargs)
        if isinstance(value, Standin) and kind in type(value).__mro__:
            reference(value).is_kin = True
        return value

    construct.__name__, construct.__doc__ = getattr(function, "__name__", ""), function.__doc__
    return construct
