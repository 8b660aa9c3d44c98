"""`reasonlab problems list` and `show`: what there is to practise on, and how it is judged."""

import argparse
import itertools
import json
from collections.abc import Sequence
from typing import Any

from launch.named_problems import parsed, problems_of
from problems.catalog import DOMAINS, SETS, build_source, verifier_name
from problems.public import PUBLIC_SETS
from problems.types import SPLITS, Problem
from rewards import checking
from rewards.pool import VerifierPool
from rewards.references import shown
from rl.settings.arguments import make_parser

_SHOWN_LINES, _SHOWN_CHARACTERS = 12, 1200  # of a text that is shown


def listed() -> list[dict[str, Any]]:
    """Return every domain and set: name, kind, verifier, problems by split (None: endless or a file's own), licence, hub."""
    generated = [
        {"name": name, "kind": "generated", "verifier": record.verifier, "problems": None, "licence": None, "hub": None}
        for name, record in DOMAINS.items()
    ]
    files = [
        {"name": name, "kind": "file", "verifier": record.verifier, "problems": None, "licence": None, "hub": None}
        for name, record in SETS.items()
        if name not in PUBLIC_SETS
    ]
    public = [
        {
            "name": name,
            "kind": "evaluation" if one.evaluation else "practice",
            "verifier": verifier_name(one.domain),
            "problems": dict(one.sizes),
            "licence": one.licence,
            "hub": {"name": one.hub, "revision": one.revision, "subsets": list(one.subsets)},
        }
        for name, one in PUBLIC_SETS.items()
    ]
    return [*generated, *public, *files]


def list_action(argv: Sequence[str]) -> int:
    """Print every domain and set."""
    parser = argparse.ArgumentParser("reasonlab problems list", description="Every domain and set.")
    parser.add_argument("--json", action="store_true", help="print as JSON")
    rows = listed()
    if parser.parse_args(list(argv)).json:
        print(json.dumps(rows, indent=2))
        return 0
    cells = [("name", "kind", "verifier", "problems", "licence")]
    for row in rows:
        sizes = row["problems"] or {}
        held = ", ".join(f"{count:,} {split}" for split, count in sizes.items())
        held = held or ("endless" if row["kind"] == "generated" else "as the rows say")
        cells.append((row["name"], row["kind"], row["verifier"] or "as the rows say", held, row["licence"] or ""))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    return 0


def show_action(argv: Sequence[str]) -> int:
    """Print a few problems, and how the verifier judges answers to them."""
    parser = make_parser("reasonlab problems show", "A few problems, and how the verifier judges answers to them.")
    parser.add_argument("--n", type=int, default=3, help="problems of each source (default: 3)")
    parser.add_argument("--split", choices=SPLITS, help="default: the first that holds problems")
    flags, config = parsed(parser, argv)
    if config is None:
        return 0
    with config.pool(1) as pool:
        for one in config.problems:
            source = build_source([one], 0)
            problems = (problem for problem in problems_of(source, flags.n) if flags.split in (None, problem.split))
            for problem in itertools.islice(problems, flags.n):
                print(picture(problem, pool) + "\n")
    return 0


def picture(problem: Problem, pool: VerifierPool) -> str:
    """Return a problem with its reference, its worked solution and verdicts on a right, a wrong and an empty completion."""
    lines = [f"{problem.domain}, {problem.split}, {problem.source} (id {problem.id})", *_indented(problem.prompt)]
    if problem.reference is not None:
        lines.append(f"  reference: {problem.reference}")
    facts = {"difficulty": problem.difficulty, "checks": problem.checks}
    lines += [f"  {name}: {shown(json.dumps(dict(fact), ensure_ascii=False))}" for name, fact in facts.items() if fact]
    if problem.solution is not None:
        lines += ["  worked solution:", *_indented(problem.solution)]
    lines.append(f"  verifier {verifier_name(problem.domain)}, on")
    right = checking.right_completion(problem)
    tried = {} if right is None else {"a right answer": right, "a wrong one": checking.spoilt_completion(problem)}
    for name, text in {**tried, "no answer": ""}.items():
        verdict = pool.submit(problem, text).result()
        said = f" {shown(text)}" if text else ""
        lines.append(f"    {name}{said}: {verdict.status} ({verdict.detail})")
    return "\n".join(lines)


def _indented(text: str) -> list[str]:
    lines = text[:_SHOWN_CHARACTERS].split("\n")
    is_cut = len(text) > _SHOWN_CHARACTERS or len(lines) > _SHOWN_LINES
    return [f"  | {line}" for line in lines[:_SHOWN_LINES]] + (["  | ..."] if is_cut else [])
