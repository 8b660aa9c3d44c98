"""Imports run problems <- rewards <- rl <- launch and never back; model text never reaches an evaluator."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support_pure import ROOT, run_python

LAYERS = ("problems", "rewards", "rl", "bench", "launch")
# these run programs for a living, inside the sandbox; the test below keeps them out of every process that judges
SANDBOX_SIDE = {"rewards.code.inside.candidate", "rewards.code.inside.examiner", "rewards.code.inside.host"}
FORBIDDEN_CALLS = {"eval", "exec", "sympify", "parse_expr", "parse_latex", "__import__"}
HEAVY = ("torch", "transformers", "trl", "deepspeed", "datasets", "wandb", "matplotlib", "peft", "accelerate")


def modules(*layers: str) -> list[Path]:
    return [file for layer in layers for file in sorted((ROOT / layer).rglob("*.py"))]


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
    for module in imports(ast.parse(file.read_text(encoding="utf-8"))):
        package = module.split(".")[0]
        assert package not in LAYERS[own + 1 :], f"{name(file)} imports {module}"
        assert package != "tests"


def test_every_package_of_the_lab_is_among_the_layers() -> None:
    packages = {file.parent.name for file in ROOT.glob("*/__init__.py")}
    assert packages <= set(LAYERS)
    assert set(LAYERS) <= packages


@pytest.mark.parametrize("file", modules("problems", "rewards"), ids=name)
def test_problems_and_rewards_do_not_name_torch(file: Path) -> None:
    found = {module.split(".")[0] for module in imports(ast.parse(file.read_text(encoding="utf-8")))}
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
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func).rpartition(".")[2]
            assert called not in FORBIDDEN_CALLS, f"{name(file)}:{node.lineno} calls {called}"


def test_behind_the_security_wall_there_is_only_the_standard_library() -> None:
    shared = [ROOT / "rewards/code/wire.py", ROOT / "rewards/code/codec.py"]
    for file in [*modules("rewards/code/inside"), *shared]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
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
        names = {node.attr for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, ast.Attribute)}
        assert not names & {"SIGALRM", "setitimer", "alarm"}, name(file)


def test_what_runs_programs_is_never_loaded_where_verdicts_are_made() -> None:
    script = (
        "import sys, rewards.verifiers, rewards.worker, rewards.pool; print(sorted(m for m in sys.modules if 'rewards' in m))"
    )
    loaded = run_python("-c", script).stdout
    assert "rewards.verifiers" in loaded
    assert "rewards.code.inside" not in loaded
