"""A problem's own checker: where several answers are right, `check(given, output, expected)` says whether this one is.

It is the problem's code, not the candidate's, and still runs in a confined process of its own: the judge runs nothing.
"""

from collections.abc import Callable, Sequence
from typing import Any

from rewards.code import codec
from rewards.code.judging.channel import Closed, Deadline, Received, TimeLimit
from rewards.code.judging.outcome import BadTests
from rewards.code.judging.sandbox import Children, Sandbox
from rewards.code.judging.source import defines
from rewards.code.settings import Limits
from rewards.code.wire import Call, FrameError, FunctionSetup


def ask_checker(
    sandbox: Sandbox, source: Any, given: Sequence[Any], limits: Limits, before: Callable[[], None] | None = None
) -> bool:
    """Return what the checker says of `given`: the test, the output, what was expected; raises BadTests, HostDied.

    `before` is called before the checker starts: a sandbox holds one program at a time.
    """
    if not isinstance(source, str) or not defines(source, "check"):
        raise BadTests("checks.checker must be Python source that defines check(given, output, expected)")
    if before is not None:
        before()
    try:
        answer = _call_checker(sandbox, source, given, limits)
    except (TimeLimit, Closed, FrameError, codec.CodecError):
        return False  # an output that a checker chokes on is no right one; else choking it would be a way out
    if "failed" in answer:
        raise BadTests(f"the checker does not load: {answer.get('detail')}")
    if "value" in answer and not isinstance(answer["value"], bool):
        raise BadTests(f"the checker must return True or False; it returned {str(answer['value'])[:100]}")
    return bool(answer.get("value"))  # a checker that raises on an output has not accepted it


def _call_checker(sandbox: Sandbox, source: str, given: Sequence[Any], limits: Limits) -> Received:
    with Children(sandbox, limits) as children:
        channel = children.channel()
        children.spawn({"function": (-1, -1, -1, channel.inner.fileno())})
        deadline = Deadline(children, limits.test_seconds)
        channel.send(FunctionSetup(source=source, context="", entry_point="check"), deadline)
        channel.send(Call(args=codec.encode(list(given)), kwargs=codec.encode({})), deadline)
        return channel.answer(deadline)
