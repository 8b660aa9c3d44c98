"""Where a completion stops speaking to its question: end-of-turn marks, and questions that it goes on to invent.

A base model that has answered often writes the next exercise. Which of these places cut a text off is decided by
rewards/answer.py: only what stands behind an answer does, since a completion may restate its own question first.
"""

import re
from collections.abc import Iterable

MAX_QUESTIONS = 12

_END_OF_TURN = re.compile(
    r"<\|(?:im_end|im_start|eot_id|endoftext|end_of_text|end|eom_id|start_header_id|return|user|eot|endofprompt)\|>|</s>|<eoa>"
    r"|\[/?INST\]"
    r"|<(?:end|start)_of_turn>|<turn\|>|<eos>|<\uff5c(?:end\u2581of\u2581sentence|User)\uff5c>"  # the last of DeepSeek
)
# Patterns without IGNORECASE: its branches are tried one by one at every line, and this is asked of every completion.
_ASKED = (
    "question", "problem", "exercise", "instruction", "task", "q", "problème", "exercice", "pregunta", "problema", "ejercicio",
    "frage", "aufgabe", "domanda", "esercizio", "pergunta", "questão", "exercício",
    "вопрос", "задача", "soru", "câu hỏi", "bài toán",
)  # fmt: skip
_ASKED_UNSPACED = "प्रश्न|सवाल|سؤال|السؤال|问题|題目|题目|例题?|問題|문제|QUESTION|PROBLEM|INSTRUCTION|[Ee]xample(?=[ \\t]*\\d)"
_FURTHER = ("next", "new", "another", "follow-up", "follow up", "similar", "related", "bonus", "practice", "second")


def _either_case(words: Iterable[str]) -> str:
    return "|".join(f"[{word[0].upper()}{word[0]}]{word[1:]}" for word in words)


_QUESTION = re.compile(
    rf"\n[#*_> \t-]{{0,20}}(?:(?:{_either_case(_FURTHER)})[ \t]+)?(?:(?:{_either_case(_ASKED)}|{_ASKED_UNSPACED})"
    r"[ \t]*(?:\d{1,3}|[A-Z](?![a-z]))?[ \t]*(?:\*\*|__)?[ \t]*(?:[:：.]|\n|$)"
    rf"|(?:{_either_case(('user', 'human', 'student', 'input'))}|USER|HUMAN)[ \t]*(?:\*\*)?:)"
)
# the first letters of all its words: every verdict asks this, and it takes a quarter of the time
_MAY_ASK = re.compile(
    r"\n[#*_> \t-]{0,20}(?:[Qq]|[Pp](?:r[aeo]|er|RO)|[Ee](?:x|j|s)|[Ii](?:n[sp]|NS)|[Tt]a|[Uu]s|US|[Hh]um|HU|[Ss](?:tu|or"
    r"|im|ec|ol)|SOL|[Ff](?:rag|oll)"
    r"|[Aa](?:uf|not|lt)|[Dd]om|[Nn]e[wx]|[Rr]el|[Bb](?:on|à)|[Cc]â|[\u0400-\uffff])"
)
_NUMBERED = re.compile(r"\n\W{0,20}([^\W\d]{1,12})[ \t]+(\d{1,3})")
_SOLUTION = re.compile(r"\n[#*_> \t-]{0,20}(?:alternative[ \t]+)?(?:solution|解)[ \t]*\d?[ \t]*(?:\*\*)?[:：]", re.IGNORECASE)
_PARAGRAPH_ASKS = re.compile(r"\n[ \t]*\n[ \t]*(?=([A-Z\"“$][^\n]{24,800}\?)[ \t]*(?:\n|$))")
_ASKS = re.compile(r"\b(?:how\s+(?:many|much|long|far|old)|what\s+is|what's|find|calculate|determine|which)\b", re.IGNORECASE)
_DOUBTS = re.compile(r"\b(?:wait|let\s+me|check|verify|hmm|right|sure|correct|I|we|our)\b", re.IGNORECASE)
_FIRST_LABEL = re.compile(
    r"\W{0,6}(?:question|problem|exercise|q|user|human|instruction|问题|题目)[ \t]*\d{0,3}[ \t]*(?:\*\*)?[ \t]*(?:[:：.]|\n)",
    re.IGNORECASE,
)
_ANSWER_LABEL = re.compile(
    r"\n[#*_> \t-]{0,20}(?:answer|solution|response|assistant|a|解|答案?)[ \t]*(?:\*\*)?[ \t]*(?:[:：]|\n)",
    re.IGNORECASE,
)


def first_turn(text: str) -> str:
    """Return the first turn of `text` that says anything."""
    if "<" not in text and "INST]" not in text:
        return text
    if not ("<|" in text or "</s>" in text or "INST]" in text or "turn" in text or "<eo" in text or "<\uff5c" in text):
        return text
    turns = [turn for turn in _END_OF_TURN.split(text) if turn.strip()]
    return turns[0] if turns else ""


def may_go_on(text: str) -> bool:
    """Tell whether there may be anything that the two below find, in a fraction of their time."""
    return "?" in text or _MAY_ASK.search(text) is not None


def invented_questions(text: str) -> list[int]:
    """Return where a question of the text's own may begin, in order; at most MAX_QUESTIONS of them."""
    starts = [match.start() for match in _QUESTION.finditer(text)]
    for match in _PARAGRAPH_ASKS.finditer(text) if "?" in text else ():
        if _ASKS.search(match[1]) and not _DOUBTS.search(match[1]):
            starts.append(match.start())
    return sorted(starts)[:MAX_QUESTIONS]


def goes_on_counting(text: str, start: int) -> bool:
    """Tell whether the question at `start` is one of several that `text` numbers: "Question 2" behind "Question 1"."""
    match = _NUMBERED.match(text, start)
    return match is not None and f"{match[1]} {int(match[2]) - 1}".lower() in text[:start].lower()


def further_solutions(text: str) -> list[int]:
    """Return where a block "Solution:" begins, in order; at most MAX_QUESTIONS of them."""
    return [match.start() for match in _SOLUTION.finditer(text)][:MAX_QUESTIONS]


def is_still_the_question(text: str) -> bool:
    """Tell whether `text` only restates its question: it opens with "Question:" and has not come to "Answer:"."""
    return _FIRST_LABEL.match(text) is not None and not _ANSWER_LABEL.search(text)
