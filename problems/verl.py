"""Rows as verl has them, read and written: data_source, prompt, ability, reward_model, extra_info.

verl hands each row of a parquet file on as it is (verl/utils/dataset/rl_dataset.py, 0.9.1); `reward_model.ground_truth` and
`extra_info` reach the reward function. What a Problem has more than these goes into `extra_info`, where rewards/verl.py and the
set `verl` find it again; mappings as JSON, since a column of parquet has one type. Left out: pictures, and rows whose
conversation has begun already.

Others too have a `data_source` or a topic that they call "chain" or "primes", and mean no domain of the lab's. So what a row
calls itself counts only where it is a set that verl's or TinyZero's own scripts make (DATA_SOURCES); a domain of the lab's is
named by MARK, which nobody else writes.
"""

import json
from collections.abc import Mapping
from typing import Any

from problems.rows import mapping, plain
from problems.seeding import content_hash
from problems.types import Problem, ProblemError

# as verl's own sets call themselves (verl/utils/reward_score/__init__.py) -> the lab's domain
DATA_SOURCES = {
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
    "countdown": "countdown",  # TinyZero's (examples/data_preprocess/countdown.py)
}
MARK = "reasonlab_domain"  # of `extra_info`: the lab's domain
_OLDER = {"split", "index", "id", "domain", "question"}  # what we wrote into every row before there was MARK
_PICTURES = ("images", "videos", "audios")


def domain_named(data_source: str, extra_info: Mapping[str, Any]) -> str | None:
    """Return the domain that a row says: `extra_info` under MARK, else what `data_source` is to verl; None for any other."""
    if marked := extra_info.get(MARK):
        return str(marked)
    if extra_info.keys() >= _OLDER and extra_info["domain"] == data_source:
        return data_source
    return DATA_SOURCES.get(data_source, "math" if data_source.startswith("aime") else None)


def unnamed(data_source: str) -> str:
    """Return in words that nothing says which domain a row is of."""
    return (
        f"no domain is known for the data_source {data_source!r}, which is no set that verl prepares: its rows are others', "
        f"whatever they call themselves. The lab's domain is named by extra_info.{MARK} (math reads numbers and formulas)"
    )


def truth(given: Any, domain: str, checks: Mapping[str, Any]) -> tuple[str | None, Mapping[str, Any]]:
    """Return (reference, checks) that a `ground_truth` stands for, beside the checks that the row has already.

    A mapping, and of programs any text, are the checks themselves. Raises ProblemError for a list of several answers.
    """
    given = plain(given)
    if not checks and (isinstance(given, Mapping) or (domain == "code" and given is not None)):
        found = mapping(given, "ground_truth")
        return None, {"numbers" if name == "nums" else name: value for name, value in found.items()}  # TinyZero's countdown
    if isinstance(given, list) and len(given) == 1:
        given = given[0]
    if given is None or isinstance(given, str):
        return given, checks
    if isinstance(given, list | Mapping | bool):
        raise ProblemError(f"ground_truth must be one answer, found {given!r:.60}")
    return str(given), checks


def problem_of(row: Mapping[str, Any], split: str, where: str, domain: str | None = None) -> Problem:
    """Turn a row into a problem of `domain`, by default the one that it names; raises ProblemError that says `where`."""
    try:
        return _problem(plain(row), split, where, domain)
    except ProblemError as error:
        raise ProblemError(f"{where}: {error}") from None


