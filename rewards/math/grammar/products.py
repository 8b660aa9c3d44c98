r"""Products, written with a sign or side by side, with their units.

`2x/3` is Node("div", (Node("mul", (2, x)), 3)), `2 \frac{1}{2}` the number 5/2, and `5 ft 3 in` a sum of two quantities.
"""

from rewards.math.grammar.affixes import read_sign, signed
from rewards.math.grammar.boundaries import starts_factor
from rewards.math.grammar.cursor import Cursor
from rewards.math.grammar.measures import read_unit_phrase, with_unit
from rewards.math.grammar.powers import read_power
from rewards.math.grammar.tokens import Token
from rewards.math.grammar.vocabulary import is_function
from rewards.math.tree import Node, Op, UnreadableError, contains, number
from rewards.math.units import ORDINAL, measure
from rewards.math.units import SHORT as SHORT_UNITS
from rewards.math.units import WORDS as UNIT_WORDS

_NUMBERS: tuple[Op, ...] = ("num", "dec", "const", "unit")

_SHARES = {"minute": 60, "minutes": 60, "min": 60, "second": 3600, "seconds": 3600, "sec": 3600}  # of a degree


def read_product(cursor: Cursor) -> Node:
    """Read factors, divisors and units; they group from the left, however they are written: 1/2x is x/2."""
    cursor.deeper()
    sign = read_sign(cursor)
    node = read_power(cursor)
    has_unit = False  # a unit was read behind `node`, and not in front of it as in $5
    while True:
        if cursor.take("*", "\\cdot", "\\times"):
            if cursor.at("\\cdot"):
                raise cursor.unreadable("expected a factor")
            node = Node("mul", (node, _read_signed_power(cursor)))
        elif _multiplies_by_x(cursor, node):
            cursor.advance()
            node = Node("mul", (node, read_power(cursor)))
        elif cursor.take("/", "\\div"):
            node = Node("div", (node, _read_signed_power(cursor)))
        elif _is_short_unit(cursor, node):
            node = _read_compound(cursor, Node("unit", (node,), cursor.advance().text))
            break
        elif starts_factor(cursor):
            if cursor.argument and cursor.now.kind in ("cmd", "name") and is_function(cursor.now.text):
                break  # \sin x \cos y is a product of two functions
            node = _read_neighbour(cursor, node, has_unit)
        elif _is_product_of_names(cursor, node):
            cursor.split_name()
            node = _read_neighbour(cursor, node, has_unit)
        elif phrase := read_unit_phrase(cursor):
            quantity = _measured(cursor, node, phrase)
            node = _read_compound(cursor, quantity) if _number_follows(cursor) else quantity
            if node is not quantity:
                break
            if cursor.now.kind == "num":
                raise cursor.unreadable("a number after a unit")
            has_unit = True
        else:
            break
    cursor.depth -= 1
    return signed(sign, node)


def _read_signed_power(cursor: Cursor) -> Node:
    sign = read_sign(cursor)
    return signed(sign, read_power(cursor))


def _multiplies_by_x(cursor: Cursor, node: Node) -> bool:
    """Tell whether the letter x is a sign of multiplication: 3 x 10^8."""
    is_letter = cursor.now.text == "x" or (cursor.now.text == "X" and cursor.ahead().text == "10")
    if not is_letter or node.op not in ("num", "dec") or cursor.ahead().kind != "num":
        return False
    spaced = cursor.now.spaced and cursor.ahead().spaced
    return spaced or cursor.ahead(2).text == "^"


def _is_short_unit(cursor: Cursor, node: Node) -> bool:
    """Tell whether a letter is a unit because a number stands behind it: 3 h 20 min."""
    token = cursor.now
    return node.op == "num" and token.text in SHORT_UNITS and token.spaced and cursor.ahead().kind == "num"


def _is_product_of_names(cursor: Cursor, node: Node) -> bool:
    r"""Tell whether a short unit stands behind nothing but names: \mu mg."""
    token = cursor.now
    return token.kind == "name" and len(token.text) == 2 and token.text in UNIT_WORDS and not contains(node, *_NUMBERS)


