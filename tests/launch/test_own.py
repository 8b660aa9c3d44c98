"""What is one's own through the real command line: written by `new`, trained, evaluated, resumed."""

import gzip
import json
from pathlib import Path

import pytest
from support_pure import PARITY

from launch import cli
from launch.new import write_new
from problems.errors import LabError
from rl.start import check_same_run, differences
from rl.tracking.run_directory import RunDirectoryError

HALF = """
def half(prompts, completions, reference, **columns):
    assert all(message["role"] == "assistant" for message, in completions)
    return [0.5 if right == "1" else None for right in reference]
"""


@pytest.mark.slow
def test_a_reward_function_of_an_installed_package_trains_and_evaluates_on_a_domain_of_ones_own(
    random_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "parity.py").write_text(PARITY)
    (tmp_path / "half_paid.py").write_text(HALF)
    (tmp_path / "half_paid-1.0.dist-info").mkdir()
    (tmp_path / "half_paid-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: half-paid\nVersion: 1.0\n")
    (tmp_path / "half_paid-1.0.dist-info" / "entry_points.txt").write_text("[reasonlab.verifiers]\nhalf = half_paid:half\n")

    shared = [f"model.path={random_model}", "reward.entry_point=half", "sampling.max_completion_tokens=4"]
    train = ["train", *shared, "run.name=rl", "problems=[{python: parity.py}]", "algorithm={num_problems: 4, group_size: 2}",
             "train={steps: 1, threads: 1, self_check: false}", "tracking.wandb=disabled"]  # fmt: skip
    assert cli.main(train) == 0
    with gzip.open(tmp_path / "runs" / "rl" / "rollouts" / "step-000001.jsonl.gz", "rt") as file:
        rollouts = [json.loads(line) for line in file]
    odd = {rollout["prompt"]: int(rollout["prompt"].split()[0]) % 2 for rollout in rollouts}
    assert set(odd.values()) == {0, 1}
    for rollout in rollouts:  # paid as it is, and wrong; what cannot be scored has no reward
        expected = ("wrong", 0.5) if odd[rollout["prompt"]] else ("error", None)
        assert (rollout["status"], rollout["reward"]) == expected

    evaluate = ["eval", *shared, "--problems", "parity.py", "run.name=eval", "num_problems=8", "samples=1"]
    assert cli.main(evaluate) == 0
    results = json.loads((tmp_path / "runs" / "eval" / "results.json").read_text())
    assert results["accuracy"]["value"] == 0.0  # a half is not right
    assert 0 < results["error_rate"] < 1
    assert results["verifier"].startswith("half, ")

    (tmp_path / "parity.py").write_text(PARITY + "# edited\n")
    (tmp_path / "half_paid.py").write_text(HALF + "# edited\n")
    capsys.readouterr()
    assert cli.main([*train, "--resume"]) == 2
    said = capsys.readouterr().err
    for key in ("problems.0.file_hash", "reward.file_hash"):
        assert f"{key}: '" in said
    assert said.count("a file of your own that has changed since") == 2


def test_settings_that_differ_are_named_one_by_one_in_lists_too() -> None:
    old = [{"python": "a.py", "file_hash": "1", "weight": 1.0}, {"domain": "chain", "terms": [2, 3]}]
    new = [{"python": "a.py", "file_hash": "2", "weight": 1.0}, {"domain": "chain", "terms": [2, 4]}]
    assert differences("problems", old, new) == [
        "problems.0.file_hash: '1' before, '2' now: a file of your own that has changed since",
        "problems.1.terms.1: 3 before, 4 now",
    ]
    assert differences("problems", old, new[:1]) == [f"problems: {old!r} before, {new[:1]!r} now"]
    rated = {"domain": "jsonl", "rates": "r.jsonl"}
    old, new = [{**rated, "rates_hash": "1"}], [{**rated, "rates_hash": "2"}]
    assert differences("problems", old, new) == ["problems.0.rates_hash: '1' before, '2' now: that file has changed since"]
    assert differences("problems", [rated], new) == []  # begun by a version that wrote no hash down
    assert differences("problems", [{"domain": "jsonl"}], new)[0] == "problems.0.rates: None before, 'r.jsonl' now"
    assert differences("train.seed", 1, 2) == ["train.seed: 1 before, 2 now"]


def test_a_run_is_not_resumed_with_other_rates_and_an_older_one_says_what_is_not_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def text(*of_file: str) -> str:
        return "\n".join(["run: {name: x}", "problems:", "- domain: jsonl", "  rates: r.jsonl", *of_file]) + "\n"

    (tmp_path / "config.yaml").write_text(text("  rates_hash: aa"))
    check_same_run(tmp_path, text("  rates_hash: aa"))
    assert capsys.readouterr().err == ""
    with pytest.raises(RunDirectoryError, match=r"problems\.0\.rates_hash: 'aa' before, 'bb' now: that file has changed since"):
        check_same_run(tmp_path, text("  rates_hash: bb"))
    (tmp_path / "config.yaml").write_text(text())
    check_same_run(tmp_path, text("  rates_hash: bb"))
    assert "did not write down what r.jsonl held: whether it has changed since is not known" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["problems", "verifier"])
def test_a_starting_point_is_wholly_written_or_not_at_all(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "test_mine.py").write_text("of somebody else")
    assert cli.main([kind, "new", "mine"]) == 2
    assert "test_mine.py is there already; choose another name" in capsys.readouterr().err
    for name in ("3x", "a-b", "class", "_x", "chain", "torch", "../up"):
        assert cli.main([kind, "new", name]) == 2, name
    # something appears between the look and the writing: the first file is taken back
    monkeypatch.setattr("launch.new.check_name", lambda name, folder: None)
    with pytest.raises(LabError, match=r"cannot write .*test_mine\.py: File exists; nothing was written"):
        write_new(kind, "mine", tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"test_mine.py": "of somebody else"}
    assert cli.main([kind, "new", "mine_too"]) == 0
    assert "pytest test_mine_too.py" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine_too.py", "test_mine.py", "test_mine_too.py"]
