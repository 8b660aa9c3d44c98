"""The same page as one file to send to somebody: its scripts, its styles and what it shows are inside it.

A file cannot ask a server, so it holds curves and comparisons whole and, where all completions would make it too large, a
sample of them, and says so. Folders of this machine are not named. A policy in its head allows the page's own scripts by
their hashes and nothing else.
"""

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterator, Sequence

from rl.tracking.html_page import without_folders
from rl.tracking.run_directory import JsonDict
from rl.viewing.answers import Answers
from rl.viewing.server import page_files

_MOST_GROUPS_BYTES = 16_000_000  # of all runs; with the rest the file stays below 25 MB
_MOST_FLIPS_BYTES = 2_000_000
_MOST_POINTS = 2000  # of one curve, shared by the runs
_MODULES = (
    "dom",
    "series",
    "source",
    "curves",
    "group",
    "rollouts",
    "compare",
    "main",
)  # a module stands behind what it imports


def one_file(title: str, summary: str, answers: Answers) -> str:
    """Return the page with everything that has been read; `summary` is markup that stands first, "" for none."""
    held = json.dumps(_held(answers), allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    files = {name: data.decode() for name, data in page_files().items()}
    scripts = [files["uPlot.iife.min.js"], bundled({name: files[f"{name}.js"] for name in _MODULES})]
    styles = [files["uPlot.min.css"], files["style.css"]]
    policy = (
        f"default-src 'none'; script-src {_hashes(scripts)}; style-src {_hashes(styles)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    first = f'<section id="summary">{summary}</section>' if summary else ""
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}"><title>{html.escape(title)}</title>'
        '<link rel="icon" href="data:,">' + "".join(f"<style>{style}</style>" for style in styles)
    )
    body = (
        f'<main id="page"><h1>{html.escape(title)}</h1><p class="note">reasonlab</p>{first}</main>'
        f'<script type="application/json" id="held">{held}</script>'
        f'<script>{scripts[0]}</script><script type="module">{scripts[1]}</script>'
    )
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>'


def bundled(modules: dict[str, str]) -> str:
    """Return modules as one script: each a function that returns what it exports, and imports are what these returned."""
    parts = []
    for name, source in modules.items():
        exported = re.findall(r"^export (?:async )?(?:function|class|const) (\w+)", source, re.MULTILINE)
        body = re.sub(r"^export ", "", source, flags=re.MULTILINE)
        body = re.sub(r'^import (\{.*\}) from "\./(\w+)\.js";$', r"const \1 = module_\2;", body, flags=re.MULTILINE)
        parts.append(f"const module_{name} = (() => {{\n{body}\nreturn {{ {', '.join(exported)} }};\n}})();\n")
    return "".join(parts).replace("</script", "<\\/script")


def _hashes(texts: Sequence[str]) -> str:
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts]
    return " ".join(f"'sha256-{digest}'" for digest in digests)


def _held(answers: Answers) -> JsonDict:
    overview = answers.overview()
    runs: list[JsonDict] = overview["runs"]
    groups: list[list[JsonDict]] = []
    samples = []
    for number, run in enumerate(runs):
        sample = _sample(answers, number, _MOST_GROUPS_BYTES // len(runs))
        groups.append(sample)
        kept = sum(len(group["completions"]) for group in sample)
        if kept < run["completions"]:
            steps = len({group["step"] for group in sample})
            samples.append(
                f"of {run['name']} {kept:,} of {run['completions']:,} completions, whole groups of {steps} of its "
                f"{len(run['steps'])} steps, the first problems of each"
            )
        run["settings"] = without_folders(run["settings"])
        run["steps"] = sorted({group["step"] for group in sample})
        run["curves"] = {key: _thinned(curve, _MOST_POINTS // len(runs)) for key, curve in run["curves"].items()}
    words = f"This file holds a sample: {'; '.join(samples)}. `reasonlab view` shows all." if samples else None
    return {
        "overview": {**overview, "follow": False, "sample": words},
        "groups": groups,
        "difficulty": [answers.difficulty(number) for number in range(len(runs))],
        "comparisons": _comparisons(answers, runs),
    }


def _thinned(curve: tuple[list[int], list[float]], most: int) -> tuple[list[int], list[float]]:
    steps, values = curve
    every = -(-len(steps) // most)
    return steps[::every], [float(f"{value:.6g}") for value in values[::every]]


def _comparisons(answers: Answers, runs: Sequence[JsonDict]) -> JsonDict:
    """Return every pair of runs of one kind that can be compared; of flips those that there is room for."""
    found: JsonDict = {}
    room = _MOST_FLIPS_BYTES
    for first in range(len(runs)):
        for second in range(len(runs)):
            if first == second or runs[first]["kind"] != runs[second]["kind"] or not runs[first]["completions"]:
                continue
            comparison = answers.compare(first, second)
            if "notes" in comparison:
                comparison["notes"] = [without_folders(words) for words in comparison["notes"]]
            kept = []
            for flip in comparison.get("flips", ()):
                room -= len(json.dumps(flip))
                if room < 0:
                    comparison["hidden"] += 1
                else:
                    kept.append(flip)
            found[f"{first},{second}"] = {**comparison, "flips": kept} if "flips" in comparison else comparison
    return found


def _sample(answers: Answers, run: int, room: int) -> list[JsonDict]:
    """Return groups of a run in `room` bytes: all, or the first ones of steps spread over the run."""
    parts = answers.indices[run].parts
    groups = sum(len(part.problems) for part in parts)
    if not groups:
        return []
    # what a group takes, for a first guess: texts, and the numbers and names beside them
    size = sum(len(part.texts.joined) + 400 * len(part) for part in parts) / groups
    a_step = max(1, int(room / size / len(parts)))
    found = []
    for place in spread(len(parts)):
        part = parts[place]
        for group in range(min(a_step, len(part.problems))):
            row = int((part.group == group).argmax())
            answered = answers.group(run, part.step, row)
            taken = len(json.dumps(answered)) if answered is not None else 0
            if answered is not None and taken <= room:
                room -= taken
                found.append((part.step, row, answered))
    return [answered for _, _, answered in sorted(found, key=lambda one: one[:2])]


def spread(count: int) -> Iterator[int]:
    """Yield the numbers below `count` once each, so that wherever one stops those so far are spread over all: ends first."""
    seen = set()
    for parts in (1, *(2**power for power in range(1, count.bit_length() + 1))):
        for i in range(parts + 1 if count else 0):
            place = (count - 1) * i // parts
            if place not in seen:
                seen.add(place)
                yield place
    yield from (place for place in range(count) if place not in seen)
