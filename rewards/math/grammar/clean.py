r"""Brings the many spellings of one answer to one: Unicode, typography and LaTeX styling. No meaning is decided here.

Superscripts become `^{...}`, vulgar fractions `\frac{..}{..}`, every decimal digit of Unicode an ASCII digit, Greek letters
and signs their commands; invisible characters go. Letters of other scripts stay what they are: a Cyrillic O is no zero.
"""

import re
import unicodedata
from functools import lru_cache

from rewards.answer import repair
from rewards.math.units import measure

_SIGNS = {
    "−–—‒―﹣－": "-",
    "×✕✖⨯": r" \times ",
    "·⋅∙•⸱": r" \cdot ",
    "÷": r" \div ",
    "∕⁄": "/",
    "∗": "*",
    "∞": r" \infty ",
    "∪⋃": r" \cup ",
    "∩⋂": r" \cap ",
    "∖": r" \setminus ",
    "≤⩽≦": r" \le ",
    "≥⩾≧": r" \ge ",
    "≠": r" \ne ",
    "≈≃≅≐": r" \approx ",
    "≡": r" \equiv ",
    "∈": r" \in ",
    "∅⌀": r" \emptyset ",
    "√": r" \sqrt ",
    "∛": r" \sqrt[3]",
    "∜": r" \sqrt[4]",
    "°˚º": r"^\circ ",
    "±": r" \pm ",
    "∓": r" \mp ",
    "ℝ": r" \reals ",
    "ℤ": r" \integers ",
    "ℕ": r" \naturals ",
    "ℚ": r" \rationals ",
    "ℂ": r" \complexes ",
    "…⋯": r" \ldots ",
    "′’ʹ": "'",
    "″": "''",
    "⟨〈": r" \langle ",
    "⟩〉": r" \rangle ",
    "⌊": r" \lfloor ",
    "⌋": r" \rfloor ",
    "⌈": r" \lceil ",
    "⌉": r" \rceil ",
    "∣｜": "|",
    "‖": "|",
    "∑": r" \sum ",
    "∏": r" \prod ",
    "→⟶": r" \to ",
    "⇒⟹": r" \Rightarrow ",
    "∧": r" \land ",
    "∨": r" \lor ",
    "¬": r" \neg ",
    "、，": ",",
    "。": ".",
    "；": ";",
    "或": " or ",
    "和且": " and ",
    "“”„": '"',
    "‘": "'",
    "µ": "μ",
    "ℯ": "e",
    "ⅈ": "i",
    "∠": r" \angle ",
    "△": r" \triangle ",
    "∝": r" \propto ",
}
_GREEK = [
    "alpha",
    "beta",
    "gamma",
    "delta",
    "epsilon",
    "zeta",
    "eta",
    "theta",
    "iota",
    "kappa",
    "lambda",
    "mu",
    "nu",
    "xi",
    "omicron",
    "pi",
    "rho",
    "varsigma",
    "sigma",
    "tau",
    "upsilon",
    "phi",
    "chi",
    "psi",
    "omega",
]
_TABLE: dict[int, str] = {ord(character): sign for characters, sign in _SIGNS.items() for character in characters}
for _index, _name in enumerate(_GREEK):
    _TABLE[0x3B1 + _index] = f" \\{_name} "
    if _name not in ("varsigma", "omicron"):
        _TABLE[0x391 + _index] = f" \\{_name.capitalize()} "
_TABLE.update({ord("ϕ"): r" \phi ", ord("ϵ"): r" \epsilon ", ord("ϑ"): r" \theta ", ord("ε"): r" \epsilon "})
_SUPER = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿⁱˣ", "0123456789+-()nix", strict=True))
_SUB = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋₍₎ₙₓ", "0123456789+-()nx", strict=True))
_SUPERS = re.compile(f"[{''.join(_SUPER)}]+")
_SUBS = re.compile(f"[{''.join(_SUB)}]+")


@lru_cache(maxsize=512)
def _plain_character(character: str) -> str:
    """Return what one non-ASCII character stands for; itself where it is a letter of another script."""
    code = ord(character)
    if code in _TABLE:
        return _TABLE[code]
    category = unicodedata.category(character)
    if category in ("Cf", "Cc", "Mn"):  # zero-width, bidi marks, combining strokes
        return ""
    if category == "Zs":
        return " "
    if category == "Nd":
        return str(unicodedata.decimal(character))
    shape = unicodedata.normalize("NFKC", character)
    if "\u2044" in shape:
        top, _, bottom = shape.partition("\u2044")
        return rf"\frac{{{top}}}{{{bottom}}}"
    return shape.translate(_TABLE) if shape != character else character


