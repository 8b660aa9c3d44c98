"""Tests that import the program by the name of its file: `from solution import f`, `import solution`.

The tests run where there is no such file: what they import so becomes a free name of theirs, which the program defines. Nothing
is run here.
"""

import ast

_MODULE = "solution"


def without_imports(tests: str) -> str:
    """Return the tests with the program's names in the place of imports of it; as they are where there are none."""
    if _MODULE not in tests:
        return tests
    try:
        tree = ast.parse(tests)
    except (SyntaxError, ValueError, RecursionError):
        return tests
    change = _Imports()
    change.find(tree)
    return ast.unparse(ast.fix_missing_locations(change.visit(tree))) if change.found else tests


class _Imports(ast.NodeTransformer):
    def __init__(self) -> None:
        self.found, self.aliases = False, set[str]()

    def find(self, tree: ast.Module) -> None:
        """Note by which names the tests call the module."""
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names = {alias.asname or alias.name for alias in node.names if alias.name == _MODULE}
                self.aliases |= names
                self.found = self.found or bool(names)
            elif isinstance(node, ast.ImportFrom):
                self.found = self.found or (node.module == _MODULE and not node.level)

    def visit_Import(self, node: ast.Import) -> ast.stmt:
        """Leave out the module."""
        node.names = [alias for alias in node.names if alias.name != _MODULE]
        return node if node.names else ast.Pass()

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.stmt | list[ast.stmt]:
        """Names that are imported are free; under another name, they are assigned."""
        if node.module != _MODULE or node.level:
            return node
        renamed = [alias for alias in node.names if alias.asname and alias.asname != alias.name]
        made: list[ast.stmt] = [
            ast.Assign([ast.Name(str(alias.asname), ast.Store())], ast.Name(alias.name, ast.Load()), lineno=node.lineno)
            for alias in renamed
        ]
        return made or ast.Pass()

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        """`solution.f` is `f`."""
        self.generic_visit(node)
        plain = isinstance(node.value, ast.Name) and node.value.id in self.aliases and isinstance(node.ctx, ast.Load)
        return ast.copy_location(ast.Name(node.attr, ast.Load()), node) if plain else node
