"""Worked examples: written by the problem sources, rendered with the same prompt code as sampling, packed into rows.

Rows are filled in the order in which the examples were drawn: lengths stay mixed in every batch. (Batches sorted by length, and
so by style, learn nothing.)
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from problems.catalog import build_source, solve
from problems.seeding import derive_rng, derive_seed
from problems.types import STYLES, ProblemError
from rl.policy.interfaces import Tokenizer
from rl.policy.prompts import render
from rl.runtime import uploaded
from rl.settings.schema import SftConfig
from rl.types import IntArray, Row
from rl.update.batch import uniform_row
from rl.update.packing import Layout, Segment, TokenRows

_WORTH_SHARING = 8  # tokens
Example = tuple[list[int], list[int]]  # prompt ids, completion ids


def examples(config: SftConfig, tokenizer: Tokenizer) -> Iterator[Example]:
    """Yield worked examples without end; the n-th is the same in every process."""
    source = build_source(config.problems, derive_seed("sft", config.run.seed))
    index = 0
    while True:
        problem = source.get("train", index)
        rng = derive_rng("style", config.run.seed, index)
        style = rng.choices(STYLES, config.styles.shares())[0]
        solution = tokenizer(solve(problem, style), add_special_tokens=False).input_ids
        prompt = render(problem, config.prompt, tokenizer).tolist()
        yield prompt, [*solution, tokenizer.eos_token_id]
        index += 1


def packed_rows(stream: Iterator[Example], row_tokens: int, packing: bool) -> Iterator[list[Example]]:
    """Yield rows; with `packing` each is filled until the next example does not fit.

    Raises ProblemError for an example longer than a row.
    """
    row: list[Example] = []
    room = row_tokens
    for prompt, completion in stream:
        length = len(prompt) + len(completion)
        if length > row_tokens:
            raise ProblemError(
                f"a worked example has {length} tokens and sft.row_tokens is {row_tokens}: raise it, or leave such problems out"
            )
        is_full = length > room or not packing
        if row and is_full:
            yield row
            row, room = [], row_tokens
        row.append((prompt, completion))
        room -= length


@dataclass(frozen=True, kw_only=True, eq=False)
class Examples:
    """The examples of one optimizer step on one rank. No list, which accelerate would walk through number by number."""

    rows: tuple[Row, ...]


def collate(batch: list[dict[str, list[Example]]]) -> dict[str, Examples | torch.Tensor]:
    """Return the examples of a batch of rows, and all tokens of their completions [N], by which the trainer counts."""
    rows = []
    for row in batch:
        for prompt, completion in row["examples"]:
            ids, learned = (np.array(part, dtype=np.int64) for part in (prompt, completion))
            rows.append(uniform_row(ids, learned, np.zeros(len(learned), np.float32)))
    learned = torch.from_numpy(np.concatenate([row.completion_ids for row in rows]))
    # under both names: by `labels` transformers knows that there is something to count, and it counts `shift_labels`
    return {"examples": Examples(rows=tuple(rows)), "labels": learned, "shift_labels": learned}


def lay_out(rows: Sequence[Row], device: torch.device) -> TokenRows:
    """Lay examples out in one packed row; the last token of each predicts nothing and is left out.

    What all prompts begin with (a chat template's system message, often half of an example) stands once, in front, and every
    example sees it; the rest of each is a single causal stretch. rl/update/packing.py:pack shares whole prompts instead.
    """
    shared = common_start([row.prompt_ids for row in rows])
    ids, position_ids, predicted = [rows[0].prompt_ids[:shared]], [np.arange(shared)], []
    segments: list[Segment] = [(0, shared)] if shared else []
    end = shared
    for row in rows:
        own = np.concatenate([row.prompt_ids[shared:], row.completion_ids[:-1]])
        first = end + len(row.prompt_ids) - shared - 1
        predicted.append(np.arange(first, first + len(row.completion_ids)))
        ids.append(own)
        position_ids.append(np.arange(shared, shared + len(own)))
        segments.append((end, len(own)))
        end += len(own)

    def flat(parts: list[np.ndarray]) -> torch.Tensor:
        return uploaded(np.concatenate(parts).astype(np.int64), device)

    pairs = (((0, shared), (shared, end - shared)),) if shared else ()
    return TokenRows(
        input_ids=flat(ids)[None],
        positions=flat(predicted),
        position_ids=flat(position_ids)[None],
        layout=Layout(segments=tuple(segments), pairs=pairs, device=device),
    )


def common_start(prompts: Sequence[IntArray]) -> int:
    """Return how many tokens all `prompts` begin with, their last ones left out: from these a first token is predicted.

    0 for a single prompt, and where it is too little to be worth a second attention call.
    """
    shortest = min(len(prompt) for prompt in prompts) - 1
    if len(prompts) == 1 or shortest < _WORTH_SHARING:
        return 0
    starts = np.stack([prompt[:shortest] for prompt in prompts])
    differs = (starts != starts[0]).any(axis=0)
    shared = int(differs.argmax()) if differs.any() else shortest
    return shared if shared >= _WORTH_SHARING else 0
