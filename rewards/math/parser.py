r"""Recursive descent from text to the tree of `tree.py`, for LaTeX and plain notation alike.

    answer    := statement ((","|";"|"and"|"or") statement)*
    statement := sets (("="|"<"|"<="|"in"|...) sets)*
    sets      := sum (("\cup"|"\cap"|"\setminus") sum)*
    sum       := product (("+"|"-"|"\pm") product)*
    product   := unary (("*"|"/"|nothing) unary)* units?
    unary     := ("-"|"+")* power
    power     := postfix ("^" unary)?

Depth, tokens and digits are bounded. What is not understood raises UnreadableError with the place and the reason.
"""

import re
from fractions import Fraction
from functools import lru_cache

from rewards.math import units
from rewards.math.clean import clean
from rewards.math.tokens import Token, tokenize
from rewards.math.tree import (
    EMPTY,
    EULER,
    IMAGINARY,
    INFINITY,
    MAX_DEPTH,
    PI,
    REALS,
    TWO,
    Node,
    UnreadableError,
    number,
)

FUNCTIONS = frozenset(
    [
        "sin",
        "cos",
        "tan",
        "cot",
        "sec",
        "csc",
        "arcsin",
        "arccos",
        "arctan",
        "arccot",
        "arcsec",
        "arccsc",
        "sinh",
        "cosh",
        "tanh",
        "coth",
        "sech",
        "csch",
        "arcsinh",
        "arccosh",
        "arctanh",
        "ln",
        "log",
        "exp",
        "sqrt",
        "cbrt",
        "abs",
        "floor",
        "ceil",
        "gcd",
        "lcm",
        "max",
        "min",
        "Re",
        "Im",
        "arg",
        "binom",
        "factorial",
        "sgn",
        "mod",
        "det",
        "lg",
    ]
)
_ALIASES = {
    "asin": "arcsin", "acos": "arccos", "atan": "arctan", "Abs": "abs", "ceiling": "ceil", "binomial": "binom", "Max": "max",
    "Min": "min", "asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh", "tg": "tan", "arctg": "arctan", "arcctg": "arccot", "ctg": "cot", "cosec": "csc",
    "re": "Re", "im": "Im", "arcsinh": "arcsinh", "arsinh": "arcsinh", "arcosh": "arccosh", "artanh": "arctanh", "sign": "sgn",
    "Sqrt": "sqrt", "Log": "log", "Sin": "sin", "Cos": "cos", "Tan": "tan", "nCr": "binom", "nPr": "permutations",
}  # fmt: skip
_GREEK = frozenset(
    [
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
        "rho",
        "sigma",
        "tau",
        "upsilon",
        "phi",
        "chi",
        "psi",
        "omega",
        "Gamma",
        "Delta",
        "Theta",
        "Lambda",
        "Xi",
        "Pi",
        "Sigma",
        "Upsilon",
        "Phi",
        "Psi",
        "Omega",
        "varsigma",
        "ell",
        "hbar",
        "aleph",
    ]
)
_SETS = {"reals": REALS, "emptyset": EMPTY, "integers": Node("sym", (), "\\integers"),
         "naturals": Node("sym", (), "\\naturals"), "rationals": Node("sym", (), "\\rationals"),
         "complexes": Node("sym", (), "\\complexes")}  # fmt: skip
_RELATIONS = {
    "=": "=", "==": "=", ":=": "=", "<": "<", ">": ">", "<=": "<=", "=<": "<=", ">=": ">=", "!=": "!=", "<>": "!=",
    "\\le": "<=", "\\ge": ">=", "\\ne": "!=", "\\approx": "~", "\\equiv": "=", "\\in": "in", "\\to": "->", "->": "->",
    "\\mapsto": "->", "\\notin": "notin", "\\Rightarrow": "=>", "=>": "=>", "\\subset": "subset", "\\subseteq": "subset",
    "\\propto": "propto",
}  # fmt: skip
_SET_WORDS = {"\\cup": "union", "\\cap": "inter", "\\setminus": "minus", "\\lor": "or", "\\land": "and"}
_ACCENTS = frozenset(
    [
        "overline",
        "vec",
        "hat",
        "bar",
        "tilde",
        "overrightarrow",
        "widehat",
        "widetilde",
        "dot",
        "ddot",
        "overleftrightarrow",
        "check",
    ]
)
_SEPARATOR_WORDS = frozenset(("and", "or", ", and", "and ", "or "))
_CALLS = frozenset("fghFGHP")
_CLOSING = {"(": ")", "[": "]", "\\{": "\\}", "{": "}", "\\langle": "\\rangle", "<": ">"}
_WORD_NUMBERS = {
    word: index
    for index, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
            "twenty",
        ]
    )
}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "dozen": 12, "billion": 10**9, "trillion": 10**12}
_NO_PRODUCT = frozenset(
    [
        "yes",
        "no",
        "not",
        "odd",
        "even",
        "max",
        "min",
        "none",
        "all",
        "any",
        "the",
        "is",
        "are",
        "of",
        "for",
        "has",
        "on",
        "to",
        "in",
        "it",
        "by",
        "at",
        "as",
        "be",
        "if",
        "so",
        "he",
        "we",
        "us",
        "one",
        "two",
        "six",
        "ten",
        "may",
        "jun",
        "jul",
        "aug",
        "sep",
        "oct",
        "nov",
        "dec",
        "jan",
        "feb",
        "mar",
        "apr",
        "mon",
        "tue",
        "wed",
        "thu",
        "fri",
        "sat",
        "sun",
        "red",
        "east",
        "west",
        "north",
        "south",
        "true",
        "false",
    ]
)
_ROUGHLY = re.compile(r"\(?\s*(?:approximately|approx\.?|exactly)\s*\)?")
_PACKED = re.compile(r"(sin|cos|tan|cot|sec|csc|ln|log|sqrt|exp|pi)([a-z]{1,2})?$")


