"""The lab's verifiers as a scorer of inspect_ai: `Task(dataset=..., scorer=rewards.inspect.verdict())`.

The package is an extra, `pip install 'reasonlab[inspect]'`. A sample's target is the reference; where it has several, any of
them will do. `metadata` may hold `domain` and `checks`, as a problem has them. Where the grader or the reference is at fault,
the score is `Score.unscored()`, which metrics leave out: no 0 that the model did not earn. An answer that cannot be read, or
stalls its verdict, is the model's fault: incorrect, with a `reason` where inspect_ai has a word for it.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from problems.errors import LabError
from problems.types import Problem
from rewards.answer import opens_thinking
from rewards.kept import kept_pool
from rewards.types import Policy, Reading, Verdict
from rewards.verifiers import verifier_of

try:
    import inspect_ai.scorer as theirs
    from anyio.to_thread import run_sync
except ImportError:  # every module of the lab can be imported without an extra
    theirs = None

Score = Any  # inspect_ai.scorer.Score


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What the targets of one sample came to."""

    verdict: Verdict
    is_scored: bool


def judged(verdicts: Sequence[Verdict]) -> Judged:
    """Return the best verdict, one a target; it counts unless a target that could not be judged might have been met."""
    best = max(verdicts, key=lambda verdict: -1.0 if verdict.worth is None else verdict.worth)
    errors = [verdict for verdict in verdicts if verdict.worth is None]
    if best.status == "correct" or not errors:
        return Judged(verdict=best, is_scored=True)
    return Judged(verdict=errors[0], is_scored=False)


def _score(found: Judged, completion: str) -> Score:
    """Return inspect_ai's word for a verdict."""
    verdict, said = found.verdict, f"{found.verdict.status}: {found.verdict.detail}"
    noted = {"status": verdict.status}
    if not found.is_scored:
        return theirs.Score.unscored(
            reason="scoring_failed", answer=verdict.extracted or completion, explanation=said, metadata=noted
        )
    worth = verdict.worth or 0.0
    value = {1.0: theirs.CORRECT, 0.0: theirs.INCORRECT}.get(worth, worth)
    empty = "invalid_response_format" if completion.strip() else "no_response"
    reason = empty if verdict.status == "unparsed" else None
    answer = completion if verdict.extracted is None else verdict.extracted
    return theirs.Score(value=value, answer=answer, explanation=said, reason=reason, metadata=noted)


def _problems(state: Any, targets: Sequence[str], domain: str) -> list[Problem]:
    """Return a problem for each target of a sample; raises LabError for metadata that cannot be used."""
    metadata = state.metadata or {}
    named, checks = str(metadata.get("domain", domain)), metadata.get("checks") or {}
    if verifier_of(named) is not None:  # else it is a word of the task's own
        domain = named
    if not isinstance(checks, Mapping):
        raise LabError(f"sample {state.sample_id}: metadata.checks must be an object, found {checks!r:.60}")
    return [
        Problem(
            id=str(state.sample_id),
            domain=domain,
            split="test",
            prompt=state.input_text,
            reference=target or None,
            checks=checks,
            source="inspect",
        )
        for target in targets or [""]
    ]


def _verdict(
    domain: str = "math",
    policy: Policy = "strict",
    verifier: str | None = None,
    timeout_seconds: float = 5.0,
    workers: int = 1,
) -> Callable[[Any, Any], Awaitable[Score]]:
    """Return a scorer for samples of `domain`, unless their metadata name another; see the head of this file.

    `policy`: strict reads marked answers only, lenient also what running text concludes. `verifier` is FILE.py:NAME of a
    verifier of one's own. Verdicts are made in `workers` processes that are kept and can be killed, each for at most
    `timeout_seconds`. Raises LabError where the settings cannot be used.
    """
    if policy not in get_args(Policy):
        raise LabError(f"policy must be one of {', '.join(get_args(Policy))}, found {policy!r}")
    if verifier is None and verifier_of(domain) is None:
        raise LabError(f"no verifier is known for the domain {domain!r}; name one of your own by verifier='FILE.py:NAME'")
    pool = kept_pool(verifier, timeout_seconds, workers)

    async def score(state: Any, target: Any) -> Score:
        completion = state.output.completion
        reading = Reading(policy=policy, thinking_open=opens_thinking(state.input_text))
        futures = [pool.submit(problem, completion, reading) for problem in _problems(state, list(target), domain)]
        verdicts = [await run_sync(future.result) for future in futures]  # whatever loop anyio runs on
        return _score(judged(verdicts), completion)

    return score


def _not_installed(*_: Any, **__: Any) -> Any:
    raise LabError("rewards.inspect needs the package inspect_ai: pip install 'reasonlab[inspect]'")


if theirs is None:
    verdict: Callable[..., Any] = _not_installed
else:
    verdict = theirs.scorer(metrics=[theirs.accuracy(), theirs.stderr()], name="verdict")(_verdict)
