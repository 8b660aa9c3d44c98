r"""What stands in brackets: LaTeX groups and arguments, parentheses, points, intervals, bracketed lists, sets.

`[0,1)` is Node("seq", (0, 1), "[)"), and `\{x \mid x>0\}` is Node("build", (x, x>0)).
"""

from rewards.math.grammar.affixes import read_sign, signed
from rewards.math.grammar.boundaries import read_separator
from rewards.math.grammar.cursor import Cursor
from rewards.math.grammar.rows import bracketed_rows, separate_entries
from rewards.math.grammar.tokens import Token
from rewards.math.grammar.vocabulary import RELATIONS, SETS
from rewards.math.tree import REALS, Node, number, symbols

_WHOLE_NAMES = frozenset(("pi", "oo", "inf", "infty", "infinity"))


def read_group(cursor: Cursor) -> Node:
    """Read a LaTeX group, which may hold a fraction or a binomial in TeX's own spelling: {1 \\over 2}."""
    cursor.expect("{")
    outer = cursor.enter()
    cursor.deeper()
    node = cursor.rules.answer(cursor)
    if node.op == "list":
        node = Node("set", node.args)
    if cursor.take("\\choose"):
        node = Node("fn", (node, cursor.rules.answer(cursor)), "binom")
    elif cursor.take("\\over"):
        node = Node("div", (node, cursor.rules.answer(cursor)), "frac")
    cursor.expect("}")
    cursor.depth -= 1
    cursor.leave(outer)
    return node


def read_argument(cursor: Cursor) -> Node:
    """Read one argument of a LaTeX command: a group or, without braces, a single digit, letter or command."""
    if cursor.at("{"):
        return read_group(cursor)
    token = cursor.now
    if token.kind == "num" and len(token.text) > 1 and token.text.isdigit():  # \frac12 is one half
        first, rest = token.text[0], token.text[1:]
        cursor.replace(Token("num", rest, token.place + 1, False, number(int(rest))))
        return number(int(first))
    if token.kind == "name" and len(token.text) > 1 and token.text not in _WHOLE_NAMES:
        cursor.split_name()
    sign = read_sign(cursor)
    return signed(sign, cursor.rules.atom(cursor))


def read_bracketed(cursor: Cursor) -> Node:
    """Read a parenthesis, point, interval, bracketed list or set."""
    opening = cursor.advance().text
    cursor.deeper()
    outer = cursor.enter()
    node = _read_builder(cursor) if opening == "\\{" and _builds(cursor) else _read_items(cursor, opening)
    cursor.depth -= 1
    cursor.leave(outer)
    return node


def _read_items(cursor: Cursor, opening: str) -> Node:
    """Read the items behind an opening bracket and the closing one, which need not match: [0,1)."""
    items: list[Node] = []
    separators: list[str] = []
    comma_last = False
    if opening == "[":
        separate_entries(cursor)
    while not cursor.at(")", "]", "\\}"):
        items.append(cursor.rules.statement(cursor))
        if cursor.at(")", "]", "\\}", "["):
            break
        separators.append(cursor.now.text)
        if read_separator(cursor) is None:
            raise cursor.unreadable("expected a comma or a bracket")
        comma_last = cursor.at(")")
    closing = cursor.advance().text
    if opening == "\\{" or closing == "\\}":
        if (opening, closing) != ("\\{", "\\}"):
            raise cursor.unreadable(f"{opening} closed by {closing}")
        return Node("set", tuple(items))
    if len(items) == 1 and items[0].op == "mat":  # brackets around an array are its own
        return items[0]
    if opening == "[" and closing == "]" and ";" in separators and (rows := bracketed_rows(items, separators)):
        return rows
    if opening == "]":  # French intervals: ]0,1[ is (0,1)
        opening = "("
    if closing == "[":
        closing = ")"
    if len(items) == 1 and (opening, closing) == ("(", ")") and not comma_last:
        return items[0]
    if not items:
        raise cursor.unreadable("empty brackets")
    return Node("seq", tuple(items), opening + closing)


def _builds(cursor: Cursor) -> bool:
    """Tell whether a set goes on as `head | condition` or `head : condition`, which no other bar or colon announces.

    Bars of absolute values come in pairs, so an odd number of them has one that separates; behind it a relation follows.
    """
    depth, bars = 0, 0
    colon = relation = False
    for token in cursor.tokens[cursor.index :]:
        if token.kind == "op":
            depth += (token.text in ("(", "[", "{", "\\{")) - (token.text in (")", "]", "}", "\\}"))
        if depth < 0:
            break
        if depth == 0 and token.kind in ("op", "cmd"):
            bars += token.text == "|"
            colon = colon or token.text == ":"
            relation = relation or ((colon or bars > 0) and token.sign in RELATIONS)
    return relation and (colon or bars % 2 == 1)


def _read_builder(cursor: Cursor) -> Node:
    """Read the inside of {x | condition} or {x in S : condition} and its closing brace."""
    cursor.bars += 1  # so that the bar behind the head does not open an absolute value
    heads = [cursor.rules.sum(cursor)]
    while cursor.take(","):  # {4k, 4k + 1 | k in Z}
        heads.append(cursor.rules.sum(cursor))
    head = heads[0] if len(heads) == 1 else Node("list", tuple(heads), ",")
    domain = cursor.rules.sets(cursor) if cursor.take("\\in") else REALS
    cursor.bars -= 1
    if not cursor.take("|", ":") or domain not in SETS.values():
        raise cursor.unreadable("expected the condition of a set")
    condition = cursor.rules.answer(cursor)
    cursor.expect("\\}")
    if domain == REALS:
        domain, condition = _domain_of(head, condition)
    return Node("build", (head, condition), None if domain == REALS else domain.value)


def _domain_of(head: Node, condition: Node) -> tuple[Node, Node]:
    """Return (domain, other conditions) of a set whose conditions name the domain of its head, {n | n in Z, n > 0}."""
    conditions = condition.args if condition.op == "list" else ()
    memberships = [part for part in conditions if _is_membership(part)]
    if len(memberships) != 1 or symbols(head) != symbols(memberships[0].args[0]):
        return REALS, condition
    others = tuple(part for part in conditions if part is not memberships[0])
    rest = others[0] if len(others) == 1 else condition._replace(args=others)
    return memberships[0].args[1], rest


def _is_membership(node: Node) -> bool:
    return node.op == "rel" and node.value == ("in",) and node.args[1] in SETS.values()
