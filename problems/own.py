"""Domains and sets of one's own: `problems: [{python: my_problems.py, ...settings}]`.

The file defines DOMAIN or SET exactly as a file of problems/domains/ or problems/sets/ does. Its settings are those of its
own SourceConfig, and three keys more: `python` (the path), `domain` (its name) and `file_hash`, which is filled in, so that a
run records what it was practised on and a resume with a changed file is noticed. A configuration that gives a `file_hash`
wants that very file.

What the file's functions raise, and what they return that is no problem, becomes a ProblemError that names the file.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, Literal

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from problems.levels import settings_model
from problems.ownfile import OwnFile, blamed, load
from problems.selection import HASHES
from problems.types import Domain, Draft, Problem, ProblemError, ProblemSet, ProblemSource, SourceConfig

Record = Domain[Any] | ProblemSet[Any]

OWN: dict[str, Record] = {}  # name -> what a file of one's own defined; a configuration that names the file puts it here
VERIFIERS: dict[str, str] = {}  # domain of one's own -> its verifier; all that a verifier process needs to know of it
TAKEN: set[str] = set()  # names that the lab uses itself; the catalog fills it
_FILES: dict[str, Path] = {}  # name -> the file
_OF_ALL = SourceConfig.model_fields  # what every source can be asked; `weight` means the same everywhere, too
_ADDED = ("python", "domain", "file_hash")  # besides `level`, for a domain with levels


def own_settings(given: Mapping[str, Any]) -> SourceConfig:
    """Return the checked settings of a source whose `python` names a file, and make known what the file defines.

    Raises ValueError, and pydantic's ValidationError, which is one.
    """
    path = given["python"]
    if not isinstance(path, str):
        raise ValueError(f"python must be the path of a file, found {path!r:.60}")
    try:
        own, record = make_known(path)
    except ProblemError as error:
        raise ValueError(str(error)) from error
    wanted = given.get("file_hash")
    if wanted not in (None, own.hash):
        raise ValueError(
            f"{path} has changed: its hash was {wanted}, now it is {own.hash}; leave file_hash out to take it as it is"
        )
    model = _model(record, own)
    try:
        return model.model_validate({"domain": record.name, **given, "file_hash": own.hash})
    except ValidationError as error:
        raise _explained(error, model, own.name) from None


def make_known(path: str) -> tuple[OwnFile, Record]:
    """Load a file and make known the domain or set that it defines; raises ProblemError where that cannot be done."""
    own = load(path)
    record = _record(own)
    _check(record, own)
    OWN[record.name], _FILES[record.name] = _guarded(record, own.name), own.path
    VERIFIERS.pop(record.name, None)  # of an earlier content of the file
    if record.verifier is not None:
        VERIFIERS[record.name] = record.verifier
    return own, record


def _record(own: OwnFile) -> Record:
    """Return the DOMAIN or the SET of a file."""
    found = {name: value for name in ("DOMAIN", "SET") if (value := getattr(own.module, name, None)) is not None}
    if len(found) != 1:
        what = "both" if found else "neither"
        raise ProblemError(f"{own.path} must define DOMAIN = Domain(...) or SET = ProblemSet(...); it defines {what}")
    name, record = found.popitem()
    kind = Domain if name == "DOMAIN" else ProblemSet
    if not isinstance(record, kind):
        raise ProblemError(f"{own.path} must define {name} = {kind.__name__}(...), found {record!r:.60}")
    return record


def _check(record: Record, own: OwnFile) -> None:
    """Raise ProblemError where the record cannot be used."""
    if not isinstance(record.name, str) or not record.name:
        raise ProblemError(f"{own.path}: `name` must be a text, found {record.name!r:.60}")
    if record.name in TAKEN:
        raise ProblemError(f"{own.path} takes the name {record.name!r}, which the lab has already: choose another")
    other = _FILES.get(record.name, own.path)
    if other != own.path:
        raise ProblemError(f"{own.path} and {other} both take the name {record.name!r}: rename one of them")
    if not (isinstance(record.config, type) and issubclass(record.config, SourceConfig)):
        raise ProblemError(f"{own.path}: `config` must be a class that inherits from SourceConfig, found {record.config!r:.60}")
    clashing = [name for name in _ADDED if name in record.config.model_fields]
    clashing += [name for name, field in _OF_ALL.items() if record.config.model_fields[name].description != field.description]
    if clashing:
        raise ProblemError(f"{own.path}: a setting cannot be called {clashing[0]!r}, the configuration uses that name itself")


def _model(record: Record, own: OwnFile) -> type[SourceConfig]:
    """Return the settings of the record with the three keys that are added."""
    name = f"{record.name}_source"
    found: type[SourceConfig] | None = own.module.__dict__.get(name)
    if found is None:
        fields: dict[str, Any] = {"python": (str, ...), "domain": (Literal[record.name], ...), "file_hash": (str, ...)}
        found = settings_model(record, own.module.__name__, **fields)
        setattr(own.module, name, found)  # where pickle looks for it
    return found


def _explained(error: ValidationError, model: type[SourceConfig], file: str) -> ValidationError:
    """Return the faults, an unknown key with those that the file has: the lab's list of keys knows none of them."""
    names = ", ".join(name for name in model.model_fields if name not in (*_ADDED, *HASHES))
    details = []
    for fault in error.errors():
        is_unknown = fault["type"] == "extra_forbidden"
        words = f"{file} has no such setting; it has: {names}" if is_unknown else fault["msg"].removeprefix("Value error, ")
        kind: Any = "unknown_setting" if is_unknown else fault["type"]
        details.append(
            InitErrorDetails(
                type=PydanticCustomError(kind, "{words}", {"words": words}), loc=fault["loc"], input=fault["input"]
            )
        )
    return ValidationError.from_exception_data(model.__name__, details)


