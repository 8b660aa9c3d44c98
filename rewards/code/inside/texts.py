"""Texts and files of the candidate's that the tests run: `eval(repr(p))`, `exec(make())`, `pickle.loads`, `import` of a file.

They would run where the nonce is. So an audit hook, which no test can forget to call, looks at every code object before it runs
in the examiner's process. The tests' own code and the library's runs; any other may compute, and call what the tests or the
program have for it; it reaches nothing by an underscore, an import, or a built-in, makes no class that plays data, and changes
no name of the tests. What goes beyond makes the answer wrong. Pickles may name types of values. Assumed: a text of the tests'
is one of their constants, or as tame as a candidate's. Standard library only.
"""

import builtins
import dis
import importlib
import marshal
import os
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rewards.code.inside import stdlib
from rewards.code.inside.failures import CandidateFailed
from rewards.code.inside.standins import Meta


def _words(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset("".join(letter if letter.isalnum() or letter in "_." else " " for letter in text).split())


_OURS = os.path.dirname(__file__)
# Who runs texts made of names that were checked, or of annotations (`typenotes`), and what this installation has.
_MAKERS = ("collections/__init__.py", "dataclasses.py", "unittest/mock.py", "typing.py", "inspect.py", "enum.py")
_PACKAGES = ("/numpy/", "/pandas/", "/scipy/")
_IMPORTERS = ("<frozen importlib._bootstrap>", "<frozen zipimport>")
_MODULES = _words("math cmath datetime decimal fractions collections collections.abc itertools functools solution")
_BUILTINS = _words(
    "abs all any ascii bin bool bytearray bytes callable chr complex dict divmod enumerate filter float format frozenset hash "
    "hex int isinstance issubclass iter len list map max min next object oct ord pow print property range repr reversed round "
    "set slice sorted staticmethod classmethod str sum super tuple zip Ellipsis NotImplemented"
)
_UNREACHED = _words(  # attributes that lead to frames, modules, and attributes by name
    "gi_frame gi_code cr_frame cr_code ag_frame ag_code f_back f_globals f_locals f_builtins f_code tb_frame tb_next sys re "
    "operator numbers os types attrgetter methodcaller format_map vformat get_field skipTest "
    "update_wrapper wraps register getcontext setcontext localcontext DefaultContext"
)
_OF_CLASSES = frozenset(f"__{n}__" for n in _words("init repr str module qualname doc annotations name class len slots"))
_PICKLED = frozenset(
    ["copyreg _reconstructor", "copyreg __newobj__", "copy_reg _reconstructor", "collections OrderedDict", "solution _restore"]
    + [f"numpy{c}.multiarray _reconstruct" for c in (".core", "._core")]
    + ["numpy ndarray", "numpy dtype", "numpy.core.multiarray scalar", "numpy._core.multiarray scalar", "_codecs encode"]
    + [
        "pathlib PosixPath",
        "pathlib PurePosixPath",
        "uuid UUID",
        "uuid SafeUUID",
        "array _array_reconstructor",
        "zoneinfo ZoneInfo",
    ]
)
_STORES = ("STORE_NAME", "STORE_GLOBAL", "DELETE_NAME", "DELETE_GLOBAL")
_SETS = ("STORE_ATTR", "STORE_NAME")
_OPTIMIZED = 1  # the flag of functions
_LOADS = ("LOAD_NAME", "LOAD_GLOBAL", "LOAD_CLASSDEREF")


class Tame(Exception):
    """Why a code object may not run."""


def _library_roots() -> tuple[str, ...]:
    """Return the folders that modules of the language and of packages come from, links to packages followed."""
    folders = [os.path.realpath(path) for path in sys.path if os.path.isabs(path)]
    linked = [os.path.realpath(f"{path}/{name}") for path in folders if path.endswith("/packages") for name in os.listdir(path)]
    return tuple(f"{path}/" for path in [*folders, *linked])


class Texts:
    """What runs in the examiner's process beside the tests. `fail` hears of what may not."""

    def __init__(self, candidate: Any, names: dict[str, Any]):
        self.candidate, self.names = candidate, names
        self.roots = _library_roots()
        self.home = os.path.realpath(candidate.surroundings.home) + "/"  # where the candidate may write
        self.constants: set[str] = set()
        self.words: set[str] = set()
        self.used: set[str] = set()  # names in the tests' code
        self.own: list[types.CodeType] | None = None  # made of texts of the tests
        self.known: set[types.CodeType] = set()
        self.is_looking = False

    def know(self, code: types.CodeType) -> None:
        """Take the texts in code of the tests' for their own."""
        for part in _parts(code):
            self.known.add(part)
            self.constants |= set(_texts_in(part.co_consts))
            self.used |= set(part.co_names)

    def hear(self, event: str, args: Any) -> None:
        """Look at an event of the interpreter's."""
        judge = _JUDGES.get(event)
        if judge is None or self.is_looking:
            return
        self.is_looking = True
        try:
            judge(self, sys._getframe(1), *args)
        except Tame as why:
            self.candidate.fail(f"the tests run what the program gave, and it goes beyond values: {why}")
            raise CandidateFailed(str(why)) from None
        finally:
            self.is_looking = False

    # -- judges of events --------------------------------------------------------------------------------------------------

    def execution(self, caller: types.FrameType, code: Any) -> None:
        """Code is about to run, or to become a function."""
        title = caller.f_code.co_filename
        if title in _IMPORTERS:
            file = os.path.realpath(code.co_filename)
            if code.co_filename.startswith("<frozen") or (file.startswith(self.roots) and not file.startswith(self.home)):
                return
            stem = os.path.basename(file).partition(".")[0]
            if {stem, os.path.basename(os.path.dirname(file))} & sys.stdlib_module_names and not self._is_own(code):
                raise Tame(f"a file in the place of a module of the language, {stem}")
        elif self._is_maker(title) or code in self.known or self._is_own(code):
            return
        _Reading(self, caller).read(code)

    def _is_maker(self, title: str) -> bool:
        """Return whether who runs a text made it of what was checked."""
        known = title.endswith(_MAKERS) or any(package in title for package in _PACKAGES)
        return title.startswith(_OURS) or (known and title.startswith(self.roots) and not title.startswith(self.home))

    def loads(self, caller: types.FrameType, data: Any) -> None:
        """Marshalled data is read: none that holds code, whose bytes nothing checks."""
        if not caller.f_code.co_filename.startswith((_OURS, "<frozen")):
            waiting = [marshal.loads(data)]
            while waiting:
                value = waiting.pop()
                if isinstance(value, types.CodeType):
                    raise Tame("marshalled code")
                if isinstance(value, tuple | list | set | frozenset | dict):
                    waiting += [*value, *value.values()] if isinstance(value, dict) else value

    def named(self, _: Any, module: str, name: str) -> None:
        """A pickle names something."""
        if f"{module} {name}" in _PICKLED:
            return
        if "." in name and module != "solution":
            raise Tame(f"a pickle that names {module}.{name}"[:100])
        if module in ("solution", "__main__", "tests"):
            if module != "solution" and not self.used & {"dumps", "Pickler"}:  # of its classes, a pickle could set attributes
                raise Tame(f"a pickle that names {module}.{name}"[:100])
            found: Any = vars(sys.modules[module]).get(name)
        else:
            found = getattr(importlib.import_module(module), name, None) if module in sys.modules else None
            if not (id(found) in stdlib.NAMES or (isinstance(found, type) and issubclass(found, Exception))) or found is type:
                raise Tame(f"a pickle that names {module}.{name}"[:100])
        if module != "solution" and not isinstance(found, type):
            raise Tame(f"a pickle that names {module}.{name}"[:100])

    def _is_own(self, code: types.CodeType) -> bool:
        """Return whether code was made of a text that stands in the tests."""
        if self.own is None:
            self.own = []
            for text in sorted(self.constants)[:500]:
                for mode in ("eval", "exec", "single"):
                    try:
                        self.own.append(compile(text, "text", mode, dont_inherit=True))
                    except (SyntaxError, ValueError, MemoryError, RecursionError):
                        continue
        return code in self.own

    def _space(self, name: str, caller: types.FrameType) -> Any:
        """Return the names of the tests among which one is found."""
        local = caller.f_locals if caller.f_code in self.known else {}
        return next((space for space in (local, self.names) if name in space), None)

    def may_name(self, name: str, caller: types.FrameType) -> bool:
        """Return whether a text may mean by a name what it stands for where the tests run it."""
        where = self._space(name, caller)
        if where is None:
            value = vars(builtins).get(name)
            error = isinstance(value, type) and issubclass(value, Exception) and not issubclass(value, StopIteration)
            return value is None or name in _BUILTINS or error or name in ("True", "False", "None", "__build_class__")
        value = where[name]
        if name in self.shown() and not callable(value) and not isinstance(value, types.ModuleType):
            return True  # they speak of it in the text that they give the program
        if isinstance(value, types.ModuleType):
            return value.__name__ in _MODULES
        if isinstance(value, Meta) or id(value) in self.candidate.homes or id(value) in stdlib.NAMES:
            return True
        return isinstance(value, type) and value.__module__ in ("__main__", "tests") and "__eq__" not in vars(value)

    def shown(self) -> set[str]:
        """Return the words of the tests' texts."""
        if not self.words:
            self.words = {
                part for text in self.constants if len(text) < 1000 for word in _words(text) for part in word.split(".")
            }
        return self.words

    def may_bind(self, name: str, caller: types.FrameType) -> bool:
        """Return whether a text may put something in the place of a name."""
        where = self._space(name, caller)
        if where is None:
            return not (name in self.used and hasattr(builtins, name))
        return id(where[name]) in self.candidate.homes


_JUDGES: dict[str, Callable[..., None]] = {
    "exec": Texts.execution,
    "function.__new__": Texts.execution,
    "marshal.loads": Texts.loads,
    "pickle.find_class": Texts.named,
}


def watch(candidate: Any, names: dict[str, Any], own: Sequence[types.CodeType]) -> None:
    """Look from now on at what runs in this process: there is no end to it. `own`: the tests."""
    texts = Texts(candidate, names)
    for code in own:
        texts.know(code)
    sys.addaudithook(texts.hear)


class _Reading:
    """One text, read before it runs."""

    def __init__(self, texts: Texts, caller: types.FrameType):
        self.texts, self.caller = texts, caller
        self.defined: set[str] = set()
        self.private: set[str] = set()  # what its classes and their methods set
        self.has_functions = False  # beside its classes, which might give instances of these

    def read(self, code: types.CodeType) -> None:
        """Read a code object with all that it holds; raises Tame."""
        classes = {part.co_name for part in _parts(code) if part is not code and not part.co_flags & _OPTIMIZED}
        for part in _parts(code):
            for step in dis.get_instructions(part):
                if step.opname in _STORES and (part is code or "GLOBAL" in step.opname):
                    self.defined.add(step.argval)
                    self.has_functions |= step.argval not in classes
                    if not self.texts.may_bind(step.argval, self.caller):
                        raise Tame(f"it changes {step.argval}, a name of the tests")
        methods = [
            part for body in _parts(code) if body is not code and not body.co_flags & _OPTIMIZED for part in _parts(body)
        ]
        self.private = {step.argval for part in methods for step in dis.get_instructions(part) if step.opname in _SETS}
        for part in _parts(code):
            is_body = part is not code and not part.co_flags & _OPTIMIZED  # of a class
            local = {step.argval for step in dis.get_instructions(part) if step.opname == "STORE_NAME"} if is_body else set()
            for step in dis.get_instructions(part):
                if step.opname in ("STORE_ATTR", "DELETE_ATTR") and part not in methods:
                    raise Tame(f"it sets .{step.argval}")
                self._step(step, local if is_body else None)
            if "format" in part.co_names and any("_" in text for text in _texts_in(part.co_consts)):
                raise Tame("a format that reads attributes")

    def _step(self, step: dis.Instruction, local: set[str] | None) -> None:
        """Look at one instruction; `local`: the names of a class's body."""
        name, op = str(step.argval), step.opname
        if op in _LOADS and name not in self.defined and name not in (local or ()) and name not in _OF_CLASSES:
            if name.startswith("__") or not self.texts.may_name(name, self.caller):
                raise Tame(f"it uses {name}")
        elif op in ("LOAD_ATTR", "LOAD_METHOD", "STORE_ATTR", "DELETE_ATTR") or (op == "STORE_NAME" and local is not None):
            is_private = name.startswith("_") and name not in _OF_CLASSES and not self._is_its_own(name)
            plays = self.has_functions and op[:5] == "STORE" and name in self.texts.candidate.trust.data_names
            if is_private or name in _UNREACHED or plays or name == "__class__":
                raise Tame(f"it uses .{name}")
        elif (op == "IMPORT_NAME" and name not in _MODULES) or (
            op == "IMPORT_FROM" and (name.startswith("_") or name in _UNREACHED)
        ):
            raise Tame(f"it imports {name}")

    def _is_its_own(self, name: str) -> bool:
        """Return whether an attribute with an underscore is one of the text's own classes, or of named tuples."""
        shared = any(hasattr(sys.modules.get(module), name) for module in _MODULES)
        return name in ("_replace", "_asdict", "_fields") or (name in self.private and name[:2] != "__" and not shared)


def _parts(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _parts(constant)


def _texts_in(constants: Any) -> Iterator[str]:
    for constant in constants:
        if isinstance(constant, str):
            yield constant
        elif isinstance(constant, bytes):
            yield constant.decode("latin-1")
        elif isinstance(constant, tuple | frozenset):
            yield from _texts_in(constant)
