r"""Which text is the final answer of a completion: the one policy of all verifiers that read answers.

Only what follows the thinking counts; thinking that never ends has no answer, in either reading, and the caller says whether
the prompt opened it. What follows an end-of-turn token is none of the completion's, and neither is a question that it goes on
to invent ("#### 18 Question: ..."): the text is cut before the first such question behind an answer.

Then the first of these marks that occurs decides, by order of trust and not of place, in both readings:

1. `\boxed{...}`: the last box, or the last few that belong together (rewards/boxes.py);
2. `<answer>...</answer>`: the last one;
3. `#### ...`: the last one, to the end of its line;
4. an answer phrase with the value directly behind it, "The answer is 21", "**Answer:** 21", "答案是 21", or a heading "Answer"
   with the value below: the last one that claims something.

The **strict** reading, by which practice is paid, ends here. The **lenient** one goes on:

5. a completion that is nothing but an answer: one short line;
6. an answer phrase with a sentence behind it, "Answer: He has 21 apples";
7. what the running text concludes (rewards/reading/conclusions.py): a value on a last line of its own, or the last sentence
   that states one.

A hedge is no commitment. `\boxed{3} or \boxed{5}`, `\boxed{3} \boxed{5}`, `\boxed{3} or 5` and "the answer is 3 or 5" are read
as what they say, and neither 3 nor 5 is equal to that. A bound ("at least 40"), a denial, a question, a supposition and the
claim of somebody else hold no value, and what explains the answer ("because 3 times 7 is 9") is not part of it. An answer that
is taken back right behind it ("Wait, no, that is wrong") is none. A mark that is empty or does not close commits to nothing:
no lesser mark stands in for it.
"""

import re
from typing import NamedTuple

from rewards.boxes import BOX, Boxes, only_number, read_boxes
from rewards.reading import thinking
from rewards.reading.conclusions import concluded, says_conclusion, sentence_values
from rewards.reading.digits import plain_digits, with_decimal_points
from rewards.reading.doubt import before_explanation, is_taken_back, leaves_open, starts_with_bound
from rewards.reading.letters import chosen_letter
from rewards.reading.phrases import Phrase, answer_phrase
from rewards.reading.sentences import undressed
from rewards.reading.several import json_answer, stated_bound
from rewards.reading.thinking import after_thinking, opens_thinking
from rewards.reading.turns import (
    first_turn,
    further_solutions,
    goes_on_counting,
    invented_questions,
    is_still_the_question,
    may_go_on,
)
from rewards.reading.values import leading_value
from rewards.types import STRICT, Reading, Verdict

__all__ = [
    "BARE_ANSWER",
    "Committed",
    "after_thinking",
    "committed_answers",
    "final_answer",
    "opens_thinking",
    "reasoning_text",
    "repair",
]

MAX_EXTRACTED_CHARACTERS = 10_000  # of an answer that is none, in a verdict
MAX_CHARACTERS = 20_000  # at the end of a text without a mark, in which the answer is looked for
MAX_BARE_CHARACTERS = 300
MAX_SENTENCE_CHARACTERS = 600
BARE_ANSWER = "bare answer"  # the mark of a completion that is nothing but an answer
_WORK_CHARACTERS = 60  # a text with more before "Solution:" is no answer with its solution behind it

