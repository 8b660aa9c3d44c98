"""The online curriculum: what is drawn, by shares and by what was solved; the record is all that it needs to go on."""

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError
from support import rollout
from support_pure import PARITY

from problems.catalog import DOMAINS, AnySource
from problems.types import Problem, ProblemError
from rl.curriculum import Curriculum, open_curriculum
from rl.settings.curriculum import CurriculumSettings
from rl.types import Group, RungState, TrainState

CHAIN = {"domain": "chain", "terms": [2, 4]}
QUICK: dict[str, Any] = {"memory_problems": 10, "least_problems": 3}


def entries(*given: dict[str, Any]) -> list[AnySource]:
    return [TypeAdapter(AnySource).validate_python(one) for one in given]


def curriculum(*given: dict[str, Any], **settings: Any) -> Curriculum:
    return open_curriculum(CurriculumSettings(**{**QUICK, **settings}), entries(*(given or (CHAIN,))), 0)


def group(problem: Problem, correct: int, of: int = 4) -> Group:
    members = [replace(rollout([1], [2], [-1.0], float(k < correct)), problem=problem) for k in range(of)]
    return Group(problem=problem, rollouts=tuple(members), advantages=np.zeros(of, dtype=np.float32))


def step(
    tracks: Curriculum, states: Sequence[RungState], cursor: int, skill: Callable[[Problem], int], count: int = 8
) -> tuple[tuple[RungState, ...], list[Problem]]:
    """Draw a step, each problem solved by as many of four completions as `skill` says."""
    practice = tracks.practice(states, cursor)
    problems = [practice.get("train", cursor + i) for i in range(count)]
    return tracks.after(states, cursor, [group(problem, skill(problem)) for problem in problems]), problems


def stands(states: Sequence[RungState]) -> list[str]:
    return [state.stand for state in states]


def test_rungs_are_values_of_difficulty_levels_or_entries() -> None:
    assert [rung.name for rung in curriculum(by="terms").rungs] == ["terms=2", "terms=3", "terms=4"]
    levels = curriculum({"domain": "decimals"}, {"domain": "chain", "terms": [2, 2], "level": 1}, by="level")
    count = len(DOMAINS["decimals"].levels)
    assert [rung.name for rung in levels.rungs] == [f"0-decimals-level={i + 1}" for i in range(count)] + ["1-chain-level=1"]
    assert [rung.track for rung in levels.rungs] == [0] * count + [1]
    for number in range(count):
        assert {levels.rungs[number].source.get("train", i).difficulty["level"] for i in range(5)} == {number + 1}
    mixed = curriculum({"domain": "chain"}, {"domain": "letters", "weight": 3}, by="entry")
    assert [(rung.name, rung.weight) for rung in mixed.rungs] == [("0-chain", 1.0), ("1-letters", 3.0)]


def test_levels_win_over_defaults_that_a_configuration_wrote_out() -> None:
    (given,) = entries({"domain": "decimals"})
    (read_back,) = entries(given.model_dump(mode="json"))
    settings = CurriculumSettings(by="level")
    first, second = (open_curriculum(settings, [one], 0) for one in (given, read_back))
    assert [first.get("train", i) for i in range(9)] == [second.get("train", i) for i in range(9)]


def test_a_set_is_cut_by_its_difficulty_and_each_part_is_read_through_before_it_repeats(tmp_path: Path) -> None:
    rows = [{"prompt": f"{i}?", "reference": "1", "difficulty": {"level": f"Level {1 + i % 2}"}} for i in range(60)]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    tracks = curriculum({"domain": "jsonl", "path": str(tmp_path)}, by="level")
    assert [rung.name for rung in tracks.rungs] == ["level=Level 1", "level=Level 2"]
    states = tracks.begin()
    problems = [tracks.practice(states, 0).get("train", i) for i in range(25)]  # of about 28
    assert {problem.difficulty["level"] for problem in problems} == {"Level 1"}
    assert len({problem.id for problem in problems}) == 25
    (tmp_path / "train.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in [*rows, {**rows[0], "difficulty": {"a": 1}}])
    )
    with pytest.raises(ProblemError, match="has no difficulty 'level' and others have; it has: a"):
        curriculum({"domain": "jsonl", "path": str(tmp_path)}, by="level")


