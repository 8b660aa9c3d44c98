"""reasoning-gym's scorers: what of a model's text they may see, and (where the package is installed) that they pay no parts."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from support_pure import ROOT

from problems.catalog import SOURCE_MODELS, build_source, solve
from problems.seeding import content_split
from problems.sets.reasoning_gym import GymSource
from problems.types import SPLITS, Problem, ProblemError
from rewards.gym import _EVALUATES, _FUNCTIONS, _PARSES, _may_be_scored, gym_fault, is_formula, verify_gym
from rewards.pool import VerifierPool

FORMULAS = ["(3+5)*2", "x**2/2 + C", "-3*sin(2*x) + log(x)", "[1, 2, [3.5]]", " 2\n", "exp(x)*(a-b)", "pi/4"]
HOSTILE = [
    "__import__('os').system('touch marker')",
    "(lambda: 1)()",
    'sin(\'__import__("os").system("touch marker")\')',  # sympy parses a text, and so evaluates it
    "x.__class__",
    "[y for y in (1,)]",
    "open",
    "print(1)",
    "sin(x)(1)",
    "sin(x, evaluate=0)",
    "f'{1}'",
    "(y:=1)",
    "x! + __import__('os')",  # no Python, but sympy makes some of it
    "1 if 2 else 3",
    "'a'*10**9",
    "(" * 3000,
    "1;2",
    "9**9**9",
    "x**(9**9)",
    "2**1000",
    "2**(x+1)",
    "\0",
    "",
]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_plain_formula_may_be_evaluated(text: str) -> None:
    assert is_formula(text, _FUNCTIONS)


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text)[:30])
def test_nothing_else_may(text: str) -> None:
    assert not is_formula(text, _FUNCTIONS)
    assert not is_formula(text, ()) or text == "open"  # a name alone does nothing


def test_a_sum_of_whole_numbers_writes_them_out() -> None:
    assert _may_be_scored("(3 + 5)*2 - 12/4", "countdown")
    for hidden in ("57e0+0*(3+4)", "5_7+0*3", "0x39+0*3", "5.7*10", "3**4", "x+1"):
        assert not _may_be_scored(hidden, "countdown")


# -- from here on with the package itself: `make test-formats`

try:
    from problems.sets.reasoning_gym import names

    NAMES = names()
except ProblemError:
    NAMES = []
installed = pytest.mark.skipif(not NAMES, reason="reasoning-gym is not installed: make test-formats")
SLOW_TO_MAKE = {"arc_agi", "rearc", "intermediate_integration"}  # seconds an item
MAKES_ITEMS = """
import hashlib, json
from problems.sets.reasoning_gym import item
for name in {names}:
    made = [item(name, "{{}}", seed)[1] for seed in range({count})]
    print()  # some print dots
    print(name, hashlib.sha256(json.dumps([(one["question"], str(one["answer"])) for one in made]).encode()).hexdigest())