def _read_neighbour(cursor: Cursor, node: Node, has_unit: bool) -> Node:
    """Read a factor that stands beside `node` without a sign and return both."""
    token = cursor.now
    if token.kind == "num" and node.op in ("num", "dec"):
        raise cursor.unreadable("two numbers side by side")
    if has_unit and node.op == "unit":
        raise cursor.unreadable("a factor behind a unit")
    place = cursor.index
    factor = read_power(cursor)
    # The rule may have cut its first token into several, so what stands there now is looked up again.
    return _side_by_side(node, factor, cursor.tokens[place])


def _side_by_side(node: Node, factor: Node, first: Token) -> Node:
    """Return what two neighbours mean, a mixed number or a product; `first` is the first token of `factor`."""
    if factor.op in ("pct", "deg") and factor.args[0].op == "div":  # 2 \frac{1}{2} \%
        inner = _side_by_side(node, factor.args[0], first)
        return factor._replace(args=(inner,)) if inner.op == "num" else Node("mul", (node, factor))
    if node.op == "unit" and node.value in ("$", "€", "£", "¥") and factor.value == "frac":  # $4 1/2
        inner = _side_by_side(node.args[0], factor, first)
        return node._replace(args=(inner,)) if inner.op == "num" else Node("mul", (node, factor))
    if node.op == "num" and factor.op == "div" and factor.value == "frac" and node.value.denominator == 1:
        top, bottom = factor.args
        if top.op == bottom.op == "num" and 0 < top.value < bottom.value and top.value.denominator == 1:
            return number(node.value + top.value / bottom.value)
    is_power = factor.op == "pow" and factor.args[1].op != "num"  # n2^{n-1}, but x2^2 may be a name with its number
    if first.kind == "num" and not first.spaced and node.op == "sym" and not is_power:
        raise UnreadableError(f"a number right behind a name at {first.place}")
    if first.kind == "op" and first.text == "{" and node.op == "num" and factor.op == "num":
        raise UnreadableError(f"two numbers side by side at {first.place}")
    return Node("mul", (node, factor))


def _measured(cursor: Cursor, node: Node, phrase: str) -> Node:
    """Return `node` with a unit behind it; a word behind nothing but names is no unit."""
    one_word = phrase.islower() and " " not in phrase and phrase != ORDINAL
    if one_word and not contains(node, *_NUMBERS):
        raise cursor.unreadable("words behind a name")
    return with_unit(node, phrase)


def _number_follows(cursor: Cursor) -> bool:
    """Tell whether another number follows, after "and" too: 3 hours and 20 minutes."""
    return cursor.now.kind == "num" or (cursor.now.text.strip() == "and" and cursor.ahead().kind == "num")


def _read_compound(cursor: Cursor, first: Node) -> Node:
    """Return `5 ft 3 in` or `3 hours and 20 minutes` as one sum, or `first` where something else follows."""
    start = cursor.index
    if cursor.now.kind != "num":
        cursor.advance()
    rest = read_product(cursor)
    second = rest.args[0] if rest.op == "add" else rest  # the next unit of three: 1 h 2 min 3 s
    if first.op == "deg" and (angle := _with_minutes(first, rest)):
        return angle
    larger = measure(first.value) if first.op == "unit" else None
    smaller = measure(second.value) if second.op == "unit" else None
    if larger and smaller and larger[0] == smaller[0] and smaller[1] < larger[1]:
        return Node("add", (first, *(rest.args if rest.op == "add" else (rest,))))
    cursor.index = start
    return first


def _with_minutes(degrees: Node, rest: Node) -> Node | None:
    """Return 30 degrees and 15 minutes (and 20 seconds) as one angle, or None where `rest` is something else."""
    parts = [degrees.args[0]]
    for part in rest.args if rest.op == "add" else (rest,):
        share = _SHARES.get(str(part.value)) if part.op == "unit" else None
        if share is None:
            return None
        parts.append(Node("div", (part.args[0], number(share))))
    return Node("deg", (Node("add", tuple(parts)),))
