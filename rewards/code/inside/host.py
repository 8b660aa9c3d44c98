"""The fork server: enters the sandbox once, then forks one confined process for every program.

Started as `python -I -S host.py CONFIG` with an empty environment. The first process (the launcher) stays outside, waits,
and removes the scratch folder; the second (the host) goes inside, imports what programs commonly import, and serves requests
on a socket until it closes. The host knows no tests and no expected outputs: a program that broke into it would learn nothing.
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
from pathlib import Path
from typing import Any

sys.dont_write_bytecode = True
if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from rewards.code.inside import confine, guest, kernel, probe, seccomp, tester  # noqa: E402  found on the path set above

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
ROLES = {
    "program": guest.run_program,
    "function": guest.serve_function,
    "tested": guest.serve_tester,
    "tester": tester.run_once,
    "testers": tester.run_many,
    "session": guest.serve_session,
}


def main() -> None:
    """Launch the host and clean up after it."""
    config = json.loads(sys.argv[1])
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    if not config.get("again") and soft != resource.RLIM_INFINITY and soft < STACK_BYTES:
        # Read at exec: deep recursion through C needs more than the usual 8 MB.
        ceiling = STACK_BYTES if hard == resource.RLIM_INFINITY else min(STACK_BYTES, hard)
        resource.setrlimit(resource.RLIMIT_STACK, (ceiling, hard))
        os.execve(sys.executable, [sys.executable, "-I", "-S", __file__, json.dumps({**config, "again": True})], {})
    os.umask(0o022)
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
    layers, off = confine.Layers(), config["off"]
    memory = (config["memory_megabytes"] + 512) * 2**20
    folder: list[str] = []
    layers.attempt("cgroup", off, lambda: folder.append(confine.enter_cgroup(f"reasonlab-{os.getpid()}", memory, 1024)))
    confine.enter_first_namespaces(layers, off)
    config["launcher"] = os.getpid()
    pid = os.fork()
    if pid == 0:
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        _host(config, layers)
    os.close(config["socket"])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    status = os.waitpid(pid, 0)[1]
    empty_folder(config["scratch"])
    os.rmdir(config["scratch"])
    for path in folder:
        with open(f"{os.path.dirname(path)}/cgroup.procs", "w") as file:  # leave it, or it cannot be removed
            file.write(str(os.getpid()))
        os.rmdir(path)
    os._exit(abs(os.waitstatus_to_exitcode(status)))


def _host(config: dict[str, Any], layers: confine.Layers) -> None:
    """Enter the sandbox and serve; never returns."""
    control = socket.socket(fileno=config["socket"])
    sender = os.dup(config["socket"])
    try:
        host = Host(config, layers, control)
    except Exception as error:  # whatever it is, the judging side must hear of it
        trace = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{type(error).__name__}: {error} ({os.path.basename(trace.filename)}, line {trace.lineno})"
        os.write(sender, json.dumps({"failed": text, "layers": layers.missing}).encode())
        os._exit(1)
    host.serve()
    os._exit(0)


class Host:
    """The inside of the sandbox, as seen by the forks."""

    def __init__(self, config: dict[str, Any], layers: confine.Layers, control: socket.socket):
        self.layers, off, scratch = layers, config["off"], config["scratch"]
        packages: dict[str, str] = config["packages"]
        confine.enter_other_namespaces(layers, off)
        self.inside = layers.has("mount")
        if self.inside:
            self.work, folder = confine.build_root(scratch, packages, layers, off), "/packages"
        else:
            layers.missing["proc"] = "needs the mount namespace"
            self.work, folder = f"{scratch}/work", f"{scratch}/packages"
            confine.link_packages(folder, packages)
            os.mkdir(self.work, 0o700)
        sys.path[:] = [path for path in sys.path[1:] if os.path.isdir(path)] + [folder]
        self._change_user(config["launcher"], off)
        confine.set_common_limits()
        os.chdir(self.work)
        self._preload(config["preload"])
        readable, listable = confine.readable_paths([folder] if self.inside else list(packages.values()), folder)
        self.ruleset: int | None = None
        layers.attempt("landlock", off, lambda: self._make_ruleset(readable, listable))
        self._settle_descriptors(control)
        layers.attempt("capabilities", off, kernel.drop_capabilities)
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
        layers.attempt("no_new_privileges", off, lambda: kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1))
        layers.attempt("seccomp", off, self._enter_filter)
        layers.missing["limits"] = None
        counted = layers.has("other_uid") or layers.has("user")  # else the limit would count the user's other processes
        self.processes = MAX_THREADS if counted else None
        self.watched = not (self.inside and counted)
        self.over: dict[int, str] = {}
        self.children: set[int] = set()
        guest.open_streams()
        _forget_ourselves()
        gc.collect()
        gc.freeze()
        leaks = probe.run(self)
        self.control.send(json.dumps({"layers": layers.missing, "leaks": leaks}).encode())

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
        self.filters = [seccomp.child_filter_template(), seccomp.child_filter_template(receives=True)]
        kernel.install_filter(seccomp.host_filter())

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
        kept = [os.dup2(control.fileno(), 40)]
        if self.ruleset is not None:
            kept.append(os.dup2(self.ruleset, 41))
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
            request = json.loads(text)
            reply = getattr(self, f"do_{request['op']}")(request, descriptors)
            self.control.send(json.dumps(reply).encode())
        for pid in self.children:
            os.kill(pid, signal.SIGKILL)

    def do_spawn(self, request: dict[str, Any], descriptors: list[int]) -> Any:
        """Fork the children of one program; descriptor -1 stands for /dev/null."""
        pids = []
        for child in request["children"]:
            taken = [CONTROL - 1 if number < 0 else descriptors[number] for number in child["descriptors"]]
            pid = os.fork()
            if pid == 0:
                self.become_child(taken, request["cpu_seconds"], request["address_bytes"], child["role"] == "testers")
                ROLES[child["role"]]()
                os._exit(0)
            pids.append(pid)
        for descriptor in descriptors:
            os.close(descriptor)
        self.children.update(pids)
        return pids

    def do_cpu(self, request: dict[str, Any], _: list[int]) -> Any:
        """Return the CPU seconds of the children so far."""
        return sum(time.clock_gettime((~pid << 3) | 2) for pid in request["pids"])  # CPUCLOCK_SCHED of a process

    def do_reap(self, request: dict[str, Any], _descriptors: list[int]) -> Any:
        """End the children: wait `grace` seconds, kill, collect. Then empty the scratch folder."""
        end = time.monotonic() + request["grace"]
        results = []
        for pid in request["pids"]:
            killed = not _wait_for_end(pid, end)
            os.kill(pid, signal.SIGKILL)
            _, status, usage = os.wait4(pid, 0)
            self.children.discard(pid)
            code = os.waitstatus_to_exitcode(status)
            results.append([code, killed, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, self.over.pop(pid, None)])
        try:
            empty_folder(self.work)
        except OSError as error:
            return {"ended": results, "unclean": str(error)}
        return {"ended": results}

    def _watch(self) -> None:
        """Kill children that take too much of what no limit covers here: disk and threads."""
        reason = None
        used, count = folder_usage(self.work)
        if used > confine.SCRATCH_MEGABYTES * 2**20 or count > confine.SCRATCH_FILES:
            reason = "disk limit"
        for pid in self.children:
            over = reason
            if self.processes is None and _threads(pid) > MAX_THREADS:
                over = "thread limit"
            if over:
                self.over.setdefault(pid, over)
                os.kill(pid, signal.SIGKILL)

    def become_child(self, descriptors: list[int], cpu_seconds: int, address_bytes: int, receives: bool = False) -> None:
        """Confine this new process for good and leave it nothing but `descriptors` as 0, 1, 2 ..."""
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        os.setsid()
        for target, number in enumerate(descriptors):
            os.dup2(number, target)
        first_to_close = len(descriptors)
        if self.ruleset is not None:
            kernel.landlock_restrict(self.ruleset)
        os.closerange(first_to_close, 4096)
        confine.set_limits(cpu_seconds, address_bytes, self.processes)
        if self.layers.has("seccomp"):
            kernel.install_filter(seccomp.child_filter_for(self.filters[receives], os.getpid()))


def _wait_for_end(pid: int, end: float) -> bool:
    """Wait until the process has ended, at most until `end`; return whether it has."""
    left = end - time.monotonic()
    if left <= 0:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    descriptor = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(left * 1000))
    finally:
        os.close(descriptor)


def _threads(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/status") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("Threads:")), 0)
    except OSError:
        return 0


def _unlocked(folder: str) -> list[os.DirEntry[str]]:
    """Return the entries of `folder`, whatever mode the program made it with."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except PermissionError:
        os.chmod(folder, 0o700)
        with os.scandir(folder) as entries:
            return list(entries)