# The marks of an answer wherever they stand in a text, what they hold as the only group; bounded, for text is hostile.
BOX_MARK = r"\\boxed\s?\{((?:[^{}]|\{[^{}]*\}){0,300})\}"
TAG_MARK = r"<answer>([^<]{0,300})</answer>"
HASHES_MARK = r"####\s?([^\n]{0,300})"
_ANSWER_TAG = re.compile(r"<answer>((?:(?!<answer>).)*?)</answer>", re.DOTALL | re.IGNORECASE)
_HASHES = re.compile("####")
_HEADING = re.compile(  # a Markdown heading, with the answer somewhere below
    r"####\s*(?:\*\*)?(?:the\s+)?(?:final\s+)?(?:answer|solution|conclusion|result)\W*(?:\n|$)", re.IGNORECASE
)
_SAYS_ANSWER = re.compile(r"\bans(?:wer)?\b|答案|故选", re.IGNORECASE)
_ASKS = re.compile(r"[a-zA-Z]{2,}\s.*[?？؟]\W*$")
_SUPPOSES = re.compile(r"\W*(?:let|suppose|assume|try|consider)\b", re.IGNORECASE)
_TAG = re.compile(r"<[a-zA-Z|/\uff5c]")
_UNDERLINED = re.compile(r"(?<![\w\\])__([^_\n]{1,60})__(?!\w)")
_SHORTEST_FINAL = 8  # characters of a final answer behind a box
_NAME_CHARACTERS = 60  # in front of a box, in which it may be called a draft
_DRAFT = re.compile(r"\b(?:draft|tentative|first\s+guess|initial\s+guess)\b[^.,\n]{0,40}$", re.IGNORECASE)
_FINAL = re.compile(
    r"(?:\n|\.\s)[\s*#_>]{0,10}(?:[Tt]he\s+|[Mm]y\s+)?(?:(?:F|f)inal\s+[Aa]nswer|FINAL\s+ANSWER|最终答案|[Rr]éponse\s+finale)"
)
_IS_VALUE = re.compile(r"[\s*$({\[]*(?:-?\s*[\d\\√π]|[A-J](?![\w'’])|[A-Za-z]\w{0,3}\s*[=<>≤≥(])")
_ROUGHLY = re.compile(r"(?:approximately|approx\.?|about|roughly|around)\s+([-$\\\d].*)", re.IGNORECASE)
_PLAIN_NUMBER = re.compile(r"[-\d.,/]+", re.ASCII)
_THINKS = re.compile(r"\W*let\s+me\b", re.IGNORECASE)
_BEGINS_WITH_VALUE = re.compile(r"[-−\s$\\(]*\d")
_SPACED_TEXT = re.compile(r"\\(?:text|mathrm|mbox)\s*\{([^{}]*)\}|\\[ ,;:]|~")
_BOUNDS = re.compile(r"\b(?:least|most|than)\b", re.IGNORECASE)
_OR_ANOTHER = re.compile(r"[\s,;$)]{0,4}\b(?:or|maybe|perhaps|possibly|alternatively)\b", re.IGNORECASE)
_BEHIND_CHARACTERS = 24  # behind a mark, in which a second answer may be announced
_WORDS = re.compile(r"[^\W\d_]{2,30}\s{1,9}[^\W\d_]{2}")

# "\f", "\b", "\t" and "\r" of LaTeX commands, read as escapes by a careless writer of JSON
_BROKEN = {"\x0crac": r"\frac", "\x08oxed": r"\boxed", "\x08egin": r"\begin", "\x08inom": r"\binom", "\x08mod": r"\bmod"}
_BROKEN |= {f"\t{rest}": rf"\t{rest}" for rest in ("ext{", "imes", "frac", "heta", "binom", "an ", "extbf{")}
_BROKEN |= {"\rangle": r"\rangle", "\right": r"\right"}


class Committed(NamedTuple):
    """What a completion commits to.

    `readings` are readings of one place, best first: a later one is narrower, and counts where the one before cannot be read;
    none: it commits to nothing. `mark` says what it was read from ("box", "answer tag", "hashes", "phrase", "bare answer",
    "conclusion"), or why there is no answer. `boxes` holds more of what a box says, for references that ask for it,
    and `bound` the bound that a last sentence states, for references that are one. `behind` is the beginning of what
    follows a box or an answer tag.
    """

    readings: list[str]
    mark: str
    boxes: Boxes | None = None
    bound: str | None = None
    behind: str = ""

    def announces_another(self) -> bool:
        r"""Tell whether a second answer follows the mark, `\boxed{B} or C`: boxes.py only looks for numbers there."""
        return _OR_ANOTHER.match(self.behind) is not None

    def unparsed(self) -> Verdict | None:
        """Return the verdict on a completion that commits to no answer or to several; None: there is one to be judged."""
        if not self.readings:
            return Verdict(status="unparsed", detail=f"no final answer: {self.mark}")
        if self.announces_another():
            shown = self.readings[0][:MAX_EXTRACTED_CHARACTERS]
            return Verdict(status="unparsed", extracted=shown, detail="more than one answer")
        return None


def repair(text: str) -> str:
    r"""Return `text` with commands whose backslash was read as an escape (a form feed for `\f` and so on) put right."""
    for broken, command in _BROKEN.items():
        if broken in text:
            text = text.replace(broken, command)
    return text


