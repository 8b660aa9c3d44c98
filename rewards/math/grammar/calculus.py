r"""Integrals, limits and derivatives.

`\int_0^1 x^2\,dx` is Node("int", (x, 0, 1, x^2)), `\lim_{x\to 0^+} \ln x` is Node("lim", (x, 0, \ln x), "+"), and
`\frac{d^2}{dx^2} x^3` is Node("diff", (x, 2, x^3)). An integral ends at its differential; a limit and a derivative reach over
the product that follows. What could be read in two ways that differ is not read.
"""

import re

from rewards.math.grammar.boundaries import starts_factor
from rewards.math.grammar.brackets import read_argument
from rewards.math.grammar.cursor import Cursor
from rewards.math.grammar.subscripts import read_subscripts
from rewards.math.grammar.tokens import Token
from rewards.math.grammar.vocabulary import GREEK, RELATIONS, is_function
from rewards.math.tree import OBJECTS, ONE, Node, UnreadableError, contains, number, substituted, symbols

_BEHIND_LETTERS = re.compile(r"([A-Za-z]*?)((?:d[A-Za-z])+)", re.ASCII)
_DIFFERENTIAL_NAME = re.compile(r"d[A-Za-z]", re.ASCII)
_MARK = "differential"  # a token of our own in front of the variable of a differential
_OPERATORS = ("d", "\\partial")
MAX_ORDER = 8

# -- integrals


def read_integral(cursor: Cursor) -> Node:
    r"""Read the bounds, the integrand and the differential behind \int."""
    low, high = _read_bounds(cursor)
    _mark_differentials(cursor)
    outer = cursor.enter()
    body = ONE if cursor.at(f"\\{_MARK}") else cursor.rules.sum(cursor)
    if not cursor.take(f"\\{_MARK}"):
        raise cursor.unreadable("an integral without a differential")
    variable = _read_variable(cursor)
    cursor.leave(outer)
    if body == ONE and cursor.take("/"):  # dx/x
        body = Node("div", (ONE, cursor.rules.power(cursor)))
    elif body == ONE and starts_factor(cursor):
        raise cursor.unreadable("an integrand behind its differential")
    return integral(body, variable, low, high)


def integral(body: Node, variable: Node, low: Node | None, high: Node | None) -> Node:
    """Return the integral of `body` over `variable`; without bounds it is an indefinite one."""
    if low is None or high is None:
        return Node("anti", (variable, body))
    if variable.value in symbols(low) | symbols(high):  # of \int_0^x x dx the bound name is another one
        renamed = Node("sym", (), f"\\dummy {variable.value}")
        return Node("int", (renamed, low, high, substituted(body, variable.value, renamed)))
    return Node("int", (variable, low, high, body))


def _read_bounds(cursor: Cursor) -> tuple[Node | None, Node | None]:
    low: Node | None = None
    high: Node | None = None
    while cursor.at("_", "^"):
        if cursor.advance().text == "^":
            high = read_argument(cursor)
        else:
            low = read_argument(cursor)
            if low.op == "rel" and low.value == ("=",):  # \int_{x=0}^{1}
                low = low.args[1]
    if (low is None) != (high is None) or any(bound is not None and bound.op in OBJECTS for bound in (low, high)):
        raise cursor.unreadable("an integral over what is no interval")
    return low, high


def _read_variable(cursor: Cursor) -> Node:
    token = cursor.advance()
    name = token.text if token.kind == "name" else "\\" + token.text
    return read_subscripts(cursor, Node("sym", (), name))


def _mark_differentials(cursor: Cursor) -> None:
    r"""Put a mark in front of the variable of every differential from here on; \frac{dx}{x} becomes \frac{1}{x} dx."""
    tokens = cursor.tokens
    index = cursor.index
    while index < len(tokens):
        token = tokens[index]
        if token.kind == "cmd" and token.text == _MARK:
            index += 2
        elif token.kind == "cmd" and token.text == "frac":
            index = _mark_in_fraction(tokens, index)
        elif marked := _marked(tokens, index):
            taken, put = marked
            tokens[index : index + taken] = put
            index += len(put)
        else:
            index += 1


