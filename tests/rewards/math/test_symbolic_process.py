"""The sympy process: it ends in its limits, is replaced, serves threads, and never outlives whoever asked."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from support_pure import ROOT, alive, gone_within, number_problem

from problems.types import Problem
from rewards.math import grade, parse
from rewards.math.symbolic.client import START_SECONDS, SYMPY, WALL_SECONDS, SympyProcess
from rewards.math.symbolic.stage import _request
from rewards.pool import VerifierPool

INTEGRAL = ("\\frac13", "\\boxed{\\int_0^1 x^2\\,dx}")
# sympy works on these for minutes
ENDLESS = [
    "\\int_0^1 \\frac{\\sin(x^x)\\ln(\\tan(x^2))}{1+\\sqrt{\\cos(x^3)}}\\,dx"
    "\\cdot\\int_0^a \\sin(\\sin(\\sin(\\sqrt{x}\\ln x)))e^{\\cos x}\\,dx",
    "\\sin(\\sin(\\sin(x^5+x)))=\\frac12",
]


def request(reference: str, answer: str, kind: str = "values") -> dict[str, object]:
    return _request(parse(reference), parse(answer), "", kind)


@pytest.mark.parametrize("seconds", [0.0, 1.5], ids=["at once", "late"])
def test_a_killed_process_is_replaced_and_the_question_asked_again(seconds: float) -> None:
    process = SympyProcess()
    assert process.ask(request("\\frac13", "\\int_0^1 x^2\\,dx")).same
    first = process.pid
    assert first is not None
    os.kill(first, signal.SIGSTOP)
    threading.Timer(seconds, os.kill, (first, signal.SIGKILL)).start()
    assert process.ask(request("\\frac14", "\\int_0^1 x^3\\,dx")).same
    assert process.pid != first
    process.close()


@pytest.mark.slow
def test_a_question_without_an_end_ends_in_its_time() -> None:
    process = SympyProcess(cpu_seconds=1, wall_seconds=4.0)
    process.ask(request("1", "\\int_0^1 x\\,dx"))
    for endless in ENDLESS:
        kind = "solutions" if "=" in endless else "values"
        started = time.monotonic()
        reply = process.ask(request(endless, "x=3" if "=" in endless else "5", kind))
        assert reply.same is not True
        assert time.monotonic() - started < 60  # 4 s are its own, the rest is for a busy machine
    process.close()
    process.cpu_seconds, process.wall_seconds = 10, 60.0  # the limits have been tried
    assert process.ask(request("\\frac14", "\\int_0^1 x^3\\,dx")).same
    process.close()


def test_a_process_that_starts_too_slowly_serves_the_next_question() -> None:
    process = SympyProcess(wall_seconds=30.0)
    process.start_seconds = 0.01
    assert process.ask(request("\\frac13", "\\int_0^1 x^2\\,dx")).rule == "SYMPY_NOT_STARTED"
    first = process.pid
    process.start_seconds = 30.0
    assert process.ask(request("\\frac13", "\\int_0^1 x^2\\,dx")).same
    assert process.pid == first
    process.close()


def test_the_trainers_signals_do_not_end_it() -> None:
    process = SympyProcess()
    process.ask(request("\\frac13", "\\int_0^1 x^2\\,dx"))
    pid = process.pid
    assert pid is not None
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(pid, number)
    assert process.ask(request("\\frac15", "\\int_0^1 x^4\\,dx")).same
    assert process.pid == pid
    process.close()
    assert not alive(pid)


def test_threads_share_one_process() -> None:
    pairs = [(str(n), f"\\boxed{{\\int_0^{{{n}}} dx}}", n) for n in range(2, 10)]
    found: dict[int, str] = {}

    def ask(reference: str, answer: str, number: int) -> None:
        found[number] = grade(reference, answer).status

    threads = [threading.Thread(target=ask, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == dict.fromkeys(range(2, 10), "correct")


@pytest.mark.slow
def test_it_ends_with_its_parent_even_while_it_works() -> None:
    script = (
        "import os, signal, threading, time\n"
        "from rewards.math.symbolic.client import SYMPY\n"
        "from rewards.math import grade\n"
        "grade('1/3', '\\\\boxed{\\\\int_0^1 x^2 dx}')\n"
        f"threading.Thread(target=grade, args=('5', {ENDLESS[0]!r}), daemon=True).start()\n"
        "time.sleep(0.3)\n"
        "print(SYMPY.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert gone_within(int(result.stdout.split()[-1]), 60.0)  # its CPU time, on a loaded machine


def test_a_forked_process_has_one_of_its_own() -> None:
    grade(*INTEGRAL)
    own = SYMPY.pid
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        status = grade("\\frac16", "\\boxed{\\int_0^1 x^5\\,dx}").status
        os.write(write, f"{status} {SYMPY.pid}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    said, pid = os.read(read, 100).decode().split()
    assert (said, SYMPY.pid) == ("correct", own)
    assert int(pid) != own
    assert gone_within(int(pid), 60.0)


def math_problem(reference: str) -> Problem:
    return number_problem(domain="math", reference=reference)


def descends_from_this_process(pid: int) -> bool:
    while pid > 1 and pid != os.getpid():
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return pid == os.getpid()


def sympy_processes() -> set[int]:
    """Return those of this test process: another may run tests beside it."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            pid = int(path.parent.name)
            if b"rewards.math.symbolic.worker" in path.read_bytes() and alive(pid) and descends_from_this_process(pid):
                found.add(pid)
        except OSError:
            continue
    return found


