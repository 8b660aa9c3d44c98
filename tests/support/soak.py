"""Practise on two ranks, killed at random again and again and started again each time, and look whether it shows.

    python tests/support/soak.py [--seeds 0 1 2] [--steps 40] [--kills 10] [--model PATH] [--dir PATH] [key=value ...]

First a run that nobody disturbs, then one for each seed of killing. A loop starts it with `reasonlab launch ... --resume`
until it has finished; meanwhile some process of it is killed, or it is told to stop, at a random moment: while it starts,
samples, learns, evaluates or saves. Between two starts the clock is set back, and the run's files bear times of the future.
At its end everything must be as in the run that nobody disturbed: metrics (byte by byte), rollouts, the last checkpoint
with its weights and optimizer state, the steps of timing.jsonl, the points of W&B's offline files; and nothing else may be
left, no process and no half file.

The settings are those of configs/demo.yaml with fewer and shorter completions and without the self-check. The model is the
demo's, which has imitated for 400 steps on short sums: enough to be right now and then, so that there is something to learn.
Prints a line a kill and a verdict, exits 1 if anything differs. The machine's own clock is left alone (other_clock.py).
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY), str(Path(__file__).parent)]

from support import environment, free_port, rows

from launch.nodes.outcome import AGAIN
from rl.heartbeat import STOP, read_beat, read_status, wall_clock
from rl.settings.loading import parse_yaml
from rl.tracking.checkpoint import find_fault, list_checkpoints
from rl.tracking.mirrors import STEP_KEY
from rl.tracking.wandb_log import histories

RANKS = 2
IMITATION = [
    "problems=[{domain: chain, named: true, terms: [2, 4]}]",
    "styles={direct: 1}",
    "sft.steps=400",
    "sft.threads=1",
]
PRACTICE = [
    "problems=[{domain: chain, named: true, terms: [3, 6]}]",
    "sampling.max_completion_tokens=48",
    "algorithm={num_problems: 8, group_size: 8}",
    "train.threads=1",
    "train.self_check=false",
    "checkpoint={every_steps: 5, keep_last: 2}",
    "evaluation={every_steps: 4, num_problems: 64}",
    "reward={workers: 1, timeout_seconds: 60}",
    "tracking={wandb: offline, table_every_steps: 7}",
]
LONGEST_SECONDS = 7200.0  # of one start and its end, on a machine that has other work too
FAULT = "FAULT"
MAY_BE_LOST = ("train/distribution/", "completions")  # of W&B, with the last second: see docs/survive.md
FARTHEST_BACK = 7 * 24 * 3600.0  # that the clock is set between two starts, in seconds

# what is done to a run: to which of its processes (of several one is chosen), and by which signal
KINDS: dict[str, tuple[str, signal.Signals | None]] = {
    "SIGKILL of a rank": ("rank", signal.SIGKILL),
    "SIGKILL of `reasonlab launch`": ("front", signal.SIGKILL),
    "SIGKILL of the agent": ("agent", signal.SIGKILL),
    "SIGKILL of DeepSpeed's launcher": ("launcher", signal.SIGKILL),
    "SIGKILL of everything": ("everything", signal.SIGKILL),
    "SIGTERM": ("front", signal.SIGTERM),
    "SIGTERM of a rank": ("rank", signal.SIGTERM),
    "a file STOP": ("file", None),
}
MOMENTS = {"start-up": 0.15, "any": 0.4, "evaluating": 0.2, "saving": 0.25}  # how often each is chosen


# -- one start of the run


def processes_of(mark: str, sessions: set[int]) -> dict[int, list[str]]:
    """Return pid -> command line of what is left of the starts that have `mark` in their environment, or of their sessions."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):  # ended in the meantime
            fields = (place / "stat").read_text(errors="replace").rpartition(")")[2].split()  # state, parent, group, session
            is_marked = mark.encode() in (place / "environ").read_bytes().split(b"\0")
            if fields[0] != "Z" and (is_marked or int(fields[3]) in sessions):
                found[int(place.name)] = (place / "cmdline").read_text(errors="replace").split("\0")[:-1]
    found.pop(os.getpid(), None)
    return found


