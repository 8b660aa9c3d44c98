r"""Recursive descent from text to the tree of `tree.py`, for LaTeX and plain notation alike.

    answer    := statement ((","|";"|"and"|"or") statement)*
    statement := sets (("="|"<"|"<="|"in"|...) sets)*
    sets      := sum (("\cup"|"\cap"|"\setminus") sum)*
    sum       := product (("+"|"-"|"\pm") product)*
    product   := unary (("*"|"/"|nothing) unary)* units?
    unary     := ("-"|"+")* power
    power     := postfix ("^" unary)?

A quantifier or a modulus at the end is cut off before (`quantifiers.py`). Depth, tokens and digits are bounded. What is not
understood raises UnreadableError with the place and the reason.
"""

import re
from fractions import Fraction
from functools import lru_cache

from rewards.math import units
from rewards.math.grammar.clean import clean
from rewards.math.grammar.commands import Commands
from rewards.math.grammar.quantifiers import bind, residue_class, split_modulus, split_tail
from rewards.math.grammar.tokens import Token, tokenize
from rewards.math.grammar.vocabulary import (
    ACCENTS,
    ALIASES,
    FUNCTIONS,
    GREEK,
    NO_PRODUCT,
    PACKED,
    RELATIONS,
    ROUGHLY,
    SCALES,
    SEPARATOR_WORDS,
    SET_WORDS,
    SETS,
)
from rewards.math.tree import EMPTY, INFINITY, REALS, Node, UnreadableError, contains, number


