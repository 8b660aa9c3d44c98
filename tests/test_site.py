"""The documentation site: no link leads nowhere, every page is in the menu, and the reference holds all that there is."""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache

import pytest
import yaml
from support_pure import ROOT, run_python

from docs.made.commands import help_of
from docs.made.pages import linked, made_pages
from launch.cli import COMMANDS
from launch.problems import ACTIONS
from problems.catalog import SOURCE_MODELS
from rl.settings.arguments import settings_help
from rl.settings.evaluation import EvalConfig
from rl.settings.schema import RunConfig, SftConfig

_FENCE = re.compile(r"^(`{3,}).*?^\1`*$", re.MULTILINE | re.DOTALL)


@cache
def pages() -> dict[str, str]:
    """Return every page of the site by its place below docs/."""
    written = {file.name: file.read_text(encoding="utf-8") for file in (ROOT / "docs").glob("*.md")}
    return {place: linked(text, place) for place, text in {**written, **made_pages(ROOT)}.items()}


def without_code(text: str) -> str:
    return re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", "`code`", _FENCE.sub("", text))


def links(text: str) -> Iterator[str]:
    """Yield where the links and pictures of a page lead, but for those that leave the site."""
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(text)):
        if not re.match(r"https?:", target):
            yield target


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as Python-Markdown makes them; a second heading of one name gets `_1`."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} (.+)$", _FENCE.sub("", text), re.MULTILINE):
        said = unicodedata.normalize("NFKD", re.sub(r"\]\([^)]*\)", "", heading)).encode("ascii", "ignore").decode()
        anchor = re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", said).strip().lower())
        number = 1
        while anchor in found:
            anchor, number = f"{anchor.removesuffix(f'_{number - 1}')}_{number}", number + 1
        found.add(anchor)
    return found


def resolved(place: str, target: str) -> str:
    """Return the place that a relative link of the page at `place` leads to."""
    parts = place.split("/")[:-1]
    for part in target.split("/"):
        parts = parts[:-1] if part == ".." else [*parts, part]
    return "/".join(parts)


def test_every_link_and_anchor_of_the_site_leads_somewhere() -> None:
    broken, followed = [], 0
    for place, text in pages().items():
        for link in links(text):
            target, _, anchor = link.partition("#")
            where = resolved(place, target) if target else place
            followed += 1
            is_there = where in pages() or (ROOT / "docs" / where).is_file()
            if not is_there or (anchor and anchor not in anchors(pages()[where])):
                broken.append(f"{place}: {link}")
    assert broken == []
    assert followed > 100


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "LOG.md"])
def test_every_link_at_the_top_of_the_repository_leads_to_a_file(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert [link for link in links(text) if not (ROOT / link.partition("#")[0]).is_file()] == []
    # pages are mostly mentioned by their path
    assert [page for page in re.findall(r"docs/[\w-]+\.md", text) if not (ROOT / page).is_file()] == []


def test_every_page_stands_in_the_menu_once() -> None:
    # hooks and extensions have no tags of their own here, so plain YAML reads it
    menu = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    named: list[str] = []
    for entry in menu:
        for below in entry.values():
            named += [below] if isinstance(below, str) else [place for one in below for place in one.values()]
    assert sorted(named) == sorted(pages())


@pytest.mark.parametrize(("command", "model"), [("train", RunConfig), ("sft", SftConfig), ("eval", EvalConfig)])
def test_the_reference_has_every_setting_that_settings_prints(command, model) -> None:
    keys = [row["setting"] for row in settings_help(model)]
    assert len(keys) > 40
    page = pages()[f"reference/settings-{command}.md"]
    assert [key for key in keys if f"`{key}`" not in page] == []


def test_the_reference_has_every_source_and_every_setting_of_it() -> None:
    page = pages()["reference/settings-problems.md"]
    for name, model in SOURCE_MODELS.items():
        section = page.split(f"## `{name}`\n")[1].split("\n## ")[0]
        shared = page.split("## Every source")[1].split("\n## ")[0]
        assert [key for key in model.model_fields if key != "domain" and f"| `{key}` |" not in section + shared] == [], name


def test_a_setting_is_told_with_type_bounds_and_default() -> None:
    page = pages()["reference/settings-train.md"]
    assert "| `run.seed` | whole number, 0 or more | `0` | names every random stream of the run |" in page
    assert "| `model.dtype` | `fp32` or `bf16` | `fp32` |  |" in page
    assert "| `model.path` | text | required |" in page
    assert "| `optimizer.betas` | [number, 0 or more, below 1; number, 0 or more, below 1] | `[0.9, 0.95]` |" in page
    assert "thinks inside &lt;think&gt;" in page  # no tag of HTML


def test_the_reference_has_the_help_of_every_command_and_action() -> None:
    page = pages()["reference/commands.md"]
    words = [[name] for name in COMMANDS if name != "verifier"] + [["problems", name] for name in ACTIONS]
    for command in [*words, ["verifier", "new"]]:
        assert f"# `reasonlab {' '.join(command)}`\n" in page
        assert help_of(command).startswith("usage: reasonlab"), command
        assert help_of(command).strip() in page, command


def test_the_reference_has_signatures_and_docstrings() -> None:
    page = pages()["reference/functions.md"]
    entries = re.findall(r"^### `([\w.]+)`\n\n```python\n(.+?)\n```\n\n(\S.+?)(?=\n##|\Z)", page, re.MULTILINE | re.DOTALL)
    assert len(entries) == page.count("\n### ") > 8
    assert all(signature.startswith(name.rsplit(".", 1)[-1] + "(") for name, signature, _ in entries)
    assert "policy: Literal['strict', 'lenient'] = 'strict'" in page


def test_a_mention_of_a_page_is_a_link_outside_of_code() -> None:
    text = "see `docs/loop.md` and (docs/view.md), `LOG.md`\n\n```\nsee `docs/loop.md`\n```\n"
    assert linked(text, "reference/x.md") == (
        "see [`docs/loop.md`](../loop.md) and ([docs/view.md](../view.md)), [`LOG.md`](../log.md)\n\n"
        "```\nsee `docs/loop.md`\n```\n"
    )
    assert linked("this page, `docs/loop.md`", "loop.md") == "this page, `docs/loop.md`"


def test_making_the_pages_loads_nothing_that_the_site_has_not_installed() -> None:
    script = (
        "import sys, pathlib; from docs.made.pages import made_pages; made_pages(pathlib.Path('.'))\n"
        "print(*{'torch', 'transformers', 'sympy', 'matplotlib', 'datasets', 'wandb'} & set(sys.modules))"
    )
    made = run_python("-c", script)
    assert made.returncode == 0, made.stderr
    assert made.stdout.split() == []
