r"""What a LaTeX command stands for where a value is expected: fractions, roots, letters, fences, sums over an index.

`\sqrt[3]{x}` is Node("root", (x, 3)), and `\sum_{k=1}^{n} k` is Node("sum", (k, 1, n, k)).
"""

from rewards.math.grammar.bases import read_in_base
from rewards.math.grammar.brackets import read_argument, read_bracketed, read_group
from rewards.math.grammar.calculus import derivative_of_numerator, read_derivative, read_integral, read_limit
from rewards.math.grammar.cursor import Cursor
from rewards.math.grammar.derivatives import DOTS, dotted, leibniz, read_differential_quotient
from rewards.math.grammar.environments import read_environment
from rewards.math.grammar.functions import read_function
from rewards.math.grammar.names import read_defined
from rewards.math.grammar.subscripts import read_subscripts
from rewards.math.grammar.tokens import Token
from rewards.math.grammar.vocabulary import ACCENTS, ALIASES, ELLIPSIS, GREEK, SETS, is_function
from rewards.math.tree import EULER, INFINITY, PI, TWO, Node, Op, UnreadableError
from rewards.math.vectors import marked

_TRANSPOSED = Node("sym", (), "\\top")
_CONSTANTS = {"pi": PI, "infty": INFINITY, "ldots": ELLIPSIS, "top": _TRANSPOSED, "intercal": _TRANSPOSED, **SETS}
_OF_MATRICES = {"tr": "tr", "trace": "tr", "rank": "rank"}
_PREFIXES: dict[str, Op] = {"pm": "pm", "mp": "mp", "neg": "not"}
_SERIES: dict[str, Op] = {"sum": "sum", "prod": "prod"}
_VECTOR_MARKS = frozenset(("hat", "widehat", "vec", "overrightarrow"))
_FENCES = {"lfloor": ("\\rfloor", "floor"), "lceil": ("\\rceil", "ceil"), "lvert": ("\\rvert", "abs")}
_OVER_DIGITS = frozenset(("overline", "bar", "underline"))
_QUOTIENTS = {"dv": "d", "odv": "d", "pdv": "\\partial"}  # of the package physics: \dv{y}{x}
_KEPT_BESIDE_NAME = {
    "bar": "bar", "overline": "bar", "hat": "hat", "widehat": "hat", "tilde": "tilde", "widetilde": "tilde",
}  # fmt: skip
_NAMED_SHAPES = frozenset(("triangle", "angle", "measuredangle", "square"))


def read_command(cursor: Cursor) -> Node:
    """Read a command with what belongs to it."""
    if cursor.now.text == "partial" and (derivative := read_differential_quotient(cursor)):
        return derivative
    token = cursor.advance()
    name = token.text
    if is_function(name):
        return _read_function_command(cursor, name)
    if name in _OF_MATRICES:
        return read_function(cursor, _OF_MATRICES[name])
    if name == "frac":
        return _read_fraction(cursor)
    if name in _CONSTANTS:
        return _CONSTANTS[name]
    if cursor.at("(") and _is_named_function(cursor, name):
        return Node("fn", (read_bracketed(cursor),), name.lower())
    if name in GREEK or name == "partial":
        return read_defined(cursor, read_subscripts(cursor, Node("sym", (), "\\" + name)))
    if name in _FENCES or name == "langle":
        return _read_fenced(cursor, name)
    if name == "begin":
        return read_environment(cursor)
    if name == "int":
        return read_integral(cursor)
    if name == "lim":
        return read_limit(cursor)
    if name in _SERIES:
        return _read_series(cursor, _SERIES[name])
    if name in _OVER_DIGITS and (digits := _digits_in_base(cursor)):
        return digits
    if name in _QUOTIENTS:
        return _read_quotient_command(cursor, _QUOTIENTS[name])
    if name in ACCENTS:
        return _read_accented(cursor, name)
    if name in _NAMED_SHAPES:
        return Node("sym", (), f"\\{name} {_read_points(cursor)}")
    if name in _PREFIXES:
        return Node(_PREFIXES[name], (cursor.rules.power(cursor),))
    raise UnreadableError(f"an unknown command \\{name} at {token.place}")


def _read_function_command(cursor: Cursor, name: str) -> Node:
    if name == "sqrt":
        return _read_root(cursor)
    if name in ("binom", "permutations"):
        n, k = read_argument(cursor), read_argument(cursor)
        return _multinomial(n, k.args) if k.op == "set" else Node("fn", (n, k), name)
    return read_function(cursor, ALIASES.get(name, name))


