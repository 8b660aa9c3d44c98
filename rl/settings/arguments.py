"""What is asked for on the command line, read and checked: what every command accepts, and how errors look.

The two front doors of a command (`reasonlab train`, `deepspeed --module rl.train`) read the same arguments with the same
function of this file. It loads no torch and knows nothing above the settings: `--help`, `--settings`, `--dry-run` and every
wrong setting are answered at once.
"""

import argparse
import itertools
import json
import math
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import get_args

from pydantic import BaseModel

from problems.catalog import SOURCE_MODELS
from problems.errors import LabError
from problems.public import PUBLIC_SETS
from problems.telling import as_json, manner, tell, warn, with_manner
from rl.settings.dry_run import asked_ranks, describe_work, model_shape
from rl.settings.loading import Base, C, Loaded, describe, load_config
from rl.settings.model_files import has_tokenizer_here
from rl.settings.schema import ModelSettings, RunConfig, SftConfig
from rl.settings.sheet import Asked, make_sheet
from rl.settings.sheet_words import as_record, lines
from rl.stopping import Preempted, exit_status

Command = Callable[[Sequence[str]], int]
RUN_DOCUMENT = "run directory, how it ended, its last metrics"
OVERRIDES = "key=value: any setting as key.subkey=value; later ones win (see --settings for all of them)"


def settings_help(model: type[BaseModel], prefix: str = "") -> list[dict[str, str]]:
    """Return every setting: name, default and what it means."""
    rows: list[dict[str, str]] = []
    for name, setting in model.model_fields.items():
        inner = setting.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            rows += settings_help(inner, f"{prefix}{name}.")
            continue
        default = "required" if setting.is_required() else f"= {_short(setting.get_default(call_default_factory=True))}"
        rows.append({"setting": f"{prefix}{name}", "default": default, "about": setting.description or ""})
        for group in get_args(inner):  # one that may be left out
            if isinstance(group, type) and issubclass(group, BaseModel):
                rows += settings_help(group, f"{prefix}{name}.")
    return rows


def _short(value: object) -> str:
    return "[]" if value == () else str(value)


def _print_settings(rows: Sequence[Mapping[str, str]]) -> None:
    for row in rows:
        print(f"  {row['setting']:<34} {row['default']:<14} {row['about']}".rstrip())


def make_parser(command: str, about: str, document: str) -> argparse.ArgumentParser:
    """Return the parser shared by the commands that read a configuration. document: what `--json` prints, in words."""
    # overrides are what the parser does not know: as a positional it would lose their order, and the value of `--a.b v`
    parser = argparse.ArgumentParser(
        prog=command, usage=f"{command} [options] [key=value ...]", description=about, epilog=OVERRIDES, allow_abbrev=False
    )
    parser.add_argument("--config", type=Path, action="append", default=[], help="YAML file; may be repeated, later ones win")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print the resolved settings and, for train, the cut of the work, its memory, bytes sent and costs, then stop",
    )
    parser.add_argument("--settings", action="store_true", help="print every setting with its default, then stop")
    parser.add_argument("--local_rank", "--local-rank", type=int, help=argparse.SUPPRESS)  # the deepspeed launcher adds it
    return with_manner(parser, document)


def parse(
    parser: argparse.ArgumentParser,
    argv: Sequence[str],
    model: type[C],
    settings_of: Callable[[argparse.Namespace], list[str]] = lambda flags: [],
    base: Base | None = None,
) -> tuple[argparse.Namespace, Loaded[C] | None]:
    """Return the flags and the configuration, or None for it after `--settings` was answered.

    `settings_of` turns flags into settings, which stand above the files and below what is written out as key=value; `base`
    stands below the files.
    """
    flags, overrides = parser.parse_known_args(list(argv))
    if flags.settings:
        rows = settings_help(model)
        tell(rows, lambda: _print_settings(rows))
        return flags, None
    return flags, load_config(model, flags.config, [*settings_of(flags), *overrides], base)


def clearly(command: Command) -> Command:
    """Let `command` report what the user can act on, or has done, in words and without a traceback; see stopping.py.

    It speaks as `--quiet` and `--json` ask (problems/telling.py).
    """

    def run(argv: Sequence[str]) -> int:
        try:
            with manner(argv):
                return command(argv)
        except LabError as error:
            if os.environ.get("LOCAL_RANK", "0") == "0":  # all ranks of a machine find the same fault
                print(f"error: {error}", file=sys.stderr, flush=True)
            return exit_status(error)
        except KeyboardInterrupt as stop:
            print("stopped", file=sys.stderr)
            return exit_status(stop)
        except Preempted as told:
            if os.environ.get("RANK", "0") == "0":
                warn(f"stopped ({told}); to go on: the same command with --resume")
            return exit_status(told)
        except BrokenPipeError:  # the reader of our output has seen enough, as in `reasonlab train --settings | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 128 + signal.SIGPIPE  # as whom the signal ends: work that was going on has not been finished

    return run


