"""The command line: what every command accepts, and how errors look. Imports torch only when a command starts its work."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from problems.errors import LabError
from rl.settings.loading import C, Loaded, describe, load_config
from rl.settings.schema import EvalConfig, RunConfig, SftConfig, check_world

Command = Callable[[Sequence[str]], int]
OVERRIDES = "key=value: any setting as key.subkey=value; later ones win (see --settings for all of them)"


def settings_help(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Return one line a setting: name, default and what it means."""
    lines = []
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            lines += settings_help(inner, f"{prefix}{name}.")
            continue
        default = "required" if field.is_required() else f"= {_short(field.get_default(call_default_factory=True))}"
        lines.append(f"  {prefix}{name:<{max(1, 34 - len(prefix))}} {default:<14} {field.description or ''}".rstrip())
    return lines


def _short(value: Any) -> str:
    return "[]" if value == () else str(value)


def make_parser(command: str, about: str) -> argparse.ArgumentParser:
    """Return the parser shared by the commands that read a configuration."""
    # overrides are what the parser does not know: as a positional it would lose their order, and the value of `--a.b v`
    parser = argparse.ArgumentParser(
        prog=command, usage=f"{command} [options] [key=value ...]", description=about, epilog=OVERRIDES, allow_abbrev=False
    )
    parser.add_argument("--config", type=Path, action="append", default=[], help="YAML file; may be repeated, later ones win")
    parser.add_argument("--dry-run", action="store_true", help="print the resolved settings and the plan, then stop")
    parser.add_argument("--settings", action="store_true", help="print every setting with its default, then stop")
    parser.add_argument("--local_rank", "--local-rank", type=int, help=argparse.SUPPRESS)  # the deepspeed launcher adds it
    return parser


def parse(parser: argparse.ArgumentParser, argv: Sequence[str], model: type[C]) -> tuple[argparse.Namespace, Loaded[C] | None]:
    """Return the flags and the configuration, or None for it after `--settings` was answered."""
    flags, rest = parser.parse_known_args(list(argv))
    if flags.settings:
        print("\n".join(settings_help(model)))
        return flags, None
    return flags, load_config(model, flags.config, rest)


def clearly(command: Command) -> Command:
    """Let `command` report errors the user can act on as a message and exit status 2, without a traceback."""

    def run(argv: Sequence[str]) -> int:
        try:
            return command(argv)
        except LabError as error:
            if os.environ.get("LOCAL_RANK", "0") == "0":  # all ranks of a machine find the same fault
                print(f"error: {error}", file=sys.stderr, flush=True)
            return 2
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)
            return 130
        except BrokenPipeError:  # the reader of our output has seen enough, as in `reasonlab train --settings | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0

    return run


@clearly
def train_command(argv: Sequence[str]) -> int:
    """`reasonlab train` and `deepspeed --module rl.train`."""
    parser = make_parser("reasonlab train", "Reinforcement learning from verifiable rewards.")
    parser.add_argument("--resume", action="store_true", help="go on from the newest whole checkpoint of this run")
    flags, loaded = parse(parser, argv, RunConfig)
    if loaded is None:
        return 0
    if flags.dry_run:
        from rl.settings.dry_run import describe_work

        print(describe(loaded) + "\n" + describe_work(loaded.config))
        return 0
    from rl.runtime import world_size

    check_world(loaded.config, world_size())
    from rl.train import run_training

    run_training(loaded, resume=flags.resume)
    return 0


@clearly
def sft_command(argv: Sequence[str]) -> int:
    """`reasonlab sft`."""
    parser = make_parser("reasonlab sft", "Cold start: imitation of worked solutions.")
    flags, loaded = parse(parser, argv, SftConfig)
    if loaded is None:
        return 0
    if flags.dry_run:
        print(describe(loaded), end="")
        return 0
    from rl.sft import run_sft

    print(f"model: {run_sft(loaded)}")
    return 0


@clearly
def eval_command(argv: Sequence[str]) -> int:
    """`reasonlab eval`."""
    parser = make_parser("reasonlab eval", "How good a model is on a problem set, with 95 % intervals.")
    parser.add_argument("--model", help="model directory or hub name (model.path)")
    parser.add_argument("--problems", help="a domain (chain, arithmetic, countdown, gsm8k) or a JSONL file of problems")
    parser.add_argument("--n", type=int, help="completions a problem (samples)")
    flags, rest = parser.parse_known_args(list(argv))
    given: list[str] = []
    if flags.model is not None:
        given.append(f"model.path={json.dumps(flags.model)}")
    if flags.problems is not None:
        is_file = flags.problems.endswith(".jsonl") or Path(flags.problems).is_dir()
        source = (
            f"{{domain: jsonl, path: {json.dumps(flags.problems)}}}" if is_file else f"{{domain: {json.dumps(flags.problems)}}}"
        )
        given.append(f"problems=[{source}]")
    if flags.n is not None:
        given.append(f"samples={flags.n}")
    if flags.model is not None and not flags.config:
        name = "-".join(["eval", Path(flags.problems or "").stem, *Path(flags.model).parts[-2:]]).replace("--", "-")
        given.append(f"run.name={json.dumps(name)}")
    if flags.settings:
        print("\n".join(settings_help(EvalConfig)))
        return 0
    loaded = load_config(EvalConfig, flags.config, [*given, *rest])
    if flags.dry_run:
        print(describe(loaded), end="")
        return 0
    from rich.console import Console

    from rl.evaluate import results_table, run_evaluation
    from rl.runtime import rank

    results = run_evaluation(loaded)
    if rank() == 0:
        Console().print(results_table(results))
        print(f"written: {loaded.config.run.path}/results.json and samples.jsonl")
    return 0


@clearly
def grade_command(argv: Sequence[str]) -> int:
    """`reasonlab grade`."""
    from rewards.grade import grade_file, make_grade_parser

    flags = make_grade_parser().parse_args(list(argv))
    grade_file(
        flags.input, flags.output, **{name: value for name, value in vars(flags).items() if name not in ("input", "output")}
    )
    return 0


@clearly
def export_command(argv: Sequence[str]) -> int:
    """`reasonlab export`."""
    parser = argparse.ArgumentParser(
        prog="reasonlab export", description="Write a checkpoint as a plain Hugging Face directory."
    )
    parser.add_argument("source", type=Path, help="a run directory (its newest checkpoint) or a checkpoint directory")
    parser.add_argument("output", type=Path, help="directory to write; must not exist")
    parser.add_argument("--adapter", action="store_true", help="keep a LoRA adapter as an adapter (default: merge it)")
    parser.add_argument(
        "--best", action="store_true", help="of a run directory, the checkpoint with the best held-out accuracy"
    )
    flags = parser.parse_args(list(argv))
    from rl.tracking.export import export

    print(f"model: {export(flags.source, flags.output, adapter=flags.adapter, best=flags.best)}")
    return 0


@clearly
def report_command(argv: Sequence[str]) -> int:
    """`reasonlab report`."""
    parser = argparse.ArgumentParser(
        prog="reasonlab report", description="Draw a run: report.png and one self-contained report.html."
    )
    parser.add_argument("run", type=Path, help="run directory of `reasonlab train`")
    parser.add_argument("--before", type=Path, help="run directory of an evaluation before training")
    parser.add_argument("--after", type=Path, help="run directory of the same evaluation after training")
    parser.add_argument("--out", type=Path, help="directory for the report (default: the run directory)")
    flags = parser.parse_args(list(argv))
    from rl.tracking.report import write_report

    print(f"report: {write_report(flags.run, flags.before, flags.after, flags.out or flags.run)}")
    return 0