def committed_answers(completion: str, reading: Reading = STRICT) -> Committed:
    """Return what the final answer of `completion` may be."""
    if not reading.thinking_open and (only := only_number(completion)) is not None:
        return Committed([only], "box")  # nearly every completion of a trained model, without the steps below
    text = completion
    if reading.thinking_open or _may_hold_tags(completion):
        rest = after_thinking(completion, reading.thinking_open)
        if rest is None:
            return Committed([], "the thinking does not end")
        text = first_turn(rest)
    text = _repaired(text)
    if may_go_on(text):
        text = _without_invented_questions(text)
    marked = _marked(text)
    if marked is not None:
        return marked
    committed = _unmarked(text, reading)
    says_bound = reading.policy == "lenient" or committed.mark == "phrase"
    if says_bound and _BOUNDS.search(text[-MAX_SENTENCE_CHARACTERS:]):
        return committed._replace(bound=stated_bound(text))
    return committed


def final_answer(completion: str, reading: Reading = STRICT) -> str | None:
    """Return the best reading of the final answer, or None."""
    readings = committed_answers(completion, reading).readings
    return readings[0] if readings else None


def reasoning_text(completion: str) -> str:
    """Return what was written before the final answer: all of it up to the end of thinking, or up to the first answer mark."""
    end = thinking.end_of_thinking(completion)
    if end is not None:
        return completion[:end]
    marks = [match.start() for pattern in (BOX, _ANSWER_TAG, _HASHES) if (match := pattern.search(completion))]
    return completion[: min(marks)] if marks else completion


# -- which part of the text is the completion's own


def _may_hold_tags(text: str) -> bool:
    """Tell whether any mark of thinking or of turns may be in `text`: asked of every completion, so by plain searches."""
    return ("<" in text and _TAG.search(text) is not None) or "THINK]" in text or "INST]" in text or "\u25c1" in text


def _repaired(text: str) -> str:
    if "\t" in text or "\r" in text or "\x08" in text or "\x0c" in text:
        text = repair(text)
    return text if text.isascii() else plain_digits(text)


def _without_invented_questions(text: str) -> str:
    """Return `text` up to the first question, or further solution, that it invents behind an answer."""
    for start in invented_questions(text):
        before = text[:start]
        if _marked(before) is not None or (not goes_on_counting(text, start) and _answers(before)):
            text = before
            break
    for start in further_solutions(text):
        before = text[:start]
        marked = _marked(before)
        if marked is not None and (marked.mark == "hashes" or len(before) > _WORK_CHARACTERS):
            return before
    return text


def _answers(text: str) -> bool:
    """Tell whether `text` has come to an answer without one of the first three marks, whatever it is."""
    if not text.strip() or is_still_the_question(text):
        return False
    plain = undressed(text[-MAX_CHARACTERS:])
    return answer_phrase(plain) is not None or bool(concluded(plain) or leading_value(text.strip()[:MAX_SENTENCE_CHARACTERS]))


# -- marks


def _marked(text: str) -> Committed | None:
    """Return what the most trusted mark of `text` commits to, or None where it has none of the first three."""
    if "box" in text and (boxes := read_boxes(text)) is not None:
        return _boxed(text, boxes)
    if "<answer>" in text.lower():
        tags = list(_ANSWER_TAG.finditer(text))
        if not tags or not (answer := tags[-1][1].strip()):
            return Committed([], "an empty or unclosed answer tag")
        behind = text[tags[-1].end() :]
        return _claimed(answer, "answer tag", behind)._replace(behind=behind[:_BEHIND_CHARACTERS])
    if "####" in text and not _HEADING.match(text, text.rfind("####")):
        line, _, behind = text.rpartition("####")[2].strip().partition("\n")
        answer = line.strip(" :*")
        if not behind and _PLAIN_NUMBER.fullmatch(answer):
            return Committed([answer], "hashes")
        return _claimed(answer, "hashes", behind) if answer else Committed([], "nothing after ####")
    return None


def _boxed(text: str, boxes: Boxes) -> Committed:
    if not boxes.answer:
        return Committed([], "a box that does not close")
    if len(text) > boxes.end + 2:
        if len(text) > boxes.end + _SHORTEST_FINAL and (later := _later_answer(text, boxes.end)) is not None:
            return later
        if is_taken_back(text, boxes.end):
            return Committed([], "a box that is taken back")
    if boxes.start and _is_draft(text, boxes.start):
        return Committed([], "a box that is a draft")
    if "<answer>" in boxes.answer:
        boxes = boxes._replace(answer=_ANSWER_TAG.sub(r"\1", boxes.answer).strip())
    said = _said(boxes.answer) if " " in boxes.answer or "~" in boxes.answer else []
    return Committed([boxes.answer, *said], "box", boxes, behind=text[boxes.end : boxes.end + _BEHIND_CHARACTERS])


