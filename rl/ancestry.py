"""The trainings that made a model, from the model that the first of them began with; with licences, as far as files tell.

Read from what runs leave: each says in its config which model it began with, and that model may lie in another run. Nothing is
looked up on a network. A licence that no file states is None: nobody should guess one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from problems.catalog import DOMAINS
from problems.public import PUBLIC_SETS
from rl.policy.fetching import MODELS
from rl.settings.loading import read_settings
from rl.tracking.lineage import origin_of
from rl.tracking.run_directory import JsonDict, read_provenance, read_records

_OWN_LICENCE = "Apache-2.0"  # of the problems that the lab's own domains make up


@dataclass(frozen=True, kw_only=True)
class Training:
    """One run that trained, up to the model that went on."""

    directory: Path
    model: str  # "model", or the name of a checkpoint
    settings: Mapping[str, Any]
    provenance: JsonDict
    metrics: tuple[JsonDict, ...]

    @property
    def is_imitation(self) -> bool:
        """Whether it was a cold start, and not practice."""
        return "sft" in self.settings

    @property
    def steps(self) -> int:
        """The steps that its model has learned from."""
        of_checkpoint = _step_of(self.model)
        return of_checkpoint if of_checkpoint is not None else int(self.metrics[-1]["step"]) if self.metrics else 0


@dataclass(frozen=True, kw_only=True)
class Start:
    """The model that the first training began with."""

    name: str  # as people know it: on the hub, a file's name, or in words
    hub: str | None  # its name on the hub, where it has one
    licence: str | None


@dataclass(frozen=True, kw_only=True)
class Ancestry:
    """How a model came to be."""

    start: Start
    trainings: tuple[Training, ...]  # in the order in which they were done


def ancestry_of(model: Path) -> Ancestry | None:
    """Return how the model in a directory came to be, None where no run of ours is known to have made it."""
    trainings: list[Training] = []
    began: Mapping[str, Any] = {}
    made = _made_by(model)
    while made is not None and made[0] not in [one.directory for one in trainings]:
        trainings.append(_training(*made))
        began = trainings[-1].settings["model"]
        place = _found(began.get("path"), made[0])
        made = None if place is None else _made_by(place)
    if not trainings:
        return None
    return Ancestry(start=_start(began, trainings[-1].directory), trainings=tuple(reversed(trainings)))


def _training(directory: Path, model: str) -> Training:
    last = _step_of(model)
    records = read_records(directory / "metrics.jsonl")
    return Training(
        directory=directory,
        model=model,
        settings=read_settings(directory / "config.yaml"),
        provenance=read_provenance(directory),
        metrics=tuple(record for record in records if last is None or record["step"] <= last),
    )


def _step_of(model: str) -> int | None:
    """Return the step of a checkpoint by its name, None for the model at a run's end."""
    found = re.fullmatch(r"step-(\d+)", model)
    return int(found[1]) if found else None


def _made_by(model: Path) -> tuple[Path, str] | None:
    """Return the run that made a model, and which of its models it is; None where it is nobody's of ours."""
    origin = origin_of(str(model))
    if origin is not None:
        return origin.directory, origin.model
    # of a run that is older than lineage
    place = model.resolve()
    inside = place.parent if place.name == "policy" else place
    is_checkpoint = _step_of(inside.name) is not None
    if not is_checkpoint and inside.name != "model":
        return None
    run = inside.parent.parent if is_checkpoint else inside.parent
    return (run, inside.name) if (run / "config.yaml").is_file() else None


def _found(model: str | None, run: Path) -> Path | None:
    """Return where a path of a config is now: from here, or from the folder that the run was started in."""
    if model is None:
        return None
    places = [Path(model), *(above / model for above in run.parents)]
    return next((place.resolve() for place in places if place.exists()), None)


def _start(model: Mapping[str, Any], run: Path) -> Start:
    path = model.get("path")
    if path is None:
        return Start(name="a model made from nothing", hub=None, licence="nobody else's weights are in it")
    fetched = next((one for one in MODELS.values() if Path(path).name == one.file_name), None)
    if fetched is not None:
        return Start(name=f"{fetched.hub} ({fetched.file_name})", hub=fetched.hub, licence=fetched.licence)
    place = _found(path, run)
    if place is None and path.count("/") == 1:
        return Start(name=path, hub=path, licence=_licence_in_cache(path, model.get("revision")))
    return Start(name=Path(path).name, hub=None, licence=None if place is None else stated_licence(place))


def _licence_in_cache(name: str, revision: str | None) -> str | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name, "README.md", revision=revision)
    return stated_licence(Path(found).parent) if isinstance(found, str) else None


def stated_licence(directory: Path) -> str | None:
    """Return the licence that the model card in a directory states, None where there is none."""
    try:
        text = (directory / "README.md").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    parts = text.split("---", 2)
    if len(parts) < 3 or parts[0].strip():
        return None
    try:
        head = yaml.safe_load(parts[1])
    except yaml.YAMLError:
        return None
    stated = head.get("license") if isinstance(head, dict) else None
    return stated if isinstance(stated, str) else None


@dataclass(frozen=True, kw_only=True)
class Used:
    """A source of problems that was trained on."""

    name: str
    hub: str | None
    licence: str | None


def used_source(settings: Mapping[str, Any]) -> Used:
    """Return what is known of a source by its settings."""
    if (python := settings.get("python")) is not None:
        return Used(name=f"own problems ({Path(python).name})", hub=None, licence=None)
    domain, name, path = settings["domain"], settings.get("name"), settings.get("path")
    listed = PUBLIC_SETS.get(name or domain)
    if domain in DOMAINS:
        return Used(name=f"{domain}, problems made up by reasonlab", hub=None, licence=_OWN_LICENCE)
    if listed is not None:
        return Used(name=name or domain, hub=listed.hub, licence=None if listed.licence == "none stated" else listed.licence)
    if name is not None and path is None:
        return Used(name=name, hub=name if name.count("/") == 1 else None, licence=None)
    return Used(name=name or (Path(path).name if path else domain), hub=None, licence=None)
