"""The loader: YAML 1.2 floats, stacking, overrides, every fault at once, and where each value came from."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from rl.settings.loading import ConfigError, Loaded, describe, load_config, parse_yaml, split_overrides
from rl.settings.schema import RunConfig

SMALLEST = "run: {name: a}\nmodel: {path: m}\nproblems: [{domain: chain}]\n"


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def load(folder: Path, *overrides: str, text: str = SMALLEST) -> Loaded[RunConfig]:
    return load_config(RunConfig, [write(folder, "a.yaml", text)], overrides)


def faults(folder: Path, *overrides: str, text: str = SMALLEST) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(folder, *overrides, text=text)
    first, *rest = str(caught.value).split("\n  ")
    assert first == f"{len(rest)} fault(s) in the configuration:"
    return rest


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-6", 1e-6),  # a text in YAML 1.1, the classic trap of learning rates
        ("1E5", 1e5),
        ("-2.5e+3", -2500.0),
        ("+.5", 0.5),
        ("1.", 1.0),
        (".inf", float("inf")),
        ("17", 17),
        ("-0", 0),
        ("true", True),
        ("null", None),
        ("", None),
        ("e5", "e5"),
        ("1e", "1e"),
        (".", "."),
        ("1.2.3", "1.2.3"),
        ("'1e-6'", "1e-6"),
        ("[1e-3, 2]", [0.001, 2]),
    ],
)
def test_numbers_are_read_as_yaml_1_2(text: str, value: Any) -> None:
    found = parse_yaml(text, "here")
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "here is not valid YAML"),
        ("a: 1\nb: 2\na: 3", "the key 'a' is given twice"),  # YAML forbids it; the first value would vanish in silence
        ("!!python/object/apply:os.getcwd []", "here is not valid YAML"),
    ],
)
def test_what_is_no_yaml_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_yaml(text, "here")


@pytest.mark.parametrize(
    "arguments",
    [["a.b=1", "c_d=x=y"], ["--a.b=1", "--c-d=x=y"], ["--a.b", "1", "--c-d", "x=y"], ["a.b=1", "--c_d", "x=y"]],
)
def test_an_override_has_three_spellings(arguments: list[str]) -> None:
    assert split_overrides(arguments) == [("a.b", "1"), ("c_d", "x=y")]


def test_an_override_may_have_a_negative_value() -> None:
    assert split_overrides(["--a", "-1", "b=-1"]) == [("a", "-1"), ("b", "-1")]


@pytest.mark.parametrize(("arguments", "message"), [(["train"], "cannot read 'train'"), (["--a.b"], "--a.b has no value")])
def test_an_unreadable_override_is_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        split_overrides(arguments)


def test_later_files_win_key_by_key_and_overrides_win_over_all(tmp_path: Path) -> None:
    files = [
        write(tmp_path, "a.yaml", SMALLEST + "train: {steps: 1, micro_batch_tokens: 11, threads: 1}\n"),
        write(tmp_path, "b.yaml", "train: {steps: 2, micro_batch_tokens: 22}\nproblems: [{domain: countdown}]\n"),
    ]
    loaded = load_config(RunConfig, files, ["train.steps=3", "train.steps=4"])
    train = loaded.config.train
    assert (train.steps, train.micro_batch_tokens, train.threads) == (4, 22, 1)
    assert [source.domain for source in loaded.config.problems] == ["countdown"]  # a list replaces a list


def test_an_override_reaches_into_a_list_by_position(tmp_path: Path) -> None:
    text = SMALLEST.replace("{domain: chain}", "{domain: chain}, {domain: chain, terms: [3, 4]}")
    config = load(tmp_path, "problems.1.terms.1=9", "problems.0.weight=2.5", text=text).config
    assert [source.model_dump()["terms"] for source in config.problems] == [(3, 6), (3, 9)]
    assert [source.weight for source in config.problems] == [2.5, 1.0]


@pytest.mark.parametrize("position", ["1", "x", "\u00b2"])
def test_a_position_that_is_not_in_the_list_is_refused(tmp_path: Path, position: str) -> None:
    with pytest.raises(ConfigError, match=rf"problems is a list of 1; '{position}' is not one of its positions"):
        load(tmp_path, f"problems.{position}.weight=2")


def test_a_key_below_a_plain_value_in_a_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"problems\.0\.terms\.0 is a value, it has no key 'x'"):
        load(tmp_path, "problems.0.terms=[3,4]", "problems.0.terms.0.x=1")


def test_an_optional_section_opens_by_override(tmp_path: Path) -> None:
    lora = load(tmp_path, "model.lora.r=4").config.model.lora
    assert lora is not None
    assert (lora.r, lora.alpha) == (4, 32)


def test_every_fault_is_reported_at_once_with_its_origin_and_the_nearest_key(tmp_path: Path) -> None:
    text = "run: {nam: a}\nproblems: [{domain: chain, terms: [3, x]}]\ntrain: {steps: many, learning_rate: 1}\n"
    found = faults(tmp_path, "optimzer.learning_rate=1e-3", "problems.0.wieght=2", text=text)
    file = f"(from {tmp_path / 'a.yaml'})"
    assert sorted(found) == sorted(
        [
            "'run.name' is required and was not given",
            f"unknown key 'run.nam' {file}; did you mean 'run.name'?",
            "'model' is required and was not given",
            "problems.0.terms.1: input should be a valid integer, unable to parse string as an integer, found 'x' " + file,
            "unknown key 'problems.0.wieght' (from command line); did you mean 'problems.weight'?",
            f"train.steps: input should be a valid integer, unable to parse string as an integer, found 'many' {file}",
            f"unknown key 'train.learning_rate' {file}; did you mean 'optimizer.learning_rate'?",
            "unknown key 'optimzer' (from command line); did you mean 'optimizer'?",
        ]
    )


def test_an_unknown_key_that_is_called_like_a_domain_is_named(tmp_path: Path) -> None:
    assert any(line.startswith("unknown key 'chain' (from command line)") for line in faults(tmp_path, "chain=3"))


def test_an_unknown_domain_names_the_known_ones(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, "problems.0.domain=chian")
    assert fault.startswith("problems.0: input tag 'chian'")
    assert "'chain'" in fault
    assert "'countdown'" in fault


def test_an_empty_list_of_problems_is_a_fault_and_a_broken_one_is_not_called_empty(tmp_path: Path) -> None:
    (empty,) = faults(tmp_path, "problems=[]")
    assert empty.startswith("problems: tuple should have at least 1 item")
    (broken,) = faults(tmp_path, "problems.0.terms=[5,3]")
    assert broken.startswith("problems.0.terms: the first number is the smallest, 5 is above 3")


@pytest.mark.parametrize(("text", "kind"), [("", "NoneType"), ("- 1", "list"), ("a", "str")])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str, kind: str) -> None:
    with pytest.raises(ConfigError, match=f"must hold key: value pairs at the top, found {kind}"):
        load(tmp_path, text=text)


def test_a_missing_file_names_one_like_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    write(tmp_path / "configs", "demo.yaml", SMALLEST)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"cannot read the config configs/dem\.yaml: .*did you mean configs/demo\.yaml\?"):
        load_config(RunConfig, [Path("configs/dem.yaml")], [])


def test_a_configuration_is_frozen(tmp_path: Path) -> None:
    config = load(tmp_path).config
    with pytest.raises(ValidationError, match="frozen"):
        config.train.steps = 5
    with pytest.raises(ValidationError, match="frozen"):
        config.problems[0].weight = 5


def lines_of(loaded: Loaded[Any]) -> dict[str, str]:
    return {line.strip().partition(":")[0].removeprefix("- "): line for line in describe(loaded).splitlines()}


def test_the_description_says_where_each_value_came_from(tmp_path: Path) -> None:
    first = write(tmp_path, "a.yaml", SMALLEST + "train: {steps: 1, threads: 1}\n")
    second = write(tmp_path, "b.yaml", "train: {threads: 2}\n")
    overrides = ["problems.0.terms=[3,4]", "optimizer.betas=[0.8, 0.9]", "prompt={template: 'Q {prompt}'}"]
    lines = lines_of(load_config(RunConfig, [first, second], overrides))
    assert lines["name"] == f"  name: a  # {first}"
    assert lines["steps"] == f"  steps: 1  # {first}"
    assert lines["threads"] == f"  threads: 2  # {second}"
    assert lines["terms"] == "    terms: [3, 4]  # command line"
    assert lines["domain"] == f"    domain: chain  # {first}"
    assert lines["betas"] == "  betas: [0.8, 0.9]  # command line"
    assert lines["template"].endswith("# command line")
    assert "#" not in lines["weight"]  # a default
    assert "#" not in lines["system"]


def test_a_section_or_list_that_is_replaced_forgets_where_its_values_came_from(tmp_path: Path) -> None:
    first = write(tmp_path, "a.yaml", SMALLEST.replace("chain}", "chain, weight: 2}") + "train: {steps: 7, threads: 1}\n")
    second = write(tmp_path, "b.yaml", "problems: [{domain: countdown}]\n")
    lines = lines_of(load_config(RunConfig, [first, second], ["train={steps: 8}"]))
    assert lines["steps"] == "  steps: 8  # command line"
    assert lines["threads"] == "  threads: null"
    assert "#" not in lines["weight"]
    assert lines["domain"] == f"    domain: countdown  # {second}"


def again(loaded: Loaded[RunConfig], folder: Path) -> RunConfig:
    return load_config(RunConfig, [write(folder, "described.yaml", describe(loaded))], []).config


def test_what_is_described_loads_to_the_same(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        "model.lora={r: 4, target_modules: [a, b]}",
        "optimizer.learning_rate=1e-6",
        "run.dir=/some/where",
        "problems=[{domain: countdown}, {domain: jsonl, path: x}]",
        "evaluation.problems=[{domain: gsm8k}]",
    )
    assert again(loaded, tmp_path) == loaded.config


@given(text=st.text(max_size=40))
def test_every_text_survives_being_described(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("texts")
    data = {
        "run": {"name": f"a{text}"},
        "model": {"path": text},
        "problems": [{"domain": "jsonl", "path": text}],
        "prompt": {"template": "{prompt}" + text},
    }
    config = RunConfig.model_validate(data)
    origin = {"model.path": "x", "prompt.template": "x", "problems.0.path": "x"}
    assert again(Loaded(config, origin), folder) == config


@pytest.mark.parametrize(
    "text", ["1e-6", "17", "null", "yes", "Q: {prompt}\n\nA:", "a # b", "- a", "x" * 3000, "\u2028", "'", '"']
)
def test_texts_that_yaml_could_mistake_survive_being_described(tmp_path: Path, text: str) -> None:
    value = yaml.safe_dump(text, default_style='"', width=10_000).strip()
    loaded = load(tmp_path, f"model.path={value}", f"prompt.system={value}")
    assert loaded.config.model.path == text
    assert again(loaded, tmp_path) == loaded.config
