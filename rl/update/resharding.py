"""A checkpoint on another number of ranks, or at another ZeRO stage, than wrote it: weights, Adam's moments and step counts.

DeepSpeed keeps float32 weights and moments in flat tensors, each rank its share, and the file of a rank fits that cut only. But
the files say which stretch of which weight lies where. So every rank takes from all files the stretches that it needs now, and
gives them to its own optimizer: nothing is converted on the disk, no weight is put together whole, and ranks tell each other
only where things lie. The files are mapped, not read as a whole, so what it takes is what any resume takes: a rank's share in
float32, 12 bytes a trained parameter over the number of ranks, and pages that the kernel may drop.

DeepSpeed's own way is its universal checkpoint (0.19.8, checkpoint/ds_to_universal.py): a second copy of everything on the
disk, a file for each weight and moment, made beforehand; of ZeRO 0 it knows nothing, and 1 and 2 convert only with state put in
that is not there. What this file relies on instead is the format of the checkpoints (keys below), the loader of ZeRO 3,
`update_lp_params` of ZeRO 1 and 2, and that they have our AdamW step their flat tensors.

Assumes that all ranks see all files, and the same trained weights by name and shape. Frozen weights and buffers are those of
the model as it was opened: nothing here trains them, and a checkpoint holds no frozen ones. Left out: offload to NVMe.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from problems.errors import LabError
from rl.exchange import all_gather
from rl.runtime import rank, world_size

# what the files call things (deepspeed 0.19.8, checkpoint/constants.py)
_OPTIMIZER = "optimizer_state_dict"
_PARTITION_WEIGHTS, _PARTITION_STATE, _PARTITION_PLACES = (
    "single_partition_of_fp32_groups", "base_optimizer_state", "param_slice_mappings",
)  # fmt: skip
_SHARD_WEIGHTS = "fp32_flat_groups"

_MOMENTS = ("exp_avg", "exp_avg_sq")
_COUNTERS = ("global_steps", "global_samples", "skipped_steps")

State = dict[str, Any]  # of Adam: step and moments; {} before the first optimizer step


class ReshardingError(LabError):
    """A checkpoint that cannot be cut anew; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A stretch of a weight, and where it lies in a flat tensor; all in elements."""

    name: str
    start: int  # in the weight
    size: int
    place: int  # in the flat tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Flat:
    """Weights in a row, in float32, what Adam knows of them, and what lies where."""

    pieces: tuple[Piece, ...]
    weights: torch.Tensor  # [N]
    state: State  # moments [N]


# -- where things lie


def whole(name: str, size: int) -> tuple[Piece]:
    """Return the only piece of ZeRO 0, where every weight is a tensor of its own."""
    return (Piece(name=name, start=0, size=size, place=0),)


def partitions(places: Sequence[Sequence[Mapping[str, Any]]]) -> list[list[tuple[Piece, ...]]]:
    """Return what lies in each partition of each rank under ZeRO 1 and 2, from `places`: by rank, by group, by name.

    These say how much of a weight lies where, but not which stretch: a lower rank has what comes before.
    """
    reached: Counter[str] = Counter()
    found = []
    for of_rank in places:
        groups = []
        for of_group in of_rank:
            pieces = []
            for name, place in of_group.items():
                pieces.append(Piece(name=name, start=reached[name], size=place.numel, place=place.start))
                reached[name] += place.numel
            groups.append(tuple(pieces))
        found.append(groups)
    return found


def shards(shapes: Sequence[Mapping[str, Sequence[int]]], number: int, ranks: int) -> list[tuple[Piece, ...]]:
    """Return what lies in each flat tensor of rank `number` under ZeRO 3, from the shapes by group and name.

    Every weight is cut into `ranks` equal parts; the last of them are filled up where it does not divide.
    """
    found = []
    for of_group in shapes:
        pieces, place = [], 0
        for name, shape in of_group.items():
            elements = torch.Size(shape).numel()
            share = -(-elements // ranks)
            start = min(number * share, elements)
            pieces.append(Piece(name=name, start=start, size=min(share, elements - start), place=place))
            place += share
        found.append(tuple(pieces))
    return found


# -- what the files hold


def read(path: Path) -> Any:
    """Return what DeepSpeed wrote to a file; its tensors are mapped, and come from the disk when they are used."""
    return torch.load(path, map_location="cpu", mmap=True, weights_only=False)


def _by_rank(directory: Path, kind: str) -> list[Path]:
    """Return the files of a kind in the order of the ranks that wrote them."""

    def number(path: Path) -> int:
        found = re.search(r"zero_pp_rank_(\d+)_", path.name)
        return int(found[1]) if found else 0

    return sorted(directory.glob(f"*{kind}_states.pt"), key=number)


def read_common(directory: Path) -> dict[str, Any]:
    """Return what the checkpoint of an engine says once for all ranks: counters, settings, shapes."""
    files = _by_rank(directory, "model")
    if not files:
        raise ReshardingError(f"{directory} holds no checkpoint of DeepSpeed")
    common: dict[str, Any] = read(files[0])
    return common


def read_flats(directory: Path, common: Mapping[str, Any], names: Sequence[str]) -> list[Flat]:
    """Return all that the ranks which wrote a checkpoint kept; `names` are those of the trained weights, in their order."""
    ranks = [read(path)[_OPTIMIZER] for path in _by_rank(directory, "optim")]
    if not ranks:
        return _plain_flats(common, names)
    if _SHARD_WEIGHTS in ranks[0]:
        cuts = [shards(common["param_shapes"], number, len(ranks)) for number in range(len(ranks))]
        weights, states = ([held[key] for held in ranks] for key in (_SHARD_WEIGHTS, _OPTIMIZER))
    else:
        cuts = partitions([held[_PARTITION_PLACES] for held in ranks])
        weights, states = ([held[key] for held in ranks] for key in (_PARTITION_WEIGHTS, _PARTITION_STATE))
    return [
        Flat(pieces=pieces, weights=weights[number][group], state=states[number]["state"].get(group, {}))
        for number, groups in enumerate(cuts)
        for group, pieces in enumerate(groups)
    ]


def _plain_flats(common: Mapping[str, Any], names: Sequence[str]) -> list[Flat]:
    """Return the weights of ZeRO 0, where one file holds everything."""
    optimizer = common["optimizer"]
    if _OPTIMIZER in optimizer:  # bf16: float32 copies beside the weights, in the order in which these are trained
        kept = [copied for group in optimizer["fp32_groups"] for copied in group]
        states = optimizer[_OPTIMIZER]["state"]
    else:
        kept = [common["module"][name] for name in names]
        states = optimizer["state"]
    if len(kept) != len(names):
        raise ReshardingError(f"the checkpoint has {len(kept)} trained weights and this model has {len(names)}")
    return [
        Flat(
            pieces=whole(name, weights.numel()),
            weights=weights.detach().reshape(-1),
            state={key: value.reshape(-1) if key in _MOMENTS else value for key, value in states.get(number, {}).items()},
        )
        for number, (name, weights) in enumerate(zip(names, kept, strict=True))
    ]


# -- putting them together


class Saved:
    """All stretches of all weights that a checkpoint holds, by the weight's name."""

    def __init__(self, flats: Iterable[Flat]):
        self._held: dict[str, list[tuple[Piece, Flat]]] = defaultdict(list)
        for flat in flats:
            for piece in flat.pieces:
                self._held[piece.name].append((piece, flat))

    def gather(self, pieces: Sequence[Piece], size: int) -> Flat:
        """Return a flat tensor [size] in which `pieces` lie, zero elsewhere, with Adam's state of it.

        One step count goes for a flat tensor. A weight that plain AdamW has moved less often than the others beside it (an
        expert that no token went to) gets theirs, as if it had been under ZeRO from the start.
        """
        found = {key: torch.zeros(size) for key in ("weights", *_MOMENTS)}
        steps = []
        for piece in pieces:
            missing = piece.size
            for held, flat in self._held.get(piece.name, ()):
                start = max(piece.start, held.start)
                length = min(piece.start + piece.size, held.start + held.size) - start
                if length <= 0:
                    continue
                missing -= length
                to, origin = piece.place + start - piece.start, held.place + start - held.start
                found["weights"][to : to + length] = flat.weights[origin : origin + length].detach()
                if flat.state:
                    steps.append(flat.state["step"])
                    for key in _MOMENTS:
                        found[key][to : to + length] = flat.state[key][origin : origin + length]
            if missing:
                raise ReshardingError(
                    f"the checkpoint lacks {missing} of the {piece.size} elements that this rank needs of {piece.name}: "
                    "it is of another model"
                )
        weights = found.pop("weights")
        state: State = {"step": torch.tensor(max(map(float, steps))), **found} if steps else {}
        return Flat(pieces=tuple(pieces), weights=weights, state=state)


