"""An attempt as a whole: real agents, and programs in the ranks' place that do what ranks do; no torch."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rank_in_place import FINISH, WAIT, rank_in_place
from support_pure import ROOT, gone_within

from launch.nodes import supervisor as supervisor_module
from launch.nodes.commands import AGENT, SILENCE_SECONDS, NodeCommand
from launch.nodes.outcome import Outcome
from launch.nodes.supervisor import Supervisor


def command(run: Path, name: str, body: str, **environment: str) -> NodeCommand:
    words = [sys.executable, "-m", AGENT, *rank_in_place(run, name, body)]
    return NodeCommand(host=name, words=words, environment=environment)


def attempt(run: Path, *commands: NodeCommand, supervisor: Supervisor | None = None) -> Outcome:
    return (supervisor or Supervisor()).attempt(commands, run)


def told(run: Path) -> list[str]:
    return (run / "told").read_text().split("\n")[:-1]


@pytest.fixture(autouse=True)
def where_the_agent_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture(autouse=True)
def signals_that_nobody_ignores() -> Iterator[None]:
    """As at a terminal: in the background, or under nohup, the tests inherit SIGINT and SIGHUP ignored."""
    old = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in old.items():
        signal.signal(number, handler)


def test_a_run_that_finishes_is_finished_and_gets_its_environment(tmp_path: Path) -> None:
    body = f"open(run + '/secret', 'w').write(os.environ['SECRET']); {FINISH}"
    outcome = attempt(tmp_path, command(tmp_path, "a", body, SECRET="s$1 '"))
    assert outcome == Outcome(code=0, words="finished")
    assert (tmp_path / "secret").read_text() == "s$1 '"


def test_a_status_that_an_earlier_attempt_has_left_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "status.json").write_text(json.dumps({"status": "failed", "error": "ValueError: long ago"}))
    silent = NodeCommand(host="a", words=[sys.executable, "-m", AGENT, sys.executable, "-c", "raise SystemExit(1)"])
    assert attempt(tmp_path, silent) == Outcome(code=1, words="failed on a with exit status 1")


def test_where_one_machine_fails_the_others_are_told_to_stop(tmp_path: Path) -> None:
    fails = "\nwhile not os.path.exists(run + '/ready-b'): time.sleep(0.01)\nos._exit(2)"
    outcome = attempt(tmp_path, command(tmp_path, "a", fails), command(tmp_path, "b", WAIT))
    assert outcome.code == 2
    assert told(tmp_path) == [f"b {int(signal.SIGTERM)}"]


def _after_ready(run: Path, name: str, supervisor: Supervisor, *numbers: int) -> threading.Thread:
    """Send this process signals, one after another, once the rank is ready; to be joined while the supervisor listens."""

    def send() -> None:
        while not (run / f"ready-{name}").exists():
            time.sleep(0.02)
        for number in numbers:
            os.kill(os.getpid(), number)
            while supervisor.told is None:  # two of a kind that come before one is heard are one
                time.sleep(0.02)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("number", "passed_on", "code"),
    [(signal.SIGTERM, signal.SIGTERM, 75), (signal.SIGINT, signal.SIGINT, 130), (signal.SIGHUP, signal.SIGTERM, 75)],
)
def test_a_signal_is_passed_on_and_the_exit_status_says_which(tmp_path: Path, number: int, passed_on: int, code: int) -> None:
    supervisor = Supervisor()
    with supervisor.listening():
        thread = _after_ready(tmp_path, "a", supervisor, number)
        outcome = attempt(tmp_path, command(tmp_path, "a", WAIT), supervisor=supervisor)
        thread.join()
    assert outcome.code == code
    assert told(tmp_path) == [f"a {int(passed_on)}"]
    assert supervisor.told == number


def test_the_same_signal_again_means_now(tmp_path: Path) -> None:
    deaf = f"signal.signal(signal.SIGINT, signal.SIG_IGN); open(run + '/ready-deaf', 'w'); {WAIT}"
    supervisor = Supervisor()
    with supervisor.listening():
        thread = _after_ready(tmp_path, "deaf", supervisor, signal.SIGINT, signal.SIGINT)
        outcome = attempt(tmp_path, command(tmp_path, "a", deaf), supervisor=supervisor)
        thread.join()
    assert outcome.code == 130


def agent_at_work(folder: Path, *options: str) -> "subprocess.Popen[bytes]":
    """Start an agent as its supervisor does, and wait for its rank."""
    words = [sys.executable, "-m", AGENT, *options, *rank_in_place(folder, "a", WAIT)]
    agent = subprocess.Popen(words, stdin=subprocess.PIPE, cwd=ROOT)
    assert agent.stdin is not None
    agent.stdin.write(b"{}\n")
    deadline = time.monotonic() + 120
    while not (folder / "ready-a").exists():
        assert time.monotonic() < deadline
        agent.stdin.write(b"\n")
        agent.stdin.flush()
        time.sleep(0.02)
    return agent


def test_ranks_that_nobody_watches_over_any_more_are_told_to_stop(tmp_path: Path) -> None:
    # what an agent sees when its supervisor is killed or the connection is gone: the end of its stdin
    agent = agent_at_work(tmp_path)
    assert agent.stdin is not None
    agent.stdin.close()
    assert agent.wait(timeout=120) == 128 + signal.SIGTERM
    assert told(tmp_path) == [f"a {int(signal.SIGTERM)}"]


@pytest.mark.slow
def test_ranks_behind_a_connection_that_was_cut_are_told_to_stop(tmp_path: Path) -> None:
    # no end of stdin comes through: only that the supervisor, which speaks every few seconds, is not heard any more
    agent = agent_at_work(tmp_path, "--silence=20")
    assert agent.stdin is not None
    for _ in range(3):
        time.sleep(1)
        last = time.monotonic()
        agent.stdin.write(b"\n")
        agent.stdin.flush()
    assert agent.wait(timeout=120) == 128 + signal.SIGTERM
    assert time.monotonic() - last >= 20  # each line has it count anew
    assert told(tmp_path) == [f"a {int(signal.SIGTERM)}"]
    agent.stdin.close()


@pytest.mark.slow
def test_a_supervisor_speaks_often_enough_for_an_agent_that_minds_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert supervisor_module._GREET_SECONDS < SILENCE_SECONDS / 4
    monkeypatch.setattr(supervisor_module, "_GREET_SECONDS", 0.5)
    takes_longer = f"time.sleep(23)\n{FINISH}"
    words = [sys.executable, "-m", AGENT, "--silence=20", *rank_in_place(tmp_path, "a", takes_longer)]
    assert attempt(tmp_path, NodeCommand(host="a", words=words)) == Outcome(code=0, words="finished")


@pytest.mark.skipif(sys.platform != "linux", reason="other kernels do not tell a process that its parent is gone")
def test_ranks_whose_agent_is_killed_are_told_to_stop(tmp_path: Path) -> None:
    agent = agent_at_work(tmp_path)
    assert agent.stdin is not None
    agent.kill()
    assert agent.wait(timeout=120) == -signal.SIGKILL
    agent.stdin.close()
    deadline = time.monotonic() + 120
    while not (tmp_path / "told").exists() or not told(tmp_path):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert told(tmp_path) == [f"a {int(signal.SIGTERM)}"]


def test_what_the_command_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    body = f"""
if os.fork() == 0:
    open(run + '/.left', 'w').write(str(os.getpid()))
    os.replace(run + '/.left', run + '/left')
    {WAIT}
while not os.path.exists(run + '/left'): time.sleep(0.01)
{FINISH}"""
    assert attempt(tmp_path, command(tmp_path, "a", body)).code == 0
    left = int((tmp_path / "left").read_text())
    assert gone_within(left, 30)  # by itself it ends later
