"""The report of a small run made by the real writers: one page that needs nothing else, in which model text is never markup."""

import base64
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from support import rollout

from problems.telling import plain
from rl.evaluation.measures import summarise
from rl.evaluation.samples import append_samples, of_rollouts
from rl.settings.schema import TrackingSettings
from rl.tracking.report import ReportError, telling, write_report
from rl.tracking.run_directory import RunDirectory, write_atomic
from rl.tracking.tracker import Tracker
from rl.types import Rollout

HOSTILE = '</pre></div><script>alert(1)</script><img src=x onerror="alert(2)"><a href="http://x.example">&amp;'


class Page(HTMLParser):
    """Collects the elements, attributes and text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def read_page(file: Path) -> Page:
    parser = Page()
    parser.feed(file.read_text(encoding="utf-8"))
    parser.close()
    return parser


def training_run(home: Path, name: str = "rl") -> RunDirectory:
    """A run of three steps with two evaluations; the second step has neither a correct nor a wrong rollout."""
    run = RunDirectory.create(home / name, f"run:\n  name: {HOSTILE}\n")
    tracker = Tracker(run, TrackingSettings(wandb="disabled"), job_type="rl", config={})
    emerged = {"eval/emergence/repetition": 0.25, "eval/emergence/corrections_right": None}
    tracker.log(0, {"eval/accuracy": 0.25, "eval/accuracy_low": 0.1, "eval/accuracy_high": 0.5, **emerged})
    for step in (1, 2, 3):
        measured = {"reward": 0.2 * step, "entropy": 1.0, "frac_reward_zero_std": 0.5, "grad_norm": 0.1}
        lengths = {"reasoning_tokens/mean": 10.0, "reasoning_tokens/correct": None if step == 2 else 9.0}
        tracker.log(step, measured | lengths | {"reasoning_tokens/wrong": None if step == 2 else 12.0}, {"step_time": 1.0})
    emerged = {"eval/emergence/repetition": 0.125, "eval/emergence/corrections_right": 0.5}
    tracker.log(4, {"reward": -0.9, "eval/accuracy": 0.75, "eval/accuracy_low": 0.5, "eval/accuracy_high": 0.9, **emerged})
    tracker.finish()
    return run


def sampled(number: int, terms: int, right: bool, text: str) -> Rollout:
    """A scored completion of problem `number`, which has `terms` terms."""
    member = rollout([5], [6, 7], [-1.0, -1.0], float(right), number)
    problem = replace(member.problem, prompt=f"problem {number}? {HOSTILE}", difficulty={"terms": terms}, split="test")
    return replace(member, problem=problem, completion=replace(member.completion, text=text), reasoning_tokens=3)


def evaluation(home: Path, name: str, right: tuple[bool, bool, bool]) -> Path:
    """What `reasonlab eval` leaves of three problems with two samples each: the first is right as told, the second wrong."""
    groups = [
        [
            sampled(number, 2 + number // 2, first, f"{name} {number} {HOSTILE}"),
            sampled(number, 2 + number // 2, False, "x" * 700),
        ]
        for number, first in enumerate(right)
    ]
    directory = home / name
    directory.mkdir()
    questions = [of_rollouts(group) for group in groups]
    append_samples(directory, [sample for asked in questions for sample in asked])
    write_atomic(directory / "results.json", json.dumps(plain({"n": 2, **summarise(questions)})))
    return directory


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the run, before with one problem of three solved once, after with all three."""
    home = tmp_path_factory.mktemp("report")
    before = evaluation(home, "eval-before", (True, False, False))
    after = evaluation(home, "eval-after", (True, True, True))
    return write_report(training_run(home).path, before, after, home / "out" / "deep")


def test_the_page_needs_neither_network_nor_other_files(written: Path) -> None:
    page = read_page(written)
    assert not set(page.elements) & {"script", "link", "iframe", "object", "embed", "a", "base", "form"}
    sources = [value or "" for name, value in page.attributes if name in ("src", "href", "srcset", "data", "action")]
    assert [source.split(",")[0] for source in sources] == ["data:image/png;base64"]
    assert "url(" not in written.read_text(encoding="utf-8")
    assert "@import" not in written.read_text(encoding="utf-8")


