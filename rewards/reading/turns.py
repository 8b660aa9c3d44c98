"""Where a completion stops speaking to its question: end-of-turn marks, and questions that it goes on to invent.

A base model that has answered often writes the next exercise. Which of these places cut a text off is decided by
rewards/answer.py: only what stands behind an answer does, since a completion may restate its own question first.
"""

import re
from collections.abc import Iterator

MAX_QUESTIONS = 12

_FURTHER = ("next", "new", "another", "follow[- ]?up", "similar", "related", "bonus", "practice", "second")
_QUESTION_WORDS = (
    "question", "problem", "exercise", "instruction", "task", "q", r"example(?=[ \t]*\d)", "problème", "exercice", "pregunta",
    "problema", "ejercicio", "frage", "aufgabe", "domanda", "esercizio", "pergunta", "questão", "exercício", "вопрос", "задача",
    "soru", "câu[ ]hỏi", "bài[ ]toán", "प्रश्न", "सवाल", "سؤال", "السؤال", "问题", "題目", "题目", "例题?", "問題", "문제",
)  # fmt: skip
_END_OF_TURN = re.compile(
    r"<\|(?:im_end|im_start|eot_id|endoftext|end_of_text|end|eom_id|start_header_id|return|user|eot|endofprompt)\|>|</s>"
    r"|\[/?INST\]"
    r"|<(?:end|start)_of_turn>|<turn\|>|<eos>|<\uff5c(?:end\u2581of\u2581sentence|User)\uff5c>"  # the last of DeepSeek
)


def _in_any_case(*words: str) -> str:
    """Return a pattern of `words`; that each begins with a set of characters spares `re` most of the work at most places."""
    return "|".join(f"[{word[0]}{word[0].upper()}](?i:{word[1:]})" for word in words)


_QUESTION = re.compile(
    rf"\n[#*_> \t-]{{0,20}}(?:(?:{_in_any_case(*_FURTHER)})[ \t]+)?"
    rf"(?:(?:{_in_any_case(*_QUESTION_WORDS)})"
    r"[ \t]*(?:\d{1,3}|[A-Za-z](?![A-Za-z]))?[ \t]*(?:\*\*|__)?[ \t]*(?:[:：.]|\n|$)"
    rf"|(?:{_in_any_case('user', 'human', 'student', 'input')})[ \t]*(?:\*\*)?:)"
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
    if not _may_end(text):
        return text
    turns = [turn for turn in _END_OF_TURN.split(text) if turn.strip()]
    return turns[0] if turns else ""


def _may_end(text: str) -> bool:
    """Tell at once of most texts that no turn ends in them: each mark has one of these in it."""
    return "|>" in text or "</s>" in text or "INST]" in text or "turn>" in text or "<eos>" in text or "<\uff5c" in text


def invented_questions(text: str) -> Iterator[int]:
    """Yield where a question of the text's own may begin, in order; at most MAX_QUESTIONS of them."""
    starts = [match.start() for match in _QUESTION.finditer(text)]
    for match in _PARAGRAPH_ASKS.finditer(text) if "?" in text else ():
        if _ASKS.search(match[1]) and not _DOUBTS.search(match[1]):
            starts.append(match.start())
    yield from sorted(starts)[:MAX_QUESTIONS]


def goes_on_counting(text: str, start: int) -> bool:
    """Tell whether the question at `start` is one of several that `text` numbers: "Question 2" behind "Question 1"."""
    match = _NUMBERED.match(text, start)
    return match is not None and f"{match[1]} {int(match[2]) - 1}".lower() in text[:start].lower()


def further_solutions(text: str) -> Iterator[int]:
    """Yield where a block "Solution:" begins, in order; at most MAX_QUESTIONS of them."""
    if "olution" not in text.lower() and "解" not in text:
        return
    for count, match in enumerate(_SOLUTION.finditer(text)):
        if count == MAX_QUESTIONS:
            return
        yield match.start()


def is_still_the_question(text: str) -> bool:
    """Tell whether `text` only restates its question: it opens with "Question:" and has not come to "Answer:"."""
    return _FIRST_LABEL.match(text) is not None and not _ANSWER_LABEL.search(text)
