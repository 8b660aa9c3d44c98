"""What stays of a source by pass rates and after decontamination: the right problems in a fixed order, or an error in words."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError
from support_pure import PARITY

from problems.catalog import AnySource, build_source, source_seed
from problems.finite import FiniteSource
from problems.selection import Selecting, header_path, practised, practised_hash
from problems.types import ProblemError, ProblemSource

COUNT = 40


def entry(**settings: Any) -> AnySource:
    found: AnySource = TypeAdapter(AnySource).validate_python(settings)
    return found


def opened(seed: int = 0, **settings: Any) -> ProblemSource:
    return build_source([entry(**settings)], seed)


def selection(file: Path, kind: Selecting, rows: list[dict[str, Any]], **about: Any) -> str:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    header_path(file).write_text(json.dumps({"kind": kind, "lines": len(rows), **about}))
    return str(file)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a set of its own in `set/`: problems t0 to t39 for training, e0 and e1 held out."""
    (tmp_path / "set").mkdir()
    for split, letter, count in (("train", "t", COUNT), ("validation", "v", 3), ("test", "e", 2)):
        rows = [{"id": f"{letter}{i}", "prompt": f"{letter} {i}?", "reference": str(i)} for i in range(count)]
        (tmp_path / "set" / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def rated(home: Path, count: int = COUNT) -> str:
    rows = [{"id": f"t{i}", "n": 40, "correct": i, "rate": i / 40} for i in range(count)]
    return selection(home / "rates.jsonl", "rates", rows, split="train")


def test_problems_between_the_bounds_stay_and_other_splits_are_whole(home: Path) -> None:
    source = opened(domain="jsonl", path=str(home / "set"), rates=rated(home), keep=[0.1, 0.5])
    assert isinstance(source, FiniteSource)
    assert [one.id for one in source.splits["train"]] == [f"t{i}" for i in range(4, 21)]  # 4/40 to 20/40, both included
    assert [len(source.splits[split]) for split in ("validation", "test")] == [3, 2]
    first_pass = [source.get("train", i).id for i in range(17)]
    assert sorted(first_pass) == sorted(f"t{i}" for i in range(4, 21))
    again = opened(domain="jsonl", path=str(home / "set"), rates=rated(home), keep=[0.1, 0.5])
    assert [again.get("train", i).id for i in reversed(range(17))] == first_pass[::-1]


def test_what_was_not_rated_or_not_scored_is_left_out_and_the_bounds_have_a_default(home: Path) -> None:
    rows = [{"id": "t1", "n": 0, "correct": 0, "rate": None}, {"id": "t2", "n": 8, "correct": 4, "rate": 0.5}]
    rows.append({"id": "t3", "n": 8, "correct": 8, "rate": 1.0})
    file = selection(home / "rates.jsonl", "rates", rows, split="train")
    source = opened(domain="jsonl", path=str(home / "set"), rates=file)
    assert isinstance(source, FiniteSource)
    assert [one.id for one in source.splits["train"]] == ["t2"]


def test_a_source_without_end_becomes_the_pool_that_was_rated(tmp_path: Path) -> None:
    seed = source_seed(7)
    rated_problems = [opened(7, domain="chain").get("train", i) for i in range(30)]
    rows = [{"id": one.id, "n": 8, "correct": i % 3, "rate": (i % 3) / 8} for i, one in enumerate(rated_problems)]
    file = selection(tmp_path / "rates.jsonl", "rates", rows, split="train", source_seed=seed, problems=30)
    source = opened(0, domain="chain", rates=file, keep=[0.2, 1])  # the training has another seed
    wanted = {one.id for i, one in enumerate(rated_problems) if i % 3 == 2}
    assert {source.get("train", i).id for i in range(len(wanted))} == wanted
    assert source.get("test", 0) == opened(0, domain="chain").get("test", 0)
    assert {source.get("train", i).split for i in range(50)} == {"train"}
    with pytest.raises(ProblemError, match="measured on other problems"):
        opened(0, domain="chain", terms=[7, 9], rates=file)


@pytest.mark.parametrize("kind", ["an entry of a mixture", "alone"])
def test_a_mixture_draws_from_what_is_left(home: Path, kind: str) -> None:
    entries = [entry(domain="jsonl", path=str(home / "set"), rates=rated(home), keep=[0.5, 0.6])]
    entries += [entry(domain="chain")] if kind != "alone" else []
    source = build_source(entries, 0)
    drawn = {one.id for i in range(200) if (one := source.get("train", i)).domain == "math"}
    assert drawn == {f"t{i}" for i in range(20, 25)}


def test_faults_are_told_in_words(home: Path) -> None:
    place: dict[str, Any] = {"domain": "jsonl", "path": str(home / "set")}
    with pytest.raises(
        ProblemError, match=r"no train problem with a pass rate from 0\.98 to 1\.0: 40 were rated, from 0 to 0\.975"
    ):
        opened(**place, rates=rated(home), keep=[0.98, 1])
    with pytest.raises(ProblemError, match=r"1 of its 41 are not among the 40 train problems .* \(the first is t40\)"):
        opened(**place, rates=rated(home, 41))
    with pytest.raises(ProblemError, match=r"no readable header none\.about\.json"):
        opened(**place, rates=str(home / "none.jsonl"))
    with pytest.raises(ProblemError, match="no header of `reasonlab problems decontaminate`"):
        opened(**place, without=rated(home))
    with pytest.raises(ValidationError, match="needs rates"):
        entry(**place, keep=[0.1, 0.9])
    with pytest.raises(ValidationError, match=r"0\.9 is above 0\.1"):
        entry(**place, rates="x", keep=[0.9, 0.1])
    torn = Path(rated(home))
    torn.write_text(torn.read_text().partition("\n")[0] + "\n")
    with pytest.raises(ProblemError, match="has 1 lines and its header says 40"):
        opened(**place, rates=str(torn))


@pytest.mark.parametrize("changed", ["rates.jsonl", "rates.about.json"])
def test_what_chooses_problems_is_recorded_by_its_content_and_another_is_refused(home: Path, changed: str) -> None:
    place: dict[str, Any] = {"domain": "jsonl", "path": str(home / "set")}
    recorded = entry(**place, rates=rated(home), keep=[0.1, 0.5]).model_dump(mode="json")
    assert re.fullmatch("[0-9a-f]{16}", recorded["rates_hash"])
    assert recorded["without_hash"] is None
    opened(**recorded)  # the very file
    text = (home / changed).read_text()
    (home / changed).write_text(text.replace("0.225", "0.725") if changed == "rates.jsonl" else text.replace(",", ", "))
    with pytest.raises(
        ProblemError, match=rf"rates\.jsonl or its header has changed: their hash was {recorded['rates_hash']}, now"
    ):
        opened(**recorded)
    again = entry(**{**recorded, "rates_hash": None})
    assert again.rates_hash not in (None, recorded["rates_hash"])
    assert entry(**{**recorded, "rates": None, "keep": None}).rates_hash is None  # of a file that is named no longer


def test_a_file_that_cannot_be_read_is_told_when_it_is_opened(home: Path) -> None:
    config = entry(domain="jsonl", path=str(home / "set"), without=str(home / "not-there.jsonl"))
    assert config.without_hash is None
    with pytest.raises(ProblemError, match="no readable header"):
        build_source([config], 0)


def removed(home: Path, *ids: str) -> str:
    source = opened(domain="jsonl", path=str(home / "set"))
    assert isinstance(source, FiniteSource)
    about = {"problems": COUNT + 3, "practised_hash": practised_hash(practised(source)), "name": "mine"}
    return selection(home / "removed.jsonl", "removed", [{"id": one} for one in ids], **about)


def test_what_was_removed_is_gone_from_practice_and_stays_where_it_is_measured(home: Path) -> None:
    file = removed(home, "t3", "v1", "e1")
    source = opened(domain="jsonl", path=str(home / "set"), without=file)
    assert isinstance(source, FiniteSource)
    assert {split: len(problems) for split, problems in source.splits.items()} == {"train": 39, "validation": 2, "test": 2}
    both = opened(domain="jsonl", path=str(home / "set"), without=file, rates=rated(home), keep=[0.05, 0.1])
    assert isinstance(both, FiniteSource)
    assert [one.id for one in both.splits["train"]] == ["t2", "t4"]
    nothing = opened(domain="jsonl", path=str(home / "set"), without=removed(home))
    assert isinstance(nothing, FiniteSource)
    assert len(nothing.splits["train"]) == COUNT


def test_a_list_of_removals_serves_the_very_problems_it_was_made_of(home: Path) -> None:
    file = removed(home, "t3")
    with open(home / "set" / "train.jsonl", "a") as train:
        train.write('{"id": "new", "prompt": "nobody has looked at this", "reference": "1"}\n')
    with pytest.raises(ProblemError, match=r"made of other problems \(43 of mine\) than the 44"):
        opened(domain="jsonl", path=str(home / "set"), without=file)
    with pytest.raises(ProblemError, match="only sets have a list"):
        opened(domain="chain", without=file)


def test_no_domain_of_ones_own_gives_these_settings_another_meaning(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(PARITY.replace("largest", "keep").replace("parity", "kept_parity"))
    with pytest.raises(ValidationError, match="a setting cannot be called 'keep'"):
        entry(python=str(file))
