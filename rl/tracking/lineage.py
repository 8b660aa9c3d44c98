"""Which run made a model: so that imitation, practice and evaluations of one model stand in one group, each with its parent.

A run writes down who it is (`tracking.json` in its directory), and an exported model where it came from (`lineage.json` beside
its weights, left out when it is published). A model is then traced by its path. One that somebody else made has no origin.
"""

import json
import re
import secrets
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from rl.tracking.run_directory import JsonDict, write_atomic

IDENTITY, LINEAGE = "tracking.json", "lineage.json"
_DEEPEST = 3  # a checkpoint's model is RUN/checkpoints/step-000050/policy
_LONGEST_NAME = 128  # of an artifact of W&B


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who a run is for trackers."""

    id: str
    project: str
    group: str
    name: str

    @property
    def artifact(self) -> str:
        """The name that its models have together; a version of it is one checkpoint."""
        return re.sub(r"[^A-Za-z0-9_.-]", "_", f"{self.group}-{self.name}")[:_LONGEST_NAME]


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The run that made a model, and which of its models it is."""

    directory: Path
    model: str  # "model", or the name of a checkpoint
    run: Identity

    def record(self) -> JsonDict:
        """Return it as plain data."""
        return {"run_directory": str(self.directory), "model": self.model, **asdict(self.run)}


def identity_of(run: Path) -> Identity | None:
    """Return who the run in a directory is, None where it has not been tracked."""
    try:
        return Identity(**json.loads((run / IDENTITY).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def identify(run: Path, *, project: str, group: str, name: str, known_id: str | None = None) -> Identity:
    """Return who a run is and write it down; one that is resumed keeps its id."""
    before = identity_of(run)
    run_id = known_id or (before.id if before is not None else secrets.token_hex(4))
    identity = Identity(id=run_id, project=project, group=group, name=name)
    if identity != before:
        write_atomic(run / IDENTITY, json.dumps(asdict(identity), indent=1))
    return identity


def origin_of(model: str | None) -> Origin | None:
    """Return the run that made the model at a path, None where no run of ours is known to have."""
    if model is None or not Path(model).is_dir():
        return None
    place = Path(model).resolve()
    with suppress(OSError, ValueError, KeyError, TypeError):  # no exported model
        place = Path(json.loads((place / LINEAGE).read_text(encoding="utf-8"))["model"])
    inside = place.parent if place.name == "policy" else place
    for directory in list(place.parents)[:_DEEPEST]:
        if (identity := identity_of(directory)) is not None:
            return Origin(directory=directory, model=inside.name, run=identity)
    return None


def write_lineage(model: Path, source: Path) -> None:
    """Write down beside an exported model which directory it was made of: that of a run, also through another export."""
    before = source / LINEAGE
    text = before.read_text(encoding="utf-8") if before.is_file() else json.dumps({"model": str(source.resolve())}, indent=1)
    write_atomic(model / LINEAGE, text)
