"""What can be known of a model by its files alone, without torch and without transformers."""

from pathlib import Path
from typing import TypedDict


def is_gguf(path: str) -> bool:
    """Tell whether a model path names a GGUF file."""
    return path.lower().endswith(".gguf")


class Sizes(TypedDict):
    """What `dry_run.ModelShape` holds, as a file says it."""

    layers: int
    hidden: int
    intermediate: int
    vocabulary: int
    heads: int
    kv_heads: int
    head_dim: int
    tied: bool


def gguf_sizes(file: Path) -> Sizes | None:
    """Return the sizes of the decoder in a GGUF file; None where it does not say them, or the package gguf is not there."""
    try:
        from gguf import GGUFReader

        reader = GGUFReader(file)
        architecture = str(reader.get_field("general.architecture").contents())

        def size(key: str, otherwise: int | None = None) -> int:
            field = reader.get_field(f"{architecture}.{key}")
            if field is None and otherwise is not None:
                return otherwise
            return int(field.contents())

        hidden, heads = size("embedding_length"), size("attention.head_count")
        return Sizes(
            layers=size("block_count"),
            hidden=hidden,
            intermediate=size("feed_forward_length"),
            vocabulary=len(reader.get_field("tokenizer.ggml.tokens").data),
            heads=heads,
            kv_heads=size("attention.head_count_kv", heads),
            head_dim=size("attention.key_length", hidden // heads),
            tied=all(tensor.name != "output.weight" for tensor in reader.tensors),
        )
    except (ImportError, AttributeError, TypeError, ValueError, IndexError, KeyError):
        return None  # a damaged file is told by check_gguf, in words, when the model is opened


def has_tokenizer_here(path: str, revision: str | None) -> bool:
    """Tell whether the tokenizer of a model can be opened without a network: a directory, a file, or in the hub's cache."""
    if Path(path).exists():
        return True
    if path.count("/") != 1 or path.startswith((".", "/")):
        return False
    from huggingface_hub import try_to_load_from_cache

    try:
        return isinstance(try_to_load_from_cache(path, "tokenizer_config.json", revision=revision), str)
    except ValueError:  # no name that the hub could have
        return False
