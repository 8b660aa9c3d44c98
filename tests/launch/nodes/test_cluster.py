"""Real hosts (network namespaces, an sshd in each) and a real Slurm: `make test-cluster`, as root, about ten minutes.

Wherever a run was interrupted, its metrics must be those of an undisturbed one, byte for byte.
"""

import gzip
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import one_slurm
import pytest
import two_hosts
from rank_in_place import WAIT, rank_in_place
from support import environment, forked_ranks, rows

from launch.nodes.attempts import Launch, write_pdsh_files
from launch.nodes.commands import AGENT, NodeCommand, Work, over_pdsh, over_ssh, ssh_words
from launch.nodes.hosts import answers, read_hostfile
from launch.nodes.supervisor import Supervisor
from rl.heartbeat import read_status

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif("REASONLAB_CLUSTER" not in os.environ, reason="takes minutes and root: make test-cluster"),
]
STEPS = 6
LIMIT = 1200  # seconds, of what hangs: nothing else takes so long, however busy the machine is
T = TypeVar("T")
Start = Callable[..., "subprocess.Popen[str]"]


def settings(model: Path, name: str, steps: int = STEPS) -> list[str]:
    return [
        f"run.name={name}", f"model.path={model}", "problems=[{domain: chain, terms: [2, 3]}]",
        "sampling.max_completion_tokens=24", "algorithm={num_problems: 4, group_size: 8, max_sampling_rounds: 1}",
        "optimizer.learning_rate=1e-3", f"train={{steps: {steps}, threads: 1, self_check: false}}", "checkpoint.every_steps=1",
        "evaluation.every_steps=0", "reward.workers=1",
    ]  # fmt: skip


def undisturbed(model: Path, home: Path, name: str, steps: int) -> None:
    for done in forked_ranks(2, "rl.train", *settings(model, name, steps), cwd=home):
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, imitator: Path) -> Path:
    """A directory to run in, with the metrics of an undisturbed run of two ranks."""
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "nothing.yaml").write_text("{}\n")
    undisturbed(imitator, folder, "undisturbed", STEPS)
    assert any(row["grad_norm"] > 0 for row in rows(folder / "runs/undisturbed/metrics.jsonl"))
    return folder


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[two_hosts.TwoHosts]:
    if why := two_hosts.why_not():
        pytest.skip(why)
    with two_hosts.two_hosts(tmp_path) as made:
        yield made


