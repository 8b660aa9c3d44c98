"""A leaderboard: who is compared with whom, what is told of the rest, and what hostile names cannot do."""

import json
import math
import re
import shutil
from html.parser import HTMLParser

import pytest
from evaluations import evaluation

from launch.leaderboard import leaderboard_command
from rl.evaluation import leaderboard
from rl.evaluation.contests import joined
from rl.evaluation.strengths import ELO

RIGHT, WRONG = (1, 1), (0, 0)


def outcomes(right, problems=30):
    """Two samples of each problem, both right for the first `right`."""
    return {number: RIGHT if number < right else WRONG for number in range(problems)}


@pytest.fixture
def board(tmp_path, capsys):
    def run(*words):
        assert leaderboard_command([str(tmp_path), "--json", *map(str, words)]) == 0
        return json.loads(capsys.readouterr().out)

    return run


def test_two_models_on_one_set_by_hand(tmp_path, board):
    evaluation(tmp_path / "a", outcomes(24), model="strong")
    evaluation(tmp_path / "b", outcomes(9) | {29: (1, 0)}, model="weak")
    found = board()
    (league,) = found["leagues"]
    first, second = league["ranks"]
    assert (first["model"], second["model"]) == ("strong", "weak")
    # 15 wins and 14 ties; of the last problem the weak one's right sample wins, the other ties: 1/4 and 3/4
    wins, losses = 15 + 14 / 2 + 1 / 4, 14 / 2 + 3 / 4
    gap = ELO * math.log((wins + 0.5) / (losses + 0.5))
    assert first["strength"] == pytest.approx(1000 + gap / 2, abs=0.06)
    assert second["strength"] == pytest.approx(1000 - gap / 2, abs=0.06)
    assert first["low"] < first["strength"] < first["high"]
    assert [(row["rank"], row["best_rank"], row["worst_rank"]) for row in league["ranks"]] == [(1, 1, 1), (2, 2, 2)]
    (pair,) = league["pairs"]
    assert pair["difference"] == pytest.approx((24 - 9.5) / 30)
    assert pair["points"] == pytest.approx(gap, abs=0.1)
    assert pair["p_value"] < 0.001
    results = found["contests"][0]["results"]
    assert results["weak"]["accuracy"]["value"] == pytest.approx(9.5 / 30)
    assert found["remarks"] == found["alone"] == []
    anchored = board("--anchor", "weak")["leagues"][0]["ranks"]
    assert anchored[1]["strength"] == anchored[1]["low"] == anchored[1]["high"] == 1000
    assert anchored[0]["strength"] == pytest.approx(1000 + gap, abs=0.06)
    assert board() == found


def test_models_that_no_interval_tells_apart_may_have_each_others_ranks(tmp_path, board):
    for name, right in (("a", 28), ("b", 27), ("c", 27), ("d", 2)):
        evaluation(tmp_path / name, outcomes(right), model=name)
    ranks = board()["leagues"][0]["ranks"]
    found = [(row["model"], row["rank"], row["best_rank"], row["worst_rank"]) for row in ranks]
    assert found == [("a", 1, 1, 3), ("b", 2, 1, 3), ("c", 2, 1, 3), ("d", 4, 4, 4)]


def test_several_sets_count_problem_by_problem_and_clusters_are_kept_together(tmp_path, board):
    twins = {number: f"passage={number // 5}" for number in range(30)}
    for name, first, second in (("a", 20, 8), ("b", 15, 5)):
        evaluation(
            tmp_path / name / "one", outcomes(first), twins, model=name, sources=[{"domain": "jsonl", "path": "x/one.jsonl"}]
        )
        others = {number + 100: asked for number, asked in outcomes(second, 10).items()}
        evaluation(tmp_path / name / "two", others, model=name, sources=[{"domain": "hub", "name": "aime24"}])
    found = board()
    assert [contest["name"] for contest in found["contests"]] == ["one, test", "aime24, test"]
    (row, _) = found["leagues"][0]["ranks"]
    assert (row["problems"], row["clusters"]) == (40, 6 + 10)
    assert (found["leagues"][0]["pairs"][0]["problems"], found["leagues"][0]["pairs"][0]["clusters"]) == (40, 16)


