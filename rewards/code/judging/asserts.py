"""Style assert: the tests run in a second sandboxed process, the examiner, where the candidate is a set of proxies.

Covered: the candidate sees neither the tests nor what they expect; it passes only when the examiner, having run the last line,
repeats a nonce that was made for this exam, and the tests have called it at least once.
Not covered: weak tests. What satisfies them is paid.
"""

import secrets
from collections.abc import Mapping
from typing import Any, cast

from rewards.code.judging.channel import Channel, Closed, Deadline, TimeLimit
from rewards.code.judging.mutations import properties_of
from rewards.code.judging.outcome import GRACE_SECONDS, MAX_DETAIL, BadTests, Outcome, last_words, over_limit
from rewards.code.judging.plan import Plan, plan_of
from rewards.code.judging.sandbox import Children, HostDied, KeptExaminer, Sandbox
from rewards.code.judging.source import Candidate, context_of
from rewards.code.judging.together import hold_together
from rewards.code.settings import Limits
from rewards.code.wire import ExaminedSetup, ExamSetup, FrameError, Report, Role, TogetherSetup


def judge_assert(sandbox: Sandbox, checks: Mapping[str, Any], prompt: str, candidate: Candidate, limits: Limits) -> Outcome:
    """Run the tests against the program; raises BadTests, HostDied."""
    tests, entry = checks.get("tests"), str(checks.get("entry_point") or "")
    if isinstance(tests, list | tuple):
        tests = "\n".join(map(str, tests))
    if not isinstance(tests, str) or not tests.strip():
        raise BadTests("style assert needs checks.tests, Python source")
    fraction = checks.get("reward", "all") != "all"
    context = context_of(checks, prompt, entry)
    plan = plan_of(tests, entry, context, fraction)
    if not plan.asks:
        raise BadTests("the tests never call the program")
    repeated = context.strip() in candidate.source  # a program that repeats it needs no second copy
    if sandbox.settings.same_process:
        return hold_together(sandbox, _together(plan, candidate, "" if repeated else context, tests, fraction), limits)
    examined = ExaminedSetup(
        source=candidate.source,
        context="" if repeated else context,
        names=plan.names,
        gives=plan.gives,
        shares=plan.shares,
        lent=plan.imports,
    )
    exam = ExamSetup(
        nonce=secrets.token_hex(16),
        entry_point=plan.entry,
        names=plan.names,
        modules=plan.modules,
        expects=plan.expects,
        frameworks=plan.frameworks,
        patches=plan.patches,
        seeds=plan.seeds,
        shares=plan.shares,
        variables=plan.variables,
        asserts=plan.asserts,
        collects=plan.collects,
        inspects=plan.inspects,
        gives=plan.gives,
        guards=plan.guards,
        blocks=plan.blocks,
        properties=(),
        catches=plan.catches,
        protects=False,
        pieces=plan.pieces,
        context=plan.context,
        fraction=fraction,
    )
    outcome, changed = _hold(sandbox, plan, exam, examined, limits)
    properties = properties_of(tests, plan.names) if changed and not fraction and outcome.kind == "correct" else ()
    if properties:
        exam["properties"], exam["protects"], exam["nonce"] = properties, True, secrets.token_hex(16)
        again, is_unmet = _hold(sandbox, plan, exam, examined, limits)
        if is_unmet and again.kind in ("wrong answer", "exception"):
            return Outcome(
                kind="wrong answer", detail=f"true only of arguments that the program changed: {again.detail}"[:MAX_DETAIL]
            )
    return outcome


def _together(plan: Plan, candidate: Candidate, context: str, tests: str, fraction: bool) -> TogetherSetup:
    return TogetherSetup(
        source=candidate.source,
        context=context,
        entry_point=plan.entry,
        nonce=secrets.token_hex(16),
        pieces=plan.pieces,
        fraction=fraction,
        pytest="pytest" in plan.frameworks,
        may_exit="unittest" in tests,
    )