def load(engine: Any, adamw: torch.optim.Optimizer, directory: Path) -> None:
    """Restore in DeepSpeed's `engine`, which steps by `adamw`, what ranks wrote to `directory`; all ranks must call.

    Raises ReshardingError for what is no such checkpoint, or was offloaded to NVMe.
    """
    common = read_common(directory)
    if any('"nvme"' in json.dumps(settings["zero_optimization"]) for settings in (common["ds_config"], engine.config)):
        raise ReshardingError(
            f"{directory} can only be resumed with the number of ranks and the settings of DeepSpeed that wrote it: state "
            "offloaded to NVMe is copied as it lies"
        )
    trained = {name: weights for name, weights in engine.module.named_parameters() if weights.requires_grad}
    saved = Saved(read_flats(directory, common, list(trained)))
    stage = engine.zero_optimization_stage()
    with torch.no_grad():
        if stage == 0:
            _fill_plain(adamw, trained, saved)
        elif stage < 3:
            _fill_partitions(engine.optimizer, adamw, saved)
        else:
            _fill_shards(engine, saved)
    for name in _COUNTERS:
        setattr(engine, name, common[name])


def _fill_plain(adamw: torch.optim.Optimizer, trained: Mapping[str, nn.Parameter], saved: Saved) -> None:
    """Restore ZeRO 0: AdamW has every weight for itself; in bf16 a copy in float32, from which DeepSpeed rounds the weight."""
    cuts = [whole(name, weights.numel()) for name, weights in trained.items()]
    _fill(adamw, cuts, saved)
    kept = [weights for group in adamw.param_groups for weights in group["params"]]
    for weights, source in zip(trained.values(), kept, strict=True):
        if weights is not source:
            weights.copy_(source)


