r"""Numbers of choices: `C_n^k` and C(n,k) are binomials, `A_n^k` and P(n,k) the numbers of arrangements.

The letters are names too: `C_1^2 + C_2^2` are squares of constants, and C(2,3) is a point. So in one formula each C with
scripts has to have a lower one and an upper one that can be chosen from it, and C(n,k) is a call, which is a number of choices
inside of a calculation; alone, `equality/normal.py` looks at the other side.
"""

from rewards.math.grammar.brackets import read_bracketed
from rewards.math.grammar.cursor import Cursor
from rewards.math.grammar.tokens import Token
from rewards.math.tree import Node, Op, symbols

_FUNCTIONS = {"C": "binom", "A": "permutations", "P": "permutations"}
_COUNTERS = frozenset("nmkrpqijNM")
_CHOSEN_FROM = frozenset("nmkNM")  # C_p is a heat capacity
_ARITHMETIC: tuple[Op, ...] = ("add", "mul", "div", "neg", "pow", "root", "fact", "pm")
_MAX_SCRIPT = 12  # tokens


def read_choice(cursor: Cursor) -> Node | None:
    r"""Read C_n^k, or C(n,k) as a call; None, with the cursor where it was, where the letter is a name."""
    letter = cursor.now.text
    if cursor.ahead().sign == "(":
        return _read_call(cursor) if letter == "C" and not cursor.ahead().spaced else None
    if cursor.ahead().sign not in ("_", "^") or not _chooses(cursor, letter):
        return None
    cursor.advance()
    scripts: dict[str, Node] = {}
    while len(scripts) < 2:
        sign = cursor.advance().text
        scripts[sign] = _read_script(cursor)
    return Node("fn", (scripts["_"], scripts["^"]), _FUNCTIONS[letter])


def _read_call(cursor: Cursor) -> Node | None:
    start = cursor.index
    cursor.advance()
    group = read_bracketed(cursor)
    if group.op == "seq" and group.value == "()" and len(group.args) == 2:
        return Node("call", group.args, "C")
    cursor.index = start
    return None


def _read_script(cursor: Cursor) -> Node:
    if not cursor.take("{"):
        return cursor.rules.atom(cursor) if cursor.now.kind == "name" else _number(cursor)
    node = cursor.rules.sum(cursor)
    cursor.expect("}")
    return node


def _number(cursor: Cursor) -> Node:
    node = cursor.advance().node
    if node is None:
        raise cursor.unreadable("expected a number")
    return node


def _chooses(cursor: Cursor, letter: str) -> bool:
    """Tell whether every such letter of the formula has two scripts of which the upper one can be chosen from the lower one."""
    known = cursor.choosing.get(letter)
    if known is None:
        places = [index for index, token in enumerate(cursor.tokens) if _may_choose(token, cursor.tokens, index, letter)]
        answers = [_can_choose(cursor.tokens, index + 1) for index in places]
        known = None not in answers and True in answers  # A_2^2 alone is the square of an amplitude
        cursor.choosing[letter] = known
    return known


def _may_choose(token: Token, tokens: list[Token], index: int, letter: str) -> bool:
    """Tell whether a token is the letter asked for, or another one of them with scripts."""
    if token.kind != "name" or token.text not in _FUNCTIONS:
        return False
    return token.text == letter or tokens[index + 1].sign in ("_", "^")


def _can_choose(tokens: list[Token], index: int) -> bool | None:
    """Tell whether scripts at `index` are those of a choice (True), may be (False), or cannot be (None)."""
    scripts: dict[str, str] = {}
    for _ in range(2):
        sign = tokens[index].sign
        if sign not in ("_", "^"):
            return None
        text, index = _script_text(tokens, index + 1)
        scripts[sign] = text
    below, above = scripts.get("_", ""), scripts.get("^", "")
    if below.isdigit() and above.isdigit():
        if below == above:
            return below not in ("0", "1", "2")
        return True if int(below[:9]) > int(above[:9]) else None
    is_written = below[:1].isalnum() and above[:1].isalnum()
    return True if is_written and _letters(below) <= _CHOSEN_FROM and _letters(above) <= _COUNTERS else None


def _letters(text: str) -> set[str]:
    return {letter for letter in text if letter.isalpha()}


def _script_text(tokens: list[Token], index: int) -> tuple[str, int]:
    """Return the text of the script at `index`, "" where it is none of numbers and letters, and the index behind it."""
    if tokens[index].sign != "{":
        single = tokens[index].kind == "num" or (tokens[index].kind == "name" and len(tokens[index].text) == 1)
        return (tokens[index].text, index + 1) if single else ("", index)
    texts: list[str] = []
    for place in range(index + 1, min(index + 2 + _MAX_SCRIPT, len(tokens))):
        token = tokens[place]
        if token.sign == "}":
            return "".join(texts), place + 1
        if token.kind not in ("num", "name") and token.sign not in ("+", "-"):
            break
        texts.append(token.text)
    return "", index


# -- C(n, k) as a call


def counted(node: Node, alone: bool = True) -> Node:
    """Return `node` with the calls C(n,k) and P(n,k) inside of calculations as what they count; `alone` ones stay calls."""
    if node.op == "call" and not alone:
        return _as_count(node)
    inside = node.op in _ARITHMETIC
    return node._replace(args=tuple(counted(part, alone=not inside) for part in node.args)) if node.args else node


def _as_count(node: Node) -> Node:
    """Return a call C(n,k) or P(n,k) of numbers and counters as what it counts; anything else as it is."""
    if node.op != "call" or node.value not in ("C", "P") or len(node.args) != 2 or not symbols(node) <= _COUNTERS:
        return node
    n, k = node.args
    if n.op == k.op == "num" and not 0 <= k.value <= n.value:
        return node
    return Node("fn", node.args, _FUNCTIONS[node.value])
