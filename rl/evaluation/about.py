"""What another must know to get the same numbers, and whether two evaluations may be set side by side.

A resumed evaluation must share all that `about` returns with what it goes on from; two evaluations must share `COMPARED` of it
for their difference to be the models'.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from problems.seeding import content_hash
from problems.selection import HASHES
from problems.types import Problem
from rl.policy.content import content_of
from rl.policy.paths import snapshot_of
from rl.settings.evaluation import EvalConfig
from rl.settings.schema import ModelSettings
from rl.tracking.run_directory import JsonDict

WHICH = "model_fingerprint"
_WEIGHTS = ("*.safetensors", "*.bin", "*.gguf")
_OF_ALL = "sha256:"  # begins a fingerprint; older versions hashed only size and ends of each file, and wrote 16 digits
# model.path and how often may differ between two evaluations that are compared; seeds and templates of models do
COMPARED = ("prompt", "sampling", "reading", "verifier", "verifying")


def problems_hash(problems: Sequence[Problem]) -> str:
    """Return a hash of what is asked and of what the answers are held against, in order."""
    return content_hash(*[json.dumps([p.id, p.domain, p.prompt, p.reference, dict(p.checks)], default=str) for p in problems])


def fingerprint(model: ModelSettings) -> str | None:
    """Return a hash of the weights on this machine, of all that their files hold; None where there are none (yet)."""
    place = snapshot_of(model) or Path(model.path)
    files = [place] if place.is_file() else sorted(file for pattern in _WEIGHTS for file in place.glob(pattern))
    if not files:
        return None
    named = "\n".join(f"{file.name} {content_of(file)}" for file in files)
    return f"{_OF_ALL}{hashlib.sha256(named.encode()).hexdigest()[:16]}"


def knows_ends_only(fingerprint: str | None) -> bool:
    """Whether a fingerprint is one of an older version, which models that differ inside of their files may share."""
    return fingerprint is not None and not fingerprint.startswith(_OF_ALL)


def about(config: EvalConfig, problems: Sequence[Problem], template_hash: str | None) -> JsonDict:
    """Return what is asked, of whom and how; `template_hash` is None where an endpoint renders the prompts."""
    drawing = ("temperature", "top_p", "top_k", "stop", "min_completion_tokens", "max_completion_tokens", "thinking")
    endpoint = config.model.endpoint
    snapshot = None if endpoint else snapshot_of(config.model)
    return {
        "model": config.model.path,
        "model_revision": config.model.revision,
        "model_commit": snapshot and snapshot.name,
        # the weights of a hub model may not be here yet; its commit stands for them until there are results
        WHICH: None if endpoint or snapshot else fingerprint(config.model),
        "endpoint": None if endpoint is None else endpoint.model_dump(mode="json", include={"url", "api"}),
        "dtype": config.model.dtype,
        "sources": [source.model_dump(mode="json") for source in config.problems],
        "split": config.split,
        "problem_seed": config.problem_seed,
        "problems_hash": problems_hash(problems),
        "cluster": config.cluster,
        "prompt": config.prompt.model_dump(mode="json"),
        "template_hash": template_hash,
        "sampling": config.sampling.model_dump(mode="json", include=set(drawing)),
        "n": config.samples,
        "seed": config.run.seed,
        "reading": config.reward.reading,
        "verifier": None if config.reward.own is None else f"{config.reward.own.label}, {config.reward.file_hash}",
        "verifying": {
            **config.reward.model_dump(mode="json", include={"timeout_seconds", "memory_megabytes"}),
            "sandbox": config.sandbox.model_dump(mode="json"),
        },
    }


def differences(first: JsonDict, second: JsonDict, keys: Sequence[str]) -> list[str]:
    """Return in words what differs under `keys`, tables by their own keys and lists of tables by their places."""
    found = []
    for key in keys:
        one, other = _as_tables(first.get(key), second.get(key))
        if isinstance(one, dict) and isinstance(other, dict):
            found += [f"{key}.{line}" for line in differences(one, other, list(dict.fromkeys([*one, *other])))]
        elif one != other and not (key in HASHES and one is None):  # an older version has not written it down
            ends = ", of which the former knows only the ends of the files" if key == WHICH and knows_ends_only(one) else ""
            found.append(f"{key}: {_short(one)} and {_short(other)}{ends}")
    return found


def _as_tables(one: Any, other: Any) -> tuple[Any, Any]:
    """Return two lists of as many tables as tables by their places, anything else as it is."""
    lists = isinstance(one, list) and isinstance(other, list) and len(one) == len(other)
    if not lists or not all(isinstance(item, dict) for item in [*one, *other]):
        return one, other
    return {str(i): item for i, item in enumerate(one)}, {str(i): item for i, item in enumerate(other)}


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else f"{text[:117]}..."