class _Parser:
    def __init__(self, tokens: list[Token]):
        self.tokens = tokens
        self.index = 0
        self.depth = 0
        self.bars = 0
        self.argument = 0

    # -- reading tokens

    @property
    def now(self) -> Token:
        return self.tokens[min(self.index, len(self.tokens) - 1)]

    def ahead(self, offset: int = 1) -> Token:
        return self.tokens[min(self.index + offset, len(self.tokens) - 1)]

    def at(self, *words: str) -> bool:
        """Tell whether the current token is one of these operators or \\commands."""
        token = self.now
        return (token.text if token.kind == "op" else "\\" + token.text if token.kind == "cmd" else None) in words

    def take(self, *words: str) -> bool:
        if self.at(*words):
            self.index += 1
            return True
        return False

    def expect(self, word: str) -> None:
        if not self.take(word):
            raise self.unreadable(f"expected {word!r}")

    def unreadable(self, reason: str) -> UnreadableError:
        return UnreadableError(f"{reason} at {self.now.place}, found {self.now.text[:20] or 'the end'!r}")

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise UnreadableError(f"nested deeper than {MAX_DEPTH} at {self.now.place}")

    # -- answers and statements

    def whole(self) -> Node:
        node = self.answer()
        if self.now.kind != "end":
            raise self.unreadable("unexpected")
        return node

    def separator(self) -> str | None:
        """Take what stands between two items of a collection and return "," or "or", or None where there is nothing."""
        found: str | None = None
        while True:
            token = self.now
            word = token.text.strip(" ,.").lower() if token.kind in ("name", "text") else None
            if self.at(",", ";", "&", "&&") or word == "and" or (token.kind == "text" and not word):
                found = found or ","
            elif word == "or" or self.at("||"):
                found = "or"
            else:
                return found
            self.index += 1

    def answer(self) -> Node:
        items = [self.statement()]
        kind = ","
        while separator := self.separator():
            if separator == "or":
                kind = "or"
            if self.now.kind == "end":
                break
            items.append(self.statement())
        return items[0] if len(items) == 1 else Node("list", tuple(items), kind)

    def statement(self) -> Node:
        self.deeper()
        members, operators = [self.sets()], []
        while True:
            token = self.now
            key = token.text if token.kind == "op" else "\\" + token.text if token.kind == "cmd" else ""
            operator = _RELATIONS.get(key)
            if operator is None or (key == "|" and self.bars):
                if key == ":" and members[-1].op in ("sym", "call") and members[-1].value != "\\lambda":  # a label: "Answer: 5"
                    operator = "="
                else:
                    break
            self.index += 1
            if operator == "=>" or operator == "propto":
                raise self.unreadable("a conclusion inside an answer")
            if operator in ("<", ">") and self.take("="):
                operator += "="
            operators.append(operator)
            members.append(self.sets())
        self.depth -= 1
        if self.now.text == "mod" or self.at("\\pmod", "\\bmod"):
            raise self.unreadable("a congruence")
        return Node("rel", tuple(members), tuple(operators)) if operators else members[0]

    def sets(self) -> Node:
        node = self.ratio()
        while True:
            token = self.now
            key = "\\" + token.text if token.kind == "cmd" else ""
            op = _SET_WORDS.get(key)
            if op is None and token.kind == "name" and token.text == "U" and (node.op in ("seq", "set", "union")):
                op = "union"
            if op is None:
                return node
            self.index += 1
            node = Node(op, (node, self.ratio()))

    def ratio(self) -> Node:
        parts = [self.sum()]
        while self.at(":") and parts[-1].op not in ("sym", "call"):
            self.index += 1
            parts.append(self.sum())
        return parts[0] if len(parts) == 1 else Node("ratio", tuple(parts))

    # -- arithmetic

    def sum(self) -> Node:
        if self.at("\\pm", "\\mp") and self.now.kind == "cmd":
            sign = "pm" if self.take("\\pm") else "mp"
            self.take("\\mp")
            terms = [Node(sign, (self.product(),))]
        else:
            terms = [self.product()]
        while True:
            if self.take("+"):
                if self.take("/"):  # +/-
                    self.expect("-")
                    terms = [Node("pm", (self._added(terms), self.product()))]
                    continue
                terms.append(self.product())
            elif self.take("-"):
                terms.append(Node("neg", (self.product(),)))
            elif self.at("\\pm", "\\mp"):
                op = "pm" if self.at("\\pm") else "mp"
                self.index += 1
                terms = [Node(op, (self._added(terms), self.product()))]
            else:
                return self._added(terms)

    @staticmethod
    def _added(terms: list[Node]) -> Node:
        return terms[0] if len(terms) == 1 else Node("add", tuple(terms))

    def starts_factor(self) -> bool:
        """Tell whether the current token can begin a factor without a sign of multiplication."""
        token = self.now
        if token.kind in ("num", "name"):
            return not self.is_word(token)
        if token.kind == "op":
            if token.text == "|":
                return not self.bars
            if token.text == "[":  # not the end of a French interval
                brackets = [other.text for other in self.tokens[self.index + 1 :] if other.text in ("[", "]")]
                return bool(brackets) and brackets[0] == "]"
            return token.text in ("(", "{", "\\{")
        if token.kind == "cmd":
            name = token.text
            return name in _ACCENTS or name in _SETS or name in _GREEK or name in FUNCTIONS or name in _ALIASES or name in (
                "frac", "sqrt", "binom", "pi", "infty", "lfloor", "lceil", "langle", "begin", "sum", "prod", "operatorname",
                "triangle", "angle",
            )  # fmt: skip
        return False

    def is_word(self, token: Token) -> bool:
        """Tell whether a run of letters is English rather than a function, a constant or a product of variables."""
        text = token.text
        if (
            (text not in ("min", "sec") and (text in FUNCTIONS or text in _ALIASES))
            or text in _GREEK
            or text in ("pi", "infty", "oo", "inf", "infinity", "frac")
        ):
            return False
        if text in ("min", "sec") and self.now is token and self.ahead().text not in ("(", "{", "\\{", "^", "_"):
            return self.index > 0 and self.tokens[self.index - 1].kind == "num"  # minutes and seconds
        if text in units.WORDS or text.lower() in _NO_PRODUCT or text in ("and", "or"):
            return True
        return len(text) > 3 and not text.isupper() and not _PACKED.match(text)

    def product(self) -> Node:
        self.deeper()
        sign = self.signs()
        node = self.power()
        while True:
            if self.take("*", "\\cdot", "\\times"):
                if self.at("\\cdot"):
                    raise self.unreadable("expected a factor")
                inner = self.signs()
                factor = self.power()
                node = Node("mul", (node, Node("neg", (factor,)) if inner < 0 else factor))
            elif self.take("/", "\\div"):
                inner = self.signs()
                divisor = self.power()
                node = Node("div", (node, Node("neg", (divisor,)) if inner < 0 else divisor))
            elif node.op == "num" and self.now.text in units.SHORT and self.now.spaced and self.ahead().kind == "num":
                node = Node("unit", (node,), self.now.text)  # 3 h 20 min
                self.index += 1
                node = self.compound(node)
                break
            elif self.starts_factor():
                if self.argument and (self.now.kind == "cmd" or self.now.kind == "name") and self.is_function(self.now):
                    break
                if self.now.kind == "num" and node.op in ("num", "dec"):
                    raise self.unreadable("two numbers side by side")
                mark = self.index
                factor = self.power()
                node = self.juxtaposed(node, factor, mark)
            elif unit := self.unit_phrase():
                node = self.with_unit(node, unit)
                if self.now.kind == "num" or (self.now.text.strip() == "and" and self.ahead().kind == "num"):
                    whole = self.compound(node)
                    if whole is not node:
                        node = whole
                        break
                    if self.now.kind == "num":
                        raise self.unreadable("a number after a unit")
            else:
                break
        self.depth -= 1
        return Node("neg", (node,)) if sign < 0 else node

    def compound(self, node: Node) -> Node:
        """Return `5 ft 3 in` or `3 hours and 20 minutes` as one sum, or `node` where something else follows."""
        mark = self.index
        if self.now.kind != "num":
            self.index += 1
        rest = self.product()
        larger = units.measure(node.value) if node.op == "unit" else None
        last = rest.args[0] if rest.op == "add" else rest
        smaller = units.measure(last.value) if last.op == "unit" else None
        if larger and smaller and larger[0] == smaller[0] and smaller[1] < larger[1]:
            return Node("add", (node, *rest.args)) if rest.op == "add" else Node("add", (node, rest))
        self.index = mark
        return node

    def juxtaposed(self, node: Node, factor: Node, mark: int) -> Node:
        """Return what two neighbours mean: a mixed number, degrees and minutes, or a product."""
        token = self.tokens[mark]
        if factor.op in ("pct", "deg") and factor.args[0].op == "div":
            inner = self.juxtaposed(node, factor.args[0], mark)
            return factor._replace(args=(inner,)) if inner.op == "num" else Node("mul", (node, factor))
        if node.op == "num" and factor.op == "div" and factor.value == "frac" and node.value.denominator == 1:
            top, bottom = factor.args
            if top.op == bottom.op == "num" and 0 < top.value < bottom.value and top.value.denominator == 1:
                return number(node.value + top.value / bottom.value)
        if token.kind == "num" and not token.spaced and node.op == "sym":
            raise UnreadableError(f"a number right behind a name at {token.place}")
        if token.kind == "op" and token.text == "{" and token.spaced and node.op == "num" and factor.op == "num":
            raise UnreadableError(f"two numbers side by side at {token.place}")
        return Node("mul", (node, factor))

    def signs(self) -> int:
        sign = 1
        while self.at("-", "+"):
            if self.at("-"):
                sign = -sign
            self.index += 1
        return sign

    def power(self) -> Node:
        base = self.postfix()
        while self.at("^", "**"):
            if self.now.text == "^" and self.ahead().kind == "cmd" and self.ahead().text in ("circ", "prime"):
                break
            if self.now.text == "^" and self.ahead().text == "{" and self.ahead(2).text in ("circ", "prime"):
                break
            self.index += 1
            base = Node("pow", (base, self.exponent()))
            base = self.suffixes(base)
        return base

    def exponent(self) -> Node:
        self.deeper()
        sign = self.signs()
        token = self.now
        if token.kind == "name" and len(token.text) > 1 and not self.is_function(token):
            self.split_name()
        node = self.power() if token.text != "{" else self.suffixes(self.braced())
        self.depth -= 1
        return Node("neg", (node,)) if sign < 0 else node

    def braced(self) -> Node:
        """A LaTeX group."""
        self.expect("{")
        outer, self.argument = self.argument, 0
        bars, self.bars = self.bars, 0
        self.deeper()
        node = self.answer()
        if node.op == "list":
            node = Node("set", node.args)
        if self.take("\\choose"):
            node = Node("fn", (node, self.answer()), "binom")
        elif self.take("\\over"):
            node = Node("div", (node, self.answer()), "frac")
        self.expect("}")
        self.depth -= 1
        self.argument, self.bars = outer, bars
        return node

    def argument_group(self) -> Node:
        """One argument of a LaTeX command: a group or a single token."""
        if self.at("{"):
            return self.braced()
        token = self.now
        if token.kind == "num" and len(token.text) > 1 and token.text.isdigit():
            self.tokens[self.index] = Token("num", token.text[1:], token.place + 1, False, number(int(token.text[1:])))
            return number(int(token.text[0]))
        if token.kind == "name" and len(token.text) > 1:
            self.split_name()
        sign = self.signs()
        node = self.atom()
        return Node("neg", (node,)) if sign < 0 else node

    def split_name(self) -> None:
        """Make a run of letters one token a letter."""
        token = self.now
        letters = [Token("name", letter, token.place + i, i == 0 and token.spaced) for i, letter in enumerate(token.text)]
        self.tokens[self.index : self.index + 1] = letters

    def postfix(self) -> Node:
        return self.suffixes(self.atom())

    def suffixes(self, node: Node) -> Node:
        while True:
            if self.at("!") and self.ahead().text != "=":
                self.index += 1
                if self.take("!"):
                    node = Node("fact2", (node,))
                else:
                    node = Node("fact", (node,))
            elif self.take("%"):
                node = Node("pct", (node,))
            elif self.at("^") and (self.ahead().text == "circ" or (self.ahead().text == "{" and self.ahead(2).text == "circ")):
                grouped = self.ahead().text == "{"
                self.index += 2 + grouped
                if grouped:
                    self.expect("}")
                node = self.degrees(node)
            elif self.at("\\circ"):
                self.index += 1
                node = self.degrees(node)
            elif self.at("^") and self.ahead().kind == "cmd" and self.ahead().text == "prime":
                self.index += 2
                node = self.primed(node)
            elif self.at("'") or self.at("\\prime"):
                self.index += 1
                node = self.primed(node)
            else:
                return node

    def degrees(self, node: Node) -> Node:
        token = self.now
        if token.kind in ("name", "text") and token.text.strip() in ("C", "F", "K", "Celsius", "Fahrenheit"):
            self.index += 1
            name = {"C": "celsius", "F": "fahrenheit", "K": "kelvin"}[token.text.strip()[0]]
            return Node("unit", (node,), name)
        whole = Node("deg", (node,))
        if self.now.kind == "num" and self.ahead().text == "'":  # 30 degrees 15 minutes
            minutes = self.now.node
            self.index += 2
            if minutes is not None:
                whole = Node("deg", (Node("add", (node, Node("div", (minutes, number(60))))),))
        return whole

    @staticmethod
    def primed(node: Node) -> Node:
        if node.op == "sym":
            return node._replace(value=node.value + "'")
        raise UnreadableError("a prime on what is no name")

    # -- atoms

    def atom(self) -> Node:
        self.deeper()
        token = self.now
        if token.kind == "num":
            node = self.literal()
        elif token.kind == "name":
            node = self.named()
        elif token.kind == "cmd":
            node = self.command()
        elif token.kind == "text":
            node = self.texted()
        elif self.at("(", "[", "\\{", "]"):
            node = self.bracketed()
        elif self.at("{"):
            node = self.braced()
        elif self.at("|") and not self.bars:
            self.index += 1
            self.bars += 1
            outer, self.argument = self.argument, 0
            node = Node("fn", (self.sum(),), "abs")
            self.argument = outer
            self.bars -= 1
            self.expect("|")
        elif self.at("..."):
            self.index += 1
            node = Node("sym", (), "\\ldots")
        elif self.at("$", "£", "€", "¥"):
            self.index += 1
            node = Node("unit", (self.power(),), token.text)
        elif self.at("-", "+"):
            sign = self.signs()
            inner = self.power()
            node = Node("neg", (inner,)) if sign < 0 else inner
        else:
            raise self.unreadable("expected a value")
        self.depth -= 1
        return node

    def literal(self) -> Node:
        """A number, with a base as subscript, or a mixed number written `1 1/2`."""
        token = self.now
        self.index += 1
        if token.node is None:
            raise self.unreadable("expected a number")
        if self.at("_"):
            return self.in_base(token.text)
        if (
            self.now.kind == "name"
            and not self.now.spaced
            and self.ahead().text == "_"
            and re.fullmatch(r"[A-F]+\d*", self.now.text)
        ):
            digits = token.text + self.now.text
            self.index += 1
            return self.in_base(digits)
        if (
            self.now.kind == "num"
            and (self.now.spaced or token.text.isdigit())
            and self.ahead().text == "/"
            and self.ahead(2).kind == "num"
            and self.now.spaced
        ):
            top, bottom = self.now.node, self.ahead(2).node
            if top and bottom and token.node.op == top.op == bottom.op == "num" and 0 < top.value < bottom.value:
                self.index += 3
                return number(token.node.value + top.value / bottom.value)
        if self.now.kind == "name" and self.now.text in _SCALES:
            scale = _SCALES[self.now.text]
            self.index += 1
            return Node("mul", (token.node, number(scale)))
        if self.now.kind == "text" and self.now.text.strip() in _SCALES:
            scale = _SCALES[self.now.text.strip()]
            self.index += 1
            return Node("mul", (token.node, number(scale)))
        return token.node

    def in_base(self, digits: str) -> Node:
        self.expect("_")
        words = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
        grouped = self.take("{")
        token = self.now
        text = token.text.strip()
        if text.isascii() and text.isdigit() and int(text[:4]) in range(2, 37):
            base = int(text)
        elif text in words or text in ("sixteen", "twelve"):
            base = words.get(text) or {"sixteen": 16, "twelve": 12}[text]
        else:
            raise self.unreadable("a subscript that is no base")
        self.index += 1
        if grouped:
            self.expect("}")
        whole, _, part = digits.replace(" ", "").partition(".")
        try:
            return number(Fraction(int(whole + part, base), base ** len(part)))
        except ValueError:
            raise UnreadableError(f"{digits!r} is no number in base {base}") from None

    def is_function(self, token: Token) -> bool:
        return token.text in FUNCTIONS or token.text in _ALIASES

    def named(self) -> Node:
        token = self.now
        text = token.text
        if self.is_function(token):
            self.index += 1
            return self.function(_ALIASES.get(text, text))
        if text in ("pi", "Pi", "PI"):
            self.index += 1
            return PI
        if text in ("oo", "inf", "infty", "infinity", "Infinity"):
            self.index += 1
            return INFINITY
        if text in _GREEK or text == "theta":
            self.index += 1
            return self.subscripted(Node("sym", (), "\\" + text))
        if text in ("frac", "sqrt"):
            self.tokens[self.index] = token._replace(kind="cmd")
            return self.command()
        if re.fullmatch(r"[A-F]{1,4}", text) and self.ahead().kind == "num" and self.ahead(2).text == "_":
            self.index += 2
            return self.in_base(text + self.ahead(-1).text)
        if self.is_word(token):
            if len(text) > 3 or text not in units.WORDS:
                return self.worded()
            self.split_name()  # mg/k: a unit only behind a number
            text = text[0]
        if packed := (_PACKED.match(text) if len(text) > 2 else None):
            pieces = [
                Token("name", part, token.place, i == 0 and token.spaced) for i, part in enumerate(packed.groups()) if part
            ]
            self.tokens[self.index : self.index + 1] = pieces
            return self.named()
        if len(text) > 1 and not text.isupper():
            self.split_name()
            text = text[0]
        self.index += 1
        if text == "e":
            return EULER if not self.at("_") else self.subscripted(Node("sym", (), text))
        if text in ("i", "I") and not self.at("_"):
            return IMAGINARY
        return self.called(self.subscripted(Node("sym", (), text)))

    def subscripted(self, node: Node) -> Node:
        """Take a subscript into the name; spaces and braces do not matter."""
        while self.at("_"):
            self.index += 1
            if self.at("{"):
                start, depth = self.index + 1, 0
                while True:
                    if self.now.kind == "end":
                        raise self.unreadable("a subscript that does not close")
                    depth += (self.now.text == "{") - (self.now.text == "}")
                    self.index += 1
                    if not depth:
                        break
                inside = "".join(token.text for token in self.tokens[start : self.index - 1])
            else:
                inside = self.now.text
                self.index += 1
                if not inside:
                    raise self.unreadable("an empty subscript")
            node = node._replace(value=f"{node.value}_{inside}")
        return node

    def called(self, node: Node) -> Node:
        """A call of an unknown function: f(x); only the usual names, so that x(x+1) stays a product."""
        while self.at("'"):
            self.index += 1
            node = node._replace(value=node.value + "'")
        letter = node.value[0]
        if self.at("(") and letter in _CALLS and not self.now.spaced:
            group = self.bracketed()
            return Node("call", group.args if group.op == "seq" else (group,), node.value)
        if self.at("^") and letter in "fgh" and [t.text for t in self.tokens[self.index + 1 : self.index + 6]] == list("{-1}("):
            self.index += 5
            group = self.bracketed()
            return Node("call", (group,), node.value + "^-1")
        if (
            self.at("^")
            and letter in "fgh"
            and [t.text for t in self.tokens[self.index + 1 : self.index + 6]][:4] == ["{", "-", "1", "}"]
        ):
            if self.ahead(5).text == "(":
                self.index += 5
                return Node("call", (self.bracketed(),), node.value + "^-1")
        return node

    def worded(self) -> Node:
        """Words where a value is expected: a name such as `Area`, or a number in words."""
        words = []
        while self.now.kind == "name" and self.is_word(self.now) and self.now.text not in ("and", "or"):
            words.append(self.now.text)
            self.index += 1
        if not words:
            raise self.unreadable("expected a value")
        return self.from_words(" ".join(words))

    def from_words(self, text: str) -> Node:
        key = text.strip().lower()
        if key in _WORD_NUMBERS:
            return number(_WORD_NUMBERS[key])
        if self.at("=", "\\approx", ":", "<", ">", "\\le", "\\ge", "\\in"):
            return Node("sym", (), key)
        raise self.unreadable(f"words where a value is expected ({key[:20]!r})")

    def texted(self) -> Node:
        token = self.now
        self.index += 1
        text = token.text.strip().strip(":").strip()
        if self.at("_") and re.fullmatch(r"[0-9A-Z]+", text):
            return self.in_base(text)
        if text in FUNCTIONS and self.at("("):
            return self.function(text)
        if re.fullmatch(r"[-+]?[\d.,/]+", text) or re.fullmatch(r"[A-Za-z]", text):
            return _inner(text)
        return self.subscripted(self.from_words(text)) if self.at("=", ":", "\\approx", "<", ">") else self.from_words(text)

    def bracketed(self) -> Node:
        """A parenthesis, point, interval (French ones too), bracketed list or set."""
        opening = self.now.text
        self.index += 1
        self.deeper()
        outer, self.argument = self.argument, 0
        bars, self.bars = self.bars, 0
        if opening == "\\{" and (built := self.builder()):
            self.depth -= 1
            self.argument, self.bars = outer, bars
            return built
        items: list[Node] = []
        trailing = False
        while not self.at(")", "]", "\\}"):
            items.append(self.statement())
            if self.at(")", "]", "\\}", "["):
                break
            if self.separator() is None:
                raise self.unreadable("expected a comma or a bracket")
            trailing = self.at(")")
        closing = self.now.text
        self.index += 1
        self.depth -= 1
        self.argument, self.bars = outer, bars
        if opening == "\\{" or closing == "\\}":
            if (opening, closing) != ("\\{", "\\}"):
                raise self.unreadable(f"{opening} closed by {closing}")
            return Node("set", tuple(items))
        if opening == "]":
            opening = "("
        if closing == "[":
            closing = ")"
        if len(items) == 1 and (opening, closing) == ("(", ")") and not trailing:
            return items[0]
        if not items:
            raise self.unreadable("empty brackets")
        return Node("seq", tuple(items), opening + closing)

    def builder(self) -> Node | None:
        """The inside of {x | condition} or {x in S : condition} behind its brace, or None where it is another set."""
        start = self.index
        if self.now.kind != "name" or len(self.now.text) > 1:
            return None
        head = Node("sym", (), self.now.text)
        self.index += 1
        if self.take("\\in"):
            self.bars += 1
            domain = self.sets()
            self.bars -= 1
            if domain != REALS:
                self.index = start
                return None
        if not self.take("|", ":"):
            self.index = start
            return None
        condition = self.answer()
        self.expect("\\}")
        return Node("build", (head, condition))

    # -- commands and functions

    def command(self) -> Node:
        name = self.now.text
        if name in FUNCTIONS or name in _ALIASES:
            self.index += 1
            if name == "sqrt":
                return self.root()
            if name == "binom":
                top = self.argument_group()
                return Node("fn", (top, self.argument_group()), "binom")
            return self.function(_ALIASES.get(name, name))
        self.index += 1
        if name == "frac":
            top = self.argument_group()
            return Node("div", (top, self.argument_group()), "frac")
        if name == "pi":
            return PI
        if name == "infty":
            return INFINITY
        if name == "ldots":
            return Node("sym", (), "\\ldots")
        if name in _SETS:
            return _SETS[name]
        if name in _GREEK:
            return self.subscripted(Node("sym", (), "\\" + name))
        if name in ("lfloor", "lceil", "langle"):
            return self.fenced(name)
        if name == "begin":
            return self.matrix()
        if name in ("sum", "prod"):
            return self.big(name)
        if name == "operatorname":
            token = self.tokens[self.index + 1]
            self.index += 3
            if token.text in FUNCTIONS or token.text in _ALIASES:
                return self.function(_ALIASES.get(token.text, token.text))
            return self.called(self.subscripted(Node("sym", (), token.text)))
        if name in _ACCENTS:
            inner = self.argument_group()
            return inner if inner.op == "sym" else Node("fn", (inner,), name)
        if name in ("triangle", "angle", "measuredangle", "square"):
            if self.now.kind == "name":
                text = self.now.text
                self.index += 1
                return Node("sym", (), f"\\{name} {text}")
            raise self.unreadable("expected a name")
        if name in ("pm", "mp"):
            return Node(name, (self.power(),))
        if name == "neg":
            return Node("not", (self.power(),))
        raise UnreadableError(f"an unknown command \\{name} at {self.tokens[self.index - 1].place}")

    def root(self) -> Node:
        index: Node = TWO
        if self.take("["):
            index = self.sum()
            self.expect("]")
        if self.at("{"):
            return Node("root", (self.braced(), index))
        if self.at("("):
            return Node("root", (self.bracketed(), index))
        if self.now.kind == "name" and len(self.now.text) > 1:
            self.split_name()
        return Node("root", (self.atom(), index))

    def fenced(self, name: str) -> Node:
        outer, self.argument = self.argument, 0
        if name == "langle":
            items = [self.statement()]
            while self.take(",", ";"):
                items.append(self.statement())
            self.expect("\\rangle")
            self.argument = outer
            return Node("seq", tuple(items), "<>")
        inner = self.sum()
        self.expect("\\rfloor" if name == "lfloor" else "\\rceil")
        self.argument = outer
        return Node("fn", (inner,), "floor" if name == "lfloor" else "ceil")

    def function(self, name: str) -> Node:
        """A known function with its power, its base and its argument."""
        power: Node | None = None
        base: Node | None = None
        while self.at("^", "_"):
            if self.now.text == "^" and self.ahead().text in ("circ",):
                break
            if self.now.text == "^":
                self.index += 1
                power = self.function_power()
            else:
                self.index += 1
                base = self.argument_group() if not self.now.kind == "num" else self.literal()
        if self.at("("):
            group = self.bracketed()
            args = group.args if group.op == "seq" and group.value == "()" else (group,)
        elif self.at("{") or (name in ("max", "min", "gcd", "lcm") and self.at("\\{")):
            group = self.braced() if self.at("{") else self.bracketed()
            args = group.args if group.op == "set" else (group,)
            args = (group,) if group.op == "seq" else args
        else:
            args = (self.function_argument(),)
        if name == "log" and base is None and len(args) == 2:
            base = args[1]
            args = args[:1]
        if name in ("sqrt", "cbrt"):
            node = Node("root", (args[0], TWO if name == "sqrt" else number(3)))
        elif name == "factorial":
            node = Node("fact", args)
        elif name == "lg":
            node = Node("fn", (args[0], number(10)), "logb")
        elif base is not None and name in ("log", "ln"):
            node = Node("fn", (args[0], base), "logb")
        elif name == "exp":
            node = Node("pow", (EULER, args[0]))
        else:
            node = Node("fn", args, name)
        if power is None:
            return node
        if power == Node("neg", (number(1),)) and name in ("sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh"):
            return Node("fn", args, "arc" + name)
        return Node("pow", (node, power))

    def function_power(self) -> Node:
        if self.at("{"):
            return self.braced()
        if self.now.kind == "num" and self.now.node is not None:
            node = self.now.node
            self.index += 1
            return node
        return self.argument_group()

    def function_argument(self) -> Node:
        """The factors after a function without brackets: \\sin 2x, \\cos \\frac{x}{2}; stops at signs and functions."""
        self.argument += 1
        if self.argument > MAX_DEPTH:
            raise UnreadableError("functions nested too deep")
        sign = self.signs()
        node = self.power()
        while self.starts_factor() and not (self.now.kind in ("cmd", "name") and self.is_function(self.now)):
            if self.at("(", "[", "{", "\\{") and self.now.kind == "op":
                if node.op not in ("num", "div", "const") or self.at("\\{", "["):
                    break
            if self.now.kind == "num":
                break
            node = Node("mul", (node, self.power()))
        self.argument -= 1
        return Node("neg", (node,)) if sign < 0 else node

    def big(self, name: str) -> Node:
        """A sum or product with an index and bounds."""
        variable: Node | None = None
        low: Node | None = None
        high: Node | None = None
        while self.at("_", "^"):
            lower = self.now.text == "_"
            self.index += 1
            if not lower:
                high = self.argument_group()
                continue
            if not self.take("{"):
                raise self.unreadable("a sum without an index")
            if self.now.kind == "name" and len(self.now.text) == 1 and self.ahead().text == "=":
                variable = Node("sym", (), self.now.text)
                self.index += 2
                low = self.sum()
                self.expect("}")
            else:
                raise self.unreadable("a sum without an index")
        if variable is None or low is None or high is None:
            raise self.unreadable("a sum without bounds")
        start = self.index
        body = self.product()
        if variable.value == "i":  # the index, not the imaginary unit
            for position in range(start, self.index):
                token = self.tokens[position]
                if token.kind == "name" and token.text == "i":
                    self.tokens[position] = token._replace(text="j")
            self.index, variable = start, Node("sym", (), "j")
            body = self.product()
        return Node(name, (variable, low, high, body))

    def environment(self) -> str:
        self.expect("{")
        name = ""
        while not self.take("}"):
            if self.now.kind == "end":
                raise self.unreadable("an environment that does not close")
            name += self.now.text
            self.index += 1
        return name

    def matrix(self) -> Node:
        """A matrix or a system; value: the number of columns, 0 for a system of relations."""
        name = self.environment().rstrip("*")
        if name not in ("matrix", "pmatrix", "bmatrix", "Bmatrix", "vmatrix", "Vmatrix", "smallmatrix", "array", "cases"):
            raise self.unreadable(f"an unknown environment {name}")
        if name == "array" and self.at("{"):
            self.environment()
        bars, self.bars = self.bars, 0
        outer, self.argument = self.argument, 0
        rows: list[list[Node]] = [[]]
        while not self.take("\\end"):
            if self.take("&"):
                continue
            if self.take("\\\\", "\\cr", "\\hline"):
                if self.at("[") and self.ahead(2).text in ("pt", "em", "ex", "mm", "cm"):
                    self.index += 4
                if rows[-1]:
                    rows.append([])
                continue
            if name == "cases" and self.take(","):
                continue
            if self.now.kind == "end":
                raise self.unreadable("a matrix that does not close")
            rows[-1].append(self.statement())
        self.environment()
        self.bars, self.argument = bars, outer
        if not rows[-1]:
            rows.pop()
        if name == "cases":
            return Node("list", tuple(row[0] if len(row) == 1 else Node("seq", tuple(row), "()") for row in rows), ",")
        if not rows or len({len(row) for row in rows}) != 1:
            raise self.unreadable("rows of different lengths")
        node = Node("mat", tuple(cell for row in rows for cell in row), len(rows[0]))
        return Node("fn", (node,), "det") if name == "vmatrix" else node

    # -- units

    def unit_phrase(self) -> str | None:
        """Take a unit or the words that name what is counted, with powers and slashes; None where there is none."""
        while self.now.kind == "text" and _ROUGHLY.fullmatch(self.now.text.strip()):
            self.index += 1
        start = self.index
        pieces: list[str] = []
        while True:
            token = self.now
            word = token.text.strip()
            if (
                token.kind == "text"
                and word.strip(" ,.").lower() not in ("and", "or", "")
                and not re.search(r"\d{2}|[=<>]|\b(or|and)\b", word)
            ) or (
                token.kind == "name"
                and word not in ("and", "or")
                and (self.is_word(token) or (pieces and (word in units.SHORT or word in _SEPARATOR_WORDS or len(word) > 1)))
            ):
                pieces.append(word)
            elif pieces and self.at("/") and (self.ahead().kind == "text" or self.ahead().kind == "name"):
                self.index += 1
                pieces.append("/ " + self.now.text.strip())
            elif pieces and self.at("^", "**"):
                texts = [t.text for t in self.tokens[self.index + 1 : self.index + 5]]
                digits = "".join(texts).strip("{}")
                match = re.match(r"\{?(-?\d)\}?", "".join(texts))
                if match is None or not digits:
                    break
                used = 0
                while len("".join(texts[:used])) < len(match[0]):
                    used += 1
                self.index += used
                pieces[-1] += "^" + match[1]
            elif pieces and self.at("\\cdot") and self.ahead().kind in ("text", "name"):
                pass
            else:
                break
            self.index += 1
        if not pieces:
            self.index = start
            return None
        phrase = " ".join(pieces)
        if units.NO_UNIT.search(phrase):
            raise self.unreadable(f"words that are no unit ({phrase[:20]!r})")
        return phrase

    def with_unit(self, node: Node, phrase: str) -> Node:
        plain = phrase.strip().strip(".").strip()
        lower = plain.lower()
        if lower in ("percent", "percents", "percentage", "pct", "per cent", "percent."):
            return Node("pct", (node,))
        if lower in ("degree", "degrees", "deg"):
            return Node("deg", (node,))
        if lower in ("degrees celsius", "degrees fahrenheit"):
            return Node("unit", (node,), lower.split()[1])
        if lower in _SCALES:
            return Node("mul", (node, number(_SCALES[lower])))
        first, _, rest = lower.partition(" ")
        if first in _SCALES and rest:
            return Node("unit", (Node("mul", (node, number(_SCALES[first]))),), rest)
        if node.op == "unit" and units.measure(node.value) and units.ratio(node.value, plain) is not None:
            return node  # "$5 dollars"
        return Node("unit", (node,), plain)


