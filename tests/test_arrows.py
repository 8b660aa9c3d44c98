"""Imports run problems <- rewards <- rl <- bench <- launch, between rooms as drawn; model text never reaches an evaluator."""

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from figures import Graph, import_graph, module_files, rings
from support_pure import ROOT, run_python

LAYERS = ("problems", "rewards", "rl", "bench", "launch")

# What each room may import: the rooms beside it and all that these may import. A "floor" is the part of a folder that the
# folders inside of it stand on; the folder's other files stand on top of them. CONTRIBUTING.md draws the same table.
ROOMS: dict[str, set[str]] = {
    "problems floor": set(),
    "problems/domains": {"problems floor"},
    "problems/sets": {"problems floor"},
    "problems": {"problems/domains", "problems/sets"},
    "rewards/reading": set(),
    "rewards floor": {"problems floor", "rewards/reading"},
    "rewards/math floor": set(),
    "rewards/math/grammar": {"rewards/math floor", "rewards floor"},
    "rewards/math/equality": {"rewards/math floor"},
    "rewards/math/symbolic": {"rewards/math/equality", "rewards floor"},
    "rewards/math": {"rewards/math/grammar", "rewards/math/symbolic"},
    "rewards/code floor": set(),
    "rewards/code/inside": {"rewards/code floor"},
    "rewards/code/judging": {"rewards/code floor", "rewards floor"},
    "rewards/code": {"rewards/code/judging"},
    "rewards": {"rewards/math", "rewards/code", "problems"},
    "rl floor": {"rewards floor"},
    "rl/settings": {"rl floor", "problems", "rewards/code floor"},
    "rl/policy": {"rl/settings"},
    "rl/sampling": {"rl/policy"},
    "rl/update": {"rl/policy"},
    "rl/tracking": {"rl/sampling", "rl/update", "rewards"},
    "rl/imitation": {"rl/tracking"},
    "rl/diagnosis": {"rl/tracking"},
    "rl/evaluation": {"rl/tracking"},
    "rl/viewing": {"rl/diagnosis", "rl/evaluation"},
    "rl": {"rl/diagnosis", "rl/evaluation", "rl/imitation", "rl/viewing", "rewards"},
    "bench": {"rl"},
    "launch/nodes": {"rl"},
    "launch/health": {"launch/nodes"},
    "launch": {"launch/health", "bench"},
}
FLOORS = {
    "problems": {"types", "errors", "seeding", "procedural", "rows", "finite", "public", "ownfile"}
    | {"formulas", "worked", "levels", "lines", "days", "verl", "telling", "progress"},
    "rewards": {"types", "boxes", "answer", "numbers", "shaping", "own", "abstaining", "child"},
    "rewards/math": {"tree", "unit_table", "units", "vectors"},
    "rewards/code": {"settings", "codec", "wire"},
    "rl": {"types", "devices", "runtime", "exchange", "stopping", "heartbeat", "stats"},
}
FILES = module_files(ROOT)
GRAPH = import_graph(FILES)
# these run programs for a living, inside the sandbox; the test below keeps them out of every process that judges
SANDBOX_SIDE = {"rewards.code.inside.candidate", "rewards.code.inside.examiner", "rewards.code.inside.host"} | {
    "rewards.code.inside.together"
}
FORBIDDEN_CALLS = {"eval", "exec", "sympify", "parse_expr", "parse_latex", "__import__"}
HEAVY = ("torch", "transformers", "trl", "deepspeed", "datasets", "wandb", "matplotlib", "peft", "accelerate")


def modules(*layers: str) -> list[Path]:
    return [file for layer in layers for file in sorted((ROOT / layer).rglob("*.py"))]


@cache
def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def name(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts)


def imports(tree: ast.AST) -> Iterator[str]:
    """Yield every imported module, also inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module or ""


@pytest.mark.parametrize("file", modules(*LAYERS), ids=name)
def test_imports_never_point_back(file: Path) -> None:
    own = LAYERS.index(file.relative_to(ROOT).parts[0])
    for module in imports(parsed(file)):
        package = module.split(".")[0]
        assert package not in LAYERS[own + 1 :], f"{name(file)} imports {module}"
        assert package != "tests"


def room_of(module: str) -> str:
    """Return the room that a module stands in; a face (`__init__`) belongs to its folder."""
    file = FILES[module].relative_to(ROOT)
    folder = file.parent.as_posix()
    return f"{folder} floor" if file.stem in FLOORS.get(folder, ()) else folder


def below(room: str) -> set[str]:
    """Return every room that a room may import."""
    reached: set[str] = set()
    waiting = [room]
    while waiting:
        for other in ROOMS[waiting.pop()] - reached:
            reached.add(other)
            waiting.append(other)
    return reached


def drawing() -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Return (ROOMS, FLOORS) as CONTRIBUTING.md draws them: lines of `room: rooms` and `room (files): rooms`."""
    section = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("\n## Rooms\n")[1]
    block = re.search(r"```text\n(.*?)```", section, re.DOTALL)
    assert block, "the section Rooms holds a fenced block of text"
    rooms: dict[str, set[str]] = {}
    floors: dict[str, set[str]] = {}
    for line in block[1].splitlines():
        left, right = line.split(":")
        parts = re.fullmatch(r"(.+?)(?: \((.+)\))?", left.strip())
        assert parts, line
        name, files = parts.groups()
        rooms[name] = {room.strip() for room in right.split(",") if room.strip()}
        if files:
            floors[name.removesuffix(" floor")] = set(files.split())
    return rooms, floors


