"""A run that is killed and resumed is the run that was not."""

import gzip
import json
import random
import shutil
import signal
import sys
import time

import pytest
from crashes import can_mount
from forks import HANGS_SECONDS, SUPPORT
from support import REPOSITORY, fork, forked, forked_ranks, reasonlab, rows, run_command

from launch import cli
from rl.curriculum import practised_source
from rl.settings.loading import load_config
from rl.settings.schema import RunConfig
from rl.tracking.checkpoint import find_fault, list_checkpoints

pytestmark = pytest.mark.slow
STEPS = 8


def arguments(model, home, name, *more):
    return [
        "train",
        f"model.path={model}",
        "problems=[{domain: chain, terms: [2, 3]}]",
        f"run.dir={home}",
        f"run.name={name}",
        "sampling.max_completion_tokens=24",
        "algorithm={num_problems: 8, group_size: 4, max_sampling_rounds: 2}",
        "optimizer={learning_rate: 1e-3, warmup_steps: 4, schedule: linear}",
        f"train={{steps: {STEPS}, threads: 1}}",
        "checkpoint={every_steps: 2, keep_last: 2}",
        "evaluation={every_steps: 3, num_problems: 16}",
        *more,
    ]


@pytest.fixture(scope="module")
def straight(imitator, tmp_path_factory):
    """The directory of a run that nobody disturbed: a process of its own, and the ones it is compared with are forks."""
    home = tmp_path_factory.mktemp("straight")
    done = reasonlab(*arguments(imitator, home, "run"), cwd=home)
    assert done.returncode == 0, done.stderr
    found = rows(home / "run" / "metrics.jsonl")
    assert [row["step"] for row in found] == list(range(STEPS + 1))
    assert sum("loss" in row for row in found) > STEPS // 2, "the runs compared below must really train"
    return home / "run"


def kill_when(condition, command, cwd):
    """Start `reasonlab COMMAND`, SIGKILL it once `condition()` holds."""
    process = fork("launch.cli", *command, cwd=cwd)
    deadline = time.monotonic() + HANGS_SECONDS
    while process.poll() is None and not condition():
        assert time.monotonic() < deadline, "the run did not get to the point where it should be killed"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()


def same_files(first, second):
    assert (first / "metrics.jsonl").read_bytes() == (second / "metrics.jsonl").read_bytes()
    names = [p.name for p in sorted((first / "rollouts").iterdir())]
    assert names == [p.name for p in sorted((second / "rollouts").iterdir())]
    for name in names:
        assert (first / "rollouts" / name).read_bytes() == (second / "rollouts" / name).read_bytes()
    weights = [
        (run / "checkpoints" / f"step-{STEPS:06d}" / "policy" / "model.safetensors").read_bytes() for run in (first, second)
    ]
    assert weights[0] == weights[1]


@pytest.mark.parametrize("seed", [0, 1])
def test_killed_at_a_random_moment_and_resumed_equals_straight_to_the_byte(straight, imitator, tmp_path, seed):
    command = arguments(imitator, tmp_path, "run")
    metrics = tmp_path / "run" / "metrics.jsonl"
    chance = random.Random(seed)
    wanted = chance.randint(3, STEPS)

    def reached():
        if not metrics.exists() or metrics.read_text().count("\n") < wanted:
            return False
        time.sleep(chance.random())  # anywhere inside a step, an evaluation or a save
        return True

    kill_when(reached, command, tmp_path)
    resumed = forked(*command, "--resume", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    same_files(straight, tmp_path / "run")


# quick to conclude: the longer sums open, and are sampled ahead, within these few steps
LADDER = "curriculum={by: terms, memory_problems: 8, least_problems: 4, grow_at: 0.1, retire_at: 0.9, lost_below: 0.1}"
VARIANTS = {
    "one step off, by a curriculum": ["train.one_step_off=true", LADDER],
    "several updates": ["algorithm.epochs=2", "algorithm.minibatches=2", "algorithm.old_logprobs=recompute"],
    "k1 in the reward": ["algorithm.kl=k1", "algorithm.kl_coef=0.05"],
    "a reference that is reset": ["algorithm.kl_coef=0.05", "algorithm.reference_reset_steps=3"],
    # beyond 128 tokens replacements join while others run, on a CPU too
    "replacements that join": ["sampling={max_completion_tokens: 160, temperature: 1.3}"],
}


@pytest.fixture(scope="module")
def far_reaching(imitator, tmp_path_factory):
    """The imitator with more positions, which its rotary embedding has anyway."""
    directory = tmp_path_factory.mktemp("far") / "model"
    shutil.copytree(imitator, directory)
    settings = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps({**settings, "max_position_embeddings": 256}))
    return directory