def test_the_pool_takes_it_along() -> None:
    before = sympy_processes()
    asked = [(math_problem("\\int_0^1 x^2\\,dx"), "\\boxed{\\frac13}")]
    with VerifierPool(timeout_seconds=60) as pool:
        # what starts too slowly for one verdict serves a later one
        assert any(pool.grade(asked)[0].status == "correct" for _ in range(30))
        started = sympy_processes() - before
        assert len(started) == 1
    assert all(gone_within(pid, 30.0) for pid in started)


# -- generated


def tower(height: int) -> str:
    return "^{".join(["9"] * height) + "}" * (height - 1)


def matrix(size: int, cell: str) -> str:
    row = "&".join(f"{cell}_{{{{{column}}}}}" for column in range(size))
    return "\\begin{pmatrix}" + "\\\\".join([row.replace("{{", "{").replace("}}", "}")] * size) + "\\end{pmatrix}"


def hostile(rng: random.Random) -> str:
    """Return a text that would take sympy very long, or much memory."""
    size = rng.randrange(3, 12)
    many = "+".join(f"x_{{{index}}}^{{{rng.randrange(2, 9)}}}" for index in range(size * 15))
    return rng.choice([
        tower(size),
        "\\int_0^1 " * size + "x^x" + "\\,dx" * size,
        "\\int " * size + "\\sin(x^x)" + "\\,dx" * size,
        "\\det" + matrix(size, "a"),
        matrix(size, "a") + "^{-1}",
        matrix(4, "a") + "^{n}",
        many + "=0",
        "\\lim_{x\\to0}" * size + "\\frac{\\sin(\\tan x)-\\tan(\\sin x)}{x^7}",
        "\\sum_{n=1}^\\infty " * size + "\\frac{1}{n^2+k^3}",
        f"(x+y+z+w)^{{{size * 15}}}-(x-y)^{{40}}=0",
        "\\sin(" * size + "x" + ")" * size + "=\\frac12",
        f"x^{{{size * 30}}}-x-1<0",
        "".join(f"|x-{index}|" for index in range(size * 3)) + "<1",
        f"\\int_0^\\infty \\frac{{x^{{{size}}}\\ln(x)^{{{size}}}}}{{(1+x^{{{size}}})^{{{size}}}}}dx",
        f"\\frac{{d^8}}{{dx^8}}\\left({'e^{' * size}x{'}' * size}\\right)",
        f"\\prod_{{k=1}}^\\infty \\left(1+\\frac{{1}}{{k^{{{size}}}}}\\right)^{{k^k}}",
        f"\\gcd(n^{{{size}}}+1, n^{{{size + 1}}}+n+{size})",
        f"{tower(4)} \\bmod {size}",
    ])  # fmt: skip


def ends_in_its_limit(count: int, seed: int) -> None:
    rng = random.Random(seed)
    process_memory = []
    for index in range(count):
        first, second = hostile(rng), rng.choice(["5", "x=3", "(0,1)", "\\frac{\\pi}{2}", hostile(rng)])
        started = time.monotonic()
        status = grade(first, f"\\boxed{{{second}}}").status
        # a pair may be two questions, each with a start
        assert time.monotonic() - started < 2 * (WALL_SECONDS + START_SECONDS) + 10, (first, second)
        assert status != "correct" or first == second, (first, second)
        if index % 50 == 49 and SYMPY.pid is not None:
            process_memory.append(int(Path(f"/proc/{SYMPY.pid}/statm").read_text().split()[1]) * 4096 // 2**20)
            assert grade(*INTEGRAL).status == "correct"
    assert all(megabytes < 600 for megabytes in process_memory)


def test_hostile_pairs_end_in_their_limit() -> None:
    ends_in_its_limit(5, seed=0)


@pytest.mark.slow
def test_many_hostile_pairs_end_in_their_limit() -> None:
    ends_in_its_limit(int(os.environ.get("REASONLAB_HOSTILE_PAIRS", "60")), seed=1)
