"""The cost and scale sheet (sheet.py) as JSON and in words, for a terminal."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rl.settings.disk import size_in_words
from rl.settings.sheet import PARTS, Column, Seconds, Sheet, other_settings

_DAY, _HOUR = 86_400, 3_600  # seconds


def as_record(sheet: Sheet) -> dict[str, Any]:
    """Return a sheet as an object of JSON: bytes and seconds, null where they are not known."""
    work = sheet.work
    return {
        "completion_tokens_a_step": work.sampled_tokens,
        "prompt_tokens_a_step": work.rollouts * work.prompt_tokens if sheet.prompts_are_known else None,
        "trained_tokens_a_step": work.trained_tokens if sheet.prompts_are_known else None,
        "rates": [{"run": str(one.run), "ranks": one.ranks, "steps": one.steps} for one in sheet.seen],
        "bandwidth": sheet.asked.bandwidth,
        "ranks": [_column_record(column, sheet) for column in sheet.columns],
    }


def _column_record(column: Column, sheet: Sheet) -> dict[str, Any]:
    seconds = column.seconds
    times = None
    if seconds is not None:
        parts = {name: getattr(seconds, name) for name in (*PARTS, "step")}
        times = {**parts, "steps_a_day": _DAY / seconds.step, "bound_by": seconds.bound_by}
    return {
        "ranks": column.ranks,
        "refused": column.refused,
        "micro_batches": column.micro_batches,
        "sent": None if column.sent is None else asdict(column.sent),
        "seconds": times,
    }


def lines(sheet: Sheet) -> list[str]:
    """Return a sheet in words, for a terminal."""
    return ["Scale", *_token_lines(sheet), *_sent_lines(sheet), *_time_lines(sheet)]


def _token_lines(sheet: Sheet) -> list[str]:
    work, limit = sheet.work, sheet.config.sampling.max_completion_tokens
    how_long = f"{work.completion_tokens:.4g} tokens"
    told = "the limit" if work.completion_tokens == limit else "as told"
    is_measured = sheet.seen and sheet.asked.completion_tokens is None
    source = f"measured in {sheet.seen[0].run}" if is_measured else told
    drawn = f"  tokens a step: {work.rollouts:.4g} completions of {how_long} ({source}) = {work.sampled_tokens:,.0f}"
    if not sheet.prompts_are_known:
        return [drawn + "; prompts come on top (--prompt-tokens N: their mean)"]
    learned = work.trained_groups * work.group_size
    return [
        f"{drawn}, after prompts of {work.prompt_tokens:.4g}",
        f"  learned from: {learned:.4g} of them, {work.trained_tokens:,.0f} tokens with their prompts",
    ]


def _sent_lines(sheet: Sheet) -> list[str]:
    known = [column for column in sheet.columns if column.sent is not None and column.ranks > 1]
    if not known:
        return []
    rows: list[tuple[str, ...]] = [("ranks", "gradients", "weights", "rollouts", "in all", "micro-batches")]
    for column in known:
        assert column.sent is not None
        sizes = (column.sent.gradients, column.sent.weights, column.sent.rollouts, column.sent.total)
        rows.append((str(column.ranks), *map(size_in_words, sizes), str(column.micro_batches)))
    what = f"ZeRO {sheet.config.deepspeed.stage}, {sheet.config.model.dtype}"
    least = "" if sheet.prompts_are_known else " at least, for prompts make it more micro-batches,"
    return [f"  each rank sends in a step{least} ({what}; collectives in rings):", *_table(rows)]


def _time_lines(sheet: Sheet) -> list[str]:
    refused = [f"    {column.ranks:>6}  cannot: {column.refused}" for column in sheet.columns if column.refused]
    if not sheet.seen:
        how = (
            "  times: not known; they are taken from a run: a few steps on one rank, with the settings of this one "
            "(train.steps=6, evaluation.every_steps=0), then --dry-run --rates RUN_DIRECTORY"
        )
        return [how, *refused]
    head = ("ranks", *PARTS, "step", "steps a day", "whole run", "bound by")
    rows: list[tuple[str, ...]] = [head]
    for column in sheet.columns:
        if column.seconds is not None:
            rows.append(_time_row(column.ranks, column.seconds, sheet.config.train.steps))
    taken = ", ".join(f"{one.run} ({one.steps} steps, {one.ranks} rank{'s' * (one.ranks > 1)})" for one in sheet.seen)
    return [f"  a step in seconds, from {taken}:", *_table(rows), *refused, *_remarks(sheet)]


def _time_row(ranks: int, seconds: Seconds, steps: int) -> tuple[str, ...]:
    sending = "?" if seconds.sending is None else f"{seconds.sending:.3g}"
    parts = [f"{seconds.sampling:.3g}", f"{seconds.rewards:.3g}", f"{seconds.update:.3g}", sending, f"{seconds.rest:.3g}"]
    hours = steps * seconds.step / _HOUR
    whole = f"{hours:.3g} h = {hours * ranks:.3g} rank-hours"
    bound = seconds.bound_by + (" or sending" if seconds.sending is None else "")
    return (str(ranks), *parts, f"{seconds.step:.3g}", f"{_DAY / seconds.step:,.0f}", whole, bound)


def _remarks(sheet: Sheet) -> list[str]:
    remarks = ["  left out: start, evaluations, checkpoints, waiting for the slowest rank"]
    for run in sheet.seen:
        if others := other_settings(run, sheet.config):
            remarks.append(f"  {run.run} had other settings: {'; '.join(others)}")
    if any(column.seconds is not None and column.seconds.sending is None for column in sheet.columns):
        remarks.append(
            "  sending (?) is in no sum: --bandwidth GB/s, as `reasonlab doctor --hostfile` measures it, and a model whose "
            "config.json is here"
        )
    if sheet.shares < 2:
        remarks.append(
            "  of one size only: more ranks take at least so long, since what a step takes whatever its size is not told "
            "apart; a second --rates of a run with fewer problems a step tells it"
        )
    return remarks


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines, each column as wide as its widest, numbers to the right."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return ["    " + "  ".join(f"{text:>{width}}" for text, width in zip(row, widths, strict=True)) for row in rows]
