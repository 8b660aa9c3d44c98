"""Knights and knaves: knights say only what is true, knaves only what is false. Who is what? There is exactly one solution.

`checks` holds the names and, as numbers, who says what of whom: the work is a search that tries people in turn and turns
back at the first contradiction.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import NamedTuple

from pydantic import Field, model_validator

from problems.lines import Step, nameless, truth_column, written
from problems.types import Domain, Draft, Problem, ProblemError, RangeFromTwo, SourceConfig

_NAMES = (
    "Ann",
    "Ben",
    "Cleo",
    "Dan",
    "Eve",
    "Finn",
    "Gwen",
    "Hugo",
    "Iris",
    "Jack",
    "Kate",
    "Leo",
    "Mona",
    "Nick",
    "Olga",
    "Paul",
)
_MOST_PEOPLE = 8
_RULE = "Each of these people is a knight, who says only what is true, or a knave, who says only what is false."
_ASK = "Who are the knights? Give their names in the order above, separated by commas."


class Form(NamedTuple):
    """Something to say of `{0}` and `{1}`, and when it holds.

    `holds` takes for each of the two whether they are knights, as bits, and a number with all these bits set. `is_ordered`
    tells whether it says something else with the two changed about.
    """

    says: str
    people: int
    holds: Callable[[int, int, int], int]
    is_ordered: bool = False


_FORMS = (
    Form("{0} is a knight.", 1, lambda a, b, every: a),
    Form("{0} is a knave.", 1, lambda a, b, every: every ^ a),
    Form("{0} and {1} are of the same kind.", 2, lambda a, b, every: every ^ a ^ b),
    Form("{0} and {1} are of different kinds.", 2, lambda a, b, every: a ^ b),
    Form("At least one of {0} and {1} is a knave.", 2, lambda a, b, every: every ^ (a & b)),
    Form("At least one of {0} and {1} is a knight.", 2, lambda a, b, every: a | b),
    Form("{0} and {1} are both knaves.", 2, lambda a, b, every: every ^ (a | b)),
    Form("If {0} is a knight, so is {1}.", 2, lambda a, b, every: (every ^ a) | b, is_ordered=True),
)
Statement = list[int]  # the number of its form, and of the people it speaks of


class KnightsConfig(SourceConfig):
    """Settings of `knights`."""

    people: RangeFromTwo = Field(default=(3, 4), description="fewest and most people, 8 at most; each says one thing")

    @model_validator(mode="after")
    def _are_few(self) -> "KnightsConfig":
        if self.people[1] > _MOST_PEOPLE:
            raise ValueError(f"people must be {_MOST_PEOPLE} at most, found {self.people}")
        return self


def _can_say(speaker: int, statement: Statement, roles: Sequence[int], every: int) -> int:
    """Return in which cases `speaker` can say that: a knight where it holds, a knave where it does not."""
    number, first, *second = statement
    holds = _FORMS[number].holds(roles[first], roles[second[0]] if second else 0, every)
    return every ^ roles[speaker] ^ holds


def _draw(rng: Random, speaker: int, count: int) -> Statement:
    """Draw what one says of others, or of another and oneself."""
    number = rng.randrange(len(_FORMS))
    others = [person for person in range(count) if person != speaker]
    if _FORMS[number].people == 1:
        return [number, rng.choice(others)]
    return [number, *rng.sample(range(count), 2)]


def generate(rng: Random, config: KnightsConfig) -> Draft:
    """Draw who is a knight, one at least, and what they can say, until no other case is possible."""
    count = rng.randint(*config.people)
    every, roles = (1 << 2**count) - 1, [truth_column(person, count) for person in range(count)]
    case = rng.randrange(1, 2**count)  # drawn first: of statements drawn first, most would make all of them knights
    possible, statements = every, list[Statement]()
    while possible != 1 << case:
        possible, statements = every, []
        for speaker in range(count):
            said = 0
            while not said >> case & 1:
                statement = _draw(rng, speaker, count)
                said = _can_say(speaker, statement, roles, every)
            statements.append(statement)
            possible &= said
    names = rng.sample(_NAMES, count)
    return Draft(
        prompt="\n".join([_RULE, *_said(names, statements), _ASK]),
        same_as=nameless(names, lambda roles: _sorted(names, statements, roles)),
        reference=_listed(names, [case >> (count - 1 - person) & 1 for person in range(count)]),
        checks={"names": names, "statements": statements},
        difficulty={"people": count},
    )


def _said(names: Sequence[str], statements: Sequence[Statement]) -> list[str]:
    """Return what each one says, a line each."""
    lines = []
    for name, (number, *people) in zip(names, statements, strict=True):
        lines.append(f'{name} says: "{_FORMS[number].says.format(*(names[person] for person in people))}"')
    return lines


def _sorted(names: Sequence[str], statements: Sequence[Statement], roles: Mapping[str, str]) -> str:
    """Return what is said with `roles` for names, the speakers sorted, and the two people where their order says nothing."""
    lines = []
    for name, (number, *people) in zip(names, statements, strict=True):
        of = [roles[names[person]] + ("!" if names[person] == name else "") for person in people]
        lines.append(" ".join([roles[name], str(number), *(of if _FORMS[number].is_ordered else sorted(of))]))
    return "\n".join(sorted(lines))


def _listed(names: Sequence[str], roles: Sequence[int]) -> str:
    return ", ".join(name for name, is_knight in zip(names, roles, strict=True) if is_knight)


def _search(statements: Sequence[Statement], roles: list[int]) -> Iterator[tuple[list[int], int | None]]:
    """Yield (roles of the first few, whose statement contradicts them) for each try, and stop at a solution."""
    for is_knight in (1, 0):
        tried = [*roles, is_knight]
        liar = None
        for speaker, statement in enumerate(statements[: len(tried)]):
            if max(statement[1:]) < len(tried) and not _can_say(speaker, statement, tried, 1):
                liar = speaker
                break
        yield tried, liar
        if liar is None and len(tried) < len(statements):
            for further, liar in _search(statements, tried):
                yield further, liar
                if liar is None and len(further) == len(statements):
                    return
        elif liar is None:
            return


def _contradiction(speaker: int, names: Sequence[str], roles: Sequence[int]) -> str:
    kind, said = ("knight", "false") if roles[speaker] else ("knave", "true")
    return f"no, {names[speaker]}, a {kind}, says what is {said}"


def solve(problem: Problem, style: str, rng: Random) -> str:
    """Try people as knight, then as knave, one after the other, and turn back where somebody cannot have said what he says."""
    if "statements" not in problem.checks:
        raise ProblemError(f"problem {problem.id} ({problem.source}) came without a worked solution")
    names, steps, roles = problem.checks["names"], list[Step](), list[int]()
    for roles, liar in _search(problem.checks["statements"], []):
        tried = ", ".join(f"{name} {'knight' if role else 'knave'}" for name, role in zip(names, roles, strict=False))
        if liar is None:
            steps.append(Step(f"{tried}: ", "possible", _contradiction(rng.randrange(len(roles)), names, roles)))
        else:
            steps.append(Step(f"{tried}: ", _contradiction(liar, names, roles), "possible"))
    return written(style, steps, _listed(names, roles), rng)


def perturb(problem: Problem, rng: Random) -> str:
    """Return the right names but for one, who is added, or left out where another remains."""
    names, right = problem.checks["names"], (problem.reference or "").split(", ")
    odd = rng.choice([name for name in names if right != [name]])
    return ", ".join(name for name in names if (name in right) != (name == odd))


DOMAIN = Domain(
    name="knights",
    config=KnightsConfig,
    generate=generate,
    solve=solve,
    perturb=perturb,
    verifier="exact",
    levels=[{"people": (3, 3)}, {"people": (4, 4)}, {"people": (5, 6)}],
)
