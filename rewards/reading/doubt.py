"""What keeps a sentence from committing to a value: alternatives, denials, questions, conditions, bounds, claims of others.

Also how an answer is taken back, and where a sentence begins to explain what it has said.
"""

import re

from rewards.reading import languages
from rewards.reading.languages import words
from rewards.reading.sentences import formulas, without_formulas

_OPEN = re.compile(words(languages.OPEN, languages.OPEN_UNSPACED), re.IGNORECASE)
_DENIES = re.compile(words(languages.DENIES, languages.DENIES_UNSPACED), re.IGNORECASE)
_ENDS_IN_BOUND = re.compile(
    words(languages.BOUNDS, languages.BOUNDS_UNSPACED)
    + r"\s*(?:[是为有需]|[\u4e00-\u9fff]{1,3}|\*\*|\\?\$|[€£]|the\s+|a\s+|about\s+)?\s*$",
    re.IGNORECASE,
)
_STARTS_WITH_BOUND = re.compile(
    r"\W{0,4}" + words(languages.BOUNDS, (*languages.BOUNDS_UNSPACED, "以下", "以上")), re.IGNORECASE
)
_BOUND_BEHIND = re.compile(
    r"[\s,*$]{0,4}(?:[^\W\d]{1,12}[\s,]{0,2}){0,2}?" + words(languages.BOUNDS_BEHIND, languages.BOUNDS_BEHIND_UNSPACED),
    re.IGNORECASE,
)
_EXPLAINS = re.compile(
    r"[\s,;:—–(-]*"
    r"(?:(?<=[\s,;:(—–-])"
    + words(languages.EXPLAINS)
    + r"|"
    + "|".join(languages.EXPLAINS_UNSPACED)
    + r"|\s[-–—]+\s+(?=[a-z]{2,}\s+[a-z]{2,}))",
    re.IGNORECASE,
)
_MAX_EXPLANATIONS = 20
_NOTHING = re.compile(r"(?!)")
_OPEN_END = re.compile(r"\b(?:or|maybe|perhaps)\W*$", re.IGNORECASE)  # "5, or not"
_SOMETHING = re.compile(r"[^\s*_(]")


def leaves_open(sentence: str) -> bool:
    """Tell whether a sentence names alternatives, asks, supposes or guesses; what stands in formulas does not count."""
    return _OPEN.search(without_formulas(sentence)) is not None


def denies(text: str) -> bool:
    """Tell whether `text`, which leads to a value or follows it closely, denies it."""
    return _DENIES.search(without_formulas(text)) is not None


def is_bounded(before: str, behind: str) -> bool:
    """Tell whether the value between `before` and `behind` is only a bound."""
    return _ENDS_IN_BOUND.search(before[-60:]) is not None or _BOUND_BEHIND.match(behind[:60]) is not None


def starts_with_bound(text: str) -> bool:
    """Tell whether `text` begins with "at least" or its like."""
    return _STARTS_WITH_BOUND.match(text[:80]) is not None


def before_explanation(sentence: str, value: re.Pattern[str] = _SOMETHING, goes_on: re.Pattern[str] = _NOTHING) -> str:
    """Return `sentence` up to where it begins to explain what it has said: something that holds a `value`.

    Where `goes_on` matches, nothing is explained.
    """
    spans = formulas(sentence)
    for count, match in enumerate(_EXPLAINS.finditer(sentence)):
        inside = any(formula.start < match.start() < formula.end for formula in spans)
        if not inside and not goes_on.match(sentence, match.start()) and value.search(sentence[: match.start()]):
            kept = sentence[: match.start()].rstrip()
            return sentence if _OPEN_END.search(kept) else kept
        if count == _MAX_EXPLANATIONS:
            break
    return sentence


# -- in front of "the answer is"

