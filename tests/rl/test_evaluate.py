"""An evaluation that is resumed, or done by several ranks, is the one that nobody disturbed; several sets and models."""

import json
import shutil
import signal
import sys
import time

import pytest
from support import fork, forked, forked_ranks, rows

from launch.eval import eval_command
from rl import evaluate
from rl.evaluation import subjects

SETTINGS = ["sampling.max_completion_tokens=24", "samples=2", "num_problems=80", "run.name=e"]


@pytest.fixture
def evaluated(random_model, tmp_path, monkeypatch):
    """Evaluates the random model in this process; returns a function of more words that gives the run directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "disabled")

    def run(*more, name="e", status=0):
        words = ["--model", str(random_model), "--problems", "chain", *SETTINGS, f"run.name={name}", *more]
        assert eval_command(words) == status
        return tmp_path / "runs" / name

    return run


@pytest.mark.slow
def test_resuming_draws_nothing_again_and_ends_with_the_same_bytes(evaluated, monkeypatch):
    whole = evaluated(name="whole")
    asked: list[str] = []
    answers = evaluate.InProcess.answers

    def stopping(self, problems, *told):
        asked.extend(problem.id for problem in problems)
        if len(asked) > 64:
            raise KeyboardInterrupt
        return answers(self, problems)

    with monkeypatch.context() as patch:
        patch.setattr(evaluate.InProcess, "answers", stopping)
        cut = evaluated(name="cut", status=130)
    first = (cut / "samples.jsonl").read_bytes()
    assert first.count(b"\n") == 64 * 2  # the first part, and nothing of the one that was stopped
    # what a kill in the middle of a write leaves: a whole question, one sample of the next, half a line
    rest = (whole / "samples.jsonl").read_bytes().splitlines(keepends=True)[128:]
    (cut / "samples.jsonl").write_bytes(first + b"".join(rest[:3]) + rest[3][:40])
    more = (whole / "measured.jsonl").read_bytes().splitlines(keepends=True)[:132]
    (cut / "measured.jsonl").write_bytes(b"".join(more))
    drawn: list[str] = []

    def counting(self, problems, *told):
        drawn.extend(problem.id for problem in problems)
        return answers(self, problems)

    monkeypatch.setattr(evaluate.InProcess, "answers", counting)
    evaluated("--resume", name="cut")
    ids = [row["problem_id"] for row in rows(whole / "samples.jsonl")[::2]]
    assert drawn == ids[65:]
    assert (cut / "samples.jsonl").read_bytes() == (whole / "samples.jsonl").read_bytes()
    results = [json.loads((run / "results.json").read_text()) for run in (whole, cut)]
    assert results[0] == results[1]  # who drew what included: the same versions count together
    assert [one["problems"] for one in results[0]["drawn_by"]] == [80]
    assert [record["from"] for record in rows(cut / "drawn.jsonl")] == [0, 65]
    assert json.loads((cut / "status.json").read_text())["status"] == "finished"
    drawn.clear()
    monkeypatch.setattr(subjects.Opening, "load", lambda self: pytest.fail("there is nothing to draw"))
    evaluated("--resume", name="cut")  # once more: results again, no model
    assert not drawn
    assert len(rows(cut / "metrics.jsonl")) == 1


@pytest.mark.parametrize("left", ["metrics.jsonl", "samples.jsonl", "checkpoints"])
@pytest.mark.parametrize("resume", [["--resume"], []], ids=["resumed", "begun"])
def test_what_nobody_can_tell_the_problems_of_is_left_alone(evaluated, tmp_path, capsys, left, resume):
    directory = tmp_path / "runs" / "other"
    directory.mkdir(parents=True)
    (directory / left).write_text("{}\n")
    evaluated(*resume, name="other", status=2)
    assert f"holds {left} and no about.json" in " ".join(capsys.readouterr().err.split())
    assert [file.name for file in directory.iterdir()] == [left]


@pytest.mark.slow
def test_what_was_asked_otherwise_cannot_be_gone_on_with(evaluated, capsys):
    run = evaluated()
    for words, said in (
        ((), "--resume"),
        (("--resume", "sampling.temperature=0.5"), "sampling.temperature: 1.0 and 0.5"),
        (("--resume", "run.seed=1"), "seed: 0 and 1"),
        (("--resume", "problem_seed=1"), "problems_hash"),
        (("--resume", "reward.reading=strict"), 'reading: "lenient" and "strict"'),
        (("--resume", "prompt.template='Q: {prompt}'"), "template_hash"),
    ):
        capsys.readouterr()
        evaluated(*words, status=2)
        assert said in capsys.readouterr().err, words
    assert json.loads((run / "status.json").read_text())["status"] == "finished"


def test_results_hold_what_another_needs_to_get_the_same_numbers(evaluated):
    results = json.loads((evaluated("num_problems=5") / "results.json").read_text())
    assert results["model_fingerprint"]
    assert results["sources"][0]["domain"] == "chain"
    assert results["sampling"] == {
        "temperature": 1.0, "top_p": 1.0, "top_k": 0, "stop": [], "min_completion_tokens": 0, "max_completion_tokens": 24,
        "thinking": None,
    }  # fmt: skip
    assert (results["seed"], results["problem_seed"], results["n"], results["reading"]) == (0, 0, 2, "lenient")
    assert results["packages"]["torch"]
    assert results["python"] == ".".join(map(str, sys.version_info[:3]))
    assert results["accuracy"]["clusters"] == results["accuracy"]["problems"] == 5
    assert set(results["best_of_k"]) == {"shortest", "longest", "likeliest"}
    assert list(results["pass_at_k"]) == ["1", "2"]


@pytest.mark.slow
def test_models_and_sets_have_a_directory_each_and_greedy_is_one_sample(random_model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    (tmp_path / "mine.jsonl").write_text(
        "".join(
            json.dumps({"prompt": f"{i}+1=?", "reference": i + 1, "difficulty": {"family": i // 4}}) + "\n" for i in range(8)
        )
    )
    (tmp_path / "copy").symlink_to(random_model)
    models = ["--model", str(random_model), "--model", str(tmp_path / "copy")]
    words = [*models, "--problems", "chain", "--problems", "mine.jsonl", "--greedy", "num_problems=8", "run.name=both",
             "sampling.max_completion_tokens=8", "sets.mine.cluster=family"]  # fmt: skip
    assert eval_command(words) == 0
    found = sorted(
        str(file.parent.relative_to(tmp_path / "runs/both")) for file in (tmp_path / "runs/both").rglob("results.json")
    )
    names = [f"{random_model.parent.name}-{random_model.name}", f"{tmp_path.name}-copy"]
    assert found == sorted(f"{name}/{one}" for name in names for one in ("chain", "mine"))
    assert "one line an evaluation" in capsys.readouterr().out
    mine = [json.loads((tmp_path / "runs/both" / name / "mine/results.json").read_text()) for name in names]
    assert mine[0]["accuracy"]["clusters"] == 2
    assert not mine[0]["by_difficulty"]  # of clusters, which are shown by no line each
    assert mine[0]["sampling"]["temperature"] == 0
    assert mine[0]["samples"] == 8
    assert mine[0]["model_fingerprint"] == mine[1]["model_fingerprint"]
    assert set(json.loads((tmp_path / "runs/both/summary.json").read_text())) == set(found)


def test_a_cluster_that_no_problem_names_is_told_before_anything_is_written(evaluated, capsys, tmp_path):
    evaluated("cluster=topic", status=2)
    said = capsys.readouterr().err
    assert "has no 'topic'" in said
    assert "terms" in said
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("fault", ["config.json", "gone", "taken"])
def test_a_fault_of_the_last_model_is_told_before_the_first_is_asked(
    evaluated, random_model, tmp_path, capsys, fault, monkeypatch
):
    monkeypatch.setattr(subjects.Opening, "load", lambda self: pytest.fail("the fault is there to be seen"))
    second = tmp_path / "second"
    if fault != "gone":
        shutil.copytree(random_model, second)
    if fault == "config.json":
        (second / "config.json").write_text('{"model_type": ')
    there = tmp_path / "runs" / "e" / f"{tmp_path.name}-second"
    if fault == "taken":
        there.mkdir(parents=True)
        (there / "config.yaml").write_text("")
        (there / "about.json").write_text("{}")
    evaluated("--model", str(second), status=2)
    said = capsys.readouterr().err
    assert {"config.json": str(second), "gone": f"no model directory at {second}", "taken": "already holds a run"}[
        fault
    ] in said
    assert list((tmp_path / "runs").rglob("samples.jsonl")) == []
    assert [path.name for path in (tmp_path / "runs").rglob("about.json")] == (["about.json"] if fault == "taken" else [])


def test_several_greedy_samples_are_refused(evaluated, capsys):
    evaluated("sampling.temperature=0", status=2)
    assert "samples=1" in capsys.readouterr().err


@pytest.mark.slow
def test_killed_at_any_moment_or_on_two_ranks_the_samples_are_the_same_bytes(evaluated, random_model, tmp_path):
    many = "num_problems=400"
    whole = (evaluated(many, name="whole") / "samples.jsonl").read_bytes()
    words = ["--model", random_model, "--problems", "chain", *SETTINGS, many]
    for name, parts in (("early", 1), ("late", 4)):  # of seven, the last of which is never written
        process = fork("hanging_worker", "rl.evaluate", "append_samples", 6, *words, f"run.name={name}", cwd=tmp_path)
        file = tmp_path / "runs" / name / "samples.jsonl"
        deadline = time.monotonic() + 280
        while not file.exists() or file.read_bytes().count(b"\n") < parts * 128:
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert whole.startswith(file.read_bytes())
        assert len(file.read_bytes()) < len(whole)
        evaluated(many, "--resume", name=name)
        assert file.read_bytes() == whole
    for done in forked_ranks(2, "rl.evaluate", *words, "run.name=two", cwd=tmp_path):
        assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "runs/two/samples.jsonl").read_bytes() == whole
    results = [json.loads((tmp_path / "runs" / name / "results.json").read_text()) for name in ("whole", "early", "two")]
    for one in results:
        one.pop("git")  # whoever commits while this test runs changes nothing else
        one.pop("drawn_by")
    assert results[0] == results[1] == results[2]
    compared = forked("compare", "runs/whole", "runs/two", "--json", cwd=tmp_path)
    assert json.loads(compared.stdout)["difference"] == 0
