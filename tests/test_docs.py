"""docs/losses.md keeps its promises: every row is a valid configuration, and nothing that exists is missing."""

import re
import shlex

import pytest
from support_pure import ROOT

from rl.settings.algorithm import AlgorithmSettings
from rl.settings.loading import load_config
from rl.settings.schema import RunConfig

TEXT = (ROOT / "docs" / "losses.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (.+?) \| `(algorithm\..+?)` \|", TEXT, re.MULTILINE)


@pytest.mark.parametrize(("paper", "settings"), ROWS, ids=[paper for paper, _ in ROWS])
def test_the_settings_of_every_paper_are_valid(paper: str, settings: str) -> None:
    loaded = load_config(RunConfig, [ROOT / "configs" / "demo.yaml"], shlex.split(settings))
    assert loaded.config.algorithm.loss in settings


def test_no_row_of_papers_escapes_the_test() -> None:
    table = TEXT.split("## Papers")[1].split("\n## ")[0]
    assert len(ROWS) == len(re.findall(r"^\|", table, re.MULTILINE)) - 2  # without the head and the rule below it


@pytest.mark.parametrize("field", ["loss", "advantage", "kl"])
def test_every_choice_is_described_and_used_by_a_paper(field: str) -> None:
    choices = AlgorithmSettings.model_json_schema()["properties"][field]["enum"]
    used = {word for _, settings in ROWS for word in shlex.split(settings)}
    assert not [choice for choice in choices if f"`{choice}`" not in TEXT]
    without_paper = {"bnpo", "k2"}  # a name of TRL's, an estimator of many
    assert not [choice for choice in choices if f"algorithm.{field}={choice}" not in used and choice not in without_paper]
