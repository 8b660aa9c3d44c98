"""Every domain and every set by name, their settings, and how a configured list of sources becomes one source.

DOMAINS holds what the files of problems/domains/ define, SETS what those of problems/sets/ do; both are found when this
module is imported. A configuration chooses one by `domain: <name>` and gives its settings beside the name (a domain with
levels: `level: <1 to how many there are>` too, problems/levels.py), or names a file of one's own by `python: <path>` (own.py).
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import Field, SerializeAsAny, WrapValidator

import problems.domains
import problems.sets
from problems import own
from problems.discovery import discover
from problems.levels import settings_model
from problems.mixture import Mixture
from problems.procedural import ProceduralSource
from problems.public import PUBLIC_SETS
from problems.seeding import derive_rng, derive_seed
from problems.selection import select, with_hashes
from problems.sets.jsonl import DEFAULT_DOMAIN
from problems.types import STYLES, Domain, Problem, ProblemError, ProblemSet, ProblemSource, SourceConfig, boxed, thinking

DOMAINS: dict[str, Domain[Any]] = discover(problems.domains, "DOMAIN", Domain)
SETS: dict[str, ProblemSet[Any]] = discover(problems.sets, "SET", ProblemSet)


def _source_models(records: Iterable[Domain[Any] | ProblemSet[Any]]) -> dict[str, type[SourceConfig]]:
    """Return for each name the settings of its record and `domain`, the key whose value is that name and chooses it."""
    models: dict[str, type[SourceConfig]] = {}
    for record in records:
        if record.name in models:
            raise ProblemError(f"a domain and a set both take the name {record.name!r}: rename one of them")
        key: Any = (Literal[record.name], ...)  # ... is pydantic's word for required
        models[record.name] = settings_model(record, __name__, domain=key)
    return models


SOURCE_MODELS = _source_models([*DOMAINS.values(), *SETS.values()])
own.TAKEN.update(SOURCE_MODELS, (DEFAULT_DOMAIN,), (one.domain for one in PUBLIC_SETS.values()))
# verifiers too: rows may say `domain: exact`, and an own domain of that name would change who judges them
own.TAKEN.update(domain.verifier for domain in DOMAINS.values())
own.TAKEN.update(one.verifier for one in SETS.values() if one.verifier is not None)
# pickle finds a class by its name in its module; `datasets` pickles whatever a function it maps can reach
globals().update({model.__name__: model for model in SOURCE_MODELS.values()})


def _complete(given: Any, named: Callable[[Any], SourceConfig]) -> SourceConfig:
    """Return the settings of a source with what is filled in."""
    return with_hashes(_own_or_named(given, named))


def _own_or_named(given: Any, named: Callable[[Any], SourceConfig]) -> SourceConfig:
    """Return the settings of a source: of a file of one's own, or of one that `domain` names."""
    if isinstance(given, Mapping) and "python" in given:
        return own.own_settings(given)
    if isinstance(given, SourceConfig) and hasattr(given, "python"):  # checked already
        return given
    if isinstance(given, Mapping) and "domain" not in given:
        raise ValueError(
            f"a source says its domain, or python: FILE.py; found the keys {', '.join(map(str, given)) or '(none)'}"
        )
    return named(given)


if TYPE_CHECKING:

    class AnySource(SourceConfig):
        """What is known of a source before its name is: the fields that all of them have."""

        domain: str

else:  # the union of the models above, made at run time: pydantic chooses one by its `domain`
    _Named = Annotated[Union[tuple(SOURCE_MODELS.values())], Field(discriminator="domain")]  # noqa: UP007
    AnySource = Annotated[SerializeAsAny[_Named], WrapValidator(_complete)]


def build_source(configs: Sequence[AnySource], seed: int) -> ProblemSource:
    """Return the mixture of `configs`; each source draws from a stream of its own under `seed`."""
    sources = [_open(config, source_seed(seed, position)) for position, config in enumerate(configs)]
    if len(sources) == 1:
        return sources[0]
    return Mixture(sources, [config.weight for config in configs], derive_seed("mixture", seed))


def owner(source: ProblemSource, split: str, index: int) -> int:
    """Return the position, in what `build_source` was given, of the source that item `index` comes from."""
    return source.owner(split, index) if isinstance(source, Mixture) else 0


