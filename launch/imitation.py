"""Imitation against practice: what else the compute of a demo's practice would have bought (`reasonlab demo --with-imitation`).

Three arms go on from one imitator with as many tokens of compute (rl/tracking/compute.py): practice, as in the demo; imitation
of the same worked examples, from the first of them on and under a schedule of its own; and STaR, which is the demo's practice
under configs/over/star.yaml and ends with the round that reaches practice's compute. All are asked the same problems, on the
way and at the end. The phases resume as those of the demo do, and everything lies in one directory:

    TOP/demo-seed<SEED>/   the runs of a seed
    TOP/summary.json, arms.png, report.html   all seeds that are done so far
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from launch.story import CONFIGS, Phase, Story, configured, do_phases, part
from problems.telling import as_json
from rl.settings.loading import read_settings
from rl.tracking.compute import compute_tokens, points
from rl.tracking.run_directory import JsonDict, read_records, write_atomic

STAR = "over/star.yaml"
_EVALUATIONS = 10  # of further imitation, on its way


@dataclass(frozen=True, kw_only=True)
class ArmRuns:
    """Where the runs of an arm lie below the directory of a seed."""

    name: str
    about: str
    run: str
    evaluation: str


ARMS = (
    ArmRuns(name="practice", about="practice (GRPO)", run="rl", evaluation="eval-rl"),
    ArmRuns(name="imitation", about="more imitation (SFT)", run="imitation", evaluation="eval-imitation"),
    ArmRuns(name="star", about="imitation of its own right answers (STaR)", run="star", evaluation="eval-star"),
)


def go_on(story: Story, home: Path, seed: int, ranks: int) -> None:
    """Do what is not done yet of the arms besides practice, which must be finished in `home`."""
    do_phases(further_phases(story, home, seed, ranks), home)


def further_phases(story: Story, home: Path, seed: int, ranks: int) -> list[Phase]:
    """Return the phases of further imitation and of STaR, each with the compute that practice has used."""
    budget = points(home / "rl")[-1].compute_tokens
    imitator, star_model = home / "sft" / "model", home / "star-model"
    model = f"model.path={imitator}"

    def judged(name: str, of: Path) -> list[str]:
        return configured(home, seed, "eval", [story.evaluation], name, f"model.path={of}")

    further = configured(
        home, seed, "sft", [story.sft], "imitation", "model.tiny=null", model, *_as_long(story, home / "sft", budget)
    )
    star = configured(
        home, seed, "train", [story.rl, STAR], "star", model, f"train.compute_tokens={budget}", "train.steps=1000"
    )
    return [
        Phase("imitation", "Imitation goes on: worked examples for the compute that practice has used",
              further, home / "imitation" / "status.json", resumable=True, minutes=story.sft_minutes),
        Phase("eval_imitation", "How good is more imitation?",
              judged("eval-imitation", home / "imitation" / "model"), home / "eval-imitation" / "status.json", resumable=True),
        Phase("star", "STaR: it tries, a program checks, what is right is imitated, for the compute that practice has used",
              star, home / "star" / "status.json", ranks=ranks, resumable=True,
              minutes=story.rl_minutes),
        Phase("export_star", "That model as a plain directory", ["export", str(home / "star"), str(star_model)],
              star_model / "config.json"),
        Phase("eval_star", "How good is STaR?", judged("eval-star", star_model), home / "eval-star" / "status.json",
              resumable=True),
    ]  # fmt: skip


def _as_long(story: Story, cold_start: Path, budget: int) -> list[str]:
    """Return the settings of a cold start that spends `budget`, evaluated on its way on the problems that practice is."""
    *_, last = read_records(cold_start / "metrics.jsonl")
    steps = max(1, round(budget / compute_tokens(0, last["num_tokens"]) * last["step"]))
    practice = read_settings(CONFIGS / story.rl)
    asked = {"problems": practice["problems"], "every_steps": max(1, steps // _EVALUATIONS)}
    evaluation, sampling = json.dumps(practice["evaluation"] | asked), json.dumps(practice["sampling"])
    return [f"sft.steps={steps}", f"evaluation={evaluation}", f"sampling={sampling}"]


def compare_arms(story: Story, top: Path, homes: Mapping[int, Path]) -> JsonDict:
    """Write summary.json, the figure and the page of the seeds in `homes`, print what was found and return it."""
    from rl.runtime import cores
    from rl.tracking.arms import Arm, over_the_seeds, print_arms, summarise, write_page  # loads matplotlib

    def accuracies(evaluation: str, sizes: range) -> list[JsonDict]:
        results = [json.loads((home / evaluation / "results.json").read_text()) for home in homes.values()]
        return [part(of_seed, story.size, sizes) for of_seed in results]

    arms = [
        Arm(
            name=arm.name,
            about=arm.about,
            curves=[points(home / arm.run) for home in homes.values()],
            practised=accuracies(arm.evaluation, story.practised),
            beyond=accuracies(arm.evaluation, story.beyond),
        )
        for arm in ARMS
    ]
    summary = {
        "seeds": list(homes),
        f"practised_{story.size}": [story.practised[0], story.practised[-1]],
        f"beyond_{story.size}": [story.beyond[0], story.beyond[-1]],
        "imitator": {"accuracy": over_the_seeds(accuracies("eval-sft", story.practised))},
        **summarise(arms, cores()),
    }
    write_atomic(top / "summary.json", json.dumps(summary, indent=1))
    write_page(top, arms, summary)
    if not as_json():
        print_arms(summary, top)
    return summary
