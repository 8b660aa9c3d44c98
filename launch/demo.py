"""The demo: imitate, practise, compare. Every phase is one of the lab's own commands in a process of its own.

A phase that is finished is not done again, and a training or an evaluation that was stopped goes on where it was.
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
from rl.policy.fetching import MODELS, fetched_path
from rl.settings.arguments import clearly
from rl.tracking.run_directory import write_atomic

# What `python -m` and the deepspeed launcher start: a name in a string is an arrow that no reader of imports sees.
COMMAND_LINE = "launch.cli"  # reasonlab
TRAINING = "rl.train"  # reasonlab train, as the launcher wants it: a module that is told its --local_rank
LAUNCHER = "deepspeed.launcher.runner"

CONFIGS = Path(__file__).resolve().parent.parent / "configs"


class DemoError(LabError):
    """A phase of the demo failed."""


@dataclass(frozen=True, kw_only=True)
class Story:
    """What a demo tells: with which settings, from which model, and which sizes its closing numbers are about."""

    name: str  # of its run directories, before the seed
    sft: str  # files in configs/
    rl: str
    evaluation: str
    fetched: str | None = None  # the model that imitation starts from, by the name that `reasonlab fetch` has for it
    imitation: str  # what its phase is about
    size: str  # the difficulty that tells problems apart
    practised: range  # sizes of the problems that it practises, as in its settings
    beyond: range  # those that imitation can do least about
    why_beyond: str


TINY = Story(
    name="demo",
    sft="demo-sft.yaml",
    rl="demo.yaml",
    evaluation="demo-eval.yaml",
    imitation="a model made from nothing copies worked examples",
    size="terms",
    practised=range(4, 9),
    beyond=range(7, 9),
    why_beyond="rare in the examples",
)
REAL = Story(
    name="demo-real",
    sft="smollm2-letters-sft.yaml",
    rl="smollm2-letters.yaml",
    evaluation="smollm2-letters-eval.yaml",
    fetched="smollm2-135m",
    imitation="a pretrained model copies worked examples of counting letters",
    size="letters",
    practised=range(4, 11),
    beyond=range(9, 11),
    why_beyond="the longest words",
)


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
    parser.add_argument(
        "--real",
        action="store_true",
        help="a pretrained model, SmolLM2-135M, fetched once, learns to count letters: 25 minutes, in demo-real-seed<SEED>",
    )
    flags = parser.parse_args(list(argv))
    story = REAL if flags.real else TINY
    run_demo(story, flags.dir / f"{story.name}-seed{flags.seed}", flags.seed, flags.ranks)
    return 0


def phases_of(story: Story, home: Path, seed: int, ranks: int) -> list["Phase"]:
    """Return the phases of a demo in their order."""
    here = [f"run.dir={home}", f"run.seed={seed}", f"tracking.group={home.name}"]
    imitator, trained = home / "sft" / "model", home / "model"

    def configured(command: str, config: str, name: str, *settings: str) -> list[str]:
        return [command, "--config", str(CONFIGS / config), f"run.name={name}", *settings, *here]

    train = configured("train", story.rl, "rl", f"model.path={imitator}")
    report = ["report", str(home / "rl"), "--before", str(home / "eval-sft"), "--after", str(home / "eval-rl")]
    start = []
    fetching = []
    if story.fetched is not None:
        file = fetched_path(story.fetched)
        start = [f"model.path={file}"]
        fetching = [Phase("fetch", f"A pretrained model: {MODELS[story.fetched].about}", ["fetch", story.fetched], file)]
    return [
        *fetching,
        Phase("sft", f"Imitation: {story.imitation}",
              configured("sft", story.sft, "sft", *start), home / "sft" / "status.json"),
        Phase("eval_sft", "How good is the imitator?",
              configured("eval", story.evaluation, "eval-sft", f"model.path={imitator}"), home / "eval-sft" / "status.json",
              resumable=True),
        Phase("rl", "Practice: it tries, a program checks, what worked becomes more likely",
              train, home / "rl" / "status.json", ranks=ranks, resumable=True),
        Phase("export", "The trained model as a plain directory", ["export", str(home / "rl"), str(trained)],
              trained / "config.json"),
        Phase("eval_rl", "How good is it now?",
              configured("eval", story.evaluation, "eval-rl", f"model.path={trained}"), home / "eval-rl" / "status.json",
              resumable=True),
        Phase("report", "The report", [*report, "--out", str(home)], home / "report.html"),
    ]  # fmt: skip


def run_demo(story: Story, home: Path, seed: int, ranks: int) -> None:
    """Do all phases under `home`, write summary.json, report.png and report.html there, and print the closing table."""
    phases = phases_of(story, home, seed, ranks)
    spent = json.loads((home / "seconds.json").read_text()) if (home / "seconds.json").exists() else {}
    for number, phase in enumerate(phases, start=1):
        print(f"\n== {number}/{len(phases)} {phase.about}", flush=True)
        if phase.finished():
            print("already done", flush=True)
            continue
        started = time.monotonic()
        phase.run()
        spent[phase.name] = round(spent.get(phase.name, 0) + time.monotonic() - started, 1)
        home.mkdir(parents=True, exist_ok=True)  # fetching makes none
        write_atomic(home / "seconds.json", json.dumps(spent))
    before, after = (json.loads((home / name / "results.json").read_text()) for name in ("eval-sft", "eval-rl"))
    summary = summarise(story, before, after) | {"seed": seed, "seconds": spent}
    write_atomic(home / "summary.json", json.dumps(summary, indent=1))
    print_summary(story, summary, before, after, home)


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


def part(results: Mapping[str, Any], size: str, sizes: range) -> dict[str, float]:
    """Return accuracy over the problems of some sizes, the mean of the per-size estimates, with its 95 % interval.

    Sizes are independent sets of problems, so their standard errors add up as variances.
    """
    found = [results["by_difficulty"][f"{size}={n}"] for n in sizes]
    total = sum(f["problems"] for f in found)
    value = sum(f["value"] * f["problems"] for f in found) / total
    below = math.sqrt(sum(((f["value"] - f["low"]) * f["problems"] / total) ** 2 for f in found))
    above = math.sqrt(sum(((f["high"] - f["value"]) * f["problems"] / total) ** 2 for f in found))
    tokens = sum(f["reasoning_tokens"] * f["problems"] for f in found) / total
    return {"value": value, "low": value - below, "high": value + above, "reasoning_tokens": tokens}


def summarise(story: Story, before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers of summary.json: held-out accuracy at the sizes practised and beyond the worked examples."""
    size, practised_sizes, beyond_sizes = story.size, story.practised, story.beyond
    summary: dict[str, Any] = {
        f"practised_{size}": [practised_sizes[0], practised_sizes[-1]],
        f"beyond_{size}": [beyond_sizes[0], beyond_sizes[-1]],
    }
    for name, results in (("sft", before), ("rl", after)):
        practised, beyond = part(results, size, practised_sizes), part(results, size, beyond_sizes)
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