def _fill_partitions(optimizer: Any, adamw: torch.optim.Optimizer, saved: Saved) -> None:
    """Restore ZeRO 1 and 2: AdamW has one flat tensor a group, this rank's part of it."""
    places = all_gather(optimizer.state_dict()[_PARTITION_PLACES])
    _fill(adamw, partitions(places)[rank()], saved)
    optimizer.update_lp_params()


def _fill(adamw: torch.optim.Optimizer, cuts: Sequence[Sequence[Piece]], saved: Saved) -> None:
    """Restore what AdamW steps, tensor by tensor, and what it knows of each."""
    kept = [weights for group in adamw.param_groups for weights in group["params"]]
    state: dict[int, State] = {}
    for number, (weights, pieces) in enumerate(zip(kept, cuts, strict=True)):
        found = saved.gather(pieces, weights.numel())
        weights.copy_(found.weights.view_as(weights))
        if found.state:
            state[number] = {key: v.view_as(weights) if key in _MOMENTS else v for key, v in found.state.items()}
    adamw.load_state_dict({**adamw.state_dict(), "state": state})


def _fill_shards(engine: Any, saved: Saved) -> None:
    """Restore ZeRO 3 by way of its own loader, given what this rank's file would hold."""
    optimizer = engine.optimizer
    own = optimizer.state_dict()
    cuts = shards(engine._get_zero_param_shapes(), rank(), world_size())
    flats = [saved.gather(pieces, held.numel()) for pieces, held in zip(cuts, own[_SHARD_WEIGHTS], strict=True)]
    own[_SHARD_WEIGHTS] = [flat.weights for flat in flats]
    own[_OPTIMIZER] = {**own[_OPTIMIZER], "state": {number: flat.state for number, flat in enumerate(flats) if flat.state}}
    optimizer.checkpoint_event_prologue()  # small weights are kept whole beside their shards: these come first
    optimizer.load_state_dict([own] * world_size())
    optimizer.checkpoint_event_epilogue()
