r"""What running text without a mark concludes: for the lenient reading only.

The last sentence counts that states a value; farewells, checks and remarks behind it are passed over. In it, what follows its
last "therefore" counts, up to where it explains; and of that, best first: bold type, the only formula, what follows the last
"=", what follows the last verb, the last number with its unit. A sentence that is open, asks, denies or only bounds holds no
value, and one that is cut off makes the whole text hold none.
"""

import re

from rewards.reading import languages
from rewards.reading.doubt import before_explanation, denies, is_bounded, leaves_open, starts_with_bound
from rewards.reading.languages import without_closing_verb, words
from rewards.reading.letters import chosen_letter
from rewards.reading.phrases import claims_nothing
from rewards.reading.sentences import Formula, bold_texts, formulas, plain_line, sentences, without_bold
from rewards.reading.several import (
    stated_alternatives,
    stated_clock,
    stated_equations,
    stated_point,
    whole_point,
    without_circumstances,
)
from rewards.reading.stated import DIVIDES, EQUALS, NAME_ONLY, formula_values, is_denied, stated_formula, whole_formula
from rewards.reading.together import contradicts_itself, is_unsolved, side_by_side, speaks_of_one
from rewards.reading.values import formula_text, is_bounded_behind, leading_value, numbers, stated_number, without_place

MAX_CHARACTERS = 4000  # at the end of a text, in which the conclusion is looked for
MAX_SENTENCE_CHARACTERS = 600
MAX_SENTENCES = 8  # at the end, of which one may state the value

