r"""Answer phrases, "the answer is 21", "**Answer:** 21", "答案是 21", and headings "### Answer" with the value below.

The last phrase that claims an answer counts. One that is denied, asked, supposed or reported of others claims none; one that
names a bound or alternatives claims nothing more than that. What explains the answer behind it does not belong to it.

The value has to stand directly behind the phrase ("direct"): "the answer is the number of days, 21" is prose.
"""

import re
from typing import NamedTuple

from rewards.reading import languages
from rewards.reading.doubt import (
    before_explanation,
    denies,
    is_no_claim,
    is_taken_back,
    leaves_open,
    starts_with_bound,
)
from rewards.reading.languages import without_closing_verb, words
from rewards.reading.sentences import first_sentence, formulas
from rewards.reading.values import is_bounded_behind, leading_value, numbers

MAX_TAIL_CHARACTERS = 600
MAX_CHARACTERS = 20_000  # at the end of a text, in which phrases are looked for
MAX_PHRASES = 50
MAX_WORDS = 8  # of an answer that is nothing but words

_LINK = words(languages.LINKS, languages.LINKS_UNSPACED)
_PHRASE = re.compile(
    rf"{words(languages.ANSWERS, languages.ANSWERS_UNSPACED)}\s{{0,8}}(?:\*\*|__|\)|\()?\s{{0,8}}"
    rf"(?:\((?![A-J]\))[^()\n]{{1,30}}\)\s{{0,8}})?(?:{_LINK}"
    rf"|(?<=उत्तर\s)(?=\d|\(?[A-J]\b)|(?<=विकल्प\s)(?=\(?[A-J]\b)|(?<=cevap\s)(?=\d))"
    r"|【(?:参考|最终)?答案】|" + "|".join(languages.CHOOSES_UNSPACED) + r"(?=\s*[:：(（$A-Z①-⑩\d])"
    r"|(?:^|\n)[^\w\n]*(?:the\s+)?(?:final\s+)?(?:answer|réponse(?:\s+finale)?|respuesta(?:\s+final)?|antwort|ответ|答案"
    r"|答え)[^\w\n$\\]*\n",
    re.IGNORECASE,
)
_FILLER = re.compile(
    r"(?:\s|\*\*|__|[:：]|(?:therefore|thus|simply|just|indeed|clearly|exactly|also|now|hence|approximately|approx\.?|about"
    r"|roughly|around"
    r"|equal\s+to|given\s+by|as\s+follows|found\s+to\s+be|option|choice|that|then|surely|certainly|undoubtedly|definitely"
    r"|obviously|precisely"
    r"|only|still"
    r"|la|las|le|les|el|los|alternativa|letra|lettera|inciso|réponse|respuesta|विकल्प|الخيار|die|der|das|l['’]option|opción|opção|opzione|вариант|for\s+sure"
    r"|environ|aproximadamente|circa|ungefähr|etwa|примерно)(?!\w)|大约|约为?|选项)*",
    re.IGNORECASE,
)
_LINE_START = re.compile(r"[.!?。！？；।\n]")
_LISTED = re.compile(r"\d{1,2}[.)]\s+\S")
_NEXT_LISTED = re.compile(r"\n\s*(?:\*\*)?[23][.)]")
_WORKING = re.compile(r"[\d)}]\s*[-+*/×÷·xX]\s*[$(\d].*=")
_NAMED = re.compile(r"[^\W\d]\w{0,8}(?:\([^()\n]{0,20}\))?\s*[=≤≥<>∈:]")
_BEGINS = re.compile(r"(?:let|let['’]s|we|first|firstly|to|i|step|since|because|start\w*|here)\b", re.IGNORECASE)
_OPTION_BEHIND = re.compile(r"(?<=[A-J])(?:选项|選項|项)$")
# "B, 不是 A", "C non A": what it is not says nothing more
_NOT_OTHERS = re.compile(
    r"^(\(?[A-J]\)?|[-\d.,/]{1,20})(?:\s?[,，]\s?(?:而)?(?:不是|并非)\s?[^，,。]{1,20}|\s(?:non|nicht|не)\s\(?[A-J]\)?)$"
)
_HAS_DIGIT = re.compile(r"\d")
_POWER = re.compile(r"\W*[\d.]+\W*(?:squared|cubed)\b", re.IGNORECASE)  # "5 squared": no spelling that is read
_SAME_BOUND = re.compile(  # "at least 40, i.e. n ≥ 40": an inequality, and no value
    r",?\s*\(?(?:i\.?e\.?|that\s+is|so|or|namely|meaning|thus|hence)?,?\s*\$?\s*"
    r"((?:\\?[a-zA-Z]\w{0,3})\s*(?:[<>≤≥]=?|\\[lg](?:eq?|t)(?:slant)?(?![a-zA-Z]))\s*[-\d.,/]{1,30}(?<![.,]))\$?\)?\W*$"
)
_BUT = re.compile(r"\bbut\b|但", re.IGNORECASE)
_ASKS = re.compile(r"[?？؟]\W*$")


