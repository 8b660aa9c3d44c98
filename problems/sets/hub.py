r"""Public sets by name, and any rows of the hub or of a file by naming their columns.

`{domain: hub, name: math500}` reads a set of problems/public.py from the hub; with `path:` from a local file or folder of the
same columns. `{domain: hub, name: org/set, columns: {prompt: question, reference: answer}}` reads any other. Rows become
problems of the domain whose verifier judges them ("math", "choice", "countdown", "code", ...), so the set itself has none.

A set for evaluation gives its rows to every split but `train`, whatever the hub calls them; asked for training it refuses,
unless `allow_training` is set. Left out: sets with pictures, and answers that are only right within a tolerance.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import Field

from problems.finite import FiniteSource, finite_source
from problems.public import PUBLIC_SETS, Extract, PublicSet
from problems.rows import Row, Splits, hub_files, hub_splits, local_splits
from problems.seeding import content_hash
from problems.sets.code import FORMATS
from problems.sets.gsm8k import gsm8k_problem
from problems.types import SPLITS, Problem, ProblemError, ProblemSet, SourceConfig

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_BOX = re.compile(r"\\(?:boxed|fbox|framebox)\s*(?:\{|(?=[^\s{]))")
_BARE = re.compile(r"\s*(?:\\[a-zA-Z]+|[^\s$.,;])+")
_BETWEEN = re.compile(r"(?:[\s,;$&]|\\\\|\\q?quad|\b(?:and|or)\b|\\text\s*\{\s*(?:and|or)\s*\})*")
_ASK_LETTER = "Answer with the letter of one of them."
_CHECKS = ("numbers", "target", "choices")
_NEEDED = ("prompt", "reference", *_CHECKS)
_FIELDS = (*_NEEDED, "solution", "id", "context")  # any other key of `columns` is a difficulty


class HubConfig(SourceConfig):
    """Settings of `hub`."""

    name: str = Field(description="a set of `reasonlab problems list`, or a data set of the hub; with `path`, any word")
    path: str | None = Field(default=None, description="local file (JSON, JSONL, .gz, parquet) or folder instead of the hub")
    revision: str | None = Field(default=None, description="commit of the hub data set; default: the one that is listed")
    subset: str | None = Field(default=None, description="configuration of the hub data set, where it has several")
    splits: dict[str, str] | None = Field(default=None, description="{train, validation, test: name of a split on the hub}")
    columns: dict[str, str] | None = Field(
        default=None, description="{prompt, reference, solution, ...: column}; any other key groups results, as difficulty"
    )
    verifier: str | None = Field(default=None, description="domain whose verifier judges; default: the set's own, or math")
    extract: Extract | None = Field(
        default=None, description="the reference in its column: text (as is), box, hashes (behind ####), letter"
    )
    allow_training: bool = Field(default=False, description="practise on a set that is for evaluation")


@dataclass(frozen=True)
class EvaluationSource(FiniteSource):
    """A set that measures models: there are no training problems in it."""

    def get(self, split: str, index: int) -> Problem:
        """Return item `index` of `split`; raises ProblemError for training."""
        if split == "train":
            raise ProblemError(
                f"{self.name} is for evaluation: a model that practised on it can no longer be measured by it. "
                f"Practise on another set, or set allow_training: true"
            )
        return super().get(split, index)


def public_set(config: HubConfig) -> PublicSet:
    """Return the set that `config` names, with what it says about columns; raises ProblemError where nothing says."""
    known = PUBLIC_SETS.get(config.name)
    if known is None and config.columns is None:
        raise ProblemError(
            f"{config.name!r} is no set of `reasonlab problems list` ({', '.join(PUBLIC_SETS)}); for another one say "
            f"`columns: {{prompt: COLUMN, reference: COLUMN}}`"
        )
    base = known or PublicSet(hub=config.name, revision=None, licence="unknown", sizes={})
    if config.subset is not None:
        base = replace(base, subsets=(config.subset,))
    if config.columns is not None:
        base = replace(base, columns=config.columns, format="columns")
    if config.verifier is not None:
        base = replace(base, domain=config.verifier)
    return base if config.extract is None else replace(base, extract=config.extract)


def load_hub(config: HubConfig, seed: int) -> FiniteSource:
    """Load a set by name, from the hub or from local files of the same columns."""
    listed = public_set(config)
    raw = _local(Path(config.path), listed) if config.path is not None else _from_hub(config, listed)
    convert = _converter(listed, is_lenient=config.columns is None)
    if not listed.evaluation:
        return finite_source(config.name, raw, convert, seed)
    rows = next(raw[split] for split in ("test", "validation", "train") if split in raw)
    every = {"validation": raw.get("validation", rows), "test": raw.get("test", rows)}
    if config.allow_training:
        every["train"] = rows
    source = finite_source(config.name, every, convert, seed)
    return source if config.allow_training else EvaluationSource(source.name, source.splits, seed)


def _from_hub(config: HubConfig, listed: PublicSet) -> Splits:
    revision = config.revision or listed.revision
    if listed.files and config.splits is None:
        return hub_files(listed.hub, revision, listed.files)
    splits = config.splits or dict(listed.splits) or None
    if unknown := [split for split in splits or () if split not in SPLITS]:
        raise ProblemError(
            f"splits: {', '.join(unknown)}: they are called {', '.join(SPLITS)} here, and then by the hub's name"
        )
    merged: Splits = {}
    for subset in listed.subsets or (None,):
        for split, (where, rows) in hub_splits(listed.hub, subset, revision, splits).items():
            before = merged.get(split, (where, []))
            merged[split] = (before[0], [*before[1], *rows])
    return merged


def _local(path: Path, listed: PublicSet) -> Splits:
    """Return the rows of a file or folder; a file is of the split that its name says, and of every split where it says none."""
    if not path.exists():
        raise ProblemError(f"no problem file or folder at {path}")
    named = [split for split in SPLITS if split in path.name.lower()]
    whole = [split for split in SPLITS if split in (listed.splits or listed.files or ("train", "test"))]
    raw = local_splits(path, named or whole)
    if named or not path.is_file() or not listed.numbered:
        return raw
    where, rows = next(iter(raw.values()))
    ranges = {split: range(first, last + 1) for split, (first, last) in listed.numbered.items()}
    by_split = {split: [row for row in rows if row.get("task_id") in wanted] for split, wanted in ranges.items()}
    return {split: (f"{where} ({split})", some) for split, some in by_split.items()}


def _converter(listed: PublicSet, is_lenient: bool) -> Callable[[Row, str, str], Problem]:
    """Return what makes a problem of a row, its split and its place; see `column_problem`."""
    if listed.format == "gsm8k":
        return gsm8k_problem
    if listed.format == "columns":
        return lambda row, split, where: column_problem(row, split, where, listed, is_lenient)
    read = FORMATS[listed.format]
    return lambda row, split, where: replace(read(row, where), split=split)


def column_problem(row: Row, split: str, where: str, listed: PublicSet, is_lenient: bool = False) -> Problem:
    """Turn a row into a problem by the names of its columns; an answer that is empty stays so, for `problems check` to find.

    `is_lenient`: columns that no verdict needs, a solution or a label, may be missing; copies of public sets drop them.
    """
    found = {
        name: _reach(row, column, where)
        for name, column in listed.columns.items()
        if name in _NEEDED or not is_lenient or column.split(".")[0] in row
    }
    checks = {name: found[name] for name in _CHECKS if found.get(name) is not None}
    reference = _reference(found["reference"], listed.extract, where) if "reference" in found else None
    if reference is None and not checks:
        raise ProblemError(f"{where}: a problem needs a `reference` column, or nothing can verify it")
    prompt = _prompt(found, listed, where)
    difficulty = {name: value for name, value in found.items() if name not in _FIELDS and isinstance(value, str | int | float)}
    solution = _text(found.get("solution")).strip()
    content = content_hash(listed.domain, prompt, reference if reference is not None else repr(sorted(checks.items())))
    return Problem(
        id=_text(found.get("id")) or content,
        domain=listed.domain,
        split=split,
        prompt=prompt,
        reference=reference,
        checks=checks,
        difficulty=difficulty,
        source=where,
        solution=solution or None,
    )


def _reach(row: Row, column: str, where: str) -> Any:
    """Return the value of a column, or of a part of it: `reward_model.ground_truth`."""
    value: Any = row
    for part in [column] if column in row else column.split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise ProblemError(f"{where}: missing column {column}; found {', '.join(map(str, row))}")
        value = value[part]
    return value


def _text(value: Any) -> str:
    """Return a cell as text: 142.0 as 142, a list by its items, nothing as an empty text."""
    if isinstance(value, list | tuple):
        return ", ".join(_text(item) for item in value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)


def _reference(value: Any, extract: Extract, where: str) -> str:
    if extract == "letter":
        return _letter(value, where)
    text = _text(value).strip()
    if extract == "box":
        return last_box(text) or ""
    if extract == "hashes":
        return text.rpartition("####")[2].strip().replace(",", "") if "####" in text else ""
    return text


def _letter(value: Any, where: str) -> str:
    """Return the letter of a choice that is given by its number from 0, or by itself."""
    text = _text(value).strip().upper()
    if text.isdecimal() and int(text) < len(LETTERS):
        return LETTERS[int(text)]
    if len(text) == 1 and text in LETTERS:
        return text
    raise ProblemError(f"{where}: a choice is given by its number from 0 or by its letter, found {value!r:.60}")


def last_box(text: str) -> str | None:
    r"""Return what the last `\boxed{...}` of a solution holds (or `\boxed 5`), None where it has none that closes.

    Boxes joined by nothing but commas, "and" or "or" are one answer of several values: `\boxed{-2} and \boxed{1}` is "-2, 1".
    """
    boxes = [_box_at(text, match) for match in _BOX.finditer(text)]
    if not boxes or boxes[-1] is None:
        return None
    values, (start, _, last) = [], boxes[-1]
    values.append(last)
    for before in reversed(boxes[:-1]):
        if before is None or not _BETWEEN.fullmatch(text[before[1] : start]):
            break
        values.append(before[2])
        start = before[0]
    return ", ".join(reversed(values))


def _box_at(text: str, match: re.Match[str]) -> tuple[int, int, str] | None:
    """Return (start, end, content) of the box that begins at `match`, None where it does not close."""
    start = match.end()
    if text[start - 1] != "{":
        bare = _BARE.match(text, start)
        return (match.start(), bare.end(), bare[0].strip()) if bare else None
    depth = 1
    for position in range(start, len(text)):
        escaped = text[position - 1] == "\\" and text[position - 2] != "\\"
        depth += 0 if escaped else {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return match.start(), position + 1, text[start:position].strip()
    return None


def _prompt(found: Mapping[str, Any], listed: PublicSet, where: str) -> str:
    if "prompt" not in found and {"numbers", "target"} <= found.keys():
        # the words of problems/domains/countdown.py
        return f"Use {','.join(map(str, found['numbers']))} to make {found['target']}."
    asked = found.get("prompt")
    if isinstance(asked, list):  # messages; the last one asks
        asked = asked[-1].get("content") if asked and isinstance(asked[-1], Mapping) else None
    if not isinstance(asked, str) or not asked.strip():
        raise ProblemError(
            f"{where}: column {listed.columns.get('prompt', 'prompt')} must hold a question, found {asked!r:.60}"
        )
    if listed.wrapped is not None:
        before, behind = listed.wrapped
        asked = asked.rpartition(before)[2].partition(behind)[0]
    if context := _text(found.get("context")).strip():
        asked = f"{context}\n\n{asked}"
    if "choices" not in found:
        return asked.strip()
    options = [f"{letter}. {_text(choice)}" for letter, choice in zip(LETTERS, found["choices"], strict=False)]
    return "\n".join([asked.strip(), "", *options, "", _ASK_LETTER])


SET = ProblemSet(name="hub", config=HubConfig, load=load_hub, verifier=None)
