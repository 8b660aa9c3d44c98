"""What tests and candidate share beside values, as one process would: environment, working folder, the path of imports, random
numbers that the tests have seeded.

The candidate takes over what the tests have. The tests take over what the candidate changed only where their text speaks of
such things, and never so that something of the candidate's could run in their process: what it adds to the path of imports
shows in `sys.path` and is not searched; of its environment only variables that the tests name are taken, none that a library
reads at its start; it can lead them to no folder outside of the scratch folder. Standard library only.
"""

import contextlib
import os
import random
import sys
from collections.abc import Callable
from importlib.machinery import PathFinder
from typing import Any

_MOST, _LONGEST = 200, 4096  # entries that are taken over, and characters of each
_NEVER = ("PYTHON", "LD_", "OPENSSL", "SSL", "MPL", "TMP", "TEMP", "GCONV", "MALLOC", "GLIBC")
_getcwd, _chdir, _realpath = os.getcwd, os.chdir, os.path.realpath  # tests patch them
_find = PathFinder.find_spec
_set_state = random.setstate
KINDS = ("os.environ", "os.getcwd", "sys.path")


def _numpy_state() -> Any:
    name, words, *rest = sys.modules["numpy"].random.get_state()
    return [name, words.tolist(), *rest]


def _set_numpy_state(state: Any) -> None:
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.set_state(state)


_GENERATORS: dict[str, tuple[Callable[[], Any], Callable[[Any], None]]] = {
    "random": (random.getstate, lambda state: _set_state((state[0], tuple(state[1]), state[2]))),
    "numpy": (_numpy_state, _set_numpy_state),
}


def _state() -> dict[str, Any]:
    try:
        folder: str | None = _getcwd()
    except OSError:  # it was removed
        folder = None
    return {"os.environ": dict(_raw_environment()), "os.getcwd": folder, "sys.path": list(sys.path)}


def _raw_environment() -> Any:
    """Return the environment as it is stored: nothing is decoded to see that nothing has changed."""
    return getattr(os.environ, "_data", os.environ)


class Surroundings:
    """One end's view: what the other end knows of it."""

    def __init__(self, named: tuple[str, ...] = ()):
        self.named = named  # variables of the environment that the tests name
        self.known = _state()
        self.followed = set(os.environ)  # the variables that the tests have said so far
        self.home = str(self.known["os.getcwd"])
        self.finder: _Finder | None = None
        self.seeded: dict[str, Any] = {}  # generators of random numbers that the tests seeded: what the candidate's last was

    def seed(self, title: str) -> None:
        """Have the candidate draw from now on what would come next here: the tests have seeded a generator."""
        self.seeded[title] = None

    def news(self) -> dict[str, Any]:
        """Return what changed since it was last told, by kind."""
        state = _state()
        changed = {kind: value for kind, value in state.items() if value != self.known[kind] and value is not None}
        self.known.update(changed)
        if "os.environ" in changed:
            changed["os.environ"] = dict(os.environ)
        for title, known in self.seeded.items():
            drawn = _GENERATORS[title][0]()
            if drawn != known:
                self.seeded[title] = changed[title] = drawn
        return changed

    def follow(self, said: dict[str, Any]) -> None:
        """Take over what the tests say: the candidate's end."""
        environment = said.get("os.environ")
        if environment is not None:
            for name in self.followed - set(environment):
                os.environ.pop(name, None)
            os.environ.update(environment)
            self.followed = set(environment)
        if "os.getcwd" in said:
            with contextlib.suppress(OSError):
                _chdir(said["os.getcwd"])
        if "sys.path" in said:
            sys.path[:] = said["sys.path"]
        for title, (_, follow) in _GENERATORS.items():
            if title in said:
                follow(said[title])
        self.known = _state()

    def hear(self, kind: str, said: Any) -> None:
        """Take over, as far as is harmless, what the candidate says: the tests' end. It may say anything."""
        texts = [text for text in said if type(text) is str and "\0" not in text and len(text) <= _LONGEST][:_MOST]
        if kind == "sys.path":
            self.finder = self.finder or _Finder()
            self.finder.foreign.update(set(texts) - set(sys.path))
            sys.path[:] = texts
        elif kind == "os.getcwd":
            for folder in texts[:1]:
                inside = (_realpath(folder) + "/").startswith(_realpath(self.home) + "/")
                with contextlib.suppress(OSError):
                    _chdir(folder if inside else self.home)
        else:
            self._hear_environment(dict(zip(texts[::2], texts[1::2], strict=False)))
        self.known[kind] = _state()[kind]

    def _hear_environment(self, said: dict[str, str]) -> None:
        for name in self.named:
            if name.startswith(_NEVER) or "=" in name or not name:
                continue
            if name in said:
                os.environ[name] = said[name].encode("utf-8", "replace").decode()
            else:
                os.environ.pop(name, None)


class _Finder:
    """Finds modules on the path as the interpreter does, but not in the folders that the candidate added to it."""

    def __init__(self) -> None:
        self.foreign: set[str] = set()
        self.own = list(sys.path)
        sys.meta_path[:] = [self if finder is PathFinder else finder for finder in sys.meta_path]

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Return where a module is, or None."""
        if path is None:
            path = [*self.own, *(entry for entry in sys.path if entry not in self.foreign and entry not in self.own)]
        return _find(name, path, target)

    def invalidate_caches(self) -> None:
        """Look again."""
        PathFinder.invalidate_caches()