class Phrase(NamedTuple):
    """What an answer phrase claims: readings of it, best first, none where it commits to nothing.

    `is_direct` tells whether the value stands directly behind the phrase, `tail` is all that stands there.
    """

    readings: list[str]
    is_direct: bool
    tail: str


def answer_phrase(text: str) -> Phrase | None:
    """Return the last answer phrase of `text` that claims something, or None where there is none."""
    found = list(_PHRASE.finditer(text, max(0, len(text) - MAX_CHARACTERS)))
    for match in reversed(found[-MAX_PHRASES:]):
        if (phrase := _claimed(text, match)) is not None:
            return phrase
    return None


def claims_nothing(sentence: str) -> bool:
    """Tell whether a sentence holds an answer phrase that is denied, supposed or reported of others."""
    for match in _PHRASE.finditer(sentence):
        tail = _FILLER.sub("", sentence[match.end() :], count=1).strip()
        if is_no_claim(sentence[: match.start()]) or _is_denied(tail):
            return True
    return False


def _claimed(text: str, match: re.Match[str]) -> Phrase | None:
    before = text[max(0, match.start() - 200) : match.start()]
    clause = _LINE_START.split(before)[-1]
    if is_no_claim(clause):
        return None
    start = _FILLER.match(text, match.end()).end()  # type: ignore[union-attr]  # it matches the empty text
    rest = text[start : start + MAX_TAIL_CHARACTERS]
    whole = first_sentence(rest)
    tail = _NOT_OTHERS.sub(r"\1", whole.strip().strip('*_`"“”').strip())
    if not tail or _ASKS.search(tail) or _is_denied(tail) or _is_list_of_steps(rest):
        return None
    if _WORKING.match(tail) and "=" in rest[len(whole) :]:
        return None  # "Answer: 3 * 4 = 12. 12 - 5 = 7."
    behind = text[start + len(whole) :][:MAX_TAIL_CHARACTERS]
    if is_taken_back(behind):
        return Phrase([], True, tail)
    phrase = _read(tail)
    if not phrase.is_direct and _is_label(match) and _HAS_DIGIT.search(behind):
        return None  # "Answer: There are 12 pens. He loses 5."
    if _is_words(tail) and (len(tail.split()) > MAX_WORDS or _BEGINS.match(tail) or (_is_label(match) and numbers(behind))):
        return None  # "Answer: Let us think step by step."
    return phrase


def _is_words(tail: str) -> bool:
    return tail[:2].isalpha() and len(tail) > 1 and not formulas(tail) and not numbers(tail)


def _is_label(match: re.Match[str]) -> bool:
    return match[0].rstrip("* _\n").endswith((":", "："))


def _read(tail: str) -> Phrase:
    kept = _OPTION_BEHIND.sub("", without_closing_verb(before_explanation(tail)).strip().strip("*_`").rstrip(",;: ").strip())
    if starts_with_bound(kept) and (inequality := _SAME_BOUND.search(tail)) is not None:
        return Phrase([inequality[1]], True, tail)
    if _POWER.match(kept) or starts_with_bound(kept) or starts_with_bound(tail) or is_bounded_behind(kept):
        return Phrase([], True, tail)
    is_direct = _is_direct(kept)
    if leaves_open(kept) or _BUT.search(kept):
        return Phrase([kept], is_direct, tail)
    return Phrase(list(dict.fromkeys([kept, *leading_value(kept)])), is_direct, tail)


def _is_denied(tail: str) -> bool:
    first = tail.split()[:2]
    return denies(" ".join(first if tail[:1].isalpha() else first[:1])) or (
        not tail.isascii() and denies(before_explanation(tail)[-12:])
    )


def _is_list_of_steps(rest: str) -> bool:
    return _LISTED.match(rest) is not None and _NEXT_LISTED.search(rest) is not None


def _is_direct(tail: str) -> bool:
    """Tell whether `tail` begins with a value, or is nothing but words."""
    if not tail[:1].isalpha() or not tail[1:2].isalpha() or _NAMED.match(tail):
        return True
    return not formulas(tail) and not numbers(tail)
