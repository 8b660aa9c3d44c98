"""A file of one's own is a domain or a set like the lab's; whatever is wrong with it is said in words that name it."""

import json
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
from support_pure import PARITY

from problems import own
from problems.catalog import build_source, perturb, solve, verifier_name
from problems.types import STYLES, ProblemError
from rewards.verifiers import VERIFIERS, verify
from rl.settings.loading import ConfigError, describe, load_config
from rl.settings.schema import RunConfig

OWN_SET = """
from problems.finite import finite_source
from problems.types import Problem, ProblemSet, SourceConfig

class Settings(SourceConfig):
    sums: int = 5

def load(config, seed):
    rows = [{"n": n} for n in range(config.sums)]
    def convert(row, split, where):
        n = row["n"]
        return Problem(id=str(n), domain="sums", split=split, prompt=f"{n}+1=?", reference=str(n + 1), source=where)
    return finite_source("sums", {"test": ("made", rows)}, convert, seed)

SET = ProblemSet(name="sums", config=Settings, load=load, verifier="number")
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder of the user's; no file of one test is known to the next."""
    monkeypatch.chdir(tmp_path)
    for known in ("OWN", "VERIFIERS", "_FILES"):
        monkeypatch.setattr(f"problems.own.{known}", {})
    return tmp_path


def configured(*problems: dict[str, Any]) -> Any:
    return load_config(RunConfig, [], ["run.name=a", "model.path=m", f"problems={json.dumps(problems)}"])


