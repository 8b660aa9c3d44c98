"""The seccomp filters: which system calls a sandboxed process may make.

Two filters, because building one costs time and the host forks a process for every program.

Covered by the long one, which the host enters once: only listed calls are made, everything else fails.
Covered by the short one, which each child adds: what only the host needs is taken away, and the child's own pid is named, so
that no process is made (threads are), and none signalled but oneself.
Not covered: what the listed calls reach (files, the network, memory); see `confine` for the layers that bound those.

Numbers from Linux 6.1 (asm/unistd_64.h and asm-generic/unistd.h). Standard library only.
"""

import errno
import os
import struct
from collections.abc import Mapping
from typing import Any

_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_LAST_KNOWN_CALL = 462  # above: ENOSYS, so that libraries fall back as they do on an older kernel
_LOAD, _JEQ, _JGE, _JSET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # BPF_LD|W|ABS, BPF_JMP|..|K, BPF_RET|K
_NUMBER, _ARCHITECTURE = 0, 4  # offsets in struct seccomp_data


def _argument(index: int) -> int:
    return 16 + 8 * index  # low half; both architectures are little-endian


def _table(text: str) -> dict[str, int]:
    return {name: int(number) for name, number in (item.split("=") for item in text.split())}


_X86_64 = _table("""
    access=21 alarm=37 arch_prctl=158 brk=12 capget=125 capset=126 chdir=80 chmod=90 chown=92 clock_getres=229
    clock_gettime=228 clock_nanosleep=230 clone=56 clone3=435 close=3 close_range=436 copy_file_range=326 creat=85 dup=32
    dup2=33 dup3=292 epoll_create=213 epoll_create1=291 epoll_ctl=233 epoll_pwait=281 epoll_pwait2=441 epoll_wait=232
    eventfd=284 eventfd2=290 execve=59 execveat=322 exit=60 exit_group=231 faccessat=269 faccessat2=439 fadvise64=221
    fallocate=285 fchdir=81 fchmod=91 fchmodat=268 fchmodat2=452 fchown=93 fchownat=260 fcntl=72 fdatasync=75 flock=73
    fork=57 fstat=5 fstatfs=138 fsync=74 ftruncate=77 futex=202 futimesat=261 get_robust_list=274 getcpu=309 getcwd=79
    getdents=78 getdents64=217 getegid=108 geteuid=107 getgid=104 getgroups=115 getitimer=36 getpeername=52 getpgid=121
    getpgrp=111 getpid=39 getppid=110 getpriority=140 getrandom=318 getresgid=120 getresuid=118 getrlimit=97 getrusage=98
    getsid=124 getsockname=51 getsockopt=55 gettid=186 gettimeofday=96 getuid=102 ioctl=16 kill=62 landlock_add_rule=445
    landlock_create_ruleset=444 landlock_restrict_self=446 lchown=94 lseek=8 lstat=6 madvise=28 membarrier=324 mincore=27
    mkdir=83 mkdirat=258 mlock=149 mlock2=325 mlockall=151 mmap=9 mount=165 mprotect=10 mremap=25 msync=26 munlock=150
    munlockall=152 munmap=11 nanosleep=35 newfstatat=262 open=2 openat=257 openat2=437 pause=34 pidfd_open=434 pipe=22
    pipe2=293 pivot_root=155 poll=7 ppoll=271 prctl=157 pread64=17 preadv=295 preadv2=327 prlimit64=302 pselect6=270
    pwrite64=18 pwritev=296 pwritev2=328 read=0 readlink=89 readlinkat=267 readv=19 recvfrom=45 recvmsg=47 rename=82
    renameat=264 renameat2=316 restart_syscall=219 rmdir=84 rseq=334 rt_sigaction=13 rt_sigpending=127 rt_sigprocmask=14
    rt_sigreturn=15 rt_sigsuspend=130 rt_sigtimedwait=128 sched_get_priority_max=146 sched_get_priority_min=147
    sched_getaffinity=204 sched_getparam=143 sched_getscheduler=145 sched_rr_get_interval=148 sched_yield=24 seccomp=317
    select=23 sendfile=40 sendmsg=46 sendto=44 set_robust_list=273 set_tid_address=218 setgid=106 setgroups=116
    sethostname=170 setitimer=38 setresgid=119 setresuid=117 setrlimit=160 setsid=112 setsockopt=54 setuid=105 shutdown=48
    sigaltstack=131 signalfd=282 signalfd4=289 socketpair=53 splice=275 stat=4 statfs=137 statx=332 symlink=88
    symlinkat=266 sync_file_range=277 sysinfo=99 tee=276 tgkill=234 time=201 timer_create=222 timer_delete=226
    timer_getoverrun=225 timer_gettime=224 timer_settime=223 timerfd_create=283 timerfd_gettime=287 timerfd_settime=286
    times=100 tkill=200 truncate=76 umask=95 umount2=166 uname=63 unlink=87 unlinkat=263 unshare=272 utime=132
    utimensat=280 utimes=235 vfork=58 wait4=61 waitid=247 write=1 writev=20
    setxattr=188 lsetxattr=189 fsetxattr=190 getxattr=191 lgetxattr=192 fgetxattr=193 listxattr=194 llistxattr=195
    flistxattr=196 removexattr=197 lremovexattr=198 fremovexattr=199
""")
_AARCH64 = _table("""
    brk=214 capget=90 capset=91 chdir=49 clock_getres=114 clock_gettime=113 clock_nanosleep=115 clone=220 clone3=435
    close=57 close_range=436 copy_file_range=285 dup=23 dup3=24 epoll_create1=20 epoll_ctl=21 epoll_pwait=22
    epoll_pwait2=441 eventfd2=19 execve=221 execveat=281 exit=93 exit_group=94 faccessat=48 faccessat2=439 fadvise64=223
    fallocate=47 fchdir=50 fchmod=52 fchmodat=53 fchmodat2=452 fchown=55 fchownat=54 fcntl=25 fdatasync=83 flock=32
    fstat=80 fstatfs=44 fsync=82 ftruncate=46 futex=98 get_robust_list=100 getcpu=168 getcwd=17 getdents64=61 getegid=177
    geteuid=175 getgid=176 getgroups=158 getitimer=102 getpeername=205 getpgid=155 getpid=172 getppid=173 getpriority=141
    getrandom=278 getresgid=150 getresuid=148 getrlimit=163 getrusage=165 getsid=156 getsockname=204 getsockopt=209
    gettid=178 gettimeofday=169 getuid=174 ioctl=29 kill=129 landlock_add_rule=445 landlock_create_ruleset=444
    landlock_restrict_self=446 lseek=62 madvise=233 membarrier=283 mincore=232 mkdirat=34 mlock=228 mlock2=284 mlockall=230
    mmap=222 mount=40 mprotect=226 mremap=216 msync=227 munlock=229 munlockall=231 munmap=215 nanosleep=101 newfstatat=79
    openat=56 openat2=437 pidfd_open=434 pipe2=59 pivot_root=41 ppoll=73 prctl=167 pread64=67 preadv=69 preadv2=286
    prlimit64=261 pselect6=72 pwrite64=68 pwritev=70 pwritev2=287 read=63 readlinkat=78 readv=65 recvfrom=207 recvmsg=212
    renameat=38 renameat2=276 restart_syscall=128 rseq=293 rt_sigaction=134 rt_sigpending=136 rt_sigprocmask=135
    rt_sigreturn=139 rt_sigsuspend=133 rt_sigtimedwait=137 sched_get_priority_max=125 sched_get_priority_min=126
    sched_getaffinity=123 sched_getparam=121 sched_getscheduler=120 sched_rr_get_interval=127 sched_yield=124 seccomp=277
    sendfile=71 sendmsg=211 sendto=206 set_robust_list=99 set_tid_address=96 setgid=144 setgroups=159 sethostname=161
    setitimer=103 setresgid=149 setresuid=147 setrlimit=164 setsid=157 setsockopt=208 setuid=146 shutdown=210
    sigaltstack=132 signalfd4=74 socketpair=199 splice=76 statfs=43 statx=291 symlinkat=36 sync_file_range=84 sysinfo=179
    tee=77 tgkill=131 timer_create=107 timer_delete=111 timer_getoverrun=109 timer_gettime=108 timer_settime=110
    timerfd_create=85 timerfd_gettime=87 timerfd_settime=86 times=153 tkill=130 truncate=45 umask=166 umount2=39 uname=160
    unlinkat=35 unshare=97 utimensat=88 wait4=260 waitid=95 write=64 writev=66
    setxattr=5 lsetxattr=6 fsetxattr=7 getxattr=8 lgetxattr=9 fgetxattr=10 listxattr=11 llistxattr=12 flistxattr=13
    removexattr=14 lremovexattr=15 fremovexattr=16
""")