def _inner(text: str) -> Node:
    return _Parser(tokenize(text)).whole()


_TIME = re.compile(
    r"(\d{1,2})\s*:\s*([0-5]\d)(?:\s*:\s*([0-5]\d))?\s*(?:\\?text\s*\{)?\s*(?:([AaPp])\.?\s*[Mm]\b\.?)?\s*\}?", re.ASCII
)
_CLOCK = re.compile(r"(\d{1,2})\s*(?:\\?text\s*\{)?\s*([AaPp])\.?\s*[Mm]\b\.?\s*\}?", re.ASCII)
_ALL_TEXT = re.compile(r"\(?\s*\\text\s*\{([^{}\\]*)\}\s*\)?")
_REAL_WORDS = re.compile(r"(?:x\s*\\in\s*)?(?:all|any|every)?\s*(?:the\s+)?reals?(?:\s+numbers?)?(?:\s+x)?", re.IGNORECASE)
_POSITIVE = re.compile(
    r"(?:x\s*\\in\s*)?\\reals\s*(?:\^|_)\s*\{?\s*(?:\+|>\s*0)\s*\}?|(?:all\s+)?positive reals?(?:\s+numbers?)?", re.I
)
_EXCEPT_WORDS = re.compile(
    r"(?:all|every)?\s*reals?(?:\s+numbers?)?(?:\s+x)?,?\s+(?:except|excluding|other than|but)(?:\s+for)?\s+(?:x\s*=\s*)?(.{1,60})",
    re.I,
)
_EMPTY_WORDS = re.compile(
    r"(?:there (?:is|are) )?no (?:real )?(?:solutions?|such \w+|roots?)|empty set|the empty set|\\\{\s*\\\}|none", re.I
)


