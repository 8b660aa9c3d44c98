r"""Reads the final answer of a completion that need not mark it, and what it may be read as, best first.

The policy is that of rewards/answer.py: a mark decides where there is one. Where there is none, the first of these does:

1. a completion that is nothing but an answer: one short line that does not say "answer";
2. "the answer is ...", "answer: ...", "答案是 ...", "故选 ...", to the end of the sentence, the last one; not in a program;
3. a last sentence that states one value: its only formula, or its only number.

A sentence that hedges ("or", "maybe", "not", a question mark) states no value. `committed_answers` is the door.
"""

import re

from rewards.answer import answering_text, marked_answer
from rewards.types import LENIENT, Reading

BARE_ANSWER = "bare answer"  # the mark of a completion that is nothing but an answer
MAX_BARE_CHARACTERS = 300
MAX_SENTENCE_CHARACTERS = 600
MAX_PHRASE_CHARACTERS = 20_000  # at the end of a text, in which the phrase is looked for

_PHRASE = re.compile(
    r"(?:final\s+|(?<=# )(?:the\s+)?)answer\s*(?:\*\*|__)?\s*:?\s*(?:\*\*|__)?\s*\n\s*"
    r"|(?:final\s+answer|answer|\bans|result)\s*(?:to\s+(?:the|this)\s+\w+\s*)?(?:\*\*|__)?\s*(?:is|are|equals|=|:)\s*(?:\*\*|__)?\s*"
    r"(?:therefore|thus|simply|just)?\s*:?"
    r"|答案\s*(?:应该|应)?(?:是|为|等于|选)?\s*[:：]?\s*|故(?:本题)?选择?\s*[:：]?\s*",
    re.IGNORECASE,
)
_MATHS = re.compile(r"\$\$(.+?)\$\$|(?<!\\)\$([^$]+?)(?<!\\)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
_SENTENCE_END = re.compile(
    r"(?<!\b[apAP])(?<!\b[apAP]\.[mM])(?<!sq)(?<!approx)[.!?](?=\s|$)(?!\s*[mM]\.)|[。！？；]|\n\s*\n|\n(?=\S)"
)
_VALUE = re.compile(
    r"(?<![\w.])[-−]?[$€£]?\s?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+|(?<=\d))(?:\s*/\s*\d+)?(?:\s*(?:\\?%|percent\b|°))?(?![\w.]*\d)"
)
_CONCLUDES = re.compile(
    r"\b(?:therefore|thus|hence|so|answer|final|is|are|equals?|get|gives?|total|have|increases?|decreases?|must"
    r"|by|will|was|were|costs?|makes?|made|takes?|took|needs?|spends?|spent|earns?|earned|pays?|paid|left|remain\w*)\b|=|[是为]|等于|得",
    re.I,
)
_CUT_OFF = re.compile(
    r"(?:[=+\-*/^,(<>:]|\b(?:the|to|is|are|then|so|and|or|of|we|by|with|a|that|need|have|for|get))\s*$", re.IGNORECASE
)
_VERB = re.compile(
    r"\b(?:is|are|equals|be|by|we get|we have|has|have)\b:?\s+(?:therefore|thus|exactly|only|just|simply)?\s*"
    r"|(?:是|为|等于|得到?)\s*[:：]?\s*",
    re.IGNORECASE,
)
_DISPLAYED = re.compile(r"\\\[(.+?)\\\]|\$\$(.+?)\$\$", re.DOTALL)
_FAREWELL = re.compile(r"I hope (?:it|this) is correct\.?|(?:Thank you|Done)[.!]?")
_SAYS_ANSWER = re.compile(r"\bans(?:wer)?\b|答案|故选", re.IGNORECASE)
_PERCENT_BEHIND = re.compile(r"\s*(?:%|percent\b|pct\b)")
_BOLD = re.compile(r"(?<![\w)*])\*\*(?=[^\s*])([^*\n]{1,200})(?<!\s)\*\*(?![\w(*])")
_PROGRAM = re.compile(r"```[a-zA-Z][^\n]*\n.*?(?:```|\Z)", re.DOTALL)
_CONDITION = re.compile(r"\s*\$([^$]+)\$\s*,?\s*(?:where|for all|for every|with)\b")
_CODE = re.compile(r"[;{}_\[\]<>#\"\\]|\w\(|[a-z]\.[a-z]|\)\s*\.")
_HEDGE = re.compile(
    r"\b(?:or|maybe|perhaps|possibly|probably|might|could|likely|think|either|not|if|suppose|assume|let|guess|unsure|try)\b|[?？或]|可能|也许|不",
    re.I,
)


def _sentence(text: str) -> str:
    """Return `text` up to the end of its first sentence; periods inside formulas do not end it."""
    text = text.lstrip(" *_\n\t:")[:MAX_SENTENCE_CHARACTERS]
    spans = [match.span() for match in _MATHS.finditer(text)]
    for match in _SENTENCE_END.finditer(text):
        if not any(start < match.start() < end for start, end in spans):
            return text[: match.start()]
    return text


def _formulas(sentence: str) -> list[str]:
    return [next(part for part in match.groups() if part is not None) for match in _MATHS.finditer(sentence)]


def _hedges(sentence: str) -> bool:
    """Tell whether a sentence leaves its value open; what stands in formulas does not count."""
    return _HEDGE.search(_MATHS.sub(" ", sentence)) is not None


def _stated(sentence: str, concluded: bool) -> str | None:
    """Return the one value a sentence states: its only formula, or (where it concludes) its only number."""
    formulas = _formulas(sentence)
    if len(formulas) > 1:
        return None
    if formulas:
        behind = sentence[next(_MATHS.finditer(sentence)).end() :]
        return formulas[0] + (r"\%" if _PERCENT_BEHIND.match(behind) else "")
    if not concluded or _CODE.search(sentence):
        return None
    numbers = [match[0].strip() for match in _VALUE.finditer(sentence.strip(" *_`.。\"'")) if re.search(r"\d", match[0])]
    return numbers[0] if len(numbers) == 1 else None


def _phrase_answer(text: str) -> str | None:
    """Return what follows the last "the answer is", to the end of its sentence, or None."""
    phrases = list(_PHRASE.finditer(text, max(0, len(text) - MAX_PHRASE_CHARACTERS)))
    if not phrases:
        return None
    start = phrases[-1].end()
    sentence = _sentence(text[start : start + MAX_SENTENCE_CHARACTERS])
    bare = sentence.strip().strip('*_`"').strip()
    if not bare:
        return None
    if " is " in bare and not _MATHS.fullmatch(bare):
        return bare.rpartition(" is ")[2].strip() or bare
    return bare


def _last_sentence(text: str) -> str | None:
    """Return the last sentence of running text, or None."""
    lines = [line for line in text.strip().rstrip("*_` ").split("\n") if line.strip()]
    if not lines:
        return None
    line = lines[-1][-MAX_SENTENCE_CHARACTERS:].strip()
    if line in ("\\]", "$$", "\\end{align*}", "\\end{align}"):
        blocks = _DISPLAYED.findall(text[-MAX_SENTENCE_CHARACTERS:])
        return f"so ${blocks[-1][0] or blocks[-1][1]}$" if blocks else None
    ends = _sentence_ends(line)
    sentence = line[ends[-1] :].strip() if ends else line
    if ends and _FAREWELL.fullmatch(sentence):
        return _last_sentence(line[: ends[-1]])
    return sentence


def _sentence_ends(line: str) -> list[int]:
    """Return where sentences end in `line` and another follows; periods inside of formulas end none."""
    spans = [match.span() for match in _MATHS.finditer(line)]
    return [
        match.end()
        for match in _SENTENCE_END.finditer(line)
        if not any(start < match.start() < end for start, end in spans) and line[match.end() :].strip()
    ]


def _concluded(sentence: str) -> list[str]:
    """Return what a last sentence may state, best first: what follows its last verb, its one formula, its one number."""
    if _hedges(sentence) or not _CONCLUDES.search(sentence) or _CUT_OFF.search(sentence):
        return []
    readings = []
    verbs = list(_VERB.finditer(sentence))
    if verbs and (tail := sentence[verbs[-1].end() :].strip(" *_.。")):
        readings.append(tail)
    if stated := _stated(sentence, True):
        readings.append(stated)
    return readings


def committed_answers(completion: str, reading: Reading = LENIENT) -> tuple[list[str], str]:
    """Return (what the final answer may be, best first, and the mark it was read from), or ([], why there is none).

    A later entry is only a narrower reading of the same place; it counts where the one before cannot be read.
    """
    text = answering_text(completion, reading.thinking_open)
    if text is None:
        return [], "the thinking does not end"
    marked = marked_answer(text)
    if marked is None:
        return _unmarked(text.strip())
    if marked.answer is None:
        return [], marked.mark
    if marked.mark == "box":  # its content is the answer as it stands; behind the other marks people write sentences
        return [marked.answer], "box"
    return _narrowed(marked.answer, False), marked.mark


def _unmarked(text: str) -> tuple[list[str], str]:
    """Return the same as `committed_answers` for a text without a mark."""
    if "```" in text:
        text = _PROGRAM.sub("", text)  # what a program's text says is no answer
    text = _BOLD.sub(r"\1", text).strip()
    if not text:
        return [], "nothing was written"
    is_short = _is_one_line(text) and (len(text) <= MAX_BARE_CHARACTERS or " " not in text)
    if is_short and not _SAYS_ANSWER.search(text):
        return [text.strip("*`"), *_concluded(_last_sentence(text) or "")], BARE_ANSWER
    if (phrase := _phrase_answer(text)) is not None:
        return _narrowed(phrase, True), "phrase"
    if (sentence := _last_sentence(text)) is not None and (readings := _concluded(sentence)):
        return readings, "last sentence"
    return ([text], BARE_ANSWER) if is_short else ([], "no final answer")


def _is_one_line(text: str) -> bool:
    """Tell whether `text` is one line, or one LaTeX environment, which may take several."""
    if "\n" not in text:
        return True
    return text.startswith("\\begin{") and text.endswith("}") and text.count("\\begin{") == 1


def _narrowed(answer: str, concluded: bool) -> list[str]:
    """Return the answer and, where it is a sentence without a hedge, the one formula or value in it."""
    if len(answer) > MAX_SENTENCE_CHARACTERS:
        return [answer]
    if match := _CONDITION.match(answer):
        return [answer, match[1]]
    stated = _stated(answer, concluded)
    if stated is None or stated == answer or _hedges(answer):
        return [answer]
    return [answer, stated]
