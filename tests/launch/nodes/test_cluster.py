"""Real hosts (network namespaces, an sshd in each) and a real Slurm: `make test-cluster`, as root, about five minutes.

Wherever a run was interrupted, its metrics must be those of an undisturbed one, byte for byte.
"""

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
from typing import Any

import one_slurm
import pytest
import two_hosts
from rank_in_place import WAIT, rank_in_place
from support import environment, launch, rows

from launch.nodes.attempts import Launch, write_pdsh_files
from launch.nodes.commands import AGENT, NodeCommand, Work, over_pdsh, over_ssh, ssh_words
from launch.nodes.hosts import answers, read_hostfile
from launch.nodes.slurm import job_script
from launch.nodes.supervisor import Supervisor

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif("REASONLAB_CLUSTER" not in os.environ, reason="takes minutes and root: make test-cluster"),
]
STEPS = 6
Start = Callable[..., "subprocess.Popen[str]"]


def settings(model: Path, name: str, steps: int = STEPS) -> list[str]:
    return [
        f"run.name={name}", f"model.path={model}", "problems=[{domain: chain, terms: [2, 3]}]",
        "sampling.max_completion_tokens=24", "algorithm={num_problems: 4, group_size: 8, max_sampling_rounds: 1}",
        "optimizer.learning_rate=1e-3", f"train={{steps: {steps}, self_check: false}}", "checkpoint.every_steps=1",
        "evaluation.every_steps=0", "reward.workers=1",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, imitator: Path) -> Path:
    """A directory to run in, with the metrics of an undisturbed run of two ranks."""
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "nothing.yaml").write_text("{}\n")
    done = launch(2, "rl.train", *settings(imitator, "undisturbed"), cwd=folder)
    assert done.returncode == 0, done.stderr
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


def wait_for_steps(home: Path, name: str, steps: int, going: "subprocess.Popen[str] | None" = None) -> None:
    deadline = time.monotonic() + 600
    while metrics(home, name).count(b"\n") < steps:
        assert going is None or going.poll() is None, going.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


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
    said, _ = going.communicate(timeout=120)
    assert going.returncode == 75, said
    assert [hosts.ranks(name) for name in hosts.names] == [[], []]
    assert json.loads((home / "runs/stopped/status.json").read_text())["status"] == "preempted"
    again = start("stopped", "--hostfile", hosts.hostfile(), "--resume")
    said, _ = again.communicate(timeout=600)
    assert again.returncode == 0, said
    assert metrics(home, "stopped") == metrics(home, "undisturbed")


def test_after_a_killed_rank_it_starts_again_by_itself(start: Start, home: Path, hosts: two_hosts.TwoHosts) -> None:
    going = start("killed", "--hostfile", hosts.hostfile(), "--restarts", 1)
    wait_for_steps(home, "killed", 3, going)
    os.kill(hosts.ranks("beta")[0], signal.SIGKILL)
    said, _ = going.communicate(timeout=600)
    assert going.returncode == 0, said
    assert "starting again on 2 ranks; 0 more times" in said
    assert metrics(home, "killed") == metrics(home, "undisturbed")


def test_a_host_that_is_lost_is_left_out(start: Start, home: Path, hosts: two_hosts.TwoHosts) -> None:
    going = start("lost", "--hostfile", hosts.hostfile(), "--restarts", 1)
    wait_for_steps(home, "lost", 2, going)
    hosts.kill("beta")
    said, _ = going.communicate(timeout=600)
    assert "no connection to beta (any more)" in said
    assert "beta does not answer: going on without" in said
    assert "starting again on 1 ranks" in said
    assert "world_size 2 then, 1 now" in said
    assert going.returncode == 0, said
    # with half of the ranks it is the same run up to rounding
    assert [row["step"] for row in rows(home / "runs/lost/metrics.jsonl")] == list(range(1, STEPS + 1))


def test_each_host_may_start_its_own_share(start: Start, home: Path, hosts: two_hosts.TwoHosts) -> None:
    flags = ["--hostfile", hosts.hostfile(), "--no-ssh", "--node-rank"]
    started = [
        start("shares", *flags, place, before=("ip", "netns", "exec", hosts.namespace(name)))
        for place, name in enumerate(hosts.names)
    ]
    for one in started:
        said, _ = one.communicate(timeout=600)
        assert one.returncode == 0, said
    assert metrics(home, "shares") == metrics(home, "undisturbed")


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
        done = subprocess.run(words, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=300, check=False)
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
    assert "`ssh beta` must work" in found["host beta"]["to_do"]


