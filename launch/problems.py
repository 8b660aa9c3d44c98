"""`reasonlab problems ACTION ...`: what there is to practise on, how it is judged, and whether it is sound (ACTIONS below).

A source is named as for every command: a domain or set (`chain`, `gsm8k`, `math500`), `NAME:PATH` for a set in a local file or
folder of the same columns, a JSONL file, or an entry of `problems` as a configuration has it (`{domain: hub, ...}`).
"""

import argparse
import itertools
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from launch.new import new_problems
from launch.rate import rate
from problems import overlap
from problems.catalog import DOMAINS, SETS, AnySource, build_source, called, verifier_name
from problems.errors import LabError
from problems.finite import FiniteSource
from problems.public import PUBLIC_SETS
from problems.selection import header_path, practised, practised_hash
from problems.sets.hub import EvaluationSource
from problems.types import SPLITS, Problem, ProblemSource
from problems.verl import parquet_of
from rewards import checking
from rewards.pool import VerifierPool
from rewards.references import shown
from rewards.shaping import RewardConfig
from rl.settings.arguments import Command, clearly, make_parser, parse, source_setting, unless_dry_run
from rl.settings.loading import load_config
from rl.settings.schema import ModelSettings, PromptSettings, Sources
from rl.tracking.selections import write_selection

_GENERATED = 200  # problems of each split that are looked at where a source has no end
_LONGEST_CHARACTERS, _LONGEST_TOKENS = 10_000, 1024
_SHOWN_LINES, _SHOWN_CHARACTERS = 12, 1200  # of a text that is shown
_EXAMPLES = 3  # of each kind of removal


class NamedProblems(BaseModel):
    """The part of a configuration that is looked at; a configuration of train, sft or eval holds more."""

    problems: Sources
    prompt: PromptSettings = PromptSettings()
    reward: RewardConfig = RewardConfig()

    def pool(self, workers: int) -> VerifierPool:
        """Return what judges as the configuration says, with a verifier of one's own where it names one."""
        reward = self.reward
        return VerifierPool(max(1, workers), reward.timeout_seconds, reward.memory_megabytes, own=reward.own)


def problems_of(source: ProblemSource, generated: int = _GENERATED) -> Iterator[Problem]:
    """Yield every problem of a source, or of each split the first that it generates."""
    seen = set()  # one file may serve as several splits
    for split in ("test", "validation") if isinstance(source, EvaluationSource) else SPLITS:
        given = source.splits.get(split, ()) if isinstance(source, FiniteSource) else None  # in the order of the file
        for problem in given if given is not None else (source.get(split, i) for i in range(generated)):
            if problem.source not in seen:
                seen.add(problem.source)
                yield problem


def _parsed(parser: argparse.ArgumentParser, argv: Sequence[str]) -> tuple[argparse.Namespace, NamedProblems | None]:
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


def _label(config: AnySource) -> str:
    return called(config.model_dump(mode="json"))


# -- list


def listed() -> list[dict[str, Any]]:
    """Return every domain and set: name, kind, verifier, problems by split (None: endless or a file's own), licence, hub."""
    generated = [
        {"name": name, "kind": "generated", "verifier": record.verifier, "problems": None, "licence": None, "hub": None}
        for name, record in DOMAINS.items()
    ]
    files = [
        {"name": name, "kind": "file", "verifier": record.verifier, "problems": None, "licence": None, "hub": None}
        for name, record in SETS.items()
        if name not in PUBLIC_SETS
    ]
    public = [
        {
            "name": name,
            "kind": "evaluation" if one.evaluation else "practice",
            "verifier": verifier_name(one.domain),
            "problems": dict(one.sizes),
            "licence": one.licence,
            "hub": {"name": one.hub, "revision": one.revision, "subsets": list(one.subsets)},
        }
        for name, one in PUBLIC_SETS.items()
    ]
    return [*generated, *public, *files]


