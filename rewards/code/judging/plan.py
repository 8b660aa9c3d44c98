"""Style assert, before anything runs: the text of the tests becomes code to run and names to fetch.

The tests are compiled here and never run here: they go to the examiner as marshalled code. They are the problem's, not the
candidate's. What may leave something behind in its process gets an examiner of its own (`Plan.harmless`).
"""

import ast
import builtins
import functools
import keyword
import marshal
import re
import symtable
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rewards.code.judging.deletions import collecting
from rewards.code.judging.guards import Block, Guard, count_assertions, guards_of
from rewards.code.judging.imports import without_imports
from rewards.code.judging.kinds import ask_for_kinds
from rewards.code.judging.outcome import BadTests


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Test text, compiled once: the pieces to run, the names they take from elsewhere."""

    pieces: tuple[tuple[str, bool], ...]  # marshalled code, whether it counts as a test of its own
    names: tuple[str, ...]  # free names, the entry point first
    context: str  # marshalled code that defines helpers of the problem, or ""
    entry: str  # the entry point; found among the names where the problem names none
    modules: tuple[str, ...]  # of the names, those that can only be modules
    expects: tuple[str, ...]  # exits that the tests speak of
    frameworks: tuple[str, ...]  # pytest, unittest: what they are written for
    patches: bool  # they put mocks in the place of functions
    gives: tuple[str, ...]  # classes of theirs that hold data: the program's, under the same name
    seeds: bool  # they seed random numbers
    shares: bool  # they look at the environment, the working folder or the path of imports
    variables: tuple[str, ...]  # of the environment: texts of theirs that may be one's name
    imports: tuple[tuple[str, str, str | None], ...]  # of the standard library, at their top level: name, module, attribute
    collects: bool  # they wait for objects to go
    inspects: bool  # they look at what functions and classes are
    asks: bool  # they use the candidate at all
    guards: tuple[Guard, ...]  # where assertions follow
    asserts: bool  # at least one of their assertions must run
    blocks: tuple[Block, ...]  # where `with` statements are
    catches: bool  # they catch exceptions of classes that are not named
    harmless: bool  # leaves nothing behind in its process, so that other tests may follow there


def _globals_used(text: str, name: str) -> tuple[set[str], set[str]]:
    """Return the global names that `text` uses, and those that it defines at its top level."""
    used: set[str] = set()
    top = symtable.symtable(text, name, "exec")
    waiting = [top]
    while waiting:
        table = waiting.pop()
        waiting += table.get_children()
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (table is top or symbol.is_global()):
                used.add(symbol.get_name())
    defined = {s.get_name() for s in top.get_symbols() if s.is_assigned() or s.is_imported() or s.is_namespace()}
    return used, defined


def _called_at_top(body: Sequence[ast.stmt]) -> set[str]:
    """Return the names that top-level statements mention, outside of definitions."""
    plain = [s for s in body if not isinstance(s, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)]
    nodes = [node for statement in plain for node in ast.walk(statement)]
    dotted = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return {node.id for node in nodes if isinstance(node, ast.Name)} | (dotted & {"main"})


def _marshalled(tree: ast.Module, name: str = "tests.py") -> str:
    return marshal.dumps(compile(tree, name, "exec", dont_inherit=True)).hex()


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PURE_MODULES = _names(
    "math cmath random copy itertools functools collections string typing re operator datetime decimal fractions heapq bisect "
    "statistics"
)
_PURE_BUILTINS = _names(
    "abs all any ascii bin bool bytearray bytes callable chr complex dict divmod enumerate filter float format frozenset "
    "getattr hasattr hash hex id int isinstance issubclass iter len list map max min next oct ord pow print range repr "
    "reversed round set slice sorted str sum tuple type zip True False None Exception"
)


_INSPECTS = re.compile(
    r"inspect|signature|__(doc|annotations|(kw)?defaults|code|qualname|name)__|getdoc|get_type_hints|\bhelp\("
)
_TEST_BUILTINS = _names("isinstance type range list print len sorted set str repr getattr hasattr")
_MODULES = frozenset(sys.stdlib_module_names) | {"np", "numpy", "pd", "pandas"}


def _harmless(body: Sequence[ast.stmt]) -> bool:
    """Return whether code does no more than compute and compare: no attribute is set, no unusual module or built-in is used."""
    return all(_harmless_node(node) for statement in body for node in ast.walk(statement))


def _harmless_node(node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute):
        return isinstance(node.ctx, ast.Load) and not node.attr.startswith("__")
    if isinstance(node, ast.Import):
        return all(alias.name in _PURE_MODULES for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        return not node.level and node.module in _PURE_MODULES
    if isinstance(node, ast.Name) and node.id in vars(builtins) and node.id not in _PURE_BUILTINS:
        builtin = vars(builtins)[node.id]
        return isinstance(builtin, type) and issubclass(builtin, Exception)
    return True


# In a text: what `patch("__main__.helper")` looks for, or `patch(__name__ + ".helper")`.
_PATCHED = re.compile(r"""(?:__main__|\{__name__\}|__name__\s*\+\s*["'])\.([A-Za-z_]\w*)""")
_SURROUNDINGS = re.compile(r"\bsys\.path\b|\benviron|\bgetenv\b|\b(?:ch|get)?cwd\b|\bchdir\b|\bsetenv\b")


_READ_NAMES = _names("eval exec globals vars locals")


def _catches(body: Sequence[ast.stmt]) -> bool:
    """Return whether an `except` holds more than a name, or a name to which something is assigned."""
    nodes = [node for statement in body for node in ast.walk(statement)]
    kinds = [part for node in nodes if isinstance(node, ast.ExceptHandler) and node.type for part in ast.walk(node.type)]
    assigned = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return any(isinstance(k, ast.Call | ast.Subscript) or (isinstance(k, ast.Name) and k.id in assigned) for k in kinds)


_FIXTURES = _names("capsys monkeypatch tmp_path")  # that tests take without an import


def _frameworks(tests: str) -> tuple[str, ...]:
    uses_pytest = "pytest" in tests or any(name in tests for name in _FIXTURES)
    return (("pytest",) if uses_pytest else ()) + (("unittest",) if "unittest" in tests else ())


def _named_in_texts(body: Sequence[ast.stmt]) -> set[str]:
    """Return the names that stand in texts of the tests, which `eval` and the like may read."""
    nodes = [node for statement in body for node in ast.walk(statement)]
    texts = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return set(re.findall(r"\b(?!__)[A-Za-z_]\w*", "\n".join(texts)[:100_000])) - sys.stdlib_module_names - set(keyword.kwlist)


@functools.lru_cache(maxsize=512)
def plan_of(tests: str, entry: str, context: str, fraction: bool) -> Plan:
    """Compile the tests; raises BadTests. `fraction`: each top-level statement is a piece of its own, so that passes count."""
    tests = without_imports(tests)
    try:
        body = ast.parse(tests, "tests.py").body
        used, defined = _globals_used(tests, "tests.py")
    except (SyntaxError, ValueError, RecursionError) as error:
        raise BadTests(f"the tests do not compile: {error}") from None
    guards, blocks = guards_of(body)
    own = list(body)
    body, collects = collecting([*body, *_calls_to_add(body, entry)])
    free = sorted(name for name in used - defined - set(vars(builtins)) - {entry, "__name__", "__file__"})
    free += (
        sorted(_named_in_texts(body) - {*used, *defined, *vars(builtins)})
        if used & _READ_NAMES or "modules[__name__]" in tests
        else []
    )
    free += sorted(set(_PATCHED.findall(tests)) - used - defined - set(vars(builtins)))
    if not entry and not free:
        entry = _builtin_under_test(body)
        free = sorted(_shadowed(body) - defined - {entry})
    if not entry.isidentifier():  # Solution().twoSum
        free = sorted({*free, *_globals_used(entry, "entry")[0]} - defined) if entry else free
        entry = ""
    helpers: set[str] = set()
    if context and free:
        helpers = _globals_used(context, "context.py")[1]
    needs_context = bool(helpers & set(free))
    others = [name for name in free if name not in helpers]
    asserts = count_assertions(own)  # last: it changes them
    if "type" not in defined:
        ask_for_kinds(own, {*others, *(node.name for node in own if isinstance(node, ast.ClassDef))})
    return Plan(
        pieces=tuple((_marshalled(tree), counted) for tree, counted in _pieces(body, fraction)),
        names=tuple(([entry] if entry else []) + others),
        context=_marshalled(ast.parse(context), "context.py") if needs_context else "",
        entry=entry,
        modules=tuple(name for name in others if name in _MODULES and not _bare(body, name)),
        expects=tuple(name for name in ("SystemExit", "KeyboardInterrupt") if name in used)
        + (("CancelledError",) if "CancelledError" in tests else ()),
        frameworks=_frameworks(tests),
        patches="patch" in tests,
        gives=_given([*body, *(ast.parse(context).body if needs_context else ())]),
        seeds="seed(" in tests,
        shares=_SURROUNDINGS.search(tests) is not None,
        variables=_variables(body) if "env" in tests else (),
        imports=_imports(body),
        collects=collects,
        inspects=_INSPECTS.search(tests) is not None,
        guards=guards,
        asserts=asserts,
        blocks=blocks,
        catches="except" in tests and _catches(body),
        asks=bool(others) or entry in used or any(isinstance(node, ast.FunctionDef) and node.name == "check" for node in body),
        harmless="seed(" not in tests
        and not collects
        and _INSPECTS.search(tests) is None
        and _SURROUNDINGS.search(tests) is None
        and _harmless([*body, *(ast.parse(context).body if needs_context else ())]),
    )


def _variables(body: Sequence[ast.stmt]) -> tuple[str, ...]:
    """Return the texts of the tests that may name a variable of the environment."""
    nodes = [node.value for statement in body for node in ast.walk(statement) if isinstance(node, ast.Constant)]
    names = dict.fromkeys(text for text in nodes if isinstance(text, str) and text.isidentifier() and len(text) < 100)
    return tuple(names)[:200]


def _imports(body: Sequence[ast.stmt]) -> tuple[tuple[str, str, str | None], ...]:
    """Return what the tests import from the standard library at their top level, as (name, module, attribute)."""
    made: list[tuple[str, str, str | None]] = []
    for node in body:
        if isinstance(node, ast.Import):
            made += [(a.asname or a.name, a.name, None) for a in node.names if "." not in a.name or a.asname]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            made += [(a.asname or a.name, node.module, a.name) for a in node.names]
    return tuple(item for item in made if item[1].partition(".")[0] in _MODULES)


_OF_DATA = _names("__init__ __post_init__ __repr__ __str__")
_NODES = _names("ListNode TreeNode Node")  # which may also say what they equal


def _given(body: Sequence[ast.stmt]) -> tuple[str, ...]:
    """Return the classes that a program may use as if it stood in one file with the tests: nodes, exceptions, enumerations.

    What has methods of its own might be a reference solution, an equality might be a tolerance, and other attributes might be
    what the tests expect: such classes are kept.
    """
    return tuple(
        s.name
        for s in body
        if isinstance(s, ast.ClassDef) and not _inherits(s) and all(_holds_data(node, s) for node in s.body)
    )


def _holds_data(node: ast.stmt, owner: ast.ClassDef) -> bool:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return node.name in _OF_DATA or (owner.name in _NODES and node.name in ("__eq__", "__hash__", "__lt__"))
    is_enum = any("Enum" in ast.unparse(base) or "Flag" in ast.unparse(base) for base in owner.bases)
    return is_enum or not isinstance(node, ast.Assign)


def _inherits(node: ast.ClassDef) -> bool:
    plain = vars(builtins).keys() | _names("NamedTuple Enum IntEnum StrEnum Flag IntFlag")
    return any(ast.unparse(base).rpartition(".")[2] not in plain for base in node.bases)


def _bare(body: Sequence[ast.stmt], name: str) -> bool:
    """Return whether `name` stands anywhere but before a dot: a module never does."""
    nodes = [node for statement in body for node in ast.walk(statement)]
    owners = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    return any(isinstance(node, ast.Name) and node.id == name and id(node) not in owners for node in nodes)


def _builtin_under_test(body: Sequence[ast.stmt]) -> str:
    """Return the built-in whose name the candidate must have taken: the tests name nothing else, and call it first."""
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id not in _TEST_BUILTINS:
                return node.func.id
    return ""


def _shadowed(body: Sequence[ast.stmt]) -> set[str]:
    """Return further built-ins that tests without any other name may be about: none is ever asked about what a call gave."""
    calls = [node for statement in body for node in ast.walk(statement) if isinstance(node, ast.Call)]
    named = [(call.func.id, call) for call in calls if isinstance(call.func, ast.Name) and call.func.id in vars(builtins)]
    about_calls = {
        name
        for name, call in named
        for argument in [*call.args, *(keyword.value for keyword in call.keywords)]
        for node in _outside_lambdas(argument)
        if isinstance(node, ast.Call) or (isinstance(node, ast.Name) and node.id not in vars(builtins))
    }
    return {name for name, _ in named} - about_calls - _TEST_BUILTINS


def _outside_lambdas(node: ast.AST) -> Iterator[ast.AST]:
    """Yield `node` and what is in it, but for the bodies of lambdas."""
    yield node
    if not isinstance(node, ast.Lambda):
        for child in ast.iter_child_nodes(node):
            yield from _outside_lambdas(child)


def runnable(tests: str, entry: str) -> str:
    """Return the tests as one text that runs by itself, with the calls that they lack."""
    body = ast.parse(tests).body
    return ast.unparse(ast.Module(body=body + _calls_to_add(body, entry), type_ignores=[]))


def _calls_to_add(body: Sequence[ast.stmt], entry: str) -> list[ast.stmt]:
    """Return calls of what nothing calls: a `check(candidate)`, with the entry point, and `test_*` functions."""
    mentioned = _called_at_top(body)
    calls: list[ast.stmt] = []
    uses_pytest = any(isinstance(node, ast.Import) and node.names[0].name == "pytest" for node in body)
    cases, bases = _cases(body)
    for node in body:
        if isinstance(node, ast.ClassDef) and node.name not in mentioned and not {"main", "unittest"} <= mentioned:
            calls += _runs_of(node, cases) if node.name not in bases else []
        if not isinstance(node, ast.FunctionDef) or node.name in mentioned:
            continue
        needed = len(node.args.args) - len(node.args.defaults)
        if node.name == "check" and needed == 1 and entry:
            calls += ast.parse(f"check({entry})").body
        elif node.name.startswith("test") and needed == 0 and not node.decorator_list:
            calls += ast.parse(f"{node.name}()").body
        elif node.name.startswith("test") and (uses_pytest or {arg.arg for arg in node.args.args} <= _FIXTURES):
            calls += ast.parse(f"__import__('pytest').run_test({node.name}, globals())").body
    return calls


_RUN_CASES = """
import unittest as _unittest
_result = _unittest.TestResult()
_unittest.defaultTestLoader.loadTestsFromTestCase({name}).run(_result)
assert _result.wasSuccessful() and _result.testsRun > len(_result.skipped), str(_result.failures + _result.errors)[-300:]
"""


def _cases(body: Sequence[ast.stmt]) -> tuple[set[str], set[str]]:
    """Return the names of unittest's cases, derived from one another too; and of classes that are but a base of these.

    A base without tests has none to run. One whose tests need what only its subclasses have runs in those.
    """
    cases: set[str] = set()
    bases: set[str] = set()
    kinds = [node for node in body if isinstance(node, ast.ClassDef)]
    for node in kinds:
        names = set(map(ast.unparse, node.bases))
        if names & cases or any(name.endswith("TestCase") for name in names):
            cases.add(node.name)
            bases |= names
    tested = {node.name for node in kinds if any(getattr(item, "name", "").startswith("test") for item in node.body)}
    return cases, bases - (cases & tested)


_AROUND = ("setup_method", "teardown_method")  # of each test of a class in pytest's style


def _runs_of(node: ast.ClassDef, cases: set[str]) -> list[ast.stmt]:
    """Return what runs a class of tests that nobody runs: unittest's, or methods `test_*` of a plain `Test*`."""
    if node.name in cases:
        return ast.parse(_RUN_CASES.format(name=node.name)).body
    if node.bases or not node.name.startswith("Test"):
        return []
    tests = [item for item in node.body if isinstance(item, ast.FunctionDef) and item.name.startswith("test")]
    around = {item.name: item for item in node.body if isinstance(item, ast.FunctionDef) and item.name in _AROUND}
    calls = []
    for item in tests:
        if len(item.args.args) > 1 or item.decorator_list:
            calls += ast.parse(f"__import__('pytest').run_test({node.name}.{item.name}, globals(), {node.name})").body
            continue
        lines = [f"_case.{name}({'None' if len(found.args.args) > 1 else ''})" for name, found in around.items()]
        begin, end = ([line for line in lines if word in line] for word in ("setup", "teardown"))
        calls += ast.parse("\n".join([f"_case = {node.name}()", *begin, f"_case.{item.name}()", *end])).body
    return calls


def _pieces(body: list[ast.stmt], fraction: bool) -> list[tuple[ast.Module, bool]]:
    """Return the modules to run, and whether each counts as a test."""
    if not fraction:
        return [(ast.Module(body=body, type_ignores=[]), True)]
    return [(ast.Module(body=[s], type_ignores=[]), isinstance(s, ast.Assert | ast.Expr)) for s in body]
