"""`reasonlab launch`: what it says it would run, what it refuses, and a real training that is killed and goes on."""

import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from forks import HANGS_SECONDS
from support import environment, forked, rows

from launch.cli import main
from launch.nodes.attempts import Launch, again, shared_out
from launch.nodes.hosts import Host, HostError
from launch.nodes.slurm import job_script
from rl.settings.loading import load_config
from rl.settings.schema import RunConfig

TINY = ["model.path=somewhere", "run.name=a", "problems=[{domain: chain, terms: [2, 3]}]", "algorithm.num_problems=4"]


def dry_run(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert main(["launch", *words, *TINY, "--dry-run"]) == 0
    return capsys.readouterr().out.splitlines()


def test_a_dry_run_prints_the_commands_and_runs_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_API_KEY", "secret-key")
    (tmp_path / "hosts").write_text("127.0.0.1 slots=2\n10.255.255.1 slots=2\n")
    lines = dry_run(capsys, "--hostfile", "hosts", "--nodes", "2", "--gpus", "1", "--master-addr", "10.0.0.9", "--resume")
    first, second = (shlex.split(lines[place]) for place in (1, 3))
    assert first[: first.index("127.0.0.1")] == second[: second.index("10.255.255.1")]  # ssh with the same options
    there = shlex.split(second[-1])
    assert there[:4] == ["cd", str(tmp_path), "&&", "exec"]
    assert "--node_rank=1" in there
    assert "--master_addr=10.0.0.9" in there
    assert there[there.index("rl.train") + 1 :] == [*TINY, "--resume"]
    assert "WANDB_API_KEY" in lines[0]
    assert "secret-key" not in "".join(lines)
    assert not (tmp_path / "runs").exists()


def test_on_this_machine_there_is_no_ssh(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    [_, line] = dry_run(capsys, "--gpus", "2")
    words = shlex.split(line)
    assert words[:3] == [sys.executable, "-m", "launch.nodes.agent"]
    assert "--master_addr=127.0.0.1" in words


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--nodes", "2"], "several machines need --hostfile"),
        (["--gpus", "3"], "cannot be split evenly over 3 ranks"),
        (["--no-ssh", "--hostfile", "hosts"], "needs --node-rank"),
        (["--no-ssh", "--hostfile", "hosts", "--node-rank", "1"], "there are 1 hosts, counted from 0"),
        (["--no-ssh", "--hostfile", "two", "--node-rank", "1", "--restarts", "1"], "start all of them again with --resume"),
        (["--hostfile", "none"], "hostfile none cannot be read"),
        (["--slurm", "--hostfile", "hosts"], "leave out --hostfile"),
        (["--slurm", "--sbatch=--time=1\n#SBATCH"], "cannot stand in the job script"),
        (["--resum"], "unknown key 'resum'"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SLURM_NODEID", raising=False)
    (tmp_path / "hosts").write_text("localhost slots=4\n")
    (tmp_path / "two").write_text("alpha slots=2\nbeta slots=2\n")
    assert main(["launch", *words, *TINY, "--dry-run"]) == 2
    assert said in capsys.readouterr().err


def test_the_job_script_is_one_that_bash_reads_and_holds_what_was_asked(tmp_path: Path) -> None:
    script = job_script(
        name="a run",
        folder=tmp_path,
        grace_seconds=25,
        nodes=2,
        gpus=8,
        gpus_are_asked_for=True,
        sbatch=["--time=4:00:00", "--nodes=3"],
        python_path="/x y",
        arguments=["--config", "a b.yaml", "problems=[{domain: chain}]"],
    )
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    asked = [line.split()[1] for line in script.splitlines() if line.startswith("#SBATCH")]
    assert {"--job-name=a-run", "--gpus-per-node=8", "--requeue", "--signal=B:USR1@120", "--time=4:00:00", "--nodes=3"} <= set(
        asked
    )
    assert "--nodes=2" not in asked  # what the user says stands above
    assert "export PYTHONPATH='/x y'" in script
    assert shlex.split(next(line for line in script.splitlines() if line.strip().startswith("srun")))[5:9] == [
        "launch", "--config", "a b.yaml", "problems=[{domain: chain}]"
    ]  # fmt: skip


_SRUN = """#!/bin/bash
echo "$*" >> {here}/starts
[ ! -e {here}/near ] || until [ -e {here}/asked ]; do kill -USR1 $PPID; /bin/sleep 0.05; done
[ ! -e {here}/told ] || cp {here}/told {here}/a/STOP
codes=({codes})
exit "${{codes[$(($(wc -l < {here}/starts) - 1))]}}"
"""


# when the job script hears of its time limit it asks whether srun is still there: it is, or ends before the answer
_SRUN_GOES_ON = 'kill() {{ builtin kill "$@"; local status=$?; touch {here}/asked; return $status; }}\n'
# or it hears of it before it has written down which process srun is
_AT_ONCE = """trap '[[ $BASH_COMMAND != ranks=* ]] || builtin kill -USR1 $$' DEBUG\n""" + _SRUN_GOES_ON
_SRUN_ENDS = 'kill() {{ touch {here}/asked; while builtin kill "$@"; do :; done; return 1; }}\n'


def ended_job(here: Path, codes: str, restarts: int = 0, before: str = "", **variables: str) -> "tuple[int, str, list[bool]]":
    """Run the job script in Slurm's place; `codes`: the exit statuses of its `srun`, one after another.

    before: what bash is told before the script.

    Returns the job's exit status, what it said, and of each start whether it was a resume.
    """
    programs = here / "bin"
    programs.mkdir(exist_ok=True)
    for name, text in (
        ("srun", _SRUN.format(here=here, codes=codes)),
        ("scontrol", f"#!/bin/sh\necho $* >> {here}/scontrol\n"),
        ("sleep", "#!/bin/sh\n"),
    ):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    (here / "starts").unlink(missing_ok=True)
    script = job_script(
        name="a", folder=here, grace_seconds=25, nodes=2, gpus=1, gpus_are_asked_for=False, sbatch=[], python_path=None,
        arguments=["a.yaml"], restarts=restarts,
    )  # fmt: skip
    given = {"SLURM_JOB_ID": "7", "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", **variables}
    done = subprocess.run(
        ["bash"], input=before.format(here=here) + script, env=given, capture_output=True, text=True, check=False
    )
    starts = (here / "starts").read_text().splitlines() if (here / "starts").exists() else []
    return done.returncode, done.stdout + done.stderr, [line.endswith("--no-ssh --resume") for line in starts]


@pytest.mark.parametrize(
    ("codes", "stop", "code", "resumes"),
    [
        ("1 75 0", None, 0, [False, True, True]),
        ("1 1 1", None, 1, [False, True, True]),  # as often as was asked for
        ("2", None, 2, [False]),
        ("75", "", 75, [False]),  # `touch STOP`
        ("75 0", "rank 1: SIGTERM\n", 0, [False, True]),  # what the ranks tell each other
    ],
)
def test_a_job_starts_all_its_machines_again_together(
    codes: str, stop: str | None, code: int, resumes: list[bool], tmp_path: Path
) -> None:
    if stop is not None:
        (tmp_path / "told").write_text(stop)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "STOP").touch()  # of an earlier start, which says nothing now
    assert ended_job(tmp_path, codes, restarts=2)[::2] == (code, resumes)


@pytest.mark.parametrize("before", [_SRUN_GOES_ON, _SRUN_ENDS, _AT_ONCE], ids=["srun goes on", "srun ends", "at once"])
@pytest.mark.parametrize(("code", "is_requeued"), [(75, True), (1, True), (143, True), (0, False), (2, False), (130, False)])
def test_near_its_time_limit_a_job_is_requeued_unless_nothing_is_left_to_do(
    code: int, is_requeued: bool, before: str, tmp_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "near").touch()
    assert ended_job(tmp_path, str(code), restarts=2, before=before)[::2] == (code, [False])
    assert ("requeue 7" in (tmp_path / "scontrol").read_text().splitlines()) is is_requeued


def test_a_job_that_brings_no_checkpoint_is_not_requeued_for_ever(tmp_path: Path) -> None:
    def start(job: str = "7") -> int:
        code, said, starts = ended_job(tmp_path, "75", SLURM_JOB_ID=job, SLURM_RESTART_COUNT="1")
        assert starts == ([True] if code == 75 else [])
        assert ("started 4 times without a new checkpoint" in said) == (code == 1), said
        return code

    assert [start() for _ in range(3)] == [75] * 3
    (tmp_path / "a" / "checkpoints" / "step-000001").mkdir(parents=True)
    (tmp_path / "a" / "checkpoints" / "step-000001" / "manifest.json").write_text("{}")
    assert [start() for _ in range(6)] == [75, 75, 75, 75, 1, 1]
    assert start("8") == 75  # submitted anew


def test_without_its_first_machine_a_run_meets_elsewhere() -> None:
    config = load_config(RunConfig, [], TINY).config
    hosts = [Host(name="nobody.invalid", devices=(0,)), Host(name="localhost", devices=(0,))]
    chosen = Launch(config=config, arguments=[], hosts=hosts, environment={}, address="10.0.0.9")
    left = again(chosen)
    assert (left.hosts, left.address, left.resume) == ([hosts[1]], None, True)
    assert again(replace(left, address="10.0.0.8")).address == "10.0.0.8"  # nothing is lost any more


def test_machines_that_cannot_share_the_problems_are_left_out() -> None:
    config = load_config(RunConfig, [], [*TINY, "algorithm.num_problems=32"]).config
    hosts = [Host(name=name, devices=tuple(range(8))) for name in "abc"]
    chosen = Launch(config=config, arguments=[], hosts=hosts, environment={})
    assert shared_out(chosen, hosts) == (hosts[:2], hosts[2:])  # 32 problems over 16 ranks, not over 24
    with pytest.raises(HostError, match="32 problems a step cannot be shared by the hosts that are left"):
        shared_out(chosen, [Host(name="d", devices=tuple(range(5)))])


@pytest.mark.slow
def test_a_killed_rank_is_started_again_and_the_run_is_the_same(imitator: Path, tmp_path: Path) -> None:
    (tmp_path / "nothing.yaml").write_text("{}\n")
    settings = [
        f"model.path={imitator}", "problems=[{domain: chain, terms: [2, 3]}]", "sampling.max_completion_tokens=24",
        "algorithm={num_problems: 4, group_size: 8, max_sampling_rounds: 1}", "optimizer.learning_rate=1e-3",
        "train={steps: 20, self_check: false}", "checkpoint.every_steps=1", "evaluation.every_steps=0",
        "reward={workers: 1, timeout_seconds: 60}",
    ]  # fmt: skip
    undisturbed = forked("train", "run.name=undisturbed", *settings, cwd=tmp_path)
    assert undisturbed.returncode == 0, undisturbed.stderr
    words = [sys.executable, "-m", "launch.cli", "launch", "nothing.yaml", "run.name=killed", *settings, "--restarts=1"]
    metrics = tmp_path / "runs" / "killed" / "metrics.jsonl"
    with subprocess.Popen(words, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True) as going:
        while not metrics.exists() or metrics.read_bytes().count(b"\n") < 2:
            assert going.poll() is None, going.communicate()
            time.sleep(0.02)
        os.kill(rank_of(going.pid), signal.SIGKILL)
        _, said = going.communicate(timeout=HANGS_SECONDS)
    assert going.returncode == 0, said
    assert "was ended by SIGKILL" in said
    assert "starting again on 1 ranks; 0 more times" in said
    assert rows(metrics) == rows(tmp_path / "runs" / "undisturbed" / "metrics.jsonl")


def rank_of(front: int) -> int:
    """Return the rank's process: below the front process are the agent, DeepSpeed's launcher, the rank."""
    pid = front
    for _ in range(3):
        pid = int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
    return pid