_HOLDS_VALUE = re.compile(r"\d|\$|\\[(\[]")
_CONCLUDES = re.compile(words(languages.CONCLUDES, languages.CONCLUDES_UNSPACED) + r"[\s,:，：]*", re.IGNORECASE)
_STATES = re.compile(
    r"(?<!\w)(?:answer|final|is|are|equals?|get|gets|gives?|total|have|has|had|increases?|decreases?|must|by|will|was|were"
    r"|costs?|makes?"
    r"|made|takes?|took|needs?|spends?|spent|earns?|earned|pays?|paid|left|remain\w*|contains?|there|saves?|saved|sold"
    r"|sells?|walks?|runs?"
    r"|works?|receives?|becomes?|obtain|find|do|does|did|can|could|would|should|est|sont|reste|es|son|quedan?|tiene|hay|ist"
    r"|sind|hat|è|é|هو|هي|تساوي|يساوي|है|हैं|là|bằng|olur|eşittir)(?!\w)"
    r"|=|[是为得有]|等于|は|равн|осталось|[:：]",
    re.IGNORECASE,
)
_VERB = re.compile(
    r"(?<!\w)(?:is|are|was|were|equals|be|by|we\s+get|we\s+obtain|we\s+have|has|have|had|est(?:\s+(?:de|égale?\s+à))?|es"
    r"|son|è|é|ist|sind|beträgt"
    r"|lautet|равн[аоы]?|равен|هو|هي|là|becomes|costs|makes|earns|needs|gets|gives|contains|spends|takes|pays)(?!\w):?\s+"
    r"(?:therefore|thus|exactly|only|just|simply|about|approximately|equal\s+to|given\s+by|now|also|still|a\s+total\s+of"
    r"|then)?\s*"
    r"|(?:是|为|等于|得到?|は|[은는])\s*[:：]?\s*",
    re.IGNORECASE,
)
_CALCULATES = re.compile(  # "..., which is 7 - 1 = 6th place" does not explain but goes on
    r"\W*which\s+(?:is\s+[^,.;=\n]{1,40}=|(?:is|equals)\s+(?:just\s+|simply\s+|equal\s+to\s+)?(?:\$[^$\n]{1,200}\$"
    r"|[-\d.,/]+)\s*\.?\s*$"
    r"|(?:then\s+)?(?:gives|yields|produces|leaves|simplifies|rounds|results|makes|means|brings|implies|solves|reduces"
    r"|evaluates|comes)\b)",
    re.IGNORECASE,
)
_RESTATES = re.compile(
    r"(?P<before>\\\]|\$|\w)\s*,?\s*\bor\s*,?\s*(?:equivalently,?|in\s+[\w\s]{1,30},?)?\s*(?=(?:\$|\\\["
    r"|\d)[^$\n]{0,200}[=<>\\])"
)
_ALTERNATIVE = re.compile(
    r"(?:^|\n[ \t]*|[.!][ \t\n]|(?<=\})|\()(?=(?:alternatively|as\s+an\s+extra|another\s+(?:way|approach|solution)|remark"
    r"|checking"
    r"|to\s+check)\b)",
    re.IGNORECASE,
)
_GIVEN = re.compile(r"\b(?:attained|achieved|reached|occurring)?\s?\b(?:at|when|for|if|where|with)\s+[^\W\d]\w{0,10}\s?$")
_RELATIVE = re.compile(r"\s+(?:that|which|who)\s+(?:is|are|was|were|has|have)\s+[^$\n]*$")
_ASIDE = re.compile(r"\s*\((?=[^()]*[a-z]{2,}\s+[a-z]{2,})[^()]{0,200}\)")
_CUT_OFF = re.compile(
    r"(?:[=+\-*/^,(<>:]|(?<!\w)(?:the|to|is|are|then|so|and|or|of|we|by|with|a|an|that|need|have|for|get|this|it|he|she"
    r"|they|in|on|from|now))\s*$",
    re.IGNORECASE,
)
_ENDS = re.compile(r"[.!?。！？।؟)\]}$*_`|:]\s*$")
_REMARK = re.compile(
    r"\W*(?:(?:this|that|these|it|which)\s+(?:is\s+(?:because|consistent|the\s+(?:required|desired))|matches|makes\s+sense"
    r"|agrees|confirms"
    r"|satisf\w+|works|checks?|completes)|check|checking|remark|to\s+(?:check|verify)|we\s+can\s+(?:check|verify)"
    r"|verification|note|notice"
    r"|indeed|(?:because|since)\b[^,]*$|as\s+(?:a\s+check|required|desired|claimed|needed|wanted|expected)"
    r"|proof|in\s+other\s+words|explanation|recall|remember|i\s+hope|hope|let\s+me\s+know|feel\s+free|great|done|thanks?"
    r"|thank\s+you|q\.?\s?e\.?\s?d"
    r"|if\s+you\s+(?:have|need|would)|is\s+there\s+anything|would\s+you\s+like)\b",
    re.IGNORECASE,
)
# what a name in the formula above stands for
_WHERE = re.compile(
    r"(?:(?:with|where|avec|où|wobei|donde|где)\s+|其中\s*)(?:\$|\\\()[^$\n]{1,80}(?:\$|\\\))\W*$", re.IGNORECASE
)
_CONDITION_IN_FRONT = re.compile(
    r"^\W*(?:(?:so|then|thus|therefore|now)\W+)?(?:if|when|since|because|as|after|given(?:\s+that)?|si|wenn"
    r"|если)\b[^\n]{3,200}?(?:,(?!\d)\s*(?:then\s+)?|\s+then\s+)",
    re.IGNORECASE,
)
_IS_CONDITION = re.compile(r"^\W*(?:if|when|since|because|as|given\s+that|unless)\b[^,\n]{3,200},[^\d$\\]*$", re.IGNORECASE)
_MAX_CONDITIONS = 3
_PLANS = re.compile(
    r"^\W*(?:first(?:ly)?|next|now|then|step|multiply|add|subtract|divide|take|use|recall|substitute|plug|expand|factor"
    r"|simplify|solve|find|compute"
    r"|calculate|count|we\s+(?:need|want|must|can|should|know|are\s+given)|to\s+(?!the\s+nearest)\w+|note|given)\b",
    re.IGNORECASE,
)
_ACTS = re.compile(
    r"\b(?:we|to|now|then|and)\s+(?:\w+\s+)?(?:divide|multiply|add|subtract|substitute|square|factor|cancel|plug)\b"
    r"|\bboth\s+sides\b",
    re.IGNORECASE,
)
_OBTAINS = re.compile(r"\b(?:get|gets|obtain|gives?|giving|yields?|total|left|is|are|makes?)\b", re.IGNORECASE)
_ROOTS = re.compile(r"\$?\b([a-z])\s?=\s?[^=$\n]{1,40}\$?\s+or\s+\$?\1\s?=")
_TWO_WORDS = re.compile(r"[^\W\d_]{2,20}\W{1,3}[^\W\d_]|[\u3040-\u9fff]{2}")
_FULL_STOPS = (".", "!", "。", "！", "।", "．")
_SUPPOSES = re.compile(
    r"^\W*(?:(?:now|next|then|so|let\s+us|let['’]s|we)\W+){0,2}(?:let(?!['’]s|\s+(?:us|me)\b)|suppose|assume|assuming"
    r"|consider|try|imagine|check|look)\b",
    re.IGNORECASE,
)
_CODE = re.compile(r"[;{}_\[\]<>#\"\\]|\w\(|[a-z]{2}\.[a-z]|\)\s*\.")
_REJECTS = re.compile(
    r"[\d$]\W{0,3}(?:\w+\s+)?(?:cannot|can['’]t|can\s+not|isn['’]t|doesn['’]t|does\s+not)\s+(?:be(?!\s+(?:simplified"
    r"|reduced|factored))|work|satisfy|hold)\b|\bcontradict\w*"
    r"|[\d$]\W{0,3}(?:\w+\s+)?is\s+(?:wrong|incorrect|impossible|absurd|invalid|not\s+(?:the|a|an|correct|right|valid"
    r"|possible))\b",
    re.IGNORECASE,
)
_LABEL = re.compile(r"^(?:step|case|part|question|problem|schritt|étape|paso|шаг)\s*\d*\W|^第.步", re.IGNORECASE)
_EMPTY_ITEM = re.compile(r"\n\s*\d{1,2}[.)]\s[^\n]*\n\s*\d{1,2}[.)]\s*$")  # the number of an item that was not written
# what a clause says of its value in comparison: "80 miles, 15 miles more than the bus"
_COMPARES = re.compile(
    r"\s*,\s+(?:\w+\s+){0,2}?\$?\d[\d.,]*%?\s+(?:[^\W\d_]+\s+){0,2}?(?:more|less|fewer|longer|shorter|older|younger|faster|slower|(?:de\s+)?m[áa]s"
    r"|(?:de\s+)?menos|de\s+plus|de\s+moins|in\s+pi[ùu]|in\s+meno|mehr|weniger|a\s+mais|a\s+menos|больше|меньше)(?!\w)"
    r"|[，,]\s*(?:比|较|較|其中|是原来)|\s*,\s+(?:including|of\s+which|of\s+whom|dont|davon|из\s+них|de\s+los\s+cuales)(?!\w)",
    re.IGNORECASE,
)