class _Parser(Commands):
    """The rules above the atoms."""

    def whole(self) -> Node:
        node = self.answer()
        if self.now.kind != "end":
            raise self.unreadable("unexpected")
        return node

    def separator(self) -> str | None:
        """Take what stands between two items of a collection and return ",", "and" or "or", or None where there is nothing."""
        found: str | None = None
        while True:
            token = self.now
            word = token.text.strip(" ,.").lower() if token.kind in ("name", "text") else None
            if self.at(",", ";", "&", "&&") or (token.kind == "text" and not word):
                found = found or ","
            elif word == "and":
                found = "and"
            elif word == "or" or self.at("||"):
                found = "or"
            else:
                return found
            self.index += 1

    def answer(self) -> Node:
        items = [self.statement()]
        kind = ","
        while separator := self.separator():
            if separator != "," and kind != "or":
                kind = separator
            if self.now.kind == "end":
                break
            items.append(self.statement())
        if kind == "and" and not all(item.op == "rel" and "=" not in item.value for item in items):
            kind = ","  # only conditions are joined; values are listed
        return items[0] if len(items) == 1 else Node("list", tuple(items), kind)

    def statement(self) -> Node:
        self.deeper()
        members, operators = [self.sets()], []
        while True:
            token = self.now
            key = token.text if token.kind == "op" else "\\" + token.text if token.kind == "cmd" else ""
            operator = RELATIONS.get(key)
            if operator is None or (key == "|" and self.bars):
                if key == ":" and members[-1].op in ("sym", "call") and members[-1].value != "\\lambda":  # a label: "Answer: 5"
                    operator = "="
                else:
                    break
            self.index += 1
            if operator in ("=>", "propto"):
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
            op = SET_WORDS.get(key)
            if op is None and token.kind == "name" and token.text == "U" and (node.op in ("seq", "set", "union")):
                op = "union"
            if op is None:
                return node
            self.index += 1
            node = Node(op, (node, self.ratio()))

    def ratio(self) -> Node:
        parts = [self.sum()]
        while (self.at(":") and (parts[-1].op not in ("sym", "call") or self.ratio_of_names())) or self.says_to():
            self.index += 1
            parts.append(self.sum())
        return parts[0] if len(parts) == 1 else Node("ratio", tuple(parts))

    def ratio_of_names(self) -> bool:
        """Tell whether this colon is the first or a later one in `a:b:c = 1:2:3`, not the one behind a label."""
        left, _, right = "".join(token.text for token in self.tokens[self.index : self.index + 30]).partition("=")
        return ":" in right and re.fullmatch(r"(?::[A-Za-z]{1,2})+", left) is not None

    def says_to(self) -> bool:
        """Tell whether the ratio `3 to 4` goes on here."""
        return self.now.text.strip() == "to" and self.now.kind in ("name", "text") and self.ahead().kind == "num"

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
            return name in ACCENTS or name in SETS or name in GREEK or name in FUNCTIONS or name in ALIASES or name in (
                "frac", "sqrt", "binom", "pi", "infty", "lfloor", "lceil", "langle", "begin", "sum", "prod", "operatorname",
                "triangle", "angle", "partial",
            )  # fmt: skip
        return False

    def is_word(self, token: Token) -> bool:
        """Tell whether a run of letters is English rather than a function, a constant or a product of variables."""
        text = token.text
        if (
            (text not in ("min", "sec") and (text in FUNCTIONS or text in ALIASES))
            or text in GREEK
            or text in ("pi", "infty", "oo", "inf", "infinity", "frac")
        ):
            return False
        if text in ("min", "sec") and self.now is token and self.ahead().text not in ("(", "{", "\\{", "^", "_"):
            return self.index > 0 and self.tokens[self.index - 1].kind == "num"  # minutes and seconds
        if text in units.WORDS:
            return True
        if text.lower() in NO_PRODUCT or text in ("and", "or"):
            return not (len(text) == 2 and self.now is token and self.ahead().text == "^")  # Be^x
        return len(text) > 3 and not text.isupper() and not PACKED.match(text)

    def product(self) -> Node:
        self.deeper()
        sign = self.signs()
        node = self.power()
        measured = False  # a unit is the last factor of what stands side by side
        while True:
            if self.take("*", "\\cdot", "\\times"):
                if self.at("\\cdot"):
                    raise self.unreadable("expected a factor")
                inner = self.signs()
                factor = self.power()
                node = Node("mul", (node, Node("neg", (factor,)) if inner < 0 else factor))
            elif (
                self.now.text == "x"
                and node.op in ("num", "dec")
                and self.ahead().kind == "num"
                and ((self.now.spaced and self.ahead().spaced) or self.ahead(2).text == "^")
            ):  # 3 x 10^8
                self.index += 1
                node = Node("mul", (node, self.power()))
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
                if self.argument and self.now.kind in ("cmd", "name") and self.is_function(self.now):
                    break
                if self.now.kind == "num" and node.op in ("num", "dec"):
                    raise self.unreadable("two numbers side by side")
                if measured and node.op == "unit":
                    raise self.unreadable("a factor behind a unit")
                mark = self.index
                factor = self.power()
                node = self.juxtaposed(node, factor, mark)
            elif unit := self.unit_phrase():
                if unit.islower() and " " not in unit and not contains(node, "num", "dec", "const", "unit"):
                    raise self.unreadable("words behind a name")
                node, measured = self.with_unit(node, unit), True
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
        if token.kind == "op" and token.text == "{" and node.op == "num" and factor.op == "num":
            raise UnreadableError(f"two numbers side by side at {token.place}")
        return Node("mul", (node, factor))

    def unit_phrase(self) -> str | None:
        """Take a unit or the words that name what is counted, with powers and slashes; None where there is none."""
        while self.now.kind == "text" and ROUGHLY.fullmatch(self.now.text.strip()):
            self.index += 1
        start = self.index
        pieces: list[str] = []
        while True:
            token = self.now
            word = token.text.strip()
            if (
                token.kind == "text"
                and word.strip(" ,.").lower() not in ("and", "or", "to", "")
                and not re.search(r"\d{2}|[=<>]|\b(or|and)\b", word)
            ) or (
                token.kind == "name"
                and word not in ("and", "or", "to")
                and (self.is_word(token) or (pieces and (word in units.SHORT or word in SEPARATOR_WORDS or len(word) > 1)))
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
            elif pieces and pieces[-1] in ("k", "M", "m") and self.at("\\Omega"):
                pieces[-1] += "\\Omega"
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
        if lower in SCALES:
            return Node("mul", (node, number(SCALES[lower])))
        first, _, rest = lower.partition(" ")
        if first in SCALES and rest:
            return Node("unit", (Node("mul", (node, number(SCALES[first]))),), rest)
        if node.op == "unit" and units.measure(node.value) and units.ratio(node.value, plain) is not None:
            return node  # "$5 dollars"
        return Node("unit", (node,), plain)

    def inner(self, text: str) -> Node:
        """Return the tree of a text inside of this one."""
        return _inner(text)


def _inner(text: str) -> Node:
    return _Parser(tokenize(text)).whole()


_TIME = re.compile(
    r"(\d{1,2})\s*:\s*([0-5]\d)(?:\s*:\s*([0-5]\d))?\s*(?:\\?text\s*\{)?\s*(?:([AaPp])\.?\s*[Mm]\b\.?)?\s*\}?", re.ASCII
)
_CLOCK = re.compile(r"(\d{1,2})\s*(?:\\?text\s*\{)?\s*([AaPp])\.?\s*[Mm]\b\.?\s*\}?", re.ASCII)
_ALL_TEXT = re.compile(r"\(?\s*\\text\s*\{([^{}\\]*)\}\s*\)?")
_REAL_WORDS = re.compile(r"(?:x\s*\\in\s*)?(?:all|any|every)?\s*(?:the\s+)?reals?(?:\s+numbers?)?(?:\s+x)?", re.IGNORECASE)
_POSITIVE = re.compile(r"(?:x\s*\\in\s*)?\\reals\s*(?:\^|_)\s*\{?\s*(?:\+|>\s*0)\s*\}?", re.I)
_SIGNED = re.compile(r"(?:all\s+)?(?:the\s+)?(non-?)?(positive|negative)\s+reals?(?:\s+numbers?)?", re.I)
_EXCEPT_WORDS = re.compile(
    r"(?:all|every)?\s*reals?(?:\s+numbers?)?(?:\s+x)?,?\s+(?:except|excluding|other than|but)(?:\s+for)?\s+"
    r"(?:x\s*=\s*)?(.{1,60})",
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
        return Node("seq", (number(0), INFINITY), "()" if "+" in bare else "[)")
    words = re.sub(r"\\text\s*\{([^{}]*)\}", r"\1", bare).strip()
    if words and _REAL_WORDS.fullmatch(words):
        return REALS
    if match := _SIGNED.fullmatch(words):
        above = (match[2].lower() == "positive") != bool(match[1])
        ends = (number(0), INFINITY) if above else (Node("neg", (INFINITY,)), number(0))
        closed = ("[)" if above else "(]") if match[1] else "()"
        return Node("seq", ends, closed)
    if match := _EXCEPT_WORDS.fullmatch(words):
        excluded = _inner(match[1])
        return Node("minus", (REALS, Node("set", excluded.args if excluded.op == "list" else (excluded,))))
    if words and _EMPTY_WORDS.fullmatch(words):
        return EMPTY
    return None


_PLAIN_SET = re.compile(r"\{(?:\s*|[^{}]*[|:,][^{}]*)\}")
_SYMPY_MATRIX = re.compile(r"Matrix\(\s*(\[.*\])\s*\)", re.DOTALL)
_RELATION = re.compile(r"[<>=]|\\(?:le|ge|ne|in)(?![A-Za-z])")
_TAIL = re.compile(r"\s+is the (?:final )?(?:answer|result|solution)$", re.IGNORECASE)
_LEAD = re.compile(
    r"(?:(?:therefore|thus|so|hence|finally|approximately|about|roughly|approx\.?|exactly|equals?|answer\s*[:=]|"
    r"final answer\s*[:=]|(?:\\text\s*\{\s*)?the (?:final )?answer (?:is|equals)\s*:?\s*\}?|it is|we get|"
    r"we have|\\approx|=|\\therefore)\s*[:,]?\s*)+",
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
    if match := _SYMPY_MATRIX.fullmatch(cleaned):
        cleaned = match[1]
    cleaned = _TAIL.sub("", cleaned) or cleaned
    if cleaned[0] == "{" and cleaned[-1] == "}" and _PLAIN_SET.fullmatch(cleaned):
        cleaned = f"\\{{{cleaned[1:-1]}\\}}"
    elif cleaned[0] == "<" and cleaned[-1] == ">":
        cleaned = rf"\langle {cleaned[1:-1]}\rangle"
    if _RELATION.search(cleaned):  # "or" between statements, not between sets
        cleaned = cleaned.replace("\\lor ", " or ").replace("\\land ", " and ")
    if node := _special(cleaned):
        return node
    if (match := _ALL_TEXT.fullmatch(cleaned)) and re.search(r"\d", match[1]):
        cleaned = match[1]
    try:
        return _bound(cleaned) or _inner(cleaned)
    except RecursionError:
        raise UnreadableError("nested too deep") from None


def _bound(text: str) -> Node | None:
    """Return a formula with a quantifier or a modulus behind it, or None where it has none or is to be read as a whole."""
    try:
        if "mod" in text and (parts := split_modulus(text)):
            return residue_class(_inner(parts[0]), _inner(parts[1]))
        if found := split_tail(text):
            return bind(_inner(found[0]), found[1])
    except UnreadableError:
        pass
    return None


def fraction_of(node: Node) -> Fraction | None:
    """Return the value of a literal, a negated literal or a quotient of two, without any evaluation."""
    if node.op == "num":
        return Fraction(node.value)
    if node.op == "dec":
        return Fraction(node.value[0])
    if node.op == "neg" and (inner := fraction_of(node.args[0])) is not None:
        return -inner
    return None
