"""A process with peers ends soon after an error or a signal, with the status that says why, also when it is stuck in C."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support_pure import ROOT

from problems.errors import LabError
from rl.stopping import Guard, Leaving, exit_status, leave_if_told, may_be_left
from rl.tracking.disk import FailingDiskError

# hashing a billion times lets go of the GIL and looks at no signal, as a collective does that waits for a peer
STUCK = "hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)"
PYTHON = "while True: time.sleep(0.01)"
COMES_TO_A_BOUNDARY = "while guard.told is None: time.sleep(0.01)\nraise stopping.Preempted(guard.told)"
PRELUDE = """
import contextlib, hashlib, os, sys, time
os.environ.update(WORLD_SIZE="{world}", RANK="{rank}", LOCAL_SIZE="2")
from rl import stopping
stopping.GRACE_SECONDS = {grace}
guard = stopping.Guard()
with guard.telling(lambda cause: print("told", type(cause).__name__, flush=True)):
    try:
        with {within}:
            print("ready", flush=True)
            {body}
    except BaseException as error:
        guard.tell(guard.cause or error)
        guard.end_process(guard.cause or error)
        {afterwards}
        raise
"""


def start(
    body: str, afterwards: str = "pass", world: int = 2, rank: int = 1, grace: float = 2, boundary: float | None = None
) -> "subprocess.Popen[str]":
    """Start a process and return it once it does `body`; `boundary`: the seconds that it has for coming to one, if any."""
    within = "contextlib.nullcontext()" if boundary is None else f"guard.at_boundaries({boundary})"
    indented = body.replace("\n", "\n            ")
    script = PRELUDE.format(body=indented, within=within, afterwards=afterwards, world=world, rank=rank, grace=grace)
    program = [sys.executable, "-c", script]
    process = subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    begun = cpu_seconds(process)
    while body == STUCK and cpu_seconds(process) < begun + 0.1:  # on its way to the hashing it needs next to nothing
        assert process.poll() is None
        time.sleep(0.01)
    return process


def cpu_seconds(process: "subprocess.Popen[str]") -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) / os.sysconf("SC_CLK_TCK")


def ended(process: "subprocess.Popen[str]") -> tuple[int, list[str], str]:
    """Return exit status, what the listener printed and what was complained of."""
    assert process.stdout is not None
    assert process.stderr is not None
    printed, complaint = process.stdout.read(), process.stderr.read()
    return process.wait(timeout=20), printed.splitlines(), complaint


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError(), 1),
        (LabError("no"), 2),
        (FailingDiskError("now"), 1),
        (KeyboardInterrupt(), 130),
        (SystemExit(143), 143),
        (SystemExit("why"), 1),
    ],
)
def test_exit_statuses_say_what_happened(error: BaseException, status: int) -> None:
    assert exit_status(error) == status


@pytest.mark.parametrize("body", [PYTHON, STUCK], ids=["in Python", "stuck in C"])
@pytest.mark.parametrize(
    ("number", "cause", "status"), [(signal.SIGINT, "KeyboardInterrupt", 130), (signal.SIGTERM, "SystemExit", 143)]
)
def test_a_signal_ends_the_process_wherever_it_is(body: str, number: int, cause: str, status: int) -> None:
    process = start(body)
    process.send_signal(number)
    status_found, printed, _ = ended(process)
    assert status_found == status
    assert printed == [f"told {cause}"]  # once


def test_a_signal_that_follows_another_neither_interrupts_the_clean_up_nor_changes_the_status() -> None:
    process = start(PYTHON, afterwards="time.sleep(0.5); print('cleaned up', flush=True)", grace=10)
    process.send_signal(signal.SIGINT)  # Ctrl-C reaches the ranks and the launcher, and the launcher sends the ranks SIGTERM
    time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    status, printed, _ = ended(process)
    assert status == 130
    assert printed == ["told KeyboardInterrupt", "cleaned up"]


def test_ctrl_c_is_the_cause_though_the_sigterm_of_the_launcher_comes_first() -> None:
    process = start(STUCK, grace=30)
    process.send_signal(signal.SIGTERM)
    for _ in range(2):  # the second: it need not wait for the grace to pass
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
    status, printed, _ = ended(process)
    assert status == 130
    assert printed == ["told KeyboardInterrupt"]


def test_an_error_ends_the_process_though_its_clean_up_hangs() -> None:
    process = start("raise ValueError", afterwards=STUCK)
    status, printed, complaint = ended(process)
    assert status == 1
    assert printed == ["told ValueError"]
    assert "rank 1 was still waiting" in complaint


def test_an_error_is_reported_whole_and_the_teardown_of_the_interpreter_left_out() -> None:
    torn_down = "import atexit; atexit.register(print, 'torn down')"  # before the guard's: it would run after it
    process = start(f"{torn_down}; raise ValueError", afterwards="print('last words, not flushed')", grace=20)
    status, printed, complaint = ended(process)
    assert status == 1
    assert printed == ["told ValueError", "last words, not flushed"]
    assert "ValueError" in complaint


def test_a_process_without_peers_takes_its_time_until_ctrl_c_comes_again() -> None:
    process = start(PYTHON, afterwards=STUCK, world=1, grace=0.1)
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    assert process.stdout.readline() == "told KeyboardInterrupt\n"
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=1)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 130


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 75), (signal.SIGUSR1, 75), (signal.SIGINT, 130)])
def test_where_there_are_boundaries_a_signal_ends_the_process_at_one(number: int, status: int) -> None:
    process = start(COMES_TO_A_BOUNDARY, boundary=20)
    process.send_signal(number)
    assert ended(process)[:2] == (status, ["told Preempted"])


def test_behind_its_boundary_a_run_may_take_longer_than_it_had_for_coming_there() -> None:
    # trackers upload then; status.json says before that how the run has ended
    process = start(COMES_TO_A_BOUNDARY, afterwards="time.sleep(5)", grace=20, boundary=3)
    process.send_signal(signal.SIGTERM)
    assert ended(process)[:2] == (75, ["told Preempted"])


@pytest.mark.parametrize("body", [PYTHON, STUCK], ids=["in Python", "stuck in C"])
def test_without_a_boundary_in_time_it_ends_where_it_is(body: str) -> None:
    process = start(body, boundary=0.3)
    process.send_signal(signal.SIGTERM)
    assert ended(process)[:2] == (143, ["told SystemExit"])


def test_ctrl_c_again_waits_for_no_boundary() -> None:
    process = start(STUCK, rank=0, boundary=60)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert process.stderr.readline().startswith("told to stop (SIGINT)")  # which rank 0 says
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.5)
    process.send_signal(signal.SIGINT)
    assert ended(process)[:2] == (130, ["told KeyboardInterrupt"])


def test_work_that_may_be_left_is_left_in_its_own_thread_alone() -> None:
    guard = Guard()
    with guard.at_boundaries(60):
        guard.ask("a reason")
        leave_if_told()  # what may not be left goes on
        with may_be_left():
            with pytest.raises(Leaving, match="a reason"):
                leave_if_told()
            with ThreadPoolExecutor(1) as beside:
                beside.submit(leave_if_told).result()
    guard.close()
