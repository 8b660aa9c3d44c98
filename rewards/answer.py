r"""Which text is the final answer of a completion: the one policy of all verifiers that read answers.

Only what follows the last `</think>` counts; thinking that never ends has no answer, and what follows an end-of-turn token is
none of the completion's. There the first of these marks that occurs decides, by order of trust and not of place:

1. `\boxed{...}`: the last box, or the last few that belong together (rewards/boxes.py);
2. `<answer>...</answer>`: the last one;
3. `#### ...`: the last one, to the end of its line.

A hedge is no commitment. `\boxed{3} or \boxed{5}`, `\boxed{3} \boxed{5}` and `\boxed{3} or 5` are read as what they say, "3
or 5" or "3, 5", and neither 3 nor 5 is equal to that. A mark that is empty or does not close commits to nothing: no lesser mark
stands in for it.

Text without a mark has no final answer here. rewards/math/reading.py goes further, for the verifiers that want it: a phrase
("the answer is 5"), a completion that is nothing but an answer, a last sentence that states one value.
"""

import re
from typing import NamedTuple

from rewards.boxes import BOX, box_answer
from rewards.types import STRICT, Reading

MAX_EXTRACTED_CHARACTERS = 10_000  # of an answer that is none, in a verdict
_ANSWER_TAG = re.compile(r"<answer>((?:(?!<answer>).)*?)</answer>", re.DOTALL | re.IGNORECASE)
_HASHES = re.compile("####")
_HEADING = re.compile(  # a Markdown heading, with the answer somewhere below
    r"####\s*(?:\*\*)?(?:the\s+)?(?:final\s+)?(?:answer|solution|conclusion|result)\W*(?:\n|$)", re.IGNORECASE
)
_END_OF_TURN = re.compile(
    r"<\|(?:im_end|im_start|eot_id|endoftext|end_of_text|end|eom_id|start_header_id)\|>|</s>"
    r"|<\uff5cend\u2581of\u2581sentence\uff5c>"  # of DeepSeek, in full-width bars and block characters
)

# "\f", "\b", "\t" and "\r" of LaTeX commands, read as escapes by a careless writer of JSON
_CONTROL = re.compile(r"[\x08\x0c\t\r]")
_BROKEN = {"\x0crac": r"\frac", "\x08oxed": r"\boxed", "\x08egin": r"\begin", "\x08inom": r"\binom", "\x08mod": r"\bmod"}
_BROKEN |= {f"\t{rest}": rf"\t{rest}" for rest in ("ext{", "imes", "frac", "heta", "binom", "an ", "extbf{")}
_BROKEN |= {"\rangle": r"\rangle", "\right": r"\right"}


class Marked(NamedTuple):
    """What a mark commits to. `answer` is None where the mark is there and commits to nothing.

    `mark` says which one it was ("box", "answer tag", "hashes"), or why there is no answer.
    """

    answer: str | None
    mark: str


def after_thinking(completion: str, thinking_open: bool = False) -> str | None:
    """Return the part of `completion` that may hold the answer, or None while it is still thinking.

    `thinking_open`: the prompt ended inside of `<think>`, so that the completion begins there.
    """
    _, mark, rest = completion.rpartition("</think>")
    if mark:
        return None if "<think>" in rest else rest
    return None if thinking_open or "<think>" in completion else completion


def repair(text: str) -> str:
    r"""Return `text` with commands whose backslash was read as an escape (a form feed for `\f` and so on) put right."""
    for broken, command in _BROKEN.items():
        if broken in text:
            text = text.replace(broken, command)
    return text


def answering_text(completion: str, thinking_open: bool = False) -> str | None:
    """Return what the final answer is read from: after the thinking, repaired, the first turn that says anything."""
    text = after_thinking(completion, thinking_open)
    if text is None:
        return None
    if _CONTROL.search(text):
        text = repair(text)
    if "<|" in text or "</s>" in text or "<\uff5c" in text:
        turns = [turn for turn in _END_OF_TURN.split(text) if turn.strip()]
        text = turns[0] if turns else ""
    return text


def marked_answer(text: str) -> Marked | None:
    """Return what the most trusted mark of `text` (from `answering_text`) commits to, or None where it has no mark."""
    if "box" in text and (boxed := box_answer(text)) is not None:
        return Marked(boxed, "box") if boxed else Marked(None, "a box that does not close")
    if "<answer>" in text.lower():
        tags = _ANSWER_TAG.findall(text)
        answer = tags[-1].strip() if tags else ""
        return Marked(answer, "answer tag") if answer else Marked(None, "an empty or unclosed answer tag")
    if "####" in text and not _HEADING.match(text, text.rfind("####")):
        line = text.rpartition("####")[2].strip().split("\n", 1)[0]
        answer = line.strip(" :*")
        return Marked(answer, "hashes") if answer else Marked(None, "nothing after ####")
    return None


def final_answer(completion: str, reading: Reading = STRICT) -> str | None:
    """Return the final answer that a mark commits to, or None."""
    text = answering_text(completion, reading.thinking_open)
    marked = None if text is None else marked_answer(text)
    return None if marked is None else marked.answer


def reasoning_text(completion: str) -> str:
    """Return what was written before the final answer: all of it up to `</think>`, or up to the first answer mark."""
    before, mark, _ = completion.rpartition("</think>")
    if mark:
        return before + mark
    marks = [match.start() for pattern in (BOX, _ANSWER_TAG, _HASHES) if (match := pattern.search(completion))]
    return completion[: min(marks)] if marks else completion


def opens_thinking(prompt: str) -> bool:
    """Tell whether a prompt, as the model gets it, ends inside of `<think>`, so that the completion begins in a thought."""
    return prompt.rstrip().endswith("<think>")
