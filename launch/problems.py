"""`reasonlab problems check`: can every reference of a problem set be graded against?"""

from collections.abc import Iterator, Sequence

from pydantic import BaseModel

from launch.new import new_problems
from problems.catalog import AnySource, build_source
from problems.finite import FiniteSource
from problems.types import SPLITS, Problem
from rewards.references import faults_of, report
from rl.settings.arguments import clearly, make_parser, parse, source_setting, unless_dry_run
from rl.settings.schema import Sources

_GENERATED = 200  # problems of each split that are looked at where a source has no end


class CheckedProblems(BaseModel):
    """The part of a configuration that is looked at; a configuration of train, sft or eval holds more."""

    problems: Sources


def problems_of(config: AnySource) -> Iterator[Problem]:
    """Yield every problem of a source, or of each split the first that it generates."""
    source = build_source([config], 0)
    seen = set()  # one file may serve as several splits
    for split in SPLITS:
        count = source.size(split) if isinstance(source, FiniteSource) else _GENERATED
        for problem in (source.get(split, i) for i in range(count)):
            if problem.source not in seen:
                seen.add(problem.source)
                yield problem


@clearly
def problems_command(argv: Sequence[str]) -> int:
    """Which references of a problem set cannot be graded against; status 1 if there are any."""
    if list(argv[:1]) == ["new"]:
        return new_problems(argv[1:])
    parser = make_parser("reasonlab problems check", "Lists references that cannot be graded against, by reason.")
    parser.add_argument("action", choices=("check",), help="what to do")
    parser.add_argument(
        "--problems", help="a domain or set by name, a JSONL or Python file; default: those of the configuration"
    )
    flags, loaded = parse(
        parser,
        argv,
        CheckedProblems,
        lambda flags: [] if flags.problems is None else [f"problems=[{source_setting(flags.problems)}]"],
    )
    if loaded is None or unless_dry_run(flags, loaded) is None:
        return 0
    is_clean = True
    for config in loaded.config.problems:
        problems = list(problems_of(config))
        faults = faults_of(problems)
        print(f"{config.domain}: {report(faults, len(problems))}")
        is_clean = is_clean and not faults
    return 0 if is_clean else 1
