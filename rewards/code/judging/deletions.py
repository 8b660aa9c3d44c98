"""Tests that delete an object and look at what follows: after `del name` the garbage of both processes is collected.

In one process an object goes with its last name; here the other process must hear of it. Only the text of the tests is changed.
"""

import ast
from collections.abc import Sequence


def collecting(body: Sequence[ast.stmt]) -> tuple[list[ast.stmt], bool]:
    """Return the statements with a collection after each `del name`, and whether they collect at all."""
    change = _AfterDelete()
    changed = [made for statement in body for made in change.each(statement)]
    names = (node.attr for statement in body for node in ast.walk(statement) if isinstance(node, ast.Attribute))
    return changed, change.count > 0 or "collect" in names


class _AfterDelete(ast.NodeTransformer):
    def __init__(self) -> None:
        self.count = 0

    def each(self, statement: ast.stmt) -> list[ast.stmt]:
        made = self.visit(statement)
        return made if isinstance(made, list) else [made]

    def visit_Delete(self, node: ast.Delete) -> list[ast.stmt]:
        if not any(isinstance(target, ast.Name) for target in node.targets):
            return [node]
        self.count += 1
        (collect,) = ast.parse("_collected = __import__('gc').collect()").body  # no expression: those count as tests
        for part in ast.walk(collect):
            ast.copy_location(part, node)
        return [node, collect]