def role_of(command: Sequence[str]) -> str:
    """Return which process of a run has this command line; "" for helpers."""
    if "launch.cli" in command:
        return "front"
    for word, role in (("launch.nodes.agent", "agent"), ("deepspeed.launcher.launch", "launcher"), ("rl.train", "rank")):
        if word in command:
            return role if role != "rank" or any(part.startswith("--local_rank=") for part in command) else ""
    return ""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run that is started again and again: the words that start it, and where it is."""

    command: Sequence[str]
    path: Path
    clock: Path  # a directory for PYTHONPATH that sets the clock of its processes
    mark: str  # in the environment of every process of it
    sessions: set[int] = field(default_factory=set)  # that its processes have had

    def start(self, clock: float = 0.0) -> "Life":
        """Start it, or go on with it."""
        name, _, value = self.mark.partition("=")
        added = {
            name: value,
            "WANDB_MODE": "offline",
            "PYTHONPATH": os.pathsep.join([str(self.clock), str(REPOSITORY)]),
            "REASONLAB_CLOCK_SECONDS": str(clock),
        }
        said = tempfile.TemporaryFile("w+")  # noqa: SIM115
        command = [*self.command, f"--master-port={free_port()}"]
        front = subprocess.Popen(
            command, stdout=said, stderr=said, stdin=subprocess.DEVNULL, env=environment(**added), start_new_session=True
        )
        self.sessions.add(front.pid)
        return Life(self, front, said)

    def processes(self) -> dict[int, list[str]]:
        """Return what is there of it, by pid, as `processes_of`."""
        found = processes_of(self.mark, self.sessions)
        self.sessions.update(pid for pid, command in found.items() if role_of(command) in ("agent", "launcher"))
        return found

    def steps_done(self) -> int:
        """Return how many steps stand in metrics.jsonl."""
        with suppress(OSError):
            return (self.path / "metrics.jsonl").read_bytes().count(b"\n") - 1
        return -1

    def is_saving(self) -> bool:
        """Whether half a checkpoint is there."""
        return any((self.path / "checkpoints").glob(".step-*.tmp"))


class Life:
    """One start of a run, until its end."""

    def __init__(self, run: Run, front: "subprocess.Popen[bytes]", said: Any) -> None:
        self.run, self.front, self._said, self.began = run, front, said, time.monotonic()

    def said(self) -> str:
        """Return what it has printed."""
        self._said.seek(0)
        return str(self._said.read())

    def until(self, reached: Callable[[], bool], pause: float = 0.02) -> bool:
        """Wait for something; return whether it came while the run was going."""
        while not reached():
            if self.front.poll() is not None:
                return False
            if time.monotonic() > self.began + LONGEST_SECONDS:
                raise TimeoutError(f"nothing came of it in {LONGEST_SECONDS:g} s:\n{self.said()}")
            time.sleep(pause)
        return self.front.poll() is None

    def end(self) -> int:
        """Wait for its end and return its exit status."""
        self.until(lambda: False, 0.1)
        return int(self.front.returncode)

    def was_refused(self) -> bool:
        """Whether it ended because another start of the same run is still at work."""
        return self.front.returncode == 2 and "is being worked on by process" in self.said()

    def ranks(self) -> list[int]:
        """Return the pids of its ranks."""
        return [pid for pid, command in self.run.processes().items() if role_of(command) == "rank"]

    def phases(self) -> list[str]:
        """Return what each rank does, by its last heartbeat, which is a second old at most."""
        beats = [read_beat(self.run.path, rank) for rank in range(RANKS)]
        return [beat["phase"] for beat in beats if beat is not None]

    def is_working(self) -> bool:
        """Whether it has left its start-up behind: only then what its directory holds is its own."""
        beats = [read_beat(self.run.path, rank) for rank in range(RANKS)]
        ranks = self.ranks()
        return all(beat is not None and beat["pid"] in ranks and beat["phase"] != "starting" for beat in beats)


# -- kills


@dataclass(frozen=True, kw_only=True)
class Blow:
    """What is to happen to a run, and when."""

    kind: str
    moment: str
    after: int  # steps
    delay: float  # 0 to 1, of the time that the moment may take


def blows_of(chance: random.Random, count: int, steps: int) -> list[Blow]:
    """Return what happens to a run, in order; all kinds, if there are enough of them."""
    kinds: list[str] = []
    while len(kinds) < count:
        kinds += chance.sample(sorted(KINDS), len(KINDS))
    moments = chance.choices(list(MOMENTS), list(MOMENTS.values()), k=count)
    after = sorted(chance.randrange(steps) for _ in range(count))
    blows = []
    for kind, moment, step in zip(kinds[:count], moments, after, strict=True):
        # a file STOP is of no account before the run is up: it may be an old one
        place = "any" if KINDS[kind][0] == "file" and moment == "start-up" else moment
        blows.append(Blow(kind=kind, moment=place, after=step, delay=chance.random()))
    return blows


@dataclass(frozen=True, kw_only=True)
class Paces:
    """How long things take on this machine, in seconds, and how many steps there are from one to the next."""

    start: float
    step: float
    save_every: int
    evaluate_every: int


def wait_for(blow: Blow, life: Life, paces: Paces) -> bool:
    """Wait for the step of a blow, or its moment within the start; return whether it came."""
    if blow.moment == "start-up":
        moment = life.began + blow.delay * paces.start  # or when it is up, on a machine that has become quicker
        return life.until(lambda: time.monotonic() > moment or life.is_working(), 0.2)
    after = blow.after
    if blow.moment == "evaluating":  # which it does in the step that follows
        after = following(after + 1, paces.evaluate_every) - 1
    elif blow.moment == "saving":  # as soon as that step stands in metrics.jsonl
        after = following(after + 1, paces.save_every) - 1
    return life.until(life.is_working, 0.5) and life.until(lambda: life.run.steps_done() >= after, 0.005)


def following(step: int, every: int) -> int:
    """Return the first step from this one on at which something is due that is done every so many steps."""
    return -(-step // every) * every


def wait_within(blow: Blow, life: Life, paces: Paces) -> bool:
    """Wait for the moment of a blow within its step."""
    seconds = 0.0
    if blow.moment == "evaluating":
        done = life.run.steps_done()
        life.until(lambda: "evaluating" in life.phases() or life.run.steps_done() > done)
        seconds = 0.5
    elif blow.moment == "saving":
        done = life.run.steps_done()
        life.until(lambda: life.run.is_saving() or life.run.steps_done() > done + 1, 0.001)
        seconds = 0.05
    elif blow.moment == "any":
        seconds = 2 * paces.step
    moment = time.monotonic() + blow.delay * seconds
    return life.until(lambda: time.monotonic() > moment, 0.001)


def strike(blow: Blow, life: Life, paces: Paces, chance: random.Random) -> str | None:
    """Do it at its moment; return in words to whom and what the run did then. None: the run had ended."""
    whom, number = KINDS[blow.kind]

    def targets() -> list[int]:
        return sorted(pid for pid, command in life.run.processes().items() if whom in ("everything", role_of(command)))

    if not wait_for(blow, life, paces) or not (whom == "file" or life.until(lambda: bool(targets()))):
        return None
    there = targets()  # looking for them takes longer than a save does
    if not wait_within(blow, life, paces):
        return None
    phases = "start-up" if blow.moment == "start-up" else " and ".join(sorted(set(life.phases())))
    words = f"{life.run.steps_done()} steps done, in {'saving' if life.run.is_saving() else phases}"
    if whom == "file":
        (life.run.path / STOP).write_text("soak")
        return f"{blow.kind}, {words}"
    assert number is not None
    hit = 0
    for pid in there if whom == "everything" else [chance.choice(there)]:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
            hit += 1
    many = f" ({hit} processes)" if whom == "everything" else ""
    return f"{blow.kind}{many}, {words}" if hit else None


def disturbed(run: Run, blows: Sequence[Blow], paces: Paces, chance: random.Random) -> Iterator[str]:
    """Have a run finish in spite of all; yields a line for every start."""
    left, clock, starts = list(blows), 0.0, 0
    while True:
        starts += 1
        life = run.start(clock)
        words = strike(left[0], life, paces, chance) if left else None
        struck = time.monotonic()
        status = life.end()
        if life.was_refused():
            yield "refused: an earlier start is still at work"
            time.sleep(1)
            continue
        if words is not None and status:
            left.pop(0)
            yield f"kill {len(blows) - len(left)}: {words}; exit {status} after {time.monotonic() - struck:.1f} s"
        elif status == AGAIN:  # a rank of the start before, which was told to stop, has told this one
            yield "told to stop by what was left of the start before: exit 75"
        elif status:
            yield f"{FAULT}: nobody touched it, and it ended with {status}:\n{life.said()}"
            return
        elif left:
            left = [at_start_up(blow) for blow in left]
        else:
            yield f"finished, with {starts} starts"
            return
        back = chance.uniform(0, FARTHEST_BACK)
        clock -= back
        from_the_future(run.path, back)


def at_start_up(blow: Blow) -> Blow:
    """Return the blow for a run that has nothing more to do but to start and to end."""
    kind = "SIGTERM" if KINDS[blow.kind][0] == "file" else blow.kind
    return Blow(kind=kind, moment="start-up", after=0, delay=blow.delay / 2)


def from_the_future(directory: Path, seconds: float) -> None:
    """Have all files bear times as if the clock had been set back since they were written."""
    moment = wall_clock() + seconds
    for folder, _, files in os.walk(directory):
        for name in files:
            with suppress(OSError):  # what is left of the last start may remove some
                os.utime(Path(folder, name), (moment, moment))


# -- what must be the same


def differences(one: Path, other: Path, steps: int) -> list[str]:
    """Return in words what differs between the run that nobody disturbed and another."""
    found = []
    first, second = ((run / "metrics.jsonl").read_text().splitlines() for run in (one, other))
    if first != second:
        unlike = next((i for i, pair in enumerate(zip(first, second, strict=False)) if pair[0] != pair[1]), None)
        found.append(f"metrics.jsonl: {len(first)} and {len(second)} rows, the first that differs: {unlike}")
    for name in ("metrics.jsonl", "timing.jsonl"):
        numbers = [[row["step"] for row in rows(run / name)] for run in (one, other)]
        if numbers[0] != numbers[1]:
            found.append(f"{name}: steps {numbers[0]} and {numbers[1]}")
    last = f"checkpoints/step-{steps:06d}"
    for folder in ("rollouts", f"{last}/policy", f"{last}/engine"):
        contents = [
            {str(file.relative_to(run / folder)): file.read_bytes() for file in (run / folder).rglob("*") if file.is_file()}
            for run in (one, other)
        ]
        if unlike_files := sorted(
            name for name in {*contents[0], *contents[1]} if contents[0].get(name) != contents[1].get(name)
        ):
            found.append(f"{folder}: {', '.join(unlike_files)}")
    states = [json.loads((run / last / "state.json").read_text()) for run in (one, other)]
    for state in states:
        state.pop("wandb_id")  # each run has its own
    if states[0] != states[1]:
        found.append(f"state.json: {states[0]} and {states[1]}")
    shown, also_shown = (points_of(run) for run in (one, other))
    if doubled := sorted(also_shown - shown):
        found.append(f"W&B: {len(doubled)} points too many, among them {doubled[:5]}")
    if lost := sorted(point for point in shown - also_shown if not point[1].startswith(MAY_BE_LOST)):
        found.append(f"W&B: {len(lost)} points lack, among them {lost[:5]}")
    return found


def points_of(run: Path) -> Counter[tuple[int, str]]:
    """Return how often each point, by step and name, is in the offline files of W&B.

    Its own names (_step, _runtime) are in every record, and the records of a step are fewer where the table's was lost.
    """
    wandb_id = json.loads((run / "tracking.json").read_text())["id"]
    found = ((step, key) for step, keys in histories(run / "wandb", wandb_id) for key in keys - {STEP_KEY})
    return Counter((step, key) for step, key in found if not key.startswith("_"))


def leftovers(run: Run) -> list[str]:
    """Return in words what a finished run has left behind that it should not; waits for helpers to end."""
    found = []
    deadline = time.monotonic() + 60
    while (there := run.processes()) and time.monotonic() < deadline:
        time.sleep(0.2)
    found += [f"process {pid}: {' '.join(command)[:200]}" for pid, command in there.items()]
    checkpoints = run.path / "checkpoints"
    half = [*run.path.rglob(".*.tmp*"), *checkpoints.glob(".step-*"), run.path / STOP]
    found += [str(file.relative_to(run.path)) for file in half if file.exists()]
    found += [f"{path.name}: {fault}" for path in list_checkpoints(checkpoints) if (fault := find_fault(path)) is not None]
    status = read_status(run.path) or {}
    if status.get("status") != "finished":
        found.append(f"status.json: {status}")
    return found


# -- all of it


def make_model(home: Path) -> Path:
    """Make the demo's model imitate a little; return its directory."""
    config = ["--config", str(REPOSITORY / "configs" / "demo-sft.yaml"), f"run.dir={home}", "run.name=sft"]
    done = subprocess.run([sys.executable, "-m", "rl.sft", *config, *IMITATION], env=environment(), check=False)
    if done.returncode:
        sys.exit(f"the imitation ended with exit status {done.returncode}")
    return home / "sft" / "model"


