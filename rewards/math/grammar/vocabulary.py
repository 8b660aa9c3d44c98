r"""The words of the grammar, as flat tables: functions, Greek letters, relations, number words, English words.

Names of commands stand without their backslash, but in RELATIONS, which has operators too. `\le` and `<=` are "<=" there.
"""

import re

from rewards.math.tree import EMPTY, REALS, Node, Op

FUNCTIONS = frozenset([
    "sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "arccot", "arcsec", "arccsc", "sinh", "cosh",
    "tanh", "coth", "sech", "csch", "arcsinh", "arccosh", "arctanh", "ln", "log", "exp", "sqrt", "cbrt", "abs", "floor",
    "ceil", "gcd", "lcm", "max", "min", "Re", "Im", "arg", "binom", "factorial", "sgn", "mod", "det", "lg", "cis",
    "arccoth", "arcsech", "arccsch", "permutations",
])  # fmt: skip
ALIASES = {
    "asin": "arcsin", "acos": "arccos", "atan": "arctan", "Abs": "abs", "ceiling": "ceil", "binomial": "binom", "Max": "max",
    "Min": "min", "asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh", "tg": "tan", "arctg": "arctan",
    "arcctg": "arccot", "ctg": "cot", "cosec": "csc",
    "arsinh": "arcsinh", "arcosh": "arccosh", "artanh": "arctanh", "arcoth": "arccoth", "arsech": "arcsech",
    "arcsch": "arccsch", "acoth": "arccoth", "asech": "arcsech", "acsch": "arccsch",
    "acot": "arccot", "asec": "arcsec", "acsc": "arccsc",
    "argsinh": "arcsinh", "argcosh": "arccosh", "argtanh": "arctanh", "arsh": "arcsinh", "arth": "arctanh",
    "Arcsin": "arcsin", "Arccos": "arccos", "Arctan": "arctan", "Arcsinh": "arcsinh", "Arccosh": "arccosh",
    "Arctanh": "arctanh", "Arsinh": "arcsinh", "Arcosh": "arccosh", "Artanh": "arctanh", "cotan": "cot", "cosech": "csch",
    "re": "Re", "im": "Im", "sign": "sgn",
    "Sqrt": "sqrt", "Log": "log", "Sin": "sin", "Cos": "cos", "Tan": "tan", "nCr": "binom", "nPr": "permutations",
}  # fmt: skip
GREEK = frozenset([
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu", "xi",
    "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega", "Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi",
    "Sigma", "Upsilon", "Phi", "Psi", "Omega", "varsigma", "ell", "hbar", "aleph",
])  # fmt: skip
SETS = {
    "reals": REALS,
    "emptyset": EMPTY,
    "integers": Node("sym", (), "\\integers"),
    "naturals": Node("sym", (), "\\naturals"),
    "rationals": Node("sym", (), "\\rationals"),
    "complexes": Node("sym", (), "\\complexes"),
}
ELLIPSIS = Node("sym", (), "\\ldots")
RELATIONS = {
    "=": "=", "==": "=", ":=": "=", "<": "<", ">": ">", "<=": "<=", "=<": "<=", ">=": ">=", "!=": "!=", "<>": "!=",
    "\\le": "<=", "\\ge": ">=", "\\ne": "!=", "\\approx": "~", "\\equiv": "=", "\\in": "in", "\\to": "->", "->": "->",
    "\\mapsto": "->", "\\notin": "notin", "\\Rightarrow": "=>", "=>": "=>", "\\subset": "subset", "\\subseteq": "subset",
    "\\propto": "propto", "\\perp": "perp", "\\parallel": "parallel", "\\divides": "divides", "\\nmid": "ndivides",
}  # fmt: skip
SET_OPERATORS: dict[str, Op] = {
    "cup": "union", "cap": "inter", "bigcup": "union", "bigcap": "inter", "setminus": "minus", "lor": "or", "land": "and",
}  # fmt: skip
ACCENTS = frozenset([
    "overline", "vec", "hat", "bar", "tilde", "overrightarrow", "widehat", "widetilde", "dot", "ddot", "dddot",
    "overleftrightarrow", "check",
])  # fmt: skip
CALLS = frozenset("fghFGHP")  # letters that name functions: f(2) is a call, a(2) a product
CURRENCIES = frozenset(
    ("USD", "EUR", "GBP", "INR", "Rs", "CHF", "JPY", "CNY", "RMB", "RM", "KRW", "RUB", "NGN", "AED", "SAR", "VND")
)
_SMALL_NUMBERS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
)  # fmt: skip
WORD_NUMBERS = {word: value for value, word in enumerate(_SMALL_NUMBERS)}
SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "dozen": 12, "billion": 10**9, "trillion": 10**12}
# English, though short enough to be a product of names.
NO_PRODUCT = frozenset([
    "yes", "no", "not", "odd", "even", "max", "min", "none", "all", "any", "the", "is", "are", "of", "for", "has", "on",
    "to", "in", "it", "by", "at", "as", "be", "if", "so", "he", "we", "us", "one", "two", "six", "ten", "may", "jun", "jul",
    "aug", "sep", "oct", "nov", "dec", "jan", "feb", "mar", "apr", "mon", "tue", "wed", "thu", "fri", "sat", "sun", "red",
    "east", "west", "north", "south", "true", "false",
])  # fmt: skip
CASE_WORDS = frozenset(("if", "for", "when", "whenever", "where"))
OTHERWISE_WORDS = frozenset(("otherwise", "else", "elsewhere"))
ROUGHLY = re.compile(r"\(?\s*(?:approximately|approx\.?|exactly)\s*\)?")
# A function or pi and its argument without a space: sinx, lnab, pir. Behind them at most two letters, else it is a word.
PACKED = re.compile(r"(sin|cos|tan|cot|sec|csc|ln|log|sqrt|exp|pi)([a-z]{1,2})?$")


def is_function(name: str) -> bool:
    """Tell whether a name is a known function."""
    return name in FUNCTIONS or name in ALIASES