_DENIED_PHRASE = re.compile(
    r"(?:n['’]t|\bnot|\bcannot|\bnever|\bdoubt\w*|\bunlikely|\bimpossible|\bfalse)\s+(?:\w+\s+){0,3}(?:that\s+)?(?:the\s+"
    r"|my\s+)?$",
    re.IGNORECASE,
)
_CONDITIONAL_PHRASE = re.compile(
    r"\b(?:if|suppos(?:e|ing)|assum(?:e|ing)|whether|say|unless|imagine|let|when|pretend|si|wenn|falls|ob|se|если|यदि"
    r"|अगर)\s+(?:that\s+|que\s+)?"
    r"(?:the\s+|my\s+|your\s+|our\s+|la\s+|die\s+|a\s+)?$|(?:如果|假设|若)\s*$",
    re.IGNORECASE,
)
_CLAIMED_PHRASE = re.compile(
    r"\b(?:some|many|most|several|people|students?|someone|somebody|others?|they|he|she|everyone|one|you)\b[^.,;]{0,40}"
    r"\b(?:think|thinks|thought|say|says|said|guess|believe|believes|claim|claims|argue|assume|conclude|expect|suspect"
    r"|answer|write|wrote)\b"
    r"|(?<!\bI )(?<!\bwe )(?<!I'd )(?<!would )(?<!can )\b(?:claim|say|think|believe|argue|insist|suggest|state|guess)(?:s"
    r"|ed)\b[^.,;]{0,20}$"
    r"|\b(?:said|thought|wrote|writes|answered)\b\s*[:,]?\s*(?:that\s+)?[\"“']?\s*(?:the\s+)?$"
    r"|\bat\s+first\s+(?:glance|sight)\b|\btempt(?:ing|ed)\b|\b(?:may|might|could|would)\s+(?:seem|appear|look|think|say"
    r"|guess)\b"
    r"|\b(?:wrong|incorrect|na[iï]ve|tempting|false|intuitive|initial|first|previous|earlier|possible|potential|plausible"
    r"|alternative"
    r"|another|common|trap|his|her|their|whose|falsche|mauvaise|fausse)\s+(?:\w+\s+)?$|(?<!\blet)['’]s\s+(?:\w+\s+)?$"
    r"|有人(?:认为|说)|可能会?(?:认为|觉得)",
    re.IGNORECASE,
)


_TURNS = re.compile(r"\b(?:but|however|yet|actually|in\s+fact)\b|但", re.IGNORECASE)


def is_no_claim(before: str) -> bool:
    """Tell whether "the answer is" behind `before`, in one sentence, is denied, supposed, or somebody else's claim."""
    before = _TURNS.split(before[-160:])[-1]
    return any(pattern.search(before) for pattern in (_DENIED_PHRASE, _CONDITIONAL_PHRASE, _CLAIMED_PHRASE))


# -- behind an answer

_TAKEN_BACK = re.compile(
    r"[\s.,!*_$)\]}。，！、—-]*(?:(?:oh|oops|hmm+|wait|no|nope|sorry|actually|but|hold\s+on|hang\s+on|well)\b[\s,.!…—-]*)*"
    r"(?:scratch\s+that|never\s*mind"
    r"|(?:that|this|it|which|the\s+above|my\s+answer)(?:['’]s|\s+is|\s+was|\s+seems)\s+(?:\w+\s+)?(?:wrong|incorrect"
    r"|not\s+(?:right|correct|true)|a\s+mistake|an\s+error)"
    r"|(?:that|this|it)\s+(?:can\s?not|can['’]t|isn['’]t|wasn['’]t)\s+(?:be\s+)?(?:right|correct|true)"
    r"|I\s+(?:have\s+)?made\s+(?:a|an|some)\s+(?:\w+\s+)?(?:mistake|error)|I\s+(?:was|am)\s+wrong|I\s+(?:forgot"
    r"|miscalculated|misread)"
    r"|不对|错了|有误|算错|这是?错|c['’]est\s+faux|esto?\s+es\s+incorrecto|das\s+(?:ist\s+falsch|stimmt\s+nicht)|это\s+неверно)",
    re.IGNORECASE,
)
_TAKEN_BACK_CHARACTERS = 200
_SHORTEST_TAKING_BACK = 8  # characters, in a script with an alphabet


def is_taken_back(text: str, end: int = 0) -> bool:
    """Tell whether what stands in `text` right behind `end`, the end of an answer, takes it back: "Wait, no, that is wrong"."""
    length = len(text) - end
    if length < _SHORTEST_TAKING_BACK and (length < 2 or text[-1] < "\x80"):
        return False
    match = _TAKEN_BACK.match(text, end, end + _TAKEN_BACK_CHARACTERS)
    return match is not None and not text[match.end() : match.end() + 9].lstrip().startswith("?")
