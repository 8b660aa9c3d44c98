"""The index finds what a plain reading of the files finds, goes along with a run, and takes damage without a fuss."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from made_runs import write_made_run

from rl.tracking.run_directory import RunDirectory
from rl.viewing.answers import Answers
from rl.viewing.index import MARKS, Index, Query, Searched
from rl.viewing.reading import GrowingLines, parse_lines, read_bytes
from rl.viewing.runs import Run, ViewingError, family, runs_at
from rl.viewing.texts import visible

STEPS, PROBLEMS, SIZE = 9, 3, 4  # problems come again every 7 steps


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("runs") / "demo-seed0"
    return write_made_run(home, STEPS, problems=PROBLEMS, size=SIZE, tokens=8, token_groups=1)


@pytest.fixture(scope="module")
def answers(made: Path) -> Answers:
    found = Answers(runs_at([made]))
    found.read()
    return found


def plainly(made: Path) -> list[dict[str, Any]]:
    """Return every record with its step, as the files have them."""
    records: list[dict[str, Any]] = []
    for file in sorted((made / "rollouts").glob("step-*")):
        for row, line in enumerate(gzip.decompress(file.read_bytes()).decode().splitlines()):
            records.append({**json.loads(line), "step": int(file.name[5:11]), "row": row})
    return records


def test_every_completion_is_found_once_and_in_order(made: Path, answers: Answers) -> None:
    found = answers.rows(0, Query(count=200))
    assert found["total"] == STEPS * PROBLEMS * SIZE
    assert [(row["step"], row["row"]) for row in found["rows"]] == [(one["step"], one["row"]) for one in plainly(made)]


@pytest.mark.parametrize("mark", MARKS)
def test_a_filter_finds_what_the_records_say(made: Path, answers: Answers, mark: str) -> None:
    wanted = [
        (one["step"], one["row"])
        for one in plainly(made)
        if (one["finish_reason"] == "length" if mark == "truncated" else one["status"] == mark)
    ]
    assert [(row["step"], row["row"]) for row in answers.rows(0, Query(mark=mark, count=200))["rows"]] == wanted


@pytest.mark.parametrize("search", ["WAIT NO", "boxed{3}", "7+0=", "problem-0004", "nothing has this"])
def test_a_search_looks_at_texts_and_prompts_letter_case_aside(made: Path, answers: Answers, search: str) -> None:
    wanted = [
        (one["step"], one["row"])
        for one in plainly(made)
        if search.casefold() in f"{one['completion']}\n{one['prompt']}\n{one['problem_id']}".casefold()
    ]
    assert [(row["step"], row["row"]) for row in answers.rows(0, Query(search=search, count=200))["rows"]] == wanted


def test_pages_of_a_sorted_list_lie_end_to_end(made: Path, answers: Answers) -> None:
    pages = [
        answers.rows(0, Query(sort="tokens", descending=True, start=start, count=25))["rows"] for start in range(0, 125, 25)
    ]
    lengths = [row["tokens"] for page in pages for row in page]
    assert lengths == sorted((one["num_tokens"] for one in plainly(made)), reverse=True)


def test_a_group_is_all_completions_of_a_problem_and_knows_its_other_steps(answers: Answers) -> None:
    group = answers.group(0, 8, 5)  # problem 25 % 21 = 4, which step 1 had too
    assert group is not None
    assert group["problem"] == "problem-0004"
    assert [one["row"] for one in group["completions"]] == [4, 5, 6, 7]
    assert [place["step"] for place in group["places"]] == [1, 8]
    assert group["here"] == 1
    assert group["changes"] is not None
    assert group["rendered"] == "so then we add seven and "
    assert all(one["tokens"] is None for one in group["completions"])  # only the first group's are kept
    first = answers.group(0, 8, 0)
    assert first is not None
    for name in ("logprobs", "entropies", "gaps", "trained"):
        assert all(len(one["tokens"][name]) == one["num_tokens"] for one in first["completions"])


def test_the_latest_step_comes_first_and_its_rows_as_they_were_drawn(made: Path, answers: Answers) -> None:
    found = [(row["step"], row["row"]) for row in answers.rows(0, Query(descending=True, count=200))["rows"]]
    assert found == sorted(((one["step"], one["row"]) for one in plainly(made)), key=lambda place: (-place[0], place[1]))


def test_completions_are_ordered_by_the_gap_of_sampler_and_trainer_where_that_is_known(made: Path, answers: Answers) -> None:
    found = [row["gap"] for row in answers.rows(0, Query(sort="gap", descending=True, count=200))["rows"]]
    known = [one["sampler_gap"] for one in plainly(made) if "sampler_gap" in one]
    assert len(known) == STEPS * SIZE  # of one group a step
    assert found == [*sorted(known, reverse=True), *[None] * (len(found) - len(known))]


def test_a_search_counts_a_text_once_and_finds_its_last_letter() -> None:
    texts = Searched(["aXa", "", "b", "xx"])
    assert texts.holding(b"x").tolist() == [True, False, False, True]
    assert texts.holding(b"b").tolist() == [False, False, True, False]
    assert texts.holding(b"ab").tolist() == [False] * 4  # not from one text into the next
    assert Searched([]).holding(b"x").tolist() == []


def test_who_knows_a_run_is_told_what_is_new(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "rl", "a: 1\n")
    for step in (1, 2):
        run.append("metrics.jsonl", {"step": step, "reward": step / 10})
        run.append("timing.jsonl", {"step": step, "step_time": 1.0})
    answers = Answers(runs_at([run.path]))
    first = answers.overview()["runs"][0]
    assert first["curves"]["reward"] == ([1, 2], [0.1, 0.2])
    known = (first["generation"], first["settled"])
    run.append("metrics.jsonl", {"step": 3, "reward": 0.3})  # its timing is still to come
    news = answers.overview([known])["runs"][0]
    assert (news["curves"], news["after"], news["settled"]) == ({"reward": ([3], [0.3])}, 2, 2)
    assert "settings" not in news
    run.append("timing.jsonl", {"step": 3, "step_time": 1.0})
    assert answers.overview([known])["runs"][0]["curves"]["step_time"] == ([3], [1.0])

    run.cut_after(1)  # resumed: what is known is true no longer
    whole = answers.overview([known])["runs"][0]
    assert (whole["curves"]["reward"], whole["resumes"]) == (([1], [0.1]), [1])
    assert "after" not in whole


def test_what_has_been_read_of_a_growing_file_is_not_read_again(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    file.write_bytes(b'{"step": 1}\n{"st')
    growing = GrowingLines(file, tmp_path)
    assert growing.read().records == [{"step": 1}]
    with open(file, "r+b") as written:
        written.write(b'{"step": 7}')  # nobody writes like that: it shows what is read
        written.seek(0, os.SEEK_END)
        written.write(b'ep": 2}\n{"step": 3}')
    found = growing.read()
    assert (growing.generation, found.damaged) == (2, 0)  # what stood there is another text, so it is another file
    assert [record["step"] for record in found.records] == [7, 2, 3]
    with open(file, "ab") as more:
        more.write(b"\n[]\n")
    assert ([record["step"] for record in growing.read().records], growing.generation) == ([7, 2, 3], 2)
    assert growing.read().damaged == 1


def test_marks_of_a_run_are_its_checkpoints_evaluations_and_resumes(tmp_path: Path) -> None:
    run = RunDirectory(write_made_run(tmp_path / "rl", 12, problems=1, size=2, tokens=4))
    (run.path / "checkpoints/step-000005").mkdir(parents=True)
    run.cut_after(11)
    run.cut_after(10)
    facts = Answers(runs_at([run.path])).overview()["runs"][0]
    assert (facts["checkpoints"], facts["evaluations"], facts["resumes"]) == ([5], [10], [10])


def test_accuracy_by_difficulty_counts_every_completion(made: Path, answers: Answers) -> None:
    (heat,) = answers.difficulty(0)
    assert heat["name"] == "terms"
    cells = [cell for line in heat["lines"] for cell in line["cells"]]
    assert sum(scored for _, scored, _ in cells) == STEPS * PROBLEMS * SIZE
    assert sum(correct for _, _, correct in cells) == sum(one["status"] == "correct" for one in plainly(made))


def test_the_curves_have_speed_and_the_rest_of_the_time(answers: Answers) -> None:
    curves = answers.overview()["runs"][0]["curves"]
    assert curves["perf/tokens_per_second"][1] == [500.0] * STEPS
    assert curves["rest"][1] == pytest.approx([0.1] * STEPS)  # 2 s less 1 + 0.1 + 0.8


def test_a_run_that_goes_on_or_is_cut_back_is_read_again(tmp_path: Path) -> None:
    write_made_run(tmp_path / "rl", 3, problems=1, size=2, tokens=4)
    index = Index(Run(tmp_path / "rl", "rl"))
    index.read()
    last = tmp_path / "rl/rollouts/step-000003.jsonl.gz"
    os.rename(last, last.with_name("step-000004.jsonl.gz"))
    index.read()
    assert [part.step for part in index.parts] == [1, 2, 4]


def test_damage_is_counted_and_the_rest_is_shown(tmp_path: Path) -> None:
    home = tmp_path / "rl/rollouts"
    home.mkdir(parents=True)
    good = json.dumps({"problem_id": "p", "prompt": "q", "completion": "a \u202e b", "status": "correct", "reward": 1e999})
    lines = [good.encode(), b"{torn", b"[1, 2]", b'{"completion": "\xff\xfe", "num_tokens": 1' + b"0" * 400 + b"}"]
    with gzip.open(home / "step-000001.jsonl.gz", "wb") as file:
        file.write(b"\n".join(lines) + b'\n{"half')
    (home / "step-000002.jsonl.gz").write_bytes(b"no gzip at all")
    (home / "step-x.jsonl.gz").write_bytes(b"")
    (tmp_path / "rl/metrics.jsonl").write_text('{"step": 1, "reward": NaN}\n{"step": "x"}\nnull\n{"step": 2, "rew')
    answers = Answers(runs_at([tmp_path / "rl"]))
    answers.read()
    found = answers.rows(0, Query())
    assert [row["text"] for row in found["rows"]] == ["a ⟦U+202E⟧ b", "\ufffd\ufffd"]
    run = answers.overview()["runs"][0]
    assert (run["damaged"], run["damaged_rollouts"]) == (1, 2)
    assert json.dumps(answers.overview(), allow_nan=False)
    assert answers.group(0, 1, 0) is not None
    assert answers.group(0, 2, 0) is None


def test_a_link_out_of_the_run_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.jsonl").write_text('{"step": 1}\n')
    (tmp_path / "rl").mkdir()
    (tmp_path / "rl/metrics.jsonl").symlink_to(tmp_path / "secret.jsonl")
    assert read_bytes(tmp_path / "rl/metrics.jsonl", tmp_path / "rl") == b""


def test_a_last_line_that_is_being_written_is_no_damage() -> None:
    assert parse_lines(b'{"step": 1}\n{"st').damaged == 0
    assert len(parse_lines(b'{"step": 1}\n{"step": 2}').records) == 2


def test_runs_are_found_below_a_directory_and_named_apart(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_made_run(tmp_path / f"demo-seed{seed}/rl", 1, problems=1, size=2, tokens=4)
    assert [run.name for run in runs_at([tmp_path])] == ["demo-seed0/rl", "demo-seed1/rl"]
    assert {family(run.name) for run in runs_at([tmp_path])} == {"demo-seed/rl"}
    with pytest.raises(ViewingError, match="no run at"):
        runs_at([tmp_path / "demo-seed0/rl/rollouts"])
    with pytest.raises(ViewingError, match="is no directory"):
        runs_at([tmp_path / "nowhere"])


def test_two_trainings_of_a_seed_are_compared_on_the_problems_that_both_drew(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_made_run(tmp_path / name, 2, problems=3, size=4, tokens=4)
    answers = Answers(runs_at([tmp_path / "a", tmp_path / "b"]))
    answers.read()
    found = answers.compare(0, 1)
    assert (found["difference"], found["problems"], found["flips"]) == (0.0, 6, [])  # they are the same run


def test_an_evaluation_whose_files_lead_out_of_it_is_not_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.json").write_text("{}")
        (tmp_path / name / "samples.jsonl").write_text("")
    (tmp_path / "secret.json").write_text("{}")
    answers = Answers(runs_at([tmp_path / "a", tmp_path / "b"]))
    monkeypatch.setattr("rl.viewing.comparison.MOST_BYTES", 1)
    assert "results.json of a is larger than 1 bytes" in answers.compare(0, 1)["refused"]
    (tmp_path / "a/results.json").unlink()
    (tmp_path / "a/results.json").symlink_to(tmp_path / "secret.json")
    assert "results.json of a is a link to elsewhere" in answers.compare(0, 1)["refused"]


def test_signs_that_hide_are_named_and_those_of_languages_stay() -> None:
    assert visible("a\x1b[31mb\u200fc\ud800") == "a⟦U+001B⟧[31mb⟦U+200F⟧c⟦U+D800⟧"
    joined = "\u0646\u200c\u0645\tn\u0303\n\U0001f469\u200d\U0001f680"  # Persian, a tilde, a woman in a rocket
    assert visible(joined) == joined
