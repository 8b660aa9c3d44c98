"""What counts of paid completions can say, against values known elsewhere."""

import pytest

from rl.diagnosis.chances import at_most, of_so_many_more, with_contrast


@pytest.mark.parametrize(
    ("count", "of", "expected"),
    [
        (0, 32, 1 - 0.05 ** (1 / 32)),  # none of n: (1 - p)^n = 0.05
        (31, 32, 0.95 ** (1 / 32)),  # all but one: 1 - p^n = 0.05
        (1, 2, 0.95**0.5),
        (
            400,
            8192,
            0.0529,
        ),  # the ways are more than a float holds; normal: 0.0488 + 1.645 * sqrt(0.0488 * 0.9512 / 8192) = 0.0527
        (32, 32, 1.0),
    ],
)
def test_the_upper_bound_of_a_share(count: int, of: int, expected: float) -> None:
    assert at_most(count, of) == pytest.approx(expected, abs=2e-4)


def test_the_chance_of_so_many_more() -> None:
    # 3 of 4 against 0 of 4: one of the C(8, 3) = 56 ways to choose the paid ones has C(4, 3) = 4 for it
    assert of_so_many_more(3, 4, 0, 4) == pytest.approx(4 / 56)
    assert of_so_many_more(0, 4, 3, 4) == pytest.approx(1)


def test_groups_with_contrast() -> None:
    assert with_contrast(0.5, 2) == pytest.approx(0.5)
    assert with_contrast(0.0, 8) == 0
