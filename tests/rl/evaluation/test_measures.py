"""What an evaluation measures, by hand."""

from dataclasses import replace

import pytest
from support import problem, rollout

from problems.types import ProblemError
from rewards.types import Verdict
from rl.evaluation.measures import held_out_metrics, summarise
from rl.evaluation.progress import against_start, numbers
from rl.evaluation.samples import cluster_of, of_rollouts
from rl.evaluation.table import progress_table, results_table


def asked(number, outcomes, tokens=None, logprobs=None, cluster=None):
    """The samples of one problem: right or wrong, with lengths and log-probabilities of a token."""
    tokens, logprobs = tokens or [2] * len(outcomes), logprobs or [-1.0] * len(outcomes)
    members = [
        rollout([5], [6] * length, [logprob] * length, float(right), number)
        for right, length, logprob in zip(outcomes, tokens, logprobs, strict=True)
    ]
    return of_rollouts(members, cluster)


def test_best_of_k_by_length_and_by_log_probability():
    found = summarise([asked(0, [1, 0, 0], tokens=[9, 3, 5], logprobs=[-0.1, -0.9, -0.5]), asked(1, [0, 1, 1], [2, 2, 4])])
    best = {name: {k: one["value"] for k, one in by_k.items()} for name, by_k in found["best_of_k"].items()}
    # of three: the first problem's shortest is wrong, the longest and likeliest right; the second's shortest are two, one
    # right, its longest right, all three as likely. Of two of the first, the longest and likeliest is in two of three pairs
    assert best["shortest"]["3"] == pytest.approx((0 + 0.5) / 2)
    assert best["longest"]["3"] == pytest.approx((1 + 1) / 2)
    assert best["likeliest"]["3"] == pytest.approx((1 + 2 / 3) / 2)
    assert best["likeliest"]["2"] == pytest.approx((2 / 3 + 2 / 3) / 2)
    assert best["likeliest"]["1"] == pytest.approx(found["accuracy"]["value"])


def test_what_cannot_be_scored_is_left_out_and_counted():
    samples = asked(0, [1, 0, 0])
    samples[2] = replace(samples[2], status="error")
    found = summarise([samples, [replace(one, status="error") for one in asked(1, [0, 0, 0])]])
    assert found["accuracy"]["value"] == 0.5
    assert found["accuracy"]["problems"] == 1
    assert found["error_rate"] == pytest.approx(4 / 6)
    assert list(found["pass_at_k"]) == ["1", "2"]
    assert found["pass_at_k"]["2"]["value"] == 1.0


def test_clusters_widen_every_interval():
    problems = [asked(n, [n < 20, n < 20], cluster=f"c{n // 10}") for n in range(40)]
    apart = summarise([asked(n, [n < 20, n < 20]) for n in range(40)])
    together = summarise(problems)
    for kind in (lambda found: found["accuracy"], lambda found: found["pass_at_k"]["2"]):
        assert kind(together)["clusters"] == 4
        assert kind(apart)["clusters"] == 40
        assert kind(together)["high"] - kind(together)["low"] > 1.5 * (kind(apart)["high"] - kind(apart)["low"])


def test_tokens_that_nobody_counted_and_probabilities_that_nobody_gave():
    samples = [replace(one, reasoning_tokens=None, mean_logprob=None) for one in asked(0, [1, 0])]
    found = summarise([samples])
    assert set(found["reasoning_tokens"].values()) == {None}
    assert set(found["best_of_k"]) == {"shortest", "longest"}


def test_the_likeliest_is_of_problems_whose_samples_all_have_a_log_probability():
    whole = asked(0, [1, 0, 0], tokens=[9, 3, 5], logprobs=[-0.1, -0.9, -0.5])
    lacking = asked(1, [0, 0, 1])
    lacking[1] = replace(lacking[1], mean_logprob=None)  # it drew no token
    unscored = asked(2, [1, 1, 1])
    unscored[0] = replace(unscored[0], mean_logprob=None, status="error")  # of what counts, all have one
    best = summarise([whole, lacking, unscored])["best_of_k"]
    assert best["likeliest"]["2"]["problems"] == 2
    # the likeliest of the first is right, in two of three pairs; the third's two are right
    assert best["likeliest"]["2"]["value"] == pytest.approx((2 / 3 + 1) / 2)
    assert best["shortest"]["2"]["problems"] == 3
    assert "likeliest" not in summarise([lacking])["best_of_k"]


def test_forced_tokens_have_no_part_in_the_log_probability():
    import numpy as np

    forced = replace(rollout([5], [6, 7, 8], [-1.0, 0.0, -2.0], 1.0), forced=np.asarray([False, True, False]))
    assert of_rollouts([forced])[0].mean_logprob == -1.5


def test_the_cluster_of_a_problem():
    one = replace(problem(3), difficulty={"topic": "algebra"}, checks={"passage": 7})
    assert [cluster_of(one, key) for key in (None, "topic", "passage", "domain")] == [
        "p3", "topic=algebra", "passage=7", "domain=chain",
    ]  # fmt: skip
    with pytest.raises(ProblemError, match="domain, passage, topic"):
        cluster_of(one, "source")


