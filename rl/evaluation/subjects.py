"""Which models an evaluation looks at: those that were named, or what a run directory holds, and how each is opened."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from problems.errors import LabError
from problems.telling import warn
from rl.policy.interfaces import CausalLM
from rl.policy.opening import load_model, load_tokenizer, plain_model
from rl.policy.paths import PolicyError, first_line, is_on_hub, snapshot_of
from rl.settings.eval_arguments import EvaluationArguments
from rl.settings.evaluation import EvalModelSettings
from rl.settings.loading import read_settings
from rl.settings.schema import ModelSettings
from rl.tracking.checkpoint import find_fault, list_checkpoints
from rl.tracking.export import policy_directory


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One model: its path or hub name, and the directory below the evaluation's that is its own ("": there is no other)."""

    directory: str
    path: str
    revision: str | None = None  # of a hub name

    def settings(self, model: EvalModelSettings) -> EvalModelSettings:
        """Return the settings of an evaluation's model for this one."""
        return model.model_copy(update={"path": self.path, "revision": self.revision})


def subjects_of(asked: EvaluationArguments) -> list[Subject]:
    """Return the models that are looked at, those of a run in the order of its steps.

    Raises LabError for a run directory without any.
    """
    if asked.run is not None:
        return _of_run(asked.run, every=asked.every, best=asked.best)
    named = asked.loaded.config.model
    paths = asked.models or (named.path,)
    directories = _names(paths) if len(paths) > 1 else [""]
    return [
        Subject(directory=directory, path=path, revision=named.revision)
        for directory, path in zip(directories, paths, strict=True)
    ]


def _names(paths: Sequence[str]) -> list[str]:
    """Return a directory for each path, of its last two parts; raises LabError where two would share one."""
    names = ["-".join(part for part in Path(path).parts[-2:] if part not in ("/", "..")) for path in paths]
    if len(set(names)) < len(names):
        raise LabError(f"two models would be written to one directory: {', '.join(names)}; evaluate them one by one")
    return names


def _of_run(run: Path, *, every: bool, best: bool) -> list[Subject]:
    root = run / "checkpoints"
    if not root.is_dir():
        if not (run / "model").is_dir():
            raise LabError(f"{run} holds neither checkpoints nor a model")
        return [Subject(directory="model", path=str(run / "model"))]
    if not every:
        policy = policy_directory(run, best=best)
        return [Subject(directory=policy.parent.name, path=str(policy))]
    found = _start_of(run)
    for checkpoint in list_checkpoints(root):
        fault = find_fault(checkpoint)
        if fault is not None:
            warn(f"checkpoint {checkpoint} is not whole and is left out: {fault}")
            continue
        found.append(Subject(directory=checkpoint.name, path=str(checkpoint / "policy")))
    return found


def _start_of(run: Path) -> list[Subject]:
    """Return the model that a training began with, as its step 0, if it still is where it was, here or on the hub."""
    model = ModelSettings.model_validate(read_settings(run / "config.yaml")["model"])
    if is_on_hub(model.path):
        try:
            load_tokenizer(model)  # a path that is gone may look like a hub name
        except PolicyError as error:
            warn(f"{model.path}, the model that {run} began with, is not there and is left out: {error}")
            return []
    return [Subject(directory="step-000000", path=model.path, revision=model.revision)]


@dataclass(frozen=True, kw_only=True)
class Opening:
    """How a model is opened: its settings, or those of its base and the directory of the adapter."""

    base: ModelSettings  # in a layout that transformers opens; its tokenizer is the model's
    adapter: Path | None

    def pinned(self) -> "Opening":
        """Return it with the commit that a hub model's tokenizer came from, so that its weights are of the same."""
        snapshot = snapshot_of(self.base)
        if snapshot is None:
            return self
        return replace(self, base=self.base.model_copy(update={"revision": snapshot.name}))

    def load(self) -> CausalLM:
        """Return the model, an adapter merged into its base. Raises PolicyError where they do not go together."""
        model = load_model(self.base, trainable=False)
        if self.adapter is None:
            return model
        from peft import PeftModel

        try:
            merged: CausalLM = PeftModel.from_pretrained(model, str(self.adapter)).merge_and_unload()
        except (OSError, ValueError, RuntimeError) as error:
            raise PolicyError(f"the adapter {self.adapter} does not fit {self.base.path}: {first_line(error)}") from None
        return merged.eval().requires_grad_(False)


def opening(settings: ModelSettings, home: Path) -> Opening:
    """Return how a model is opened; a GGUF file is written out below `home`, once. To be called before the ranks join."""
    file = Path(settings.path) / "adapter_config.json"
    is_adapter = file.is_file() and not (file.parent / "config.json").is_file()
    if not is_adapter:
        return Opening(base=plain_model(settings, home), adapter=None)
    path = json.loads(file.read_text(encoding="utf-8"))["base_model_name_or_path"]
    base = plain_model(settings.model_copy(update={"path": path}), home)
    return Opening(base=base, adapter=file.parent)
