"""Ranks leave in order: they all end, soon, with a status that says why, and nothing stays behind."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from functools import partial
from pathlib import Path

import pytest
from forks import Fork
from support import REPOSITORY, environment, free_port, launcher, run_command

pytestmark = pytest.mark.slow
SUPPORT = REPOSITORY / "tests" / "support"
MARK = "REASONLAB_TEST_RUN"  # in the environment of everything that a test starts, so that orphans are found
SECONDS_TO_END = 25  # the launcher alone would take 30 a rank
SECONDS_TO_START = 120


@pytest.fixture
def marked():
    """The environment of a program whose processes can be told from all others."""
    return environment(PYTHONPATH=f"{REPOSITORY}:{SUPPORT}", **{MARK: uuid.uuid4().hex})


def running(marked: dict[str, str]) -> list[int]:
    """Return the processes that were started with this environment and are still there."""
    wanted = f"{MARK}={marked[MARK]}".encode()
    processes = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (directory / "environ").read_bytes().split(b"\0"):
                processes.append(int(directory.name))
        except OSError:  # ended in the meantime, or another user's
            continue
    return processes


def is_asleep(process: int) -> bool:
    """Whether the main thread of a process sleeps, and goes on sleeping for a while: it is in a wait outside of Python."""
    status = Path(f"/proc/{process}/task/{process}/status")
    before = status.read_text()
    time.sleep(1)
    return "State:\tS" in before and before == status.read_text()  # the counts of its switches are in there too


def wait_until(condition, what: str) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {SECONDS_TO_START} s"
        time.sleep(0.05)


def wait_for_end(marked: dict[str, str]) -> float:
    """Return the seconds until nothing of the run is left; fails, and cleans up, after SECONDS_TO_END."""
    started = time.monotonic()
    while left := running(marked):
        if time.monotonic() - started > SECONDS_TO_END:
            for process in left:
                os.kill(process, signal.SIGKILL)
            pytest.fail(f"{len(left)} processes are still there after {SECONDS_TO_END} s")
        time.sleep(0.05)
    return time.monotonic() - started


def status_of(run: Path) -> dict[str, object]:
    status: dict[str, object] = json.loads((run / "status.json").read_text())
    return status


def test_two_ranks_start_and_end_well_over_every_zero_stage(tmp_path) -> None:
    done = run_command([sys.executable, str(SUPPORT / "starts_and_ends.py"), "--times", "8"], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 of 8 starts ended well" in done.stdout


def test_an_error_in_one_rank_ends_the_other_that_waits_for_it(tmp_path, marked) -> None:
    port = free_port()
    ranks = []
    for rank in ("0", "1"):
        about = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2", "LOCAL_SIZE": "2"}
        about |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        ranks.append(Fork("ending_worker", ["fail", tmp_path], tmp_path, marked | about))
    wait_until((tmp_path / "ready-1").exists, "rank 1 is ready")
    complaints = [process.completed(timeout=SECONDS_TO_END).stderr for process in ranks]
    # 2: what its user can act on; 1: the other only sees that the connection is gone
    assert [process.returncode for process in ranks] == [1, 2], complaints
    # in words of its own too: `clearly` leaves it to the first rank of a machine, which has not seen this fault
    assert "error on rank 1: rank 1 has had enough\n" in complaints[1]
    assert "error on rank" not in complaints[0]
    status = status_of(tmp_path / "run")
    assert (status["status"], status["rank"]) == ("failed", 1)
    assert "rank 1 has had enough" in str(status["error"])  # the cause, not what followed from it


def test_ctrl_c_ends_ranks_that_wait_in_a_collective(tmp_path, marked) -> None:
    program = [*launcher(2, "ending_worker"), "wait", tmp_path]
    with (tmp_path / "errors").open("w") as errors:
        process = subprocess.Popen(program, cwd=tmp_path, env=marked, stderr=errors, start_new_session=True)
    ready = [tmp_path / f"ready-{rank}" for rank in (0, 1)]
    wait_until(lambda: all(file.exists() for file in ready), "both ranks are ready")
    for file in ready:  # they say so on their way to the wait, where Python would still hear of the signal
        wait_until(partial(is_asleep, int(file.read_text())), f"{file.name} waits")
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    wait_for_end(marked)
    assert process.wait() != 0
    # both were stuck; the end of the first may have let the other go
    assert "ended with exit status 130" in (tmp_path / "errors").read_text()
    assert status_of(tmp_path / "run")["status"] == "preempted"


def test_ctrl_c_ends_a_training_that_samples_with_its_verifiers(tmp_path, marked, random_model) -> None:
    settings = [
        f"model.path={random_model}",
        "problems=[{domain: chain, terms: [2, 3]}]",
        f"run.dir={tmp_path}",
        "run.name=run",
        "sampling.max_completion_tokens=90",
        "algorithm={num_problems: 64, group_size: 16}",
        "train={steps: 1000, threads: 1, self_check: false}",
    ]
    process = subprocess.Popen(
        [*launcher(2, "rl.train"), *settings], cwd=tmp_path, env=marked, stderr=subprocess.DEVNULL, start_new_session=True
    )
    wait_until((tmp_path / "run" / "metrics.jsonl").exists, "the first step is done")
    os.killpg(process.pid, signal.SIGINT)
    wait_for_end(marked)
    assert process.wait() != 0
    assert status_of(tmp_path / "run")["status"] == "preempted"
