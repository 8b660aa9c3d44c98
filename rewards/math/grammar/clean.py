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
from rewards.math.grammar.markup import without_markup
from rewards.math.grammar.numerals import fold_number_words, fold_ordinals
from rewards.math.grammar.shorthands import without_empty_groups, without_shorthands
from rewards.math.grammar.unit_runs import fold_units
from rewards.math.grammar.vocabulary import ALIASES, FUNCTIONS
from rewards.math.grammar.wordings import in_signs
from rewards.math.units import measure

_SIGNS = {
    "−–—‒―﹣－": "-",
    "×✕✖⨯": r" \times ",
    "·⋅∙•⸱": r" \cdot ",
    "÷": r" \div ",
    "∕⁄": "/",
    "∗": "*",
    "∞": r" \infty ",
    "∪": r" \cup ",
    "⋃": r" \bigcup ",
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
    "⊥⟂": r" \perp ",
    "∥": r" \parallel ",
    "∤": r" \nmid ",
    "∑": r" \sum ",
    "∏": r" \prod ",
    "∫": r" \int ",
    "∂": r" \partial ",
    "→⟶": r" \to ",
    "⇒⟹": r" \Rightarrow ",
    "∧": r" \land ",
    "∨": r" \lor ",
    "¬": r" \neg ",
    "、，٬": ",",
    "٫": ".",
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
    "ẋ": r"\dot{x}",
    "ẏ": r"\dot{y}",
    "ż": r"\dot{z}",
    "ṙ": r"\dot{r}",
    "ẍ": r"\ddot{x}",
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
_SUPER = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᵀᴺ", "0123456789+-()abcdefghijklmnoprstuvwxyzTN", strict=True))
_SUB = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ", "0123456789+-()aehijklmnoprstuvx", strict=True))
_SUPERS = re.compile(f"[{''.join(_SUPER)}]+")
_ACCENTS = {"\u0307": "dot", "\u0304": "bar", "\u0305": "bar", "\u0302": "hat", "\u20d7": "vec"}  # combining, behind a letter
_ACCENTED = re.compile(f"(?<![A-Za-z]{{2}})([^\\W\\d_])([{''.join(_ACCENTS)}])(?![A-Za-z]{{2}})")  # in words they spell letters
_DOUBLE_DOTTED = re.compile("([rxyzθφ])\u0308")  # on other letters they are no derivative: ü
_OVERLINED = re.compile("(?:[0-9]\u0305)+")  # digits that repeat, each with a line above
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
    "公斤": "kg", "克": "g", "小时": "h", "分钟": "min", "秒": "s", "时": "h", "分": "min", "元": "yuan",
}  # fmt: skip
_CHINESE_UNIT = re.compile(
    rf"(?<=[\d}})$])\s*(?:\\text\s*\{{\s*)?(平方|立方)?({'|'.join(_CHINESE_UNITS)})(?:\s*[/每]\s*({'|'.join(_CHINESE_UNITS)}))?"
    r"(?:\s*\})?(?![\u4e00-\u9fff])"
)
_CHINESE_SCALES = {"万": r"\cdot 10^{4}", "亿": r"\cdot 10^{8}"}
_CHINESE_SCALE = re.compile(r"(?<=\d)[万亿]")
_CIRCLED = re.compile(r"[\u2460-\u2473](?:\s*[\u2460-\u2473])*")  # \u2460\u2462 is 1, 3 and no 13
_TEXTCIRCLED = re.compile(r"\\textcircled\s*\{?\s*(?:\\(?:text|small|scriptsize)\s*)?\{?([1-9]|1\d|20)\}{0,2}", re.ASCII)
_CHINESE_DEGREE = re.compile(r"(?<=\d)度(?![\u4e00-\u9fff])")
_CHINESE_WORD = re.compile(r"(?<=[\d})$])\s*(?![百千])([\u4e00-\u9fff]{1,4})(?=[\s.。]*$)")  # what is counted


def _chinese_unit(match: re.Match[str]) -> str:
    if match[2] in ("时", "分"):  # alone 8 o'clock, or a score
        return match[0]
    power = {"平方": "^2", "立方": "^3"}.get(match[1], "")
    below = f" / {_CHINESE_UNITS[match[3]]}" if match[3] else ""
    return rf"\text{{ {_CHINESE_UNITS[match[2]]}{power}{below}}}"


