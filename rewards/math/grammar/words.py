r"""Answers in words: names, yes and no, letters of choices. Case, font, articles and punctuation do not matter.

`\text{The Red Team.}` and `red team` have the same key; `\textbf{(C)}` is the choice C, "A, B and D" the letters A, B, D.
"""

import re

from rewards.math.grammar.clean import fold_unicode
from rewards.math.grammar.vocabulary import WORD_NUMBERS

_WRAPPER = re.compile(r"\\(?:text|mbox|mathrm|textbf|mathbf|textit|mathit|textrm|textsf|mathsf|textnormal|operatorname|emph|"
                      r"boxed|fbox|hbox|bf|rm|it)\s*(?=[{\s])")  # fmt: skip
_MARKUP = re.compile(r"\\[!,;: ]|[${}`*\"]|\\\(|\\\)|\\\[|\\\]|~")
_CHOICE = re.compile(r"\(?\s*(?:option|choice|answer)?\s*:?\s*\(?([a-z])\)?\s*[).:]?", re.IGNORECASE)
_CHOICE_WITH_TEXT = re.compile(r"\(?([A-Z])\s*[).:]\)?\s*\S.*|(?:option|choice)\s+\(?([A-Z])\)?\s*[:.,].*", re.DOTALL)
_NEGATION = re.compile(r"\b(?:not|no|never|n't|neither|nor|or|maybe|perhaps|possibly)\b")
_NAME = re.compile(r"[A-Za-z]+(?: [A-Za-z]+){0,2}")
_LETTERS_SIDE_BY_SIDE = re.compile(r"A?B?C?D?E?F?G?H?")
_LETTER_OR_ROMAN = re.compile(r"[A-Za-z]|[IVX]{1,4}")
_ARTICLES = frozenset(("the", "a", "an"))
_SYNONYMS = {"true": "yes", "correct": "yes", "false": "no", "incorrect": "no"}
_NUMBERS = {word: str(number) for word, number in WORD_NUMBERS.items()}


def same_words(gold: str, answer: str) -> bool:
    """Tell whether two texts say the same: equal words, or the gold's words with an explanation in front or behind."""
    gold_key, answer_key = _key(gold), _key(answer)
    if not gold_key or not answer_key:
        return False
    if gold_key == answer_key or gold_key.replace(" ", "") == answer_key.replace(" ", ""):
        return True
    gold_key, answer_key = _SYNONYMS.get(gold_key, gold_key), _SYNONYMS.get(answer_key, answer_key)
    if gold_key == answer_key:
        return True
    if " and " in gold_key and (gold_names := _names(gold)) and gold_names == _names(answer):
        return True  # without "and" the order may matter
    gold_letters, answer_letters = _letters(gold), _letters(answer)
    if gold_letters is not None or answer_letters is not None:
        return gold_letters == answer_letters
    wanted = choice(gold)
    says_choice = len(_key(gold).strip("()")) == 1 or re.match(r"(?i)option|choice", plain_words(gold))
    if wanted is not None and says_choice:
        capital = plain_words(gold).strip("(). ").isupper()
        return wanted == choice(answer) or (capital and wanted == _choice_with_text(answer))
    if gold_key in ("yes", "no") and not _NEGATION.search(answer_key[len(gold_key) :]):
        return answer_key.startswith((gold_key + " ,", gold_key + " "))
    return False


def plain_words(text: str) -> str:
    """Return `text` without fonts, braces and dollars, in its own case."""
    return " ".join(_unmarked(text).split())


def choice(text: str) -> str | None:
    """Return the letter of a choice such as C, (c), \\text{(C)} or "option C"; None where it is none."""
    match = _CHOICE.fullmatch(_unmarked(text).strip())
    return match[1].upper() if match else None


def _unmarked(text: str) -> str:
    return _MARKUP.sub(" ", _WRAPPER.sub("", text))


def _key(text: str) -> str:
    """Return the words of `text` in one spelling."""
    text = _unmarked(fold_unicode(text))
    text = re.sub(r"[^\w\s+\-*/^=<>.,'()|\\:%]", " ", text.lower())
    written = text.replace(",", " , ").split()
    following = [*written, ""][1:]
    words: list[str] = []
    for spelled, after in zip(written, following, strict=True):
        word = spelled.strip(".,;:!?'")
        # An article in front of a single letter or of nothing is kept: there "a" may be a name or a choice.
        if word and (word not in _ARTICLES or len(after) < 2):
            words.append(_NUMBERS.get(word, word))
    return " ".join(words)


def _choice_with_text(text: str) -> str | None:
    """Return the letter of a choice that is written with what it stands for: "C. 42" or "(C) 42"."""
    bare = _unmarked(text).strip()
    match = _CHOICE_WITH_TEXT.fullmatch(bare)
    if match is None or re.search(r"\(?\b[A-Z]\s*[).]|\bor\b", bare[3:]):  # a second choice behind it
        return None
    return match[1] or match[2]


def _letters(text: str) -> tuple[str, ...] | None:
    """Return the letters of a list of choices ("A, B and D") in order of the alphabet, or None."""
    stripped = (part.strip(" ()") for part in re.split(r",|;|\band\b|&", _unmarked(text).strip()))
    parts = [part for part in stripped if part]
    if len(parts) == 1:  # ABD
        return tuple(parts[0]) if len(parts[0]) > 1 and _LETTERS_SIDE_BY_SIDE.fullmatch(parts[0]) else None
    if not parts or not all(map(_LETTER_OR_ROMAN.fullmatch, parts)):
        return None
    return tuple(sorted(part.upper() for part in parts))


def _names(text: str) -> tuple[str, ...] | None:
    """Return the items of a list of words ("Alice, Bob and Carol") in order of the alphabet, or None."""
    parts = (" ".join(part.split()) for part in re.split(r",|\band\b|&", plain_words(text)))
    keys = [_key(part) for part in parts if part]
    return tuple(sorted(keys)) if len(keys) > 1 and all(map(_NAME.fullmatch, keys)) else None
