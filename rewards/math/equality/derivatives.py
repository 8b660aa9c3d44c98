"""One notation for derivatives: `x'` is `dx/dt` where both sides together derive x by t and by nothing else.

`u_t` and `u_{xx}` are the partial derivatives of u where the other notation of just these occurs too.
"""

import re

from rewards.math.tree import Node, symbols

_TOTAL = re.compile(r"d(?:\^(\d))?([^/^]+)/d([^/^]+)(?:\^\d)?")
_PARTIAL = re.compile(r"\\partial(?:\^(\d))?([a-zA-Z])/\\partial([a-z])(?:\^\d)?")
_PRIMED = re.compile(r"([^']+)('{1,9})")


def in_one_notation(gold: Node, answer: Node) -> tuple[Node, Node]:
    """Return both sides with primes and subscripts as quotients of differentials, where it is clear by what is derived."""
    names = symbols(gold) | symbols(answer)
    if not any("'" in name or name.startswith("\\partial") for name in names):
        return gold, answer
    renamed = _primed(names) | _subscripted(names)
    return (_with_names(gold, renamed), _with_names(answer, renamed)) if renamed else (gold, answer)


def _primed(names: frozenset[str]) -> dict[str, str]:
    """Return for each name with primes its quotient of differentials, where its function is derived by one variable only."""
    variables: dict[str, set[str]] = {}
    for name in names:
        if quotient := _TOTAL.fullmatch(name):
            variables.setdefault(quotient[2], set()).add(quotient[3])
    renamed: dict[str, str] = {}
    for name in names:
        primed = _PRIMED.fullmatch(name)
        by = variables.get(primed[1], set()) if primed else set()
        if primed and len(by) == 1:
            power = f"^{len(primed[2])}" if len(primed[2]) > 1 else ""
            renamed[name] = f"d{power}{primed[1]}/d{min(by)}{power}"
    return renamed


def _subscripted(names: frozenset[str]) -> dict[str, str]:
    """Return for u_t or u_xx the partial derivative that it is, where that one occurs."""
    renamed: dict[str, str] = {}
    for name in names:
        if quotient := _PARTIAL.fullmatch(name):
            short = f"{quotient[2]}_{quotient[3] * int(quotient[1] or 1)}"
            if short in names:
                renamed[short] = name
    return renamed


def _with_names(node: Node, names: dict[str, str]) -> Node:
    if node.op == "sym":
        return node._replace(value=names.get(node.value, node.value))
    return node._replace(args=tuple(_with_names(part, names) for part in node.args)) if node.args else node
