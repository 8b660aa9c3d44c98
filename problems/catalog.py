"""Every domain by name, and how a configured list of sources becomes one source."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from problems.domains import arithmetic, chain, countdown
from problems.mixture import Mixture
from problems.procedural import ProceduralSource
from problems.seeding import derive_rng, derive_seed
from problems.sets.code import CodeConfig, load_code
from problems.sets.hub import Gsm8kConfig, JsonlConfig, load_gsm8k, load_jsonl
from problems.types import STYLES, Domain, Problem, ProblemError, ProblemSource, boxed, thinking

DOMAINS: dict[str, Domain] = {d.name: d for d in (chain.DOMAIN, arithmetic.DOMAIN, countdown.DOMAIN)}


class ChainSource(chain.ChainConfig):
    """`domain: chain`."""

    domain: Literal["chain"]


class ArithmeticSource(arithmetic.ArithmeticConfig):
    """`domain: arithmetic`."""

    domain: Literal["arithmetic"]


class CountdownSource(countdown.CountdownConfig):
    """`domain: countdown`."""

    domain: Literal["countdown"]


class Gsm8kSource(Gsm8kConfig):
    """`domain: gsm8k`."""

    domain: Literal["gsm8k"]


class CodeSource(CodeConfig):
    """`domain: code`."""

    domain: Literal["code"]


class JsonlSource(JsonlConfig):
    """`domain: jsonl`: a file of problems, each row with its own domain."""

    domain: Literal["jsonl"]


AnySource = Annotated[
    ChainSource | ArithmeticSource | CountdownSource | Gsm8kSource | CodeSource | JsonlSource, Field(discriminator="domain")
]
LOADERS: dict[str, Callable[[Any, int], ProblemSource]] = {"gsm8k": load_gsm8k, "code": load_code, "jsonl": load_jsonl}


def build_source(configs: Sequence[AnySource], seed: int) -> ProblemSource:
    """Return the mixture of `configs`; each source draws from a stream of its own under `seed`."""
    sources: list[ProblemSource] = []
    for position, config in enumerate(configs):
        own_seed = derive_seed("source", seed, position)
        if config.domain in DOMAINS:
            sources.append(ProceduralSource(domain=DOMAINS[config.domain], config=config, seed=own_seed))
        else:
            sources.append(LOADERS[config.domain](config, own_seed))
    if len(sources) == 1:
        return sources[0]
    return Mixture(sources, [config.weight for config in configs], derive_seed("mixture", seed))


def solve(problem: Problem, style: str) -> str:
    """Return a worked solution in `style` (one of STYLES); its details are drawn from a stream named by the problem."""
    if style not in STYLES:
        raise ProblemError(f"unknown solution style {style!r}: expected one of {', '.join(STYLES)}")
    if problem.domain in DOMAINS and problem.solution is None and (style != "direct" or problem.reference is None):
        return DOMAINS[problem.domain].solve(problem, style, derive_rng("solution", problem.id, style))
    if problem.domain == "code" and problem.solution is not None:
        return problem.solution  # a program is its own answer: there is no shorter way to give it
    if problem.reference is None:
        raise ProblemError(f"problem {problem.id} ({problem.source}) has no reference to write a solution from")
    if style == "direct":
        return boxed(problem.reference)
    if problem.solution is None:
        raise ProblemError(f"problem {problem.id} ({problem.source}) came without a worked solution; use style direct")
    return thinking(problem.solution, problem.reference)


def perturb(problem: Problem) -> str:
    """Return a wrong answer to `problem`, close to the right one: a verifier that accepts it is broken."""
    rng = derive_rng("perturb", problem.id)
    if problem.domain in DOMAINS:
        return DOMAINS[problem.domain].perturb(problem, rng)
    return f"{problem.reference}{rng.randint(1, 9)}"