@pytest.fixture
def start(home: Path, imitator: Path, hosts: two_hosts.TwoHosts) -> Start:
    def starting(name: str, *flags: Any, before: tuple[str, ...] = ()) -> "subprocess.Popen[str]":
        words = [
            *before,
            sys.executable,
            "-m",
            "launch.cli",
            "launch",
            "nothing.yaml",
            *settings(imitator, name),
            *map(str, flags),
        ]
        variables = environment(**hosts.variables)
        return subprocess.Popen(words, cwd=home, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    return starting


def metrics(home: Path, name: str) -> bytes:
    file = home / "runs" / name / "metrics.jsonl"
    return file.read_bytes() if file.exists() else b""


def samples(home: Path, name: str) -> list[Any]:
    """Every completion of a run in order, with its problem, reward and advantage: a list a step."""
    files = sorted((home / "runs" / name / "rollouts").glob("step-*.jsonl.gz"))
    return [[json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()] for file in files]


def wait_for(happens: Callable[[], T | None], going: "subprocess.Popen[str] | None" = None) -> T:
    deadline = time.monotonic() + LIMIT
    while not (found := happens()):
        assert going is None or going.poll() is None, going.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def wait_for_steps(home: Path, name: str, steps: int, going: "subprocess.Popen[str] | None" = None) -> None:
    wait_for(lambda: metrics(home, name).count(b"\n") >= steps, going)


def went_on_with_half_the_ranks(home: Path, name: str) -> None:
    """It is the same run up to rounding: no problem is repeated or left out, and the completions are the same."""
    found, expected = (rows(home / "runs" / run / "metrics.jsonl") for run in (name, "undisturbed"))
    assert [row["step"] for row in found] == list(range(1, STEPS + 1))
    assert samples(home, name) == samples(home, "undisturbed")
    assert [row["loss"] for row in found] == pytest.approx([row["loss"] for row in expected], rel=1e-3, abs=1e-6)


def over_real_ssh(hosts: two_hosts.TwoHosts, run: Path) -> list[NodeCommand]:
    """Return what `over_ssh` does, with a program in the ranks' place that needs no libraries."""
    ssh = [str(hosts.folder / "bin" / "ssh"), *ssh_words(None)[1:]]
    found = {"PYTHONPATH": environment()["PYTHONPATH"]}
    work = Work(module="rl.train", arguments=[], address="127.0.0.1", port=29500)
    commands = over_ssh(read_hostfile(hosts.hostfile()), work, ssh, found)
    return [
        replace(
            one,
            words=[
                *one.words[:-1],
                f"{one.words[-1].partition(AGENT)[0]}{AGENT} {shlex.join(rank_in_place(run, one.host, WAIT))}",
            ],
        )
        for one in commands
    ]


@pytest.mark.parametrize("lost", [False, True], ids=["told to stop", "a host is lost"])
def test_over_ssh_every_rank_hears_and_a_lost_host_is_known(hosts: two_hosts.TwoHosts, tmp_path: Path, lost: bool) -> None:
    run = tmp_path / "run"
    run.mkdir()

    def interrupt() -> None:
        while not all((run / f"ready-{name}").exists() for name in hosts.names):
            time.sleep(0.05)
        if lost:
            hosts.kill("beta")
        else:
            os.kill(os.getpid(), signal.SIGTERM)

    supervisor, thread = Supervisor(), threading.Thread(target=interrupt)
    with supervisor.listening():
        thread.start()
        outcome = supervisor.attempt(over_real_ssh(hosts, run), run)
    thread.join()
    told = sorted((run / "told").read_text().split("\n")[:-1])
    assert outcome.code == 75
    if lost:
        assert outcome.words.startswith("no connection to beta (any more)")
        assert told == ["alpha 15"]
        ssh = [str(hosts.folder / "bin" / "ssh"), *ssh_words(None)[1:]]
        assert [answers(host, ssh) for host in read_hostfile(hosts.hostfile())] == [True, False]
    else:
        assert told == ["alpha 15", "beta 15"]
    assert not hosts.running("launch.nodes.agent")


def test_told_to_stop_it_ends_everywhere_with_75_and_goes_on(start: Start, home: Path, hosts: two_hosts.TwoHosts) -> None:
    going = start("stopped", "--hostfile", hosts.hostfile())
    wait_for_steps(home, "stopped", 2, going)
    assert [len(hosts.ranks(name)) for name in hosts.names] == [1, 1]
    going.send_signal(signal.SIGTERM)
    said, _ = going.communicate(timeout=LIMIT)
    assert going.returncode == 75, said
    assert [hosts.ranks(name) for name in hosts.names] == [[], []]
    assert json.loads((home / "runs/stopped/status.json").read_text())["status"] == "preempted"
    again = start("stopped", "--hostfile", hosts.hostfile(), "--resume")
    said, _ = again.communicate(timeout=LIMIT)
    assert again.returncode == 0, said
    assert metrics(home, "stopped") == metrics(home, "undisturbed")


def test_a_killed_rank_is_started_again_and_a_lost_host_left_out(start: Start, home: Path, hosts: two_hosts.TwoHosts) -> None:
    going = start("lost", "--hostfile", hosts.hostfile(), "--restarts", 2)
    wait_for_steps(home, "lost", 1, going)
    [killed] = hosts.ranks("beta")
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: hosts.ranks("beta") not in ([], [killed]), going)
    wait_for_steps(home, "lost", 3, going)
    assert metrics(home, "undisturbed").startswith(metrics(home, "lost"))
    hosts.kill("beta")
    said, _ = going.communicate(timeout=LIMIT)
    assert going.returncode == 0, said
    told = ["starting again on 2 ranks; 1 more times", "no connection to beta (any more)", "beta does not answer: going on",
            "starting again on 1 ranks; 0 more times", "world_size 2 then, 1 now"]  # fmt: skip
    assert [words for words in told if words not in said] == [], said
    went_on_with_half_the_ranks(home, "lost")