def _special(text: str) -> Node | None:
    """Times of day, the set of all reals in words and the empty set in words."""
    bare = text
    if match := _TIME.fullmatch(bare):
        half = match[4].lower() if match[4] else None
        hour = int(match[1])
        if hour <= 24 and (half or match[3] or len(match[2]) == 2):
            return Node("time", (), (hour, int(match[2]), int(match[3] or 0), half))
    if match := _CLOCK.fullmatch(bare):
        return Node("time", (), (int(match[1]), 0, 0, match[2].lower()))
    if _POSITIVE.fullmatch(bare):
        low = "(" if "+" in bare or "positive" in bare else "["
        return Node("seq", (number(0), INFINITY), low + ")")
    words = re.sub(r"\\text\s*\{([^{}]*)\}", r"\1", bare).strip()
    if words and _REAL_WORDS.fullmatch(words):
        return REALS
    if match := _EXCEPT_WORDS.fullmatch(words):
        excluded = _inner(match[1])
        return Node("minus", (REALS, Node("set", excluded.args if excluded.op == "list" else (excluded,))))
    if words and _EMPTY_WORDS.fullmatch(words):
        return EMPTY
    return None


_PLAIN_SET = re.compile(r"\{(?:\s*|[^{}]*[|:,][^{}]*)\}")
_LEAD = re.compile(
    r"(?:(?:therefore|thus|so|hence|finally|approximately|about|roughly|approx\.?|exactly|equals?|answer\s*[:=]|"
    r"final answer\s*[:=]|(?:\\text\s*\{\s*)?the (?:final )?answer (?:is|equals)\s*:?\s*\}?|it is|we get|we have|\\approx|=|\\therefore)\s*[:,]?\s*)+",
    re.IGNORECASE,
)


