"""What a run's files of Weights & Biases hold already: read before a resumed run logs the same steps again.

W&B itself drops no point that is logged twice under a step of our own (`define_metric`), and rewinds runs online only. Its
transaction log, which is written online too, is in LevelDB's format (https://github.com/google/leveldb, doc/log_format.md)
behind a header of seven bytes: blocks of 32 KiB, and in them pieces of a checksum (4 bytes), a length (2) and a kind (1: whole,
2: first, 3: middle, 4: last). Each record is a message of wandb.proto. A log that ends in the middle of one was being written
when its process was killed.
"""

import json
import struct
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from rl.tracking.mirrors import STEP_KEY

_HEADER, _BLOCK, _PIECE = 7, 32 * 1024, struct.Struct("<IHB")
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


def held_keys(directory: Path, run_id: str) -> dict[int, set[str]]:
    """Return, by step, the names that the logs of run `run_id` below `directory` hold; nested ones by their first part."""
    held: dict[int, set[str]] = defaultdict(set)
    for step, keys in histories(directory, run_id):
        held[step] |= keys
    return held


def histories(directory: Path, run_id: str) -> Iterator[tuple[int, set[str]]]:
    """Yield the step and the names of everything that was logged at one; `held_keys` puts together what belongs to a step."""
    from wandb.proto.wandb_internal_pb2 import Record

    # a second folder of the same second has a number behind the id
    for file in sorted(directory.glob(f"*run-*-{run_id}*/run-{run_id}.wandb")):
        for payload in _records(file.read_bytes()):
            record = Record.FromString(payload)
            if record.WhichOneof("record_type") != "history":
                continue
            items = {item.key or item.nested_key[0]: item.value_json for item in record.history.item}
            if STEP_KEY in items:
                yield int(json.loads(items[STEP_KEY])), set(items)


def _records(log: bytes) -> Iterator[bytes]:
    """Yield the payload of every record that is whole."""
    at, parts = _HEADER, b""
    while True:
        if _BLOCK - at % _BLOCK < _PIECE.size:  # too little is left of the block for a piece: zeros
            at += _BLOCK - at % _BLOCK
        if at + _PIECE.size > len(log):
            return
        _, length, kind = _PIECE.unpack_from(log, at)
        at += _PIECE.size
        if kind not in (_WHOLE, _FIRST, _MIDDLE, _LAST) or at + length > len(log):
            return  # never finished
        piece = log[at : at + length]
        parts = piece if kind in (_WHOLE, _FIRST) else parts + piece
        at += length
        if kind in (_WHOLE, _LAST):
            yield parts