def _guarded(record: Record, file: str) -> Record:
    """Return the record with functions that name `file` when they fail, or return what cannot be used."""
    if isinstance(record, ProblemSet):
        return replace(record, load=_guarded_load(record, file))

    def generate(rng: Random, config: Any) -> Draft:
        with blamed(f"{file}: generate"):
            return _checked(record.generate(rng, config), file)

    def solve(problem: Problem, style: str, rng: Random) -> str:
        with blamed(f"{file}: solve"):
            return _text(record.solve(problem, style, rng), f"{file}: solve")

    def perturb(problem: Problem, rng: Random) -> str:
        with blamed(f"{file}: perturb"):
            return _text(record.perturb(problem, rng), f"{file}: perturb")

    return replace(record, generate=generate, solve=solve, perturb=perturb)


def _guarded_load(record: ProblemSet[Any], file: str) -> Any:
    def load_guarded(config: Any, seed: int) -> ProblemSource:
        with blamed(f"{file}: load"):
            source = record.load(config, seed)
        if not callable(getattr(source, "get", None)):
            raise ProblemError(f"{file}: load must return a source of problems (finite_source makes one), found {source!r:.60}")
        return source

    return load_guarded


def _checked(draft: Any, file: str) -> Draft:
    """Return a draft that can become a problem; raises ProblemError for anything else."""
    if not isinstance(draft, Draft):
        raise ProblemError(f"{file}: generate must return a Draft, found {draft!r:.60}")
    if not isinstance(draft.prompt, str) or not draft.prompt.strip():
        raise ProblemError(f"{file}: generate made a Draft whose prompt is no text: {draft.prompt!r:.60}")
    if not isinstance(draft.reference, str | None):
        raise ProblemError(
            f"{file}: a Draft's reference must be a text or None, found {draft.reference!r:.60}: wrap it in str()"
        )
    return draft


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise ProblemError(f"{where} must return a text, found {value!r:.60}")
    return value
