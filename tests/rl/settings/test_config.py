"""The settings of the commands: impossible combinations, DeepSpeed files, shipped configs, and a fast command line."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError
from support_pure import ROOT, run_python

from launch.train import train_command
from problems.errors import LabError
from rl.settings.base import Settings
from rl.settings.evaluation import EvalConfig
from rl.settings.loading import describe, load_config
from rl.settings.schema import RunConfig, SftConfig, check_world

MODELS: dict[str, type[Settings]] = {"sft": SftConfig, "eval": EvalConfig}  # by the last word of the file's name


def config(**sections: Any) -> RunConfig:
    return RunConfig.model_validate(
        {"run": {"name": "a"}, "model": {"path": "m"}, "problems": [{"domain": "chain"}], **sections}
    )


def message(**sections: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        config(**sections)
    return str(caught.value)


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"algorithm": {"group_size": 1}}, "group_size must be at least 2, found 1: a group of one has no contrast"),
        ({"algorithm": {"loss": "sapo", "clip_low": 0.1}}, "loss sapo clips nothing: remove clip_low and clip_high"),
        ({"algorithm": {"loss": "reinforce", "clip_high": 0.1}}, "loss reinforce clips nothing"),
        ({"algorithm": {"loss": "cispo", "clip_two_sided": 6}}, "loss cispo has none: remove it"),
        ({"algorithm": {"clip_two_sided": 1.2}}, "clip_two_sided 1.2 is below 1 + clip_high = 1.28"),
        ({"algorithm": {"kl": "k1"}}, "kl k1 has no effect with kl_coef 0"),
        ({"algorithm": {"kl": "k1", "kl_coef": 0.1, "advantage": "maxrl"}}, "which kl k1 can make zero or negative"),
        (
            {"algorithm": {"kl": "k1", "kl_coef": 0.1, "advantage": "rft", "dynamic_sampling": False}},
            "which kl k1 makes of wrong answers too",
        ),
        (
            {
                "algorithm": {"advantage": "rft", "dynamic_sampling": False},
                "prompt": {"abstention": {}},
                "reward": {"abstained": 0.3},
            },
            "every abstention would be imitated",
        ),
        ({"algorithm": {"advantage": "rft"}}, "rft learns from groups that are all right too: set dynamic_sampling: false"),
        ({"algorithm": {"correction": {"token_cap": None}}}, "correction needs token_cap or sequence_mask"),
        ({"algorithm": {"correction": {"sequence_mask": [1.1, 2]}}}, "0 <= low < 1 < high, found [1.1, 2.0]"),
        ({"algorithm": {"top_entropy_quantile": 0}}, "greater than 0"),
        (
            {"algorithm": {"advantage": "maxrl"}, "reward": {"overlong_weight": 1, "overlong_buffer_tokens": 9}},
            "maxrl needs rewards of at least 0",
        ),
        ({"sampling": {"temperature": 0}}, "temperature must be above 0 for training: greedy completions"),
        ({"sampling": {"top_p": 0.9}}, "top_p must be 1 for training"),
        ({"sampling": {"top_k": 5}}, "top_k must be 0 for training"),
        ({"sampling": {"min_completion_tokens": 5}}, "min_completion_tokens must be 0 for training"),
        ({"sampling": {"thinking": {"max_tokens": 5}}}, "thinking must be unset for training: forced tokens were not drawn"),
        ({"sampling": {"min_completion_tokens": 300}}, "min_completion_tokens 300 is more than max_completion_tokens 256"),
        ({"reward": {"overlong_weight": 1}}, "overlong_weight needs reward.overlong_buffer_tokens above 0"),
        (
            {"reward": {"overlong_buffer_tokens": 300}},
            "overlong_buffer_tokens 300 is longer than sampling.max_completion_tokens 256",
        ),
        ({"prompt": {"template": "no question"}}, "template must contain {prompt}"),
        ({"problems": []}, "at least 1 item"),
        ({"run": {"name": ""}}, "at least 1 character"),
        ({"optimizer": {"learning_rate": float("inf")}}, "finite number"),
        ({"optimizer": {"betas": [0.9, 1.0]}}, "less than 1"),
        ({"optimizer": {"learning_rate": 0}}, "greater than 0"),
        ({"train": {"steps": 1.5}}, "integer"),
    ],
)
def test_what_cannot_work_is_refused_in_words(sections: dict[str, Any], words: str) -> None:
    assert words in message(**sections)


def test_the_clip_is_that_of_the_loss_unless_given() -> None:
    def clip(**algorithm: Any) -> tuple[float | None, float | None]:
        settings = config(algorithm=algorithm).algorithm
        assert type(settings).model_validate(settings.model_dump()) == settings  # a resolved config reads as itself
        return settings.clip_low, settings.clip_high

    assert clip() == (0.2, 0.28)
    assert clip(loss="gspo") == (3e-4, 4e-4)
    assert clip(loss="gspo", clip_high=0.1) == (3e-4, 0.1)
    assert clip(loss="cispo", clip_low=None) == (None, 4.0)
    assert clip(loss="reinforce") == (None, None)


def test_all_impossible_combinations_are_named_together() -> None:
    words = message(sampling={"temperature": 0, "top_p": 0.5}, reward={"overlong_weight": 1})
    assert all(part in words for part in ("sampling.temperature", "sampling.top_p", "reward.overlong_weight"))


@pytest.mark.parametrize(
    ("problems", "world", "choices"),
    [(32, 5, "30 or 35"), (30, 4, "28 or 32"), (3, 8, "8"), (1, 2, "2")],
)
def test_groups_that_ranks_cannot_share_name_the_nearest_numbers(problems: int, world: int, choices: str) -> None:
    algorithm = {"num_problems": problems, "group_size": 4}
    with pytest.raises(LabError) as caught:
        check_world(config(algorithm=algorithm), world)
    assert str(caught.value) == (
        f"algorithm.num_problems = {problems} groups of 4 completions ({problems * 4} in all) cannot be split evenly over "
        f"{world} ranks; use {choices} problems, or a number of ranks that divides {problems}"
    )


def test_groups_that_ranks_can_share_pass() -> None:
    for world in (1, 2, 4, 8, 16, 32):
        check_world(config(), world)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"train_batch_size": 8}, "sets 'train_batch_size', which follows from algorithm.num_problems"),
        ({"bf16": {"enabled": True}}, "sets 'bf16', which follows from model.dtype"),
        ({"zero_optimisation": {}}, "unknown key 'zero_optimisation'; known: "),
        ({"zero_optimization": {"reduce_bucket_size": "auto"}}, 'uses "auto", which only the Hugging Face Trainer'),
        ([], "must hold one object"),
    ],
)
def test_a_deepspeed_file_that_would_be_ignored_in_silence_is_refused(tmp_path: Path, data: Any, words: str) -> None:
    path = tmp_path / "zero.json"
    path.write_text(json.dumps(data))
    assert words in message(deepspeed={"config": str(path)})


def test_a_deepspeed_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "zero.json").write_text("{")
    assert "cannot read the DeepSpeed config" in message(deepspeed={"config": str(tmp_path / "zero.json")})
    assert "cannot read the DeepSpeed config" in message(deepspeed={"config": str(tmp_path / "none.json")})


def test_a_good_deepspeed_file_passes(tmp_path: Path) -> None:
    (tmp_path / "zero.json").write_text(json.dumps({"zero_optimization": {"offload_optimizer": {"device": "cpu"}}}))
    assert config(deepspeed={"stage": 2, "config": str(tmp_path / "zero.json")}).deepspeed.stage == 2


@pytest.mark.parametrize("model", [{}, {"path": "m", "tiny": {}}])
def test_sft_starts_from_one_model(model: dict[str, Any]) -> None:
    data = {"run": {"name": "a"}, "model": model, "problems": [{"domain": "chain"}]}
    with pytest.raises(ValidationError, match=r"exactly one of model\.path .* and model\.tiny"):
        SftConfig.model_validate(data)


def test_a_tiny_model_needs_heads_of_even_size() -> None:
    data = {"run": {"name": "a"}, "model": {"tiny": {"hidden_size": 90, "heads": 4}}, "problems": [{"domain": "chain"}]}
    with pytest.raises(ValidationError, match=r"hidden_size 90 must be a multiple of 2 \* heads = 8"):
        SftConfig.model_validate(data)


def test_a_mix_of_no_styles_is_refused() -> None:
    data = {"run": {"name": "a"}, "model": {"tiny": {}}, "problems": [{"domain": "chain"}], "styles": {"steps": 0}}
    with pytest.raises(ValidationError, match="at least one style needs a share above 0"):
        SftConfig.model_validate(data)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"styles": [{}, {}]}, "styles has 2 entries and problems has 1"),
        ({"styles": [{}], "evaluation": {"problems": [{"domain": "chain"}] * 2}}, r"and evaluation\.problems has 2"),
    ],
)
def test_a_list_of_styles_has_one_for_each_entry_of_problems(given: dict[str, Any], found: str) -> None:
    data = {"run": {"name": "a"}, "model": {"tiny": {}}, "problems": [{"domain": "chain"}]}
    with pytest.raises(ValidationError, match=found):
        SftConfig.model_validate(data | given)


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_config_loads_and_survives_being_described(path: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(ROOT)
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    kind = "sft" if "sft" in data or "styles" in data else "eval" if path.stem.split("-")[-1] == "eval" else "train"
    loaded = load_config(MODELS.get(kind, RunConfig), [path], [])
    described = tmp_path / "described.yaml"
    described.write_text(describe(loaded), encoding="utf-8")
    assert load_config(MODELS.get(kind, RunConfig), [described], []).config == loaded.config


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "over").glob("*.yaml")), ids=lambda path: path.stem)
def test_what_is_laid_over_a_config_changes_it_and_keeps_its_problems(path: Path) -> None:
    below = ROOT / "configs" / "demo.yaml"
    alone, over = (load_config(RunConfig, files, []).config for files in ([below], [below, path]))
    assert alone.algorithm != over.algorithm
    assert (alone.problems, alone.sampling, alone.evaluation.num_problems) == (
        over.problems,
        over.sampling,
        over.evaluation.num_problems,
    )


# no model there: of one that `make demo` has left here the prompt would be shown, too, which takes torch
DEMO = ("train", "--config", "configs/demo.yaml", "--dry-run", "model.path=nowhere/model")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("train", "--help"),
        ("train", "--settings"),
        ("sft", "--help"),
        ("eval", "--settings"),
        ("export", "--help"),
        ("report", "--help"),
        ("demo", "--help"),
        DEMO,
    ],
    ids=" ".join,
)
def test_help_settings_and_dry_runs_load_no_torch_and_come_at_once(arguments: tuple[str, ...]) -> None:
    script = (
        "import sys, time\nfrom launch.cli import main\n"
        f"try: code = main({list(arguments)})\nexcept SystemExit as end: code = end.code\n"
        "print(*{'torch', 'transformers', 'datasets', 'deepspeed'} & set(sys.modules), file=sys.stderr)\n"
        "print(time.process_time(), file=sys.stderr)\nsys.exit(code)"
    )
    result = run_python("-c", script)
    assert result.returncode == 0, result.stderr
    *_, heavy, cpu_seconds = result.stderr.splitlines()
    assert heavy == ""
    assert result.stdout
    assert float(cpu_seconds) < 2  # about 0.2 alone on a core, 0.5 where other work shares it


def test_both_front_doors_show_the_same_plan() -> None:
    one = run_python("-m", "launch.cli", *DEMO)
    assert one.returncode == 0, one.stderr
    assert "32 problems x 16 completions = 512 rollouts over 1 rank" in one.stdout


def dry_run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert train_command(["--config", str(ROOT / "configs" / "demo.yaml"), "--dry-run", *arguments]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [("train.steps=5",), ("--train.steps=5",), ("--train.steps", "5"), ("train.steps=6", "--train.steps", "5")],
)
def test_the_command_line_takes_all_spellings_and_the_later_one_wins(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert "  steps: 5  # command line\n" in dry_run(capsys, *arguments)
    assert "  steps: 4  # command line\n" in dry_run(capsys, *arguments, "--train.steps=9", "train.steps=4")
    assert "  steps: 4  # command line\n" in dry_run(capsys, *arguments, "train.steps=9", "--train.steps=4")


@pytest.mark.parametrize("spelling", [("--local_rank=3",), ("--local_rank", "3"), ("--local-rank=3",)])
def test_the_rank_that_the_launcher_adds_is_swallowed(capsys: pytest.CaptureFixture[str], spelling: tuple[str, ...]) -> None:
    assert "  steps: 5  # command line\n" in dry_run(capsys, *spelling, "train.steps=5")


def test_a_fault_is_a_message_and_exit_status_2() -> None:
    result = run_python("-m", "launch.cli", "train", "--config", "configs/demo.yaml", "train.stepz=1")
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: 1 fault(s)")
    assert "Traceback" not in result.stderr
    unknown = run_python("-m", "launch.cli", "trian")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert unknown.stderr.startswith("error: no command 'trian'; there are: demo, sft, diagnose, train")


def test_the_settings_list_names_every_default() -> None:
    text = run_python("-m", "launch.cli", "train", "--settings").stdout
    lines = {line.split()[0]: line for line in text.splitlines()}
    assert lines["optimizer.learning_rate"].split()[1:3] == ["=", "1e-06"]
    assert lines["run.name"].split()[1] == "required"
    assert len(lines) == len(text.splitlines())


def test_eval_takes_its_model_from_the_config_unless_a_flag_names_one() -> None:
    command = ("-m", "launch.cli", "eval", "--config", "configs/demo-eval.yaml", "--dry-run")
    found = [yaml.safe_load(run_python(*command, *flags).stdout) for flags in ((), ("--model", "other", "--n", "2"))]
    assert [one["model"]["path"] for one in found] == ["runs/demo-seed0/sft/model", "other"]
    assert [one["samples"] for one in found] == [4, 2]
    assert [one["run"]["name"] for one in found] == ["demo-eval", "demo-eval"]


def test_eval_flags_are_texts_whatever_they_look_like() -> None:
    result = run_python(
        "-m", "launch.cli", "eval", "--model", "runs/a: [b]", "--problems", "x, y.jsonl", "--n", "3", "--dry-run"
    )
    assert result.returncode == 0, result.stderr
    found = yaml.safe_load(result.stdout)
    assert found["model"]["path"] == "runs/a: [b]"
    assert found["problems"][0]["path"] == "x, y.jsonl"
    assert found["samples"] == 3


def test_adapters_with_sharded_weights_are_refused_unless_asked_for() -> None:
    adapters = {"path": "m", "lora": {"r": 4}}
    with pytest.raises(ValueError, match=r"deepspeed.stage 3 with model.lora .* stage 1 or 2"):
        config(model=adapters, deepspeed={"stage": 3})
    assert config(model=adapters, deepspeed={"stage": 3, "shard_frozen": True}).deepspeed.stage == 3
    assert config(model=adapters, deepspeed={"stage": 2}).deepspeed.stage == 2