TASK = """#!/bin/bash
echo "start $*" >> {said}
while [ "$1" != --hostfile ]; do shift; done
cat "$2" >> {said}
trap 'echo told >> {said}; sleep 1; exit 75' TERM
for second in $(seq 120); do [ "${{SLURM_RESTART_COUNT:-0}}" -lt 2 ] || exit 0; sleep 1; done
"""


def test_the_job_script_requeues_at_the_time_limit_and_resumes(tmp_path: Path) -> None:
    if why := one_slurm.why_not():
        pytest.skip(why)
    task, said = tmp_path / "task", tmp_path / "said"
    task.write_text(TASK.format(said=said))
    task.chmod(0o755)
    # no limit but the one that Slurm enforces twice a minute
    options = ["--gpus-per-node=0", "--time=60", "--signal=B:USR1@600"]
    script = job_script(
        name="job",
        folder=tmp_path,
        grace_seconds=0,
        nodes=1,
        gpus=2,
        gpus_are_asked_for=True,
        sbatch=options,
        python_path=None,
        arguments=["a.yaml"],
    )
    (tmp_path / "script").write_text(script.replace(f"{sys.executable} -m launch.cli", str(task)))
    with one_slurm.one_slurm(tmp_path) as slurm:
        job = slurm.ask("sbatch", str(tmp_path / "script")).split()[-1]

        def wait_for(line: str, times: int) -> None:
            deadline = time.monotonic() + 150
            while not said.exists() or said.read_text().count(line) < times:
                assert time.monotonic() < deadline, slurm.logs()
                time.sleep(0.2)

        wait_for("slots=2", 1)
        slurm.ask("scontrol", "requeue", job)
        wait_for("slots=2", 2)
        slurm.ask("scontrol", "update", f"JobId={job}", "TimeLimit=3")
        wait_for("start", 3)
        deadline = time.monotonic() + 60
        while slurm.state(job)["JobState"] != "COMPLETED":
            assert time.monotonic() < deadline, slurm.logs()
            time.sleep(0.2)
    starts = [line for line in said.read_text().splitlines() if line.startswith("start")]
    assert [line.endswith("--no-ssh --resume") for line in starts] == [False, True, True]
    assert said.read_text().count("told") == 2
    assert not list(tmp_path.glob("job.hosts.*"))


def test_a_slurm_job_outlives_a_requeue_and_a_time_limit(home: Path, imitator: Path, tmp_path: Path) -> None:
    if why := one_slurm.why_not():
        pytest.skip(why)
    steps = 80  # Slurm looks at time limits twice a minute
    done = launch(2, "rl.train", *settings(imitator, "no-job", steps), cwd=home)
    assert done.returncode == 0, done.stderr
    with one_slurm.one_slurm(tmp_path) as slurm:
        options = "--gpus-per-node=0 --time=60 --signal=B:USR1@600"
        words = ["launch", "nothing.yaml", *settings(imitator, "job", steps), "--slurm", "--gpus", "2", f"--sbatch={options}"]
        done = subprocess.run(
            [sys.executable, "-m", "launch.cli", *words], cwd=home, env=environment(**slurm.variables),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        job = done.stdout.split()[-1]
        log = home / "runs" / f"job-{job}.log"
        wait_for_steps(home, "job", 2)
        slurm.ask("scontrol", "requeue", job)
        before = metrics(home, "job").count(b"\n")
        wait_for_steps(home, "job", before + 4)
        hours, minutes, _ = slurm.state(job)["RunTime"].split(":")
        slurm.ask("scontrol", "update", f"JobId={job}", f"TimeLimit={60 * int(hours) + int(minutes) + 2}")
        deadline = time.monotonic() + 600
        while (state := slurm.state(job))["JobState"] not in ("COMPLETED", "FAILED", "TIMEOUT", "CANCELLED"):
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(1)
        assert (state["JobState"], state["Restarts"]) == ("COMPLETED", "2"), log.read_text() + slurm.logs()
    assert metrics(home, "job") == metrics(home, "no-job")
    assert not list((home / "runs").glob("*.hosts.*"))
