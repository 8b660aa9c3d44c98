"""A GGUF file as an ordinary Hugging Face directory: checked, dequantised once, and from then on a model like any other.

Quantised weights cannot be trained, and reading a GGUF file takes half a minute for each rank of each command. So the first
command that meets one writes what it holds, in the precision of the run, beside the runs:

    model.path=SmolLM2-135M-Instruct.Q4_1.gguf  ->  runs/models/SmolLM2-135M-Instruct.Q4_1-fp32-0f3a91c2/

The directory is named by the file's content, so another file of that name gets another one; ranks and commands that start
together wait for the first (a lock on the machine's own file system). Needs the package `gguf`.
"""

import fcntl
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from problems.telling import remark
from rl.policy.content import content_of
from rl.policy.paths import PolicyError, first_line
from rl.settings.model_files import is_gguf
from rl.settings.schema import ModelSettings


def in_plain_layout(settings: ModelSettings, home: Path, write: Callable[[ModelSettings, Path], None]) -> ModelSettings:
    """Return settings whose path transformers opens as it stands; a GGUF file is written out below `home`, once.

    `write` opens the model of its settings and writes it to a directory, which appears whole. Raises PolicyError for a file
    that cannot be read, before anything is written.
    """
    if not is_gguf(settings.path):
        return settings
    file = Path(settings.path)
    directory = home / "models" / f"{file.stem}-{settings.dtype}-{content_of(file)[:8]}"
    if not directory.is_dir():
        check_gguf(file)
        with _alone(directory):
            if not directory.is_dir():  # else another rank has done it meanwhile
                write(settings, directory)
                remark(f"{file} was dequantised once, as {settings.dtype}, to {directory}")
    return settings.model_copy(update={"path": str(directory)})


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Hold the lock of a directory that is to be written."""
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with directory.with_name(f".{directory.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise PolicyError(f"cannot write the dequantised model to {directory}: {error}") from None


def check_gguf(file: Path) -> None:
    """Raise PolicyError for a GGUF file that cannot be read to its end, does not fit together or that nothing here opens."""
    if importlib.util.find_spec("gguf") is None:
        raise PolicyError(f"{file} takes the package gguf to open: pip install 'reasonlab[gguf]' (or: pip install gguf)")
    with file.open("rb") as stream:
        if stream.read(4) != b"GGUF":
            raise PolicyError(f"{file} is no GGUF file: it does not begin with the letters GGUF")
    architecture = _check_whole(file)
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    try:
        load_gguf_checkpoint(str(file))  # names and settings only
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise PolicyError(
            f"{file} holds a model of the architecture {architecture!r}, and transformers cannot make a model of it: "
            f"{first_line(error)}. Give the directory or the hub name of the same model in the Hugging Face layout"
        ) from None


def _check_whole(file: Path) -> str:
    """Return the architecture that a GGUF file names; raises PolicyError for one that is cut off or has too few embeddings."""
    from gguf import GGUFReader

    try:
        reader = GGUFReader(file)  # maps every tensor, so that one that is cut off shows itself
    except (ValueError, IndexError, KeyError, OverflowError):
        size = file.stat().st_size
        raise PolicyError(f"{file} ends too early or is damaged ({size:,} bytes): download it again") from None
    named, tokens = reader.get_field("general.architecture"), reader.get_field("tokenizer.ggml.tokens")
    rows = next((int(tensor.shape[-1]) for tensor in reader.tensors if tensor.name == "token_embd.weight"), None)
    if tokens is None:
        raise PolicyError(f"{file} holds no tokenizer; give the model in the Hugging Face layout instead")
    if rows is not None and len(tokens.data) > rows:
        raise PolicyError(
            f"{file} has a tokenizer of {len(tokens.data):,} tokens and a model of {rows:,}: they do not belong together. "
            "Convert the model again with its own tokenizer, or give it in the Hugging Face layout"
        )
    return "" if named is None else str(named.contents())
