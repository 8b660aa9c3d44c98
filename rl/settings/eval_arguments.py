"""What `reasonlab eval` is asked for on its command line, read and checked; loads no torch.

reasonlab eval --model A --model B --problems gsm8k --problems chain      models by sets
reasonlab eval RUN --every                                               the checkpoints of a training, in order
reasonlab eval --model A --model B --problems chain --budgets 0,8,32     accuracy against thinking
reasonlab problems rate gsm8k --model A                                  an evaluation of problems to practise on
"""

import argparse
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from problems.catalog import AnySource
from problems.errors import LabError
from rl.settings.arguments import make_parser, parse, source_setting, unless_dry_run
from rl.settings.evaluation import EvalConfig
from rl.settings.loading import Base, Loaded, read_settings

# what an evaluation takes over from the run whose models it looks at, where no file or setting says otherwise
_FROM_A_RUN = ("prompt", "sampling", "reward", "sandbox")
_MODEL_FROM_A_RUN = ("dtype", "attention", "pad_token")


@dataclass(frozen=True, kw_only=True)
class _Purpose:
    """What answers are drawn for: the command, what it does, how its run is called, and the settings that it begins with."""

    command: str
    about: str
    document: str  # what --json prints
    name: str
    settings: Mapping[str, Any]


_TO_MEASURE = _Purpose(
    command="reasonlab eval",
    about="How good models are on problem sets, with 95 % intervals.",
    document="what results.json holds; of several evaluations, summary.json",
    name="eval",
    settings={},
)
_TO_RATE = _Purpose(
    command="reasonlab problems rate",
    about="Pass rates of a model, problem by problem, for the settings `rates: FILE, keep: [0.1, 0.9]`. Several ranks: "
    "deepspeed --module rl.rate.",
    document="the rows of rates.jsonl, by file",
    name="rate",
    settings={"split": "train", "reward": {"reading": "strict"}},  # as practice draws and reads
)


@dataclass(frozen=True, kw_only=True)
class EvaluationArguments:
    """An evaluation that was asked for: of `models`, or of what the run directory `run` holds."""

    loaded: Loaded[EvalConfig]
    resume: bool  # go on from the samples that are there
    models: tuple[str, ...] = ()  # paths or hub names; none: that of the configuration, or of `run`
    run: Path | None = None
    every: bool = False  # of `run`, all checkpoints
    best: bool = False  # of `run`, the checkpoint with the best held-out accuracy


def evaluation_arguments(argv: Sequence[str]) -> EvaluationArguments | None:
    """Return the evaluation that `argv` asks for, or None when it only asked to be told something, which was done."""
    return _arguments(argv, _TO_MEASURE)


def rating_arguments(argv: Sequence[str]) -> EvaluationArguments | None:
    """Return the rating that `argv` asks for, of one model, each entry of problems by itself and whole; or None, as above.

    Words in front name problems, as for every action of `reasonlab problems`; a run directory may stand before them.
    """
    words = [word for word in argv if not word.startswith("--local_rank")]
    names = list(itertools.takewhile(lambda word: not word.startswith("-") and ("=" not in word or word[0] == "{"), words))
    rest = words[len(names) :]
    run = names[:1] if names and (Path(names[0]) / "config.yaml").is_file() else []
    asked = _arguments([*run, *(word for name in names[len(run) :] for word in ("--problems", name)), *rest], _TO_RATE)
    if asked is None:
        return None
    config = asked.loaded.config
    if len(asked.models) > 1 or asked.every:
        raise LabError("pass rates are those of one model: give one --model, or a run without --every")
    if config.budgets or config.sampling.thinking is not None or config.sampling.temperature == 0:
        raise LabError("pass rates are those of practice, which draws: leave out --greedy, --budgets, --wait, temperature 0")
    for one in config.one_each():
        if len(one.problems) != 1:
            raise LabError(
                f"pass rates belong to one entry of problems, {len(one.problems)} were given as one set: name each with a "
                "--problems of its own, and it gets a file of its own"
            )
    sets = {name: one.model_copy(update={"problems": _unrated(one.problems)}) for name, one in config.sets.items()}
    config = config.model_copy(update={"problems": _unrated(config.problems), "sets": sets})
    return replace(asked, loaded=replace(asked.loaded, config=config))


def _unrated(sources: Sequence[AnySource]) -> tuple[AnySource, ...]:
    """Return the sources without a choice by earlier rates: they are measured anew."""
    return tuple(source.model_copy(update={"rates": None, "rates_hash": None, "keep": None}) for source in sources)


