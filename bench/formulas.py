"""Math verdicts of ours and of the public graders that are installed: labels met, and verdicts a second, in turns in one run.

`python -m bench.formulas [--data DIR] [--rounds N]` (`make bench-math` makes the environment with the peers in it). Peers:
math-verify as its README has it (reference and answer parsed, its time limits on), MathRuler's grade_answer, inspect_ai's
scorer `math()`, and the last box compared as text. A bare answer is handed over inside of a box, which all of them read.

Each side runs in the same process on the same texts, one core. Works: the corpora of tests/data; GSM8K and MATH-500 from
DIR, where it is given, their worked solutions as completions; "structured" are pairs of matrices, intervals and sets that are
written differently; "calculus" are the pairs that our verifier hands to sympy.
"""

import argparse
import asyncio
import json
import os
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rewards.boxes import box_answer
from rewards.math import grade, parse
from rewards.math.tree import UnreadableError

ROOT = Path(__file__).parent.parent
_STRUCTURED = ("mat", "seq", "set", "union", "inter", "list")
_MOST = 400  # items of a work that is timed
_EVERY = 6  # of the kinds only every so many cases are judged: peers stand still for seconds at some
_MEASURABLE = 0.5  # seconds, below which other programs on the machine decide


@dataclass(frozen=True, kw_only=True)
class Item:
    """A reference, a completion, and whether that is right (None: only timed)."""

    reference: str
    completion: str
    right: bool | None = None


Judge = Callable[[Sequence[Item]], list[bool]]  # says which are right


# -- the sides


def ours() -> Judge:
    """This repository's verifier, in process, lenient reading."""
    return lambda items: [grade(item.reference, item.completion).status == "correct" for item in items]


def math_verify() -> Judge:
    """math-verify: both sides parsed, the reference inside of a box, as its README has it."""
    import math_verify as peer

    def judge(item: Item) -> bool:
        try:
            gold = peer.parse(f"\\boxed{{{item.reference}}}")
            return bool(peer.verify(gold, peer.parse(item.completion)))
        except Exception:  # it raises what its parser raises; that is a verdict too
            return False

    return lambda items: [judge(item) for item in items]


def inspect_math() -> Judge:
    """inspect_ai's scorer `math()` through its public interface, its two seconds for each side included."""
    from inspect_ai.model import ModelOutput
    from inspect_ai.scorer import Target, math
    from inspect_ai.solver import TaskState

    async def judge(item: Item) -> bool:
        output = ModelOutput.from_content("none", item.completion)
        state = TaskState(model="none", sample_id=0, epoch=0, input="", messages=[], output=output)  # type: ignore[arg-type]
        try:
            score = await math()(state, Target(item.reference))
        except Exception:  # a reference that it cannot read is an error of the sample
            return False
        return score is not None and score.value == "C"

    async def judge_all(items: Sequence[Item]) -> list[bool]:
        return [await judge(item) for item in items]

    return lambda items: asyncio.run(judge_all(items))


def mathruler() -> Judge:
    """MathRuler's grade_answer on the last box (the family of PRM800K's grader)."""
    from mathruler.grader import extract_boxed_content, grade_answer

    return lambda items: [bool(grade_answer(extract_boxed_content(item.completion), item.reference)) for item in items]


def same_text() -> Judge:
    """The last box as text."""
    return lambda items: [box_answer(item.completion) == item.reference for item in items]


SIDES: dict[str, Callable[[], Judge]] = {
    "rewards.math": ours,
    "math-verify": math_verify,
    "inspect_ai math()": inspect_math,
    "MathRuler": mathruler,
    "same text": same_text,
}


# -- the works


