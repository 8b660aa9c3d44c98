"""The score that verl asks for, called as verl calls it; TRL's reward functions with TRL 1.16's arguments."""

import importlib.util
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest

from problems.errors import LabError
from rewards import kept, trl, verl


@pytest.fixture(scope="module")
def score() -> Iterator[Callable[..., Any]]:
    """Load the function as verl does, from its file, and end its processes."""
    spec = importlib.util.spec_from_file_location("custom_module_1", verl.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module.compute_score
    kept.close_all()


def test_data_sources_find_their_domain_and_scores_come_with_what_stands_behind_them(score: Callable[..., Any]) -> None:
    extra = {"split": "train", "index": 3, "num_turns": None, "rollout_reward_scores": {}}  # as verl's reward loop adds
    cases = [
        ("openai/gsm8k", "so #### 72", "72", 1.0),
        ("openai/gsm8k", "so #### 71", "72", 0.0),
        ("lighteval/MATH", "\\boxed{\\frac{2}{4}}", "\\frac12", 1.0),
        ("aime2024", "\\boxed{033}", "33", 1.0),
        ("mine", "\\boxed{8}", 8, 1.0),
    ]
    for data_source, text, truth, worth in cases:
        marked = {"reasonlab_domain": "chain"} if data_source == "mine" else {}
        said = score(data_source=data_source, solution_str=text, ground_truth=truth, extra_info=extra | marked)
        assert said.pop("detail")
        assert said == {"score": worth, "acc": worth, "unscored": 0.0, "status": "correct" if worth else "wrong"}, data_source
    assert score("aime", "It is 8.", "8", policy="lenient", reward_router_address=None)["score"] == 1.0
    assert score("aime", "It is 8.", "8", None)["status"] == "unparsed"
    unscored = score("mine", "\\boxed{8}", "eight", {"reasonlab_domain": "chain"})
    assert unscored.pop("detail") == "the reference 'eight' is not a number"
    assert unscored == {"score": 0.0, "acc": 0.0, "unscored": 1.0, "status": "error"}
    with pytest.raises(LabError, match="policy must be one of strict, lenient"):
        score("aime", "x", "y", policy="kind")


def test_a_row_of_others_is_not_judged_by_a_domain_of_ours_that_has_its_name(score: Callable[..., Any]) -> None:
    topic = {"split": "train", "index": 3, "domain": "chain", "question": "?"}  # a topic that happens to be called so
    for data_source, extra in (("poems", None), ("chain", None), ("math", {}), ("chain", topic), ("mine", {"domain": "math"})):
        with pytest.raises(LabError, match=f"no domain is known for the data_source '{data_source}'"):
            score(data_source, "\\boxed{8}", "8", extra)
    assert score("openai/gsm8k", "\\boxed{8}", "8", {"domain": "sudoku"})["score"] == 1.0  # nor does their topic choose
    with pytest.raises(LabError, match=r"extra_info\.reasonlab_domain is 'nothing', and there is no such domain here"):
        score("mine", "x", "y", {"reasonlab_domain": "nothing"})


def test_a_verifier_of_ones_own_judges_for_verl(score: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text("def share(completions, **columns): return [len(completions[0][0]['content']) / 10]\n")
    said = score("poems", "1234", "any", verifier=f"{file}:share")
    assert said == {"score": 0.4, "acc": 0.0, "unscored": 0.0, "status": "wrong", "detail": "score 0.4"}


def test_a_program_is_judged_by_checks_as_json(score: Callable[..., Any]) -> None:
    checks = json.dumps({"style": "stdin", "tests": [{"stdin": "2\n", "stdout": "4\n"}]})
    problem = verl._problem("code", checks, {})
    assert (problem.reference, dict(problem.checks)) == (None, json.loads(checks))
    with pytest.raises(LabError, match="ground_truth must be an object or its JSON"):
        verl._problem("code", "[1]", {})


@pytest.mark.parametrize("numbers", [{"numbers": [3, 5, 2]}, {"nums": [3, 5, 2]}, {"numbers": numpy.array([3, 5, 2])}], ids=str)
def test_a_countdown_row_of_tinyzeros_brings_its_numbers_as_ground_truth(
    score: Callable[..., Any], numbers: dict[str, Any]
) -> None:
    truth = {**numbers, "target": numpy.int64(16) if "nums" in numbers else 16}
    assert score("countdown", "<answer>(3+5)*2</answer>", truth)["status"] == "correct"
    assert score("countdown", "<answer>(3+5)*2</answer>", {**truth, "target": 15})["status"] == "wrong"
    assert score("countdown", "<answer>8*2</answer>", truth)["status"] == "wrong"
    said = score("countdown", "<answer>8*2</answer>", {"target": 16})
    assert (said["status"], said["unscored"]) == ("error", 1.0)


def test_reward_functions_for_trl_take_what_todays_trl_hands_over() -> None:
    columns: dict[str, list[Any]] = {}
    metrics: dict[str, float] = {}
    handed: dict[str, Any] = {
        "prompts": [[{"role": "user", "content": "1+1?"}]] * 3,
        "completions": [[{"role": "assistant", "content": text}] for text in ("\\boxed{2}", "\\boxed{3}", "two")],
        "completion_ids": [[1], [2], [3]],
        "trainer_state": object(),
        "log_extra": columns.__setitem__,
        "log_metric": metrics.__setitem__,
    }
    assert trl.math_reward(**handed, solution=["2", "2", None]) == [1.0, 0.0, None]
    assert columns == {"math_status": ["correct", "wrong", "error"]}
    assert metrics == {"math_unscored": pytest.approx(1 / 3)}
    assert trl.math_reward(completions=["\\boxed{2}"], solution=["2"]) == [1.0]  # an older one hands over less