def concluded(text: str) -> list[str]:
    """Return what a text without a mark concludes, best first; [] where it concludes nothing."""
    text = text[-MAX_CHARACTERS:]
    if (alternative := _ALTERNATIVE.search(text)) and (before := concluded(text[: alternative.start()])):
        return before
    lines = _last_lines(text)
    if not lines:
        return []
    last = lines[-1]
    if len(lines) > 1 and (bare := _bare_value(last)):
        return bare
    if len(lines) == 1 and (formula := whole_formula(last)):
        return formula
    found = [sentence for line in lines for sentence in sentences(line)][-MAX_SENTENCES:]
    is_last = True
    while found:
        sentence = found.pop()[-MAX_SENTENCE_CHARACTERS:]
        if _REMARK.match(sentence) or (found and _WHERE.match(sentence)):
            is_last = False
            continue
        if _HOLDS_VALUE.search(sentence) or is_last or _choice(sentence):
            if is_last and not _ENDS.search(sentence) and not _HOLDS_VALUE.search(sentence) and len(lines) + len(found) > 1:
                return []  # cut off in the middle of a sentence
            return sentence_values(sentence, is_last)
        is_last = False
    return []


def says_conclusion(text: str) -> bool:
    """Tell whether a word of `text` concludes: "therefore" or its like."""
    return _CONCLUDES.search(text) is not None


def sentence_values(sentence: str, is_last: bool = True) -> list[str]:
    """Return what one sentence states, best first; [] where it commits to no value."""
    bold = bold_texts(sentence)
    clause = _clause(without_bold(sentence))
    if _SUPPOSES.match(clause) or (is_last and _CUT_OFF.search(clause)) or _is_no_answer(sentence):
        return []
    if letter := _choice(sentence):
        return [letter]
    if _IS_CONDITION.match(clause) or _REJECTS.search(clause) or speaks_of_one(clause):
        return []  # "Since 12 is even, we are done."
    clause = _before_comparison(before_explanation(clause, _HOLDS_VALUE, _CALCULATES))
    clause = _restated(_without(_RELATIVE, _without(_ASIDE, clause)))
    clause = without_circumstances(clause)
    if (several := stated_equations(clause) or stated_alternatives(clause) or stated_point(clause)) is not None:
        return [several]
    if (clock := stated_clock(clause)) is not None:
        return clock
    if (together := side_by_side(clause)) is not None:
        return [together]
    if (roots := _ROOTS.search(clause)) is not None and not leaves_open(clause[: roots.start()]):
        return [clause[roots.start() :].strip(" *_.")]  # "x = 1 or x = 2": both
    if leaves_open(clause) or not _is_statement(sentence):
        return []
    clause = without_closing_verb(clause).strip(" *_`\"'").rstrip(".。।!,;: ")
    if bold and (values := _bold_value(bold, clause)):
        return values
    return list(dict.fromkeys(_clause_values(clause)))