def undisturbed(run: Run) -> Paces:
    """Have a run finish in peace; return how long its parts took."""
    life = run.start()
    life.until(lambda: run.steps_done() >= 0, 0.2)
    up = time.monotonic()
    status = life.end()
    if status or (left := leftovers(run)):
        sys.exit(f"the run that nobody disturbed ended with exit status {status}:\n{life.said() if status else left}")
    found = rows(run.path / "metrics.jsonl")
    config = parse_yaml((run.path / "config.yaml").read_text(), "config.yaml")
    paces = Paces(
        start=up - life.began,
        step=(time.monotonic() - up) / len(found),
        save_every=config["checkpoint"]["every_steps"],
        evaluate_every=config["evaluation"]["every_steps"],
    )
    learned = sum("loss" in row for row in found)
    took = f"{paces.start:.0f} s to start, {paces.step:.1f} s a step"
    print(f"nobody disturbs it: {len(found) - 1} steps, of which {learned} learn; {took}", flush=True)
    if learned <= len(found) // 2:
        sys.exit("most steps had nothing to learn from: equal weights would prove little. Give it a better --model")
    return paces


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of killing, one after another (default: 0)")
    parser.add_argument("--steps", type=int, default=40, help="of the run (default: 40)")
    parser.add_argument("--kills", type=int, default=10, help="that hit it, for each seed (default: 10)")
    parser.add_argument("--model", type=Path, help="to practise with (default: the demo's, after a short imitation)")
    parser.add_argument("--dir", type=Path, help="where the runs go and stay (default: a directory that is removed)")
    flags, settings = parser.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="reasonlab-soak-") as temporary:
        home = flags.dir or Path(temporary)
        if (home / "undisturbed").exists():
            parser.error(f"{home} holds runs of a soak before: what is finished there would be killed in vain; name another")
        model = flags.model or make_model(home)
        words = [sys.executable, "-m", "launch.cli", "launch", str(REPOSITORY / "configs" / "demo.yaml"), f"--gpus={RANKS}"]
        words += ["--resume", f"run.dir={home}", f"model.path={model}", *PRACTICE, f"train.steps={flags.steps}", *settings]

        clock = home / "clock"
        clock.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(__file__).parent / "other_clock.py", clock / "sitecustomize.py")

        def run(name: str) -> Run:
            mark = f"REASONLAB_SOAK={os.getpid()}-{name}"
            return Run(command=[*words, f"run.name={name}"], path=home / name, clock=clock, mark=mark)

        peaceful = run("undisturbed")
        paces = undisturbed(peaceful)
        is_good = True
        for seed in flags.seeds:
            chance = random.Random(seed)
            one = run(f"killed-{seed}")
            began = time.monotonic()
            faults = []
            for line in disturbed(one, blows_of(chance, flags.kills, flags.steps), paces, chance):
                print(f"seed {seed}, {line}", flush=True)
                faults += [line] if line.startswith(FAULT) else []
            faults += faults or [*leftovers(one), *differences(peaceful.path, one.path, flags.steps)]
            verdict = "as if nothing had been" if not faults else "NOT the same:\n  " + "\n  ".join(faults)
            print(f"seed {seed}: {verdict} ({time.monotonic() - began:.0f} s)", flush=True)
            is_good &= not faults
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