@lru_cache(maxsize=2048)
def parse(text: str) -> Node:
    """Return the tree of `text` as written in an answer; raises UnreadableError with the place and the reason."""
    if len(text) > 10_000:
        raise UnreadableError(f"{len(text)} characters")
    cleaned = clean(text)
    if not cleaned:
        raise UnreadableError("nothing to read")
    if match := _LEAD.match(cleaned):
        cleaned = cleaned[match.end() :] or cleaned
    if cleaned[0] == "{" and cleaned[-1] == "}" and _PLAIN_SET.fullmatch(cleaned):
        cleaned = f"\\{{{cleaned[1:-1]}\\}}"
    elif cleaned[0] == "<" and cleaned[-1] == ">":
        cleaned = rf"\langle {cleaned[1:-1]}\rangle"
    if node := _special(cleaned):
        return node
    if (match := _ALL_TEXT.fullmatch(cleaned)) and re.search(r"\d", match[1]):
        cleaned = match[1]
    try:
        return _Parser(tokenize(cleaned)).whole()
    except RecursionError:
        raise UnreadableError("nested too deep") from None


def fraction_of(node: Node) -> Fraction | None:
    """Return the value of a literal, a negated literal or a quotient of two, without any evaluation."""
    if node.op == "num":
        return Fraction(node.value)
    if node.op == "dec":
        return Fraction(node.value[0])
    if node.op == "neg" and (inner := fraction_of(node.args[0])) is not None:
        return -inner
    return None
