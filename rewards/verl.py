"""The lab's verifiers as verl's reward: `compute_score`, named by its file.

    reward.custom_reward_function.path=pkg://rewards.verl reward.custom_reward_function.name=compute_score

or, for a verl that knows no `pkg://`, the path that `python -c "import rewards.verl as v; print(v.__file__)"` prints.
verl calls it for one answer at a time, from several threads, all by name (verl/workers/reward_manager/naive.py and
verl/experimental/reward_loop/reward_manager/naive.py at b178a3c). A mapping that is returned may hold more than `score`; its
keys must be the same for every row of a batch. Verdicts are made in worker processes that are kept between calls and can be
killed. Which domain judges is decided by `data_source`: see `domain_of`.
"""

import json
import threading
from collections.abc import Mapping
from typing import Any, get_args

from problems.catalog import record_of
from problems.errors import LabError
from problems.types import Problem
from rewards.own import named
from rewards.pool import VerifierPool
from rewards.types import Policy, Reading
from rewards.verifiers import verifier_of

# as verl's own sets call themselves (verl/utils/reward_score/__init__.py), beside the names of the lab's domains
DOMAINS = {
    "openai/gsm8k": "gsm8k",
    "lighteval/MATH": "math",
    "DigitalLearningGmbH/MATH-lighteval": "math",
    "HuggingFaceH4/MATH-500": "math",
    "math_dapo": "math",
    "math_dapo_reasoning": "math",
    "numina_aops_forum": "math",
    "numina_synthetic_math": "math",
    "numina_amc_aime": "math",
    "numina_synthetic_amc": "math",
    "numina_cn_k12": "math",
    "numina_olympiads": "math",
}
_pools: dict[tuple[str | None, float, int], VerifierPool] = {}  # by what they were opened with
_opening = threading.Lock()


def domain_of(data_source: str, extra_info: Mapping[str, Any]) -> str:
    """Return the lab's domain of a row: `extra_info["domain"]`, else `data_source` where it names one, else by DOMAINS.

    Raises LabError for a source that nothing is known of: a wrong verifier would teach in silence.
    """
    given = str(extra_info.get("domain") or data_source)
    if given in DOMAINS:
        return DOMAINS[given]
    if given.startswith("aime"):
        return "math"
    if verifier_of(given) is not None or record_of(given) is not None:
        return given
    raise LabError(
        f"no verifier is known for the data_source {data_source!r}: put the name of a domain into extra_info.domain "
        f"(math reads numbers and formulas), or name a verifier of your own by reward_kwargs.verifier=FILE.py:NAME"
    )


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: Mapping[str, Any] | None = None,
    *,
    policy: Policy = "strict",
    verifier: str | None = None,
    timeout_seconds: float = 5.0,
    workers: int = 1,
    **_: Any,
) -> dict[str, float | str]:
    """Return {"score", "acc", "unscored", "status", "detail"} of one answer; `score` is in [0, 1].

    `acc` is 1 for an answer that is right as a whole, which is what verl's validation reports. verl has no word for an answer
    that cannot be scored: it gets 0, and `unscored` is 1. What stands behind `extra_info` is set by verl's `reward_kwargs`:
    `policy` (strict pays marked answers only), `verifier` (FILE.py:NAME or an entry point), the wall time of a verdict and the
    `workers`, processes that judge for each process of verl's.
    `ground_truth` is the reference, or the checks: of programs (a mapping or its JSON), and wherever it is a mapping, as
    TinyZero's countdown rows have it, {"numbers" or "nums": [..], "target": ..}. `extra_info` may hold `domain`, `checks`
    (the same forms), `prompt` or `question`, and `thinking_open`. Raises LabError for a source that nothing is known of.
    """
    info = extra_info or {}
    if policy not in get_args(Policy):
        raise LabError(f"policy must be one of {', '.join(get_args(Policy))}, found {policy!r}")
    domain = str(info.get("domain") or data_source) if verifier else domain_of(data_source, info)
    problem = _problem(domain, ground_truth, info)
    reading = Reading(policy=policy, thinking_open=bool(info.get("thinking_open", False)))
    verdict = _pool(verifier, timeout_seconds, workers).submit(problem, solution_str, reading).result()
    worth = verdict.worth
    return {
        "score": worth or 0.0,
        "acc": float(verdict.status == "correct"),
        "unscored": float(worth is None),
        "status": verdict.status,
        "detail": verdict.detail,
    }


def _problem(domain: str, ground_truth: Any, info: Mapping[str, Any]) -> Problem:
    """Return the problem of a row."""
    prompt = str(info.get("prompt") or info.get("question") or "")
    checks = _mapping(info.get("checks"))
    reference = ground_truth if isinstance(ground_truth, str) else None
    if not checks and (domain == "code" or isinstance(ground_truth, Mapping)):
        checks, reference = _plain(_mapping(ground_truth)), None
    elif reference is None and ground_truth is not None:
        reference = str(ground_truth)
    return Problem(
        id=str(info.get("index", "")),
        domain=domain,
        split=str(info.get("split", "train")),
        prompt=prompt,
        reference=reference,
        checks=checks,
        source="verl",
    )


def _mapping(given: Any) -> Mapping[str, Any]:
    """Return a mapping that is given as one or as its JSON: a column of parquet wants one type."""
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except ValueError as error:
            raise LabError(f"checks must be an object or its JSON, found {given!r:.60} ({error})") from None
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise LabError(f"checks must be an object or its JSON, found {given!r:.60}")
    return given


def _plain(checks: Mapping[str, Any]) -> dict[str, Any]:
    """Return checks as the lab names them, without numpy's types: parquet hands over arrays, verifier processes want JSON."""
    named = {"numbers" if name == "nums" else name: value for name, value in checks.items()}
    return {name: value.tolist() if hasattr(value, "tolist") else value for name, value in named.items()}


def _pool(verifier: str | None, timeout_seconds: float, workers: int) -> VerifierPool:
    """Return the pool that is kept for a verifier."""
    key = (verifier, timeout_seconds, workers)
    with _opening:
        if key not in _pools:
            own = named(verifier) if verifier else None
            _pools[key] = VerifierPool(workers, timeout_seconds, own=own)
        return _pools[key]
