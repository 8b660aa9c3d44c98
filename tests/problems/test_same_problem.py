"""The same problem in other words or another order has the same `same_as`, or it may be practised and then be tested.

What makes two problems the same is found here a second way, from their prompts: by trying every order and every naming.
"""

import ast
import re
from collections.abc import Callable
from fractions import Fraction
from itertools import permutations, product
from random import Random
from typing import Any

import pytest
from support_domains import at_every_level

from problems.catalog import DOMAINS
from problems.domains.sudoku import same_as

FEWEST = 400  # different problems of a level: a tenth of all there are is its test set
SMALL = {("combinatorics", 1): 200, ("combinatorics", 2): 200}  # as docs/domains.md says


@pytest.mark.parametrize(
    ("name", "level", "part"),
    [
        ("divisors", 1, r"\d+"),
        ("expansion", 1, r"\(x.*?\)"),
        ("fractions", 1, r"[-+]?\d+/\d+"),
        ("radicals", 3, r"-?\\sqrt\{\d+\}"),
        ("rational_expressions", 2, r"-?\\frac\{\d+\}\{.*?\}"),
    ],
)
def test_the_same_problem_in_another_order_is_the_same_problem(name: str, level: int, part: str) -> None:
    domain = DOMAINS[name]
    small = {"largest": 4, "largest_divisor": 10, "largest_cofactor": 6, "largest_inside": 6, "largest_degree": 1}
    settings = {key: value for key, value in small.items() if key in domain.config.model_fields}
    config = domain.config(**{**domain.levels[level - 1], **settings})
    same: dict[tuple[str, ...], set[str]] = {}
    prompts: dict[tuple[str, ...], set[str]] = {}
    for seed in range(400):
        draft = domain.generate(Random(seed), config)
        if name == "fractions" and "-" in draft.prompt:
            continue  # a-b is not b-a
        parts = tuple(sorted(one.lstrip("+") for one in re.findall(part, draft.prompt.split(" as ")[0])))
        same.setdefault(parts, set()).add(draft.same_as or draft.prompt)
        prompts.setdefault(parts, set()).add(draft.prompt)
    assert max(map(len, prompts.values())) > 1  # some came in two orders
    assert {len(found) for found in same.values()} == {1}


def sudoku(prompt: str) -> object:
    """Return the first of all puzzles that differ in the order of rows, of columns, and in digits: 4 x 4 alone."""
    grid = prompt.split("\n")[1:]
    orders = [order for order in permutations(range(4)) if {order[0], order[1]} in ({0, 1}, {2, 3})]
    found = []
    for side, rows, columns in product((grid, ["".join(cells) for cells in zip(*grid, strict=True)]), orders, orders):
        text = "".join(side[row][column] for row in rows for column in columns)
        names = "".join(dict.fromkeys(re.findall(r"\d", text)))
        found.append(text.translate(str.maketrans(names, "1234"[: len(names)])))
    return min(found)


def knights(prompt: str) -> object:
    """Return the first of all sets of statements with the names given anew."""
    said = re.findall(r'^(\w+) says: "(.+)"$', prompt, re.MULTILINE)
    names = [name for name, _ in said]
    found = []
    for others in permutations("abcdef"[: len(names)]):
        lines = []
        for speaker, words in said:
            new = dict(zip(names, others, strict=True))
            of = [new[name] for name in re.findall("[A-Z][a-z]+", words) if name in new]
            form = re.sub("|".join(names), "_", words)
            lines.append((new[speaker], form, of if words.startswith("If") else sorted(of)))
        found.append(sorted(lines))
    return str(min(found))


def logic(prompt: str) -> object:
    """Return the first of all formulas with the variables given anew and sides sorted, as Python's own parser reads them."""
    text = prompt.split("is this true: ")[1].removesuffix("?")
    for word, sign in {"not ": "~", " and ": " & ", " or ": " | ", " xor ": " ^ ", " implies ": " >> "}.items():
        text = text.replace(word, sign)
    names = sorted(set(re.findall("[A-F]", text)))

    def walk(node: ast.expr, new: dict[str, str]) -> str:
        if isinstance(node, ast.Name):
            return new[node.id]
        if isinstance(node, ast.UnaryOp):
            return f"~{walk(node.operand, new)}"
        assert isinstance(node, ast.BinOp)
        sides = [walk(node.left, new), walk(node.right, new)]
        sign = type(node.op).__name__
        return f"{sign}({', '.join(sides if sign == 'RShift' else sorted(sides))})"

    tree = ast.parse(text, mode="eval").body
    return min(walk(tree, dict(zip(names, others, strict=True))) for others in permutations(names))


