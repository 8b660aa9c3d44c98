"""A Python file of one's own, loaded from where it lies and known by the hash of its bytes.

`problems: [{python: my_problems.py}]` and `reward: {python: my_verifier.py:verify}` name such files. A path is looked for
from the working directory, like every path of a configuration. What runs is what was hashed: no bytecode file is read or
written. The hash is of that one file, so a run that records it has recorded all of one's own code; a file beside it cannot be
imported unless it is installed or on PYTHONPATH.
"""

import hashlib
import importlib.abc
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType

from problems.errors import LabError
from problems.seeding import content_hash
from problems.types import ProblemError


@dataclass(frozen=True, kw_only=True)
class OwnFile:
    """A file of one's own that is loaded; `hash` is 16 hex digits of its bytes."""

    path: Path
    hash: str
    module: ModuleType

    @property
    def name(self) -> str:
        """The file's name, for messages."""
        return self.path.name


class _Loader(importlib.abc.InspectLoader):
    """Runs the bytes that were hashed."""

    def __init__(self, path: Path, data: bytes):
        self.path, self.data = path, data

    def get_source(self, fullname: str) -> str:
        """Return the text of the file."""
        return importlib.util.decode_source(self.data)

    def get_code(self, fullname: str) -> CodeType:
        """Return the compiled file, by whose name tracebacks call it."""
        return self.source_to_code(self.data, str(self.path))

    def is_package(self, fullname: str) -> bool:
        """Return that it is none."""
        return False


def hash_of(data: bytes) -> str:
    """Return 16 hex digits that identify a file's content."""
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def load(path: str | Path) -> OwnFile:
    """Load the Python file at `path`; one that is loaded already is run again only if its content has changed.

    Raises ProblemError for a file that is not there or that fails while it is loaded.
    """
    resolved = Path(path).expanduser().resolve()
    if resolved.suffix != ".py":
        raise ProblemError(f"{str(path)!r} is no Python file: expected a path that ends in .py")
    try:
        data = resolved.read_bytes()
    except OSError as error:
        raise ProblemError(f"cannot read {path} (looked for in {Path.cwd()}): {error.strerror or error}") from None
    content = hash_of(data)
    # pickle finds a class by its name in its module, so the module stays in sys.modules, under a name that nobody else takes
    name = f"own_{content_hash(str(resolved), content)}"
    module = sys.modules.get(name) or _run(name, resolved, data)
    return OwnFile(path=resolved, hash=content, module=module)


def _run(name: str, path: Path, data: bytes) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path, loader=_Loader(path, data))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before it runs: dataclasses and pydantic look their module up
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # a file may fail in any way; what it said is what its author needs
        del sys.modules[name]
        hint = "; a file of one's own stands alone, or imports what is installed" if isinstance(error, ImportError) else ""
        raise ProblemError(f"cannot load {path}: {in_words(error)}{hint}") from error
    return module


def in_words(error: BaseException) -> str:
    """Return what an exception of somebody else's code says, on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")


@contextmanager
def blamed(where: str) -> Iterator[None]:
    """Turn whatever fails inside into a ProblemError that says `where` it did; what says so already passes."""
    try:
        yield
    except LabError:
        raise
    except Exception as error:
        raise ProblemError(f"{where} failed: {in_words(error)}") from error