def _list(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser("reasonlab problems list", description="Every domain and set.")
    parser.add_argument("--json", action="store_true", help="print as JSON")
    rows = listed()
    if parser.parse_args(list(argv)).json:
        print(json.dumps(rows, indent=2))
        return 0
    cells = [("name", "kind", "verifier", "problems", "licence")]
    for row in rows:
        sizes = row["problems"] or {}
        held = ", ".join(f"{count:,} {split}" for split, count in sizes.items())
        held = held or ("endless" if row["kind"] == "generated" else "as the rows say")
        cells.append((row["name"], row["kind"], row["verifier"] or "as the rows say", held, row["licence"] or ""))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    return 0


# -- show


def _show(argv: Sequence[str]) -> int:
    parser = make_parser("reasonlab problems show", "A few problems, and how the verifier judges answers to them.")
    parser.add_argument("--n", type=int, default=3, help="problems of each source (default: 3)")
    parser.add_argument("--split", choices=SPLITS, help="default: the first that holds problems")
    flags, config = _parsed(parser, argv)
    if config is None:
        return 0
    with config.pool(1) as pool:
        for one in config.problems:
            source = build_source([one], 0)
            problems = (problem for problem in problems_of(source, flags.n) if flags.split in (None, problem.split))
            for problem in itertools.islice(problems, flags.n):
                print(picture(problem, pool) + "\n")
    return 0


def picture(problem: Problem, pool: VerifierPool) -> str:
    """Return a problem with its reference, its worked solution and verdicts on a right, a wrong and an empty completion."""
    lines = [f"{problem.domain}, {problem.split}, {problem.source} (id {problem.id})", *_indented(problem.prompt)]
    if problem.reference is not None:
        lines.append(f"  reference: {problem.reference}")
    facts = {"difficulty": problem.difficulty, "checks": problem.checks}
    lines += [f"  {name}: {shown(json.dumps(dict(fact), ensure_ascii=False))}" for name, fact in facts.items() if fact]
    if problem.solution is not None:
        lines += ["  worked solution:", *_indented(problem.solution)]
    lines.append(f"  verifier {verifier_name(problem.domain)}, on")
    right = checking.right_completion(problem)
    tried = {} if right is None else {"a right answer": right, "a wrong one": checking.spoilt_completion(problem)}
    for name, text in {**tried, "no answer": ""}.items():
        verdict = pool.submit(problem, text).result()
        said = f" {shown(text)}" if text else ""
        lines.append(f"    {name}{said}: {verdict.status} ({verdict.detail})")
    return "\n".join(lines)


def _indented(text: str) -> list[str]:
    lines = text[:_SHOWN_CHARACTERS].split("\n")
    is_cut = len(text) > _SHOWN_CHARACTERS or len(lines) > _SHOWN_LINES
    return [f"  | {line}" for line in lines[:_SHOWN_LINES]] + (["  | ..."] if is_cut else [])


# -- check


def _check(argv: Sequence[str]) -> int:
    parser = make_parser("reasonlab problems check", "Looks a problem set over; status 1 where there are faults.")
    parser.add_argument("--against", action="append", default=[], metavar="NAME", help="evaluation set to look for; repeat it")
    parser.add_argument("--model", help="count prompts in tokens of this model: directory, GGUF file or hub name")
    parser.add_argument("--longest", type=int, help=f"of a prompt: tokens of --model ({_LONGEST_TOKENS}) or characters")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="verifier processes (default: all cores)")
    parser.add_argument("--json", action="store_true", help="print all findings as JSON")
    flags, config = _parsed(parser, argv)
    if config is None:
        return 0
    against = overlap.of_problems(itertools.chain.from_iterable(map(_held_out, flags.against)))
    limit = flags.longest or (_LONGEST_TOKENS if flags.model else _LONGEST_CHARACTERS)
    length = _tokens(flags.model, config.prompt) if flags.model else lambda problem: len(problem.prompt)
    reports: list[dict[str, Any]] = []
    with config.pool(flags.workers) as pool:
        for one in config.problems:
            source = build_source([one], 0)
            problems = list(problems_of(source))
            found = checking.findings_of(problems, pool, is_finite=isinstance(source, FiniteSource))
            found += checking.too_long(problems, limit, "tokens" if flags.model else "characters", length)
            outside_test = [problem for problem in problems if problem.split != "test"] or problems
            found += checking.overlapping(outside_test, against)
            reports.append(checking.as_json(_label(one), dict(Counter(problem.split for problem in problems)), found))
            if not flags.json:
                print(_summary(_label(one), len(problems), found))
    if flags.json:
        print(json.dumps(reports, indent=2, ensure_ascii=False))
    return 0 if all(report["clean"] for report in reports) else 1


