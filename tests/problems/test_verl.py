"""verl's rows: what is written is read back as the same problems, and a row that cannot be used is named with what is wrong."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest
from pyarrow import parquet

from launch.problems import problems_command
from problems.catalog import SOURCE_MODELS, build_source
from problems.sets.verl import VerlConfig, load_verl
from problems.types import SPLITS, Problem, ProblemError
from problems.verl import MARK, parquet_of, problem_of, row_of


def ours(domain: str, **settings: Any) -> list[Problem]:
    config: Any = SOURCE_MODELS[domain].model_validate({"domain": domain, **settings})
    source = build_source([config], 0)
    return [source.get("test", index) for index in range(8)]


MADE = {
    "math": ours("quadratic_equations", level=1),
    "countdown": ours("countdown"),  # no reference, numbers and a target
    "code": ours("programs", level=1),  # tests as lists within lists
    "text": ours("mazes", level=1),  # several lines
    "choice": [
        Problem(id="7", domain="choice", split="test", prompt="?", reference="B", checks={"choices": ["x", "ü"]}, source="s")
    ],
    "solved": [Problem(id="8", domain="math", split="test", prompt="1+1?", reference="2", solution="one more", source="s")],
}


@pytest.mark.parametrize("kind", MADE)
def test_problems_come_back_as_they_were(kind: str, tmp_path: Path) -> None:
    (tmp_path / "test.parquet").write_bytes(parquet_of(MADE[kind]))
    source = load_verl(VerlConfig(path=str(tmp_path)), 0)
    read = [source.get("test", index) for index in range(source.size("test"))]
    assert [replace(problem, source="") for problem in read] == [replace(problem, source="") for problem in MADE[kind]]
    assert (source.size("train"), source.size("validation")) == (0, 0)
    table = parquet.read_table(tmp_path / "test.parquet")
    assert table.column_names == ["data_source", "prompt", "ability", "reward_model", "extra_info"]
    assert {str(field.type) for field in table.schema.field("reward_model").type} == {"string"}  # of one type, empty or not


def test_export_writes_a_file_a_split_that_the_set_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert problems_command(["export", "chain", "--n", "6", "--format", "verl", "--output", str(tmp_path / "out")]) == 0
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [f"{split}.parquet" for split in sorted(SPLITS)]
    source = load_verl(VerlConfig(path=str(tmp_path / "out")), 0)
    assert [source.size(split) for split in SPLITS] == [6, 6, 6]
    alone = load_verl(VerlConfig(path=str(tmp_path / "out" / "test.parquet")), 0)  # of the split that its name says
    assert [alone.size(split) for split in SPLITS] == [0, 0, 6]


def theirs(**changed: Any) -> dict[str, Any]:
    """Return a row as verl's own scripts make them, with some columns changed."""
    return {
        "data_source": "openai/gsm8k",
        "prompt": [{"role": "user", "content": "What is 8*9?"}],
        "ability": "math",
        "reward_model": {"style": "rule", "ground_truth": "72"},
        "extra_info": {"split": "train", "index": 3, "answer": "8*9=72 #### 72", "question": "What is 8*9?"},
    } | changed


def truth(given: Any) -> dict[str, Any]:
    return {"reward_model": {"style": "rule", "ground_truth": given}}


def test_a_row_of_verls_own_scripts_is_read_with_the_domain_that_its_source_means() -> None:
    problem = problem_of(theirs(), "train", "here:1")
    assert (problem.domain, problem.prompt, problem.reference, dict(problem.checks)) == ("gsm8k", "What is 8*9?", "72", {})
    assert problem.id == problem_of(theirs(extra_info=None), "test", "there:9").id  # its content decides
    assert problem_of(theirs(data_source="aime2025"), "test", "here").domain == "math"
    assert problem_of(theirs(data_source="mine"), "test", "here", "math").domain == "math"  # the set's `verifier`
    system = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "8*9?"}]
    assert problem_of(theirs(prompt=system), "test", "here").prompt == "Be brief.\n\n8*9?"


