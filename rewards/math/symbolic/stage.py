"""When sympy is asked about a pair, what for, and what its answer means for the verdict. Nothing here loads sympy.

It is asked only where the fast stages left the pair undecided and both sides could be the same. An answer that only states the
task again, an integral for its value or an equation for its solution, is not asked about where a question was put.
"""

import re

from rewards.math.equality.families import differ_by_a_constant
from rewards.math.equality.points import integer_symbols
from rewards.math.equality.rules import UNDECIDED, Rule, Trail
from rewards.math.symbolic.assumptions import agree_where_said, said
from rewards.math.symbolic.client import SYMPY
from rewards.math.symbolic.solving import could_have_same_solutions, is_equation_of_one, is_solved
from rewards.math.symbolic.wire import Reply, encode, fits
from rewards.math.tree import INFINITY, Node, contains, symbols

_MACHINES_FAULT = frozenset(("SYMPY_NOT_STARTED", "SYMPY_STARVED"))
_ENDED = frozenset(("SYMPY_ENDED", "SYMPY_TIMED_OUT", "SYMPY_EXPLODED"))
_CONSTANT = re.compile(r"[CcKk](?:_\d)?")
_ASKS_FOR_INTEGRAL = re.compile(r"\\int(?![A-Za-z])|\b(?:indefinite|integrate|antiderivative|primitive)", re.IGNORECASE)
_ASKS_FOR_EQUATION = re.compile(r"\bequation\b", re.IGNORECASE)


def has_operators(node: Node) -> bool:
    """Tell whether there is anything to be worked out that the fast stages do not know: an integral, an inverse."""
    if node.op in ("int", "anti", "lim", "diff"):
        return True
    if node.op in ("sum", "prod") and (contains_infinity(node.args[2]) or contains_infinity(node.args[1])):
        return True
    if node.op == "fn" and (node.value in ("det", "mod", "tr", "rank") or (node.value == "abs" and node.args[0].op == "mat")):
        return True
    if node.op == "pow" and contains(node.args[0], "mat") and node.args[1].op != "num":
        return True
    return any(map(has_operators, node.args))


def contains_infinity(node: Node) -> bool:
    """Tell whether infinity occurs."""
    return node == INFINITY or any(map(contains_infinity, node.args))


def refuted(gold: Node, answer: Node, trail: Trail, prompt: str) -> bool:
    """Tell whether sympy refutes what the fast stages took for the same on grounds that prove little.

    A gcd of names is the same at a few whole numbers by chance, a multiple of a relation may lose a pole, and ln x is ln |x|
    wherever both are real.
    """
    by_numbers = trail.decision.rule is Rule.MANY_DIGITS and (
        rests_on_few_integers(gold, answer) or one_side_is_log_of_size(gold, answer)
    )
    one_name = len(symbols(gold) | symbols(answer)) == 1
    by_multiple = trail.decision.rule is Rule.MULTIPLE and one_name and any(map(_divides_by_names, (gold, answer)))
    if not (by_numbers or by_multiple) or not fits(gold, answer):
        return False
    reply = SYMPY.ask(_request(gold, answer, prompt, "values" if by_numbers else "solutions"))
    if reply.same is False:
        _note(reply, trail)
    return reply.same is False


def _divides_by_names(node: Node) -> bool:
    return (node.op == "div" and bool(symbols(node.args[1]))) or any(map(_divides_by_names, node.args))


def same_antiderivatives(gold: Node, answer: Node) -> bool:
    """Tell whether both are a function plus a constant of integration, c on one side and k on the other perhaps."""
    ours, theirs = ([name for name in symbols(side) if _CONSTANT.fullmatch(name)] for side in (gold, answer))
    if len(ours) != 1 or len(theirs) != 1 or symbols(gold) - {*ours} != symbols(answer) - {*theirs}:
        return False
    return differ_by_a_constant(gold, answer, ours[0], theirs[0], symbols(gold) - {*ours})


def one_side_is_log_of_size(gold: Node, answer: Node) -> bool:
    """Tell whether one side alone has the logarithm of a size, ln |x|, and no constant of integration: there ln x is usual."""
    sides = [_has_log_of_size(side) for side in (gold, answer)]
    return sides[0] != sides[1] and not any(map(_CONSTANT.fullmatch, symbols(gold)))


def _has_log_of_size(node: Node) -> bool:
    here = node.op == "fn" and node.value in ("ln", "log") and _holds_size(node.args[0])
    return here or any(map(_has_log_of_size, node.args))