def _summary(name: str, count: int, found: Sequence[checking.Finding]) -> str:
    unreadable = sum(finding.kind in ("unreadable", "refused") for finding in found)
    said = f"{unreadable} of {count} references" if unreadable else f"{count} references, all of them"
    lines = [f"{name}: {said} {'cannot' if unreadable else 'can'} be graded against"]
    if found:
        lines.append(checking.table(found))
    if unreadable:
        lines.append(
            "Mend or leave them out (`export --clean`); where answers are texts, say so: {answers: text} in the source."
        )
    return "\n".join(lines)


def _held_out(name: str) -> Iterator[Problem]:
    """Yield the problems of an evaluation set: its test split, or all that it holds."""
    config = load_config(NamedProblems, [], [f"problems=[{source_setting(name)}]"]).config
    problems = [problem for one in config.problems for problem in problems_of(build_source([one], 0))]
    yield from [problem for problem in problems if problem.split == "test"] or problems


def _tokens(model: str, prompt: PromptSettings) -> Callable[[Problem], int]:
    """Return what counts the tokens of a problem's prompt as that model reads it."""
    from rl.policy.opening import load_tokenizer  # loads torch, which takes seconds
    from rl.policy.prompts import render

    tokenizer = load_tokenizer(ModelSettings(path=model))
    return lambda problem: len(render(problem, prompt, tokenizer))


# -- export


def exported(problem: Problem) -> dict[str, Any]:
    """Return a problem as a row that the set `jsonl` reads back to the same problem."""
    row: dict[str, Any] = {"id": problem.id, "domain": problem.domain, "prompt": problem.prompt, "reference": problem.reference}
    row |= {"checks": dict(problem.checks), "difficulty": dict(problem.difficulty), "solution": problem.solution}
    return {name: value for name, value in row.items() if value not in (None, {})}


def _lines(problems: Sequence[Problem]) -> bytes:
    return "".join(json.dumps(exported(problem), ensure_ascii=False) + "\n" for problem in problems).encode()


WRITERS: dict[str, tuple[str, Callable[[list[Problem]], bytes]]] = {  # format -> (how files end, what is in one)
    "jsonl": ("jsonl", _lines),
    "verl": ("parquet", parquet_of),
}


def _export(argv: Sequence[str]) -> int:
    parser = make_parser(
        "reasonlab problems export", "Writes problems, a file a split, as `domain: jsonl` (or `domain: verl`) reads them."
    )
    parser.add_argument("--output", type=Path, required=True, help="folder; it gets a file for each split")
    parser.add_argument("--format", choices=sorted(WRITERS), default="jsonl", help="jsonl (default), or verl: its parquet rows")
    parser.add_argument("--n", type=int, default=_GENERATED, help=f"of each split, of what is generated ({_GENERATED})")
    parser.add_argument("--clean", action="store_true", help="leave out what `problems check` finds at fault")
    flags, config = _parsed(parser, argv)
    if config is None:
        return 0
    from rl.tracking.run_directory import write_atomic

    sources = [build_source([one], seed) for seed, one in enumerate(config.problems)]  # or one domain twice is one source
    problems = [problem for source in sources for problem in problems_of(source, flags.n)]
    left_out: set[str] = set()
    if flags.clean:  # what is written is finite, wherever it comes from: what stands twice is left out too
        with config.pool(os.cpu_count() or 1) as pool:
            left_out = {finding.source for finding in checking.faults(checking.findings_of(problems, pool))}
    flags.output.mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        kept = [problem for problem in problems if problem.split == split and problem.source not in left_out]
        if kept:
            ending, written = WRITERS[flags.format]
            file = flags.output / f"{split}.{ending}"
            write_atomic(file, written(kept))
            print(f"{file}: {len(kept)} problems")
    if left_out:
        print(f"left out: {len(left_out)}")
    return 0


# -- decontaminate


