"""The verifier of domain "code": a completion in, a Verdict out. One sandbox a process, started when first needed."""

import os
import re
from collections.abc import Mapping
from typing import Any

from problems.types import Problem
from rewards.code.judging.outcome import BadTests, Kind, Outcome
from rewards.code.judging.sandbox import HostDied, Sandbox, SandboxUnavailable
from rewards.code.judging.source import MAX_CANDIDATE_CHARACTERS, Candidate, find_candidate
from rewards.code.judging.styles import STYLES
from rewards.code.settings import SandboxSettings, limits_of
from rewards.types import STRICT, Reading, Status, Verdict

_HEAVY = ("numpy", "pandas")  # imported by a second host, so that the forks for all other programs stay cheap
_STATUS: dict[Kind, Status] = {  # "wrong" for all others
    "correct": "correct",
    "time limit": "timeout",
    "no program": "unparsed",
    "bad tests": "error",
    "sandbox fault": "error",
}


class CodeVerifier:
    """Judges programs in sandboxes that it keeps. Not for use by several threads at once."""

    def __init__(self, settings: SandboxSettings | None = None):
        self.settings = settings or SandboxSettings.from_environment()
        self.owner = os.getpid()
        self._sandboxes: dict[tuple[str, ...], Sandbox] = {}
        self._unavailable: SandboxUnavailable | None = None

    def sandbox(self, texts: str = "") -> Sandbox:
        """Return the sandbox that suits programs which mention the modules in `texts`."""
        if self.owner != os.getpid():
            self._sandboxes, self.owner = {}, os.getpid()  # a fork cannot share its parent's
        wanted = tuple(n for n in _HEAVY if n in self.settings.packages and re.search(rf"\b{n}\b", texts))
        if self._unavailable is not None:
            raise self._unavailable
        if wanted not in self._sandboxes:
            try:
                self._sandboxes[wanted] = Sandbox(self.settings, wanted)
            except SandboxUnavailable as error:
                self._unavailable = error
                raise
        return self._sandboxes[wanted]

    def close(self) -> None:
        """End the sandboxes."""
        if self.owner == os.getpid():
            for sandbox in self._sandboxes.values():
                sandbox.close()
        self._sandboxes = {}

    def verify(self, problem: Problem, completion: str, reading: Reading = STRICT) -> Verdict:
        """Return the verdict on `completion`; its kind is one of `outcome.KINDS`."""
        candidate = find_candidate(completion, reading.thinking_open)
        if candidate is None:
            missing = "no Python block and no plain text after the thinking"
            return Verdict(status="unparsed", kind="no program", detail=f"no program: {missing}")
        if len(candidate.source) > MAX_CANDIDATE_CHARACTERS:
            detail = f"compile error: more than {MAX_CANDIDATE_CHARACTERS} characters"
            return Verdict(status="wrong", kind="compile error", detail=detail)
        return verdict_of(self.judge(problem.checks, problem.prompt, candidate), candidate)

    def judge(self, checks: Mapping[str, Any], prompt: str, candidate: Candidate) -> Outcome:
        """Return the outcome; a sandbox that fails is replaced once."""
        style = checks.get("style")
        if style not in STYLES:
            return Outcome(kind="bad tests", detail=f"checks.style is {style!r}; expected one of {', '.join(STYLES)}")
        try:
            try:
                return self._run(style, checks, prompt, candidate)
            except HostDied:
                self.close()
                return self._run(style, checks, prompt, candidate)
        except BadTests as error:
            return Outcome(kind="bad tests", detail=str(error)[:300])
        except SandboxUnavailable as error:
            return Outcome(kind="sandbox fault", detail=str(error))
        except HostDied as error:
            self.close()
            return Outcome(kind="sandbox fault", detail=str(error))

    def _run(self, style: str, checks: Mapping[str, Any], prompt: str, candidate: Candidate) -> Outcome:
        tests = checks.get("tests")
        sandbox = self.sandbox(candidate.source + (tests if isinstance(tests, str) else ""))
        outcome = STYLES[style](sandbox, checks, prompt, candidate, limits_of(checks, self.settings))
        if sandbox.unclean is not None:
            self.close()
        return outcome


def verdict_of(outcome: Outcome, candidate: Candidate) -> Verdict:
    """Return the outcome as a verdict."""
    kind = outcome.kind
    if kind == "compile error" and not candidate.fenced:
        kind = "no program"  # plain prose is no program that failed
    return Verdict(
        status=_STATUS.get(kind, "wrong"),
        kind=kind,
        extracted=candidate.source,
        detail=f"{kind}: {outcome.detail}" if outcome.detail else kind,
        score=outcome.score if 0.0 < outcome.score < 1.0 else None,
    )


_verifiers: list[CodeVerifier] = []


def verify_code(problem: Problem, completion: str, reading: Reading = STRICT) -> Verdict:
    """Judge one completion in this process's own sandbox; settings come from `configure` or the environment."""
    if not _verifiers:
        _verifiers.append(CodeVerifier())
    return _verifiers[0].verify(problem, completion, reading)


def configure(settings: SandboxSettings) -> None:
    """Use `settings` from now on in this process."""
    while _verifiers:
        _verifiers.pop().close()
    _verifiers.append(CodeVerifier(settings))


def time_limit(checks: Mapping[str, Any], settings: SandboxSettings | None = None) -> float:
    """Return the longest that an honest verdict may take, for whoever watches over this process."""
    return 3.0 * limits_of(checks, settings or SandboxSettings.from_environment()).program_seconds + 10.0
