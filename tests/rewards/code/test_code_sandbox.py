"""The sandbox itself: what it refuses, what it leaves behind, that it survives; the doctor; the python tool; the pool."""

import os
import time
from pathlib import Path

import pytest
from code_runner import made_up_host, patient, problem_of
from code_suite import ATTACKS, CASES, CHECKS
from code_support import NAMESPACES, code_problem, fenced, needs_sandbox

from launch.cli import main
from rewards.code import inside
from rewards.code.inside import seccomp
from rewards.code.judging.channel import Deadline
from rewards.code.judging.compare import same_text
from rewards.code.judging.sandbox import Children, Sandbox, SandboxUnavailable
from rewards.code.judging.source import find_candidate
from rewards.code.judging.verifier import CodeVerifier
from rewards.code.session import PythonSession
from rewards.code.settings import SandboxSettings, limits_of
from rewards.code.wire import ScriptSetup
from rewards.pool import VerifierPool
from rewards.trl import code_reward

ECHO = {"style": "stdin", "tests": [{"stdin": "x", "stdout": "x"}]}


@needs_sandbox
def test_below_the_minimum_programs_are_refused_unless_told_otherwise() -> None:
    weak = SandboxSettings(off=("seccomp",))
    with pytest.raises(SandboxUnavailable, match=r"seccomp: switched off.*allow_weak"):
        Sandbox(weak)
    verdict = CodeVerifier(weak).verify(code_problem(ECHO), fenced("print(input())"))
    assert verdict.status == "error"
    assert "seccomp" in verdict.detail
    allowed = CodeVerifier(SandboxSettings(off=("seccomp",), allow_weak=True))
    assert allowed.verify(code_problem(ECHO), fenced("print(input())")).status == "correct"
    allowed.close()


@needs_sandbox
def test_neither_mount_namespace_nor_landlock_is_below_the_minimum() -> None:
    with pytest.raises(SandboxUnavailable, match="neither a mount namespace"):
        Sandbox(SandboxSettings.model_validate({"off": (*NAMESPACES, "landlock")}))


