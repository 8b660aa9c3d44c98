"""LaTeX commands and known functions: roots, logarithms, sums, matrices."""

from rewards.math.grammar.atoms import Atoms
from rewards.math.grammar.tokens import tokenize
from rewards.math.grammar.vocabulary import (
    ACCENTS,
    ALIASES,
    CASE_WORDS,
    FUNCTIONS,
    GREEK,
    OTHERWISE_WORDS,
    SETS,
)
from rewards.math.tree import EULER, IMAGINARY, INFINITY, MAX_DEPTH, OTHERWISE, PI, TWO, Node, UnreadableError, number
from rewards.math.vectors import AXES, marked

MAX_DETERMINANT = 4  # expanded by its first row: 4! products


def _determinant(rows: list[list[Node]]) -> Node:
    if len(rows) == 1:
        return rows[0][0]
    terms = []
    for column, entry in enumerate(rows[0]):
        minor = _determinant([row[:column] + row[column + 1 :] for row in rows[1:]])
        term = Node("mul", (entry, minor))
        terms.append(Node("neg", (term,)) if column % 2 else term)
    return Node("add", tuple(terms))


def _differential(node: Node) -> str:
    r"""Return `dx`, `d^2y` or `\partial x\partial y` as one name, "" where it is none."""
    factors: list[str] = []
    while node.op == "mul":
        factors.insert(0, _written(node.args[1]))
        node = node.args[0]
    factors.insert(0, _written(node))
    return "".join(factors) if all(factors) and factors[0].split("^")[0] in ("d", "\\partial") else ""


def _written(node: Node) -> str:
    if node.op == "pow" and node.args[0].op == "sym" and node.args[1].op == "num":
        return f"{node.args[0].value}^{node.args[1].value}"
    return str(node.value) if node.op == "sym" else ""


class Commands(Atoms):
    """Rules for what begins with a backslash or a function name."""

    def command(self) -> Node:
        """Return what a LaTeX command stands for."""
        name = self.now.text
        if name in FUNCTIONS or name in ALIASES:
            self.index += 1
            if name == "sqrt":
                return self.root()
            if name == "binom":
                top = self.argument_group()
                return Node("fn", (top, self.argument_group()), "binom")
            return self.function(ALIASES.get(name, name))
        self.index += 1
        if name == "frac":
            top, bottom = self.argument_group(), self.argument_group()
            if top.op == bottom.op == "mul" and (names := (_differential(top), _differential(bottom))) and all(names):
                return Node("sym", (), "/".join(names))
            return Node("div", (top, bottom), "frac")
        if name == "pi":
            return PI
        if name == "infty":
            return INFINITY
        if name == "ldots":
            return Node("sym", (), "\\ldots")
        if name in SETS:
            return SETS[name]
        if self.at("(") and (name == "Gamma" or (name == "zeta" and self.ahead().kind == "num" and self.ahead(2).text == ")")):
            return Node("fn", (self.bracketed(),), name.lower())
        if name in GREEK or name == "partial":
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
            if token.text in FUNCTIONS or token.text in ALIASES:
                return self.function(ALIASES.get(token.text, token.text))
            return self.called(self.subscripted(Node("sym", (), token.text)))
        if name in ACCENTS:
            inner = self.argument_group()
            if name in ("hat", "widehat", "vec", "overrightarrow"):
                inner = marked(inner)
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
        """Return a root with its index."""
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
        """Return a floor, a ceiling or an angle-bracket vector."""
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
                base = self.argument_group() if self.now.kind != "num" else self.literal()
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
        elif name == "cis":
            turned = Node("mul", (IMAGINARY, Node("fn", args, "sin")))
            node = Node("add", (Node("fn", args, "cos"), turned))
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
        """Return the power between a function and its argument."""
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
            if self.at("\\hat", "\\vec") and self.ahead(2).text in AXES:
                break
            bracket = self.now.kind == "op" and self.at("(", "[", "{", "\\{")
            if bracket and (node.op not in ("num", "div", "const") or self.at("\\{", "[")):
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
        """Take {name} and return the name."""
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
        if name == "cases":
            self.split_cases()
        rows: list[list[Node]] = [[]]
        while not self.take("\\end"):
            if self.take("&"):
                continue
            if self.take("\\\\", "\\cr", "\\hline"):
                if rows[-1]:
                    rows.append([])
                continue
            if name == "cases" and self.take(","):
                continue
            if self.now.kind == "end":
                raise self.unreadable("a matrix that does not close")
            rows[-1].append(self.condition() if name == "cases" and rows[-1] else self.statement())
        self.environment()
        self.bars, self.argument = bars, outer
        if not rows[-1]:
            rows.pop()
        if name == "cases" and all(len(row) == 2 and row[0].op != "rel" for row in rows):
            return Node("cases", tuple(Node("seq", tuple(row), "()") for row in rows))
        if name == "cases":
            return Node("list", tuple(row[0] if len(row) == 1 else Node("seq", tuple(row), "()") for row in rows), ",")
        if not rows or len({len(row) for row in rows}) != 1:
            raise self.unreadable("rows of different lengths")
        node = Node("mat", tuple(cell for row in rows for cell in row), len(rows[0]))
        if name == "vmatrix" and len(rows) == len(rows[0]) <= MAX_DETERMINANT:
            return _determinant(rows)
        return Node("fn", (node,), "det") if name == "vmatrix" else node

    def split_cases(self) -> None:
        """Turn the words up to the end of the environment into names, and "if" and its like into a column separator."""
        index = self.index
        while (token := self.tokens[index]).kind != "end" and (token.kind, token.text) != ("cmd", "end"):
            if token.kind == "text":
                self.tokens[index : index + 1] = tokenize(token.text.strip(" ,;."))[:-1]
                continue
            if token.kind == "name" and token.text.lower() in CASE_WORDS:
                self.tokens[index] = token._replace(kind="op", text="&")
            elif token.kind == "name" and token.text.lower() in OTHERWISE_WORDS:
                self.tokens.insert(index, token._replace(kind="op", text="&"))
                index += 1
            index += 1

    def condition(self) -> Node:
        """What stands behind a case: a statement or several joined by "or", "n is odd", or "otherwise"."""
        if self.now.kind == "name" and self.now.text.lower() in OTHERWISE_WORDS:
            self.index += 1
            return OTHERWISE
        if self.now.kind == self.ahead().kind == "name" and self.is_word(self.ahead()):
            subject = Node("sym", (), self.now.text)
            words = []
            while self.ahead().kind == "name":
                self.index += 1
                words.append(self.now.text.lower())
            self.index += 1
            return Node("is", (subject,), " ".join(word for word in words if word not in ("is", "are", "a", "an")))
        node = self.statement()
        while self.now.kind == "name" and self.now.text == "or":
            self.index += 1
            node = Node("or", (node, self.statement()))
        return node