def _multinomial(n: Node, parts: tuple[Node, ...]) -> Node:
    """Return the number of ways to cut n things into parts of these sizes, where the sizes add up."""
    if any(part.op != "num" for part in (n, *parts)) or sum(part.value for part in parts) != n.value:
        raise UnreadableError("parts that are no sizes")
    bottom = Node("fact", (parts[0],))
    for part in parts[1:]:
        bottom = Node("mul", (bottom, Node("fact", (part,))))
    return Node("div", (Node("fact", (n,)), bottom))


def _is_named_function(cursor: Cursor, name: str) -> bool:
    r"""Tell whether a Greek letter in front of a bracket is a function: \Gamma(x) always, \zeta(2) only of a number."""
    return name == "Gamma" or (name == "zeta" and cursor.ahead().kind == "num" and cursor.ahead(2).text == ")")


def _read_fraction(cursor: Cursor) -> Node:
    r"""Read a quotient; a derivative such as \frac{dy}{dx} is one name, \frac{d}{dx} is applied to what follows."""
    of_bracket = cursor.at("{") and cursor.texts_ahead(2) == ["d", "("]
    top, bottom = read_argument(cursor), read_argument(cursor)
    if derived := read_derivative(cursor, top, bottom) or (derivative_of_numerator(top, bottom) if of_bracket else None):
        return derived
    if top.op == bottom.op == "mul":
        above, below = _differential(top), _differential(bottom)
        if above and below:
            return Node("sym", (), f"{above}/{below}")
    return Node("div", (top, bottom), "frac")


def _differential(node: Node) -> str:
    r"""Return `dx`, `d^2y` or `\partial x\partial y` as one name, "" where it is none."""
    factors: list[str] = []
    while node.op == "mul":
        factors.insert(0, _factor_name(node.args[1]))
        node = node.args[0]
    factors.insert(0, _factor_name(node))
    return "".join(factors) if all(factors) and factors[0].split("^")[0] in ("d", "\\partial") else ""


def _factor_name(node: Node) -> str:
    """Return a name, or a name with a number as its power, as written; "" for anything else."""
    if node.op == "pow" and node.args[0].op == "sym" and node.args[1].op == "num":
        return f"{node.args[0].value}^{node.args[1].value}"
    return str(node.value) if node.op == "sym" else ""


def _read_root(cursor: Cursor) -> Node:
    """Read the index and the radicand of a root, which needs no braces."""
    index = TWO
    if cursor.take("["):
        index = cursor.rules.sum(cursor)
        cursor.expect("]")
    if cursor.at("{"):
        return Node("root", (read_group(cursor), index))
    if cursor.at("("):
        return Node("root", (read_bracketed(cursor), index))
    if cursor.now.kind == "name" and len(cursor.now.text) > 1:
        cursor.split_name()
    return Node("root", (cursor.rules.atom(cursor), index))


def _read_fenced(cursor: Cursor, name: str) -> Node:
    """Read a floor, a ceiling, an absolute value or a vector in angle brackets."""
    outer = cursor.enter()
    if name == "langle":
        items = [cursor.rules.statement(cursor)]
        while cursor.take(",", ";"):
            items.append(cursor.rules.statement(cursor))
        cursor.expect("\\rangle")
        node = Node("seq", tuple(items), "<>")
    else:
        closing, function = _FENCES[name]
        node = Node("fn", (cursor.rules.sum(cursor),), function)
        cursor.expect(closing)
    cursor.leave(outer)
    return node


def _read_accented(cursor: Cursor, name: str) -> Node:
    """Read what an accent stands above; a name stays itself, but for the unit vectors i, j, k and under dots."""
    inner = read_argument(cursor)
    if inner == EULER and name in _VECTOR_MARKS:  # \vec e_1
        inner = Node("sym", (), "e")
    if inner.op == "sym":
        inner = read_subscripts(cursor, inner)
    if name in DOTS:
        return dotted(inner, DOTS[name]) if inner.op == "sym" else Node("fn", (inner,), name)
    if name in _KEPT_BESIDE_NAME and inner.op == "sym" and _is_bare_too(cursor, inner.value):
        return inner._replace(value=f"\\{_KEPT_BESIDE_NAME[name]} {inner.value}")
    if name in _VECTOR_MARKS:
        inner = marked(inner)
    return inner if inner.op == "sym" else Node("fn", (inner,), name)


