"""Every domain and every set by name, their settings, and how a configured list of sources becomes one source.

DOMAINS holds what the files of problems/domains/ define, SETS what those of problems/sets/ do; both are found when this
module is imported. A configuration chooses one by `domain: <name>` and gives its settings beside the name; a domain with
levels takes `level: <1 to how many there are>` too, whose settings hold where no others are given.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import Field, create_model, model_validator

import problems.domains
import problems.sets
from problems.discovery import discover
from problems.mixture import Mixture
from problems.procedural import ProceduralSource
from problems.seeding import derive_rng, derive_seed
from problems.types import STYLES, Domain, Problem, ProblemError, ProblemSet, ProblemSource, SourceConfig, boxed, thinking

DOMAINS: dict[str, Domain[Any]] = discover(problems.domains, "DOMAIN", Domain)
SETS: dict[str, ProblemSet[Any]] = discover(problems.sets, "SET", ProblemSet)


def _source_models(records: Iterable[Domain[Any] | ProblemSet[Any]]) -> dict[str, type[SourceConfig]]:
    """Return for each name the settings of its record and `domain`, the key whose value is that name and chooses it."""
    models: dict[str, type[SourceConfig]] = {}
    for record in records:
        if record.name in models:
            raise ProblemError(f"a domain and a set both take the name {record.name!r}: rename one of them")
        models[record.name] = source_model(record)
    return models


def source_model(record: Domain[Any] | ProblemSet[Any]) -> type[SourceConfig]:
    """Return the settings of a source: those of `record`, `domain`, and `level` for a domain that has some."""
    keys: dict[str, Any] = {"domain": (Literal[record.name], ...)}  # ... is pydantic's word for required
    levels = record.levels if isinstance(record, Domain) else ()
    if not levels:
        return create_model(f"{record.name}_source", __base__=record.config, **keys)
    numbers: Any = Literal[tuple(range(1, len(levels) + 1))]
    keys["level"] = (numbers | None, Field(default=None, description="how hard, 1 the easiest; settings given beside it win"))

    def with_level(cls: type[SourceConfig], settings: Any) -> Any:
        level: Any = settings.get("level") if isinstance(settings, Mapping) else None
        if level not in range(1, len(levels) + 1):
            return settings  # none, or one that its field refuses in words
        return {**levels[level - 1], **settings}

    validators: Any = {"with_level": model_validator(mode="before")(with_level)}
    return create_model(f"{record.name}_source", __base__=record.config, __validators__=validators, **keys)


SOURCE_MODELS = _source_models([*DOMAINS.values(), *SETS.values()])
# pickle finds a class by its name in its module; `datasets` pickles whatever a function it maps can reach
globals().update({model.__name__: model for model in SOURCE_MODELS.values()})

if TYPE_CHECKING:

    class AnySource(SourceConfig):
        """What is known of a source before its name is: the fields that all of them have."""

        domain: str

else:  # the union of the models above, made at run time: pydantic chooses one by its `domain`
    AnySource = Annotated[Union[tuple(SOURCE_MODELS.values())], Field(discriminator="domain")]  # noqa: UP007


def build_source(configs: Sequence[AnySource], seed: int) -> ProblemSource:
    """Return the mixture of `configs`; each source draws from a stream of its own under `seed`."""
    sources = [_open(config, derive_seed("source", seed, position)) for position, config in enumerate(configs)]
    if len(sources) == 1:
        return sources[0]
    return Mixture(sources, [config.weight for config in configs], derive_seed("mixture", seed))


def owner(source: ProblemSource, split: str, index: int) -> int:
    """Return the position, in what `build_source` was given, of the source that item `index` comes from."""
    return source.owner(split, index) if isinstance(source, Mixture) else 0


def _open(config: AnySource, seed: int) -> ProblemSource:
    if config.domain in DOMAINS:
        return ProceduralSource(domain=DOMAINS[config.domain], config=config, seed=seed)
    return SETS[config.domain].load(config, seed)


def verifier_name(domain: str) -> str:
    """Return the name of the verifier that judges problems of `domain`.

    A domain without a file is called like its verifier: rows of "math" come from any file, and nothing here makes them.
    """
    record = DOMAINS.get(domain) or SETS.get(domain)
    if record is None or record.verifier is None:
        return domain
    return record.verifier


def solve(problem: Problem, style: str) -> str:
    """Return a worked solution in `style` (one of STYLES); its details are drawn from a stream named by the problem."""
    if style not in STYLES:
        raise ProblemError(f"unknown solution style {style!r}: expected one of {', '.join(STYLES)}")
    if problem.solution is None:
        return _worked_out(problem, style)
    if problem.domain in SETS and SETS[problem.domain].solution_is_completion:
        return problem.solution  # there is no shorter way to give it
    if problem.reference is None:
        raise _without_reference(problem)
    return boxed(problem.reference) if style == "direct" else thinking(problem.solution, problem.reference)


def _worked_out(problem: Problem, style: str) -> str:
    """Return a solution of a problem that came without one: by its domain, or at once."""
    if style == "direct" and problem.reference is not None:
        return boxed(problem.reference)
    if problem.domain in DOMAINS:
        return DOMAINS[problem.domain].solve(problem, style, derive_rng("solution", problem.id, style))
    if problem.reference is None:
        raise _without_reference(problem)
    raise ProblemError(f"problem {problem.id} ({problem.source}) came without a worked solution; use style direct")


def _without_reference(problem: Problem) -> ProblemError:
    return ProblemError(f"problem {problem.id} ({problem.source}) has no reference to write a solution from")


def perturb(problem: Problem) -> str:
    """Return a wrong answer to `problem`, close to the right one: a verifier that accepts it is broken."""
    rng = derive_rng("perturb", problem.id)
    if problem.domain in DOMAINS:
        return DOMAINS[problem.domain].perturb(problem, rng)
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
