"""The problems that a command line names, for every action of `reasonlab problems`.

A source is named as for every command: a domain or set (`chain`, `gsm8k`, `math500`), `NAME:PATH` for a set in a local file or
folder of the same columns, a JSONL file, or an entry of `problems` as a configuration has it (`{domain: hub, ...}`).
"""

import argparse
import itertools
from collections.abc import Iterator, Sequence

from pydantic import BaseModel

from problems.catalog import AnySource, build_source, called
from problems.finite import FiniteSource
from problems.sets.hub import EvaluationSource
from problems.types import SPLITS, Problem, ProblemSource
from rewards.pool import VerifierPool
from rewards.shaping import RewardConfig
from rl.settings.arguments import parse, source_setting, unless_dry_run
from rl.settings.loading import load_config
from rl.settings.schema import PromptSettings, Sources

GENERATED = 200  # problems of each split that are looked at where a source has no end


class NamedProblems(BaseModel):
    """The part of a configuration that is looked at; a configuration of train, sft or eval holds more."""

    problems: Sources
    prompt: PromptSettings = PromptSettings()
    reward: RewardConfig = RewardConfig()

    def pool(self, workers: int) -> VerifierPool:
        """Return what judges as the configuration says, with a verifier of one's own where it names one."""
        reward = self.reward
        return VerifierPool(max(1, workers), reward.timeout_seconds, reward.memory_megabytes, own=reward.own)


def problems_of(source: ProblemSource, generated: int = GENERATED) -> Iterator[Problem]:
    """Yield every problem of a source, or of each split the first that it generates."""
    seen = set()  # one file may serve as several splits
    for split in ("test", "validation") if isinstance(source, EvaluationSource) else SPLITS:
        given = source.splits.get(split, ()) if isinstance(source, FiniteSource) else None  # in the order of the file
        for problem in given if given is not None else (source.get(split, i) for i in range(generated)):
            if problem.source not in seen:
                seen.add(problem.source)
                yield problem


def parsed(parser: argparse.ArgumentParser, argv: Sequence[str]) -> tuple[argparse.Namespace, NamedProblems | None]:
    """Return the flags and what is named in front of them, or None for it when only settings were asked for."""
    names = list(itertools.takewhile(lambda word: not word.startswith("-") and ("=" not in word or word[0] == "{"), argv))
    parser.usage = f"{parser.prog} NAME ... [options] [key=value ...]"
    parser.add_argument("--problems", help="the same as NAME; default: the problems of the configuration")

    def settings_of(flags: argparse.Namespace) -> list[str]:
        asked = [*names, *([] if flags.problems is None else [flags.problems])]
        return [f"problems=[{', '.join(map(source_setting, asked))}]"] if asked else []

    flags, loaded = parse(parser, argv[len(names) :], NamedProblems, settings_of)
    if loaded is None or unless_dry_run(flags, loaded) is None:
        return flags, None
    return flags, loaded.config


def label(config: AnySource) -> str:
    """Return what people call a source."""
    return called(config.model_dump(mode="json"))


def held_out(name: str) -> Iterator[Problem]:
    """Yield the problems of an evaluation set: its test split, or all that it holds."""
    config = load_config(NamedProblems, [], [f"problems=[{source_setting(name)}]"]).config
    problems = [problem for one in config.problems for problem in problems_of(build_source([one], 0))]
    yield from [problem for problem in problems if problem.split == "test"] or problems
