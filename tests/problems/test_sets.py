"""Problem sets from files: what is read, what is refused and in which words, and the split carved out of train."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from support_pure import public_data

from problems.catalog import perturb, solve
from problems.rows import read_jsonl
from problems.sets.gsm8k import Gsm8kConfig, gsm8k_problem, load_gsm8k
from problems.sets.jsonl import JsonlConfig, load_jsonl, plain_problem
from problems.types import SPLITS, Problem, ProblemError
from rewards.verifiers import verify


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def gsm8k_row(number: int) -> dict[str, str]:
    return {
        "question": f"What is {number}+1? ",
        "answer": f"{number}+1=<<{number}+1={number + 1}>>{number + 1}\n#### {number + 1:,}",
    }


def jsonl_source(path: Path, seed: int = 0) -> Any:
    return load_jsonl(JsonlConfig(path=str(path)), seed)


def test_a_gsm8k_row_becomes_a_problem() -> None:
    problem = gsm8k_problem(gsm8k_row(1233), "train", "file:1")
    assert problem.prompt == "What is 1233+1?"
    assert problem.reference == "1234"  # the comma of 1,234 is gone
    assert problem.solution == "1233+1=1234"  # calculator notes are gone
    assert problem.difficulty == {"steps": 1}
    assert solve(problem, "steps") == "<think>1233+1=1234</think>\\boxed{1234}"
    assert solve(problem, "direct") == "\\boxed{1234}"


def test_an_id_is_a_property_of_the_content_alone() -> None:
    here, there = gsm8k_problem(gsm8k_row(1), "train", "a:1"), gsm8k_problem(gsm8k_row(1), "test", "b:9")
    assert here.id == there.id
    assert here.id != gsm8k_problem(gsm8k_row(2), "train", "a:1").id


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "a"}, r"here: missing column\(s\) answer; found question"),
        ({"question": 1, "answer": "#### 1"}, r"missing column\(s\) question"),
        ({"question": "a", "answer": "1"}, "no '#### number' at its end"),
        ({"question": "a", "answer": "#### "}, "no '#### number' at its end"),
    ],
)
def test_a_bad_gsm8k_row_is_refused_in_words(row: dict[str, Any], message: str) -> None:
    with pytest.raises(ProblemError, match=message):
        gsm8k_problem(row, "train", "here")


def test_a_plain_row_keeps_what_it_says_and_counts_as_math_by_default() -> None:
    row = {"prompt": "2+2?", "reference": 4, "id": 17, "difficulty": {"level": 1}, "solution": "two and two"}
    problem = plain_problem(row, "test", "here")
    assert (problem.id, problem.domain, problem.reference) == ("17", "math", "4")
    assert (problem.difficulty, problem.solution) == ({"level": 1}, "two and two")
    assert verify(problem, solve(problem, "steps")).status == "correct"
    assert verify(problem, f"\\boxed{{{perturb(problem)}}}").status == "wrong"


@pytest.mark.parametrize(
    ("reference", "right", "wrong"),
    [(r"\sqrt{2}", r"2^{1/2}", r"\sqrt{3}"), ("4", "4.0", "5"), (0.5, r"\frac{1}{2}", "0.55"), ("(-1, 2]", "(-1,2]", "(-1,2)")],
)
def test_a_row_as_the_readme_shows_it_can_be_graded_whatever_its_reference(reference: Any, right: str, wrong: str) -> None:
    problem = plain_problem({"prompt": "What is it?", "reference": reference}, "test", "here")
    assert verify(problem, f"\\boxed{{{right}}}").status == "correct"
    assert verify(problem, f"\\boxed{{{wrong}}}").status == "wrong"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"reference": "1"}, "here: 'prompt' must be a text; found columns reference"),
        ({"prompt": " ", "reference": "1"}, "'prompt' must be a text"),
        ({"prompt": "a"}, "needs a 'reference' or 'checks'"),
        ({"prompt": "a", "checks": {}}, "needs a 'reference' or 'checks'"),
        ({"prompt": "a", "checks": [1]}, r"here: 'checks' must be a dict, found \[1\]"),
        ({"prompt": "a", "reference": "1", "domain": 3}, "'domain' must be a str, found 3"),
        ({"prompt": "a", "reference": "1", "difficulty": "hard"}, "'difficulty' must be a dict"),
        ({"prompt": "a", "reference": "1", "solution": ["b"]}, "'solution' must be a str"),
    ],
)
def test_a_bad_plain_row_is_refused_in_words(row: dict[str, Any], message: str) -> None:
    with pytest.raises(ProblemError, match=message):
        plain_problem(row, "train", "here")


def test_every_broken_line_is_reported_with_its_number(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt": "a"}\n\n{"prompt": \n[1]\n{"prompt": "b"}\nnonsense\n', encoding="utf-8")
    with pytest.raises(ProblemError) as caught:
        read_jsonl(path)
    message = str(caught.value)
    assert "3 broken line(s)" in message
    assert [f"line {number}" in message for number in range(1, 7)] == [False, False, True, True, False, True]
    assert "line 4: expected an object {...}, found list" in message


def test_a_long_list_of_broken_lines_is_cut_with_its_count(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("x\n" * 25, encoding="utf-8")
    with pytest.raises(ProblemError, match="25 broken") as caught:
        read_jsonl(path)
    assert "... and 15 more" in str(caught.value)
    assert "line 11" not in str(caught.value)


def test_only_line_feeds_end_a_line(tmp_path: Path) -> None:
    # JSON allows U+2028 and U+0085 inside a text; str.splitlines would cut there
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt": "a\u2028b\u0085c"}\r\n{"prompt": "d"}', encoding="utf-8")
    assert [row["prompt"] for row in read_jsonl(path)] == ["a\u2028b\u0085c", "d"]


@pytest.mark.parametrize(("content", "message"), [(b"", "holds no problems"), (b"\xff\xfe", "cannot read the problem file")])
def test_an_unusable_file_says_why(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    with pytest.raises(ProblemError, match=message):
        read_jsonl(path)


def test_a_missing_file_or_folder_content_says_so(tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match="no problem file or folder at"):
        jsonl_source(tmp_path / "none.jsonl")
    with pytest.raises(ProblemError, match=r"holds none of train\.jsonl, validation\.jsonl, test\.jsonl"):
        jsonl_source(tmp_path)


def test_validation_is_carved_out_of_train_by_content(tmp_path: Path) -> None:
    write_rows(tmp_path / "train.jsonl", [gsm8k_row(n) for n in range(1000)])
    write_rows(tmp_path / "test.jsonl", [gsm8k_row(n) for n in range(5000, 5050)])
    source = load_gsm8k(Gsm8kConfig(path=str(tmp_path)), 0)
    held_out = {problem.prompt for problem in source.splits["validation"]}
    trained = {problem.prompt for problem in source.splits["train"]}
    assert not held_out & trained
    assert len(held_out) + len(trained) == 1000
    assert 20 <= len(held_out) <= 85  # 50 expected, standard deviation 7
    assert all(problem.split == split for split in SPLITS for problem in source.splits[split])
    assert source.size("test") == 50

    write_rows(tmp_path / "train.jsonl", [gsm8k_row(n) for n in reversed(range(0, 1000, 2))])  # other rows, other order
    again = load_gsm8k(Gsm8kConfig(path=str(tmp_path)), 1)
    assert {problem.prompt for problem in again.splits["validation"]} <= held_out


def test_rows_of_one_content_are_never_on_both_sides_whatever_their_ids(tmp_path: Path) -> None:
    rows = [{"id": f"{n}-{copy}", "prompt": f"{n}+1?", "reference": n + 1} for n in range(300) for copy in range(3)]
    write_rows(tmp_path / "train.jsonl", rows)
    source = jsonl_source(tmp_path)
    held_out = Counter(problem.prompt for problem in source.splits["validation"])
    assert held_out
    assert set(held_out.values()) == {3}


def test_a_validation_file_is_left_as_it_is(tmp_path: Path) -> None:
    for name, start in (("train", 0), ("validation", 1000)):
        write_rows(tmp_path / f"{name}.jsonl", [{"prompt": f"{n}?", "reference": n} for n in range(start, start + 100)])
    source = jsonl_source(tmp_path)
    assert (source.size("train"), source.size("validation"), source.size("test")) == (100, 100, 0)
    with pytest.raises(ProblemError, match=r"has no test problems; splits found: train \(100\), validation \(100\)"):
        source.get("test", 0)


def test_a_finite_set_is_read_once_through_before_it_repeats_and_then_in_another_order(tmp_path: Path) -> None:
    for split in ("train", "validation"):
        write_rows(tmp_path / f"{split}.jsonl", [{"prompt": f"{n}?", "reference": n} for n in range(50)])
    source = jsonl_source(tmp_path)
    passes = [[source.get("train", 50 * p + i).prompt for i in range(50)] for p in range(3)]
    assert all(sorted(one) == sorted(passes[0]) and len(set(one)) == 50 for one in passes)
    assert passes[0] != passes[1] != passes[2] != passes[0]
    assert [jsonl_source(tmp_path).get("train", i).prompt for i in range(50)] == passes[0]
    assert [jsonl_source(tmp_path, seed=1).get("train", i).prompt for i in range(50)] != passes[0]
    # evaluation keeps the order of the file
    assert [source.get("validation", i).prompt for i in range(100)] == [f"{n}?" for n in range(50)] * 2


def test_gsm8k_as_downloaded() -> None:
    source = load_gsm8k(Gsm8kConfig(path=str(public_data("gsm8k"))), 0)
    assert source.size("train") + source.size("validation") == 7473
    assert source.size("test") == 1319
    assert 300 <= source.size("validation") <= 450  # 374 expected, standard deviation 19
    problems: list[Problem] = [*source.splits["validation"], *source.splits["test"][:300]]
    for problem in problems:
        assert verify(problem, solve(problem, "steps")).status == "correct"
        assert verify(problem, f"\\boxed{{{perturb(problem)}}}").status == "wrong"


def test_countdown_as_downloaded_is_checked_by_our_checker() -> None:
    file = public_data("countdown") / "test.jsonl"
    with file.open(encoding="utf-8") as lines:
        rows = [json.loads(next(lines)) for _ in range(50)]
    for row in rows:
        numbers, target = row["nums"], row["target"]
        checks = {"numbers": numbers, "target": target}
        problem = plain_problem({"prompt": f"{numbers} {target}", "domain": "countdown", "checks": checks}, "test", "here")
        assert verify(problem, f"\\boxed{{{target}}}").status == "wrong"
        assert verify(problem, f"\\boxed{{{perturb(problem)}}}").status == "wrong"


def test_a_folder_of_parquet_files_reads_like_one_of_jsonl(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    rows = [
        {"question": f"What is {n} + {n}?", "answer": f"It is <<{n}+{n}={2 * n}>>{2 * n}.\n#### {2 * n}"} for n in range(40)
    ]
    (tmp_path / "parquet").mkdir()
    (tmp_path / "jsonl").mkdir()
    for split in ("train", "test"):
        datasets.Dataset.from_list(rows).to_parquet(tmp_path / "parquet" / f"{split}-00000-of-00001.parquet")
        (tmp_path / "jsonl" / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = [load_gsm8k(Gsm8kConfig(path=str(tmp_path / kind)), 0) for kind in ("parquet", "jsonl")]
    for split in ("train", "validation", "test"):
        ids = [[source.get(split, i).id for i in range(source.size(split))] for source in found]
        assert ids[0] == ids[1]
        assert ids[0]
