"""Finds what the files of a package define: a file is part of the lab by being there, no list names it.

`discover(problems.domains, "DOMAIN", Domain)` imports every module of that package, sorted by name, and returns the record
that each one calls DOMAIN. A file that cannot be imported, or defines no such record, is an error and never skipped: a
domain that is silently missing would show much later, as an unknown name.
"""

import importlib
import pkgutil
from types import ModuleType
from typing import Any, TypeVar

from problems.types import Domain, ProblemError, ProblemSet

Record = TypeVar("Record", Domain[Any], ProblemSet[Any])


def discover(package: ModuleType, attribute: str, kind: type[Record]) -> dict[str, Record]:
    """Return name -> the record of type `kind` that each module of `package` calls `attribute`.

    Raises ProblemError that names the file and the reason where one cannot be used, or two take one name.
    """
    records: dict[str, Record] = {}
    files: dict[str, str] = {}
    for module_name in sorted(module.name for module in pkgutil.iter_modules(package.__path__)):
        file = f"{package.__path__[0]}/{module_name}.py"
        record = _record(_imported(f"{package.__name__}.{module_name}", file), file, attribute, kind)
        if record.name in records:
            raise ProblemError(f"{file} and {files[record.name]} both take the name {record.name!r}: rename one of them")
        records[record.name] = record
        files[record.name] = file
    return records


def _imported(module: str, file: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except Exception as error:  # a file may fail in any way; what it said is what its author needs
        raise ProblemError(f"cannot load {file}: {type(error).__name__}: {error}. Mend it, or move it away") from error


def _record(module: ModuleType, file: str, attribute: str, kind: type[Record]) -> Record:
    record = getattr(module, attribute, None)
    if not isinstance(record, kind):
        raise ProblemError(
            f"{file} must define {attribute} = {kind.__name__}(...), found {record!r:.60}; "
            f"what several files share belongs one folder up"
        )
    return record
