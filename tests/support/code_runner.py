"""Judges the whole suite against a made-up host: a secret file, a victim process, listeners. Prints what went wrong.

Usable as a script, so that a test can run it as another user: `python tests/support/code_runner.py '{"off": ["user"]}'`.
"""

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from code_suite import CASES, CHECKS, Case

from problems.types import Problem
from rewards.code.judging.verifier import CodeVerifier
from rewards.code.settings import SandboxSettings


class Host:
    """What an attack may reach for, and whether it was touched."""

    def __init__(self) -> None:
        self.secret = secrets.token_hex(12)
        self.folder = Path(tempfile.mkdtemp(prefix="canary-"))
        self.folder.chmod(0o755)
        (self.folder / "secret").write_text(self.secret)
        (self.folder / "secret.py").write_text(f"SECRET = {self.secret!r}\n")
        for path in self.folder.iterdir():
            path.chmod(0o644)
        os.environ["SECRET"] = self.secret
        self.victim = subprocess.Popen(["sleep", "1000"], env={"SECRET": self.secret}, start_new_session=True)
        self.tcp, self.udp = socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.port = self.tcp.getsockname()[1]
        self.udp.bind(("127.0.0.1", self.port))
        self.unix, self.unix_packets = socket.socket(socket.AF_UNIX), None
        self.unix.bind(str(self.folder / "listener"))
        (self.folder / "listener").chmod(0o777)
        self.unix.listen()
        for listener in (self.tcp, self.udp, self.unix):
            listener.setblocking(False)
        while "S (sleeping)" not in str(self.state()):  # the victim is still being loaded
            time.sleep(0.01)
        self.before = self.state()

    def fill_in(self, text: str) -> str:
        values = {"CANARY": self.folder, "VICTIM": self.victim.pid, "PORT": self.port, "SECRET": self.secret}
        for name, value in values.items():
            text = text.replace(f"@{name}@", str(value))
        return text

    def state(self) -> object:
        """Return all that must stay the same."""
        heard = []
        for listener in (self.tcp, self.unix):
            with contextlib.suppress(BlockingIOError):
                heard.append(str(listener.accept()))
        with contextlib.suppress(BlockingIOError):
            heard.append(str(self.udp.recv(100)))
        files = []
        for path in sorted(self.folder.iterdir()):
            held = path.lstat()
            text = path.read_text() if path.is_file() else ""
            files.append((path.name, held.st_mode, held.st_uid, held.st_mtime_ns, held.st_nlink, text))
        status = Path(f"/proc/{self.victim.pid}/status").read_text() if self.victim.poll() is None else "dead"
        running = [line for line in status.split("\n") if line.startswith(("State", "Cpus_allowed_list"))]
        nice = os.getpriority(os.PRIO_PROCESS, self.victim.pid) if running else None
        return heard, files, running, nice

    def close(self) -> None:
        self.victim.kill()
        self.victim.wait()
        for listener in (self.tcp, self.udp, self.unix):
            listener.close()
        shutil.rmtree(self.folder)
        del os.environ["SECRET"]


@contextlib.contextmanager
def made_up_host() -> Iterator[Host]:
    host = Host()
    try:
        yield host
    finally:
        host.close()


def problem_of(style: str, host: Host | None = None) -> Problem:
    text = json.dumps(CHECKS[style])
    checks = json.loads(host.fill_in(text) if host else text)
    return Problem(id=style, domain="code", split="test", prompt="a * b + 7", reference=None, checks=checks, source="suite")


def patient(problem: Problem, honest: bool) -> Problem:
    """Give honest programs time, so that a loaded machine does not decide what they are worth."""
    return replace(problem, checks={**problem.checks, "timeout_seconds": 20.0 if honest else 1.0})


def judge_all(settings: SandboxSettings, cases: Sequence[Case] = CASES) -> tuple[int, list[str]]:
    """Return how many verdicts were given, and what is wrong with them or with the host afterwards."""
    faults, count, slow = [], 0, []
    verifier = CodeVerifier(settings)
    try:
        with made_up_host() as host:
            for case in cases:
                for style in case.styles:
                    label = f"{case.kind}: {case.name} [{style}]"
                    started = time.perf_counter()
                    problem = patient(problem_of(style, host), case.right)
                    verdict = verifier.verify(problem, f"```python\n{host.fill_in(case.source)}```")
                    seconds = time.perf_counter() - started
                    count += 1
                    if seconds > 0.5:
                        slow.append((round(seconds, 2), label))
                    if verdict.status == "error" or (verdict.status == "correct") is not case.right:
                        faults.append(f"{label}: {verdict.status}, {verdict.detail}")
                    if host.state() != host.before:
                        faults.append(f"{label}: the host was touched: {host.state()} before: {host.before}")
                        host.before = host.state()
    finally:
        scratch = [sandbox.scratch for sandbox in verifier._sandboxes.values()]
        verifier.close()
    faults += [f"left behind: {path}" for path in scratch if os.path.exists(path)]
    if os.environ.get("SHOW_SLOW"):
        print("\n".join(map(str, sorted(slow)[::-1][:40])), file=sys.stderr)
    return count, faults


if __name__ == "__main__":
    number, wrong = judge_all(SandboxSettings.model_validate_json(sys.argv[1] if len(sys.argv) > 1 else "{}"))
    print(json.dumps({"verdicts": number, "faults": wrong}, indent=1))
    sys.exit(bool(wrong))
