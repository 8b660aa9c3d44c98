r"""Known functions with their power, their base and their argument, which needs no brackets.

`\sin^2 2x` is Node("pow", (Node("fn", (Node("mul", (2, x)),), "sin"), 2)), and `\log_2 8` is Node("fn", (8, 2), "logb").
"""

from rewards.math.grammar.affixes import read_sign, signed
from rewards.math.grammar.boundaries import starts_factor
from rewards.math.grammar.brackets import read_argument, read_bracketed, read_group
from rewards.math.grammar.cursor import Cursor
from rewards.math.grammar.literals import read_literal
from rewards.math.grammar.tokens import Token
from rewards.math.grammar.vocabulary import PACKED, is_function
from rewards.math.tree import EULER, IMAGINARY, MAX_DEPTH, TWO, Node, UnreadableError, number
from rewards.math.vectors import AXES

_MINUS_ONE = Node("neg", (number(1),))
_HAVE_INVERSE = frozenset(("sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh", "coth", "sech", "csch"))
_ENDS_FORMULA = frozenset((")", "]", "}", "\\}", "+", "-", "*", "/", "=", ",", "\\cdot", "\\times"))
_LOG_BASES = ("2", "3", "10")  # log10(5)
_OF_SETS = frozenset(("max", "min", "gcd", "lcm"))


def read_function(cursor: Cursor, name: str) -> Node:
    """Read what follows the name of a function and return the function of it."""
    if name in ("max", "min") and cursor.at("=", ":"):  # a label: \\max = 5
        return Node("sym", (), name)
    power, base = _read_scripts(cursor)
    if name == "log" and base is None and _base_follows(cursor):
        base = read_literal(cursor)
    args = _read_arguments(cursor, name)
    if not args:
        raise cursor.unreadable(f"{name} of nothing")
    if name == "binom" and len(args) != 2:
        raise cursor.unreadable(f"binom of {len(args)} values")
    node = _applied(name, args, base)
    if power is None:
        return node
    if power == _MINUS_ONE and name in _HAVE_INVERSE:
        return Node("fn", args, "arc" + name)
    return Node("pow", (node, power))


def _base_follows(cursor: Cursor) -> bool:
    """Tell whether it is log10(x), as programs write it, and not a logarithm of a product."""
    plain = cursor.tokens[cursor.index - 1].kind == "name" and not cursor.now.spaced
    return plain and cursor.now.text in _LOG_BASES and cursor.ahead().sign == "(" and not cursor.ahead().spaced


def _read_scripts(cursor: Cursor) -> tuple[Node | None, Node | None]:
    """Read the power and the base between a function and its argument, in any order."""
    power: Node | None = None
    base: Node | None = None
    while cursor.at("^", "_"):
        if cursor.at("^") and cursor.ahead().text == "circ":
            break
        if cursor.advance().text == "^":
            power = _read_power(cursor)
        elif cursor.now.kind == "num":
            base = _read_base(cursor)
        else:
            base = read_argument(cursor)
    return power, base


def _read_base(cursor: Cursor) -> Node:
    r"""Read the base of a logarithm; its first digit alone where the argument stands right behind: \log_28 is \log_2 8."""
    token, following = cursor.now, cursor.ahead()
    base, space, rest = token.text.partition(" ")
    if space and rest.isdigit():  # \\log_10 100 has no thousands in it
        cursor.replace(Token("num", rest, token.place + len(base) + 1, True, number(int(rest))))
        return number(int(base))
    in_one = token.text.isdigit() and len(token.text) > 1
    if in_one and (following.kind == "end" or following.sign in _ENDS_FORMULA):
        return read_argument(cursor)
    return read_literal(cursor)


def _read_power(cursor: Cursor) -> Node:
    token = cursor.now
    if token.kind == "num" and token.node is not None:
        cursor.advance()
        return token.node
    return read_argument(cursor)


def _read_arguments(cursor: Cursor, name: str) -> tuple[Node, ...]:
    """Read what a function is applied to: several values in brackets, a group, or the factors that follow."""
    if cursor.at("("):
        group = read_bracketed(cursor)
        return group.args if group.op == "seq" and group.value == "()" else (group,)
    if cursor.at("{"):
        group = read_group(cursor)
        return group.args if group.op == "set" else (group,)
    if name in _OF_SETS and cursor.at("\\{", "["):
        group = read_bracketed(cursor)
        return group.args if group.op in ("set", "seq") else (group,)
    return (_read_bare_argument(cursor),)


def _read_bare_argument(cursor: Cursor) -> Node:
    r"""Read the factors after a function without brackets: \sin 2x, \cos \frac{x}{2}; signs and functions end them."""
    cursor.argument += 1
    if cursor.argument > MAX_DEPTH:
        raise UnreadableError("functions nested too deep")
    sign = read_sign(cursor)
    node = cursor.rules.power(cursor)
    while starts_factor(cursor) and not _ends_argument(cursor, node):
        node = Node("mul", (node, cursor.rules.power(cursor)))
    cursor.argument -= 1
    return signed(sign, node)


def _ends_argument(cursor: Cursor, node: Node) -> bool:
    """Tell whether the factor that begins here no longer belongs to the argument read so far."""
    token = cursor.now
    if token.kind == "num":
        return True
    if token.kind in ("cmd", "name") and is_function(token.text):
        return True
    if token.kind == "name" and (packed := PACKED.match(token.text)) and is_function(packed[1]):  # sinx cosy
        return True
    if cursor.at("\\hat", "\\vec") and cursor.ahead(2).text in (
        *AXES,
        "x",
        "y",
        "z",
        "r",
    ):  # \sin t \hat i has a unit vector behind
        return True
    if cursor.at("(", "{"):  # \ln 2(x+1) has both factors in it, \ln x(x+1) has not
        return node.op not in ("num", "div", "const")
    return cursor.at("[", "\\{")


def _applied(name: str, args: tuple[Node, ...], base: Node | None) -> Node:
    """Return the function as a tree; several are only other spellings of something else."""
    if name == "log" and base is None and len(args) == 2:
        base = args[1]
        args = args[:1]
    if name in ("log", "ln") and base is not None:
        return Node("fn", (args[0], base), "logb")
    if name == "lg":
        return Node("fn", (args[0], number(10)), "logb")
    if name == "sqrt":
        return Node("root", (args[0], TWO))
    if name == "cbrt":
        return Node("root", (args[0], number(3)))
    if name == "exp":
        return Node("pow", (EULER, args[0]))
    if name == "factorial":
        return Node("fact", args)
    if name == "cis":  # cos + i sin
        turned = Node("mul", (IMAGINARY, Node("fn", args, "sin")))
        return Node("add", (Node("fn", args, "cos"), turned))
    return Node("fn", args, name)
