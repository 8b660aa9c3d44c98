r"""Letters of choices, A to J: the choice that a reference asks for, and the one that an answer says.

`\textbf{(C)}`, "Option C", "[C] is correct" and "C, because ..." say C; "C or D" and "C is wrong" say none. `\textbf{(B)}\ 12`
is the choice B with its text 12: the letter is right, and so is the text.
"""

import re
import unicodedata
from typing import NamedTuple

_WRAPPER = re.compile(r"\\(?:text|mbox|mathrm|textbf|mathbf|textit|mathit|textrm|textsf|mathsf|textnormal|operatorname|emph|"
                      r"boxed|fbox|hbox|bf|rm|it)\s*(?=[{\s])")  # fmt: skip
_MARKUP = re.compile(r"\\[!,;: ]|[${}`*\"]|\\\(|\\\)|\\\[|\\\]|~")
_LEAD = (
    r"(?:(?:i(?:'d|\s+would)?\s+(?:think|believe|say|choose|pick|go\s+with)\s+(?:that\s+)?|i'm\s+sure\s+)?(?:it\s+is|it's|it\s+must\s+be)\s+"
    r"|(?:i'd|i'll|i\s+would|i\s+will)\s+(?:go\s+with|choose|pick|say)\s+(?:option\s+)?"
    r"|(?:i\s+)?(?:choose|pick|select|mark)\s+(?:(?:the\s+)?(?:answer|option|choice)\s+)?|(?:the\s+)?(?:(?:correct|right|best)\s+)?(?:answer|ans\.?|option|choice|letter)(?:\s+is)?\s*:?\s*"
    r"|(?:答案|故|应|正确选项)?\s*(?:是|为|选择?|选项|:)\s*:?\s*"
    r"|(?:réponse|respuesta|antwort|ответ|risposta|resposta|opción|letra)\s*:?\s*)"
)
_CHOICE = re.compile(rf"\(?\s*(?:{_LEAD})?[(\[]?\s*([a-z])\s*[)\]]?\s*[).:]?", re.IGNORECASE)
_GOLD = re.compile(rf"([A-J])[).]?|[(\[]\s*([A-Ja-j])\s*[)\]]\.?|{_LEAD}\s*[(\[]?([A-Ja-j])[)\]]?\.?", re.IGNORECASE)
_SAID = re.compile(
    rf"(?:(?i:{_LEAD}))?(?:[(\[]\s*([A-Ja-j])\s*[)\]]|([A-J]))\s*"
    r"(?:(?P<alone>[).:\]]*)"
    r"|(?P<text>(?<=[)\]])(?:\s+|(?=\d))|[).:\]]\s+|\)\s*|,?\s+[-\u2013\u2014]+\s+(?=[A-Za-z]{3})|(?<=[)\]]):\s*)(?P<named>\S.*)"
    r"|,?\s*(?i:because|since|as|for)\b(?P<reason>.*)"
    r"|\s*is\s+(?:(?:the|my|our)\s+)?(?i:(?:final|only|correct|right|true|best)\b|answer\b)(?P<judged>.*))",
    re.DOTALL,
)
_OTHER_CHOICE = re.compile(r"\(?\b[A-J]\s*[).](?!\w)|\[[A-J]\]")
_HEDGE = re.compile(r"\b(?:or|maybe|perhaps|possibly|wait|actually|unsure|guess)\b|\?|\bnot\s+sure\b", re.IGNORECASE)
_NEGATES = re.compile(r"\W*(?:not|wrong|incorrect|false)\b", re.IGNORECASE)
_NEGATES_LATER = re.compile(r"(?:(?!because|since|,)[^.]){0,80}?\b(?:is|are)\s+(?:not|wrong|incorrect|false)\b", re.IGNORECASE)
_LETTERED = re.compile(
    r"[\s$]*(?P<font>\\(?:text|textbf|mathrm|mathbf|textnormal|textrm|bf|rm)\s*(?P<open>\{)?\s*)?(?:\((?P<a>[A-J])\)|(?P<b>[A-J])(?:[).]|:(?=\s)))"
    r"(?P<gap>(?:[\s$~}:.]|\\[ ,;:]|\\q?quad)*)(?P<text>(?!and\b|or\b|&)[^\s(^_+*/=,<>{}&\[\]].*|\$.*)",
    re.DOTALL,
)


_SURELY = re.compile(r"\b(?:for sure|definitely|certainly|clearly|surely|obviously)\s+(?=[(\[]?[A-J]\b)", re.IGNORECASE)
_DENIES = re.compile(
    r"(?<=[A-J)\].])\s?[,;]?\s?(?:and\s|y\s|et\s|und\s)?(?:not|no|non|nicht|не|而?不是|并非|rather than|instead of"
    r"|(?:it|this|that)\s(?:can(?:'t|not| not)\sbe|is(?:n't|\snot)))\s?"
    r"(?P<denied>[(\[]?[A-J][)\]]?(?:\s?(?:,|or|nor|and|ou|o|oder|,\s?or)\s?[(\[]?[A-J][)\]]?){0,8})\.?$"
)


