"""Checks of this machine: versions, what it computes on, compiler, memory, disk, isolation. Tried out where possible."""

import errno
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from launch.health.findings import Finding, failure, ok, warning
from problems.errors import LabError
from rewards.code.doctor import report
from rewards.code.settings import SandboxSettings

PROJECT = "reasonlab"
CONSTRAINTS = Path(__file__).resolve().parents[2] / "constraints.txt"
_GIB = 2**30
LEAST_DISK, ENOUGH_DISK = 0.1 * _GIB, 20 * _GIB  # a tiny model's checkpoints; one of a billion parameters, with its optimizer
ENOUGH_SHARED = 0.5 * _GIB  # NCCL and data loaders; a container has 64 MB unless told otherwise
ENOUGH_MEMORY = 2 * _GIB
_WRITTEN = 2**20  # bytes that a disk is tried out with
_LEAST_PYTHON = (3, 11)


def versions(tested: Path = CONSTRAINTS, project: str = PROJECT) -> Iterator[Finding]:
    """Python and the packages, against the ranges that the project asks for and the exact versions it is tested with."""
    from packaging.requirements import Requirement

    python = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < _LEAST_PYTHON:
        yield failure("python", python, "Python 3.11 or newer is needed")
    else:
        yield ok("python", f"{python} ({sys.executable})")
    try:
        asked = [Requirement(line) for line in metadata.requires(project) or []]
    except metadata.PackageNotFoundError:
        yield warning(
            "packages", f"{project} is not installed, so what it needs is not known", "`pip install -e .` in its folder"
        )
        return
    exact = dict(re.findall(r"^([\w.-]+)==(\S+)", tested.read_text(), re.MULTILINE)) if tested.exists() else {}
    same, others = 0, []
    for requirement in asked:
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        name = requirement.name
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            yield failure(name, "not installed", f"pip install -c constraints.txt '{requirement}'")
            continue
        if not requirement.specifier.contains(found, prereleases=True):
            yield failure(
                name, f"{found}, and {requirement.specifier} is needed", f"pip install -c constraints.txt '{requirement}'"
            )
        elif name in exact and found.split("+")[0] != exact[name]:
            others.append(f"{name} {found} (tested: {exact[name]})")
        else:
            same += 1
    yield ok("packages", f"{same} within their ranges" + (" and as tested" if exact else ""))
    if others:
        yield warning(
            "packages", "not as tested: " + ", ".join(others), "should anything be odd, pip install -c constraints.txt"
        )


def devices() -> Iterator[Finding]:
    """What the ranks compute on, each GPU with its memory and one product computed on it."""
    import torch

    from rl.runtime import cores, describe_device

    try:
        where = describe_device()
    except LabError as error:
        yield failure("GPU", str(error), "without one that torch sees nothing but tiny models is worth starting")
        return
    if not torch.cuda.is_available():
        yield warning("GPU", f"none: {where}, {cores()} cores", "nothing, for tiny models; larger ones take a GPU")
        return
    for number in range(torch.cuda.device_count()):
        yield _gpu(number)
    yield ok("NCCL", ".".join(map(str, torch.cuda.nccl.version())))  # type: ignore[no-untyped-call]


def _gpu(number: int) -> Finding:
    import torch

    about, name = f"GPU {number}", torch.cuda.get_device_name(number)
    try:
        free, total = torch.cuda.mem_get_info(number)
        ones = torch.ones(64, 64, device=f"cuda:{number}")
        if float((ones @ ones).sum()) != 64.0**3:
            return failure(about, f"{name} computes 64 x 64 ones wrong", "have it looked at (nvidia-smi -q), use the others")
    except RuntimeError as error:
        return failure(
            about, f"{name}: {str(error).splitlines()[0]}", "see nvidia-smi: who uses it, and does the driver know it?"
        )
    memory = f"{name}, {free / _GIB:.1f} of {total / _GIB:.1f} GiB free"
    if free < 0.9 * total:
        return warning(about, memory, "somebody else is on it (nvidia-smi); a run may run out of memory")
    return ok(about, memory)


def compiler() -> Iterator[Finding]:
    """The C compiler, by compiling and running something."""
    name = os.environ.get("CC", "cc")
    if shutil.which(name) is None:
        yield warning(
            "compiler", f"no {name}", "install one (Debian: gcc libc6-dev), or the CPU's sampler is several times slower"
        )
        return
    try:
        said = _compiled(name)
    except OSError as error:
        yield warning(
            "compiler", f"{name} could not be tried: {error.strerror or error}", "make room in TMPDIR, or choose another"
        )
        return
    if said is None:
        yield ok("compiler", shutil.which(name) or name)
    elif os.strerror(errno.ENOSPC) in said:
        yield warning("compiler", f"{name} had no room: {said}", "make room in TMPDIR, or choose another")
    else:
        to_do = "install libc6-dev and libgomp (comes with gcc)"
        yield warning("compiler", f"{name} cannot compile with OpenMP: {said}", to_do)


