"""Which rule decides which pair, and that the files of the comparison import each other as their face draws it."""

import ast
import re
from pathlib import Path

import pytest

from rewards.math import compare_texts, equality, grade
from rewards.math.equality.rules import Decision, Rule, Trail
from rewards.math.verify import judge

# (rule, reference, answer, question, status, the text of the decision), one pair for each rule and a few more
DECIDED = [
    (Rule.SAME_TEXT, "x^2", " x^2 ", "", "correct", "same text"),
    (Rule.SAME_CLEANED_TEXT, "5", "𝟓", "", "correct", "same text after cleaning"),
    (Rule.SAME_WORDS, "\\text{Monday}", "on Monday", "", "correct", "same words"),
    (Rule.LETTER_OF_CHOICE, "A", "A)", "", "correct", "the letter of the choice"),
    (Rule.DIFFERENT_WORDS, "甲", "乙", "", "wrong", "different words"),
    (Rule.SAME_LETTERS, "A", "a", "", "correct", "same letters"),
    (Rule.LETTER_OF_CHOICE, "(B) 12", "B", "", "correct", "the letter of the choice"),
    (Rule.LETTER_OF_CHOICE, "(B) 12", "C", "", "wrong", "the letter of the choice"),
    (Rule.DECIMAL_COMMA, "1.5", "1,5", "", "correct", "decimal comma"),
    (Rule.DIGITS_OF_BASE, "2201_3", "2201", "", "correct", "the digits, in the base that was asked for"),
    (Rule.REPEATS_QUESTION, "7", "3+4", "Compute 3+4.", "wrong", "repeats the question"),
    (Rule.TOO_LONG, "x", "2" * 4001, "", "unparsed", "an answer of 4001 characters"),
    (Rule.UNREADABLE, "0", "", "", "unparsed", "nothing to read"),
    (Rule.SAME_STRUCTURE, "2", "$2", "", "correct", "same structure"),
    (Rule.EXACT_RATIONALS, "1/2", "0.5", "", "correct", "exact rationals"),
    (Rule.EXACT_RATIONALS, "-7", "7", "", "wrong", "exact rationals"),
    (Rule.EXACT_RATIONALS, "5 cm", "50 mm", "", "correct", "exact rationals, units agree"),
    (Rule.SAME_STRUCTURE, "5 cm", "5", "", "correct", "same structure"),
    (Rule.RESIDUES, "xy", "yx", "", "correct", "residues modulo two primes"),
    (Rule.ALGEBRAIC, "\\sqrt8", "2\\sqrt2", "", "correct", "algebraic numbers, by a bound for their difference"),
    (Rule.DECIMAL, "1/3", "0.333333", "", "correct", "a decimal with at least 6 correct digits"),
    (Rule.DECIMAL, "e", "2.71828", "", "correct", "a decimal with at least 6 correct digits"),
    (Rule.EXACT_RATIONALS, "1/3", "0.33333", "", "wrong", "exact rationals"),  # five digits
    (Rule.MANY_DIGITS, "8", "4!!", "", "correct", "equal to 90 digits at 1 point(s)"),
    (Rule.NUMBERS_DIFFER, "|x|", "x", "", "wrong", "numbers differ"),
    (Rule.TOO_FEW_POINTS, "1/(x-x)", "2/(x-x)", "", "wrong", "not enough points where both sides are defined"),
    (Rule.REFUSED, "2", "9^{9^{9^9}}", "", "timeout", "refused: too large an exponent"),
    (Rule.NOT_EVALUATED, "1", "-[0,1)", "", "wrong", "not evaluated: seq"),
    (Rule.UNDEFINED, "5", "5/0", "", "wrong", "undefined: division by zero"),
    (Rule.UNITS_CONFLICT, "\\$5", "€5", "", "wrong", "units conflict: $ and €"),
    (Rule.DEGREE_SIGN, "45", "45°", "", "correct", "degree sign on one side only"),
    (Rule.PERCENTAGE, "50", "50%", "What percent is it?", "correct", "the question asks for a percentage"),
    (Rule.TIME_OF_DAY, "8:34 pm", "20:34", "", "correct", "time of day"),
    (Rule.TIME_OF_DAY, "6 AM", "6 PM", "", "wrong", "time of day"),
    (Rule.VALUES_BY_NAME, "2", "x=2,y=3", "", "wrong", "values by name"),
    (Rule.MEMBER_BY_MEMBER, "y=x", "x=y", "", "correct", "relations member by member"),
    (Rule.MULTIPLE, "x^2=4", "2x^2-8=0", "", "correct", "one relation is a multiple of the other"),
    (Rule.STILL_TO_BE_SOLVED, "x=-1", "x+1=0", "", "wrong", "an equation that is still to be solved"),
    (Rule.WITHOUT_DENOMINATORS, "xy=1", "y=1/x", "", "correct", "one equation is the other without its denominators"),
    (Rule.RELATION_AGAINST_OTHER, "4", "x+1=5", "", "wrong", "a relation against another kind"),
    (Rule.KINDS, "1,-2", "1", "", "wrong", "list against num"),
    (Rule.REAL_SETS, "(1,2)", "1<x<2", "", "correct", "sets of reals"),
    (Rule.SETS, "\\{1,2\\}", "\\{2,1\\}", "", "correct", "sets without order"),
    (Rule.COLLECTIONS, "1,-2", "-2,1", "", "correct", "collections without order"),
    (Rule.IN_ORDER, "(2,3)", "[2,3]", "", "wrong", "items in order"),
    (Rule.ALTERNATIVES, "2", "1+1 or 3-1", "", "correct", "alternatives"),
    (
        Rule.CASES,
        "\\begin{cases}x&x\\ge0\\\\-x&x<0\\end{cases}",
        "\\begin{cases}-x&x<0\\\\x&\\text{otherwise}\\end{cases}",
        "",
        "correct",
        "case by case",
    ),
    (Rule.MATRICES, "\\begin{pmatrix}1&0\\\\0&1\\end{pmatrix}", "I", "", "wrong", "matrices entry by entry"),
    (Rule.RATIOS, "1:2", "1:2:3", "", "wrong", "ratios"),
    (Rule.BOUND_NAMES, "x=ak, k\\in\\mathbb{Z}", "x=ka, a\\in\\mathbb{Z}", "", "wrong", "bound names"),
    (
        Rule.BOUND_RANGES,
        "x=k\\pi, k\\in\\mathbb{Z}",
        "x=k\\pi, k\\in\\mathbb{N}",
        "",
        "wrong",
        "bound names range over integer and natural",
    ),
    (
        Rule.PROGRESSIONS,
        "x=k\\pi, k\\in\\mathbb{Z}",
        "x=\\pi+n\\pi, n\\in\\mathbb{Z}",
        "",
        "correct",
        "progressions over the integers",
    ),
    (Rule.INTEGERS, "3\\pmod 7", "-4\\pmod 7", "", "correct", "sets of integers"),
    (Rule.ARBITRARY_CONSTANTS, "x^2+C", "x^2+c", "", "correct", "arbitrary constants, same structure"),
    (
        Rule.STILL_TO_DO,
        "3",
        "\\int_0^3 dx",
        "Find the area.",
        "wrong",
        "the answer leaves to be done what the question asks for",
    ),
    (Rule.ANTIDERIVATIVES, "x^2+C", "x^2+1+C", "", "correct", "antiderivatives that differ by a constant"),
]
# DIFFERENT_KINDS is what a trail says before anything decided; the limits of the parser leave no text for TOO_DEEP
UNSEEN = {Rule.DIFFERENT_KINDS, Rule.TOO_DEEP}
SYMPY = {rule for rule in Rule if rule.name.startswith("SYMPY")}  # test_symbolic.py has pairs for them


