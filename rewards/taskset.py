"""Judges answers to tasks of the package verifiers by the rewards of the task itself, as its own offline scoring does.

A completion becomes the trace of a rollout with one turn; the thinking in it is the reply's reasoning and no part of its
content, as where a server takes it apart. `Task.score(trace, runtime=None)` then asks every reward: their weighted sum is paid,
1 is correct, and what is no number between 0 and 1 is an error, since nobody can tell what it would mean beside other problems.

A reward is code of others that sees a text of the model's: it runs in a verifier process that can be killed and is bounded in
memory, and nothing else confines it. One that raises is at fault itself: no verdict.
"""

import asyncio
from typing import Any

from problems.ownfile import in_words
from problems.sets.verifiers import task_of
from problems.types import Problem
from rewards.answer import MAX_EXTRACTED_CHARACTERS, after_thinking
from rewards.types import STRICT, Reading, Verdict

SECONDS = 300.0  # the first verdict of a process loads the package: ten seconds of a processor that others may be using
_DECIMALS = 9  # weights of 0.1, 0.2 and 0.7 add up to 1


def task_fault(problem: Problem) -> str | None:
    """Return why no answer to a problem can be scored, or None: its task cannot be made again."""
    checks = problem.checks
    if not {"name", "settings", "task"} <= checks.keys():
        return f"checks must hold name, settings and task, found {', '.join(checks) or 'none'}"
    try:
        task_of(str(checks["name"]), str(checks["settings"]), checks["task"])
    except Exception as error:  # what makes it is theirs, and may fail in any way
        return f"the task cannot be made: {in_words(error)}"
    return None


def verify_task(problem: Problem, completion: str, reading: Reading = STRICT) -> Verdict:
    """Have the task's rewards score the completion."""
    if fault := task_fault(problem):
        return Verdict(status="error", detail=fault)
    reply = after_thinking(completion, reading.thinking_open)
    if reply is None:
        return Verdict(status="unparsed", detail="the thinking has no end")
    task = task_of(str(problem.checks["name"]), str(problem.checks["settings"]), problem.checks["task"])
    trace = _trace(task, completion[: len(completion) - len(reply)], reply)
    try:
        asyncio.run(task.score(trace, runtime=None))
    except Exception as error:  # whatever a reward raises
        return Verdict(status="error", detail=in_words(error)[:200])
    return _paid(trace, reply.strip()[:MAX_EXTRACTED_CHARACTERS])


def _paid(trace: Any, answer: str) -> Verdict:
    """Return the verdict that the rewards of a scored trace come to."""
    total = round(float(trace.reward), _DECIMALS)
    said = ", ".join(f"{name} {reward.score:g} x {reward.weight:g}" for name, reward in trace.rewards.items())[:150]
    if not 0.0 <= total <= 1.0:
        advice = "weigh them by settings: {task: {rewards: {NAME: {weight: W}}}}"
        return Verdict(status="error", detail=f"its rewards come to {total:g}, expected 0 to 1 ({said}): {advice}")
    partial = None if total in (0.0, 1.0) else total
    return Verdict(status="correct" if total == 1.0 else "wrong", extracted=answer, detail=said, score=partial)


def _trace(task: Any, thoughts: str, reply: str) -> Any:
    """Return the trace of a rollout in which `reply` was all that was said."""
    import verifiers.v1 as package
    from verifiers.v1.state import state_cls

    data = task.data
    asked = [package.UserMessage(content=data.prompt)] if isinstance(data.prompt, str) else list(data.prompt)
    if data.system_prompt is not None:
        asked.insert(0, package.SystemMessage(content=data.system_prompt))
    said = package.AssistantMessage(content=reply, reasoning_content=thoughts or None)
    nodes = [
        package.MessageNode(parent=number - 1 if number else None, message=message, sampled=message is said)
        for number, message in enumerate([*asked, said])
    ]
    return package.Trace(
        task=package.TraceTask(type=type(task).__name__, data=data, key=task.key, hash=task.hash),
        agent=package.AgentInfo(config=package.AgentConfig()),
        state=state_cls(type(task))(),
        nodes=nodes,
        is_completed=True,
        ok=True,
        stop_condition="agent_completed",
    )
