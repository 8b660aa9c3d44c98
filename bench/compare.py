"""Turn by turn in one run: ours, TRL, ours, TRL; the ratio of every pair, of the medians, and of the peak memories."""

import contextlib
import json
import os
import pickle
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import mean, median
from types import TracebackType
from typing import Any

import torch

from bench.child import SIDES
from bench.material import SHORTEST, dtype_of, pool_of, run_config, synthetic_groups
from bench.ours import OurSide
from bench.sides import Timed
from bench.theirs import fastest
from bench.work import Work
from problems.errors import LabError
from problems.progress import followed
from rl.runtime import LAUNCHER_VARIABLES
from rl.tracking.run_directory import write_atomic
from rl.types import Group

# glibc gives large buffers back to the system at every free; faulting them in again took half of TRL's time on (c) or more
KEEP_MEMORY = {"GLIBC_TUNABLES": "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=1000000000000:glibc.malloc.hugetlb=1"}
BENCHES = ("update", "sample", "step")
Pairs = list[tuple[Timed, Timed]]
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Session:
    """What all comparisons of a run share."""

    scratch: Path
    out: Path
    repetitions: int
    threads: int | None
    is_toy: bool
    say: Say


def take_turns(ours: "Remote", theirs: "Remote", bench: str, warm_up: int, repetitions: int, say: Say) -> Pairs:
    """Return `repetitions` pairs of timed repetitions after the warm-up."""
    pairs: Pairs = []
    for number in followed(range(warm_up + repetitions), f"  {bench}, turns"):
        pair = ours.timed(bench), theirs.timed(bench)
        counted = f"{number + 1 - warm_up} of {repetitions}" if number >= warm_up else "warm-up"
        say(f"  {bench} {counted}: ours {pair[0].seconds:.2f} s, TRL {pair[1].seconds:.2f} s")
        pairs.append(pair)
    return pairs[warm_up:]


def summary(runs: Sequence[Timed], part: str) -> dict[str, Any]:
    """Return what one side's repetitions took, and the lengths it drew."""
    seconds = [getattr(run, part) for run in runs]
    lengths = [length for run in runs for length in run.lengths]
    parts = {name: median(getattr(run, name) for run in runs) for name in ("sample", "update") if getattr(runs[0], name)}
    return {
        "median_seconds": median(seconds),
        "seconds": seconds,
        "median_seconds_of_parts": parts,
        "tokens_per_second": sum(lengths) / sum(seconds),
        "lengths": {
            "completions": len(lengths),
            "mean": mean(lengths),
            "median": median(lengths),
            "min": min(lengths),
            "max": max(lengths),
            f"below_{SHORTEST}": sum(length < SHORTEST for length in lengths),
        },
    }