def _holds_size(node: Node) -> bool:
    return (node.op == "fn" and node.value == "abs") or any(map(_holds_size, node.args))


def rests_on_few_integers(gold: Node, answer: Node) -> bool:
    """Tell whether a gcd or lcm of names occurs."""
    return any(map(_divides_names, (gold, answer)))


def _divides_names(node: Node) -> bool:
    here = node.op == "fn" and node.value in ("gcd", "lcm") and bool(symbols(node))
    return here or any(map(_divides_names, node.args))


def settled(gold: Node, answer: Node, trail: Trail, prompt: str) -> bool:
    """Tell whether sympy finds two trees to be the same that the fast stages left undecided; the trail says what decided."""
    if prompt and _ASKS_FOR_INTEGRAL.search(prompt) and same_antiderivatives(gold, answer):
        trail.decide(Rule.ANTIDERIVATIVES)
        return True
    kind = _kind(gold, answer, trail, prompt)
    if kind is None or not fits(gold, answer):
        return False
    if prompt and _states_the_task(gold, answer, kind, prompt):
        trail.decide(Rule.STILL_TO_DO)
        return False
    reply = SYMPY.ask(_request(gold, answer, prompt, kind))
    _note(reply, trail)
    return reply.same is True


def _kind(gold: Node, answer: Node, trail: Trail, prompt: str) -> str | None:
    """Return what is to be found out, "values" or "solutions", or None where there is nothing to ask."""
    if contains(gold, "unit", "time") or contains(answer, "unit", "time"):
        return None
    if could_have_same_solutions(gold, answer):
        return "solutions"
    if has_operators(gold) or has_operators(answer) or rests_on_few_integers(gold, answer):
        return "values"
    if trail.decision.rule in UNDECIDED:
        return None if _is_mere_size(gold, answer, trail) else "values"
    differ = trail.decision.rule is Rule.NUMBERS_DIFFER
    return "values" if differ and prompt and agree_where_said(gold, answer, prompt) else None


def _is_mere_size(gold: Node, answer: Node, trail: Trail) -> bool:
    """Tell whether a constant was refused for its size alone: a tower or a factorial is as large for sympy."""
    if trail.decision.rule is not Rule.REFUSED or (symbols(gold) and symbols(answer)):
        return False
    return not any(contains(side, "sum", "prod") or _divides_factorials(side) for side in (gold, answer))


def _divides_factorials(node: Node) -> bool:
    is_quotient = node.op == "div" and contains(node.args[0], "fact") and contains(node.args[1], "fact")
    return is_quotient or any(map(_divides_factorials, node.args))


def _states_the_task(gold: Node, answer: Node, kind: str, prompt: str) -> bool:
    """Tell whether the answer leaves to be done what the gold has done, or does what was not asked for."""
    if has_operators(answer) and not has_operators(gold) and not _ends_in_value(answer):
        return True
    if kind != "solutions":
        return False
    if _ASKS_FOR_EQUATION.search(prompt) and is_equation_of_one(gold) and not is_solved(gold) and is_solved(answer):
        return True  # whoever is asked for an equation does not give its roots
    return is_solved(gold) and not is_solved(answer)


def _ends_in_value(answer: Node) -> bool:
    """Tell whether it is `integral = value`: the value is what counts, and both must be equal."""
    return answer.op == "rel" and set(answer.value) == {"="} and not has_operators(answer.args[-1])


def _request(gold: Node, answer: Node, prompt: str, kind: str) -> dict[str, object]:
    names = symbols(gold) | symbols(answer)
    assumptions, bounds = said(prompt, names)
    for name in integer_symbols(gold) | integer_symbols(answer):
        assumptions.setdefault(name, {"integer": True, "positive": True})
    return {
        "kind": kind,
        "gold": encode(gold),
        "answer": encode(answer),
        "assumptions": assumptions,
        "bounds": {name: [_finite(low), _finite(high)] for name, (low, high) in bounds.items()},
    }


def _finite(number: float) -> float | str:
    return number if abs(number) < float("inf") else str(number)  # JSON has no infinity


def _note(reply: Reply, trail: Trail) -> None:
    """Write what sympy found into the trail; where it found nothing, what the fast stages said stands."""
    if reply.rule and (reply.same is not None or reply.rule in _ENDED | _MACHINES_FAULT):
        trail.decide(Rule[reply.rule], *reply.facts)
    if reply.same is not None:
        trail.too_big = False
    elif reply.rule in _ENDED:
        trail.too_big = True