def _marked(tokens: list[Token], index: int) -> tuple[int, list[Token]] | None:
    """Return (number of tokens taken, tokens put in their place) of a differential, or None where none is."""
    token = tokens[index]
    if token.kind != "name" or is_function(token.text):
        return None
    following = tokens[index + 1] if index + 1 < len(tokens) else token
    if token.text.endswith("d") and _is_variable(following):  # d\theta, \mathrm{d} x, rdrd\theta
        before = _marked_letters(token._replace(text=token.text[:-1])) or [token._replace(text=token.text[:-1])]
        return 2, [*(part for part in before if part.text), _mark_at(token), following]
    put = _marked_letters(token)
    return (1, put) if put else None


def _is_variable(token: Token) -> bool:
    is_letter = token.kind == "name" and len(token.text) == 1 and token.spaced
    return is_letter or (token.kind == "cmd" and token.text in GREEK)


def _marked_letters(token: Token) -> list[Token] | None:
    """Return the tokens of letters such as `xdx` or `dydx`, or None where they do not end in a differential."""
    match = _BEHIND_LETTERS.fullmatch(token.text)
    if match is None:
        return None
    put = [token._replace(text=match[1])] if match[1] else []
    for letter in match[2][1::2]:
        put += [_mark_at(token), Token("name", letter, token.place)]
    return put


def _mark_at(token: Token) -> Token:
    return Token("cmd", _MARK, token.place)


def _mark_in_fraction(tokens: list[Token], index: int) -> int:
    """Move a differential out of the numerator of the fraction at `index`; return where to go on."""
    top_end = _argument_end(tokens, index + 1)
    bottom_end = _argument_end(tokens, top_end)
    if tokens[index + 1].text != "{" or bottom_end > len(tokens):
        return index + 1
    if any(token.kind == "name" and _DIFFERENTIAL_NAME.fullmatch(token.text) for token in tokens[top_end:bottom_end]):
        return bottom_end  # a derivative
    top: list[Token] = []
    moved: list[Token] = []
    place, depth = index + 2, 0
    while place < top_end - 1:
        depth += _opens(tokens[place])
        found = _marked(tokens, place) if depth == 0 else None
        taken, put = found or (1, [tokens[place]])
        mark = next((i for i, token in enumerate(put) if token.text == _MARK), len(put))
        top += put[:mark]
        moved += put[mark:]
        place += taken
    if not moved:
        return index + 1
    if not top:
        top = [Token("num", "1", tokens[index].place, False, ONE)]
    bottom = tokens[top_end:bottom_end]
    tokens[index:bottom_end] = [tokens[index], tokens[index + 1], *top, tokens[top_end - 1], *bottom, *moved]
    return index + 1


def _opens(token: Token) -> int:
    if token.kind != "op":
        return 0
    return (token.text in ("{", "(", "[")) - (token.text in ("}", ")", "]"))


def _argument_end(tokens: list[Token], index: int) -> int:
    """Return where the argument of a command that begins at `index` ends: behind its group, or behind one token."""
    if index >= len(tokens) or tokens[index].text != "{":
        return index + 1
    depth = 0
    for place in range(index, len(tokens)):
        depth += (tokens[place].text == "{") - (tokens[place].text == "}")
        if not depth:
            return place + 1
    return len(tokens) + 1


# -- limits


