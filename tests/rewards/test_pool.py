"""The pool of killable verifier processes, against real processes that hang, die and allocate."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest
from support_pure import gone_within, number_problem

from problems.types import Problem
from rewards.own import OwnVerifier
from rewards.pool import VerifierPool, collect

HOSTILE = "hostile_worker"
PROBLEM = number_problem(domain="hostile", reference="")


def children() -> set[int]:
    own = str(os.getpid())
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[1] == own:
            found.add(int(stat.parent.name))
    return found


def hostile_pool(timeout_seconds: float = 5.0, workers: int = 1, memory_megabytes: int = 2048) -> VerifierPool:
    return VerifierPool(workers, timeout_seconds, memory_megabytes, module=HOSTILE)


def test_two_thousand_verdicts_come_back_in_order_and_right() -> None:
    problem = number_problem("7")
    items: list[tuple[Problem, str]] = [(problem, f"\\boxed{{{i % 10}}}") for i in range(2000)]
    with VerifierPool(workers=2) as pool:
        verdicts = pool.grade(items)
    assert [v.extracted for v in verdicts] == [str(i % 10) for i in range(2000)]
    assert sum(v.status == "correct" for v in verdicts) == 200
    assert pool.restarts == 0


@pytest.mark.slow
def test_a_hanging_item_times_out_while_the_others_go_on() -> None:
    with hostile_pool(timeout_seconds=3.0, workers=2) as pool:
        verdicts = pool.grade([(PROBLEM, text) for text in ("say a", "sleep 600", "say b", "spin", "say c")])
    assert [v.status for v in verdicts] == ["correct", "timeout", "correct", "timeout", "correct"]
    assert [v.detail for v in verdicts if v.status == "correct"] == ["a", "b", "c"]
    assert 3.0 <= verdicts[1].seconds < 60  # the start of an interpreter may be part of it
    assert pool.restarts == 2


def test_the_start_of_a_replaced_worker_does_not_lengthen_the_time_limit() -> None:
    started = time.monotonic()
    with hostile_pool(timeout_seconds=0.3) as pool:
        verdicts = pool.grade([(PROBLEM, "sleep 600")] * 3)
    assert [v.status for v in verdicts] == ["timeout"] * 3
    assert time.monotonic() - started < 60  # 3 x 0.3 s and four interpreters; three times the allowance for a start is 90 s


def test_a_worker_that_stops_reading_times_out_also_when_the_request_does_not_fit_the_pipe() -> None:
    with VerifierPool(timeout_seconds=0.3, module="silent_worker") as pool:
        future = pool.submit(PROBLEM, "x" * 1_000_000)
        assert future.result(timeout=60).status == "timeout"


def test_a_memory_bomb_is_the_answers_fault_and_the_worker_lives_on() -> None:
    with hostile_pool(memory_megabytes=512) as pool:
        bomb, after = pool.grade([(PROBLEM, f"allocate {2**33}"), (PROBLEM, "say fine")])
    assert (bomb.status, bomb.detail) == ("timeout", "MemoryError while checking")
    assert after.status == "correct"
    assert pool.restarts == 0


def test_an_answer_that_kills_its_worker_twice_is_blamed() -> None:
    with hostile_pool() as pool:
        killer, after = pool.grade([(PROBLEM, "die"), (PROBLEM, "say fine")])
    assert killer.status == "timeout"
    assert "died twice (exit status -9)" in killer.detail
    assert after.status == "correct"


def test_a_worker_that_died_once_does_not_cost_an_innocent_answer(tmp_path: Path) -> None:
    with hostile_pool() as pool:
        verdict = pool.grade([(PROBLEM, f"die-once {tmp_path / 'died'}")])[0]
    assert verdict.status == "correct"
    assert pool.restarts == 1


def test_a_worker_killed_from_outside_while_idle_is_replaced() -> None:
    with hostile_pool() as pool:
        first = int(pool.grade([(PROBLEM, "pid")])[0].detail)
        os.kill(first, signal.SIGKILL)
        verdict = pool.grade([(PROBLEM, "pid")])[0]
    assert verdict.status == "correct"
    assert int(verdict.detail) != first


def test_signals_meant_for_the_trainer_do_not_end_a_worker() -> None:
    with hostile_pool() as pool:
        pid = int(pool.grade([(PROBLEM, "pid")])[0].detail)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(pid, number)
        assert pool.grade([(PROBLEM, "pid")])[0].detail == str(pid)


def test_a_grader_that_raises_is_an_error_and_not_a_wrong_answer() -> None:
    with hostile_pool() as pool:
        verdict = pool.grade([(PROBLEM, "raise oh")])[0]
    assert (verdict.status, verdict.detail) == ("error", "ZeroDivisionError: oh")


def test_what_a_verifier_prints_is_not_taken_for_its_verdict() -> None:
    with hostile_pool() as pool:
        assert [v.status for v in pool.grade([(PROBLEM, "print"), (PROBLEM, "say x")])] == ["wrong", "correct"]


def test_a_worker_that_cannot_start_is_an_error_for_every_item() -> None:
    with VerifierPool(module="no_such_module_here") as pool:
        verdicts = pool.grade([(PROBLEM, str(number)) for number in range(200)])
    assert {v.status for v in verdicts} == {"error"}
    assert "did not start" in verdicts[0].detail
    assert "do not start" in verdicts[-1].detail
    assert pool.restarts == 3  # no process for each of the 200


def test_what_has_not_begun_by_the_deadline_is_an_error(tmp_path: Path) -> None:
    with hostile_pool(timeout_seconds=60.0) as pool:
        assert pool.grade([(PROBLEM, "say ready")])[0].status == "correct"
        texts = ("say a", f"wait-for {tmp_path / 'go'}", "say b", "say c")
        verdicts = pool.grade([(PROBLEM, text) for text in texts], deadline_seconds=3.0)
        (tmp_path / "go").touch()
        assert [v.status for v in verdicts] == ["correct", "error", "error", "error"]
        assert ["ended" in v.detail for v in verdicts[1:]] == [True, False, False]
        assert ["began" in v.detail for v in verdicts[1:]] == [False, True, True]
        assert pool.grade([(PROBLEM, "say next batch")])[0].status == "correct"


def test_nothing_is_left_after_close_not_even_what_a_verifier_started(tmp_path: Path) -> None:
    before = children()
    with hostile_pool(workers=2) as pool:
        futures = [pool.submit(PROBLEM, text) for text in (f"child {tmp_path / 'pid'}", "say a", "say b")]
        assert [v.status for v in collect(futures)] == ["timeout", "correct", "correct"]
        assert len(children() - before) == 2
    assert children() <= before
    assert gone_within(int((tmp_path / "pid").read_text()), 60)
    with pytest.raises(RuntimeError, match="closed"):
        pool.submit(PROBLEM, "say late")


def test_workers_end_when_the_trainer_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys, time; sys.path[:0] = ['tests/support']\n"
        "from support_pure import number_problem\nfrom rewards.pool import VerifierPool\n"
        "pool = VerifierPool(module='hostile_worker')\n"
        "print(pool.grade([(number_problem(domain='hostile'), 'pid')])[0].detail, flush=True)\n"
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    from support_pure import run_python

    assert gone_within(int(run_python("-c", script).stdout), 60)


def test_several_threads_may_ask_one_pool() -> None:
    answers: dict[int, list[str]] = {}

    def ask(caller: int) -> None:
        answers[caller] = [v.detail for v in pool.grade([(PROBLEM, f"say {caller}-{i}") for i in range(50)])]

    with hostile_pool(workers=2) as pool:
        threads = [threading.Thread(target=ask, args=(caller,)) for caller in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == {caller: [f"{caller}-{i}" for i in range(50)] for caller in range(4)}


def test_a_completion_of_300_kilobytes_arrives_whole() -> None:
    text = "\u00e9\n" * 150_000  # 300,000 characters: more than a pipe holds, not ASCII, and with line ends
    with hostile_pool() as pool:
        assert pool.grade([(PROBLEM, f"length {text}")])[0].detail == "300000"


def test_a_verifier_of_ones_own_may_take_seconds_and_so_may_one_that_runs_programs(tmp_path: Path) -> None:
    chain, code = (
        Problem(id="a", domain=domain, split="train", prompt="", reference="1", source="a") for domain in ("chain", "code")
    )
    with VerifierPool(0) as pool:
        assert not pool.is_slow(chain)
        assert pool.is_slow(code)
    (tmp_path / "mine.py").write_text("def verify(problem, completion, reading):\n    return 1.0\n")
    with VerifierPool(0, own=OwnVerifier(python=f"{tmp_path}/mine.py:verify")) as pool:
        assert pool.is_slow(chain)
