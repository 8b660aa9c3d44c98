"""Checks of the hosts of a hostfile: ssh, the same Python and packages, the same files, and a sum over all ranks."""

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path
from typing import Any

from launch.health.findings import Finding, failure, ok, warning
from launch.nodes.attempts import DEFAULT_PORT
from launch.nodes.commands import Work, over_ssh
from launch.nodes.hosts import LOCAL, Host, meeting_address, num_ranks
from launch.nodes.supervisor import Attempt
from launch.nodes.travelling import travelling
from problems.errors import LabError

_SECONDS, _SUM_SECONDS = 60, 180  # for a host to answer; for all ranks to load their libraries, meet and sum
_COMPARED = ("torch", "deepspeed", "transformers", "numpy")
# by what ssh says where it never got to ask for a key
_BY_SSH = {
    "Could not resolve": "is the name right, and known here (DNS, /etc/hosts, ~/.ssh/config)?",
    "No route to host": "is it on, and on a network that this machine reaches?",
    "timed out": "is it on, and on a network that this machine reaches (firewall)?",
    "Connection refused": "no sshd answers there: start it, or say its port (--ssh-port)",
}
# one line of JSON about the host that it runs on; no library is loaded
_TELL = (
    "import json, os, socket, sys\n"
    "from importlib import metadata\n"
    "there = lambda n: next(iter(metadata.distributions(name=n)), None)\n"
    "versions = {n: there(n) and there(n).version for n in sys.argv[2:]}\n"
    "try: own = socket.gethostbyname(socket.gethostname())\n"
    "except OSError: own = None\n"
    "about = {'python': sys.version.split()[0], 'versions': versions}\n"
    "print(json.dumps({**about, 'sees': os.path.exists(sys.argv[1]), 'own': own}))"
)


def hosts_checked(hosts: Sequence[Host], ssh: Sequence[str], runs: Path, address: str | None) -> Iterator[Finding]:
    """Check every host, and where all answer the sum over them. runs: where runs go; address: where the ranks meet, if told."""
    reached = True
    with ExitStack() as closing:
        try:
            runs.mkdir(parents=True, exist_ok=True)
            mark = closing.enter_context(tempfile.NamedTemporaryFile(dir=runs))
        except OSError as error:
            yield failure("hosts", f"cannot write to {runs}: {error.strerror}", "make room, or choose another place (run.dir)")
            return
        for host in hosts:
            findings = _host(host, ssh, Path(mark.name).resolve())
            reached = reached and all(finding.level != "failure" for finding in findings)
            yield from findings
    if reached:
        yield _sum(hosts, ssh, address)
    else:
        yield failure("all-reduce", "not tried: not all hosts could take part", "mend the hosts above first")


def _host(host: Host, ssh: Sequence[str], mark: Path) -> list[Finding]:
    about = f"host {host.name}"
    here = [sys.executable, "-c", _TELL, str(mark), *_COMPARED]
    command = here if host.name == LOCAL else [*ssh, host.name, f"cd {shlex.quote(os.getcwd())} && {shlex.join(here)}"]
    try:
        said = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return [failure(about, f"no answer: {error}", f"is ssh installed here, and can you `ssh {host.name}`?")]
    if said.returncode == 255:
        words = said.stderr.strip().splitlines() or ["ssh failed without a word"]
        usual = f"`ssh {host.name}` must work without a password: keys, known_hosts, sshd, the name itself"
        return [failure(about, words[-1], next((to_do for text, to_do in _BY_SSH.items() if text in words[-1]), usual))]
    if said.returncode:
        words = said.stderr.strip().splitlines() or [f"exit status {said.returncode}"]
        return [failure(about, words[-1], f"{sys.executable} and {os.getcwd()} must be at the same place on every host")]
    return list(_compared(about, json.loads(said.stdout.splitlines()[-1]), mark.parent))


def _compared(about: str, told: Mapping[str, Any], runs: Path) -> Iterator[Finding]:
    """Yield what differs between this machine and what a host told of itself."""
    versions = told["versions"]
    here = {name: metadata.version(name) for name in _COMPARED}
    others = [f"{name} {versions[name]} there, {here[name]} here" for name in _COMPARED if versions[name] != here[name]]
    if others:
        yield failure(
            about, "; ".join(others), "every rank must run the same versions: pip install -c constraints.txt on all hosts"
        )
        return
    yield ok(about, f"answers, Python {told['python']}, same versions of {', '.join(_COMPARED)}")
    if not told["sees"]:
        yield warning(
            about, f"does not see {runs}", "checkpoints need a run.dir that all hosts share (NFS, Lustre), to be resumed"
        )
    if str(told["own"] or "127.").startswith("127.") and not {"GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"} & set(os.environ):
        to_do = "set GLOO_SOCKET_IFNAME and NCCL_SOCKET_IFNAME to its network (ip addr), as in GLOO_SOCKET_IFNAME=eth0"
        yield warning(about, f"its own name is {told['own'] or 'no address'} to it, which it may tell the others", to_do)


def _sum(hosts: Sequence[Host], ssh: Sequence[str], address: str | None) -> Finding:
    """Have all ranks sum up, and measure it."""
    about = "all-reduce"
    to_do = (
        f"can the hosts reach each other at any port, and the first at {DEFAULT_PORT} (firewall)? Which network is meant: "
        "GLOO_SOCKET_IFNAME, NCCL_SOCKET_IFNAME; NCCL_DEBUG=INFO tells more"
    )
    try:
        where = address or meeting_address(hosts, ssh)
    except LabError as error:
        return failure(about, str(error), "the first line of the hostfile must be a name that all hosts reach")
    work = Work(module="launch.health.allreduce", arguments=[], address=where, port=DEFAULT_PORT)
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "said").open("w+b") as file:
        going = Attempt(over_ssh(hosts, work, ssh, travelling(os.environ)), output=file)
        clock = threading.Timer(_SUM_SECONDS, going.tell, [signal.SIGTERM])
        clock.daemon = True  # Ctrl-C need not wait for it
        clock.start()
        going.wait(Path(folder), None)
        clock.cancel()
        said = (Path(folder) / "said").read_text(errors="replace")
    if going.first is not None:
        words = [line for line in said.splitlines() if line.strip()] or ["nothing was said"]
        return failure(about, f"{num_ranks(hosts)} ranks could not sum: {words[-1][:200]}", to_do)
    measured = next(json.loads(line) for line in said.splitlines() if line.startswith('{"ranks"'))
    return ok(about, measured_words(measured))


def measured_words(measured: Mapping[str, Any]) -> str:
    """Return a measured sum in words.

    Ring all-reduce moves 2 (N - 1) / N of the bytes through each rank (NCCL's "bus bandwidth",
    https://github.com/NVIDIA/nccl-tests/blob/master/doc/PERFORMANCE.md).
    """
    ranks, size, seconds = measured["ranks"], measured["bytes"], measured["seconds"]
    rate = 2 * (ranks - 1) / ranks * size / seconds / 1e9
    return (
        f"{ranks} ranks over {measured['backend']}: {size / 2**20:.0f} MiB in {1000 * seconds:.0f} ms, {rate:.2f} GB/s a rank"
    )