def _last_lines(text: str) -> list[str]:
    """Return the last lines of `text` that say something, undressed; a line that ends in a colon goes on in the next."""
    text = _cut_item(text[-MAX_CHARACTERS:])
    lines = [plain for line in text.split("\n") if (plain := plain_line(line.strip())) and not set(plain) <= set("-=*_| :")]
    joined: list[str] = []
    for line in lines:
        if (
            joined
            and (joined[-1].endswith((":", "：")) or (line.startswith(("$$", "\\[")) and not joined[-1].endswith(".")))
            and len(joined[-1]) < MAX_SENTENCE_CHARACTERS
        ):
            joined[-1] += " " + line
        else:
            joined.append(line)
    return joined


def _cut_item(text: str) -> str:
    empty = _EMPTY_ITEM.search("\n" + text[-MAX_SENTENCE_CHARACTERS:])
    return text.rstrip().rpartition("\n")[0] if empty else text


def _bare_value(line: str) -> list[str]:
    """Return the value that a last line of its own is, or []."""
    bare = without_bold(line).strip(" *_`").rstrip(".。 ").strip()
    if len(bare) > MAX_SENTENCE_CHARACTERS:
        return []
    if formula := whole_formula(bare):
        return formula
    if several := stated_equations(bare) or whole_point(bare):
        return [several]
    found = numbers(bare)
    if len(found) == 1 and found[0].start == 0 and len(bare) - found[0].end <= 20 and not _STATES.search(bare):
        return leading_value(bare)
    return [bare] if re.fullmatch(r"\(?[A-J]\)?", bare) else []


def _choice(sentence: str) -> str | None:
    """Return the letter that a sentence chooses, at its beginning or behind its last "therefore"."""
    plain = without_bold(sentence)
    starts = [match.end() for match in _CONCLUDES.finditer(plain)]
    return (
        chosen_letter(plain)
        or chosen_letter(plain.rpartition(",")[2])
        or (chosen_letter(plain[starts[-1] :]) if starts else None)
    )


def _is_no_answer(sentence: str) -> bool:
    """Tell whether a sentence is a label of a step, or an answer phrase that claims nothing."""
    if _LABEL.match(sentence) and "=" not in sentence:
        return True
    return claims_nothing(sentence)


def _clause(sentence: str) -> str:
    """Return what follows the last "therefore" that a value follows, without a condition in front."""
    start = 0
    for match in _CONCLUDES.finditer(sentence):
        if _HOLDS_VALUE.search(sentence, match.end()) and not _inside(sentence, match.start()):
            start = match.end()
    clause = sentence[start:]
    for _ in range(_MAX_CONDITIONS):
        condition = _CONDITION_IN_FRONT.match(clause)
        if condition is None or not _HOLDS_VALUE.search(clause, condition.end()) or _inside(clause, condition.end() - 1):
            break
        clause = clause[condition.end() :]
    return clause


def _before_comparison(clause: str) -> str:
    match = _COMPARES.search(clause)
    if match is None or not _HOLDS_VALUE.search(clause[: match.start()]) or _inside(clause, match.start()):
        return clause
    return clause[: match.start()]


def _is_whole(sentence: str) -> bool:
    return sentence.rstrip(" *_`\"'").endswith(_FULL_STOPS) and _TWO_WORDS.search(sentence) is not None


def _restated(clause: str) -> str:
    """Return the last way in which a clause states one value, "$2x = 6$, or $x = 3$"; "$x = 3$ or $x = 5$" stays."""
    for match in list(_RESTATES.finditer(clause))[-1:]:
        before = [one for one in formulas(clause) if one.end == match.start() + len(match["before"])]
        left = before[0].content.partition("=")[0].strip() if before else ""
        if before and ("=" not in before[0].content or NAME_ONLY.fullmatch(left)):
            return clause
        if not before and match["before"].isdigit():
            return clause
        return clause[match.end() :]
    return clause