def print_summary(
    story: Story, summary: Mapping[str, Any], before: Mapping[str, Any], after: Mapping[str, Any], home: Path
) -> None:
    """Print the closing table."""
    table = Table(title="Imitation against practice, on problems neither has seen")
    for column in ("", "imitation (SFT)", "practice (RL)"):
        table.add_column(column, justify="left" if not column else "right")
    sft, rl = summary["sft"], summary["rl"]

    def rate(found: Mapping[str, float], name: str, low: str, high: str) -> str:
        return f"{found[name]:.2f} ({found[low]:.2f} to {found[high]:.2f})"

    names = ("accuracy", "accuracy_low", "accuracy_high")
    table.add_row(f"accuracy, {story.practised[0]} to {story.practised[-1]} {story.size}", rate(sft, *names), rate(rl, *names))
    names = ("beyond_sft_accuracy", "beyond_sft_low", "beyond_sft_high")
    table.add_row(
        f"accuracy, {story.beyond[0]} and {story.beyond[-1]} {story.size} ({story.why_beyond})",
        rate(sft, *names),
        rate(rl, *names),
    )
    table.add_row("reasoning tokens", *(f"{found['reasoning_tokens_mean']:.1f}" for found in (sft, rl)))
    for name in (name for name in before["by_difficulty"] if name.startswith(f"{story.size}=")):
        table.add_row(f"  {name}", *(f"{results['by_difficulty'][name]['value']:.2f}" for results in (before, after)))
    console = Console()
    console.print()
    console.print(table)
    minutes = sum(summary["seconds"].values()) / 60
    console.print(
        f"{minutes:.1f} minutes in all. Open {home / 'report.html'}; numbers in {home / 'summary.json'}", highlight=False
    )
