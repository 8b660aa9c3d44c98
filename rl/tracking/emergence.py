r"""What emerges in the texts of a model that practises: longer thought, repetition, reflection, self-correction.

- **Reasoning length**: mean, 10th and 90th percentile (linear between neighbours) of the tokens before the answer, of right and
  of wrong answers apart. Wrong are `wrong`, `unparsed` and `timeout`; an abstention and what could not be scored are neither.
- **Repetition**: the share of a completion's 4-grams that it has had before, the mean over completions of four units or more. A
  unit is a word (letters and digits), a Chinese or Japanese character, or any other sign that is no space. A text that goes
  round in circles comes to nearly 1. Long texts and formulas repeat themselves by nature, so only the same problems compare.
- **Reflection words** per 1,000 tokens of all completions together: whole words of the list below, English, letter case aside,
  and the "? no:" of the lab's own worked solutions. The list understands nothing ("wait for the bus" counts), and in other
  languages it finds nothing.
- **Self-corrections**: completions that say an answer, then a reflection word, and end with another one; see
  `corrects_itself` for what is said. Given as a share of the completions with a final answer, and of them the share that
  ends right, which says whether second thoughts are worth anything.

Pure functions, linear in the length of a text, whatever is in it. Every number is to be read against that of step 0.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rewards.answer import BOX_MARK, HASHES_MARK, TAG_MARK, after_thinking
from rewards.numbers import parse_rational
from rewards.types import AT_FAULT, Status
from rl.stats import mean

LENGTHS = ("correct", "correct_p10", "correct_p90", "wrong", "wrong_p10", "wrong_p90")  # of `lengths`, besides the mean
# the measures of `traits`, in words
EMERGENCE = {
    "repetition": "repeated 4-grams, share",
    "reflections_per_1000_tokens": "reflection words per 1,000 tokens",
    "self_corrections": "answers that correct themselves, share",
    "corrections_right": "of these end right, share",
}
REFLECTION_LIST = "en-1"  # changes with every change of the words below: numbers of two lists do not compare
REFLECTION_WORDS = (
    "wait", "hmm", "hold on", "actually", "alternatively", "oops", "scratch that", "on second thought",
    "let me check", "let me verify", "let me recheck", "let me re-check", "let me reconsider", "let me rethink",
    "let me try again", "double-check", "double check", "check again",
    "i made a mistake", "i made an error", "that is wrong", "that's wrong", "that is not right", "that's not right",
    "that can't be right", "that cannot be right",
)  # fmt: skip
_WORDS = "|".join(re.escape(words).replace(r"\ ", r"\s{1,3}").replace("'", "['\u2019]") for words in REFLECTION_WORDS)
_REFLECTION = re.compile(rf"(?<!\w)(?:{_WORDS})(?!\w)|\?\s?no:", re.IGNORECASE)

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_UNIT = re.compile(rf"[{_CJK}]|[^\W_{_CJK}]+|[^\w\s]|_")
_GRAM = 4

_NUMBER = r"-?\d+(?:,\d{3})*(?:\.\d+)?(?:/\d+)?"
_ANY_NUMBER = re.compile(_NUMBER.removeprefix("-?"), re.ASCII)
_STATED = re.compile(rf"(?:=|\bis)\s{{0,3}}\$?({_NUMBER})\W{{0,8}}$", re.ASCII)
_WINDOW = 40  # characters in front of a reflection word, at whose end a number may be stated
_MARK = re.compile(
    rf"{BOX_MARK}|{TAG_MARK}|{HASHES_MARK}|\banswer\**\s{{0,3}}(?:is|[:=])[\s$*:]{{0,6}}({_NUMBER})",
    re.IGNORECASE | re.ASCII,
)
_DRESS = re.compile(r"\\text\s?\{([^{}]*)\}|[$\s*]")


@dataclass(frozen=True, kw_only=True)
class Written:
    """What is looked at of one completion."""

    text: str
    status: Status
    extracted: str | None  # the final answer as the verifier read it
    num_tokens: int
    reasoning_tokens: int | None  # None where nobody counted them


def lengths(written: Sequence[tuple[int | None, Status]]) -> dict[str, float | None]:
    """Return mean, p10 and p90 of token counts by verdict; None where there is nothing to count."""
    counted = [(tokens, status) for tokens, status in written if tokens is not None]
    right = [tokens for tokens, status in counted if status == "correct"]
    wrong = [tokens for tokens, status in counted if status in AT_FAULT]
    return {
        "mean": mean([tokens for tokens, _ in counted]),
        "correct": mean(right),
        "wrong": mean(wrong),
        **{
            f"{name}_p{percent}": float(np.percentile(found, percent)) if found else None
            for name, found in (("correct", right), ("wrong", wrong))
            for percent in (10, 90)
        },
    }


def traits(written: Sequence[Written]) -> dict[str, float | None]:
    """Return repetition, reflection and self-correction over all completions; None where there is nothing to measure."""
    repeated = [share for one in written if (share := repetition(one.text)) is not None]
    tokens = sum(one.num_tokens for one in written)
    answered = [one for one in written if one.extracted is not None and one.status in ("correct", "wrong")]
    corrected = [one for one in answered if corrects_itself(one.text, one.extracted or "")]
    return {
        "repetition": mean(repeated),
        "reflections_per_1000_tokens": 1000 * sum(reflections(one.text) for one in written) / tokens if tokens else None,
        "self_corrections": len(corrected) / len(answered) if answered else None,
        "corrections_right": mean([float(one.status == "correct") for one in corrected]),
    }


def difference(then: float | None, now: float | None) -> float | None:
    """Return `now` minus `then`; None where one of them was not measured."""
    return None if then is None or now is None else now - then


def repetition(text: str) -> float | None:
    """Return the share of 4-grams of units that stood earlier in `text`; None for fewer than four units."""
    units = _UNIT.findall(text)
    grams = len(units) - _GRAM + 1
    if grams < 1:
        return None
    return 1 - len(set(zip(*(units[start:] for start in range(_GRAM)), strict=False))) / grams


def reflections(text: str) -> int:
    """Return how many reflection words stand in `text`; of words that overlap the first counts."""
    return sum(1 for _ in _REFLECTION.finditer(text))


def corrects_itself(text: str, final: str) -> bool:
    r"""Tell whether `text` says an answer, then a reflection word, and ends with another answer, `final`.

    Said is what stands in a mark (`\boxed{..}`, `<answer>`, `####`, or a number behind "answer is" or "answer:"), in thoughts
    or not, with a reflection word between it and the last mark, which is the final answer's; and a number behind "=" or "is"
    with a reflection word directly behind it, "= 14. Wait", that stands nowhere later on: one that comes again was kept.

    It counts too much where "Actually" only begins the next part of an answer in parts, or a number of the way is left
    behind; and too little where a model changes its mind without a word of the list.
    """
    turns = [match.start() for match in _REFLECTION.finditer(text)]
    if not turns:
        return False
    answer = _canonical(final)
    return _changes_a_mark(text, turns, answer) or _takes_back_a_number(text, turns, answer)


def _changes_a_mark(text: str, turns: Sequence[int], answer: str) -> bool:
    marks = [(match.start(), said) for match in _MARK.finditer(text) if (said := match[match.lastindex or 0])]
    end = len(text) - len(after_thinking(text) or "")
    if marks and marks[-1][0] >= end:
        last, _ = marks.pop()  # the final answer itself
    else:
        last = len(text)
    turn = max((turn for turn in turns if turn < last), default=-1)
    return any(place < turn and _canonical(said) != answer for place, said in marks)


def _takes_back_a_number(text: str, turns: Sequence[int], answer: str) -> bool:
    last_place = {match[0].replace(",", ""): match.start() for match in _ANY_NUMBER.finditer(text)}
    for turn in turns:
        stated = _STATED.search(text[max(0, turn - _WINDOW) : turn])
        if stated is None or _canonical(stated[1]) == answer:
            continue
        if last_place.get(stated[1].replace(",", "").removeprefix("-"), -1) < turn:
            return True
    return False


def _canonical(answer: str) -> str:
    """Return one spelling of equal numbers, and of texts that differ by dress, white space or letter case."""
    plain = _DRESS.sub(lambda match: match[1] or "", answer).rstrip(".").casefold()
    value = parse_rational(plain)
    return plain if value is None else str(value)
