"""`reasonlab grade`."""

from collections.abc import Sequence

from problems.own import make_known
from problems.types import ProblemError
from rewards.grade import check_references, grade_file, make_grade_parser
from rl.settings.arguments import clearly


@clearly
def grade_command(argv: Sequence[str]) -> int:
    """Verdicts for a JSONL file of completions."""
    parser = make_grade_parser()
    flags = parser.parse_args(list(argv))
    for path in flags.problems:
        make_known(path)
    own = flags.verifier
    if flags.completions is not None:
        if own is None:
            raise ProblemError("--completions says how a reward function of --verifier gets them: give one")
        own = own.model_copy(update={"completions": flags.completions})
    if flags.check_references:
        return 0 if check_references(flags.input, own, flags.workers) else 1
    if flags.output is None:
        parser.error("say where the verdicts go: reasonlab grade INPUT OUTPUT")
    grade_file(
        flags.input,
        flags.output,
        workers=flags.workers,
        timeout_seconds=flags.timeout_seconds,
        memory_megabytes=flags.memory_megabytes,
        explain=flags.explain,
        policy=flags.reading,
        own=own,
    )
    return 0
