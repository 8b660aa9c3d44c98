"""A run from its first start to its end: what is to be started, by which way, and starting again where that is asked for.

Started again is what may go better: a run that was told to stop by anybody but this process, a machine or a process that was
lost, an error. Not what only its user can mend (exit status 2), nor what the user or the scheduler stopped through this
process or by the file STOP. From the second start on the run goes on from its newest whole checkpoint, on the machines that
still answer.
"""

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from launch.nodes.agent import PATIENCE_SECONDS
from launch.nodes.commands import TRAINING, NodeCommand, Work, only_here, over_pdsh, over_ssh, ssh_words
from launch.nodes.hosts import LOCAL, Host, HostError, answers, free_port, meeting_address, num_ranks, this_machine
from launch.nodes.outcome import AGAIN, FINISHED, TO_MEND, Outcome, code_when_told
from launch.nodes.supervisor import Supervisor, say
from launch.nodes.travelling import deepspeed_env, travelling
from problems.telling import remark, warn
from rl.heartbeat import is_stopped_by_hand, read_status
from rl.settings.schema import RunConfig, check_world

_TO_END_SECONDS = 60.0  # for trackers to upload, behind the last checkpoint
_PAUSE_SECONDS = 2.0  # before the next start: ports and GPUs are given back
DEFAULT_PORT = 29500  # DeepSpeed's


@dataclass(frozen=True, kw_only=True)
class Launch:
    """A run that was asked for."""

    config: RunConfig
    arguments: list[str]  # of the training, without --resume
    hosts: list[Host]
    spare: list[Host] = field(default_factory=list)  # that answer, and cannot share the problems with the others
    environment: dict[str, str]  # of this process
    resume: bool = False
    restarts: int = 0
    through: str = "ssh"  # or "pdsh"
    place: int | None = None  # start only the share of this machine, which is that one of `hosts`
    address: str | None = None
    port: int | None = None
    ssh_port: int | None = None

    @property
    def ssh(self) -> list[str]:
        """How ssh is called."""
        return ssh_words(self.ssh_port)

    @property
    def is_alone(self) -> bool:
        """Whether this machine is the only one, so that any free port will do."""
        return [host.name for host in self.hosts] == [LOCAL]


@contextmanager
def commands_of(launch: Launch) -> Iterator[list[NodeCommand]]:
    """Yield the commands of one attempt; files that they read are gone when it is over."""
    port = launch.port or (free_port() if launch.is_alone else DEFAULT_PORT)
    address = launch.address or meeting_address(launch.hosts, launch.ssh, from_first=launch.place == 0)
    resume = ["--resume"] if launch.resume else []
    patience = max(PATIENCE_SECONDS, launch.config.watch.grace_seconds + _TO_END_SECONDS)
    arguments = [*launch.arguments, *resume]
    work = Work(module=TRAINING, arguments=arguments, address=address, port=port, patience_seconds=patience)
    if launch.place is not None:
        yield only_here(_with_own_devices(launch.hosts, launch.place, launch.environment), launch.place, work)
    elif launch.through == "ssh" or launch.is_alone:
        yield over_ssh(launch.hosts, work, launch.ssh, travelling(launch.environment))
    else:
        with tempfile.TemporaryDirectory(prefix="reasonlab-launch-") as folder:  # only its owner may look in: secrets
            write_pdsh_files(Path(folder), launch)
            yield over_pdsh(launch.hosts, work, launch.ssh_port, Path(folder))


def _with_own_devices(hosts: Sequence[Host], place: int, environment: Mapping[str, str]) -> list[Host]:
    """Return the hosts, this one with the devices that it may use: a scheduler may have given it others than the first."""
    (mine,) = this_machine(len(hosts[place].devices), environment)
    return [replace(host, devices=mine.devices) if number == place else host for number, host in enumerate(hosts)]


