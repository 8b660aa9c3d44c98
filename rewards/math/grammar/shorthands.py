r"""Short and old spellings of LaTeX, each in the one spelling that the grammar reads.

`x^{\prime}` becomes `x'`, `v_0{}^2` becomes `v_0^2`, `{-}3` becomes `-3`, `{}_nC_k` becomes `\binom{n}{k}`. No meaning is
decided but that of the marks themselves. The patterns run over hostile text: none has two ways to match one stretch of it.
"""

import re

# A prime raised: x^{\prime\prime}, x^\prime.
_PRIMES = re.compile(r"\^\s*(?:\{\s*((?:\\prime\s*|')+)\}|\\prime(?![A-Za-z]))")
# A group of nothing between a name and its power, or where a value begins: v_0{}^2, {}-3.
_NOTHING_BEHIND_NAME = re.compile(r"(?<=[\w)}\]])\{\s*\}(?=\s*[\^_'])")
_EMPTY_SCRIPT = re.compile(r"(?<=[A-Za-z}])[\^_]\s*\{\s*\}")
_NOTHING_IN_FRONT = re.compile(r"(?:(?<=[-+*/=,(\s])|^)\{\s*\}(?=[-+\w(\\])")
# A sign in a group of its own: {-}3.
_GROUPED_SIGN = re.compile(r"(?<![\^_A-Za-z}\]])\{\s*([-+])\s*\}")
# Classes of atoms, which say how wide the space around them is.
_ATOM = re.compile(r"\\math(?:bin|rel|op|ord)\s*\{([^{},]{1,40})\}")
_ATOM_CLASS = re.compile(r"\\math(?:open|close|inner|punct)\s*(?:\{\s*\})?")
# A function in a group of its own: {\sin}^2 x.
_GROUPED_FUNCTION = re.compile(
    r"(?<![\^_A-Za-z}\]])\{\s*\\?((?:arc)?(?:sin|cos|tan|cot|sec|csc)h?|ln|log|exp|cis|lcm|gcd|max|min)\s*\}"
)
# Digits in a group of their own in front of their base: {2201}_3.
_GROUPED_DIGITS = re.compile(r"(?<![\w}\]^_])\{([0-9][0-9A-Za-z]{0,99})\}(?=\s*_)", re.ASCII)
# Plain TeX: \root 3 \of 2.
_ROOT_OF = re.compile(r"\\root\s*(?:\{([^{}]{1,100})\}|(\w))\s*\\of(?![A-Za-z])")
# A fraction of raised and lowered digits: ^1/_2, which is also what the signs of Unicode are folded to.
_RAISED_QUOTIENT = re.compile(r"\^\s*(?:\{(\d{1,9})\}|(\d))\s*/\s*_\s*(?:\{(\d{1,9})\}|(\d))", re.ASCII)
# A power of ten with an upright e: 1.2\mathrm{e}5.
_UPRIGHT_E = re.compile(r"(?<=\d)(?:\\,|\s)?\\(?:mathrm|text|rm)\s*\{\s*[eE]\s*\}\s*\{?([-+]?\d{1,6})\}?", re.ASCII)
# One capital in text type with a subscript or a power: \text{C}_5^2.
_CAPITAL = re.compile(r"(?:\\text\s*|(?<![\w}\]^_]))\{\s*([A-Z])\s*\}(?=\s*[_^])")
# The base of a number in words: 2201 base 3, 1A3 (base 16).
_IN_BASE = re.compile(
    r"(?=[A-Za-z]*\d)([0-9A-Za-z]{1,100})\s*(?:\\text\s*\{\s*)?\(?(?:in\s+)?base(?:\s*\}\s*|[\s-]+|(?=\d))(\d{1,2}|[a-z]{3,7})\s*\)?\s*\}?"
)
# Words for signs: 1.2 times 10^5, 0.3 repeating.
_TIMES = re.compile(r"(?<=\d) +times +(?=\d)")
_REPEATING = re.compile(r"(?<=\.)(\d) *\(?repeating\)?$", re.ASCII)
# Digits that repeat, in a group of their own: 0.{\overline{3}}.
_GROUPED_PERIOD = re.compile(r"(?<=\.)\{\s*(\\(?:overline|bar)\s*\{\d{1,100}\})\s*\}", re.ASCII)
# A system of equations with one large brace, and a determinant with bars around an array.
_SYSTEM = re.compile(r"\\left\s*\\(?:\{|lbrace)\s*\\begin\{(?:array|matrix)\}(?:\{[lcr| ]{0,20}\})?")
_SYSTEM_END = re.compile(r"\\end\{(?:array|matrix)\}\s*\\right\s*\.")
_BARRED = re.compile(r"(?:\\left\s*)?\|\s*\\begin\{(?:array|matrix|smallmatrix)\}(?:\{[lcr| ]{0,20}\})?")
_BARRED_END = re.compile(r"\\end\{(?:array|matrix|smallmatrix)\}\s*(?:\\right\s*)?\|")

