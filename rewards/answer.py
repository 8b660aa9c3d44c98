r"""Reads the final answer out of a completion.

Policy: only what follows the reasoning counts (after the last `</think>`; a `<think>` that never closes has no answer).
There the last mark wins, by order of trust: `\boxed{...}` (or `\fbox`) with balanced braces, `<answer>...</answer>`,
`#### ...` to the end of the line. Text without a mark has no final answer: no number is ever picked out of running text.
"""

import re

MAX_ANSWER_CHARACTERS = 10_000
_BOX = re.compile(r"\\f?box(?:ed)?\s*\{")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_HASHES = re.compile("####")
_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL | re.IGNORECASE)


def after_thinking(completion: str) -> str | None:
    """Return the part of `completion` that may hold the answer, or None while it is still thinking."""
    _, mark, rest = completion.rpartition("</think>")
    if mark:
        return None if "<think>" in rest else rest
    return None if "<think>" in completion else completion


def last_box(text: str) -> str | None:
    r"""Return the content of the last `\boxed{...}` whose braces close, or None."""
    boxes = {match.end() - 1 for match in _BOX.finditer(text)}
    last: tuple[int, int] | None = None  # the braces of the last box that closed
    unclosed: list[int] = []
    for match in _BRACE.finditer(text):  # one pass: ten thousand boxes that never close must not stall
        if match[0] == "{":
            unclosed.append(match.start())
        elif match[0] == "}" and unclosed:
            pair = unclosed.pop(), match.start()
            if pair[0] in boxes and (last is None or pair > last):
                last = pair
    return None if last is None else text[last[0] + 1 : last[1]]


def final_answer(completion: str) -> str | None:
    """Return the committed final answer, stripped, or None."""
    text = after_thinking(completion)
    if text is None:
        return None
    found = last_box(text)
    if found is None and (tagged := _ANSWER.findall(text)):
        found = tagged[-1]
    if found is None and "####" in text:
        found = text.rpartition("####")[2].split("\n", 1)[0]
    if found is None:
        return None
    found = found.strip()
    return found if found and len(found) <= MAX_ANSWER_CHARACTERS else None


def reasoning_text(completion: str) -> str:
    """Return what was written before the final answer: all of it up to `</think>`, or up to the first answer mark."""
    before, mark, _ = completion.rpartition("</think>")
    if mark:
        return before + mark
    marks = [match.start() for pattern in (_BOX, _ANSWER, _HASHES) if (match := pattern.search(completion))]
    return completion[: min(marks)] if marks else completion
