"""Tasks of the package verifiers (its API v1, release 0.4) as problems: one of its tasksets by its id.

`{domain: verifiers, name: my-taskset, settings: {difficulty: hard}, reference: answer}`. The taskset is a module that is
installed or on PYTHONPATH. Answers are judged by the task's own rewards, which need its data and nothing else: so a problem
carries them, and whoever judges makes the task once more (rewards/taskset.py).

Read are tasks that one completion answers. Left out, in words: what needs a container, tools, a setup, an environment or a
harness of its own, another model that judges, rewards that need a runtime (`score` would skip them and pay the rest), pictures,
and conversations that have begun or that the user opens.
"""

import itertools
import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Literal

from pydantic import Field

from problems.finite import FiniteSource, finite_source
from problems.ownfile import in_words
from problems.rows import Row, Splits
from problems.seeding import content_hash, content_split
from problems.types import SPLITS, Problem, ProblemError, ProblemSet, SourceConfig

DOMAIN = "verifiers"
RELEASE = "0.4"  # whose source was read; v0 and the v1 of earlier releases are other APIs of the same name


class TasksetSource(SourceConfig):
    """Settings of `verifiers`."""

    name: str = Field(description="id of a taskset: the module that exports it, installed or on PYTHONPATH")
    settings: dict[str, Any] = Field(default_factory=dict, description="its own settings, as --env.taskset takes them")
    reference: str | None = Field(default=None, description="the field of its tasks that holds the right answer, if one does")
    split: Literal["train", "validation", "test"] | None = Field(
        default=None, description="of which split all its tasks are; default: the text of each decides"
    )
    first: int | None = Field(default=None, ge=1, description="read so many of its tasks; one without end needs it")


def _package() -> Any:
    """Return verifiers.v1; raises ProblemError where it is not installed, or of another release than the one that was read."""
    from importlib.metadata import version  # takes its time

    wanted = f"pip install 'verifiers=={RELEASE}.*'"
    try:
        found = version("verifiers")
        import verifiers.v1 as package
    except ImportError as error:  # PackageNotFoundError is one
        raise ProblemError(f"problems of verifiers need the package: {wanted} ({in_words(error)})") from None
    if not found.startswith(f"{RELEASE}."):
        raise ProblemError(f"verifiers {found} is installed, expected {RELEASE}: other releases have another API. {wanted}")
    return package


@lru_cache(maxsize=16)
def open_taskset(name: str, settings: str) -> Any:
    """Return a taskset with settings as JSON; raises ProblemError for a name or settings that cannot be used."""
    package = _package()
    try:
        config = package.taskset_config_type(name).model_validate({**json.loads(settings), "id": name})
        return package.load_taskset(config)
    except Exception as error:  # what opens it is theirs, and may fail in any way
        raise ProblemError(f"the taskset {name!r} of verifiers cannot be opened: {in_words(error)}") from error


def task_of(name: str, settings: str, data: Row) -> Any:
    """Return the task whose data are `data`, as a problem carries them; raises what their checks of it raise."""
    taskset = open_taskset(name, settings)
    kind = type(taskset).task_type()
    return kind(kind.data_type().model_validate(data), taskset.config.task)


def _needs(taskset: Any, name: str) -> Iterator[str]:
    """Yield what all tasks of a taskset need that a completion has not."""
    package, kind, config = _package(), type(taskset).task_type(), taskset.config
    environment = package.environment_class(name)
    if environment is not package.SingleAgentEnv:
        yield f"the environment {environment.__name__}"
    if package.default_harness_id(name) == name:
        yield "a harness of its own"
    if kind.NEEDS_CONTAINER:
        yield "a container"
    if type(taskset).toolsets(config) or kind.toolsets(config.task):
        yield "tools"
    if config.task.judges:
        yield "a model that judges"
    yield from (f"its {name}()" for name in ("setup", "finalize") if getattr(kind, name) is not getattr(package.Task, name))


