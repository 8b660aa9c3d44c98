"""What can be known of a model by its files alone, without torch and without transformers."""

from pathlib import Path


def is_gguf(path: str) -> bool:
    """Tell whether a model path names a GGUF file."""
    return path.lower().endswith(".gguf")


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
