"""Every verifier by name, with what it needs, and the one way to call them.

A new one is a function (Problem, completion, Reading) -> Verdict and a line in VERIFIERS. Which one serves a domain is that
domain's own to say (`verifier` of its DOMAIN or SET).
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from problems.catalog import verifier_name
from problems.types import Problem, boxed
from rewards.abstaining import abstained
from rewards.choice import choice_fault, verify_choice
from rewards.code.judging.outcome import KINDS
from rewards.code.judging.verifier import time_limit, verify_code
from rewards.code.settings import SandboxSettings
from rewards.countdown import countdown_fault, verify_countdown
from rewards.exact import exact_fault, verify_exact
from rewards.gym import SECONDS, gym_fault, verify_gym
from rewards.math.verify import reference_fault, verify_math
from rewards.numbers import number_fault, parse_rational, verify_number
from rewards.spelling import spelling_fault, stated, verify_spelling
from rewards.taskset import SECONDS as TASK_SECONDS
from rewards.taskset import task_fault, verify_task
from rewards.types import STRICT, Reading, Verdict, Verifier


def verify_word_problem(problem: Problem, completion: str, reading: Reading = STRICT) -> Verdict:
    """Compare plain numbers as they are; an answer with units, words or no mark goes to the math verifier."""
    verdict = verify_number(problem, completion, reading)
    if verdict.status != "unparsed":
        return verdict
    read = verify_math(problem, completion, reading)
    return verdict if read.status == "unparsed" else read


def verify_letters(problem: Problem, completion: str, reading: Reading = STRICT) -> Verdict:
    """Compare how many there are as a number, what is spelled letter by letter."""
    is_number = parse_rational(problem.reference or "") is not None
    judge = verify_word_problem if is_number else verify_spelling
    verdict = judge(problem, completion, reading)
    if verdict.status != "unparsed" or reading.policy == STRICT.policy or (said := stated(completion, reading)) is None:
        return verdict
    return judge(problem, boxed(said), STRICT)


def letters_fault(problem: Problem) -> str | None:
    """Return why the reference of a problem is neither a number nor a word, or None where it is one of them."""
    return spelling_fault(problem) if number_fault(problem) else None


@dataclass(frozen=True, kw_only=True)
class VerifierEntry:
    """A verifier, and what those who run it and count its verdicts need to know of it.

    `fault` returns why a problem cannot be graded (its reference cannot be read, a check is missing), None where it can.

    `kinds` are the values that `Verdict.kind` may have, for metrics. `time_limit` returns the wall time in seconds after which
    its process is taken for stuck, from the problem's checks and the settings of the sandbox; None: the pool's own limit.
    `is_slow`: a verdict may take long, so no other completion is handed to a process behind it.
    """

    verify: Verifier
    fault: Callable[[Problem], str | None] = lambda problem: None
    kinds: tuple[str, ...] = ()
    time_limit: Callable[[Mapping[str, Any], SandboxSettings], float] | None = None
    is_slow: bool = False


VERIFIERS: dict[str, VerifierEntry] = {
    "number": VerifierEntry(verify=verify_number, fault=number_fault),
    "word_problem": VerifierEntry(verify=verify_word_problem, fault=number_fault),
    "letters": VerifierEntry(verify=verify_letters, fault=letters_fault),
    "exact": VerifierEntry(verify=verify_exact, fault=exact_fault),
    "countdown": VerifierEntry(verify=verify_countdown, fault=countdown_fault),
    "choice": VerifierEntry(verify=verify_choice, fault=choice_fault),
    "math": VerifierEntry(verify=verify_math, fault=reference_fault),
    # loads its package in the first verdict, and no answer's scorer is bounded by itself
    "reasoning_gym": VerifierEntry(verify=verify_gym, fault=gym_fault, time_limit=lambda *_: SECONDS, is_slow=True),
    "verifiers": VerifierEntry(verify=verify_task, fault=task_fault, time_limit=lambda *_: TASK_SECONDS, is_slow=True),
    # a program has limits of its own, which the sandbox keeps; this one is for the worker that watches over the sandbox
    "code": VerifierEntry(verify=verify_code, kinds=KINDS, time_limit=time_limit, is_slow=True),
}


def verifier_of(domain: str) -> VerifierEntry | None:
    """Return the verifier that judges problems of `domain`; None where there is none."""
    return VERIFIERS.get(verifier_name(domain))


def verify(problem: Problem, completion: str, reading: Reading = STRICT) -> Verdict:
    """Return the verdict on `completion`, timed; anything that goes wrong inside the grader is an `error` verdict."""
    started = time.perf_counter()
    entry = verifier_of(problem.domain)
    if entry is None:
        name = verifier_name(problem.domain)
        known = ", ".join(sorted(VERIFIERS))
        return Verdict(status="error", detail=f"no verifier {name!r} for domain {problem.domain!r}; there are: {known}")
    try:
        verdict = abstained(problem, completion, reading) or entry.verify(problem, completion, reading)
        if verdict.kind is not None and verdict.kind not in entry.kinds:
            raise ValueError(f"kind {verdict.kind!r} is none of the verifier's: {', '.join(entry.kinds) or 'it has none'}")
    except (MemoryError, RecursionError) as error:  # the answer exploded the check: its own fault
        verdict = Verdict(status="timeout", detail=f"{type(error).__name__} while checking")
    except Exception as error:  # a bug of ours must neither pay nor punish the model
        verdict = Verdict(status="error", detail=f"{type(error).__name__}: {error}"[:200])
    return replace(verdict, seconds=time.perf_counter() - started)