def _names(text: str) -> list[str]:
    return text.split()


_AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_TABLES = {"x86_64": _X86_64, "aarch64": _AARCH64}

# Fine for everybody.
_PLAIN = _names("""
    read write open openat close stat fstat lstat newfstatat statx poll ppoll lseek mmap mprotect munmap brk rt_sigaction
    rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigsuspend sigaltstack pause pread64 pwrite64 readv writev
    preadv pwritev preadv2 pwritev2 access faccessat faccessat2 pipe pipe2 select pselect6 sched_yield mremap msync mincore
    madvise dup dup2 dup3 nanosleep clock_nanosleep getitimer alarm setitimer timer_create timer_settime timer_gettime
    timer_getoverrun timer_delete timerfd_create timerfd_settime timerfd_gettime getpid getppid gettid getuid geteuid getgid
    getegid getgroups getresuid getresgid getpgrp getpgid getsid sendfile recvfrom shutdown getsockopt setsockopt getsockname
    getpeername exit exit_group wait4 waitid uname flock fsync fdatasync truncate ftruncate getdents getdents64 getcwd chdir
    fchdir rename renameat renameat2 mkdir mkdirat rmdir creat unlink unlinkat symlink symlinkat readlink readlinkat umask
    getrlimit setrlimit getrusage sysinfo times statfs fstatfs getpriority sched_getparam sched_getscheduler sched_getaffinity
    sched_get_priority_max sched_get_priority_min sched_rr_get_interval mlock munlock mlock2 mlockall munlockall arch_prctl
    futex time clock_gettime clock_getres gettimeofday set_tid_address restart_syscall set_robust_list get_robust_list rseq
    getrandom membarrier epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 eventfd eventfd2 signalfd
    signalfd4 getcpu copy_file_range splice tee fadvise64 fallocate sync_file_range close_range capget
""")
# Only the host: it makes processes, receives descriptors and confines its children.
_HOST = _names(
    "chmod fchmodat clone fork vfork kill prctl prlimit64 setsid sendmsg recvmsg landlock_restrict_self seccomp pidfd_open"
)
# Modes and times of files: real where the process has a root directory of its own, which holds nothing of the host that can be
# written; elsewhere answered with success and not done, so that copying a file with shutil goes on (`pretend_with_care`).
_CHMOD = _names("chmod fchmodat")  # the host opens folders that a program has locked
_TIMES_AND_MODES = _names("fchmod fchmodat2 utime utimes utimensat futimesat")
_PRETENDED = _names("chown fchown lchown fchownat")
# Answered with "not supported", as many file systems do.
_UNSUPPORTED = _names("""
    setxattr lsetxattr fsetxattr getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr removexattr lremovexattr
    fremovexattr
""")
# Answered with "no such call", for which the C library has a fallback.
_UNKNOWN = _names("clone3 openat2")
_CLONE_THREAD = 0x00010000
_ALLOWED_IOCTLS = (0x5401, 0x541B, 0x5421, 0x5450, 0x5451)  # TCGETS (isatty), FIONREAD, FIONBIO, FIONCLEX, FIOCLEX
# Set owner and set signal would let a process send SIGIO to any process of the same user.
_DENIED_FCNTLS = (8, 10, 15)  # F_SETOWN, F_SETSIG, F_SETOWN_EX
_PR_SET_NAME, _PR_GET_NAME, _PR_SET_VMA = 15, 16, 0x53564D41
_AF_UNIX = 1
_PID_MARK = 0x7ABCDEF1  # larger than any pid


