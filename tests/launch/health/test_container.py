"""The doctor in a container without GPU, compiler, namespaces and network, with full disks, with a host that is not there.

A real one, of namespaces: they are taken away inside, the disk is a small tmpfs that is full. Its exit status is 1 only where
no run could work; where it says 0, one does.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from container_worker import NEIGHBOUR
from support import run_command

pytestmark = pytest.mark.slow
CONTAINER = ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--net", "--fork", "--kill-child", "--mount-proc"]
TRIED = (
    "command -v ssh && ip link add name quiet0 type veth peer name quiet1 && mount -t tmpfs none /mnt && "
    "echo 0 > /proc/sys/user/max_user_namespaces"
)


def why_not() -> str | None:
    """Return why no such container can be made here, None if it can."""
    try:
        tried = subprocess.run([*CONTAINER, "sh", "-c", TRIED], capture_output=True, text=True, check=False)
    except OSError as error:
        return str(error)
    return f"no container of namespaces here: {tried.stderr.strip()}" if tried.returncode else None


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, random_model: Path) -> dict[str, Any]:
    """What the doctor said in each trial."""
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    home = tmp_path_factory.mktemp("container")
    worker = Path(__file__).parents[2] / "support" / "container_worker.py"
    done = run_command([*CONTAINER, sys.executable, *map(str, (worker, home, random_model))], home)
    assert done.returncode == 0, done.stderr[-3000:]
    result: dict[str, Any] = json.loads((home / "found.json").read_text())
    return result


def levels(trial: dict[str, Any], level: str) -> list[str]:
    return [about for about, finding in trial["findings"].items() if finding["level"] == level]


def test_a_poor_container_is_told_of_and_a_run_works_there(found: dict[str, Any]) -> None:
    trial = found["poor"]
    assert trial["status"] == 0
    said = trial["findings"]
    assert said["GPU"]["found"].startswith("none: the CPU")
    assert said["compiler"]["found"] == "no cc"
    assert said["sandbox"]["found"].startswith("level: no namespaces")
    assert said["hub"]["found"].endswith("does not answer")
    assert {"GPU", "compiler", "sandbox", "hub"} <= set(levels(trial, "warning"))
    assert all(said[about]["to_do"] for about in levels(trial, "warning"))


def test_a_full_disk_under_the_runs_is_the_one_failure(found: dict[str, Any]) -> None:
    trial = found["runs full"]
    assert trial["status"] == 1
    assert levels(trial, "failure") == ["disk, runs"]
    assert trial["findings"]["disk, runs"]["found"].endswith("full: No space left on device")


def test_other_full_disks_are_warned_of_and_a_run_works(found: dict[str, Any]) -> None:
    trial = found["others full"]
    assert trial["status"] == 0
    temporary, models = (trial["findings"][f"disk, {name}"] for name in ("temporary", "models"))
    assert temporary["level"] == models["level"] == "warning"
    assert "No space left on device; temporary files go to /" in temporary["found"]
    assert "cannot be fetched" in models["to_do"]
    assert found["trained"] == "finished"


def test_a_host_that_is_not_there_is_named(found: dict[str, Any]) -> None:
    trial = found["host away"]
    assert trial["status"] == 1
    away = f"host {NEIGHBOUR}"
    assert levels(trial, "failure") == [away, "all-reduce"]
    assert trial["findings"][away]["found"].endswith("No route to host")
    assert "on a network that this machine reaches" in trial["findings"][away]["to_do"]