def fault(**source: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        configured(source)
    return str(caught.value)


def test_a_domain_of_ones_own_is_drawn_solved_judged_and_mixed_like_any_other(home: Path) -> None:
    (home / "parity.py").write_text(PARITY)
    loaded = configured({"python": "parity.py", "largest": 500}, {"domain": "chain"})
    source = build_source(loaded.config.problems, 0)
    drawn = [source.get("train", index) for index in range(40)]
    assert {problem.domain for problem in drawn} == {"parity", "chain"}
    for problem in drawn:
        assert all(verify(problem, solve(problem, style)).status == "correct" for style in STYLES)
        assert verify(problem, f"\\boxed{{{perturb(problem)}}}").status == "wrong"
    assert verifier_name("parity") == "number"
    assert pickle.loads(pickle.dumps(loaded.config)) == loaded.config


def test_a_domain_of_ones_own_may_have_levels(home: Path) -> None:
    levels = "perturb=perturb, levels=[{'largest': 9}, {'largest': 99}])"
    (home / "parity.py").write_text(PARITY.replace("perturb=perturb)", levels))
    (one, other) = configured(
        {"python": "parity.py", "level": 2}, {"python": "parity.py", "level": 2, "largest": 5}
    ).config.problems
    assert (one.largest, other.largest) == (99, 5)
    assert build_source([one], 0).get("train", 0).difficulty["level"] == 2
    assert pickle.loads(pickle.dumps(one)) == one
    assert "level: input should be 1 or 2, found 3" in fault(python="parity.py", level=3)


def test_a_set_of_ones_own_is_loaded(home: Path) -> None:
    (home / "sums.py").write_text(OWN_SET)
    source = build_source(configured({"python": "sums.py", "sums": 3}).config.problems, 0)
    assert [source.get("test", index).prompt for index in range(3)] == ["0+1=?", "1+1=?", "2+1=?"]
    assert verify(source.get("test", 2), "\\boxed{3}").status == "correct"


def test_a_run_records_the_content_of_the_file_and_its_record_can_be_read_again(home: Path) -> None:
    file = home / "parity.py"
    file.write_text(PARITY)
    loaded = configured({"python": "parity.py"})
    assert f"file_hash: {loaded.config.problems[0].file_hash}" in describe(loaded).replace("'", "")
    recorded = loaded.config.model_dump(mode="json")
    assert RunConfig.model_validate(recorded) == loaded.config
    file.write_text(PARITY.replace("10_000", "10_001"))  # within a second and of the same size: no bytecode stands in for it
    assert configured({"python": "parity.py"}).config.problems[0].largest == 10_001
    with pytest.raises(ValueError, match=r"parity\.py has changed: its hash was"):
        RunConfig.model_validate(recorded)
    assert sorted(path.name for path in home.iterdir()) == ["parity.py"]  # nothing was left beside it


def test_every_fault_of_the_settings_is_listed_with_the_keys_that_the_file_has(home: Path) -> None:
    (home / "parity.py").write_text(PARITY)
    said = fault(python="parity.py", largst=3, largest=0)
    keys = "weight, rates, keep, without, largest"
    assert f"problems.0.largst: parity.py has no such setting; it has: {keys}, found 3 (from command line)" in said
    assert "problems.0.largest: input should be greater than or equal to 1, found 0" in said
    assert "expected a path that ends in .py" in fault(python="parity.yaml")
    assert f"cannot read perity.py (looked for in {home}): No such file or directory" in fault(python="perity.py")
    assert "python must be the path of a file, found 3" in fault(python=3)
    assert "a source says its domain, or python: FILE.py; found the keys pyhton" in fault(pyhton="parity.py")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("DOMAIN = Domian()", "cannot load {file}: NameError: name 'Domian' is not defined"),
        ("def f(:", "cannot load {file}: SyntaxError: "),
        ("import sys; sys.exit('used as a script')", "cannot load {file}: SystemExit: used as a script"),
        ("import helper_beside_it", "No module named 'helper_beside_it'; a file of one's own stands alone"),
        ("x = 1", "{file} must define DOMAIN = Domain(...) or SET = ProblemSet(...); it defines neither"),
        ("DOMAIN = [1]", "{file} must define DOMAIN = Domain(...), found [1]"),
        (PARITY + "SET = DOMAIN", "it defines both"),
        (PARITY.replace('name="parity"', 'name="chain"'), "{file} takes the name 'chain', which the lab has already"),
        (PARITY.replace('name="parity"', 'name="math"'), "{file} takes the name 'math', which the lab has already"),
        (PARITY.replace('name="parity"', 'name="exact"'), "{file} takes the name 'exact', which the lab has already"),
        (PARITY.replace("largest: int", "python: int"), "{file}: a setting cannot be called 'python'"),
        (
            PARITY.replace("config=ParityConfig", "config=int"),
            "{file}: `config` must be a class that inherits from SourceConfig",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_reason(home: Path, text: str, message: str) -> None:
    (home / "own.py").write_text(text)
    assert message.format(file=home / "own.py") in fault(python="own.py")


def test_no_file_may_take_the_name_of_a_verifier() -> None:
    assert set(VERIFIERS) <= own.TAKEN


def test_two_files_of_one_name_are_refused(home: Path) -> None:
    for name in ("one.py", "two.py"):
        (home / name).write_text(PARITY)
    configured({"python": "one.py"})
    assert "both take the name 'parity'" in fault(python="two.py")


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("number = rng.randint(0, config.largest)", "number = 1 // 0", "own.py: generate failed: ZeroDivisionError"),
        ("reference=str(number % 2)", "reference=number % 2", "own.py: a Draft's reference must be a text or None, found"),
        ('prompt=f"{number} odd?"', "prompt=''", "own.py: generate made a Draft whose prompt is no text"),
        ("return Draft(", "return dict(", "own.py: generate must return a Draft, found {"),
        ('answer = problem.reference or ""', "answer = {}['x']", "own.py: solve failed: KeyError: 'x'"),
        ("return str(1 - int(problem.reference or 0))", "return 3", "own.py: perturb must return a text, found 3"),
    ],
)
def test_what_its_functions_do_wrong_is_said_with_the_files_name(home: Path, right: str, wrong: str, message: str) -> None:
    assert right in PARITY
    (home / "own.py").write_text(PARITY.replace(right, wrong))
    source = build_source(configured({"python": "own.py"}).config.problems, 0)

    def use() -> None:
        for index in range(9):
            problem = source.get("train", index)
            solve(problem, "steps")
            perturb(problem)

    with pytest.raises(ProblemError, match=re.escape(message)):
        use()
