"""Which machines a run is on, how many processes each has, and at which address they meet.

A hostfile is DeepSpeed's: `NAME slots=N` a line, `#` begins a comment. The first host has rank 0.
"""

import base64
import json
import os
import random
import re
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from problems.errors import LabError
from rl.devices import nvidia_devices

LOCAL = "localhost"
_LINE = re.compile(r"([^\s#,%'\"\\$;&|<>()`-][^\s#,%'\"\\$;&|<>()`]*)\s+slots=([1-9]\d*)\s*(?:#.*)?")
_PORTS = range(20_000, 32_768)  # from there on Linux gives them out by itself


class HostError(LabError):
    """Machines that cannot be used as asked."""


@dataclass(frozen=True, kw_only=True)
class Host:
    """A machine of a run, with the device of each of its processes (a CPU's are only counted)."""

    name: str
    devices: tuple[int, ...]


def read_hostfile(path: Path) -> list[Host]:
    """Return the hosts of a hostfile; raises HostError with its line where one cannot be read."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise HostError(f"the hostfile {path} cannot be read: {error}") from None
    hosts: dict[str, Host] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _LINE.fullmatch(line.strip())
        if not found:
            raise HostError(f"{path} line {number} is {line.strip()!r}; expected NAME slots=N, as in `worker-0 slots=8`")
        name, slots = found.groups()
        if name in hosts:
            raise HostError(f"{path} line {number} names {name} a second time; give it all its slots in one line")
        hosts[name] = Host(name=name, devices=tuple(range(int(slots))))
    if not hosts:
        raise HostError(f"{path} names no host; expected lines NAME slots=N")
    return list(hosts.values())


def this_machine(gpus: int | None, environment: Mapping[str, str]) -> list[Host]:
    """Return this machine with `gpus` processes: by default one for each GPU that may be used, one where there is none."""
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return [Host(name=LOCAL, devices=tuple(range(gpus or len(nvidia_devices()) or 1)))]
    if visible.strip() in ("", "-1"):
        # the launcher sets the variable anew for its processes, and those of the CPU must go on seeing no GPU
        return [Host(name=LOCAL, devices=(-1,) * (gpus or 1))]
    if not re.fullmatch(r"\d+(,\d+)*", visible):
        raise HostError(f"CUDA_VISIBLE_DEVICES is {visible!r}; the launcher understands numbers with commas between")
    devices = tuple(int(number) for number in visible.split(","))
    if gpus is not None and gpus > len(devices):
        # without GPUs the variable means nothing, and the number of processes is anybody's choice
        if nvidia_devices():
            raise HostError(f"--gpus {gpus} where CUDA_VISIBLE_DEVICES={visible} leaves {len(devices)}")
        devices = tuple(range(gpus))
    return [Host(name=LOCAL, devices=devices[:gpus])]


def trimmed(hosts: Sequence[Host], nodes: int | None, gpus: int | None) -> list[Host]:
    """Return the first `nodes` hosts with `gpus` processes each (None: all); raises HostError where there are fewer."""
    if nodes is not None and nodes > len(hosts):
        raise HostError(f"--nodes {nodes}, and there are {len(hosts)}: {', '.join(host.name for host in hosts)}")
    chosen = hosts[:nodes]
    for host in chosen:
        if gpus is not None and gpus > len(host.devices):
            raise HostError(f"--gpus {gpus}, and {host.name} has {len(host.devices)} slots in the hostfile")
    return [Host(name=host.name, devices=host.devices[:gpus]) for host in chosen]


def num_ranks(hosts: Sequence[Host]) -> int:
    """Return the number of processes on all hosts."""
    return sum(len(host.devices) for host in hosts)


def world_info(hosts: Sequence[Host]) -> str:
    """Return the hosts as DeepSpeed's launcher reads them (deepspeed 0.19.8, launcher/launch.py: base64 of JSON)."""
    record = {host.name: list(host.devices) for host in hosts}
    return base64.urlsafe_b64encode(json.dumps(record).encode()).decode()


def meeting_address(hosts: Sequence[Host], ssh: Sequence[str], *, from_first: bool = False) -> str:
    """Return the address where the ranks meet: that of the first host, by the name that ssh's configuration has for it.

    Raises HostError where there is none, or only one that other machines cannot reach; `from_first`: it is for the first host
    alone, which listens at all of its addresses.
    """
    if [host.name for host in hosts] == [LOCAL]:
        return "127.0.0.1"
    first = hosts[0].name
    try:
        said = subprocess.run([*ssh, "-G", first], capture_output=True, text=True, check=True, timeout=10).stdout
    except (OSError, subprocess.SubprocessError):
        said = ""
    real = next((line.split(maxsplit=1)[1] for line in said.splitlines() if line.startswith("hostname ")), first)
    try:
        address = socket.getaddrinfo(real.rpartition("@")[2], None, type=socket.SOCK_STREAM)[0][4][0]
    except OSError:
        raise HostError(f"the first host, {real}, has no address here; say --master-addr ADDRESS") from None
    if len(hosts) > 1 and not from_first and ip_address(str(address)).is_loopback:
        raise HostError(f"the first host, {first}, is {address} here, where no other host finds it; say --master-addr ADDRESS")
    return str(address)


def free_port() -> int:
    """Return a port of this machine that nobody listens at, nor is given by Linux to whoever asks for any.

    For rank 0 listens there only when it has loaded its libraries, ten seconds later or more.
    """
    for port in random.SystemRandom().sample(_PORTS, 100):
        with socket.socket() as probe, suppress(OSError):  # in use
            probe.bind(("", port))
            return port
    raise HostError(f"a hundred ports from {_PORTS[0]} to {_PORTS[-1]} are all in use; choose one with --master-port")


def answers(host: Host, ssh: Sequence[str]) -> bool:
    """Whether a command can be run on a host now."""
    if host.name == LOCAL:
        return True
    try:
        asked = [*ssh, host.name, "true"]
        return subprocess.run(asked, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def own_rank(environment: Mapping[str, str] = os.environ) -> int | None:
    """Return the place of this machine among the hosts, where Slurm has given it one."""
    given = environment.get("SLURM_NODEID", "")
    return int(given) if given.isdecimal() else None