def _without_denials(bare: str) -> str:
    """Return `D, not B` without the letters that it says it is not; as it is where the letter itself is among them."""
    match = _DENIES.search(bare)
    if match is None:
        return bare
    kept = bare[: match.start()]
    last = re.findall(r"\b[A-J]\b", kept)
    return bare if not last or last[-1] in re.findall(r"[A-J]", match["denied"]) else kept


class Lettered(NamedTuple):
    """A choice with its text: `(B) 12`."""

    letter: str
    text: str


def unmarked(text: str) -> str:
    """Return `text` without fonts, braces and dollars."""
    return _MARKUP.sub(" ", _WRAPPER.sub("", text))


def _bare(text: str) -> str:
    """Return `text` without fonts and with single spaces, letters and brackets of full width as plain ones."""
    text = text if text.isascii() else unicodedata.normalize("NFKC", text)
    return " ".join(unmarked(text).split())


def choice(text: str) -> str | None:
    """Return the letter of a choice such as C, (c), \\text{(C)} or "option C"; None where it is none."""
    match = _CHOICE.fullmatch(_bare(text))
    return match[1].upper() if match else None


def wanted_choice(gold: str) -> str | None:
    """Return the letter that a reference asks for: a capital A to J, a letter in brackets, "option c"; else None."""
    bare = _bare(gold)
    match = _GOLD.fullmatch(bare)
    if match is None or (match[1] and not match[1].isupper()):
        return None
    return (match[1] or match[2] or match[3]).upper()


def said_choice(answer: str) -> str | None:
    """Return the one letter that an answer says, with its text, a reason or a denial of others behind it, or None."""
    bare = _without_denials(_SURELY.sub("", _bare(answer)))
    match = _SAID.fullmatch(bare)
    if match is None:
        return None
    named, explained = match["named"] or "", (match["named"] or match["reason"] or match["judged"] or "")
    if _HEDGE.search(explained) or (named and _OTHER_CHOICE.search(named)):
        return None
    judged = match["judged"] or ""
    if _NEGATES.match(judged) or _NEGATES_LATER.match(judged) or _NEGATES.match(named):
        return None
    return (match[1] or match[2]).upper()


def lettered(text: str) -> Lettered | None:
    """Return the letter and the text of a choice that is written with both, as it was written; None for anything else."""
    match = _LETTERED.fullmatch(text.strip().removesuffix("\\").rstrip())
    if match is None:
        return None
    rest = match["text"].strip()
    if match["open"] and "}" not in match["gap"]:
        if not rest.endswith("}"):
            return None
        rest = rest[:-1].strip()
    return Lettered(match["a"] or match["b"], rest)


# -- several letters

_LETTERS_SIDE_BY_SIDE = re.compile(r"A?B?C?D?E?F?G?H?I?J?")
_SEVERAL_LETTERS = re.compile(r"[A-J]{2,10}")
_LETTER_OR_ROMAN = re.compile(r"[A-Za-z]|[IVX]{1,4}|[ivx]{1,4}")
_TOUCHING_BRACKETS = re.compile(r"\)\s*\(")
_AROUND_LETTERS = re.compile(
    r"^\W*(?:(?:both|only|all of)\s+)?(?:(?:options?|choices?|statements?)\s+)?(?=[(\w])|\s+only\W*$", re.IGNORECASE
)
_BETWEEN_LETTERS = re.compile(r",|;|\b(?:and|et|und|y|e|и)\b|&|、|，|和|与|及|と")
_SPACED_LETTERS = re.compile(r"[A-J](?: [A-J]){1,9}")


def letters(text: str, in_any_order: bool = False) -> tuple[str, ...] | None:
    """Return the letters of a list of choices ("A, B and D") in order of the alphabet, or None; DBA only `in_any_order`."""
    bare = _TOUCHING_BRACKETS.sub("), (", _AROUND_LETTERS.sub("", _bare(text)))
    if _SPACED_LETTERS.fullmatch(bare):
        return tuple(sorted(bare.split()))
    stripped = (part.strip(" ().") for part in _BETWEEN_LETTERS.split(bare))
    parts = [part for part in stripped if part]
    if len(parts) == 1 and in_any_order and _SEVERAL_LETTERS.fullmatch(parts[0]) and len(set(parts[0])) == len(parts[0]):
        return tuple(sorted(parts[0]))
    if len(parts) == 1:  # ABD
        return tuple(parts[0]) if len(parts[0]) > 1 and _LETTERS_SIDE_BY_SIDE.fullmatch(parts[0]) else None
    if not parts or not all(map(_LETTER_OR_ROMAN.fullmatch, parts)):
        return None
    return tuple(sorted(part.upper() for part in parts))


def asks_for_several(gold: str) -> bool:
    """Tell whether a reference lists letters of choices one by one, so that "A or B" is no answer."""
    found = letters(gold)
    return (
        found is not None
        and len(found) > 1
        and _BETWEEN_LETTERS.search(gold) is not None
        and all(name in "ABCDEFGHIJ" for name in found)
    )
