"""Fifty sound configurations, and what `reasonlab diagnose` says of them: nothing, but for one false alarm at most.

    python tests/support/sound.py [--only WORDS ...] [--list]

A small imitator (tests/conftest.py) and one that always thinks are made first, ten seconds each. Every configuration is a line:
its name, what was found, and the seconds it took. A finding of any kind is a false alarm. Exits 1 at more than one. About four
minutes of one core in all, and a minute's waiting for a slow verifier.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY), str(Path(__file__).parent)]
os.environ.setdefault("OMP_NUM_THREADS", "1")

from rl.diagnose import Diagnosis, run_diagnosis
from rl.settings.loading import load_config
from rl.settings.schema import RunConfig
from tests.conftest import make_imitator

_ALLOWED = 1  # false alarms
_SHARED = [
    "run.name=r", "algorithm={num_problems: 16, group_size: 8}", "train.threads=1", "optimizer.learning_rate=1e-3",
    "problems=[{domain: chain, terms: [2, 3]}]", "sampling.max_completion_tokens=24",
]  # fmt: skip
_VERIFIERS = '''"""Verifiers of one's own for sums modulo ten."""

import re
import time
from rewards.types import Verdict
from rewards.verifiers import verify

STEP = re.compile(r"([-+*])([0-9])")

def truth(problem):
    value = int(problem.prompt[0])
    for sign, digit in STEP.findall(problem.prompt):
        value = {"+": value + int(digit), "-": value - int(digit), "*": value * int(digit)}[sign] % 10
    return value

def answer(completion):
    found = re.search(r"boxed.([0-9]+)", completion)
    return None if found is None else int(found[1])

def by_degrees(problem, completion, reading):
    """Pay a part of what is near."""
    said = answer(completion)
    if said is None:
        return Verdict(status="unparsed")
    if said == truth(problem):
        return Verdict(status="correct")
    return Verdict(status="wrong", score=0.3 if abs(said - truth(problem)) == 1 else 0.0)

def from_prompt(problem, completion, reading):
    """Compare with what the prompt asks; the reference is a dummy."""
    said = answer(completion)
    return Verdict(status="unparsed" if said is None else "correct" if said == truth(problem) else "wrong")

def slowly(problem, completion, reading):
    """Take a while, as a judge elsewhere would."""
    time.sleep(0.4)
    return verify(problem, completion, reading)

def brief(completions, answer, **columns):
    """A reward function of TRL's."""
    return [1.0 if f"boxed{{{right}}}" in one[0]["content"] else 0.0 for one, right in zip(completions, answer)]