def fold_unicode(text: str) -> str:
    """Return `text` with Unicode notation written as LaTeX or ASCII."""
    text = repair(text)
    if "\\textcircled" in text:
        text = _TEXTCIRCLED.sub(lambda match: chr(0x2460 + int(match[1]) - 1), text)
    if text.isascii():
        return text
    text = _ACCENTED.sub(lambda match: rf"\{_ACCENTS[match[2]]}{{{match[1]}}}", text)
    text = _DOUBLE_DOTTED.sub(r"\\ddot{\1}", text)
    text = _OVERLINED.sub(lambda match: rf"\overline{{{match[0].replace(chr(0x305), '')}}}", text)
    text = _CIRCLED.sub(
        lambda match: ", ".join(unicodedata.normalize("NFKC", sign) for sign in match[0] if not sign.isspace()), text
    )
    text = _CHINESE_SCALE.sub(lambda match: _CHINESE_SCALES[match[0]], text)
    text = _CHINESE_UNIT.sub(_chinese_unit, text)
    text = _CHINESE_DEGREE.sub(r"^\\circ ", text)
    text = _CHINESE_WORD.sub(r"\\text{\1}", text)
    text = _SUPERS.sub(lambda match: "^{" + "".join(_SUPER[c] for c in match[0]) + "}", text)
    text = _SUBS.sub(lambda match: "_{" + "".join(_SUB[c] for c in match[0]) + "}", text)
    return "".join(character if character < "\x80" else _plain_character(character) for character in text)


