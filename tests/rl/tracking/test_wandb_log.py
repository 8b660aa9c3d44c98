"""The transaction log of W&B is read to its last whole record, over the borders of its blocks."""

import json
import struct
from pathlib import Path

from wandb.proto.wandb_internal_pb2 import Record

from rl.tracking.wandb_log import held_keys

_BLOCK = 32 * 1024


def history(step: int, *names: str, padding: int = 0) -> bytes:
    record = Record()
    for name, value in {"train/global_step": step, **dict.fromkeys(names, "x" * padding)}.items():
        record.history.item.add(key=name, value_json=json.dumps(value))
    return record.SerializeToString()


def log_of(*payloads: bytes) -> bytes:
    """Lay records out as LevelDB does behind W&B's header; the checksums are left 0, nobody here asks for them."""
    log = b":W&B\xe1\xbe\x00"
    for record in payloads:
        payload, is_first = record, True
        while is_first or payload:
            left = _BLOCK - len(log) % _BLOCK
            if left < 7:
                log += bytes(left)
                continue
            piece, payload = payload[: left - 7], payload[left - 7 :]
            kind = {(True, False): 1, (True, True): 2, (False, True): 3, (False, False): 4}[is_first, bool(payload)]
            log += struct.pack("<IHB", 0, len(piece), kind) + piece
            is_first = False
    return log


def written(tmp_path: Path, log: bytes, run_id: str = "abcd1234") -> Path:
    directory = tmp_path / f"offline-run-20261126_120000-{run_id}"
    directory.mkdir(parents=True)
    (directory / f"run-{run_id}.wandb").write_bytes(log)
    return tmp_path


def test_records_are_found_over_the_borders_of_blocks(tmp_path: Path) -> None:
    # 100,000 letters lie in four blocks of 32,768
    log = log_of(history(1, "train/reward"), history(2, "train/long", padding=100_000), history(3, "train/reward"))
    assert len(log) > 3 * _BLOCK
    held = held_keys(written(tmp_path, log), "abcd1234")
    step = {"train/global_step"}
    assert held == {1: step | {"train/reward"}, 2: step | {"train/long"}, 3: step | {"train/reward"}}


def test_a_block_with_too_little_room_for_a_piece_ends_in_zeros(tmp_path: Path) -> None:
    left = set()  # bytes of the first block behind its only record
    for padding in range(_BLOCK - 80, _BLOCK - 50):
        first = history(1, "train/reward", padding=padding)
        left.add(_BLOCK - len(log_of(first)))
        held = held_keys(written(tmp_path / str(padding), log_of(first, history(2))), "abcd1234")
        assert set(held) == {1, 2}
    assert set(range(9)) <= left


def test_what_a_killed_process_left_unfinished_is_left_out(tmp_path: Path) -> None:
    log = log_of(history(1), history(2))
    for cut in (1, 5, 12):
        assert set(held_keys(written(tmp_path / str(cut), log[:-cut]), "abcd1234")) == {1}
    assert held_keys(written(tmp_path / "header", log[:7]), "abcd1234") == {}
    assert held_keys(written(tmp_path / "nothing", b""), "abcd1234") == {}


def test_logs_of_other_runs_and_other_records_are_not_read(tmp_path: Path) -> None:
    other = Record()
    other.alert.title = "train/global_step"
    written(tmp_path, log_of(history(1)), "dcba4321")
    assert set(held_keys(written(tmp_path, log_of(other.SerializeToString(), history(7))), "abcd1234")) == {7}
