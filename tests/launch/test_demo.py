"""The demo's phases: what is done is not done again, half of a phase is resumed or begun anew; and the closing numbers."""

import json
from pathlib import Path

import pytest

from launch.demo import REAL, TINY, phases_of, summarise
from launch.story import CONFIGS, DemoError, Phase, Story, minutes_left, part
from rl.settings.loading import parse_yaml


def phase(mark: Path, *, resumable: bool = False, arguments: tuple[str, ...] = ("report", "--help")) -> Phase:
    """A phase that runs a real command of the lab, one that only prints its help."""
    return Phase("name", "what it is about", list(arguments), mark, resumable=resumable)


def status(directory: Path, word: str) -> Path:
    """Return a status file, as a run leaves it, beside another file of the run."""
    directory.mkdir()
    (directory / "metrics.jsonl").write_text('{"step": 1}\n')
    (directory / "status.json").write_text(json.dumps({"status": word}))
    return directory / "status.json"


def test_a_phase_is_finished_when_its_mark_says_so(tmp_path: Path) -> None:
    assert not phase(tmp_path / "model" / "config.json").finished()
    (tmp_path / "report.html").write_text("")
    assert phase(tmp_path / "report.html").finished()  # a file is enough
    for word in ("running", "failed", "preempted"):
        assert not phase(status(tmp_path / word, word)).finished()
    assert phase(status(tmp_path / "finished", "finished")).finished()