def _problem(row: Mapping[str, Any], split: str, where: str, domain: str | None) -> Problem:
    missing = [name for name in ("data_source", "prompt", "reward_model") if row.get(name) is None]
    if missing:
        raise ProblemError(f"no {', '.join(missing)}; found the columns {', '.join(row)}")
    if pictures := [name for name in _PICTURES if row.get(name)]:
        raise ProblemError(f"has {', '.join(pictures)}; only texts are read")
    if not isinstance(row["data_source"], str):
        raise ProblemError(f"data_source must be a text, found {row['data_source']!r:.60}")
    info = mapping(row.get("extra_info"), "extra_info")
    domain = domain or domain_named(row["data_source"], info)
    if domain is None:
        raise ProblemError(f"{unnamed(row['data_source'])}, or for all rows by `verifier: NAME` beside the path")
    reward = row["reward_model"]
    if not isinstance(reward, Mapping) or "ground_truth" not in reward:
        raise ProblemError(f"reward_model must hold a ground_truth, found {reward!r:.60}")
    reference, checks = truth(reward["ground_truth"], domain, mapping(info.get("checks")))
    if reference is None and not checks:
        raise ProblemError("reward_model.ground_truth is empty and extra_info has no checks: nothing can verify it")
    prompt = _question(row["prompt"])
    solution = info.get("solution")
    if not isinstance(solution, str | None):
        raise ProblemError(f"extra_info.solution must be a text, found {solution!r:.60}")
    return Problem(
        id=str(info.get("id") or content_hash(domain, prompt, reference or json.dumps(checks, sort_keys=True))),
        domain=domain,
        split=split,
        prompt=prompt,
        reference=reference,
        checks=checks,
        difficulty=_difficulty(info.get("difficulty")),
        source=where,
        solution=solution,
    )


def _difficulty(given: Any) -> dict[str, int | float | str]:
    """Return the named parameters of a difficulty: a single value as `difficulty`, of an object its numbers and texts."""
    if isinstance(given, int | float) or (isinstance(given, str) and given and not given.lstrip().startswith("{")):
        return {"difficulty": given}
    found = mapping(given or None, "extra_info.difficulty")
    return {str(name): value for name, value in found.items() if isinstance(value, int | float | str)}


def _question(messages: Any) -> str:
    """Return what the messages of a prompt ask."""
    if not isinstance(messages, list) or not messages:
        raise ProblemError(f"prompt must be a list of messages, found {messages!r:.60}")
    for message in messages:
        if not isinstance(message, Mapping) or not isinstance(message.get("content"), str):
            raise ProblemError(f"a message of the prompt must hold a role and a text as content, found {message!r:.60}")
        if message.get("role") not in ("system", "user"):
            raise ProblemError(
                f"the prompt has a message of {message.get('role')!r:.20}; only questions are read, no conversations"
            )
    asked = "\n\n".join(message["content"] for message in messages).strip()
    if not asked:
        raise ProblemError("the prompt is empty")
    return asked


def row_of(problem: Problem, index: int) -> dict[str, Any]:
    """Return a problem as a row; `problem_of` gives the same problem back, but for where it stands."""
    extra_info = {
        "split": problem.split,
        "index": index,
        "id": problem.id,
        MARK: problem.domain,
        "question": problem.prompt,
        "checks": json.dumps(dict(problem.checks)) if problem.checks else None,
        "difficulty": json.dumps(dict(problem.difficulty)) if problem.difficulty else None,
        "solution": problem.solution,
    }
    return {
        "data_source": problem.domain,
        "prompt": [{"role": "user", "content": problem.prompt}],
        "ability": problem.domain,
        "reward_model": {"style": "rule", "ground_truth": problem.reference},
        "extra_info": extra_info,
    }


def parquet_of(problems: list[Problem]) -> bytes:
    """Return a parquet file of rows, whose columns have the same types whatever the problems leave out."""
    import io

    import pyarrow as arrow  # takes its time, and comes with `datasets`
    from pyarrow import parquet

    text = arrow.string()
    extra = [(name, text) for name in ("split", "id", MARK, "question", "checks", "difficulty", "solution")]
    schema = arrow.schema(
        [
            ("data_source", text),
            ("prompt", arrow.list_(arrow.struct([("role", text), ("content", text)]))),
            ("ability", text),
            ("reward_model", arrow.struct([("style", text), ("ground_truth", text)])),
            ("extra_info", arrow.struct([*extra, ("index", arrow.int64())])),
        ]
    )
    rows = [row_of(problem, index) for index, problem in enumerate(problems)]
    file = io.BytesIO()
    parquet.write_table(arrow.Table.from_pylist(rows, schema=schema), file)
    return file.getvalue()