def source_seed(seed: int, position: int = 0) -> int:
    """Return the seed that the source at `position`, of those that `build_source` was given with `seed`, draws from."""
    return derive_seed("source", seed, position)


def _open(config: AnySource, seed: int) -> ProblemSource:
    if config.rates is None and config.without is None:
        return _open_whole(config, seed)
    return select(config, seed, lambda seed: _open_whole(config, seed))


def _open_whole(config: AnySource, seed: int) -> ProblemSource:
    record = record_of(config.domain)
    assert record is not None  # settings were chosen by its name
    if isinstance(record, Domain):
        return ProceduralSource(domain=record, config=config, seed=seed)
    return record.load(config, seed)


def record_of(domain: str) -> own.Record | None:
    """Return the domain or the set of that name, the lab's or one's own; None where there is none."""
    return DOMAINS.get(domain) or SETS.get(domain) or own.OWN.get(domain)


def _domain_of(problem: Problem) -> Domain[Any] | None:
    record = record_of(problem.domain)
    return record if isinstance(record, Domain) else None


def verifier_name(domain: str) -> str:
    """Return the name of the verifier that judges problems of `domain`.

    A domain without a file is called like its verifier: rows of "math" come from any file, and nothing here makes them.
    """
    record = DOMAINS.get(domain) or SETS.get(domain)
    if record is None or record.verifier is None:
        return own.VERIFIERS.get(domain, domain)
    return record.verifier


def solve(problem: Problem, style: str) -> str:
    """Return a worked solution in `style` (one of STYLES); its details are drawn from a stream named by the problem."""
    if style not in STYLES:
        raise ProblemError(f"unknown solution style {style!r}: expected one of {', '.join(STYLES)}")
    if problem.solution is None:
        return _worked_out(problem, style)
    record = record_of(problem.domain)
    if isinstance(record, ProblemSet) and record.solution_is_completion:
        return problem.solution  # there is no shorter way to give it
    if problem.reference is None:
        raise _without_reference(problem)
    return boxed(problem.reference) if style == "direct" else thinking(problem.solution, problem.reference)


def _worked_out(problem: Problem, style: str) -> str:
    """Return a solution of a problem that came without one: by its domain, or at once."""
    if style == "direct" and problem.reference is not None:
        return boxed(problem.reference)
    if domain := _domain_of(problem):
        return domain.solve(problem, style, derive_rng("solution", problem.id, style))
    if problem.reference is None:
        raise _without_reference(problem)
    raise ProblemError(f"problem {problem.id} ({problem.source}) came without a worked solution; use style direct")


def _without_reference(problem: Problem) -> ProblemError:
    return ProblemError(f"problem {problem.id} ({problem.source}) has no reference to write a solution from")


def perturb(problem: Problem) -> str:
    """Return a wrong answer to `problem`, close to the right one: a verifier that accepts it is broken."""
    rng = derive_rng("perturb", problem.id)
    if domain := _domain_of(problem):
        return domain.perturb(problem, rng)
    if choices := problem.checks.get("choices"):
        letters = [chr(ord("A") + place) for place in range(len(choices))]
        return rng.choice([letter for letter in letters if letter != problem.reference])
    return _near(problem.reference or "", rng)


def _near(answer: str, rng: Random) -> str:
    """Return `answer` with its first digit changed, or the letter of a choice; with a digit behind it where it has neither.

    A digit behind a formula would be a factor, and behind `52_8` a part of the base: both may leave the value as it is.
    """
    changed = re.search("[0-9]", answer) or re.search("(?<![A-Za-z])[A-J](?![A-Za-z])", answer)
    if changed is None:
        return f"{answer}{rng.randint(2, 9)}"
    others = "123456789" if changed[0].isdigit() else "ABCDEFGHIJ"
    other = rng.choice([one for one in others if one != changed[0]])
    return f"{answer[: changed.start()]}{other}{answer[changed.end() :]}"


def called(source: Mapping[str, Any]) -> str:
    """Return what people call a source, by its settings: its name, else that of its file or data set, else its domain."""
    name, path = source.get("name"), source.get("path")
    if isinstance(name, str):
        return name
    return Path(path).stem if isinstance(path, str) else str(source.get("domain"))