def _hold(sandbox: Sandbox, plan: Plan, exam: ExamSetup, examined: ExaminedSetup, limits: Limits) -> tuple[Outcome, bool]:
    """Let a candidate sit an exam, with the sandbox's kept examiner where the tests leave nothing behind in it.

    Return the outcome, and whether it changed arguments; of an exam in which that does not arrive, whether it counts on it.
    """
    kept_examiner = KeptExaminer.of(sandbox) if plan.harmless else None
    is_clean = False  # whether the kept examiner may examine again
    try:
        with Children(sandbox, limits) as children:
            channel = children.channel()
            deadline = Deadline(children, limits.test_seconds)
            try:
                report = _examine(kept_examiner, children, channel, exam, examined, deadline)
            except TimeLimit:
                return Outcome(kind="time limit", detail=f"{limits.test_seconds:g} s"), False
            except Closed:
                report = Report(passed=0, total=0, calls=0, failed="the test process ended")
            except FrameError as error:
                raise HostDied(f"the test process: {error}") from None
            else:
                is_clean = not report.get("memory")  # it answered, and waits for the next tests
            said = report.get("unmet") if exam["protects"] else report.get("changed")
            return _decide(report, exam, channel, children, limits), said is True
    finally:
        if kept_examiner and not is_clean:
            KeptExaminer.drop(sandbox)  # whatever went wrong in it, the next tests shall not meet


def _examine(
    kept_examiner: KeptExaminer | None,
    children: Children,
    channel: Channel,
    exam: ExamSetup,
    examined: ExaminedSetup,
    deadline: Deadline,
) -> Report:
    """Start the processes, hand out the papers, and return the examiner's report; `channel` leads to the candidate."""
    examiner = kept_examiner.channel if kept_examiner else children.channel()
    candidates_end, examiners_end = children.link()
    roles: dict[Role, tuple[int, ...]] = {"examined": (-1, -1, -1, channel.inner.fileno(), candidates_end)}
    if kept_examiner:
        kept_examiner.begin(exam, examiners_end, deadline)
    else:
        roles["examiner"] = (-1, -1, -1, examiner.inner.fileno(), examiners_end)
    children.spawn(roles)
    channel.send(examined, deadline)
    if not kept_examiner:
        examiner.send(exam, deadline)
    return cast(Report, examiner.receive(deadline))


def _decide(report: Report, exam: ExamSetup, channel: Channel, children: Children, limits: Limits) -> Outcome:
    """Return the outcome of an exam from the examiner's report."""
    if not secrets.compare_digest(str(report.get("nonce", "")), exam["nonce"]):
        return _explain(report, channel, children, limits)
    if not report["calls"] and len(exam["names"]) <= 1:
        raise BadTests("the tests never called the program")
    passed, total = report["passed"], report["total"]
    ended = children.reap()[0]
    if (over := over_limit(ended, limits)) is not None:
        return over
    if passed == total:
        return Outcome(kind="correct", detail=f"{total} tests" if exam["fraction"] else "", score=1.0)
    return Outcome(kind="wrong answer", detail=f"{passed} of {total} asserts passed", score=passed / total)


def _explain(report: Report, channel: Channel, children: Children, limits: Limits) -> Outcome:
    """Return why an exam was not passed: a limit, what the candidate said last, or what the examiner saw."""
    channel.read()
    said = last_words(channel)
    wrong = report.get("wrong", False)
    # Nobody said why: then its end may, if it is about to end.
    ended = children.reap(GRACE_SECONDS if said is None and not wrong else 0.0)[0]
    if (over := over_limit(ended, limits)) is not None:
        return over
    if said is not None:
        return said
    detail = report.get("failed", "")[:MAX_DETAIL]
    if wrong:
        return Outcome(kind="wrong answer", detail=detail)
    return Outcome(kind="memory limit" if report.get("memory") else "exception", detail=detail)
