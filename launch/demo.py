"""The demo: imitate, practise, compare. Every phase is one of the lab's own commands in a process of its own.

A phase that is finished is not done again, and a training that was stopped goes on where it was.
"""

import argparse
import json
import math
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from problems.errors import LabError
from rl.settings.arguments import clearly
from rl.tracking.run_directory import write_atomic

# What `python -m` and the deepspeed launcher start: a name in a string is an arrow that no reader of imports sees.
COMMAND_LINE = "launch.cli"  # reasonlab
TRAINING = "rl.train"  # reasonlab train, as the launcher wants it: a module that is told its --local_rank
LAUNCHER = "deepspeed.launcher.runner"

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
PRACTISED = range(4, 9)  # terms, as in configs/demo.yaml
BEYOND = range(7, 9)  # terms that make up 2 % of the worked examples, see configs/demo-sft.yaml


class DemoError(LabError):
    """A phase of the demo failed."""


@clearly
def demo_command(argv: Sequence[str]) -> int:
    """`reasonlab demo`."""
    parser = argparse.ArgumentParser(
        prog="reasonlab demo",
        description="Train a tiny model from nothing: imitation, then practice, then a comparison with a report.",
    )
    parser.add_argument("--seed", type=int, default=0, help="names every random stream of the demo (default: 0)")
    parser.add_argument("--dir", type=Path, default=Path("runs"), help="parent of the run directory demo-seed<SEED>")
    parser.add_argument("--ranks", type=int, default=1, help="processes that share the practice (deepspeed launcher above 1)")
    flags = parser.parse_args(list(argv))
    run_demo(flags.dir / f"demo-seed{flags.seed}", flags.seed, flags.ranks)
    return 0


def run_demo(home: Path, seed: int, ranks: int) -> None:
    """Do all phases under `home`, write summary.json, report.png and report.html there, and print the closing table."""
    here = [f"run.dir={home}", f"run.seed={seed}", f"tracking.group={home.name}"]
    imitator, trained = home / "sft" / "model", home / "model"

    def configured(command: str, config: str, name: str, *settings: str) -> list[str]:
        return [command, "--config", str(CONFIGS / config), f"run.name={name}", *settings, *here]

    train = configured("train", "demo.yaml", "rl", f"model.path={imitator}")
    report = ["report", str(home / "rl"), "--before", str(home / "eval-sft"), "--after", str(home / "eval-rl")]
    phases = [
        Phase("sft", "Imitation: a model made from nothing copies worked examples",
              configured("sft", "demo-sft.yaml", "sft"), home / "sft" / "status.json"),
        Phase("eval_sft", "How good is the imitator?",
              configured("eval", "demo-eval.yaml", "eval-sft", f"model.path={imitator}"), home / "eval-sft" / "status.json"),
        Phase("rl", "Practice: it tries, a program checks, what worked becomes more likely",
              train, home / "rl" / "status.json", ranks=ranks, resumable=True),
        Phase("export", "The trained model as a plain directory", ["export", str(home / "rl"), str(trained)],
              trained / "config.json"),
        Phase("eval_rl", "How good is it now?",
              configured("eval", "demo-eval.yaml", "eval-rl", f"model.path={trained}"), home / "eval-rl" / "status.json"),
        Phase("report", "The report", [*report, "--out", str(home)], home / "report.html"),
    ]  # fmt: skip
    spent = json.loads((home / "seconds.json").read_text()) if (home / "seconds.json").exists() else {}
    for number, phase in enumerate(phases, start=1):
        print(f"\n== {number}/{len(phases)} {phase.about}", flush=True)
        if phase.finished():
            print("already done", flush=True)
            continue
        started = time.monotonic()
        phase.run()
        spent[phase.name] = round(spent.get(phase.name, 0) + time.monotonic() - started, 1)
        write_atomic(home / "seconds.json", json.dumps(spent))
    before, after = (json.loads((home / name / "results.json").read_text()) for name in ("eval-sft", "eval-rl"))
    summary = summarise(before, after) | {"seed": seed, "seconds": spent}
    write_atomic(home / "summary.json", json.dumps(summary, indent=1))
    print_summary(summary, before, after, home)


