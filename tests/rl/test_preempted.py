"""A run that is told to stop ends at a boundary, everywhere with 75, and goes on as if nothing had been."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from support import fork, forked_ranks, rows

from launch import cli
from rl import evaluate
from rl.evaluation.samples import append_samples
from rl.tracking.checkpoint import find_fault, list_checkpoints

pytestmark = pytest.mark.slow
STEPS = 4
ALONE, BOTH, ONE = [0], [0, 1], [1]
# one after another in one run: what happens, at which place after how many steps, and of which step a checkpoint is left
STORY = [("update", 1, 1), ("evaluation", 2, 2), ("rollout", 2, 2), ("save", 3, 3)]


def arguments(model: Path, home: Path) -> list[str]:
    return [
        f"model.path={model}",
        "problems=[{domain: chain, terms: [2, 3]}]",
        f"run.dir={home}",
        "run.name=run",
        "sampling.max_completion_tokens=24",
        "algorithm={num_problems: 4, group_size: 4, max_sampling_rounds: 2}",
        "optimizer={learning_rate: 1e-3, warmup_steps: 2}",
        # several micro-batches, so that there is a boundary between them
        f"train={{steps: {STEPS}, threads: 1, self_check: false, micro_batch_tokens: 60, layout: packed}}",
        "checkpoint={every_steps: 3, keep_last: 9}",
        "evaluation={every_steps: 2, num_problems: 4}",
    ]


def started(ranks: int, home: Path, plan: list[dict[str, Any]], *words: str) -> list[tuple[int, str]]:
    """Return exit status and complaints of each rank."""
    given = [json.dumps(plan), *words]
    if ranks == 1:
        done = [fork("disturbed_worker", *given, cwd=home).completed()]
    else:
        done = forked_ranks(ranks, "disturbed_worker", *given, cwd=home)
    return [(one.returncode, one.stderr) for one in done]


@pytest.fixture(scope="module")
def alone(imitator: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one rank that nobody disturbed."""
    home = tmp_path_factory.mktemp("alone")
    ended = started(1, home, [], *arguments(imitator, home))
    assert ended[0][0] == 0, ended
    found = rows(home / "run" / "metrics.jsonl")
    assert sum("loss" in row for row in found) > STEPS // 2, "it must really train"
    return home / "run"


HANGS = [  # where, after how many steps, in which phase of rank 1's work, and whether rank 0 is held up in an exchange of ours
    ("boundary", 0, "between steps", True),
    ("rollout", 1, "sampling", True),
    ("verifier", 2, "waiting for verdicts", False),
    ("evaluation", 2, "evaluating", True),
    ("update", 3, "updating", True),
    ("save", 3, "saving a checkpoint", False),
]


def words_of(phase: str, *, waits: bool) -> list[str]:
    """Return what is said where rank 1 hangs in a phase and, maybe, rank 0 waits for it."""
    return [f"rank 1 has been {phase} for", *([f"for rank 1, which has been {phase} for"] if waits else [])]


Together = tuple[Path, list[tuple[int, str]]]


@pytest.fixture(scope="module")
def together(imitator: Path, tmp_path_factory: pytest.TempPathFactory) -> Together:
    """That of two ranks, one of which hangs here and there until all that is expected was said; and how they ended."""
    home = tmp_path_factory.mktemp("together")
    plan = [
        {"at": place, "step": step, "what": words_of(phase, waits=waits), "ranks": ONE} for place, step, phase, waits in HANGS
    ]
    ended = started(2, home, plan, *arguments(imitator, home), "watch.stall_seconds=1")
    return home / "run", ended


def same_run(first: Path, second: Path) -> None:
    assert (first / "metrics.jsonl").read_bytes() == (second / "metrics.jsonl").read_bytes()
    steps = [[row["step"] for row in rows(run / "timing.jsonl")] for run in (first, second)]
    assert steps[0] == steps[1]
    names = sorted(file.name for file in (first / "rollouts").iterdir())
    assert names == sorted(file.name for file in (second / "rollouts").iterdir())
    for name in [*(f"rollouts/{name}" for name in names), f"checkpoints/step-{STEPS:06d}/policy/model.safetensors"]:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


