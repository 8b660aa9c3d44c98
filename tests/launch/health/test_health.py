"""The doctor's lines: each fault is named in words with what to do, and only those without which no run works are failures."""

import json
import tempfile
from pathlib import Path

import pytest

from launch.cli import main
from launch.health import machine, services
from launch.health.findings import Finding, as_record, failure, ok, warning, works
from launch.health.machine import disk, looked_over
from launch.health.reach import hosts_checked, measured_words
from launch.nodes.commands import ssh_words
from launch.nodes.hosts import Host
from rewards.code.settings import SandboxSettings


def only(findings: list[Finding]) -> Finding:
    [found] = findings
    return found


def test_a_run_works_unless_something_failed() -> None:
    fine, odd, bad = ok("a", "b"), warning("c", "d", "e"), failure("f", "g", "h")
    assert works([fine, odd])
    assert not works([fine, odd, bad])
    record = as_record([fine, bad])
    assert record["works"] is False
    assert record["findings"] == [
        {"level": "ok", "about": "a", "found": "b", "to_do": ""},
        {"level": "failure", "about": "f", "found": "g", "to_do": "h"},
    ]
    assert str(bad) == "failure  f                g\n" + " " * 26 + "-> h"


def test_a_check_that_breaks_hides_no_other() -> None:
    def broken():  # type: ignore[no-untyped-def]
        yield ok("a", "b")
        raise ImportError("no such file")

    before, found = looked_over("GPU", broken)
    assert before == ok("a", "b")
    assert (found.level, found.about, found.found) == ("failure", "GPU", "ImportError: no such file")


def installed(folder: Path, name: str, version: str, *requires: str) -> None:
    """Make what pip leaves of an installed package."""
    about = folder / f"{name}-{version}.dist-info"
    about.mkdir()
    lines = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {one}" for one in requires)]
    (about / "METADATA").write_text("Metadata-Version: 2.1\n" + "\n".join(lines) + "\n")


def test_packages_out_of_their_range_fail_and_untested_ones_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path, "labprobe", "1.0", "labold>=2.10", "labother>=1.26", "labgone", 'labextra>1; extra == "dev"')
    installed(tmp_path, "labold", "2.9.1")
    installed(tmp_path, "labother", "2.0.0")
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("# exact\nlabother==2.1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = {f"{one.level} {one.about}": one.found for one in machine.versions(constraints, "labprobe")}
    assert found["failure labold"] == "2.9.1, and >=2.10 is needed"
    assert found["failure labgone"] == "not installed"
    assert found["warning packages"] == "not as tested: labother 2.0.0 (tested: 2.1.0)"
    assert only(list(machine.versions(constraints, "labnobody"))[1:]).level == "warning"


def test_without_a_compiler_runs_are_slower_and_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = only(list(machine.compiler()))
    assert (found.level, found.found) == ("warning", "no cc")
    broken = tmp_path / "cc"
    broken.write_text("#!/bin/sh\necho 'cannot find libc' >&2\nexit 1\n")
    broken.chmod(0o755)
    found = only(list(machine.compiler()))
    assert (found.level, found.found) == ("warning", "cc cannot compile with OpenMP: cannot find libc")


def test_a_disk_that_takes_nothing_fails(tmp_path: Path) -> None:
    assert disk("disk", tmp_path / "not" / "yet" / "made").found.endswith(f"GiB free in {tmp_path}")
    # no file can be made below /proc, whoever asks: what a read-only mount says too
    found = disk("disk", Path("/proc/self"))
    assert found.level == "failure"
    assert found.found.startswith("cannot write to /proc/self")


def test_temporary_files_that_find_another_place_are_no_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", "/proc/self")
    found = machine.temporary(Path("/proc/self"))
    assert (found.level, found.about) == ("warning", "disk, temporary")
    assert f"; temporary files go to {tempfile.gettempdir()} instead" in found.found
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/proc/self"])
    found = machine.temporary(Path("/proc/self"))
    assert found.level == "failure"
    assert found.found.startswith("cannot write to /proc/self")
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "cc").write_text("#!/bin/sh\n")
    (tmp_path / "cc").chmod(0o755)
    compiler = only(list(machine.compiler()))
    assert compiler.level == "warning"
    assert compiler.found.startswith("cc could not be tried: No usable temporary directory")
    monkeypatch.undo()
    tempfile.tempdir = None


def test_a_cache_of_models_that_takes_nothing_is_no_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", "/proc/self/hub")
    runs, _, models = machine.disks(tmp_path)
    assert runs.level != "failure"
    assert (models.level, models.found.startswith("cannot write to /proc/self")) == ("warning", True)
    assert "cannot be fetched" in models.to_do


def test_little_shared_memory_and_little_memory_are_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    1048576 kB\n")
    monkeypatch.setattr(machine, "ENOUGH_SHARED", float("inf"))
    levels = [(one.level, one.about) for one in machine.memory(tmp_path, tmp_path / "meminfo")]
    assert levels == [("warning", "memory"), ("warning", "shared memory")]
    found = list(machine.memory(tmp_path / "none", tmp_path / "meminfo"))
    assert found[0].found == "1.0 GiB available"
    assert found[1].found == f"no {tmp_path / 'none'}"


def test_a_weak_sandbox_is_no_reason_not_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    # each with the words of the report itself
    off = SandboxSettings.model_validate({"off": ["seccomp"]})
    found = only(list(machine.sandbox(off)))
    assert found.level == "warning"
    assert "reasonlab doctor --sandbox" in found.to_do


def test_what_cannot_be_reached_is_warned_of(no_network: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert only(list(services.hub())).level == "warning"
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    found = only(list(services.weights_and_biases()))
    assert found.level == "warning"
    assert found.found.startswith("127.0.0.1:9 cannot be reached")
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert only(list(services.weights_and_biases())).level == "ok"


def test_a_host_that_does_not_answer_fails_and_no_sum_is_tried(tmp_path: Path) -> None:
    hosts = [Host(name="localhost", devices=(0,)), Host(name="nobody.invalid", devices=(0,))]
    first, *_, other, last = hosts_checked(hosts, ssh_words(None), tmp_path / "runs", None)
    assert (first.level, first.about) == ("ok", "host localhost")
    assert (other.level, other.about) == ("failure", "host nobody.invalid")
    assert last.found.startswith("not tried")


def test_the_rate_is_what_moves_through_each_rank() -> None:
    # 2 (N - 1) / N of the bytes: 2 * 3 / 4 * 16 MiB = 25,165,824 bytes in 10 ms are 2.52 GB/s
    measured = {"ranks": 4, "bytes": 2**24, "seconds": 0.01, "backend": "gloo"}
    assert measured_words(measured) == "4 ranks over gloo: 16 MiB in 10 ms, 2.52 GB/s a rank"


def test_the_doctor_as_json_says_whether_a_run_can_work(no_network: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json", "--runs", "/proc/runs"]) == 1
    record = json.loads(capsys.readouterr().out)
    assert record["works"] is False
    levels = {one["about"]: one["level"] for one in record["findings"]}
    assert [about for about, level in levels.items() if level == "failure"] == ["disk, runs"]
    assert {"python", "GPU", "compiler", "memory", "sandbox", "W&B", "hub"} <= set(levels)
