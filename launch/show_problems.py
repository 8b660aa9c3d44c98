"""`reasonlab problems list` and `show`: what there is to practise on, and how it is judged."""

import argparse
import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

from launch.named_problems import parsed, problems_of
from problems.catalog import DOMAINS, SETS, build_source, verifier_name
from problems.public import PUBLIC_SETS
from problems.telling import as_json, tell, with_manner
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
    with_manner(parser, "name, kind, verifier, problems, licence and hub of each").parse_args(list(argv))
    rows = listed()
    tell(rows, lambda: print(_table(rows)))
    return 0


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    cells = [("name", "kind", "verifier", "problems", "licence")]
    for row in rows:
        sizes = row["problems"] or {}
        held = ", ".join(f"{count:,} {split}" for split, count in sizes.items())
        held = held or ("endless" if row["kind"] == "generated" else "as the rows say")
        cells.append((row["name"], row["kind"], row["verifier"] or "as the rows say", held, row["licence"] or ""))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    return "\n".join(lines)


def show_action(argv: Sequence[str]) -> int:
    """Print a few problems, and how the verifier judges answers to them."""
    about = "A few problems, and how the verifier judges answers to them."
    parser = make_parser("reasonlab problems show", about, "the problems, with completions and their verdicts")
    parser.add_argument("--n", type=int, default=3, help="problems of each source (default: 3)")
    parser.add_argument("--split", choices=SPLITS, help="default: the first that holds problems")
    flags, config = parsed(parser, argv)
    if config is None:
        return 0
    found = []
    with config.pool(1) as pool:
        for one in config.problems:
            source = build_source([one], 0)
            problems = (problem for problem in problems_of(source, flags.n) if flags.split in (None, problem.split))
            for problem in itertools.islice(problems, flags.n):
                found.append(tried_out(problem, pool))
                if not as_json():
                    print(picture(problem, found[-1]["tried"]) + "\n")
    tell(found)
    return 0


def tried_out(problem: Problem, pool: VerifierPool) -> dict[str, Any]:
    """Return a problem as plain data, with verdicts on a right, a wrong and an empty completion."""
    right = checking.right_completion(problem)
    completions = {} if right is None else {"a right answer": right, "a wrong one": checking.spoilt_completion(problem)}
    tried = []
    for name, text in {**completions, "no answer": ""}.items():
        verdict = pool.submit(problem, text).result()
        tried.append({"what": name, "completion": text, "status": verdict.status, "detail": verdict.detail})
    facts = {"difficulty": dict(problem.difficulty), "checks": dict(problem.checks)}
    return {**vars(problem), **facts, "verifier": verifier_name(problem.domain), "tried": tried}


def picture(problem: Problem, tried: Sequence[Mapping[str, str]]) -> str:
    """Return in words a problem with its reference, its worked solution and what the verifier said of each completion."""
    lines = [f"{problem.domain}, {problem.split}, {problem.source} (id {problem.id})", *_indented(problem.prompt)]
    if problem.reference is not None:
        lines.append(f"  reference: {problem.reference}")
    facts = {"difficulty": problem.difficulty, "checks": problem.checks}
    lines += [f"  {name}: {shown(json.dumps(dict(fact), ensure_ascii=False))}" for name, fact in facts.items() if fact]
    if problem.solution is not None:
        lines += ["  worked solution:", *_indented(problem.solution)]
    lines.append(f"  verifier {verifier_name(problem.domain)}, on")
    for one in tried:
        said = f" {shown(one['completion'])}" if one["completion"] else ""
        lines.append(f"    {one['what']}{said}: {one['status']} ({one['detail']})")
    return "\n".join(lines)


def _indented(text: str) -> list[str]:
    lines = text[:_SHOWN_CHARACTERS].split("\n")
    is_cut = len(text) > _SHOWN_CHARACTERS or len(lines) > _SHOWN_LINES
    return [f"  | {line}" for line in lines[:_SHOWN_LINES]] + (["  | ..."] if is_cut else [])