def write_pdsh_files(folder: Path, launch: Launch) -> None:
    """Write the hostfile and the environment that DeepSpeed's runner reads."""
    lines = [f"{host.name} slots={len(host.devices)}\n" for host in launch.hosts]
    (folder / "hostfile").write_text("".join(lines))
    text, left_out = deepspeed_env(travelling(launch.environment))
    (folder / "deepspeed_env").write_text(text)
    if left_out:
        say(f"{', '.join(left_out)}: not passed on, pdsh can carry no line breaks nor spaces around a value; ssh can")


def run_launch(launch: Launch) -> Outcome:
    """Do a run, with as many new starts as allowed; return how it ended."""
    if launch.through == "pdsh" and launch.place is None and not launch.is_alone and shutil.which("pdsh") is None:
        raise HostError("pdsh is not installed here; leave out --through pdsh to use ssh alone, or install it")
    supervisor = Supervisor()
    with supervisor.listening():
        for left in range(launch.restarts, -1, -1):
            check_world(launch.config, num_ranks(launch.hosts))
            with commands_of(launch) as commands:
                outcome = supervisor.attempt(commands, launch.config.run.path)
            (remark if outcome.code == FINISHED else warn)(f"launch: {outcome.words}")
            if outcome.code in (FINISHED, TO_MEND) or left == 0 or is_stopped_by_a_file(launch.config):
                break
            time.sleep(_PAUSE_SECONDS)
            if supervisor.told is not None:
                break
            try:
                launch = again(launch)
            except HostError as error:  # all machines are lost: whoever starts this program may find others
                say(str(error))
                return Outcome(code=AGAIN, words=str(error))
            say(f"starting again on {num_ranks(launch.hosts)} ranks; {left - 1} more times if need be")
    if supervisor.told is None or outcome.code == FINISHED:
        return outcome
    return replace(outcome, code=code_when_told(supervisor.told))


def is_stopped_by_a_file(config: RunConfig) -> bool:
    """Whether a run, or its cold start, has ended because of a file STOP: who put it there does not want it started again."""
    runs = [config.run.path, *([] if config.model.cold_start is None else [Path(config.model.path).parent])]
    ended = any((read_status(run) or {}).get("status") == "preempted" for run in runs)
    return ended and any(map(is_stopped_by_hand, runs))


def again(launch: Launch) -> Launch:
    """Return how to go on: from the newest checkpoint, on the machines that still answer."""
    hosts, spare = (launch.hosts, []) if launch.place is not None else shared_out(launch, still_there(launch))
    address = launch.address if hosts[0] == launch.hosts[0] else None  # it was that of a machine that is lost
    return replace(launch, resume=True, hosts=hosts, spare=spare, address=address)


def shared_out(launch: Launch, hosts: list[Host]) -> tuple[list[Host], list[Host]]:
    """Return as many of the hosts, from the first on, as can share a step's problems, and the others.

    Raises HostError where not even the first can alone.
    """
    problems = launch.config.algorithm.num_problems
    for count in range(len(hosts), 0, -1):
        if problems % num_ranks(hosts[:count]) == 0:
            for host in hosts[count:]:
                say(f"{host.name} is left out: {problems} problems a step are shared out evenly")
            return hosts[:count], hosts[count:]
    raise HostError(f"{problems} problems a step cannot be shared by the hosts that are left")


def still_there(launch: Launch) -> list[Host]:
    """Return the hosts that answer, and say which do not; raises HostError where none does."""
    hosts = [*launch.hosts, *launch.spare]
    there = [host for host in hosts if answers(host, launch.ssh)]
    gone = [host.name for host in hosts if host not in there]
    if not there:
        raise HostError(f"none of the hosts answers any more: {', '.join(gone)}")
    if gone:
        say(f"{', '.join(gone)} does not answer: going on without")
    return there


def words_of(commands: Sequence[NodeCommand]) -> str:
    """Return the commands, a line each, with what their agents are told first on stdin."""
    lines = []
    for command in commands:
        names = " ".join(sorted(command.environment))
        lines += [f"# {command.host}" + (f"; on stdin, as JSON, the variables {names}" if names else ""), str(command)]
    return "\n".join(lines) + "\n"
