"""Judges answers to problems of the package reasoning-gym by the data set's own scorer; only its 1.0 is correct.

Its scorers pay parts (0.01 for any text, more for a text that contains the answer): those would be practised, so none is paid.
Some of those that are not left out hand the answer to `eval` or to sympy's parser, which is `eval` (0.1.25, read on
2026-11-26). The model writes it, so such an answer is first read as a formula without calls, attributes and texts, and is wrong
where it is none. A scorer that fails on an answer, though not on the reference, was led astray by the answer: wrong. What makes
it hang is the pool's to kill.
"""

import ast
import re
import string
from collections.abc import Collection

from problems.sets.reasoning_gym import item
from problems.types import Problem
from rewards.answer import MAX_EXTRACTED_CHARACTERS, committed_answers
from rewards.types import STRICT, Reading, Verdict

SECONDS = 60.0  # the first verdict of a process loads the package, on a loaded machine too
_FUNCTIONS = {"sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "exp", "log", "ln", "sqrt"}
_CONSTANTS = {"pi"}
_EVALUATES = {"binary_matrix", "spiral_matrix", "string_insertion"}  # with eval, for a part of the points
_PARSES = {"countdown", "intermediate_integration", "simple_integration"}  # by sympy
_NO_NUMBER = re.compile(r"\b(?:nan|inf|infinity)\b", re.IGNORECASE)  # to scorers that compare, equal to whatever was asked for
_SUM = re.compile(r"[0-9\s+\-*/()]*")  # of whole numbers: scorers that look which were used do not see 57e0, 5_7 or 0x39
_HIGHEST_POWER = 20
_NODES = (
    *(ast.Expression, ast.Constant, ast.Name, ast.Load, ast.Call, ast.List, ast.Tuple),
    *(ast.UnaryOp, ast.UAdd, ast.USub, ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow),
)


def gym_fault(problem: Problem) -> str | None:
    """Return why no answer to a problem can be scored, or None: its item cannot be made again, or is another one now."""
    checks = problem.checks
    if not {"name", "settings", "seed"} <= checks.keys():
        return f"checks must hold name, settings and seed, found {', '.join(checks) or 'none'}"
    try:
        _, made = item(str(checks["name"]), str(checks["settings"]), int(checks["seed"]))
    except Exception as error:  # what makes it is theirs, and may fail in any way
        return f"the item cannot be made: {error}"
    if made["question"] != problem.prompt or (None if made["answer"] is None else str(made["answer"])) != problem.reference:
        return f"reasoning-gym makes another item of seed {checks['seed']} than it did"
    return None


def verify_gym(problem: Problem, completion: str, reading: Reading = STRICT) -> Verdict:
    """Have the data set score the completion's final answer."""
    if fault := gym_fault(problem):
        return Verdict(status="error", detail=fault)
    committed = committed_answers(completion, reading)
    if unparsed := committed.unparsed():
        return unparsed
    answer = committed.readings[0].strip()
    shown = answer[:MAX_EXTRACTED_CHARACTERS]
    name = str(problem.checks["name"])
    if _NO_NUMBER.search(answer) and not _NO_NUMBER.search(problem.reference or ""):
        return Verdict(status="wrong", extracted=shown, detail=f"{name}: holds a number that is none")
    if not _may_be_scored(answer, name):
        return Verdict(status="wrong", extracted=shown, detail=f"{name}: no plain formula, and its scorer would evaluate it")
    data_set, made = item(name, str(problem.checks["settings"]), int(problem.checks["seed"]))
    try:
        score = float(data_set.score_answer(answer=answer, entry=made))
    except Exception as error:  # whose fault it is, the reference tells
        data_set.score_answer(answer=made["answer"], entry=made)
        return Verdict(status="wrong", extracted=shown, detail=f"{name}: its scorer failed on it: {type(error).__name__}")
    return Verdict(status="correct" if score == 1.0 else "wrong", extracted=shown, detail=f"{name}: its scorer says {score:g}")


def _may_be_scored(answer: str, name: str) -> bool:
    """Tell whether the scorer of data set `name` may see `answer`."""
    if name == "countdown":
        return _SUM.fullmatch(answer) is not None and "**" not in answer and is_formula(answer, ())
    if name in _PARSES:
        return is_formula(answer, _FUNCTIONS)
    if name not in _EVALUATES:
        return True
    try:
        ast.parse(answer, mode="eval")
    except SyntaxError:  # a grid, say: `eval` refuses it as well
        return True
    except (ValueError, MemoryError, RecursionError):
        return False
    return is_formula(answer, ())


def is_formula(text: str, functions: Collection[str]) -> bool:
    """Tell whether `text` is an expression of numbers, names, lists and arithmetic that calls nothing but `functions`.

    Names are single letters, `pi` and those functions where some may be called; without any, all names, since none can be used.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    for node in ast.walk(tree):
        if not isinstance(node, _NODES) or (isinstance(node, ast.BinOp) and _is_large_power(node)):
            return False
        if isinstance(node, ast.Constant) and type(node.value) not in (int, float):
            return False  # a text would be parsed, and so evaluated, by sympy
        if isinstance(node, ast.Call) and not (
            isinstance(node.func, ast.Name) and node.func.id in functions and not node.keywords
        ):
            return False
        if functions and isinstance(node, ast.Name) and not _is_known(node.id, functions):
            return False
    return True


def _is_large_power(node: ast.BinOp) -> bool:
    """Tell whether `node` is a power that may be too large to be computed: only small constants may stand above."""
    if not isinstance(node.op, ast.Pow):
        return False
    above = node.right.operand if isinstance(node.right, ast.UnaryOp) else node.right
    is_small = isinstance(above, ast.Constant) and isinstance(above.value, int | float) and above.value <= _HIGHEST_POWER
    return not is_small or any(isinstance(inner, ast.Pow) for inner in ast.walk(node.left))


def _is_known(name: str, functions: Collection[str]) -> bool:
    return name in functions or name in _CONSTANTS or (len(name) == 1 and name in string.ascii_letters)