def test_a_host_behind_a_cut_network_is_left_out_and_its_ranks_end(start: Start, home: Path, hosts: two_hosts.TwoHosts) -> None:
    going = start("cut", "--hostfile", hosts.hostfile(), "--restarts", 1)
    wait_for_steps(home, "cut", 2, going)
    assert len(hosts.ranks("beta")) == 1
    hosts.cut("beta")
    wait_for(lambda: hosts.ranks("beta") == [])  # nobody can tell them, and they would wait for an hour
    said, _ = going.communicate(timeout=LIMIT)
    assert going.returncode == 0, said
    told = ["no connection to beta (any more)", "beta does not answer: going on", "starting again on 1 ranks; 0 more times"]
    assert [words for words in told if words not in said] == [], said
    went_on_with_half_the_ranks(home, "cut")
    status = json.loads((home / "runs/cut/status.json").read_text())
    assert status["status"] == "finished"
    wait_for(lambda: not hosts.running("launch.nodes.agent"))


def test_each_host_may_start_its_own_share_and_one_may_go_on_alone(start: Start, home: Path, hosts: two_hosts.TwoHosts) -> None:
    def share(place: int, *flags: Any) -> "subprocess.Popen[str]":
        there = ("ip", "netns", "exec", hosts.namespace(hosts.names[place]))
        return start("shares", "--hostfile", hosts.hostfile(), "--no-ssh", "--node-rank", place, *flags, before=there)

    first, second = share(0), share(1)
    wait_for_steps(home, "shares", 3, first)
    hosts.kill("beta")
    for one in (first, second):
        said, _ = one.communicate(timeout=LIMIT)
        assert one.returncode != 0, said
    assert metrics(home, "undisturbed").startswith(metrics(home, "shares"))
    left = share(0, "--nodes", 1, "--resume")
    said, _ = left.communicate(timeout=LIMIT)
    assert left.returncode == 0, said
    went_on_with_half_the_ranks(home, "shares")


