"""The page in a real browser and its modules in node: what strangers wrote is text, nothing is asked of anybody else.

Without Chromium or node these tests skip.
"""

import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import NAME, Browser, browser
from made_runs import made_group, write_made_run, write_step

from rl.tracking.run_directory import RunDirectory
from rl.viewing.answers import Answers
from rl.viewing.one_file import bundled, one_file, spread
from rl.viewing.runs import runs_at
from rl.viewing.server import PAGE, ViewingServer

needs_browser = pytest.mark.skipif(NAME is None, reason="no Chromium here: apt install chromium")
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="no node here: apt install nodejs")
HOSTILE = (
    "</script><script>window.hit=1</script><img src=x onerror=window.hit=2><svg onload=window.hit=3>",
    "\u202edesrever\u202c\u200f <b>bold</b> & \ud800",
    "z" * 1_000_000,
    "<!--<script> \u2028 ]]> ${window.hit=4} `+(window.hit=5)+`",
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two seeds with curves, and one run whose every text is hostile."""
    home = tmp_path_factory.mktemp("runs")
    plain = [write_made_run(home / f"seed{seed}", 12, problems=2, size=4, tokens=6) for seed in (0, 1)]
    hostile = RunDirectory.create(home / "<img src=x onerror=window.hit=6>", f"run:\n  name: {HOSTILE[0]}\n")
    write_step(hostile, 1, [made_group(0, 1, 0.5, 4, 6, HOSTILE)], 1, 1)
    return [*plain, hostile.path]


@pytest.fixture(scope="module")
def answers(runs: list[Path]) -> Answers:
    found = Answers(runs_at(runs))
    found.read()
    return found


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module", params=["server", "file"])
def opened(
    request: pytest.FixtureRequest, page: Browser, answers: Answers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Browser]:
    """The page as the server sends it, and as one file."""
    page.events.clear()
    if request.param == "file":
        file = tmp_path_factory.mktemp("out") / "report.html"
        file.write_text(one_file(f"title {HOSTILE[0]}", "", answers), encoding="utf-8")
        page.open(file.as_uri())
        yield page
        assert [url for url in page.requests() if not url.startswith(("data:", file.as_uri()))] == []
        return
    server = ViewingServer(answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    page.open(server.url)
    yield page
    assert [url for url in page.requests() if not url.startswith(("data:", server.url))] == []
    server.shutdown()
    server.server_close()
    thread.join()


def choose(page: Browser, label: str, value: str) -> None:
    page.value(
        f"(() => {{ const s = document.querySelector('select[aria-label=\"{label}\"]'); s.value = {value!r};"
        " s.dispatchEvent(new Event('change')); })()"
    )


@needs_browser
@pytest.mark.slow
def test_the_page_shows_everything_and_runs_nothing_of_what_it_shows(opened: Browser) -> None:
    told = "document.querySelector('#rollouts > p.note').textContent"
    opened.wait_for(f"document.querySelector('#rollouts > p.note') && {told}.includes('1 to 50 of 96 completions')")
    opened.value("document.querySelector('[data-mark=truncated]').click()")
    opened.wait_for(f"!{told}.includes('of 96')")
    opened.value("document.querySelector('[data-mark=\"\"]').click()")

    choose(opened, "run", "2")
    opened.wait_for(f"{told}.includes('of 4 completions')")
    opened.value("document.querySelector('.list tbody tr').click()")
    opened.wait_for("document.querySelectorAll('.completions .card').length === 4")
    texts = opened.value("[...document.querySelectorAll('pre.completion')].map((one) => one.textContent)")
    # of a long text the beginning, at once; the rest is a click away
    shown = [
        HOSTILE[0],
        "⟦U+202E⟧desrever⟦U+202C⟧⟦U+200F⟧ <b>bold</b> & ⟦U+D800⟧",
        HOSTILE[2][:20_000],
        HOSTILE[3].replace("\u2028", "⟦U+2028⟧"),
    ]
    assert sorted(texts) == sorted(shown)
    opened.value("[...document.querySelectorAll('.completions button')][0].click()")
    assert (
        opened.value("Math.max(...[...document.querySelectorAll('pre.completion')].map((one) => one.textContent.length))")
        == 1_000_000
    )
    offered = opened.value(
        "[...document.querySelector('select[aria-label=\"colour of tokens\"]').options].map((one) => one.value)"
    )
    assert offered == ["none", "logprobs", "entropies", "gaps", "advantage", "trained"]
    for colouring in offered[1:]:
        choose(opened, "colour of tokens", colouring)
        assert opened.wait_for(
            "[...document.querySelectorAll('pre.completion span')].filter((one) => one.style.background && "
            "['entropy', 'gap', 'loss'].every((word) => one.title.includes(word))).length"
        )

    opened.value("location.hash = 'curves'")
    opened.wait_for("document.querySelectorAll('#curves canvas').length > 3 && document.querySelectorAll('.heat').length === 2")
    opened.value("location.hash = 'compare'")
    choose(opened, "first", "0")
    choose(opened, "second", "1")
    opened.wait_for("document.querySelector('#compare').textContent.includes('on 24 problems')")

    assert opened.value("document.querySelectorAll('main img, main svg, main script, main b').length") == 0
    assert opened.value("String(window.hit)") == "undefined"
    assert "window.hit" in opened.value("document.title")
    assert opened.complaints() == []


def test_one_file_names_no_folder_of_this_machine(tmp_path: Path) -> None:
    run = write_made_run(tmp_path / "rl", 1, problems=1, size=2, tokens=4)
    (run / "config.yaml").write_text("model:\n  path: /home/somebody/models/one  # from ~/lab/own.yaml, https://a.b/c/d, x/y\n")
    answers = Answers(runs_at([run]))
    answers.read()
    page = one_file("t", "", answers)
    assert "path: .../one  # from .../own.yaml, https://a.b/c/d, x/y" in page
    assert "somebody" not in page


def test_one_file_holds_a_sample_where_all_would_be_too_large_and_says_so(
    answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = one_file("t", "", answers)
    assert '"sample":null' in whole
    monkeypatch.setattr("rl.viewing.one_file._MOST_GROUPS_BYTES", 60_000)
    sampled = one_file("t", "", answers)
    assert "This file holds a sample: of seed0 " in sampled
    assert len(sampled) < len(whole) - 1_000_000  # without the completion of a megabyte
    assert "</script><script>window" not in sampled.split('id="held">')[1]


def test_a_sample_is_spread_over_the_run_wherever_it_stops() -> None:
    assert list(spread(9))[:5] == [0, 8, 4, 2, 6]
    assert sorted(spread(170)) == list(range(170))
    assert (list(spread(1)), list(spread(0))) == ([0], [])


def test_a_bundle_has_no_imports_and_every_module_in_its_own_function() -> None:
    source = 'import { a } from "./x.js";\nexport function f() {}\nexport class C {}\n// </script>\n'
    assert bundled({"y": source}) == (
        "const module_y = (() => {\nconst { a } = module_x;\nfunction f() {}\nclass C {}\n// <\\/script>\n\n"
        "return { f, C };\n})();\n"
    )


@needs_node
def test_a_run_that_is_known_goes_on_or_is_another_one() -> None:
    script = """
    import assert from "node:assert/strict";
    const before = { settled: 2, settings: "a", curves: { r: [[1, 2, 3], [10, 20, 30]], gone: [[1], [5]] } };
    const news = { after: 2, settled: 4, curves: { r: [[3, 4], [31, 40]], late: [[4], [7]] } };
    assert.deepEqual(grown(before, news).curves, { r: [[1, 2, 3, 4], [10, 20, 31, 40]], gone: [[1], [5]], late: [[4], [7]] });
    assert.equal(grown(before, news).settings, "a");
    assert.equal(grown(before, { settled: 1, curves: {} }).curves.r, undefined);
    const rows = [{ step: 1, gap: null }, { step: 2, gap: 3 }, { step: 2, gap: 5 }];
    assert.deepEqual(inOrder([...rows], "step", true).map(({ gap }) => gap), [3, 5, null]);
    assert.deepEqual(inOrder([...rows], "gap", true).map(({ gap }) => gap), [5, 3, null]);
    """
    module = (PAGE / "source.js").read_text(encoding="utf-8").replace("export ", "")
    subprocess.run(["node", "--input-type=module", "-e", module + script], check=True, timeout=60)


@needs_node
def test_the_numbers_of_curves() -> None:
    script = """
    import assert from "node:assert/strict";
    const two = joined([[[1, 3], [10, 30]], [[2, 3], [5, 6]]]);
    assert.deepEqual(two, { steps: [1, 2, 3], values: [[10, null, 30], [null, 5, 6]] });
    assert.deepEqual(smooth([1, 2, null, 6], 3), [1.5, 1.5, null, 6]);
    assert.deepEqual(range([[1, null, 4], [3, null, null]]), { mean: [2, null, 4], low: [1, null, 4], high: [3, null, 4] });
    assert.deepEqual(stacked([[1, 2], [10, null]]), [[1, 2], [11, null]]);
    assert.deepEqual(binned([1, 2, 3], [[1, 4, 2], [2, 4, 4], [3, 2, 0]], 2), [[1, 2, 8, 6], [3, 3, 2, 0]]);
    """
    module = (PAGE / "series.js").read_text(encoding="utf-8").replace("export function", "function")
    subprocess.run(["node", "--input-type=module", "-e", module + script], check=True, timeout=60)


@pytest.mark.skipif(shutil.which("tsc") is None, reason="no TypeScript here: npm install -g typescript")
def test_the_types_of_the_page_are_right() -> None:
    subprocess.run(["tsc", "-p", str(PAGE / "tsconfig.json")], check=True, timeout=120)
