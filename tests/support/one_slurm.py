"""A real Slurm of one node on this machine: slurmctld, slurmd and munged with files, ports and keys of their own.

Needs root and Debian's slurmctld, slurmd, slurm-client and munge.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from support import free_port

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "sinfo", "squeue")
_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
# cred_expire: a requeued job waits for so long, two minutes by default. No cgroups: containers seldom may make any
_CONFIG = """\
ClusterName=lab
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=10
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SchedulerType=sched/builtin
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=60
SlurmctldTimeout=300
SlurmdTimeout=300
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def why_not() -> str | None:
    """Return why there can be no Slurm here, None if there can."""
    if os.geteuid() != 0:
        return "slurmd needs root"
    if missing := [name for name in PROGRAMS if shutil.which(name, path=_PATH) is None]:
        return f"no {', '.join(missing)} here (apt-get install slurmctld slurmd slurm-client munge)"
    return None


@dataclass(frozen=True)
class OneSlurm:
    """A cluster of this machine alone."""

    folder: Path

    @property
    def variables(self) -> dict[str, str]:
        """What a command needs in its environment to find it."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": _PATH}

    def ask(self, *words: str) -> str:
        """Return what one of Slurm's commands prints."""
        done = subprocess.run(words, env={**os.environ, **self.variables}, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}\n{self.logs()}"
        return done.stdout

    def state(self, job: str) -> dict[str, str]:
        """Return what `scontrol show job` says, by field."""
        return dict(word.split("=", 1) for word in self.ask("scontrol", "show", "job", job).split() if "=" in word)

    def logs(self) -> str:
        """Return the end of the daemons' logs."""
        files = sorted(self.folder.glob("*.log"))
        return "\n".join(f"{file.name}: {file.read_text(errors='replace')[-1500:]}" for file in files)


@contextmanager
def one_slurm(folder: Path) -> Iterator[OneSlurm]:
    """Yield a Slurm that takes jobs; its daemons end with the block."""
    slurm = OneSlurm(folder)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    text = _CONFIG.format(host=socket.gethostname(), controller=free_port(), node=free_port(), folder=folder)
    (folder / "slurm.conf").write_text(text)
    (folder / "munge.key").write_bytes(os.urandom(128))
    (folder / "munge.key").chmod(0o400)
    folder.chmod(0o755)
    munge = ["munged", "--foreground", "--force", f"--key-file={folder}/munge.key", f"--socket={folder}/munge.socket"]
    munge += [f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log", f"--seed-file={folder}/munge.seed"]
    with ExitStack() as closing:
        for command in (munge, ["slurmctld", "-D", "-i"], ["slurmd", "-D"]):
            program = str(shutil.which(command[0], path=_PATH))
            with (folder / f"{command[0]}.out").open("wb") as out:
                daemon = subprocess.Popen(
                    [program, *command[1:]], env={**os.environ, **slurm.variables}, stdout=out, stderr=out
                )
            closing.callback(_end, daemon)
            time.sleep(1)
        deadline = time.monotonic() + 90
        while (
            "idle"
            not in subprocess.run(
                ["sinfo", "--noheader"], env={**os.environ, **slurm.variables}, capture_output=True, text=True, check=False
            ).stdout
        ):
            assert time.monotonic() < deadline, slurm.logs()
            time.sleep(0.5)
        yield slurm


def _end(daemon: "subprocess.Popen[bytes]") -> None:
    daemon.terminate()
    try:
        daemon.wait(timeout=30)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()
