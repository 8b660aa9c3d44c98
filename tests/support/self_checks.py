"""The start-up self-check on a real model: sound engines must pass, and each known fault must be caught, in every combination.

    python tests/support/self_checks.py [--model PATH] [--dtype bf16] [--stage 1] [--kind lora] [--ranks 2] [--fault NAME]

Dtype, ZeRO stage, full weights or LoRA, and one or two ranks make 32 combinations; each prints a line. Ranks are forks of this
process, so that libraries are imported once; one combination is in memory at a time. Exits 1 if anything was not as it should.
"""

import argparse
import itertools
import json
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY), str(Path(__file__).parent)]

import rl  # noqa: F401, before torch, for what it sets in the environment

# what the ranks would import otherwise
import deepspeed.runtime.zero.stage3  # noqa: F401  # isort: skip
import torch  # isort: skip
from faults import SAMPLER_FAULTS, UPDATE_FAULTS  # isort: skip
from forks import renew_threads  # isort: skip
from support import free_port  # isort: skip

from problems.catalog import build_source
from problems.errors import LabError
from rl import selfcheck
from rl.policy.fetching import MODELS, fetch
from rl.policy.opening import load_model, load_tokenizer, plain_model
from rl.policy.prompts import render
from rl.runtime import process_group, rank
from rl.sampling.sampler import Sampler
from rl.settings.loading import load_config
from rl.settings.schema import RunConfig
from rl.update.engine import Engine

_MODEL = "smollm2-135m"
_PROMPTS = 64  # as rl/start.py
Said = dict[str, str | None]  # what the check said, by fault ("sound": of none); None: it passed


def settings_of(model: str, dtype: str, stage: int, kind: str) -> RunConfig:
    """Return the settings of a run that would begin with this check."""
    chosen = [f"model.path={model}", "problems=[{domain: chain}]", "run.name=unused", f"model.dtype={dtype}"]
    chosen += [f"deepspeed.stage={stage}", "sampling.max_completion_tokens=64"]
    chosen += ["model.lora.r=8", "deepspeed.shard_frozen=true"] if kind == "lora" else []
    return load_config(RunConfig, [], chosen).config


def look(config: RunConfig, faults: Sequence[str]) -> tuple[Said, list[str]]:
    """Return what the check says of a sound engine and with each of `faults`, and how far from the truth the sound one was."""
    tokenizer = load_tokenizer(config.model)
    source = build_source(config.problems, 0)
    prompts = [render(source.get("train", i), config.prompt, tokenizer) for i in range(_PROMPTS)]
    torch.manual_seed(0)
    engine = Engine(load_model(config.model), config)
    stops = frozenset([tokenizer.eos_token_id])
    sampler = Sampler(model=engine.sampling_model, pad_id=tokenizer.pad_token_id, stop_ids=stops, max_rows=8)
    with _recorded() as (judged, numbers):
        started = time.monotonic()
        said: Said = {"sound": _words(lambda: selfcheck.self_check(engine, sampler, prompts, config))}
        numbers.append(f"{time.monotonic() - started:.0f} s")
    _tell("; ".join(numbers))
    for name in faults:
        if name in UPDATE_FAULTS and judged:
            with engine.without_trace(), UPDATE_FAULTS[name](engine):
                said[name] = _words(lambda: selfcheck.check_update(*judged[0]))
        elif name in SAMPLER_FAULTS:
            spoilt = SAMPLER_FAULTS[name](sampler, engine)
            # the update was looked at: only what was sampled is judged
            with patch.object(selfcheck, "text_rows", lambda *_: []), patch.object(selfcheck, "check_update", lambda *_: None):
                said[name] = _words(lambda: selfcheck.self_check(engine, spoilt, prompts, config))  # noqa: B023, called here
        _tell(f"{name}: {(said.get(name) or 'MISSED').partition('(')[0]}")
    engine.finish()
    return said, numbers


def _tell(what: str) -> None:
    if rank() == 0:
        print(f"    {what}", file=sys.stderr, flush=True)


def _words(check: Callable[[], None]) -> str | None:
    try:
        check()
    except LabError as error:
        return str(error)
    return None


