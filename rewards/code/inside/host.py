"""The host: a fork server that enters the sandbox once, then forks one confined process for every candidate and examiner.

Started as `python -I -S host.py CONFIG` with an empty environment. The first process (the launcher) stays outside, waits,
and removes the scratch folder; the second (the host) goes inside, imports what programs commonly import, and serves requests
on a socket until it closes.

Covered: every child is confined for good before it runs a line that is not ours; it dies with the host; it is killed when it
fills the disk or makes too many threads; what it leaves in the scratch folder is gone before the next one begins.
Not covered: a program that broke into the host could start and end processes. It would learn nothing there: the host knows no
tests and no expected outputs. Standard library only.
"""

import gc
import json
import os
import resource
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

sys.dont_write_bytecode = True
if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))  # inside, code, rewards, the repository

from rewards.code import wire  # noqa: E402  found on the path set above
from rewards.code.inside import candidate, confine, examined, examiner, kernel, probe, scratch, seccomp, together  # noqa: E402

STACK_BYTES = 64 * 2**20
FIRST_FREE = 12  # 0 to 9 are kept for children, 10 is the control socket, 11 the Landlock ruleset
CONTROL, RULESET = 10, 11
WATCH_SECONDS = 0.05
MAX_THREADS = 256
# What programs commonly import and what is cheap to keep: every megabyte here is paid for at every fork.
_COMMON = (
    "abc, ast, bisect, builtins, cmath, codecs, collections, collections.abc, contextlib, copy, dataclasses, datetime, "
    "decimal, enum, errno, fractions, functools, heapq, io, itertools, json, math, operator, os.path, random, re, string, "
    "struct, sys, threading, time, traceback, types, typing, warnings, weakref, _sitebuiltins"
)
ROLES: dict[wire.Role, Callable[[], None]] = {
    "script": candidate.run_script,
    "function": candidate.serve_calls,
    "examined": examined.serve_examiner,
    "session": candidate.serve_session,
    "together": together.serve_together,
    "examiner": examiner.serve_once,
    "kept examiner": examiner.serve_many,
}


def main() -> None:
    """Launch the host and clean up after it."""
    config: wire.HostConfig = json.loads(sys.argv[1])
    _begin_again_with_a_large_stack(config)
    os.umask(0o022)
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
    layers, off = confine.Layers(), config["off"]
    memory = (config["memory_megabytes"] + 512) * 2**20
    cgroups: list[str] = []
    layers.attempt("cgroup", off, lambda: cgroups.append(confine.enter_cgroup(f"reasonlab-{os.getpid()}", memory, 1024)))
    confine.enter_first_namespaces(layers, off)
    launcher = os.getpid()
    pid = os.fork()
    if pid == 0:
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        _host(config, layers, launcher)
    os.close(config["socket"])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    status = os.waitpid(pid, 0)[1]
    scratch.empty(config["scratch"])
    os.rmdir(config["scratch"])
    for path in cgroups:
        with open(f"{os.path.dirname(path)}/cgroup.procs", "w") as file:  # leave it, or it cannot be removed
            file.write(str(os.getpid()))
        os.rmdir(path)
    os._exit(abs(os.waitstatus_to_exitcode(status)))