class _Filter:
    """A filter under construction: a program of the kernel's packet filter (BPF)."""

    def __init__(self, machine: str):
        self.numbers = _TABLES[machine]
        self.code: list[tuple[int, int, int, int]] = []
        self.emit(_LOAD, _ARCHITECTURE)
        self.emit(_JEQ, _AUDIT[machine], 1, 0)
        self.emit(_RETURN, _KILL)
        self.emit(_LOAD, _NUMBER)

    def emit(self, operation: int, value: int, if_true: int = 0, if_false: int = 0) -> None:
        self.code.append((operation, if_true, if_false, value))

    def answer(self, names: list[str] | tuple[str, ...], action: int) -> None:
        """Answer these calls with `action`, whatever their arguments."""
        for name in names:
            if name in self.numbers:
                self.emit(_JEQ, self.numbers[name], 0, 1)
                self.emit(_RETURN, action)

    def argument(self, name: str, index: int, values: tuple[int, ...], listed: int, other: int) -> None:
        """Answer `name` with `listed` when its argument (32 bits) is one of `values`, else with `other`."""
        if name not in self.numbers:
            return
        self.emit(_JEQ, self.numbers[name], 0, 2 + 2 * len(values))
        self.emit(_LOAD, _argument(index))
        for value in values:
            self.emit(_JEQ, value & 0xFFFFFFFF, 0, 1)
            self.emit(_RETURN, listed)
        self.emit(_RETURN, other)

    def thread_only(self, other: int) -> None:
        """Allow clone for threads."""
        self.emit(_JEQ, self.numbers["clone"], 0, 4)
        self.emit(_LOAD, _argument(0))
        self.emit(_JSET, _CLONE_THREAD, 0, 1)
        self.emit(_RETURN, _ALLOW)
        self.emit(_RETURN, other)

    def no_address(self, name: str, index: int, other: int) -> None:
        """Allow `name` only when the pointer at `index` is null."""
        self.emit(_JEQ, self.numbers[name], 0, 6)
        self.emit(_LOAD, _argument(index))
        self.emit(_JEQ, 0, 0, 3)
        self.emit(_LOAD, _argument(index) + 4)
        self.emit(_JEQ, 0, 0, 1)
        self.emit(_RETURN, _ALLOW)
        self.emit(_RETURN, other)

    def finish(self, action: int) -> bytes:
        self.emit(_RETURN, action)
        return b"".join(struct.pack("=HBBI", *instruction) for instruction in self.code)