'''


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What configurations are made of."""

    home: Path
    imitator: Path
    thinker: Path

    def own(self, name: str) -> str:
        """Return the setting of a verifier of one's own."""
        file = self.home / "my_verifiers.py"
        file.write_text(_VERIFIERS)
        return f"reward.python={file}:{name}"

    def opening_thought(self) -> str:
        """Return the setting of a model that always thinks and whose template opens the thought."""
        directory = self.home / "opening"
        if not directory.exists():
            shutil.copytree(self.thinker, directory)
            template = directory / "chat_template.jinja"
            template.write_text(template.read_text() + "<think>")
        return f"model.path={directory}"

    def rows(self, reference: str | None = None) -> str:
        """Return sums as rows of one's own; the reference may be the same dummy for all."""
        file = self.home / f"rows-{reference}.jsonl"
        sums = [(a, b) for a in range(8) for b in range(8)]
        rows = [{"prompt": f"{a}+{b}=?", "reference": reference or str((a + b) % 10), "domain": "chain"} for a, b in sums]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return f"problems=[{{domain: jsonl, path: {json.dumps(str(file))}}}]"


@dataclass(frozen=True, kw_only=True)
class Sound:
    """A sound configuration: settings above the shared ones, and how much is drawn."""

    settings: Callable[[Parts], Sequence[str]]
    problems: int = 16
    seconds: float = 40.0


def plain(*settings: str, problems: int = 16, seconds: float = 40.0) -> Sound:
    return Sound(settings=lambda parts: settings, problems=problems, seconds=seconds)


def with_parts(settings: Callable[[Parts], Sequence[str]], problems: int = 16, seconds: float = 40.0) -> Sound:
    return Sound(settings=settings, problems=problems, seconds=seconds)


RAMP = "reward={overlong_weight: 0.5, overlong_buffer_tokens: 6}"
LONG_RAMP = "reward={overlong_weight: 0.5, overlong_buffer_tokens: 20}"
MAY_ABSTAIN = 'prompt.abstention={invitation: ""}'
LONG, NO_TIME = "sampling.max_completion_tokens=64", 0.0  # so that completions are drawn up to 16 tokens

SOUND: dict[str, Sound] = {
    "as it is": plain(),
    "another seed": plain("run.seed=7"),
    "32 problems": plain(problems=32),
    "8 problems": plain(problems=8),
    # what is drawn
    "temperature 0.7": plain("sampling.temperature=0.7"),
    "temperature 0.8": plain("sampling.temperature=0.8"),
    "temperature 1.1": plain("sampling.temperature=1.1"),
    "temperature 1.2": plain("sampling.temperature=1.2"),
    "temperature 1.25": plain("sampling.temperature=1.25"),
    "temperature 1.3": plain("sampling.temperature=1.3"),
    "temperature 1.3, another seed": plain("sampling.temperature=1.3", "run.seed=1"),
    "a limit of 64": plain(LONG),
    "a stop text": plain("sampling.stop=['<|end|>']"),
    "few rows at a time": plain("sampling.max_rows=16"),
    # groups
    "groups of 4": plain("algorithm.group_size=4"),
    "groups of 16": plain("algorithm.group_size=16"),
    "groups of 24": plain("algorithm.group_size=24", problems=8),
    "groups of 32": plain("algorithm.group_size=32", problems=8),
    "groups of 6": plain("algorithm.group_size=6"),
    # short of time
    "drawn short": plain(LONG, problems=8, seconds=NO_TIME),
    "drawn short, another seed": plain(LONG, "run.seed=5", problems=8, seconds=NO_TIME),
    "drawn short, groups of 16": plain(LONG, "algorithm.group_size=16", problems=8, seconds=NO_TIME),
    "drawn short, a penalty for length": plain(LONG, LONG_RAMP, problems=8, seconds=NO_TIME),
    "drawn short, hot": plain(LONG, "sampling.temperature=1.25", problems=8, seconds=NO_TIME),
    "drawn short, thinking": with_parts(
        lambda parts: [parts.opening_thought(), LONG, "problems=[{domain: chain, terms: [2, 4]}]"], 8, NO_TIME
    ),
    "ten seconds": plain(LONG, seconds=10),
    # what is paid
    "a penalty for length": plain(RAMP),
    "a penalty for length, much room": plain(LONG, LONG_RAMP),
    "truncated ones left out": plain("algorithm.mask_truncated=true"),
    "may abstain": plain(MAY_ABSTAIN, "reward={abstained: 0.2}"),
    "may abstain, wrong costs": plain(MAY_ABSTAIN, "reward={abstained: 0.1, wrong: -0.5}"),
    "a part for the form": plain("reward.format_weight=0.2"),
    "lenient": plain("reward.reading=lenient"),
    "two verifiers": plain("reward.workers=2"),
    "own verifier by degrees": with_parts(lambda parts: [parts.own("by_degrees")]),
    "own verifier, dummy references": with_parts(lambda parts: [parts.own("from_prompt"), parts.rows("0")]),
    "own verifier, slow": with_parts(lambda parts: [parts.own("slowly"), "algorithm.group_size=4"]),
    "a reward function of TRL's": with_parts(lambda parts: [parts.own("brief")]),
    # problems
    "two terms": plain("problems=[{domain: chain, terms: [2, 2]}]"),
    "rows of one's own": with_parts(lambda parts: [parts.rows()]),
    "a mixture": plain("problems=[{domain: chain, terms: [2, 2]}, {domain: chain, terms: [3, 3]}]"),
    "a curriculum": plain(
        "problems=[{domain: chain, terms: [2, 2]}, {domain: chain, terms: [3, 3]}]", "curriculum={by: entry, start: 2}"
    ),
    # models
    "thinks": with_parts(lambda parts: [f"model.path={parts.thinker}", "sampling.max_completion_tokens=32"]),
    "the template opens a thought": with_parts(lambda parts: [parts.opening_thought(), "sampling.max_completion_tokens=32"]),
    "bf16": plain("model.dtype=bf16"),
    "adapters": plain("model.lora={r: 4}", "optimizer.learning_rate=3e-3"),
    "adapters with a dropout": plain("model.lora={r: 8, dropout: 0.1}", "optimizer.learning_rate=1e-3"),
    # updates
    "a KL": plain("algorithm.kl_coef=0.02"),
    "a KL in the reward": plain("algorithm={kl: k1, kl_coef: 0.05, num_problems: 16, group_size: 8}"),
    "one step off, a short run": plain("train={one_step_off: true, steps: 5, threads: 1}"),
}  # fmt: skip


def diagnosed(sound: Sound, parts: Parts) -> Diagnosis:
    settings = [*_SHARED, f"run.dir={parts.home}", f"model.path={parts.imitator}", *sound.settings(parts)]
    config = load_config(RunConfig, [], settings).config
    return run_diagnosis(config, problems=sound.problems, seconds=sound.seconds)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--only", nargs="+", default=[""], help="only configurations whose name holds one of these")
    parser.add_argument("--list", action="store_true", help="print their names and draw nothing")
    chosen = parser.parse_args()
    wanted = {name: sound for name, sound in SOUND.items() if any(words in name for words in chosen.only)}
    if chosen.list:
        print("\n".join(wanted))
        return 0
    alarms = 0
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for name in ("imitator", "thinker"):
            (home / name).mkdir()
        imitator, thinker = make_imitator(home / "imitator"), make_imitator(home / "thinker", "{steps: 1}")
        parts = Parts(home=home, imitator=imitator, thinker=thinker)
        for name, sound in wanted.items():
            began = time.monotonic()
            found = diagnosed(sound, parts)
            said = "; ".join(f"{finding.name} ({finding.severity})" for finding in found.findings) or "nothing"
            alarms += bool(found.findings)
            known = "" if found.can_learn is not None else ", not known"
            print(f"{name:<40}{said}{known}  {time.monotonic() - began:.0f} s", flush=True)
    print(f"{len(wanted)} sound configurations, {alarms} false alarms (at most {_ALLOWED})")
    return int(alarms > _ALLOWED)


if __name__ == "__main__":
    sys.exit(main())
