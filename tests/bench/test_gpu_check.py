"""`reasonlab gpu-check` at toy size: every step runs on a CPU, and a fault ends nothing but itself."""

import json

import pytest
from support import reasonlab

from bench.gpu_check import Step, check, page, plan, run_step
from bench.gpu_kernels import error_of_stretches
from bench.gpu_steps import STEPS
from launch import cli


def test_a_gpu_is_asked_for_unless_everything_is_a_toy(tmp_path, capsys):
    assert cli.main(["gpu-check", "--out", str(tmp_path)]) == 2
    assert "gpu-check measures a GPU, and this is the CPU" in capsys.readouterr().err


@pytest.mark.slow
def test_the_first_steps_leave_a_page_and_a_json_file(tmp_path):
    done = reasonlab("gpu-check", "--toy", "--only", "kernels", "--out", str(tmp_path / "out"), cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "out" / "gpu-check.json").read_text())
    assert {name: values["status"] for name, values in found.items()} == dict.fromkeys(
        ("machine", "group", "models", "kernels"), "ok"
    )
    assert found["kernels"]["batched"]["num_wrong"] == 0
    assert found["kernels"]["batched"]["raised"] == []
    assert "## kernels: ok" in (tmp_path / "out" / "gpu-check.md").read_text()


def test_every_measuring_step_is_planned_once(tmp_path):
    names = [name for step in plan(tmp_path, toy=True) for name in step.names]
    assert len(names) == len(set(names))
    assert set(STEPS) <= set(names)


def test_a_process_that_fails_or_hangs_is_told_apart(tmp_path):
    failing = Step(names=("a", "b"), arguments=("-c", "import sys; print('why'); sys.exit(3)"), limit_seconds=20)
    found, said = run_step(failing, tmp_path)
    assert [values["status"] for values in found.values()] == ["exit 3", "exit 3"]
    assert said.strip() == "why"
    hanging = Step(names=("c",), arguments=("-c", "import time; time.sleep(60)"), limit_seconds=0.5)
    assert run_step(hanging, tmp_path)[0]["c"]["status"] == "timeout"


def test_steps_that_no_time_was_left_for_stand_on_the_page(tmp_path):
    said: list[str] = []
    failed = check(tmp_path / "out", tmp_path / "scratch", toy=True, only=["group", "trl"], seconds=0, say=said.append)
    assert failed == len(said) == 5
    assert "## trl: not begun: no time was left, 0 s" in (tmp_path / "out" / "gpu-check.md").read_text()


def test_a_page_shows_numbers_short():
    found = {"decode": {"status": "ok", "wall_seconds": 1.5, "8 rows": {"tokens_a_second": 59241.7}}}
    assert page(found).splitlines()[2:] == ["## decode: ok, 1.5 s", "", "- 8 rows: tokens_a_second 5.924e+04"]


def test_the_reference_of_packed_rows_agrees_with_what_a_cpu_does():
    errors = error_of_stretches(4, 2, 16, (7, 31, 1))
    assert max(errors.values()) < 0.01