def dots(prompt: str) -> object:
    return tuple(sorted(prompt.split("\n")[1:]))


def linear(prompt: str) -> object:
    return frozenset(prompt.removeprefix("Solve for x: ").rstrip(".").split("="))


def quadratic(prompt: str) -> object:
    """Return b/a and c/a of ax^2+bx+c=0."""
    match = re.search(r"of (\d*)x\^2(?:([-+]\d*)x)?([-+]\d+)?=0", prompt)
    assert match is not None
    a, b, c = (int(f"{one}1" if one in ("", "+", "-") else one or 0) for one in match.groups())
    return Fraction(b, a), Fraction(c, a)


def split(prompt: str) -> object:
    match = re.match(r"Write \\frac\{(.*?)\}\{(\(.*?\))(\(.*?\))\}", prompt)
    assert match is not None
    return match[1], frozenset(match.groups()[1:])


@pytest.mark.parametrize(
    ("name", "settings", "content"),
    [
        ("sudoku", {"size": 4, "empty": (3, 3)}, sudoku),
        ("knights", {"people": (3, 3)}, knights),
        ("logic", {"variables": (2, 2), "leaves": (2, 3)}, logic),
        ("logic", {"variables": (3, 3), "leaves": (3, 3)}, logic),
        ("dots", {"rows": (2, 2), "marks": (1, 4)}, dots),
        ("linear_equations", {"largest": 2, "largest_solution": 5}, linear),
        ("quadratic_equations", {"solutions": "irrational", "largest": 4}, quadratic),
        ("rational_expressions", {"task": "split", "largest": 3}, split),
    ],
)
def test_the_same_problem_turned_about_or_renamed_is_the_same_problem(
    name: str, settings: dict[str, Any], content: Callable[[str], object]
) -> None:
    domain = DOMAINS[name]
    drafts = [domain.generate(Random(seed), domain.config(**settings)) for seed in range(400)]
    prompts: dict[object, set[str]] = {}
    same: dict[object, set[str]] = {}
    for prompt, one in {draft.prompt: draft.same_as or draft.prompt for draft in drafts}.items():
        prompts.setdefault(content(prompt), set()).add(prompt)
        same.setdefault(content(prompt), set()).add(one)
    if name != "quadratic_equations":  # which has but one way to write each
        assert max(map(len, prompts.values())) > 1
    assert {len(found) for found in same.values()} == {1}
    assert len(set.union(*same.values())) > len(same) * 0.7  # what is not the same is hardly ever taken for it


def test_a_large_sudoku_turned_about_is_the_same_sudoku() -> None:
    rng, domain = Random(0), DOMAINS["sudoku"]
    config = domain.config(size=9, empty=(20, 40))
    for _ in range(10):
        digits = "".join(domain.generate(rng, config).prompt.split("\n")[1:])
        lines = [[3 * band + line for band in rng.sample(range(3), 3) for line in rng.sample(range(3), 3)] for _ in range(2)]
        turned = "".join(digits[9 * column + row] for row in lines[0] for column in lines[1])
        renamed = turned.translate(str.maketrans("123456789", "".join(rng.sample("123456789", 9))))
        other = "".join(domain.generate(rng, config).prompt.split("\n")[1:])
        assert same_as(renamed, 9) == same_as(digits, 9) != same_as(other, 9)


@at_every_level
def test_a_level_has_enough_different_problems_to_measure_with(name: str, level: int) -> None:
    domain = DOMAINS[name]
    config = domain.config(**domain.levels[level - 1]) if level else domain.config()
    wanted, found = SMALL.get((name, level), FEWEST), set[str]()
    for seed in range(2000):
        draft = domain.generate(Random(seed), config)
        found.add(draft.same_as or draft.prompt)
        if len(found) >= wanted:
            break
    assert len(found) >= wanted