def test_a_timeout_is_wrong_and_told_apart():
    samples = asked(0, [1, 0])
    samples[1] = replace(samples[1], status=Verdict(status="timeout").status, finish_reason="length")
    found = summarise([samples])
    assert (found["timeout_rate"], found["truncated_rate"], found["accuracy"]["value"]) == (0.5, 0.5, 0.5)


def with_statuses(number, *statuses):
    """The samples of one problem, with these verdicts."""
    return [replace(one, status=status) for one, status in zip(asked(number, [0] * len(statuses)), statuses, strict=True)]


ABSTAINING = [
    with_statuses(0, "correct", "abstained", "unparsed", "abstained"),
    with_statuses(1, *["correct"] * 4),
    with_statuses(2, *["abstained"] * 4),
    with_statuses(3, *["error"] * 4),
]


def test_coverage_and_accuracy_when_answering_by_hand():
    found = summarise(ABSTAINING, may_abstain=True)
    # answered: 2 of 4, 4 of 4, none of 4; the fourth problem could not be scored
    assert (found["coverage"]["value"], found["coverage"]["problems"]) == (pytest.approx(0.5), 3)
    # right of what was answered: 1 of 2 and 4 of 4, so 5 of 6, in two problems
    answering = found["accuracy_when_answering"]
    assert (answering["value"], answering["problems"], answering["clusters"]) == (pytest.approx(5 / 6), 2, 2)
    assert 0 <= answering["low"] < 5 / 6 < answering["high"] <= 1
    # (1/4 + 4/4 + 0) / 3, which is coverage times accuracy when answering
    assert found["accuracy"]["value"] == pytest.approx(5 / 12) == pytest.approx(0.5 * 5 / 6)
    held_out = held_out_metrics(ABSTAINING, may_abstain=True)
    assert held_out["eval/coverage"] == found["coverage"]["value"]
    assert held_out["eval/accuracy_when_answering_low"] == answering["low"]
    labels = [str(cell) for cell in results_table({**ABOUT, **found}).columns[0].cells]
    assert "coverage: not abstained" in labels


ABOUT = {"n": 4, "model": "m", "split": "test", "reading": "strict"}


def test_nothing_of_abstaining_is_said_where_it_is_not_allowed():
    found = summarise([asked(0, [1, 0])])
    assert not {"coverage", "accuracy_when_answering"} & set(found)
    assert not [name for name in held_out_metrics([asked(0, [1, 0])]) if "cover" in name or "answering" in name]
    assert "coverage: not abstained" not in list(results_table({**ABOUT, **found}).columns[0].cells)


def test_who_never_answers_has_no_accuracy_when_answering_and_an_interval_that_says_so():
    found = summarise([ABSTAINING[2]], may_abstain=True)
    assert found["coverage"]["value"] == 0.0
    assert found["accuracy_when_answering"]["value"] != found["accuracy_when_answering"]["value"]  # no number
    assert (found["accuracy_when_answering"]["low"], found["accuracy_when_answering"]["high"]) == (0.0, 1.0)
    assert "-" in list(results_table({**ABOUT, **found}).columns[1].cells)


def test_an_abstention_is_neither_right_nor_wrong_and_does_not_vote():
    two_of_three = [replace(one, extracted="7") for one in with_statuses(0, "abstained", "abstained", "correct")]
    found = summarise([two_of_three], may_abstain=True)
    assert found["majority_at_k"]["3"]["value"] == 1.0
    lengths = [replace(one, num_tokens=n) for one, n in zip(two_of_three, (2, 4, 9), strict=True)]
    assert summarise([lengths])["completion_tokens"]["wrong"] is None


def test_checkpoints_are_set_against_step_0_of_the_same_set():
    texts = {
        "step-000000/a": "\\boxed{7}",
        "step-000020/a": "x = 3. Wait, x = 7. \\boxed{7}",
        "step-000020/b": "7",
        "other/a": "7",
    }
    evaluations = {
        place: {
            **ABOUT,
            **summarise([[replace(one, completion=text, num_tokens=100, extracted="7") for one in asked(0, [1, 0])]]),
        }
        for place, text in texts.items()
    }
    changes = against_start(evaluations)
    assert set(changes) == {"step-000020/a"}
    assert changes["step-000020/a"]["accuracy"] == 0.0
    assert changes["step-000020/a"]["emergence/reflections_per_1000_tokens"] == pytest.approx(10.0)  # one word in 100 tokens
    assert changes["step-000020/a"]["emergence/self_corrections"] == 1.0
    assert changes["step-000020/a"]["emergence/corrections_right"] is None  # there were none before
    assert numbers(evaluations["step-000020/a"])["emergence/corrections_right"] == 0.5
    table = progress_table(evaluations)
    assert table is not None
    assert list(table.columns[0].cells) == ["step-000000/a", "step-000020/a"]
    assert list(table.columns[5].cells) == ["0.000", "+10.000"]
    assert progress_table({"a": evaluations["other/a"]}) is None
