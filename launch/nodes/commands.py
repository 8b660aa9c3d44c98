"""The exact command that is run for each machine: `reasonlab launch --dry-run` prints these, and nothing else is run."""

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from launch.nodes.agent import PATIENCE, PATIENCE_SECONDS, SILENCE
from launch.nodes.hosts import LOCAL, Host, world_info
from launch.nodes.travelling import in_double_quotes

AGENT = "launch.nodes.agent"
SILENCE_SECONDS = 60.0  # ssh notices a cut within 40, and a run that is started again takes a while to need the GPUs
TRAINING = "rl.train"  # a module that the launcher tells its --local_rank


@dataclass(frozen=True, kw_only=True)
class NodeCommand:
    """What is run here for the sake of a machine, and what its agent is told to add to the environment."""

    host: str
    words: list[str]
    environment: dict[str, str] = field(default_factory=dict, repr=False)  # may hold secrets
    patience_seconds: float = PATIENCE_SECONDS  # that its agent has, once it was told to stop

    def __str__(self) -> str:
        return shlex.join(self.words)


@dataclass(frozen=True, kw_only=True)
class Work:
    """What all ranks do: a module with its arguments, and where they meet."""

    module: str
    arguments: Sequence[str]
    address: str
    port: int
    patience_seconds: float = PATIENCE_SECONDS  # for the ranks to end, once they were told to stop


def ssh_words(port: int | None) -> list[str]:
    """Return how ssh is called: it never asks anything, and notices within half a minute that a machine is gone."""
    options = ["BatchMode=yes", "ConnectTimeout=10", "ServerAliveInterval=10", "ServerAliveCountMax=3"]
    words = ["ssh", *(word for option in options for word in ("-o", option))]
    return words if port is None else [*words, "-p", str(port)]


def _agent(hosts: Sequence[Host], place: int, work: Work, *, minds_silence: bool = False) -> list[str]:
    """Return the command of one machine's agent: it runs DeepSpeed's launcher of that machine.

    minds_silence: whether it is told over a network, whose end does not always show.
    """
    launcher = [sys.executable, "-u", "-m", "deepspeed.launcher.launch", f"--world_info={world_info(hosts)}"]
    where = [f"--node_rank={place}", f"--master_addr={work.address}", f"--master_port={work.port}"]
    module = ["--log_level=warning", "--module", work.module, *work.arguments]
    silence = [f"{SILENCE}{SILENCE_SECONDS:g}"] if minds_silence else []
    return [sys.executable, "-m", AGENT, *_patience(work), *silence, *launcher, *where, *module]


def _patience(work: Work) -> list[str]:
    return [] if work.patience_seconds == PATIENCE_SECONDS else [f"{PATIENCE}{work.patience_seconds:g}"]


def over_ssh(hosts: Sequence[Host], work: Work, ssh: Sequence[str], environment: dict[str, str]) -> list[NodeCommand]:
    """Return a command a host: on this machine as it is, on others through ssh, in the same directory."""
    commands = []
    for place, host in enumerate(hosts):
        agent = _agent(hosts, place, work, minds_silence=host.name != LOCAL)
        if host.name == LOCAL:
            commands.append(NodeCommand(host=host.name, words=agent, patience_seconds=work.patience_seconds))
            continue
        # the agent reads the environment when it runs, but must be found before
        path = [f"PYTHONPATH={environment['PYTHONPATH']}"] if "PYTHONPATH" in environment else []
        there = f"cd {shlex.quote(os.getcwd())} && exec {shlex.join(['env', *path, *agent])}"
        words = [*ssh, host.name, there]
        commands.append(
            NodeCommand(host=host.name, words=words, environment=environment, patience_seconds=work.patience_seconds)
        )
    return commands


def only_here(hosts: Sequence[Host], place: int, work: Work) -> list[NodeCommand]:
    """Return the command of this machine's share alone; whoever starts the others runs the same there."""
    words = _agent(hosts, place, work)
    return [NodeCommand(host=hosts[place].name, words=words, patience_seconds=work.patience_seconds)]


def over_pdsh(hosts: Sequence[Host], work: Work, ssh_port: int | None, files: Path) -> list[NodeCommand]:
    """Return the one command that has DeepSpeed's own runner start all hosts through pdsh.

    files: a directory with `hostfile` and `deepspeed_env`, as `write_pdsh_files` makes them.
    """
    runner = [sys.executable, "-m", "deepspeed.launcher.runner", "--launcher=pdsh", "--no_ssh_check", "--force_multi"]
    where = [f"--hostfile={files / 'hostfile'}", f"--master_addr={work.address}", f"--master_port={work.port}"]
    port = [] if ssh_port is None else [f"--ssh_port={ssh_port}"]
    arguments = [_through_pdsh(word) for word in work.arguments]
    words = [sys.executable, "-m", AGENT, *_patience(work), *runner, *where, *port, "--module", work.module, *arguments]
    name = ",".join(host.name for host in hosts)
    environment = {"DS_ENV_FILE": str((files / "deepspeed_env").resolve())}
    return [NodeCommand(host=name, words=words, environment=environment, patience_seconds=work.patience_seconds)]


def _through_pdsh(word: str) -> str:
    """Return an argument so that it arrives whole.

    DeepSpeed puts those with a space between double quotes, minding no sign but the quote itself, and others as they are
    (deepspeed 0.19.8, multinode_runner.py, PDSHRunner.parse_user_args); a shell reads the result.
    """
    if " " in word:
        return in_double_quotes(word).replace('\\"', '"')
    return shlex.quote(word).replace("%", "%%")