def supported() -> bool:
    """Return whether the numbers of this machine are known."""
    return os.uname().machine in _TABLES


def pretend_with_care() -> None:
    """Have `os.utime` fail for what is not there, where the kernel answers with success: else `Path.touch` makes no file."""
    pretended = os.utime

    def utime(path: Any, *args: Any, **options: Any) -> None:
        os.stat(path)
        pretended(path, *args, **options)

    os.utime = utime


def host_filter(own_root: bool) -> bytes:
    """Return the filter that the host enters once: all that it and its children will ever need.

    `own_root`: no file of the host can be written from here, so that modes and times may change.
    """
    refuse = _ERRNO | errno.EPERM
    rules = _Filter(os.uname().machine)
    if os.uname().machine == "x86_64":
        rules.emit(_JGE, 0x40000000, 0, 1)  # the x32 numbers
        rules.emit(_RETURN, _KILL)
    rules.answer(_PLAIN, _ALLOW)
    rules.answer(_HOST, _ALLOW)
    rules.answer(("tgkill",), _ALLOW)
    rules.answer(_TIMES_AND_MODES, _ALLOW if own_root else _ERRNO)
    rules.answer(_PRETENDED, _ERRNO)
    rules.answer(_UNSUPPORTED, _ERRNO | errno.ENOTSUP)
    rules.answer(_UNKNOWN, _ERRNO | errno.ENOSYS)
    rules.argument("fcntl", 1, _DENIED_FCNTLS, refuse, _ALLOW)
    rules.argument("ioctl", 1, _ALLOWED_IOCTLS, _ALLOW, _ERRNO | errno.ENOTTY)
    rules.argument("socketpair", 0, (_AF_UNIX,), _ALLOW, refuse)
    rules.no_address("sendto", 4, refuse)
    rules.emit(_JGE, _LAST_KNOWN_CALL + 1, 0, 1)
    rules.emit(_RETURN, _ERRNO | errno.ENOSYS)
    return rules.finish(refuse)


def child_filter_template(own_root: bool, receives: bool = False) -> tuple[bytes, tuple[int, ...]]:
    """Return the child's filter without the pid, and where in it the pid belongs: building it costs more than installing it."""
    filled = child_filter(_PID_MARK, own_root, receives)
    mark = struct.pack("=I", _PID_MARK)
    places, start = list[int](), filled.find(mark)
    while start >= 0:
        places.append(start)
        start = filled.find(mark, start + 1)
    return filled, tuple(places)


def child_filter_for(template: tuple[bytes, tuple[int, ...]], pid: int) -> bytes:
    """Return the filter of the process `pid`."""
    code, places = bytearray(template[0]), template[1]
    for place in places:
        struct.pack_into("=I", code, place, pid)
    return bytes(code)


def child_filter(pid: int, own_root: bool, receives: bool = False) -> bytes:
    """Return what the process `pid` adds before it runs a program; `receives`: descriptors may be passed to it."""
    refuse = _ERRNO | errno.EPERM
    rules = _Filter(os.uname().machine)
    rules.thread_only(refuse)
    rules.argument("kill", 0, (pid,), _ALLOW, refuse)
    rules.argument("tgkill", 0, (pid,), _ALLOW, refuse)
    rules.argument("prctl", 0, (_PR_SET_NAME, _PR_GET_NAME, _PR_SET_VMA), _ALLOW, refuse)
    rules.argument("prlimit64", 0, (0, pid), _ALLOW, refuse)
    rules.answer(_CHMOD, _ALLOW if own_root else _ERRNO)
    decided = ("clone", "kill", "prctl", "prlimit64", *_CHMOD)
    left = (*decided, "recvmsg") if receives else decided
    rules.answer([name for name in _HOST if name not in left], refuse)
    return rules.finish(_ALLOW)


def tables() -> Mapping[str, Mapping[str, int]]:
    """Return the call numbers by machine, for tests."""
    return _TABLES
