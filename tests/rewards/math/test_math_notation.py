r"""Notation: what short, old and foreign spellings are read as, and what stays a name, a floor or a word beside them."""

from fractions import Fraction

import pytest

from rewards.math import compare_texts, parse
from rewards.math.grammar.clean import clean
from rewards.math.tree import EULER, IMAGINARY, INFINITY, ONE, PI, TWO, ZERO, Node, UnreadableError, number

A, B, N, K, T, X, Y = (Node("sym", (), name) for name in "abnktxy")


def name(text: str) -> Node:
    return Node("sym", (), text)


def matrix(columns: int, *entries: int) -> Node:
    return Node("mat", tuple(map(number, entries)), columns)


def absolute(node: Node) -> Node:
    return Node("fn", (node,), "abs")


TREES = [
    # subscripts.py, names.py: one spelling of a name
    ("b_{1+i}", name("b_i+1")),
    ("x_{k+k}", name("x_2k")),
    ("x_{2(k+1)}", name("x_2k+2")),
    ("T_{\\frac12}", name("T_1/2")),
    ("v_{BA}", name("v_BA")),
    ("H_{+}", name("H_+")),
    ("x'_1", name("x_1'")),
    ("x^{\\prime}_1", name("x_1'")),
    ("y^{(4)}", name("y''''")),
    ("z^{*}", name("z*")),
    ("v^2_0", Node("pow", (name("v_0"), TWO))),
    ("a_nb_n", Node("mul", (name("a_n"), name("b_n")))),
    # derivatives.py
    ("\\dot x", name("dx/dt")),
    ("d^2x/dt^2", name("d^2x/dt^2")),
    ("\\partial u/\\partial t", name("\\partialu/\\partialt")),
    # atoms.py, tokens.py: bars
    ("|a||b|", Node("mul", (absolute(A), absolute(B)))),
    ("|1-|x||", absolute(Node("add", (ONE, Node("neg", (absolute(X),)))))),
    ("\\left|2\\left|x\\right|-1\\right|", absolute(Node("add", (Node("mul", (TWO, absolute(X))), Node("neg", (ONE,)))))),
    # grouping.py: [x-1]y is a product, [x] y is not x y
    ("[x-1]y", Node("mul", (Node("add", (X, Node("neg", (ONE,)))), Y))),
    ("[x]y", Node("mul", (name("[x]"), Y))),
    ("[n/2]", Node("seq", (Node("div", (N, TWO)),), "[]")),
    # rows.py
    ("[1 -2; 3 4]", matrix(2, 1, -2, 3, 4)._replace(args=(ONE, Node("neg", (TWO,)), number(3), number(4)))),
    ("1,2;3,4", Node("list", tuple(Node("seq", tuple(map(number, row)), "()") for row in ((1, 2), (3, 4))), ";")),
    ("(1,2)^T", matrix(1, 1, 2)),
    ("[1;2,3]", Node("add", (ONE, Node("div", (ONE, Node("add", (TWO, Node("div", (ONE, number(3))))))))),),
    ("[1;2]", Node("seq", (ONE, TWO), "[]")),
    # choosing.py
    ("C_n^k", Node("fn", (N, K), "binom")),
    ("{}_nP_k", Node("fn", (N, K), "permutations")),
    ("C_1^2", Node("pow", (name("C_1"), TWO))),
    ("\\binom{4}{2,2}", Node("div", (Node("fact", (number(4),)), Node("mul", (Node("fact", (TWO,)), Node("fact", (TWO,))))))),
    # bases.py
    ("1a3_{16}", number(0x1A3)),
    ("2a_{11}", Node("mul", (TWO, name("a_11")))),
    ("\\overline{2201}_{(3)}", number(73)),
    # affixes.py
    ("5' 11\"", Node("add", (Node("unit", (number(5),), "ft"), Node("unit", (number(11),), "in")))),
    # sums.py
    ("+/-3", Node("pm", (number(3),))),
    ("1 +- x", Node("pm", (ONE, X))),
    ("1+-x", Node("add", (ONE, Node("neg", (X,))))),
    # lettered.py
    ("e^{at}", Node("pow", (EULER, Node("mul", (A, T))))),
    ("\\cosh(it)", Node("fn", (Node("mul", (IMAGINARY, T)),), "cosh")),
    ("3 in", Node("unit", (number(3),), "in")),
    # constructors.py
    ("Rational(1, 2)", Node("div", (ONE, TWO))),
    ("Interval.Ropen(0, oo)", Node("seq", (ZERO, INFINITY), "[)")),
    ("Eq(x, 2)", Node("rel", (X, TWO), ("=",))),
    # unions.py
    ("\\bigcup_{k\\in\\mathbb Z}(k,2)", Node("bound", (Node("seq", (K, TWO), "()"),), (("k",), "integer"))),
    # functions.py
    ("\\log_28", Node("fn", (number(8), TWO), "logb")),
    ("\\sinh^{-1} x", Node("fn", (X,), "arcsinh")),
    # repeating decimals of two more spellings
    ("0.3\u0305", number(Fraction(1, 3))),
]  # fmt: skip


