"""Which pairs of trees could be the same set of solutions, and which of them are solved. Nothing here loads sympy."""

from rewards.math.tree import EMPTY, REALS, Node, contains, symbols

_NUMBER_SETS = frozenset(("\\integers", "\\naturals", "\\rationals", "\\complexes"))
_ORDERS = frozenset(("<", ">", "<=", ">=", "!=", "="))


def could_have_same_solutions(gold: Node, answer: Node) -> bool:
    """Tell whether it is a condition against its solutions, two conditions, or families over the integers.

    Where the gold is solved, what is still to be solved is no answer to it, but for curves: those are not solved for a name.
    """
    if not (_is_statement(gold) and _is_statement(answer)) or "unit" in (gold.op, answer.op):
        return False
    if is_solved(gold) and not is_solved(answer) and not (_is_curve(gold) and _is_curve(answer)):
        return False
    if is_equation_of_one(gold) and not is_solved(gold) and not contains(answer, "rel", "set", "list", "bound", "build", "pm"):
        return False  # 3 alone does not say for what it solves 2x = 6
    if contains(gold, "call") or contains(answer, "call"):
        return False
    names, others = _names(gold), _names(answer)
    if not names and not others and not contains(gold, "build", "bound") and not contains(answer, "build", "bound"):
        return False  # nothing is said of anything
    if names and others and names != others:
        return False
    if is_family(gold) or is_family(answer):
        return True
    if is_solved(gold) and is_solved(answer):
        if any(node.op == "build" and node.value in _NUMBER_SETS for node in (gold, answer)):
            return True
        return len(names) > 1 and _solved_for(gold) != _solved_for(answer)  # x = ln y and y = e^x
    return True


def _is_curve(node: Node) -> bool:
    return node.op == "rel" and node.value == ("=",) and len(symbols(node)) > 1


def _solved_for(node: Node) -> str | None:
    """Return the name that an equation gives."""
    return next((member.value for member in node.args if member.op == "sym"), None) if node.op == "rel" else None


def _names(node: Node) -> frozenset[str]:
    bound = frozenset(node.value[0]) if node.op == "bound" else frozenset()
    return frozenset(name for name in symbols(node) - bound if name not in _NUMBER_SETS and name != REALS.value)


def _is_statement(node: Node) -> bool:
    """Tell whether a tree says which values there are: a relation, a set, a list of values or one value."""
    if node.op in ("bound", "build", "union", "inter", "minus"):
        return True
    if node.op == "rel":
        return set(node.value) <= _ORDERS or node.value == ("in",)
    if node.op in ("list", "or", "and"):
        return all(map(_is_statement, node.args))
    if node.op == "seq":
        return len(node.args) == 2
    return node.op == "set" or node == REALS or not symbols(node)


def is_family(node: Node) -> bool:
    """Tell whether it is written with a parameter that runs through the integers."""
    if node.op == "bound":
        return bool(node.value[1] == "integer")
    if node.op in ("list", "or", "union"):
        return any(map(is_family, node.args))
    return node.op == "build" and node.args[0].op != "sym" and node.args[0].op != "seq"


def is_solved(node: Node) -> bool:
    """Tell whether nothing is left to be solved: values, intervals, a name between numbers."""
    if node.op in ("union", "inter", "minus", "list", "or", "and"):
        return all(map(is_solved, node.args))
    if node.op == "build":
        return node.args[0].op not in ("sym", "seq") or is_solved(node.args[1])
    if node.op == "bound":
        return is_solved(node.args[0])
    if node.op != "rel" or node == EMPTY:
        return True
    if node.value == ("=",) and node.args[0].op == "seq":  # (x, y) = (2, 3)
        return all(part.op == "sym" for part in node.args[0].args)
    names = [member for member in node.args if member.op == "sym"]
    others = [member for member in node.args if member.op != "sym" or member == REALS or member.value in _NUMBER_SETS]
    return len(names) - sum(other.op == "sym" for other in others) == 1 and not any(
        name.value in symbols(other) for name in names for other in others if other.op != "sym"
    )


def is_equation_of_one(node: Node) -> bool:
    """Tell whether it is an equation in one name, or several of them."""
    if node.op in ("list", "or", "and"):
        return all(map(is_equation_of_one, node.args))
    return node.op == "rel" and set(node.value) == {"="} and len(symbols(node)) == 1
