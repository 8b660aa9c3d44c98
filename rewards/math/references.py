r"""Can a reference be graded against? What cannot is the set's fault: an `error`, never a wrong answer of the model.

A reference is readable that is a formula (grammar/), letters of choices, or a label: a few words that name something, such as
`\text{Evelyn}`, "June 20", "Alice, Bob and Carol". Prose is none, however short the question: no two people word a sentence
alike, so a group of right answers would score 0 and nobody would hear of it. A set whose answers are texts says so
(`answers: text` of the source, {"answers": "text"} in a problem's checks), and then they are compared as texts.
"""

import re
from collections.abc import Mapping
from typing import Any

from rewards.math.grammar.words import plain_words

_MAX_LABEL_CHARACTERS = 60
_MAX_ITEMS = 8  # of a list of labels
_WORD = r"[^\W_][\w'’-]*\.?"
_LABEL = re.compile(rf"{_WORD}(?:\s+{_WORD}){{0,3}}")
_BETWEEN_LABELS = re.compile(r"\s*(?:,|;|&|\band\b)\s*")
_SAYING = re.compile(r"(?:the )?(?:(?:limit|value|integral|sum) )?does not exist", re.IGNORECASE)
_OF_A_SENTENCE = re.compile(
    r"\b(?:is|are|was|were|be|has|have|had|does|do|must|can|will|if|then|since|because|so|that|which|where|let|we|it|there|for)\b",
    re.IGNORECASE,
)


def is_text_answer(checks: Mapping[str, Any]) -> bool:
    """Tell whether a problem's checks say that its answer is a text, which has only to be said in the same words."""
    return checks.get("answers") == "text"


def is_label(reference: str) -> bool:
    """Tell whether a reference without a formula is a few words that name something, or a list of such."""
    words = plain_words(reference)
    if not words or len(words) > _MAX_LABEL_CHARACTERS:
        return False
    items = [item for item in _BETWEEN_LABELS.split(words) if item]
    return 0 < len(items) <= _MAX_ITEMS and all(map(_is_one_label, items))


def _is_one_label(words: str) -> bool:
    if _SAYING.fullmatch(words):
        return True
    return _LABEL.fullmatch(words) is not None and not _OF_A_SENTENCE.search(words)