def _is_bare_too(cursor: Cursor, name: str) -> bool:
    r"""Tell whether a name under an accent stands in the same formula without one: z \bar z is no square."""
    if cursor.bare is None:
        cursor.bare = frozenset().union(*(_bare_names(cursor.tokens, index) for index in range(len(cursor.tokens))))
    return name.partition("_")[0] in cursor.bare


def _bare_names(tokens: list[Token], index: int) -> set[str]:
    """Return the name at `index`, and its letters as names side by side, where no accent stands in front of it."""
    token = tokens[index]
    if (token.kind == "cmd" and token.text not in GREEK) or token.kind not in ("cmd", "name"):
        return set()
    before = tokens[index - 1] if index else token
    opening = tokens[index - 2] if index > 1 and before.sign == "{" else before
    if opening.kind == "cmd" and opening.text in ACCENTS:
        return set(token.text[1:]) if opening is before and token.kind == "name" else set()
    return {"\\" + token.text} if token.kind == "cmd" else {token.text, *token.text}


def _digits_in_base(cursor: Cursor) -> Node | None:
    r"""Read {2201}_3 behind \overline; None, with the cursor where it was, for anything else."""
    digits = cursor.ahead()
    if not cursor.at("{") or digits.kind != "num" or cursor.ahead(2).sign != "}" or cursor.ahead(3).sign != "_":
        return None
    cursor.index += 3
    return read_in_base(cursor, digits.text)


def _read_quotient_command(cursor: Cursor, mark: str) -> Node:
    order = 1
    if cursor.at("[") and cursor.ahead().text in tuple("23456789") and cursor.ahead(2).sign == "]":
        order = int(cursor.ahead().text)
        cursor.index += 3
    function, variable = read_argument(cursor), read_argument(cursor)
    if function.op != "sym" or variable.op != "sym":
        raise cursor.unreadable("a derivative of what is no name")
    return Node("sym", (), leibniz(mark, function.value, variable.value, order))


def _read_points(cursor: Cursor) -> str:
    r"""Read what names a triangle or an angle: ABC, {ABC}, A_1OA_2, a Greek letter or a number."""
    grouped = cursor.take("{")
    names: list[str] = []
    while (token := cursor.now).kind == "name" and not (names and token.spaced):
        cursor.advance()
        names.append(str(read_subscripts(cursor, Node("sym", (), token.text)).value))
    if not names:
        if cursor.now.kind not in ("num", "cmd") or cursor.now.text == "end":
            raise cursor.unreadable("expected a name")
        names.append(cursor.advance().text)
    if grouped:
        cursor.expect("}")
    return "".join(names)


def _read_series(cursor: Cursor, op: Op) -> Node:
    """Read the index, the bounds and the body of a sum or product."""
    variable: Node | None = None
    low: Node | None = None
    high: Node | None = None
    while cursor.at("_", "^"):
        if cursor.advance().text == "^":
            high = read_argument(cursor)
        else:
            variable, low = _read_index(cursor)
    if variable is None or low is None or high is None:
        raise cursor.unreadable("a sum without bounds")
    start, unread = cursor.index, list(cursor.tokens[cursor.index :])
    body = cursor.rules.product(cursor)
    if variable.value == "i":
        # Here i is the index and not the imaginary unit, as which the body was read: read it again with another letter.
        left = len(cursor.tokens) - cursor.index
        read, rest = unread[: len(unread) - left], unread[len(unread) - left :]
        is_index = [token.kind == "name" and token.text == "i" for token in read]
        cursor.tokens[start:] = [
            token._replace(text="j") if here else token for token, here in zip(read, is_index, strict=True)
        ] + rest
        cursor.index = start
        variable = Node("sym", (), "j")
        body = cursor.rules.product(cursor)
    return Node(op, (variable, low, high, body))


def _read_index(cursor: Cursor) -> tuple[Node, Node]:
    """Read {k = low} and return both."""
    if not cursor.take("{") or cursor.now.kind != "name" or len(cursor.now.text) != 1 or cursor.ahead().text != "=":
        raise cursor.unreadable("a sum without an index")
    variable = Node("sym", (), cursor.advance().text)
    cursor.advance()
    low = cursor.rules.sum(cursor)
    cursor.expect("}")
    return variable, low
