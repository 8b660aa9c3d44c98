r"""The math grammar: every operator of the tree is made by some text, the trees of the examples in its files, the bounds."""

from collections.abc import Iterator
from fractions import Fraction
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewards.math import parse
from rewards.math.tree import EMPTY, INFINITY, ONE, PI, REALS, TWO, ZERO, Node, Op, UnreadableError, number

TEXTS: dict[Op, str] = {
    "num": "5",
    "dec": "0.5",
    "sym": "x",
    "const": "\\pi",
    "add": "x+1",
    "mul": "2x",
    "div": "\\frac{1}{2}",
    "neg": "-x",
    "pow": "x^2",
    "root": "\\sqrt[3]{x}",
    "fact": "5!",
    "fact2": "5!!",
    "sum": "\\sum_{k=1}^{n} k",
    "prod": "\\prod_{k=1}^{n} k",
    "int": "\\int_0^1 x^2 dx",
    "anti": "\\int x^2 dx",
    "lim": "\\lim_{x\\to 0} x",
    "diff": "\\frac{d}{dx} x^2",
    "pm": "1 \\pm x",
    "mp": "1 \\mp x",
    "fn": "\\sin x",
    "call": "f(x)",
    "deg": "30^\\circ",
    "pct": "5\\%",
    "unit": "5 \\text{ km}",
    "time": "3:45 PM",
    "seq": "(1,2)",
    "set": "\\{1,2\\}",
    "list": "1,2",
    "mat": "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}",
    "cases": "\\begin{cases}1&x<0\\\\2&\\text{otherwise}\\end{cases}",
    "ratio": "1:2",
    "build": "\\{x \\mid x>0\\}",
    "union": "[0,1] \\cup [2,3]",
    "inter": "[0,1] \\cap [2,3]",
    "minus": "\\mathbb{R} \\setminus \\{1\\}",
    "rel": "x<5",
    "or": "p \\lor q",
    "and": "p \\land q",
    "not": "\\neg p",
    "is": "\\begin{cases}1&\\text{if } n \\text{ is odd}\\\\2&\\text{otherwise}\\end{cases}",
    "bound": "k\\pi, k \\in \\mathbb{Z}",
}
X, K, N = (Node("sym", (), name) for name in "xkn")
HALF = Node("div", (ONE, TWO), "frac")
UNION = Node("union", (Node("seq", (ZERO, ONE), "[]"), Node("seq", (ONE, TWO), "[]")))
POSITIVE = Node("rel", (X, ZERO), (">",))
TREES = [
    # tree.py, parser.py
    ("x = \\frac{1}{2}", Node("rel", (X, HALF), ("=",))),
    # statements.py
    ("x=1, x \\in [0,1] \\cup [1,2]", Node("list", (Node("rel", (X, ONE), ("=",)), Node("rel", (X, UNION), ("in",))), ",")),
    ("x:k:n = 1:2:2", Node("rel", (Node("ratio", (X, K, N)), Node("ratio", (ONE, TWO, TWO))), ("=",))),
    ("3 to 4", Node("ratio", (number(3), number(4)))),
    # sums.py
    ("1-x", Node("add", (ONE, Node("neg", (X,))))),
    ("1 \\pm x", Node("pm", (ONE, X))),
    # products.py
    ("2x/3", Node("div", (Node("mul", (TWO, X)), number(3)))),
    ("2 \\frac{1}{2}", number(Fraction(5, 2))),
    ("5 ft 3 in", Node("add", (Node("unit", (number(5),), "ft"), Node("unit", (number(3),), "in")))),
    # measures.py
    ("5 km/h", Node("unit", (number(5),), "km / h")),
    ("3 percent", Node("pct", (number(3),))),
    ("3 million people", Node("unit", (Node("mul", (number(3), number(10**6))),), "people")),
    # powers.py, affixes.py
    ("x!^{-2}", Node("pow", (Node("fact", (X,)), Node("neg", (TWO,))))),
    ("2^3!", Node("pow", (TWO, Node("fact", (number(3),))))),
    ("5!\\%", Node("pct", (Node("fact", (number(5),)),))),
    ("30^\\circ", Node("deg", (number(30),))),
    ("20^\\circ C", Node("unit", (number(20),), "celsius")),
    # atoms.py
    ("|x|", Node("fn", (X,), "abs")),
    ("\\$5", Node("unit", (number(5),), "$")),
    # letters.py, names.py, texts.py
    ("sinx", Node("fn", (X,), "sin")),
    ("FF_{16}", number(255)),
    ("twelve", number(12)),
    ("x_{10}", Node("sym", (), "x_10")),
    ("f'(x)", Node("call", (X,), "f'")),
    ("\\text{Area} = 5", Node("rel", (Node("sym", (), "area"), number(5)), ("=",))),
    # literals.py
    ("101_2", number(5)),
    ("1 1/2", number(Fraction(3, 2))),
    # brackets.py
    ("[0,1)", Node("seq", (ZERO, ONE), "[)")),
    ("]0,1[", Node("seq", (ZERO, ONE), "()")),
    ("\\{x \\mid x>0\\}", Node("build", (X, POSITIVE))),
    ("\\{n \\mid n \\in \\mathbb{Z}, n > 0\\}", Node("build", (N, Node("rel", (N, ZERO), (">",))), "\\integers")),
    ("\\frac12", HALF),
    # functions.py
    ("\\sin^2 2x", Node("pow", (Node("fn", (Node("mul", (TWO, X)),), "sin"), TWO))),
    ("\\log_2 8", Node("fn", (number(8), TWO), "logb")),
    ("\\sin^{-1} x", Node("fn", (X,), "arcsin")),
    # commands.py
    ("\\sqrt[3]{x}", Node("root", (X, number(3)))),
    ("\\sum_{k=1}^{n} k", Node("sum", (K, ONE, N, K))),
    ("\\sum_{i=1}^{n} i", Node("sum", (Node("sym", (), "j"), ONE, N, Node("sym", (), "j")))),  # i is no imaginary unit here
    ("\\frac{dy}{dx}", Node("sym", (), "dy/dx")),
    # calculus.py
    ("\\int_0^1 x\\,dx", Node("int", (X, ZERO, ONE, X))),
    ("\\int \\frac{dx}{x}", Node("anti", (X, Node("div", (ONE, X), "frac")))),
    ("\\int_0^1\\int_0^2 kx\\,dk\\,dx", Node("int", (X, ZERO, ONE, Node("int", (K, ZERO, TWO, Node("mul", (K, X))))))),
    ("\\lim_{x\\to 0^+} x", Node("lim", (X, ZERO, X), "+")),
    ("\\frac{d^2}{dx^2} x", Node("diff", (X, TWO, X))),
    ("d/dx x", Node("diff", (X, ONE, X))),
    # spoken.py
    ("the integral of x dx from 0 to 1", Node("int", (X, ZERO, ONE, X))),
    ("Integral(x, (x, 0, 1))", Node("int", (X, ZERO, ONE, X))),
    # environments.py
    ("\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", Node("mat", tuple(map(number, (1, 2, 3, 4))), 2)),
    # phrases.py
    ("3:45 PM", Node("time", (), (3, 45, 0, "p"))),
    ("all real numbers", REALS),
    ("no solution", EMPTY),
    ("nonnegative reals", Node("seq", (ZERO, INFINITY), "[)")),
    ("nonpositive reals", Node("seq", (Node("neg", (INFINITY,)), ZERO), "(]")),
    # quantifiers.py
    ("k\\pi, k \\in \\mathbb{Z}", Node("bound", (Node("mul", (K, PI)),), (("k",), "integer"))),
]  # fmt: skip


