"""Every verifier by name, and the one way to call them; which one serves a domain is that domain's own to say."""

import time
from dataclasses import replace

from problems.catalog import verifier_name
from problems.types import Problem
from rewards.code.judging.verifier import verify_code
from rewards.countdown import verify_countdown
from rewards.math.verify import verify_math
from rewards.numbers import verify_number
from rewards.types import Verdict, Verifier


def verify_word_problem(problem: Problem, completion: str) -> Verdict:
    """Compare plain numbers as they are; an answer with units, words or no mark goes to the math verifier."""
    verdict = verify_number(problem, completion)
    if verdict.status != "unparsed":
        return verdict
    read = verify_math(problem, completion)
    return verdict if read.status == "unparsed" else read


VERIFIERS: dict[str, Verifier] = {
    "number": verify_number,
    "word_problem": verify_word_problem,
    "countdown": verify_countdown,
    "math": verify_math,
    "code": verify_code,
}


def verify(problem: Problem, completion: str) -> Verdict:
    """Return the verdict on `completion`, timed; anything that goes wrong inside the grader is an `error` verdict."""
    started = time.perf_counter()
    name = verifier_name(problem.domain)
    verifier = VERIFIERS.get(name)
    if verifier is None:
        known = ", ".join(sorted(VERIFIERS))
        return Verdict(status="error", detail=f"no verifier {name!r} for domain {problem.domain!r}; there are: {known}")
    try:
        verdict = verifier(problem, completion)
    except (MemoryError, RecursionError) as error:  # the answer exploded the check: its own fault
        verdict = Verdict(status="timeout", detail=f"{type(error).__name__} while checking")
    except Exception as error:  # a bug of ours must neither pay nor punish the model
        verdict = Verdict(status="error", detail=f"{type(error).__name__}: {error}"[:200])
    return replace(verdict, seconds=time.perf_counter() - started)
