"""The lab's problems and verifiers as a taskset of the package verifiers (its API v1): what an exported one inherits from.

`reasonlab problems export NAME --format verifiers --output my_problems` writes a folder that is a module: the problems as
JSONL, and a class with their place. An answer earns what its verdict is worth; where the grader or the reference is at fault
the reward raises, and the trace counts as failed: no 0 that the model did not earn. `Task.validate` has the reference prove
itself.

Without the package there are no classes here, and who asks for one is told.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from problems.errors import LabError
from problems.sets.jsonl import JsonlConfig, load_jsonl
from problems.types import Problem, ProblemError
from rewards.checking import right_completion
from rewards.kept import kept_pool
from rewards.types import Policy, Reading, Verdict

try:
    import verifiers.v1 as vf
except ImportError:  # every module of the lab can be imported without an extra
    vf = None


def __getattr__(name: str) -> Any:
    """Say what is missing where a class is asked for that cannot be without the package."""
    if vf is None and name in ("ProblemTaskset", "ProblemTask", "ProblemsConfig", "ProblemTaskConfig", "ProblemData"):
        raise LabError("rewards.as_taskset needs the package verifiers: pip install 'verifiers==0.4.*'")
    raise AttributeError(name)


if vf is not None:

    class ProblemData(vf.TaskData):
        """A problem as a task carries it; `id` and `prompt` are the task's own."""

        domain: str
        split: str
        reference: str | None = None
        checks: dict[str, Any] = Field(default_factory=dict)
        solution: str | None = None

    class ProblemTaskConfig(vf.TaskConfig):
        """How answers are judged: `--env.taskset.task.*`."""

        policy: Policy = "strict"
        """strict reads marked answers only (a box, for instance), lenient also what running text concludes."""
        timeout_seconds: float = 5.0
        """Wall time of a verdict, after which its process is killed."""
        workers: int = 1
        """Verifier processes of each process that scores."""

    class ProblemTask(vf.Task[ProblemData, vf.State, ProblemTaskConfig]):
        """One problem, judged by the verifier of its domain in a process that can be killed."""

        @vf.reward  # type: ignore[untyped-decorator]  # the package is in no environment that mypy sees
        async def verdict(self, trace: vf.Trace) -> float:
            """Return what the last reply is worth, in [0, 1]."""
            found = await self._judged(trace.last_reply)
            trace.info["verdict"] = {"status": found.status, "extracted": found.extracted, "detail": found.detail}
            if found.worth is None:
                raise ProblemError(f"problem {self.data.id} cannot be scored: {found.detail}")
            return found.worth

        async def validate(self, runtime: Any) -> bool | None:
            """Tell whether the reference proves itself; None where there is nothing to prove."""
            right = right_completion(self._problem())
            return None if right is None else (await self._judged(right)).status == "correct"

        async def _judged(self, completion: str) -> Verdict:
            pool = kept_pool(None, self.config.timeout_seconds, self.config.workers)
            asked = pool.submit(self._problem(), completion, Reading(policy=self.config.policy))
            return await asyncio.wrap_future(asked)

        def _problem(self) -> Problem:
            data = self.data
            return Problem(
                id=data.id or "",
                domain=data.domain,
                split=data.split,
                prompt=data.prompt,
                reference=data.reference,
                checks=data.checks,
                source=data.name or "verifiers",
                solution=data.solution,
            )

    class ProblemsConfig(vf.TasksetConfig):
        """Which problems: `--env.taskset.*`."""

        split: Literal["train", "validation", "test"] = "test"
        task: ProblemTaskConfig = ProblemTaskConfig()

    class ProblemTaskset(vf.Taskset[ProblemTask, ProblemsConfig]):
        """The problems of the files in `folder`, train.jsonl and so on."""

        folder: ClassVar[Path]

        def load(self) -> Iterator[ProblemTask]:
            """Yield the tasks of the split; raises ProblemError where it has none."""
            splits = load_jsonl(JsonlConfig(path=str(self.folder)), seed=0).splits
            problems = splits.get(self.config.split, ())
            if not problems:
                found = ", ".join(f"{name} ({len(some)})" for name, some in splits.items() if some)
                raise ProblemError(f"{self.folder} has no {self.config.split} problems; splits found: {found}")
            for problem in problems:
                data = ProblemData(
                    id=problem.id,
                    name=f"{problem.domain} {problem.id}",
                    prompt=problem.prompt,
                    domain=problem.domain,
                    split=problem.split,
                    reference=problem.reference,
                    checks=dict(problem.checks),
                    solution=problem.solution,
                )
                yield ProblemTask(data, self.config.task)