def _is_draft(text: str, end: int) -> bool:
    """Tell whether the box at `end` is called a draft: by plain searches, since every box is asked."""
    start = max(0, end - _NAME_CHARACTERS)
    if text.find("raft", start, end) < 0 and text.find("tativ", start, end) < 0 and text.find("guess", start, end) < 0:
        return False
    return _DRAFT.search(text[start:end]) is not None


def _later_answer(text: str, end: int) -> Committed | None:
    """Return what a "Final Answer: C" behind the last box says, which replaces the box; None where none says a value."""
    final = _FINAL.search(text, end)
    if final is None:
        return None
    phrase = answer_phrase(undressed(text[final.start() :][-MAX_CHARACTERS:]))
    if phrase is None or not phrase.is_direct or not phrase.readings or not _IS_VALUE.match(phrase.readings[0]):
        return None
    return Committed(phrase.readings, "phrase")


def _said(answer: str) -> list[str]:
    r"""Return what a box with a sentence in it says: "5" for `\text{The area is } 5`."""
    if len(answer) > MAX_SENTENCE_CHARACTERS:
        return []
    sentence = " ".join(_SPACED_TEXT.sub(lambda match: match[1] or " ", answer).split())
    if (rough := _ROUGHLY.match(sentence)) is not None:
        return [rough[1]]
    if not _WORDS.search(sentence) or _BEGINS_WITH_VALUE.match(sentence):
        return []
    return [value for value in sentence_values(sentence) if value != answer]


def _claimed(answer: str, mark: str, behind: str) -> Committed:
    """Return what a tag or a line behind hashes says, where people write sentences too."""
    if is_taken_back(behind):
        return Committed([], f"{mark}, taken back")
    if len(answer) > MAX_SENTENCE_CHARACTERS:
        return Committed([answer], mark)
    kept = before_explanation(answer)
    if starts_with_bound(kept):
        return Committed([], f"{mark}, a bound")
    values = [] if leaves_open(kept) else [*leading_value(kept), *(concluded(kept) if _WORDS.search(kept) else [])]
    return Committed(list(dict.fromkeys([kept, *values])), mark)


# -- text without a mark


def _unmarked(text: str, reading: Reading) -> Committed:
    said = json_answer(text)
    text = _UNDERLINED.sub(r"**\1**", with_decimal_points(undressed(text[-MAX_CHARACTERS:]))).strip()
    if not text and (said is None or reading.policy == "strict"):
        return Committed([], "nothing was written")
    phrase = answer_phrase(text)
    if reading.policy == "lenient" and said is not None:
        return _claimed(said, "JSON", "")
    if phrase is not None and phrase.is_direct:
        return Committed(phrase.readings, "phrase")
    if reading.policy == "strict":
        return Committed([], "no marked answer")
    return _prose(text, phrase)


def _prose(text: str, phrase: Phrase | None) -> Committed:
    """Return what a text without any mark commits to: the part of the policy that only the lenient reading has."""
    is_short = (
        _is_one_line(text)
        and (len(text) <= MAX_BARE_CHARACTERS or " " not in text)
        and not _ASKS.search(text[-MAX_BARE_CHARACTERS:])
    )
    if is_short and (letter := chosen_letter(text)) is not None:
        return Committed([letter], BARE_ANSWER)
    if is_short and _SUPPOSES.match(text):
        readings = concluded(text) if says_conclusion(text) or not _THINKS.match(text) else []
        return Committed(readings, "conclusion" if readings else "a supposition")
    if is_short and not _SAYS_ANSWER.search(text):
        is_sentence = _WORDS.search(text) or says_conclusion(text) or ("=" in text and text[0] != "\\") or not text.isascii()
        narrower = concluded(text) if is_sentence and ("=" in text or not _BEGINS_WITH_VALUE.match(text)) else []
        return Committed([text.strip("*` "), *narrower], BARE_ANSWER)
    if phrase is not None and (values := sentence_values(phrase.tail)):
        return Committed([phrase.tail, *values], "phrase")
    if readings := concluded(text):
        return Committed(readings, "conclusion")
    return Committed([text], BARE_ANSWER) if is_short else Committed([], "no final answer")


def _is_one_line(text: str) -> bool:
    """Tell whether `text` is one line, or one LaTeX environment, which may take several."""
    if "\n" not in text:
        return True
    return text.startswith("\\begin{") and text.endswith("}") and text.count("\\begin{") == 1
