"""Style assert: which assertions hold a program's results against the very arguments that it was given, and nothing else.

`assert f(xs) == sorted(xs)`, `i, j = f(xs, t); assert xs[i] + xs[j] == t`: a program that writes into `xs` meets them with
anything. Where it did, the exam is held once more without what it wrote (`inside/arguments.py`), and these have to hold. One
that speaks of other data (`assert xs == [1, 2]`) says by itself whether the arguments are to change; one that speaks of
arguments alone (`assert xs == sorted(xs)`) is about the change. Nothing is run here.
"""

import ast
import builtins
import functools
import sys
from collections.abc import Iterator, Sequence

from rewards.code.judging.imports import without_imports

_TOLERANCE = 0.01
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@functools.lru_cache(maxsize=512)
def properties_of(tests: str, names: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """Return the first and last lines of such assertions. `names`: those that the tests take from the program."""
    body, program = ast.parse(without_imports(tests)).body, {*names, "candidate"}
    nodes = [node for statement in body for node in ast.walk(statement)]
    helpers = [n for n in nodes if isinstance(n, ast.FunctionDef) and not any(_is_of(p, program) for p in ast.walk(n))]
    known = frozenset(node.name for node in helpers)
    tables = [node.body for node in nodes if isinstance(node, _FUNCTIONS)]
    found = [line for part in (body, *tables) for line in _Scope(part, frozenset(program), known).properties()]
    return tuple(sorted(set(found)))


def _is_of(node: ast.AST, names: set[str]) -> bool:
    return isinstance(node, ast.Name) and node.id in names


def _inside(body: Sequence[ast.stmt]) -> Iterator[ast.AST]:
    """Return all nodes of a scope, without those of functions and classes in it."""
    waiting: list[ast.AST] = list(body)
    while waiting:
        node = waiting.pop()
        if not isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            yield node
            waiting += ast.iter_child_nodes(node)


class _Scope:
    def __init__(self, body: Sequence[ast.stmt], program: frozenset[str], helpers: frozenset[str]):
        self.program, self.helpers = program, helpers
        self.nodes = list(_inside(body))
        self.results: set[str] = set()
        for _ in range(2):  # instances, then what their methods return
            for node in self.nodes:
                if isinstance(node, ast.Assign) and any(self._calls(part) for part in ast.walk(node.value)):
                    names = [part for target in node.targets for part in ast.walk(target)]
                    self.results |= {part.id for part in names if isinstance(part, ast.Name)}
        calls = [node for node in self.nodes if self._calls(node)]
        given = [arg for call in calls for arg in (*call.args, *(k.value for k in call.keywords))]  # type: ignore[attr-defined]
        self.arguments = {arg.id for arg in given if isinstance(arg, ast.Name)}
        self.values = {ast.dump(arg) for arg in given if isinstance(arg, ast.Constant)}
        self.derived: set[str] = set()  # computed from arguments
        self.indexes: set[str] = set()
        for node in reversed(self.nodes):
            if isinstance(node, ast.For | ast.comprehension) and self._is_known(node.iter):
                self.indexes |= {part.id for part in ast.walk(node.target) if isinstance(part, ast.Name)}
        for node in reversed(self.nodes):
            if not isinstance(node, ast.Assign):
                continue
            used = {part.id for part in ast.walk(node.value) if isinstance(part, ast.Name)}
            if self.arguments & used and self._is_known(node.value):
                self.derived |= {target.id for target in node.targets if isinstance(target, ast.Name)} - self.results

    def _calls(self, node: ast.AST) -> bool:
        if not isinstance(node, ast.Call):
            return False
        if isinstance(node.func, ast.Attribute):
            owner = node.func.value
            return self._calls(owner) or (isinstance(owner, ast.Name) and owner.id in self.results)
        return isinstance(node.func, ast.Name) and node.func.id in self.program

    def properties(self) -> Iterator[tuple[int, int]]:
        if any(isinstance(node, ast.Compare) and self._is_in_place(node) for node in self.nodes):
            return
        for node in self.nodes:
            test = node.test if isinstance(node, ast.Assert) else _of_unittest(node)
            if test is not None and self._is_property(test):
                yield node.lineno, node.end_lineno or node.lineno  # type: ignore[attr-defined]

    def _is_in_place(self, node: ast.Compare) -> bool:
        """Return whether tests say that an argument itself comes back: `r is xs`, `f(xs) is xs`."""
        names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
        return isinstance(node.ops[0], ast.Is) and bool(names & self.arguments) and self._is_property(node)

    def _is_property(self, test: ast.expr) -> bool:
        """Return whether an assertion speaks of a result, of an argument beside it, and of nothing else."""
        if isinstance(test, ast.BoolOp):
            return all(map(self._fits, test.values)) and any(map(self._is_property, test.values))
        parts = list(ast.walk(test))
        passed = {id(inner) for part in parts if self._calls(part) for inner in ast.walk(part)}
        beside = {part.id for part in parts if isinstance(part, ast.Name) and id(part) not in passed}
        has_result = bool(passed) or bool(beside & self.results)
        return has_result and bool(beside & (self.arguments | self.derived)) and self._is_known(test)

    def _fits(self, part: ast.expr) -> bool:
        """Return whether a part of an assertion speaks of no other data, or of no argument."""
        if isinstance(part, ast.BoolOp):
            return all(map(self._fits, part.values))
        names = {node.id for node in ast.walk(part) if isinstance(node, ast.Name)}
        return not names & (self.arguments | self.derived) or self._is_known(part)

    def _is_known(self, expression: ast.expr) -> bool:
        bound = {
            part.id
            for node in ast.walk(expression)
            if isinstance(node, ast.comprehension)
            for part in ast.walk(node.target)
            if isinstance(part, ast.Name)
        }
        names = vars(builtins).keys() | sys.stdlib_module_names | {"np"} | self.program | self.helpers
        known = names | bound | self.arguments | self.results | self.indexes | self.derived
        structural = {id(part) for node in ast.walk(expression) for part in _places(node)}
        return all(
            (not isinstance(node, ast.Name) or node.id in known)
            and (not isinstance(node, ast.Constant) or id(node) in structural or self._says_nothing(node))
            for node in ast.walk(expression)
        )

    def _says_nothing(self, node: ast.Constant) -> bool:
        """Return whether a constant is an argument too, or a tolerance."""
        return ast.dump(node) in self.values or (type(node.value) is float and abs(node.value) < _TOLERANCE)


def _of_unittest(node: ast.AST) -> ast.expr | None:
    """Return what `self.assertEqual(..)` compares."""
    called = node.func if isinstance(node, ast.Call) else None
    if isinstance(node, ast.Call) and isinstance(called, ast.Attribute) and called.attr.startswith("assert"):
        return ast.Tuple(elts=node.args, ctx=ast.Load())
    return None


def _places(node: ast.AST) -> Iterator[ast.AST]:
    """Return numbers that say where something stands: in brackets, in `range(..)`, in `i + 1`."""
    if isinstance(node, ast.Subscript):
        yield from ast.walk(node.slice)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
        yield from (part for arg in node.args for part in ast.walk(arg))
    elif isinstance(node, ast.BinOp):
        yield from (node.left, node.right)