def _without(pattern: re.Pattern[str], clause: str) -> str:
    """Return `clause` without its last match of `pattern`, where a value is left."""
    matches = list(pattern.finditer(clause))
    if not matches or _inside(clause, matches[-1].start()):
        return clause
    left = clause[: matches[-1].start()] + clause[matches[-1].end() :]
    return left if _HOLDS_VALUE.search(left) else clause


def _is_statement(sentence: str) -> bool:
    """Tell whether a sentence may state a result: it concludes, calculates, or has a verb, and plans no step."""
    if "=" in sentence:
        return True
    if _ACTS.search(sentence) and not _OBTAINS.search(sentence):
        return False  # "So we divide by 5."
    if _CONCLUDES.search(sentence):
        return True
    return not _PLANS.match(sentence) and (_STATES.search(sentence) is not None or _is_whole(sentence))


def _inside(sentence: str, position: int) -> bool:
    return any(formula.start < position < formula.end for formula in formulas(sentence))


def _bold_value(bold: list[str], clause: str) -> list[str]:
    """Return the value in bold type where exactly one piece of it is a value in the clause."""
    inside = [text for text in bold if text in clause and (_HOLDS_VALUE.search(text) or re.fullmatch(r"\(?[A-J]\)?", text))]
    if len(inside) != 1 or len(inside[0]) > len(clause) * 0.8:
        return []
    before, _, behind = clause.partition(inside[0])
    if is_bounded(before, behind) or is_denied(before):
        return []
    spans = formulas(inside[0])
    if len(spans) == 1 and spans[0].start == 0:
        return formula_values(inside[0], spans[0])
    if point := whole_point(inside[0]):
        return [point]
    return leading_value(inside[0]) or _clause_values(inside[0])


def _clause_values(clause: str) -> list[str]:
    spans = formulas(clause)
    equals = [match for match in EQUALS.finditer(clause) if not any(one.start < match.start() < one.end for one in spans)]
    if equals and DIVIDES.search(clause, equals[0].end(), equals[-1].start()):
        equals = []  # "x = 1 and x = 2"
    verbs = [match for match in _VERB.finditer(clause) if not any(one.start < match.start() < one.end for one in spans)]
    readings: list[str] = []
    if equals and (given := _GIVEN.search(clause[: equals[-1].start()])) and _HOLDS_VALUE.search(clause[: given.start()]):
        return _clause_values(clause[: given.start()].rstrip(" ,;"))  # "is 8, attained at x = 2"
    if equals and (not spans or equals[-1].end() <= spans[-1].start):
        if contradicts_itself(clause):
            return []
        if len(equals) == 1 and not clause.lower().startswith("then ") and is_unsolved(clause[: equals[0].start()]):
            return [clause[max((verb.end() for verb in verbs if verb.end() < equals[0].start()), default=0) :]]
        tail = clause[equals[-1].end() :].strip()
        return _tail_values(tail) if not is_denied(clause[: equals[-1].start()]) else []
    if verbs:
        tail = without_place(clause[verbs[-1].end() :].strip(" *_"))
        if starts_with_bound(tail) or is_bounded(clause[: verbs[-1].start()], "") or _starts_with_denial(tail):
            return []
        says_value = _HOLDS_VALUE.search(tail) or not _HOLDS_VALUE.search(clause)
        if is_denied(clause[: verbs[-1].end()]) or is_bounded_behind(tail):
            return []
        if tail and says_value:
            readings.append(tail)
    return readings + (_stated(clause, spans) or [value for one in readings for value in leading_value(one)])


def _tail_values(tail: str) -> list[str]:
    if not tail or starts_with_bound(tail):
        return []
    spans = formulas(tail)
    return [tail, *leading_value(tail)] if not spans else [tail, formula_text(tail, spans[0])]


def _starts_with_denial(tail: str) -> bool:
    return denies(" ".join(tail.split()[:1])) or (not tail.isascii() and denies(tail[-12:]))


def _stated(clause: str, spans: list[Formula]) -> list[str]:
    """Return the formula of a clause that states its value, or its last number where it holds no formula."""
    if spans:
        return stated_formula(clause, spans)
    if _CODE.search(clause.replace("\\$", "")):
        return []
    found = numbers(clause)
    if not found or is_denied(clause[: found[-1].start]) or (not clause.isascii() and denies(clause[found[-1].end :])):
        return []
    return stated_number(clause)