def test_through_pdsh_every_argument_and_variable_arrives_whole(
    hosts: two_hosts.TwoHosts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if subprocess.run(["which", "pdsh"], capture_output=True, check=False).returncode:
        pytest.skip("no pdsh here (apt-get install pdsh)")
    note = '50% of $HOME `id` "quoted" \\ back %h #x = y'
    arguments = [
        "problems=[{domain: chain, terms: [2, 3]}]",
        "x={a:1,b:2}",
        "run.name=100%h",
        'a="$HOME" b\\c',
        "q='s'",
        "*",
        "",
    ]
    (tmp_path / "echo.py").write_text(
        "import json, os, sys\nprint('ARRIVED' + json.dumps([sys.argv[2:], os.environ['WANDB_NOTES']]))\n"
    )
    variables = environment(**hosts.variables, WANDB_NOTES=note)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{variables['PYTHONPATH']}")
    asked: Any = None  # of a launch only hosts and environment are read here
    chosen = Launch(
        config=asked,
        arguments=[],
        hosts=read_hostfile(hosts.hostfile()),
        environment={**variables, **os.environ, "WANDB_NOTES": note},
    )
    write_pdsh_files(tmp_path, chosen)
    work = Work(module="echo", arguments=arguments, address="127.0.0.1", port=29500)
    [command] = over_pdsh(chosen.hosts, work, None, tmp_path)
    with subprocess.Popen(
        command.words,
        env={**variables, "PYTHONPATH": os.environ["PYTHONPATH"]},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as going:
        assert going.stdin is not None
        assert going.stdout is not None
        going.stdin.write(json.dumps(command.environment) + "\n")
        going.stdin.flush()
        said = going.stdout.read()
    arrived = [json.loads(line.split("ARRIVED")[1]) for line in said.splitlines() if "ARRIVED" in line]
    assert arrived == [[arguments, note]] * 2


def test_the_doctor_measures_the_hosts_and_names_one_that_does_not_answer(hosts: two_hosts.TwoHosts, tmp_path: Path) -> None:
    def doctor() -> "tuple[int, dict[str, dict[str, str]]]":
        words = [sys.executable, "-m", "launch.cli", "doctor", "--json", "--hostfile", str(hosts.hostfile())]
        variables = environment(**hosts.variables)
        done = subprocess.run(words, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=LIMIT, check=False)
        return done.returncode, {one["about"]: one for one in json.loads(done.stdout)["findings"]}

    code, found = doctor()
    assert code == 0, found
    assert found["host beta"]["level"] == "ok"
    assert found["all-reduce"]["found"].startswith("2 ranks over gloo: 16 MiB in ")
    hosts.kill("beta")
    code, found = doctor()
    assert code == 1
    assert found["host alpha"]["level"] == "ok"
    assert (found["host beta"]["level"], found["all-reduce"]["level"]) == ("failure", "failure")
    assert found["host beta"]["to_do"].startswith("no sshd answers there: start it")


def test_a_slurm_job_outlives_a_requeue_and_a_time_limit(home: Path, imitator: Path, tmp_path: Path) -> None:
    if why := one_slurm.why_not():
        pytest.skip(why)
    steps, run = 20, home / "runs" / "job"
    undisturbed(imitator, home, "no-job", steps)
    with one_slurm.one_slurm(tmp_path) as slurm:
        options = "--gpus-per-node=0 --time=60 --signal=B:USR1@600"
        words = ["launch", "nothing.yaml", *settings(imitator, "job", steps), "--slurm", "--gpus", "2", f"--sbatch={options}"]
        done = subprocess.run(
            [sys.executable, "-m", "launch.cli", *words], cwd=home, env=environment(**slurm.variables),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        job = done.stdout.split()[-1]

        def works_on_step(step: int, before: int | None = None) -> int | None:
            """The process of rank 0, where it is another than before and has come so far."""
            status = read_status(run) or {}
            is_at_work = status.get("status") == "running" and status["pid"] != before
            return status["pid"] if is_at_work and metrics(home, "job").count(b"\n") > step else None

        first = wait_for(lambda: works_on_step(2))
        slurm.ask("scontrol", "requeue", job)
        second = wait_for(lambda: works_on_step(4, first))
        os.kill(second, signal.SIGSTOP)  # until Slurm has looked at the time limit, which it does twice a minute
        hours, minutes, _ = slurm.state(job)["RunTime"].split(":")
        slurm.ask("scontrol", "update", f"JobId={job}", f"TimeLimit={60 * int(hours) + int(minutes) + 2}")
        wait_for((run / "STOP").exists)
        slurm.ask("scontrol", "update", f"JobId={job}", "TimeLimit=60")  # which the next start would have, too
        os.kill(second, signal.SIGCONT)
        wait_for(lambda: slurm.state(job)["JobState"] in ("COMPLETED", "FAILED", "TIMEOUT", "CANCELLED"))
        state, log = slurm.state(job), (home / "runs" / f"job-{job}.log").read_text()
        assert (state["JobState"], state["Restarts"]) == ("COMPLETED", "2"), log + slurm.logs()
    assert len(rows(run / "resumes.jsonl")) == 2
    assert metrics(home, "job") == metrics(home, "no-job")
