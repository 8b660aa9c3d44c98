"""Arms beside each other: curves over cost, differences by seed, and sentences that claim no more than the intervals do."""

from pathlib import Path
from typing import Any

import pytest

from rl.tracking.arms import Arm, difference, mean_curve, over_the_seeds, summarise, write_page
from rl.tracking.compute import Point


def end(value: float, half: float = 0.02) -> dict[str, float]:
    return {"value": value, "low": value - half, "high": value + half, "reasoning_tokens": 10.0}


def curve(*accuracies: float, tokens: int = 100) -> list[Point]:
    """Return evaluations after 0, 1, ... steps, which cost `tokens` and a second each."""
    return [
        Point(step=n, compute_tokens=n * tokens, seconds=float(n), accuracy=value, low=value - 0.1, high=value + 0.1)
        for n, value in enumerate(accuracies)
    ]


def arm(name: str, *ends: float) -> Arm:
    finals = [end(value) for value in ends]
    return Arm(name=name, about=f"<{name}>", curves=[curve(0.5, value) for value in ends], practised=finals, beyond=finals)


def test_a_mean_curve_ends_where_the_first_seed_does() -> None:
    # 0.5 to 0.7 over 200 tokens, and 0.5 to 0.9 over 100: at 100 tokens 0.6 and 0.9
    found = mean_curve([curve(0.5, 0.7, tokens=200), curve(0.5, 0.9)], lambda point: point.compute_tokens)
    assert (found[0]["cost"], found[0]["value"]) == pytest.approx((0.0, 0.5))
    assert (found[-1]["cost"], found[-1]["value"]) == pytest.approx((100.0, 0.75))
    assert all(0 <= place["low"] <= place["value"] <= place["high"] <= 1 for place in found)


def test_a_difference_by_hand() -> None:
    # 0.1 and 0.3: mean 0.2, standard error 0.1, t = 12.706 of one degree of freedom; that is beyond -1 and 1
    found = difference([end(0.6), end(0.8)], [end(0.5), end(0.5)])
    assert found["value"] == pytest.approx(0.2)
    assert (found["low"], found["high"]) == (-1.0, 1.0)
    assert found["by_seed"] == pytest.approx([0.1, 0.3])
    # one seed: half widths 0.03 and 0.04 make 0.05
    alone = difference([end(0.6, 0.03)], [end(0.5, 0.04)])
    assert (alone["low"], alone["high"]) == pytest.approx((0.05, 0.15))


def test_an_accuracy_stays_between_0_and_1() -> None:
    # mean 0.945; a standard error of 0.045, times 12.706, is 0.5718; with 0.02 of the problems 0.5721
    found = over_the_seeds([end(0.99), end(0.9)])
    assert (found["low"], found["high"]) == (pytest.approx(0.3729, abs=1e-4), 1.0)


@pytest.mark.parametrize(
    ("others", "side", "words"),
    [
        ((0.50, 0.51, 0.49), "above", "ends above <other>, with the intervals apart"),
        ((0.90, 0.91, 0.89), "neither", "is NOT shown to end above <other>: the intervals overlap"),
        ((0.92, 0.20, 0.70), "neither", "is NOT shown to end above"),  # lower in every seed, but one cannot know
        ((0.99, 0.99, 0.99), "below", "ends BELOW <other>"),
    ],
)
def test_what_is_said_is_what_the_intervals_show(others: tuple[float, ...], side: str, words: str) -> None:
    found = summarise([arm("practice", 0.93, 0.92, 0.94), arm("other", *others)], cores=2)
    assert found["apart"] == {"other": side}
    [sentence] = found["findings"]
    assert words in sentence
    assert found["arms"]["practice"]["compute_tokens"] == [100, 100, 100]
    assert found["arms"]["practice"]["core_seconds"] == [2.0, 2.0, 2.0]


def test_the_page_says_what_was_found_and_needs_nothing_else(tmp_path: Path) -> None:
    arms = [arm("practice", 0.9), arm("other", 0.89)]
    summary: dict[str, Any] = {"seeds": [7], "imitator": {"accuracy": over_the_seeds([end(0.5)])}, **summarise(arms, 2)}
    write_page(tmp_path, arms, summary)
    text = (tmp_path / "report.html").read_text()
    assert "is NOT shown to end above &lt;other&gt;" in text
    assert "There is one seed" in text
    assert "data:image/png;base64," in text
    assert "<other>" not in text
    assert "://" not in text
    assert (tmp_path / "arms.png").read_bytes().startswith(b"\x89PNG")
