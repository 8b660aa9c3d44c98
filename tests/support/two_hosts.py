"""Two hosts on this machine: network namespaces with addresses of their own, joined by a bridge, a real sshd in each.

They share the disk and the processor, as hosts of a cluster share a file system. Needs root, iproute2 and openssh-server.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
NET = f"10.{200 + os.getpid() % 50}.{os.getpid() % 250}"
_SSHD_CONFIG = """\
Port 22
ListenAddress {address}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/key.pub
PidFile {folder}/{name}.pid
UsePAM no
PasswordAuthentication no
PermitRootLogin yes
StrictModes no
"""
_SSH_CONFIG = """\
Host {name}
  HostName {address}
  IdentityFile {folder}/key
  IdentitiesOnly yes
  UserKnownHostsFile /dev/null
  StrictHostKeyChecking no
  LogLevel ERROR
"""


def why_not() -> str | None:
    """Return why two hosts cannot be made here, None if they can."""
    if os.geteuid() != 0:
        return "network namespaces and sshd need root"
    for program, package in (("ip", "iproute2"), ("ssh", "openssh-client"), (SSHD, "openssh-server")):
        if shutil.which(program) is None:
            return f"no {program} here (apt-get install {package})"
    tried = subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False)
    return "network namespaces cannot be made here" if tried.returncode else None


@dataclass(frozen=True)
class TwoHosts:
    """Names that ssh understands, and how to break them."""

    folder: Path
    names: tuple[str, str] = ("alpha", "beta")

    @property
    def variables(self) -> dict[str, str]:
        """What a command needs in its environment to find the hosts, and gloo its interface."""
        return {"PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}", "GLOO_SOCKET_IFNAME": "eth0"}

    @staticmethod
    def namespace(name: str) -> str:
        """Return the network namespace of a host."""
        return f"lab{os.getpid()}{name}"

    def hostfile(self, slots: int = 1) -> Path:
        """Return a hostfile of the two."""
        file = self.folder / f"hosts-{slots}"
        file.write_text("".join(f"{name} slots={slots}\n" for name in self.names))
        return file

    def processes(self, name: str) -> list[int]:
        """Return the processes on a host, its sshd included."""
        said = subprocess.run(["ip", "netns", "pids", self.namespace(name)], capture_output=True, text=True, check=False).stdout
        return [int(word) for word in said.split()]

    def ranks(self, name: str) -> list[int]:
        """Return the ranks on a host: not their launcher, nor the launcher's agent."""
        lines = {pid: _command_line(pid) for pid in self.processes(name)}
        others = {"deepspeed.launcher.launch", "launch.nodes.agent"}
        return [pid for pid, words in lines.items() if "rl.train" in words and not others & set(words)]

    def running(self, word: str) -> list[int]:
        """Return the processes on both hosts whose command line has a word."""
        pids = [pid for name in self.names for pid in self.processes(name)]
        return [pid for pid in pids if word in _command_line(pid)]

    def kill(self, name: str) -> None:
        """End all that runs on a host at once, sshd too: it answers no more."""
        for pid in self.processes(name):
            os.kill(pid, signal.SIGKILL)

    def cut(self, name: str) -> None:
        """Cut a host off from the network; all that runs there goes on."""
        _ip("link", "set", _cable(self.names.index(name)), "nomaster")


def _cable(number: int) -> str:
    return f"lab{number}x{os.getpid()}"


def _command_line(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:  # it has just ended
        return []


@contextmanager
def two_hosts(folder: Path) -> Iterator[TwoHosts]:
    """Yield two hosts; nothing of them stays."""
    hosts = TwoHosts(folder)
    bridge = f"labbr{os.getpid()}"
    for key in ("host_key", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
    (folder / "bin").mkdir()
    wrapper = folder / "bin" / "ssh"  # a user would write ~/.ssh/config, which is not ours to touch
    wrapper.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/ssh_config "$@"\n')
    wrapper.chmod(0o755)
    Path("/run/sshd").mkdir(exist_ok=True)
    with ExitStack() as closing:
        closing.callback(_ip, "link", "delete", bridge, check=False)
        _ip("link", "add", bridge, "type", "bridge")
        _ip("addr", "add", f"{NET}.1/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        config = ""
        for number, name in enumerate(hosts.names):
            address, space, cable = f"{NET}.{number + 2}", hosts.namespace(name), _cable(number)
            closing.callback(_ip, "netns", "delete", space, check=False)
            closing.callback(hosts.kill, name)
            _ip("netns", "add", space)
            closing.callback(
                _ip, "link", "delete", cable, check=False
            )  # sockets may keep a namespace, and so its end, for minutes
            _ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", space)
            _ip("link", "set", cable, "master", bridge, "up")
            for command in (f"addr add {address}/24 dev eth0", "link set eth0 up", "link set lo up"):
                _ip("-n", space, *command.split())
            (folder / f"{name}.conf").write_text(_SSHD_CONFIG.format(address=address, folder=folder, name=name))
            subprocess.run(["ip", "netns", "exec", space, SSHD, "-f", folder / f"{name}.conf"], check=True)
            config += _SSH_CONFIG.format(name=name, address=address, folder=folder)
        (folder / "ssh_config").write_text(config)
        for name in hosts.names:
            _wait_for(wrapper, name)
        yield hosts


def _ip(*words: str, check: bool = True) -> None:
    subprocess.run(["ip", *words], check=check, capture_output=not check)


def _wait_for(ssh: Path, name: str) -> None:
    for _ in range(50):
        tried = subprocess.run([ssh, "-o", "ConnectTimeout=2", name, "true"], capture_output=True, text=True, check=False)
        if tried.returncode == 0:
            return
        time.sleep(0.2)
    raise AssertionError(f"{name} does not answer: {tried.stderr}")