@dataclass(frozen=True)
class Phase:
    """One command of the lab; `mark` exists (and says finished, if it is a status file) when it is done."""

    name: str
    about: str
    arguments: list[str]
    mark: Path
    ranks: int = 1
    resumable: bool = False

    def finished(self) -> bool:
        """Whether the phase was done before."""
        if not self.mark.exists():
            return False
        return self.mark.name != "status.json" or json.loads(self.mark.read_text())["status"] == "finished"

    def run(self) -> None:
        """Run the command; raises DemoError when it fails."""
        arguments = list(self.arguments)
        if self.mark.name == "status.json" and self.mark.exists():
            if self.resumable:
                arguments.append("--resume")
            else:
                shutil.rmtree(self.mark.parent)  # half a phase of this demo, done again from its beginning
        program = [sys.executable, "-m", COMMAND_LINE, *arguments]
        if self.ranks > 1:
            launcher = [sys.executable, "-m", LAUNCHER, "--num_gpus", str(self.ranks)]
            program = [*launcher, "--module", TRAINING, *arguments[1:]]
        print("$ reasonlab " + " ".join(arguments), flush=True)
        code = subprocess.run(program, cwd=CONFIGS.parent, check=False).returncode
        if code:
            raise DemoError(f"`reasonlab {' '.join(arguments)}` ended with exit status {code}")


def part(results: Mapping[str, Any], terms: range) -> dict[str, float]:
    """Return accuracy over the problems with `terms`, the mean of the per-size estimates, with its 95 % interval.

    Sizes are independent sets of problems, so their standard errors add up as variances.
    """
    found = [results["by_difficulty"][f"terms={n}"] for n in terms]
    total = sum(f["problems"] for f in found)
    value = sum(f["value"] * f["problems"] for f in found) / total
    below = math.sqrt(sum(((f["value"] - f["low"]) * f["problems"] / total) ** 2 for f in found))
    above = math.sqrt(sum(((f["high"] - f["value"]) * f["problems"] / total) ** 2 for f in found))
    tokens = sum(f["reasoning_tokens"] * f["problems"] for f in found) / total
    return {"value": value, "low": value - below, "high": value + above, "reasoning_tokens": tokens}


def summarise(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers of summary.json: held-out accuracy at the sizes practised and beyond the worked examples."""
    summary: dict[str, Any] = {"practised_terms": [PRACTISED[0], PRACTISED[-1]], "beyond_terms": [BEYOND[0], BEYOND[-1]]}
    for name, results in (("sft", before), ("rl", after)):
        practised, beyond = part(results, PRACTISED), part(results, BEYOND)
        summary[name] = {
            "accuracy": practised["value"],
            "accuracy_low": practised["low"],
            "accuracy_high": practised["high"],
            "reasoning_tokens_mean": practised["reasoning_tokens"],
            "beyond_sft_accuracy": beyond["value"],
            "beyond_sft_low": beyond["low"],
            "beyond_sft_high": beyond["high"],
        }
    return summary


def print_summary(summary: Mapping[str, Any], before: Mapping[str, Any], after: Mapping[str, Any], home: Path) -> None:
    """Print the closing table."""
    table = Table(title="Imitation against practice, on problems neither has seen")
    for column in ("", "imitation (SFT)", "practice (RL)"):
        table.add_column(column, justify="left" if not column else "right")
    sft, rl = summary["sft"], summary["rl"]

    def rate(found: Mapping[str, float], name: str, low: str, high: str) -> str:
        return f"{found[name]:.2f} ({found[low]:.2f} to {found[high]:.2f})"

    names = ("accuracy", "accuracy_low", "accuracy_high")
    table.add_row(f"accuracy, {PRACTISED[0]} to {PRACTISED[-1]} terms", rate(sft, *names), rate(rl, *names))
    names = ("beyond_sft_accuracy", "beyond_sft_low", "beyond_sft_high")
    table.add_row(f"accuracy, {BEYOND[0]} and {BEYOND[-1]} terms (rare in the examples)", rate(sft, *names), rate(rl, *names))
    table.add_row("reasoning tokens", *(f"{found['reasoning_tokens_mean']:.1f}" for found in (sft, rl)))
    for name, found in before["by_difficulty"].items():
        table.add_row(f"  {name}", f"{found['value']:.2f}", f"{after['by_difficulty'][name]['value']:.2f}")
    console = Console()
    console.print()
    console.print(table)
    minutes = sum(summary["seconds"].values()) / 60
    console.print(
        f"{minutes:.1f} minutes in all. Open {home / 'report.html'}; numbers in {home / 'summary.json'}", highlight=False
    )
