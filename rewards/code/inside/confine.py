"""The layers of isolation, as a host enters them once and as each child adds its own. Standard library only.

Covered by the host, once:

- user, pid, mount, network, ipc and uts namespaces, where they can be had;
- a new root directory that holds the standard library, the shared libraries and one small private tmpfs;
- another uid (as root); no capabilities; no new privileges; not dumpable; the long seccomp filter.

Covered by each child, every time:

- a session of its own, death with the host, limits;
- a Landlock domain (files, network, signals, ptrace); the short seccomp filter.

Not covered:

- bugs of the kernel;
- without a mount namespace, a program can see by `stat` whether a file of the host exists, and disk use is watched instead of
  bounded by the kernel;
- a layer that this machine does not have. Each is recorded with the reason, and nothing here lowers the level silently: the
  judge compares what was recorded with the stated minimum.
"""

import contextlib
import functools
import os
import resource
import stat
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rewards.code.inside import kernel
from rewards.code.inside.scratch import MAX_FILES, MAX_MEGABYTES

NAMESPACES = {
    "mount": kernel.CLONE_NEWNS,
    "network": kernel.CLONE_NEWNET,
    "ipc": kernel.CLONE_NEWIPC,
    "uts": kernel.CLONE_NEWUTS,
}
LAYERS = (
    "user",
    "pid",
    *NAMESPACES,
    "proc",
    "other_uid",
    "capabilities",
    "no_new_privileges",
    "landlock",
    "seccomp",
    "limits",
    "cgroup",
)
_FIRST_UID = 231_000
_FOREIGN_UIDS = (60_999, 65_534)  # for containers that map only 65,536 of them; the last is nobody
_DEVICES = ("null", "zero", "full", "random", "urandom")
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo")
_SMALL_FILES = ("/etc/ld.so.cache", "/etc/localtime")

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_TRUNCATE, _IOCTL = 1 << 14, 1 << 15
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL


@dataclass
class Layers:
    """What is in force: layer -> None, or the reason why not."""

    missing: dict[str, str | None] = field(default_factory=dict)

    def attempt(self, name: str, off: list[str], action: Callable[[], Any]) -> bool:
        """Run `action` unless the layer is switched off; record the outcome."""
        if name in off:
            self.missing[name] = "switched off by the settings"
            return False
        try:
            action()
        except (OSError, ValueError) as error:
            self.missing[name] = str(error) or type(error).__name__
            return False
        self.missing[name] = None
        return True

    def has(self, name: str) -> bool:
        """Return whether the layer is in force."""
        return name in self.missing and self.missing[name] is None


