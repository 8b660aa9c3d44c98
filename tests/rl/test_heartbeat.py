"""A rank that gets nowhere is named with what it does; whoever waits is told for whom; the file STOP is heard and written."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support_pure import ROOT

from rl.heartbeat import Heart, Now, clear, doing, exchanging, read_beat, wall_clock
from rl.stopping import Guard
from rl.tracking.run_directory import RunDirectory, RunDirectoryError, write_atomic
from rl.tracking.standing import standing_in_words, this_process

STALL = 0.2  # seconds


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def said(run: Path) -> list[str]:
    """Return what was said of stalls, without the time of each line; N s for all seconds, which pass meanwhile."""
    file = run / "stalls.log"
    lines = [line.split(" ", 1)[1] for line in file.read_text().splitlines()] if file.exists() else []
    return [re.sub(r"\d+ s\b", "N s", line) for line in lines]


def beat_of(run: Path, rank: int, phase: str, exchanges: int, age: float = 0.0) -> None:
    """Write what another rank would have written."""
    record = {"rank": rank, "time": wall_clock() - age, "phase": phase, "seconds": 120.0, "exchanges": exchanges}
    (run / "ranks" / "new").write_text(json.dumps(record))
    os.replace(run / "ranks" / "new", run / "ranks" / f"rank-{rank}.json")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    clear(tmp_path)
    return tmp_path


@pytest.fixture
def guard() -> Iterator[Guard]:
    made = Guard()
    yield made
    made.close()


def test_a_phase_without_progress_is_named_with_what_is_known_and_where_it_stands(run: Path) -> None:
    left = 3
    with Heart(run, 1, 2, STALL), doing("waiting for verdicts", lambda: f"{left} of 512 verdicts are out"):
        wait_for(lambda: bool(said(run)))
        left = 2  # it goes on
        wait_for(lambda: any("goes on" in line for line in said(run)))
    first = said(run)[0].replace(" and got nowhere in the last N s", "")  # where it was looked at late
    assert first.startswith("rank 1 has been waiting for verdicts for N s, 3 of 512 verdicts are out; its threads stand in")
    assert "test_a_phase_without_progress" in (run / "ranks" / "rank-1.stacks").read_text()


def test_work_that_is_counted_is_no_stall(run: Path) -> None:
    heart = Heart(run, 0, 1, 60)  # its beats are called here, so that there is one behind each piece of work
    with doing("sampling"):
        for _ in range(5):
            Now.marks += 1
            heart._changed -= 100  # seconds pass
            heart._beat()
    assert said(run) == []


def test_a_rank_that_waits_says_for_whom(run: Path) -> None:
    beat_of(run, 1, "sampling", Now.exchanges)  # one less than this rank is going to
    beat_of(run, 2, "exchange", Now.exchanges + 1)  # it is there
    beat_of(run, 3, "updating", Now.exchanges, age=50)
    with Heart(run, 0, 4, STALL), exchanging():
        wait_for(lambda: bool(said(run)))
    assert said(run)[0] == (
        "rank 0 has waited N s for rank 1, which has been sampling for N s, "
        "rank 3, which has given no sign of life for N s (it was updating)"
    )


def test_of_ranks_that_wait_the_first_speaks(run: Path) -> None:
    beat_of(run, 0, "exchange", Now.exchanges + 1)
    with Heart(run, 1, 2, STALL), exchanging():
        wait_for((run / "ranks" / "rank-1.stacks").exists)
        time.sleep(STALL)
    assert said(run) == []


def test_a_clock_that_was_set_back_makes_nobody_seem_to_live(run: Path) -> None:
    beat_of(run, 0, "exchange", Now.exchanges + 1, age=-3600)  # it would speak, if it were there
    beat_of(run, 2, "updating", Now.exchanges, age=-3600)
    beat_of(run, 3, "sampling", Now.exchanges, age=-2)  # of a machine whose clock is a little ahead
    with Heart(run, 1, 4, STALL), exchanging():
        wait_for(lambda: bool(said(run)))
    assert said(run)[0] == (
        "rank 1 has waited N s for rank 2, which has given no sign of life since the clock was set back (it was updating), "
        "rank 3, which has been sampling for N s"
    )


def test_an_exchange_that_breaks_off_names_who_did_not_come(run: Path) -> None:
    beat_of(run, 1, "saving", Now.exchanges)  # one less than this rank is going to
    expected = r"^Timed out; this rank waited for rank 1, which has been saving for \d+ s$"
    with Heart(run, 0, 2, 60), pytest.raises(RuntimeError, match=expected), exchanging():
        raise RuntimeError("Timed out")


def test_what_is_done_beside_the_main_work_says_nothing(run: Path) -> None:
    from threading import Thread

    def beside() -> None:
        with doing("something else"):
            seen.append(Now.phase.name)

    seen: list[str] = []
    with Heart(run, 0, 1, 60), doing("updating"):
        thread = Thread(target=beside)
        thread.start()
        thread.join()
    assert seen == ["updating"]


def test_the_file_stop_asks_a_run_that_has_boundaries(run: Path, guard: Guard) -> None:
    (run / "STOP").write_text("maintenance at noon\n")
    with Heart(run, 0, 1, STALL):
        time.sleep(STALL)
        assert guard.told is None  # there are no boundaries
        with guard.at_boundaries(60):
            wait_for(lambda: guard.told is not None)
    assert guard.told is not None
    assert (guard.told.reason, guard.told.status) == ("STOP: maintenance at noon", 75)


def test_a_rank_that_was_told_writes_the_file_for_the_others(run: Path, guard: Guard) -> None:
    with guard.at_boundaries(60), Heart(run, 3, 4, STALL):
        guard.ask("SIGTERM")
        wait_for((run / "STOP").exists)
    assert (run / "STOP").read_text() == "rank 3: SIGTERM\n"
    clear(run)
    assert not (run / "STOP").exists()


def test_ranks_of_another_start_have_no_say_in_this_one(run: Path, guard: Guard) -> None:
    (run / "STOP").write_text("rank 1: SIGTERM (start aaaa)\n")
    with guard.at_boundaries(60), Heart(run, 0, 2, STALL, "bbbb"):
        wait_for(lambda: not (run / "STOP").exists())
        assert guard.told is None
        write_atomic(run / "STOP", "rank 1: SIGTERM (start bbbb)\n")
        wait_for(lambda: guard.told is not None)
    assert guard.told is not None
    assert guard.told.reason == "rank 1: SIGTERM"


def _status(run: Path, **changes: object) -> None:
    record = {"status": "running", **this_process(), "time": "2020-01-01T00:00:00Z", **changes}
    (run / "status.json").write_text(json.dumps(record))


def test_a_run_says_running_while_its_process_is_there_and_killed_when_it_is_gone(run: Path) -> None:
    assert standing_in_words(run) == "unknown"
    _status(run)
    assert standing_in_words(run) == "running"
    _status(run, process=f"{this_process()['process'].split()[0]} 1")  # another process of the same number
    assert standing_in_words(run) == "was killed at about 2020-01-01T00:00:00Z"
    _status(run, status="failed", process=None)
    assert standing_in_words(run) == "failed"


def test_on_another_machine_the_heartbeat_tells(run: Path) -> None:
    _status(run, host=f"not-{socket.gethostname()}")
    assert standing_in_words(run) == "running"  # nobody knows better
    beat_of(run, 0, "sampling", 1, age=5)
    assert standing_in_words(run) == "running"
    beat_of(run, 0, "sampling", 1, age=500)
    of_beat = read_beat(run, 0)
    assert of_beat is not None
    last = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(of_beat["time"]))
    assert standing_in_words(run) == f"was killed at about {last}"


def test_a_killed_run_is_gone_on_with_though_the_clock_was_set_back_since(run: Path) -> None:
    _status(run, process=f"{this_process()['process'].split()[0]} 1", time="2090-01-01T00:00:00Z")
    beat_of(run, 0, "sampling", 1, age=-3600)
    assert standing_in_words(run) == "was killed at about 2090-01-01T00:00:00Z"
    RunDirectory.create(run, "a: 1\n", resume=True)
    assert standing_in_words(run) == "running"


def test_a_run_that_another_process_is_at_work_on_is_left_alone(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = subprocess.Popen(["sleep", "60"])
    fields = Path(f"/proc/{other.pid}/stat").read_text().rpartition(")")[2].split()
    _status(run, pid=other.pid, process=f"{os.readlink('/proc/self/ns/pid')} {fields[19]}")
    with pytest.raises(RunDirectoryError, match=rf"is being worked on by process {other.pid}"):
        RunDirectory.create(run, "a: 1\n", resume=True)
    other.kill()
    other.wait()
    RunDirectory.create(run, "a: 1\n", resume=True)
    assert f"{run} was killed at about 2020" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_whose_heart_beats_on_another_machine_is_left_alone(run: Path) -> None:
    _status(run, pid=7, host=f"not-{socket.gethostname()}")
    beat_of(run, 0, "sampling", 1, age=500)  # by its clock; what counts is that it changes
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(0.2):
            beat_of(run, 0, "sampling", 1, age=500)

    heart = threading.Thread(target=beat)
    heart.start()
    try:
        with pytest.raises(RunDirectoryError, match=rf"is being worked on by process 7 of not-{socket.gethostname()}"):
            RunDirectory.create(run, "a: 1\n", resume=True)
    finally:
        ended.set()
        heart.join()
    RunDirectory.create(run, "a: 1\n", resume=True)  # it beats no more


def test_how_a_start_ends_is_not_said_of_a_run_that_another_has_taken_over(run: Path) -> None:
    old = RunDirectory.create(run, "a: 1\n")
    new = RunDirectory.create(run, "a: 1\n", resume=True)
    assert old.start != new.start
    assert not old.set_failure(ValueError("the machines do not answer"))
    refused = RunDirectory(run)  # another rank of a start that was refused, which knows of none
    assert not refused.set_failure(SystemExit(143))
    assert standing_in_words(run) == "running"
    assert new.set_failure(ValueError("it was this one"))
    assert standing_in_words(run) == "failed"


LEFT_BEHIND = """
import sys, time
from pathlib import Path
from rl.heartbeat import Heart
with Heart(Path(sys.argv[1]), 1, 2, 60.0, "the old one"):
    print("ready", flush=True)
    time.sleep(60)
"""


def test_a_rank_that_was_given_up_for_lost_ends_where_its_run_goes_on_without_it(run: Path) -> None:
    _status(run, start="the old one")
    rank = subprocess.Popen(
        [sys.executable, "-c", LEFT_BEHIND, str(run)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert rank.stdout is not None
    assert rank.stdout.readline() == b"ready\n"
    wait_for((run / "ranks" / "rank-1.json").exists)
    assert rank.poll() is None
    new = RunDirectory.create(run, "a: 1\n", resume=True)
    _, complaint = rank.communicate(timeout=30)
    assert rank.returncode == 75
    assert f"rank 1 ends: {run} is being worked on by another start of the run" in complaint.decode()
    assert (standing_in_words(run), json.loads((run / "status.json").read_text())["start"]) == ("running", new.start)
