"""Answers in words: names, yes and no, letters of choices. Case, font, articles and punctuation do not matter."""

import re

from rewards.math.grammar.clean import fold_unicode
from rewards.math.grammar.vocabulary import WORD_NUMBERS

_WRAPPER = re.compile(r"\\(?:text|mbox|mathrm|textbf|mathbf|textit|mathit|textrm|textsf|mathsf|textnormal|operatorname|emph|"
                      r"boxed|fbox|hbox|bf|rm|it)\s*(?=[{\s])")  # fmt: skip
_MARKUP = re.compile(r"\\[!,;: ]|[${}`*\"]|\\\(|\\\)|\\\[|\\\]|~")
_CHOICE = re.compile(r"\(?\s*(?:option|choice|answer)?\s*:?\s*\(?([a-z])\)?\s*[).:]?", re.IGNORECASE)
_CHOICE_WITH_TEXT = re.compile(r"\(?([A-Z])\s*[).:]\)?\s*\S.*|(?:option|choice)\s+\(?([A-Z])\)?\s*[:.,].*", re.DOTALL)
_ARTICLES = frozenset(("the", "a", "an"))
_SYNONYMS = {"true": "yes", "correct": "yes", "false": "no", "incorrect": "no"}
_NUMBERS = {word: str(number) for word, number in WORD_NUMBERS.items()}


def words_key(text: str) -> str:
    """Return the words of `text` in one spelling."""
    text = _MARKUP.sub(" ", _WRAPPER.sub("", fold_unicode(text)))
    text = re.sub(r"[^\w\s+\-*/^=<>.,'()|\\:%]", " ", text.lower())
    words = [word.strip(".,;:!?'") for word in text.replace(",", " , ").split()]
    ahead = [*text.replace(",", " , ").split()[1:], ""]
    kept = [word for word, after in zip(words, ahead, strict=False) if word and (word not in _ARTICLES or len(after) < 2)]
    return " ".join(_NUMBERS.get(word, word) for word in kept)


def plain_words(text: str) -> str:
    """Return `text` without fonts, braces and dollars, in its own case."""
    return " ".join(_MARKUP.sub(" ", _WRAPPER.sub("", text)).split())


def choice(text: str) -> str | None:
    """Return the letter of a choice such as C, (c), \\text{(C)} or "option C"; None where it is none."""
    bare = _MARKUP.sub(" ", _WRAPPER.sub("", text)).strip()
    match = _CHOICE.fullmatch(bare)
    return match[1].upper() if match else None


def choice_with_text(text: str) -> str | None:
    """Return the letter of a choice that is written with what it stands for: "C. 42" or "(C) 42"."""
    bare = _MARKUP.sub(" ", _WRAPPER.sub("", text)).strip()
    match = _CHOICE_WITH_TEXT.fullmatch(bare)
    if match is None or re.search(r"\(?\b[A-Z]\s*[).]|\bor\b", bare[3:]):
        return None
    return match[1] or match[2]


def letters(text: str) -> tuple[str, ...] | None:
    """Return the letters of a list of choices ("A, B and D") in order of the alphabet, or None."""
    bare = _MARKUP.sub(" ", _WRAPPER.sub("", text)).strip()
    parts = [part.strip(" ()") for part in re.split(r",|;|\band\b|&", bare)]
    parts = [part for part in parts if part]
    if len(parts) == 1 and re.fullmatch(r"A?B?C?D?E?F?G?H?", parts[0]) and len(parts[0]) > 1:
        return tuple(parts[0])
    if len(parts) < 2 or not all(re.fullmatch(r"[A-Za-z]|[IVX]{1,4}", part) for part in parts):
        return None
    return tuple(sorted(part.upper() for part in parts))


_NEGATION = re.compile(r"\b(?:not|no|never|n't|neither|nor|or|maybe|perhaps|possibly)\b")


_NAMES = re.compile(r"[A-Za-z]+(?: [A-Za-z]+){0,2}")


def names(text: str) -> tuple[str, ...] | None:
    """Return the items of a list of words ("Alice, Bob and Carol") in order of the alphabet, or None."""
    parts = [" ".join(part.split()) for part in re.split(r",|\band\b|&", plain_words(text))]
    parts = [words_key(part) for part in parts if part]
    return tuple(sorted(parts)) if len(parts) > 1 and all(map(_NAMES.fullmatch, parts)) else None


def same_words(gold: str, answer: str) -> bool:
    """Tell whether two texts say the same: equal words, or the gold's words with an explanation in front or behind."""
    left, right = words_key(gold), words_key(answer)
    if not left or not right:
        return False
    if left == right or left.replace(" ", "") == right.replace(" ", ""):
        return True
    left, right = _SYNONYMS.get(left, left), _SYNONYMS.get(right, right)
    if left == right:
        return True
    if " and " in left and (listed := names(gold)) and listed == names(answer):  # without "and" the order may matter
        return True
    one, other = letters(gold), letters(answer)
    if one is not None or other is not None:
        return one == other
    single = choice(gold)
    if single is not None and (len(words_key(gold).strip("()")) == 1 or re.match(r"(?i)option|choice", plain_words(gold))):
        capital = plain_words(gold).strip("(). ").isupper()
        return single == choice(answer) or (capital and single == choice_with_text(answer))
    if left in ("yes", "no") and not _NEGATION.search(right[len(left) :]):
        return right.startswith((left + " ,", left + " "))
    return False