def result(bench: str, work: Work, pairs: Pairs, part: str, memory: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Return the record that is written; ratios are TRL's time (or memory) over ours, so above 1 means ours is better."""
    ours, theirs = summary([our for our, _ in pairs], part), summary([their for _, their in pairs], part)
    ratios = [getattr(their, part) / getattr(our, part) for our, their in pairs]
    return {
        "bench": bench,
        "work": work.name,
        "ratio_median": theirs["median_seconds"] / ours["median_seconds"],
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "memory_ratio": memory["trl"]["training"] / memory["ours"]["training"],
        "memory_ratio_whole_process": memory["trl"]["peak"] / memory["ours"]["peak"],
        "ours": {**ours, "memory_mib": memory["ours"]},
        "trl": {**theirs, "memory_mib": memory["trl"], "settings": fastest(bench, work)},
        "settings": {
            "model": work.title,
            "dtype": dtype_of(work),
            "problems": work.num_problems,
            "completions_a_problem": work.group_size,
            "prompt_tokens": work.prompt_tokens,
            "max_completion_tokens": work.max_tokens,
            "warm_up": work.warm_up,
            "environment": KEEP_MEMORY,
        },
        "machine": machine(),
        "versions": {name: version(name) for name in ("torch", "transformers", "trl", "deepspeed")},
    }


def machine() -> dict[str, Any]:
    """Return what the numbers were taken on."""
    cpuinfo = Path("/proc/cpuinfo")
    names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")] if cpuinfo.exists() else []
    processor = names[0].split(":", 1)[1].strip() if names else platform.processor() or platform.machine()
    found: dict[str, Any] = {"processor": processor, "threads": torch.get_num_threads()}
    found["capability"] = torch.backends.cpu.get_cpu_capability()
    return {**found, "gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else found


class Remote:
    """A side in a process of its own, see child.py. Use as a context manager."""

    def __init__(
        self,
        session: Session,
        name: str,
        bench: str,
        work: Work,
        model: Path,
        rollouts: Path,
        environment: Mapping[str, str] | None = None,
    ):
        self.name, self.work = name, work
        command = [sys.executable, "-m", "bench.child", name, bench, work.name, str(model), str(rollouts)]
        command += [str(session.threads or 0), *(["toy"] if session.is_toy else [])]
        # a process group of one exists in this process already; the child makes its own
        inherited = {key: value for key, value in os.environ.items() if key not in LAUNCHER_VARIABLES}
        paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  closed by __exit__
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env={**(environment or {}), **inherited, "PYTHONPATH": paths},
        )

    def __enter__(self) -> "Remote":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        if kind is not None:
            self.process.kill()
        self.process.wait()
        self.errors.close()

    def ask(self, what: str) -> Any:
        """Have it do something and return what it answers; raises LabError when it dies of it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(what + "\n")
            self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            self.process.wait()
            self.errors.seek(0)
            raise LabError(f"{self.name} ended in `{what}` of work {self.work.name}:\n{self.errors.read()[-2000:]}")
        return json.loads(answer)

    def timed(self, bench: str) -> Timed:
        """Return one timed repetition."""
        return Timed(**self.ask(bench))


def peak_memory(session: Session, bench: str, work: Work, model: Path, rollouts: Path) -> dict[str, dict[str, float]]:
    """Return the memory of both sides, each from a fresh process."""
    found = {}
    for name in SIDES:
        with Remote(session, name, bench, work, model, rollouts) as side:
            found[name] = side.ask("memory")
        session.say(
            f"  {bench} memory: {name} {found[name]['training']:.0f} MiB ({found[name]['peak']:.0f} with all libraries)"
        )
    return found


def rollouts_of(work: Work, ours: OurSide) -> tuple[Group, ...]:
    """Return the rollouts that both sides update on: sampled ones for the demo, synthetic ones for the others."""
    if work.shape is None:
        return ours.draw().groups
    return synthetic_groups(work, ours.engine.policy, ours.tokenizer, ours.config)


def compare(session: Session, benches: Sequence[str], work: Work, model: Path) -> list[dict[str, Any]]:
    """Measure `benches` on `work`, write each result and return them. A whole step's run gives the sampling's result too."""
    results = []
    with pool_of(work, run_config(work, model)) as pool:
        groups = rollouts_of(work, OurSide(work, model, pool))
    rollouts = session.scratch / f"rollouts-{work.name}.pickle"
    rollouts.write_bytes(pickle.dumps(groups))
    runs: dict[str, tuple[Pairs, str]] = {}
    for bench in benches:
        if bench == "sample" and "step" in benches:
            continue
        with (
            Remote(session, "ours", bench, work, model, rollouts, KEEP_MEMORY) as ours,
            Remote(session, "trl", bench, work, model, rollouts, KEEP_MEMORY) as theirs,
        ):
            runs[bench] = (take_turns(ours, theirs, bench, work.warm_up, session.repetitions, session.say), "seconds")
    if "step" in runs and "sample" in benches:
        runs["sample"] = (runs["step"][0], "sample")
    for bench, (pairs, part) in runs.items():
        results.append(result(bench, work, pairs, part, peak_memory(session, bench, work, model, rollouts)))
        session.out.mkdir(parents=True, exist_ok=True)
        write_atomic(session.out / f"{bench}-{work.name}.json", json.dumps(results[-1], indent=1) + "\n")
    return results


def read_results(directory: Path) -> list[dict[str, Any]]:
    """Return the results in `directory`, by work, then whole step first; raises LabError where there are none."""
    found = [json.loads(file.read_text(encoding="utf-8")) for file in directory.glob("*-?.json")]
    if not found:
        raise LabError(f"no results in {directory}; make them with `reasonlab bench`")
    return sorted(found, key=lambda r: (r["work"], -BENCHES.index(r["bench"])))


def markdown_table(results: Sequence[dict[str, Any]]) -> str:
    """Return the table of the README."""
    lines = [
        "| work | what | ours | TRL | times TRL's rate (lowest to highest pair) | TRL's peak memory over ours |",
        "|---|---|---|---|---|---|",
    ]
    for r in results:
        ours, theirs = (f"{r[side]['median_seconds']:.2f} s" for side in ("ours", "trl"))
        ratio = f"**{r['ratio_median']:.1f}** ({r['ratio_min']:.1f} to {r['ratio_max']:.1f})"
        lines.append(f"| {r['work']} | {r['bench']} | {ours} | {theirs} | {ratio} | {r['memory_ratio']:.1f} |")
    works = {r["work"]: r["settings"]["model"] for r in results}
    lines += ["", "; ".join(f"{name}: {title}" for name, title in works.items()) + "."]
    return "\n".join(lines)