@dataclass(frozen=True, kw_only=True)
class TrainingArguments:
    """A training that was asked for."""

    loaded: Loaded[RunConfig]
    resume: bool  # go on from the newest whole checkpoint
    only_prompt: bool = False  # show one problem as the model reads it, and stop
    shown_beside: Mapping[str, object] = field(default_factory=dict)  # what the JSON of the prompt holds besides


def training_arguments(argv: Sequence[str]) -> TrainingArguments | None:
    """Return the training that `argv` asks for, or None when it only asked to be told something, which was done."""
    parser = make_parser("reasonlab train", "Reinforcement learning from verifiable rewards.", RUN_DOCUMENT)
    parser.add_argument("--resume", action="store_true", help="go on from the newest whole checkpoint of this run")
    parser.add_argument(
        "--show-prompt",
        action="store_true",
        help="print one problem as text and as tokens, as the model reads it, then stop (part of --dry-run)",
    )
    _add_flags_of_the_sheet(parser)
    flags, loaded = parse(parser, argv, RunConfig)
    if loaded is None:
        return None
    asked = _asked_of_the_sheet(flags)
    if asked != Asked() and not flags.dry_run:
        raise LabError("--rates, --bandwidth, --cores, --prompt-tokens and --completion-tokens are of --dry-run: add it")
    if not (flags.dry_run or flags.show_prompt):
        return TrainingArguments(loaded=loaded, resume=flags.resume)
    reader, without = _reader_of_prompts(loaded.config)
    plan: dict[str, object] = {}
    if flags.dry_run:
        work = describe_work(loaded.config)
        costs = make_sheet(loaded.config, model_shape(loaded.config.model.path), asked_ranks(), asked)
        plan = {
            "settings": loaded.config.model_dump(mode="json"),
            "work": work.splitlines(),
            "sheet": as_record(costs),
            "prompt": None,
        }
        if not as_json():
            print("\n".join([describe(loaded), work, *lines(costs), ""]))
        if not without and not has_tokenizer_here(reader.path, reader.revision):  # asked before torch is loaded
            without = f"the tokenizer of {reader.path} is not on this machine (yet)"
        if without:
            tell(plan, lambda: print(f"Prompt: not shown, {without}"))
            return None
    if without:
        raise LabError(without)
    config = loaded.config.model_copy(update={"model": reader})
    return TrainingArguments(loaded=replace(loaded, config=config), resume=False, only_prompt=True, shown_beside=plan)


def cold_start_overrides(config: RunConfig) -> list[str]:
    """Return what a run sets of its cold start, so that the model is made where the run looks for it."""
    directory = Path(config.model.path).parent
    return [f"run.dir={directory.parent}", f"run.name={directory.name}", f"run.seed={config.run.seed}"]


def _reader_of_prompts(config: RunConfig) -> tuple[ModelSettings, str]:
    """Return the model whose tokenizer reads the prompts, and in words why there is none, or nothing.

    Where a cold start is still to make the model, that is the model it starts from.
    """
    model = config.model
    if model.cold_start is None or Path(model.path).exists():
        return model, ""
    if not model.cold_start.is_file():  # a plan can be made all the same
        return model, f"there is no model at {model.path}, and no cold start at {model.cold_start} that would make it"
    start = load_config(SftConfig, [model.cold_start], cold_start_overrides(config)).config.model
    if start.path is None:
        return model, (
            f"there is no model at {model.path} yet; `reasonlab train` would make it first, tokenizer included "
            f"({model.cold_start})"
        )
    return model.model_copy(update={"path": start.path, "revision": start.revision, "pad_token": start.pad_token}), ""