def _arguments(argv: Sequence[str], purpose: _Purpose) -> EvaluationArguments | None:
    """Return what `argv` asks for, begun with the settings of `purpose`."""
    run, rest = _run_and_rest(argv)
    parser = _parser(purpose)
    if run is None:
        base = Base(purpose.settings, purpose.command)
    else:
        base = settings_of_run(run, purpose, has_files=any(word.split("=")[0] == "--config" for word in rest))
    flags, loaded = parse(parser, rest, EvalConfig, _settings_of_short_flags, base)
    if loaded is None or unless_dry_run(flags, loaded) is None:
        return None
    if run is None and (flags.every or flags.best):
        raise LabError("--every and --best choose among the checkpoints of a run: reasonlab eval RUN_DIRECTORY --every")
    if run is not None and flags.model:
        raise LabError(f"both a run directory ({run}) and --model were given; give one of them")
    return EvaluationArguments(
        loaded=loaded, resume=flags.resume, models=tuple(flags.model), run=run, every=flags.every, best=flags.best
    )


def _parser(purpose: _Purpose) -> argparse.ArgumentParser:
    parser = make_parser(purpose.command, purpose.about, purpose.document)
    parser.usage = f"{purpose.command} [RUN] {'NAME ... ' if purpose is _TO_RATE else ''}[options] [key=value ...]"
    parser.set_defaults(name=purpose.name)
    parser.add_argument(
        "--model", action="append", default=[], help="model directory, GGUF file or hub name (model.path); may be repeated"
    )
    parser.add_argument(
        "--problems",
        action="append",
        default=[],
        help="a domain or set by name (`reasonlab problems list`), NAME:PATH for one in a file, a JSONL or Python file; may be "
        "repeated",
    )
    parser.add_argument("--n", type=int, help="completions a problem (samples)")
    parser.add_argument("--greedy", action="store_true", help="one completion, of the most likely tokens (temperature 0)")
    parser.add_argument(
        "--budgets",
        metavar="N,N,...",
        help="accuracy against thinking: cut it after so many tokens, one evaluation each, and draw the curve (budgets)",
    )
    parser.add_argument(
        "--wait", type=int, help="make the model think on so often when it would end too early (sampling.thinking.waits)"
    )
    parser.add_argument("--resume", action="store_true", help="go on from the samples that are there, draw none of them again")
    parser.add_argument("--every", action="store_true", help="of RUN, the model it began with and every checkpoint")
    parser.add_argument("--best", action="store_true", help="of RUN, the best checkpoint (default: the newest)")
    return parser


def _run_and_rest(argv: Sequence[str]) -> tuple[Path | None, list[str]]:
    """Return the run directory, where the first word is one, and the other words."""
    words = list(argv)
    first = next((i for i, word in enumerate(words) if not word.startswith("--local_rank")), None)  # of the launcher
    if first is None or words[first].startswith("-") or "=" in words[first]:
        return None, words
    return Path(words.pop(first)), words


def settings_of_run(run: Path, purpose: _Purpose = _TO_MEASURE, *, has_files: bool) -> Base:
    """Return the settings that an evaluation of a run's models begins with: prompts as they were trained, and its problems.

    Whoever gives a configuration file says there what is asked. Raises LabError where `run` is no run directory.
    """
    file = run / "config.yaml"
    if not file.is_file():
        raise LabError(f"{run} is no run directory (no config.yaml in it); a model is given with --model")
    its = read_settings(file)
    tree: dict[str, Any] = {**purpose.settings, **{key: its[key] for key in _FROM_A_RUN if key in its}}
    tree["run"] = {"dir": str(run), "name": purpose.name}
    of_model = its.get("model", {})
    tree["model"] = {"path": str(run), **{key: of_model[key] for key in _MODEL_FROM_A_RUN if key in of_model}}
    if not has_files:
        held_out = its.get("evaluation", {}).get("problems") if purpose is _TO_MEASURE else None
        tree["problems"] = held_out or its.get("problems", [])
    return Base(tree, str(file))


def _settings_of_short_flags(flags: argparse.Namespace) -> list[str]:
    """Return the short flags of `reasonlab eval` as settings."""
    settings: list[str] = []
    name = flags.name if flags.budgets is None else "thinking"  # beside a plain evaluation of the same, not over it
    if flags.budgets is not None and not flags.config:
        settings.append(f"run.name={name}")
    if flags.model:
        settings.append(f"model.path={json.dumps(flags.model[0])}")
    if len(flags.problems) == 1:
        settings += [f"problems=[{source_setting(flags.problems[0])}]", "sets={}"]
    elif flags.problems:
        named = ", ".join(f"{json.dumps(Path(one).stem)}: {{problems: [{source_setting(one)}]}}" for one in flags.problems)
        settings += ["problems=[]", f"sets={{{named}}}"]
    if flags.n is not None:
        settings.append(f"samples={flags.n}")
    if flags.budgets is not None:
        settings.append(f"budgets=[{flags.budgets}]")
    if flags.wait is not None:
        settings.append(f"sampling.thinking.waits={flags.wait}")
    if flags.greedy:
        settings += ["sampling.temperature=0", "samples=1"]
    if flags.model and not flags.config:
        # without a config nobody has named the run
        parts = [name, *[Path(one).stem for one in flags.problems]]
        parts += Path(flags.model[0]).parts[-2:] if len(flags.model) == 1 else []
        settings.append(f"run.name={json.dumps('-'.join(parts).replace('--', '-'))}")
    return settings