def folder_usage(folder: str) -> tuple[int, int]:
    """Return bytes and entries under `folder`, counting no further than the limit on entries."""
    used, count, waiting = 0, 0, [folder]
    while waiting and count <= confine.SCRATCH_FILES:
        try:
            for entry in _unlocked(waiting.pop()):
                count += 1
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    used += entry.stat(follow_symlinks=False).st_blocks * 512
        except OSError:
            continue  # gone meanwhile, or too deep to name: then it is many entries as well
    return used, count


def empty_folder(folder: str) -> None:
    """Remove all that is in `folder`. Nested folders are first moved to the top: a tree may be deeper than a path is long."""
    number = 0
    while found := _unlocked(folder):
        for entry in found:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)
                continue
            os.chmod(entry.path, 0o700)
            for item in _unlocked(entry.path):
                if item.is_dir(follow_symlinks=False):
                    number += 1
                    os.chmod(item.path, 0o700)  # a folder is only moved by who may write to it
                    os.rename(item.path, f"{folder}/.moved-{os.getpid()}-{time.monotonic_ns()}-{number}")
                else:
                    os.unlink(item.path)
            os.rmdir(entry.path)


def _forget_ourselves() -> None:
    """Leave no module of ours for programs to import."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "rewards"]:
        del sys.modules[name]


if __name__ == "__main__":
    main()
