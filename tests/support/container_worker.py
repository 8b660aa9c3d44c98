"""Run as root of namespaces of its own (users, mounts, processes, network): the doctor in a poor container, and a training.

container_worker HOME MODEL     writes HOME/found.json: by name of the trial the exit status and what `doctor --json` printed

In it there are no namespaces to be made, no GPU, no compiler and no network but an interface behind which nobody answers.
"""

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

KINDS = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")
NEIGHBOUR = "10.99.0.7"  # of the interface, and nobody there


def poor(home: Path) -> Path:
    """Take away what a container may lack; return a full disk."""
    for kind in KINDS:
        Path(f"/proc/sys/user/max_{kind}_namespaces").write_text("0")
    full = home / "full"
    full.mkdir()
    for command in (
        f"mount -t tmpfs -o size=2m none {full}",
        "ip link set lo up",
        "ip link add name quiet0 type veth peer name quiet1",
        "ip addr add 10.99.0.1/24 dev quiet0",
        "ip link set quiet0 up",
        "ip link set quiet1 up",
    ):
        subprocess.run(command.split(), check=True)
    with contextlib.suppress(OSError), (full / "full").open("wb", buffering=0) as file:
        while file.write(b"1" * 4096):
            pass
    return full


def doctor(*words: str) -> dict[str, Any]:
    """Return the exit status of `reasonlab doctor` and its findings by what they are about."""
    from launch.cli import main

    with contextlib.redirect_stdout(io.StringIO()) as printed:
        status = main(["doctor", "--json", *words])
    findings = json.loads(printed.getvalue())["findings"]
    return {"status": status, "findings": {one["about"]: one for one in findings}}


def main() -> None:
    home, model = Path(sys.argv[1]), sys.argv[2]
    full = poor(home)
    programs = os.environ["PATH"]
    os.environ |= {"PATH": str(home / "nothing"), "CUDA_VISIBLE_DEVICES": "", "HF_HOME": str(home / "cache")}
    found: dict[str, Any] = {"poor": doctor("--runs", str(home / "runs"))}
    found["runs full"] = doctor("--runs", str(full / "runs"))

    import huggingface_hub.constants

    os.environ["TMPDIR"], huggingface_hub.constants.HF_HUB_CACHE = str(full), str(full / "hub")
    tempfile.tempdir = None
    found["others full"] = doctor("--runs", str(home / "runs"))

    from launch.cli import main as reasonlab

    chosen = [f"run.dir={home}", "run.name=trained", f"model.path={model}", "problems=[{domain: chain, terms: [2, 3]}]"]
    sizes = ["sampling.max_completion_tokens=8", "algorithm={num_problems: 2, group_size: 2}", "train.steps=1"]
    reasonlab(["train", *chosen, *sizes])
    found["trained"] = json.loads((home / "trained" / "status.json").read_text())["status"]

    os.environ["PATH"] = programs
    hosts = home / "hosts"
    hosts.write_text(f"localhost slots=1\n{NEIGHBOUR} slots=1\n")
    found["host away"] = doctor("--runs", str(home / "runs"), "--hostfile", str(hosts))
    (home / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