_CHINESE_UNITS = {
    "毫米": "mm", "厘米": "cm", "分米": "dm", "千米": "km", "公里": "km", "米": "m", "毫升": "mL", "升": "L", "千克": "kg",
    "公斤": "kg", "克": "g", "小时": "h", "分钟": "min", "秒": "s",
}  # fmt: skip
_CHINESE_UNIT = re.compile(
    rf"(?<=[\d}})$])\s*(?:\\text\s*\{{\s*)?(平方|立方)?({'|'.join(_CHINESE_UNITS)})(?:\s*\}})?(?![\u4e00-\u9fff])"
)
_CHINESE_SCALE = re.compile(r"(?<=\d)[万亿]")
_CHINESE_WORD = re.compile(r"(?<=[\d})$])\s*(?![百千])([\u4e00-\u9fff]{1,4})(?=[\s.。]*$)")  # what is counted


def _chinese_unit(match: re.Match[str]) -> str:
    power = {"平方": "^2", "立方": "^3"}.get(match[1], "")
    return rf"\text{{ {_CHINESE_UNITS[match[2]]}}}{power}"


def fold_unicode(text: str) -> str:
    """Return `text` with Unicode notation written as LaTeX or ASCII."""
    text = repair(text)
    if text.isascii():
        return text
    text = _CHINESE_SCALE.sub(lambda match: r"\cdot 10^{4}" if match[0] == "万" else r"\cdot 10^{8}", text)
    text = _CHINESE_WORD.sub(r"\\text{\1}", _CHINESE_UNIT.sub(_chinese_unit, text))
    text = _SUPERS.sub(lambda match: "^{" + "".join(_SUPER[c] for c in match[0]) + "}", text)
    text = _SUBS.sub(lambda match: "_{" + "".join(_SUB[c] for c in match[0]) + "}", text)
    return "".join(character if character < "\x80" else _plain_character(character) for character in text)


