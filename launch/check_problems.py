"""`reasonlab problems check`: whether references prove themselves, wrong answers do not, and what stands twice or overlaps."""

import itertools
import os
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from launch.named_problems import held_out, label, parsed, problems_of
from problems import overlap
from problems.catalog import build_source
from problems.finite import FiniteSource
from problems.telling import as_json, tell
from problems.types import Problem
from rewards import checking
from rl.settings.arguments import make_parser
from rl.settings.schema import ModelSettings, PromptSettings

_LONGEST_CHARACTERS, _LONGEST_TOKENS = 10_000, 1024


def check_action(argv: Sequence[str]) -> int:
    """Look a problem set over; status 1 where there are faults."""
    about = "Looks a problem set over; status 1 where there are faults."
    parser = make_parser("reasonlab problems check", about, "of each set whether it is clean, and every finding")
    parser.add_argument("--against", action="append", default=[], metavar="NAME", help="evaluation set to look for; repeat it")
    parser.add_argument("--model", help="count prompts in tokens of this model: directory, GGUF file or hub name")
    parser.add_argument("--longest", type=int, help=f"of a prompt: tokens of --model ({_LONGEST_TOKENS}) or characters")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="verifier processes (default: all cores)")
    flags, config = parsed(parser, argv)
    if config is None:
        return 0
    against = overlap.of_problems(itertools.chain.from_iterable(map(held_out, flags.against)))
    limit = flags.longest or (_LONGEST_TOKENS if flags.model else _LONGEST_CHARACTERS)
    length = _tokens(flags.model, config.prompt) if flags.model else lambda problem: len(problem.prompt)
    reports: list[dict[str, Any]] = []
    with config.pool(flags.workers) as pool:
        for one in config.problems:
            source = build_source([one], 0)
            problems = list(problems_of(source))
            found = checking.findings_of(problems, pool, is_finite=isinstance(source, FiniteSource))
            found += checking.too_long(problems, limit, "tokens" if flags.model else "characters", length)
            outside_test = [problem for problem in problems if problem.split != "test"] or problems
            if flags.against:
                found += checking.overlapping(outside_test, against)
            reports.append(checking.as_json(label(one), dict(Counter(problem.split for problem in problems)), found))
            if not as_json():
                print(_summary(label(one), len(problems), found))
    tell(reports)
    return 0 if all(report["clean"] for report in reports) else 1


def _summary(name: str, count: int, found: Sequence[checking.Finding]) -> str:
    unreadable = sum(finding.kind in ("unreadable", "refused") for finding in found)
    said = f"{unreadable} of {count} references" if unreadable else f"{count} references, all of them"
    lines = [f"{name}: {said} {'cannot' if unreadable else 'can'} be graded against"]
    if found:
        lines.append(checking.table(found))
    if unreadable:
        lines.append(
            "Mend or leave them out (`export --clean`); where answers are texts, say so: {answers: text} in the source."
        )
    return "\n".join(lines)


def _tokens(model: str, prompt: PromptSettings) -> Callable[[Problem], int]:
    """Return what counts the tokens of a problem's prompt as that model reads it."""
    from rl.policy.opening import load_tokenizer  # loads torch, which takes seconds
    from rl.policy.prompts import render

    tokenizer = load_tokenizer(ModelSettings(path=model))
    return lambda problem: len(render(problem, prompt, tokenizer))
