r"""Which text is the final answer of a completion, and when there is none. The policy, in order of trust:

1. Only what follows the last `</think>` counts; thinking that never ends has no answer. Text after an end-of-turn token
   does not count.
2. `\boxed{...}` or `\fbox{...}` with balanced braces. The last box replaces earlier ones (a self-correction), with these
   exceptions: neighbours joined by nothing but commas, "and" or white space are one answer with several values; and boxes
   joined by a word that leaves the choice open ("or", "maybe", "another", "if" in one sentence) or by an operator, or three
   different boxes in a row, are alternatives: a list that no single value meets. "=" and a word that turns ("wait", "so",
   "no", "final") make the last one count.
3. `<answer>...</answer>`, the last one.
4. `#### ...` to the end of the line, the last one.
5. "the answer is ...", "answer: ...", "答案是 ...", "故选 ...", to the end of the sentence, the last one; not in a program.
6. A completion that is nothing but an answer.
7. A last sentence that states one value: its only formula, or its only number.

A percent sign or word right behind a box belongs to it. Nothing else outside of the mark is read.
"""

import re

from rewards.answer import after_thinking
from rewards.math.grammar.clean import repair

_CONTROL = re.compile(r"[\x08\x0c\t\r]")
MAX_BARE_CHARACTERS = 300
MAX_SENTENCE_CHARACTERS = 600
MAX_BOXES = 200
_BOX = re.compile(
    r"(?:\\|\x08|\\\\)(?:(?:f|frame)?box(?:ed)?|oxed|beginboxed)\s*(?=[{\d\\a-zA-Z$-])|(?<![a-zA-Z\\])boxed\s*(?=\{)"
)
_ANSWER_TAG = re.compile(r"<answer>((?:(?!<answer>).)*?)</answer>", re.DOTALL | re.IGNORECASE)
_END_OF_TURN = re.compile(
    r"<\|(?:im_end|im_start|eot_id|endoftext|end_of_text|end|eom_id|start_header_id)\|>|</s>|<｜end▁of▁sentence｜>"
)
_GAP_JOIN = re.compile(
    r"(?:[\s,;$&]|\\[()\[\],;!: ]|\\quad|\\qquad|\\text\s*\{|\}|\band\b|\\\\|\b[Aa]nswer\s*\(?[\da-c]\)?\s*:)*"
)
_OR = re.compile(
    r"\b(?:or|oder|ou|maybe|perhaps|possib\w+|alternativ\w+|another|otherwise|could|might|may|vs|versus|guess\w*|either"
    r"|candidate|as well as)\b|\\lor(?![a-z])|\\vee(?![a-z])|或|^[^.\n]*\b(?:if|when|else)\b[^.\n]*$",
    re.IGNORECASE,
)
_OPERATORS = re.compile(  # boxes in one formula: none of them is the answer
    r"[^.\n=]*(?:[+*/<>|^-]|\\(?:cdot|times|div|mid|pm|mp|leq?|geq?|neq?|l?or|vee|land|wedge|cup|cap)(?![a-zA-Z])|\}\s*\{)[^.\n=]*"
)
_WORDS = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]{2,}")
_TURN = re.compile(
    r"\b(?:wait|no|not|actually|correct\w*|so|therefore|hence|thus|final\w*|mistake|instead|sorry|recheck\w*)\b", re.IGNORECASE
)
_AFTER_PERCENT = re.compile(r"\s*(?:\$|\\[)\]])?\s*(\\?%|percent\b|per cent\b|pct\b)")
_AFTER_OR = re.compile(
    r"\s*(?:\$|\\[)\]])?\s*,?\s*\(?(?:or|maybe|perhaps|possibly)\s+(?:maybe\s+|perhaps\s+|also\s+)?\$?\s*(?=[-\d\\])"
)
_PHRASE = re.compile(
    r"(?:final\s+|(?<=# )(?:the\s+)?)answer\s*(?:\*\*|__)?\s*:?\s*(?:\*\*|__)?\s*\n\s*"
    r"|(?:final\s+answer|answer|\bans|result)\s*(?:to\s+(?:the|this)\s+\w+\s*)?(?:\*\*|__)?\s*(?:is|are|equals|=|:)\s*(?:\*\*|__)?\s*"
    r"(?:therefore|thus|simply|just)?\s*:?"
    r"|答案\s*(?:应该|应)?(?:是|为|等于|选)?\s*[:：]?\s*|故(?:本题)?选择?\s*[:：]?\s*",
    re.IGNORECASE,
)
_HEADING = re.compile(
    r"####\s*(?:\*\*)?(?:the\s+)?(?:final\s+)?(?:answer|solution|conclusion|result)\W*(?:\n|$)", re.IGNORECASE
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


def _closing(text: str, start: int) -> int | None:
    """Return the index of the brace that closes the group whose content begins at `start`."""
    depth = 1
    for match in re.compile(r"\\.|[{}]", re.DOTALL).finditer(text, start):
        if match[0] == "{":
            depth += 1
        elif match[0] == "}":
            depth -= 1
            if not depth:
                return match.start()
    return None


def boxes(text: str) -> list[tuple[int, int, str]]:
    """Return (start, end, content) of the last boxes of `text` (at most MAX_BOXES), innermost content of nested ones."""
    found: list[tuple[int, int, str]] = []
    matches = list(_BOX.finditer(text, max(0, text.find("box") - 12)))[-MAX_BOXES:]
    scanned = 0
    for match in matches:
        if found and match.start() < found[-1][1]:
            continue  # inside the box before
        start = match.end()
        if start < len(text) and text[start] == "{":
            scanned += 1
            if scanned > MAX_BOXES:
                break
            end = _closing(text, start + 1)
            if end is None:
                continue
            content, stop = text[start + 1 : end], end + 1
        else:
            bare = re.compile(r"\$?\s*(-?\d+(?:\.\d+)?|[A-Za-z](?![A-Za-z]))").match(text, start)
            if bare is None:
                continue
            content, stop = bare[1], bare.end()
        while (inner := _BOX.match(content.strip())) and content.strip().endswith("}"):
            content = content.strip()[inner.end() + 1 : -1]
        found.append((match.start(), stop, content.strip()))
    return [box for box in found if box[2].strip("$ .")]


def box_answer(text: str) -> str | None:
    """Return what the last boxes commit to, "" for a last box that does not close, or None where there is none."""
    found = boxes(text)
    if not found:
        unclosed = list(_BOX.finditer(text))
        return None if not unclosed else ""
    if (last := [match.start() for match in _BOX.finditer(text, found[-1][1])]) and _closing(
        text, text.find("{", last[-1]) + 1
    ) is None:
        return ""  # the last box never closes: a cut-off answer
    group, joint = [found[-1]], ", "
    alternatives = False
    for box in reversed(found[:-1]):
        gap = text[box[1] : group[0][0]]
        if len(gap) > 80:
            break
        if _GAP_JOIN.fullmatch(gap) and "." not in gap:
            group.insert(0, box)
        elif _alternatives(gap):
            group.insert(0, box)
            alternatives = True
        else:
            break
    values = list(dict.fromkeys(content for _, _, content in group))
    if len(group) == 1:
        shower = _shower(text, found)
        if shower:
            values, alternatives = shower, True
    answer = values[0] if len(values) == 1 else (r" \text{ or } " if alternatives else joint).join(values)
    tail = text[found[-1][1] : found[-1][1] + 40]
    if match := _AFTER_PERCENT.match(tail):
        if not answer.rstrip().endswith("%"):
            answer += r"\%"
    elif match := _AFTER_OR.match(tail):
        answer += r" \text{ or } " + re.split(r"[.\s$)]", tail[match.end() :], maxsplit=1)[0]
    return answer


def _alternatives(gap: str) -> bool:
    """Tell whether what stands between two boxes leaves open which of them counts."""
    if _TURN.search(gap):
        return False
    return bool(_OR.search(gap) or (_OPERATORS.fullmatch(gap) and not _WORDS.search(gap)))


def _shower(text: str, found: list[tuple[int, int, str]]) -> list[str] | None:
    """Return the values of three or more different boxes in short succession without a word of correction between them."""
    run = [found[-1]]
    for box in reversed(found[:-1]):
        gap = text[box[1] : run[0][0]]
        if len(gap) > 40 or _TURN.search(gap):
            break
        run.insert(0, box)
    values = list(dict.fromkeys(content for _, _, content in run))
    return values if len(values) >= 3 else None


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
    matches = list(_PHRASE.finditer(text, max(0, len(text) - 20_000)))
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
    text = after_thinking(completion)
    if text is None:
        return [], "the thinking does not end"
    if _CONTROL.search(text):
        text = repair(text)
    if "<|" in text or "</s>" in text or "<｜" in text:
        parts = [part for part in _END_OF_TURN.split(text) if part.strip()]
        text = parts[0] if parts else ""
    if "box" in text:
        answer = box_answer(text)
        if answer == "":
            return [], "a box that does not close"
        if answer is not None:
            return [answer], "box"
    if "<answer>" in text.lower():
        tagged = _ANSWER_TAG.findall(text)
        if not tagged or not tagged[-1].strip():
            return [], "an empty or unclosed answer tag"
        return _narrowed(tagged[-1].strip(), False), "answer tag"
    if "####" in text and not _HEADING.match(text, text.rfind("####")):
        found = text.rpartition("####")[2].strip().split("\n", 1)[0].strip(" :*")
        return (_narrowed(found, False), "hashes") if found else ([], "nothing after ####")
    return _unmarked(text.strip())


def _unmarked(text: str) -> tuple[list[str], str]:
    text = _BOLD.sub(r"\1", _PROGRAM.sub("", text) if "```" in text else text).strip()
    if not text:
        return [], "nothing was written"
    one_line = "\n" not in text or (text.startswith("\\begin{") and text.endswith("}") and text.count("\\begin{") == 1)
    short = one_line and (len(text) <= MAX_BARE_CHARACTERS or " " not in text)
    if short and not re.search(r"\bans(?:wer)?\b|答案|故选", text, re.IGNORECASE):
        return [text.strip("*`"), *_concluded(_last_sentence(text) or "")], "bare answer"
    if (phrase := _phrase_answer(text)) is not None:
        return _narrowed(phrase, True), "phrase"
    if (sentence := _last_sentence(text)) is not None and (found := _concluded(sentence)):
        return found, "last sentence"
    return ([text], "bare answer") if short else ([], "no final answer")


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


def committed_answer(completion: str) -> tuple[str | None, str]:
    """Return (the final answer, the mark it was read from), or (None, why there is none)."""
    found, mark = committed_answers(completion)
    return (found[0] if found else None), mark