def _compiled(name: str) -> str | None:
    """Compile and run something; return what went wrong, in a line."""
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder) / "a.c", Path(folder) / "a"
        source.write_text("#include <omp.h>\nint main(void) { return omp_get_max_threads() > 0 ? 7 : 1; }\n")
        made = subprocess.run([name, "-fopenmp", source, "-o", program], capture_output=True, text=True, check=False)
        if made.returncode == 0 and subprocess.run([program], check=False).returncode == 7:
            return None
        return (made.stderr.strip().splitlines() or ["what it made does not run"])[0]


def memory(shared: Path = Path("/dev/shm"), meminfo: Path = Path("/proc/meminfo")) -> Iterator[Finding]:
    """Memory, and the shared memory through which processes of a machine talk."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB", meminfo.read_text(), re.MULTILINE) if meminfo.exists() else None
    if found:
        left = int(found[1]) * 1024
        words = f"{left / _GIB:.1f} GiB available"
        yield ok("memory", words) if left >= ENOUGH_MEMORY else warning("memory", words, "a rank takes 1 GiB before its model")
    if not shared.is_dir():
        yield warning("shared memory", f"no {shared}", "several GPUs need it: mount a tmpfs there")
        return
    state = os.statvfs(shared)
    words = f"{state.f_bavail * state.f_frsize / _GIB:.2f} GiB free in {shared}"
    if state.f_bavail * state.f_frsize < ENOUGH_SHARED:
        yield warning("shared memory", words, "several GPUs need more; in Docker: --shm-size=8g or --ipc=host")
    else:
        yield ok("shared memory", words)


def disks(runs: Path) -> Iterator[Finding]:
    """The places that are written to: where runs go, temporary files, the cache of models."""
    from huggingface_hub import constants

    yield disk("disk, runs", runs)
    yield temporary(Path(os.environ.get("TMPDIR", "/tmp")))
    models = disk("disk, models", Path(constants.HF_HUB_CACHE))
    if models.level == "failure":  # what is there is read all the same
        to_do = "what is not in it cannot be fetched by name: make room, or choose another place (HF_HOME)"
        models = replace(models, level="warning", to_do=to_do)
    yield models


def temporary(place: Path) -> Finding:
    """The place of temporary files. They are small, and where it takes none Python looks for another."""
    found = disk("disk, temporary", place)
    if found.level != "failure":
        return found
    tempfile.tempdir = None  # it keeps what it found first, perhaps when there was room
    try:
        instead = tempfile.gettempdir()
    except OSError as error:  # nothing that it knows of, the current directory included, takes a file
        return failure(found.about, f"{found.found}, and there is no other: {error.strerror}", found.to_do)
    other = "" if Path(instead) == place else f"; temporary files go to {instead} instead"
    return warning(found.about, found.found + other, "make room, or choose another place (TMPDIR)")


def disk(about: str, place: Path) -> Finding:
    """One such place, by writing there: a quota, or a disk that is mounted read-only, shows in no number."""
    there = place.absolute()
    while not there.exists():
        there = there.parent
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"\1" * _WRITTEN)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return failure(
            about, f"cannot write to {there}: {error.strerror}", "make room, or choose another place (run.dir, TMPDIR, HF_HOME)"
        )
    left = shutil.disk_usage(there).free
    words = f"{left / _GIB:.1f} GiB free in {there}"
    if left < LEAST_DISK:
        return failure(about, words, "make room: not even a small checkpoint fits")
    if left < ENOUGH_DISK:
        return warning(about, words, "enough for small models; a checkpoint of 1 B parameters takes about 16 GiB")
    return ok(about, words)


def sandbox(settings: SandboxSettings) -> Iterator[Finding]:
    """The layers of isolation of untrusted programs. Only runs on programming problems need them."""
    try:
        lines, fit = report(settings)
    except (LabError, OSError) as error:
        yield warning(
            "sandbox", str(error), "runs on programming problems are refused; `reasonlab doctor --sandbox` tells more"
        )
        return
    level = "; ".join(line for line in lines if line.startswith(("level", "below")))
    if not fit:
        yield warning("sandbox", level, "runs on programming problems are refused, others work; reasonlab doctor --sandbox")
    elif "full" not in level:
        yield warning("sandbox", level, "allow user namespaces (docs/launch.md) for the full level")
    else:
        yield ok("sandbox", level)


def looked_over(name: str, check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """Return what a check says; that it broke is a finding too, so that one fault does not hide the others."""
    found = []
    try:
        for finding in check():
            found.append(finding)
    except Exception as error:  # a doctor looks at broken machines: whatever a library raises there, the other lines follow
        what = f"{type(error).__name__}: {error}"
        found.append(failure(name, what, "this check itself failed; what it looked at is broken or missing"))
    return found
