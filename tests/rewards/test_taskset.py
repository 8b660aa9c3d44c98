"""Tasksets of verifiers: read as problems, judged by their own rewards, and ours written as one."""

import asyncio
import importlib.util
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from launch.problems import problems_command
from problems.catalog import SOURCE_MODELS, build_source
from problems.errors import LabError
from problems.finite import FiniteSource
from problems.seeding import content_split
from problems.types import SPLITS, Problem, ProblemError
from rewards.checking import findings_of
from rewards.kept import close_all
from rewards.pool import VerifierPool
from rewards.taskset import task_fault, verify_task
from rewards.types import Reading

is_installed = importlib.util.find_spec("verifiers") is not None
installed = pytest.mark.skipif(not is_installed, reason="verifiers is not installed: make test-formats")


def opened(name: str, **settings: Any) -> FiniteSource:
    config = SOURCE_MODELS["verifiers"].model_validate({"domain": "verifiers", "name": name, **settings})
    source = build_source([config], 0)  # type: ignore[list-item]
    assert isinstance(source, FiniteSource)
    return source


def exported(folder: Path, *more: str) -> int:
    """Export twelve problems of each split as a taskset."""
    return problems_command(["export", "chain", "--n", "12", "--format", "verifiers", "--output", str(folder), *more])


