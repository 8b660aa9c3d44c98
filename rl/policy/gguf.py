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
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from problems.telling import remark
from rl.policy.content import content_of
from rl.policy.paths import PolicyError, first_line
from rl.settings.model_files import is_gguf
from rl.settings.schema import ModelSettings

_WRITTEN_AS = 2  # counts what has changed in how such a directory is written: one of an older way is not taken for it
OTHER_LAYOUT = "Give the directory or the hub name of the same model in the Hugging Face layout"
_STRETCHING_TENSORS = ("rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight")  # Llama 3.1, Phi 3
_STRETCHED_BY_DEFAULT = ("gemma4",)  # whose configuration in transformers says by itself what the tensor says

# what llama.cpp splits digit by digit and then as GPT-2 does (src/llama-vocab.cpp), and transformers (5.23) as GPT-2 alone
_DIGIT_BY_DIGIT = ("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b")
_AS_GPT2 = ("gpt-2", "phi-2", "mpt", "olmo", "jais", "trillion", "granite-docling")


def in_plain_layout(settings: ModelSettings, home: Path, write: Callable[[ModelSettings, Path], None]) -> ModelSettings:
    """Return settings whose path transformers opens as it stands; a GGUF file is written out below `home`, once.

    `write` opens the model of its settings and writes it to a directory, which appears whole. Raises PolicyError for a file
    that cannot be read, before anything is written.
    """
    if not is_gguf(settings.path):
        return settings
    file = Path(settings.path)
    named = sha256(f"{content_of(file)} {_WRITTEN_AS}".encode()).hexdigest()[:8]
    directory = home / "models" / f"{file.stem}-{settings.dtype}-{named}"
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


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a GGUF file says of itself that transformers (5.23) leaves unread."""

    architecture: str
    turn_ends: tuple[int, ...]  # the tokens that end a turn and a message, where they are named: completions stop there too
    splitting: str | None  # llama.cpp's name for how text is split before byte-level merges


def check_gguf(file: Path) -> Any:
    """Return the configuration of a model; raises PolicyError for a file that is damaged, or that nothing here opens."""
    architecture = header_of(file).architecture
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(str(file.parent), gguf_file=file.name)  # names and settings only
    except (OSError, ValueError, KeyError, IndexError, TypeError, StrictDataclassError) as error:
        raise PolicyError(
            f"{file} holds a model of the architecture {architecture!r}, and transformers cannot make a model of it: "
            f"{first_line(error)}. {OTHER_LAYOUT}"
        ) from None


def header_of(file: Path) -> Header:
    """Return the header of a file that is whole and fits together; raises PolicyError for another one."""
    if importlib.util.find_spec("gguf") is None:
        raise PolicyError(f"{file} takes the package gguf to open: pip install 'reasonlab[gguf]' (or: pip install gguf)")
    with file.open("rb") as stream:
        if stream.read(4) != b"GGUF":
            raise PolicyError(f"{file} is no GGUF file: it does not begin with the letters GGUF")
    stat = file.stat()
    return _header(file, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=4)
def _header(file: Path, size: int, _modified: int) -> Header:
    """Read the file, which takes a second or more, once for each state of it."""
    from gguf import GGUFReader

    try:
        # maps every tensor, so that one that is cut off shows itself; values are decoded as they are asked for
        return _read(file, GGUFReader(file))
    except (ValueError, IndexError, KeyError, OverflowError):
        raise PolicyError(f"{file} ends too early or is damaged ({size:,} bytes): download it again") from None


def _read(file: Path, reader: Any) -> Header:
    """Return what the file says; raises PolicyError where that does not fit together, or nothing here can open it."""
    architecture = str(_value(reader, "general.architecture") or "")
    tokens = reader.get_field("tokenizer.ggml.tokens")
    rows = next((int(tensor.shape[-1]) for tensor in reader.tensors if tensor.name == "token_embd.weight"), None)
    if tokens is None:
        raise PolicyError(f"{file} holds no tokenizer; give the model in the Hugging Face layout instead")
    if rows is not None and len(tokens.data) > rows:
        raise PolicyError(
            f"{file} has a tokenizer of {len(tokens.data):,} tokens and a model of {rows:,}: they do not belong together. "
            "Convert the model again with its own tokenizer, or give it in the Hugging Face layout"
        )
    if stretched := _stretched(reader, architecture):
        raise PolicyError(
            f"{file} stretches the positions of its model ({stretched}), and transformers does not read that from a GGUF file: "
            f"it would open as another model. {OTHER_LAYOUT}"
        )
    named = [_value(reader, f"tokenizer.ggml.{name}_token_id") for name in ("eot", "eom")]
    return Header(
        architecture=architecture,
        turn_ends=tuple(int(number) for number in named if number is not None and int(number) < len(tokens.data)),
        splitting=_value(reader, "tokenizer.ggml.pre") if _value(reader, "tokenizer.ggml.model") == "gpt2" else None,
    )


def _value(reader: Any, key: str) -> Any:
    """Return what a file says under a key, None where it says nothing."""
    field = reader.get_field(key)
    return None if field is None else field.contents()


def _stretched(reader: Any, architecture: str) -> str:
    """Return what stretches the rotated positions, "" where nothing does.

    Of all this transformers (5.23, modeling_gguf_pytorch_utils.py and integrations/gguf) reads only gpt-oss's keys, and those
    wrongly: it takes a key's length for its value and fails.
    """
    kind = _value(reader, f"{architecture}.rope.scaling.type") or "linear"  # llama.cpp's default, of factor 1
    factor = _value(reader, f"{architecture}.rope.scaling.factor") or _value(reader, f"{architecture}.rope.scale_linear") or 1
    if kind != "none" and (kind != "linear" or factor != 1):
        return f"rope.scaling.type {kind}, factor {factor:g}"
    names = () if architecture in _STRETCHED_BY_DEFAULT else _STRETCHING_TENSORS
    return next((f"tensor {tensor.name}" for tensor in reader.tensors if tensor.name in names), "")


def split_as_named(tokenizer: Any, name: str | None, path: str) -> None:
    """Let a tokenizer split text as its file names it where transformers does not; remark on a name that nothing here knows."""
    if name in _DIGIT_BY_DIGIT:
        from tokenizers import pre_tokenizers

        # otherwise "\n\n1" is two tokens of a line end each, and not the one that the model has seen before a digit
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
    elif name is not None and _is_unknown(name):
        remark(
            f"{path} names a way of splitting text that transformers does not know ({name!r}): it is split as GPT-2 does, "
            "which may not be what the model was trained with. The model in the Hugging Face layout brings its own tokenizer"
        )


def _is_unknown(name: str) -> bool:
    """Tell whether transformers' table has no such name, nor GPT-2's way; a version without a table cannot be asked."""
    try:
        from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS
    except ImportError:
        return False
    return name not in GGUF_PRE_TOKENIZER_SPLITS and name not in _AS_GPT2


def dequantised() -> dict[str, Any]:
    """Return what tells transformers to leave no weight packed, as it may by itself where kernels are installed."""
    import transformers

    if not hasattr(transformers, "GgufConfig"):
        return {}  # an older one, which always dequantises
    return {"quantization_config": transformers.GgufConfig(dequantize=True)}