def test_half_of_a_phase_is_begun_anew(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    mark = status(tmp_path / "sft", "failed")
    phase(mark).run()
    assert not mark.parent.exists()
    assert "$ reasonlab report --help\n" in capfd.readouterr().err


def test_half_of_a_training_is_resumed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    mark = status(tmp_path / "rl", "preempted")
    phase(mark, resumable=True).run()
    assert (mark.parent / "metrics.jsonl").exists()
    assert "$ reasonlab report --help --resume\n" in capfd.readouterr().err


def test_a_training_that_never_began_is_not_resumed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    phase(tmp_path / "rl" / "status.json", resumable=True).run()
    assert "--resume" not in capfd.readouterr().err


def test_a_command_that_fails_ends_the_demo_in_words(tmp_path: Path) -> None:
    missing = phase(tmp_path / "report.html", arguments=("report", str(tmp_path / "no-run")))
    with pytest.raises(DemoError, match=r"`reasonlab report .*no-run` ended with exit status 2"):
        missing.run()


def estimate(problems: int, value: float, low: float, high: float, tokens: float) -> dict[str, float]:
    return {"problems": problems, "value": value, "low": low, "high": high, "reasoning_tokens": tokens}


def test_a_part_of_the_sizes_by_hand() -> None:
    results = {
        "by_difficulty": {
            "terms=4": estimate(30, 0.5, 0.3, 0.9, 10.0),
            "terms=5": estimate(10, 0.8, 0.7, 0.85, 20.0),
            "terms=6": estimate(1000, 0.0, 0.0, 0.1, 99.0),  # not asked for
        }
    }
    found = part(results, "terms", range(4, 6))
    # weights 3/4 and 1/4: value 0.75 * 0.5 + 0.25 * 0.8, tokens 0.75 * 10 + 0.25 * 20
    assert found["value"] == pytest.approx(0.575)
    assert found["reasoning_tokens"] == pytest.approx(12.5)
    # below: sqrt((0.75 * 0.2)^2 + (0.25 * 0.1)^2) = sqrt(0.0225 + 0.000625) = 0.152069
    assert found["low"] == pytest.approx(0.575 - 0.152069, abs=1e-6)
    # above: sqrt((0.75 * 0.4)^2 + (0.25 * 0.05)^2) = sqrt(0.09 + 0.00015625) = 0.300260
    assert found["high"] == pytest.approx(0.575 + 0.300260, abs=1e-6)


def test_the_summary_tells_sizes_practised_from_those_beyond() -> None:
    def results(values: dict[int, float], tokens: float) -> dict[str, dict[str, dict[str, float]]]:
        return {"by_difficulty": {f"terms={n}": estimate(10, v, v - 0.1, v + 0.1, tokens) for n, v in values.items()}}

    summary = summarise(
        TINY,
        results({4: 1.0, 5: 1.0, 6: 0.9, 7: 0.4, 8: 0.3, 9: 0.4, 10: 0.2}, 7.0),
        results({4: 1.0, 5: 1.0, 6: 1.0, 7: 0.9, 8: 0.9, 9: 0.9, 10: 0.6}, 5.0),
    )
    assert (summary["practised_terms"], summary["beyond_terms"]) == ([4, 10], [9, 10])
    # the mean of all seven sizes, and of the last two
    assert summary["sft"]["accuracy"] == pytest.approx(0.6)
    assert summary["sft"]["beyond_sft_accuracy"] == pytest.approx(0.3)
    assert summary["rl"]["accuracy"] == pytest.approx(0.9)
    assert summary["rl"]["beyond_sft_accuracy"] == pytest.approx(0.75)
    assert (summary["sft"]["reasoning_tokens_mean"], summary["rl"]["reasoning_tokens_mean"]) == (7.0, 5.0)
    # equal sizes with 0.1 to each side: 0.1 / sqrt(7) for seven of them, 0.1 / sqrt(2) for two
    assert summary["rl"]["accuracy_low"] == pytest.approx(0.9 - 0.1 / 7**0.5)
    assert summary["rl"]["beyond_sft_high"] == pytest.approx(0.75 + 0.1 / 2**0.5)


@pytest.mark.parametrize("story", [TINY, REAL], ids=lambda story: story.name)
def test_the_closing_numbers_are_about_what_the_settings_ask(story: Story) -> None:
    practised, held_out = (parse_yaml((CONFIGS / name).read_text(), name) for name in (story.rl, story.evaluation))
    assert practised["problems"][0][story.size] == [story.practised[0], story.practised[-1]]
    fewest, most = held_out["problems"][0][story.size]
    assert fewest <= story.practised[0]  # the evaluation has every size
    assert story.practised[-1] <= most
    assert set(story.beyond) <= set(story.practised)


def test_the_real_demo_fetches_its_model_and_imitates_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REASONLAB_CACHE", str(tmp_path / "cache"))
    fetching, imitation, *_ = phases_of(REAL, tmp_path / "home", 1, 1)
    assert fetching.arguments == ["fetch", "smollm2-135m"]
    assert fetching.mark.parent == tmp_path / "cache" / "models" / "smollm2-135m"
    assert f"model.path={fetching.mark}" in imitation.arguments
    names = [phase.name for phase in phases_of(TINY, tmp_path / "home", 1, 1)]
    assert names == [phase.name for phase in phases_of(REAL, tmp_path / "home", 1, 1)][1:]  # the same story but for its start


def test_half_of_an_evaluation_is_gone_on_with_and_not_drawn_again(tmp_path: Path) -> None:
    evaluations = [phase for phase in phases_of(TINY, tmp_path, 0, 1) if phase.arguments[0] == "eval"]
    assert len(evaluations) == 2
    assert all(phase.resumable for phase in evaluations)


def test_the_time_left_goes_by_the_pace_of_the_parts_that_are_done(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("")
    imitation = Phase("sft", "", [], tmp_path / "model", minutes=2.0)
    practice = Phase("rl", "", [], tmp_path / "policy", minutes=5.0)
    assert minutes_left([imitation, practice], {}) == 5.0  # nobody knows how long the first took: as usual
    assert minutes_left([imitation, practice], {"sft": 240.0}) == 10.0  # four minutes for two: half as fast as usual
    assert minutes_left([imitation], {"sft": 240.0}) == 0.0
    fetching = Phase("fetch", "", [], tmp_path / "model", minutes=0.3)
    assert minutes_left([fetching, practice], {"fetch": 1.8}) == 5.0  # a download in a tenth of its time tells nothing