def test_what_was_asked_otherwise_is_told_and_not_compared(tmp_path, board):
    evaluation(tmp_path / "a", outcomes(20), model="a")
    evaluation(tmp_path / "b", outcomes(10), model="b")
    evaluation(tmp_path / "c", outcomes(30), model="c", sampling={"temperature": 0.0, "top_p": 1.0})
    evaluation(tmp_path / "d", outcomes(25, 25), model="d")
    evaluation(tmp_path / "e", outcomes(12), model="a", seed=1)  # the model of the first once more
    (tmp_path / "f").mkdir()
    (tmp_path / "f/about.json").write_text("{}")
    (tmp_path / "f/config.yaml").write_text("")
    (tmp_path / "f/elsewhere").mkdir()
    (tmp_path / "f/elsewhere/about.json").write_text("{}")  # of another program
    shutil.copytree(tmp_path / "a", tmp_path / "g")
    (tmp_path / "g/samples.jsonl").write_text('{"a"\n{}\n\n')
    for name, text in (("h", '{"accuracy": 1}'), ("i", "[]"), ("j", "no JSON"), ("k", '{"model": null}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.json").write_text(text)
    for name, wrong in (("l", {"sources": ["x"]}), ("m", {"endpoint": "http://x"}), ("n", {"model_fingerprint": [1]})):
        evaluation(tmp_path / name, outcomes(3), model=name, **wrong)
    found = board()
    assert [[row["model"] for row in league["ranks"]] for league in found["leagues"]] == [["a", "b"]]
    assert sorted(found["alone"]) == ["c", "d"]
    said = "\n".join(found["remarks"])
    assert "elsewhere" not in said
    for words in (
        "math, test and math, test (2) differ in sampling.temperature: 1.0 and 0.0",
        "math, test and math, test (3) differ in problems: 5 only in the former, 0 only in the latter",
        "only c was asked math, test (2)",
        f"{tmp_path}/e asks the same of the same model as {tmp_path}/a",
        f"{tmp_path}/f is not finished",
        f"{tmp_path}/g/samples.jsonl line 1 is not JSON",
        f"{tmp_path}/h/results.json is not of",
        f"{tmp_path}/i/results.json is not of",
        f"{tmp_path}/j cannot be read",
        *(f"{tmp_path}/{name}/results.json is not of" for name in "klmn"),
    ):
        assert words in said, words
    assert found["contests"][0]["results"]["a"]["accuracy"]["value"] == pytest.approx(20 / 30)


def test_leagues_that_no_contest_connects_are_ranked_apart(tmp_path, board, capsys):
    for name, start, right in (("a", 0, 20), ("b", 0, 10), ("c", 50, 25), ("d", 50, 20), ("e", 50, 5)):
        asked = {number + start: one for number, one in outcomes(right).items()}
        evaluation(tmp_path / name, asked, model=name, sources=[{"domain": f"set{start}"}])
    leagues = board()["leagues"]
    assert [[row["model"] for row in league["ranks"]] for league in leagues] == [["c", "d", "e"], ["a", "b"]]
    for league in leagues:
        strengths = [row["strength"] for row in league["ranks"]]
        assert sum(strengths) / len(strengths) == pytest.approx(1000, abs=0.1)
    assert leaderboard_command([str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "league 1 of 2" in said
    assert "nothing is known of one against the other" in said


def test_problems_that_could_not_be_scored_are_no_meetings(tmp_path, board):
    evaluation(tmp_path / "a", {0: RIGHT, 1: (1, -1), 2: (-1, -1)}, model="a")
    evaluation(tmp_path / "b", {0: WRONG, 1: (1, 0), 2: RIGHT}, model="b")
    evaluation(tmp_path / "c", {0: (-1, -1), 1: (-1, -1), 2: (-1, -1)}, model="c")
    found = board()
    (pair,) = found["leagues"][0]["pairs"]
    assert (pair["problems"], pair["difference"]) == (2, pytest.approx((1 + 0.5) / 2))
    assert found["alone"] == ["c"]
    assert found["contests"][0]["results"]["c"]["accuracy"]["value"] is None


def test_one_name_for_two_models_says_which(tmp_path, board):
    evaluation(tmp_path / "a", outcomes(20), model="m", model_fingerprint="sha256:aaaa", dtype="fp32")
    evaluation(tmp_path / "b", outcomes(10), model="m", model_fingerprint="sha256:bbbb", dtype="fp32")
    evaluation(tmp_path / "c", outcomes(11), model="moved", model_fingerprint="sha256:bbbb", dtype="fp32")
    found = board()
    assert list(found["models"]) == ["m (weights sha256:aaaa)", "m (weights sha256:bbbb)"]
    assert found["remarks"] == [f"left out: {tmp_path}/c asks the same of the same model as {tmp_path}/b, which counts"]


def test_weights_that_an_older_version_hashed_by_their_ends_are_said(tmp_path, board):
    evaluation(tmp_path / "now", outcomes(20), model="m", model_fingerprint="sha256:aaaa", dtype="fp32")
    evaluation(tmp_path / "old", outcomes(10), model="m", model_fingerprint="bbbb", dtype="fp32")
    evaluation(tmp_path / "service", outcomes(11), model="x", model_fingerprint=None)
    (remark,) = board()["remarks"]
    assert remark.startswith("weights known only by the ends of their files")
    assert remark.endswith(f"where that matters: {tmp_path}/old")


def test_of_too_many_pairs_those_nearest_in_rank_are_listed_and_the_rest_is_told(tmp_path, board, monkeypatch):
    for name, right in (("a", 25), ("b", 20), ("c", 15), ("d", 10)):
        evaluation(tmp_path / name, outcomes(right), model=name)
    assert board()["leagues"][0]["pairs_left_out"] == 0
    monkeypatch.setattr(leaderboard, "_MOST_COMPARED", 100)  # three pairs have compared 90 answers, four 120
    found = board()
    listed = [(pair["first"], pair["second"]) for pair in found["leagues"][0]["pairs"]]
    assert listed == [("a", "b"), ("a", "c"), ("b", "c"), ("c", "d")]
    assert found["leagues"][0]["pairs_left_out"] == 2
    assert found["remarks"] == [
        "2 pairs of models are not listed, only the 4 nearest in rank: `reasonlab compare` tells how any two stand"
    ]


class Page(HTMLParser):
    """What a browser would make of a page: its tags, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data):
        self.text += data


def test_hostile_names_are_text_on_the_page_and_in_the_terminal(tmp_path, capsys):
    names = [
        "<script>alert(1)</script>",
        "[red]x[/nope]",
        'a"onload="x',
        "\x1b[2J\nb\u202eevil",
        "\udcff",
        "</title></style>&amp;",
    ]
    for number, name in enumerate(names):
        sources = [{"domain": "hub", "name": "<b onclick='x'>[/bold]set"}]
        evaluation(tmp_path / f"{number}", outcomes(4 * number, 24), model=name, sources=sources)
    page = tmp_path / "page" / "board.html"
    assert leaderboard_command([str(tmp_path), "--page", str(page)]) == 0
    said = re.sub(r"\s+|[│┃]", "", capsys.readouterr().out)
    text = page.read_text(encoding="utf-8")
    shown = ["<script>alert(1)</script>", "[red]x[/nope]", 'a"onload="x', "\\u001b[2J\\u000ab\\u202eevil", "\\udcff",
             "</title></style>&amp;"]  # fmt: skip
    read = Page(text)
    for name in shown:
        assert name in said
        assert name in read.text
    assert "\x1b" not in said
    assert read.tags == {
        "html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "div", "table", "thead", "tbody", "tr", "th", "td",
        "svg", "line", "circle", "details", "summary", "br", "small", "pre",
    }  # fmt: skip
    assert not read.attributes & {"onclick", "onload", "src", "href"}
    assert not re.search(r"https?:|url\(|@import", text)
    assert "default-src 'none'" in text
    assert "prefers-color-scheme:dark" in text
    assert [file.name for file in page.parent.iterdir()] == ["board.html"]


def test_what_cannot_be_ranked_is_told(tmp_path, capsys):
    evaluation(tmp_path / "runs/a", outcomes(20), model="a")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    for words, said in (
        (["empty"], "no finished `reasonlab eval` at or below"),
        (["none"], "no directory"),
        (["runs", "--anchor", "b"], "no model 'b' to anchor strengths at; there are: a"),
        (["runs", "--page", str(tmp_path / "file/page.html")], "cannot write the page"),
    ):
        assert leaderboard_command([str(tmp_path / words[0]), *words[1:]]) == 2, words
        assert said in capsys.readouterr().err
    assert leaderboard_command([str(tmp_path / "runs")]) == 0
    assert "compared with none: a" in capsys.readouterr().out


def test_chains_of_links_join():
    assert joined([("a", "b"), ("c",), ("d", "e"), ("e", "b")]) == {"a": 0, "b": 0, "c": 1, "d": 0, "e": 0}
