"""`reasonlab problems decontaminate`: which problems evaluation sets hold too, for the setting `without: FILE`."""

import itertools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from launch.named_problems import held_out, label, parsed
from problems import overlap
from problems.catalog import build_source
from problems.errors import LabError
from problems.finite import FiniteSource
from problems.public import PUBLIC_SETS
from problems.selection import header_path, practised, practised_hash
from problems.telling import tell
from problems.types import Problem
from rewards.references import shown
from rl.settings.arguments import make_parser
from rl.tracking.selections import write_selection

_EXAMPLES = 3  # of each kind of removal


def decontaminate_action(argv: Sequence[str]) -> int:
    """List what evaluation sets hold of a set; status 1 where nothing is left."""
    parser = make_parser(
        "reasonlab problems decontaminate",
        "Lists what evaluation sets hold of a set, for the setting `without: FILE`; status 1 where nothing is left.",
        "how many problems were looked at and removed, and why",
    )
    every = ", ".join(name for name, one in PUBLIC_SETS.items() if one.evaluation)
    parser.add_argument(
        "--against", action="append", required=True, metavar="NAME", help=f"evaluation set; repeat it. `every`: {every}"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="JSONL: what is removed, why, and by which problem"
    )
    flags, config = parsed(parser, argv)
    if config is None:
        return 0
    if len(config.problems) != 1:
        raise LabError(f"one set at a time, since FILE belongs to its entry; {len(config.problems)} were given")
    unset = dict.fromkeys(("rates", "rates_hash", "keep", "without", "without_hash"))
    entry = config.problems[0].model_copy(update=unset)
    source = build_source([entry], 0)
    if not isinstance(source, FiniteSource):
        raise LabError(
            f"{label(entry)} makes its problems, each in one split by its content: there is nothing to decontaminate"
        )
    problems = practised(source)
    if not problems:
        raise LabError(f"{source.name} holds no problems to practise on")
    against = _evaluation_sets(flags.against)
    removed = list(overlap.overlapping(problems, overlap.of_problems([*itertools.chain(*against.values())])))
    about = {
        "kind": "removed",
        "name": label(entry),
        "source": entry.model_dump(mode="json"),
        "problems": len(problems),
        "practised_hash": practised_hash(problems),
        "against": {name: len(asked) for name, asked in against.items()},
        "removed": dict(Counter(found.kind for _, found in removed)),
    }
    write_selection(flags.out, [overlap.removal(problem, found) for problem, found in removed], about)
    tell({"file": flags.out, **about}, lambda: print(_removals(problems, removed, flags.out)))
    return 0 if len(removed) < len(problems) else 1


def _evaluation_sets(names: Sequence[str]) -> dict[str, list[Problem]]:
    """Return the problems of each evaluation set; `every` stands for all public ones, which are read from the hub."""
    public = [name for name, one in PUBLIC_SETS.items() if one.evaluation]
    wanted = dict.fromkeys(one for name in names for one in (public if name == "every" else [name]))
    return {name: list(held_out(name)) for name in wanted}


def _removals(problems: Sequence[Problem], removed: Sequence[tuple[Problem, overlap.Overlap]], file: Path) -> str:
    """Return in words how many problems are removed, why, and by which problems, the first few."""
    lines = [f"{len(problems)} problems looked at, {len(removed)} removed, {len(problems) - len(removed)} left"]
    for kind in overlap.KINDS:
        members = [(problem, found) for problem, found in removed if found.kind == kind]
        lines += [f"{len(members):6}  {kind}"] if members else []
        lines += [
            f"        {problem.source} by {found.source}: {shown(found.shared)}" for problem, found in members[:_EXAMPLES]
        ]
    return "\n".join(
        [*lines, f"written: {file} and {header_path(file).name}; in the entry of the set: {{..., without: {file}}}"]
    )
