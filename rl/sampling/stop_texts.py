"""Texts that end a completion, or a part of it, however they fall into tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rl.policy.interfaces import Tokenizer
from rl.types import BoolArray, IntArray


@dataclass(frozen=True, kw_only=True)
class StopTexts:
    """Texts to look out for, and the tokenizer that reads them."""

    texts: tuple[str, ...]
    tokenizer: Tokenizer

    @property
    def window(self) -> int:
        """Tokens that surely hold the longest text and one more: every token but a special one has at least one byte."""
        return max(len(text.encode()) for text in self.texts) + 1

    def complete(self, completions: Sequence[IntArray]) -> BoolArray:
        """Return for each completion, tokens [T], whether its last token has completed one of the texts.

        To be asked after every token: a text that was complete before the last one counts as well.
        """
        window = self.window
        tails = self.tokenizer.batch_decode([tokens[-window:] for tokens in completions], skip_special_tokens=False)
        return np.asarray([any(text in tail for text in self.texts) for tail in tails])  # [B]