def test_an_export_is_a_module_beside_its_problems(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exported(tmp_path / "chains_v1") == 0
    names = {file.name for file in (tmp_path / "chains_v1").iterdir()}
    assert names == {"__init__.py", *(f"{split}.jsonl" for split in SPLITS)}
    compile((tmp_path / "chains_v1" / "__init__.py").read_text(), "chains_v1", "exec")


@pytest.mark.parametrize("name", ["my-problems", "Problems", "2025", "a b"])
def test_a_folder_whose_name_is_no_modules_is_refused_before_anything_is_written(name: str, tmp_path: Path) -> None:
    assert exported(tmp_path / name) == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(is_installed, reason="verifiers is installed")
def test_without_the_package_it_is_said_how_to_get_it() -> None:
    with pytest.raises(ProblemError, match=r"pip install 'verifiers==0\.4\.\*'"):
        opened("sums")
    checks = {"name": "sums", "settings": "{}", "task": {}}
    problem = Problem(id="", domain="verifiers", split="test", prompt="?", reference=None, checks=checks, source="s")
    assert "pip install" in verify_task(problem, "\\boxed{1}").detail
    with pytest.raises(LabError, match=r"pip install 'verifiers==0\.4\.\*'"):
        from rewards.as_taskset import ProblemTaskset  # noqa: F401


# -- from here on with the package itself: `make test-formats`

SUMS = """
import verifiers.v1 as vf


class SumData(vf.TaskData):
    answer: str


class SumTask(vf.Task[SumData]):
    @vf.reward(weight=0.75)
    async def right(self, trace):
        if "raise" in trace.last_reply:
            raise KeyError("no such answer")
        return float(vf.extract_boxed_answer(trace.last_reply, strict=True) == self.data.answer)

    @vf.reward(weight=0.25)
    async def brief(self, trace, task, runtime=None):
        return float(len(trace.last_reply) < 20 and len(task.prompt) < 20)

    @vf.metric
    async def turns(self, trace):
        return trace.num_turns


class SumConfig(vf.TasksetConfig):
    count: int = 60


class SumTaskset(vf.Taskset[SumTask, SumConfig]):
    def load(self):
        for i in range(self.config.count):
            yield SumTask(SumData(prompt=f"{i}+{i}?", system_prompt="Box it.", answer=str(2 * i)), self.config.task)


__all__ = ["SumTaskset"]
"""
_CONVERSATION = "prompt=[vf.UserMessage(content='Hi'), vf.AssistantMessage(content='Hi'), vf.UserMessage(content='?')]"
_PICTURE = "prompt=[vf.UserMessage(content=[vf.ImageUrlContentPart(image_url=vf.ImageUrlSource(url='x'))])]"
_PROMPT, _METRIC, _EXPORTED = 'prompt=f"{i}+{i}?"', "    @vf.metric", '__all__ = ["SumTaskset"]'
_TASK, _SET = "class SumTask(vf.Task[SumData]):\n", "class SumTaskset(vf.Taskset[SumTask, SumConfig]):\n"
CHANGES: dict[str, dict[str, str]] = {  # id of a taskset -> what stands in it instead of what SUMS has
    "sums": {},
    "in_container": {_TASK: f"{_TASK}    NEEDS_CONTAINER = True\n\n"},
    "prepared": {_METRIC: f"    async def setup(self, trace, runtime):\n        pass\n\n{_METRIC}"},
    "runs": {"runtime=None": "runtime"},
    "unpaid": {"@vf.reward(weight=0.75)": "@vf.metric", "@vf.reward(weight=0.25)": "@vf.metric"},
    "opened_by_user": {f"{_PROMPT}, ": ""},
    "conversation": {_PROMPT: _CONVERSATION},
    "pictured": {_PROMPT: _PICTURE},
    "endless": {_SET: f"{_SET}    INFINITE = True\n\n"},
    "tooled": {_METRIC: f"    @classmethod\n    def toolsets(cls, config):\n        return [object()]\n\n{_METRIC}"},
    "interactive": {_EXPORTED: "class Talk(vf.Env[vf.EnvConfig]):\n    pass\n\n\n__all__ = ['SumTaskset', 'Talk']"},
    "lossy": {"    answer: str\n": "    answer: object\n", "answer=str(2 * i)": "answer=(1, 2)"},
}
Taskset = Callable[[str], str]


@pytest.fixture
def taskset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Taskset:
    """Return what writes one of CHANGES where it is found, and returns its id."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(name: str) -> str:
        text = SUMS
        for old, new in CHANGES[name].items():
            assert old in text
            text = text.replace(old, new)
        (tmp_path / f"{name}.py").write_text(text)
        importlib.invalidate_caches()
        return name

    return write


REFUSED = [
    ("in_container", {}, r"needs a container"),
    ("prepared", {}, r"needs its setup\(\)"),
    ("runs", {}, r"task 0 .* needs a runtime, for the reward brief"),
    ("unpaid", {}, r"needs a reward: it declares none"),
    ("opened_by_user", {}, r"it has no prompt: its user opens the conversation"),
    ("conversation", {}, r"a message of 'assistant'"),
    ("pictured", {}, r"holds pictures"),
    ("endless", {}, r"has no end: say first: N"),
    ("tooled", {}, r"needs tools"),
    ("interactive", {}, r"needs the environment Talk"),
    ("lossy", {}, r"do not come back from JSON"),
    ("sums", {"settings": {"size": 3}}, r"cannot be opened: ValidationError.*size"),
    ("sums", {"reference": "gold"}, r"has no field 'gold'; it has: .*answer"),
    ("nowhere", {}, r"taskset 'nowhere' not found"),
]


@installed
@pytest.mark.parametrize(("name", "settings", "words"), REFUSED, ids=[f"{name}-{words[:20]}" for name, _, words in REFUSED])
def test_what_no_completion_answers_is_refused_in_words(
    name: str, settings: Mapping[str, Any], words: str, taskset: Taskset
) -> None:
    if name in CHANGES:
        taskset(name)
    with pytest.raises(ProblemError, match=words):
        opened(name, **settings)


@installed
def test_tasks_become_problems_that_are_the_same_everywhere(taskset: Taskset) -> None:
    source = opened(taskset("sums"), reference="answer")
    assert sum(source.size(split) for split in SPLITS) == 60
    problems = [problem for split in SPLITS for problem in source.splits[split]]
    assert all(content_split(problem.prompt) == problem.split for problem in problems)
    by_prompt = {problem.prompt: problem for problem in problems}
    assert by_prompt["Box it.\n\n21+21?"].reference == "42"
    assert json.loads(json.dumps(by_prompt["Box it.\n\n21+21?"].checks)) == {
        "name": "sums",
        "settings": "{}",
        "task": {"idx": 21, "prompt": "21+21?", "system_prompt": "Box it.", "answer": "42"},
    }
    assert all(task_fault(problem) is None for problem in problems)
    few = opened("sums", settings={"count": 8}, split="test", reference="answer")
    assert [few.size(split) for split in SPLITS] == [0, 0, 8]
    assert {problem.id for problem in few.splits["test"]} < {problem.id for problem in problems}  # their content decides
    assert opened(taskset("endless"), first=5, split="test").size("test") == 5


@installed
def test_the_pool_pays_what_the_rewards_come_to(taskset: Taskset) -> None:
    def judged(settings: Mapping[str, Any], *texts: str) -> list[tuple[str, float | None, str]]:
        problem = opened("sums", settings=settings, split="test").splits["test"][21]
        verdicts = pool.grade([(problem, text) for text in texts])
        return [(verdict.status, verdict.worth, verdict.detail) for verdict in verdicts]

    taskset("sums")
    long = f"It is {'very ' * 10}easy: "
    only_right = {"task": {"rewards": {"right": {"weight": 1.0}, "brief": {"weight": 0.0}}}}
    with VerifierPool(1) as pool:
        said = judged({}, "\\boxed{42}", f"<think>{long}</think>\\boxed{{42}}", f"{long}\\boxed{{42}}", "\\boxed{41}", long)
        assert [(status, worth) for status, worth, _ in said] == [
            ("correct", 1.0),  # 0.75 + 0.25
            ("correct", 1.0),  # thinking is no part of the reply
            ("wrong", 0.75),
            ("wrong", 0.25),
            ("wrong", 0.0),
        ]
        assert said[2][2] == "brief 0 x 0.25, right 1 x 0.75"
        unscored = judged({}, "<think>\\boxed{42}", "raise")
        assert [one[:2] for one in unscored] == [("unparsed", 0.0), ("error", None)]
        assert "KeyError: 'no such answer'" in unscored[1][2]
        assert [one[:2] for one in judged(only_right, f"{long}\\boxed{{42}}", "\\boxed{41}")] == [
            ("correct", 1.0),
            ("wrong", 0.0),
        ]
        status, worth, detail = judged({"task": {"rewards": {"right": {"weight": 3.0}}}}, "\\boxed{42}")[0]
        assert (status, worth) == ("error", None)
        assert "its rewards come to 3.25, expected 0 to 1" in detail


@installed
def test_a_prompt_that_opens_the_thinking_is_heeded(taskset: Taskset) -> None:
    problem = opened(taskset("sums"), split="test").splits["test"][21]
    opened_thinking = Reading(thinking_open=True)
    assert verify_task(problem, "twenty-one twice</think>\\boxed{42}", opened_thinking).status == "correct"
    assert verify_task(problem, "\\boxed{42}", opened_thinking).status == "unparsed"


@installed
def test_ours_is_a_taskset_whose_tasks_prove_themselves_and_pay_by_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import verifiers.v1 as vf
    from verifiers.v1.cli.validate import run_validate
    from verifiers.v1.configs.cli.validate import ValidateConfig

    monkeypatch.syspath_prepend(str(tmp_path))
    assert exported(tmp_path / "chains_a") == 0
    config = vf.taskset_config_type("chains_a").model_validate({"id": "chains_a", "split": "validation"})
    tasks = list(vf.load_taskset(config))
    assert [task.data.prompt for task in tasks] == [
        json.loads(line)["prompt"] for line in (tmp_path / "chains_a" / "validation.jsonl").read_text().splitlines()
    ]
    checked = ValidateConfig.model_validate(
        {"taskset": config, "runtime": {"type": "subprocess"}, "rich": False, "output_dir": tmp_path / "validated"}
    )
    rows = asyncio.run(run_validate(checked))  # of each its reference, and that an answer that is not there earns nothing
    close_all()
    said = [(row["gold"]["reason"], row["noop"]["reason"], row["noop"]["reward"]) for row in rows]
    assert said == [("valid", "valid", 0.0)] * 12
    (tmp_path / "chains_a" / "test.jsonl").unlink()
    without = vf.load_taskset(config.model_copy(update={"split": "test"}))
    with pytest.raises(LabError, match="has no test problems; splits found: train"):
        list(without)


@installed
def test_what_goes_out_comes_in_and_a_reference_that_cannot_be_read_is_no_answers_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    assert exported(tmp_path / "chains_b") == 0
    source = opened("chains_b", settings={"split": "test"}, split="test", reference="reference")
    problems = list(source.splits["test"])
    with VerifierPool(1) as pool:
        assert len(problems) == 12
        assert findings_of(problems, pool) == []  # every reference is paid, and a wrong answer near it is not
        (tmp_path / "chains_b" / "test.jsonl").write_text(json.dumps({"prompt": "?", "reference": "because"}) + "\n")
        broken = opened("chains_b", settings={"split": "test", "task": {"workers": 1}}, split="test").splits["test"]
        (verdict,) = pool.grade([(broken[0], "\\boxed{1}")])
    assert verdict.status == "error"
    assert "cannot be scored" in verdict.detail
