"""What two evaluations must share, and in which words they are told apart."""

import os
from pathlib import Path

import pytest

from rl.evaluation.about import differences, fingerprint
from rl.policy.content import content_of
from rl.policy.paths import PolicyError
from rl.settings.schema import ModelSettings


def test_sources_that_differ_are_told_by_the_setting_and_a_hash_that_nobody_wrote_down_is_no_difference() -> None:
    before = {"sources": [{"domain": "jsonl", "rates": "r.jsonl", "rates_hash": "aa"}, {"domain": "chain"}]}
    now = {"sources": [{"domain": "jsonl", "rates": "r.jsonl", "rates_hash": "bb"}, {"domain": "chain"}]}
    older = {"sources": [{"domain": "jsonl", "rates": "r.jsonl"}, {"domain": "chain"}]}  # keys as an older version had them
    assert differences(before, now, ["sources"]) == ['sources.0.rates_hash: "aa" and "bb"']
    assert differences(older, now, ["sources"]) == []
    assert differences({"sources": [{}]}, before, ["sources"])[0].startswith("sources: [{}] and [")


def test_weights_that_differ_in_a_single_byte_anywhere_are_others_and_equal_ones_are_the_same_wherever_they_lie(
    tmp_path: Path,
) -> None:
    megabytes = bytes(3 * 2**20)
    names = {"first": 0, "middle": len(megabytes) // 2, "last": len(megabytes) - 1}
    for name, place in names.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(megabytes[:place] + b"1" + megabytes[place + 1 :])
    for copy in ("plain", "copy"):
        (tmp_path / copy).mkdir()
        (tmp_path / copy / "model.safetensors").write_bytes(megabytes)
    found = {name: fingerprint(ModelSettings(path=str(tmp_path / name))) for name in (*names, "plain", "copy")}
    assert found["plain"] == found["copy"]
    assert len(set(found.values())) == 4
    assert str(found["plain"]).startswith("sha256:")
    assert fingerprint(ModelSettings(path=str(tmp_path))) is None  # no weights there


def test_a_file_that_was_written_over_is_read_again_though_size_and_time_are_the_same(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    status = file.stat()
    before = content_of(file)
    file.write_bytes(b"two")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert content_of(file) != before
    with pytest.raises(PolicyError, match="cannot read"):
        content_of(tmp_path / "none")


def test_a_hash_that_knows_only_the_ends_is_named_as_such() -> None:
    before, now = {"model_fingerprint": "0123456789abcdef"}, {"model_fingerprint": "sha256:fedcba98"}
    assert differences(before, now, ["model_fingerprint"]) == [
        'model_fingerprint: "0123456789abcdef" and "sha256:fedcba98", of which the former knows only the ends of the files'
    ]