def read_limit(cursor: Cursor) -> Node:
    r"""Read `_{x \to a}` and the product behind it, with the terms after it that mention the variable too."""
    grouped = False
    if cursor.take("_"):
        grouped = cursor.take("{")
        if not grouped:
            raise cursor.unreadable("a limit without its variable")
    token = cursor.now
    is_letter = token.kind == "name" and len(token.text) == 1
    if not is_letter and not (token.kind == "cmd" and token.text in GREEK):
        raise cursor.unreadable("a limit without its variable")
    variable = _read_variable(cursor)
    if not cursor.take("\\to", "->"):
        raise cursor.unreadable("a limit that goes nowhere")
    side = _take_side(cursor, grouped)
    point = cursor.rules.sum(cursor) if grouped else _read_plain_point(cursor)
    if grouped:
        cursor.expect("}")
    cursor.take(",")
    argument, cursor.argument = cursor.argument, 0
    body = cursor.rules.product(cursor)
    if cursor.at("+", "-") and _mentioned_ahead(cursor, variable):
        body = Node("add", (body, cursor.rules.sum(cursor)))
    cursor.argument = argument
    return limit(body, variable, point, side)


def limit(body: Node, variable: Node, point: Node, side: str | None) -> Node:
    """Return the limit of `body`; `side` is "+", "-" or None for both."""
    if point.op in OBJECTS or variable.value in symbols(point):
        raise UnreadableError("a limit at what is no point")
    return Node("lim", (variable, point, body), side)


def _take_side(cursor: Cursor, grouped: bool) -> str | None:
    r"""Take the sign of a one-sided limit, which stands behind its point: 0^+, 0^{-}, 0+."""
    tokens = cursor.tokens
    end = cursor.index
    if grouped:
        depth = 0
        while tokens[end].kind != "end" and (depth or tokens[end].text != "}"):
            depth += (tokens[end].text == "{") - (tokens[end].text == "}")
            end += 1
    else:
        end += 1 + (tokens[end].text in ("-", "+"))
        while end < len(tokens) and end < cursor.index + 5 and tokens[end].text in ("^", "{", "+", "-", "}"):
            if tokens[end].text in ("+", "-") and tokens[end - 1].text not in ("^", "{"):
                break
            end += 1
    for pattern in (["^", "{", "?", "}"], ["^", "?"], ["?"]):
        texts = [token.text for token in tokens[end - len(pattern) : end]]
        sign = texts[pattern.index("?")] if len(texts) == len(pattern) else ""
        if sign in ("+", "-") and texts == [sign if text == "?" else text for text in pattern]:
            start = end - len(pattern)
            if start > cursor.index:
                del tokens[start:end]
                return sign
    return None


def _read_plain_point(cursor: Cursor) -> Node:
    """Read the point of `lim x->0 ...`, a number, a name or infinity."""
    negative = cursor.take("-")
    if not negative:
        cursor.take("+")
    point = cursor.tokens[cursor.index]
    if point.kind == "num" and point.node is not None:
        cursor.advance()
        node = point.node
    else:
        node = cursor.rules.atom(cursor)
    return Node("neg", (node,)) if negative else node


def _mentioned_ahead(cursor: Cursor, variable: Node) -> bool:
    """Tell whether the terms that follow at this level mention the variable."""
    name, depth = variable.value, 0
    for token in cursor.tokens[cursor.index :]:
        depth += _opens(token) + (token.sign == "\\{") - (token.sign == "\\}")
        if depth < 0 or (depth == 0 and (token.sign in RELATIONS or token.sign in (",", ";", "&", "\\\\", "\\end"))):
            return False
        if token.kind == "name" and not is_function(token.text) and name in token.text:
            return True
        if token.kind == "cmd" and "\\" + token.text == name:
            return True
    return False


# -- derivatives


def read_derivative(cursor: Cursor, top: Node, bottom: Node) -> Node | None:
    r"""Read what \frac{d}{dx} is applied to; None where the fraction is no derivative or nothing follows."""
    order = _operator_order(top)
    variables = _variables(bottom)
    if order is None or variables is None or sum(count for _, count in variables) != order or order > MAX_ORDER:
        return None
    if not (starts_factor(cursor) or cursor.at("-", "(", "[")):
        return None
    return derivative(_read_derived(cursor, variables), variables)