_DROP = re.compile(
    r"\\(?:displaystyle|textstyle|scriptstyle|left|right|[bB]igg?[lrm]?|limits|nolimits|nonumber|mathstrut|allowbreak|rm|bf|it"
    r"|small|large|Large|centering|boldmath)(?![A-Za-z])\.?"
    r"|\\(?:hspace|vspace|label|tag|hskip|phantom|hphantom|vphantom|color)\*?\s*\{[^{}]*\}|\\phantom\s*[-+]?|(?<!\\)\\!|(?<!\\)\\/"
    r"|\*\*(?=[^*]*$)(?!\s*[\w({\\+-])"
)
_SPACE = re.compile(
    r"(?<!\\)\\[,;:> ]|\\(?:quad|qquad|thinspace|medspace|enspace|space|nobreakspace)(?![A-Za-z])|~|(?<!\\)\\\n"
)
_FONT = re.compile(
    r"\\(?:math(?:rm|bf|it|sf|tt|cal|frak|scr|ord|normal|bin|rel)|boldsymbol|bm|operatorname\*?|emph|underline|"
    r"ensuremath|textcolor\s*\{[^{}]*\})\s*(?=\{)"
)
_UNIT_VECTOR = re.compile(r"\\(?:mathbf|boldsymbol|bm|pmb|textbf)\s*(?:\{\s*\\?([ijk])(?:math)?\s*\}|\s([ijk])(?![A-Za-z]))")
_DOTLESS = re.compile(r"\\([ij])math(?![A-Za-z])")
_ROMAN = re.compile(
    r"\\(?:mathrm|mathbf|mathsf|mathit|operatorname\*?)\s*\{\s*(?!(?:sin|cos|tan|cot|sec|csc|ln|log|exp|arc\w+|c?tg|cis|lcm|gcd|max|min|sgn)\b)"
    r"([~ ]*[A-Za-z][A-Za-z~ .]*)\}"
)
_WRITTEN_UNIT = re.compile(
    r"\\(?:mathrm|text)\s*\{\s*([A-Za-z]+(?:[ /]|\\(?:cdot|Omega)(?![A-Za-z])|\\[,;]|\^\{?-?\d\}?|[A-Za-z])*)\s*\}"
)
_UNIT_QUOTIENT = re.compile(
    r"\\frac\s*\{\s*\\(?:mathrm|text)\s*\{([A-Za-z ]+)\}\s*\}"
    r"\s*\{\s*\\(?:mathrm|text)\s*\{([A-Za-z ]+)\}\s*(\^\s*\{?\d\}?)?\s*\}"
)
_CHOOSE = re.compile(r"(?<![\w})\]])(?:\{\s*\})?[_^]\s*(?:\{(\d+)\}|(\d))\s*C\s*_\s*(?:\{(\d+)\}|(\d))", re.ASCII)
_TEXT_SIGN = re.compile(r"\\text\s*\{\s*([-+])\s*\}")
_FUNCTION = re.compile(
    r"\\(?:mathrm|mathbf|mathsf|operatorname\*?|text|rm)\s*\{\s*(sin|cos|tan|cot|csc|ln|log|exp|lcm|gcd|max|sgn|arcsin|"
    r"arccos|arctan|arccot|arctg|arcctg|tg|ctg|cis|Re|Im|arg|sinh|cosh|tanh|det|lg|(?:sec|min|mod)(?=\s*\}\s*[({\\]))\s*\}"
)
_REPLACE = re.compile(
    r"\\(?:[dtc]frac|[dt]binom|choose|leqslant|leq|geqslant|geq|neq|lt|gt|varphi|varepsilon|vartheta|degree|infin|"
    r"mathbb\s*\{?\s*[RZNQC]\s*\}?|R|Z|N|lbrace|rbrace|lbrack|rbrack|vert|lvert|rvert|mid|Vert|lVert|rVert|varnothing|"
    r"backslash|colon|dots[cbm]?|cdots|textdegree|textdollar|textpercent|land|wedge|vee|lnot|overrightarrow|rightarrow|implies|"
    r"iff|sim|simeq|thickapprox|cong|doteq|And|smallsetminus|langle|rangle|text(?:bf|it|rm|normal|sf|tt|sc|md|up)|mbox|hbox|"
    r"fbox|boxed|dollar|ast|star|bullet|times|div|pounds|euro|pmb|lor|dot\s*\{|bar\s*\{|ge|le|ne)(?![A-Za-z])"
)
_NAMES = {
    "dfrac": "frac", "tfrac": "frac", "cfrac": "frac", "dbinom": "binom", "tbinom": "binom",
    "leqslant": "le", "leq": "le", "geqslant": "ge", "geq": "ge", "neq": "ne",
    "varphi": "phi", "varepsilon": "epsilon", "vartheta": "theta", "infin": "infty", "varnothing": "emptyset",
    "R": "reals", "Z": "integers", "N": "naturals", "dots": "ldots", "dotsc": "ldots", "dotsb": "ldots", "dotsm": "ldots",
    "cdots": "ldots", "wedge": "land", "vee": "lor", "lnot": "neg", "rightarrow": "to", "implies": "Rightarrow",
    "sim": "approx", "simeq": "approx", "thickapprox": "approx", "cong": "approx", "doteq": "approx",
    "smallsetminus": "setminus", "backslash": "setminus", "textdollar": "$", "dollar": "$", "textpercent": "%",
}  # fmt: skip
_CHARACTERS = {
    "lt": "<", "gt": ">", "lbrack": "[", "rbrack": "]", "vert": "|", "lvert": "|", "rvert": "|", "mid": "|", "Vert": "|",
    "lVert": "|", "rVert": "|", "colon": ":", "lbrace": r"\{", "rbrace": r"\}", "degree": r"^\circ ",
    "textdegree": r"^\circ ", "ast": "*", "star": "*", "times": "*", "bullet": "*", "And": " and ", "pounds": "£", "euro": "€",
}  # fmt: skip
_BLACKBOARD = {"R": "reals", "Z": "integers", "N": "naturals", "Q": "rationals", "C": "complexes"}


def _replace_command(match: re.Match[str]) -> str:
    name = match[0][1:]
    if name.startswith("mathbb"):
        return f"\\{_BLACKBOARD[name.strip('{} ')[-1]]} "
    if name in _CHARACTERS:
        return _CHARACTERS[name]
    if name in ("mbox", "hbox") or name.startswith("text"):
        return "\\" + _NAMES[name] if name in _NAMES else r"\text"
    if name in ("boxed", "fbox", "pmb"):
        return ""
    return "\\" + _NAMES.get(name, name)


