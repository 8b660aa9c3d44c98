"""`reasonlab compare A B`: is one evaluation better than the other, how sure is that, and on which problems do they part?"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from problems.telling import tell, with_manner
from rl.settings.arguments import clearly
from rl.tracking.run_directory import JsonDict

_SHOWN_CHARACTERS = 240


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="reasonlab compare",
        description="The paired difference of two evaluations of the same problems, second minus first, and where they part.",
    )
    parser.add_argument("first", type=Path, help="directory of a finished `reasonlab eval`, or one that holds several")
    parser.add_argument("second", type=Path, help="the same of another model")
    parser.add_argument("--anyway", action="store_true", help="compare the common problems even if settings differ")
    parser.add_argument("--flips", type=int, default=3, help="flips to show with their completions (default: 3)")
    return with_manner(parser, "everything, all flips with their texts")


@clearly
def compare_command(argv: Sequence[str]) -> int:
    """The paired difference of two evaluations."""
    flags = _parser().parse_args(list(argv))
    from rl.evaluation.comparison import compare, pairs_of  # loads numpy

    found = {name: compare(first, second, anyway=flags.anyway) for name, first, second in pairs_of(flags.first, flags.second)}
    tell(found.get("", found), lambda: _show_all(found, flags.flips))
    return 0


def _show_all(found: Mapping[str, JsonDict], flips: int) -> None:
    for name, comparison in found.items():
        _show(name, comparison, flips)


def _show(name: str, comparison: JsonDict, flips: int) -> None:
    """Print one comparison."""
    from rl.evaluation.table import comparison_table

    console = Console(highlight=False)
    console.print(comparison_table(name, comparison))
    for label, key in (("in spite of", "in_spite_of"), ("also different", "also_different")):
        for line in comparison[key]:
            console.print(f"{label}: {escape(line)}", soft_wrap=True)
    for flip in comparison["flips"][:flips]:
        console.print(f"\n{escape(_short(flip['prompt']))} (answer {escape(str(flip['reference']))})", soft_wrap=True)
        for side in ("first", "second"):
            one = flip[side]
            text = f"  {side}, {one['correct']:.2f} right, {one['file']}: {_short(one['completion'])}"
            console.print(escape(text), soft_wrap=True)
    hidden = len(comparison["flips"]) - flips
    if hidden > 0:
        console.print(f"\n{hidden} more flips: --flips {len(comparison['flips'])}, or --json")


def _short(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= _SHOWN_CHARACTERS else f"{one_line[:_SHOWN_CHARACTERS]} ..."
