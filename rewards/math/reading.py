r"""Reads the final answer of a completion that need not mark it, and what it may be read as, best first.

The policy is that of rewards/answer.py: a mark decides where there is one. Where there is none, the first of these does:

1. "the answer is ...", "answer: ...", "答案是 ...", "故选 ...", to the end of the sentence, the last one; not in a program;
2. a completion that is nothing but an answer (then the phrase above is not looked for, unless "answer" is in it);
3. a last sentence that states one value: its only formula, or its only number.

A sentence that hedges ("or", "maybe", "not", a question mark) states no value. `committed_answers` is the door.
"""

import re

from rewards.answer import answering_text, marked_answer

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
_BOLD = re.compile(r"(?<![\w)*])\*\*(?=[^\s*])([^*\n]{1,200})(?<!\s)\*\*(?![\w(*])")
_PROGRAM = re.compile(r"```[a-zA-Z][^\n]*\n.*?(?:```|\Z)", re.DOTALL)  # what a program's text says is no answer
_CONDITION = re.compile(r"\s*\$([^$]+)\$\s*,?\s*(?:where|for all|for every|with)\b")
_CODE = re.compile(r"[;{}_\[\]<>#\"\\]|\w\(|[a-z]\.[a-z]|\)\s*\.")
_BAD_SENTENCE = re.compile(
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


def _stated(sentence: str, concluded: bool) -> str | None:
    """Return the one value a sentence states: its only formula, or (where it concludes) its only number."""
    formulas = _formulas(sentence)
    if not formulas:
        if not concluded or _CODE.search(sentence):
            return None
        values = [match[0].strip() for match in _VALUE.finditer(sentence.strip(" *_`.。\"'")) if re.search(r"\d", match[0])]
        return values[0] if len(values) == 1 else None
    if len(formulas) == 1:
        tail = sentence[next(_MATHS.finditer(sentence)).end() :]
        return formulas[0] + (r"\%" if re.match(r"\s*(?:%|percent\b|pct\b)", tail) else "")
    return None


def _phrase_answer(text: str) -> str | None:
    matches = list(_PHRASE.finditer(text, max(0, len(text) - MAX_PHRASE_CHARACTERS)))
    if not matches:
        return None
    sentence = _sentence(text[matches[-1].end() : matches[-1].end() + MAX_SENTENCE_CHARACTERS])
    bare = sentence.strip().strip('*_`"').strip()
    if not bare:
        return None
    if " is " in bare and not _MATHS.fullmatch(bare):
        tail = bare.rpartition(" is ")[2].strip()
        bare = tail or bare
    return bare


def _last_sentence(text: str) -> str | None:
    """Return the last sentence of running text, or None."""
    lines = [line for line in text.strip().rstrip("*_` ").split("\n") if line.strip()]
    if not lines:
        return None
    line = lines[-1][-MAX_SENTENCE_CHARACTERS:].strip()
    if line in ("\\]", "$$", "\\end{align*}", "\\end{align}"):
        block = re.findall(r"\\\[(.+?)\\\]|\$\$(.+?)\$\$", text[-MAX_SENTENCE_CHARACTERS:], re.DOTALL)
        return f"so ${block[-1][0] or block[-1][1]}$" if block else None
    spans = [match.span() for match in _MATHS.finditer(line)]
    ends = [
        match.end()
        for match in _SENTENCE_END.finditer(line)
        if not any(start < match.start() < end for start, end in spans) and line[match.end() :].strip()
    ]
    sentence = line[ends[-1] :].strip() if ends else line
    if re.fullmatch(r"I hope (?:it|this) is correct\.?|(?:Thank you|Done)[.!]?", sentence) and ends:
        return _last_sentence(line[: ends[-1]])
    return sentence


_VERB = re.compile(
    r"\b(?:is|are|equals|be|by|we get|we have|has|have)\b:?\s+(?:therefore|thus|exactly|only|just|simply)?\s*"
    r"|(?:是|为|等于|得到?)\s*[:：]?\s*",
    re.IGNORECASE,
)


def _concluded(sentence: str) -> list[str]:
    """Return what a last sentence may state, best first: what follows its last verb, its one formula, its one number."""
    if _BAD_SENTENCE.search(_MATHS.sub(" ", sentence)) or not _CONCLUDES.search(sentence) or _CUT_OFF.search(sentence):
        return []
    found = []
    verbs = list(_VERB.finditer(sentence))
    if verbs and (tail := sentence[verbs[-1].end() :].strip(" *_.。")):
        found.append(tail)
    if stated := _stated(sentence, True):
        found.append(stated)
    return found


def committed_answers(completion: str) -> tuple[list[str], str]:
    """Return (what the final answer may be, best first, and the mark it was read from), or ([], why there is none).

    A later entry is only a narrower reading of the same place; it counts where the one before cannot be read.
    """
    text = answering_text(completion)
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
    text = _BOLD.sub(r"\1", _PROGRAM.sub("", text) if "```" in text else text).strip()
    if not text:
        return [], "nothing was written"
    one_line = "\n" not in text or (text.startswith("\\begin{") and text.endswith("}") and text.count("\\begin{") == 1)
    short = one_line and (len(text) <= MAX_BARE_CHARACTERS or " " not in text)
    if short and not re.search(r"\bans(?:wer)?\b|答案|故选", text, re.IGNORECASE):
        return [text.strip("*`"), *_concluded(_last_sentence(text) or "")], BARE_ANSWER
    if (phrase := _phrase_answer(text)) is not None:
        return _narrowed(phrase, True), "phrase"
    if (sentence := _last_sentence(text)) is not None and (found := _concluded(sentence)):
        return found, "last sentence"
    return ([text], BARE_ANSWER) if short else ([], "no final answer")


def _narrowed(answer: str, concluded: bool) -> list[str]:
    """Return the answer and, where it is a sentence without a hedge, the one formula or value in it."""
    if len(answer) > MAX_SENTENCE_CHARACTERS:
        return [answer]
    if match := _CONDITION.match(answer):
        return [answer, match[1]]
    stated = _stated(answer, concluded)
    if stated is None or stated == answer or _BAD_SENTENCE.search(_MATHS.sub(" ", answer)):
        return [answer]
    return [answer, stated]