def operators(node: Node) -> Iterator[str]:
    yield node.op
    for part in node.args:
        yield from operators(part)


@pytest.mark.parametrize("op", get_args(Op))
def test_every_operator_is_made_by_some_text(op: Op) -> None:
    assert op in operators(parse(TEXTS[op]))


@given(st.lists(st.sampled_from([*TEXTS.values(), "+", "=", ",", "(", ")", "^", "|", "x", "\\cup ", " and "]), max_size=8))
@settings(max_examples=500)
def test_no_other_operator_occurs(pieces: list[str]) -> None:
    try:
        node = parse(" ".join(pieces))
    except UnreadableError:
        return
    assert set(operators(node)) <= set(get_args(Op))


@pytest.mark.parametrize(("text", "tree"), TREES)
def test_text_is_read_as_this_tree(text: str, tree: Node) -> None:
    assert parse(text) == tree


@pytest.mark.parametrize(
    ("opening", "closing", "deepest"),
    [
        # A level of brackets counts four times (statement, product, atom, brackets), the value inside three: 4 * 14 + 3 = 59.
        ("(", ")", 14),
        ("{", "}", 14),
        ("\\{", "\\}", 14),
        ("f(", ")", 14),
        # A root without braces counts once (atom): 1 + 1 of statement and product, 57 roots, the atom inside: 60.
        ("\\sqrt ", "", 57),
    ],
)
def test_nesting_is_bounded_at_sixty_levels(opening: str, closing: str, deepest: int) -> None:
    parse(opening * deepest + "x" + closing * deepest)
    with pytest.raises(UnreadableError, match="nested deeper than 60"):
        parse(opening * (deepest + 1) + "x" + closing * (deepest + 1))


def test_tokens_and_digits_are_bounded() -> None:
    parse("-" * 1499 + "1")
    with pytest.raises(UnreadableError, match="more than 1500 tokens"):
        parse("-" * 1500 + "1")
    parse("4" * 1000)
    with pytest.raises(UnreadableError, match="a number of 1001 digits"):
        parse("4" * 1001)