def _begin_again_with_a_large_stack(config: wire.HostConfig) -> None:
    """Execute this script anew with more stack, a limit that is read at exec: C code that recurses needs more than 8 MB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    if config.get("again") or soft == resource.RLIM_INFINITY or soft >= STACK_BYTES:
        return
    ceiling = STACK_BYTES if hard == resource.RLIM_INFINITY else min(STACK_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_STACK, (ceiling, hard))
    os.execve(sys.executable, [sys.executable, "-I", "-S", __file__, json.dumps({**config, "again": True})], {})


def _host(config: wire.HostConfig, layers: confine.Layers, launcher: int) -> None:
    """Enter the sandbox and serve; never returns."""
    control = socket.socket(fileno=config["socket"])
    sender = os.dup(config["socket"])
    try:
        host = Host(config, layers, launcher, control)
    except Exception as error:  # whatever it is, the judge must hear of it
        trace = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{type(error).__name__}: {error} ({os.path.basename(trace.filename)}, line {trace.lineno})"
        os.write(sender, json.dumps(wire.HostFailed(failed=text, layers=layers.missing)).encode())
        os._exit(1)
    host.serve()
    os._exit(0)


class Host:
    """The inside of the sandbox, as seen by the forks."""

    def __init__(self, config: wire.HostConfig, layers: confine.Layers, launcher: int, control: socket.socket):
        self.layers, off = layers, config["off"]
        packages = config["packages"]
        confine.enter_other_namespaces(layers, off)
        self.inside = layers.has("mount")  # whether this process has a root directory of its own
        if self.inside:
            self.work, folder = confine.build_root(config["scratch"], packages, layers, off), "/packages"
        else:
            layers.missing["proc"] = "needs the mount namespace"
            self.work, folder = f"{config['scratch']}/work", f"{config['scratch']}/packages"
            confine.link_packages(folder, packages)
            os.mkdir(self.work, 0o700)
        sys.path[:] = [path for path in sys.path[1:] if os.path.isdir(path)] + [folder]
        self._change_user(launcher, off)
        confine.set_common_limits()
        os.chdir(self.work)
        self._preload(config["preload"])
        self._take_rights_away([folder] if self.inside else list(packages.values()), folder, control, off)
        counted = layers.has("other_uid") or layers.has("user")  # else the limit would count the user's other processes
        self.processes = MAX_THREADS if counted else None
        self.watched = not (self.inside and counted)
        self.overruns: dict[int, wire.Overrun] = {}
        self.children: set[int] = set()
        candidate.open_streams()
        _forget_ourselves()
        gc.collect()
        gc.freeze()
        leaks = probe.run(self.become_child)
        self.control.send(json.dumps(wire.Hello(layers=layers.missing, leaks=leaks)).encode())

    def _take_rights_away(self, packages: list[str], folder: str, control: socket.socket, off: list[str]) -> None:
        """Enter the layers that this process shares with its children, in the order in which each is still allowed."""
        layers = self.layers
        readable, listable = confine.readable_paths(packages, folder)
        self.ruleset: int | None = None
        layers.attempt("landlock", off, lambda: self._make_ruleset(readable, listable))
        self._settle_descriptors(control)
        layers.attempt("capabilities", off, kernel.drop_capabilities)
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
        layers.attempt("no_new_privileges", off, lambda: kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1))
        layers.attempt("seccomp", off, self._enter_filter)
        layers.missing["limits"] = None

    def _change_user(self, launcher: int, off: list[str]) -> None:
        if os.geteuid() != 0:
            self.layers.missing["other_uid"] = "needs root (the user namespace hides the uid instead)"
            return

        def change() -> None:
            uid = confine.foreign_uid(launcher, [os.__file__, *sys.path[-1:]])
            if uid is None:
                raise OSError("no other uid can read this Python installation")
            if not self.inside:
                os.chown(self.work, uid, uid)
                os.chmod(os.path.dirname(self.work), 0o711)
            confine.become(uid)

        self.layers.attempt("other_uid", off, change)

    def _make_ruleset(self, readable: list[str], listable: list[str]) -> None:
        self.ruleset = confine.landlock_ruleset(readable, listable, self.work)

    def _enter_filter(self) -> None:
        if not seccomp.supported():
            raise OSError(f"the system calls of {os.uname().machine} are not known here")
        self.filters = [seccomp.child_filter_template(self.inside, receives=receives) for receives in (False, True)]
        if not self.inside:
            seccomp.pretend_with_care()
        kernel.install_filter(seccomp.host_filter(self.inside))

    def _preload(self, names: list[str]) -> None:
        os.environ["OPENBLAS_NUM_THREADS"] = "1"  # its threads' stacks alone would pass the memory limit
        for name in [*_COMMON.split(", "), *names]:
            __import__(name)
        os.environ.clear()
        if self.work != "/tmp":
            os.environ["TMPDIR"] = self.work

    def _settle_descriptors(self, control: socket.socket) -> None:
        """Bring our descriptors above those that children need, and fill the lower ones."""
        null = os.open("/dev/null", os.O_RDWR)
        os.dup2(control.fileno(), 40)
        if self.ruleset is not None:
            os.dup2(self.ruleset, 41)
        control.detach()
        os.dup2(null, 42)
        for number in range(CONTROL):
            os.dup2(42, number)
        os.dup2(40, CONTROL)
        if self.ruleset is not None:
            self.ruleset = os.dup2(41, RULESET)
        else:
            os.dup2(42, RULESET)
        os.closerange(FIRST_FREE, 4096)
        self.control = socket.socket(fileno=CONTROL)

    def serve(self) -> None:
        """Answer requests until the other end is gone; then end all children."""
        poll = select.poll()
        poll.register(CONTROL, select.POLLIN)
        while True:
            watching = self.watched and self.children
            if not poll.poll(WATCH_SECONDS * 1000 if watching else None):
                self._watch()
                continue
            text, descriptors, _, _ = socket.recv_fds(self.control, 65536, 16)
            if not text:
                break
            self.control.send(json.dumps(self._carry_out(json.loads(text), descriptors)).encode())
        for pid in self.children:
            os.kill(pid, signal.SIGKILL)

    def _carry_out(self, request: wire.HostRequest, descriptors: list[int]) -> wire.Reaped | list[int] | float:
        if request["op"] == "spawn":
            return self.spawn(request, descriptors)
        if request["op"] == "cpu":
            return self.cpu_seconds(request)
        return self.reap(request)

    def spawn(self, request: wire.SpawnRequest, descriptors: list[int]) -> list[int]:
        """Fork the children of one program and return their pids; descriptor -1 stands for /dev/null."""
        pids = []
        for child in request["children"]:
            taken = [CONTROL - 1 if number < 0 else descriptors[number] for number in child["descriptors"]]
            pid = os.fork()
            if pid == 0:
                receives = child["role"] == "kept examiner"
                self.become_child(taken, request["cpu_seconds"], request["address_bytes"], receives)
                ROLES[child["role"]]()
                os._exit(0)
            pids.append(pid)
        for descriptor in descriptors:
            os.close(descriptor)
        self.children.update(pids)
        return pids

    def cpu_seconds(self, request: wire.CpuRequest) -> float:
        """Return the CPU seconds of the children so far."""
        return sum(time.clock_gettime((~pid << 3) | 2) for pid in request["pids"])  # CPUCLOCK_SCHED of a process

    def reap(self, request: wire.ReapRequest) -> wire.Reaped:
        """End the children: wait `grace` seconds, kill, collect. Then empty the scratch folder."""
        end = time.monotonic() + request["grace"]
        reaped = wire.Reaped(ended=[self._end(pid, end) for pid in request["pids"]])
        try:
            scratch.empty(self.work)
        except OSError as error:
            reaped["unclean"] = str(error)
        return reaped

    def _end(self, pid: int, end: float) -> wire.EndedChild:
        """End one child, which may end by itself until `end`."""
        killed = not self._has_ended(pid, end)
        os.kill(pid, signal.SIGKILL)
        _, status, usage = os.wait4(pid, 0)
        self.children.discard(pid)
        return wire.EndedChild(
            status=os.waitstatus_to_exitcode(status),
            killed=killed,
            cpu_seconds=usage.ru_utime + usage.ru_stime,
            peak_kilobytes=usage.ru_maxrss,
            overrun=self.overruns.pop(pid, None),
        )

    def _has_ended(self, pid: int, end: float) -> bool:
        """Tell whether the process has ended, which it may do until `end`; watch over it meanwhile."""
        while (left := end - time.monotonic()) > 0:
            descriptor = os.pidfd_open(pid)
            try:
                poll = select.poll()
                poll.register(descriptor, select.POLLIN)
                if poll.poll(min(left, WATCH_SECONDS) * 1000):
                    return True
            finally:
                os.close(descriptor)
            if self.watched:
                self._watch()
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _watch(self) -> None:
        """Kill children that take too much of what no limit covers here: disk and threads."""
        used, files = scratch.usage(self.work)
        disk_is_full = used > scratch.MAX_MEGABYTES * 2**20 or files > scratch.MAX_FILES
        for pid in self.children:
            overrun: wire.Overrun | None = "disk limit" if disk_is_full else None
            if self.processes is None and _threads(pid) > MAX_THREADS:
                overrun = "thread limit"
            if overrun:
                self.overruns.setdefault(pid, overrun)
                os.kill(pid, signal.SIGKILL)

    def become_child(self, descriptors: list[int], cpu_seconds: int, address_bytes: int, receives: bool = False) -> None:
        """Confine this new process for good and leave it nothing but `descriptors` as 0, 1, 2 ..."""
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        os.setsid()
        for target, number in enumerate(descriptors):
            os.dup2(number, target)
        if self.ruleset is not None:
            kernel.landlock_restrict(self.ruleset)
        os.closerange(len(descriptors), 4096)
        confine.set_limits(cpu_seconds, address_bytes, self.processes)
        if self.layers.has("seccomp"):
            kernel.install_filter(seccomp.child_filter_for(self.filters[receives], os.getpid()))


def _threads(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/status") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("Threads:")), 0)
    except OSError:
        return 0


def _forget_ourselves() -> None:
    """Leave no module of ours for programs to import."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "rewards"]:
        del sys.modules[name]


if __name__ == "__main__":
    main()