@pytest.mark.parametrize(
    ("ranks", "told", "words"),
    [
        (1, ALONE, ["SIGUSR1", "SIGTERM", "STOP", "SIGTERM"]),
        (2, ONE, ["SIGTERM", "STOP", "SIGTERM", "SIGUSR1"]),
        (2, BOTH, ["SIGTERM", "SIGTERM", "SIGTERM", "SIGTERM"]),
    ],
    ids=["one rank", "one of two ranks", "both ranks"],
)
def test_told_to_stop_anywhere_it_saves_ends_with_75_and_goes_on_to_the_byte(
    ranks: int, told: list[int], words: list[str], imitator: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    run = tmp_path / "run"
    resume: list[str] = []
    for word, (place, step, saved) in zip(words, STORY, strict=True):
        plan = [{"at": place, "step": step, "what": word, "ranks": told}]
        ended = started(ranks, tmp_path, plan, *arguments(imitator, tmp_path), *resume)
        resume = ["--resume"]
        assert [status for status, _ in ended] == [75] * ranks, (place, ended)
        status = json.loads((run / "status.json").read_text())
        assert status["status"] == "preempted"
        assert ("maintenance" if word == "STOP" else word) in status["error"]
        newest = list_checkpoints(run / "checkpoints")[-1]
        assert (newest.name, find_fault(newest)) == (f"step-{saved:06d}", None), place
        assert (newest / "unfinished.json").exists() == (place == "evaluation")
    ended = started(ranks, tmp_path, [], *arguments(imitator, tmp_path), "--resume")
    assert [status for status, _ in ended] == [0] * ranks, ended
    assert not (run / "STOP").exists()
    same_run(request.getfixturevalue("alone") if ranks == 1 else request.getfixturevalue("together")[0], run)


def test_what_was_sampled_ahead_is_kept_where_its_step_is_thrown_away(imitator: Path, tmp_path: Path) -> None:
    runs = []
    for name in ("whole", "told"):
        home = tmp_path / name
        home.mkdir()
        runs.append(home / "run")
        words = [*arguments(imitator, home), "train.one_step_off=true"]
        if name == "told":
            # not within the sampling: what was sampled ahead may be enough
            plan = [{"at": "boundary", "step": 2, "what": "SIGTERM", "ranks": ALONE}]
            assert started(1, home, plan, *words)[0][0] == 75
            assert (home / "run/checkpoints/step-000002/ahead.pickle").exists()
            words.append("--resume")
        assert started(1, home, [], *words)[0][0] == 0
    same_run(*runs)


def test_an_evaluation_ends_with_75_and_asks_only_what_is_left(
    random_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "_AT_ONCE", 4)  # problems of a part

    def evaluated(name: str, *more: str) -> int:
        chosen = [f"model.path={random_model}", "problems=[{domain: chain, terms: [2, 3]}]", "num_problems=12", "samples=2"]
        return cli.main(["eval", *chosen, "sampling.max_completion_tokens=8", f"run.dir={tmp_path}", f"run.name={name}", *more])

    def after_a_part(directory: Path, samples: Any) -> None:
        append_samples(directory, samples)
        os.kill(os.getpid(), signal.SIGTERM)

    assert evaluated("whole") == 0
    with monkeypatch.context() as changed:
        changed.setattr(evaluate, "append_samples", after_a_part)
        assert evaluated("told") == 75
    status = json.loads((tmp_path / "told" / "status.json").read_text())
    assert (status["status"], status["error"]) == ("preempted", "Preempted: SIGTERM")
    assert len(rows(tmp_path / "told" / "samples.jsonl")) == 4 * 2
    assert evaluated("told", "--resume") == 0
    assert (tmp_path / "told" / "samples.jsonl").read_bytes() == (tmp_path / "whole" / "samples.jsonl").read_bytes()


def test_a_rank_that_hangs_is_named_with_what_it_does(together: Together) -> None:
    run, ended = together
    assert [status for status, _ in ended] == [0, 0], ended
    said = (run / "stalls.log").read_text()
    assert all(words in ended[1][1] for words in ("rank 1 has been sampling for", "rank 1 goes on after")), ended[1]
    for _, _, phase, waits in HANGS:
        assert all(words in said for words in words_of(phase, waits=waits)), (phase, said)
    assert "verdicts are out" in said
    assert "in happen" in (run / "ranks" / "rank-1.stacks").read_text()
