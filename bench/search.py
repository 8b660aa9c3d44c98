"""The search for TRL's best settings: each variant twice on the same work, the second time counts.

What is not tried, and why: liger-kernel (TRL 1.16 scores completions through its own chunked LM head; liger needs a GPU),
vLLM (no CPU wheel among our dependencies), more than one iteration or an older policy (another algorithm).
"""

from pathlib import Path
from typing import Any

from bench.compare import Say, rollouts_of
from bench.material import pool_of, run_config
from bench.ours import OurSide
from bench.theirs import TrlSide
from bench.work import Work
from problems.progress import followed

_UPDATE: tuple[dict[str, Any], ...] = (
    {},
    {"bf16": True},
    {"attention": "eager"},
    {"gradient_checkpointing": True},
    {"torch_compile": True},
)
_SAMPLE: tuple[dict[str, Any], ...] = (
    {},
    {"bf16": True},
    {"generation_kwargs": {"cache_implementation": "static"}},
    {"use_transformers_continuous_batching": True},
)


def variants(bench: str, work: Work) -> list[dict[str, Any]]:
    """Return the settings to try: those above, and micro-batches of 1/4 and 1/16 of the rows, each also in bf16."""
    cuts = [{"micro": work.rows // 4}, {"micro": max(1, work.rows // 16)}]
    return [*_SAMPLE] if bench == "sample" else [*_UPDATE, *cuts, *({**cut, "bf16": True} for cut in cuts)]


def search(bench: str, work: Work, model: Path, say: Say) -> list[tuple[dict[str, Any], float | None]]:
    """Return (settings, seconds) of every variant, fastest first; None for one that does not run here."""
    with pool_of(work, run_config(work, model)) as pool:
        ours = OurSide(work, model, pool)
        groups = rollouts_of(work, ours)
    found: list[tuple[dict[str, Any], float | None]] = []
    for extra in followed(variants(bench, work), f"  {bench}, settings"):
        try:
            side = TrlSide(work, model, groups, extra)
            seconds: float | None = [getattr(side, bench)().seconds for _ in range(2)][-1]
            side.close()
        except Exception as error:  # whatever a setting breaks inside TRL is an answer of the search
            say(f"  {extra}: {type(error).__name__}: {str(error).strip().splitlines()[0][:200]}")
            seconds = None
        else:
            say(f"  {extra or 'plain'}: {seconds:.2f} s")
        found.append((extra, seconds))
    return sorted(found, key=lambda pair: (pair[1] is None, pair[1]))
