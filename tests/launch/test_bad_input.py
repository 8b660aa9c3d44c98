"""Whatever a user gets wrong is told in words, with a non-zero exit, and leaves nothing half-written."""

import json
import shutil

import pytest
from architectures import FAMILIES, make
from gguf_files import write_gguf
from support import launch, reasonlab

from launch.eval import eval_command
from launch.export import export_command
from launch.report import report_command
from launch.sft import sft_command
from launch.train import train_command
from rl.policy.paths import hub_answers


@pytest.fixture
def settings(random_model, tmp_path):
    """Settings of a run that would work."""
    return {
        "model.path": random_model,
        "problems": "[{domain: chain, terms: [2, 3]}]",
        "run.dir": tmp_path / "runs",
        "run.name": "run",
        "sampling.max_completion_tokens": 16,
        "algorithm.num_problems": 4,
        "algorithm.group_size": 2,
        "train.steps": 1,
        "tracking.wandb": "disabled",
    }


@pytest.fixture
def fails(settings, tmp_path, capsys, monkeypatch):
    """Return a function that runs `train` with some settings changed and returns what it said."""
    monkeypatch.chdir(tmp_path)

    def run(*flags: str, **changed: object) -> str:
        merged = settings | {key.replace("__", "."): value for key, value in changed.items()}
        code = train_command([*flags, *(f"{key}={value}" for key, value in merged.items())])
        said = capsys.readouterr().err
        assert code == 2, said
        assert "Traceback" not in said
        return said

    return run


def nothing_written(settings) -> bool:
    return not settings["run.dir"].exists()


def test_misspelt_key_names_the_nearest(fails, settings):
    said = fails(optimizer__learning_rat="1e-4", algoritm__group_size=4)
    assert "'optimizer.learning_rat'" in said
    assert "'optimizer.learning_rate'" in said
    assert "'algoritm'" in said  # both faults at once
    assert nothing_written(settings)


def test_a_group_of_one(fails, settings):
    said = fails(algorithm__group_size=1)
    assert "at least 2" in said
    assert nothing_written(settings)


