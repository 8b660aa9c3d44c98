"""Values: literals in any base, names, words, and everything in brackets."""

import re
from abc import abstractmethod
from fractions import Fraction

from rewards.math import units
from rewards.math.grammar.suffixes import Suffixes
from rewards.math.grammar.tokens import Token
from rewards.math.grammar.vocabulary import (
    ALIASES,
    CALLS,
    CURRENCIES,
    FUNCTIONS,
    GREEK,
    PACKED,
    RELATIONS,
    SCALES,
    SETS,
    WORD_NUMBERS,
)
from rewards.math.tree import EULER, IMAGINARY, INFINITY, PI, REALS, Node, UnreadableError, number, symbols

_IN_BASE = re.compile(r"([0-9A-F]+)\)_")
_INFINITE = re.compile(r"(?:(positive|plus|negative|minus)\s+)?infinity")


class Atoms(Suffixes):
    """Rules for a value without suffixes."""

    def atom(self) -> Node:
        """Return a value without suffixes."""
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
        elif self.at("(") and (digits := _IN_BASE.match("".join(t.text for t in self.tokens[self.index + 1 : self.index + 6]))):
            while not self.at("_"):
                self.index += 1
            node = self.in_base(digits[1])
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
        if self.now.kind == "name" and self.now.text in SCALES:
            scale = SCALES[self.now.text]
            self.index += 1
            return Node("mul", (token.node, number(scale)))
        if self.now.kind == "text" and self.now.text.strip() in SCALES:
            scale = SCALES[self.now.text.strip()]
            self.index += 1
            return Node("mul", (token.node, number(scale)))
        return token.node

    def in_base(self, digits: str) -> Node:
        """Return `digits` read in the base that the subscript names."""
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

    def named(self) -> Node:
        """Return what a run of letters stands for."""
        token = self.now
        text = token.text
        if self.is_function(token):
            self.index += 1
            return self.function(ALIASES.get(text, text))
        if text in ("pi", "Pi", "PI"):
            self.index += 1
            return PI
        if text in ("oo", "inf", "infty", "infinity", "Infinity"):
            self.index += 1
            return INFINITY
        if text in CURRENCIES and self.ahead(1 + (self.ahead().text == ".")).kind == "num":
            self.index += 1
            self.take(".")
            return Node("unit", (self.power(),), text)
        if text in GREEK or text == "theta":
            self.index += 1
            return self.subscripted(Node("sym", (), "\\" + text))
        if text in ("frac", "sqrt"):
            self.tokens[self.index] = token._replace(kind="cmd")
            return self.command()
        if re.fullmatch(r"[A-F]{1,4}", text) and self.ahead().kind == "num" and self.ahead(2).text == "_":
            self.index += 2
            return self.in_base(text + self.ahead(-1).text)
        if re.fullmatch(r"[A-F]+", text) and [t.text for t in self.tokens[self.index + 1 : self.index + 4]] == ["_", "{", "16"]:
            self.index += 1
            return self.in_base(text)
        if self.is_word(token):
            if len(text) > 3 or text not in units.WORDS:
                return self.worded()
            self.split_name()  # mg/k: a unit only behind a number
            text = text[0]
        if packed := (PACKED.match(text) if len(text) > 2 else None):
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
        if self.at("(") and letter in CALLS and not self.now.spaced:
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
        ) and self.ahead(5).text == "(":
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
        if words in (["minus"], ["negative"]) and (self.now.kind == "num" or self.now.text == "infinity"):
            return Node("neg", (self.power(),))
        return self.from_words(" ".join(words))

    def from_words(self, text: str) -> Node:
        """Return a number in words, or a name where a relation follows."""
        key = text.strip().lower()
        if key in WORD_NUMBERS:
            return number(WORD_NUMBERS[key])
        if match := _INFINITE.fullmatch(key):
            return Node("neg", (INFINITY,)) if match[1] in ("negative", "minus") else INFINITY
        if self.at("=", "\\approx", ":", "<", ">", "\\le", "\\ge", "\\in"):
            return Node("sym", (), key)
        raise self.unreadable(f"words where a value is expected ({key[:20]!r})")

    def texted(self) -> Node:
        r"""Return what \\text{...} stands for where a value is expected."""
        token = self.now
        self.index += 1
        text = token.text.strip().strip(":").strip()
        if self.at("_") and re.fullmatch(r"[0-9A-Z]+", text):
            return self.in_base(text)
        if text in FUNCTIONS and self.at("("):
            return self.function(text)
        if re.fullmatch(r"[-+]?[\d.,/]+|[A-Za-z]", text) or re.search(r"[\\^=+]", text):
            return self.inner(text)
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

    def builds(self) -> bool:
        """Tell whether a set goes on as `head | condition` or `head : condition`; other bars come in pairs."""
        depth, bars, colon, relation = 0, 0, False, False
        for token in self.tokens[self.index :]:
            if token.kind == "op":
                depth += (token.text in ("(", "[", "{", "\\{")) - (token.text in (")", "]", "}", "\\}"))
            if depth < 0:
                break
            if depth == 0 and token.kind in ("op", "cmd"):
                bars += token.text == "|"
                colon = colon or token.text == ":"
                relation = relation or ((colon or bars > 0) and ("\\" * (token.kind == "cmd") + token.text) in RELATIONS)
        return relation and (colon or bars % 2 == 1)

    def builder(self) -> Node | None:
        """The inside of {x | condition} or {x in S : condition} behind its brace, or None where it is another set.

        The value is the domain of the variable where one other than the reals is written.
        """
        if not self.builds():
            return None
        self.bars += 1
        head = self.sum()
        domain = self.sets() if self.take("\\in") else REALS
        self.bars -= 1
        if not self.take("|", ":") or domain not in SETS.values():
            raise self.unreadable("expected the condition of a set")
        condition = self.answer()
        self.expect("\\}")
        parts = condition.args if condition.op == "list" else ()
        domains = [part for part in parts if part.op == "rel" and part.value == ("in",) and part.args[1] in SETS.values()]
        if len(domains) == 1 and domain == REALS and symbols(head) == symbols(domains[0].args[0]):
            domain = domains[0].args[1]
            rest = tuple(part for part in parts if part is not domains[0])
            condition = rest[0] if len(rest) == 1 else condition._replace(args=rest)
        return Node("build", (head, condition), None if domain == REALS else domain.value)

    @abstractmethod
    def inner(self, text: str) -> Node:
        """Return the tree of a text inside of this one."""
