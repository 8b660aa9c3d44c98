"""Style assert: where the tests assert, so that an error counts that kept them from it, whoever swallowed the error.

A candidate's context manager may return True, and a candidate may catch what a callback of the tests raises. For that to hide
no failure the examiner is told, of each statement, where the next assertion stands (`inside/failures.py`).
Assumed: a call of a method `assert..`, or of a function that asserts, is an assertion; `assert False` marks a place that is not
to be reached, and is none. Left out: functions that unittest and the judge call, unless a `with` stands in them.
"""

import ast
from collections.abc import Sequence
from typing import TypeAlias

Guard: TypeAlias = tuple[int, int, int]  # a statement's first and last line, and the line of the next assertion, from it on
Block: TypeAlias = tuple[int, int, int]  # the line of a `with`, the first line of its body, and its last line
SEEN = "__seen__"  # the name under which the examiner gives what notes an assertion
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_CALLED = ("test", "check", "setUp", "setup")
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")


def guards_of(body: Sequence[ast.stmt]) -> tuple[tuple[Guard, ...], tuple[Block, ...]]:
    """Return the guarded statements, and the `with` statements, sorted by their lines."""
    walk = _Walk(body)
    walk.block(body, 0, is_watched=False, is_ours=True)
    return tuple(sorted(walk.guards)), tuple(sorted(walk.blocks))


class _Walk:
    def __init__(self, body: Sequence[ast.stmt]):
        self.guards: list[Guard] = []
        self.blocks: list[Block] = []
        self.helpers: set[str] = set()
        branches = [node for statement in body for node in ast.walk(statement) if isinstance(node, ast.If)]
        self.exits = {id(part) for node in branches for part in (*node.body, *node.orelse) if _exits(part)}
        functions = [node for statement in body for node in ast.walk(statement) if isinstance(node, _FUNCTIONS)]
        self.helpers = {node.name for node in functions if any(map(self._first, node.body))}

    def block(self, body: Sequence[ast.stmt], after: int, is_watched: bool, is_ours: bool = False) -> None:
        """Go through statements backwards; `after` is the line of the assertion that follows them, or 0.

        `is_ours`: functions of this block are called by the judge, or by unittest.
        """
        for statement in reversed(body):
            if isinstance(statement, ast.ClassDef):
                is_case = statement.name.startswith("Test") or any(ast.unparse(b).endswith("Case") for b in statement.bases)
                self.block(statement.body, 0, is_watched=False, is_ours=is_case)
            elif isinstance(statement, _FUNCTIONS):
                is_called_by_us = is_ours and statement.name.startswith(_CALLED) and not statement.decorator_list
                self.block(statement.body, 0, is_watched=not is_called_by_us)
            else:
                first = self._first(statement)
                self._statement(statement, first or after, after, is_watched)
                after = first or after

    def _statement(self, statement: ast.stmt, guarded: int, after: int, is_watched: bool) -> None:
        inner = [part for name in _BLOCKS for part in getattr(statement, name, [])]
        last = statement.end_lineno or statement.lineno
        if isinstance(statement, ast.With | ast.AsyncWith):
            self.blocks.append((statement.lineno, statement.body[0].lineno, last))
            is_watched = True
        elif isinstance(statement, ast.For | ast.AsyncFor | ast.While):
            after = guarded  # the next round asserts too
        if is_watched and guarded:
            head = max(statement.lineno, inner[0].lineno - 1) if inner and isinstance(inner[0], ast.stmt) else last
            self.guards.append((statement.lineno, head, guarded))
        for name in _BLOCKS:
            part = getattr(statement, name, [])
            for one in part if name in ("handlers", "cases") else [None]:
                self.block(part if one is None else one.body, after, is_watched)

    def _first(self, statement: ast.stmt) -> int:
        """Return the line of the first assertion of a statement, or 0; those of functions defined in it do not count."""
        found = 0
        waiting: list[ast.AST] = [] if isinstance(statement, (*_FUNCTIONS, ast.ClassDef)) else [statement]
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.stmt | ast.expr) and self._asserts(node):
                found = min(found or node.lineno, node.lineno)
            waiting += [child for child in ast.iter_child_nodes(node) if not isinstance(child, (*_FUNCTIONS, ast.ClassDef))]
        return found

    def _asserts(self, node: ast.AST) -> bool:
        if isinstance(node, ast.Assert):
            return not isinstance(node.test, ast.Constant)
        if id(node) in self.exits:
            return True
        if not isinstance(node, ast.Call):
            return False
        if isinstance(node.func, ast.Attribute):
            return node.func.attr.startswith("assert")
        return isinstance(node.func, ast.Name) and node.func.id in self.helpers


def _exits(statement: ast.stmt) -> bool:
    """Return whether a statement ends the tests: `if f(1) != 2: sys.exit(1)` is an assertion."""
    value = statement.exc if isinstance(statement, ast.Raise) else getattr(statement, "value", None)
    title = ast.unparse(value.func if isinstance(value, ast.Call) else value) if isinstance(value, ast.expr) else ""
    return title in ("sys.exit", "exit", "quit", "SystemExit")


def count_assertions(body: list[ast.stmt]) -> bool:
    """Have every `assert` of the tests be noted when it runs; return whether one must.

    None is run where the program decorates the function that they stand in, or gives nothing to the loop around them.
    """
    nodes = [node for statement in body for node in ast.walk(statement)]
    asserts = [node for node in nodes if isinstance(node, ast.Assert) and not isinstance(node.test, ast.Constant)]
    for node in asserts:
        name = ast.copy_location(ast.Name(SEEN, ast.Load()), node.test)
        node.test = ast.copy_location(ast.Call(name, [node.test], []), node.test)
    others = any(isinstance(node, ast.Attribute) and node.attr.startswith(("assert", "raises")) for node in nodes)
    return bool(asserts) and not others
