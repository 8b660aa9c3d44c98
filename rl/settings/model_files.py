"""What can be known of a model by its files alone, without torch and without transformers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

TensorType = Literal["f32", "f16", "bf16", "q8_0"]  # of the matrices in a GGUF file that is written
TENSOR_TYPES = get_args(TensorType)
TOKENIZERS = ("tokenizer*.json", "tokenizer.model", "vocab.*", "spiece.model", "*.bpe.model", "*.tiktoken", "tekken.json")


def has_any(directory: Path, patterns: Sequence[str]) -> bool:
    """Tell whether a directory holds a file of one of the patterns."""
    return any(file for pattern in patterns for file in directory.glob(pattern))


def is_gguf(path: str) -> bool:
    """Tell whether a model path names a GGUF file."""
    return path.lower().endswith(".gguf")


@dataclass(frozen=True, kw_only=True)
class ModelShape:
    """The numbers of a decoder that decide its memory."""

    layers: int
    hidden: int
    intermediate: int
    vocabulary: int
    heads: int
    kv_heads: int
    head_dim: int
    tied: bool
    stored: str | None = None  # precision of the weights' files, where it is known

    @property
    def linear_layers(self) -> tuple[tuple[int, int], ...]:
        """The matrices of one decoder layer, (in, out) each: query, key, value, output, gate, up, down."""
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        attention = ((self.hidden, queries), (self.hidden, keys), (self.hidden, keys), (queries, self.hidden))
        return (*attention, *[(self.hidden, self.intermediate)] * 2, (self.intermediate, self.hidden))

    @property
    def matrices(self) -> list[int]:
        """The numbers in each of its matrices."""
        embeddings = [self.vocabulary * self.hidden] * (1 if self.tied else 2)
        return [fan_in * fan_out for fan_in, fan_out in self.linear_layers] * self.layers + embeddings

    @property
    def parameters(self) -> int:
        """All weights, norms left out."""
        return sum(self.matrices)

    def lora_matrices(self, rank: int) -> list[int]:
        """The numbers in each matrix of adapters of this rank on all linear layers: [rank, in] and [out, rank]."""
        return [rank * side for sides in self.linear_layers for side in sides] * self.layers

    def lora_parameters(self, rank: int) -> int:
        """Weights of these adapters."""
        return sum(self.lora_matrices(rank))

    def fused_parameters(self, merged: bool) -> int:
        """Weights that decoding on a GPU holds a second time: query, key and value and gate and up, each as one matrix.

        With adapters, which are `merged` into copies, those of the attention's output and of down too.
        """
        attention = self.hidden * self.head_dim * (self.heads + 2 * self.kv_heads)
        rest = self.hidden * (self.heads * self.head_dim + self.intermediate) if merged else 0
        return self.layers * (attention + 2 * self.hidden * self.intermediate + rest)

    def cache_bytes(self, tokens: int, number_bytes: int) -> int:
        """Keys and values of `tokens` tokens, in numbers of `number_bytes`."""
        return 2 * self.layers * self.kv_heads * self.head_dim * number_bytes * tokens


def gguf_shape(file: Path) -> ModelShape | None:
    """Return the shape of the decoder in a GGUF file; None where it does not say them, or the package gguf is not there."""
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
        return ModelShape(
            layers=size("block_count"),
            hidden=hidden,
            intermediate=size("feed_forward_length"),
            vocabulary=len(reader.get_field("tokenizer.ggml.tokens").data),
            heads=heads,
            kv_heads=size("attention.head_count_kv", heads),
            head_dim=size("attention.key_length", hidden // heads),
            tied=all(tensor.name != "output.weight" for tensor in reader.tensors),
        )
    except (ImportError, AttributeError, TypeError, ValueError, IndexError, KeyError, OverflowError):
        return None  # a damaged file is told by check_gguf, in words, when the model is opened


def has_tokenizer_here(path: str, revision: str | None) -> bool:
    """Tell whether the tokenizer of a model can be opened without a network: a directory, a file, or in the hub's cache."""
    place = Path(path)
    if place.exists():
        return not place.is_dir() or has_any(place, TOKENIZERS)  # with a config.json alone a plan can be made
    if path.count("/") != 1 or path.startswith((".", "/")):
        return False
    from huggingface_hub import try_to_load_from_cache

    try:
        return isinstance(try_to_load_from_cache(path, "tokenizer_config.json", revision=revision), str)
    except ValueError:  # no name that the hub could have
        return False
