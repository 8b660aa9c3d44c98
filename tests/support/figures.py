r"""How dense, how long, how entangled: figures of a Python tree, to set beside those of another.

    python tests/support/figures.py                     this repository
    python tests/support/figures.py OLD_TREE NEW_TREE   one column a tree
    python tests/support/figures.py rl rewards          one column a package

It needs the standard library only and runs nothing of what it reads. A directory without an `__init__.py` stands for the
packages directly in it (so tests and scripts are left out); one without any package stands for every file below it.

What is counted
- lines: all lines of a file; lines of code: those that hold a token and are no docstring (blank lines and comments hold none)
- lines a function: from `def` to its end, docstring included; a function in a function counts in both
- syntax nodes: expressions and statements of the syntax tree (not operators, contexts or arguments), to the line of code
- comment lines: lines that hold a comment only, of all lines
- `Any`: the name wherever it stands, imports included, to a thousand lines
- imports: those inside of functions too; only between files of the tree. A ring is a set of modules each of which reaches
  all others; a room is a folder
- vague names: `found`, `some`, `made`, `seen`, `kept` being bound (assignments, loops, comprehensions)

These are signs to read by and no targets: a comment that says its line again makes a file worse and its figure better.
"""

import argparse
import ast
import io
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

LAYOUT_TOKENS = {tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
VAGUE_NAMES = {"found", "some", "made", "seen", "kept"}
SHORT_FUNCTION = 22  # lines
LONG_FUNCTION = 50
LONG_FILE = 400

Graph = dict[str, set[str]]  # name -> the names it imports


@dataclass(frozen=True, kw_only=True)
class File:
    """What one file adds to the figures."""

    lines: int
    code_lines: int
    comment_lines: int
    function_lines: tuple[int, ...]
    nodes: int
    any_names: int
    vague_names: int


def read_file(path: Path) -> File:
    """Return the counts of one file."""
    text = path.read_text(encoding="utf-8")
    nodes = list(ast.walk(ast.parse(text)))
    tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    with_comment = {token.start[0] for token in tokens if token.type == tokenize.COMMENT}
    with_token = _lines_with_tokens(tokens)
    docstrings = _docstring_lines(nodes)
    return File(
        lines=len(text.splitlines()),
        code_lines=len(with_token - docstrings),
        comment_lines=len(with_comment - with_token),
        function_lines=tuple(_length(node) for node in nodes if isinstance(node, FUNCTIONS)),
        nodes=sum(isinstance(node, ast.expr | ast.stmt) for node in nodes),
        any_names=sum(token.type == tokenize.NAME and token.string == "Any" for token in tokens),
        vague_names=sum(_binds_vague_name(node) for node in nodes),
    )


def _lines_with_tokens(tokens: list[tokenize.TokenInfo]) -> set[int]:
    lines: set[int] = set()
    for token in tokens:
        if token.type != tokenize.COMMENT and token.type not in LAYOUT_TOKENS:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return lines


def _docstring_lines(nodes: list[ast.AST]) -> set[int]:
    lines: set[int] = set()
    for node in nodes:
        if isinstance(node, (ast.Module, ast.ClassDef, *FUNCTIONS)) and ast.get_docstring(node) is not None:
            lines |= set(range(node.body[0].lineno, _end(node.body[0]) + 1))
    return lines


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return _end(node) - node.lineno + 1


def _end(node: ast.stmt) -> int:
    return node.end_lineno or node.lineno


def _binds_vague_name(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in VAGUE_NAMES


def module_files(directory: Path) -> dict[str, Path]:
    """Return the modules of a tree: dotted name (a package goes by its own name) -> file."""
    directory = directory.resolve()
    packages = [file.parent for file in sorted(directory.glob("*/__init__.py"))]
    roots = packages or [directory]
    top = directory
    if (directory / "__init__.py").exists():
        roots = [directory]
        while (top / "__init__.py").exists():  # a room's modules go by their full names
            top = top.parent
    files = [file for root in roots for file in sorted(root.rglob("*.py"))]
    return {_dotted(file.relative_to(top)): file for file in files}


def _dotted(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(module: str, file: Path, known: Mapping[str, Path]) -> set[str]:
    """Return the modules among `known` that a file imports anywhere in it; `from a import b` is `a.b` where that is one."""
    is_package = file.name == "__init__.py"
    targets: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            targets |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            origin = _origin(node, module, is_package)
            members = {f"{origin}.{alias.name}" for alias in node.names}
            submodules = members & set(known)
            targets |= submodules
            if submodules != members:  # something in the package itself is named too
                targets.add(origin)
    return (targets & set(known)) - {module}


def _origin(node: ast.ImportFrom, module: str, is_package: bool) -> str:
    """Return the absolute name of what `from ... import` reads from."""
    if node.level == 0:
        return node.module or ""
    parts = module.split(".")
    climbed = node.level - 1 if is_package else node.level  # one dot is the package itself
    base = parts[: len(parts) - climbed]
    return ".".join(base + ([node.module] if node.module else []))


def import_graph(files: Mapping[str, Path]) -> Graph:
    """Return which module imports which, imports inside of functions counted."""
    return {module: imported(module, file, files) for module, file in files.items()}


def rings(graph: Graph) -> list[list[str]]:
    """Return every ring of a graph (its strongly connected sets of two and more), each sorted."""
    reach = {name: _reachable(name, graph) for name in graph}
    ring_sets = {tuple(sorted({other for other in reach[name] if name in reach[other]} | {name})) for name in graph}
    return sorted([list(ring) for ring in ring_sets if len(ring) > 1])


def _reachable(start: str, graph: Graph) -> set[str]:
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        for target in graph[waiting.pop()]:
            if target not in reached:
                reached.add(target)
                waiting.append(target)
    return reached


def room_arrows(files: Mapping[str, Path], graph: Graph) -> set[tuple[Path, Path]]:
    """Return the pairs of folders of which the first imports from the second."""
    pairs = {(files[module].parent, files[target].parent) for module, targets in graph.items() for target in targets}
    return {(one, other) for one, other in pairs if one != other}


def figures(directory: Path) -> Iterator[tuple[str, str]]:
    """Yield (what, figure) of a tree."""
    files = module_files(directory)
    if not files:
        raise SystemExit(f"error: no Python file in {directory}; give the root of a tree or a package")
    counts = [read_file(file) for file in files.values()]
    graph = import_graph(files)
    yield from _sizes(counts)
    yield from _density(counts)
    yield from _entanglement(files, graph)


def _sizes(counts: list[File]) -> Iterator[tuple[str, str]]:
    lengths = sorted(length for count in counts for length in count.function_lines)
    yield "files", f"{len(counts):,}"
    yield "lines of code", f"{sum(count.code_lines for count in counts):,}"
    yield "functions", f"{len(lengths):,}"
    if lengths:
        short = sum(length < SHORT_FUNCTION for length in lengths)
        yield "lines a function, median", f"{median(lengths):g}"
        yield "lines a function, 90th percentile", f"{lengths[int(0.9 * len(lengths))]}"
        yield f"functions under {SHORT_FUNCTION} lines", f"{short / len(lengths):.0%}"
    yield f"functions over {LONG_FUNCTION} lines", f"{sum(length > LONG_FUNCTION for length in lengths)}"
    yield f"files over {LONG_FILE} lines", f"{sum(count.lines > LONG_FILE for count in counts)}"


def _density(counts: list[File]) -> Iterator[tuple[str, str]]:
    lines = sum(count.lines for count in counts)
    code_lines = sum(count.code_lines for count in counts)
    yield "syntax nodes a line of code", f"{sum(count.nodes for count in counts) / max(code_lines, 1):.1f}"
    yield "comment lines", f"{sum(count.comment_lines for count in counts) / max(lines, 1):.1%}"
    yield "Any a thousand lines", f"{1000 * sum(count.any_names for count in counts) / max(lines, 1):.1f}"
    yield "vague names bound", f"{sum(count.vague_names for count in counts)}"


def _entanglement(files: Mapping[str, Path], graph: Graph) -> Iterator[tuple[str, str]]:
    sizes = sorted((len(ring) for ring in rings(graph)), reverse=True)
    yield "arrows between files", f"{sum(len(targets) for targets in graph.values())}"
    yield "arrows between rooms", f"{len(room_arrows(files, graph))}"
    yield "modules in rings of imports", f"{sum(sizes)}" + (f" ({' + '.join(map(str, sizes))})" if len(sizes) > 1 else "")


def table(columns: Mapping[str, Mapping[str, str]]) -> str:
    """Return the figures as aligned text, one column a tree."""
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    lines = [["", *columns], *([name, *(column.get(name, "-") for column in columns.values())] for name in names)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))])
        for line in lines
    )


def main() -> None:
    """Print the table for the directories on the command line."""
    parser = argparse.ArgumentParser(description="Figures of Python trees: size, density, entanglement.")
    parser.add_argument("directories", nargs="*", type=Path, default=[Path(__file__).resolve().parents[2]], metavar="DIR")
    directories = parser.parse_args().directories
    print(table({str(directory): dict(figures(directory)) for directory in directories}))


if __name__ == "__main__":
    main()
