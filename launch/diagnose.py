"""`reasonlab diagnose`."""

from collections.abc import Sequence

from problems.telling import tell
from rl.settings.arguments import clearly, diagnosis_arguments

_STATUS = {True: 0, False: 1, None: 3}  # None: too little was seen


@clearly
def diagnose_command(argv: Sequence[str]) -> int:
    """Whether a run can learn and, if not, what to change."""
    asked = diagnosis_arguments(argv)
    if asked is None:
        return 0
    from rl.diagnose import run_diagnosis  # loads torch, which takes seconds
    from rl.diagnosis.page import as_data, page

    found = run_diagnosis(asked.loaded.config, problems=asked.problems, seconds=asked.seconds)
    parts = (found.figures, found.findings, found.groups, found.seconds)
    tell(as_data(*parts), lambda: print(page(*parts)))
    return _STATUS[found.can_learn]
