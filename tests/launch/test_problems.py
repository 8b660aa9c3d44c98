"""`reasonlab problems`: what it lists, shows and finds, and that what it writes reads back to the same problems."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from launch.grade import grade_command
from launch.named_problems import problems_of
from launch.problems import problems_command
from problems.catalog import DOMAINS, SETS
from problems.public import PUBLIC_SETS
from problems.sets.hub import HubConfig, load_hub
from problems.sets.jsonl import JsonlConfig, load_jsonl
from problems.types import Problem

LONG = "A farmer has 12 fields and puts seven sheep on every one of them, then he sells a third. How many sheep does he keep?"


def written(file: Path, rows: list[dict[str, Any]]) -> str:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(file)


def test_the_list_has_every_domain_and_set_with_its_verifier(capsys: pytest.CaptureFixture[str]) -> None:
    assert problems_command(["list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert set(rows) == {*DOMAINS, *SETS, *PUBLIC_SETS}
    assert rows["math500"]["kind"] == "evaluation"
    assert rows["gsm8k"]["verifier"] == "word_problem"
    assert problems_command(["list"]) == 0
    table = capsys.readouterr().out
    assert "7,473 train, 1,319 test" in table
    assert all(name in table for name in rows)


def test_check_finds_each_kind_of_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    training: list[dict[str, Any]] = [
        {"prompt": "1+1?", "reference": "2"},
        {"prompt": "1 + 1?", "reference": "2.0"},  # once more, its reference written differently
        {"prompt": "2+2?", "reference": "4"},
        {"prompt": "2+2 ?", "reference": "5"},  # a contradiction
        {"prompt": "Why?", "reference": "because it is so, and nobody knows"},  # prose
        {"prompt": "3+3?", "reference": ""},
        {"prompt": "4+4?", "reference": "8", "solution": "It is \\boxed{9}."},
        {"prompt": "x" * 200, "reference": "1"},
        {"prompt": LONG.replace("12", "30"), "reference": "140"},
        {"prompt": "Program!", "domain": "code", "checks": {"style": "stdin", "tests": [{"stdin": "", "stdout": "1"}]}},
        {
            "prompt": "5+5?",
            "domain": "choice",
            "reference": "A",
            "checks": {"choices": ["9", "10"]},
        },  # a reference may be wrong
    ]
    written(tmp_path / "train.jsonl", training)
    written(tmp_path / "test.jsonl", [{"prompt": "2+2?", "reference": "4"}])
    written(tmp_path / "validation.jsonl", [{"prompt": "fine?", "reference": "7"}])
    other = written(tmp_path / "other.jsonl", [{"prompt": LONG, "reference": "56"}])
    argv = ["check", str(tmp_path), "--against", other, "--longest", "150", "--workers", "1", "--json"]
    assert problems_command(argv) == 1
    (report,) = json.loads(capsys.readouterr().out)
    assert not report["clean"]
    found = {(one["kind"], Path(one["source"]).name) for one in report["findings"]}
    assert found == {
        ("duplicate", "train.jsonl:2"),
        ("contradiction", "train.jsonl:4"),
        ("unreadable", "train.jsonl:5"),
        ("unreadable", "train.jsonl:6"),
        ("solution", "train.jsonl:7"),
        ("long", "train.jsonl:8"),
        ("overlap", "train.jsonl:9"),
        ("unproven", "train.jsonl:10"),
        ("leak", "test.jsonl:1"),
    }


def test_export_reads_back_to_the_same_problems(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"problem": f"{n}+1?", "solution": f"\\boxed{{{n + 1}}}", "level": "Level 1", "type": "Algebra"} for n in range(60)]
    mmlu = {"question": "Which?", "subject": "s", "choices": ["Lyon", "Paris"], "answer": 1}
    math, choices = written(tmp_path / "train.jsonl", rows), written(tmp_path / "mmlu.jsonl", [mmlu])
    out = tmp_path / "out"
    for name, source in (
        ("math", load_hub(HubConfig(name="math", path=math), 0)),
        ("mmlu", load_hub(HubConfig(name="mmlu", path=choices), 0)),
    ):
        assert problems_command(["export", f"{name}:{math if name == 'math' else choices}", "--output", str(out / name)]) == 0
        back = load_jsonl(JsonlConfig(path=str(out / name)), 0)

        def plain(problems: list[Problem]) -> dict[str, Problem]:
            return {one.id: replace(one, source="") for one in problems}

        assert plain(list(problems_of(back))) == plain(list(problems_of(source)))
    assert "train.jsonl: 5" in capsys.readouterr().out  # 57 of 60, or near


def test_export_leaves_faults_out_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path / "a.jsonl", [{"prompt": "1+1?", "reference": "2"}, {"prompt": "Why?", "reference": ""}])
    assert problems_command(["export", file, "--output", str(tmp_path / "out"), "--clean"]) == 0
    assert "left out: 1" in capsys.readouterr().out
    assert [json.loads(line)["reference"] for line in (tmp_path / "out" / "train.jsonl").read_text().splitlines()] == ["2"]


def test_generated_grids_are_told_apart_and_what_is_exported_clean_is_clean(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # a grid is nothing but signs, which a comparison of words leaves out; of the easiest dots some are drawn twice
    dots = "{domain: dots, level: 1}"
    asked = ["export", "{domain: mazes, level: 1}", dots, dots, "--n", "25", "--output", str(tmp_path), "--clean"]
    assert problems_command(asked) == 0
    left_out = int(capsys.readouterr().out.partition("left out: ")[2] or 0)
    rows = [json.loads(line) for file in tmp_path.iterdir() for line in file.read_text(encoding="utf-8").splitlines()]
    assert 0 < left_out < 75
    assert len({row["prompt"] for row in rows}) == len(rows) == 3 * 75 - left_out
    assert sum(row["domain"] == "mazes" for row in rows) == 75
    assert problems_command(["check", str(tmp_path), "--json"]) == 0
    (report,) = json.loads(capsys.readouterr().out)
    assert report["clean"]


def test_decontaminate_lists_every_planted_copy_and_nothing_clean(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fair = "A fair gives {} children three rides each on {} wheels, and every second child gets one ride more. How many rides?"
    held_out = written(
        tmp_path / "eval.jsonl", [{"prompt": LONG, "reference": "56"}, {"prompt": "7 * (8 + 9)?", "reference": "119"}]
    )
    planted = {
        "exact": LONG.replace(" ", "  ").upper(),
        "exact, numerals": LONG.replace("12", "\uff11\uff12").replace("seven", "7"),
        "renumbered": LONG.replace("12", "forty-three").replace("seven", "1,000"),
        "13-gram": LONG.replace("a third", "some of the sheep to a man from the next village"),
        "exact, short": "$7 \\times ( 8+9 )$?",
    }
    clean = [{"prompt": fair.format(i, 1000 - i), "reference": "1"} for i in range(1000)]
    rows = [{"id": name, "prompt": text, "reference": "1"} for name, text in planted.items()]
    training, out = written(tmp_path / "mine.jsonl", rows + clean), tmp_path / "lists" / "removed.jsonl"
    assert problems_command(["decontaminate", training, "--against", held_out, "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "1005 problems looked at, 5 removed, 1000 left" in said
    listed = {row["id"]: row for row in map(json.loads, out.read_text(encoding="utf-8").splitlines())}
    assert {name: row["kind"] for name, row in listed.items()} == {name: name.partition(",")[0] for name in planted}
    assert listed["exact, short"]["by"] == f"{held_out}:2"
    assert {row["by"] for name, row in listed.items() if name != "exact, short"} == {f"{held_out}:1"}
    cleaned = f"{{domain: jsonl, path: {training}, without: {out}}}"
    assert problems_command(["export", cleaned, "--output", str(tmp_path / "clean")]) == 0
    kept = [json.loads(line)["prompt"] for line in (tmp_path / "clean" / "train.jsonl").read_text().splitlines()]
    assert 900 < len(kept) <= 1000
    assert not set(kept) & set(planted.values())


def test_decontaminate_refuses_what_it_cannot_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out = written(tmp_path / "a.jsonl", [{"prompt": LONG, "reference": "56"}]), str(tmp_path / "out.jsonl")
    for words, said in ((["chain"], "nothing to decontaminate"), ([file, file], "one set at a time")):
        assert problems_command(["decontaminate", *words, "--against", file, "--out", out]) == 2
        assert said in capsys.readouterr().err
    assert problems_command(["decontaminate", file, "--against", file, "--out", out]) == 1  # all of it is measured by
    assert problems_command(["show", f"{{domain: jsonl, path: {file}, without: {out}}}"]) == 2
    assert "leaves no problem" in capsys.readouterr().err


def test_show_says_how_answers_are_judged(capsys: pytest.CaptureFixture[str]) -> None:
    assert problems_command(["show", "chain", "--n", "1"]) == 0
    out = capsys.readouterr().out
    assert "verifier number, on" in out
    assert "a right answer \\boxed{" in out
    assert ": correct (" in out
    assert ": wrong (" in out


def test_unknown_names_and_actions_are_errors_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert problems_command(["chek"]) == 2
    assert "there are: list, show, check, export" in capsys.readouterr().err
    assert problems_command(["check", "math50"]) == 2
    assert problems_command(["check", f"math500:{tmp_path}/none"]) == 2
    assert "no problem file or folder at" in capsys.readouterr().err
    assert problems_command([]) == 0
    assert "usage: reasonlab problems ACTION" in capsys.readouterr().out


def test_check_and_grade_ask_the_verifier_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.py").write_text(
        "from rewards.types import Verdict\n"
        "def verify(problem, completion, reading):\n"
        "    right = problem.reference.startswith('wh') and completion == problem.reference\n"
        "    return Verdict(status='correct' if right else 'wrong')\n"
        "def generous(problem, completion, reading):\n"
        "    return Verdict(status='correct')\n"
    )
    # prose, which math could not grade against; the second is one that this verifier refuses
    rows = [{"prompt": f"{number}?", "reference": text} for number, text in enumerate(["why, oh why", "because it is so"])]
    file = written(tmp_path / "rows.jsonl", rows)
    assert problems_command(["check", file, f"reward.python={tmp_path}/mine.py:verify", "--workers", "1", "--json"]) == 1
    (report,) = json.loads(capsys.readouterr().out)
    assert [(one["kind"], one["reference"]) for one in report["findings"]] == [("refused", "because it is so")]
    assert problems_command(["check", file, f"reward.python={tmp_path}/mine.py:generous", "--workers", "1", "--json"]) == 1
    (report,) = json.loads(capsys.readouterr().out)
    assert report["counts"] == {"spoilt": 2}
    graded = ["--check-references", "--workers", "1", "--verifier"]
    assert grade_command([file, *graded, f"{tmp_path}/mine.py:verify"]) == 1
    said = capsys.readouterr().out
    assert "1 of 2 references are not accepted" in said
    assert "because it is so" in said
    assert grade_command([file, *graded, f"{tmp_path}/mine.py:generous"]) == 0