@needs_sandbox
def test_the_doctor_tells_the_level(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--off", ",".join(NAMESPACES)]) == 0
    said = capsys.readouterr().out
    assert "level: no namespaces" in said
    assert "switched off by the settings" in said
    assert "every escape failed" in said
    assert main(["doctor", "--off", "seccomp"]) == 1
    assert "LEAK: a trial program could make a process" in capsys.readouterr().out


def test_system_call_numbers_are_known_for_both_machines() -> None:
    tables = seccomp.tables()
    # From the kernel's tables: asm/unistd_64.h and asm-generic/unistd.h.
    assert (tables["x86_64"]["openat"], tables["aarch64"]["openat"]) == (257, 56)
    assert (tables["x86_64"]["clone"], tables["aarch64"]["clone"]) == (56, 220)
    assert "fork" not in tables["aarch64"]


@needs_sandbox
def test_a_sandbox_that_dies_is_replaced_and_no_verdict_is_lost() -> None:
    verifier = CodeVerifier(SandboxSettings())
    assert verifier.verify(code_problem(ECHO), fenced("print(input())")).status == "correct"
    os.killpg(verifier.sandbox().process.pid, 9)
    assert verifier.verify(code_problem(ECHO), fenced("print(input())")).status == "correct"
    verifier.close()


@needs_sandbox
def test_a_program_is_watched_while_its_end_is_waited_for() -> None:
    sandbox = Sandbox(SandboxSettings.model_validate({"off": NAMESPACES}))
    source = "import time\nfor n in range(99):\n    with open(f'f{n}', 'wb') as f: f.write(bytes(2**20))\ntime.sleep(600)"
    with Children(sandbox, limits_of({}, sandbox.settings)) as children:
        channel = children.channel()
        children.spawn({"script": (-1, -1, -1, channel.inner.fileno())})
        channel.send(ScriptSetup(source=source), Deadline(children, 60.0))
        (ended,) = children.reap(15.0)  # less than the host may take for an answer
    sandbox.close()
    assert (ended.overrun, ended.killed) == ("disk limit", False)


FILES = """
import os, pathlib, shutil
pathlib.Path("a").touch()
shutil.copy2("a", "b")
os.utime("a", (5, 5))
shutil.move("b", "c")
try:
    os.utime("nowhere")
except FileNotFoundError:
    print(sorted(os.listdir()), os.stat("a").st_mtime == 5.0)
"""


@needs_sandbox
@pytest.mark.parametrize(("off", "real"), [((), True), (NAMESPACES, False)])
def test_files_are_touched_and_copied_and_times_are_real_where_no_file_of_the_host_is_in_reach(
    off: tuple[str, ...], real: bool
) -> None:
    verifier = CodeVerifier(SandboxSettings.model_validate({"off": off}))
    printed = f"['a', 'c'] {real and verifier.sandbox().layers['mount'] is None}"
    tests = [{"stdin": "", "stdout": printed}]
    assert verifier.verify(code_problem({"style": "stdin", "tests": tests}), fenced(FILES)).status == "correct"
    verifier.close()


MEDDLER = """
import os, sys
def meddle(folder):
    with open("planted.py", "w") as file:
        file.write("raise SystemExit")
    sys.path[:] = [folder, os.getcwd()]
    os.environ.update(PYTHONTZPATH=folder, OPENSSL_CONF="x.cnf", MODE="on", UNNAMED="on")
    os.chdir("/usr")
"""
UNDISTURBED = """
import os, sys
before = os.getcwd()
meddle(before)
assert os.getcwd() == before and sys.path == [before, before]
assert os.environ["MODE"] == "on"
assert not {"PYTHONTZPATH", "OPENSSL_CONF"} & set(os.environ) and "UN" + "NAMED" not in os.environ
import graphlib
sys.path.append(before)
try:
    import planted
except ModuleNotFoundError:
    sys.path.append("more")
assert sys.path[-1] == "more"
"""


@needs_sandbox
@pytest.mark.parametrize("off", [(), NAMESPACES], ids=["all layers", "no namespaces"])
def test_what_a_program_does_to_its_surroundings_reaches_the_tests_as_far_as_is_harmless(off: tuple[str, ...]) -> None:
    verifier = CodeVerifier(SandboxSettings.model_validate({"off": off}))
    checks = {"style": "assert", "entry_point": "meddle", "tests": UNDISTURBED}
    verdict = verifier.verify(code_problem(checks), fenced(MEDDLER))
    verifier.close()
    assert verdict.status == "correct", verdict.detail


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def processes() -> set[str]:
    """Return the host processes of this tree's sandboxes that belong to this user."""
    script = str(Path(inside.__file__).with_name("host.py")).encode()
    hosts = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if script in (folder / "cmdline").read_bytes() and folder.stat().st_uid == os.geteuid():
                hosts.add(folder.name)
        except OSError:
            continue
    return hosts


def scratch_folders() -> set[str]:
    return {path.name for path in Path("/tmp").glob("reasonlab-????????")}  # as `mkdtemp` calls those of sandboxes


def soak(count: int, workers: int) -> dict[str, int]:
    """Judge `count` programs, every twentieth hostile, and return the verdicts by status and what was left behind."""
    hostile = [(case, style) for case in ATTACKS if "12-" not in case.name for style in case.styles]
    before = processes(), descriptors(), scratch_folders()
    honest = [(case, style) for case in CASES if case.right for style in case.styles]
    with made_up_host() as host, VerifierPool(workers=workers) as pool:
        chosen = [hostile[(n // 20) * 7 % len(hostile)] if n % 20 == 0 else honest[n % len(honest)] for n in range(count)]
        problems = {(style, right): patient(problem_of(style, host), right) for style in CHECKS for right in (True, False)}
        items = [(problems[style, case.right], f"```python\n{host.fill_in(case.source)}```") for case, style in chosen]
        verdicts = pool.grade(items)
        assert host.state() == host.before
        restarts = pool.restarts
    wrongly = [
        (case.name, style, verdict.status, verdict.detail)
        for (case, style), verdict in zip(chosen, verdicts, strict=True)
        if (verdict.status == "correct") is not case.right or verdict.status == "error"
    ]
    assert wrongly == [], wrongly[:20]
    deadline = time.monotonic() + 60
    while processes() - before[0] and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes() <= before[0]
    assert descriptors() <= before[1]
    assert scratch_folders() <= before[2]
    return {"verdicts": len(verdicts), "restarts": restarts, "hostile": sum(not case.right for case, _ in chosen)}


@needs_sandbox
@pytest.mark.slow
def test_two_thousand_programs_leave_nothing_behind() -> None:
    assert soak(2000, workers=2) == {"verdicts": 2000, "restarts": 0, "hostile": 100}


@needs_sandbox
def test_code_reward_for_trl() -> None:
    conversation = [{"role": "assistant", "content": fenced("print(input())")}]
    assert code_reward(completions=[conversation, fenced("print(1)")], checks=[ECHO, ECHO]) == [1.0, 0.0]


@needs_sandbox
def test_the_python_tool_keeps_its_state_and_survives_what_ends_it() -> None:
    with PythonSession(SandboxSettings(timeout_seconds=10)) as session:
        assert session.run("x = 20\nprint('set')").stdout == "set\n"
        assert session.run("x + 1").stdout == "21\n"
        failed = session.run("import sys\nprint('e', file=sys.stderr)\n1 / 0")
        assert (failed.status, failed.stderr, failed.error) == ("exception", "e\n", "ZeroDivisionError: division by zero")
        assert session.run("x").stdout == "20\n"
        assert session.run("exit()").status == "exception"
        assert session.run("open('/etc/passwd').read()").status == "exception"
        assert session.run("while True: pass", timeout_seconds=1).status == "time limit"
        assert session.run("x").error == "NameError: name 'x' is not defined"
        assert session.run("import os; os._exit(0)").status == "ended"
        assert session.run("print('y' * 10**6)").status == "output limit"
        assert session.run("2 ** 100").stdout == "1267650600228229401496703205376\n"


def test_text_is_compared_by_lines_and_tokens() -> None:
    assert same_text(b"1 2\n3\n", b"1 2  \r\n3\r\n\r\n")
    assert same_text(b"1  2", b"1 2")
    assert same_text(b"0.5", b"0.50000001")
    assert same_text(b"1e3", b"1000.0000001")
    assert not same_text(b"0.5", b"0.50001")
    assert not same_text(b"1000000", b"1000000.0000001")  # an integer is no decimal
    assert not same_text(b"0.5", b"nan")
    assert not same_text(b"1 2", b"1\n2")
    assert not same_text(b"1\n\n2", b"1\n2")
    assert not same_text(b"Yes", b"yes")
    assert not same_text(b"0.5", b"0_0.5")
    assert same_text(b"0.30", b"0.31", tolerance=0.1)
    assert not same_text(b"0.5", b"0.50", tolerance=0)


@pytest.mark.parametrize(
    ("completion", "source"),
    [
        ("```python\na\n```\ntext\n```python\nb\n```", "b\n"),
        ("```python\na\n```\n```\nb\n```", "a\n"),
        ("```\na\n```\n```bash\nls\n```", "a\n"),
        ("<think>```python\nno\n```</think>```py\nyes\n```", "yes\n"),
        ("~~~python\na\n```\nb\n~~~", "a\n```\nb\n"),
        ("````python\ns = '''\n```\n'''\n````", "s = '''\n```\n'''\n"),
        ("```python\ncut off", "cut off"),
        ("```Python3 title=x\r\na\r\n```", "a\n"),
        ("1. So:\n   ```python\n   if a:\n       b\n\n   ```", "if a:\n    b\n\n"),
        ("```python\r\n\ufeffa\r\n```", "a\n"),
        ("plain", "plain"),
    ],
)
def test_the_program_is_read_from_the_completion(completion: str, source: str) -> None:
    candidate = find_candidate(completion)
    assert candidate is not None
    assert candidate.source == source