def test_it_begins_at_the_easiest_and_grows_retires_and_replays() -> None:
    tracks = curriculum(by="terms", replay_share=0.25)
    states, cursor = tracks.begin(), 0
    assert stands(states) == ["open", "waiting", "waiting"]
    states, problems = step(tracks, states, cursor, lambda problem: 0)
    assert {problem.difficulty["terms"] for problem in problems} == {2}
    assert stands(states) == ["open", "waiting", "waiting"]  # nothing is mastered
    for _ in range(6):
        cursor += 8
        states, _ = step(tracks, states, cursor, lambda problem: 4 * (problem.difficulty["terms"] == 2))
    # of the weights of 8 wrong groups 0.9^16 = 0.19 is left after 16 right ones and 0.03 after 32: 0.8 and then 0.95 is passed
    assert stands(states) == ["retired", "open", "waiting"]
    shares = tracks.shares(states)
    assert shares[0] == 0.25
    assert sum(shares) == pytest.approx(1)
    for _ in range(6):  # two terms are lost again
        cursor += 8
        states, problems = step(tracks, states, cursor, lambda problem: 0)
    assert stands(states) == ["open", "open", "waiting"]


def test_a_rung_grows_before_it_retires_and_open_rungs_are_drawn_where_there_is_contrast() -> None:
    tracks = curriculum(by="terms")
    states = [
        RungState(name="terms=2", stand="open", solved=8.5, seen=10),  # 0.85: mastered, not retired
        RungState(name="terms=3", stand="waiting"),
        RungState(name="terms=4", stand="waiting"),
    ]
    moved = tracks.after(states, 0, [])
    assert stands(moved) == ["open", "open", "waiting"]
    # 4 * 0.85 * 0.15 = 0.51 beside 1 of a rung of which nothing is known: 0.51 / 1.51
    assert tracks.shares(moved) == pytest.approx([0.51 / 1.51, 1 / 1.51, 0])
    hopeless = [replace(moved[0], solved=5.0), replace(moved[1], seen=10.0), moved[2]]
    assert tracks.shares(hopeless) == pytest.approx(
        [1 / 1.1, 0.1 / 1.1, 0]
    )  # a tenth of the most, so that it is seen to change


def test_tracks_grow_by_themselves_and_share_by_the_weights_of_their_entries() -> None:
    tracks = curriculum({**CHAIN, "weight": 3}, {"domain": "chain", "terms": [5, 6]}, by="terms", replay_share=0.1)
    states = tracks.begin()
    assert stands(states) == ["open", "waiting", "waiting", "open", "waiting"]
    assert tracks.shares(states) == pytest.approx([0.75, 0, 0, 0.25, 0])
    solved = [replace(state, stand="retired", solved=10.0, seen=10.0) for state in states[:3]]
    assert tracks.shares([*solved, *states[3:]]) == pytest.approx([0.1 / 3] * 3 + [0.9, 0])
    everything = [replace(state, stand="retired", solved=10.0, seen=10.0) for state in states]
    assert tracks.shares(everything) == pytest.approx([0.25] * 3 + [0.125] * 2)


def test_draws_follow_the_shares_closely_and_each_rung_is_read_in_its_order() -> None:
    tracks = curriculum(by="terms", start=None)
    states = tuple(
        replace(state, solved=rate * 10, seen=10.0) for state, rate in zip(tracks.begin(), (0.5, 0.1, 0.0), strict=True)
    )
    practice = tracks.practice(states, 5)
    places = [practice.place(5 + i) for i in range(500)]
    counts = Counter(number for number, _ in places)
    for number, share in enumerate(tracks.shares(states)):  # 1, 0.36 and 0.1 of 1.46
        assert abs(counts[number] - 500 * share) < 4
        assert [item for rung, item in places if rung == number] == list(range(counts[number]))
    again = tracks.practice(states, 5)
    assert [again.place(5 + i) for i in reversed(range(500))] == places[::-1]


