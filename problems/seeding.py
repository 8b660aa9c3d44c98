"""Seeds derived by hashing, so that neighbouring (seed, index) pairs share nothing.

`seed + index` makes seed 1 index 0 equal seed 0 index 1, which leaks training problems into evaluation.
Here every stream is named by the parts that identify it, and the name is hashed.
"""

import hashlib
import random

Part = str | int


def derive_seed(*parts: Part) -> int:
    """Return a 64-bit seed named by `parts`; the same on every machine and Python version."""
    named = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.blake2b(named.encode(), digest_size=8).digest(), "big")


def derive_rng(*parts: Part) -> random.Random:
    """Return a random stream of its own for `parts`."""
    return random.Random(derive_seed(*parts))


def content_hash(*parts: str) -> str:
    """Return 16 hex digits that identify the content `parts`."""
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=8).hexdigest()


def content_split(content: str) -> str:
    """Return the split that owns `content`: about 80 % train, 10 % validation, 10 % test.

    The split is a property of the text alone, so no seed can put one problem into two splits.
    """
    bucket = derive_seed("split", content) % 10
    return {0: "test", 1: "validation"}.get(bucket, "train")
