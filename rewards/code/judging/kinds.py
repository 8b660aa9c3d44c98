"""Tests that ask for the class of a class: `type(Plugin) is PluginMeta`. In their process stand-ins have a class of their own.

Only the text of the tests is changed: the examiner gives the name that stands there then.
"""

import ast
from collections.abc import Container, Sequence

KIND = "__type__"  # the name under which the examiner gives what asks the program


def ask_for_kinds(body: Sequence[ast.stmt], classes: Container[str]) -> None:
    """Have `type(name)` be asked of the program, where a name may be that of a class."""
    for statement in body:
        for node in ast.walk(statement):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id != "type":
                continue
            if len(node.args) == 1 and isinstance(node.args[0], ast.Name) and node.args[0].id in classes:
                node.func.id = KIND