# Bars that say on which side they stand: \left| and \bigr\|.
_LEFT_BAR = re.compile(r"\\(?:left|[bB]igg?l)\s*(?:\\?\||\\lvert(?![A-Za-z]))")
_RIGHT_BAR = re.compile(r"\\(?:right|[bB]igg?r)\s*(?:\\?\||\\rvert(?![A-Za-z]))")
# Styling that says nothing: \displaystyle, \left, \hspace{1cm}, \!, and ** that closes bold type. \left. is a bracket left out.
_DROP = re.compile(
    r"\\(?:displaystyle|textstyle|scriptstyle|left|middle|right|[bB]igg?[lrm]?|limits|nolimits|nonumber|mathstrut|allowbreak|rm|bf|it"
    r"|small|large|Large|centering|boldmath)(?![A-Za-z])\.?"
    r"|\\(?:hspace|vspace|label|tag|hskip|phantom|hphantom|vphantom|color)\*?\s*\{[^{}]*\}|\\phantom\s*[-+]?|(?<!\\)\\!|(?<!\\)\\/"
    r"|\*\*(?=[^*]*$)(?!\s*[\w({\\+-])"
)
_SPACE = re.compile(
    r"(?<!\\)\\[,;:> ]|\\(?:quad|qquad|thinspace|medspace|enspace|space|nobreakspace)(?![A-Za-z])|~|(?<!\\)\\\n"
)
# Fonts in front of a group, which stays: \mathbf{x}.
_FONT = re.compile(
    r"\\(?:math(?:rm|bf|it|sf|tt|cal|frak|scr|ord|normal|bin|rel|op)|boldsymbol|bold|bm|operatorname\*?|emph|underline|"
    r"ensuremath|textcolor\s*\{[^{}]*\})(?:\s*(?=\{)|\s+(?=[A-Za-z]))"
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
# A sign set as text: \text{-}5.
_TEXT_SIGN = re.compile(r"\\text\s*\{\s*([-+])\s*\}")
# A function in upright type: \mathrm{lcm}. What is a unit or a word too needs an argument behind it.
_ALSO_WORDS = (
    "sec",
    "min",
    "mod",
    "tr",
    "rank",
    "trace",
    "re",
    "im",
    "sign",
    "Min",
    "Max",
    "floor",
    "ceil",
    "ceiling",
    "factorial",
)
_NEVER_WORDS = sorted((FUNCTIONS | ALIASES.keys()) - set(_ALSO_WORDS), key=len, reverse=True)
_FUNCTION = re.compile(
    r"\\(?:mathrm|mathbf|mathsf|operatorname\*?|text|rm)\s*\{\s*"
    rf"({'|'.join(_NEVER_WORDS)}|(?:{'|'.join(_ALSO_WORDS)})(?=\s*\}}\s*[({{\\]))\s*\}}"
)
# Names of the hyperbolic functions in other countries, which only a command tells from letters: \operatorname{sh} x. Not the
# end of an ordinal: 7^{\mathrm{th}}.
_SHORT_HYPERBOLIC = re.compile(
    r"(?<!\d\^\{)(?<!\d\^)\\(?:(?:operatorname\*?|mathrm)\s*\{\s*(sh|ch|th|cth)\s*\}|(sh|ch|th|cth)(?![A-Za-z]))"
)
_HYPERBOLIC = {"sh": "sinh", "ch": "cosh", "th": "tanh", "cth": "coth"}
# A set of numbers in bold: k \in \mathbf Z.
_BOLD_SET = re.compile(
    r"(\\in\s*)(?:\\(?:mathbf|bf|mathrm|rm)\s*(?:\{\s*([RZNQC])\s*\}|([RZNQC])(?![A-Za-z]))|([RZNQ])(?![A-Za-z'_(]))"
)
# Commands with another name for something, and those around something that stays. The longest alternative stands first.
_REPLACE = re.compile(
    r"\\(?:mathbb\s*\{\s*[A-Z]\s*\}|(?:[dtc]frac|nicefrac|sfrac|surd|norm|[dt]binom|choose|lparen|rparen|top|intercal|leqslant|leq|geqslant|geq|neq|lt|gt|varphi|varepsilon|vartheta|degree|infin|"
    r"mathbb\s*[RZNQC]|R|Z|N|lbrace|rbrace|lbrack|rbrack|vert|lvert|rvert|mid|Vert|lVert|rVert|varnothing|"
    r"backslash|colon|dots[cbm]?|cdots|textdegree|textdollar|textpercent|land|wedge|vee|lnot|overrightarrow|rightarrow|implies|"
    r"iff|sim|simeq|thickapprox|cong|doteq|And|smallsetminus|langle|rangle|text(?:bf|it|rm|normal|sf|tt|sc|md|up)|mbox|hbox|"
    r"fbox|boxed|dollar|ast|star|bullet|times|div|pounds|euro|pmb|lor|dot\s*\{|bar\s*\{|ge|le|ne)(?![A-Za-z]))"
)
_NAMES = {
    "dfrac": "frac", "tfrac": "frac", "cfrac": "frac", "nicefrac": "frac", "sfrac": "frac", "surd": "sqrt", "norm": "abs",
    "dbinom": "binom", "tbinom": "binom",
    "leqslant": "le", "leq": "le", "geqslant": "ge", "geq": "ge", "neq": "ne",
    "varphi": "phi", "varepsilon": "epsilon", "vartheta": "theta", "infin": "infty", "varnothing": "emptyset",
    "R": "reals", "Z": "integers", "N": "naturals", "dots": "ldots", "dotsc": "ldots", "dotsb": "ldots", "dotsm": "ldots",
    "cdots": "ldots", "wedge": "land", "vee": "lor", "lnot": "neg", "rightarrow": "to", "implies": "Rightarrow",
    "sim": "approx", "simeq": "approx", "thickapprox": "approx", "cong": "approx", "doteq": "approx",
    "smallsetminus": "setminus", "backslash": "setminus", "textdollar": "$", "dollar": "$", "textpercent": "%",
    "lVert": "lvert ", "rVert": "rvert ", "lvert": "lvert ", "rvert": "rvert ",
}  # fmt: skip
_CHARACTERS = {
    "lt": "<", "gt": ">", "lparen": "(", "rparen": ")", "lbrack": "[", "rbrack": "]", "lbrace": r"\{", "rbrace": r"\}",
    "vert": "|", "mid": "|", "Vert": "|", "colon": ":", "top": "T", "intercal": "T", "degree": r"^\circ ",
    "textdegree": r"^\circ ",
    "ast": "*", "star": "*", "times": "*", "bullet": "*", "And": " and ", "pounds": "£", "euro": "€",
}  # fmt: skip
_BLACKBOARD = {"R": "reals", "Z": "integers", "N": "naturals", "Q": "rationals", "C": "complexes"}


def _replace_command(match: re.Match[str]) -> str:
    name = match[0][1:]
    if name.startswith("mathbb"):
        letter = name.strip("{} ")[-1]
        return f"\\{_BLACKBOARD[letter]} " if letter in _BLACKBOARD else letter
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
    if len(letters.strip(" ~.")) > 1:
        return rf"\text{{{letters}}}"
    behind_command = match.start() > 0 and match.string[match.start() - 1].isalpha()  # \cdot\mathbf{b}
    return f" {letters}" if behind_command else letters


def fold_latex(text: str) -> str:
    """Return `text` without styling commands and with one name for each command."""
    if "\\" not in text:
        return text.replace("~", " ")
    text = _UNIT_VECTOR.sub(r"\\hat{\1\2}", text)
    if "\\in" in text:
        text = _BOLD_SET.sub(lambda match: rf"{match[1]}\mathbb{{{match[2] or match[3] or match[4]}}}", text)
    text = _DOTLESS.sub(r"\1 ", text)
    text = _REPLACE.sub(_replace_command, text)
    text = _FUNCTION.sub(r"\\\1 ", text)
    if "h" in text:
        text = _SHORT_HYPERBOLIC.sub(lambda match: f"\\{_HYPERBOLIC[match[1] or match[2]]} ", text)
    if any(sign in text for sign in ("\\frac", "/", "^", "\\cdot", "\\Omega")):
        text = _UNIT_QUOTIENT.sub(_unit_text, text)
        text = _WRITTEN_UNIT.sub(_unit_text, text)
    text = _TEXT_SIGN.sub(r"\1", text)
    text = _ROMAN.sub(_upright, text)
    text = _FONT.sub(lambda match: " " if match[0][-1].isspace() else "", text)
    if "|" in text or "vert" in text:
        text = _RIGHT_BAR.sub(r"\\rvert ", _LEFT_BAR.sub(r"\\lvert ", text))
    text = _DROP.sub("", text)
    return _SPACE.sub(" ", text)


_DELIMITERS = re.compile(
    r"(?<!\\)\$|\\[()\[\]]|\*\*(?=\S)(?=[^*]*\*\*)|`|\\begin\{(?:align|equation|gather|aligned|split)\*?\}"
)
_ENDS = re.compile(r"\\end\{(?:align|equation|gather|aligned|split)\*?\}")
# Where a formula of several lines is aligned: &= 5.
_ALIGNMENT = re.compile(r"^\s*&(?!&)|&(?=\s*(?:[=<>]|\\(?:le|ge|ne|approx)))")
# What TeX writes between thousands: 1{,}234 and 1,\!234.
_THOUSANDS = re.compile(r"(?<=\d)\s*(?:(?:\\(?:text|mathord)\s*)?\{\s*,\s*\}(?:\s*\\!)?|,\s*\\!)\s*(?=\d{3}(?!\d))")
# Money with its sign behind.
_SIGN_BEHIND = re.compile(r"(?<![\d.,])(\d[\d.,]*)\s*([€£¥])")
_LONE_DOLLAR = re.compile(r"(?<!\\)\$(?=\s*-?\s*[\d.])")
# The end of a proof.
_DONE = re.compile(r"(?<!\s)(?:\s|\\(?:checkmark|blacksquare|qed|Box|square)(?![A-Za-z])|[✓✔∎□■])+$")


def clean(text: str) -> str:
    """Return `text` in the one spelling the tokenizer reads."""
    text = without_shorthands(fold_unicode(in_signs(without_markup(text).strip()))).strip()
    if text.startswith("**") and text.endswith("**"):
        text = text.strip("*")
    if "\\\\" in text:
        text = _with_single_backslashes(text)
    text = text.replace(",\\!", ",\\! ") if ",\\!" in text else text
    text = _THOUSANDS.sub("", text)
    text = _SIGN_BEHIND.sub(r"\2\1", text)  # 5 € is €5
    text = fold_units(_without_delimiters(text))
    text = without_empty_groups(_DONE.sub("", fold_latex(text)).rstrip("\\ \n").strip())
    while text and _ends_sentence(text):
        text = text[:-1].rstrip()
    return fold_number_words(fold_ordinals(text))


def _with_single_backslashes(text: str) -> str:
    r"""Return a text that was escaped twice, `\\frac` for `\frac`, as it was meant; a `\\` that ends a row stays."""
    text = text.replace("\\\\\\\\", "\\\\") if "\\begin" in text else _TWICE.sub(r"\\", text)
    return _ROW_SPACE.sub(r"\\\\ ", text)


def _without_delimiters(text: str) -> str:
    """Return `text` without what marks mathematics in prose: dollars, brackets with a backslash, equation environments."""
    if "$" in text and text.replace("\\$", "").count("$") % 2:  # an odd dollar before a number is money
        text = _LONE_DOLLAR.sub(r"\\$", text, count=1)
    text = _DELIMITERS.sub(" ", text)
    text = _ENDS.sub(" ", text) if "\\end" in text else text
    return _ALIGNMENT.sub("", text) if "&" in text and "\\begin" not in text else text


def _ends_sentence(text: str) -> bool:
    """Tell whether the last character is punctuation of a sentence; an ellipsis and a factorial belong to the answer."""
    if text[-1] not in ".,;:!?" or text.endswith(("...", "\\!")):
        return False
    before = text[-2:-1]
    factorial = text[-1] == "!" and (before.isalnum() or before in ")]}!")
    return not factorial
