"""`reasonlab grade IN.jsonl OUT.jsonl`: a verdict for every row, in input order, however broken the row.

A row is {"id", "problem": {"domain", "reference", "prompt", "checks"}, "completion"}, and "thinking_open": true where its
prompt ended inside of `<think>` (a "prompt" that ends so says it by itself). Its answer is {"id", "status", "reward",
"extracted", "detail", "seconds"}. A row that cannot be read gets the status `error`, with the reason. Rows stream through the
pool of killable workers; a run that was cut off goes on after its last whole output row.
"""

import argparse
import itertools
import json
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, get_args

from problems.errors import LabError
from problems.progress import Progress
from problems.telling import tell, with_manner
from problems.types import Problem
from rewards.answer import opens_thinking
from rewards.own import FORMS, OwnVerifier, named
from rewards.pool import VerifierPool
from rewards.references import ReferenceFault, faults_of, refused_by_own, report
from rewards.types import Policy, Reading, Verdict

WINDOW_PER_WORKER = 64  # rows in flight: enough to keep workers busy, few enough to stream
MAX_ROW_BYTES = 20_000_000  # of a longer one only so much is ever held in memory


def make_grade_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="reasonlab grade", description="Verdicts for a JSONL file of completions.")
    parser.add_argument("input", type=Path, help='rows {"id", "problem": {"domain", "reference", ...}, "completion"}')
    parser.add_argument("output", type=Path, nargs="?", help="rows of verdicts; an existing file is continued")
    parser.add_argument(
        "--reading",
        choices=get_args(Policy),
        default="lenient",
        help="what counts as a final answer: strict takes a marked one, lenient (default) also what running text concludes",
    )
    parser.add_argument(
        "--problems", action="append", default=[], metavar="FILE.py", help="a file of your own that defines the rows' domain"
    )
    parser.add_argument(
        "--verifier",
        type=named,
        metavar="FILE.py:NAME",
        help="a verifier of your own, or the entry point of one (reward.python)",
    )
    parser.add_argument("--completions", choices=FORMS, help="how a reward function of TRL's gets them (reward.completions)")
    parser.add_argument(
        "--check-references",
        action="store_true",
        help="list the references of INPUT that cannot be graded against, or that --verifier refuses, and grade nothing; "
        "status 1 if there are any",
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="verifier processes (default: all cores)")
    parser.add_argument("--timeout-seconds", type=float, default=5.0, help="wall time of one verdict")
    parser.add_argument("--memory-megabytes", type=int, default=2048, help="address space of a verifier process")
    parser.add_argument("--explain", action="store_true", help="print for every row what was read and which rule decided")
    return with_manner(parser, "rows by status; of --check-references the faults")


