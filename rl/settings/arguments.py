"""What is asked for on the command line, read and checked: what every command accepts, and how errors look.

The two front doors of a command (`reasonlab train`, `deepspeed --module rl.train`) read the same arguments with the same
function of this file. It loads no torch and knows nothing above the settings: `--help`, `--settings`, `--dry-run` and every
wrong setting are answered at once.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from problems.errors import LabError
from rl.settings.dry_run import describe_work
from rl.settings.loading import C, Loaded, describe, load_config
from rl.settings.model_files import has_tokenizer_here
from rl.settings.schema import EvalConfig, RunConfig, SftConfig
from rl.stopping import exit_status

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


def _short(value: object) -> str:
    return "[]" if value == () else str(value)


def make_parser(command: str, about: str) -> argparse.ArgumentParser:
    """Return the parser shared by the commands that read a configuration."""
    # overrides are what the parser does not know: as a positional it would lose their order, and the value of `--a.b v`
    parser = argparse.ArgumentParser(
        prog=command, usage=f"{command} [options] [key=value ...]", description=about, epilog=OVERRIDES, allow_abbrev=False
    )
    parser.add_argument("--config", type=Path, action="append", default=[], help="YAML file; may be repeated, later ones win")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print the resolved settings and, for train, the cut of the work and its memory, then stop",
    )
    parser.add_argument("--settings", action="store_true", help="print every setting with its default, then stop")
    parser.add_argument("--local_rank", "--local-rank", type=int, help=argparse.SUPPRESS)  # the deepspeed launcher adds it
    return parser


def parse(
    parser: argparse.ArgumentParser,
    argv: Sequence[str],
    model: type[C],
    settings_of: Callable[[argparse.Namespace], list[str]] = lambda flags: [],
) -> tuple[argparse.Namespace, Loaded[C] | None]:
    """Return the flags and the configuration, or None for it after `--settings` was answered.

    `settings_of` turns flags into settings, which stand above the files and below what is written out as key=value.
    """
    flags, overrides = parser.parse_known_args(list(argv))
    if flags.settings:
        print("\n".join(settings_help(model)))
        return flags, None
    return flags, load_config(model, flags.config, [*settings_of(flags), *overrides])


def clearly(command: Command) -> Command:
    """Let `command` report what the user can act on, or has done, in words and without a traceback; see stopping.py."""

    def run(argv: Sequence[str]) -> int:
        try:
            return command(argv)
        except LabError as error:
            if os.environ.get("LOCAL_RANK", "0") == "0":  # all ranks of a machine find the same fault
                print(f"error: {error}", file=sys.stderr, flush=True)
            return exit_status(error)
        except KeyboardInterrupt as stop:
            print("stopped", file=sys.stderr)
            return exit_status(stop)
        except BrokenPipeError:  # the reader of our output has seen enough, as in `reasonlab train --settings | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0

    return run


@dataclass(frozen=True, kw_only=True)
class TrainingArguments:
    """A training that was asked for."""

    loaded: Loaded[RunConfig]
    resume: bool  # go on from the newest whole checkpoint
    only_prompt: bool = False  # show one problem as the model reads it, and stop


def training_arguments(argv: Sequence[str]) -> TrainingArguments | None:
    """Return the training that `argv` asks for, or None when it only asked to be told something, which was done."""
    parser = make_parser("reasonlab train", "Reinforcement learning from verifiable rewards.")
    parser.add_argument("--resume", action="store_true", help="go on from the newest whole checkpoint of this run")
    parser.add_argument(
        "--show-prompt",
        action="store_true",
        help="print one problem as text and as tokens, as the model reads it, then stop (part of --dry-run)",
    )
    flags, loaded = parse(parser, argv, RunConfig)
    if loaded is None:
        return None
    if flags.dry_run:
        print(describe(loaded) + "\n" + describe_work(loaded.config) + "\n")
        model = loaded.config.model
        if not has_tokenizer_here(model.path, model.revision):  # asked before transformers and torch are loaded
            print(f"Prompt: not shown, the tokenizer of {model.path} is not on this machine (yet)")
            return None
    return TrainingArguments(loaded=loaded, resume=flags.resume, only_prompt=flags.show_prompt or flags.dry_run)


def imitation_arguments(argv: Sequence[str]) -> Loaded[SftConfig] | None:
    """Return the cold start that `argv` asks for, or None when it only asked to be told something, which was done."""
    parser = make_parser("reasonlab sft", "Cold start: imitation of worked solutions.")
    flags, loaded = parse(parser, argv, SftConfig)
    return None if loaded is None else unless_dry_run(flags, loaded)


def evaluation_arguments(argv: Sequence[str]) -> Loaded[EvalConfig] | None:
    """Return the evaluation that `argv` asks for, or None when it only asked to be told something, which was done."""
    parser = make_parser("reasonlab eval", "How good a model is on a problem set, with 95 % intervals.")
    parser.add_argument("--model", help="model directory, GGUF file or hub name (model.path)")
    parser.add_argument(
        "--problems", help="a domain or set by name (chain, gsm8k, ...: see --settings) or a JSONL file of problems"
    )
    parser.add_argument("--n", type=int, help="completions a problem (samples)")
    flags, loaded = parse(parser, argv, EvalConfig, _settings_of_short_flags)
    return None if loaded is None else unless_dry_run(flags, loaded)


def _settings_of_short_flags(flags: argparse.Namespace) -> list[str]:
    """Return the short flags of `reasonlab eval` as settings."""
    settings: list[str] = []
    if flags.model is not None:
        settings.append(f"model.path={json.dumps(flags.model)}")
    if flags.problems is not None:
        settings.append(f"problems=[{source_setting(flags.problems)}]")
    if flags.n is not None:
        settings.append(f"samples={flags.n}")
    if flags.model is not None and not flags.config:
        # without a config nobody has named the run
        parts = ["eval", Path(flags.problems or "").stem, *Path(flags.model).parts[-2:]]
        name = "-".join(parts).replace("--", "-")
        settings.append(f"run.name={json.dumps(name)}")
    return settings


def source_setting(problems: str) -> str:
    """Return what `--problems` names as an entry of the setting `problems`."""
    quoted = json.dumps(problems)
    is_file = problems.endswith(".jsonl") or Path(problems).is_dir()
    return f"{{domain: jsonl, path: {quoted}}}" if is_file else f"{{domain: {quoted}}}"


def unless_dry_run(flags: argparse.Namespace, loaded: Loaded[C]) -> Loaded[C] | None:
    """Print the resolved settings and return None if `--dry-run` asks for that."""
    if not flags.dry_run:
        return loaded
    print(describe(loaded), end="")
    return None