def library_paths() -> list[str]:
    """Return where the standard library lives, without the third-party packages beside it."""
    paths = []
    for folder in dict.fromkeys([sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")]):
        names = [name for name in os.listdir(folder) if name not in ("site-packages", "dist-packages", "test")]
        paths += [os.path.join(folder, name) for name in names]
    return paths


def enter_first_namespaces(layers: Layers, off: list[str]) -> None:
    """Enter the user namespace (as an ordinary user) and the pid namespace, which begins with the next fork."""
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        layers.missing["user"] = "not needed: running as root, another uid is used instead"
    else:
        layers.attempt("user", off, lambda: _enter_user_namespace(uid, gid))
    layers.attempt("pid", off, lambda: kernel.unshare(kernel.CLONE_NEWPID))


def _enter_user_namespace(uid: int, gid: int) -> None:
    """Try it in a child first: half a user namespace, without a mapping, cannot be left again."""
    pid = os.fork()
    if pid == 0:
        try:
            _map_user(uid, gid)
            kernel.unshare(kernel.CLONE_NEWNS)
        except OSError as error:
            os._exit(error.errno or 1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code:
        raise OSError(code, f"a trial ended with: {os.strerror(code)}")
    _map_user(uid, gid)


def _map_user(uid: int, gid: int) -> None:
    kernel.unshare(kernel.CLONE_NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", f"65534 {uid} 1"), ("gid_map", f"65534 {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def enter_other_namespaces(layers: Layers, off: list[str]) -> None:
    """Enter the namespaces that begin at once."""
    for name, flag in NAMESPACES.items():
        layers.attempt(name, off, functools.partial(kernel.unshare, flag))


def build_root(root: str, packages: dict[str, str], layers: Layers, off: list[str]) -> str:
    """Make a new root out of the empty folder `root`: libraries read-only at their usual places, packages in /packages.

    Return the only writable folder: /tmp, or another where Python itself is installed beneath /tmp.
    """
    kernel.mount(None, "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("tmpfs", root, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "size=1m,nr_inodes=2048,mode=755")
    for path in [*_LIBRARIES, *_SMALL_FILES, *library_paths()]:
        _show(path, root)
    os.mkdir(f"{root}/packages", 0o755)
    for name, path in packages.items():
        _bind(path, f"{root}/packages/{name}", kernel.MS_RDONLY | kernel.MS_NOSUID | kernel.MS_NODEV)
    for name in _DEVICES:
        _bind(f"/dev/{name}", f"{root}/dev/{name}", kernel.MS_NOSUID)
    for name, number in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
        os.symlink(f"/proc/self/fd/{number}", f"{root}/dev/{name}")
    os.symlink("/proc/self/fd", f"{root}/dev/fd")
    if layers.has("pid"):
        os.mkdir(f"{root}/proc")
        flags = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
        layers.attempt("proc", off, lambda: kernel.mount("proc", f"{root}/proc", "proc", flags, "hidepid=invisible,subset=pid"))
    else:
        layers.missing["proc"] = "needs the pid namespace"
    work = "/work" if os.path.lexists(f"{root}/tmp") else "/tmp"
    os.mkdir(root + work, 0o755)
    options = f"size={MAX_MEGABYTES}m,nr_inodes={MAX_FILES},mode=1777"
    kernel.mount("tmpfs", root + work, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, options)
    kernel.mount(None, root, None, kernel.MS_REMOUNT | kernel.MS_RDONLY | kernel.MS_NOSUID | kernel.MS_NODEV)
    kernel.change_root(root)
    return work


def link_packages(folder: str, packages: dict[str, str]) -> None:
    """Make the one folder from which third-party packages are imported: links to those that are wanted, and no others."""
    os.mkdir(folder, 0o755)
    for name, path in packages.items():
        os.symlink(path, f"{folder}/{name}")


def _show(path: str, root: str) -> None:
    """Make `path` visible under `root`, read-only; a symbolic link stays one."""
    target = root + path
    if os.path.lexists(target) or not os.path.lexists(path):
        return
    if os.path.islink(path):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.symlink(os.readlink(path), target)
        real = os.path.realpath(path)
        if not any(real == shown or real.startswith(shown + "/") for shown in _LIBRARIES):
            _show(real, root)
        return
    if any(path.startswith(shown + "/") for shown in _LIBRARIES if not os.path.islink(shown)):
        return  # beneath something that is shown already
    _bind(path, target, kernel.MS_RDONLY | kernel.MS_NOSUID | kernel.MS_NODEV)


def _bind(path: str, target: str, flags: int) -> None:
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if stat.S_ISDIR(os.stat(path).st_mode):
        os.mkdir(target)
    else:
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    kernel.mount(path, target, None, kernel.MS_BIND)
    # A remount inside a user namespace may not drop what the original mount forbids: repeat its flags.
    own = os.statvfs(path).f_flag
    times = own & (os.ST_NOATIME | os.ST_NODIRATIME | os.ST_RELATIME)
    noexec = kernel.MS_NOEXEC if own & os.ST_NOEXEC else 0
    kernel.mount(None, target, None, kernel.MS_BIND | kernel.MS_REMOUNT | flags | times | noexec)


def foreign_uid(launcher: int, paths: list[str]) -> int | None:
    """Return a uid that owns nothing and can still read `paths`, tried out in a child; None where there is none.

    Each launcher gets a uid of its own, so that the limit on processes counts one sandbox and not all of them.
    """
    for uid in (_FIRST_UID + launcher, *_FOREIGN_UIDS):
        pid = os.fork()
        if pid == 0:
            try:
                become(uid)
                os._exit(0 if all(os.access(path, os.R_OK) for path in paths) else 1)
            except OSError:
                os._exit(1)
        if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0:
            return uid
    return None


def become(uid: int) -> None:
    """Take another uid and gid, without any group."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def landlock_ruleset(readable: list[str], listable: list[str], scratch: str) -> int:
    """Return a ruleset: `readable` trees, names in `listable`, everything in `scratch`, and the harmless devices."""
    abi = kernel.landlock_abi()
    if abi < 3:  # 3 denies truncation, without which a file could be emptied that may only be read
        raise OSError(f"the kernel's Landlock is too old (ABI {abi}; 3 came with Linux 6.2)" if abi else "no Landlock here")
    rights = (1 << 13) - 1
    rights |= 1 << 13 | _TRUNCATE | (_IOCTL if abi >= 5 else 0)
    ruleset = kernel.landlock_ruleset(rights, 3 if abi >= 4 else 0, 3 if abi >= 6 else 0, abi)
    for path in readable:
        with contextlib.suppress(FileNotFoundError, PermissionError):
            folder = stat.S_ISDIR(os.stat(path).st_mode)
            kernel.landlock_allow(ruleset, path, _READ_FILE | _READ_DIR if folder else _READ_FILE)
    for path in listable:
        kernel.landlock_allow(ruleset, path, _READ_DIR)
    devices = _READ_FILE | _WRITE_FILE | _TRUNCATE
    for name in _DEVICES:
        with contextlib.suppress(FileNotFoundError, PermissionError):
            kernel.landlock_allow(ruleset, f"/dev/{name}", devices)
    special = sum(1 << bit for bit in (6, 9, 11))  # no character devices, sockets or block devices are made
    kernel.landlock_allow(ruleset, scratch, rights & ~_EXECUTE & ~_IOCTL & ~special)
    return ruleset


def set_limits(cpu_seconds: int, address_bytes: int, processes: int | None) -> None:
    """Set the limits of a child; they can only be lowered further."""
    pairs = [
        (resource.RLIMIT_CPU, cpu_seconds, cpu_seconds + 1),
        (resource.RLIMIT_AS, address_bytes, address_bytes),
        (resource.RLIMIT_FSIZE, 16 * 2**20, 16 * 2**20),
        (resource.RLIMIT_NOFILE, 128, 128),
    ]
    if processes is not None:
        pairs.append((resource.RLIMIT_NPROC, processes, processes))
    for kind, soft, hard in pairs:
        ceiling = resource.getrlimit(kind)[1]
        if ceiling == resource.RLIM_INFINITY:
            ceiling = hard
        resource.setrlimit(kind, (min(soft, ceiling), min(hard, ceiling)))


def set_common_limits() -> None:
    """Set once, in the host, the limits that are the same for every child."""
    for kind in (resource.RLIMIT_CORE, resource.RLIMIT_MSGQUEUE, resource.RLIMIT_MEMLOCK):
        resource.setrlimit(kind, (0, 0))


def readable_paths(packages: list[str], folder: str) -> tuple[list[str], list[str]]:
    """Return what a program may read, and which folders it may list."""
    folders = {os.path.realpath(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")}
    zones = [path for path in (*_LIBRARIES, *_SMALL_FILES) if os.path.exists(path)]
    return [*map(os.path.realpath, zones), *library_paths(), *packages], [*folders, folder]


def find_cgroup() -> str:
    """Return a writable cgroup v2 folder whose children can limit memory and processes; raises OSError."""
    with open("/proc/self/cgroup") as file:
        own = next((line.rstrip("\n").partition("::")[2] for line in file if line.startswith("0::")), None)
    for mounted in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
        path = f"{mounted}{own}".rstrip("/")
        if own is None or not os.path.exists(f"{path}/cgroup.subtree_control"):
            continue
        with open(f"{path}/cgroup.subtree_control") as file:
            enabled = file.read().split()
        if not {"memory", "pids"} <= set(enabled):
            raise OSError(f"{path} does not hand memory and pids to its children (it has: {' '.join(enabled) or 'none'})")
        if not os.access(path, os.W_OK):
            raise OSError(f"{path} is not writable")
        return path
    raise OSError("no cgroup v2 folder of this process was found")


def enter_cgroup(name: str, memory_bytes: int, processes: int) -> str:
    """Move this process into a new cgroup with limits and return its folder."""
    folder = f"{find_cgroup()}/{name}"
    os.mkdir(folder)
    for file, value in (("memory.max", memory_bytes), ("pids.max", processes), ("cgroup.procs", os.getpid())):
        with open(f"{folder}/{file}", "w") as handle:
            handle.write(str(value))
    return folder