def _rewards_need(task: Any) -> Iterator[str]:
    """Yield what the rewards of a task need that a completion has not."""
    import inspect

    from verifiers.v1.utils.decorators import discover_decorated

    rewards = task.hooks("reward")
    if not rewards:
        yield "a reward: it declares none"
    for reward in rewards:
        runtime = inspect.signature(reward).parameters.get("runtime")
        if runtime is not None and runtime.default is inspect.Parameter.empty:
            yield f"a runtime, for the reward {reward.__name__}"
    if discover_decorated(task, "intercept"):
        yield "to see what is said on the way (@intercept)"


def _question(data: Any) -> str:
    """Return what a task asks, its system prompt in front; raises ProblemError where that is no text."""
    if data.prompt is None:
        raise ProblemError("it has no prompt: its user opens the conversation")
    for message in data.prompt if isinstance(data.prompt, list) else []:
        if message.role not in ("system", "user"):
            raise ProblemError(f"its prompt has a message of {message.role!r}; only questions are read, no conversations")
        if isinstance(message.content, list) and any(part.type != "text" for part in message.content):
            raise ProblemError("its prompt holds pictures; only texts are read")
    asked = "\n\n".join(text for text in (data.system_prompt, data.prompt_text) if text).strip()
    if not asked:
        raise ProblemError("its prompt is empty")
    return asked


def _row(task: Any, config: TasksetSource, settings: str) -> Row:
    """Return a task as a row; raises ProblemError for one that no completion answers."""
    lacking = [*_rewards_need(task), *(what for what in ("image", "skills", "artifacts") if getattr(task.data, what))]
    if lacking:
        raise ProblemError(f"it needs {', '.join(lacking)}")
    data = task.data.model_dump(mode="json", include=task.data.model_fields_set)  # what was given, whole: tags are defaults
    again = task_of(config.name, settings, data)
    if type(again) is not type(task) or again.config != task.config:
        raise ProblemError(f"it is a {type(task).__name__}, or set up, in a way of its own: others' rewards would judge it")
    if again.data != task.data:
        raise ProblemError(f"its data ({type(task.data).__name__}) do not come back from JSON as they were")
    if config.reference is not None and config.reference not in type(task.data).model_fields:
        raise ProblemError(f"it has no field {config.reference!r}; it has: {', '.join(type(task.data).model_fields)}")
    answer = config.reference and getattr(task.data, config.reference)
    return {"prompt": _question(task.data), "reference": None if answer is None else str(answer), "data": data}


def _rows(taskset: Any, config: TasksetSource, settings: str) -> Iterator[Row]:
    for number, task in enumerate(itertools.islice(taskset, config.first)):
        try:
            yield _row(task, config, settings)
        except ProblemError as error:
            raise ProblemError(f"task {number} of the taskset {config.name!r} cannot be read: {error}") from None


def load_taskset(config: TasksetSource, seed: int) -> FiniteSource:
    """Load the tasks of a taskset."""
    try:
        settings = json.dumps(config.settings, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise ProblemError(f"verifiers {config.name}: its settings cannot be said in JSON: {error}") from None
    taskset = open_taskset(config.name, settings)
    if needed := list(_needs(taskset, config.name)):
        raise ProblemError(
            f"the taskset {config.name!r} needs {', '.join(needed)}; only tasks that one completion answers can be practised on"
        )
    if not taskset.bounded and config.first is None:
        raise ProblemError(f"the taskset {config.name!r} has no end: say first: N, how many of its tasks are read")
    where = f"{DOMAIN}/{config.name}"
    raw: Splits = {config.split: (where, [])} if config.split else {split: (where, []) for split in SPLITS}
    for row in _rows(taskset, config, settings):
        raw[config.split or content_split(row["prompt"])][1].append(row)

    def convert(row: Row, split: str, place: str) -> Problem:
        told = {name: value for name, value in row["data"].items() if name != "idx"}
        return Problem(
            id=content_hash(DOMAIN, config.name, json.dumps(told, sort_keys=True)),
            domain=DOMAIN,
            split=split,
            prompt=row["prompt"],
            reference=row["reference"],
            checks={"name": config.name, "settings": settings, "task": row["data"]},
            difficulty={"taskset": config.name},
            source=f"{where}/{row['data']['idx']}",
        )

    return finite_source(f"verifiers {config.name}", raw, convert, seed)


SET = ProblemSet(name=DOMAIN, config=TasksetSource, load=load_taskset, verifier=DOMAIN)