_INDEX = r"(?:\{([^{}]{1,40})\}|(\w))"
# What is chosen from, in front of the letter: {}_nC_k, ^5C_2, {}^nP_k.
_CHOOSE = re.compile(
    rf"(?<![\w}}\)\]])(?:\{{\s*\}})?[_^]\s*{_INDEX}\s*(?:\\(?:mathrm|text|rm)\s*)?\{{?([CP])\}}?\s*_\s*{_INDEX}", re.ASCII
)
# In words: 5 choose 2.
_CHOOSE_IN_WORDS = re.compile(r"(?<![\w.}])(\w{1,4})\s+(?:\\text\s*\{\s*)?choose(?:\s*\}\s*|\s+)(\w{1,4})(?![\w.{])", re.ASCII)


def _chosen(match: re.Match[str]) -> str:
    outer, bare_outer, letter, inner, bare_inner = match.groups()
    name = "binom" if letter == "C" else "permutations"
    return rf" \{name}{{{outer or bare_outer}}}{{{inner or bare_inner}}}"


def _with_environments(text: str) -> str:
    """Return `text` with systems and determinants in the environments made for them, where both ends are there once."""
    for begins, ends, name in ((_SYSTEM, _SYSTEM_END, "cases"), (_BARRED, _BARRED_END, "vmatrix")):
        if len(begins.findall(text)) == len(ends.findall(text)) == 1 == text.count("\\begin{"):
            text = begins.sub(rf"\\begin{{{name}}}", ends.sub(rf"\\end{{{name}}}", text))
    return text


def _in_signs(text: str) -> str:
    """Return `text` with signs for the words that stand for them between numbers."""
    text = text.replace("plus or minus", r" \pm ")
    text = _TIMES.sub(r" \\times ", text)
    return _REPEATING.sub(r"\\overline{\1}", text)


def without_shorthands(text: str) -> str:
    """Return `text`, as it was written, with short spellings of marks, choices and powers of ten replaced."""
    if "prime" in text or "'" in text:
        text = _PRIMES.sub(lambda match: "'" * (match[1] or "'").replace("\\prime", "'").count("'"), text)
    if "\\begin{" in text:
        text = _with_environments(text)
    if "_" in text and ("C" in text or "P" in text):
        text = _CHOOSE.sub(_chosen, text)
    if "plus" in text or "times" in text or "repeating" in text:
        text = _in_signs(text)
    if "choose" in text:
        text = _CHOOSE_IN_WORDS.sub(r"\\binom{\1}{\2}", text)
    if "/" in text and "^" in text:
        text = _RAISED_QUOTIENT.sub(lambda match: rf"\frac{{{match[1] or match[2]}}}{{{match[3] or match[4]}}}", text)
    if "\\math" in text:
        text = _ATOM_CLASS.sub("", _ATOM.sub(r" \1 ", text))
    return _UPRIGHT_E.sub(r"e\1", text) if "e}" in text or "E}" in text else text


def without_empty_groups(text: str) -> str:
    """Return `text`, whose fonts are gone, without groups that hold nothing, a sign or the name of a function."""
    if "\\root" in text:
        text = _ROOT_OF.sub(lambda match: rf"\sqrt[{match[1] or match[2]}]", text)
    if "base" in text and (match := _IN_BASE.fullmatch(text)):
        return f"{match[1]}_{{{match[2]}}}"
    if "{}" in text or "{ " in text:
        text = _NOTHING_BEHIND_NAME.sub("", _EMPTY_SCRIPT.sub("", text))
        if len(text) > 2:  # "{}" alone is the empty set
            text = _NOTHING_IN_FRONT.sub("", text)
    if "{-" in text or "{+" in text or "{ " in text:
        text = _GROUPED_SIGN.sub(r"\1", text)
    if ".{" in text:
        text = _GROUPED_PERIOD.sub(r"\1", text)
    if "}_" in text or "}^" in text or "} " in text:
        text = _CAPITAL.sub(r"\1", _GROUPED_DIGITS.sub(r"\1", text))
    return _GROUPED_FUNCTION.sub(r"\\\1 ", text) if "{" in text else text