def test_numpys_types_and_the_nulls_of_a_struct_are_none_of_the_problem() -> None:
    """As pandas reads parquet: arrays of messages, arrays in mappings, and a null for every key that other rows have."""
    messages = numpy.array([{"role": "user", "content": "Use 3,5,2 to make 16."}], dtype=object)
    given = truth({"nums": numpy.array([3, 5, 2]), "target": numpy.int64(16), "other": None})
    problem = problem_of(theirs(data_source="countdown", prompt=messages, **given), "train", "here")
    assert (problem.reference, dict(problem.checks)) == (None, {"numbers": [3, 5, 2], "target": 16})
    assert type(problem.checks["target"]) is int
    assert problem_of(theirs(**truth(numpy.array(["72"]))), "train", "here").reference == "72"
    assert problem_of(theirs(**truth(numpy.int64(72))), "train", "here").reference == "72"


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "no prompt": ({"prompt": None}, "no prompt; found the columns data_source"),
    "a text as prompt": ({"prompt": "What is 8*9?"}, "prompt must be a list of messages, found 'What is 8"),
    "no messages": ({"prompt": []}, "prompt must be a list of messages"),
    "parts": ({"prompt": [{"role": "user", "content": [{"type": "text"}]}]}, "a text as content"),
    "a text as message": ({"prompt": ["hi"]}, "must hold a role and a text"),
    "a conversation": ({"prompt": [{"role": "assistant", "content": "72"}]}, "a message of 'assistant'; only questions"),
    "nothing asked": ({"prompt": [{"role": "user", "content": " "}]}, "the prompt is empty"),
    "a number as source": ({"data_source": 3}, "data_source must be a text, found 3"),
    "no reward model": ({"reward_model": None}, "no reward_model"),
    "a text as reward model": ({"reward_model": "72"}, "must hold a ground_truth, found '72'"),
    "a null as truth": (truth(None), "ground_truth is empty and extra_info has no checks"),
    "several truths": (truth(numpy.array(["1", "2"])), r"ground_truth must be one answer, found \['1', '2'\]"),
    "a bool": (truth(True), "ground_truth must be one answer, found True"),
    "a list as extra_info": ({"extra_info": [1]}, "extra_info must be an object or its JSON"),
    "broken checks": ({"extra_info": {"checks": "{"}}, "checks must be an object or its JSON, found '{'"),
    "a number as solution": ({"extra_info": {"solution": 3}}, "extra_info.solution must be a text, found 3"),
    "a program's tests in prose": (
        truth("passes") | {"extra_info": {"reasonlab_domain": "code"}},
        "ground_truth must be an object or its JSON",
    ),
    "a source called like a domain of ours": ({"data_source": "chain"}, "no domain is known for the data_source 'chain'"),
    "a topic called like one": ({"data_source": "x", "extra_info": {"domain": "math"}}, "or for all rows by `verifier: NAME`"),
    "pictures": ({"images": [b"png"]}, "has images; only texts are read"),
}


@pytest.mark.parametrize(("changed", "words"), BROKEN.values(), ids=BROKEN)
def test_a_row_that_cannot_be_used_is_named(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(ProblemError, match=f"^rows.parquet:3: .*{words}"):
        problem_of(theirs(**changed), "train", "rows.parquet:3")


@pytest.mark.parametrize("write", [lambda: b"PAR1 and no more", lambda: b""], ids=["cut off", "empty"])
def test_a_broken_file_is_named(write: Callable[[], bytes], tmp_path: Path) -> None:
    (tmp_path / "train.parquet").write_bytes(write())
    with pytest.raises(ProblemError, match=r"train\.parquet"):
        load_verl(VerlConfig(path=str(tmp_path / "train.parquet")), 0)
    with pytest.raises(ProblemError, match="no problem file or folder at"):
        load_verl(VerlConfig(path=str(tmp_path / "nowhere")), 0)


def test_rows_that_we_wrote_before_there_was_a_mark_are_known_by_their_keys() -> None:
    row = row_of(MADE["solved"][0], 0)
    info = {("domain" if key == MARK else key): value for key, value in row["extra_info"].items()}
    assert problem_of({**row, "extra_info": info | {"num_turns": 1}}, "test", "here").domain == "math"
    with pytest.raises(ProblemError, match="no domain is known for the data_source 'algebra'"):
        problem_of({**row, "data_source": "algebra", "extra_info": info}, "test", "here")


def test_a_row_reaches_verls_reward_function_with_all_that_a_verdict_needs() -> None:
    from rewards.verl import _problem, domain_of

    for problem in (MADE["countdown"][0], MADE["code"][0], MADE["math"][0]):
        row = row_of(problem, 0)
        domain = domain_of(row["data_source"], row["extra_info"])
        handed = _problem(domain, row["reward_model"]["ground_truth"], row["extra_info"])
        assert (handed.domain, handed.prompt, handed.reference) == (problem.domain, problem.prompt, problem.reference)
        assert list(handed.checks) == list(problem.checks)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("hard", {"difficulty": "hard"}),
        (3, {"difficulty": 3}),
        ({"level": 2, "tags": ["a"]}, {"level": 2}),
        ('{"level": 2}', {"level": 2}),
        (None, {}),
        ("", {}),
    ],
)
def test_whatever_others_call_difficulty_has_values_by_which_results_can_be_split(given: Any, read: dict[str, Any]) -> None:
    row = row_of(MADE["solved"][0], 0)
    row["extra_info"] = {**row["extra_info"], "difficulty": given}
    assert problem_of(row, "test", "here").difficulty == read