def test_no_ring_of_imports_in_the_tree() -> None:
    # an import inside of a function closes a ring like any other
    assert rings(GRAPH) == []


def test_no_ring_in_the_drawing_of_the_rooms() -> None:
    graph: Graph = ROOMS
    assert rings(graph) == []


def test_contributing_draws_the_rooms_that_are_enforced() -> None:
    assert drawing() == (ROOMS, FLOORS)


def test_every_folder_is_a_room_and_every_floor_file_exists() -> None:
    assert {room_of(module) for module in FILES} == set(ROOMS)
    floor_files = [ROOT / folder / f"{name}.py" for folder, names in FLOORS.items() for name in names]
    assert not [file for file in floor_files if not file.exists()]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_the_rooms_below_it(room: str) -> None:
    allowed = below(room) | {room}
    wrong = [
        f"{module} -> {target} ({room_of(target)})"
        for module, targets in GRAPH.items()
        if room_of(module) == room
        for target in sorted(targets)
        if room_of(target) not in allowed
    ]
    assert not wrong


@pytest.mark.parametrize("room", [room for room in ROOMS if not room.endswith(" floor")])
def test_every_room_has_a_face(room: str) -> None:
    face = ast.get_docstring(ast.parse((ROOT / room / "__init__.py").read_text(encoding="utf-8"))) or ""
    assert face.split("\n")[0].endswith("."), "the first line says what lives here"
    assert "May import" in face
    assert "Start with" in face


def test_the_folders_of_tests_mirror_the_rooms() -> None:
    shared = {"data", "support"}
    folders = {file.parent.relative_to(ROOT / "tests").as_posix() for file in (ROOT / "tests").glob("*/**/*.py")} - shared
    assert not [folder for folder in folders if not (ROOT / folder).is_dir()]


def test_every_package_of_the_lab_is_among_the_layers() -> None:
    packages = {file.parent.name for file in ROOT.glob("*/__init__.py")}
    assert packages <= set(LAYERS)
    assert set(LAYERS) <= packages


@pytest.mark.parametrize("file", modules("problems", "rewards"), ids=name)
def test_problems_and_rewards_do_not_name_torch(file: Path) -> None:
    found = {module.split(".")[0] for module in imports(parsed(file))}
    assert not found & (set(HEAVY) - {"datasets"})


def test_importing_all_of_problems_and_rewards_loads_nothing_heavy() -> None:
    names = [name(file).removesuffix(".__init__") for file in modules("problems", "rewards")]
    script = f"import sys, importlib\nfor n in {names}: importlib.import_module(n)\nprint(*(set(sys.modules) & set({HEAVY})))"
    result = run_python("-c", script)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == []


@pytest.mark.parametrize("file", modules("problems", "rewards"), ids=name)
def test_nothing_in_problems_or_rewards_evaluates_text(file: Path) -> None:
    if name(file) in SANDBOX_SIDE:
        return
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func).rpartition(".")[2]
            assert called not in FORBIDDEN_CALLS, f"{name(file)}:{node.lineno} calls {called}"


def test_behind_the_security_wall_there_is_only_the_standard_library() -> None:
    shared = [ROOT / "rewards/code/wire.py", ROOT / "rewards/code/codec.py"]
    for file in [*modules("rewards/code/inside"), *shared]:
        for node in ast.walk(parsed(file)):
            if isinstance(node, ast.ImportFrom) and (node.module or "") == "rewards.code":
                assert {alias.name for alias in node.names} <= {"codec", "wire"}, name(file)
                continue
            if not isinstance(node, ast.Import | ast.ImportFrom):
                continue
            for module in imports(node):
                ours = module in ("rewards.code.codec", "rewards.code.wire") or module.startswith("rewards.code.inside")
                # numpy: the codec's arrays, where a program has imported it already
                assert ours or module.split(".")[0] in {*sys.stdlib_module_names, "numpy"}, f"{name(file)} imports {module}"


def test_no_time_out_relies_on_a_signal() -> None:
    # SIGALRM fails off the main thread and cannot stop C code
    for file in modules(*LAYERS):
        names = {node.attr for node in ast.walk(parsed(file)) if isinstance(node, ast.Attribute)}
        assert not names & {"SIGALRM", "setitimer", "alarm"}, name(file)


def test_what_runs_programs_is_never_loaded_where_verdicts_are_made() -> None:
    script = (
        "import sys, rewards.verifiers, rewards.worker, rewards.pool; print(sorted(m for m in sys.modules if 'rewards' in m))"
    )
    loaded = run_python("-c", script).stdout
    assert "rewards.verifiers" in loaded
    assert "rewards.code.inside" not in loaded