@contextmanager
def _recorded() -> Iterator[tuple[list[Any], list[str]]]:
    """Remember what the update is checked with, so that each fault need not be judged anew, and the distances found."""
    judged: list[Any] = []
    numbers: list[str] = []
    check_update, compare, mean_gap = selfcheck.check_update, selfcheck._check_direction, selfcheck._mean_gap

    def remember(*arguments: Any) -> None:
        judged.append(arguments)
        check_update(*arguments)

    def direction(config: RunConfig, found: Any, plain: Any) -> None:
        beside = f" (plain {plain.scale:.3f} {plain.distance:.4f})" if plain else ""
        numbers.append(f"gradient {found.scale:.4f} {found.distance:.2g}{beside}")
        compare(config, found, plain)

    def gap(*arguments: Any) -> float:
        found = mean_gap(*arguments)
        numbers.append(f"nats {found:.2g}")
        return found

    with (
        patch.object(selfcheck, "check_update", remember),
        patch.object(selfcheck, "_check_direction", direction),
        patch.object(selfcheck, "_mean_gap", gap),
    ):
        yield judged, numbers


def run_rank(number: int, ranks: int, port: str, config: RunConfig, faults: Sequence[str], out: Path) -> None:
    """Be one rank."""
    renew_threads()
    os.environ.update(RANK=str(number), LOCAL_RANK=str(number), WORLD_SIZE=str(ranks), LOCAL_SIZE=str(ranks))
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
    with process_group():
        found = look(config, faults)
        if rank() == 0:
            out.write_text(json.dumps(found))


def run_combination(ranks: int, config: RunConfig, faults: Sequence[str], out: Path) -> tuple[Said, list[str]] | None:
    """Return what `look` found on so many ranks; None where a rank failed. Ranks return too: see main."""
    port, children = free_port(), []
    for number in range(ranks):
        child = os.fork()
        if child == 0:
            run_rank(number, ranks, port, config, faults, out)
            sys.exit(0)
        children.append(child)
    statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    if any(statuses):
        print(f"ranks ended with {statuses}", flush=True)
        return None
    said, numbers = json.loads(out.read_text())
    return said, numbers


def parsed() -> argparse.Namespace:
    """Return the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", metavar="PATH", help="as model.path (default: SmolLM2-135M-Instruct, fetched)")
    parser.add_argument("--dtype", nargs="+", default=["bf16", "fp32"])
    parser.add_argument("--stage", nargs="+", type=int, default=[0, 1, 2, 3])
    parser.add_argument("--kind", nargs="+", default=["full", "lora"])
    parser.add_argument("--ranks", nargs="+", type=int, default=[1, 2])
    every = [*UPDATE_FAULTS, *SAMPLER_FAULTS]
    parser.add_argument("--fault", nargs="*", default=every, choices=every, metavar="NAME", help=f"of {', '.join(every)}")
    return parser.parse_args()


def main() -> int:
    arguments = parsed()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", FutureWarning)  # torch 2.13 renames what DeepSpeed 0.19.8 calls
    path = arguments.model or str(fetch(_MODEL, MODELS[_MODEL]))
    model = plain_model(settings_of(path, "fp32", 0, "full").model, REPOSITORY / "runs").path
    out = Path(tempfile.mkstemp(suffix=".json")[1])
    good = total = 0
    for dtype, kind, ranks, stage in itertools.product(arguments.dtype, arguments.kind, arguments.ranks, arguments.stage):
        found = run_combination(ranks, settings_of(model, dtype, stage, kind), arguments.fault, out)
        said, numbers = found or ({}, [])
        wrong = [name for name in arguments.fault if said.get(name) is None]
        wrong += ["sound"] * (found is None or said["sound"] is not None)
        total += 1
        good += not wrong
        caught = f"{len(arguments.fault)} faults caught" if not wrong else f"WRONG: {', '.join(wrong)}"
        print(f"{dtype} ZeRO {stage} {kind} {ranks} ranks: {caught}; {'; '.join(numbers)}", flush=True)
        if "sound" in wrong:
            print(f"  {said.get('sound')}", flush=True)
    out.unlink()
    print(f"{good} of {total} combinations are as they should be")
    return 0 if good == total else 1


if __name__ == "__main__":
    sys.exit(main())
