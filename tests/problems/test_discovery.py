"""A domain is one file: it is found by being there, and nothing else in the tree names it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from forks import HANGS_SECONDS
from support_pure import PARITY, ROOT

from problems.catalog import DOMAINS, SETS, verifier_name
from problems.types import Domain, ProblemSet
from rewards.verifiers import VERIFIERS

USES_PARITY = """
from pathlib import Path
import problems
from problems.catalog import build_source, perturb, solve
from problems.types import SPLITS, STYLES
from rewards.pool import VerifierPool
from rewards.verifiers import verify
from rl.settings.loading import load_config
from rl.settings.schema import RunConfig

assert Path(problems.__file__).parents[1] == Path.cwd()
settings = ["run.name=a", "model.path=m", "problems=[{domain: parity, largest: 500}]"]
source = build_source(load_config(RunConfig, [], settings).config.problems, 0)
drawn = [source.get(split, index) for split in SPLITS for index in range(20)]
assert len({problem.id for problem in drawn}) > 40
for problem in drawn:
    assert int(problem.prompt.split()[0]) <= 500
    assert all(verify(problem, solve(problem, style)).status == "correct" for style in STYLES)
    assert verify(problem, f"\\\\boxed{{{perturb(problem)}}}").status == "wrong"
with VerifierPool(1) as pool:  # another process finds the domain too
    assert pool.grade([(drawn[0], solve(drawn[0], "steps"))])[0].status == "correct"
print("used")
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the lab's packages, with the bytecode that is there: five processes read all of it."""
    copy = tmp_path_factory.mktemp("lab")
    for package in ("problems", "rewards", "rl", "bench", "launch"):
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("results", "*.pyc.*"))
    return copy


def run_in(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # no bytecode is written: that of a file that was written again within a second, at the same size, passes for the new one's
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, cwd=tree, env=environment, capture_output=True, text=True, timeout=HANGS_SECONDS, check=False
    )


def dry_run(tree: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    return run_in(tree, "-m", "launch.cli", "train", "--dry-run", "run.name=a", "model.path=m", *overrides)


@pytest.mark.slow
def test_a_domain_is_one_file_and_nothing_else(tree: Path) -> None:
    before = {file.relative_to(tree): file.read_bytes() for file in tree.rglob("*.py")}
    file = tree / "problems" / "domains" / "parity.py"
    file.write_text(PARITY)

    used = run_in(tree, "-c", USES_PARITY)
    assert (used.returncode, used.stdout) == (0, "used\n"), used.stderr

    (line,) = [
        line
        for line in run_in(tree, "-m", "launch.cli", "train", "--settings").stdout.splitlines()
        if line.split()[:1] == ["problems"]
    ]
    assert "parity" in line
    plan = dry_run(tree, "problems=[{domain: parity}]")
    assert plan.returncode == 0, plan.stderr
    assert "domain: parity" in plan.stdout
    assert "largest: 10000" in plan.stdout

    wrong_key = dry_run(tree, "problems=[{domain: parity, largst: 3}]")
    assert wrong_key.returncode == 2
    assert "unknown key 'problems.0.largst' (from command line); did you mean 'problems.largest'?" in wrong_key.stderr
    wrong_name = dry_run(tree, "problems=[{domain: parety}]")
    assert wrong_name.returncode == 2
    assert "'parity'" in wrong_name.stderr

    file.unlink()
    assert {file.relative_to(tree): file.read_bytes() for file in tree.rglob("*.py")} == before


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "typo.py",
            "DOMAIN = Domian()",
            "cannot load {file}: NameError: name 'Domian' is not defined. Mend it",
        ),
        ("cut.py", "def f(:", "cannot load {file}: SyntaxError: "),
        ("helper.py", "x = 1", "{file} must define DOMAIN = Domain(...), found None; what several files share belongs"),
        ("list.py", "DOMAIN = [1]", "{file} must define DOMAIN = Domain(...), found [1]"),
        ("parity.py", PARITY.replace('name="parity"', 'name="chain"'), "{file} and {chain} both take the name 'chain'"),
        ("parity.py", PARITY.replace('name="parity"', 'name="gsm8k"'), "a domain and a set both take the name 'gsm8k'"),
    ],
)
def test_a_domain_file_that_cannot_be_used_is_named_with_the_reason(tree: Path, name: str, text: str, message: str) -> None:
    file = tree / "problems" / "domains" / name
    file.write_text(text)
    try:
        result = run_in(tree, "-c", "import problems.catalog")
    finally:
        file.unlink()
    assert result.returncode != 0
    assert f"ProblemError: {message.format(file=file, chain=file.with_name('chain.py'))}" in result.stderr


def test_every_domain_and_set_is_judged_by_a_verifier_that_exists() -> None:
    records: list[Domain[Any] | ProblemSet[Any]] = [*DOMAINS.values(), *SETS.values()]
    for record in records:
        if record.verifier is not None:
            assert verifier_name(record.name) == record.verifier
            assert record.verifier in VERIFIERS, record.name
    assert verifier_name("math") == "math"  # no file makes its problems: rows of any file may be of it
