"""The cost and scale sheet against this machine: rates from runs of one rank, then real runs of 1, 2 and 4 ranks beside it.

    python tests/support/scale.py [--stage 2] [--steps 6] [--out DIRECTORY]        (`make scale`)

Rates come from three runs of one rank, whose steps have the share that a rank of one, two and four has; the bandwidth of so
many ranks from the all-reduce of `reasonlab doctor`. Each rank has one thread, and ranks share this machine's cores. Prints
what was said and measured of a step and of its parts, writes OUT/scale.json, and exits 1 where a step is off by more than a
quarter. Nothing else may run beside it: about five minutes on two quiet cores.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY), str(Path(__file__).parent)]

from support import environment, launcher

from rl.policy.tiny import make_tiny_model
from rl.runtime import cores
from rl.settings.dry_run import model_shape
from rl.settings.rates import Seen, seen
from rl.settings.schema import TinyModelConfig
from rl.settings.sheet import PARTS, Asked, Seconds, make_sheet

RANKS = (1, 2, 4)
PROBLEMS = 16  # a step, over all ranks
FARTHEST = 0.25
SHAPE = TinyModelConfig(hidden_size=256, intermediate_size=768, layers=3, heads=4, max_positions=256)


def main() -> int:
    """Measure, say, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stage", type=int, default=2, help="ZeRO")
    parser.add_argument("--steps", type=int, default=6, help="of each run; the first is not counted")
    parser.add_argument("--out", type=Path, help="where the runs and scale.json go (default: a directory that is removed)")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        home = flags.out or Path(temporary)
        home.mkdir(parents=True, exist_ok=True)
        model = home / "model"
        if not model.exists():
            make_tiny_model(SHAPE, model, 0)
        common = settings(home, model, flags.stage, flags.steps)
        looks = [made_run(1, f"look-{PROBLEMS // ranks}", PROBLEMS // ranks, common, home) for ranks in RANKS]
        rows = [compared(ranks, looks, common, home) for ranks in RANKS]
        (home / "scale.json").write_text(json.dumps(rows, indent=2) + "\n")
    return told(rows)


def settings(home: Path, model: Path, stage: int, steps: int) -> list[str]:
    """Return what all runs have in common."""
    return [
        f"run.dir={home}", f"model.path={model}", f"deepspeed.stage={stage}", "problems=[{domain: chain, terms: [4, 6]}]",
        "sampling.max_completion_tokens=96", "reward.workers=1", "checkpoint.every_steps=1000",
        f"train={{steps: {steps}, threads: 1, micro_batch_tokens: 2048, self_check: false, save_rollouts: false}}",
    ]  # fmt: skip


def made_run(ranks: int, name: str, problems: int, common: list[str], home: Path) -> Path:
    """Train on so many ranks; return the run directory. A KL in the loss has every row learned from, whatever it is paid."""
    run = home / name
    if not (run / "status.json").exists():
        sizes = f"algorithm={{num_problems: {problems}, group_size: 8, dynamic_sampling: false, kl_coef: 0.01}}"
        execute([*launcher(ranks, "rl.train"), *common, sizes, f"run.name={name}"], home)
    return run


def bandwidth_of(ranks: int, home: Path) -> float:
    """Return the bytes a second that each of so many ranks sends in an all-reduce."""
    said = execute(launcher(ranks, "launch.health.allreduce"), home)
    measured = next(json.loads(line[line.index('{"ranks"') :]) for line in said.splitlines() if '{"ranks"' in line)
    return float(2 * (ranks - 1) / ranks * measured["bytes"] / measured["seconds"])


def execute(program: list[str], home: Path) -> str:
    """Run a program to its end and return what it printed."""
    print("  ...", program[-1], file=sys.stderr, flush=True)
    done = subprocess.run(program, cwd=home, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(program)} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return done.stdout


def compared(ranks: int, looks: list[Path], common: list[str], home: Path) -> dict[str, Any]:
    """Say what a step of so many ranks takes, and measure it."""
    bandwidth = bandwidth_of(ranks, home) if ranks > 1 else None
    run = seen(made_run(ranks, f"measured-{ranks}", PROBLEMS, common, home))
    asked = Asked(rates=tuple(looks), bandwidth=bandwidth, cores=cores())
    sheet = make_sheet(run.config, model_shape(run.config.model.path), ranks, asked)
    column = next(column for column in sheet.columns if column.ranks == ranks)
    assert column.seconds is not None
    assert column.sent is not None
    return {
        "ranks": ranks,
        "bandwidth": bandwidth,
        "sent": column.sent.total,
        "said": said_parts(column.seconds),
        "measured": measured_parts(run),
        "bound_by": column.seconds.bound_by,
    }


def said_parts(seconds: Seconds) -> dict[str, float]:
    """Return the parts that are measured apart: what is sent of gradients and weights is in the measured update."""
    parts = {name: getattr(seconds, name) or 0.0 for name in PARTS}
    return {
        "sampling": parts["sampling"] + parts["rewards"],
        "update": parts["update"] + parts["sending"],
        "rest": parts["rest"],
        "step": seconds.step,
    }


def measured_parts(run: Seen) -> dict[str, float]:
    """Return the same of a run, on its first rank."""
    parts = {"sampling": run.sampling + run.rewards, "update": run.update, "rest": run.rest}
    return {**parts, "step": sum(parts.values())}


def told(rows: list[dict[str, Any]]) -> int:
    """Print what was said and measured; return the exit status."""
    print(f"{'ranks':>5}  {'part':<9}{'said, s':>9}{'measured, s':>13}{'ratio':>8}")
    for row in rows:
        for part, said in row["said"].items():
            found = row["measured"][part]
            print(f"{row['ranks']:>5}  {part:<9}{said:>9.3f}{found:>13.3f}{said / found if found else 1.0:>8.2f}")
    far = [row["ranks"] for row in rows if abs(row["said"]["step"] / row["measured"]["step"] - 1) > FARTHEST]
    print(f"off by more than {FARTHEST:.0%}: steps on {far} ranks" if far else f"all steps within {FARTHEST:.0%}")
    return 1 if far else 0


if __name__ == "__main__":
    sys.exit(main())
