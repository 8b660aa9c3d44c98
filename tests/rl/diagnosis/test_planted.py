"""Faults planted in a sound run are named; sound runs are let pass. On a tiny model, and by `make test-real` on a real one."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from architectures import FAMILIES, make
from planted import FAULTS, Plant, the_tokenizer_of_another_model, weights_with_a_nan
from support_real import real_model

from launch.diagnose import diagnose_command
from rl.diagnose import Diagnosis, run_diagnosis
from rl.policy.paths import PolicyError
from rl.settings.loading import load_config
from rl.settings.schema import RunConfig

TINY = ["problems=[{domain: chain, terms: [2, 3]}]", "sampling.max_completion_tokens=24", "optimizer.learning_rate=1e-3"]
REAL = ["problems=[{domain: letters, tasks: {count: 1}}]", "sampling.max_completion_tokens=128", "optimizer.learning_rate=2e-5"]
HARD = "problems=[{domain: arithmetic, operands: [4, 4], digits: [3, 4], operators: '*', parentheses: 0}]"
AT_ONCE = "prompt.template='{prompt} Answer with the number only.'"
SHARED = ["run.name=r", "algorithm.group_size=8", "train.threads=1"]


def tiny(imitator: Path, home: Path) -> Plant:
    return Plant(
        model=imitator, home=home, short=2, stop="<|pad|>",
        settings=[*SHARED, *TINY, f"model.path={imitator}", f"run.dir={home}"],
        doubled="<|user|>{prompt}<|assistant|>", thought="[THINK]", hard=[HARD], positions=200,
    )  # fmt: skip


def real(home: Path) -> Plant:
    model = real_model()
    settings = [*SHARED, *REAL, f"model.path={model}", f"run.dir={home}", "reward.reading=lenient"]
    return Plant(
        model=model, home=home, settings=settings, short=6, stop="<|endoftext|>", thought="<think>\n", positions=8300,
        doubled="<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n", hard=[HARD, AT_ONCE],
    )  # fmt: skip


def diagnosed(settings: Sequence[str], problems: int = 16, seconds: float = 60) -> Diagnosis:
    return run_diagnosis(load_config(RunConfig, [], settings).config, problems=problems, seconds=seconds)


def names(found: Diagnosis) -> list[str]:
    return [finding.name for finding in found.findings]


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_named_first(fault, imitator, tmp_path) -> None:
    plant = tiny(imitator, tmp_path)
    settings, finding = FAULTS[fault]
    assert names(diagnosed([*plant.settings, *settings(plant)]))[:1] == [finding]


@pytest.mark.slow
def test_weights_that_are_no_numbers_are_refused(imitator, tmp_path) -> None:
    plant = tiny(imitator, tmp_path)
    with pytest.raises(PolicyError, match="not finite: its weights are broken"):
        diagnosed([*plant.settings, *weights_with_a_nan(plant)])


SOUND = {
    "as it is": [],
    "small groups": ["algorithm.group_size=4"],
    "large groups": ["algorithm.group_size=16"],
    "warm": ["sampling.temperature=1.2"],
    "cool": ["sampling.temperature=0.7"],
    "bf16": ["model.dtype=bf16"],
    "adapters": ["model.lora={r: 4}", "optimizer.learning_rate=3e-3"],
    "a KL": ["algorithm.kl_coef=0.02"],
    "padded": ["train.layout=padded"],
    "lenient": ["reward.reading=lenient"],
    "a short run": ["train.steps=5"],
    "other problems": ["problems=[{domain: chain, terms: [2, 2]}]", "run.seed=3"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SOUND)
def test_a_sound_run_is_let_pass(name, imitator, tmp_path) -> None:
    found = diagnosed([*tiny(imitator, tmp_path).settings, *SOUND[name]])
    assert names(found) == []
    assert found.can_learn


@pytest.mark.slow
def test_a_sampler_with_outdated_weights_is_apart(imitator, tmp_path) -> None:
    from rl.diagnose import Session

    sound = load_config(RunConfig, [], tiny(imitator, tmp_path).settings).config
    with Session.opened(sound, problems=8, seconds=30) as session:
        groups, _ = session.draw(session.worker, session.problems, 4)
        assert session.gap(groups) == pytest.approx(0, abs=1e-4)
        torch.manual_seed(0)
        with torch.no_grad():
            for weights in session.model.parameters():  # as after some updates that the sampler has not heard of
                weights.add_(torch.randn_like(weights), alpha=0.02)
        gap = session.gap(groups)
        figures, _ = session.measured()
    from rl.diagnosis.rules import sampler_apart

    assert gap is not None
    assert sampler_apart(replace(figures, gap=gap)) is not None


@pytest.mark.slow
def test_completions_that_may_not_end_in_time_are_drawn_shorter(imitator, tmp_path) -> None:
    plant = tiny(imitator, tmp_path)
    found = diagnosed([*plant.settings, "sampling.max_completion_tokens=64"], problems=8, seconds=0)
    assert any(note.startswith("Drawn up to 16 of 64 tokens: ") for note in found.figures.notes)
    assert found.figures.cut is None
    assert all(rollout.completion.num_tokens <= 16 for group in found.groups for rollout in group)
    assert "limit_too_short" not in names(found)


@pytest.mark.slow
def test_prompts_behind_learned_positions_are_named(tmp_path) -> None:
    model = make(FAMILIES["gpt-2"], tmp_path / "gpt2")
    problems = "problems=[{domain: chain, terms: [300, 301]}, {domain: chain, terms: [2, 2]}]"
    found = diagnosed([*SHARED, f"model.path={model}", f"run.dir={tmp_path}", problems, "sampling.max_completion_tokens=16"])
    assert names(found)[0] == "prompt_too_long"
    assert not [note for note in found.figures.notes if note.startswith("Drawn: ")]  # those that fit were all drawn


def test_a_missing_model_is_told_how_to_make_it(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    where = [f"model.path={tmp_path}/no/model", "model.cold_start=configs/demo-sft.yaml", "problems=[{domain: chain}]"]
    assert diagnose_command(["run.name=r", *where]) == 2
    assert "reasonlab sft --config configs/demo-sft.yaml" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_says_it_as_a_page_and_as_json(imitator, tmp_path, capsys) -> None:
    plant = tiny(imitator, tmp_path)
    config = tmp_path / "run.yaml"
    config.write_text("train: {threads: 1}\n")
    asked = [str(config), *plant.settings, "--problems", "8"]
    assert diagnose_command(asked) == 0
    page = capsys.readouterr().out
    assert page.startswith("This run can learn: ")
    assert "A completion that is paid (correct, " in page
    assert max(map(len, page.splitlines())) <= 100 or str(imitator) in page
    assert diagnose_command([*asked, "--json", "sampling.temperature=0.01"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert data["can_learn"] is False
    assert data["findings"][0]["name"] == "always_the_same"
    assert data["figures"]["completions"] == 64
    assert data["verdict"].startswith("This run will not learn as it stands: ")


# -- a real model: `make test-real`


@pytest.mark.real
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_planted_on_a_real_model_is_named_first(fault, tmp_path) -> None:
    plant = real(tmp_path)
    settings, finding = FAULTS[fault]
    found = diagnosed([*plant.settings, *settings(plant)], problems=16, seconds=90)
    assert names(found)[:1] == [finding]
    assert found.seconds < 120


@pytest.mark.real
def test_the_tokenizer_of_another_model_is_named(tmp_path) -> None:
    plant = real(tmp_path)
    assert names(diagnosed([*plant.settings, *the_tokenizer_of_another_model(plant)]))[:1] == ["noise"]


@pytest.mark.real
def test_right_answers_that_are_not_marked_are_named(tmp_path) -> None:
    found = diagnosed([*real(tmp_path).settings, "reward.reading=strict"])
    assert names(found)[:1] == ["answers_unread"]


@pytest.mark.real
def test_a_sound_run_of_a_real_model_is_let_pass(tmp_path) -> None:
    assert names(diagnosed(real(tmp_path).settings)) == []
