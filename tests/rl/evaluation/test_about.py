"""What two evaluations must share, and in which words they are told apart."""

from rl.evaluation.about import differences


def test_sources_that_differ_are_told_by_the_setting_and_a_hash_that_nobody_wrote_down_is_no_difference() -> None:
    before = {"sources": [{"domain": "jsonl", "rates": "r.jsonl", "rates_hash": "aa"}, {"domain": "chain"}]}
    now = {"sources": [{"domain": "jsonl", "rates": "r.jsonl", "rates_hash": "bb"}, {"domain": "chain"}]}
    older = {"sources": [{"domain": "jsonl", "rates": "r.jsonl"}, {"domain": "chain"}]}  # keys as an older version had them
    assert differences(before, now, ["sources"]) == ['sources.0.rates_hash: "aa" and "bb"']
    assert differences(older, now, ["sources"]) == []
    assert differences({"sources": [{}]}, before, ["sources"])[0].startswith("sources: [{}] and [")
