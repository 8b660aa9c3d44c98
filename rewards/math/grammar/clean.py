r"""Brings the many spellings of one answer to one: Unicode, typography and LaTeX styling. No meaning is decided here.

`$\left(½,\;\dfrac{π}{2}\right)$.` becomes `(\frac{1}{2}, \frac{ \pi }{2})`.

Superscripts become `^{...}`, vulgar fractions `\frac{..}{..}`, every decimal digit of Unicode an ASCII digit, Greek letters
and signs their commands; invisible characters go. Letters of other scripts stay what they are: a Cyrillic O is no zero.
The order of the steps matters: a step may rely on what the ones before it have written.
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
_GREEK = [  # in the order of Unicode
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu", "xi",
    "omicron", "pi", "rho", "varsigma", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega",
]  # fmt: skip
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
_CHINESE_SCALES = {"万": r"\cdot 10^{4}", "亿": r"\cdot 10^{8}"}
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
    text = _CHINESE_SCALE.sub(lambda match: _CHINESE_SCALES[match[0]], text)
    text = _CHINESE_UNIT.sub(_chinese_unit, text)
    text = _CHINESE_WORD.sub(r"\\text{\1}", text)
    text = _SUPERS.sub(lambda match: "^{" + "".join(_SUPER[c] for c in match[0]) + "}", text)
    text = _SUBS.sub(lambda match: "_{" + "".join(_SUB[c] for c in match[0]) + "}", text)
    return "".join(character if character < "\x80" else _plain_character(character) for character in text)


# Styling that says nothing: \displaystyle, \left, \hspace{1cm}, \!, and ** that closes bold type. \left. is a bracket left out.
_DROP = re.compile(
    r"\\(?:displaystyle|textstyle|scriptstyle|left|right|[bB]igg?[lrm]?|limits|nolimits|nonumber|mathstrut|allowbreak|rm|bf|it"
    r"|small|large|Large|centering|boldmath)(?![A-Za-z])\.?"
    r"|\\(?:hspace|vspace|label|tag|hskip|phantom|hphantom|vphantom|color)\*?\s*\{[^{}]*\}|\\phantom\s*[-+]?|(?<!\\)\\!|(?<!\\)\\/"
    r"|\*\*(?=[^*]*$)(?!\s*[\w({\\+-])"
)
_SPACE = re.compile(
    r"(?<!\\)\\[,;:> ]|\\(?:quad|qquad|thinspace|medspace|enspace|space|nobreakspace)(?![A-Za-z])|~|(?<!\\)\\\n"
)
# Fonts in front of a group, which stays: \mathbf{x}.
_FONT = re.compile(
    r"\\(?:math(?:rm|bf|it|sf|tt|cal|frak|scr|ord|normal|bin|rel)|boldsymbol|bm|operatorname\*?|emph|underline|"
    r"ensuremath|textcolor\s*\{[^{}]*\})\s*(?=\{)"
)
# Bold i, j, k are unit vectors, and only in bold: so this is read before fonts are dropped.
_UNIT_VECTOR = re.compile(r"\\(?:mathbf|boldsymbol|bm|pmb|textbf)\s*(?:\{\s*\\?([ijk])(?:math)?\s*\}|\s([ijk])(?![A-Za-z]))")
# i and j without their dots, for an accent above: \imath.
_DOTLESS = re.compile(r"\\([ij])math(?![A-Za-z])")
# Upright letters are words or units, but for the names of functions: \mathrm{cm}, not \mathrm{sin}.
_ROMAN = re.compile(
    r"\\(?:mathrm|mathbf|mathsf|mathit|operatorname\*?)\s*\{\s*(?!(?:sin|cos|tan|cot|sec|csc|ln|log|exp|arc\w+|c?tg|cis|lcm|gcd|max|min|sgn)\b)"
    r"([~ ]*[A-Za-z][A-Za-z~ .]*)\}"
)
# A unit with powers in it: \mathrm{m\,s^{-1}}.
_WRITTEN_UNIT = re.compile(
    r"\\(?:mathrm|text)\s*\{\s*([A-Za-z]+(?:[ /]|\\(?:cdot|Omega)(?![A-Za-z])|\\[,;]|\^\{?-?\d\}?|[A-Za-z])*)\s*\}"
)
# A unit written as a fraction of two: \frac{\text{m}}{\text{s}^2}.
_UNIT_QUOTIENT = re.compile(
    r"\\frac\s*\{\s*\\(?:mathrm|text)\s*\{([A-Za-z ]+)\}\s*\}"
    r"\s*\{\s*\\(?:mathrm|text)\s*\{([A-Za-z ]+)\}\s*(\^\s*\{?\d\}?)?\s*\}"
)
# A binomial as {}_{5}C_{2} or ^5C_2.
_CHOOSE = re.compile(r"(?<![\w})\]])(?:\{\s*\})?[_^]\s*(?:\{(\d+)\}|(\d))\s*C\s*_\s*(?:\{(\d+)\}|(\d))", re.ASCII)
# A sign set as text: \text{-}5.
_TEXT_SIGN = re.compile(r"\\text\s*\{\s*([-+])\s*\}")
# A function in upright type: \mathrm{lcm}. min and sec are units too, so they need an argument behind them.
_FUNCTION = re.compile(
    r"\\(?:mathrm|mathbf|mathsf|operatorname\*?|text|rm)\s*\{\s*(sin|cos|tan|cot|csc|ln|log|exp|lcm|gcd|max|sgn|arcsin|"
    r"arccos|arctan|arccot|arctg|arcctg|tg|ctg|cis|Re|Im|arg|sinh|cosh|tanh|det|lg|(?:sec|min|mod)(?=\s*\}\s*[({\\]))\s*\}"
)
# Commands with another name for something, and those around something that stays. The longest alternative stands first.
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
# A set of numbers in bold or plain type, which is one only behind "in": k \in \mathbf{Z}, k \in Z.
_SET_BEHIND_IN = re.compile(r"\\in\s*(?:\\(?:mathbf|mathrm|bf|text|textbf)\s*)?\{?\s*([RZNQ])\s*\}?(?![A-Za-z'_(])")
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


# The space between rows: \\[2mm].
_ROW_SPACE = re.compile(r"\\\\\s*\[\s*-?[\d.]+\s*[a-z]{2}\s*\]", re.ASCII)
# A backslash escaped twice in front of a command or a bracket.
_TWICE = re.compile(r"\\\\(?=[A-Za-z({[%$])")


def _unit_text(match: re.Match[str]) -> str:
    """Return the unit that a font command or a fraction spells as one text; anything else stays as it was."""
    top, *below = (part or "" for part in match.groups())
    phrase = f"{top}/{''.join(below)}" if below else top
    phrase = re.sub(r"\\[,;]|\\cdot", " ", phrase).translate({ord("{"): None, ord("}"): None})
    return rf"\text{{{phrase}}}" if measure(phrase) is not None else match[0]


def _upright(match: re.Match[str]) -> str:
    """Return what upright type says: letters are a text, a single one is a name."""
    letters = match[1]
    return rf"\text{{{letters}}}" if len(letters.strip(" ~.")) > 1 else letters


def fold_latex(text: str) -> str:
    """Return `text` without styling commands and with one name for each command."""
    if "\\" not in text:
        return text.replace("~", " ")
    text = _UNIT_VECTOR.sub(r"\\hat{\1\2}", text)
    if "\\in" in text:
        text = _SET_BEHIND_IN.sub(lambda match: f"\\in \\{_BLACKBOARD[match[1]]} ", text)
    text = _DOTLESS.sub(r"\1 ", text)
    text = _REPLACE.sub(_replace_command, text)
    text = _FUNCTION.sub(r"\\\1 ", text)
    if any(sign in text for sign in ("\\frac", "/", "^", "\\cdot", "\\Omega")):
        text = _UNIT_QUOTIENT.sub(_unit_text, text)
        text = _WRITTEN_UNIT.sub(_unit_text, text)
    text = _TEXT_SIGN.sub(r"\1", text)
    text = _ROMAN.sub(_upright, text)
    text = _FONT.sub("", text)
    text = _DROP.sub("", text)
    return _SPACE.sub(" ", text)


_DELIMITERS = re.compile(
    r"(?<!\\)\$|\\[()\[\]]|\*\*(?=\S)(?=[^*]*\*\*)|`|\\begin\{(?:align|equation|gather|aligned|split)\*?\}"
)
_ENDS = re.compile(r"\\end\{(?:align|equation|gather|aligned|split)\*?\}")
# What TeX writes between thousands: 1{,}234 and 1,\!234.
_THOUSANDS = re.compile(r"(?<=\d)\s*(?:\{\s*,\s*\}|,\s*\\!)\s*(?=\d{3}(?!\d))")
# Money with its sign behind.
_SIGN_BEHIND = re.compile(r"(?<![\d.,])(\d[\d.,]*)\s*([€£¥])")
_LONE_DOLLAR = re.compile(r"(?<!\\)\$(?=\s*-?\s*[\d.])")
# The end of a proof.
_DONE = re.compile(r"(?<!\s)(?:\s|\\(?:checkmark|blacksquare|qed|Box|square)(?![A-Za-z])|[✓✔∎□■])+$")


def clean(text: str) -> str:
    """Return `text` in the one spelling the tokenizer reads."""
    text = fold_unicode(text).strip()
    if text.startswith("**") and text.endswith("**"):
        text = text.strip("*")
    if "\\\\" in text:
        text = _with_single_backslashes(text)
    text = text.replace(",\\!", ",\\! ") if ",\\!" in text else text
    text = _THOUSANDS.sub("", text)
    if "C" in text:
        text = _CHOOSE.sub(lambda match: rf"\binom{{{match[1] or match[2]}}}{{{match[3] or match[4]}}}", text)
    text = _SIGN_BEHIND.sub(r"\2\1", text)  # 5 € is €5
    text = _without_delimiters(text)
    text = _DONE.sub("", fold_latex(text)).rstrip("\\ \n").strip()
    while text and _ends_sentence(text):
        text = text[:-1].rstrip()
    return text


def _with_single_backslashes(text: str) -> str:
    r"""Return a text that was escaped twice, `\\frac` for `\frac`, as it was meant; a `\\` that ends a row stays."""
    text = text.replace("\\\\\\\\", "\\\\") if "\\begin" in text else _TWICE.sub(r"\\", text)
    return _ROW_SPACE.sub(r"\\\\ ", text)


def _without_delimiters(text: str) -> str:
    """Return `text` without what marks mathematics in prose: dollars, brackets with a backslash, equation environments."""
    if "$" in text and text.replace("\\$", "").count("$") % 2:  # an odd dollar before a number is money
        text = _LONE_DOLLAR.sub(r"\\$", text, count=1)
    text = _DELIMITERS.sub(" ", text)
    return _ENDS.sub(" ", text) if "\\end" in text else text


def _ends_sentence(text: str) -> bool:
    """Tell whether the last character is punctuation of a sentence; an ellipsis and a factorial belong to the answer."""
    if text[-1] not in ".,;:!?" or text.endswith(("...", "\\!")):
        return False
    before = text[-2:-1]
    factorial = text[-1] == "!" and (before.isalnum() or before in ")]}!")
    return not factorial