@pytest.mark.parametrize("kind", VARIANTS)
def test_variants_of_the_loop_resume_to_the_byte_too(imitator, far_reaching, tmp_path, kind):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    model = far_reaching if kind == "replacements that join" else imitator
    keep_all = "checkpoint.keep_last=4"
    # in this process, whose hash seed is another than that of the forks
    assert cli.main(arguments(model, whole, "run", *VARIANTS[kind], keep_all)) == 0
    # what a run leaves that was killed while it wrote the checkpoint of step 6: the tests above kill real ones
    shutil.copytree(whole, cut)
    for step in (6, 8):
        shutil.rmtree(cut / "run" / "checkpoints" / f"step-{step:06d}")
    resumed = forked(*arguments(model, cut, "run", *VARIANTS[kind], keep_all), "--resume", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert "resuming from" in resumed.stderr
    assert "step-000004" in resumed.stderr
    same_files(whole / "run", cut / "run")
    found = rows(whole / "run" / "metrics.jsonl")[1:]
    if kind == "one step off, by a curriculum":
        assert found[0]["sampling/staleness"] == 0
        assert all(row["sampling/staleness"] > 0 for row in found[1:])
        assert found[0]["curriculum/terms=2/problems"] == found[0]["groups/sampled"]
        assert found[-1]["curriculum/waiting"] == 0
        assert (
            found[-1]["curriculum/terms=3/problems"] + found[-1]["curriculum/terms=2/problems"] == found[-1]["groups/sampled"]
        )
    if kind == "several updates":
        assert any(row.get("batch/updates") == 4 for row in found)
    if kind == "a reference that is reset":  # after steps 3 and 6; the policy is then the reference, up to rounding
        assert [found[step]["kl"] < 1e-5 for step in range(STEPS)] == [step in (0, 3, 6) for step in range(STEPS)]
    if kind == "k1 in the reward":
        assert found[-1]["kl"] != 0
    if kind == "replacements that join":
        assert any(row["groups/sampled"] > 8 for row in found[4:])


def test_nothing_is_sampled_ahead_beside_the_last_update_of_a_budget_and_no_second_counts_twice(imitator, tmp_path):
    def checkpoints_of(name, budget):
        settings = ["train.one_step_off=true", f"train.compute_tokens={budget}", "checkpoint.every_steps=1"]
        assert cli.main(arguments(imitator, tmp_path, name, *settings, "evaluation.every_steps=0")) == 0
        for row in rows(tmp_path / name / "timing.jsonl"):
            assert row["sample"] + row["score"] + row["train"] + row["waited_ahead"] <= row["step_time"]
        return [(path / "ahead.pickle").exists() for path in list_checkpoints(tmp_path / name / "checkpoints")]

    assert checkpoints_of("one", 1) == [False]
    spent = rows(tmp_path / "one" / "metrics.jsonl")[-1]["compute_tokens"]
    assert checkpoints_of("two", spent + 1) == [True, False]


def test_a_run_that_its_budget_ended_goes_on_as_if_it_had_none(straight, imitator, tmp_path):
    # after step 6 there is an evaluation and a checkpoint anyway, as there is after a last step
    spent = rows(straight / "metrics.jsonl")[6]["compute_tokens"]
    ended = forked(*arguments(imitator, tmp_path, "run", f"train.compute_tokens={spent}"), cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert rows(tmp_path / "run" / "metrics.jsonl")[-1]["step"] == 6
    resumed = forked(*arguments(imitator, tmp_path, "run"), "--resume", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    same_files(straight, tmp_path / "run")


def test_the_self_check_leaves_no_trace_in_a_run(straight, imitator, tmp_path):
    done = forked(*arguments(imitator, tmp_path, "run", "train.self_check=false"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    same_files(straight, tmp_path / "run")


def test_killed_before_the_first_checkpoint_starts_over(straight, imitator, tmp_path):
    command = arguments(imitator, tmp_path, "run")
    metrics = tmp_path / "run" / "metrics.jsonl"
    kill_when(metrics.exists, command, tmp_path)
    resumed = forked(*command, "--resume", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    same_files(straight, tmp_path / "run")


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_is_used(straight, imitator, tmp_path):
    shutil.copytree(straight, tmp_path / "run")
    checkpoints = list_checkpoints(tmp_path / "run" / "checkpoints")
    assert [path.name for path in checkpoints][-2:] == ["step-000006", "step-000008"]
    broken = next((checkpoints[-1] / "engine").iterdir())
    broken.write_bytes(broken.read_bytes()[:100])
    assert "has 100 bytes" in (find_fault(checkpoints[-1]) or "")
    resumed = forked(*arguments(imitator, tmp_path, "run"), "--resume", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert "step-000008 is not whole" in resumed.stderr
    assert f"resuming from {checkpoints[-2]}" in resumed.stderr
    same_files(straight, tmp_path / "run")


def test_a_run_whose_disk_fills_up_ends_in_words_and_goes_on_when_there_is_room(straight, imitator, tmp_path):
    if not can_mount():
        pytest.skip("needs the right to mount a file system")
    disk, copy = tmp_path / "disk", tmp_path / "copy"
    disk.mkdir()
    copy.mkdir()
    worker = [sys.executable, str(SUPPORT / "full_disk_worker.py"), str(disk), str(copy), "64", "5"]
    done = run_command([*worker, *arguments(imitator, disk, "run")], tmp_path, PYTHONPATH=f"{REPOSITORY}:{SUPPORT}")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["first"], found["status"]["status"], found["second"]) == (2, "failed", 0)
    assert "no room is left on the disk of" in found["status"]["error"]
    assert f"error: no room is left on the disk of {disk / 'run'}" in done.stderr
    assert "Traceback" not in done.stderr
    assert "step-000004" in done.stderr.split("resuming from")[1]
    same_files(straight, copy / "run")


def test_two_ranks_tell_the_same_story_as_one(straight, imitator, tmp_path):
    for done in forked_ranks(2, "rl.train", *arguments(imitator, tmp_path, "run")[1:], cwd=tmp_path):
        assert done.returncode == 0, done.stderr
    one, two = rows(straight / "metrics.jsonl"), rows(tmp_path / "run" / "metrics.jsonl")
    for first, second in zip(one[:3], two[:3], strict=True):  # rounding grows with the steps
        assert first.keys() == second.keys()
        for key, value in first.items():
            assert second[key] == (value if value is None else pytest.approx(value, rel=1e-3, abs=1e-5)), key


def drawn(run, step):
    """What was sampled at a step, problems and completions, in their order."""
    with gzip.open(run / "rollouts" / f"step-{step:06d}.jsonl.gz", "rt") as file:
        return [(record["problem_id"], record["completion"]) for record in map(json.loads, file)]


def test_a_run_goes_on_with_other_ranks_at_other_zero_stages(imitator, tmp_path):
    """Two ranks at ZeRO 2, then one at ZeRO 1 from step 2 on, then two at ZeRO 3 from step 3 on."""
    # all that lies in a checkpoint: what was sampled ahead, a reference that was reset at the step that is gone on from
    more = ["train.one_step_off=true", "algorithm.kl_coef=0.05", "algorithm.reference_reset_steps=2"]
    more += ["train.steps=4", "train.self_check=false", "evaluation.every_steps=0"]
    more += ["checkpoint.every_steps=1", "checkpoint.keep_last=4"]

    def run(home, ranks, stage, *further):
        command = [*arguments(imitator, home, "run", *more)[1:], f"deepspeed.stage={stage}", *further]
        for done in forked_ranks(ranks, "rl.train", *command, cwd=home):
            assert done.returncode == 0, done.stderr[-3000:]

    def cut(home, after, to):
        """What a run leaves that was killed while it wrote the checkpoint after step `after`."""
        shutil.copytree(home / "run", to / "run")
        for checkpoint in list_checkpoints(to / "run" / "checkpoints")[after:]:
            shutil.rmtree(checkpoint)
        return to

    whole = tmp_path / "whole"
    whole.mkdir()
    run(whole, 2, 2)
    one = cut(whole, 2, tmp_path / "one")
    run(one, 1, 1, "train.micro_batch_tokens=512", "--resume")
    two = cut(one, 3, tmp_path / "two")
    run(two, 2, 3, "train.micro_batch_tokens=512", "--resume")

    straight = rows(whole / "run" / "metrics.jsonl")
    source = practised_source(load_config(RunConfig, [], arguments(imitator, whole, "run")[1:]).config)
    for home, first in ((one, 3), (two, 4)):
        assert drawn(home / "run", first) == drawn(whole / "run", first)
        found = rows(home / "run" / "metrics.jsonl")
        assert [row["step"] for row in found] == [1, 2, 3, 4]
        wanted = straight[first - 1]
        assert found[first - 1].keys() == wanted.keys()
        for key, value in wanted.items():  # as tests of two ranks against one have it: rounding grows with the steps
            assert found[first - 1][key] == (value if value is None else pytest.approx(value, rel=1e-3, abs=1e-5)), key
        # of each group of four the first; some sums come twice, so their order is what tells
        problems = [problem for step in range(1, 5) for problem, _ in drawn(home / "run", step)[::4]]
        assert problems == [source.get("train", number).id for number in range(len(problems))]