@pytest.mark.parametrize(("rule", "reference", "answer", "question", "status", "text"), DECIDED)
def test_a_pair_is_decided_by_its_rule(rule, reference, answer, question, status, text) -> None:
    judgement = judge(reference, answer, question)
    assert (judgement.decision.rule, judgement.status) == (rule, status)
    assert compare_texts(reference, answer, question) == (status, text)


def test_every_rule_has_a_pair() -> None:
    assert {rule for rule, *_ in DECIDED} | UNSEEN | SYMPY == set(Rule)


def test_no_two_rules_share_a_text() -> None:
    assert len(Rule.__members__) == len(list(Rule))  # of two members with one value the second is only a name of the first


def test_a_decision_is_told_with_its_facts() -> None:
    trail = Trail()
    trail.decide(Rule.MANY_DIGITS, 90, 16)
    assert str(trail.decision) == "equal to 90 digits at 16 point(s)"
    trail.units_agree()
    assert str(trail.decision) == "equal to 90 digits at 16 point(s), units agree"
    trail.decide(Rule.NUMBERS_DIFFER)
    assert trail.decision == Decision(Rule.NUMBERS_DIFFER)


def test_a_verdict_tells_the_rule_and_both_sides() -> None:
    verdict = grade("1/2", "so it is \\boxed{0.5}")
    assert (verdict.status, verdict.extracted) == ("correct", "0.5")
    assert verdict.detail == "exact rationals; reference: 1/2; answer (box): 0.5"


def test_a_sentence_is_read_again_where_its_words_are_not_the_reference() -> None:
    sentence = "So the winner is 甲."
    assert judge("甲", sentence).decision.rule is Rule.DIFFERENT_WORDS
    assert grade("甲", sentence).status == "correct"
    assert grade("乙", sentence).status == "wrong"


def test_the_files_import_each_other_as_drawn() -> None:
    """A file imports from lines below its own and from files behind it on its line: so there is no ring."""
    drawn = re.findall(r"^    (\w+(?:, \w+)*)", equality.__doc__ or "", flags=re.MULTILINE)
    order = [name for line in drawn for name in line.split(", ")]
    folder = Path(equality.__file__).parent
    assert sorted(order) == sorted(file.stem for file in folder.glob("*.py") if file.stem != "__init__")
    for file in folder.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rewards.math.equality."):
                imported = node.module.rpartition(".")[2]
                assert order.index(file.stem) < order.index(imported), f"{file.stem} imports {imported}"