_ROW_SPACE = re.compile(r"\\\\\s*\[\s*-?[\d.]+\s*[a-z]{2}\s*\]", re.ASCII)
_TWICE = re.compile(r"\\\\(?=[A-Za-z({[%$])")


def _unit_text(match: re.Match[str]) -> str:
    """Return the unit that a font command or a fraction spells as one text; anything else stays as it was."""
    top, *below = (part or "" for part in match.groups())
    phrase = f"{top}/{''.join(below)}" if below else top
    phrase = re.sub(r"\\[,;]|\\cdot", " ", phrase).translate({ord("{"): None, ord("}"): None})
    return rf"\text{{{phrase}}}" if measure(phrase) is not None else match[0]


def fold_latex(text: str) -> str:
    """Return `text` without styling commands and with one name for each command."""
    if "\\" not in text:
        return text.replace("~", " ")
    text = _DOTLESS.sub(r"\1 ", _UNIT_VECTOR.sub(r"\\hat{\1\2}", text))
    text = _REPLACE.sub(_replace_command, text)
    text = _FUNCTION.sub(r"\\\1 ", text)
    if any(sign in text for sign in ("\\frac", "/", "^", "\\cdot", "\\Omega")):
        text = _WRITTEN_UNIT.sub(_unit_text, _UNIT_QUOTIENT.sub(_unit_text, text))
    text = _TEXT_SIGN.sub(r"\1", text)
    text = _ROMAN.sub(lambda match: rf"\text{{{match[1]}}}" if len(match[1].strip(" ~.")) > 1 else match[1], text)
    text = _FONT.sub("", text)
    text = _DROP.sub("", text)
    return _SPACE.sub(" ", text)


_DELIMITERS = re.compile(
    r"(?<!\\)\$|\\[()\[\]]|\*\*(?=\S)(?=[^*]*\*\*)|`|\\begin\{(?:align|equation|gather|aligned|split)\*?\}"
)
_ENDS = re.compile(r"\\end\{(?:align|equation|gather|aligned|split)\*?\}")
_THOUSANDS = re.compile(r"(?<=\d)\s*(?:\{\s*,\s*\}|,\s*\\!)\s*(?=\d{3}(?!\d))")
_SIGN_BEHIND = re.compile(r"(?<![\d.,])(\d[\d.,]*)\s*([€£¥])")
_LONE_DOLLAR = re.compile(r"(?<!\\)\$(?=\s*-?\s*[\d.])")


_DONE = re.compile(r"(?<!\s)(?:\s|\\(?:checkmark|blacksquare|qed|Box|square)(?![A-Za-z])|[✓✔∎□■])+$")


def clean(text: str) -> str:
    """Return `text` in the one spelling the tokenizer reads."""
    text = fold_unicode(text).strip()
    if text.startswith("**") and text.endswith("**"):
        text = text.strip("*")
    if "\\\\" in text:  # escaped twice: "\\\\frac" for "\\frac", except where "\\\\" ends a row
        text = text.replace("\\\\\\\\", "\\\\") if "\\begin" in text else _TWICE.sub(r"\\", text)
        text = _ROW_SPACE.sub(r"\\\\ ", text)
    text = text.replace(",\\!", ",\\! ") if ",\\!" in text else text
    text = _THOUSANDS.sub("", text)
    if "C" in text:
        text = _CHOOSE.sub(lambda m: rf"\binom{{{m[1] or m[2]}}}{{{m[3] or m[4]}}}", text)
    text = _SIGN_BEHIND.sub(r"\2\1", text)  # 5 € is €5
    if "$" in text:
        if text.replace("\\$", "").count("$") % 2:  # an odd dollar before a number is money
            text = _LONE_DOLLAR.sub(r"\\$", text, count=1)
        text = _DELIMITERS.sub(" ", text)
    elif "\\" in text or "*" in text or "`" in text:
        text = _DELIMITERS.sub(" ", text)
    if "\\end" in text:
        text = _ENDS.sub(" ", text)
    text = _DONE.sub("", fold_latex(text)).rstrip("\\ \n").strip()
    while (
        text
        and text[-1] in ".,;:!?"
        and not text.endswith(("...", "\\!"))
        and not (text[-1] == "!" and (text[-2:-1].isalnum() or text[-2:-1] in ")]}!"))
    ):
        text = text[:-1].rstrip()
    return text
