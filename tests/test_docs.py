"""docs/losses.md keeps its promises: every row is a valid configuration, and nothing that exists is missing."""

import re
import shlex

import pytest
from support_domains import draw
from support_pure import ROOT

from problems.catalog import DOMAINS
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


def test_the_examples_of_domains_are_what_the_domains_make() -> None:
    text = (ROOT / "docs" / "domains.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\d) \| `(.+?)` `(.+?)` \| `(.+?)` `(.+?)` \|$", text, re.MULTILINE)
    assert len(rows) == len(re.findall("^\\| `", text, re.MULTILINE))  # no row escapes
    for name, levels, *examples in rows:
        assert len(DOMAINS[name].levels) == int(levels)
        made = [draw(name, level, "train", 1)[0] for level in (1, int(levels))]
        assert examples == [text for item in made for text in (item.prompt, item.reference)], name
    blocks = re.findall(r"^`(\w+)`, (\d) levels: (?:(?!^`).)*?````text\n(.+?)\n````$", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) == text.count("````text\n")
    for name, levels, prompt in blocks:
        assert len(DOMAINS[name].levels) == int(levels)
        assert prompt == draw(name, 1, "train", 1)[0].prompt


def files_of_the_tree(text: str) -> set[str]:
    """Return the source files that README's tree names: folders by indentation, several files of a folder on a line."""
    named: set[str] = set()
    folders: list[tuple[int, str]] = []
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        folders = [(depth, name) for depth, name in folders if depth < indent]
        word = line.split()[0]
        if word.endswith("/"):
            folders.append((indent, word.rstrip("/")))
        folder = "/".join(name for _, name in folders)
        named |= {f"{folder}/{file}" for file in re.findall(r"\w+\.(?:py|c)\b", line)}
    return named


def test_the_tree_of_the_readme_names_every_file_and_no_other() -> None:
    tree = (ROOT / "README.md").read_text(encoding="utf-8").split("## The tree")[1].split("```")[1].strip("\n")
    files: set[str] = set()
    for layer in ("problems", "rewards", "rl", "bench", "launch"):
        for file in [*(ROOT / layer).rglob("*.py"), *(ROOT / layer).rglob("*.c")]:
            files.add(file.relative_to(ROOT).as_posix())
    faces = {file for file in files if file.endswith("__init__.py")}
    named = files_of_the_tree(tree)
    assert named <= files
    # a domain or a set is one file and nothing else, so the README need not know it
    found_by_being_there = {file for file in files if file.startswith(("problems/domains/", "problems/sets/"))}
    assert files - faces - named <= found_by_being_there


def test_what_contributing_points_at_is_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    pointers = re.findall(r"`((?:problems|rewards|rl|bench|launch|tests)/[\w/]+\.\w+)(?::([\w.]+))?`", text)
    assert len(pointers) > 20
    for file, name in pointers:
        source = (ROOT / file).read_text(encoding="utf-8")
        last = name.rsplit(".", 1)[-1]
        assert not name or re.search(rf"^\s*(?:def|class) {last}\b|^{last}\b", source, re.MULTILINE), f"{file}:{name}"


def test_no_text_holds_the_marks_of_a_merge_that_nobody_finished():
    texts = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("configs/**/*.yaml"), *ROOT.glob("problems/**/*.txt")]
    assert len(texts) > 20
    assert [text.name for text in texts if re.search(r"^(<{7} |={7}$|>{7} )", text.read_text(encoding="utf-8"), re.M)] == []