def _decontaminate(argv: Sequence[str]) -> int:
    parser = make_parser(
        "reasonlab problems decontaminate",
        "Lists what evaluation sets hold of a set, for the setting `without: FILE`; status 1 where nothing is left.",
    )
    every = ", ".join(name for name, one in PUBLIC_SETS.items() if one.evaluation)
    parser.add_argument(
        "--against", action="append", required=True, metavar="NAME", help=f"evaluation set; repeat it. `every`: {every}"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="JSONL: what is removed, why, and by which problem"
    )
    flags, config = _parsed(parser, argv)
    if config is None:
        return 0
    if len(config.problems) != 1:
        raise LabError(f"one set at a time, since FILE belongs to its entry; {len(config.problems)} were given")
    unset = dict.fromkeys(("rates", "rates_hash", "keep", "without", "without_hash"))
    entry = config.problems[0].model_copy(update=unset)
    source = build_source([entry], 0)
    if not isinstance(source, FiniteSource):
        raise LabError(
            f"{_label(entry)} makes its problems, each in one split by its content: there is nothing to decontaminate"
        )
    problems = practised(source)
    if not problems:
        raise LabError(f"{source.name} holds no problems to practise on")
    against = _evaluation_sets(flags.against)
    removed = list(overlap.overlapping(problems, overlap.of_problems(itertools.chain(*against.values()))))
    about = {
        "kind": "removed",
        "name": _label(entry),
        "source": entry.model_dump(mode="json"),
        "problems": len(problems),
        "practised_hash": practised_hash(problems),
        "against": {name: len(held_out) for name, held_out in against.items()},
        "removed": dict(Counter(found.kind for _, found in removed)),
    }
    write_selection(flags.out, [overlap.removal(problem, found) for problem, found in removed], about)
    print(_removals(problems, removed, flags.out))
    return 0 if len(removed) < len(problems) else 1


def _evaluation_sets(names: Sequence[str]) -> dict[str, list[Problem]]:
    """Return the problems of each evaluation set; `every` stands for all public ones, which are read from the hub."""
    public = [name for name, one in PUBLIC_SETS.items() if one.evaluation]
    wanted = dict.fromkeys(one for name in names for one in (public if name == "every" else [name]))
    return {name: list(_held_out(name)) for name in wanted}


def _removals(problems: Sequence[Problem], removed: Sequence[tuple[Problem, overlap.Overlap]], file: Path) -> str:
    """Return in words how many problems are removed, why, and by which problems, the first few."""
    lines = [f"{len(problems)} problems looked at, {len(removed)} removed, {len(problems) - len(removed)} left"]
    for kind in overlap.KINDS:
        members = [(problem, found) for problem, found in removed if found.kind == kind]
        lines += [f"{len(members):6}  {kind}"] if members else []
        lines += [
            f"        {problem.source} by {found.source}: {shown(found.shared)}" for problem, found in members[:_EXAMPLES]
        ]
    return "\n".join(
        [*lines, f"written: {file} and {header_path(file).name}; in the entry of the set: {{..., without: {file}}}"]
    )


ACTIONS: dict[str, tuple[Command, str]] = {  # name -> what it does, in code and in words
    "list": (_list, "every domain and set: verifier, kind, size and licence"),
    "show": (_show, "a few problems with reference, worked solution and verdicts"),
    "check": (_check, "whether references prove themselves, wrong answers do not, and what stands twice or overlaps"),
    "export": (_export, "problems as JSONL, or as verl's rows"),
    "decontaminate": (_decontaminate, "which problems evaluation sets hold too, for the setting `without: FILE`"),
    "rate": (rate, "pass rates of a model, problem by problem, for the settings `rates: FILE, keep: [0.1, 0.9]`"),
    "new": (new_problems, "a starting point for a domain of your own, with its test"),
}


@clearly
def problems_command(argv: Sequence[str]) -> int:
    """What there is to practise on, and whether it is sound."""
    if not argv or argv[0] in ("-h", "--help"):
        lines = [f"  {name:<13} {about}" for name, (_, about) in ACTIONS.items()]
        print(
            "usage: reasonlab problems ACTION ...\n\n" + "\n".join(lines) + "\n\nreasonlab problems ACTION --help tells more."
        )
        return 0
    if argv[0] not in ACTIONS:
        raise LabError(f"no action {argv[0]!r} of `reasonlab problems`; there are: {', '.join(ACTIONS)}")
    return ACTIONS[argv[0]][0](argv[1:])