"""
OVERLOOK_WORDS = {
    "gsm_symbolic",
    "kakurasu",
    "knights_knaves",
    "quantum_lock",
    "sokoban",
    "survo",
}  # around an answer
UNANSWERED = {"boxnet", "graph_color", "rubiks_cube", "rush_hour"}  # their items bring no answer


def config_of(name: str, settings: dict[str, Any]) -> Any:
    return SOURCE_MODELS["reasoning_gym"].model_validate({"domain": "reasoning_gym", "name": name, "settings": settings})


def source(name: str, seed: int = 0, **settings: Any) -> GymSource:
    made = build_source([config_of(name, settings)], seed)
    assert isinstance(made, GymSource)
    return made


@installed
@pytest.mark.parametrize("name", [name for name in NAMES if name not in SLOW_TO_MAKE])
def test_every_reference_proves_itself_and_a_text_around_it_is_not_paid(name: str) -> None:
    problem = source(name).get("train", 0)
    assert content_split(problem.prompt) == "train"
    assert gym_fault(problem) is None
    assert (problem.reference is None) == (name in UNANSWERED)
    if problem.reference is not None:
        assert verify_gym(problem, solve(problem, "direct")).status == "correct"
        # their default scorer pays a part for a text that holds the answer
        around = verify_gym(problem, f"\\boxed{{it is {problem.reference} or so}}").status
        assert around == "wrong" or name in OVERLOOK_WORDS
        assert verify_gym(problem, "\\boxed{unheard of}").status == "wrong"


@installed
@pytest.mark.parametrize("name", ["complex_arithmetic", "number_sorting"])
def test_what_is_no_number_is_paid_by_no_scorer(name: str) -> None:
    problem = source(name).get("train", 0)
    count = (problem.reference or "").count(",") + 1
    for answer in ("nan", "NaN+nanj", f"[{', '.join(['NaN'] * count)}]"):
        assert verify_gym(problem, f"\\boxed{{{answer}}}").status == "wrong"


@installed
def test_every_process_makes_the_same_items() -> None:
    script = MAKES_ITEMS.format(names=[name for name in NAMES if name not in SLOW_TO_MAKE], count=3)
    said = []
    for seed in ("1", "2"):  # the order of sets, which is another one in every process
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed}
        result = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=900, check=True
        )
        said.append([line for line in result.stdout.splitlines() if line.partition(" ")[0] in NAMES])
    assert len(said[0]) == len(NAMES) - len(SLOW_TO_MAKE)
    assert not set(said[0]) ^ set(said[1])


@installed
def test_items_come_by_number_and_neighbours_share_none() -> None:
    here = [source("chain_sum").get("train", index) for index in range(40)]
    assert here == [source("chain_sum").get("train", index) for index in range(40)]
    other = [source("chain_sum", 1).get("train", index) for index in range(40)]
    assert not {problem.id for problem in here} & {problem.id for problem in other}  # by seed + index all but one are
    prompts = {split: {source("chain_sum").get(split, index).prompt for index in range(40)} for split in SPLITS}
    assert not prompts["train"] & prompts["test"]
    assert not prompts["train"] & prompts["validation"]


@installed
@pytest.mark.parametrize("name", sorted(_EVALUATES | (_PARSES - SLOW_TO_MAKE)))
def test_a_hostile_answer_runs_nothing(name: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    problem = source(name).get("train", 0)
    for text in HOSTILE:
        assert verify_gym(problem, f"<answer>{text}</answer>").status in ("wrong", "unparsed"), text
    assert not list(tmp_path.iterdir())


@installed
def test_the_pool_judges_and_a_changed_item_is_nobodys_fault() -> None:
    problem = source("chain_sum", min_terms=2, max_terms=2).get("test", 3)
    changed = replace(problem, checks={**problem.checks, "seed": 1})
    with VerifierPool(1) as pool:
        verdicts = pool.grade([(problem, solve(problem, "direct")), (problem, "\\boxed{0.5}"), (changed, "\\boxed{1}")])
    assert [verdict.status for verdict in verdicts] == ["correct", "wrong", "error"]
    assert verdicts[2].detail == "reasoning-gym makes another item of seed 1 than it did"
    assert json.loads(str(problem.checks["settings"])) == {"max_terms": 2, "min_terms": 2}


@installed
def test_settings_that_a_data_set_has_not_are_refused_in_words() -> None:
    refused: list[tuple[str, dict[str, Any], str]] = [
        ("chain_sums", {}, "'chain_sums' is no data set of reasoning-gym; there are: ab, "),
        ("codeio", {}, "'codeio' is left out"),
        ("chain_sum", {"seed": 3}, "seed cannot be set, every problem has a seed of its own"),
        ("chain_sum", {"term": 3}, "does not take these settings: TypeError.*; it has: min_terms, max_terms"),
        ("chain_sum", {"min_terms": 3, "max_terms": 2}, "does not take these settings: AssertionError"),
    ]
    for name, settings, words in refused:
        config = config_of(name, settings)
        with pytest.raises(ProblemError, match=words):
            build_source([config], 0)


@pytest.mark.skipif(bool(NAMES), reason="reasoning-gym is installed")
def test_without_the_package_it_is_said_how_to_get_it() -> None:
    with pytest.raises(ProblemError, match=r"pip install 'reasoning-gym==0\.1\.25'"):
        source("chain_sum")
    checks = {"name": "chain_sum", "settings": "{}", "seed": 1}
    problem = Problem(id="", domain="reasoning_gym", split="test", prompt="?", reference="1", checks=checks, source="s")
    assert "pip install" in verify_gym(problem, "\\boxed{1}").detail
