"""The figures of a tree that is small enough to count by hand."""

from pathlib import Path

from figures import figures, import_graph, module_files, rings, table

LEFT = '''"""A docstring counts as no code."""

from typing import Any


# a line of comment
def double(number: Any) -> int:
    """Twice."""
    found = number + number  # behind code: no comment line
    return found
'''
RIGHT = """from lab.rooms import inner


def late():
    import lab.left

    return lab.left, inner
"""


def small_tree(folder: Path) -> Path:
    (folder / "lab" / "rooms").mkdir(parents=True)
    (folder / "tests").mkdir()
    (folder / "tests" / "test_lab.py").write_text("a = 1\n")  # no package: not counted
    (folder / "lab" / "__init__.py").write_text("")
    (folder / "lab" / "left.py").write_text(LEFT)
    (folder / "lab" / "rooms" / "__init__.py").write_text("")
    (folder / "lab" / "rooms" / "inner.py").write_text("from ..left import double\n")
    (folder / "lab" / "right.py").write_text(RIGHT)
    return folder


def test_lines_functions_and_nodes(tmp_path: Path) -> None:
    counted = dict(figures(small_tree(tmp_path)))
    assert counted["files"] == "5"
    # left: import, def, assignment, return; inner: import; right: import, def, import, return
    assert counted["lines of code"] == "9"
    assert counted["functions"] == "2"
    assert counted["lines a function, median"] == "4"  # both have four: late's blank line counts
    # left: module docstring 2, import 1, def 1, Any, int, docstring 2, assignment 1 + found, +, number, number 4, return 1 + 1
    # = 15; inner: 1; right: import 1, def 1, import 1, return 1, tuple 1, lab.left 2, inner 1 = 8; 24 / 9 = 2.7
    assert counted["syntax nodes a line of code"] == "2.7"
    assert counted["comment lines"] == "5.6%"  # 1 of 10 + 1 + 7 lines
    assert counted["Any a thousand lines"] == "111.1"  # 2 of 18
    assert counted["vague names bound"] == "1"


def test_imports_inside_of_functions_and_relative_ones_are_arrows(tmp_path: Path) -> None:
    files = module_files(small_tree(tmp_path))
    graph = import_graph(files)
    assert graph["lab.right"] == {"lab.rooms.inner", "lab.left"}
    assert graph["lab.rooms.inner"] == {"lab.left"}
    counted = dict(figures(tmp_path))
    assert counted["arrows between files"] == "3"
    assert counted["arrows between rooms"] == "2"  # lab -> lab/rooms and back
    assert rings(graph) == []


def test_a_ring_closed_by_an_import_inside_of_a_function_is_a_ring(tmp_path: Path) -> None:
    small_tree(tmp_path)
    (tmp_path / "lab" / "left.py").write_text("def late():\n    from lab import right\n")
    assert rings(import_graph(module_files(tmp_path))) == [["lab.left", "lab.right", "lab.rooms.inner"]]
    assert dict(figures(tmp_path))["modules in rings of imports"] == "3"


def test_trees_stand_side_by_side() -> None:
    lines = table({"one": {"files": "1", "functions": "12"}, "two": {"files": "100"}}).splitlines()
    assert lines == ["           one  two", "files        1  100", "functions   12    -"]
