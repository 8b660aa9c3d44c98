"""The demo: imitate, practise, compare. What its phases are; how they are done is in story.py.

`--with-imitation` goes on from there, over several seeds: launch/imitation.py.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from launch.imitation import compare_arms, go_on
from launch.story import Phase, Story, configured, do_phases, part
from problems.errors import LabError
from problems.telling import as_json, remark, tell, with_manner
from rl.policy.fetching import MODELS, fetched_path
from rl.settings.arguments import clearly
from rl.tracking.run_directory import JsonDict, write_atomic

WITH_IMITATION = "imitation-against-practice"  # the directory below --dir

TINY = Story(
    name="demo",
    sft="demo-sft.yaml",
    rl="demo.yaml",
    evaluation="demo-eval.yaml",
    imitation="a model made from nothing copies worked examples",
    size="terms",
    practised=range(4, 11),
    beyond=range(9, 11),
    why_beyond="no worked example",
    sft_minutes=5.0,
    rl_minutes=6.0,
    eval_minutes=0.4,
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
    sft_minutes=12.0,
    rl_minutes=10.5,
    eval_minutes=1.5,
)


@clearly
def demo_command(argv: Sequence[str]) -> int:
    """`reasonlab demo`."""
    parser = argparse.ArgumentParser(
        prog="reasonlab demo",
        description="Train a tiny model from nothing: imitation, then practice, then a comparison with a report.",
    )
    parser.add_argument("--seed", type=int, help="names every random stream of the demo (default: 0)")
    parser.add_argument("--seeds", type=int, nargs="+", help="of --with-imitation, one after another (default: 0 1 2)")
    parser.add_argument("--dir", type=Path, default=Path("runs"), help="parent of the run directory demo-seed<SEED>")
    parser.add_argument("--ranks", type=int, default=1, help="processes that share the practice (deepspeed launcher above 1)")
    parser.add_argument(
        "--real",
        action="store_true",
        help="a pretrained model, SmolLM2-135M, fetched once, learns to count letters: 25 to 40 minutes, "
        "in demo-real-seed<SEED>",
    )
    parser.add_argument(
        "--with-imitation",
        action="store_true",
        help=f"and what else the compute of practice buys: more imitation, and STaR, in {WITH_IMITATION}/",
    )
    flags = with_manner(parser, "what summary.json holds").parse_args(list(argv))
    story = REAL if flags.real else TINY
    if flags.with_imitation:
        tell(imitation_against_practice(story, flags.dir / WITH_IMITATION, seeds_of(flags), flags.ranks))
    elif flags.seeds:
        raise LabError("--seeds belongs to --with-imitation; without it a demo has one --seed")
    else:
        seed = flags.seed or 0
        tell(run_demo(story, flags.dir / f"{story.name}-seed{seed}", seed, flags.ranks))
    return 0


def seeds_of(flags: argparse.Namespace) -> list[int]:
    """Return the seeds of a demo with imitation; raises LabError where they are not clear."""
    if flags.real:
        raise LabError("--with-imitation is made for the tiny model: it has not been tried with --real")
    if flags.seed is not None:
        raise LabError("with --with-imitation say --seeds, one or several of them")
    seeds: list[int] = flags.seeds or [0, 1, 2]
    if len(set(seeds)) < len(seeds):
        raise LabError(f"--seeds {' '.join(map(str, seeds))}: each seed once, or it would count twice")
    return seeds


def imitation_against_practice(story: Story, top: Path, seeds: Sequence[int], ranks: int) -> JsonDict:
    """Do the demo and all that its practice is held against, seed by seed; return the comparison, which each seed adds to."""
    homes: dict[int, Path] = {}
    summary: JsonDict = {}
    for number, seed in enumerate(seeds, start=1):
        remark(f"\nseed {seed}, {number} of {len(seeds)}")
        home = top / f"{story.name}-seed{seed}"
        run_demo(story, home, seed, ranks)
        go_on(story, home, seed, ranks)
        homes[seed] = home
        summary = compare_arms(story, top, homes)
    return summary


def phases_of(story: Story, home: Path, seed: int, ranks: int) -> list[Phase]:
    """Return the phases of a demo in their order."""
    imitator, trained = home / "sft" / "model", home / "model"

    def run(command: str, config: str, name: str, *settings: str) -> list[str]:
        return configured(home, seed, command, [config], name, *settings)

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
              run("sft", story.sft, "sft", *start), home / "sft" / "status.json", minutes=story.sft_minutes),
        Phase("eval_sft", "How good is the imitator?",
              run("eval", story.evaluation, "eval-sft", f"model.path={imitator}"), home / "eval-sft" / "status.json",
              resumable=True, minutes=story.eval_minutes),
        Phase("rl", "Practice: it tries, a program checks, what worked becomes more likely",
              run("train", story.rl, "rl", f"model.path={imitator}"), home / "rl" / "status.json", ranks=ranks, resumable=True,
              minutes=story.rl_minutes),
        Phase("export", "The trained model as a plain directory", ["export", str(home / "rl"), str(trained)],
              trained / "config.json"),
        Phase("eval_rl", "How good is it now?",
              run("eval", story.evaluation, "eval-rl", f"model.path={trained}"), home / "eval-rl" / "status.json",
              resumable=True, minutes=story.eval_minutes),
        Phase("report", "The report", [*report, "--out", str(home)], home / "report.html"),
    ]  # fmt: skip


def run_demo(story: Story, home: Path, seed: int, ranks: int) -> JsonDict:
    """Do all phases under `home`, write summary.json, report.png and report.html, print the table; return the summary."""
    spent = do_phases(phases_of(story, home, seed, ranks), home)
    before, after = (json.loads((home / name / "results.json").read_text()) for name in ("eval-sft", "eval-rl"))
    summary = summarise(story, before, after) | {"seed": seed, "seconds": spent}
    write_atomic(home / "summary.json", json.dumps(summary, indent=1))
    if not as_json():
        print_summary(story, summary, before, after, home)
    return summary


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
    from rl.stats import estimate_in_words  # loads numpy

    table = Table(title="Imitation against practice, on problems neither has seen")
    for column in ("", "imitation (SFT)", "practice (RL)"):
        table.add_column(column, justify="left" if not column else "right")
    sft, rl = summary["sft"], summary["rl"]

    def rate(found: Mapping[str, float], name: str, low: str, high: str) -> str:
        return estimate_in_words({"value": found[name], "low": found[low], "high": found[high]}, digits=2)

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
