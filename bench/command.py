"""`reasonlab bench`: arguments, models, progress and the table."""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.work import Work, choose_works, toy
from problems.telling import remark, tell, with_manner
from rl.settings.arguments import clearly

_EPILOG = """\
what is compared
  update    one optimizer step on the same given rollouts: loss, backward, clip, AdamW
  sample    drawing the completions of one step, text included
  step      sample, score, update; in a run with `sample` its own parts give that result too
  search    tries TRL's settings one by one (the fastest are written down in bench/theirs.py)
  profile   where our own step's time goes, next to the floor of this machine
  table     the Markdown table of the results that are there

works
  a   the demo's model (0.34 M parameters, trained for a minute), 32 problems x 16 short completions
  b   10 M parameters with random weights, prompts of 512 tokens, completions up to 512 with a long tail
  c   the same with the vocabulary of Qwen2.5: 151,936 tokens, tied embeddings
  d   a 0.5 B Qwen2 shape in bf16; needs CUDA
  e   SmolLM2-135M, fetched, counting letters: 12 problems x 8 completions up to 72 tokens; only where it is asked for

examples
  reasonlab bench                            update, sample and step on a and b (and d), the update on c
  reasonlab bench step --work a              one number, five minutes
  reasonlab bench update --work b,c
  reasonlab bench profile --work b
  reasonlab bench --toy --out /tmp/x         everything at toy size in a minute: does it run? (numbers mean nothing)

Both sides get the same weights, prompts, sampling parameters, threads, number of completions and optimizer steps, and take
turns, each in a process of its own that keeps the memory it frees. A ratio is TRL's time over ours, of the medians; the
lowest and highest pair stand beside it. Peak memory comes from one more process a side, with the system's own ways, and is
counted without the libraries: TRL's over ours.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="reasonlab bench",
        description="Our speed and memory as ratios to TRL's GRPOTrainer, measured in one run.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = ("all", "update", "sample", "step", "search", "profile", "table")
    parser.add_argument(
        "what", nargs="?", choices=what, default="all", metavar="WHAT", help=", ".join(what) + " (default: all)"
    )
    parser.add_argument("--work", metavar="A,B", help="works, by letter (default: all that run here; profile: b)")
    parser.add_argument("--repetitions", type=int, default=5, metavar="N", help="counted turns of each side (default: 5)")
    parser.add_argument(
        "--model", type=Path, metavar="DIR", help="model for works a and e (default: a short cold start; fetched)"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="results (default: bench/results; with --toy: bench/toy)")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads of both sides (default: all cores)")
    parser.add_argument("--toy", action="store_true", help="toy sizes: checks that everything runs, measures nothing")
    return with_manner(parser, "every result in --out; of search and profile what was found")


@clearly
def bench_command(argv: Sequence[str]) -> int:
    """`reasonlab bench`."""
    flags = _parser().parse_args(list(argv))
    flags.out = flags.out or Path("bench/toy" if flags.toy else "bench/results")
    works = choose_works(flags.work or ("b" if flags.what == "profile" else None), any_device=flags.toy)
    from bench.compare import markdown_table, read_results

    found: dict[str, Any] = {}
    if flags.what != "table":
        from rl.runtime import process_group

        with process_group(), tempfile.TemporaryDirectory(prefix="bench-") as scratch:
            found = _run(flags, works, Path(scratch))
    if flags.what in ("search", "profile"):
        tell(found)  # what is found is said work by work
    else:
        results = read_results(flags.out)
        tell(results, lambda: print(markdown_table(results)))
    return 0


def _run(flags: argparse.Namespace, works: Sequence[Work], scratch: Path) -> dict[str, Any]:
    """Measure; return what search and profile found, by work. Comparisons are in files."""
    from bench.compare import Session, compare
    from bench.material import make_model
    from bench.profile import profile, profile_table
    from bench.search import search
    from rl.runtime import quiet_libraries, set_threads

    started = time.perf_counter()
    found: dict[str, Any] = {}

    def say(line: str) -> None:
        remark(f"{(time.perf_counter() - started) / 60:5.1f} min  {line}")

    quiet_libraries()
    set_threads(flags.threads)
    session = Session(
        scratch=scratch, out=flags.out, repetitions=flags.repetitions, threads=flags.threads, is_toy=flags.toy, say=say
    )
    for number, chosen in enumerate(works, start=1):
        work = toy(chosen) if flags.toy else chosen
        say(f"work {work.name}, {number} of {len(works)}: {work.title}" + (" (toy size)" if flags.toy else ""))
        model = flags.model if flags.model and work.shape is None else make_model(work, scratch)
        if flags.what == "search":
            for bench in ("update", "sample"):
                say(f"TRL's settings for {bench}")
                tried = search(bench, work, model, say)
                found.setdefault(work.name, {})[bench] = [{"settings": extra, "seconds": seconds} for extra, seconds in tried]
                for extra, seconds in tried:
                    print(f"  {'fails' if seconds is None else f'{seconds:.2f} s'}  {extra or 'plain'}", flush=True)
        elif flags.what == "profile":
            found[work.name] = profile(work, model)
            print(profile_table(found[work.name]), flush=True)
        else:
            benches = work.benches if flags.what == "all" else (flags.what,)
            for result in compare(session, benches, work, model):
                say(
                    f"  {result['bench']}: {result['ratio_median']:.1f} times TRL's rate "
                    f"({result['ratio_min']:.1f} to {result['ratio_max']:.1f}), "
                    f"TRL's memory over ours {result['memory_ratio']:.1f}"
                )
    return found


if __name__ == "__main__":
    sys.exit(bench_command(sys.argv[1:]))
