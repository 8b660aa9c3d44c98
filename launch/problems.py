"""`reasonlab problems ACTION ...`: what there is to practise on, how it is judged, and whether it is sound.

Each action has a file of its own (ACTIONS); how problems are named on its command line is in launch/named_problems.py.
"""

from collections.abc import Sequence

from launch.check_problems import check_action
from launch.decontaminate import decontaminate_action
from launch.export_problems import export_action
from launch.new import new_problems
from launch.rate import rate
from launch.show_problems import list_action, show_action
from problems.errors import LabError
from rl.settings.arguments import Command, clearly

ACTIONS: dict[str, tuple[Command, str]] = {  # name -> what it does, in code and in words
    "list": (list_action, "every domain and set: verifier, kind, size and licence"),
    "show": (show_action, "a few problems with reference, worked solution and verdicts"),
    "check": (check_action, "whether references prove themselves, wrong answers do not, and what stands twice or overlaps"),
    "export": (export_action, "problems as JSONL, or as verl's rows"),
    "decontaminate": (decontaminate_action, "which problems evaluation sets hold too, for the setting `without: FILE`"),
    "rate": (rate, "pass rates of a model, problem by problem, for the settings `rates: FILE, keep: [0.1, 0.9]`"),
    "new": (new_problems, "a starting point for a domain of your own, with its test"),
}


@clearly
def problems_command(argv: Sequence[str]) -> int:
    """What there is to practise on, and whether it is sound."""
    if not argv or argv[0] in ("-h", "--help"):
        lines = [f"  {name:<13} {about}" for name, (_, about) in ACTIONS.items()]
        print(
            "usage: reasonlab problems ACTION ...\n\n" + "\n".join(lines) + "\n\nreasonlab problems ACTION --help tells more."
        )
        return 0
    if argv[0] not in ACTIONS:
        raise LabError(f"no action {argv[0]!r} of `reasonlab problems`; there are: {', '.join(ACTIONS)}")
    return ACTIONS[argv[0]][0](argv[1:])
