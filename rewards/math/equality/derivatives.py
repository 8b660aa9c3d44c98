"""One spelling for derivatives: `x'` is `dx/dt` where both sides together derive x by t and by nothing else."""

import re

from rewards.math.tree import Node, symbols

LEIBNIZ = re.compile(r"d(?:\^(\d))?([^/^]+)/d([^/^]+)(?:\^\d)?")
_PRIMED = re.compile(r"([^']+)('{1,9})")


def in_one_notation(gold: Node, answer: Node) -> tuple[Node, Node]:
    """Return both sides with their primed names as quotients of differentials, where it is clear by what is derived."""
    names = symbols(gold) | symbols(answer)
    if not any("'" in name for name in names):
        return gold, answer
    variables: dict[str, set[str]] = {}
    for name in names:
        if quotient := LEIBNIZ.fullmatch(name):
            variables.setdefault(quotient[2], set()).add(quotient[3])
    renamed: dict[str, str] = {}
    for name in names:
        primed = _PRIMED.fullmatch(name)
        by = variables.get(primed[1], set()) if primed else set()
        if primed and len(by) == 1:
            order = len(primed[2])
            power = f"^{order}" if order > 1 else ""
            renamed[name] = f"d{power}{primed[1]}/d{min(by)}{power}"
    return (_with_names(gold, renamed), _with_names(answer, renamed)) if renamed else (gold, answer)


def _with_names(node: Node, names: dict[str, str]) -> Node:
    if node.op == "sym":
        return node._replace(value=names.get(node.value, node.value))
    return node._replace(args=tuple(_with_names(part, names) for part in node.args)) if node.args else node