def rows_of(file: BinaryIO) -> Iterator[bytes]:
    """Yield every line of `file` that is not blank; of one that is too long, its first MAX_ROW_BYTES + 1 bytes."""
    while line := file.readline(MAX_ROW_BYTES + 1):
        rest = line
        while len(rest) > MAX_ROW_BYTES and not rest.endswith(b"\n"):
            rest = file.readline(MAX_ROW_BYTES + 1)
        if line.strip():
            yield line


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row to grade; `thinking_open` says that its prompt ended inside of a thought."""

    id: Any
    problem: Problem
    completion: str
    thinking_open: bool


def read_row(line: bytes) -> Row:
    """Return what one line holds; raises ValueError that says what is missing."""
    row = _object(line)
    problem, completion = row.get("problem"), row.get("completion")
    if not isinstance(problem, dict):
        raise ValueError("no object 'problem'")
    if not isinstance(completion, str):
        raise ValueError("no text 'completion'")
    built = _problem(row, problem)
    is_open = row.get("thinking_open", opens_thinking(built.prompt))
    if not isinstance(is_open, bool):
        raise ValueError("'thinking_open' must be true or false")
    return Row(id=row.get("id"), problem=built, completion=completion, thinking_open=is_open)


def _object(line: bytes) -> dict[str, Any]:
    if len(line) > MAX_ROW_BYTES:
        raise ValueError(f"it has more than {MAX_ROW_BYTES:,} bytes; split it, or leave out what grading does not need")
    row = json.loads(line.decode("utf-8", "replace"))
    if not isinstance(row, dict):
        raise ValueError("a row must be an object")
    return row


def _problem(row: Mapping[str, Any], problem: Mapping[str, Any]) -> Problem:
    """Return the problem of a row; raises ValueError."""
    reference, checks = problem.get("reference"), problem.get("checks") or {}
    if isinstance(reference, int | float) and not isinstance(reference, bool):
        reference = str(reference)
    if reference is not None and not isinstance(reference, str):
        raise ValueError("'problem.reference' must be text")
    if not isinstance(checks, dict):
        raise ValueError("'problem.checks' must be an object")
    return Problem(
        id=str(row.get("id")),
        domain=str(problem.get("domain", "math")),
        split=str(problem.get("split", "test")),
        prompt=str(problem.get("prompt") or ""),
        reference=reference,
        checks=checks,
        source=str(problem.get("source", "file")),
    )


def _row_id(line: bytes) -> Any:
    """Return the id of a row that cannot be graded, where it has one."""
    try:
        row = json.loads(line.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return row.get("id") if isinstance(row, dict) else None


def finished_rows(output: Path) -> int:
    """Return the number of whole rows in `output`; a row that was cut off is removed."""
    if not output.exists():
        return 0
    whole, rows = 0, 0
    with output.open("rb+") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break
            whole += len(line)
            rows += 1
        file.truncate(whole)
    return rows


def _result(row_id: Any, verdict: Verdict) -> dict[str, Any]:
    fields = asdict(verdict)
    for name in ("score", "kind"):  # the one is in the reward, the other in the detail
        del fields[name]
    return {"id": row_id, "reward": verdict.worth, **fields}


def verdicts(lines: Iterable[bytes], pool: VerifierPool, window: int, policy: Policy = "lenient") -> Iterator[dict[str, Any]]:
    """Yield one result a line, in order, with at most `window` rows in flight."""
    waiting: deque[tuple[Any, Future[Verdict] | Verdict]] = deque()
    for line in lines:
        try:
            row = read_row(line)
            reading = Reading(policy=policy, thinking_open=row.thinking_open)
            waiting.append((row.id, pool.submit(row.problem, row.completion, reading)))
        except (ValueError, RecursionError) as error:
            detail = f"the row cannot be read: {type(error).__name__}: {error}"[:200]
            waiting.append((_row_id(line), Verdict(status="error", detail=detail)))
        while len(waiting) >= window or (waiting and _is_done(waiting[0][1])):
            yield _taken(*waiting.popleft())
    while waiting:
        yield _taken(*waiting.popleft())


def _is_done(pending: Future[Verdict] | Verdict) -> bool:
    return isinstance(pending, Verdict) or pending.done()


def _taken(row_id: Any, pending: Future[Verdict] | Verdict) -> dict[str, Any]:
    return _result(row_id, pending if isinstance(pending, Verdict) else pending.result())


def grade_file(
    source: Path,
    output: Path,
    workers: int = 1,
    timeout_seconds: float = 5.0,
    memory_megabytes: int = 2048,
    explain: bool = False,
    policy: Policy = "lenient",
    own: OwnVerifier | None = None,
) -> dict[str, int]:
    """Grade `source` into `output` and return the number of rows by status; tells them too."""
    if not source.is_file():
        raise LabError(f"no file {source}")
    done = finished_rows(output)
    with source.open("rb") as file:
        total = sum(1 for _ in rows_of(file))
    if done > total:
        raise LabError(f"{output} already has {done} rows but {source} only {total}; remove it or name another file")
    counts: dict[str, int] = {}
    pool = VerifierPool(max(1, workers), timeout_seconds, memory_megabytes, own=own)
    with (
        source.open("rb") as file,
        output.open("a", encoding="utf-8") as sink,
        pool,
        Progress("grading", total, done=done) as progress,
    ):
        rows = itertools.islice(rows_of(file), done, None)
        for result in verdicts(rows, pool, WINDOW_PER_WORKER * max(1, workers), policy):
            sink.write(json.dumps(result, ensure_ascii=False).encode("utf-8", "replace").decode() + "\n")
            sink.flush()
            counts[result["status"]] = counts.get(result["status"], 0) + 1
            progress.advance()
            if explain:
                print(f"{result['id']}: {result['status']}: {result['detail']}")
    summary = ", ".join(f"{status} {count}" for status, count in sorted(counts.items())) or "nothing to do"
    found = {"output": output, "rows": total, "were_there": done, "reading": policy, "graded": counts}
    tell(found, lambda: print(f"{output}: {total} rows ({done} were there), {policy} reading: {summary}"))
    return counts


def check_references(source: Path, own: OwnVerifier | None = None, workers: int = 1) -> bool:
    """Tell which references of a file of rows cannot be graded against, or which `own` refuses; return whether none is."""
    if not source.is_file():
        raise LabError(f"no file {source}")
    with source.open("rb") as file:
        lines = list(rows_of(file))
    problems, faults = [], []
    for number, line in enumerate(lines, start=1):
        place = f"{source}:{number}"
        try:
            row = _object(line)
            asked = row.get("problem", row)  # a file of problems has no completions
            problems.append(replace(_problem(row, asked), source=place))
        except (ValueError, RecursionError, AttributeError) as error:
            reason = f"the row cannot be read: {type(error).__name__}: {error}"[:200]
            faults.append(ReferenceFault(source=place, reference=None, reason=reason))
    if own is None:
        faults += faults_of(problems)
    else:
        with VerifierPool(max(1, workers), own=own) as pool:
            faults += refused_by_own(problems, pool)
    found = {"references": len(lines), "faults": [asdict(fault) for fault in faults]}
    tell(found, lambda: print(report(faults, len(lines), by_own=own is not None)))
    return not faults
