"""What is known of completions that were drawn shorter than the run would draw them."""

from support import rollout, truncated

from rl.diagnosis.figures import Figures
from rl.diagnosis.measure import of_ended
from rl.diagnosis.page import verdict
from rl.settings.loading import load_config
from rl.settings.schema import RunConfig
from rl.types import Rollout


def group(*rewards: float | None) -> list[Rollout]:
    """Return rollouts with these rewards; None: one that had not ended, and so was paid nothing."""
    return [truncated(rollout([1], [2], [-1.0], 0.0)) if paid is None else rollout([1], [2], [-1.0], paid) for paid in rewards]


def test_what_had_not_ended_does_not_count_as_unpaid() -> None:
    known = of_ended([group(1.0, None, None), group(1.0, 0.0, None), group(None, None, None)])
    assert (known["paid"], known["reward"], known["contrast"]) == (2 / 3, 2 / 3, 1 / 2)
    assert known["all_paid"] == 1 / 2
    assert known["all_unpaid"] == 0.0
    assert (known["groups"], known["completions"], known["cut"]) == (3, 9, None)


def test_where_hardly_anything_ended_nothing_is_known() -> None:
    known = of_ended([group(0.0, 0.0), group(None, None), group(None, None)])
    assert known["all_unpaid"] is None
    assert known["contrast"] is None
    chosen = ["run.name=r", "model.path=m", "problems=[{domain: chain}]"]
    figures = Figures(config=load_config(RunConfig, [], chosen).config, **known)
    assert verdict(figures, []).startswith("Whether this run can learn is not known")
