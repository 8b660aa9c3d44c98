"""`reasonlab push`: a model's folder for the hub, and its upload: weights, card, curves, evaluations, settings.

The folder appears whole or not at all. Settings go into it without comments and without the folders of this machine. Nothing of
rollouts, prompts or the network's keys is in it.
"""

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from problems.errors import LabError
from problems.progress import Progress
from problems.telling import warn
from rl.ancestry import ancestry_of
from rl.evaluation.about import fingerprint, knows_ends_only
from rl.evaluation.by_set import name_of_settings
from rl.model_card import CURVES, TRAINING, Card, Measured, text_of
from rl.settings.schema import ModelSettings
from rl.tracking.export import export, model_directory
from rl.tracking.lineage import LINEAGE
from rl.tracking.report import draw
from rl.tracking.run_directory import JsonDict, write_atomic

_REPOSITORY = r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*"


class PublishError(LabError):
    """A model that cannot be published as it was asked."""


@dataclass(frozen=True, kw_only=True)
class Publication:
    """What is to be published, and how."""

    source: Path  # a run, a checkpoint of one, or a model that `reasonlab export` wrote
    repository: str
    folder: Path
    evaluations: Sequence[Path] = ()
    best: bool = False
    licence: str | None = None


def write_folder(asked: Publication) -> Path:
    """Write everything that is to be uploaded and return the folder; raises LabError where something is missing."""
    if re.fullmatch(_REPOSITORY, asked.repository) is None:
        raise PublishError(f"{asked.repository!r} is no name on the hub; give OWNER/NAME")
    if asked.folder.exists():
        raise PublishError(f"{asked.folder} exists already; remove it, or choose another with --folder")
    policy = model_directory(asked.source, best=asked.best)
    ancestry = ancestry_of(policy)
    if ancestry is None:
        raise PublishError(
            f"no run is known to have made {policy}, so there is nothing to write on its card: give the run directory, or a "
            "model that `reasonlab export` of this version wrote, while its run is still where it was"
        )
    results = [(directory, _results(directory)) for directory in asked.evaluations]
    temporary = asked.folder.with_name(f".{asked.folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        export(policy, temporary)
        (temporary / LINEAGE).unlink()  # it names folders of this machine
        weights = fingerprint(ModelSettings(path=str(temporary.resolve())))
        evaluations = [_measured(directory, found, weights) for directory, found in results]
        card = Card(
            repository=asked.repository,
            ancestry=ancestry,
            evaluations=evaluations,
            licence=asked.licence,
            has_template=(temporary / "chat_template.jinja").is_file()
            or "chat_template" in json.loads((temporary / "tokenizer_config.json").read_text(encoding="utf-8")),
        )
        _write_training(card, temporary / TRAINING)
        after = next((one.results for one in evaluations if one.same_weights is not False), None)
        write_atomic(temporary / CURVES, draw(card.last.metrics, None, after))
        write_atomic(temporary / "README.md", text_of(card))
        temporary.rename(asked.folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return asked.folder


def _results(directory: Path) -> JsonDict:
    try:
        found: JsonDict = json.loads((directory / "results.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise PublishError(
            f"{directory} holds no results.json that can be read; give the run directory of a finished `reasonlab eval`"
        ) from None
    return found


def _measured(directory: Path, results: JsonDict, weights: str | None) -> Measured:
    """Return an evaluation for the card; what was asked names it, and not a folder of this machine."""
    names = dict.fromkeys(name_of_settings(source) for source in results.get("sources", []))
    asked = results.get("model_fingerprint")
    same = None if asked is None or weights is None or knows_ends_only(asked) else asked == weights
    if same is False:
        warn(f"note: {directory} evaluated other weights than are published; the card says so")
    return Measured(name="+".join(names) or directory.name, results=results, same_weights=same)


def _write_training(card: Card, directory: Path) -> None:
    """Write the settings of each training, and of the last its metrics."""
    directory.mkdir()
    for number, training in enumerate(card.ancestry.trainings, 1):
        kind = "sft" if training.is_imitation else "rl"
        text = yaml.safe_dump(without_folders(dict(training.settings)), sort_keys=False, allow_unicode=True)
        write_atomic(directory / f"{number}-{kind}.yaml", text)


def without_folders(value: Any) -> Any:
    """Return settings with the last part of each path that begins at a root or a home: the rest is nobody's business."""
    if isinstance(value, dict):
        return {key: without_folders(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_folders(item) for item in value]
    if isinstance(value, str) and value.startswith(("/", "~")):
        return Path(value).name
    return value


def upload(folder: Path, repository: str, *, private: bool = False) -> str | None:
    """Make the repository where it is missing, upload the folder, and return its address; None where that was not possible.

    Why not, and the commands that do it later, are said on stderr: the folder stays.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi()
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    additions = [CommitOperationAdd(path_in_repo=str(file.relative_to(folder)), path_or_fileobj=file) for file in files]
    sizes = [file.stat().st_size / 2**20 for file in files]
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        with Progress("uploading", sum(sizes), unit="MiB") as progress:
            for addition, size in zip(
                additions, sizes, strict=True
            ):  # one by one, to know how far it is; small files come last
                api.preupload_lfs_files(repository, additions=[addition])
                progress.advance(size)
            api.create_commit(repository, operations=additions, commit_message="Model of reasonlab")
    except Exception as error:  # of whatever HTTP library: it has been requests, httpx and httpx2; the folder is there
        first_line = str(error).strip().split("\n")[0][:200]
        warn(
            f"not uploaded ({type(error).__name__}: {first_line}); the folder is {folder}. Where there is a network:\n"
            f"  hf auth login    # once\n  hf upload {repository} {folder}" + (" --private" if private else "")
        )
        return None
    return f"{api.endpoint}/{repository}"
