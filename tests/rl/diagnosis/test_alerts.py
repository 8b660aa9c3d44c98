"""The alerts on the metrics of a real demo (tests/data/demo_metrics.jsonl), as they were and bent by one curve at a time."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from support_pure import ROOT

from rl.diagnosis.alerts import ALERTS, alerts

Record = dict[str, Any]
REAL: list[Record] = [json.loads(line) for line in (ROOT / "tests/data/demo_metrics.jsonl").read_text().splitlines()]


def bent(key: str, change: Callable[[int, float], float]) -> list[Record]:
    """Return the real metrics with another value of `key` wherever there is one, by step and old value."""
    return [{**record, key: change(record["step"], record[key])} if key in record else record for record in REAL]


def test_a_run_that_went_well_sets_nothing_off() -> None:
    assert alerts(REAL) == []


# the demo has 170 steps; each bend begins at step 100
BENT = {
    "no_contrast": bent("frac_reward_zero_std", lambda step, old: 0.95 if step >= 100 else old),
    "unparsed": bent("verdicts/unparsed", lambda step, old: 0.2 if step >= 100 else old),
    "truncated": bent("completions/clipped_ratio", lambda step, old: 0.15 if step >= 100 else old),
    "sampler_gap": bent("sampling/sampling_logp_difference/mean", lambda step, old: 0.1 if step >= 100 else old),
    "gradient_spike": bent("grad_norm", lambda step, old: 40.0 if step == 100 else old),
}


@pytest.mark.parametrize("name", BENT)
def test_a_bent_curve_is_told_with_the_step_at_which_it_bends(name: str) -> None:
    (alert,) = alerts(BENT[name])
    assert (alert.name, alert.step) == (name, 100)
    assert "100" in alert.words


def unpaid(keep_evaluations: bool = True) -> list[Record]:
    """Return the real metrics with a reward that stays where it is."""
    flat = [{**record, "reward": 0.5} if "reward" in record else record for record in REAL]
    return flat if keep_evaluations else [{k: v for k, v in record.items() if not k.startswith("eval/")} for record in flat]


def falling() -> list[Record]:
    """Return the real metrics, whose reward rises, with a held-out accuracy of 0.9 at step 0 that falls by 0.003 a step."""
    return [
        {
            **record,
            "eval/accuracy": 0.9 - 0.003 * record["step"],
            "eval/accuracy_low": 0.85 - 0.003 * record["step"],
            "eval/accuracy_high": 0.95 - 0.003 * record["step"],
        }
        if "eval/accuracy" in record
        else record
        for record in REAL
    ]


# by the name of an alert: a run that sets it off, and one like it that sets off nothing
PAIRS: dict[str, tuple[list[Record], list[Record]]] = {
    **{name: (records, REAL) for name, records in BENT.items()},
    "entropy_collapsed": (
        [{**record, "entropy": 0.001} if record["step"] >= 60 else record for record in unpaid()],
        [{**record, "entropy": 0.001} if record["step"] >= 160 else record for record in REAL],  # paid nearly always by then
    ),
    "longer_not_better": (unpaid(keep_evaluations=False), REAL),  # 12 tokens at first, 37 at the end; in REAL accuracy rises
    "reward_misleads": (falling(), REAL),
}


def test_every_rule_has_a_run_that_sets_it_off_and_one_that_does_not() -> None:
    assert PAIRS.keys() == {rule.__name__ for rule in ALERTS}
    for rule in ALERTS:
        wrong, well = PAIRS[rule.__name__]
        assert (rule.__name__, getattr(rule(wrong), "name", None)) == (rule.__name__, rule.__name__)
        assert (rule.__name__, alerts(well)) == (rule.__name__, [])


def test_entropy_that_collapses_while_there_is_something_to_learn() -> None:
    # 0.17 nats at the beginning; a tenth of it is reached while half of the completions are still unpaid
    alert = next(alert for alert in alerts(PAIRS["entropy_collapsed"][0]) if alert.name == "entropy_collapsed")
    assert alert.step == 60
    assert alert.words.startswith("Entropy collapsed at step 60: 0.001 nats")


def test_length_that_grows_while_accuracy_does_not() -> None:
    alert = next(alert for alert in alerts(PAIRS["longer_not_better"][0]) if alert.name == "longer_not_better")
    assert "accuracy did not" in alert.words


def test_reward_that_rises_while_held_out_accuracy_falls() -> None:
    # 0.9 (at least 0.85) at step 0; the upper end of 0.95 - 0.003 s is below 0.85 from step 34 on: the evaluation of step 40
    (alert,) = alerts(falling())
    assert (alert.name, alert.step) == ("reward_misleads", 40)


def test_four_odd_steps_are_no_alert_and_five_are() -> None:
    four = bent("verdicts/unparsed", lambda step, old: 0.5 if 100 <= step < 104 else old)
    five = bent("verdicts/unparsed", lambda step, old: 0.5 if 100 <= step < 105 else old)
    assert (len(alerts(four)), len(alerts(five))) == (0, 1)


def test_a_cold_start_may_be_certain_of_what_it_imitates() -> None:
    imitation = [{"step": step, "entropy": 3.0 / step, "loss": 1.0 / step} for step in range(1, 100)]
    assert alerts(imitation) == []


@pytest.mark.parametrize("rule", ALERTS)
@pytest.mark.parametrize(
    "records", [[], [{}], [{"step": "one", "reward": 1}], [{"step": 1, "entropy": None, "reward": "high"}] * 20]
)
def test_no_metrics_and_strange_ones_are_no_alert(rule: Callable[[Any], object], records: list[Record]) -> None:
    assert rule(records) is None
