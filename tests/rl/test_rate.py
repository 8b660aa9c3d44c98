"""Pass rates: what an evaluation of training problems writes down, and that it chooses the problems of a run."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from support import rollout, rows

from launch.problems import problems_command
from problems.catalog import AnySource, build_source
from problems.errors import LabError
from problems.types import ProblemSource
from rl.evaluation.samples import of_rollouts
from rl.policy.opening import load_tokenizer
from rl.policy.prompts import PromptError, check_rates
from rl.rate import pass_rates
from rl.settings.schema import ModelSettings, PromptSettings

COUNT = 6
SETTINGS = ["--n", "2", f"num_problems={COUNT}", "sampling.max_completion_tokens=6", "prompt.template='Q {prompt}'"]


@pytest.fixture(scope="module")
def rated(random_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs of two ratings, `chain` and `mine`, and the set `mine.jsonl`."""
    home = tmp_path_factory.mktemp("rated")
    lines = [{"prompt": f"{i}+1=?", "reference": str(i + 1)} for i in range(40)]
    (home / "mine.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("WANDB_MODE", "disabled")
        words = ["rate", "chain", "mine.jsonl", "--model", str(random_model), "run.name=both"]
        assert problems_command([*words, *SETTINGS]) == 0
        first = (home / "runs/both/mine/rates.jsonl").read_bytes()
        assert problems_command([*words, *SETTINGS, "--resume"]) == 0  # draws nothing again
        assert (home / "runs/both/mine/rates.jsonl").read_bytes() == first
    return home / "runs/both"


def source(**settings: Any) -> ProblemSource:
    return build_source([entry(**settings)], 5)


def entry(**settings: Any) -> AnySource:
    found: AnySource = TypeAdapter(AnySource).validate_python(settings)
    return found


@pytest.mark.parametrize("name", ["chain", "mine"])
def test_each_problem_has_a_line_and_the_header_says_how_it_was_asked(rated: Path, name: str) -> None:
    found = rows(rated / name / "rates.jsonl")
    samples = rows(rated / name / "samples.jsonl")
    assert [row["id"] for row in found] == [row["problem_id"] for row in samples[::2]]
    for place, row in enumerate(found):
        correct = sum(sample["status"] == "correct" for sample in samples[2 * place : 2 * place + 2])
        assert row == {"id": row["id"], "n": 2, "correct": correct, "rate": correct / 2}
    about = json.loads((rated / name / "rates.about.json").read_text())
    assert (about["kind"], about["lines"], about["split"], about["reading"], about["n"]) == (
        "rates",
        COUNT,
        "train",
        "strict",
        2,
    )
    assert about["sources"][0]["domain"] == {"chain": "chain", "mine": "jsonl"}[name]
    assert about["template_hash"]


@pytest.mark.parametrize(
    "settings", [{"domain": "chain"}, {"domain": "jsonl", "path": "mine.jsonl"}], ids=lambda one: one["domain"]
)
def test_the_rates_choose_the_problems_of_another_run(
    rated: Path, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(rated.parents[1])
    file = rated / {"chain": "chain", "jsonl": "mine"}[settings["domain"]] / "rates.jsonl"
    wanted = {row["id"] for row in rows(file) if row["rate"] <= 0.5}
    chosen = source(**settings, rates=str(file), keep=[0, 0.5])
    assert {chosen.get("train", i).id for i in range(len(wanted))} == wanted


def test_rates_of_another_prompt_are_refused(rated: Path, random_model: Path) -> None:
    tokenizer = load_tokenizer(ModelSettings(path=str(random_model)))
    entries = [entry(domain="chain"), entry(domain="chain", rates=str(rated / "chain/rates.jsonl"))]
    check_rates(entries, PromptSettings(template="Q {prompt}"), tokenizer)
    with pytest.raises(PromptError, match=r"problems\.1: the rates of .* were measured with another prompt"):
        check_rates(entries, PromptSettings(), tokenizer)


def test_one_model_and_one_entry_at_a_time(random_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = ["rate", "--model", str(random_model)]
    assert problems_command([*model, "--model", "another", "--problems", "chain", *SETTINGS]) == 2
    assert "those of one model" in capsys.readouterr().err
    assert problems_command([*model, "problems=[{domain: chain}, {domain: letters}]", *SETTINGS]) == 2
    assert "2 were given as one set" in capsys.readouterr().err


def test_errors_do_not_count_and_what_was_drawn_twice_counts_once() -> None:
    members = [rollout([1], [2], [-1.0], reward) for reward in (1.0, 0.0, 0.0)]
    verdict = replace(members[2].reward.verdict, status="error")
    members[2] = replace(members[2], reward=replace(members[2].reward, verdict=verdict))
    asked = of_rollouts(members)
    broken = of_rollouts([replace(members[2], problem=replace(members[2].problem, id="broken"))])
    assert pass_rates([*asked, *broken, *asked]) == [
        {"id": "p0", "n": 2, "correct": 1, "rate": 0.5},
        {"id": "broken", "n": 0, "correct": 0, "rate": None},
    ]


def test_two_problems_of_one_id_are_told() -> None:
    member = rollout([1], [2], [-1.0], 1.0)
    other = replace(member, problem=replace(member.problem, reference="another"))
    with pytest.raises(LabError, match="two different problems have the id 'p0'"):
        pass_rates(of_rollouts([member, other]))