def test_groups_that_cannot_be_split_over_ranks(fails, settings, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    said = fails(algorithm__num_problems=4)
    assert "3 or 6" in said
    assert nothing_written(settings)


@pytest.mark.parametrize("path", ["runs/nowhere/model", "/nowhere", "./missing"])
def test_a_missing_model_directory(fails, settings, path):
    said = fails(model__path=path)
    assert f"no model directory at {path}" in said
    assert nothing_written(settings)


def test_a_directory_that_is_no_model(fails, settings, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "without config.json" in fails(model__path=tmp_path / "empty")
    assert nothing_written(settings)


def test_a_tokenizer_without_pad_token(fails, settings, random_model, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(random_model, model)
    tokenizer = json.loads((model / "tokenizer_config.json").read_text())
    del tokenizer["pad_token"]
    (model / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    said = fails(model__path=model)
    assert "no pad token" in said
    assert "model.pad_token='<|end|>'" in said
    assert nothing_written(settings)
    assert "not in the vocabulary" in fails(model__path=model, model__pad_token="<nope>")


def spoilt_copy(random_model, tmp_path, *missing):
    """Return a copy of a model directory without some of its files."""
    model = tmp_path / "model"
    shutil.copytree(random_model, model)
    for pattern in missing:
        for file in model.glob(pattern):
            file.unlink()
    return model


def test_a_directory_that_lacks_weights_or_the_tokenizer(fails, settings, random_model, tmp_path):
    model = spoilt_copy(random_model, tmp_path, "*.safetensors")
    assert "has no weights" in fails(model__path=model)
    shutil.rmtree(model)
    spoilt_copy(random_model, tmp_path, "tokenizer*")
    assert "no tokenizer" in fails(model__path=model)
    assert nothing_written(settings)


def test_a_template_that_refuses_the_system_message(fails, settings, random_model, tmp_path):
    model = spoilt_copy(random_model, tmp_path)
    (model / "chat_template.jinja").write_text(
        "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}<|user|>"
    )
    said = fails(model__path=model, prompt__system="be brief")
    assert "System role not supported" in said
    assert "leave prompt.system unset" in said
    assert nothing_written(settings)


def test_a_vocabulary_smaller_than_the_tokenizers(fails, settings, random_model, tmp_path):
    model = spoilt_copy(random_model, tmp_path)
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"vocab_size": 90}))
    said = fails(model__path=model)
    assert "knows 90 tokens" in said
    assert "resize_token_embeddings" in said
    assert nothing_written(settings)


def test_a_hub_name_without_a_network(fails, settings, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    hub_answers.cache_clear()
    try:
        said = fails(model__path="nobody/has-this")
    finally:
        hub_answers.cache_clear()
    assert "does not answer" in said
    assert "reasonlab fetch" in said
    assert nothing_written(settings)


def test_gguf_files_that_no_model_can_be_made_of(fails, settings, tmp_path):
    pytest.importorskip("gguf")
    write_gguf(tmp_path / "odd.gguf", architecture="mystery")
    assert "architecture 'mystery'" in fails(model__path=tmp_path / "odd.gguf")
    write_gguf(tmp_path / "whole.gguf")
    (tmp_path / "cut.gguf").write_bytes((tmp_path / "whole.gguf").read_bytes()[:50_000])
    assert "download it again" in fails(model__path=tmp_path / "cut.gguf")
    assert nothing_written(settings)


def test_eval_and_sft_find_the_same_faults_before_they_write(random_model, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = spoilt_copy(random_model, tmp_path)
    (model / "chat_template.jinja").write_text("{{ raise_exception('not today') }}")
    for command, arguments in (
        (sft_command, ["run.name=x", "problems=[{domain: chain}]", f"model.path={model}"]),
        (eval_command, ["--model", str(model), "--problems", "chain"]),
    ):
        assert command(arguments) == 2, arguments
        assert "not today" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_broken_line_of_problems_is_named_by_its_number(fails, settings, tmp_path):
    file = tmp_path / "problems.jsonl"
    file.write_text('{"prompt": "1+1=?", "reference": "2"}\n{"prompt": "2+2=?", \nnot json\n')
    said = fails(problems=f"[{{domain: jsonl, path: {file}}}]")
    assert "line 2" in said
    assert "line 3" in said
    assert nothing_written(settings)


def test_a_run_directory_that_cannot_be_written(fails, tmp_path):
    (tmp_path / "file").write_text("in the way")
    said = fails(run__dir=tmp_path / "file")
    assert "cannot write the run directory" in said
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_run_directory_that_holds_another_run(fails, tmp_path):
    other = tmp_path / "runs" / "run"
    other.mkdir(parents=True)
    (other / "config.yaml").write_text("run: {name: other}")
    said = fails()
    assert "already holds a run" in said
    assert "--resume" in said
    assert [p.name for p in other.iterdir()] == ["config.yaml"]
    assert (other / "config.yaml").read_text() == "run: {name: other}"


def test_resuming_with_other_settings_is_refused(fails, tmp_path):
    other = tmp_path / "runs" / "run"
    other.mkdir(parents=True)
    (other / "config.yaml").write_text("run: {name: run, seed: 7}\nmodel: {path: elsewhere}\nproblems: [{domain: chain}]")
    said = fails("--resume")
    assert "model.path" in said
    assert "run.seed" in said
    assert "train.steps" not in said  # a run may be made longer
    assert [p.name for p in other.iterdir()] == ["config.yaml"]
    (other / "config.yaml").write_text("run: {name: run}\ncurriculum: {by: level, start: 1}\n")
    assert "curriculum was set, and is no longer" in fails("--resume")


def test_prompts_that_leave_no_room_for_an_answer(fails):
    said = fails(sampling__max_completion_tokens=1000)
    assert "the model reads at most 128" in said


def test_a_layout_and_logits_that_an_architecture_cannot_have(fails, settings, tmp_path):
    mamba, cohere = (str(make(FAMILIES[name], tmp_path / name)) for name in ("mamba", "cohere"))
    assert "this one (mamba) is not: leave train.layout out" in fails(model__path=mamba, train__layout="shared")
    changed = json.loads((tmp_path / "cohere" / "config.json").read_text())
    (tmp_path / "cohere" / "config.json").write_text(json.dumps({**changed, "is_decoder": False, "logit_scale": 0.0}))
    assert "logits" in fails(model__path=cohere)
    assert nothing_written(settings)


def test_adapters_that_fit_no_layer(fails, settings):
    assert "model.lora.target_modules" in fails(model__lora__target_modules="[nothing_like_it]")
    assert "on the head of the model" in fails(model__lora__target_modules="[q_proj, lm_head]")
    assert nothing_written(settings)


@pytest.mark.parametrize("where", ["problems", "evaluation.problems"])
def test_worked_examples_longer_than_the_model_reads(settings, capsys, where):
    shared = {key: value for key, value in settings.items() if key.startswith(("problems", "run"))}
    tiny = "{hidden_size: 32, intermediate_size: 64, layers: 1, heads: 2, max_positions: 64}"
    longer = {
        "evaluation.every_steps": 1,
        "evaluation.problems": shared["problems"],
        where: "[{domain: chain, terms: [70, 71]}]",
    }
    assert sft_command([f"{key}={value}" for key, value in (shared | {"model.tiny": tiny} | longer).items()]) == 2
    assert "tokens and the model reads at most 64" in capsys.readouterr().err
    assert nothing_written(settings)


@pytest.mark.parametrize(
    ("family", "modules", "said"),
    [
        ("qwen2", "[nothing_like_it]", "does not fit the layers"),
        ("qwen2", "[q_proj, lm_head]", "on the head of the model"),
        ("qwen2", "[q_proj, embed_tokens]", "whose head has the same weight"),
        ("mamba", "[in_proj, dt_proj]", "puts adapters on dt_proj"),
    ],
)
def test_adapters_that_a_cold_start_could_not_train(settings, tmp_path, capsys, family, modules, said):
    make(FAMILIES[family], tmp_path / family)
    changed = {"model.path": tmp_path / family, "model.lora.target_modules": modules}
    shared = {key: value for key, value in settings.items() if key.startswith(("problems", "run"))}
    assert sft_command([f"{key}={value}" for key, value in (shared | changed).items()]) == 2
    told = capsys.readouterr().err
    assert "model.lora.target_modules" in told
    assert said in told
    assert "Traceback" not in told
    assert nothing_written(settings)


def test_other_commands_answer_in_words_too(tmp_path, capsys, monkeypatch, random_model):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "used").mkdir()
    for command, arguments, expected in (
        (sft_command, ["run.name=x", "problems=[{domain: chain}]", "model.path=missing/"], "no model directory"),
        (sft_command, ["run.name=x", "problems=[{domain: chain}]", "model={}"], "exactly one of model.path"),
        (eval_command, ["--model", "missing/", "--problems", "chain"], "no model directory"),
        (eval_command, ["--model", str(random_model), "--problems", "chian"], "'chain'"),
        (eval_command, ["--model", str(random_model), "--problems", "none.jsonl"], "none.jsonl"),
        (export_command, ["missing", "out"], "neither a run directory"),
        (export_command, ["missing", "used"], "exists already"),
        (report_command, ["missing"], "no metrics.jsonl"),
    ):
        assert command(arguments) == 2, arguments
        said = capsys.readouterr().err
        assert expected in said, (arguments, said)
        assert "Traceback" not in said
    assert sorted(p.name for p in tmp_path.iterdir()) == ["used"]


@pytest.mark.slow
def test_errors_reach_the_shell_through_both_front_doors(tmp_path, settings):
    arguments = [f"{key}={value}" for key, value in (settings | {"algorithm.group_size": 1}).items()]
    direct = reasonlab("train", *arguments, cwd=tmp_path)
    assert direct.returncode == 2
    assert direct.stderr.startswith("error: ")
    assert direct.stderr.count("group_size must be at least 2") == 1
    launched = launch(1, "rl.train", *arguments, cwd=tmp_path)
    assert launched.returncode != 0
    assert launched.stderr.count("group_size must be at least 2") == 1
    # of several ranks the first says it. They are not launched together here: DeepSpeed ends the first when another was quicker
    other = reasonlab("train", *arguments, cwd=tmp_path, LOCAL_RANK="1")
    assert other.returncode == 2
    assert "group_size" not in other.stderr
    unknown = reasonlab("trian", cwd=tmp_path)
    assert unknown.returncode == 2
    assert "train" in unknown.stderr
