"""Signs, exponents, LaTeX groups and what may follow a value: factorial, percent, degrees, primes."""

from rewards.math.grammar.cursor import Cursor
from rewards.math.grammar.tokens import Token
from rewards.math.tree import Node, UnreadableError, number


class Suffixes(Cursor):
    """Rules between a product and an atom."""

    def signs(self) -> int:
        """Take signs and return their product."""
        sign = 1
        while self.at("-", "+"):
            if self.at("-"):
                sign = -sign
            self.index += 1
        return sign

    def power(self) -> Node:
        """Return a power; only integer exponents, estimated before they are computed."""
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
        """Return what stands behind ^."""
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
        """Return an atom with its suffixes."""
        return self.suffixes(self.atom())

    def suffixes(self, node: Node) -> Node:
        """Apply what follows a value: !, %, degrees, primes."""
        while True:
            if self.at("!") and self.ahead().text != "=":
                self.index += 1
                node = Node("fact2", (node,)) if self.take("!") else Node("fact", (node,))
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
        """Return degrees, or a temperature."""
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
        """Return a name with one more prime."""
        if node.op == "sym":
            return node._replace(value=node.value + "'")
        raise UnreadableError("a prime on what is no name")
