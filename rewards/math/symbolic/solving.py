"""Which pairs of trees could be the same set of solutions, and which of them are solved. Nothing here loads sympy."""

from rewards.math.tree import Node


def could_have_same_solutions(gold: Node, answer: Node) -> bool:
    return False


def is_solved(node: Node) -> bool:
    return True