def derivative(body: Node, variables: list[tuple[Node, int]]) -> Node:
    """Return the derivative of `body` by each variable as often as said, the last one first."""
    if contains(body, "rel", "list"):
        raise UnreadableError("a derivative of a relation")
    for variable, order in reversed(variables):
        body = Node("diff", (variable, number(order), body))
    return body


def derivative_of_numerator(top: Node, bottom: Node) -> Node | None:
    r"""Return \frac{d(x^3)}{dx}, or None where the numerator is no `d` times something."""
    factors = _factors(top)
    variables = _variables(bottom)
    if not variables or len(variables) != 1 or variables[0][1] != 1 or len(factors) < 2 or factors[0] not in _D:
        return None
    body = factors[1]
    for factor in factors[2:]:
        body = Node("mul", (body, factor))
    return derivative(body, variables)


def read_plain_derivative(cursor: Cursor) -> Node | None:
    """Read d/dx x^2 behind the cursor at `d`, or None where it is something else."""
    start = cursor.index
    texts = [cursor.now.text, *cursor.texts_ahead(7)]
    if texts[1] == "/" and _DIFFERENTIAL_NAME.fullmatch(texts[2]):
        order, name, length = 1, texts[2][1], 3
    elif texts[1:2] == ["^"] and texts[3:4] == ["/"] and texts[5:6] == ["^"] and texts[2] == texts[6:7][0:1][0] == "2":
        order, name, length = 2, texts[4][1:], 7
    else:
        return None
    cursor.index += length
    variables = [(Node("sym", (), name), order)]
    if len(name) != 1 or not (starts_factor(cursor) or cursor.at("(", "[")):
        cursor.index = start
        return None
    return derivative(_read_derived(cursor, variables), variables)


def _read_derived(cursor: Cursor, variables: list[tuple[Node, int]]) -> Node:
    """Read what is derived: a bracket, or a product; raises UnreadableError where more might belong to it."""
    argument, cursor.argument = cursor.argument, 0
    in_brackets = cursor.at("(", "[", "\\{")
    body = cursor.rules.power(cursor) if in_brackets else cursor.rules.product(cursor)
    if body.op == "seq" and len(body.args) == 1:
        body = body.args[0]
    goes_on = cursor.at("+", "-") or (in_brackets and (starts_factor(cursor) or cursor.at("*", "\\cdot", "/")))
    by_sum = cursor.at("+", "-")
    next_is_apart = in_brackets if by_sum else False
    next_is_apart = next_is_apart or (cursor.ahead().text == "frac" and cursor.texts_ahead(3)[2:] in (["d"], ["partial"]))
    if goes_on and not next_is_apart and any(_mentioned_ahead(cursor, variable) for variable, _ in variables):
        raise cursor.unreadable("a derivative of how much")
    cursor.argument = argument
    return body


_D = tuple(Node("sym", (), name) for name in _OPERATORS)


def _operator_order(top: Node) -> int | None:
    """Return n for d^n, 1 for d, None for anything else."""
    if top in _D:
        return 1
    if top.op == "pow" and top.args[0] in _D and top.args[1].op == "num" and top.args[1].value.denominator == 1:
        return int(top.args[1].value)
    return None


def _factors(node: Node) -> list[Node]:
    factors: list[Node] = []
    while node.op == "mul":
        factors.insert(0, node.args[1])
        node = node.args[0]
    return [node, *factors]


def _variables(bottom: Node) -> list[tuple[Node, int]] | None:
    r"""Return the variables of dx^2 or \partial x\partial y with how often each, or None where it is no such thing."""
    factors = _factors(bottom)
    if len(factors) % 2 or len(factors) > 2 * MAX_ORDER:
        return None
    variables: list[tuple[Node, int]] = []
    for mark, power in zip(factors[::2], factors[1::2], strict=True):
        base, order = power, 1
        if power.op == "pow" and power.args[1].op == "num" and power.args[1].value in range(1, MAX_ORDER + 1):
            base, order = power.args[0], int(power.args[1].value)
        if mark not in _D or base.op != "sym":
            return None
        variables.append((base, order))
    return variables
