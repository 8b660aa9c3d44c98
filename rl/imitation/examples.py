"""Worked examples: written by the problem sources, rendered with the same prompt code as sampling, packed into rows.

Rows are filled in the order in which the examples were drawn: lengths stay mixed in every batch. (Batches sorted by length, and
so by style, learn nothing.)
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TypedDict

import numpy as np
import torch

from problems.catalog import build_source, owner, solve
from problems.seeding import derive_rng, derive_seed
from problems.types import STYLES, Problem, ProblemError, ProblemSource
from rl.policy.interfaces import Tokenizer
from rl.policy.prompts import render
from rl.runtime import uploaded
from rl.settings.schema import SftConfig
from rl.types import IntArray, Row
from rl.update.batch import uniform_row
from rl.update.packing import Layout, Segment, TokenRows

_WORTH_SHARING = 8  # tokens
Example = tuple[list[int], list[int]]  # prompt ids, completion ids


def examples(config: SftConfig, tokenizer: Tokenizer, first: int = 0) -> Iterator[Example]:
    """Yield worked examples without end, from number `first` on; the n-th is the same in every process."""
    source = build_source(config.problems, derive_seed("sft", config.run.seed))
    for index in count(first):
        rng = derive_rng("style", config.run.seed, index)
        styles = config.styles_of(owner(source, "train", index))
        yield worked_example(source.get("train", index), rng.choices(STYLES, styles.shares())[0], config, tokenizer)


def held_out_source(config: SftConfig) -> ProblemSource:
    """Return where the problems come from that `reasonlab train` evaluates with too."""
    return build_source(config.evaluation.problems or config.problems, derive_seed("eval"))


def held_out_examples(config: SftConfig, source: ProblemSource, tokenizer: Tokenizer) -> tuple[list[Problem], list[Row]]:
    """Return problems of `source`, which is held out, and a worked example of each.

    Each is written in a style of its own drawing, the same whatever the seed of the run. Raises ProblemError for a problem
    that has no worked solution.
    """
    settings = config.evaluation
    problems, rows = [], []
    for index in range(settings.num_problems):
        problem = source.get(settings.split, index)
        styles = config.styles_of(owner(source, settings.split, index))
        style = derive_rng("held-out style", problem.id).choices(STYLES, styles.shares())[0]
        problems.append(problem)
        rows.append(as_row(worked_example(problem, style, config, tokenizer)))
    return problems, rows


def worked_example(problem: Problem, style: str, config: SftConfig, tokenizer: Tokenizer) -> Example:
    """Return prompt and solution of `problem` as tokens."""
    solution = tokenizer(solve(problem, style), add_special_tokens=False).input_ids
    return render(problem, config.prompt, tokenizer).tolist(), [*solution, tokenizer.eos_token_id]


def as_row(example: Example) -> Row:
    """Return an example as a row of the update."""
    prompt, completion = (np.array(part, dtype=np.int32) for part in example)
    return uniform_row(prompt, completion, np.zeros(len(completion), np.float32))


def check_room(tokens: int, max_positions: int | None) -> None:
    """Raise ProblemError where a model of `max_positions` cannot read an example of so many tokens."""
    if max_positions is not None and tokens > max_positions:
        raise ProblemError(
            f"a worked example has {tokens} tokens and the model reads at most {max_positions}: leave such problems out, have "
            "them answered in a shorter style (styles), or take another model"
        )


def packed_rows(
    stream: Iterator[Example], row_tokens: int, packing: bool, max_positions: int | None = None
) -> Iterator[list[Example]]:
    """Yield rows; with `packing` each is filled until the next example does not fit.

    Raises ProblemError for an example longer than a row, or than `max_positions`.
    """
    row: list[Example] = []
    room = row_tokens
    for prompt, completion in stream:
        length = len(prompt) + len(completion)
        if length > row_tokens:
            raise ProblemError(
                f"a worked example has {length} tokens and sft.row_tokens is {row_tokens}: raise it, or leave such problems out"
            )
        check_room(length, max_positions)
        is_full = length > room or not packing
        if row and is_full:
            yield row
            row, room = [], row_tokens
        row.append((prompt, completion))
        room -= length


class Drawn(TypedDict):
    """A row as the data set yields it."""

    examples: list[Example]
    end: int  # examples drawn so far, this row included


def drawn_rows(config: SftConfig, tokenizer: Tokenizer, first: int = 0, max_positions: int | None = None) -> Iterator[Drawn]:
    """Yield the rows of a run without end, from example number `first` on."""
    end = first
    stream = examples(config, tokenizer, first)
    for row in packed_rows(stream, config.sft.row_tokens, config.sft.packing, max_positions):
        end += len(row)
        yield Drawn(examples=row, end=end)


@dataclass(frozen=True, kw_only=True, eq=False)
class Examples:
    """The examples of one optimizer step on one rank. No list, which accelerate would walk through number by number."""

    rows: tuple[Row, ...]
    end: int  # examples drawn for this step and all before it, on the ranks up to this one


def collate(batch: Sequence[Drawn]) -> dict[str, Examples | torch.Tensor]:
    """Return the examples of a batch of rows, and all tokens of their completions [N], by which the trainer counts."""
    rows = tuple(as_row(example) for row in batch for example in row["examples"])
    learned = targets(rows)
    # under both names: by `labels` transformers knows that there is something to count, and it counts `shift_labels`
    return {"examples": Examples(rows=rows, end=batch[-1]["end"]), "labels": learned, "shift_labels": learned}


def targets(rows: Sequence[Row]) -> torch.Tensor:
    """Return the tokens of all completions [N], in the order of the rows."""
    return torch.from_numpy(np.concatenate([row.completion_ids for row in rows]).astype(np.int64))


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