def labelled(path: Path) -> Iterator[Item]:
    """Yield the cases of a corpus file; a bare answer stands in a box."""
    with path.open(encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            if row.get("reading") == "strict" or "thinking_open" in row or "prompt" in row:
                continue  # what peers cannot be told
            is_completion = "completion" in row["class"] or path.name == "math_completions.jsonl"
            text = row["answer"] if is_completion else f"So \\boxed{{{row['answer']}}}"
            yield Item(reference=row["reference"], completion=text, right=row["right"])


def corpora() -> dict[str, list[Item]]:
    """Return the labelled works by name."""
    data = ROOT / "tests" / "data"
    kinds = [item for path in sorted((data / "math_kinds").glob("*.jsonl")) for item in labelled(path)]
    return {
        "pairs": list(labelled(data / "math_pairs.jsonl")),
        "completions": list(labelled(data / "math_completions.jsonl")),
        f"kinds, every {_EVERY}th": kinds[::_EVERY],
    }


def _is_structured(item: Item) -> bool:
    try:
        node = parse(item.reference)
    except UnreadableError:
        return False
    return node.op in _STRUCTURED and item.right is True and item.completion != f"So \\boxed{{{item.reference}}}"


def timed_works(data: Path | None) -> dict[str, list[Item]]:
    """Return the works that are timed by name."""
    works = {}
    if data is not None:
        works["GSM8K"] = list(_gsm8k(data / "gsm8k" / "test.jsonl"))[:_MOST]
        works["MATH-500"] = list(_math500(data / "math500" / "math500_test.jsonl"))
    pairs = [item for items in corpora().values() for item in items]
    works["structured"] = [item for item in pairs if _is_structured(item)][:_MOST]
    works["calculus"] = list(labelled(ROOT / "tests" / "data" / "math_kinds" / "calculus.jsonl"))
    return {name: items for name, items in works.items() if items}


def _gsm8k(path: Path) -> Iterator[Item]:
    """Yield worked solutions with their answers in a box, as most models are asked for it."""
    with path.open(encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            solution, _, answer = row["answer"].rpartition("####")
            yield Item(reference=answer.strip(), completion=f"{solution}The answer is \\boxed{{{answer.strip()}}}.")


def _math500(path: Path) -> Iterator[Item]:
    with path.open(encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            yield Item(reference=row["answer"], completion=row["solution"])


# -- the run


def accuracy_line(name: str, verdicts: Sequence[bool], items: Sequence[Item]) -> str:
    """Return one line of the table: precision, recall, and what was wrongly paid or refused."""
    paid_right = sum(said and bool(item.right) for said, item in zip(verdicts, items, strict=True))
    paid_wrong = sum(said and not item.right for said, item in zip(verdicts, items, strict=True))
    refused = sum(bool(item.right) for item in items) - paid_right
    precision = paid_right / max(1, paid_right + paid_wrong)
    recall = paid_right / max(1, paid_right + refused)
    met = (len(items) - paid_wrong - refused) / len(items)
    return f"  {name:18} {met:8.3f} {precision:9.3f} {recall:7.3f} {paid_wrong:15} {refused:15}"


def main() -> None:
    """Print labels met, then verdicts a second of each side, in turns."""
    parser = argparse.ArgumentParser(description="Math verdicts: ours and public graders, in turns within one run.")
    parser.add_argument("--data", type=Path, help="folder with gsm8k/test.jsonl and math500/math500_test.jsonl")
    parser.add_argument("--rounds", type=int, default=3)
    flags = parser.parse_args()
    warnings.filterwarnings("ignore")  # sympy's, of what peers ask of it
    sides: dict[str, Judge] = {}
    for name, make in SIDES.items():
        try:
            sides[name] = make()
        except ImportError as error:
            print(f"{name}: not installed ({error})")
    for name, items in corpora().items():
        if not items:
            continue
        print(f"{name}: {len(items)} cases\n  {'grader':18} {'accuracy':8} precision  recall  false positives false negatives")
        for side, judge in sides.items():
            print(accuracy_line(side, judge(items), items), flush=True)
    for name, items in timed_works(flags.data).items():
        print(f"{name}: {len(items)} verdicts, one core, {flags.rounds} rounds, load {os.getloadavg()[0]:.1f}")
        for side, seconds in seconds_in_turns(sides, items, flags.rounds).items():
            rates = [len(items) / taken for taken in seconds]
            print(f"  {side:18} {statistics.median(rates):12,.0f} a second, best {max(rates):,.0f}", flush=True)


def seconds_in_turns(sides: dict[str, Judge], items: Sequence[Item], rounds: int) -> dict[str, list[float]]:
    """Return the wall seconds that each side takes for all `items`, round by round; a round to warm up is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, judge in sides.items():
            taken = _seconds(judge, items)
            if number:
                seconds[name].append(taken)
    return seconds


def _seconds(judge: Judge, items: Sequence[Item]) -> float:
    """Return the seconds of judging all `items` once, as the mean of as many times as make a measurable time."""
    started = time.perf_counter()
    times = 0
    while not times or time.perf_counter() - started < _MEASURABLE:
        judge(items)
        times += 1
    return (time.perf_counter() - started) / times


if __name__ == "__main__":
    main()
