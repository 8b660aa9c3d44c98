"""`reasonlab grade`."""

from collections.abc import Sequence

from rewards.grade import grade_file, make_grade_parser
from rl.settings.arguments import clearly


@clearly
def grade_command(argv: Sequence[str]) -> int:
    """Verdicts for a JSONL file of completions."""
    flags = make_grade_parser().parse_args(list(argv))
    grade_file(
        flags.input,
        flags.output,
        workers=flags.workers,
        timeout_seconds=flags.timeout_seconds,
        memory_megabytes=flags.memory_megabytes,
        explain=flags.explain,
    )
    return 0
