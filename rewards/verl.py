"""The lab's verifiers as verl's reward: `compute_score`, named by its file.

    reward.custom_reward_function.path=pkg://rewards.verl reward.custom_reward_function.name=compute_score

or, for a verl that knows no `pkg://`, the path that `python -c "import rewards.verl as v; print(v.__file__)"` prints.
verl calls it for one answer at a time, from several threads, all by name (verl/workers/reward_manager/naive.py and
verl/experimental/reward_loop/reward_manager/naive.py, at b178a3c and in 0.9.1; its `batch` manager hands over lists, and is not
served). A mapping that is returned may hold more than `score`; its keys must be the same for every row of a batch. Verdicts are
made in worker processes that are kept between calls and can be killed. Which domain judges is said by the row: by its
`data_source` where verl prepares such a set, else by `extra_info` as `problems export --format verl` writes it.
"""

from collections.abc import Mapping
from typing import Any, get_args

from problems.catalog import record_of
from problems.errors import LabError
from problems.rows import mapping
from problems.types import Problem
from problems.verl import MARK, domain_named, truth, unnamed
from rewards.kept import kept_pool
from rewards.types import Policy, Reading
from rewards.verifiers import verifier_of


def domain_of(data_source: str, extra_info: Mapping[str, Any]) -> str:
    """Return the lab's domain of a row, as problems/verl.py finds it.

    Raises LabError for a source that nothing is known of: a wrong verifier would teach in silence.
    """
    domain = domain_named(data_source, extra_info)
    if domain is None:
        raise LabError(f"{unnamed(data_source)}; or name a verifier of your own by reward_kwargs.verifier=FILE.py:NAME")
    if verifier_of(domain) is None and record_of(domain) is None:
        raise LabError(f"extra_info.{MARK} is {domain!r}, and there is no such domain here")
    return domain


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
    TinyZero's countdown rows have it, {"numbers" or "nums": [..], "target": ..}. `extra_info` may hold MARK, `checks`
    (the same forms), `prompt` or `question`, and `thinking_open`. Raises LabError for a source that nothing is known of.
    """
    info = extra_info or {}
    if policy not in get_args(Policy):
        raise LabError(f"policy must be one of {', '.join(get_args(Policy))}, found {policy!r}")
    domain = domain_named(data_source, info) or data_source if verifier else domain_of(data_source, info)
    problem = _problem(domain, ground_truth, info)
    reading = Reading(policy=policy, thinking_open=bool(info.get("thinking_open", False)))
    verdict = kept_pool(verifier, timeout_seconds, workers).submit(problem, solution_str, reading).result()
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
    reference, checks = truth(ground_truth, domain, mapping(info.get("checks")))
    return Problem(
        id=str(info.get("index", "")),
        domain=domain,
        split=str(info.get("split", "train")),
        prompt=prompt,
        reference=reference,
        checks=checks,
        source="verl",
    )