def _add_flags_of_the_sheet(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("of --dry-run, for times and costs (docs/launch.md)")
    whole = at_least(1)
    group.add_argument(
        "--rates", type=Path, action="append", default=[], metavar="RUN", help="a run to take rates from; may be repeated"
    )
    group.add_argument(
        "--bandwidth", type=_above_zero, metavar="GB/s", help="of a rank, as `reasonlab doctor --hostfile` measures it"
    )
    group.add_argument("--cores", type=whole, metavar="N", help="all ranks share so many cores of one machine")
    group.add_argument("--prompt-tokens", type=whole, metavar="N", help="mean length of prompts (default: as in --rates)")
    group.add_argument(
        "--completion-tokens", type=whole, metavar="N", help="of completions (default: as in --rates, or their limit)"
    )


def _asked_of_the_sheet(flags: argparse.Namespace) -> Asked:
    return Asked(
        rates=tuple(flags.rates),
        bandwidth=None if flags.bandwidth is None else flags.bandwidth * 1e9,
        cores=flags.cores,
        prompt_tokens=flags.prompt_tokens,
        completion_tokens=flags.completion_tokens,
    )


def _above_zero(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number above 0; found {text!r}")
    return value


@dataclass(frozen=True, kw_only=True)
class ImitationArguments:
    """A cold start that was asked for."""

    loaded: Loaded[SftConfig]
    resume: bool  # go on from the newest whole checkpoint


def imitation_arguments(argv: Sequence[str]) -> ImitationArguments | None:
    """Return the cold start that `argv` asks for, or None when it only asked to be told something, which was done."""
    parser = make_parser("reasonlab sft", "Cold start: imitation of worked solutions.", RUN_DOCUMENT)
    parser.add_argument("--resume", action="store_true", help="go on from the newest whole checkpoint of this run")
    flags, loaded = parse(parser, argv, SftConfig)
    if loaded is None or unless_dry_run(flags, loaded) is None:
        return None
    return ImitationArguments(loaded=loaded, resume=flags.resume)


def source_setting(problems: str) -> str:
    """Return what `--problems` names as an entry of the setting `problems`: a name, NAME:PATH, a file or an entry itself."""
    if problems.startswith("{"):
        return problems
    quoted = json.dumps(problems)
    if problems.endswith(".py"):
        return f"{{python: {quoted}}}"
    if problems.endswith(".jsonl") and Path(problems).is_file():
        return f"{{domain: jsonl, path: {quoted}}}"
    name, colon, path = problems.partition(":")
    of_path = f", path: {json.dumps(path)}" if colon else ""
    if name in SOURCE_MODELS:
        return f"{{domain: {json.dumps(name)}{of_path}}}"
    if name in PUBLIC_SETS:
        return f"{{domain: hub, name: {json.dumps(name)}{of_path}}}"
    is_file = problems.endswith(".jsonl") or Path(problems).is_dir()
    return f"{{domain: jsonl, path: {quoted}}}" if is_file else f"{{domain: {quoted}}}"


@dataclass(frozen=True, kw_only=True)
class DiagnosisArguments:
    """A diagnosis that was asked for."""

    loaded: Loaded[RunConfig]
    problems: int  # that are drawn
    seconds: float  # for drawing


def diagnosis_arguments(argv: Sequence[str]) -> DiagnosisArguments | None:
    """Return the diagnosis that `argv` asks for, or None when it only asked to be told something, which was done."""
    about = "Draws from the model as configured and says whether this run can learn and, if not, what to change."
    parser = make_parser("reasonlab diagnose", about, "figures, findings and examples")
    parser.usage = "reasonlab diagnose CONFIG [options] [key=value ...]"
    statuses = "0 it can learn, 1 something stops it, 2 it could not be asked, 3 too little was seen to know"
    parser.epilog = f"{OVERRIDES}; exit status: {statuses}"
    parser.add_argument("--problems", type=at_least(1), default=32, help="problems to draw for (default: 32)")
    parser.add_argument("--seconds", type=at_least(5), default=80, help="about how long drawing may take (default: 80)")
    flags, loaded = parse(parser, configs_first(argv), RunConfig)
    if loaded is None or (loaded := unless_dry_run(flags, loaded)) is None:
        return None
    return DiagnosisArguments(loaded=loaded, problems=flags.problems, seconds=flags.seconds)


def configs_first(argv: Sequence[str]) -> list[str]:
    """Return a command line with `--config` before its first words, which are files up to the first option or setting."""
    files = list(itertools.takewhile(lambda word: not word.startswith("-") and "=" not in word, argv))
    return [*(word for file in files for word in ("--config", file)), *argv[len(files) :]]


def at_least(least: int) -> Callable[[str], int]:
    """Return what reads a whole number that is not below `least`."""

    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"must be a whole number, {least} or more; found {text!r}")
        return int(text)

    return read


def unless_dry_run(flags: argparse.Namespace, loaded: Loaded[C]) -> Loaded[C] | None:
    """Print the resolved settings and return None if `--dry-run` asks for that."""
    if not flags.dry_run:
        return loaded
    tell(loaded.config.model_dump(mode="json"), lambda: print(describe(loaded), end=""))
    return None