def test_the_picture_in_the_page_is_the_one_beside_it(written: Path) -> None:
    inside = re.search(r'src="data:image/png;base64,([^"]+)"', written.read_text(encoding="utf-8"))
    assert inside
    picture = (written.parent / "report.png").read_bytes()
    assert base64.b64decode(inside[1]) == picture
    assert picture.startswith(b"\x89PNG")


def test_hostile_text_is_shown_and_never_obeyed(written: Path) -> None:
    page = read_page(written)
    assert page.elements.count("img") == 1
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    # as it was written, in the completion, the prompt and the settings
    assert f"eval-after 0 {HOSTILE}" in page.text
    assert f"problem 0? {HOSTILE}" in page.text
    assert f"name: {HOSTILE}" in page.text


def test_the_numbers_stand_side_by_side(written: Path) -> None:
    text = written.read_text(encoding="utf-8")
    # before: problems have 1/2, 0 and 0 of two samples right: avg@2 = 1/6, pass@2 = 1/3; after: 1/2 each and 1
    averages = re.search(r"<td>avg@2</td><td>([\d.]+) .*?</td><td>([\d.]+) ", text)
    assert averages
    assert averages.groups() == ("0.167", "0.500")
    passes = re.search(r"<td>pass@2</td><td>([\d.]+) .*?</td><td>([\d.]+) ", text)
    assert passes
    assert passes.groups() == ("0.333", "1.000")
    assert "<td>reasoning tokens, mean</td><td>3.0</td><td>3.0</td>" in text
    assert "<title>" in text
    assert "/rl: 4 steps</title>" in text


def test_the_first_problem_of_each_difficulty_is_shown_with_two_samples_and_long_ones_are_cut(written: Path) -> None:
    page = read_page(written)
    # problems 0 and 1 have two terms, problem 2 has three
    assert [number for number in range(3) if f"eval-after {number} " in page.text] == [0, 2]
    assert [number for number in range(3) if f"eval-before {number} " in page.text] == [0, 2]
    assert "x" * 600 + " ... (700 characters)" in page.text
    assert "x" * 601 not in page.text


def test_a_run_alone_has_a_page_without_a_comparison(tmp_path: Path) -> None:
    page = read_page(write_report(training_run(tmp_path).path, None, None, tmp_path))
    assert "Settings" in page.text
    assert "Numbers" not in page.text


def test_a_name_with_markup_is_a_name(tmp_path: Path) -> None:
    page = read_page(write_report(training_run(tmp_path, "<b>bold<b>").path, None, None, tmp_path))
    assert "<b>bold<b>: 4 steps" in page.text
    assert "b" not in page.elements


def test_what_cannot_be_reported_is_refused_in_words(tmp_path: Path) -> None:
    empty = RunDirectory.create(tmp_path / "empty", "a: 1\n")
    with pytest.raises(ReportError, match=r"has no metrics\.jsonl with rows; give the run directory of `reasonlab train`"):
        write_report(empty.path, None, None, tmp_path)
    run = training_run(tmp_path)
    with pytest.raises(ReportError, match=r"holds no results\.json; give the run directory of a finished `reasonlab eval`"):
        write_report(run.path, None, empty.path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_difficulty_that_all_problems_share_has_no_bar() -> None:
    assert telling(["letters=4", "letters=5", "task=count"]) == ["letters=4", "letters=5"]
    assert telling(["task=count"]) == ["task=count"]  # better than none


def test_what_emerged_stands_against_step_0(written: Path) -> None:
    text = written.read_text(encoding="utf-8")
    assert "<th>step 0</th><th>step 4</th><th>difference</th>" in text
    assert "<td>repeated 4-grams, share</td><td>0.250</td><td>0.125</td><td>-0.125</td>" in text
    assert "<td>of these end right, share</td><td>-</td><td>0.500</td><td>-</td>" in text  # nothing to compare with
