r"""Answers in words: names, yes and no, letters of choices. Case, font, articles and punctuation do not matter.

`\text{The Red Team.}` and `red team` have the same key; `\textbf{(C)}` is the choice C, "A, B and D" the letters A, B, D.
"""

import re

from rewards.math.grammar.choices import asks_for_several, choice, letters, unmarked
from rewards.math.grammar.clean import fold_unicode
from rewards.math.grammar.dates import date, day_of_week, same_dates
from rewards.math.grammar.vocabulary import WORD_NUMBERS

_NAME = re.compile(r"[A-Za-z]+(?: [A-Za-z]+){0,2}")
_ARTICLES = frozenset(("the", "a", "an"))
_TRUTHS = {"yes": True, "true": True, "correct": True, "no": False, "false": False, "incorrect": False}
_LETTERS_OF_TRUTH = {"y": True, "t": True, "n": False, "f": False}
_SAYS_TRUTH = re.compile(
    r"\W*(?:(?:the |this )?(?:statement|claim|assertion|proposition|answer|it) (?:is|that is) )?"
    r"(yes|no|true|false|correct|incorrect|[yntf])\b(\W*)(.*)",
    re.DOTALL,
)
_PAUSE = re.compile(r"[.,;:!(\u2013\u2014-]")
_GIVES_REASON = re.compile(r"(?:because|since|as|for|it|this|that|they|there|we|he|she|you|i)\b")
_LEAVES_OPEN = re.compile(
    r"\b(?:or|maybe|perhaps|possibly|probably|neither|nor|unsure|not sure|depends|unknown)\b"
    r"|^(?:(?!because|since).){0,200}?\b(?:but|unless|except|if|although)\b"
)
_BOTH_TRUTHS = re.compile(r"\b(?:yes|no|true|false)\b")
_NONE_OF_THEM = re.compile(
    r"^none of (?:these|those|them|above|these (?:options|choices|answers)|above (?:options|choices|answers))$"
)
_SAME_SAYING = (
    (re.compile(r"dne|(?:(?:limit|it|value|integral|sum) )?(?:does not|doesn't|doesnt) exist"), "does not exist"),
    (re.compile(r"(?:(?:series|integral|sequence|it) )?(?:converges|convergent|is convergent)"), "converges"),
    (re.compile(r"(?:(?:series|integral|sequence|it) )?(?:diverges|divergent|is divergent)"), "diverges"),
    (re.compile(r"infinitely many(?: solutions)?|infinite(?:ly many)? solutions"), "infinitely many solutions"),
)
_NUMBERS = {word: str(number) for word, number in WORD_NUMBERS.items()}


def same_words(gold: str, answer: str) -> bool:
    """Tell whether two texts say the same: equal words, or the gold's words with an explanation in front or behind."""
    gold_key, answer_key = _key(gold), _key(answer)
    if not gold_key or not answer_key:
        return False
    if gold_key == answer_key or gold_key.replace(" ", "") == answer_key.replace(" ", ""):
        return True
    if (day := day_of_week(gold_key)) is not None:
        return day == day_of_week(answer_key)
    if (day_and_month := date(gold_key)) is not None and (other := date(answer_key)) is not None:
        return same_dates(day_and_month, other)
    if " and " in gold_key and (gold_names := _names(gold)) and gold_names == _names(answer):
        return True  # without "and" the order may matter
    if (truths := _truths(gold_key)) and len(truths) > 1:  # true, false, true
        return truths == _truths(answer_key)
    gold_letters = letters(gold)
    answer_letters = letters(answer, in_any_order=asks_for_several(gold))
    if gold_letters is not None or answer_letters is not None:
        return gold_letters == answer_letters
    wanted = choice(gold)
    says_choice = len(gold_key.strip("()")) == 1 or re.match(r"(?i)option|choice", plain_words(gold))
    if wanted is not None and says_choice:
        return wanted == choice(answer)
    wanted_truth = _TRUTHS.get(gold_key)
    return wanted_truth is not None and wanted_truth == _said_truth(answer)


def same_saying(gold: str, answer: str) -> bool:
    """Tell whether two sentences have the same words in the same order, whatever their case and punctuation."""
    key = _key(gold)
    return bool(key) and key == _key(answer)


# -- yes and no


def _truths(key: str) -> list[bool | None]:
    """Return a list of truths, such as "true, false" or "T, F", with None for what is none; [] where nothing is one."""
    items = [item for item in key.split() if item not in (",", "and")]
    truths = [_TRUTHS.get(item, _LETTERS_OF_TRUTH.get(item)) for item in items]
    return truths if None not in truths else []


def _said_truth(answer: str) -> bool | None:
    """Return what an answer says to a question of yes or no, with a reason behind it; None where it says neither or both."""
    match = _SAYS_TRUTH.fullmatch(plain_words(answer).lower())
    if match is None:
        return None
    word, pause, reason = match.groups()
    said = _TRUTHS.get(word, _LETTERS_OF_TRUTH.get(word))
    if not reason:
        return said
    if word in _LETTERS_OF_TRUTH or _LEAVES_OPEN.search(reason) or _BOTH_TRUTHS.search(reason):
        return None
    is_explained = _PAUSE.search(pause) is not None or _GIVES_REASON.match(reason) is not None
    takes_back = said and re.match(r"not\b", reason)
    return said if is_explained and not takes_back else None


def plain_words(text: str) -> str:
    """Return `text` without fonts, braces and dollars, in its own case."""
    return " ".join(unmarked(text).split())


def _key(text: str) -> str:
    """Return the words of `text` in one spelling."""
    text = unmarked(fold_unicode(text))
    text = re.sub(r"[^\w\s+\-*/^=<>.,'()|\\:%]", " ", text.lower())
    written = text.replace(",", " , ").split()
    following = [*written, ""][1:]
    words: list[str] = []
    for spelled, after in zip(written, following, strict=True):
        word = spelled.strip(".,;:!?'")
        # An article in front of a single letter or of nothing is kept: there "a" may be a name or a choice.
        if word and (word not in _ARTICLES or len(after) < 2):
            words.append(_NUMBERS.get(word, word))
    key = " ".join(words)
    key = key.removesuffix(" only").removeprefix("only ")
    for pattern, words_for_it in _SAME_SAYING:
        key = words_for_it if pattern.fullmatch(key) else key
    return "none of above" if _NONE_OF_THEM.fullmatch(key) else key


def _names(text: str) -> tuple[str, ...] | None:
    """Return the items of a list of words ("Alice, Bob and Carol") in order of the alphabet, or None."""
    parts = (" ".join(part.split()) for part in re.split(r",|\band\b|&", plain_words(text)))
    keys = [_key(part) for part in parts if part]
    return tuple(sorted(keys)) if len(keys) > 1 and all(map(_NAME.fullmatch, keys)) else None