@pytest.mark.parametrize(("text", "tree"), TREES, ids=[text for text, _ in TREES])
def test_a_spelling_is_read_as_its_tree(text: str, tree: Node) -> None:
    assert parse(text) == tree


@pytest.mark.parametrize(
    ("written", "cleaned"),
    [
        ("x&le;3", "x \\le 3"),
        ("x<sup>2</sup>", "x^{2}"),
        ("math.sqrt(2)", "sqrt(2)"),
        ("v_0{}^2", "v_0^2"),
        ("{-}3", "-3"),
        ("\\root 3 \\of 2", "\\sqrt[3] 2"),
        ("{}", "{}"),
        ("2^{}", "2^{}"),
    ],
)
def test_markup_and_short_spellings_are_cleaned(written: str, cleaned: str) -> None:
    assert clean(written) == cleaned


@pytest.mark.parametrize("text", ["70's", "5 at 3", "(no)", "\\lvert x", "Interval(1)", "Rational()", "|x||"])
def test_what_is_no_notation_stays_unread(text: str) -> None:
    with pytest.raises(UnreadableError):
        parse(text)


def test_an_accent_is_kept_only_beside_the_bare_name() -> None:
    assert parse("\\bar z") == name("z")
    assert parse("z\\bar z") == Node("mul", (name("z"), name("\\bar z")))


@pytest.mark.parametrize(
    ("gold", "answer", "prompt", "status"),
    [
        ("2201_3", "2201", "", "correct"),
        ("2201_3", "2201", "Write 73 in base 3.", "correct"),
        ("2201_3", "2201", "What is 2 + 2?", "wrong"),
        ("2201", "2201_3", "", "wrong"),
        ("2201", "2201_3", "Write 73 in base 3.", "correct"),
        ("2201", "2201_4", "Write 73 in base 3.", "wrong"),
    ],
)
def test_a_base_is_left_out_where_it_was_asked_for(gold: str, answer: str, prompt: str, status: str) -> None:
    assert compare_texts(gold, answer, prompt)[0] == status


@pytest.mark.parametrize(
    ("gold", "answer", "same"),
    [
        ("x'=y", "\\dot x=y", True),
        ("x'+\\frac{dx}{ds}", "\\frac{dx}{dt}+\\frac{dx}{ds}", False),  # by which of the two is not clear
        ("y'=2x", "\\frac{dx}{dy}=2x", False),
        ("u_t=u_{xx}", "\\frac{\\partial u}{\\partial t}=\\frac{\\partial^2u}{\\partial x^2}", True),
        ("\\pi", "\\dot\\pi", False),
    ],
)
def test_derivatives_have_one_notation_where_it_is_clear(gold: str, answer: str, same: bool) -> None:
    assert (compare_texts(gold, answer)[0] == "correct") == same


def test_pi_is_no_name() -> None:
    assert parse("2 pi") == Node("mul", (TWO, PI))
