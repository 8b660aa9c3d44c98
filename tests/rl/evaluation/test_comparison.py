"""Two evaluations side by side: what is refused, in which words, and what is told of the rest."""

import json
from pathlib import Path

import pytest
from evaluations import evaluation

from launch.compare import compare_command

BEFORE = dict.fromkeys(range(8), (0, 0)) | {8: (1, 1), 9: (1, 0), 10: (0, -1)}
AFTER = dict.fromkeys(range(7), (1, 1)) | {7: (1, 0), 8: (0, 0), 9: (1, 0), 10: (-1, -1)}


def test_the_difference_and_the_flips(tmp_path, capsys):
    a, b = evaluation(tmp_path / "a", BEFORE), evaluation(tmp_path / "b", AFTER, seed=1)
    assert compare_command([str(a), str(b), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    # problem 10 has no scored sample after; of the others the differences are 7 times 1, 0.5, -1 and 0
    assert found["problems"] == 10
    assert found["left_out"] == 1
    assert found["difference"] == pytest.approx(6.5 / 10)
    assert found["low"] < 0.65 < found["high"]
    assert found["also_different"] == ["seed: 0 and 1"]
    assert [flip["problem_id"] for flip in found["flips"]] == [*[f"p{n}" for n in range(7)], "p8"]
    last = found["flips"][-1]
    assert (last["first"]["correct"], last["second"]["correct"]) == (1.0, 0.0)
    file, _, line = last["second"]["file"].rpartition(":")
    at_that_line = json.loads(Path(file).read_text().splitlines()[int(line) - 1])
    assert at_that_line["completion"] == last["second"]["completion"] == "b says 8.0 [/b]"


def test_the_table_is_for_people(tmp_path, capsys):
    a, b = evaluation(tmp_path / "a", BEFORE), evaluation(tmp_path / "b", AFTER)
    assert compare_command([str(a), str(b), "--flips", "1"]) == 0
    said = capsys.readouterr().out
    assert "+0.650" in said
    assert "[b]0?" in said  # model text is no markup
    assert "b says 0.0 [/b]" in said
    assert "7 more flips" in said


@pytest.mark.parametrize(
    ("about", "said"),
    [
        ({"sampling": {"temperature": 0.6, "top_p": 1.0}}, "sampling.temperature: 1.0 and 0.6"),
        ({"reading": "strict"}, 'reading: "lenient" and "strict"'),
        ({"prompt": {"system": "Think.", "template": "{prompt}"}}, 'prompt.system: null and "Think."'),
        ({"verifying": {"timeout_seconds": 1.0}}, "verifying.timeout_seconds: 5.0 and 1.0"),
    ],
)
def test_what_was_asked_otherwise_is_refused_in_words(about, said, tmp_path, capsys):
    a, b = evaluation(tmp_path / "a", BEFORE), evaluation(tmp_path / "b", AFTER, **about)
    assert compare_command([str(a), str(b)]) == 2
    assert said in capsys.readouterr().err
    assert compare_command([str(a), str(b), "--anyway"]) == 0
    assert said in capsys.readouterr().out


def test_other_problems_are_refused_and_common_ones_compared_if_asked(tmp_path, capsys):
    a = evaluation(tmp_path / "a", BEFORE)
    b = evaluation(tmp_path / "b", {n: AFTER[n] for n in range(4)} | {99: (1, 1)})
    assert compare_command([str(a), str(b)]) == 2
    assert f"7 only in {a}, 1 only in {b}, 4 in both" in capsys.readouterr().err
    assert compare_command([str(a), str(b), "--anyway", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["problems"] == 4
    c = evaluation(tmp_path / "c", {77: (1, 1)})
    assert compare_command([str(a), str(c), "--anyway"]) == 2
    assert "at least two" in capsys.readouterr().err


def test_several_evaluations_are_compared_by_name(tmp_path, capsys):
    for side, outcomes in (("a", BEFORE), ("b", AFTER)):
        for name in ("one", "two"):
            evaluation(tmp_path / side / name, outcomes)
    assert compare_command([str(tmp_path / "a"), str(tmp_path / "b"), "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)) == ["one", "two"]
    assert compare_command([str(tmp_path / "a"), str(tmp_path / "none")]) == 2
    assert "no evaluations of the same names" in capsys.readouterr().err
