"""`reasonlab doctor --sandbox`: the layers of isolation that untrusted programs get here, tried out and not assumed."""

import time

from problems.errors import LabError
from problems.telling import tell, warn
from rewards.code.judging.sandbox import Sandbox
from rewards.code.judging.source import Candidate
from rewards.code.judging.styles import STYLES
from rewards.code.settings import SandboxSettings, limits_of

_MEANING = {
    "user": "user namespace: the program's user has no rights outside",
    "pid": "pid namespace: no other process is visible; all end with the sandbox",
    "mount": "mount namespace: a root of its own, one private tmpfs to write to",
    "network": "network namespace: no interface at all",
    "ipc": "ipc namespace: no shared memory with others",
    "uts": "uts namespace: no host name to change",
    "proc": "a /proc of its own",
    "other_uid": "another uid than ours (as root)",
    "capabilities": "no capabilities",
    "no_new_privileges": "no new privileges",
    "landlock": "Landlock: files, network, signals and tracing outside are denied",
    "seccomp": "seccomp: no processes, no sockets, only listed system calls",
    "limits": "limits on CPU, memory, file size, open files, processes",
    "cgroup": "cgroup v2 with limits on memory and processes",
}
_PRINT = Candidate(source="print(sum(map(int, input().split())))", fenced=True)
_ADD = Candidate(source="def add(a, b):\n    return a + b\n", fenced=True)


def _trials(sandbox: Sandbox, settings: SandboxSettings) -> list[tuple[str, bool]]:
    """Judge one right and one wrong answer in each style."""
    limits = limits_of({}, settings)
    text = [{"tests": [{"stdin": "1 2\n", "stdout": f"{value}\n"}]} for value in (3, 4)]
    call = [{"entry_point": "add", "tests": [{"args": [1, 2], "expected": value}]} for value in (3, 4)]
    source = [{"entry_point": "add", "tests": f"assert add(1, 2) == {value}"} for value in (3, 4)]
    trials = []
    for name, checks, candidate in (("stdin", text, _PRINT), ("function", call, _ADD), ("assert", source, _ADD)):
        kinds = [STYLES[name](sandbox, check, "", candidate, limits).kind for check in checks]
        trials.append((name, kinds == ["correct", "wrong answer"]))
    return trials


def report(settings: SandboxSettings) -> tuple[list[str], bool]:
    """Return the lines of the report, and whether programs may be run here."""
    started = time.perf_counter()
    sandbox = Sandbox(settings.model_copy(update={"allow_weak": True}))
    seconds = time.perf_counter() - started
    try:
        trials = _trials(sandbox, settings)
        missing = sandbox.below_minimum()
        lines = [f"sandbox of untrusted programs (started in {seconds:.2f} s)", *_layer_lines(sandbox)]
        for style, good in trials:
            lines.append(f"  {'yes' if good else 'NO ':<4} style {style}: a right answer passes, a wrong one does not")
        lines += _level_lines(sandbox, missing, settings.allow_weak)
        may_run = all(good for _, good in trials) and (not missing or settings.allow_weak)
        return lines, may_run
    finally:
        sandbox.close()


def _layer_lines(sandbox: Sandbox) -> list[str]:
    lines = []
    for name, meaning in _MEANING.items():
        reason = sandbox.layers.get(name, "not reached")
        lines.append(f"  yes  {meaning}" if reason is None else f"  no   {meaning}  [{reason}]")
    leaks = [f"  LEAK: a trial program could {leak}" for leak in sandbox.leaks]
    return lines + (leaks or ["  trial program: every escape failed"])


def _level_lines(sandbox: Sandbox, missing: list[str], allow_weak: bool) -> list[str]:
    if missing:
        consequence = "run all the same: sandbox.allow_weak is set" if allow_weak else "programs are refused here"
        return ["below the minimum: " + "; ".join(missing), consequence]
    if sandbox.layers["mount"] is None and sandbox.layers["pid"] is None:
        return ["level: full"]
    return ["level: no namespaces; Landlock, seccomp and limits hold (programs can see which files exist)"]


def layers_command(off: str, *, allow_weak: bool) -> int:
    """`reasonlab doctor --sandbox`: exit status 0 when programs may be run here. off: layers with commas between."""
    given = SandboxSettings.from_environment().model_dump()
    given["off"] = [*given["off"], *filter(None, off.split(","))]
    try:
        settings = SandboxSettings.model_validate({**given, "allow_weak": given["allow_weak"] or allow_weak})
        lines, fit = report(settings)
    except (LabError, ValueError) as error:
        warn(f"error: {error}")
        return 2
    tell({"works": fit, "tried": lines}, lambda: print("\n".join(lines)))
    return 0 if fit else 1