def test_the_record_survives_a_checkpoint_and_goes_on_as_if_nothing_had_happened() -> None:
    tracks = curriculum(by="terms")
    states, cursor = tracks.begin(), 0
    for _ in range(3):
        states, _ = step(tracks, states, cursor, lambda problem: len(problem.id.translate({ord("a"): None})) % 4)
        cursor += 8
    read = TrainState.of_record(json.loads(json.dumps(asdict(TrainState(step=3, cursor=cursor, rungs=states)))))
    assert read.rungs == states
    resumed = curriculum(by="terms")  # opened anew
    straight = step(tracks, states, cursor, lambda problem: 3)
    assert step(resumed, resumed.begin(read.rungs), read.cursor, lambda problem: 3) == straight
    assert TrainState.of_record({"step": 1}).rungs == ()  # of a run from before there were curricula
    with pytest.raises(ProblemError, match="the run had the rungs terms=2, terms=3, terms=4, its problems now give"):
        curriculum({"domain": "chain", "terms": [2, 5]}, by="terms").begin(read.rungs)


def test_what_could_not_be_scored_says_nothing_of_a_pass_rate() -> None:
    tracks = curriculum(by="terms")
    problem = tracks.practice(tracks.begin(), 0).get("train", 0)
    broken = group(problem, 0)
    verdicts = [replace(one.reward.verdict, status="error") for one in broken.rollouts]
    members = [
        replace(one, reward=replace(one.reward, verdict=verdict))
        for one, verdict in zip(broken.rollouts, verdicts, strict=True)
    ]
    after = tracks.after(tracks.begin(), 0, [replace(broken, rollouts=tuple(members))])
    assert (after[0].taken, after[0].seen, after[0].pass_rate) == (1, 0.0, None)


def test_metrics_are_told_by_rung() -> None:
    tracks = curriculum(by="terms")
    before = tracks.begin()
    after, _ = step(tracks, before, 0, lambda problem: 2)
    assert tracks.metrics(before, after) == {
        "curriculum/waiting": 2,
        "curriculum/open": 1,
        "curriculum/retired": 0,
        "curriculum/terms=2/problems": 8,
        "curriculum/terms=2/pass_rate": pytest.approx(0.5),
        "curriculum/terms=2/share": 1.0,
    }


@pytest.mark.parametrize(
    ("given", "by", "said"),
    [
        ((CHAIN,), "entry", "needs two entries"),
        ((CHAIN,), "colour", "two values"),
        (({"domain": "chain", "terms": [3, 3]},), "terms", "two values"),
        (({"domain": "decimals", "level": 1},), "level", "leaves its `level` out"),
    ],
)
def test_problems_that_give_no_track_are_told(given: tuple[dict[str, Any], ...], by: str, said: str) -> None:
    with pytest.raises(ProblemError, match=said):
        curriculum(*given, by=by)


def test_values_too_rare_for_a_rung_are_said(tmp_path: Path) -> None:
    drawn = 'return Draft(prompt=f"{number} odd?", reference=str(number % 2)'
    rare = "{'size': 9 if number % 300 == 0 else number % 2}"  # one in 300, and by chance none is among the first 256
    text = PARITY.replace(drawn, f"{drawn}, difficulty={rare}").replace('"parity"', '"rare_parity"')
    (tmp_path / "rare_parity.py").write_text(text)
    mine = {"python": str(tmp_path / "rare_parity.py"), "largest": 10**9}
    tracks = curriculum(mine, by="size")
    assert [rung.name for rung in tracks.rungs] == ["size=0", "size=1"]
    (remark,) = tracks.remarks
    assert re.search(r"0-rare_parity has size = 9 \(\d times\) among 1,024 problems and not among the first 256", remark)
    assert curriculum(by="terms").remarks == ()  # all three are common


def test_bounds_that_contradict_each_other_are_refused() -> None:
    for faulty, said in (
        ({"grow_at": 0.9, "retire_at": 0.85}, "grow_at 0.9 is above"),
        ({"lost_below": 0.95}, "lost_below"),
        ({"least_problems": 64}, "least_problems 64"),
    ):
        with pytest.raises(ValidationError, match=said):
            CurriculumSettings(**faulty)
